//! The editable form of a graph: nodes with use counts, found again by what they compute.
//!
//! A rule builds its replacement with [`Editor::emit`], which gives back an equal node if there is one. What it made is
//! provisional until [`Editor::commit`] has counted: as many nodes must die as were made, or the attempt is undone. So
//! no rule can leave a graph larger than it found it, and none needs conditions on use counts of its own.

mod attempt;

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use crate::ir::{Aval, Builder, Graph, Loc, Value, Values};
use crate::ops::{Binary, Op};

/// The index of a node of an [`Editor`].
pub(crate) type NodeId = usize;

struct Slot {
    op: Op,
    op_hash: u64,
    args: Values,
    results: Values,
    loc: Loc,
    /// The position of the node in the input from which it descends: nodes keep the order of the program.
    order: u32,
    alive: bool,
}

/// A graph under simplification.
pub(crate) struct Editor {
    nodes: Vec<Slot>,
    avals: Vec<Aval>,
    defs: Vec<Option<NodeId>>,
    /// Every node that uses a value, and perhaps some that are gone or stand there twice (dropped when the list is read).
    users: Vec<SmallVec<[u32; 2]>>,
    /// The operand positions and results that hold a value.
    counts: Vec<u32>,
    /// How many results of the graph a value is.
    pinned: Vec<u32>,
    /// What replaced a value.
    forward: Vec<Value>,
    table: FxHashMap<u64, SmallVec<[u32; 1]>>,
    made: Vec<NodeId>,
    root: Option<NodeId>,
    pub(super) params: Vec<Value>,
    results: Vec<Value>,
    live: usize,
    /// Nodes whose operands changed, or whose operands lost other users.
    pub(super) touched: Vec<NodeId>,
    /// Nodes that became equal to another: `(node, the one that stays)`.
    pub(super) equal: Vec<(NodeId, NodeId)>,
    /// How many more elements may be computed by constant folding.
    pub(super) fold_budget: usize,
}

impl Editor {
    /// The editable form of `graph` with `ops` as the operations of its nodes.
    pub fn new(graph: &Graph, ops: &[Op]) -> Self {
        let n = graph.num_values();
        let mut e = Editor {
            nodes: Vec::with_capacity(graph.len()),
            avals: Vec::with_capacity(n),
            defs: Vec::with_capacity(n),
            users: Vec::with_capacity(n),
            counts: Vec::with_capacity(n),
            pinned: Vec::with_capacity(n),
            forward: Vec::with_capacity(n),
            table: FxHashMap::with_capacity_and_hasher(graph.len(), Default::default()),
            made: Vec::new(),
            root: None,
            params: Vec::new(),
            results: Vec::new(),
            live: 0,
            touched: Vec::new(),
            equal: Vec::new(),
            fold_budget: 1 << 24,
        };
        let mut env: Vec<Value> = vec![Value::from_index(0); n];
        for p in graph.params() {
            env[p.index()] = e.fresh(graph.aval(*p).clone(), None);
            e.params.push(env[p.index()]);
        }
        for (i, (node, op)) in graph.nodes().iter().zip(ops).enumerate() {
            let args: Values = node.args.iter().map(|v| env[v.index()]).collect();
            let avals = node.results.iter().map(|v| graph.aval(*v).clone());
            let id = e.push(op.clone(), args, avals, graph.loc(node).clone(), i as u32);
            for (v, r) in node.results.iter().zip(&e.nodes[id].results) {
                env[v.index()] = *r;
            }
        }
        e.results = graph.results().iter().map(|v| env[v.index()]).collect();
        for v in &e.results {
            e.pinned[v.index()] += 1;
            e.counts[v.index()] += 1;
        }
        for id in 0..e.nodes.len() {
            e.enter(id);
        }
        e
    }

    /// The number of nodes that are alive.
    pub fn live(&self) -> usize {
        self.live
    }

    /// The number of nodes ever made; ids are below it.
    pub fn num_nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the node still stands.
    pub fn is_alive(&self, id: NodeId) -> bool {
        self.nodes[id].alive
    }

    /// The node's operation.
    pub fn op(&self, id: NodeId) -> &Op {
        &self.nodes[id].op
    }

    /// The node's operands.
    pub fn args(&self, id: NodeId) -> &[Value] {
        &self.nodes[id].args
    }

    /// The node's results.
    pub fn results(&self, id: NodeId) -> &[Value] {
        &self.nodes[id].results
    }

    /// The node's location.
    pub fn loc(&self, id: NodeId) -> &Loc {
        &self.nodes[id].loc
    }

    /// The node that defines `v`; `None` for a parameter.
    pub fn def(&self, v: Value) -> Option<NodeId> {
        self.defs[v.index()]
    }

    /// The aval of `v`.
    pub fn aval(&self, v: Value) -> &Aval {
        &self.avals[v.index()]
    }

    /// The number of places that hold `v`.
    pub fn count(&self, v: Value) -> u32 {
        self.counts[v.index()]
    }

    /// The nodes that take `v`.
    pub fn users(&self, v: Value) -> impl Iterator<Item = NodeId> {
        let all = self.users[v.index()].iter().map(|u| *u as NodeId);
        all.filter(move |id| self.nodes[*id].alive)
    }

    /// Replaces all results of `id` by those of the equal node `by`.
    pub fn merge(&mut self, id: NodeId, by: NodeId) {
        for k in 0..self.nodes[id].results.len() {
            let (old, new) = (self.nodes[id].results[k], self.nodes[by].results[k]);
            self.replace(old, new);
        }
        self.sweep(id);
    }

    /// The node that computes `op` at `args`.
    pub fn equal_node(&self, op: &Op, args: &[Value]) -> Option<NodeId> {
        self.find(op, op_hash(op), args)
    }

    /// Lets `new` stand for `old`, which is equal and computed from no more.
    pub fn stand_in(&mut self, old: Value, new: Value) {
        self.replace(old, new);
        if let Some(id) = self.def(old) {
            self.sweep(id);
        }
    }

    /// Removes `root` if nothing uses it, and what only it used, and so on.
    pub fn sweep(&mut self, root: NodeId) {
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            if !self.nodes[id].alive || !self.is_dead(id) {
                continue;
            }
            self.remove(id);
            for k in 0..self.nodes[id].args.len() {
                let v = self.nodes[id].args[k];
                match (self.counts[v.index()], self.defs[v.index()]) {
                    (0, Some(def)) => stack.push(def),
                    // A rule that needs `v` for itself may now fire at its last user.
                    (1, Some(_)) => self.touch_last_user(v),
                    (_, Some(_) | None) => {}
                }
            }
        }
    }

    /// The node that computes the same as `id` and is in the table in its place.
    pub fn twin(&self, id: NodeId) -> Option<NodeId> {
        let n = &self.nodes[id];
        self.find(&n.op, n.op_hash, &n.args).filter(|t| *t != id)
    }

    /// The graph in its new form, in an order that follows the input's.
    pub fn finish(self, like: &Graph) -> Graph {
        let mut order: Vec<NodeId> = (0..self.nodes.len()).filter(|id| self.nodes[*id].alive).collect();
        order.sort_by_key(|id| self.nodes[*id].order);
        let mut b = Builder::new();
        let mut env: Vec<Option<Value>> = vec![None; self.avals.len()];
        for p in &self.params {
            env[p.index()] = Some(b.param(self.aval(*p).clone()));
        }
        // Each node after the definitions of its operands: the stack holds nodes that wait for theirs.
        let mut stack: Vec<NodeId> = Vec::new();
        for id in order {
            stack.push(id);
            while let Some(&id) = stack.last() {
                let n = &self.nodes[id];
                if env[n.results[0].index()].is_some() {
                    stack.pop();
                    continue;
                }
                let before = stack.len();
                stack.extend(n.args.iter().rev().filter(|v| env[v.index()].is_none()).filter_map(|v| self.def(*v)));
                if stack.len() > before {
                    continue;
                }
                stack.pop();
                let args: Values = n.args.iter().map(|v| env[v.index()].expect("I1: defined before use")).collect();
                let results = b.node(n.op.clone(), args, n.results.iter().map(|v| self.aval(*v).clone()), &n.loc);
                for (v, r) in n.results.iter().zip(results) {
                    env[v.index()] = Some(r);
                }
            }
        }
        let results = self.results.iter().map(|v| env[self.current(*v).index()].expect("I7: results are defined"));
        let results = results.collect();
        b.finish(like.name(), results).with_signature(like.signature().clone())
    }

    fn current(&self, mut v: Value) -> Value {
        while self.forward[v.index()] != v {
            v = self.forward[v.index()];
        }
        v
    }

    fn fresh(&mut self, aval: Aval, def: Option<NodeId>) -> Value {
        let v = Value::from_index(self.avals.len());
        self.avals.push(aval);
        self.defs.push(def);
        self.users.push(SmallVec::new());
        self.counts.push(0);
        self.pinned.push(0);
        self.forward.push(v);
        v
    }

    fn push(&mut self, op: Op, args: Values, avals: impl IntoIterator<Item = Aval>, loc: Loc, order: u32) -> NodeId {
        let id = self.nodes.len();
        let results = avals.into_iter().map(|a| self.fresh(a, Some(id))).collect();
        for v in &args {
            self.counts[v.index()] += 1;
            self.users[v.index()].push(id as u32);
        }
        let op_hash = op_hash(&op);
        self.nodes.push(Slot { op, op_hash, args, results, loc, order, alive: true });
        self.live += 1;
        id
    }

    fn is_dead(&self, id: NodeId) -> bool {
        self.nodes[id].results.iter().all(|v| self.counts[v.index()] == 0)
    }

    /// Takes a node without users out.
    fn remove(&mut self, id: NodeId) {
        self.leave(id);
        self.nodes[id].alive = false;
        self.live -= 1;
        for k in 0..self.nodes[id].args.len() {
            let v = self.nodes[id].args[k];
            self.counts[v.index()] -= 1;
        }
    }

    fn replace(&mut self, old: Value, new: Value) {
        if old == new {
            return;
        }
        for u in self.read_users(old) {
            let id = u as NodeId;
            self.leave(id);
            for k in 0..self.nodes[id].args.len() {
                if self.nodes[id].args[k] == old {
                    self.nodes[id].args[k] = new;
                    self.counts[old.index()] -= 1;
                    self.counts[new.index()] += 1;
                }
            }
            self.users[new.index()].push(u);
            match self.twin(id) {
                Some(twin) => self.equal.push((id, twin)),
                None => self.enter(id),
            }
            self.touched.push(id);
        }
        self.users[old.index()].clear();
        let pins = std::mem::take(&mut self.pinned[old.index()]);
        self.pinned[new.index()] += pins;
        self.counts[new.index()] += pins;
        self.counts[old.index()] -= pins;
        self.forward[old.index()] = new;
    }

    /// The nodes that use `v`, each once; the list is cleaned on the way, so that reading is paid by making.
    fn read_users(&mut self, v: Value) -> SmallVec<[u32; 2]> {
        let mut users = std::mem::take(&mut self.users[v.index()]);
        users.sort_unstable();
        users.dedup();
        users.retain(|u| self.nodes[*u as usize].alive);
        debug_assert!(users.iter().all(|u| self.nodes[*u as usize].args.contains(&v)), "a user takes the value");
        self.users[v.index()].clone_from(&users);
        users
    }

    fn touch_last_user(&mut self, v: Value) {
        for u in self.read_users(v) {
            self.touched.push(u as NodeId);
            // Rules look two nodes deep.
            for r in self.nodes[u as usize].results.clone() {
                if self.counts[r.index()] <= 2 {
                    let next = self.read_users(r);
                    self.touched.extend(next.iter().map(|n| *n as NodeId));
                }
            }
        }
    }

    fn find(&self, op: &Op, op_hash: u64, args: &[Value]) -> Option<NodeId> {
        let candidates = self.table.get(&key(op, op_hash, args))?;
        candidates.iter().map(|id| *id as NodeId).find(|id| {
            let n = &self.nodes[*id];
            n.op == *op && same_args(op, &n.args, args)
        })
    }

    /// Puts the node into the table unless an equal one is there.
    pub fn enter(&mut self, id: NodeId) {
        let n = &self.nodes[id];
        match self.find(&n.op, n.op_hash, &n.args) {
            Some(twin) if twin != id => self.equal.push((id, twin)),
            Some(_) => {}
            None => self.table.entry(key(&n.op, n.op_hash, &n.args)).or_default().push(id as u32),
        }
    }

    fn leave(&mut self, id: NodeId) {
        let n = &self.nodes[id];
        if let Some(ids) = self.table.get_mut(&key(&n.op, n.op_hash, &n.args)) {
            ids.retain(|i| *i as NodeId != id);
        }
    }
}

/// Whether operands may be exchanged without a change of any bit but a NaN's payload.
fn is_commutative(op: &Op) -> bool {
    use Binary::{Add, BitwiseAnd, BitwiseOr, BitwiseXor, Eq, Mul, Ne};
    matches!(op, Op::Binary(Add | Mul | BitwiseAnd | BitwiseOr | BitwiseXor | Eq | Ne))
}

fn same_args(op: &Op, a: &[Value], b: &[Value]) -> bool {
    a == b || (is_commutative(op) && a[0] == b[1] && a[1] == b[0])
}

fn op_hash(op: &Op) -> u64 {
    let mut h = FxHasher::default();
    op.hash(&mut h);
    h.finish()
}

fn key(op: &Op, op_hash: u64, args: &[Value]) -> u64 {
    let mut h = FxHasher::default();
    op_hash.hash(&mut h);
    if is_commutative(op) {
        args.iter().min().hash(&mut h);
        args.iter().max().hash(&mut h);
    } else {
        args.hash(&mut h);
    }
    h.finish()
}
