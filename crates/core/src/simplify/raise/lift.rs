//! Dims of size 1 after a reduction, not after what is made of it: `keepdim=True` says them without a statement.
//!
//! Simplification moves views towards the results; PyTorch's reductions keep their dims where they are. A view that only adds
//! those dims back goes up through elementwise functions of which nothing else is needed.

use super::super::edit::{Editor, NodeId};
use super::reduce::{called_spread, kept_shape};
use crate::ir::{Shape, Value};
use crate::ops::{Amax, Amin, Op};

/// The most functions between a reduction and the view of what is made of it.
const MAX_CHAIN: usize = 8;

/// Moves every view that keeps reduced dims up to its reduction.
pub(super) fn lift(e: &mut Editor) {
    for id in (0..e.num_nodes()).rev() {
        if !e.is_alive(id) || !matches!(e.op(id), Op::View(_)) {
            continue;
        }
        let (v, shape) = (e.results(id)[0], e.out(id).shape);
        let Some(chain) = chain(e, e.arg(id, 0), &shape) else { continue };
        e.begin(id);
        match rebuilt(e, &chain, &shape) {
            Some(new) if new != v => {
                e.commit(new, 0);
            }
            Some(_) | None => e.rollback(),
        }
    }
}

/// The functions from `v` up to a reduction that has `shape` with its dims kept; `None` without any between.
fn chain(e: &Editor, v: Value, shape: &Shape) -> Option<Vec<NodeId>> {
    let (mut v, mut out) = (v, Vec::new());
    while out.len() < MAX_CHAIN {
        let id = e.def(v).filter(|_| e.count(v) == 1)?;
        let dims = match e.op(id) {
            Op::Sum(_) => e.as_sum(v)?.0,
            Op::Amax(Amax { dim }) | Op::Amin(Amin { dim }) => dim.clone(),
            Op::Unary(_) | Op::Binary(_) => {
                out.push(id);
                v = operand(e, id)?;
                continue;
            }
            _ => called_spread(e, v)?.1,
        };
        let kept = !dims.is_empty() && kept_shape(e.shape(e.arg(id, 0)), &dims) == *shape;
        return (kept && !out.is_empty()).then_some(out);
    }
    None
}

/// The operand of a function that has no other but numbers.
fn operand(e: &Editor, id: NodeId) -> Option<Value> {
    let mut varying = e.args(id).iter().copied().filter(|v| e.as_full(*v).is_none());
    let x = varying.next()?;
    varying.next().is_none().then_some(x)
}

fn rebuilt(e: &mut Editor, chain: &[NodeId], shape: &Shape) -> Option<Value> {
    let reduced = operand(e, *chain.last()?)?;
    let mut v = e.view(reduced, shape)?;
    for id in chain.iter().rev() {
        let mut args = e.args(*id).to_vec();
        for a in &mut args {
            *a = match e.as_full(*a) {
                Some(c) => {
                    let aval = e.aval(*a).with_shape(shape);
                    e.full(&aval, c)?
                }
                None => v,
            };
        }
        v = e.emit(e.op(*id).clone(), &args)?;
    }
    Some(v)
}
