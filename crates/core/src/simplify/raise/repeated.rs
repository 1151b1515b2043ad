//! Images of which places are repeated by an index: borders that mirror or continue what is inside, and nearest neighbours.
//!
//! An exporter takes these operators apart to an index for each dim; the index is computed here to see what it does.

use super::super::edit::{Editor, NodeId};
use super::index::known;
use super::pullback::traced;
use super::window::merged;
use super::{call, sizes};
use crate::array::Array;
use crate::ir::{Attr, Shape, Value};
use crate::ops::{IndexAdd, IndexSelect, Op};
use crate::tensor::Tensor;

/// Lets calls stand for these; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut taken = false;
    for id in (0..e.num_nodes()).rev() {
        if e.is_alive(id) {
            taken |= repeated(e, id).is_some();
        }
    }
    taken
}

/// How places repeat.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// What is inside is mirrored at its first and last place.
    Mirrored,
    /// The first and the last place go on.
    Continued,
    /// Each stands for its neighbours.
    Nearest,
}

const ALL: [How; 3] = [How::Mirrored, How::Continued, How::Nearest];

impl How {
    /// The borders before and behind `n` places, if `places` repeat them so.
    fn borders(self, places: &[usize], n: usize) -> Option<(usize, usize)> {
        let more = places.len().checked_sub(n).filter(|more| *more > 0 && n > 0)?;
        let all = |at: &dyn Fn(usize) -> usize| places.iter().enumerate().all(|(j, p)| *p == at(j));
        match self {
            How::Mirrored => {
                let low = *places.first()?;
                let high = more.checked_sub(low)?;
                let at = |j: usize| {
                    let i = j.abs_diff(low);
                    if i < n { i } else { 2 * (n - 1) - i }
                };
                (low < n && high < n && all(&at)).then_some((low, high))
            }
            How::Continued => {
                let low = places.iter().take_while(|p| **p == 0).count().checked_sub(1)?;
                let high = more.checked_sub(low)?;
                all(&|j| j.saturating_sub(low).min(n - 1)).then_some((low, high))
            }
            How::Nearest => {
                // PyTorch multiplies places in single precision, which must not matter.
                let wide = n as f64 / places.len() as f64;
                let scale = n as f32 / places.len() as f32;
                let exact = all(&|j| ((j as f64 * wide) as usize).min(n - 1));
                (exact && all(&|j| ((j as f32 * scale) as usize).min(n - 1))).then_some((0, more))
            }
        }
    }
}

/// A chain of indices, each along a dim of its own, from the outermost one.
struct Chain {
    x: Value,
    steps: Vec<(usize, Array)>,
    /// Whether elements are added to zeros at the places.
    backward: bool,
}

/// The most nodes that compute an index.
const MAX_NODES: usize = 1024;

fn chain(e: &Editor, id: NodeId) -> Option<Chain> {
    let backward = matches!(e.op(id), Op::IndexAdd(_));
    let (mut v, mut steps) = (e.results(id)[0], Vec::<(usize, Array)>::new());
    while let Some((op, at)) = e.def_op(v) {
        let (dim, next) = match op {
            Op::IndexSelect(IndexSelect { dim }) if !backward => (*dim, e.arg(at, 0)),
            Op::Call(op) if !backward && op.function() == "index.Tensor" && e.args(at).len() == 2 => {
                let Some(dim) = only(op.param("indices")) else { break };
                (dim, e.arg(at, 0))
            }
            Op::IndexAdd(IndexAdd { dim }) if backward && e.is_zero(e.arg(at, 0)) => (*dim, e.arg(at, 2)),
            _ => break,
        };
        // What else takes the inner ones has them anyway.
        if steps.iter().any(|(d, _)| *d == dim) || (!steps.is_empty() && e.count(v) > 1) {
            break;
        }
        let Some(places) = known(e, e.arg(at, 1), MAX_NODES).filter(|p| p.shape().rank() == 1) else { break };
        steps.push((dim, places.as_ref().clone()));
        v = next;
    }
    (!steps.is_empty() && e.dtype(v).is_float()).then_some(Chain { x: v, steps, backward })
}

/// The dim of the only index in a list that has none elsewhere.
fn only(indices: Option<&Attr>) -> Option<usize> {
    let Attr::List(all) = indices? else { return None };
    let mut there = (0..all.len()).filter(|i| all[*i] != Attr::None);
    there.next().filter(|_| there.next().is_none())
}

/// How all dims repeat, and the borders of the last `spatial` dims of an image `small`.
fn borders(small: &Shape, steps: &[(usize, Array)]) -> Option<(How, Vec<(usize, usize)>)> {
    ALL.into_iter().find_map(|how| {
        let mut out = vec![(0, 0); small.rank()];
        for (dim, places) in steps {
            let places = places.to_i64_vec().into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>().ok()?;
            out[*dim] = how.borders(&places, small[*dim].get())?;
        }
        Some((how, out))
    })
}

fn repeated(e: &mut Editor, id: NodeId) -> Option<()> {
    if !matches!(e.op(id), Op::IndexSelect(_) | Op::IndexAdd(_) | Op::Call(_)) {
        return None;
    }
    let Chain { x, steps, backward } = chain(e, id)?;
    let out = e.out(id).shape;
    let small = if backward { &out } else { e.shape(x) };
    let (rank, small) = (small.rank(), small.clone());
    let (how, borders) = borders(&small, &steps)?;
    let first = steps.iter().map(|(d, _)| *d).min()?;
    let least = rank - first;
    // With one or two dims in front of those that PyTorch pads; with two where it repeats.
    let fits = |spatial: &usize| {
        let lead = rank - spatial;
        lead == 2 || (lead == 1 && how != How::Nearest)
    };
    let spatial = (least..=3.min(rank)).find(fits).or_else(|| (least <= 3 && how != How::Nearest).then_some(least))?;
    let image = merged(&small, spatial);
    let alike = e.params.iter().copied().find(|p| *e.shape(*p) == small && e.dtype(*p) == e.dtype(x));
    let aval = e.aval(x).with_shape(&small);
    let large: Vec<usize> = (0..rank).map(|d| small[d].get() + borders[d].0 + borders[d].1).collect();
    let (schema, params) = named(how, backward, spatial, &borders[rank - spatial..], [&large, &image.sizes()]);
    let params: Vec<(&'static str, Attr)> = params.into_iter().map(|(name, list)| (name, sizes(&list))).collect();
    e.begin(id);
    let made = |e: &mut Editor| {
        let mut args = vec![e.view(x, &merged(&e.shape(x).clone(), spatial))?];
        if backward && how != How::Nearest {
            // Only its shape is asked for: any operand of that shape will do.
            let like = match alike {
                Some(p) => p,
                None => e.full(&aval, 0.0)?,
            };
            args.push(e.view(like, &image)?);
        }
        let avals: Vec<_> = args.iter().map(|v| e.aval(*v).clone()).collect();
        let body = traced(&avals, |a| {
            let place = |dim: usize| dim + image.rank() - rank;
            let mut y = a[0].clone();
            for (dim, places) in steps.iter().rev() {
                let index = Tensor::from_array(places.clone());
                y = if backward {
                    let shape = y.shape().with(place(*dim), small[*dim]);
                    y.full_of(&y.aval().with_shape(&shape), 0.0).index_add_along(place(*dim), &index, &y)
                } else {
                    y.index_select_along(place(*dim), &index)
                };
            }
            vec![y]
        });
        let y = e.emit(call(schema, params, body.ok()?), &args)?;
        e.view(y, &out)
    };
    match made(e) {
        Some(v) => e.commit(v, 0).then_some(()),
        None => {
            e.rollback();
            None
        }
    }
}

/// The operator and its lists of integers, for sizes of the large and of the small image.
fn named(
    how: How,
    backward: bool,
    spatial: usize,
    borders: &[(usize, usize)],
    [large, small]: [&[usize]; 2],
) -> (&'static str, Vec<(&'static str, Vec<usize>)>) {
    let schema = match (how, backward) {
        (How::Mirrored, false) => MIRRORED[spatial - 1],
        (How::Mirrored, true) => MIRRORED_BACK[spatial - 1],
        (How::Continued, false) => CONTINUED[spatial - 1],
        (How::Continued, true) => CONTINUED_BACK[spatial - 1],
        (How::Nearest, false) => NEAREST[spatial - 1],
        (How::Nearest, true) => NEAREST_BACK[spatial - 1],
    };
    let params = match how {
        How::Mirrored | How::Continued => {
            vec![("padding", borders.iter().rev().flat_map(|(low, high)| [*low, *high]).collect())]
        }
        How::Nearest => {
            let output = ("output_size", large[large.len() - spatial..].to_vec());
            std::iter::once(output).chain(backward.then(|| ("input_size", small.to_vec()))).collect()
        }
    };
    (schema, params)
}

const MIRRORED: [&str; 3] = [
    "aten::reflection_pad1d(Tensor self, SymInt[2] padding) -> Tensor",
    "aten::reflection_pad2d(Tensor self, SymInt[4] padding) -> Tensor",
    "aten::reflection_pad3d(Tensor self, SymInt[6] padding) -> Tensor",
];
const MIRRORED_BACK: [&str; 3] = [
    "aten::reflection_pad1d_backward(Tensor grad_output, Tensor self, SymInt[2] padding) -> Tensor",
    "aten::reflection_pad2d_backward(Tensor grad_output, Tensor self, SymInt[4] padding) -> Tensor",
    "aten::reflection_pad3d_backward(Tensor grad_output, Tensor self, SymInt[6] padding) -> Tensor",
];
const CONTINUED: [&str; 3] = [
    "aten::replication_pad1d(Tensor self, SymInt[2] padding) -> Tensor",
    "aten::replication_pad2d(Tensor self, SymInt[4] padding) -> Tensor",
    "aten::replication_pad3d(Tensor self, SymInt[6] padding) -> Tensor",
];
const CONTINUED_BACK: [&str; 3] = [
    "aten::replication_pad1d_backward(Tensor grad_output, Tensor self, SymInt[2] padding) -> Tensor",
    "aten::replication_pad2d_backward(Tensor grad_output, Tensor self, SymInt[4] padding) -> Tensor",
    "aten::replication_pad3d_backward(Tensor grad_output, Tensor self, SymInt[6] padding) -> Tensor",
];
const NEAREST: [&str; 3] = [
    "aten::upsample_nearest1d(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor",
    "aten::upsample_nearest2d(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    "aten::upsample_nearest3d(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
];
const NEAREST_BACK: [&str; 3] = [
    "aten::upsample_nearest1d_backward(Tensor grad_output, SymInt[1] output_size, SymInt[3] input_size, float? scales=None) -> Tensor",
    "aten::upsample_nearest2d_backward(Tensor grad_output, SymInt[2] output_size, SymInt[4] input_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    "aten::upsample_nearest3d_backward(Tensor grad_output, SymInt[3] output_size, SymInt[5] input_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor",
];
