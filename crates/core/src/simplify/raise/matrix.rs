//! Products of matrices and vectors, identity matrices.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::smaller;
use super::{Found, Raising, number};
use crate::ir::{Attr, Value};
use crate::ops::{Arange, Binary, Op};

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Rounding, find: product },
    Raising { class: Class::Rounding, find: reduced_product },
    Raising { class: Class::Rounding, find: outer },
    Raising { class: Class::Rounding, find: added },
    Raising { class: Class::Exact, find: eye },
];

const MV: &str = "aten::mv(Tensor self, Tensor vec) -> Tensor";
const DOT: &str = "aten::dot(Tensor self, Tensor tensor) -> Tensor";
const MATMUL: &str = "aten::matmul(Tensor self, Tensor other) -> Tensor";
const LINEAR: &str = "aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor";
const OUTER: &str = "aten::outer(Tensor self, Tensor vec2) -> Tensor";

/// The vector that the matrix `v` of one row or column is.
fn vector(e: &Editor, v: Value) -> Option<Value> {
    e.as_view(v).filter(|x| e.shape(*x).rank() == 1)
}

/// The operands of a product of matrices, seen as a vector.
fn product(e: &Editor, id: NodeId) -> Option<Found> {
    let mm = e.as_view(e.results(id)[0])?;
    let (Op::Mm(_), at) = e.def_op(mm)? else { return None };
    let (a, b) = (e.arg(at, 0), e.arg(at, 1));
    let (row, column) = (e.shape(mm)[0] == 1, e.shape(mm)[1] == 1);
    match (vector(e, a).filter(|_| row), vector(e, b).filter(|_| column), e.shape(e.results(id)[0]).rank()) {
        (Some(x), Some(y), 0) => Found::new(DOT, [], [x, y]),
        (None, Some(y), 1) => Found::new(MV, [], [a, y]),
        (Some(x), None, 1) => Found::new(MATMUL, [], [x, b]),
        _ => None,
    }
}

/// `sum(a * b)` of vectors, `sum(m * v)` over rows or columns.
fn reduced_product(e: &Editor, id: NodeId) -> Option<Found> {
    let (dims, p) = e.as_sum(e.results(id)[0])?;
    let (a, b) = e.as_binary(p, Binary::Mul)?;
    if !e.dtype(p).is_float() {
        return None;
    }
    match (e.shape(p).rank(), dims.as_slice()) {
        (1, [0]) if e.shape(a) == e.shape(b) && e.as_expand(a).or(e.as_expand(b)).is_none() => {
            Found::new(DOT, [], [a, b])
        }
        (2, [1]) => {
            let of = |m: Value, v: Value| {
                let v = smaller(e, v);
                (e.shape(v).rank() == 1 && e.as_expand(m).is_none() && e.shape(v)[0] == e.shape(m)[1]).then_some([m, v])
            };
            Found::new(MV, [], of(a, b).or_else(|| of(b, a))?)
        }
        (2, [0]) => {
            let of = |m: Value, v: Value| {
                let column = e.as_expand(v).filter(|c| e.shape(*c).sizes().as_slice() == [e.shape(m)[0].get(), 1])?;
                e.as_expand(m).is_none().then_some([vector(e, column)?, m])
            };
            Found::new(MATMUL, [], of(a, b).or_else(|| of(b, a))?)
        }
        // The rows of a batch by one matrix.
        (3, [2]) => {
            let of = |m: Value, x: Value| {
                let (m, x) = (e.as_expand(m)?, e.as_view(e.as_expand(x)?)?);
                let (whole, own) = (e.shape(p), e.shape(x));
                let fits = e.shape(m).dims() == &whole.dims()[1..] && own.dims() == [whole[0], whole[2]];
                fits.then_some([x, m])
            };
            Found::new(LINEAR, [("bias", Attr::None)], of(a, b).or_else(|| of(b, a))?)
        }
        _ => None,
    }
}

/// A column times a row.
fn outer(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::Mm(_) = e.op(id) else { return None };
    let (a, b) = (e.arg(id, 0), e.arg(id, 1));
    if e.shape(a)[1] != 1 {
        return None;
    }
    Found::new(OUTER, [], [vector(e, a)?, vector(e, b)?])
}

/// A product of matrices added to something, of which nothing else is needed; either perhaps by a number.
fn added(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(v, Binary::Add).filter(|_| e.dtype(v).is_float())?;
    let scaled = |v: Value| match e.as_scaled(v).filter(|(_, c)| e.count(v) == 1 && c.to_f64().is_finite()) {
        Some((x, c)) => (x, c.to_f64()),
        None => (v, 1.0),
    };
    let product = |v: Value| {
        let (p, alpha) = scaled(v);
        let (schema, at) = match e.def_op(p).filter(|_| e.count(p) == 1)? {
            (Op::Mm(_), at) => {
                ("aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", at)
            }
            (Op::Bmm(_), at) => (
                "aten::baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
                at,
            ),
            _ => return None,
        };
        Some((schema, at, alpha))
    };
    let (x, (schema, at, alpha)) = product(b).map(|p| (a, p)).or_else(|| product(a).map(|p| (b, p)))?;
    let (x, beta) = scaled(x);
    let numbers = [("beta", beta), ("alpha", alpha)].into_iter().filter(|(_, c)| *c != 1.0);
    Found::new(schema, numbers.map(|(name, c)| (name, number(c))), [smaller(e, x), e.arg(at, 0), e.arg(at, 1)])
}

/// The size of the range `0, 1, …` that `v` repeats along its other dim, and along which dim it counts.
fn counting(e: &Editor, v: Value) -> Option<(usize, usize)> {
    let mut x = v;
    while let Some(inner) = e.as_expand(x).or_else(|| e.as_view(x)) {
        x = inner;
    }
    let (Op::Arange(Arange { .. }), _) = e.def_op(x)? else { return None };
    let inner = e.as_expand(v).unwrap_or(v);
    let n = e.shape(x)[0].get();
    match e.shape(inner).sizes().as_slice() {
        [m, 1] if *m == n => Some((n, 0)),
        [m] | [1, m] if *m == n => Some((n, 1)),
        _ => None,
    }
}

/// `i == j` as numbers.
fn eye(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(e.as_convert(v)?, Binary::Eq)?;
    if e.shape(v).rank() != 2 {
        return None;
    }
    let (n, m) = match (counting(e, a)?, counting(e, b)?) {
        ((n, 0), (m, 1)) | ((m, 1), (n, 0)) => (n, m),
        _ => return None,
    };
    Found::new(
        "aten::eye.m(SymInt n, SymInt m, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
        [("n", number(n as i64)), ("m", number(m as i64)), ("dtype", Attr::DType(e.dtype(v)))],
        [],
    )
}
