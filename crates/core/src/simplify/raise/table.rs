//! Elementwise operators by the terms that stand for them: as exporters write them, as simplification leaves them, and
//! as composites have them.

use std::sync::LazyLock;

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::elementwise::slim;
use super::term::{Bindings, Term, said};
use super::{Found, Raising};
use crate::ir::Shape;
use crate::tensor::broadcast_shapes;

pub(super) static RULES: &[Raising] = &[
    Raising { class: Class::Exact, find: |e, id| find(e, id, Class::Exact) },
    Raising { class: Class::Rounding, find: |e, id| find(e, id, Class::Rounding) },
];

/// An operator: what stands for it, and what it takes.
struct Row {
    class: Class,
    term: Term,
    schema: &'static str,
    said: &'static str,
}

fn find(e: &Editor, id: NodeId, class: Class) -> Option<Found> {
    let v = e.results(id)[0];
    if !e.dtype(v).is_float() {
        return None;
    }
    TABLE.iter().filter(|r| r.class == class).find_map(|r| {
        let mut found = Bindings::broadcasting();
        if !r.term.matches(e, v, &mut found) {
            return None;
        }
        let op = said(r.schema, r.said, &found)?;
        let args = slim(e, e.shape(v), &op.args);
        // Operands that were found before a broadcast must make up the whole again.
        let whole = args.iter().try_fold(Shape::scalar(), |s, v| broadcast_shapes(&s, e.shape(*v)))?;
        (whole == *e.shape(v)).then_some(Found { args, ..op })
    })
}

const SOFTPLUS: &str = "aten::softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor";
const LOG_SIGMOID: &str = "aten::log_sigmoid(Tensor self) -> Tensor";
const MISH: &str = "aten::mish(Tensor self) -> Tensor";
const HARDSWISH: &str = "aten::hardswish(Tensor self) -> Tensor";
const HARDSIGMOID: &str = "aten::hardsigmoid(Tensor self) -> Tensor";
const HARDTANH: &str = "aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor";
const CELU: &str = "aten::celu(Tensor self, Scalar alpha=1.) -> Tensor";
const HARDSHRINK: &str = "aten::hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor";
const SOFTSHRINK: &str = "aten::softshrink(Tensor self, Scalar lambd=0.5) -> Tensor";
const SINC: &str = "aten::sinc(Tensor self) -> Tensor";
const LOGADDEXP: &str = "aten::logaddexp(Tensor self, Tensor other) -> Tensor";
const LOGADDEXP2: &str = "aten::logaddexp2(Tensor self, Tensor other) -> Tensor";
const XLOG1PY: &str = "aten::special_xlog1py(Tensor self, Tensor other) -> Tensor";
const LERP_SCALAR: &str = "aten::lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor";
const LERP: &str = "aten::lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor";
const LOGIT: &str = "aten::logit(Tensor self, float? eps=None) -> Tensor";
const LOG_NDTR: &str = "aten::special_log_ndtr(Tensor self) -> Tensor";
const NAN_TO_NUM: &str =
    "aten::nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor";
const HEAVISIDE: &str = "aten::heaviside(Tensor self, Tensor values) -> Tensor";
const ENTR: &str = "aten::special_entr(Tensor self) -> Tensor";
const XLOGY: &str = "aten::xlogy.Tensor(Tensor self, Tensor other) -> Tensor";

static TABLE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let rows: [(Class, &'static str, &'static str, &'static str); 30] = [
        (Class::Exact, "where(gt(x, ?t), x, log1p(exp(x)))", SOFTPLUS, "x, beta=1, threshold=?t"),
        (Class::Exact, "where(gt(x, ?t), x, log1p(exp(where(gt(x, ?t), 0, x))))", SOFTPLUS, "x, beta=1, threshold=?t"),
        (
            Class::Rounding,
            "where(gt(mul(x, ?b), ?t), x, div(log1p(exp(mul(x, ?b))), ?b))",
            SOFTPLUS,
            "x, beta=?b, threshold=?t",
        ),
        (Class::Rounding, "sub(minimum(x, 0), log1p(exp(neg(abs(x)))))", LOG_SIGMOID, "x"),
        (Class::Rounding, "mul(x, tanh(where(gt(x, 20), x, log1p(exp(x)))))", MISH, "x"),
        (Class::Rounding, "mul(x, tanh(where(gt(x, 20), x, log1p(exp(where(gt(x, 20), 0, x))))))", MISH, "x"),
        (Class::Rounding, "div(mul(x, clamp_max(clamp_min(add(x, 3), 0), 6)), 6)", HARDSWISH, "x"),
        (Class::Rounding, "mul(x, div(clamp_max(clamp_min(add(x, 3), 0), 6), 6))", HARDSWISH, "x"),
        (Class::Rounding, "div(clamp_max(clamp_min(add(x, 3), 0), 6), 6)", HARDSIGMOID, "x"),
        (Class::Exact, "where(le(x, ?a), ?a, where(ge(x, ?b), ?b, x))", HARDTANH, "x, min_val=?a, max_val=?b"),
        (Class::Exact, "where(ge(x, ?b), ?b, where(le(x, ?a), ?a, x))", HARDTANH, "x, min_val=?a, max_val=?b"),
        (Class::Rounding, "where(gt(x, 0), x, mul(expm1(div(x, ?a)), ?a))", CELU, "x, alpha=?a"),
        (Class::Exact, "where(le(abs(x), ?l), 0, x)", HARDSHRINK, "x, lambd=?l"),
        (Class::Rounding, "where(gt(abs(x), ?l), sub(x, mul(sign(x), ?l)), 0)", SOFTSHRINK, "x, lambd=?l"),
        (
            Class::Rounding,
            "where(eq(mul(x, 3.141592653589793), 0), 1, div(sin(mul(x, 3.141592653589793)), mul(x, 3.141592653589793)))",
            SINC,
            "x",
        ),
        (
            Class::Rounding,
            "where(logical_and(logical_not(mul(eq(x, x), ne(abs(x), inf))), eq(x, y)), x, add(where(ge(x, y), x, y), log1p(exp(sub(where(ge(x, y), y, x), where(ge(x, y), x, y))))))",
            LOGADDEXP,
            "x, y",
        ),
        (Class::Exact, "where(isnan(x), x, where(gt(x, 0), neg(mul(x, log(x))), where(eq(x, 0), 0, -inf)))", ENTR, "x"),
        (Class::Exact, "where(isnan(x), x, where(gt(x, 0), mul(neg(x), log(x)), where(eq(x, 0), 0, -inf)))", ENTR, "x"),
        (
            Class::Exact,
            "where(eq(x, inf), ?c, where(eq(x, -inf), ?b, where(isnan(x), ?a, x)))",
            NAN_TO_NUM,
            "x, nan=?a, posinf=?c, neginf=?b",
        ),
        (
            Class::Rounding,
            "add(where(ge(abs(?w), 0.5), y, x), mul(where(ge(abs(?w), 0.5), sub(?w, 1), ?w), sub(y, x)))",
            LERP_SCALAR,
            "x, y, weight=?w",
        ),
        (
            Class::Rounding,
            "add(where(ge(abs(w), 0.5), y, x), mul(where(ge(abs(w), 0.5), sub(w, 1), w), sub(y, x)))",
            LERP,
            "x, y, w",
        ),
        // As this project computes it.
        (
            Class::Rounding,
            "where(lt(abs(w), 0.5), add(x, mul(sub(y, x), w)), sub(y, mul(sub(y, x), sub(1, w))))",
            LERP,
            "x, y, w",
        ),
        (
            Class::Rounding,
            "log(div(where(lt(x, -1), -1, where(gt(x, 2), 2, x)), sub(1, where(lt(x, -1), -1, where(gt(x, 2), 2, x)))))",
            LOGIT,
            "x, eps=none",
        ),
        (
            Class::Rounding,
            "log(div(where(lt(x, ?a), ?a, where(gt(x, ?1-a), ?1-a, x)), sub(1, where(lt(x, ?a), ?a, where(gt(x, ?1-a), ?1-a, x)))))",
            LOGIT,
            "x, eps=?a",
        ),
        (
            Class::Rounding,
            "where(lt(x, 1), sub(log(div(special_erfcx(neg(mul(x, 0.7071067811865476))), 2)), mul(mul(x, 0.7071067811865476), mul(x, 0.7071067811865476))), log1p(div(erfc(mul(x, 0.7071067811865476)), -2)))",
            LOG_NDTR,
            "x",
        ),
        (
            Class::Rounding,
            "where(lt(x, 1), sub(log(div(special_erfcx(neg(mul(x, 0.7071067811865476))), 2)), mul(mul(x, 0.7071067811865476), mul(x, 0.7071067811865476))), log1p(div(neg(erfc(mul(x, 0.7071067811865476))), 2)))",
            LOG_NDTR,
            "x",
        ),
        (
            Class::Rounding,
            "where(logical_and(isinf(x), eq(x, y)), x, add(where(ge(x, y), x, y), mul(log1p(exp2(sub(where(ge(x, y), y, x), where(ge(x, y), x, y)))), 1.4426950408889634)))",
            LOGADDEXP2,
            "x, y",
        ),
        (Class::Exact, "where(isnan(y), nan, where(eq(x, 0), 0, mul(x, log1p(y))))", XLOG1PY, "x, y"),
        (Class::Exact, "where(eq(x, 0), y, where(logical_or(lt(x, 0), isnan(x)), 0, 1))", HEAVISIDE, "x, y"),
        (Class::Exact, "where(isnan(y), nan, where(eq(x, 0), 0, mul(x, log(y))))", XLOGY, "x, y"),
    ];
    rows.map(|(class, term, schema, said)| Row { class, term: Term::parse(term), schema, said }).into()
});
