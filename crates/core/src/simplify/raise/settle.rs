//! Values that depend on no operand, computed.
//!
//! What is short says what it is: a range, a triangle of ones. A longer computation of places or tables says less than a stored
//! array, and costs a statement for each step. It comes last, so that no pattern has to be found in numbers.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::edit::{Editor, NodeId};
use crate::array::Array;
use crate::ops::Constant;

/// The fewest nodes that an array stands for.
const MIN_NODES: usize = 4;

/// The most elements of an array, and of all that it is computed from.
const MAX_NUMEL: usize = 1 << 10;

/// Stores arrays in place of the values that depend on no operand and take many steps.
pub(super) fn settle(e: &mut Editor) {
    let mut settled = Settled { known: FxHashMap::default(), arrays: FxHashMap::default() };
    let alive: Vec<NodeId> = (0..e.num_nodes()).filter(|id| e.is_alive(*id)).collect();
    for &id in &alive {
        settled.is_known(e, id);
    }
    let ends: Vec<NodeId> = alive.into_iter().filter(|id| settled.known[id] && settled.is_end(e, *id)).collect();
    for id in ends {
        if !e.is_alive(id) || steps(e, id) < MIN_NODES {
            continue;
        }
        let Some([value]) = settled.arrays(e, id).map(Vec::as_slice) else { continue };
        let value = value.clone();
        e.begin(id);
        match e.emit(Constant { value }, &[]) {
            Some(new) => {
                e.commit(new, 0);
            }
            None => e.rollback(),
        }
    }
}

struct Settled {
    /// Whether a node depends on no operand and is small.
    known: FxHashMap<NodeId, bool>,
    arrays: FxHashMap<NodeId, Option<Vec<Arc<Array>>>>,
}

impl Settled {
    fn is_known(&mut self, e: &Editor, id: NodeId) -> bool {
        let mut stack = vec![id];
        while let Some(&id) = stack.last() {
            if self.known.contains_key(&id) {
                stack.pop();
                continue;
            }
            let defs: Vec<Option<NodeId>> = e.args(id).iter().map(|v| e.def(*v)).collect();
            let before = stack.len();
            stack.extend(defs.iter().flatten().filter(|d| !self.known.contains_key(d)));
            if stack.len() > before {
                continue;
            }
            stack.pop();
            let small = e.results(id).iter().all(|v| e.shape(*v).numel() <= MAX_NUMEL);
            self.known.insert(id, small && defs.iter().all(|d| d.is_some_and(|d| self.known[&d])));
        }
        self.known[&id]
    }

    /// Whether a node that depends on an operand takes the value, or the graph returns it.
    fn is_end(&self, e: &Editor, id: NodeId) -> bool {
        let &[v] = e.results(id) else { return false };
        let users: FxHashSet<NodeId> = e.users(v).filter(|u| self.known.get(u) == Some(&true)).collect();
        let inside: usize = users.iter().map(|u| e.args(*u).iter().filter(|a| **a == v).count()).sum();
        e.count(v) as usize > inside
    }

    /// The results of a node that is known; `None` if it has none.
    fn arrays(&mut self, e: &Editor, id: NodeId) -> Option<&Vec<Arc<Array>>> {
        let mut stack = vec![id];
        while let Some(&id) = stack.last() {
            if self.arrays.contains_key(&id) {
                stack.pop();
                continue;
            }
            let before = stack.len();
            stack.extend(e.args(id).iter().filter_map(|v| e.def(*v)).filter(|d| !self.arrays.contains_key(d)));
            if stack.len() > before {
                continue;
            }
            stack.pop();
            let computed = self.computed(e, id);
            self.arrays.insert(id, computed);
        }
        self.arrays[&id].as_ref()
    }

    fn computed(&self, e: &Editor, id: NodeId) -> Option<Vec<Arc<Array>>> {
        let operand = |v: &crate::ir::Value| {
            let def = e.def(*v)?;
            let place = e.results(def).iter().position(|r| r == v)?;
            self.arrays[&def].as_ref().map(|all| all[place].clone())
        };
        let args = e.args(id).iter().map(operand).collect::<Option<Vec<_>>>()?;
        let args: Vec<&Array> = args.iter().map(Arc::as_ref).collect();
        let results = e.op(id).prim().eval(&args).ok()?;
        Some(results.into_iter().map(Arc::new).collect())
    }
}

/// How many nodes there are up to `id`, as far as [`MIN_NODES`].
fn steps(e: &Editor, id: NodeId) -> usize {
    let (mut seen, mut stack) = (FxHashSet::default(), vec![id]);
    while let Some(id) = stack.pop() {
        if seen.len() < MIN_NODES && seen.insert(id) {
            stack.extend(e.args(id).iter().filter_map(|v| e.def(*v)));
        }
    }
    seen.len()
}
