//! Numbers and broadcasts as operands: `x * 2.0` in place of a product with a uniform tensor, `x + y` where one is
//! broadcast.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::{Found, Raising, number};
use crate::ir::{Attr, DType, Scalar, Shape, Value, Values};
use crate::ops::{Binary, Op};
use crate::tensor::broadcast_shapes;

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Exact, find: with_number },
    Raising { class: Class::Exact, find: number_less },
    Raising { class: Class::Exact, find: rounded },
    Raising { class: Class::Finite, find: clamped },
    Raising { class: Class::Rounding, find: power },
    Raising { class: Class::Exact, find: choice },
    Raising { class: Class::Exact, find: broadcast },
];

/// The overload of a function that takes a number on the right.
struct Numbered {
    op: Binary,
    schema: &'static str,
    /// The argument that is the number.
    name: &'static str,
    /// The function that it is of its operands exchanged.
    turned: Option<Binary>,
    class: Class,
}

const fn row(op: Binary, turned: Option<Binary>, schema: &'static str) -> Numbered {
    Numbered { op, schema, name: "other", turned, class: Class::Exact }
}

const NUMBERED: &[Numbered] = &[
    row(Binary::Add, Some(Binary::Add), "aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor"),
    row(Binary::Sub, None, "aten::sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor"),
    row(Binary::Mul, Some(Binary::Mul), "aten::mul.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Div, None, "aten::div.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Fmod, None, "aten::fmod.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Remainder, None, "aten::remainder.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::BitwiseLeftShift, None, "aten::bitwise_left_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor"),
    row(
        Binary::BitwiseRightShift,
        None,
        "aten::bitwise_right_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor",
    ),
    row(Binary::BitwiseAnd, Some(Binary::BitwiseAnd), "aten::bitwise_and.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::BitwiseOr, Some(Binary::BitwiseOr), "aten::bitwise_or.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::BitwiseXor, Some(Binary::BitwiseXor), "aten::bitwise_xor.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Zeta, None, "aten::special_zeta.other_scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Eq, Some(Binary::Eq), "aten::eq.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Ne, Some(Binary::Ne), "aten::ne.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Lt, Some(Binary::Gt), "aten::lt.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Le, Some(Binary::Ge), "aten::le.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Gt, Some(Binary::Lt), "aten::gt.Scalar(Tensor self, Scalar other) -> Tensor"),
    row(Binary::Ge, Some(Binary::Le), "aten::ge.Scalar(Tensor self, Scalar other) -> Tensor"),
    // Of zeros of both signs either may be the larger one.
    Numbered {
        name: "min",
        class: Class::Finite,
        ..row(Binary::Maximum, Some(Binary::Maximum), "aten::clamp_min(Tensor self, Scalar min) -> Tensor")
    },
    Numbered {
        name: "max",
        class: Class::Finite,
        ..row(Binary::Minimum, Some(Binary::Minimum), "aten::clamp_max(Tensor self, Scalar max) -> Tensor")
    },
];

/// The uniform number that `v` is, if PyTorch does not promote by it: a float beside floats, an integer beside integers.
fn beside(e: &Editor, v: Value) -> Option<Scalar> {
    e.as_full(v).filter(|c| match c {
        Scalar::Float(x) => e.dtype(v).is_float() && !x.is_nan(),
        Scalar::Int(_) => e.dtype(v).is_int(),
        Scalar::Bool(_) => false,
    })
}

fn operands(e: &Editor, id: NodeId) -> Option<(Binary, Value, Value)> {
    match e.op(id) {
        Op::Binary(b) => Some((*b, e.arg(id, 0), e.arg(id, 1))),
        _ => None,
    }
}

/// `x ∘ c` or `c ∘ x` by the overload of class `class` that takes a number.
fn numbered(e: &Editor, id: NodeId, class: Class) -> Option<Found> {
    let (op, a, b) = operands(e, id)?;
    let of = |op: Binary| NUMBERED.iter().find(|n| n.op == op && n.class == class);
    let (n, x, c) = match (beside(e, a), beside(e, b)) {
        (_, Some(c)) => (of(op)?, a, c),
        (Some(c), None) => (of(of(op)?.turned?)?, b, c),
        (None, None) => return None,
    };
    Found::new(n.schema, [(n.name, number(c))], [x])
}

fn with_number(e: &Editor, id: NodeId) -> Option<Found> {
    numbered(e, id, Class::Exact)
}

fn clamped(e: &Editor, id: NodeId) -> Option<Found> {
    numbered(e, id, Class::Finite)
}

fn number_less(e: &Editor, id: NodeId) -> Option<Found> {
    let (Binary::Sub, a, b) = operands(e, id)? else { return None };
    let c = beside(e, a)?;
    let schema = "aten::rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor";
    Found::new(schema, [("other", number(c))], [b])
}

/// Quotients by a number that are rounded, and functions of a number on the left.
fn rounded(e: &Editor, id: NodeId) -> Option<Found> {
    let (op, a, b) = operands(e, id)?;
    if op == Binary::Zeta {
        let c = beside(e, a)?;
        let schema = "aten::special_zeta.self_scalar(Scalar self, Tensor other) -> Tensor";
        return Found::new(schema, [("self", number(c))], [b]);
    }
    let mode = match op {
        Binary::DivFloor => "floor",
        Binary::DivTrunc => "trunc",
        _ => return None,
    };
    let c = beside(e, b)?;
    let schema = "aten::div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor";
    Found::new(schema, [("other", number(c)), ("rounding_mode", Attr::Str(mode.to_owned()))], [a])
}

/// Powers with a number. PyTorch takes roots for the exponents 0.5 and -0.5, which differ from powers at -0 and -inf,
/// and refuses negative exponents of integers.
fn power(e: &Editor, id: NodeId) -> Option<Found> {
    let (Binary::Pow, a, b) = operands(e, id)? else { return None };
    if let Some(c) = beside(e, b) {
        let usual = match c {
            Scalar::Float(c) => c.abs() != 0.5,
            Scalar::Int(c) => c >= 0,
            Scalar::Bool(_) => false,
        };
        let found = || {
            Found::new(
                "aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor",
                [("exponent", number(c))],
                [a],
            )
        };
        return usual.then(found)?;
    }
    let c = beside(e, a).filter(|_| e.dtype(b).is_float())?;
    Found::new("aten::pow.Scalar(Scalar self, Tensor exponent) -> Tensor", [("self", number(c))], [b])
}

/// A choice between a tensor and a number.
fn choice(e: &Editor, id: NodeId) -> Option<Found> {
    let (p, a, b) = e.as_where(e.results(id)[0])?;
    let p = smaller(e, p);
    match (beside(e, a), beside(e, b)) {
        (None, Some(c)) => Found::new(
            "aten::where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor",
            [("other", number(c))],
            [p, a],
        ),
        (Some(c), None) => Found::new(
            "aten::where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor",
            [("self", number(c))],
            [p, b],
        ),
        // The dtype of two numbers is not that of the result.
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// What `v` is a broadcast of, as PyTorch's elementwise functions broadcast: views that only add dims in front fall too.
pub(super) fn smaller(e: &Editor, v: Value) -> Value {
    let Some(mut x) = e.as_expand(v) else { return v };
    while let Some(inner) = e.as_view(x) {
        let (small, large) = (e.shape(inner), e.shape(x));
        if small.rank() >= large.rank() || aligned(small, large) != *large {
            break;
        }
        x = inner;
    }
    x
}

/// Operands that PyTorch broadcasts and converts by itself.
fn broadcast(e: &Editor, id: NodeId) -> Option<Found> {
    let op = match e.op(id) {
        op @ (Op::Binary(_) | Op::Where(_)) => op,
        _ => return None,
    };
    let mut args = slim(e, e.shape(e.results(id)[0]), e.args(id));
    promote(e, op, &mut args);
    let fewer = args.as_slice() != e.args(id);
    let attrs: Vec<(&'static str, Attr)> = op.prim().attrs().into_iter().collect();
    fewer.then(|| Found::new(op.prim().schema(), attrs, args))?
}

/// Leaves a conversion of one operand to PyTorch: truth values beside numbers, integers beside floats.
fn promote(e: &Editor, op: &Op, args: &mut Values) {
    let last = args.len() - 1;
    let source = |v: Value| {
        let x = e.as_convert(v).filter(|x| e.dtype(*x).category() < e.dtype(v).category())?;
        // PyTorch refuses differences of truth values, and takes powers of integers by themselves.
        let refused = match op {
            Op::Binary(Binary::Sub) => e.dtype(x) == DType::Bool,
            Op::Binary(Binary::Pow) => true,
            _ => false,
        };
        (!refused).then_some(x)
    };
    // The other operand says the dtype.
    if let Some((i, x)) = [last, last - 1].into_iter().find_map(|i| Some((i, source(args[i])?))) {
        args[i] = x;
    }
}

/// The operands of an elementwise operator of shape `out`, without the broadcasts that it makes itself.
pub(super) fn slim(e: &Editor, out: &Shape, args: &[Value]) -> Values {
    let mut args: Values = args.iter().copied().collect();
    for i in 0..args.len() {
        let whole = args[i];
        args[i] = smaller(e, whole);
        let shape = args.iter().try_fold(Shape::default(), |s, v| broadcast_shapes(&s, e.shape(*v)));
        if shape.as_ref() != Some(out) {
            args[i] = whole;
        }
    }
    args
}
