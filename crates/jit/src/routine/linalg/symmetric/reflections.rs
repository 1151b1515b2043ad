//! Reflections of a tridiagonalization, applied to its eigenvectors.
//!
//! Several at once: `H₈ ⋯ H₁ Z = Z - V · W`, where row `j` of `W` is `scale[j] · (vⱼᵀ · Z - Σ (vⱼᵀ · vᵢ) · wᵢ)` over the rows `i < j` before it.

use super::tridiagonal::dot;
use super::{Lane, STEP, Square};
use crate::routine::Target;

/// Products of the vectors of each block of reflections, `STEP` rows of `STEP`, go to `products`, as many blocks as there are in `a`.
///
/// # Safety
/// Nobody writes the matrix.
#[inline(always)]
pub unsafe fn products(a: Square, products: &mut [f64]) {
    for (block, products) in products.chunks_exact_mut(STEP * STEP).enumerate() {
        let first = block * STEP;
        let count = STEP.min(a.n - first);
        for j in 0..count {
            for i in 0..j {
                // SAFETY: the caller's.
                let (x, y) = unsafe { (a.line(first + i), a.line(first + j)) };
                products[j * STEP + i] = dot(&x[..first + i], &y[..first + i]);
            }
        }
    }
}

/// Columns `from` to `from + C · V::LANES` of `z` after all reflections, whose vectors are the rows of `a`.
///
/// # Safety
/// The CPU has the vectors; `z` has as many rows, in whole steps, and these columns, which nobody else uses; nobody writes the others' elements.
#[inline(always)]
pub unsafe fn reflect<V: Lane, const C: usize>(a: Square, scale: &[f64], products: &[f64], z: Square, from: usize) {
    let at = z.at.wrapping_add(from);
    let place = |i: usize| at.wrapping_add(i * z.row);
    for (block, products) in products.chunks_exact(STEP * STEP).enumerate() {
        let first = block * STEP;
        let vectors = a.at.wrapping_add(first * a.row).cast_const();
        // The last vector's elements are the most; rows behind those of the matrix have zeros.
        let rows = (first + STEP - 1).min(a.n);
        // SAFETY: the caller's.
        unsafe {
            let mut w = [[V::zero(); C]; STEP];
            for i in 0..rows {
                let x: [V; C] = loaded(place(i));
                for (j, w) in w.iter_mut().enumerate() {
                    add(w, V::one_of(vectors.wrapping_add(j * a.row + i)), &x);
                }
            }
            for j in 0..STEP {
                let (before, own) = w.split_at_mut(j);
                for (w, product) in before.iter().zip(&products[j * STEP..]) {
                    add(&mut own[0], V::all(-product), w);
                }
                let unscaled = std::mem::replace(&mut own[0], [V::zero(); C]);
                add(&mut own[0], V::all(scale[first + j]), &unscaled);
            }
            for x in w.as_flattened_mut() {
                *x = V::zero().sub(*x);
            }
            for i in 0..rows {
                let mut x: [V; C] = loaded(place(i));
                for (j, w) in w.iter().enumerate() {
                    add(&mut x, V::one_of(vectors.wrapping_add(j * a.row + i)), w);
                }
                for (c, x) in x.iter().enumerate() {
                    x.store(place(i).wrapping_add(c * V::LANES));
                }
            }
        }
    }
}

/// `C` vectors side by side.
///
/// # Safety
/// The CPU has the vectors, and they are there.
#[inline(always)]
unsafe fn loaded<V: Lane, const C: usize>(at: *const f64) -> [V; C] {
    // SAFETY: the caller's.
    unsafe {
        let mut x = [V::zero(); C];
        for (c, x) in x.iter_mut().enumerate() {
            *x = V::load(at.wrapping_add(c * V::LANES));
        }
        x
    }
}

/// `to += by · x`
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn add<V: Lane, const C: usize>(to: &mut [V; C], by: V, x: &[V; C]) {
    for (to, x) in to.iter_mut().zip(x) {
        // SAFETY: the caller's.
        *to = unsafe { to.fma(by, *x) };
    }
}

/// Turns the signs of the first columns of `z`, a vector of them: of each, the element of largest magnitude, the first of nearly equal ones, becomes
/// positive. Gives the signs that they had.
///
/// # Safety
/// As [`reflect`].
#[inline(always)]
pub unsafe fn turn<V: Lane>(z: Target<f64>, rows: usize) -> V {
    let place = |i: usize| z.from(i, 0).at;
    // SAFETY: the caller's.
    unsafe {
        let (zero, mut most) = (V::zero(), V::zero());
        for i in 0..rows {
            let x = V::load(place(i)).magnitude();
            most = V::if_greater(x, most, x, most);
        }
        // Rounding must not decide between elements that are equal but for their sign.
        let enough = zero.fma(most, V::all(1.0 - 1e-6));
        let mut lead = zero;
        for i in (0..rows).rev() {
            let x = V::load(place(i));
            lead = V::if_greater(enough, x.magnitude(), lead, x);
        }
        let sign = V::if_greater(zero, lead, V::all(-1.0), V::all(1.0));
        for i in 0..rows {
            zero.fma(V::load(place(i)), sign).store(place(i));
        }
        sign
    }
}
