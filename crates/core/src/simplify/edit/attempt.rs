//! Attempts of rules: what they make is provisional until it is known that the graph does not grow by it.

use smallvec::SmallVec;

use super::{Editor, NodeId, op_hash};
use crate::ir::{Aval, Derivation, Value};
use crate::ops::Op;

impl Editor {
    /// The value of `op` at `args`: that of an equal node, or of a new one at the location of the node under rewrite.
    /// `None` if the op does not take these operands, which lets the rule give up.
    pub fn emit(&mut self, op: impl Into<Op>, args: &[Value]) -> Option<Value> {
        let op = op.into();
        let hash = op_hash(&op);
        if let Some(id) = self.find(&op, hash, args) {
            return Some(self.nodes[id].results[0]);
        }
        let result = {
            let avals: SmallVec<[&Aval; 3]> = args.iter().map(|v| &self.avals[v.index()]).collect();
            op.checked_infer(&avals).ok()?
        };
        let root = self.root.expect("a rule is at a node");
        let loc = self.nodes[root].loc.derived(Derivation::Simplify);
        let order = self.nodes[root].order;
        let id = self.push(op, args.iter().copied().collect(), result, loc, order);
        self.enter(id);
        self.made.push(id);
        Some(self.nodes[id].results[0])
    }

    /// Starts an attempt to rewrite `root`.
    pub fn begin(&mut self, root: NodeId) {
        self.root = Some(root);
        self.made.clear();
    }

    /// Undoes the attempt.
    pub fn rollback(&mut self) {
        while let Some(id) = self.made.pop() {
            if self.nodes[id].alive {
                debug_assert!(self.is_dead(id), "nodes of an attempt are used by later ones only");
                self.remove(id);
                self.forget(id);
            }
        }
    }

    /// Lets `new` stand for the result of the node under rewrite, if the graph does not grow by that; else undoes the
    /// attempt. The nodes made are in [`Editor::take_made`].
    ///
    /// With `room` for some more nodes, the graph may grow by that many.
    pub fn commit(&mut self, new: Value, room: usize) -> bool {
        let root = self.root.expect("a rule is at a node");
        for k in (0..self.made.len()).rev() {
            let id = self.made[k];
            if self.is_dead(id) && self.defs[new.index()] != Some(id) {
                self.remove(id);
                self.made.remove(k);
            }
        }
        let needed = self.made.len().saturating_sub(room);
        if self.dying(root, new, needed) < needed {
            self.rollback();
            return false;
        }
        let old = self.nodes[root].results[0];
        debug_assert_eq!(self.aval(old), self.aval(new), "a rule keeps the aval");
        self.replace(old, new);
        self.sweep(root);
        true
    }

    /// The nodes that the last committed attempt made.
    pub fn take_made(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.made)
    }

    /// Gives the place of a removed node back, if it is the last one: attempts that fail leave nothing behind.
    fn forget(&mut self, id: NodeId) {
        if id + 1 != self.nodes.len() {
            return;
        }
        let Some(slot) = self.nodes.pop() else { return };
        for v in slot.args.iter().rev() {
            // It is the newest of all nodes, and at the end of the list.
            let users = &mut self.users[v.index()];
            if let Some(at) = users.iter().rposition(|u| *u as NodeId == id) {
                users.remove(at);
            }
        }
        let n = self.avals.len() - slot.results.len();
        self.avals.truncate(n);
        self.defs.truncate(n);
        self.users.truncate(n);
        self.counts.truncate(n);
        self.pinned.truncate(n);
        self.forward.truncate(n);
    }

    /// How many nodes die when `new` replaces the result of `root`, counted up to `enough`.
    fn dying(&self, root: NodeId, new: Value, enough: usize) -> usize {
        let mut lost: SmallVec<[(Value, u32); 8]> = SmallVec::new();
        let mut stack: SmallVec<[NodeId; 8]> = SmallVec::from_iter([root]);
        let mut dead = 0;
        while let Some(id) = stack.pop() {
            dead += usize::from(!self.made.contains(&id));
            if dead >= enough {
                break;
            }
            for v in &self.nodes[id].args {
                let slot = match lost.iter_mut().find(|(l, _)| l == v) {
                    Some(slot) => slot,
                    None => {
                        lost.push((*v, 0));
                        lost.last_mut().expect("just pushed")
                    }
                };
                slot.1 += 1;
                if slot.1 == self.counts[v.index()] && *v != new {
                    let def = self.defs[v.index()];
                    stack.extend(def.filter(|d| self.nodes[*d].results.len() == 1));
                }
            }
        }
        dead
    }
}
