//! Windows that tile an image: their sums, and pixels that are repeated to fill them.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::{Found, Raising, number, sizes};
use crate::ir::{Dim, Shape, Value};
use crate::ops::{Op, Unfold};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: pooled },
    Raising { class: Class::Exact, find: repeated },
    Raising { class: Class::Rounding, find: repeated_back },
];

/// The windows of `v` along a dim, which follows the others in `v`: their size, their distance, and of what they are.
pub(super) fn windows(e: &Editor, v: Value, dimension: usize) -> Option<(usize, usize, Value)> {
    match e.def_op(v)? {
        (Op::Unfold(u @ Unfold { .. }), at) if u.dimension == dimension => Some((u.size, u.step, e.arg(at, 0))),
        _ => None,
    }
}

/// The sum of the windows of an image: an average that is divided by 1.
fn pooled(e: &Editor, id: NodeId) -> Option<Found> {
    let (dims, columns) = e.as_sum(e.results(id)[0])?;
    let (width, right, rows) = windows(e, columns, 3)?;
    let (height, down, x) = windows(e, rows, 2)?;
    if dims != [4, 5] || e.shape(x).rank() != 4 || !e.dtype(x).is_float() {
        return None;
    }
    let params = [
        ("kernel_size", sizes(&[height, width])),
        ("stride", sizes(&[down, right])),
        ("padding", sizes(&[0, 0])),
        ("ceil_mode", number(false)),
        ("count_include_pad", number(true)),
        ("divisor_override", number(1i64)),
    ];
    Found::new(
        "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor",
        params,
        [x],
    )
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
