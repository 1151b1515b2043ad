//! Windows of an image, and pixels that are repeated to fill windows that tile it.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::{Found, Raising, sizes};
use crate::ir::{Attr, Dim, Scalar, Shape, Value};
use crate::ops::{Op, Unfold};
use crate::tensor::Tensor;

pub(super) static RULES: &[Raising] =
    &[Raising { class: Class::Exact, find: repeated }, Raising { class: Class::Rounding, find: repeated_back }];

/// The windows of `v` along a dim, which follows the others in `v`: their size, their distance, and of what they are.
fn windows(e: &Editor, v: Value, dimension: usize) -> Option<(usize, usize, Value)> {
    match e.def_op(v)? {
        (Op::Unfold(u @ Unfold { .. }), at) if u.dimension == dimension => Some((u.size, u.step, e.arg(at, 0))),
        _ => None,
    }
}

/// An image of two or three spatial dims that is seen through windows.
pub(super) struct Image {
    pub x: Value,
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    /// How far the windows reach over the image before and behind it, where they may end before it.
    pub borders: Vec<(usize, i64)>,
}

impl Image {
    /// The image whose windows stand in `v` as the dims after `rank` others, with borders of `value`.
    pub fn of_windows(e: &Editor, v: Value, rank: usize, value: f64) -> Option<Self> {
        let (mut kernel, mut stride, mut x) = (Vec::new(), Vec::new(), v);
        while kernel.len() < 3.min(rank)
            && let Some((size, step, inner)) = windows(e, x, rank - 1 - kernel.len())
        {
            kernel.push(size);
            stride.push(step);
            x = inner;
        }
        kernel.reverse();
        stride.reverse();
        let spatial = kernel.len();
        if spatial < 2 || e.shape(x).rank() != rank || !e.dtype(x).is_float() {
            return None;
        }
        let mut borders = vec![(0, 0); spatial];
        if let Some((Op::Pad(pad), at)) = e.def_op(x)
            && pad.value.to_f64() == value
        {
            let amounts = pad.amounts(rank);
            let inside = amounts[..rank - spatial].iter().all(|a| *a == (0, 0));
            let around = amounts[rank - spatial..].iter().map(|(low, high)| Some((usize::try_from(*low).ok()?, *high)));
            borders = around.collect::<Option<Vec<_>>>().filter(|_| inside)?;
            x = e.arg(at, 0);
        }
        Some(Image { x, kernel, stride, borders })
    }

    /// Whether another image is seen through the same windows.
    pub fn is_seen_as(&self, other: &Image) -> bool {
        (&self.kernel, &self.stride, &self.borders) == (&other.kernel, &other.stride, &other.borders)
    }

    /// `padding` and `ceil_mode` by which PyTorch has these windows.
    pub fn form(&self, e: &Editor) -> Option<(Vec<usize>, bool)> {
        let x = e.shape(self.x).sizes();
        let fits = |ceil_mode: bool| {
            x[x.len() - self.kernel.len()..].iter().enumerate().all(|(d, n)| {
                let ((low, high), k, step) = (self.borders[d], self.kernel[d], self.stride[d]);
                let Some(room) = (n + 2 * low).checked_sub(k) else { return false };
                let mut out = if ceil_mode { room.div_ceil(step) + 1 } else { room / step + 1 };
                // No window begins behind the image.
                if ceil_mode && (out - 1) * step >= n + low {
                    out -= 1;
                }
                2 * low <= k && reach(n + low, high, k).is_some_and(|room| out == room / step + 1)
            })
        };
        let ceil_mode = [false, true].into_iter().find(|ceil_mode| fits(*ceil_mode))?;
        Some((self.borders.iter().map(|(low, _)| *low).collect(), ceil_mode))
    }

    /// The image with one or two dims in front, as PyTorch takes it.
    pub fn merged(&self, e: &mut Editor) -> Option<Value> {
        let shape = merged(e.shape(self.x), self.kernel.len());
        e.view(self.x, &shape)
    }

    /// The windows of `x`, by the operations of the graph.
    pub fn windows(&self, x: &Tensor, border: f64) -> Tensor {
        let lead = x.rank() - self.kernel.len();
        let mut out = x.clone();
        if self.borders.iter().any(|b| *b != (0, 0)) {
            let around = self.borders.iter().map(|(low, high)| (*low as i64, *high));
            let amounts: Vec<(i64, i64)> = std::iter::repeat_n((0, 0), lead).chain(around).collect();
            out = out.pad_dims(&amounts, Scalar::Float(border).cast(x.dtype()));
        }
        for (d, (size, step)) in self.kernel.iter().zip(&self.stride).enumerate() {
            out = out.unfold_dim(lead + d, *size, *step);
        }
        out
    }
}

/// How much further than the first window of size `k` the last one may begin, where `n` elements have `more` behind them.
pub(super) fn reach(n: usize, more: i64, k: usize) -> Option<usize> {
    n.checked_add_signed(isize::try_from(more).ok()?)?.checked_sub(k)
}

/// A shape with `spatial` last dims and one or two in front of them, in which there are more or none.
pub(super) fn merged(shape: &Shape, spatial: usize) -> Shape {
    let sizes = shape.sizes();
    let (lead, rest) = sizes.split_at(sizes.len() - spatial);
    let lead = match lead {
        [] => vec![1],
        [_] | [_, _] => lead.to_vec(),
        [batch @ .., channels] => vec![batch.iter().product(), *channels],
    };
    lead.iter().chain(rest).copied().collect::<Vec<_>>().as_slice().into()
}

/// The name for three dims or for two.
pub(super) fn three(three_d: bool, two: &'static str, three: &'static str) -> &'static str {
    if three_d { three } else { two }
}

/// So many integers of an attribute; one stands for all. `None` for an empty list.
pub(super) fn integers(a: &Attr, n: usize) -> Option<Vec<i64>> {
    let one = |a: &Attr| if let Attr::Scalar(Scalar::Int(i)) = a { Some(*i) } else { None };
    match a {
        Attr::List(all) => match all.as_slice() {
            [] => None,
            [same] => Some(vec![one(same)?; n]),
            all => all.iter().map(one).collect(),
        },
        a => Some(vec![one(a)?; n]),
    }
}

/// The largest image whose places are exact in single precision, with room for a factor.
const MAX_SIZE: usize = 1 << 20;

/// Whether PyTorch finds each of so many times repeated pixels: it multiplies places by the inverse in single precision,
/// which must not be too small.
fn found_again(times: usize) -> bool {
    f64::from((times as f32).recip()) * times as f64 >= 1.0
}

/// How often each pixel of an image of size `small` stands in one of size `large`, if PyTorch finds it there.
fn repeats(large: &Shape, small: &Shape) -> Option<[usize; 2]> {
    if large.rank() != 4 || small.rank() != 4 || large.dims()[..2] != small.dims()[..2] {
        return None;
    }
    let times = |d: usize| {
        let (large, n) = (large[d].get(), small[d].get());
        (n > 0 && large.is_multiple_of(n)).then(|| large / n).filter(|times| found_again(*times) && large <= MAX_SIZE)
    };
    Some([times(2)?, times(3)?])
}

/// The shape of an image of size `small` with dims of their own for repeated pixels.
fn split(small: &Shape, [down, right]: [usize; 2]) -> [Dim; 6] {
    [small[0], small[1], small[2], Dim::new(down), small[3], Dim::new(right)]
}

/// Each pixel of an image as a window of its own.
fn repeated(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let wide = e.as_view(v)?;
    let spread = e.as_expand(wide)?;
    let x = e.as_view(spread)?;
    let (out, small) = (e.shape(v), e.shape(x));
    let repeats = repeats(out, small)?;
    if *e.shape(wide).dims() != split(small, repeats) || *e.shape(spread).dims() != split(small, [1, 1]) {
        return None;
    }
    Found::new(
        "aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        [("output_size", sizes(&[out[2].get(), out[3].get()]))],
        [x],
    )
}

/// The sum of each of these windows.
fn repeated_back(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, wide) = e.as_sum(v)?;
    let g = e.as_view(wide)?;
    let (large, small) = (e.shape(g), e.shape(v));
    if dims != [3, 5] || *e.shape(wide).dims() != split(small, repeats(large, small)?) || !e.dtype(v).is_float() {
        return None;
    }
    Found::new(
        "aten::upsample_nearest2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        [("output_size", sizes(&[large[2].get(), large[3].get()])), ("input_size", sizes(&small.sizes()))],
        [g],
    )
}
