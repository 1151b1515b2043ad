//! Factors of large matrices by elimination.

use std::ops::Range;

use cotangent_core::array::Element;

use super::triangular::Triangle;
use super::{PART, Room, middle, pieces};
use crate::frame::with_words;
use crate::routine::axis::Shared;
use crate::routine::linalg::Halves;
use crate::routine::linalg::lu::Lu;
use crate::routine::vectors::{Loops, with};
use crate::routine::{Onto, Real, Target, Vectors, product};
use crate::threads;

impl<T: Element> Halves for Lu<T> {
    fn side(&self) -> usize {
        self.a.rows.min(self.a.cols)
    }

    unsafe fn halves(&self, i: usize, vectors: Vectors) -> bool {
        let (m, n) = (self.a.rows, self.a.cols);
        let (k, room) = (m.min(n), Room::new(m, n));
        let a = room.target();
        let mut is_finite = true;
        // SAFETY: the caller's.
        unsafe {
            self.a.outside(i, vectors).load(a, false);
            let mut elimination = Elimination { vectors, a, m, pivots: vec![0; k], zero: None };
            elimination.factor(0..k);
            elimination.behind(0..k, k..n);
            (0..m).for_each(|i| with(vectors, Finite { row: a.row(i, n), is_finite: &mut is_finite }));
            if is_finite {
                self.lu.outside(i, vectors).store(a, false, |_| 0..n);
                let pivots = std::slice::from_raw_parts_mut(self.pivots.get().add(i * k), k);
                pivots.iter_mut().zip(&elimination.pivots).for_each(|(to, row)| *to = *row as i32 + 1);
                *self.info.get().add(i) = elimination.zero.map_or(0, |j| j as i32 + 1);
            }
        }
        is_finite
    }
}

/// A matrix of `m` rows whose columns are factored one after the other.
struct Elimination {
    vectors: Vectors,
    a: Target<f64>,
    m: usize,
    /// With which row each of the first ones was exchanged.
    pivots: Vec<usize>,
    /// The first column without a pivot.
    zero: Option<usize>,
}

impl Elimination {
    /// Factors columns, from the row of their first number on; other columns are as before, in the old order of rows.
    ///
    /// # Safety
    /// The CPU has the vectors, `a` has the elements, and nobody else uses them.
    unsafe fn factor(&mut self, columns: Range<usize>) {
        // SAFETY: the caller's.
        unsafe {
            if columns.len() <= PART {
                return self.part(columns);
            }
            let mid = middle(&columns);
            let (left, right) = (columns.start..mid, mid..columns.end);
            self.factor(left.clone());
            self.behind(left.clone(), right.clone());
            self.factor(right.clone());
            self.exchange(right, left);
        }
    }

    /// A few columns, with columns as rows.
    ///
    /// # Safety
    /// As [`Elimination::factor`].
    unsafe fn part(&mut self, columns: Range<usize>) {
        let (first, count, rows) = (columns.start, columns.len(), self.m - columns.start);
        let (vectors, at) = (self.vectors, self.a.from(first, first));
        let mut zero = None;
        with_words(PART * rows, |words| {
            let room = words.as_mut_ptr().cast::<f64>();
            // SAFETY: the caller's; the words are numbers of `PART` columns.
            unsafe {
                f64::transpose(vectors, [rows, count], at.at, at.row as isize, room, rows);
                let columns = std::slice::from_raw_parts_mut(room, count * rows);
                with(vectors, Part { columns, rows, pivots: &mut self.pivots[first..][..count], zero: &mut zero });
                f64::transpose(vectors, [count, rows], room, rows as isize, at.at, at.row);
            }
        });
        self.pivots[first..][..count].iter_mut().for_each(|row| *row += first);
        self.zero = self.zero.or(zero.map(|j| first + j));
    }

    /// What the factored columns `of` leave of `others` to their right.
    ///
    /// # Safety
    /// As [`Elimination::factor`].
    unsafe fn behind(&self, of: Range<usize>, others: Range<usize>) {
        let (vectors, all, row, below) = (self.vectors, pieces(others.clone()), self.a.row, self.m - of.end);
        let (at, pivots) = (Shared(self.a.at), &self.pivots);
        let cost = (self.m - of.start) * of.len() * others.len() / 15;
        threads::for_each(all.len(), cost as u64, &|piece| {
            let (a, own) = (Target { at: at.get(), row }, all[piece].clone());
            let (system, x) = (a.from(of.start, of.start).operand(), a.from(of.start, own.start));
            // SAFETY: the caller's; each piece has columns of its own.
            unsafe {
                exchange(a, pivots, of.clone(), own.clone());
                Triangle { a: system, upper: false, unit: true }.solve(vectors, 0..of.len(), x, own.len());
                let factors = a.from(of.end, of.start).operand();
                let (mkn, to) = ([below, of.len(), own.len()], a.from(of.end, own.start));
                product(vectors, mkn, factors, x.operand(), to, Onto::Difference);
            }
        });
    }

    /// Exchanges the rows of the pivots `of` some columns in `others`.
    ///
    /// # Safety
    /// As [`Elimination::factor`].
    unsafe fn exchange(&self, of: Range<usize>, others: Range<usize>) {
        // SAFETY: the caller's.
        unsafe { exchange(self.a, &self.pivots, of, others) };
    }
}

/// As [`Elimination::exchange`].
///
/// # Safety
/// As there.
unsafe fn exchange(a: Target<f64>, pivots: &[usize], of: Range<usize>, columns: Range<usize>) {
    for i in of {
        if pivots[i] != i {
            let [x, y] = [i, pivots[i]].map(|row| a.from(row, columns.start).at);
            // SAFETY: the caller's; they are different rows.
            unsafe { std::ptr::swap_nonoverlapping(x, y, columns.len()) };
        }
    }
}

/// Columns of `rows` numbers, one behind the other, the pivot of each below the one before. Safety: none beyond the vectors.
struct Part<'a> {
    columns: &'a mut [f64],
    rows: usize,
    pivots: &'a mut [usize],
    zero: &'a mut Option<usize>,
}

impl Loops for Part<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let rows = self.rows;
        for (j, to) in self.pivots.iter_mut().enumerate() {
            let pivot = j + largest(&self.columns[j * rows + j..][..rows - j]);
            *to = pivot;
            self.columns.chunks_exact_mut(rows).for_each(|column| column.swap(j, pivot));
            let (column, others) = self.columns[j * rows..].split_at_mut(rows);
            let (top, column) = column[j..].split_first_mut().expect("a pivot's row");
            if *top == 0.0 {
                // Below a zero pivot everything is zero, and stays.
                *self.zero = self.zero.or(Some(j));
                continue;
            }
            column.iter_mut().for_each(|x| *x /= *top);
            for other in others.chunks_exact_mut(rows) {
                let (factor, other) = other[j..].split_first_mut().expect("a pivot's row");
                other.iter_mut().zip(&*column).for_each(|(y, x)| *y -= *factor * x);
            }
        }
    }
}

/// The place of the first number of largest magnitude; 0 if there is none.
#[inline(always)]
fn largest(column: &[f64]) -> usize {
    let mut most = [0.0f64; 4 * PART];
    let (wide, rest) = column.as_chunks::<{ 4 * PART }>();
    for x in wide {
        most = std::array::from_fn(|i| if x[i].abs() > most[i] { x[i].abs() } else { most[i] });
    }
    let most = most.iter().copied().chain(rest.iter().map(|x| x.abs())).fold(0.0, |a, x| if x > a { x } else { a });
    column.iter().position(|x| x.abs() == most).unwrap_or(0)
}

/// Whether all elements are finite. Safety: none beyond the vectors.
struct Finite<'a> {
    row: &'a [f64],
    is_finite: &'a mut bool,
}

impl Loops for Finite<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        *self.is_finite &= self.row.iter().fold(true, |all, x| all & x.is_finite());
    }
}
