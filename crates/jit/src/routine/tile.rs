//! Register tiles: a few rows of a product, one or two vectors wide (up to four where there is hardly a row), summed in registers over the whole inner dim.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::marker::PhantomData;

use super::lanes::{Kernel, Lanes};
use super::{Onto, Operand, Target};

/// The rows of a right operand, each of whole vectors.
pub trait Rows<T>: Copy {
    /// The address of row `p`, and whatever stands to the right of it.
    ///
    /// # Safety
    /// There is a row `p`.
    unsafe fn row(&self, p: usize) -> *const T;
    /// What is asked for at row `p`, if there is something: memory of a row further on, which need not be one.
    fn ahead(&self, _p: usize) -> Option<*const T> {
        None
    }
    /// Where row `p` is copied to as it is read, if it is.
    fn copied(&self, _p: usize) -> Option<*mut T> {
        None
    }
}

/// The columns of a left operand, whose elements are evenly apart.
pub trait Columns<T>: Copy {
    /// How far.
    fn apart(&self) -> isize;
    /// The address of the first element of column `p`.
    ///
    /// # Safety
    /// There is a column `p`.
    unsafe fn column(&self, p: usize) -> *const T;
}

impl<T: Copy> Columns<T> for Operand<T> {
    #[inline(always)]
    fn apart(&self) -> isize {
        self.row
    }
    #[inline(always)]
    unsafe fn column(&self, p: usize) -> *const T {
        self.at.wrapping_offset(p as isize * self.col)
    }
}

/// Rows that are evenly apart.
#[derive(Clone, Copy)]
pub struct Even<T> {
    at: *const T,
    row: isize,
    /// How far what is asked for is: a few rows in a panel; nothing where each row is in a page of its own, of which the next ones are dear to find.
    ahead: isize,
}

impl<T> Even<T> {
    /// Rows as a matrix has them.
    pub fn apart(at: *const T, row: isize) -> Self {
        Even { at, row, ahead: 0 }
    }

    /// Those of a panel, one behind the other.
    pub fn panel(at: *const T, row: isize) -> Self {
        Even { at, row, ahead: AHEAD * row }
    }
}

impl<T: Copy> Rows<T> for Even<T> {
    #[inline(always)]
    unsafe fn row(&self, p: usize) -> *const T {
        self.at.wrapping_offset(p as isize * self.row)
    }
    #[inline(always)]
    fn ahead(&self, p: usize) -> Option<*const T> {
        Some(self.at.wrapping_offset(p as isize * self.row + self.ahead))
    }
}

/// Rows as a matrix has them, which become those of a panel while the first tile multiplies them: that has time for it.
#[derive(Clone, Copy)]
pub struct Copied<T> {
    pub from: Operand<T>,
    pub to: *mut T,
    /// How far rows of the panel are apart.
    pub width: usize,
}

impl<T: Copy> Rows<T> for Copied<T> {
    #[inline(always)]
    unsafe fn row(&self, p: usize) -> *const T {
        self.from.at.wrapping_offset(p as isize * self.from.row)
    }
    #[inline(always)]
    fn ahead(&self, p: usize) -> Option<*const T> {
        Some(self.from.at.wrapping_offset((p as isize + AHEAD_APART) * self.from.row))
    }
    #[inline(always)]
    fn copied(&self, p: usize) -> Option<*mut T> {
        Some(self.to.wrapping_add(p * self.width))
    }
}

/// Rows, or columns, that begin anywhere, as windows that slide over memory do; the elements of each are neighbours.
pub struct Places<'a, T> {
    pub at: *const T,
    pub places: &'a [usize],
}

impl<T> Clone for Places<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Places<'_, T> {}

impl<T> Rows<T> for Places<'_, T> {
    #[inline(always)]
    unsafe fn row(&self, p: usize) -> *const T {
        // SAFETY: the caller's.
        self.at.wrapping_add(*unsafe { self.places.get_unchecked(p) })
    }
}

impl<T> Columns<T> for Places<'_, T> {
    #[inline(always)]
    fn apart(&self) -> isize {
        1
    }
    #[inline(always)]
    unsafe fn column(&self, p: usize) -> *const T {
        // SAFETY: the caller's.
        self.at.wrapping_add(*unsafe { self.places.get_unchecked(p) })
    }
}

/// Columns that begin at places, whose elements are evenly apart.
#[derive(Clone, Copy)]
pub struct Apart<'a, T> {
    pub of: Places<'a, T>,
    pub apart: isize,
}

impl<T: Copy> Columns<T> for Apart<'_, T> {
    #[inline(always)]
    fn apart(&self) -> isize {
        self.apart
    }
    #[inline(always)]
    unsafe fn column(&self, p: usize) -> *const T {
        // SAFETY: the caller's.
        unsafe { self.of.column(p) }
    }
}

/// Inner elements from which the lines of the result are asked for before the sums, so that they are near when these are written. Measured with
/// 1056³ of `f32`, one thread: 99 to 106 GFLOP/s. Narrow results stay near by themselves.
const LONG: usize = 32;
/// Bytes of a row of the result from which it is asked for.
const WIDE: usize = 1024;

/// Rows of a panel from one that is multiplied to the one that is asked for, and the rows of a tile from which there is time for that. Measured with 64³
/// of `f32`: 107 to 112 GFLOP/s, and more where the panel comes from far.
const AHEAD: isize = 8;
/// The same of rows as a matrix has them.
const AHEAD_APART: isize = 16;
const HIGH: usize = 8;

/// The most rows of a tile of four vectors. Fewer sums than these do not hide the latency of the multiplications.
const FEW: usize = 2;

/// The most vectors of a tile of `m` rows.
pub const fn vectors(m: usize) -> usize {
    if m <= FEW { 4 } else { 2 }
}

/// `c = a · b`, `c += a · b` or `c -= a · b` for `m ≤ L::ROWS` rows and at most [`vectors`] of columns.
///
/// # Safety
/// The CPU has the vectors; `a` has the elements of `[m, k]`, `b` has `k` rows of as many whole vectors as hold `n` elements, and `c`
/// has those of `[m, n]`, which nobody else uses.
#[inline(always)]
pub unsafe fn tile<L: Lanes, A: Columns<L::T>, B: Rows<L::T>>(
    [m, k, n]: [usize; 3],
    a: A,
    b: B,
    c: Target<L::T>,
    onto: Onto,
) {
    macro_rules! sized {
        ($($M:literal $($N:literal)*),*) => {
            // SAFETY: the caller's.
            unsafe {
                match (m, n.div_ceil(L::LANES)) {
                    $( $(
                        ($M, $N) if $M <= L::ROWS => {
                            L::enabled(Tile::<L, A, B, $M, $N> { k, a, b, c, n, onto, lanes: PhantomData });
                        }
                    )* )*
                    (m, n) => unreachable!("a tile of {m} rows and {n} vectors"),
                }
            }
        };
    }
    sized!(1 1 2 3 4, 2 1 2 3 4, 3 1 2, 4 1 2, 5 1 2, 6 1 2, 7 1 2, 8 1 2, 9 1 2, 10 1 2, 11 1 2, 12 1 2);
}

/// A tile of `M` rows and `N` vectors, of which the last has the rest of `n` columns.
struct Tile<L: Lanes, A, B, const M: usize, const N: usize> {
    k: usize,
    a: A,
    b: B,
    c: Target<L::T>,
    n: usize,
    onto: Onto,
    lanes: PhantomData<L>,
}

impl<L: Lanes, A: Columns<L::T>, B: Rows<L::T>, const M: usize, const N: usize> Kernel for Tile<L, A, B, M, N> {
    /// # Safety
    /// As [`tile`].
    #[inline(always)]
    unsafe fn run(self) {
        let Tile { k, a, b, c, n, onto, lanes: _ } = self;
        // SAFETY: the caller's.
        unsafe {
            if k >= LONG && c.row * size_of::<L::T>() >= WIDE {
                for i in 0..M {
                    for j in 0..N {
                        _mm_prefetch::<_MM_HINT_T0>(c.from(i, j * L::LANES).at.cast_const().cast());
                    }
                }
            }
            let mut sums = [[L::zero(); N]; M];
            for p in 0..k {
                let x = a.column(p);
                let y = b.row(p);
                if let (true, Some(next)) = (M >= HIGH, b.ahead(p)) {
                    for j in 0..N {
                        _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(j * L::LANES).cast());
                    }
                }
                let ys: [L; N] = std::array::from_fn(|j| L::load(y.wrapping_add(j * L::LANES)));
                if let Some(to) = b.copied(p) {
                    for (j, y) in ys.into_iter().enumerate() {
                        y.store(to.wrapping_add(j * L::LANES));
                    }
                }
                for (i, sums) in sums.iter_mut().enumerate() {
                    let s = L::splat(x.wrapping_offset(i as isize * a.apart()));
                    for (sum, y) in sums.iter_mut().zip(ys) {
                        *sum = sum.fma(s, y);
                    }
                }
            }
            // One way to write them for all: a branch at each vector costs small products 2 %.
            if onto == Onto::Difference {
                for sum in sums.as_flattened_mut() {
                    *sum = L::zero().sub(*sum);
                }
            }
            let (add, rest) = (onto != Onto::Nothing, n - (N - 1) * L::LANES);
            for (i, sums) in sums.into_iter().enumerate() {
                for (j, sum) in sums.into_iter().enumerate() {
                    let to = c.from(i, j * L::LANES).at;
                    if j + 1 < N || rest == L::LANES {
                        if add { L::load(to).add(sum) } else { sum }.store(to);
                    } else {
                        if add { L::load_first(to, rest).add(sum) } else { sum }.store_first(to, rest);
                    }
                }
            }
        }
    }
}
