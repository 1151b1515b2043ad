//! A row of the result of a write through an index: its sources are combined, a few columns in registers over all of them.

use std::marker::PhantomData;

use super::Vectors;
use super::indexed::Combine;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, Kernel, Lanes};

/// Elements of a row that are combined at once.
const COLUMNS: usize = 32;

/// A row of the result: `from`, and `inner` elements of `src` for each of the `sources`.
pub struct Row<'a, T, S, W, F, E> {
    combine: &'a Combine<W, F, E>,
    inner: usize,
    from: *const T,
    src: *const T,
    sources: &'a [usize],
    to: *mut T,
    of: PhantomData<S>,
}

impl<'a, T: Copy, S: Copy, W: Fn(T) -> S, F: Fn(S, S) -> S, E: Fn(S) -> T> Row<'a, T, S, W, F, E> {
    /// The row `to`.
    pub fn new(
        combine: &'a Combine<W, F, E>,
        inner: usize,
        [from, src]: [*const T; 2],
        sources: &'a [usize],
        to: *mut T,
    ) -> Self {
        Row { combine, inner, from, src, sources, to, of: PhantomData }
    }

    /// Computes it.
    ///
    /// # Safety
    /// The CPU has the vectors; the rows have their elements, and nobody else uses those of `to`.
    pub unsafe fn compute(self, vectors: Vectors) {
        // SAFETY: the caller's.
        unsafe {
            match vectors {
                #[cfg(target_arch = "x86_64")]
                Vectors::V256 | Vectors::V512 => F64x4::enabled(self),
                Vectors::Portable => self.of_any_vectors(),
            }
        }
    }

    /// # Safety
    /// As [`Row::compute`].
    #[inline(always)]
    unsafe fn of_any_vectors(self) {
        let Row { combine, inner, from, src, sources, to, of: _ } = self;
        // SAFETY: the caller's.
        let (from, to) =
            unsafe { (std::slice::from_raw_parts(from, inner), std::slice::from_raw_parts_mut(to, inner)) };
        if sources.is_empty() {
            to.copy_from_slice(from);
            return;
        }
        let (whole, rest) = from.as_chunks::<COLUMNS>();
        let (whole_to, rest_to) = to.as_chunks_mut::<COLUMNS>();
        for (c, (from, to)) in whole.iter().zip(whole_to).enumerate() {
            let mut sums = from.map(&combine.widen);
            for j in sources {
                // SAFETY: the caller's: `j` is a row of the source, which has these columns.
                let source = unsafe { &*src.add(j * inner + c * COLUMNS).cast::<[T; COLUMNS]>() };
                sums = std::array::from_fn(|i| (combine.both)(sums[i], (combine.widen)(source[i])));
            }
            *to = sums.map(&combine.end);
        }
        for (i, (from, to)) in rest.iter().zip(rest_to).enumerate() {
            let mut sum = (combine.widen)(*from);
            for j in sources {
                // SAFETY: as above.
                let x = unsafe { *src.add(j * inner + whole.len() * COLUMNS + i) };
                sum = (combine.both)(sum, (combine.widen)(x));
            }
            *to = (combine.end)(sum);
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<T: Copy, S: Copy, W: Fn(T) -> S, F: Fn(S, S) -> S, E: Fn(S) -> T> Kernel for Row<'_, T, S, W, F, E> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.of_any_vectors() }
    }
}
