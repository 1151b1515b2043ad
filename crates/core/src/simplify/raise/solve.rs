//! Inverses and solutions of systems that have to exist.

use super::super::Class;
use super::super::edit::{Editor, NodeId};
use super::{Found, Raising, number};
use crate::ir::Value;
use crate::ops::{Binary, Op};

pub(super) static RULES: &[Raising] = &[Raising { class: Class::Exact, find: checked }];

/// The most nodes between the `info` of a factorization and the condition that all of it is 0.
const MAX_STEPS: usize = 16;

/// The value, all elements of which are 0 where `condition` is true: nonzero elements are counted, perhaps in steps.
fn all_zero(e: &Editor, condition: Value) -> Option<Value> {
    let against_zero = |v: Value, op: Binary| e.as_binary(v, op).filter(|(_, zero)| e.is_zero(*zero)).map(|(x, _)| x);
    let mut v = against_zero(condition, Binary::Eq)?;
    for _ in 0..MAX_STEPS {
        let count = e.as_view(v).or_else(|| e.as_sum(v).map(|(_, x)| x));
        let next = count.or_else(|| against_zero(e.as_convert(v)?, Binary::Ne));
        match next {
            Some(x) => v = x,
            None => break,
        }
    }
    Some(v)
}

/// An inverse or a solution under the condition that the matrices are regular, as PyTorch's operators check it.
fn checked(e: &Editor, id: NodeId) -> Option<Found> {
    let Op::AssertAsync(_) = e.op(id) else { return None };
    let (condition, x) = (e.arg(id, 0), e.arg(id, 1));
    let (op, at) = e.def_op(x)?;
    let [result, .., info] = e.results(at) else { return None };
    if *result != x || all_zero(e, condition)? != *info {
        return None;
    }
    match op {
        Op::Inverse(_) => Found::new("aten::linalg_inv(Tensor A) -> Tensor", [], [e.arg(at, 0)]),
        Op::Solve(s) => Found::new(
            "aten::linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
            [("left", number(s.left))],
            [e.arg(at, 0), e.arg(at, 1)],
        ),
        Op::Call(call) if call.function() == "linalg_cholesky_ex" => Found::new(
            "aten::linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor",
            [("upper", call.param("upper")?.clone())],
            [e.arg(at, 0)],
        ),
        _ => None,
    }
}
