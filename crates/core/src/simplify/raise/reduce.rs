//! Reductions: means, reduced dims that stay with size 1, norms, traces.

use std::sync::LazyLock;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::term::{Bindings, Term, close};
use super::{Found, Raising, number, sizes};
use crate::ir::{Attr, DType, Scalar, Shape, Value};
use crate::ops::{Amax, Amin, Argmax, Argmin, Binary, Call, Diagonal, Op, Unary};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: mean },
    Raising { class: Class::Rounding, find: trace },
    Raising { class: Class::Exact, find: kept },
    Raising { class: Class::Exact, find: kept_call },
    Raising { class: Class::Exact, find: counted },
    Raising { class: Class::Exact, find: without_nan },
];

pub(super) const VAR: &str =
    "aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor";
pub(super) const STD: &str =
    "aten::std.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor";

pub(super) const LOGSUMEXP: &str = "aten::logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor";

pub(super) static NORMS: &[Raising] =
    &[Raising { class: Class::Rounding, find: distances }, Raising { class: Class::Rounding, find: vector_norm }];

pub(super) static POWER_NORMS: &[Raising] =
    &[Raising { class: Class::Rounding, find: power_norm }, Raising { class: Class::Exact, find: largest }];

/// Norms of all orders, as exporters take them apart: they are flat where the formula has a pole or a root of 0.
pub(super) static DECOMPOSED_NORMS: &[Raising] = &[Raising { class: Class::Rounding, find: decomposed_norm }];

/// `shape` with size 1 at `dims`.
pub(super) fn kept_shape(shape: &Shape, dims: &[usize]) -> Shape {
    let kept = |(i, n): (usize, &crate::ir::Dim)| if dims.contains(&i) { crate::ir::Dim::new(1) } else { *n };
    shape.dims().iter().enumerate().map(kept).collect()
}

/// The node in which `v` was reduced over `dims` of `x`, and whether these stay with size 1 in `v`.
pub(super) fn keeping(e: &Editor, v: Value, x: Value, dims: &[usize]) -> Option<bool> {
    let (shape, x) = (e.shape(v), e.shape(x));
    if *shape == kept_shape(x, dims) {
        return Some(x.rank() == shape.rank() && !dims.is_empty());
    }
    (shape.rank() + dims.len() == x.rank()).then_some(false)
}

/// `v = expand(r)`, where `r` is reduced over dims that the expansion repeats: what `reduction` makes of `r`, if that is
/// over those dims.
pub(super) fn repeated<T>(
    e: &Editor,
    v: Value,
    reduction: impl Fn(&Editor, Value) -> Option<(Vec<usize>, Value, T)>,
) -> Option<(Vec<usize>, Value, T)> {
    let inner = e.as_expand(v).unwrap_or(v);
    let mut r = e.as_view(inner).unwrap_or(inner);
    while let Some(x) = e.as_unary(r, Unary::Detach) {
        r = e.as_view(x).unwrap_or(x);
    }
    let found = reduction(e, r)?;
    let kept = kept_shape(e.shape(found.1), &found.0);
    (e.shape(v) == e.shape(found.1) && aligned(e.shape(inner), e.shape(v)) == kept).then_some(found)
}

/// Without a view that only adds or removes dims of size 1.
pub(super) fn unkept(e: &Editor, v: Value) -> Value {
    let squeezed = |v: Value| e.shape(v).dims().iter().copied().filter(|n| *n != 1).collect::<Shape>();
    match e.as_view(v) {
        Some(x) if squeezed(x) == squeezed(v) => x,
        _ => v,
    }
}

/// The dims and the operand of a mean: a sum divided by the number of its terms.
pub(super) fn as_mean(e: &Editor, v: Value) -> Option<(Vec<usize>, Value)> {
    let (sum, c) = match (e.as_binary(v, Binary::Div), e.as_scaled(v)) {
        (Some((s, n)), _) => (s, e.as_full(n)?.to_f64()),
        (None, Some((s, c))) => (s, c.to_f64().recip()),
        (None, None) => return None,
    };
    let (dims, x) = e.as_sum(unkept(e, sum))?;
    let n: f64 = dims.iter().map(|d| e.shape(x)[*d].get() as f64).product();
    (n > 0.0 && !dims.is_empty() && (c - n).abs() <= n * f64::EPSILON).then_some((dims, x))
}

fn mean(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, x) = as_mean(e, unkept(e, v)).or_else(|| as_mean(e, v))?;
    let keep = keeping(e, v, x, &dims)?;
    if dims.len() == e.shape(x).rank() && !keep {
        return Found::new("aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", [], [x]);
    }
    Found::new(
        "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
        [("dim", sizes(&dims)), ("keepdim", number(keep))],
        [x],
    )
}

/// A root that is flat at 0, as norms have it.
static FLAT_ROOT: LazyLock<Term> = LazyLock::new(|| Term::parse("where(eq(s, 0), 0, sqrt(where(eq(s, 0), 1, s)))"));

/// The dims and the operand of a Euclidean norm.
pub(super) fn as_norm(e: &Editor, v: Value) -> Option<(Vec<usize>, Value)> {
    let mut found = Bindings::default();
    let squares = match (e.as_unary(v, Unary::Sqrt), e.as_binary(v, Binary::Pow)) {
        (Some(s), _) => s,
        (None, Some((s, half))) if e.is_full(half, 0.5) => s,
        (None, Some(_)) => return None,
        (None, None) if FLAT_ROOT.matches(e, v, &mut found) => found.operand("s")?,
        (None, None) => return None,
    };
    let (dims, square) = e.as_sum(unkept(e, squares))?;
    let product = e.as_binary(square, Binary::Mul).filter(|(x, y)| x == y);
    let power = || e.as_binary(square, Binary::Pow).filter(|(_, two)| e.is_full(*two, 2.0));
    product.or_else(power).map(|(x, _)| (dims, x))
}

fn vector_norm(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, x) = as_norm(e, unkept(e, v)).or_else(|| as_norm(e, v))?;
    distance(e, v, &dims, x, 2.0).or_else(|| norm_of(e, v, (dims, x), 2.0))
}

/// The norm `v` of all elements of a difference, in whatever shape.
fn distance(e: &Editor, v: Value, dims: &[usize], x: Value, order: f64) -> Option<Found> {
    if dims.len() != e.shape(x).rank() || e.shape(v).rank() != 0 {
        return None;
    }
    // A difference that something else needs has a norm that is as short.
    let only = |v: Value| {
        let mut users = e.users(v);
        let first = users.next();
        users.all(|u| Some(u) == first)
    };
    let difference = e.as_view(x).filter(|_| only(x)).unwrap_or(x);
    let (a, b) = e.as_binary(difference, Binary::Sub).filter(|_| only(difference))?;
    let p = if order.fract() == 0.0 { number(order as i64) } else { number(order) };
    Found::new("aten::dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", [("p", p)], [a, b])
}

/// `v` as the norm of `x` over dims.
fn norm_of(e: &Editor, v: Value, (dims, x): (Vec<usize>, Value), order: f64) -> Option<Found> {
    let keep = keeping(e, v, x, &dims)?;
    let all = dims.len() == e.shape(x).rank();
    let order = if order.fract() == 0.0 { number(order as i64) } else { number(order) };
    Found::new(
        "aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
        [("ord", order), ("dim", if all { Attr::None } else { sizes(&dims) }), ("keepdim", number(keep))],
        [x],
    )
}

/// `where(s == 0, 0, f(where(s == 0, 1, s)))`, a function that is flat at 0: what `f` gives, of what, and `s`.
fn flat(e: &Editor, v: Value) -> Option<(Value, Value, Value)> {
    let (p, zero, result) = e.as_where(v)?;
    let (s, at) = e.as_binary(p, Binary::Eq)?;
    let of = match e.def_op(result)? {
        (Op::Binary(Binary::Pow | Binary::Mul), id) => {
            [e.arg(id, 0), e.arg(id, 1)].into_iter().find(|x| e.as_where(*x).is_some())?
        }
        _ => return None,
    };
    let (q, one, x) = e.as_where(of)?;
    let safe = (q, x) == (p, s) && e.is_full(one, 1.0);
    (safe && e.is_zero(zero) && e.is_zero(at)).then_some((result, of, s))
}

/// What `x` is outside of 0, where it stands for another value.
fn above_zero(x: Value, safe: Option<(Value, Value)>) -> Option<Value> {
    match safe {
        Some((safe, s)) => (x == safe).then_some(s),
        None => Some(x),
    }
}

/// The dims, the operand and the order of `sum(abs(x) ** p) ** (1 / p)`, whose powers may be flat at 0.
fn as_power_norm(e: &Editor, v: Value) -> Option<(Vec<usize>, Value, f64)> {
    let (root, s) = flat(e, v).map_or((v, None), |(root, safe, s)| (root, Some((safe, s))));
    let (sum, order) = match (e.as_binary(root, Binary::Pow), s) {
        (Some((x, root)), _) => (above_zero(x, s)?, e.as_full(root)?.to_f64().recip()),
        (None, Some(_)) => return None,
        (None, None) => (v, 1.0),
    };
    let (dims, power) = e.as_sum(unkept(e, sum))?;
    let (power, s) = flat(e, power).map_or((power, None), |(power, safe, s)| (power, Some((safe, s))));
    let (base, exponent) = match (e.as_binary(power, Binary::Pow), e.as_binary(power, Binary::Mul)) {
        (Some((x, p)), _) => (above_zero(x, s)?, e.as_full(p)?.to_f64()),
        (None, Some((square, x))) if e.as_binary(square, Binary::Mul) == Some((x, x)) => (above_zero(x, s)?, 3.0),
        (None, Some(_)) => return None,
        (None, None) => (power, 1.0),
    };
    let x = match e.as_unary(base, Unary::Abs) {
        Some(x) => x,
        // Even powers need no absolute values.
        None if exponent % 2.0 == 0.0 => base,
        None => return None,
    };
    // Absolute values that something else needs have no shorter sum.
    let shorter = exponent != 1.0 || e.count(base) == 1;
    (shorter && e.dtype(x).is_float() && close(order, exponent)).then_some((dims, x, exponent))
}

fn power_norm(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, x, order) = as_power_norm(e, unkept(e, v)).or_else(|| as_power_norm(e, v))?;
    if order < 1.0 {
        return None;
    }
    distance(e, v, &dims, x, order).or_else(|| norm_of(e, v, (dims, x), order))
}

/// The largest absolute value.
fn largest(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (Op::Amax(Amax { dim }), at) = e.def_op(unkept(e, v))? else { return None };
    let sizes = e.arg(at, 0);
    let x = e.as_unary(sizes, Unary::Abs).filter(|x| e.dtype(*x).is_float() && e.shape(*x).numel() > 0)?;
    let alone = e.count(sizes) == 1 && (at == id || e.count(e.results(at)[0]) == 1);
    if alone { norm_of(e, v, (dim.clone(), x), f64::INFINITY) } else { None }
}

fn decomposed_norm(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, x, order) = as_power_norm(e, unkept(e, v)).or_else(|| as_power_norm(e, v))?;
    // A sum of absolute values has the derivative of the norm already.
    if order == 1.0 || order == 0.0 {
        return None;
    }
    distance(e, v, &dims, x, order).or_else(|| norm_of(e, v, (dims, x), order))
}

/// The norms of the differences of all rows of `x` and all rows of `y`.
fn distances(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (dims, d) = as_norm(e, unkept(e, v)).or_else(|| as_norm(e, v))?;
    let (a, b) = e.as_binary(d, Binary::Sub)?;
    let rank = e.shape(d).rank();
    if rank < 3 || dims != [rank - 1] || e.shape(v).rank() + 1 != rank {
        return None;
    }
    // The rows, with a size 1 in place of the other's; of batches some may be shared.
    let whole = e.shape(d);
    let rows = |v: Value, one: usize| {
        let seen = e.as_expand(v).unwrap_or(v);
        let shape = aligned(e.shape(seen), whole);
        let own = shape.removed(one);
        let fits =
            |i: usize| if i == one { shape[i] == 1 } else { shape[i] == whole[i] || (i + 3 < rank && shape[i] == 1) };
        let operand = [Some(seen), e.as_view(seen)].into_iter().flatten();
        let spread = |x: &Value| e.shape(*x).rank() <= own.rank() && aligned(e.shape(*x), &own) == own;
        let all = (0..rank).all(fits);
        operand.into_iter().find(|x| all && spread(x))
    };
    let (x, y) = (rows(a, rank - 2)?, rows(b, rank - 3)?);
    let batch = |v: Value| e.shape(v).rank() == rank - 1 && (0..rank - 3).all(|i| e.shape(v)[i] == whole[i]);
    if !batch(x) && !batch(y) {
        return None;
    }
    // Not by products of matrices, which lose the distances of near rows.
    Found::new(
        "aten::cdist(Tensor x1, Tensor x2, float p=2, int? compute_mode=None) -> Tensor",
        [("p", number(2.0)), ("compute_mode", number(2i64))],
        [x, y],
    )
}

fn trace(e: &Editor, id: NodeId) -> Option<Found> {
    let (_, d) = e.as_sum(e.results(id)[0])?;
    let (Op::Diagonal(Diagonal { offset: 0, .. }), at) = e.def_op(d)? else { return None };
    let x = e.arg(at, 0);
    if e.shape(x).rank() != 2 || e.shape(e.results(id)[0]).rank() != 0 || e.shape(x)[0] != e.shape(x)[1] {
        return None;
    }
    Found::new("aten::trace(Tensor self) -> Tensor", [], [x])
}

/// The operator that finds the place of the largest or smallest element along a dim, that, and its operand.
fn place_of_extreme(e: &Editor, v: Value) -> Option<(&'static str, usize, Value)> {
    let (schema, dim, at) = match e.def_op(v)? {
        (Op::Argmax(Argmax { dim }), at) => {
            ("aten::argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", *dim, at)
        }
        (Op::Argmin(Argmin { dim }), at) => {
            ("aten::argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", *dim, at)
        }
        _ => return None,
    };
    Some((schema, dim, e.arg(at, 0)))
}

/// What PyTorch's sum converts to `i64` by itself.
fn uncounted(e: &Editor, v: Value) -> Value {
    let source = e.as_convert(v).filter(|x| e.dtype(v) == DType::I64 && !e.dtype(*x).is_float());
    source.unwrap_or(v)
}

/// The sum of truth values or of smaller integers.
fn counted(e: &Editor, id: NodeId) -> Option<Found> {
    let (dims, x) = e.as_sum(e.results(id)[0])?;
    let source = uncounted(e, x);
    if source == x {
        return None;
    }
    if dims.len() == e.shape(x).rank() {
        return Found::new("aten::sum(Tensor self, *, ScalarType? dtype=None) -> Tensor", [], [source]);
    }
    Found::new(
        "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
        [("dim", sizes(&dims)), ("keepdim", number(false))],
        [source],
    )
}

/// What counts as 0 where it is NaN.
static NANLESS: LazyLock<Term> = LazyLock::new(|| Term::parse("where(isnan(x), 0, x)"));

/// A sum that leaves NaN out.
fn without_nan(e: &Editor, id: NodeId) -> Option<Found> {
    let (dims, nanless) = e.as_sum(e.results(id)[0])?;
    let mut found = Bindings::default();
    let x = (e.count(nanless) == 1 && NANLESS.matches(e, nanless, &mut found)).then(|| found.operand("x"))??;
    Found::new(
        "aten::nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
        [("dim", sizes(&dims)), ("keepdim", number(false))],
        [x],
    )
}

/// A reduction whose dims stay with size 1.
fn kept(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let r = e.as_view(v)?;
    if let Some((schema, dim, x)) = place_of_extreme(e, r) {
        let params = [("dim", number(dim as i64)), ("keepdim", number(true))];
        return (*e.shape(v) == kept_shape(e.shape(x), &[dim])).then(|| Found::new(schema, params, [x]))?;
    }
    let (schema, dims, x) = match e.def_op(r)? {
        (Op::Sum(_), at) => {
            let schema = "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor";
            (schema, e.as_sum(r)?.0, uncounted(e, e.arg(at, 0)))
        }
        (Op::Amax(Amax { dim }), at) => {
            ("aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", dim.clone(), e.arg(at, 0))
        }
        (Op::Amin(Amin { dim }), at) => {
            ("aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", dim.clone(), e.arg(at, 0))
        }
        _ => return None,
    };
    let keep = !dims.is_empty() && *e.shape(v) == kept_shape(e.shape(x), &dims);
    keep.then(|| Found::new(schema, [("dim", sizes(&dims)), ("keepdim", number(true))], [x]))?
}

/// The dims and the operand of a call that is a variance or a standard deviation, and the call.
pub(super) fn called_spread(e: &Editor, v: Value) -> Option<(&Call, Vec<usize>, Value)> {
    called(e, v, &["var.correction", "std.correction"])
}

/// As [`called_spread`], of any of these reductions.
fn called<'e>(e: &'e Editor, v: Value, functions: &[&str]) -> Option<(&'e Call, Vec<usize>, Value)> {
    let (Op::Call(call), at) = e.def_op(v)? else { return None };
    if !functions.contains(&call.function()) || call.param("keepdim") != Some(&number(false)) {
        return None;
    }
    let Attr::List(dims) = call.param("dim")? else { return None };
    let dim = |a: &Attr| if let Attr::Scalar(Scalar::Int(d)) = a { usize::try_from(*d).ok() } else { None };
    Some((call, dims.iter().map(dim).collect::<Option<_>>()?, e.arg(at, 0)))
}

/// A variance, standard deviation or logarithm of sums whose dims stay with size 1.
fn kept_call(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (call, dims, x) = called(e, e.as_view(v)?, &["var.correction", "std.correction", "logsumexp"])?;
    if dims.is_empty() || *e.shape(v) != kept_shape(e.shape(x), &dims) {
        return None;
    }
    let (schema, correction) = match call.function() {
        "var.correction" => (VAR, Some(call.param("correction")?.clone())),
        "std.correction" => (STD, Some(call.param("correction")?.clone())),
        _ => (LOGSUMEXP, None),
    };
    let params = [("dim", sizes(&dims))].into_iter().chain(correction.map(|c| ("correction", c)));
    Found::new(schema, params.chain([("keepdim", number(true))]), [x])
}
