//! Maxima of windows of images, as derivatives and batches leave them: PyTorch's operator gives them with their places, by which
//! derivatives and tangents go.

use super::super::edit::{Editor, NodeId};
use super::pullback::{Pullback, Standing, traced};
use super::window::{Image, integers, three};
use super::{call, number, sizes};
use crate::array::Array;
use crate::ir::{Shape, Value};
use crate::ops::{Argmax, Gather, Op, ScatterAdd};
use crate::tensor::Tensor;

/// Lets calls stand for maxima of windows, and for their derivatives and tangents by these places; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if e.is_alive(id) {
            taken |= pooled(e, id).is_some();
        }
    }
    taken
}

/// More nodes than one use of the places takes: all that stood for them dies with the last use.
const ROOM: usize = 8;

fn pooled(e: &mut Editor, id: NodeId) -> Option<()> {
    let Op::Argmax(Argmax { dim }) = e.op(id) else { return None };
    let (flat, at, out) = (e.arg(id, 0), e.results(id)[0], e.out(id).shape);
    let image = Image::of_windows(e, e.as_view(flat)?, out.rank(), f64::NEG_INFINITY)?;
    let windows = out.concat(&[image.kernel.iter().product::<usize>()].into());
    if *dim != out.rank() || *e.shape(flat) != windows || out.numel() == 0 {
        return None;
    }
    let pool = Pool { flat, at, image };
    let f = traced(&[e.aval(pool.image.x).clone()], |a| vec![pool.maxima(&a[0]).0]).ok()?;
    let by_x = Pullback::new(&f, 0)?;
    let standing = by_x.standing(e, &[pool.image.x]);
    let uses = pool.uses(e, standing.len())?;
    for s in standing {
        derivative(e, &pool, &by_x, s);
    }
    for (gather, image) in uses {
        taken(e, &pool, gather, image);
    }
    Some(())
}

/// The maxima of the windows of an image.
struct Pool {
    /// The windows, each as a row.
    flat: Value,
    /// The places of the maxima in their windows.
    at: Value,
    image: Image,
}

impl Pool {
    /// What takes an element of each window by its place: the maxima, and the tangents of images that are seen through the same windows.
    ///
    /// `None` if anything else takes the places but so many derivatives.
    fn uses(&self, e: &Editor, derivatives: usize) -> Option<Vec<(NodeId, Option<Image>)>> {
        let (mut out, mut back) = (Vec::new(), 0);
        let all = |v: Value| e.users(v).count() == e.count(v) as usize;
        if !all(self.at) {
            return None;
        }
        let dim = e.shape(self.at).rank();
        for user in e.users(self.at) {
            let &[places] = e.results(user) else { return None };
            let column = e.shape(self.at).concat(&[1].into());
            if !matches!(e.op(user), Op::View(_)) || *e.shape(places) != column || !all(places) {
                return None;
            }
            for user in e.users(places) {
                match e.op(user) {
                    Op::Gather(Gather { dim: along }) if *along == dim && e.arg(user, 1) == places => {
                        out.push((user, self.tangent(e, e.arg(user, 0))?));
                    }
                    Op::ScatterAdd(ScatterAdd { dim: along }) if *along == dim => back += 1,
                    _ => return None,
                }
            }
        }
        (back == derivatives && back + out.len() > 0).then_some(out)
    }

    /// The image that `rows` are the windows of; none if they are those of the maxima.
    fn tangent(&self, e: &Editor, rows: Value) -> Option<Option<Image>> {
        if rows == self.flat {
            return Some(None);
        }
        let split = e.as_view(rows).filter(|_| e.shape(rows) == e.shape(self.flat))?;
        let other = Image::of_windows(e, split, e.shape(self.at).rank(), 0.0)?;
        self.image.is_seen_as(&other).then_some(Some(other))
    }

    /// The maxima and their places in the windows, by the operations of the graph.
    fn maxima(&self, x: &Tensor) -> (Tensor, Tensor) {
        let split = self.image.windows(x, f64::NEG_INFINITY);
        let rank = x.rank();
        let out = split.shape().slice(0, rank);
        let flat = split.view_to(&out.concat(&[self.image.kernel.iter().product::<usize>()].into()));
        let at = flat.argmax_along(rank);
        let values = flat.gather_along(rank, &at.view_to(&out.concat(&[1].into()))).view_to(&out);
        (values, at)
    }

    /// The places in an image like `x`, row by row.
    fn places(&self, x: &Tensor, at: &Tensor) -> Tensor {
        let (out, spatial) = (at.shape().clone(), self.image.kernel.len());
        let (lead, whole) = (out.rank() - spatial, x.shape().sizes());
        let flat = at.view_to(&[at.numel()].into());
        let table = |shape: Shape, values: Vec<i64>| Tensor::from_array(Array::new(shape, values));
        let mut sum: Option<Tensor> = None;
        for d in 0..spatial {
            let inner: usize = self.image.kernel[d + 1..].iter().product();
            let steps = (0..self.image.kernel.iter().product()).map(|i| ((i / inner) % self.image.kernel[d]) as i64);
            let n = out[lead + d].get();
            let corners = (0..n).map(|i| (i * self.image.stride[d]) as i64 - self.image.borders[d].0 as i64);
            let column: Vec<usize> = (0..spatial).map(|i| if i == d { n } else { 1 }).collect();
            let corners = table(column.as_slice().into(), corners.collect()).expand_to(&out);
            let steps = table([self.image.kernel.iter().product::<usize>()].into(), steps.collect());
            // Where all of a window is -inf, the border comes first; PyTorch begins inside.
            let place = (steps.index_select_along(0, &flat).view_to(&out) + corners).maximum(0);
            let width: usize = whole[lead + d + 1..].iter().product();
            let place = place * width as i64;
            sum = Some(match sum {
                Some(sum) => sum + place,
                None => place,
            });
        }
        sum.expect("an image has dims")
    }

    /// The maxima of the image in the form that PyTorch takes, and their places: those of a call that stands, or of another one.
    fn forward(&self, e: &mut Editor) -> Option<[Value; 2]> {
        let (padding, ceil_mode) = self.image.form(e)?;
        let three_d = self.image.kernel.len() == 3;
        let x = self.image.merged(e)?;
        let params = [
            ("kernel_size", sizes(&self.image.kernel)),
            ("stride", sizes(&self.image.stride)),
            ("padding", sizes(&padding)),
            ("dilation", sizes(&vec![1; padding.len()])),
            ("ceil_mode", number(ceil_mode)),
        ];
        let named = three(three_d, "max_pool2d_with_indices", "max_pool3d_with_indices");
        let same = |user: &NodeId| match e.op(*user) {
            Op::Call(op) => {
                let given = |name: &str| op.param(name).map(|a| integers(a, padding.len()));
                let stride = given("stride").flatten().or_else(|| given("kernel_size").flatten());
                op.function() == named
                    && e.args(*user) == [x]
                    && e.results(*user).len() == 2
                    && given("kernel_size").flatten() == integers(&params[0].1, padding.len())
                    && stride == integers(&params[1].1, padding.len())
                    && given("padding").is_none_or(|p| p == integers(&params[2].1, padding.len()))
                    && given("dilation").is_none_or(|p| p == integers(&params[3].1, padding.len()))
                    && op.param("ceil_mode").is_none_or(|c| *c == params[4].1)
            }
            _ => false,
        };
        let standing = e.users(x).find(same);
        let first = match standing {
            Some(call) => e.results(call)[0],
            None => {
                let body = traced(&[e.aval(x).clone()], |a| {
                    let (values, at) = self.maxima(&a[0]);
                    vec![values, self.places(&a[0], &at)]
                });
                e.emit(call(three(three_d, MAX_2D, MAX_3D), params, body.ok()?), &[x])?
            }
        };
        let &[values, places] = e.results(e.def(first)?) else { return None };
        Some([values, places])
    }
}

const MAX_2D: &str = "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)";
const MAX_3D: &str = "aten::max_pool3d_with_indices(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)";
const BACK_2D: &str = "aten::max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor";
const BACK_3D: &str = "aten::max_pool3d_with_indices_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, int[3] dilation, bool ceil_mode, Tensor indices) -> Tensor";

/// The cotangent of the image.
fn derivative(e: &mut Editor, pool: &Pool, by_x: &Pullback, standing: Standing) -> Option<()> {
    e.begin(e.def(standing.x_bar.value)?);
    let made = |e: &mut Editor| {
        let y_bar = by_x.cotangent(e, standing.seen)?;
        let [values, places] = pool.forward(e)?;
        let (padding, ceil_mode) = pool.image.form(e)?;
        let (x, out) = (pool.image.merged(e)?, e.shape(values).clone());
        let args = [e.view(y_bar, &out)?, x, places];
        let body = traced(&args.map(|v| e.aval(v).clone()), |a| {
            let shape = e.shape(pool.image.x);
            let y_bar = a[0].view_to(&e.shape(y_bar).clone());
            vec![by_x.replay(&[a[1].view_to(shape)], &y_bar).view_to(&a[1].shape().clone())]
        });
        let params = [
            ("kernel_size", sizes(&pool.image.kernel)),
            ("stride", sizes(&pool.image.stride)),
            ("padding", sizes(&padding)),
            ("dilation", sizes(&vec![1; padding.len()])),
            ("ceil_mode", number(ceil_mode)),
        ];
        let x_bar = e.emit(call(three(padding.len() == 3, BACK_2D, BACK_3D), params, body.ok()?), &args)?;
        let x_bar = e.view(x_bar, &e.shape(pool.image.x).clone())?;
        standing.x_bar.seen(e, x_bar)
    };
    finish(e, made)
}

/// The maxima, or the elements of the image of a tangent at their places.
fn taken(e: &mut Editor, pool: &Pool, gather: NodeId, tangent: Option<Image>) -> Option<()> {
    let shape = e.out(gather).shape;
    e.begin(gather);
    let made = |e: &mut Editor| {
        let [values, places] = pool.forward(e)?;
        let Some(image) = tangent else { return e.view(values, &shape) };
        let (seen, out) = (e.shape(values).clone(), e.shape(pool.image.x));
        let lead = seen.slice(0, seen.rank() - pool.image.kernel.len());
        let pixels: usize = out.sizes()[out.rank() - pool.image.kernel.len()..].iter().product();
        let rows = e.view(image.x, &lead.concat(&[pixels].into()))?;
        let windows: usize = seen.sizes()[lead.rank()..].iter().product();
        let index = e.view(places, &lead.concat(&[windows].into()))?;
        let found = e.emit(Gather { dim: lead.rank() }, &[rows, index])?;
        e.view(found, &shape)
    };
    finish(e, made)
}

/// Ends the attempt with what `made` gives.
fn finish(e: &mut Editor, made: impl FnOnce(&mut Editor) -> Option<Value>) -> Option<()> {
    match made(e) {
        Some(v) => e.commit(v, ROOM).then_some(()),
        None => {
            e.rollback();
            None
        }
    }
}
