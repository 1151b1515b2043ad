//! Losses of chosen classes, with targets that do not count, and their derivatives.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::{Found, Given, Made, Raising, Slot, number};
use crate::ir::{Attr, Aval, DType, Shape, Value};
use crate::ops::{Binary, Call, Gather, Op, ScatterAdd, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: loss },
    Raising { class: Class::Rounding, find: through_log_softmax },
    Raising { class: Class::Rounding, find: loss_back },
];

const LOSS: &str = "aten::nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)";
const LOSS_BACKWARD: &str = "aten::nll_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, Tensor total_weight) -> Tensor";
const LOG_SOFTMAX_BACKWARD: &str =
    "aten::_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor";

/// PyTorch's numbers of reductions.
const NONE: i64 = 0;
const MEAN: i64 = 1;
const SUM: i64 = 2;

/// The classes of a row of examples, and the class that does not count.
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
        (e.shape(classes).rank() == 1).then_some(Self { classes, ignored, counts })
    }

    /// Whether `v` is a column of the classes, with the first class where none counts.
    fn are_places(&self, e: &Editor, v: Value) -> bool {
        let n = e.shape(self.classes)[0];
        let column = *e.shape(v) == [n, crate::ir::Dim::new(1)].into_iter().collect::<Shape>();
        let safe = e.as_view(v).and_then(|safe| e.as_where(safe));
        column && safe.is_some_and(|(p, a, b)| (p, a) == (self.counts, self.classes) && e.is_zero(b))
    }

    /// Whether `v` is how many count.
    fn are_as_many(&self, e: &Editor, v: Value) -> bool {
        let all = e.as_convert(v).and_then(|n| e.as_sum(n)).filter(|(dims, _)| dims.as_slice() == [0]);
        all.is_some_and(|(_, ones)| e.as_convert(ones) == Some(self.counts))
    }

    fn params(&self, reduction: i64) -> [(&'static str, Attr); 3] {
        [("weight", Attr::None), ("reduction", number(reduction)), ("ignore_index", number(self.ignored))]
    }
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
    (e.shape(x).rank() == 2 && targets.are_places(e, places)).then_some((x, targets))
}

/// The losses of all examples, their sum or their mean.
fn loss(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let all = |v: Value| e.as_sum(v).filter(|(dims, _)| dims.as_slice() == [0]).and_then(|(_, each)| losses(e, each));
    let mean = || {
        let (sum, n) = e.as_binary(v, Binary::Div)?;
        all(sum).filter(|(_, targets)| targets.are_as_many(e, n))
    };
    let ((x, targets), reduction) = mean()
        .map(|found| (found, MEAN))
        .or_else(|| all(v).map(|found| (found, SUM)))
        .or_else(|| losses(e, v).map(|found| (found, NONE)))?;
    let found = Found::new(LOSS, targets.params(reduction), [x, targets.classes])?;
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
        let alone = e.as_view(column) == Some(opposites) && e.shape(column).sizes().as_slice()[1..] == [1];
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
    call.function() == "_log_softmax" && call.param("dim") == Some(&number(1i64))
}

/// The derivative of a mean, whose logarithms the derivative of the function before it takes.
fn loss_back(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let Put { targets, opposites } = put(e, v)?;
    let (_, share, _) = e.as_where(opposites)?;
    let share = e.as_expand(share).filter(|s| e.shape(*s).rank() == 0)?;
    let (g, n) = match (e.as_unary(share, Unary::Reciprocal), e.as_binary(share, Binary::Div)) {
        (Some(n), _) => (None, n),
        (None, Some((g, n))) => (Some(g), n),
        (None, None) => return None,
    };
    let x = e.users(v).find_map(|user| match e.op(user) {
        Op::Call(call) if call.function() == "_log_softmax_backward_data" => Some(e.arg(user, 1)),
        _ => None,
    })?;
    // It has to be there before.
    if !targets.are_as_many(e, n) || e.def(x).is_some_and(|at| at > id) {
        return None;
    }
    let made = g.is_none().then(|| (0, Made::Uniform(Aval::new(e.dtype(v), ()), 1.0)));
    let args = g.into_iter().chain([x, targets.classes, n]);
    Some(Found { made, ..Found::new(LOSS_BACKWARD, targets.params(MEAN), args)? })
}
