//! Products of batches of matrices on host arrays.

use super::Array;
use crate::ir::Aval;

/// `[b, m, k] · [b, k, n] → [b, m, n]`.
///
/// *Numerics*: floats accumulate in `f64` and are rounded once; integers wrap.
pub(crate) fn bmm(x: &Array, y: &Array) -> Array {
    let [b, m, k] = sizes(x);
    let [_, _, n] = sizes(y);
    let out = Aval::new(x.dtype(), [b, m, n]);
    if x.dtype().is_float() {
        let z = product(&x.to_f64_vec(), &y.to_f64_vec(), [b, m, k, n], 0.0, |acc, x, y| acc + x * y);
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
