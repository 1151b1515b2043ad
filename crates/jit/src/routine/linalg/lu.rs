//! Factors by elimination, with the row exchanges of LAPACK.

mod small;

use cotangent_core::array::Element;

use super::{Batch, Matrices, Number, PANEL, divide, subtract};
use crate::routine::axis::Shared;
use crate::threads;

/// Evaluates `$small` with the constant `$K` that `$n` is, if it is small enough for loops that are written out.
macro_rules! if_tiny {
    ($n:expr, $K:ident => $small:expr) => {
        if_tiny!($n, $K => $small; 1 2 3 4 5 6 7 8)
    };
    ($n:expr, $K:ident => $small:expr; $($size:literal)*) => {
        match $n {
            $($size => {
                const $K: usize = $size;
                $small
            })*
            _ => {}
        }
    };
}

/// `P · A = L · U`: the factors over one another, the exchanged rows from 1, and the place from 1 of the first zero pivot, or 0.
pub(super) struct Lu<T> {
    /// The matrices.
    pub(super) a: Batch<T>,
    /// As many.
    pub(super) lu: Batch<T>,
    /// `min(rows, cols)` for each.
    pub(super) pivots: Shared<i32>,
    /// One for each.
    pub(super) info: Shared<i32>,
}

impl<T: Element> Matrices for Lu<T> {
    const SMALL: usize = 15 * 15 + PANEL * 15;

    fn memory(&self) -> usize {
        self.a.len() + PANEL.min(self.a.cols) * self.a.rows
    }

    fn cost(&self) -> u64 {
        let (m, n, k) = (self.a.rows as u64, self.a.cols as u64, self.a.rows.min(self.a.cols) as u64);
        8 + m * n + m * n * k / 8
    }

    #[inline(always)]
    unsafe fn group<N: Number>(&self, first: usize, memory: &mut [N]) -> bool {
        let (m, n) = (self.a.rows, self.a.cols);
        let k = m.min(n);
        let lanes = N::W.min(self.a.count - first);
        if lanes == N::W && m == n {
            // SAFETY: the caller's.
            if_tiny!(n, K => return unsafe { self.small::<N, K>(first) });
        }
        let (a, panel) = memory.split_at_mut(m * n);
        // SAFETY: the caller's.
        unsafe {
            self.a.load(first, a, |i, j| i * n + j);
            let (zero, one) = (N::splat(0.0), N::splat(1.0));
            let mut info = zero;
            for begin in (0..k).step_by(PANEL) {
                let end = (begin + PANEL).min(k);
                // The columns of the panel stand in memory as rows.
                for (c, column) in panel.chunks_exact_mut(m).enumerate().take(end - begin) {
                    (begin..m).for_each(|i| column[i] = a[i * n + begin + c]);
                }
                for j in begin..end {
                    let (before, behind) = panel.split_at_mut((j - begin + 1) * m);
                    let (before, column) = before.split_at_mut((j - begin) * m);
                    let mut pivot = [0.0; 8];
                    largest(column, j).spread(&mut pivot);
                    for (w, pivot) in pivot[..lanes].iter().enumerate() {
                        *self.pivots.get().add((first + w) * k + j) = *pivot as i32 + 1;
                    }
                    for column in before.chunks_exact_mut(m).chain([&mut *column]).chain(behind.chunks_exact_mut(m)) {
                        exchange(column, [j, 1], &pivot, m);
                    }
                    for c in (0..begin).chain(end..n) {
                        exchange(&mut a[c..], [j, n], &pivot, m);
                    }
                    // Below a zero pivot everything is zero, and stays.
                    let top = column[j];
                    let place = N::if_equal(info, zero, N::splat((j + 1) as f64), info);
                    info = N::if_equal(top, zero, place, info);
                    divide(&mut column[j + 1..], N::if_equal(top, zero, one, top));
                    for other in behind.chunks_exact_mut(m).take(end - j - 1) {
                        subtract(&[other[j]], &column[j + 1..], m, &mut other[j + 1..]);
                    }
                }
                for (c, column) in panel.chunks_exact(m).enumerate().take(end - begin) {
                    (begin..m).for_each(|i| a[i * n + begin + c] = column[i]);
                }
                // What they leave of the other columns.
                for i in begin + 1..m {
                    let (above, row) = a.split_at_mut(i * n);
                    let (factors, row) = row[..n].split_at_mut(end);
                    if !row.is_empty() {
                        subtract(&factors[begin..end.min(i)], &above[begin * n + end..], n, row);
                    }
                }
            }
            self.lu.store(first, |i, j| a[i * n + j]);
            self.end(first, info, lanes, a)
        }
    }
}

impl<T: Element> Lu<T> {
    /// Tells where the first zero pivots of the group from `first` on are; whether the factors `a` are right.
    ///
    /// # Safety
    /// As [`Matrices::group`].
    #[inline(always)]
    unsafe fn end<N: Number>(&self, first: usize, info: N, lanes: usize, a: &[N]) -> bool {
        let mut places = [0.0; 8];
        // SAFETY: the caller's.
        unsafe {
            info.spread(&mut places);
            for (w, place) in places[..lanes].iter().enumerate() {
                *self.info.get().add(first + w) = *place as i32;
            }
            // A NaN is in no order and zero times infinity is no zero, which elimination takes it for.
            places[..lanes].iter().all(|place| *place == 0.0) || a.iter().all(|x| is_finite(*x))
        }
    }
}

/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn is_finite<N: Number>(x: N) -> bool {
    let mut numbers = [0.0; 8];
    // SAFETY: the caller's.
    unsafe { x.spread(&mut numbers) };
    numbers.iter().all(|x| x.is_finite())
}

/// Where the first largest number of a column from `j` on stands.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn largest<N: Number>(column: &[N], j: usize) -> N {
    // SAFETY: the caller's.
    unsafe {
        let (mut place, mut largest) = (N::splat(j as f64), column[j].magnitude());
        for (i, x) in column.iter().enumerate().skip(j + 1) {
            let x = x.magnitude();
            place = N::if_greater(x, largest, N::splat(i as f64), place);
            largest = N::if_greater(x, largest, x, largest);
        }
        place
    }
}

/// Exchanges numbers `j` and `pivot` of the `m` that stand `stride` apart in `column`.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn exchange<N: Number>(column: &mut [N], [j, stride]: [usize; 2], pivot: &[f64; 8], m: usize) {
    if N::W == 1 {
        return column.swap(j * stride, pivot[0] as usize * stride);
    }
    // SAFETY: the caller's.
    unsafe {
        let pivot = N::of(|w| pivot[w]);
        for i in j + 1..m {
            let (x, y, here) = (column[j * stride], column[i * stride], N::splat(i as f64));
            column[j * stride] = N::if_equal(pivot, here, y, x);
            column[i * stride] = N::if_equal(pivot, here, x, y);
        }
    }
}

/// `P`, `L` and `U` from the factors and the exchanged rows; `false` if one is no row's number, and the results are then unfinished.
///
/// # Safety
/// The matrices have their elements or room for them, and there are as many pivots as [`Lu`] gives; nobody else uses the results.
pub(super) unsafe fn unpack<T: Element>(lu: Batch<T>, pivots: &[i32], [p, l, u]: [Batch<T>; 3]) -> bool {
    let (m, n, k) = (lu.rows, lu.cols, l.cols);
    if !pivots.iter().all(|row| (1..=m as i64).contains(&i64::from(*row))) {
        return false;
    }
    let pieces = lu.count.div_ceil(8).min(256);
    threads::for_each(pieces, (lu.count * (m * m + m * n)) as u64, &|piece| {
        let matrices = piece * lu.count / pieces..(piece + 1) * lu.count / pieces;
        let each =
            matrices.map(|b| (&pivots[b * k..][..k], [lu, p, l, u].map(|x| x.at.get().wrapping_add(b * x.len()))));
        // SAFETY: the caller's; each matrix belongs to one piece.
        unsafe {
            if m == n {
                if_tiny!(n, K => return each.for_each(|(rows, at)| parts([K; 3], &mut [0; K], rows, at)));
            }
            let mut row_of = vec![0; m];
            each.for_each(|(rows, at)| parts([m, n, k], &mut row_of, rows, at));
        }
    });
    true
}

/// As [`unpack`], of one matrix of `m` rows, `n` columns and `k` pivots; `row_of` is memory for the order of `m` rows.
///
/// # Safety
/// As there, for the matrices from these places on.
#[inline(always)]
unsafe fn parts<T: Element>([m, n, k]: [usize; 3], row_of: &mut [usize], pivots: &[i32], [lu, p, l, u]: [*mut T; 4]) {
    row_of.iter_mut().enumerate().for_each(|(i, row)| *row = i);
    for (i, pivot) in pivots.iter().enumerate() {
        row_of.swap(i, *pivot as usize - 1);
    }
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    // SAFETY: the caller's.
    unsafe {
        std::slice::from_raw_parts_mut(p, m * m).fill(zero);
        row_of.iter().enumerate().for_each(|(i, row)| *p.add(row * m + i) = one);
        for i in 0..m {
            let (row, to) = (lu.add(i * n), l.add(i * k));
            (0..i.min(k)).for_each(|j| *to.add(j) = *row.add(j));
            (i..k).for_each(|j| *to.add(j) = if i == j { one } else { zero });
        }
        for i in 0..k {
            let (row, to) = (lu.add(i * n), u.add(i * n));
            (0..i).for_each(|j| *to.add(j) = zero);
            (i..n).for_each(|j| *to.add(j) = *row.add(j));
        }
    }
}
