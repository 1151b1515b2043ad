//! Shapes: the same elements under another shape, in another order of dims, or repeated.

use std::borrow::Borrow;

use cotangent_core::Tensor;
use cotangent_core::ir::{Dim, Shape};
use cotangent_core::ops::Expand;
use cotangent_core::tensor::broadcast_shapes;

use crate::arg::{
    AsTensor, Over, Sizes, at, attempt, bad, bad_operand, bad_pair, dim, dims_in_order, live, normal, real_dim, refs,
    sizes,
};

/// Change of shape under PyTorch's names. Everything here emits primitives.
pub trait Shapes: AsTensor {
    /// The elements in row-major order under another shape; one size may be -1 and follows from the others.
    ///
    /// *Errors*: `reshape_c1` another number of elements; `reshape_c2` a negative size, or -1 twice or undetermined.
    #[track_caller]
    fn reshape(&self, shape: impl Into<Sizes>) -> Tensor {
        let x = self.tensor();
        let shape = attempt!(resolved(x, &shape.into(), x.numel()));
        x.view_to(&shape)
    }

    /// As [`Shapes::reshape`]: there are no strides that could forbid it.
    #[track_caller]
    fn view(&self, shape: impl Into<Sizes>) -> Tensor {
        self.reshape(shape)
    }

    /// The elements under the shape of `other`.
    #[track_caller]
    fn view_as(&self, other: &Tensor) -> Tensor {
        self.reshape(other.shape())
    }

    /// The dims from `start` to `end` (inclusive) as one; a scalar becomes a vector of one element.
    ///
    /// *Errors*: `flatten_c1` no such dim; `flatten_c2` `start` after `end`.
    #[track_caller]
    fn flatten(&self, start: i64, end: i64) -> Tensor {
        let x = self.tensor();
        let (a, b) = (attempt!(dim(at!("flatten", 1), x, start)), attempt!(dim(at!("flatten", 1), x, end)));
        if a > b {
            return bad(at!("flatten", 2), &[x], "start_dim", "not after end_dim", &format!("{start} and {end}"));
        }
        if x.rank() == 0 {
            return x.view_to(&Shape::from([1]));
        }
        let n: usize = x.shape().dims()[a..=b].iter().map(|d| d.get()).product();
        x.view_to(&x.shape().slice(0, a).concat(&[n].into()).concat(&x.shape().slice(b + 1, x.rank())))
    }

    /// Dim `dim` as several dims of `sizes`, of which one may be -1.
    ///
    /// *Errors*: `unflatten_c1` no such dim; as [`Shapes::reshape`].
    #[track_caller]
    fn unflatten(&self, dim: i64, sizes: impl Into<Sizes>) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("unflatten", 1), x, dim));
        let inner = attempt!(resolved(x, &sizes.into(), x.shape()[d].get()));
        x.view_to(&x.shape().slice(0, d).concat(&inner).concat(&x.shape().slice(d + 1, x.rank())))
    }

    /// Without the dims of size 1: of all, or of those given (others stay).
    ///
    /// *Errors*: `squeeze_c1` no such dim, or twice the same.
    #[track_caller]
    fn squeeze(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let dims = match over.into().dims {
            Some(d) => attempt!(dims_in_order(at!("squeeze", 1), x, &d)),
            None => (0..x.rank()).collect(),
        };
        let kept = x.shape().dims().iter().enumerate().filter(|(i, n)| !(dims.contains(i) && **n == 1));
        x.view_to(&kept.map(|(_, n)| *n).collect())
    }

    /// With a dim of size 1 before `dim`, which may be one beyond the last.
    ///
    /// *Errors*: `unsqueeze_c1` no such place.
    #[track_caller]
    fn unsqueeze(&self, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(place(x, dim));
        x.view_to(&x.shape().inserted(d, 1))
    }

    /// Two dims exchanged.
    ///
    /// *Errors*: `transpose_c1` no such dim.
    #[track_caller]
    fn transpose(&self, dim0: i64, dim1: i64) -> Tensor {
        let x = self.tensor();
        let (a, b) = (attempt!(dim(at!("transpose", 1), x, dim0)), attempt!(dim(at!("transpose", 1), x, dim1)));
        let mut order: Vec<usize> = (0..x.rank()).collect();
        if x.rank() > 0 {
            order.swap(a, b);
        }
        x.permute_to(&order)
    }

    /// As [`Shapes::transpose`].
    #[track_caller]
    fn swapaxes(&self, axis0: i64, axis1: i64) -> Tensor {
        self.transpose(axis0, axis1)
    }

    /// The transpose of a matrix; vectors and scalars are their own.
    ///
    /// *Errors*: `t_c1` more than two dims.
    #[track_caller]
    fn t(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        match x.rank() {
            0 | 1 => x.clone(),
            2 => x.permute_to(&[1, 0]),
            3.. => bad_operand(at!("t", 1), x, "at most two dims (use `.mT()` for batches of matrices)"),
        }
    }

    /// The last two dims exchanged.
    ///
    /// *Errors*: `matrix_transpose_c1` fewer than two dims.
    #[track_caller]
    #[allow(non_snake_case, reason = "PyTorch's name")]
    fn mT(&self) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.rank() < 2 {
            return bad_operand(at!("matrix_transpose", 1), x, "at least two dims");
        }
        self.transpose(-2, -1)
    }

    /// The dims in another order.
    ///
    /// *Errors*: `permute_c1` no permutation of the dims.
    #[track_caller]
    fn permute(&self, dims: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let dims = dims.into().dims.unwrap_or_default();
        let order = attempt!(dims_in_order(at!("permute", 1), x, &dims));
        if order.len() != x.rank() {
            let expected = format!("a permutation of {} dims", x.rank());
            return bad(at!("permute", 1), &[x], "dims", &expected, &format!("{:?}", dims.0.as_slice()));
        }
        x.permute_to(&order)
    }

    /// The dims `source` moved to the places `destination`; the others keep their order.
    ///
    /// *Errors*: `movedim_c1` no such dim, or twice the same; `movedim_c2` lists of different lengths.
    #[track_caller]
    fn movedim(&self, source: impl Into<Over>, destination: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let list = |o: Over| o.dims.unwrap_or_default();
        let from = attempt!(dims_in_order(at!("movedim", 1), x, &list(source.into())));
        let to = attempt!(dims_in_order(at!("movedim", 1), x, &list(destination.into())));
        if from.len() != to.len() {
            let found = format!("{} and {}", from.len(), to.len());
            return bad(at!("movedim", 2), &[x], "destination", "as long as the source", &found);
        }
        if x.rank() == 0 {
            return x.clone();
        }
        let mut rest = (0..x.rank()).filter(|d| !from.contains(d));
        let order = (0..x.rank()).map(|i| match to.iter().position(|d| *d == i) {
            Some(k) => from[k],
            None => rest.next().expect("as many other dims as other places"),
        });
        x.permute_to(&order.collect::<Vec<_>>())
    }

    /// Broadcast to `sizes`, where -1 keeps a size.
    ///
    /// *Errors*: `expand_c1` the shape does not expand to `sizes`; `expand_c2` -1 for a new dim, or a negative size.
    #[track_caller]
    fn expand(&self, sizes: impl Into<Sizes>) -> Tensor {
        let (x, sizes) = (self.tensor(), sizes.into());
        attempt!(live(&[x]));
        let lead = sizes.0.len().saturating_sub(x.rank());
        let size = |(i, n): (usize, &i64)| match n {
            -1 => i.checked_sub(lead).and_then(|d| x.shape().dims().get(d).copied()),
            n => usize::try_from(*n).ok().map(Dim::new),
        };
        let Some(shape) = sizes.0.iter().enumerate().map(size).collect::<Option<Shape>>() else {
            return bad(at!("expand", 2), &[x], "size", "sizes, and -1 for dims that exist", &format!("{:?}", sizes.0));
        };
        self.broadcast_to(&shape)
    }

    /// Broadcast to exactly `shape`.
    ///
    /// *Errors*: `expand_c1` the shape does not expand to it.
    #[track_caller]
    fn broadcast_to(&self, shape: &Shape) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if Expand::fits(x.shape(), shape) {
            x.expand_to(shape)
        } else {
            bad_operand(at!("expand", 1), x, &format!("a shape that expands to {shape}"))
        }
    }

    /// Broadcast to the shape of `other`.
    #[track_caller]
    fn expand_as(&self, other: &Tensor) -> Tensor {
        attempt!(live(&[other]));
        self.broadcast_to(other.shape())
    }

    /// Summed to `shape`, from which this shape is an expansion.
    ///
    /// *Errors*: `sum_to_size_c1` this shape is no expansion of it.
    #[track_caller]
    fn sum_to_size(&self, size: impl Into<Sizes>) -> Tensor {
        let x = self.tensor();
        let shape = Shape::from(attempt!(sizes(at!("sum_to_size", 1), &[x], "size", &size.into())));
        if Expand::fits(&shape, x.shape()) {
            x.sum_to(&shape)
        } else {
            bad_operand(at!("sum_to_size", 1), x, &format!("an expansion of {shape}"))
        }
    }

    /// The whole tensor repeated along each dim; more numbers than dims make new leading dims.
    ///
    /// *Errors*: `repeat_c1` a negative number, or fewer numbers than dims.
    #[track_caller]
    fn repeat(&self, repeats: impl Into<Sizes>) -> Tensor {
        let x = self.tensor();
        let n = attempt!(sizes(at!("repeat", 1), &[x], "repeats", &repeats.into()));
        let Some(lead) = n.len().checked_sub(x.rank()) else {
            return bad(at!("repeat", 1), &[x], "repeats", "a number for each dim", &format!("{n:?}"));
        };
        let size = |i: usize| i.checked_sub(lead).map_or(1, |d| x.shape()[d].get());
        let (mut ones, mut wide, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for (i, n) in n.iter().enumerate() {
            let Some(total) = n.checked_mul(size(i)) else {
                return bad(at!("repeat", 1), &[x], "repeats", "numbers whose product fits", &n.to_string());
            };
            ones.extend([1, size(i)]);
            wide.extend([*n, size(i)]);
            out.push(total);
        }
        x.view_to(&ones.into()).expand_to(&wide.into()).view_to(&out.into())
    }

    /// As [`Shapes::repeat`]; fewer numbers than dims are filled up with 1 in front.
    #[track_caller]
    fn tile(&self, repeats: impl Into<Sizes>) -> Tensor {
        let (x, mut n) = (self.tensor(), repeats.into());
        let missing = x.rank().saturating_sub(n.0.len());
        n.0.splice(0..0, std::iter::repeat_n(1, missing));
        self.repeat(n)
    }

    /// Each element `repeats` times along `dim`.
    ///
    /// *Errors*: `repeat_interleave_c1` no such dim; `repeat_interleave_c2` a result that is too large.
    #[track_caller]
    fn repeat_interleave(&self, repeats: usize, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("repeat_interleave", 1), x, dim));
        let Some(n) = repeats.checked_mul(x.shape()[d].get()) else {
            return bad(
                at!("repeat_interleave", 2),
                &[x],
                "repeats",
                "a number whose product fits",
                &repeats.to_string(),
            );
        };
        let (one, many) = (x.shape().inserted(d + 1, 1), x.shape().inserted(d + 1, repeats));
        x.view_to(&one).expand_to(&many).view_to(&x.shape().with(d, n))
    }

    /// The channels of `[…, c r², h, w]` spread over `r × r` pixels each: `[…, c, h r, w r]`.
    ///
    /// *Errors*: `pixel_shuffle_c1` fewer than three dims; `pixel_shuffle_c2` a factor whose square does not divide
    /// the
    /// channels.
    #[track_caller]
    fn pixel_shuffle(&self, upscale_factor: usize) -> Tensor {
        let (x, r) = (self.tensor(), upscale_factor);
        attempt!(live(&[x]));
        let Some(lead) = x.rank().checked_sub(3) else {
            return bad_operand(at!("pixel_shuffle", 1), x, "at least three dims");
        };
        let s = x.shape().sizes();
        let (c, h, w) = (s[lead], s[lead + 1], s[lead + 2]);
        if r == 0 || c % (r * r) != 0 {
            let expected = format!("a number whose square divides {c}");
            return bad(at!("pixel_shuffle", 2), &[x], "upscale_factor", &expected, &r.to_string());
        }
        let batch = x.shape().slice(0, lead);
        let mut order: Vec<usize> = (0..lead).collect();
        order.extend([0, 3, 1, 4, 2].map(|d| lead + d));
        let split = x.view_to(&batch.concat(&[c / (r * r), r, r, h, w].into()));
        split.permute_to(&order).view_to(&batch.concat(&[c / (r * r), h * r, w * r].into()))
    }

    /// The inverse of [`Shapes::pixel_shuffle`].
    ///
    /// *Errors*: `pixel_unshuffle_c1` fewer than three dims; `pixel_unshuffle_c2` a factor that does not divide
    /// height
    /// and width.
    #[track_caller]
    fn pixel_unshuffle(&self, downscale_factor: usize) -> Tensor {
        let (x, r) = (self.tensor(), downscale_factor);
        attempt!(live(&[x]));
        let Some(lead) = x.rank().checked_sub(3) else {
            return bad_operand(at!("pixel_unshuffle", 1), x, "at least three dims");
        };
        let s = x.shape().sizes();
        let (c, h, w) = (s[lead], s[lead + 1], s[lead + 2]);
        if r == 0 || h % r != 0 || w % r != 0 {
            let expected = format!("a divisor of {h} and {w}");
            return bad(at!("pixel_unshuffle", 2), &[x], "downscale_factor", &expected, &r.to_string());
        }
        let batch = x.shape().slice(0, lead);
        let mut order: Vec<usize> = (0..lead).collect();
        order.extend([0, 2, 4, 1, 3].map(|d| lead + d));
        let split = x.view_to(&batch.concat(&[c, h / r, r, w / r, r].into()));
        split.permute_to(&order).view_to(&batch.concat(&[c * r * r, h / r, w / r].into()))
    }

    /// The channels (dim 1) of `groups` groups interleaved.
    ///
    /// *Errors*: `channel_shuffle_c1` fewer than three dims, or groups that do not divide the channels.
    #[track_caller]
    fn channel_shuffle(&self, groups: usize) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if x.rank() < 3 || groups == 0 || !x.shape()[1].get().is_multiple_of(groups) {
            let expected = format!("at least three dims and channels that {groups} divides");
            return bad_operand(at!("channel_shuffle", 1), x, &expected);
        }
        let c = x.shape()[1].get();
        let split = x.shape().removed(1).inserted(1, c / groups).inserted(1, groups);
        let mut order: Vec<usize> = (0..split.rank()).collect();
        order.swap(1, 2);
        x.view_to(&split).permute_to(&order).view_to(x.shape())
    }
}

impl Shapes for Tensor {}

/// The place before which `unsqueeze` and `stack` insert a dim.
#[track_caller]
pub(crate) fn place(x: &Tensor, d: i64) -> Result<usize, Tensor> {
    live(&[x])?;
    normal(d, x.rank() + 1).ok_or_else(|| bad_place(x, d))
}

#[track_caller]
fn bad_place(x: &Tensor, d: i64) -> Tensor {
    let range = format!("in [-{0}, {1}]", x.rank() + 1, x.rank());
    bad(at!("unsqueeze", 1), &[x], "dim", &range, &d.to_string())
}

/// A shape in which one size may be -1, for `n` elements.
#[track_caller]
fn resolved(x: &Tensor, sizes: &Sizes, n: usize) -> Result<Shape, Tensor> {
    live(&[x])?;
    let known: Option<usize> =
        sizes.0.iter().filter(|s| **s != -1).try_fold(1usize, |p, s| p.checked_mul(usize::try_from(*s).ok()?));
    let found = format!("{:?}", sizes.0);
    let unknown = sizes.0.iter().filter(|s| **s == -1).count();
    let Some(known) = known.filter(|k| unknown == 0 || (unknown == 1 && *k > 0)) else {
        return Err(bad(at!("reshape", 2), &[x], "shape", "sizes, at most one of them -1 and determined", &found));
    };
    if (unknown == 0 && known != n) || (unknown == 1 && !n.is_multiple_of(known)) {
        return Err(bad(at!("reshape", 1), &[x], "shape", &format!("sizes of {n} elements"), &found));
    }
    Ok(sizes.0.iter().map(|s| usize::try_from(*s).unwrap_or_else(|_| n / known)).collect())
}

/// The tensors broadcast to one shape.
///
/// *Errors*: `broadcast_c1` shapes that do not broadcast; then all results stand for the error.
#[track_caller]
pub fn broadcast_tensors<T: Borrow<Tensor>>(tensors: &[T]) -> Vec<Tensor> {
    let tensors = refs(tensors);
    let mut shape = Shape::scalar();
    for t in &tensors {
        match broadcast_shapes(&shape, t.shape()) {
            Some(s) => shape = s,
            None => {
                let poison = bad_pair(at!("broadcast", 1), tensors[0], t, "shapes that broadcast");
                return vec![poison; tensors.len()];
            }
        }
    }
    tensors.iter().map(|t| t.expand_to(&shape)).collect()
}
