//! Large arrays in huge pages.
//!
//! A vector of many megabytes lies in small pages, and 16 bytes behind a cache line: programs that stream it or read it across its rows wait for
//! translations of addresses (measured on two threads: the sum of the squares of 2^24 `f32` 1.7 ms instead of 1.0, `a + bᵀ` of 2048² 3.4
//! instead of 2.4). What the user hands over once and programs read many times is therefore copied into pages that ask to be huge.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::MmapMut;

use super::{Element, Elements, Memory};

/// The size of a huge page of most systems.
const HUGE_PAGE: usize = 2 << 20;
/// From this number of bytes on a copy is worth it: a huge page and most of another.
const LARGE: usize = 7 << 19;
/// The last huge page is a whole one where this part of the bytes, or less, is added for it.
const SLACK: usize = 8;

/// Elements in memory of the system's, of which the first bytes are used.
struct Pages<T> {
    memory: MmapMut,
    bytes: usize,
    elements: PhantomData<T>,
}

impl<T: Element + Pod + std::panic::UnwindSafe + std::panic::RefUnwindSafe> Memory<T> for Pages<T> {
    fn elements(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory[..self.bytes])
    }

    fn elements_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.memory[..self.bytes])
    }
}

/// The elements in huge pages if they are many, or the vector as it is (also where the system has no such memory).
pub fn kept<T>(elements: Vec<T>) -> Elements<T>
where
    T: Element + Pod + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
{
    let bytes: &[u8] = bytemuck::cast_slice(&elements);
    let Some(mut memory) = pages(bytes.len()) else { return elements.into() };
    memory[..bytes.len()].copy_from_slice(bytes);
    Elements::Lent(Box::new(Pages { memory, bytes: bytes.len(), elements: PhantomData }))
}

/// `n` zeros, in huge pages if they are many.
pub fn zeros<T>(n: usize) -> Elements<T>
where
    T: Element + Pod + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
{
    let bytes = n.saturating_mul(size_of::<T>());
    match pages(bytes) {
        Some(memory) => Elements::Lent(Box::new(Pages { memory, bytes, elements: PhantomData })),
        None => vec![T::zeroed(); n].into(),
    }
}

/// At least so many zero bytes in huge pages; none if they are few, or where the system has no such memory.
fn pages(bytes: usize) -> Option<MmapMut> {
    if bytes < LARGE {
        return None;
    }
    let whole = bytes.checked_next_multiple_of(HUGE_PAGE).filter(|whole| whole - bytes <= bytes / SLACK);
    let memory = MmapMut::map_anon(whole.unwrap_or(bytes)).ok()?;
    // A system that does not give them gives small pages.
    #[cfg(target_os = "linux")]
    let _ = memory.advise(memmap2::Advice::HugePage);
    Some(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_elements_move_and_few_stay() {
        let data: Vec<f64> = (0..LARGE / 8).map(|i| i as f64).collect();
        let few = kept(data[1..].to_vec());
        assert!(matches!(few, Elements::Owned(_)));
        assert_eq!(few[..], data[1..]);
        assert!(matches!(zeros::<f64>(LARGE / 8 - 1), Elements::Owned(x) if x.iter().all(|x| *x == 0.0)));
        assert!(matches!(zeros::<f64>(LARGE / 8), Elements::Lent(x) if x.elements().iter().all(|x| *x == 0.0)));
        let mut many = kept(data.clone());
        assert!(matches!(many, Elements::Lent(_)));
        assert_eq!(many[..], data[..]);
        many.as_mut_slice()[7] = -1.0;
        assert_eq!(many[6..9], [6.0, -1.0, 8.0]);
        let copy = many.clone();
        drop(many);
        assert_eq!(copy[7], -1.0);
    }
}
