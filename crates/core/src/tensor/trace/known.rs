//! Values of traced tensors in which no input takes part: those of a mask that is made of a range, say.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::{Repr, Tensor};
use super::Trace;
use crate::array::Array;
use crate::ir::{Node, Value};

/// The most nodes that are evaluated for one value, and the most elements of each of their results.
const MOST_NODES: usize = 256;
const MOST_ELEMENTS: usize = 1 << 20;

impl Tensor {
    /// Its elements, if it is concrete, or traced from nothing but constants by a few nodes.
    pub fn known(&self) -> Option<Arc<Array>> {
        match &self.0 {
            Repr::Concrete(a) => Some(a.clone()),
            Repr::Traced(trace, v, _) => trace.known(*v),
            Repr::Abstract(_) | Repr::Poison(..) => None,
        }
    }
}

/// What computes a value.
struct Part {
    /// Its nodes, the last first.
    nodes: Vec<Node>,
    /// The tensors of enclosing traces that take part, by the values that stand for them.
    captured: Vec<(Value, Tensor)>,
}

impl Trace {
    fn known(&self, v: Value) -> Option<Arc<Array>> {
        let Part { nodes, captured } = self.part(v)?;
        let mut values: FxHashMap<Value, Arc<Array>> = FxHashMap::default();
        for (inner, outer) in captured {
            values.insert(inner, outer.known()?);
        }
        for n in nodes.iter().rev() {
            let args: Vec<Arc<Array>> = n.args.iter().map(|a| values.get(a).cloned()).collect::<Option<_>>()?;
            let refs: Vec<&Array> = args.iter().map(Arc::as_ref).collect();
            let results = n.op.prim().eval(&refs).ok()?;
            values.extend(n.results.iter().copied().zip(results.into_iter().map(Arc::new)));
        }
        values.remove(&v)
    }

    /// What computes `v`; `None` if a parameter takes part in it, or too many nodes.
    fn part(&self, v: Value) -> Option<Part> {
        let s = self.lock();
        let (mut wanted, mut nodes) = (FxHashSet::from_iter([v]), Vec::new());
        for n in s.builder.nodes().iter().rev() {
            if wanted.is_empty() {
                break;
            }
            if !n.results.iter().any(|r| wanted.contains(r)) {
                continue;
            }
            let is_small = |v: &Value| s.builder.aval(*v).shape.numel() <= MOST_ELEMENTS;
            if nodes.len() == MOST_NODES || !n.results.iter().all(is_small) {
                return None;
            }
            for r in &n.results {
                wanted.remove(r);
            }
            wanted.extend(n.args.iter().copied());
            nodes.push(n.clone());
        }
        let outer = |v: Value| s.captures.iter().find(|(_, inner)| *inner == v).map(|(t, _)| (v, t.clone()));
        let captured = wanted.into_iter().map(outer).collect::<Option<_>>()?;
        Some(Part { nodes, captured })
    }
}
