//! Large arrays in huge pages.
//!
//! A vector of many megabytes lies in small pages, and 16 bytes behind a cache line: programs that stream it or read it across its rows wait for
//! translations of addresses (measured on two threads: the sum of the squares of 2^24 `f32` 1.7 ms instead of 1.0, `a + bᵀ` of 2048² 3.4
//! instead of 2.4). What the user hands over once and programs read many times is therefore copied into pages that ask to be huge.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::MmapMut;

use super::{Element, Elements, Memory};

/// From this number of bytes on a copy is worth it: two huge pages.
const LARGE: usize = 4 << 20;
/// The fewest bytes that move at once.
const PIECE: usize = 1 << 20;

/// Elements in memory of the system's, zero or more whole pages.
struct Pages<T> {
    memory: MmapMut,
    elements: PhantomData<T>,
}

impl<T: Element + Pod + std::panic::UnwindSafe + std::panic::RefUnwindSafe> Memory<T> for Pages<T> {
    fn elements(&self) -> &[T] {
        bytemuck::cast_slice(&self.memory)
    }

    fn elements_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.memory)
    }
}

/// The elements in huge pages if they are many, or the vector as it is (also where the system has no such memory).
///
/// They move from the end on, and the vector gives back what has moved: both together take an eighth more memory than one.
pub fn kept<T>(mut elements: Vec<T>) -> Elements<T>
where
    T: Element + Pod + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
{
    let Some(mut memory) = pages(size_of_val(&elements[..])) else { return elements.into() };
    let to: &mut [T] = bytemuck::cast_slice_mut(&mut memory);
    while !elements.is_empty() {
        let from = elements.len().saturating_sub((elements.len() / 8).max(PIECE / size_of::<T>()));
        to[from..elements.len()].copy_from_slice(&elements[from..]);
        elements.truncate(from);
        elements.shrink_to_fit();
    }
    Elements::Lent(Box::new(Pages { memory, elements: PhantomData }))
}

/// `n` zeros, in huge pages if they are many.
pub fn zeros<T>(n: usize) -> Elements<T>
where
    T: Element + Pod + std::panic::UnwindSafe + std::panic::RefUnwindSafe,
{
    match pages(n.saturating_mul(size_of::<T>())) {
        Some(memory) => Elements::Lent(Box::new(Pages { memory, elements: PhantomData })),
        None => vec![T::zeroed(); n].into(),
    }
}

/// So many zero bytes in huge pages; none if they are few, or where the system has no such memory.
fn pages(bytes: usize) -> Option<MmapMut> {
    if bytes < LARGE {
        return None;
    }
    let memory = MmapMut::map_anon(bytes).ok()?;
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
