//! A row of the result of a write through an index: its sources are combined, a few columns in registers over all of them.

use std::marker::PhantomData;

use super::Vectors;
use super::indexed::Combine;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, Kernel, Lanes};

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
        let Row { inner, from, sources, to, .. } = self;
        // SAFETY: the caller's; the columns are inside the row.
        unsafe {
            if sources.is_empty() {
                std::ptr::copy_nonoverlapping(from, to, inner);
                return;
            }
            let mut at = 0;
            while at + 32 <= inner {
                at = self.columns::<32>(at);
            }
            if at + 16 <= inner {
                at = self.columns::<16>(at);
            }
            if at + 8 <= inner {
                at = self.columns::<8>(at);
            }
            if at + 4 <= inner {
                at = self.columns::<4>(at);
            }
            while at < inner {
                at = self.columns::<1>(at);
            }
        }
    }

    /// `N` columns from `at` on; where they end.
    ///
    /// # Safety
    /// As [`Row::compute`]; the row has these columns.
    #[inline(always)]
    unsafe fn columns<const N: usize>(&self, at: usize) -> usize {
        let (combine, part) = (self.combine, |p: *const T| p.wrapping_add(at).cast::<[T; N]>());
        // SAFETY: the caller's: `j` is a row of the source.
        unsafe {
            let mut sums = (*part(self.from)).map(&combine.widen);
            for j in self.sources {
                let source = &*part(self.src.wrapping_add(j * self.inner));
                sums = std::array::from_fn(|i| (combine.both)(sums[i], (combine.widen)(source[i])));
            }
            *self.to.add(at).cast::<[T; N]>() = sums.map(&combine.end);
        }
        at + N
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
