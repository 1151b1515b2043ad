//! Cross products, and their derivatives, which are cross products too.
//!
//! Exporters write them by rotations of the three components: element `i` is `a[i+1] b[i+2] - a[i+2] b[i+1]`.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::index::{turned, turned_back};
use super::{Found, Raising, number};
use crate::ir::{Attr, Scalar, Value};
use crate::ops::{Binary, Op, Unary};

pub(super) static RULES: &[Raising] = &[Raising { class: Class::Rounding, find: product }];

/// A tensor whose elements are so many places further along a dim of size 3, and perhaps negated.
#[derive(Clone, Copy)]
struct Factor {
    x: Value,
    turn: usize,
    negated: bool,
}

/// The tensor whose elements `v` has, a dim of size 3 and the number of places further along it.
fn rotated(e: &Editor, v: Value) -> Option<(Value, usize, usize)> {
    turned(e, v).or_else(|| turned_back(e, v)).or_else(|| called(e, v)).filter(|(x, dim, _)| e.shape(*x)[*dim] == 3)
}

/// As [`turned`] for a rotation that is a call already.
fn called(e: &Editor, v: Value) -> Option<(Value, usize, usize)> {
    let (Op::Call(call), at) = e.def_op(v)? else { return None };
    let one = |name: &str| match call.param(name)? {
        Attr::List(items) => match items.as_slice() {
            [Attr::Scalar(Scalar::Int(i))] => Some(*i),
            _ => None,
        },
        _ => None,
    };
    if call.function() != "roll" {
        return None;
    }
    let (x, dim) = (e.arg(at, 0), usize::try_from(one("dims")?).ok()?);
    let n = e.shape(x).dims().get(dim).filter(|n| **n != 0)?.get() as i64;
    Some((x, dim, (-one("shifts")?).rem_euclid(n) as usize))
}

/// The most rotations and negations around a factor or a product.
const MAX_STEPS: usize = 4;

/// What `v` is without rotations along `dim`, the first of which says what that is, and without negations.
fn factor(e: &Editor, v: Value, dim: &mut Option<usize>) -> Factor {
    let mut f = Factor { x: v, turn: 0, negated: false };
    for _ in 0..MAX_STEPS {
        if let Some(x) = e.as_unary(f.x, Unary::Neg) {
            f = Factor { x, negated: !f.negated, ..f };
        } else if let Some((x, along, first)) = rotated(e, f.x).filter(|(_, along, _)| dim.is_none_or(|d| d == *along))
        {
            *dim = Some(along);
            f = Factor { x, turn: (f.turn + first) % 3, ..f };
        } else {
            break;
        }
    }
    f
}

/// Both factors of a product, and whether it is negated.
fn term(e: &Editor, v: Value, dim: &mut Option<usize>) -> Option<([Factor; 2], bool)> {
    let outer = factor(e, v, dim);
    let (a, b) = e.as_binary(outer.x, Binary::Mul)?;
    let factors = [a, b].map(|v| factor(e, v, dim));
    let negated = factors.iter().fold(outer.negated, |n, f| n != f.negated);
    Some((factors.map(|f| Factor { turn: (f.turn + outer.turn) % 3, ..f }), negated))
}

fn product(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    let difference = e.as_binary(v, Binary::Sub);
    let (p, q) = difference.or_else(|| e.as_binary(v, Binary::Add)).filter(|_| e.dtype(v).is_float())?;
    let mut dim = None;
    let ((p, p_negated), (q, q_negated)) = (term(e, p, &mut dim)?, term(e, q, &mut dim)?);
    let (plus, minus) = match (p_negated, q_negated != difference.is_some()) {
        (false, true) => (p, q),
        (true, false) => (q, p),
        (true, true) | (false, false) => return None,
    };
    let at = |factors: &[Factor; 2], turn: usize| factors.iter().find(|f| f.turn == turn).map(|f| f.x);
    let (a, b) = (at(&plus, 1)?, at(&plus, 2)?);
    let same = at(&minus, 2) == Some(a) && at(&minus, 1) == Some(b);
    let alike = e.shape(a) == e.shape(v) && e.shape(b) == e.shape(v);
    let schema = "aten::linalg_cross(Tensor self, Tensor other, *, int dim=-1) -> Tensor";
    if same && alike { Found::new(schema, [("dim", number(dim? as i64))], [a, b]) } else { None }
}
