//! Indices that count from the end, and rotations.

use std::sync::Arc;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::reduce::kept_shape;
use super::{Found, Given, Made, Raising, Slot, number, sizes};
use crate::array::Array;
use crate::ir::{Attr, Aval, DType, Dim, Scalar, Shape, Value, Values};
use crate::ops::{
    Arange, Argmax, Argmin, Binary, Cat, Gather, IndexAdd, IndexSelect, Op, Scatter, ScatterAdd, Slice, View,
};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Exact, find: roll },
    Raising { class: Class::Finite, find: roll_back },
    Raising { class: Class::Exact, find: extreme },
    Raising { class: Class::Exact, find: stack },
    Raising { class: Class::Exact, find: stack_in_place },
    Raising { class: Class::Exact, find: index },
    Raising { class: Class::Rounding, find: index_put },
    Raising { class: Class::Rounding, find: elements },
    Raising { class: Class::Exact, find: put_number },
    Raising { class: Class::Finite, find: selected_back },
    Raising { class: Class::Exact, find: top },
    Raising { class: Class::Exact, find: range },
    Raising { class: Class::Exact, find: select },
    Raising { class: Class::Exact, find: select_back },
];

const STACK: &str = "aten::stack(Tensor[] tensors, int dim=0) -> Tensor";
pub(super) const INDEX: &str = "aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor";
pub(super) const INDEX_PUT: &str =
    "aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor";

/// `where(i < 0, i + n, i)`: the index `i`, which PyTorch wraps itself.
pub(super) fn unwrapped(e: &Editor, v: Value, n: usize) -> Option<Value> {
    let (p, moved, i) = e.as_where(v)?;
    let (j, zero) = e.as_binary(p, Binary::Lt)?;
    let (k, size) = e.as_binary(moved, Binary::Add)?;
    (i == j && i == k && e.is_full(zero, 0.0) && e.is_full(size, n as f64)).then_some(i)
}

/// As [`unwrapped`] of a vector of indices, which had another shape when it was made positive.
pub(super) fn unwrapped_vector(e: &Editor, v: Value, n: usize) -> Option<Value> {
    unwrapped(e, v, n).or_else(|| {
        let own = e.as_view(unwrapped(e, e.as_view(v)?, n)?)?;
        (e.shape(own) == e.shape(v)).then_some(own)
    })
}

/// One index at `dim`, none before it.
pub(super) fn at(dim: usize) -> Attr {
    Attr::List(std::iter::repeat_n(Attr::None, dim).chain([number(true)]).collect())
}

fn index(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::IndexSelect(IndexSelect { dim }) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    let i = unwrapped_vector(e, e.arg(id, 1), e.shape(x)[*dim].get())?;
    Found::new(INDEX, [("indices", at(*dim))], [x, i])
}

/// One number put at all places.
fn put_number(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Scatter(Scatter { dim }) = e.op(id) else { return None };
    let c = e.as_full(e.arg(id, 2)).filter(|c| !c.to_f64().is_nan())?;
    let schema = "aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor";
    Found::new(schema, [("dim", number(*dim as i64)), ("value", number(c))], [e.arg(id, 0), e.arg(id, 1)])
}

fn index_put(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::IndexAdd(IndexAdd { dim }) = e.op(id) else { return None };
    let (x, places, source) = (e.arg(id, 0), e.arg(id, 1), e.arg(id, 2));
    let whole = e.shape(x);
    let n = whole[*dim].get();
    let (i, source) = match unwrapped_vector(e, places, n) {
        Some(i) => (i, source),
        None => {
            // Of an index in any shape.
            let i = unwrapped(e, e.as_view(places)?, n)?;
            let shape = whole.slice(0, *dim).concat(e.shape(i)).concat(&whole.slice(dim + 1, whole.rank()));
            (i, e.as_view(source).filter(|s| *e.shape(*s) == shape)?)
        }
    };
    Found::new(INDEX_PUT, [("indices", at(*dim)), ("accumulate", number(true))], [x, i, source])
}

/// Elements at indices that count from the end, the same for all that stands behind an index: of a vector of indices, or
/// of one for each row of a batch in front.
fn elements(e: &Editor, id: NodeId) -> Option<Found> {
    let (dim, accumulate) = match e.op(id) {
        Op::Gather(Gather { dim }) => (*dim, None),
        Op::Scatter(Scatter { dim }) => (*dim, Some(false)),
        Op::ScatterAdd(ScatterAdd { dim }) => (*dim, Some(true)),
        _ => return None,
    };
    let (x, at_places) = (e.arg(id, 0), e.arg(id, 1));
    let (whole, places) = (e.shape(x), e.shape(at_places));
    let others = |d: &usize| *d != dim;
    if (0..whole.rank()).filter(others).any(|d| whole[d] != places[d]) {
        return None;
    }
    let wide = e.as_expand(at_places).unwrap_or(at_places);
    let wrapped = e.as_view(wide).unwrap_or(wide);
    let i = unwrapped(e, wrapped, whole[dim].get())?;
    // Where the dims of the indices stand, without those along which they are the same.
    let own = e.shape(i);
    let aligned = aligned(e.shape(wide), places);
    let behind = (dim + 1..whole.rank()).all(|d| aligned[d] == 1);
    let batched = dim == 1 && *own == [whole[0], places[1]].into_iter().collect::<Shape>();
    let alone = own.rank() == 1 && own[0] == places[dim] && (0..dim).all(|d| aligned[d] == 1);
    if !behind || aligned[dim] != places[dim] || !(alone || (batched && aligned[0] == whole[0])) {
        return None;
    }
    // R1: two nodes take the place of those that wrap the indices, if nothing else needs these.
    let (negative, moved, _) = e.as_where(wrapped)?;
    if !alone && [at_places, wide, wrapped, negative, moved].into_iter().any(|v| e.count(v) > 1) {
        return None;
    }
    let indices = if alone { at(dim) } else { Attr::List(vec![number(true), number(true)]) };
    let source = accumulate.map(|_| e.arg(id, 2));
    let (schema, accumulate) = match accumulate {
        None => (INDEX, None),
        Some(sum) => (INDEX_PUT, Some(("accumulate", number(sum)))),
    };
    let found =
        Found::new(schema, [("indices", indices)].into_iter().chain(accumulate), [x, i].into_iter().chain(source))?;
    let made = (!alone).then(|| (1, Made::Rows(whole[0].get()))).into_iter().collect();
    Some(Found { made, ..found })
}

/// One element of each row put into zeros: the derivative of the element at a place along a dim.
fn selected_back(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::ScatterAdd(ScatterAdd { dim }) = e.op(id) else { return None };
    let (zeros, places, g) = (e.arg(id, 0), e.arg(id, 1), e.arg(id, 2));
    let shape = e.shape(zeros);
    if !e.is_zero(zeros) || *e.shape(places) != kept_shape(shape, &[*dim]) {
        return None;
    }
    // Without the dim in both, if it was added to both.
    let short = |v: Value| e.as_view(v).filter(|x| *e.shape(*x) == shape.removed(*dim));
    let (g, places, keep) = match (short(g), short(places)) {
        (Some(g), Some(places)) => (g, places, false),
        (Some(_) | None, _) => (g, places, true),
    };
    Found::new(
        "aten::value_selecting_reduction_backward(Tensor grad, int dim, Tensor indices, SymInt[] sizes, bool keepdim) -> Tensor",
        [("dim", number(*dim as i64)), ("sizes", sizes(&shape.sizes())), ("keepdim", number(keep))],
        [g, places],
    )
}

/// The first of sorted elements, of whose places nothing is needed.
fn top(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Slice(Slice { dim, start: 0, end, step: 1 }) = e.op(id) else { return None };
    let (Op::Sort(sort), at) = e.def_op(e.arg(id, 0))? else { return None };
    let [values, places] = *e.results(at) else { return None };
    // What else asks for the sorted elements has them sorted anyway.
    if values != e.arg(id, 0) || sort.dim != *dim || e.count(places) > 0 || e.count(values) > 1 {
        return None;
    }
    let params = [("k", *end as i64), ("dim", *dim as i64)].map(|(name, n)| (name, number(n)));
    let order = [("largest", number(sort.descending)), ("sorted", number(true))];
    let found = Found::new(
        "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
        params.into_iter().chain(order),
        [e.arg(at, 0)],
    )?;
    let places = Aval::new(DType::I64, e.shape(e.results(id)[0]).clone());
    Some(Found { results: vec![Slot::Root, Slot::Nothing(places)], ..found })
}

/// The largest start of a range: all its numbers are exact in floats of single precision.
const MAX_START: f64 = 16_777_216.0;

/// `0, 1, …` and a whole number.
fn range(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (counted, start) = e.as_binary(v, Binary::Add)?;
    let Op::Arange(Arange { end, dtype }) = e.def_op(counted)?.0 else { return None };
    let start = e.as_full(start)?;
    let x = start.to_f64();
    let exact = x.fract() == 0.0 && x.abs() + end.get() as f64 <= MAX_START;
    if !exact || !(dtype.is_int() || [DType::F32, DType::F64].contains(dtype)) {
        return None;
    }
    let (start, end) = (x as i64, x as i64 + end.get() as i64);
    Found::new(
        "aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
        [("start", number(start)), ("end", number(end)), ("dtype", Attr::DType(*dtype))],
        [],
    )
}

/// The most elements of an index that is computed to see what it does.
const MAX_INDEX: usize = 4096;

/// The value of `v`, if few nodes compute it from nothing.
pub(super) fn known(e: &Editor, v: Value, nodes: usize) -> Option<Arc<Array>> {
    let id = e.def(v).filter(|_| nodes > 0 && e.shape(v).numel() <= MAX_INDEX)?;
    let args = e.args(id).iter().map(|a| known(e, *a, nodes / 2)).collect::<Option<Vec<_>>>()?;
    let refs: Vec<&Array> = args.iter().map(Arc::as_ref).collect();
    e.op(id).prim().eval(&refs).ok()?.into_iter().next().map(Arc::new)
}

/// By how many places the index `v` of `n` elements moves all of them.
fn rotation(e: &Editor, v: Value, n: usize) -> Option<usize> {
    let places: Vec<usize> = known(e, v, 16)?.to_i64_vec().into_iter().map(|i| i as usize).collect();
    let first = *places.first()?;
    let moved = places.len() == n && places.iter().enumerate().all(|(j, i)| *i == (j + first) % n);
    moved.then_some(first)
}

/// The tensor whose elements `v` has, the dim and the number of places further along it.
pub(super) fn turned(e: &Editor, v: Value) -> Option<(Value, usize, usize)> {
    let (op, at) = e.def_op(v)?;
    match op {
        // A selection of all places, each moved by the same number.
        Op::IndexSelect(IndexSelect { dim }) => {
            let x = e.arg(at, 0);
            Some((x, *dim, rotation(e, e.arg(at, 1), e.shape(x)[*dim].get())?))
        }
        // The end of a tensor before its beginning.
        Op::Cat(Cat { dim }) => {
            let [end, begin] = e.args(at) else { return None };
            let piece = |v: Value| match e.def_op(v)? {
                (Op::Slice(s), at) if s.dim == *dim && s.step == 1 => {
                    Some((s.start, e.shape(v)[*dim].get(), e.arg(at, 0)))
                }
                _ => None,
            };
            let ((start, _, x), (first, n, y)) = (piece(*end)?, piece(*begin)?);
            let whole = e.shape(x) == e.shape(v);
            (x == y && whole && first == 0 && n == start).then_some((x, *dim, n))
        }
        _ => None,
    }
}

/// As [`turned`] for an addition to zeros at all places, each moved by the same number.
pub(super) fn turned_back(e: &Editor, v: Value) -> Option<(Value, usize, usize)> {
    let (Op::IndexAdd(IndexAdd { dim }), at) = e.def_op(v)? else { return None };
    let n = e.shape(v)[*dim].get();
    let first = rotation(e, e.arg(at, 1), n)?;
    e.is_zero(e.arg(at, 0)).then(|| (e.arg(at, 2), *dim, (n - first) % n))
}

/// A way to find what a value is turned from: that, the dim, and the place that comes first.
type Turned = fn(&Editor, Value) -> Option<(Value, usize, usize)>;

/// A rotation along each of several dims, one inside the other.
fn rolled(e: &Editor, id: NodeId, turned: Turned) -> Option<Found> {
    let (mut x, dim, first) = turned(e, e.results(id)[0])?;
    let (mut dims, mut firsts) = (vec![dim], vec![first]);
    // PyTorch turns dims one after the other, so each counts once.
    while let Some((inner, dim, first)) = turned(e, x).filter(|(_, dim, _)| !dims.contains(dim)) {
        x = inner;
        dims.push(dim);
        firsts.push(first);
    }
    let shifts = dims.iter().zip(&firsts).map(|(dim, first)| {
        let n = e.shape(x)[*dim].get();
        (n - first) % n
    });
    let params = [("shifts", sizes(&shifts.collect::<Vec<_>>())), ("dims", sizes(&dims))];
    Found::new("aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor", params, [x])
}

fn roll(e: &Editor, id: NodeId) -> Option<Found> {
    rolled(e, id, turned)
}

fn roll_back(e: &Editor, id: NodeId) -> Option<Found> {
    rolled(e, id, turned_back)
}

/// The element at the place of the largest or smallest one of its row, whose dim stays or goes.
fn extreme(e: &Editor, id: NodeId) -> Option<Found> {
    let whole = e.results(id)[0];
    let short = e.as_view(whole).filter(|v| e.count(*v) == 1);
    let element = short.unwrap_or(whole);
    let (Op::Gather(Gather { dim }), from) = e.def_op(element)? else { return None };
    let (x, at) = (e.arg(from, 0), e.arg(from, 1));
    let place = e.as_view(at)?;
    let (found, schema) = match e.def_op(place)? {
        (Op::Argmax(Argmax { dim }), p) => (
            (*dim, e.arg(p, 0)),
            "aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
        ),
        (Op::Argmin(Argmin { dim }), p) => (
            (*dim, e.arg(p, 0)),
            "aten::min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",
        ),
        _ => return None,
    };
    if found != (*dim, x) || *e.shape(at) != kept_shape(e.shape(x), &[*dim]) {
        return None;
    }
    let keep = short.is_none();
    // The place is one statement more where something else needs it with its dim.
    if !keep && (*e.shape(whole) != *e.shape(place) || e.count(at) > 1) {
        return None;
    }
    let op = Found::new(schema, [("dim", number(*dim as i64)), ("keepdim", number(keep))], [x])?;
    Some(Found { results: vec![Slot::Root, Slot::Value(if keep { at } else { place })], ..op })
}

/// Tensors of one shape, one after the other along a dim of their own.
fn stack(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (Op::Cat(Cat { dim }), at) = e.def_op(e.as_view(v)?)? else { return None };
    let items = e.args(at);
    let one = e.shape(items[0]);
    let alike = items.iter().all(|x| e.shape(*x) == one) && *e.shape(v) == one.inserted(*dim, Dim::new(items.len()));
    if alike { Found::new(STACK, [("dim", number(*dim as i64))], items.iter().copied()) } else { None }
}

/// As [`stack`], where each tensor has got its dim first; one may be a number everywhere, and one a place of a larger tensor
/// that stands without its dim, too.
fn stack_in_place(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Cat(Cat { dim }) = e.op(id) else { return None };
    let short = e.out(id).shape.removed(*dim);
    let one = short.inserted(*dim, Dim::new(1));
    let (mut args, mut made, mut given, mut fewer) = (Values::new(), Vec::new(), None, false);
    for (i, v) in e.args(id).iter().enumerate() {
        // Nothing else needs it, but perhaps another place of the same.
        let alone = e.count(*v) as usize == e.args(id).iter().filter(|a| *a == v).count();
        let without = || {
            let view = e.equal_node(&View { shape: short.clone() }.into(), &[*v]).filter(|view| *view < id)?;
            Some(e.results(view)[0])
        };
        match (e.as_view(*v), e.as_full(*v), without()) {
            _ if *e.shape(*v) != one => return None,
            (Some(x), ..) if *e.shape(x) == short && alone => {
                args.push(x);
                fewer = true;
            }
            (None, Some(c), _) if made.is_empty() && e.count(*v) == 1 => {
                made.push((i, Made::Uniform(e.aval(*v).with_shape(&short), c.to_f64())));
            }
            (None, None, Some(x)) if given.is_none() => {
                args.push(x);
                given = Some((*v, Given::Seen(i)));
            }
            (Some(_) | None, ..) => return None,
        }
    }
    let found = Found::new(STACK, [("dim", number(*dim as i64))], args)?;
    (found.args.len() > 1 && fewer).then_some(Found { made, given, ..found })
}

/// One place of a dim, which goes.
fn select(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (Op::Slice(Slice { dim, start, end, .. }), at) = e.def_op(e.as_view(v)?)? else { return None };
    let x = e.arg(at, 0);
    if end - start != 1 || *e.shape(v) != e.shape(x).removed(*dim) {
        return None;
    }
    let params = [("dim", number(*dim as i64)), ("index", number(*start as i64))];
    Found::new("aten::select.int(Tensor self, int dim, SymInt index) -> Tensor", params, [x])
}

/// A tensor at one place of a dim, which is added, and zeros elsewhere.
fn select_back(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Pad(pad) = e.op(id) else { return None };
    let (wide, shape) = (e.arg(id, 0), e.out(id).shape);
    let g = e.as_view(wide)?;
    let amounts = pad.amounts(shape.rank());
    let mut padded = (0..shape.rank()).filter(|d| amounts[*d] != (0, 0));
    let (dim, None) = (padded.next()?, padded.next()) else { return None };
    let (low, _) = amounts[dim];
    // A negative zero is another number.
    let zeros = pad.value == Scalar::Int(0).cast(e.dtype(g));
    if !zeros || low < 0 || e.shape(wide)[dim] != 1 || *e.shape(g) != shape.removed(dim) {
        return None;
    }
    let params = [("input_sizes", sizes(&shape.sizes())), ("dim", number(dim as i64)), ("index", number(low))];
    let schema = "aten::select_backward(Tensor grad_output, SymInt[] input_sizes, int dim, SymInt index) -> Tensor";
    Found::new(schema, params, [g])
}
