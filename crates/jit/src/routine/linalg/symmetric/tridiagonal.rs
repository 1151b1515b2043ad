//! Symmetric matrices made tridiagonal by reflections.
//!
//! The last row is reflected first, so that what is left is always the first rows and columns. One pass over them subtracts what a reflection
//! changes, and multiplies the next reflection's vector by what it leaves: half of the passes of doing one after the other.

use std::marker::PhantomData;
use std::ops::Range;

use super::columns::Column;
use super::values::values;
use super::{Lane, STEP, Square};
use crate::routine::lanes::Kernel;

/// Rows that are read together.
const ROWS: usize = 4;
/// Largest absolute values of matrices whose squares are far from the ends of the range.
pub const USUAL: Range<f64> = 1e-100..1e100;

/// A tridiagonal matrix of elements of at most 1, and the reflections that made a matrix of it.
pub struct Tridiagonal {
    /// The diagonal.
    pub d: Vec<f64>,
    /// From element 1 on what is beside it.
    pub e: Vec<f64>,
    /// Reflection `k` is `I - scale[k] · v · vᵀ`, with `v` in row `k` of the matrix, followed by zeros. As many as rows in whole steps.
    pub scale: Vec<f64>,
    /// What the elements have been divided by.
    pub size: f64,
}

impl Tridiagonal {
    /// Of a symmetric matrix that has a lower triangle, and keeps the vectors of the reflections; `None`, and nothing done, for unusual sizes.
    ///
    /// # Safety
    /// The CPU has the vectors; nobody else uses the matrix.
    pub unsafe fn of<V: Lane>(a: Square) -> Option<Self> {
        // SAFETY: the caller's.
        let most = unsafe { a.complete() };
        if most != 0.0 && !USUAL.contains(&most) {
            return None;
        }
        let (n, steps) = (a.n, a.n.next_multiple_of(STEP));
        let mut t = Tridiagonal { d: vec![0.0; n], e: vec![0.0; n], scale: vec![0.0; steps], size: 1.0 };
        // SAFETY: the caller's.
        unsafe { V::enabled(Reduce::<V> { a, t: &mut t, words: &mut vec![0.0; 4 * steps], of: PhantomData }) };
        let most = t.d.iter().chain(&t.e).fold(0.0, |most, x| x.abs().max(most));
        if most > 0.0 {
            t.size = most;
            t.d.iter_mut().chain(&mut t.e).for_each(|x| *x /= most);
        }
        Some(t)
    }

    /// The parts between which there is nothing that counts.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let cuts = (1..self.d.len()).filter(|i| self.e[*i].abs() <= f64::EPSILON / 2.0).chain([self.d.len()]);
        cuts.scan(0, |from, to| Some(std::mem::replace(from, to)..to))
    }

    /// The eigenvalues of each part, in no order; `None` if they are not found.
    pub fn values(&self) -> Option<Vec<Column>> {
        let (mut d, mut squares) = (self.d.clone(), self.e.iter().map(|e| e * e).collect::<Vec<_>>());
        let mut found = Vec::with_capacity(d.len());
        for part in self.parts() {
            if !values(&mut d[part.clone()], &mut squares[part.clone()]) {
                return None;
            }
            found.extend(d[part.clone()].iter().map(|value| Column { value: *value, part: part.clone() }));
        }
        Some(found)
    }
}

/// Reflects a matrix. Safety: as [`Tridiagonal::of`].
struct Reduce<'a, V> {
    a: Square,
    t: &'a mut Tridiagonal,
    /// Four rows.
    words: &'a mut [f64],
    of: PhantomData<V>,
}

impl<V: Lane> Kernel for Reduce<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Tridiagonal { d, e, scale, size: _ } = self.t;
        // SAFETY: the caller's.
        unsafe { tridiagonal::<V>(self.a, [d, e, scale], self.words) }
    }
}

/// Makes the symmetric matrix `a` tridiagonal.
///
/// # Safety
/// The CPU has the vectors; nobody else uses the matrix.
#[inline(always)]
unsafe fn tridiagonal<V: Lane>(a: Square, [d, e, scale]: [&mut [f64]; 3], words: &mut [f64]) {
    let steps = a.n.next_multiple_of(STEP);
    let (u, rest) = words.split_at_mut(steps);
    let (w, rest) = rest.split_at_mut(steps);
    let (p, v) = rest.split_at_mut(steps);
    for k in (0..a.n).rev() {
        // SAFETY: the caller's.
        let row = unsafe { a.line(k) };
        let (uk, wk) = (u[k], w[k]);
        for j in 0..=k {
            row[j] -= uk * w[j] + wk * u[j];
        }
        d[k] = row[k];
        row[k..].fill(0.0);
        (scale[k], e[k]) = (0.0, 0.0);
        // What is left does not have row `k` any more.
        (u[k], w[k]) = (0.0, 0.0);
        if k == 0 {
            break;
        }
        let squares = dot(&row[..k - 1], &row[..k - 1]);
        e[k] = row[k - 1];
        p[..k.next_multiple_of(STEP)].fill(0.0);
        if squares > 0.0 {
            let length = (squares + e[k] * e[k]).sqrt();
            scale[k] = (length * (length + e[k].abs())).recip();
            let beside = -length.copysign(e[k]);
            row[k - 1] -= beside;
            e[k] = beside;
        } else {
            row[k - 1] = 0.0;
        }
        v.copy_from_slice(row);
        // SAFETY: the caller's; all have the elements of `k` rows, in whole steps.
        unsafe { subtract_and_multiply::<V>(a, k, [u, w, v], p) };
        let s = scale[k];
        let half = 0.5 * s * s * dot(&p[..k], &v[..k]);
        u.copy_from_slice(v);
        for j in 0..k {
            w[j] = s * p[j] - half * u[j];
        }
        w[k..].fill(0.0);
    }
}

/// The sum of products, in as many sums as a step has numbers.
#[inline(always)]
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; STEP];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<STEP>(), y.as_chunks::<STEP>());
    for (x, y) in x.iter().zip(y) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    for ((sum, x), y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
        *sum += x * y;
    }
    sums.iter().sum()
}

/// `a -= u · wᵀ + w · uᵀ` and `p += a · v` for the first `k` rows and columns, of which blocks on the diagonal are whole, and those above it missing.
///
/// # Safety
/// The CPU has the vectors; all have the elements, in whole steps, with zeros in `u`, `v` and `w` from `k` on.
#[inline(always)]
unsafe fn subtract_and_multiply<V: Lane>(a: Square, k: usize, [u, w, v]: [&[f64]; 3], p: &mut [f64]) {
    let whole = k.next_multiple_of(STEP);
    assert!(
        whole <= a.n.next_multiple_of(STEP)
            && u.len() >= whole
            && w.len() >= whole
            && v.len() >= whole
            && p.len() >= whole
    );
    for first in (0..k).step_by(ROWS) {
        let diagonal = first / STEP * STEP;
        let (lines, zero) = (a.at.wrapping_add(first * a.row), [0.0; ROWS]);
        let (mut less_u, mut less_w) = (zero, zero);
        for r in 0..ROWS {
            (less_u[r], less_w[r]) = (-u[first + r], -w[first + r]);
        }
        // SAFETY: the rows and columns are those of the caller.
        unsafe {
            let mut sums = [V::zero(); ROWS];
            for j in (0..diagonal).step_by(V::LANES) {
                let at = |x: &[f64]| x.as_ptr().wrapping_add(j);
                let (uj, wj, vj) = (V::load(at(u)), V::load(at(w)), V::load(at(v)));
                let mut pj = V::load(at(p));
                for r in 0..ROWS {
                    let to = lines.wrapping_add(r * a.row + j);
                    let x = V::load(to).fma(V::one_of(&less_u[r]), wj).fma(V::one_of(&less_w[r]), uj);
                    x.store(to);
                    sums[r] = sums[r].fma(x, vj);
                    pj = pj.fma(x, V::one_of(&v[first + r]));
                }
                pj.store(p.as_mut_ptr().wrapping_add(j));
            }
            for j in (diagonal..diagonal + STEP).step_by(V::LANES) {
                let at = |x: &[f64]| x.as_ptr().wrapping_add(j);
                let (uj, wj, vj) = (V::load(at(u)), V::load(at(w)), V::load(at(v)));
                for r in 0..ROWS {
                    let to = lines.wrapping_add(r * a.row + j);
                    let x = V::load(to).fma(V::one_of(&less_u[r]), wj).fma(V::one_of(&less_w[r]), uj);
                    x.store(to);
                    sums[r] = sums[r].fma(x, vj);
                }
            }
            for r in 0..ROWS {
                let mut lanes = [0.0; STEP];
                sums[r].store(lanes.as_mut_ptr());
                // Halves are added to one another.
                for half in [4, 2, 1] {
                    for i in 0..half {
                        lanes[i] += lanes[i + half];
                    }
                }
                p[first + r] += lanes[0];
            }
        }
    }
    p[k..].fill(0.0);
}
