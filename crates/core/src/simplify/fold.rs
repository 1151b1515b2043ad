//! Constant folding, by the reference evaluator.
//!
//! Uniform tensors stay `full` and never become stored arrays; a stored array is made only of stored arrays, and only if
//! it is small or not larger than they are. What cannot be evaluated stays, so that the error comes when the program runs.

use std::sync::Arc;

use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::array::Array;
use crate::ir::{Aval, Scalar, Shape, Value};
use crate::ops::{Arange, Constant, Eye, LoopForm, Op, Unary};

pub(super) static RULES: &[Rule] = &[
    Rule {
        name: "uniform-constant",
        class: Class::Exact,
        law: "constant([c, c, ...]) -> full(c)",
        apply: Apply::Node(uniform_constant),
    },
    Rule {
        name: "eye-of-one",
        class: Class::Exact,
        law: "eye(1, 1) -> full([1, 1], 1)",
        apply: Apply::Node(eye_of_one),
    },
    Rule {
        name: "fold-full",
        class: Class::Exact,
        law: "f(full(a), full(b)) -> full(f(a, b)) for elementwise f",
        apply: Apply::Node(fold_full),
    },
    Rule {
        name: "move-full",
        class: Class::Exact,
        law: "expand, reshape, permute, slice, flip, cat, pad, diagonal, unfold of full(c) -> full(c)",
        apply: Apply::Node(move_full),
    },
    Rule {
        name: "convert-generated",
        class: Class::Exact,
        law: "convert(eye), convert(arange), detach(constant) -> the same op of the other dtype",
        apply: Apply::Node(convert_generated),
    },
    Rule {
        name: "fold-constant",
        class: Class::Exact,
        law: "an op of stored constants -> its value, if that is small",
        apply: Apply::Node(fold_constant),
    },
];

/// The largest result that folding stores whatever the operands are, in elements.
const SMALL: usize = 16;

/// The largest operands that folding computes with, in elements.
const LARGE: usize = 1 << 16;

/// The element that all elements of `a` are, to the bit.
fn uniform(a: &Array) -> Option<Scalar> {
    let first = (a.numel() > 0).then(|| a.get(0))?;
    let exact = first.cast(a.dtype()) == first;
    (exact && (1..a.numel()).all(|i| a.get(i) == first)).then_some(first)
}

fn uniform_constant(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Constant(c) = e.op(id) else { return None };
    let x = uniform(&c.value)?;
    let aval = e.out(id);
    e.full(&aval, x)
}

fn eye_of_one(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Eye(eye) = e.op(id) else { return None };
    if eye.n != 1 || eye.m != 1 {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, 1.0)
}

fn fold_full(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (Op::Unary(_) | Op::Binary(_) | Op::Where(_) | Op::Convert(_)) = e.op(id) else { return None };
    let one = |v: &Value| e.as_full(*v).map(|c| Array::full(&Aval::new(e.dtype(*v), ()), c));
    let args: Vec<Array> = e.args(id).iter().map(one).collect::<Option<_>>()?;
    let y = e.op(id).prim().eval(&args.iter().collect::<Vec<_>>()).ok()?;
    let (x, aval) = (uniform(&y[0])?, e.out(id));
    e.full(&aval, x)
}

fn move_full(e: &mut Editor, id: NodeId) -> Option<Value> {
    let border = match e.op(id) {
        Op::Expand(_)
        | Op::View(_)
        | Op::Permute(_)
        | Op::Slice(_)
        | Op::SliceScatter(_)
        | Op::Cat(_)
        | Op::Flip(_)
        | Op::Diagonal(_)
        | Op::Unfold(_) => None,
        Op::Pad(p) => Some(p.value),
        Op::DiagEmbed(_) => Some(Scalar::Int(0).cast(e.out_dtype(id))),
        _ => return None,
    };
    let mut values = e.args(id).iter().map(|v| e.as_full(*v)).chain(border.map(Some));
    let first = values.next()??;
    if values.any(|c| c != Some(first)) {
        return None;
    }
    let aval = e.out(id);
    e.full(&aval, first)
}

fn convert_generated(e: &mut Editor, id: NodeId) -> Option<Value> {
    let x = *e.args(id).first()?;
    let (source, _) = e.def_op(x)?;
    match e.op(id) {
        Op::Convert(c) => match source {
            Op::Eye(eye) => {
                let op = Eye { dtype: c.dtype, ..eye.clone() };
                e.emit(op, &[])
            }
            // A range in `i64` holds every index; other dtypes may have rounded or wrapped.
            Op::Arange(r) if r.dtype == crate::ir::DType::I64 && c.dtype != crate::ir::DType::Bool => {
                let op = Arange { dtype: c.dtype, ..r.clone() };
                e.emit(op, &[])
            }
            _ => None,
        },
        Op::Unary(Unary::Detach) => {
            matches!(source, Op::Constant(_) | Op::Full(_) | Op::Eye(_) | Op::Arange(_)).then_some(x)
        }
        _ => None,
    }
}

fn fold_constant(e: &mut Editor, id: NodeId) -> Option<Value> {
    if let Op::Call(_) = e.op(id) {
        return None;
    }
    let aval = e.out(id);
    let out = aval.shape.checked_numel()?;
    let mut inputs = 0usize;
    let mut stored = false;
    for v in e.args(id) {
        match e.def_op(*v)?.0 {
            Op::Constant(c) => {
                stored = true;
                inputs = inputs.checked_add(c.value.numel())?;
            }
            Op::Full(_) | Op::Eye(_) | Op::Arange(_) => inputs = inputs.checked_add(e.shape(*v).numel())?,
            _ => return None,
        }
    }
    // Ops of generated tensors are folded only into another generated tensor, which the result must then be.
    if inputs > LARGE || (out > SMALL && out > inputs) || e.args(id).is_empty() {
        return None;
    }
    let work = match e.op(id).prim().loop_form(&avals(e, id), std::slice::from_ref(&aval)) {
        LoopForm::Contract { .. } => out.checked_mul(last(e.shape(e.arg(id, 0))))?,
        _ => inputs.max(out),
    };
    e.fold_budget = e.fold_budget.checked_sub(work)?;
    let args: Vec<Array> = e.args(id).iter().map(|v| value_of(e, *v)).collect::<Option<_>>()?;
    let y = e.op(id).prim().eval(&args.iter().collect::<Vec<_>>()).ok()?.into_iter().next()?;
    match uniform(&y) {
        Some(x) => e.full(&aval, x),
        None if stored => e.emit(Constant { value: Arc::new(y) }, &[]),
        None => None,
    }
}

fn avals(e: &Editor, id: NodeId) -> Vec<&Aval> {
    e.args(id).iter().map(|v| e.aval(*v)).collect()
}

fn last(shape: &Shape) -> usize {
    shape.dims().last().map_or(1, |d| d.get())
}

fn value_of(e: &Editor, v: Value) -> Option<Array> {
    let (op, _) = e.def_op(v)?;
    op.prim().eval(&[]).ok()?.into_iter().next()
}
