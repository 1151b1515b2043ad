//! Products of batches of matrices on host arrays.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::Array;
use crate::ir::Aval;

/// Multiplications of one matrix with another from which on [`faer`] does them. The definition takes a quarter of a second for matrices of 1000 x 1000,
/// which a user who multiplies outside of a transform waits for.
const LARGE: usize = 1 << 18;

/// `[b, m, k] · [b, k, n] → [b, m, n]`.
///
/// *Numerics*: floats accumulate in `f64` and are rounded once; integers wrap.
pub(crate) fn bmm(x: &Array, y: &Array) -> Array {
    let [b, m, k] = sizes(x);
    let [_, _, n] = sizes(y);
    let out = Aval::new(x.dtype(), [b, m, n]);
    if x.dtype().is_float() {
        let large = m.saturating_mul(k).saturating_mul(n) >= LARGE;
        let of = if large { large_product } else { float_product };
        let z = of(&x.to_f64_vec(), &y.to_f64_vec(), [b, m, k, n]);
        return Array::from_f64_fn(&out, |i| z[i]);
    }
    let z = product(&x.to_i64_vec(), &y.to_i64_vec(), [b, m, k, n], 0, |acc: i64, x: i64, y| {
        acc.wrapping_add(x.wrapping_mul(y))
    });
    Array::new(&out.shape, z).cast(out.dtype)
}

fn sizes(x: &Array) -> [usize; 3] {
    [x.shape()[0].get(), x.shape()[1].get(), x.shape()[2].get()]
}

fn float_product(x: &[f64], y: &[f64], sizes: [usize; 4]) -> Vec<f64> {
    product(x, y, sizes, 0.0, |acc, x, y| acc + x * y)
}

/// As [`float_product`], with sums in another order; no size is 0.
fn large_product(x: &[f64], y: &[f64], [b, m, k, n]: [usize; 4]) -> Vec<f64> {
    let mut z = vec![0.0; b * m * n];
    for ((z, x), y) in z.chunks_exact_mut(m * n).zip(x.chunks_exact(m * k)).zip(y.chunks_exact(k * n)) {
        let (x, y) = (MatRef::from_row_major_slice(x, m, k), MatRef::from_row_major_slice(y, k, n));
        matmul(MatMut::from_row_major_slice_mut(z, m, n), Accum::Replace, x, y, 1.0, Par::Seq);
    }
    z
}

fn product<T: Copy>(x: &[T], y: &[T], [b, m, k, n]: [usize; 4], zero: T, add: impl Fn(T, T, T) -> T) -> Vec<T> {
    let mut z = vec![zero; b * m * n];
    for (row, z) in z.chunks_exact_mut(n.max(1)).enumerate() {
        for p in 0..k {
            let x = x[row * k + p];
            let y = &y[(row / m.max(1) * k + p) * n..][..n];
            for (z, y) in z.iter_mut().zip(y) {
                *z = add(*z, x, *y);
            }
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_products_are_those_of_the_definition() {
        let [b, m, k, n] = [2, 70, 65, 90];
        let mut x: Vec<f64> = (0..b * m * k).map(|i| (i as f64 * 0.7).sin()).collect();
        let mut y: Vec<f64> = (0..b * k * n).map(|i| (i as f64 * 0.3).cos()).collect();
        (x[3], x[m * k - 1], y[5], y[k * n + 7]) = (f64::INFINITY, f64::NAN, 0.0, f64::NEG_INFINITY);
        let (large, small) = (large_product(&x, &y, [b, m, k, n]), float_product(&x, &y, [b, m, k, n]));
        assert!(large.iter().any(|z| z.is_nan()) && large.iter().any(|z| z.is_infinite()));
        for (i, (a, b)) in large.iter().zip(&small).enumerate() {
            let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() < 1e-12;
            assert!(same, "element {i}: {a}, by the definition {b}");
        }
    }
}
