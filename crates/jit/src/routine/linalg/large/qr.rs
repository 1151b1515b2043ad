//! Orthonormal factors of large matrices by reflections in blocks.
//!
//! A product of reflections is `I - V · T · Vᵀ` with an upper triangle `T`, the compact WY form: Schreiber and Van Loan, "A storage-efficient WY
//! representation for products of Householder transformations", SIAM J. Sci. Stat. Comput. 10 (1989). That of two such products has the block
//! `-T₁ · V₁ᵀ · V₂ · T₂` beside theirs, so that columns are factored in halves.

use std::ops::Range;

use cotangent_core::array::Element;

use super::{PART, Room, middle, pieces};
use crate::frame::with_words;
use crate::routine::axis::Shared;
use crate::routine::linalg::Halves;
use crate::routine::linalg::qr::{Qr, USUAL};
use crate::routine::vectors::{Loops, with};
use crate::routine::{Onto, Real, Target, Vectors, product};
use crate::threads;

/// Columns whose reflections are applied to others together.
const BLOCK: usize = 32;
/// Rows and columns of matrices up to which reflections one by one are faster, if there are few of them.
const FEW: usize = 64;
/// Numbers that are added up side by side.
const LANES: usize = 16;

impl<T: Element> Halves for Qr<T> {
    fn side(&self) -> usize {
        let (m, n) = (self.a.rows, self.a.cols);
        if m.max(n) > FEW { m.max(n) } else { m.min(n) }
    }

    unsafe fn halves(&self, i: usize, vectors: Vectors) -> bool {
        let (m, n, side) = (self.a.rows, self.a.cols, self.q.cols);
        let k = m.min(n);
        // Products read whole vectors of right operands, also behind the last row.
        let sizes = [[m, n], [m, k], [k, m], [k, BLOCK], [m, side]];
        let [a, v, turned, t, q] = sizes.map(|[rows, cols]| Room::new(rows + 1, cols));
        let mut reflections = Reflections {
            vectors,
            m,
            a: a.target(),
            v: v.target(),
            turned: turned.target(),
            t: t.target(),
            is_fine: true,
        };
        let q = q.target();
        // SAFETY: the caller's.
        unsafe {
            self.a.outside(i, vectors).load(a.target(), false);
            (0..m).for_each(|i| reflections.v.row(i, k).fill(0.0));
            (0..k).for_each(|i| reflections.turned.row(i, m).fill(0.0));
            (0..k).for_each(|i| reflections.t.row(i, BLOCK).fill(0.0));
            let blocks = || (0..k).step_by(BLOCK).map(|first| first..k.min(first + BLOCK));
            for block in blocks() {
                reflections.factor(block.clone(), block.start);
                if !reflections.is_fine {
                    return false;
                }
                let behind = block.end..n;
                reflections.apply(block.clone(), block.start, Order::LastFirst, reflections.a, behind);
            }
            for i in 0..m {
                let row = q.row(i, side);
                row.fill(0.0);
                if let Some(diagonal) = row.get_mut(i) {
                    *diagonal = 1.0;
                }
            }
            for block in blocks().rev() {
                // Columns before these are still those of the identity, and have nothing in these rows.
                reflections.apply(block.clone(), block.start, Order::FirstFirst, q, block.start..side);
            }
            self.q.outside(i, vectors).store(q, false, |_| 0..side);
            self.r.outside(i, vectors).store(a.target(), false, |i| i.min(n)..n);
        }
        true
    }
}

/// In which order the factors of a product of reflections stand.
#[derive(Clone, Copy)]
enum Order {
    FirstFirst,
    LastFirst,
}

/// A matrix `a` of `m` rows whose columns are reflected one after the other.
struct Reflections {
    vectors: Vectors,
    m: usize,
    a: Target<f64>,
    /// In column `j` the vector of reflection `j`: zeros, a one in row `j`, what was reflected away.
    v: Target<f64>,
    /// The same transposed: products read rows of left operands.
    turned: Target<f64>,
    /// The triangle of each block of columns, one below the other.
    t: Target<f64>,
    /// Whether all columns have usual lengths.
    is_fine: bool,
}

impl Reflections {
    /// Factors columns of the block that begins at `block`, from the row of their first number on; other columns are as before.
    ///
    /// # Safety
    /// The CPU has the vectors, the matrices have their elements, and nobody else uses them.
    unsafe fn factor(&mut self, columns: Range<usize>, block: usize) {
        // SAFETY: the caller's.
        unsafe {
            if columns.len() <= PART {
                return self.part(columns, block);
            }
            let mid = middle(&columns);
            let (left, right) = (columns.start..mid, mid..columns.end);
            self.factor(left.clone(), block);
            if self.is_fine {
                self.apply(left.clone(), block, Order::LastFirst, self.a, right.clone());
                self.factor(right.clone(), block);
            }
            if self.is_fine {
                self.join(left, right, block);
            }
        }
    }

    /// A few columns, with columns as rows.
    ///
    /// # Safety
    /// As [`Reflections::factor`].
    unsafe fn part(&mut self, columns: Range<usize>, block: usize) {
        let (first, count, rows) = (columns.start, columns.len(), self.m - columns.start);
        let (vectors, a, v) = (self.vectors, self.a.from(first, first), self.v.from(first, first));
        let mut triangle = [[0.0; PART]; PART];
        with_words(PART * rows, |words| {
            let room = words.as_mut_ptr().cast::<f64>();
            // SAFETY: the caller's; the words are numbers of `PART` columns.
            unsafe {
                f64::transpose(vectors, [rows, count], a.at, a.row as isize, room, rows);
                let columns = std::slice::from_raw_parts_mut(room, count * rows);
                let part = Part { columns: &mut *columns, rows, triangle: &mut triangle, is_fine: &mut self.is_fine };
                with(vectors, part);
                f64::transpose(vectors, [count, count], room, rows as isize, a.at, a.row);
                for (j, column) in columns.chunks_exact_mut(rows).enumerate() {
                    column[..j].fill(0.0);
                    column[j] = 1.0;
                    self.turned.from(first + j, first).row(0, rows).copy_from_slice(column);
                }
                f64::transpose(vectors, [count, rows], room, rows as isize, v.at, v.row);
                let t = self.t.from(first, first - block);
                for (j, row) in triangle[..count].iter().enumerate() {
                    t.row(j, count).copy_from_slice(&row[..count]);
                }
            }
        });
    }

    /// The block of the triangle beside those of two halves.
    ///
    /// # Safety
    /// As [`Reflections::factor`].
    unsafe fn join(&self, left: Range<usize>, right: Range<usize>, block: usize) {
        let (vectors, [k, n]) = (self.vectors, [left.len(), right.len()]);
        let t = |rows: &Range<usize>, columns: &Range<usize>| self.t.from(rows.start, columns.start - block);
        let row = n.next_multiple_of(LANES);
        with_words(2 * (k + 1) * row, |words| {
            let at = words.as_mut_ptr().cast::<f64>();
            let [along, turned] = [0, (k + 1) * row].map(|from| Target { at: at.wrapping_add(from), row });
            let v = self.turned.from(left.start, right.start).operand();
            let w = self.v.from(right.start, right.start).operand();
            // SAFETY: the caller's; the words are numbers of two such blocks.
            unsafe {
                product(vectors, [k, self.m - right.start, n], v, w, along, Onto::Nothing);
                product(vectors, [k, k, n], t(&left, &left).operand(), along.operand(), turned, Onto::Nothing);
                let (to, last) = (t(&left, &right), t(&right, &right).operand());
                product(vectors, [k, n, n], turned.operand(), last, to, Onto::Difference);
            }
        });
    }

    /// Applies the reflections `of` columns of a block to columns of `x`, which has as many rows.
    ///
    /// # Safety
    /// As [`Reflections::factor`], for `x` too.
    unsafe fn apply(&self, of: Range<usize>, block: usize, order: Order, x: Target<f64>, columns: Range<usize>) {
        let (vectors, all, k, rows) = (self.vectors, pieces(columns.clone()), of.len(), self.m - of.start);
        let [v, v_turned, t, at] = [self.v, self.turned, self.t, x].map(|matrix| Shared(matrix.at));
        let [v_row, turned_row, t_row] = [self.v.row, self.turned.row, self.t.row];
        let cost = rows * k * columns.len() / 8;
        threads::for_each(all.len(), cost as u64, &|piece| {
            let own = all[piece].clone();
            let n = own.len();
            let v = Target { at: v.get(), row: v_row }.from(of.start, of.start).operand();
            let v_turned = Target { at: v_turned.get(), row: turned_row }.from(of.start, of.start).operand();
            let t = Target { at: t.get(), row: t_row }.from(of.start, of.start - block).operand();
            let x = Target { at: at.get(), row: x.row }.from(of.start, own.start);
            let t = match order {
                Order::FirstFirst => t,
                Order::LastFirst => t.turned(),
            };
            let row = n.next_multiple_of(LANES);
            with_words(2 * (k + 1) * row, |words| {
                let room = words.as_mut_ptr().cast::<f64>();
                let [along, turned] = [0, (k + 1) * row].map(|from| Target { at: room.wrapping_add(from), row });
                // SAFETY: the caller's; the words are numbers of two such blocks, and each piece has columns of its own.
                unsafe {
                    product(vectors, [k, rows, n], v_turned, x.operand(), along, Onto::Nothing);
                    product(vectors, [k, k, n], t, along.operand(), turned, Onto::Nothing);
                    product(vectors, [rows, k, n], v, turned.operand(), x, Onto::Difference);
                }
            });
        });
    }
}

/// Columns of `rows` numbers, one behind the other, the first number of each below that of the one before. What is left are images on and above
/// the diagonal, and below it the vectors of reflections, whose product has the `triangle`. Safety: none beyond the vectors.
struct Part<'a> {
    columns: &'a mut [f64],
    rows: usize,
    triangle: &'a mut [[f64; PART]; PART],
    is_fine: &'a mut bool,
}

impl Loops for Part<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        let Part { columns, rows, triangle: t, is_fine } = self;
        for j in 0..columns.len() / rows {
            let (before, own) = columns.split_at_mut(j * rows);
            let (own, behind) = own.split_at_mut(rows);
            let (top, v) = own[j..].split_first_mut().expect("as many rows as columns");
            let (rest, largest) =
                (along(v, v), v.iter().fold(0.0, |most, x| if x.abs() > most { x.abs() } else { most }));
            let square = rest + *top * *top;
            if !USUAL.contains(&square) && (largest != 0.0 || !square.is_finite()) {
                *is_fine = false;
                return;
            }
            // What stands alone already stays.
            let image = if rest == 0.0 { *top } else { -square.sqrt().copysign(*top) };
            let divisor = if rest == 0.0 { 1.0 } else { *top - image };
            let factor = if rest == 0.0 { 0.0 } else { (image - *top) / image };
            v.iter_mut().for_each(|x| *x /= divisor);
            *top = image;
            for other in behind.chunks_exact_mut(rows) {
                let (first, other) = other[j..].split_first_mut().expect("as many rows");
                let by = factor * (*first + along(v, other));
                *first -= by;
                other.iter_mut().zip(&*v).for_each(|(x, v)| *x -= by * v);
            }
            let mut dots = [0.0; PART];
            for (other, dot) in before.chunks_exact(rows).zip(&mut dots) {
                *dot = other[j] + along(v, &other[j + 1..]);
            }
            for (i, row) in t.iter_mut().enumerate().take(j) {
                let sum: f64 = row[i..j].iter().zip(&dots[i..]).map(|(t, dot)| t * dot).sum();
                row[j] = -factor * sum;
            }
            t[j][j] = factor;
        }
    }
}

/// The sum of products, in an order that depends on their number only.
#[inline(always)]
fn along(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in x.iter().zip(y) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    let rest: f64 = x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f64>() + rest
}
