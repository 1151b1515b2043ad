//! Losses of chosen classes, with targets that do not count, and their derivatives.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::smaller;
use super::{Found, Given, Made, Raising, Slot, number};
use crate::ir::{Attr, Aval, DType, Dim, Shape, Value};
use crate::ops::{Binary, Call, Gather, Op, ScatterAdd, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: loss },
    Raising { class: Class::Rounding, find: through_log_softmax },
    Raising { class: Class::Rounding, find: loss_back },
    Raising { class: Class::Exact, find: total },
];

const LOSS: &str = "aten::nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)";
const LOSS_BACKWARD: &str = "aten::nll_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, Tensor total_weight) -> Tensor";
/// The same of images, a class for each pixel.
const LOSS_2D: &str = "aten::nll_loss2d_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)";
const LOSS_2D_BACKWARD: &str = "aten::nll_loss2d_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, Tensor total_weight) -> Tensor";
const LOG_SOFTMAX_BACKWARD: &str =
    "aten::_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor";

/// PyTorch's numbers of reductions.
const NONE: i64 = 0;
const MEAN: i64 = 1;
const SUM: i64 = 2;

/// The classes of a row of examples, or of the pixels of images, and the class that does not count.
#[derive(Clone, Copy)]
struct Targets {
    classes: Value,
    ignored: i64,
    /// Which ones count.
    counts: Value,
}

impl Targets {
    /// What says that these count.
    fn of(e: &Editor, counts: Value) -> Option<Self> {
        let (classes, ignored) = e.as_binary(counts, Binary::Ne)?;
        let ignored = e.as_full(ignored).filter(|_| e.dtype(classes) == DType::I64)?.to_i64();
        [1, 3].contains(&e.shape(classes).rank()).then_some(Self { classes, ignored, counts })
    }

    /// Their shape with a dim for the classes, of which there is one.
    fn column(&self, e: &Editor) -> Shape {
        e.shape(self.classes).inserted(1, Dim::new(1))
    }

    /// Whether `v` is a column of the classes, with the first class where none counts.
    fn are_places(&self, e: &Editor, v: Value) -> bool {
        let safe = e.as_view(v).and_then(|safe| e.as_where(safe));
        *e.shape(v) == self.column(e)
            && safe.is_some_and(|(p, a, b)| (p, a) == (self.counts, self.classes) && e.is_zero(b))
    }

    /// What `v` is the sum of, if it is of all examples.
    fn total(&self, e: &Editor, v: Value) -> Option<Value> {
        let (dims, each) = e.as_sum(v)?;
        let rank = e.shape(self.classes).rank();
        (e.shape(each).rank() == rank && dims.iter().copied().eq(0..rank)).then_some(each)
    }

    /// Whether `v` is how many count.
    fn are_as_many(&self, e: &Editor, v: Value) -> bool {
        let each = e.as_convert(v).and_then(|n| self.total(e, n));
        each.is_some_and(|ones| e.as_convert(ones) == Some(self.counts))
    }

    /// Whether `v` is the sum of the weights of the classes that count.
    fn weigh(&self, e: &Editor, v: Value, weight: Value) -> bool {
        let chosen = || {
            let (counts, chosen, zero) = e.as_where(self.total(e, v)?)?;
            let (Op::Gather(Gather { dim: 1 }), at) = e.def_op(e.as_view(chosen)?)? else { return None };
            let known = counts == self.counts && e.is_zero(zero) && self.are_places(e, e.arg(at, 1));
            (known && of_classes(e, e.arg(at, 0)) == Some(weight)).then_some(())
        };
        chosen().is_some()
    }

    /// The operator for rows of classes, or the one for images of them.
    fn schema(&self, e: &Editor, rows: &'static str, images: &'static str) -> &'static str {
        if e.shape(self.classes).rank() == 1 { rows } else { images }
    }

    /// The arguments beside the operands, of which a weight may be one.
    fn params(&self, reduction: i64, weighted: bool) -> impl Iterator<Item = (&'static str, Attr)> {
        let weight = (!weighted).then_some(("weight", Attr::None));
        weight.into_iter().chain([("reduction", number(reduction)), ("ignore_index", number(self.ignored))])
    }
}

/// The number of each class of which `v` is a broadcast.
fn of_classes(e: &Editor, v: Value) -> Option<Value> {
    let weight = smaller(e, v);
    let weight = e.as_view(weight).unwrap_or(weight);
    let (own, whole) = (e.shape(weight), e.shape(v));
    (own.rank() == 1 && whole.rank() > 1 && own[0] == whole[1]).then_some(weight)
}

/// Logarithms, and the weights of their classes.
fn weighted(e: &Editor, v: Value) -> Option<(Value, Value)> {
    let (a, b) = e.as_binary(v, Binary::Mul)?;
    let each = |x: Value, w: Value| Some((x, of_classes(e, w).filter(|_| e.as_expand(x).is_none())?));
    each(a, b).or_else(|| each(b, a))
}

/// The logarithms of which `v` is the opposite at the targets, and these.
fn losses(e: &Editor, v: Value) -> Option<(Value, Targets)> {
    let (counts, chosen, zero) = e.as_where(v)?;
    let targets = Targets::of(e, counts).filter(|_| e.is_zero(zero))?;
    let column = match e.as_view(chosen) {
        Some(opposite) => e.as_unary(opposite, Unary::Neg)?,
        None => e.as_view(e.as_unary(chosen, Unary::Neg)?)?,
    };
    let (Op::Gather(Gather { dim: 1 }), at) = e.def_op(column)? else { return None };
    let (x, places) = (e.arg(at, 0), e.arg(at, 1));
    (e.shape(x).rank() == e.shape(targets.classes).rank() + 1 && targets.are_places(e, places)).then_some((x, targets))
}

/// The losses of all examples, their sum or their mean.
fn loss(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let all = |v: Value| {
        let (_, each) = e.as_sum(v)?;
        losses(e, each).filter(|(_, targets)| targets.total(e, v) == Some(each))
    };
    let mean = || {
        let (sum, n) = e.as_binary(v, Binary::Div)?;
        let (x, targets) = all(sum)?;
        let weighted = weighted(e, x).filter(|(_, weight)| targets.weigh(e, n, *weight));
        match weighted {
            Some((x, weight)) => Some((x, targets, Some(weight))),
            None => targets.are_as_many(e, n).then_some((x, targets, None)),
        }
    };
    let plain = |(x, targets): (Value, Targets)| match weighted(e, x).filter(|_| e.count(x) == 1) {
        Some((x, weight)) => (x, targets, Some(weight)),
        None => (x, targets, None),
    };
    let ((x, targets, weight), reduction) = mean()
        .map(|found| (found, MEAN))
        .or_else(|| all(v).map(|found| (plain(found), SUM)))
        .or_else(|| losses(e, v).map(|found| (plain(found), NONE)))?;
    let schema = targets.schema(e, LOSS, LOSS_2D);
    let args = [x, targets.classes].into_iter().chain(weight);
    let found = Found::new(schema, targets.params(reduction, weight.is_some()), args)?;
    let total = Aval::new(e.dtype(v), ());
    Some(Found { results: vec![Slot::Root, Slot::Nothing(total)], ..found })
}

/// One number for each example, put at its class among zeros.
struct Put {
    targets: Targets,
    /// The opposites of the numbers, where they count.
    opposites: Value,
}

fn put(e: &Editor, v: Value) -> Option<Put> {
    let (Op::ScatterAdd(ScatterAdd { dim: 1 }), at) = e.def_op(v)? else { return None };
    let opposites = e.as_unary(e.as_view(e.arg(at, 2))?, Unary::Neg)?;
    let (counts, _, zero) = e.as_where(opposites)?;
    let targets = Targets::of(e, counts)?;
    let found = e.is_zero(zero) && e.is_zero(e.arg(at, 0)) && targets.are_places(e, e.arg(at, 1));
    found.then_some(Put { targets, opposites })
}

/// The derivative through a logarithm of softmax: of a row that holds one number, the sum is that number.
fn through_log_softmax(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(v, Binary::Add)?;
    let found = |g: Value, rest: Value| {
        let opposites = put(e, g)?.opposites;
        let (p, q) = e.as_binary(rest, Binary::Mul)?;
        let (spread, y) = match (e.as_unary(p, Unary::Exp), e.as_unary(q, Unary::Exp)) {
            (_, Some(y)) => (p, y),
            (Some(y), None) => (q, y),
            (None, None) => return None,
        };
        let column = e.as_expand(spread)?;
        let one = e.shape(opposites).inserted(1, Dim::new(1));
        let alone = e.as_view(column) == Some(opposites) && *e.shape(column) == one;
        let (Op::Call(call), _) = e.def_op(y)? else { return None };
        if !alone || !is_log_softmax(call) {
            return None;
        }
        let params = [("dim", number(1i64)), ("input_dtype", Attr::DType(e.dtype(v)))];
        let found = Found::new(LOG_SOFTMAX_BACKWARD, params, [g, y])?;
        Some(Found { given: Some((spread, Given::OppositeTotal(0, 1))), ..found })
    };
    found(a, b).or_else(|| found(b, a))
}

fn is_log_softmax(call: &Call) -> bool {
    let rank = call.body.param_avals().first().map_or(0, |x| x.rank() as i64);
    let along = |dim: i64| call.param("dim") == Some(&number(dim));
    call.function() == "_log_softmax" && (along(1) || along(1 - rank))
}

/// The derivative of losses, of their sum or of their mean, whose logarithms the derivative of the function before it takes.
fn loss_back(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let Put { targets, opposites } = put(e, v)?;
    let (_, share, _) = e.as_where(opposites)?;
    let scalar = Aval::new(e.dtype(v), ());
    let x = e.users(v).find_map(|user| match e.op(user) {
        Op::Call(call) if call.function() == "_log_softmax_backward_data" => Some(e.arg(user, 1)),
        _ => None,
    })?;
    // It has to be there before.
    if e.def(x).is_some_and(|at| at > id) {
        return None;
    }
    let schema = targets.schema(e, LOSS_BACKWARD, LOSS_2D_BACKWARD);
    let one = |place: usize, c: f64| (place, Made::Uniform(scalar.clone(), c));
    let quotient = e.as_expand(share).filter(|s| e.shape(*s).rank() == 0).and_then(|s| {
        match (e.as_unary(s, Unary::Reciprocal), e.as_binary(s, Binary::Div)) {
            (Some(n), _) => Some((None, n)),
            (None, Some((g, n))) => Some((Some(g), n)),
            (None, None) => None,
        }
    });
    if let Some((g, n)) = quotient.filter(|(_, n)| targets.are_as_many(e, *n)) {
        let made = g.is_none().then(|| one(0, 1.0)).into_iter().collect();
        let args = g.into_iter().chain([x, targets.classes, n]);
        return Some(Found { made, ..Found::new(schema, targets.params(MEAN, false), args)? });
    }
    // The number of what counts has no part in a sum.
    let (g, made, reduction) = match (e.as_full(share), e.as_expand(share)) {
        (Some(c), _) => (None, vec![one(0, c.to_f64()), one(3, 1.0)], SUM),
        (None, Some(g)) if e.shape(g).rank() == 0 => (Some(g), vec![one(3, 1.0)], SUM),
        (None, _) => (Some(share), vec![one(3, 1.0)], NONE),
    };
    let args = g.into_iter().chain([x, targets.classes]);
    Some(Found { made, ..Found::new(schema, targets.params(reduction, false), args)? })
}

/// How many count, where the derivative of a mean alone asks for it: a result of the loss.
fn total(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (_, ones) = e.as_sum(e.as_convert(v)?)?;
    let targets = Targets::of(e, e.as_convert(ones)?)?;
    let schema = targets.schema(e, LOSS, LOSS_2D);
    let logarithms = |user: NodeId| match e.op(user) {
        Op::Call(call) if [LOSS_BACKWARD, LOSS_2D_BACKWARD].contains(&call.target.as_str()) => {
            e.args(user).last().filter(|n| **n == v).map(|_| e.arg(user, 1))
        }
        _ => None,
    };
    let mut users = e.users(v).map(logarithms);
    let x = users.next()??;
    let alone = users.all(|x| x.is_some()) && targets.are_as_many(e, v) && e.def(x).is_none_or(|at| at < id);
    let found = Found::new(schema, targets.params(MEAN, false), [x, targets.classes])?;
    alone.then(|| Found { results: vec![Slot::Nothing(Aval::new(e.dtype(v), ())), Slot::Root], ..found })
}
