//! Results of compiled programs as arrays, without a copy.

use std::any::Any;

use cotangent_core::array::{Array, Element, Memory};
use cotangent_core::ir::{Aval, DType};
use half::{bf16, f16};

use crate::memory::Block;

macro_rules! memory {
    ($($T:ty),*) => { $(
        impl Memory<$T> for Block {
            fn elements(&self) -> &[$T] {
                // SAFETY: a block is aligned for every element and initialised; `array` has checked that its length is a
                // multiple of an element's, and of `bool` that every byte is 0 or 1, and nobody writes to it since.
                unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.len() / size_of::<$T>()) }
            }

            fn as_any_mut(&mut self) -> &mut dyn Any {
                self
            }
        }
    )* };
}
memory!(f32, f64, bf16, f16, i64, i32, i16, i8, u8, bool);

/// The array of `aval` whose elements are the bytes of `block`; `None` if it has another length.
///
/// Bytes of `bool` other than 0 count as true.
pub fn array(aval: &Aval, mut block: Block) -> Option<Array> {
    if aval.shape.checked_numel()?.checked_mul(aval.dtype.size_bytes())? != block.len() {
        return None;
    }
    if aval.dtype == DType::Bool {
        block.bytes_mut().iter_mut().for_each(|b| *b = u8::from(*b != 0));
    }
    cotangent_core::array::dispatch!(aval.dtype, T => Array::try_new(&aval.shape, <T as Element>::lend(Box::new(block))))
}
