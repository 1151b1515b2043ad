//! Rows and columns of the result of a write through an index: the sources of a row are combined, a few columns in registers over all of
//! them, or a few columns of all rows, of all sources in their order.

use std::marker::PhantomData;

use super::Vectors;
use super::indexed::Combine;
use super::vectors::{Loops, with};

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
        unsafe { with(vectors, self) }
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
            let from = &*part(self.from);
            // `map` would be called, and not be compiled with the vectors.
            let mut sums: [S; N] = std::array::from_fn(|i| (combine.widen)(from[i]));
            for j in self.sources {
                let source = &*part(self.src.wrapping_add(j * self.inner));
                sums = std::array::from_fn(|i| (combine.both)(sums[i], (combine.widen)(source[i])));
            }
            *self.to.add(at).cast::<[T; N]>() = std::array::from_fn(|i| (combine.end)(sums[i]));
        }
        at + N
    }
}

impl<T: Copy, S: Copy, W: Fn(T) -> S, F: Fn(S, S) -> S, E: Fn(S) -> T> Loops for Row<'_, T, S, W, F, E> {
    /// # Safety
    /// As [`Row::compute`].
    #[inline(always)]
    unsafe fn run(self) {
        let inner = self.inner;
        // SAFETY: the caller's; the columns are inside the row.
        unsafe {
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
}

/// The most columns that are combined together.
pub const COLUMNS: usize = 4;

/// Columns of the result of `n` rows, each of `inner` elements: `from`, and a row of `src` for each index.
pub struct Columns<'a, T, S, W, F, E> {
    combine: &'a Combine<W, F, E>,
    n: usize,
    inner: usize,
    from: *const T,
    src: *const T,
    index: &'a [i64],
    to: *mut T,
    of: PhantomData<S>,
}

impl<'a, T: Copy, S: Copy, W: Fn(T) -> S, F: Fn(S, S) -> S, E: Fn(S) -> T> Columns<'a, T, S, W, F, E> {
    /// The rows `to`.
    pub fn new(
        combine: &'a Combine<W, F, E>,
        [n, inner]: [usize; 2],
        [from, src]: [*const T; 2],
        index: &'a [i64],
        to: *mut T,
    ) -> Self {
        Columns { combine, n, inner, from, src, index, to, of: PhantomData }
    }

    /// Computes [`COLUMNS`] from `at` on, or as many as there are.
    ///
    /// # Safety
    /// The CPU has the vectors; indices are below `n`, the rows have their elements, and nobody else uses those of these columns.
    pub unsafe fn compute(self, vectors: Vectors, at: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self.inner - at {
                1 => with(vectors, Few::<_, 1>(self, at)),
                2 => with(vectors, Few::<_, 2>(self, at)),
                3 => with(vectors, Few::<_, 3>(self, at)),
                _ => with(vectors, Few::<_, COLUMNS>(self, at)),
            }
        }
    }
}

/// `N` columns from a place on.
struct Few<C, const N: usize>(C, usize);

impl<T: Copy, S: Copy, W: Fn(T) -> S, F: Fn(S, S) -> S, E: Fn(S) -> T, const N: usize> Loops
    for Few<Columns<'_, T, S, W, F, E>, N>
{
    /// # Safety
    /// As [`Columns::compute`].
    #[inline(always)]
    unsafe fn run(self) {
        let Few(Columns { combine, n, inner, from, src, index, to, of: _ }, at) = self;
        let place = |row: usize| row * inner + at;
        // SAFETY: the caller's; there are `n` sums.
        unsafe {
            let row = |x: *const T| (*x.cast::<[T; N]>()).map(&combine.widen);
            let mut sums: Vec<[S; N]> = Vec::with_capacity(n);
            (0..n).for_each(|k| sums.push(row(from.add(place(k)))));
            for (j, k) in index.iter().enumerate() {
                let (sum, source) = (sums.get_unchecked_mut(*k as usize), row(src.add(place(j))));
                *sum = std::array::from_fn(|i| (combine.both)(sum[i], source[i]));
            }
            for (k, sum) in sums.into_iter().enumerate() {
                *to.add(place(k)).cast::<[T; N]>() = sum.map(&combine.end);
            }
        }
    }
}
