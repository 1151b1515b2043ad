//! The derivatives of normalisations in all their operands, which PyTorch has in one operator.
//!
//! With `y = (x - mean) * rstd` and `h = g * weight * rstd`, the cotangent of `x` is `h - mean(h) - mean(h * y) * y`; those of
//! weight and bias are sums of `g * y` and `g`, which are taken in where they stand beside it.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::reduce::{as_mean, repeated, unkept};
use super::{Found, Given, Made, Raising, Slot, number};
use crate::ir::{Attr, Aval, Shape, Value};
use crate::ops::{Binary, Call, Op, Sum, Unary};

pub(super) static RULES: &[Raising] = &[Raising { class: Class::Rounding, find }];

/// A normalisation whose mean and deviation a call has.
struct Normalization<'e> {
    call: &'e Call,
    x: Value,
    weight: Option<Value>,
    bias: Option<Value>,
    mean: Value,
    rstd: Value,
}

/// The dims of `v` that are not of size 1.
fn squeezed(e: &Editor, v: Value) -> Shape {
    e.shape(v).dims().iter().copied().filter(|n| *n != 1).collect()
}

/// The operands of a function in both orders.
fn both(e: &Editor, v: Value, op: Binary) -> impl Iterator<Item = (Value, Value)> {
    e.as_binary(v, op).into_iter().flat_map(|(a, b)| [(a, b), (b, a)])
}

/// What `v` repeats, perhaps seen with more dims of size 1.
fn base(e: &Editor, v: Value) -> Value {
    unkept(e, e.as_expand(v).unwrap_or(v))
}

/// The dims over which the mean of what was taken that `v` repeats, and its operand.
fn mean(e: &Editor, v: Value) -> Option<(Vec<usize>, Value)> {
    let of = |e: &Editor, r| as_mean(e, r).or_else(|| as_mean(e, unkept(e, r))).map(|(dims, x)| (dims, x, ()));
    repeated(e, v, of).map(|(dims, x, ())| (dims, x))
}

/// Whether `v` repeats `result`, perhaps seen with more dims of size 1.
fn repeats(e: &Editor, v: Value, result: Value) -> bool {
    [base(e, v), e.as_expand(v).unwrap_or(v)].contains(&result)
}

/// `y = (x - mean) * rstd` by the results of the call that normalised `x`, or as its first result.
fn normalised(e: &Editor, y: Value) -> Option<Normalization<'_>> {
    if let Some(at) = e.def(y).filter(|at| e.results(*at).first() == Some(&y)) {
        let plain = |n: &Normalization| n.weight.is_none() && n.bias.is_none();
        if let Some(n) = called(e, at).filter(plain) {
            return Some(n);
        }
    }
    both(e, y, Binary::Mul).find_map(|(centred, r)| {
        let (x, m) = e.as_binary(centred, Binary::Sub)?;
        let at = [base(e, r), e.as_expand(r).unwrap_or(r)]
            .into_iter()
            .find_map(|v| e.def(v).filter(|d| e.results(*d).get(2) == Some(&v)))?;
        called(e, at).filter(|n| n.x == x && repeats(e, m, n.mean))
    })
}

/// The normalisation that the call `at` is.
fn called(e: &Editor, at: NodeId) -> Option<Normalization<'_>> {
    let Op::Call(call) = e.op(at) else { return None };
    if !["native_layer_norm", "_native_batch_norm_legit.no_stats"].contains(&call.function()) {
        return None;
    }
    let [_, mean, rstd] = e.results(at) else { return None };
    let absent = |name| call.param(name) == Some(&Attr::None);
    let mut operands = e.args(at)[1..].iter().copied();
    let weight = if absent("weight") { None } else { operands.next() };
    let bias = if absent("bias") { None } else { operands.next() };
    Some(Normalization { call, x: e.arg(at, 0), weight, bias, mean: *mean, rstd: *rstd })
}

/// Where the derivative of a normalisation is added to another cotangent term by term, adds it as a whole: `c + h - mean(h) - …` as
/// `c + (h - mean(h) - …)`. So is `x + f(norm(x))`.
pub(super) fn gather(e: &mut Editor) {
    for id in 0..e.num_nodes() {
        if !e.is_alive(id) || e.results(id).len() != 1 {
            continue;
        }
        let Some([c, h, mean, last]) = added(e, id) else { continue };
        e.begin(id);
        let whole = e
            .binary(Binary::Add, h, mean)
            .and_then(|sum| e.binary(Binary::Add, sum, last))
            .and_then(|whole| e.binary(Binary::Add, c, whole));
        match whole {
            Some(v) => {
                e.commit(v, 0);
            }
            None => e.rollback(),
        }
    }
}

/// The terms of `((c + h) - mean(h)) - mean(h * y) * y`, in which nothing else takes the sums.
fn added(e: &Editor, id: NodeId) -> Option<[Value; 4]> {
    both(e, e.results(id)[0], Binary::Add).filter(|(p, _)| e.count(*p) == 1).find_map(|(p, last)| {
        both(e, last, Binary::Mul).find_map(|(along, y)| {
            let (dims, product) = mean(e, along)?;
            let (opposite, _) = both(e, product, Binary::Mul).find(|(_, z)| *z == y)?;
            let h = e.as_unary(opposite, Unary::Neg)?;
            let (sum, m) = both(e, p, Binary::Add).find(|(_, m)| mean(e, *m) == Some((dims.clone(), opposite)))?;
            let (_, c) = both(e, sum, Binary::Add).find(|(a, _)| *a == h && e.count(sum) == 1)?;
            Some([c, h, m, last])
        })
    })
}

fn find(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, h, y, negated) = both(e, v, Binary::Add).find_map(|(p, q)| {
        both(e, q, Binary::Mul).find_map(|(along, y)| {
            let (dims, product) = mean(e, along)?;
            let (opposite, _) = both(e, product, Binary::Mul).find(|(_, z)| *z == y)?;
            let is_mean = |c: Value| mean(e, c) == Some((dims.clone(), opposite));
            // Where `h` is an opposite itself, the other is at hand.
            if e.as_binary(p, Binary::Sub).is_some_and(|(c, k)| k == opposite && is_mean(c)) {
                return Some((dims, opposite, y, true));
            }
            let h = e.as_unary(opposite, Unary::Neg)?;
            both(e, p, Binary::Add).find(|(a, c)| *a == h && is_mean(*c))?;
            Some((dims, h, y, false))
        })
    })?;
    let n = normalised(e, y)?;
    let (scaled, _) = both(e, h, Binary::Mul).find(|(_, s)| repeats(e, *s, n.rstd))?;
    // The weight, and what the derivative has of it where both are views of one value.
    let (g, seen) = match n.weight {
        None => (scaled, None),
        Some(w) => both(e, scaled, Binary::Mul).find_map(|(g, s)| {
            let plain = [base(e, s), s].contains(&w);
            let seen = e.as_expand(s).unwrap_or(s);
            let alike =
                || e.as_view(seen).is_some_and(|x| e.as_view(w) == Some(x) && squeezed(e, seen) == squeezed(e, w));
            if plain { Some((g, None)) } else { alike().then_some((g, Some(seen))) }
        })?,
    };
    let rank = e.shape(g).rank();
    // A mean over a dim of size 1 is none.
    let others: Vec<usize> = if n.call.function() == "native_layer_norm" {
        (0..rank).filter(|d| !dims.contains(d)).collect()
    } else {
        (0..rank).filter(|d| dims.contains(d) || (*d != 1 && e.shape(g)[*d] == 1)).collect()
    };
    // Of what is computed after all that the operator takes, so that nothing waits for itself.
    let last = [g, n.x, n.mean, n.rstd].into_iter().chain(n.weight).chain(n.bias).map(|v| e.def(v)).max()?;
    let sum = |of: Value, like: Option<Value>| {
        let sum = e.equal_node(&Sum::over(&others, rank).into(), &[of])?;
        let own = if negated { e.equal_node(&Unary::Neg.into(), e.results(sum))? } else { sum };
        let total = e.results(own)[0];
        (e.aval(total) == e.aval(like?) && e.def(total) > last).then_some(total)
    };
    let weight = e.equal_node(&Binary::Mul.into(), &[g, y]).and_then(|p| sum(e.results(p)[0], n.weight));
    let bias = sum(g, n.bias);
    let nothing = || Slot::Nothing(Aval::new(e.dtype(v), [0]));
    let slot = |v: Option<Value>| v.map_or_else(nothing, Slot::Value);
    let mask = [true, weight.is_some(), bias.is_some()].map(number).to_vec();
    let mut found = operator(&n, g, Attr::List(mask))?;
    if let Some(seen) = seen {
        let place = found.args.iter().position(|v| Some(*v) == n.weight).filter(|_| !negated)?;
        found.given = Some((seen, Given::Seen(place)));
    }
    if negated {
        found.args.remove(0);
        found.made = vec![(0, Made::Opposite(g))];
        found.given = Some((g, Given::Opposite(0)));
    }
    Some(Found { results: vec![Slot::Root, slot(weight), slot(bias)], ..found })
}

/// The backward operator of the normalisation.
fn operator(n: &Normalization, g: Value, mask: Attr) -> Option<Found> {
    let absent = |name, v: Option<Value>| v.is_none().then_some((name, Attr::None));
    let weight = absent("weight", n.weight);
    if n.call.function() == "native_layer_norm" {
        let shape = n.call.param("normalized_shape")?.clone();
        let params = [("normalized_shape", shape)].into_iter().chain(weight).chain(absent("bias", n.bias));
        return Found::new(
            "aten::native_layer_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
            params.chain([("output_mask", mask)]),
            [g, n.x, n.mean, n.rstd].into_iter().chain(n.weight).chain(n.bias),
        );
    }
    let eps = n.call.param("eps")?.clone();
    let none = [("running_mean", Attr::None), ("running_var", Attr::None)];
    Found::new(
        "aten::native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? save_invstd, bool train, float eps, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
        weight.into_iter().chain(none).chain([("train", number(true)), ("eps", eps), ("output_mask", mask)]),
        [g, n.x].into_iter().chain(n.weight).chain([n.mean, n.rstd]),
    )
}
