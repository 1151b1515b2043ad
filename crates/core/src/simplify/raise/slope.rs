//! Derivatives of elementwise operators: a cotangent times a slope.
//!
//! The cotangent may stand outside the slope or in the branches of its choices, and may be a number.

use std::sync::LazyLock;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::term::{Along, Bindings, Term, close, said};
use super::{Found, Made, Raising, number};
use crate::ir::DType;
use crate::ops::Binary;

pub(super) static RULES: &[Raising] = &[Raising { class: Class::Rounding, find }];

/// A backward operator.
struct Row {
    slope: Term,
    schema: &'static str,
    /// What it takes beside the cotangent.
    said: &'static str,
    /// Whether it reduces like a loss, so that the cotangent may be that of the mean or of the sum.
    reduces: Reduces,
    /// What the numbers that were found have to be.
    holds: fn(&Bindings) -> Option<bool>,
    /// The dtypes of which PyTorch's operator has the slope to the last bits.
    dtypes: fn(DType) -> bool,
}

/// How a backward operator reduces.
#[derive(Clone, Copy, PartialEq)]
enum Reduces {
    /// It is elementwise.
    Not,
    /// As losses do.
    Loss,
    /// As losses do, and the slope is half of the loss's: the other factor 2 is in the mean's.
    HalfOfMean,
}

fn find(e: &Editor, id: NodeId) -> Option<Found> {
    let v = e.results(id)[0];
    if !e.dtype(v).is_float() {
        return None;
    }
    TABLE.iter().find_map(|r| {
        let (mut along, mut found) = (Along::Unknown, Bindings::default());
        if !(r.dtypes)(e.dtype(v))
            || !r.slope.matches_along(e, v, &mut along, &mut found)
            || (r.holds)(&found) != Some(true)
        {
            return None;
        }
        let mut op = said(r.schema, r.said, &found)?;
        let n = e.shape(v).numel() as f64;
        let (reduction, along) = match r.reduces {
            Reduces::Not => (0, along),
            Reduces::Loss => reduced(e, along, n),
            Reduces::HalfOfMean => (1, of_mean(e, along, n / 2.0)?),
        };
        if r.reduces != Reduces::Not {
            op.params.push(("reduction", number(reduction)));
        }
        match along {
            Along::Value(g) => op.args.insert(0, g),
            Along::Uniform(x) if reduction == 0 => op.made = vec![(0, Made::Uniform(e.aval(v).clone(), x))],
            Along::Uniform(x) => op.made = vec![(0, Made::Uniform(e.aval(v).with_shape(()), x))],
            Along::Unknown => return None,
        }
        Some(op)
    })
}

/// How the loss of which `along` is the cotangent was reduced from `n` elements, and the cotangent of that.
fn reduced(e: &Editor, along: Along, n: f64) -> (i64, Along) {
    let (mean, sum) = (1, 2);
    if let Some(g) = of_mean(e, along, n) {
        return (mean, g);
    }
    match along {
        Along::Uniform(x) => (sum, Along::Uniform(x)),
        Along::Value(g) => {
            e.as_expand(g).filter(|s| e.shape(*s).rank() == 0).map_or((0, along), |s| (sum, Along::Value(s)))
        }
        Along::Unknown => (0, along),
    }
}

/// The cotangent of which `along` is the `n`-th part everywhere.
fn of_mean(e: &Editor, along: Along, n: f64) -> Option<Along> {
    match along {
        Along::Uniform(x) => close(x * n, 1.0).then_some(Along::Uniform(1.0)),
        Along::Value(g) => {
            let s = e.as_expand(g).filter(|s| e.shape(*s).rank() == 0)?;
            let quotient = e.as_binary(s, Binary::Div).and_then(|(g, c)| Some((g, e.as_full(c)?.to_f64() / n)));
            let (g, part) = quotient.or_else(|| e.as_scaled(s).map(|(g, c)| (g, c.to_f64() * n)))?;
            close(part, 1.0).then_some(Along::Value(g))
        }
        Along::Unknown => None,
    }
}

const HARDTANH: &str =
    "aten::hardtanh_backward(Tensor grad_output, Tensor self, Scalar min_val, Scalar max_val) -> Tensor";
const ELU: &str = "aten::elu_backward(Tensor grad_output, Scalar alpha, Scalar scale, Scalar input_scale, bool is_result, Tensor self_or_result) -> Tensor";
const HARDSHRINK: &str = "aten::hardshrink_backward(Tensor grad_out, Tensor self, Scalar lambd) -> Tensor";
const HARDSIGMOID: &str = "aten::hardsigmoid_backward(Tensor grad_output, Tensor self) -> Tensor";
const BCE: &str = "aten::binary_cross_entropy_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean) -> Tensor";
const GELU: &str = "aten::gelu_backward(Tensor grad_output, Tensor self, *, str approximate='none') -> Tensor";
/// The slope of `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))`.
const GELU_TANH: &str = "add(mul(add(tanh(mul(add(x, mul(mul(mul(x, x), x), 0.044715)), 0.7978845608028654)), 1), 0.5), mul(sub(1, mul(tanh(mul(add(x, mul(mul(mul(x, x), x), 0.044715)), 0.7978845608028654)), tanh(mul(add(x, mul(mul(mul(x, x), x), 0.044715)), 0.7978845608028654)))), mul(add(mul(mul(x, x), 0.053516112204450184), 0.3989422804014327), x)))";
const MSE: &str = "aten::mse_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction) -> Tensor";
const SOFTPLUS: &str =
    "aten::softplus_backward(Tensor grad_output, Tensor self, Scalar beta, Scalar threshold) -> Tensor";
const HARDSWISH: &str = "aten::hardswish_backward(Tensor grad_output, Tensor self) -> Tensor";
const HUBER: &str =
    "aten::huber_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, float delta) -> Tensor";
const SMOOTH_L1: &str = "aten::smooth_l1_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, float beta) -> Tensor";

fn always(_: &Bindings) -> Option<bool> {
    Some(true)
}

fn row(slope: &'static str, schema: &'static str, said: &'static str) -> Row {
    Row { slope: Term::parse(slope), schema, said, reduces: Reduces::Not, holds: always, dtypes: |_| true }
}

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let ordered = |b: &Bindings| Some(b.number("a")? < b.number("b")?);
    vec![
        Row {
            holds: ordered,
            ..row("where(le(x, ?a), 0, where(ge(x, ?b), 0, 1))", HARDTANH, "x, min_val=?a, max_val=?b")
        },
        Row {
            holds: ordered,
            ..row("where(ge(x, ?b), 0, where(le(x, ?a), 0, 1))", HARDTANH, "x, min_val=?a, max_val=?b")
        },
        row(
            "where(le(x, 0), mul(exp(where(lt(x, 0), x, 0)), ?c), ?s)",
            ELU,
            "x, alpha=?c/?s, scale=?s, input_scale=1, is_result=false",
        ),
        row(
            "where(le(x, 0), exp(div(where(lt(x, 0), x, 0), ?a)), 1)",
            ELU,
            "x, alpha=?a, scale=1, input_scale=1/?a, is_result=false",
        ),
        // As people write it.
        row(
            "where(le(x, 0), mul(exp(where(le(x, 0), x, 0)), ?c), ?s)",
            ELU,
            "x, alpha=?c/?s, scale=?s, input_scale=1, is_result=false",
        ),
        row(
            "where(le(x, 0), exp(div(where(le(x, 0), x, 0), ?a)), 1)",
            ELU,
            "x, alpha=?a, scale=1, input_scale=1/?a, is_result=false",
        ),
        row("where(le(abs(x), ?l), 0, 1)", HARDSHRINK, "x, lambd=?l"),
        Row {
            holds: |b| Some(b.number("a")? == -b.number("l")?),
            ..row("where(bitwise_and(ge(x, ?a), le(x, ?l)), 0, 1)", HARDSHRINK, "x, lambd=?l")
        },
        Row {
            // Of doubles PyTorch's operator takes the sixth part in single precision.
            dtypes: |d| d != DType::F64,
            ..row("where(bitwise_and(gt(x, -3), lt(x, 3)), 0.16666666666666666, 0)", HARDSIGMOID, "x")
        },
        row(GELU_TANH, GELU, "x, approximate=tanh"),
        Row {
            reduces: Reduces::Loss,
            ..row("div(sub(x, y), maximum(mul(sub(1, x), x), 1e-12))", BCE, "x, y, weight=none")
        },
        Row { reduces: Reduces::Loss, ..row("mul(sub(x, y), 2)", MSE, "x, y") },
        Row { reduces: Reduces::HalfOfMean, ..row("sub(x, y)", MSE, "x, y") },
        row("where(gt(mul(x, ?b), ?t), 1, sigmoid(mul(x, ?b)))", SOFTPLUS, "x, beta=?b, threshold=?t"),
        row("where(gt(x, ?t), 1, sigmoid(x))", SOFTPLUS, "x, beta=1, threshold=?t"),
        row("where(le(x, -3), 0, where(lt(x, 3), add(div(x, 3), 0.5), 1))", HARDSWISH, "x"),
        Row {
            reduces: Reduces::Loss,
            holds: |b| Some(b.number("d")? > 0.0),
            ..row("where(gt(abs(sub(x, y)), ?d), mul(sign(sub(x, y)), ?d), sub(x, y))", HUBER, "x, y, delta=?d")
        },
        Row {
            reduces: Reduces::Loss,
            holds: |b| Some(b.number("d")? > 0.0),
            ..row("where(ge(abs(sub(x, y)), ?d), sign(sub(x, y)), div(sub(x, y), ?d))", SMOOTH_L1, "x, y, beta=?d")
        },
        Row {
            reduces: Reduces::Loss,
            ..row("where(ge(abs(sub(x, y)), 1), sign(sub(x, y)), sub(x, y))", SMOOTH_L1, "x, y, beta=1.0")
        },
    ]
});
