//! Matrices made bidiagonal by reflections from both sides, of which only the values are wanted.
//!
//! Two passes over what is left for each column: one subtracts what the last reflection of a row changes and multiplies the column's vector by what it
//! leaves, one does the same for the reflection of the column and the row's vector.

use std::marker::PhantomData;

use super::tridiagonal::{USUAL, dot};
use super::values::values;
use super::{Lane, STEP};
use crate::routine::Target;
use crate::routine::lanes::Kernel;
use crate::routine::linalg::large::Room;

/// Rows that are read together.
const ROWS: usize = 4;

/// Memory for a matrix, in whole groups of rows and steps of columns.
pub fn room([m, n]: [usize; 2]) -> Room {
    Room::new(m.next_multiple_of(ROWS), n.next_multiple_of(STEP))
}

/// The singular values of a matrix of `m ≥ n > 0`, in descending order; `None` for unusual sizes, or if they are not found.
///
/// # Safety
/// The CPU has the vectors; `a` is of [`room`], has the elements, and nobody else uses it.
pub unsafe fn singular_values<V: Lane>(a: Target<f64>, [m, n]: [usize; 2]) -> Option<Vec<f64>> {
    let (rows, cols) = (m.next_multiple_of(ROWS), n.next_multiple_of(STEP));
    let mut most: f64 = 0.0;
    for i in 0..rows {
        // SAFETY: the caller's: there are as many rows and columns.
        let row = unsafe { a.row(i, cols) };
        row[if i < m { n } else { 0 }..].fill(0.0);
        most = row.iter().fold(most, |most, x| if x.abs() > most || x.is_nan() { x.abs() } else { most });
        if most.is_nan() {
            return None;
        }
    }
    if most != 0.0 && !USUAL.contains(&most) {
        return None;
    }
    let mut beside = vec![0.0; 2 * n];
    // SAFETY: the caller's.
    unsafe { V::enabled(Reduce::<V> { a, size: [m, n], beside: &mut beside, of: PhantomData }) };
    // The symmetric matrix of zeros with the elements of both diagonals in turn beside them has each value, and its negative.
    let size = beside.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if size == 0.0 {
        return Some(vec![0.0; n]);
    }
    let mut squares: Vec<f64> = beside.iter().map(|x| (x / size) * (x / size)).collect();
    let mut found = vec![0.0; 2 * n];
    if !values(&mut found, &mut squares) {
        return None;
    }
    found.sort_unstable_by(|x, y| y.total_cmp(x));
    Some(found[..n].iter().map(|x| x.abs() * size).collect())
}

/// Both diagonals go to `beside`, from element 1 on one of each in turn. Safety: as [`singular_values`].
struct Reduce<'a, V> {
    a: Target<f64>,
    size: [usize; 2],
    beside: &'a mut [f64],
    of: PhantomData<V>,
}

impl<V: Lane> Kernel for Reduce<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Reduce { a, size: [m, n], beside, of: _ } = self;
        let (rows, cols) = (m.next_multiple_of(ROWS), n.next_multiple_of(STEP));
        // Vectors of columns and what rows are to lose by them, with zeros where a reflection changes nothing.
        let (mut u, mut z) = (vec![0.0; rows], vec![0.0; rows]);
        let (mut v, mut y) = (vec![0.0; cols], vec![0.0; cols]);
        for j in 0..n {
            for i in j..m {
                // SAFETY: the caller's.
                u[i] = unsafe { *a.from(i, j).at } - z[i] * v[j];
            }
            let (diagonal, scale) = reflection(&mut u[j..m]);
            beside[2 * j + 1] = diagonal;
            if j + 1 == n {
                break;
            }
            y.fill(0.0);
            v[j] = 0.0;
            // SAFETY: the caller's; all have the elements of whole groups and steps.
            unsafe { of_row_and_column::<V>(a, [j, m, n], [&z, &u], &v, &mut y) };
            y.iter_mut().for_each(|y| *y *= scale);
            y[..=j].fill(0.0);
            // SAFETY: the caller's.
            let row = unsafe { a.row(j, cols) };
            for ((v, x), y) in v.iter_mut().zip(row).zip(&y) {
                *v = *x - u[j] * y;
            }
            v[..=j].fill(0.0);
            let (above, scale) = reflection(&mut v[j + 1..n]);
            beside[2 * j + 2] = above;
            (u[j], z[j]) = (0.0, 0.0);
            // SAFETY: as above.
            unsafe { of_column_and_row::<V>(a, [j + 1, m, n], [&u, &y], &v, &mut z) };
            z.iter_mut().for_each(|z| *z *= scale);
        }
    }
}

/// A vector `x` becomes that of the reflection which leaves of it one element, the first; that, and the scale of the reflection `I - scale · x · xᵀ`.
#[inline(always)]
fn reflection(x: &mut [f64]) -> (f64, f64) {
    let (first, rest) = x.split_first_mut().expect("a vector has elements");
    let squares = dot(rest, rest);
    if squares == 0.0 {
        return (std::mem::take(first), 0.0);
    }
    let length = (squares + *first * *first).sqrt();
    let (left, scale) = (-length.copysign(*first), (length * (length + first.abs())).recip());
    *first -= left;
    (left, scale)
}

/// `a -= z · vᵀ` and then `y += aᵀ · u`, from row and column `first` on.
///
/// # Safety
/// The CPU has the vectors; all have the elements, in whole groups of rows and steps of columns, and nobody else uses `a`.
#[inline(always)]
unsafe fn of_row_and_column<V: Lane>(
    a: Target<f64>,
    [first, m, n]: [usize; 3],
    [z, u]: [&[f64]; 2],
    v: &[f64],
    y: &mut [f64],
) {
    let (rows, cols) = (m.next_multiple_of(ROWS), n.next_multiple_of(STEP));
    assert!(z.len() >= rows && u.len() >= rows && v.len() >= cols && y.len() >= cols);
    for i in (first / ROWS * ROWS..rows).step_by(ROWS) {
        let mut less_z = [0.0; ROWS];
        for r in 0..ROWS {
            less_z[r] = -z[i + r];
        }
        for j in (first / STEP * STEP..cols).step_by(V::LANES) {
            // SAFETY: the caller's.
            unsafe {
                let to = y.as_mut_ptr().wrapping_add(j);
                let (vj, mut yj) = (V::load(v.as_ptr().wrapping_add(j)), V::load(to));
                for r in 0..ROWS {
                    let at = a.from(i + r, j).at;
                    let x = V::load(at).fma(V::one_of(&less_z[r]), vj);
                    x.store(at);
                    yj = yj.fma(V::one_of(&u[i + r]), x);
                }
                yj.store(to);
            }
        }
    }
}

/// `a -= u · yᵀ` and then `z = a · v`, from row and column `first` on.
///
/// # Safety
/// As [`of_row_and_column`].
#[inline(always)]
unsafe fn of_column_and_row<V: Lane>(
    a: Target<f64>,
    [first, m, n]: [usize; 3],
    [u, y]: [&[f64]; 2],
    v: &[f64],
    z: &mut [f64],
) {
    let (rows, cols) = (m.next_multiple_of(ROWS), n.next_multiple_of(STEP));
    assert!(z.len() >= rows && u.len() >= rows && v.len() >= cols && y.len() >= cols);
    for i in (first / ROWS * ROWS..rows).step_by(ROWS) {
        let mut less_u = [0.0; ROWS];
        for r in 0..ROWS {
            less_u[r] = -u[i + r];
        }
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [V::zero(); ROWS];
            for j in (first / STEP * STEP..cols).step_by(V::LANES) {
                let at = |x: &[f64]| x.as_ptr().wrapping_add(j);
                let (yj, vj) = (V::load(at(y)), V::load(at(v)));
                for r in 0..ROWS {
                    let at = a.from(i + r, j).at;
                    let x = V::load(at).fma(V::one_of(&less_u[r]), yj);
                    x.store(at);
                    sums[r] = sums[r].fma(x, vj);
                }
            }
            for r in 0..ROWS {
                let mut lanes = [0.0; STEP];
                sums[r].store(lanes.as_mut_ptr());
                z[i + r] = lanes.iter().sum();
            }
        }
    }
}
