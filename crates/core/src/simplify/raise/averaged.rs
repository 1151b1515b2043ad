//! Averages of the windows of images where no call names them: in batches, and the derivatives of averages of whose values nothing is
//! needed.

use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::index::known;
use super::pullback::{follows, traced};
use super::rearrange::spread;
use super::term::close;
use super::window::{Image, merged, reach, three};
use super::{call, number, sizes};
use crate::array::Array;
use crate::ir::{Attr, Scalar, Shape, Value};
use crate::ops::{Binary, Op, Pad, UnfoldBackward};
use crate::tensor::Tensor;

/// Lets calls stand for these; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if e.is_alive(id) && e.results(id).len() == 1 {
            taken |= averages(e, id).or_else(|| derivative(e, id)).or_else(|| tiled(e, id)).is_some();
        }
    }
    taken
}

/// What the sums of windows are divided by.
#[derive(Clone)]
enum Divisor {
    /// Nothing.
    One,
    /// A number, or multiplied by one.
    Number(Binary, Scalar),
    /// A number for each window.
    Each(Array),
}

/// The most nodes that compute numbers for each window.
const MAX_COUNTS: usize = 16;

impl Divisor {
    /// `v = x / c`, or times a number: `(x, c)`.
    fn of(e: &Editor, v: Value) -> Option<(Value, Divisor)> {
        if let Some((x, c)) = e.as_scaled(v) {
            return Some((x, Divisor::Number(Binary::Mul, c)));
        }
        let (x, by) = e.as_binary(v, Binary::Div)?;
        if let Some(c) = e.as_full(by) {
            return Some((x, Divisor::Number(Binary::Div, c)));
        }
        let counts = known(e, e.as_expand(by).unwrap_or(by), MAX_COUNTS)?;
        Some((x, Divisor::Each(counts.as_ref().clone())))
    }

    fn apply(&self, x: &Tensor) -> Tensor {
        match self {
            Divisor::One => x.clone(),
            Divisor::Number(op, c) => x.binary(*op, &x.full_like(*c)),
            Divisor::Each(counts) => {
                let counts = Tensor::from_array(counts.clone());
                let rank = x.rank().min(counts.rank());
                let own = counts.shape().slice(counts.rank() - rank, counts.rank());
                x.binary(Binary::Div, &counts.view_to(&own).expand_to(x.shape()))
            }
        }
    }

    /// `count_include_pad` and `divisor_override` by which PyTorch divides the windows of `image` so.
    fn form(&self, e: &Editor, image: &Image, ceil_mode: bool) -> Option<(bool, Attr)> {
        match self {
            Divisor::One => Some((true, number(1i64))),
            Divisor::Number(op, c) => {
                let by = if *op == Binary::Mul { c.to_f64().recip() } else { c.to_f64() };
                let all = image.kernel.iter().product::<usize>() as f64;
                if !ceil_mode && close(by, all) {
                    return Some((true, Attr::None));
                }
                (close(by, by.round()) && by.round() >= 1.0).then(|| (true, number(by.round() as i64)))
            }
            Divisor::Each(counts) => {
                let (found, inside) = (counts.to_f64_vec(), self.inside(e, image));
                let (shape, spatial) = (counts.shape().sizes(), image.kernel.len());
                let lead = shape.len().checked_sub(spatial)?;
                let same = shape[..lead].iter().all(|n| *n == 1) && found == inside;
                same.then_some((false, Attr::None))
            }
        }
    }

    /// How much of each window is inside the image.
    fn inside(&self, e: &Editor, image: &Image) -> Vec<f64> {
        let x = e.shape(image.x).sizes();
        let along = |(d, n): (usize, &usize)| {
            let ((low, high), k, step) = (image.borders[d], image.kernel[d], image.stride[d]);
            let windows = reach(n + low, high, k).map_or(0, |room| room / step + 1);
            let covered = move |i: usize| (i * step + k).min(n + low).saturating_sub((i * step).max(low)) as f64;
            (0..windows).map(covered).collect::<Vec<_>>()
        };
        let each = x[x.len() - image.kernel.len()..].iter().enumerate().map(along);
        each.fold(vec![1.0], |all, next| all.iter().flat_map(|a| next.iter().map(move |b| a * b)).collect())
    }
}

/// The parameters of an average.
fn params(e: &Editor, image: &Image, divisor: &Divisor) -> Option<[(&'static str, Attr); 6]> {
    let (padding, ceil_mode) = image.form(e)?;
    let (count_include_pad, by) = divisor.form(e, image, ceil_mode)?;
    Some([
        ("kernel_size", sizes(&image.kernel)),
        ("stride", sizes(&image.stride)),
        ("padding", sizes(&padding)),
        ("ceil_mode", number(ceil_mode)),
        ("count_include_pad", number(count_include_pad)),
        ("divisor_override", by),
    ])
}

const AVG_2D: &str = "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor";
const AVG_3D: &str = "aten::avg_pool3d(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor";

/// Sums of windows, and what divides them.
fn averages(e: &mut Editor, id: NodeId) -> Option<()> {
    let sums = e.results(id)[0];
    let (dims, split) = e.as_sum(sums)?;
    let rank = e.shape(sums).rank();
    if !dims.iter().copied().eq(rank..e.shape(split).rank()) {
        return None;
    }
    let image = Image::of_windows(e, split, rank, 0.0)?;
    if dims.len() != image.kernel.len() {
        return None;
    }
    let divided = || {
        let user = e.users(sums).next().filter(|_| e.count(sums) == 1)?;
        let (x, divisor) = Divisor::of(e, *e.results(user).first()?)?;
        let params = params(e, &image, &divisor).filter(|_| x == sums)?;
        Some((user, divisor, params))
    };
    let (root, divisor, params) = match divided() {
        Some(found) => found,
        None => (id, Divisor::One, params(e, &image, &Divisor::One)?),
    };
    let out = e.out(root).shape;
    e.begin(root);
    let made = |e: &mut Editor| {
        let x = image.merged(e)?;
        let body = traced(&[e.aval(x).clone()], |a| {
            let split = image.windows(&a[0], 0.0);
            let windows: Vec<usize> = (a[0].rank()..split.rank()).collect();
            vec![divisor.apply(&split.sum_over(&windows))]
        });
        let y = e.emit(call(three(dims.len() == 3, AVG_2D, AVG_3D), params, body.ok()?), &[x])?;
        e.view(y, &out)
    };
    finish(e, made)
}

/// Ends the attempt with what `made` gives.
fn finish(e: &mut Editor, made: impl FnOnce(&mut Editor) -> Option<Value>) -> Option<()> {
    match made(e) {
        Some(v) => e.commit(v, 0).then_some(()),
        None => {
            e.rollback();
            None
        }
    }
}

const BACK_2D: &str = "aten::avg_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor";
const BACK_3D: &str = "aten::avg_pool3d_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor";

/// What is added up of windows that are the same everywhere inside, up to a border that goes.
struct Back {
    root: NodeId,
    /// The number of each window.
    each: Value,
    kernel: Vec<usize>,
    stride: Vec<usize>,
    padding: Vec<i64>,
    /// The shapes of the sums, first dim first, and of the image.
    whole: Vec<Shape>,
    image: Shape,
}

fn back(e: &Editor, id: NodeId) -> Option<Back> {
    let (mut v, mut kernel, mut stride, mut whole) = (e.results(id)[0], Vec::new(), Vec::new(), Vec::new());
    let rank = e.shape(v).rank();
    while let Some((Op::UnfoldBackward(u @ UnfoldBackward { .. }), at)) = e.def_op(v) {
        if whole.len() == 3 || u.input_sizes.rank() != rank + whole.len() {
            break;
        }
        kernel.push(u.size);
        stride.push(u.step);
        whole.push(u.input_sizes.clone());
        v = e.arg(at, 0);
    }
    let spatial = kernel.len();
    let first = rank.checked_sub(spatial).filter(|_| spatial > 1)?;
    // Each along its own dim, the last dims in order.
    let mut inner = e.results(id)[0];
    for d in first..rank {
        let (Op::UnfoldBackward(u), at) = e.def_op(inner)? else { return None };
        if u.dim != d {
            return None;
        }
        inner = e.arg(at, 0);
    }
    let column = e.as_view(e.as_expand(v)?).filter(|x| e.shape(*x).rank() == rank)?;
    let spread = e.as_expand(v)?;
    let expected = e.shape(column).concat(&vec![1; spatial].as_slice().into());
    if *e.shape(spread) != expected || !e.dtype(v).is_float() {
        return None;
    }
    let (sums, image) = (e.results(id)[0], e.out(id).shape);
    let cropped = || {
        let user = e.users(sums).next().filter(|_| e.count(sums) == 1)?;
        let Op::Pad(pad @ Pad { .. }) = e.op(user) else { return None };
        let amounts = pad.amounts(rank);
        let inside = amounts[..first].iter().all(|a| *a == (0, 0))
            && amounts.iter().all(|(low, _)| *low <= 0)
            && pad.value.to_f64() == 0.0;
        inside.then(|| (user, amounts[first..].iter().map(|(low, _)| -low).collect::<Vec<_>>()))
    };
    let (root, padding, image) = match cropped() {
        Some((user, padding)) => (user, padding, e.out(user).shape),
        None => (id, vec![0; spatial], image),
    };
    Some(Back { root, each: column, kernel, stride, padding, whole, image })
}

fn derivative(e: &mut Editor, id: NodeId) -> Option<()> {
    let Op::UnfoldBackward(_) = e.op(id) else { return None };
    let b = back(e, id)?;
    let spatial = b.kernel.len();
    // The image, of which only the shape is asked for: any operand of that shape will do.
    let alike = e.params.iter().copied().find(|p| *e.shape(*p) == b.image && e.dtype(*p) == e.dtype(b.each));
    let aval = e.aval(b.each).with_shape(&b.image);
    let borders = |d: usize| {
        let low = b.padding[d] as usize;
        let first = b.image.rank() - spatial;
        let covered = (e.shape(b.each)[first + d].get().checked_sub(1)?) * b.stride[d] + b.kernel[d];
        Some((low, covered as i64 - (b.image[first + d].get() + low) as i64))
    };
    let borders = (0..spatial).map(borders).collect::<Option<Vec<_>>>()?;
    e.begin(b.root);
    let made = |e: &mut Editor| {
        let x = match alike {
            Some(x) => x,
            None => e.full(&aval, 0.0)?,
        };
        let image = Image { x, kernel: b.kernel.clone(), stride: b.stride.clone(), borders };
        let divided = Divisor::of(e, b.each).and_then(|(g, by)| Some((g, params(e, &image, &by)?, by)));
        let (g, params, divisor) = match divided {
            Some(found) => found,
            None => (b.each, params(e, &image, &Divisor::One)?, Divisor::One),
        };
        let result = e.results(b.root)[0];
        if !follows(e, result, &[g]) {
            return None;
        }
        let (g, x) = (e.view(g, &merged(&e.shape(g).clone(), spatial))?, image.merged(e)?);
        let body = traced(&[e.aval(g).clone(), e.aval(x).clone()], |a| {
            let out = e.shape(b.each);
            let each = divisor.apply(&a[0].view_to(out));
            let mut sums = each.view_to(&out.concat(&vec![1; spatial].as_slice().into()));
            sums = sums.expand_to(&out.concat(&b.kernel.as_slice().into()));
            for d in (0..spatial).rev() {
                sums = sums.fold_dim(&b.whole[d], out.rank() - spatial + d, b.kernel[d], b.stride[d]);
            }
            let last = b.whole[0].sizes();
            let rest = (0..out.rank()).map(|d| {
                let first = out.rank() - spatial;
                let low = if d < first { 0 } else { b.padding[d - first] };
                (-low, b.image[d].get() as i64 - (last[d] as i64 - low))
            });
            let amounts: Vec<(i64, i64)> = rest.collect();
            if amounts.iter().any(|a| *a != (0, 0)) {
                sums = sums.pad_dims(&amounts, Scalar::Float(0.0).cast(sums.dtype()));
            }
            vec![sums.view_to(a[1].shape())]
        });
        let y = e.emit(call(three(spatial == 3, BACK_2D, BACK_3D), params, body.ok()?), &[g, x])?;
        e.view(y, &b.image)
    };
    finish(e, made)
}

/// The derivative of averages of windows that tile an image: each is repeated over its window.
fn tiled(e: &mut Editor, id: NodeId) -> Option<()> {
    let v = e.results(id)[0];
    let wide = e.as_view(v)?;
    let column = e.as_expand(wide)?;
    let each = e.as_view(column)?;
    let (image, small, rank) = (e.shape(v).clone(), e.shape(each).clone(), e.shape(v).rank());
    if rank < 3 || small.rank() != rank || !e.dtype(v).is_float() || image.numel() == 0 {
        return None;
    }
    let spatial = (rank - 2).clamp(2, 3);
    let first = rank - spatial;
    let tiles =
        (first..rank).map(|d| image[d].get().is_multiple_of(small[d].get()).then(|| image[d].get() / small[d].get()));
    let kernel = tiles.collect::<Option<Vec<_>>>()?;
    let from = aligned(e.shape(column), e.shape(wide)).sizes();
    let found = spread(e.shape(wide).sizes().iter().zip(&from).map(|(n, one)| (*n, n != one)));
    let lead = (0..first).map(|d| (small[d].get(), false));
    let windows = (first..rank).flat_map(|d| [(small[d].get(), false), (kernel[d - first], true)]);
    if image.slice(0, first) != small.slice(0, first) || found != spread(lead.chain(windows)) {
        return None;
    }
    let alike = e.params.iter().copied().find(|p| *e.shape(*p) == image && e.dtype(*p) == e.dtype(v));
    let x = alike?;
    let (g, divisor) = Divisor::of(e, each)?;
    let seen = Image { x, stride: kernel.clone(), borders: vec![(0, 0); spatial], kernel };
    let params = params(e, &seen, &divisor).filter(|p| p[5].1 == Attr::None && p[4].1 == number(true))?;
    let (wide, column) = (e.shape(wide).clone(), e.shape(column).clone());
    e.begin(id);
    let made = |e: &mut Editor| {
        let (g, x) = (e.view(g, &merged(&small, spatial))?, seen.merged(e)?);
        let body = traced(&[e.aval(g).clone(), e.aval(x).clone()], |a| {
            let each = divisor.apply(&a[0].view_to(&small));
            vec![each.view_to(&column).expand_to(&wide).view_to(a[1].shape())]
        });
        let y = e.emit(call(three(spatial == 3, BACK_2D, BACK_3D), params, body.ok()?), &[g, x])?;
        e.view(y, &image)
    };
    finish(e, made)
}
