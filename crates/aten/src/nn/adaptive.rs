//! Pooling over as many ranges as the result has elements.

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Dim};

use super::pool::{as_two_dims, chosen, table};
use crate::arg::{AsTensor, At, at, attempt, attempt_pair, bad_operand, float};
use crate::call::{ints, linear, many};
use crate::schema;

/// Adaptive pooling under PyTorch's names, over the last dims of `[n, c, …]` or `[c, …]`. Range `i` of `o` over `l`
/// elements goes from `floor(i l / o)` to `ceil((i + 1) l / o)`.
///
/// *Errors*: `adaptive_avg_pool_c1`, `adaptive_max_pool_c1` an input of another rank, of integers or of size 0.
pub trait AdaptivePooling: AsTensor {
    /// The means of `output_size` ranges of one dim, which overlap where they do not divide it.
    #[track_caller]
    fn adaptive_avg_pool1d(&self, output_size: usize) -> Tensor {
        adaptive_avg(self.tensor(), &[output_size])
    }

    /// The means of ranges of two dims.
    #[track_caller]
    fn adaptive_avg_pool2d(&self, output_size: [usize; 2]) -> Tensor {
        adaptive_avg(self.tensor(), &output_size)
    }

    /// The means of ranges of three dims.
    #[track_caller]
    fn adaptive_avg_pool3d(&self, output_size: [usize; 3]) -> Tensor {
        adaptive_avg(self.tensor(), &output_size)
    }

    /// The largest elements of ranges of one dim, and their places in the input.
    #[track_caller]
    fn adaptive_max_pool1d(&self, output_size: usize) -> (Tensor, Tensor) {
        adaptive_max(self.tensor(), &[output_size])
    }

    /// The largest elements of ranges of two dims, and their places in the input.
    #[track_caller]
    fn adaptive_max_pool2d(&self, output_size: [usize; 2]) -> (Tensor, Tensor) {
        adaptive_max(self.tensor(), &output_size)
    }

    /// The largest elements of ranges of three dims, and their places in the input.
    #[track_caller]
    fn adaptive_max_pool3d(&self, output_size: [usize; 3]) -> (Tensor, Tensor) {
        adaptive_max(self.tensor(), &output_size)
    }
}

impl AdaptivePooling for Tensor {}

/// Checks the input of an adaptive pooling; the number of leading dims.
#[track_caller]
fn adaptive(at: At, x: &Tensor, out: &[usize]) -> Result<usize, Tensor> {
    float(at, x)?;
    let n = out.len();
    if x.rank() != n + 1 && x.rank() != n + 2 {
        return Err(bad_operand(at, x, &format!("an input of {} dims, or {} without batch", n + 2, n + 1)));
    }
    let lead = x.rank() - n;
    if (lead..x.rank()).any(|d| x.shape()[d] == 0) {
        return Err(bad_operand(at, x, "sizes that are not 0"));
    }
    Ok(lead)
}

/// The range of output `i` of `o` over `l` elements.
fn range(i: usize, o: usize, l: usize) -> (usize, usize) {
    (i * l / o, ((i + 1) * l).div_ceil(o))
}

#[track_caller]
fn adaptive_avg(x: &Tensor, out: &[usize]) -> Tensor {
    let lead = attempt!(adaptive(at!("adaptive_avg_pool", 1), x, out));
    if let [o] = out {
        let o = *o;
        return as_two_dims(x, |x| (adaptive_avg_of(x, &[1, o], lead), x.clone())).0;
    }
    adaptive_avg_of(x, out, lead)
}

#[track_caller]
fn adaptive_avg_of(x: &Tensor, out: &[usize], lead: usize) -> Tensor {
    let schema = if out.len() == 2 { schema::_ADAPTIVE_AVG_POOL2D } else { schema::_ADAPTIVE_AVG_POOL3D };
    linear(schema, &[("output_size", ints(out))], x, |x| {
        let sizes = &x.shape().sizes()[lead..];
        let alike = out.iter().zip(sizes).all(|(o, l)| *o > 0 && l.is_multiple_of(*o));
        if alike { window_means(x, out, lead) } else { (lead..).zip(out).fold(x.clone(), |y, (d, o)| means(&y, d, *o)) }
    })
}

/// The means of windows that do not overlap and are all of one size: one sum, which is divided by the length of each dim as in PyTorch.
#[track_caller]
fn window_means(x: &Tensor, out: &[usize], lead: usize) -> Tensor {
    let lengths: Vec<usize> = out.iter().zip(&x.shape().sizes()[lead..]).map(|(o, l)| l / o).collect();
    let split: Vec<usize> = out.iter().zip(&lengths).flat_map(|(o, l)| [*o, *l]).collect();
    let inner: Vec<usize> = (0..out.len()).map(|i| lead + 2 * i + 1).collect();
    let sum = x.view_to(&x.shape().slice(0, lead).concat(&split.as_slice().into())).sum_over(&inner);
    lengths.iter().filter(|l| **l > 1).fold(sum, |y, l| y / *l as f64)
}

/// The means of `o` ranges along `d`.
#[track_caller]
fn means(x: &Tensor, d: usize, o: usize) -> Tensor {
    let l = x.shape()[d].get();
    if o > 0 && l.is_multiple_of(o) {
        let split = x.shape().with(d, l / o).inserted(d, o);
        return x.view_to(&split).sum_over(&[d + 1]) / (l / o) as f64;
    }
    let most = (0..o).map(|i| range(i, o, l)).map(|(a, b)| b - a).max().unwrap_or(0);
    let at = table(&[o * most], |i| {
        let (a, b) = range(i[0] / most.max(1), o, l);
        (a + i[0] % most.max(1)).min(b.max(1) - 1) as i64
    });
    let ragged = x.index_select_along(d, &at).view_to(&x.shape().with(d, most).inserted(d, o));
    let count = |i: usize| range(i, o, l).1 - range(i, o, l).0;
    let beside = |t: Tensor, dims: usize| {
        let ones = std::iter::repeat_n(Dim::new(1), ragged.rank() - d - dims);
        t.view_to(&t.shape().dims().iter().copied().chain(ones).collect())
    };
    let inside = table(&[o, most], |i| i64::from(i[1] < count(i[0]))).convert(DType::Bool);
    let sum = ragged.where_(&beside(inside, 2), 0.0).sum_over(&[d + 1]);
    sum / beside(table(&[o], |i| count(i[0]) as i64), 2).convert(x.dtype())
}

#[track_caller]
fn adaptive_max(x: &Tensor, out: &[usize]) -> (Tensor, Tensor) {
    let lead = attempt_pair!(adaptive(at!("adaptive_max_pool", 1), x, out));
    if let [o] = out {
        let o = *o;
        return as_two_dims(x, |x| adaptive_max_of(x, &[1, o], lead));
    }
    adaptive_max_of(x, out, lead)
}

#[track_caller]
fn adaptive_max_of(x: &Tensor, out: &[usize], lead: usize) -> (Tensor, Tensor) {
    let schema = if out.len() == 2 { schema::ADAPTIVE_MAX_POOL2D } else { schema::ADAPTIVE_MAX_POOL3D };
    let sizes = x.shape().sizes()[lead..].to_vec();
    let n = out.len();
    let most: Vec<usize> = (0..n)
        .map(|d| (0..out[d]).map(|i| range(i, out[d], sizes[d])).map(|(a, b)| b - a).max().unwrap_or(0))
        .collect();
    let k: usize = most.iter().product();
    // For each output and each place in the largest range: the place in the input, or -1 outside of its own range.
    let place = |at: &[usize]| -> i64 {
        let mut rest = at[n];
        let mut flat = 0i64;
        let mut stride = 1i64;
        for d in (0..n).rev() {
            let step = rest % most[d];
            rest /= most[d];
            let (a, b) = range(at[d], out[d], sizes[d]);
            if a + step >= b {
                return -1;
            }
            flat += (a + step) as i64 * stride;
            stride *= sizes[d] as i64;
        }
        flat
    };
    let [values, indices] = many(schema, &[("output_size", ints(out))], &[x], |a| {
        let x = &a[0];
        let places = table(&[out, &[k]].concat(), place);
        let batch = x.shape().slice(0, lead);
        let o: usize = out.iter().product();
        let flat = x.view_to(&batch.concat(&[sizes.iter().product()].into()));
        let at = places.maximum(0i64).view_to(&[o * k].into());
        let all = flat.index_select_along(lead, &at).view_to(&batch.concat(places.shape()));
        let masked = all.where_(&places.ge(0i64), f64::NEG_INFINITY);
        chosen(&masked, |at| {
            let wide = places.expand_to(&batch.concat(places.shape()));
            let last = wide.rank() - 1;
            wide.gather_along(last, &at.view_to(&at.shape().inserted(last, 1))).view_to(at.shape())
        })
    });
    (values, indices)
}
