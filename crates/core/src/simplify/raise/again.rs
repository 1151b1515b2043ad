//! Functions of one operand that a graph names once and spells out for another operand: the tangent of a linear function is
//! the function of a tangent.
//!
//! What a call computes is compared with what stands in the graph, node by node, from its end back to the operand.

use rustc_hash::FxHashMap;

use super::super::edit::{Editor, NodeId};
use super::MAX_BODY;
use super::known::spelled_out;
use super::pullback::{Pullback, follows};
use crate::ir::Aval;
use crate::ops::{Call, Op};

/// The most functions with results of one shape.
const MOST: usize = 8;

/// Lets a call of the same function stand for each place where it is spelled out; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut functions: FxHashMap<Aval, Vec<(Call, Pullback)>> = FxHashMap::default();
    for id in (0..e.num_nodes()).filter(|id| e.is_alive(*id)) {
        let (Op::Call(op), [_], [y]) = (e.op(id), e.args(id), e.results(id)) else { continue };
        let same = functions.entry(e.aval(*y).clone()).or_default();
        if !op.is_transparent() || same.len() == MOST || same.iter().any(|(other, _)| other == op) {
            continue;
        }
        let Some(body) = spelled_out(op).filter(|b| (2..=MAX_BODY).contains(&b.len())) else { continue };
        same.push((op.clone(), Pullback::of(body)));
    }
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if functions.is_empty() {
            break;
        }
        if e.is_alive(id) && e.results(id).len() == 1 {
            taken |= stand(e, id, &functions).is_some();
        }
    }
    taken
}

fn stand(e: &mut Editor, id: NodeId, functions: &FxHashMap<Aval, Vec<(Call, Pullback)>>) -> Option<()> {
    let v = e.results(id)[0];
    let (op, x) = functions.get(e.aval(v))?.iter().find_map(|(op, body)| Some((op, body.ending(e, v)?)))?;
    if !follows(e, v, &[x]) {
        return None;
    }
    e.begin(id);
    let made = e.emit(op.clone(), &[x]);
    if made.is_some_and(|made| e.commit(made, 0)) {
        return Some(());
    }
    e.rollback();
    None
}
