//! The reference: the sum of the definition, term by term.

use crate::array::Array;
use crate::ir::Shape;

use super::Convolution;

/// Flat spatial positions that meet: `result[y] += weight[k] * input[x]`.
struct Term {
    y: usize,
    k: usize,
    x: usize,
}

/// The convolution of operands that have been inferred.
pub(super) fn convolution(op: &Convolution, x: &Array, w: &Array) -> Array {
    let result = x.aval().with_shape(op.result(x.shape(), w.shape()));
    if result.shape.numel() == 0 {
        return Array::full(&result, 0.0.into());
    }
    let shapes = [x.shape(), w.shape(), &result.shape];
    if x.dtype().is_float() {
        let y = accumulate(op, shapes, &x.to_f64_vec(), &w.to_f64_vec(), 0.0, |acc, x, w| acc + x * w);
        Array::from_f64_fn(&result, |i| y[i])
    } else {
        let add = |acc: i64, x: i64, w: i64| acc.wrapping_add(x.wrapping_mul(w));
        Array::new(&result.shape, accumulate(op, shapes, &x.to_i64_vec(), &w.to_i64_vec(), 0, add)).cast(result.dtype)
    }
}

fn accumulate<A: Copy>(
    op: &Convolution,
    [x_shape, w_shape, y_shape]: [&Shape; 3],
    x: &[A],
    w: &[A],
    zero: A,
    add_product: impl Fn(A, A, A) -> A,
) -> Vec<A> {
    let spatial = |s: &Shape| s.slice(2, s.rank());
    let [x_size, w_size, y_size] = [x_shape, w_shape, y_shape].map(|s| spatial(s).numel());
    let terms = terms(op, &spatial(x_shape), &spatial(w_shape), &spatial(y_shape));
    let groups = op.groups;
    let (ci, co) = (x_shape[1].get() / groups, y_shape[1].get() / groups);
    let mut y = vec![zero; y_shape.numel()];
    for n in 0..x_shape[0].get() {
        for g in 0..groups {
            for o in 0..co {
                for i in 0..ci {
                    let kernel = if op.transposed { (g * ci + i) * co + o } else { (g * co + o) * ci + i };
                    let w = &w[kernel * w_size..][..w_size];
                    let x = &x[((n * groups + g) * ci + i) * x_size..][..x_size];
                    let y = &mut y[((n * groups + g) * co + o) * y_size..][..y_size];
                    for t in &terms {
                        y[t.y] = add_product(y[t.y], x[t.x], w[t.k]);
                    }
                }
            }
        }
    }
    y
}

/// The terms of one pair of channels.
///
/// On each dim, window `a` meets with its element `k` the position `a * stride + k * dilation - padding` of the dense side.
/// Windows are counted on the result and read from the input; transposed, on the input, and written into the result.
fn terms(op: &Convolution, x: &Shape, w: &Shape, y: &Shape) -> Vec<Term> {
    let (windows, dense) = if op.transposed { (x, y) } else { (y, x) };
    let (window_strides, kernel_strides, dense_strides) = (windows.strides(), w.strides(), dense.strides());
    let meet = |a: usize, k: usize| {
        (0..dense.rank()).try_fold(0, |flat, d| {
            let a = a / window_strides[d] % windows[d].get();
            let k = k / kernel_strides[d] % w[d].get();
            let at = (a * op.stride[d] + k * op.dilation[d]).checked_sub(op.padding[d])?;
            (at < dense[d].get()).then_some(flat + at * dense_strides[d])
        })
    };
    let mut out = Vec::new();
    for a in 0..windows.numel() {
        for k in 0..w.numel() {
            if let Some(b) = meet(a, k) {
                let (y, x) = if op.transposed { (b, a) } else { (a, b) };
                out.push(Term { y, k, x });
            }
        }
    }
    out
}
