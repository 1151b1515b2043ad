//! Results of compiled programs as arrays, without a copy.

use cotangent_core::array::{Array, Element, Elements, Memory, dispatch};
use cotangent_core::ir::{Aval, DType};
use half::{bf16, f16};

use crate::memory::Block;

/// A block that holds the elements of one array; only [`array`] makes one.
struct Lent(Block);

macro_rules! memory {
    ($($T:ty),*) => { $(
        impl Memory<$T> for Lent {
            fn elements(&self) -> &[$T] {
                // SAFETY: a block is aligned for every element and initialised; `array` has checked that it holds whole elements, and
                // every byte of a block of `bool` is 0 or 1.
                unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() / size_of::<$T>()) }
            }

            fn elements_mut(&mut self) -> &mut [$T] {
                // SAFETY: as above, and the block is borrowed for writing; what is written are elements again.
                unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().cast(), self.0.len() / size_of::<$T>()) }
            }
        }
    )* };
}
memory!(f32, f64, bf16, f16, i64, i32, i16, i8, u8, bool);

/// The array of `aval` whose elements are the bytes of `block`; `None` if it has another length.
///
/// Bytes of `bool` other than 0 count as true.
pub fn array(aval: &Aval, mut block: Block) -> Option<Array> {
    if !block.len().is_multiple_of(aval.dtype.size_bytes()) {
        return None;
    }
    if aval.dtype == DType::Bool {
        block.bytes_mut().iter_mut().for_each(|b| *b = u8::from(*b != 0));
    }
    dispatch!(aval.dtype, T => Array::try_new(&aval.shape, T::wrap(Elements::Lent(Box::new(Lent(block))))))
}
