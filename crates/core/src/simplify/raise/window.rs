//! Windows that tile an image: their sums, and pixels that are repeated to fill them.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::{Found, Raising, number, sizes};
use crate::ir::{Dim, Value};
use crate::ops::{Op, Unfold};

pub(super) static RULES: &[Raising] =
    &[Raising { class: Class::Rounding, find: pooled }, Raising { class: Class::Exact, find: repeated }];

/// The windows of `v` along a dim, which follows the others in `v`: their size, their distance, and of what they are.
fn windows(e: &Editor, v: Value, dimension: usize) -> Option<(usize, usize, Value)> {
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

/// Each pixel of an image as a window of its own.
fn repeated(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let wide = e.as_view(v)?;
    let spread = e.as_expand(wide)?;
    let x = e.as_view(spread)?;
    let (out, small) = (e.shape(v), e.shape(x));
    if out.rank() != 4 || small.rank() != 4 || out.dims()[..2] != small.dims()[..2] {
        return None;
    }
    let times = |d: usize| {
        let (large, n) = (out[d].get(), small[d].get());
        (n > 0 && large % n == 0).then(|| large / n)
    };
    let repeats = [times(2)?, times(3)?];
    if !repeats.into_iter().all(found_again) || out[2].get().max(out[3].get()) > MAX_SIZE {
        return None;
    }
    let with = |h: usize, w: usize| [small[0], small[1], small[2], Dim::new(h), small[3], Dim::new(w)];
    if *e.shape(wide).dims() != with(repeats[0], repeats[1]) || *e.shape(spread).dims() != with(1, 1) {
        return None;
    }
    Found::new(
        "aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
        [("output_size", sizes(&[out[2].get(), out[3].get()]))],
        [x],
    )
}
