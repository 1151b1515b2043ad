//! The graph: a flat list of nodes in static single assignment form.
//!
//! The invariants I1–I9 stand in `ir-spec/graph.md`; [`crate::ir::verify`] checks them.

use std::fmt;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Aval, Loc, TreeSpec};
use crate::ops::Op;

/// A value of one graph: a parameter or a result of a node. Means nothing in another graph (I9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Value(u32);

impl Value {
    /// The value with index `i`.
    pub fn from_index(i: usize) -> Self {
        Value(u32::try_from(i).expect("fewer than 2^32 values"))
    }

    /// Its position in tables indexed by value.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The index of a location in its graph's table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocId(u32);

impl LocId {
    /// The location with index `i` of its graph's table.
    pub(crate) fn from_index(i: usize) -> Self {
        LocId(u32::try_from(i).expect("fewer than 2^32 locations"))
    }
}

/// Operands or results of a node.
pub type Values = SmallVec<[Value; 2]>;

/// One operation applied to values.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The operation with its static attributes.
    pub op: Op,
    /// The operands.
    pub args: Values,
    /// The values that it defines.
    pub results: Values,
    /// Where it comes from.
    pub loc: LocId,
}

/// A pure program over arrays.
///
/// Two graphs are equal if they compute the same thing in the same order: names of parameters, trees and avals count,
/// locations do not.
#[derive(Clone)]
pub struct Graph {
    name: String,
    avals: Vec<Aval>,
    nodes: Vec<Node>,
    params: Vec<Value>,
    results: Vec<Value>,
    locs: Vec<Loc>,
    signature: Signature,
}

/// How a graph's flat parameters and results look to the user.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Signature {
    /// A name for each argument of the user's function, in order (not for each leaf).
    pub names: Vec<String>,
    /// The tree of each argument.
    pub params: Vec<TreeSpec>,
    /// The tree of the result.
    pub result: TreeSpec,
}

impl Signature {
    /// The signature of `params` plain tensors named `x`, `x`,`y`, … and of `results` plain results.
    pub fn flat(params: usize, results: usize) -> Self {
        Signature {
            names: default_names(params),
            params: vec![TreeSpec::Leaf; params],
            result: if results == 1 { TreeSpec::Leaf } else { TreeSpec::Tuple(vec![TreeSpec::Leaf; results]) },
        }
    }

    /// A name for each parameter of the graph: the argument's, with a number after it for the leaves of a tree.
    pub fn leaf_names(&self) -> Vec<String> {
        let leaves = self.names.iter().zip(&self.params).flat_map(|(name, tree)| match tree {
            TreeSpec::Leaf => vec![name.clone()],
            tree => (0..tree.num_leaves()).map(|i| format!("{name}.{i}")).collect(),
        });
        leaves.collect()
    }
}

/// Names for `n` arguments of a closure, which Rust does not let us see: `x`, `y`, `z` for up to three, else `arg0`, ….
pub fn default_names(n: usize) -> Vec<String> {
    if n <= 3 {
        ["x", "y", "z"][..n].iter().map(|s| (*s).to_owned()).collect()
    } else {
        (0..n).map(|i| format!("arg{i}")).collect()
    }
}

impl Graph {
    /// The name in text forms.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same graph under another name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The nodes in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The parameters, one for each leaf of the arguments.
    pub fn params(&self) -> &[Value] {
        &self.params
    }

    /// The results, one for each leaf of the result.
    pub fn results(&self) -> &[Value] {
        &self.results
    }

    /// The aval of `v`.
    pub fn aval(&self, v: Value) -> &Aval {
        &self.avals[v.index()]
    }

    /// The number of values.
    pub fn num_values(&self) -> usize {
        self.avals.len()
    }

    /// The avals of the parameters.
    pub fn param_avals(&self) -> Vec<Aval> {
        self.params.iter().map(|v| self.aval(*v).clone()).collect()
    }

    /// The avals of the results.
    pub fn result_avals(&self) -> Vec<Aval> {
        self.results.iter().map(|v| self.aval(*v).clone()).collect()
    }

    /// The location of `node`.
    pub fn loc(&self, node: &Node) -> &Loc {
        &self.locs[node.loc.0 as usize]
    }

    /// The trees and names of the arguments and the tree of the result.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The same graph with other trees or names.
    ///
    /// # Panics
    /// If the numbers of leaves are not those of the parameters and results.
    pub fn with_signature(mut self, signature: Signature) -> Self {
        let leaves: usize = signature.params.iter().map(TreeSpec::num_leaves).sum();
        assert_eq!(leaves, self.params.len(), "I7: leaves of the signature's params");
        assert_eq!(signature.result.num_leaves(), self.results.len(), "I7: leaves of the signature's result");
        assert_eq!(signature.names.len(), signature.params.len(), "I7: names of params");
        self.signature = signature;
        self
    }

    /// The number of nodes: the measure of simplification.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// For each value, the index of the node that defines it and the position among its results; `None` for parameters.
    pub fn definitions(&self) -> Vec<Option<(usize, usize)>> {
        let mut out = vec![None; self.num_values()];
        for (i, n) in self.nodes.iter().enumerate() {
            for (k, r) in n.results.iter().enumerate() {
                out[r.index()] = Some((i, k));
            }
        }
        out
    }

    /// For each value, how often it is used as an operand or result.
    pub fn use_counts(&self) -> Vec<u32> {
        let mut out = vec![0; self.num_values()];
        let operands = self.nodes.iter().flat_map(|n| &n.args);
        for v in operands.chain(&self.results) {
            out[v.index()] += 1;
        }
        out
    }

    /// The graph from its parts, unchecked: for readers, which verify afterwards.
    pub(crate) fn from_parts(
        name: String,
        avals: Vec<Aval>,
        nodes: Vec<Node>,
        params: Vec<Value>,
        results: Vec<Value>,
        locs: Vec<Loc>,
        signature: Signature,
    ) -> Self {
        Graph { name, avals, nodes, params, results, locs, signature }
    }

    /// The same graph with its last `n` parameters first; parameters and results get a flat signature.
    pub(crate) fn with_params_rotated(mut self, n: usize) -> Self {
        self.params.rotate_right(n);
        self.signature = Signature::flat(self.params.len(), self.results.len());
        self
    }

    /// Whether the location of `node` is in the table (I8).
    pub(crate) fn has_loc(&self, node: &Node) -> bool {
        (node.loc.0 as usize) < self.locs.len()
    }

    /// The table of locations.
    #[cfg(test)]
    pub(crate) fn locs(&self) -> &[Loc] {
        &self.locs
    }

    /// The same graph with only its first `n` results, under a flat signature for them.
    pub fn with_only_results(mut self, n: usize) -> Self {
        self.results.truncate(n);
        self.signature.result = Signature::flat(0, self.results.len()).result;
        self
    }

    /// The results replaced by `results`, with a flat signature for them.
    pub fn with_results(mut self, results: Vec<Value>) -> Self {
        self.signature.result = Signature::flat(0, results.len()).result;
        self.results = results;
        self
    }
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        let same_node = |(a, b): (&Node, &Node)| a.op == b.op && a.args == b.args && a.results == b.results;
        self.name == other.name
            && self.avals == other.avals
            && self.params == other.params
            && self.results == other.results
            && self.signature == other.signature
            && self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(same_node)
    }
}

impl Eq for Graph {}

impl Hash for Graph {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.avals.hash(state);
        self.params.hash(state);
        self.results.hash(state);
        for n in &self.nodes {
            (&n.op, &n.args, &n.results).hash(state);
        }
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Appends nodes; the only way to make a graph besides reading one.
#[derive(Default)]
pub struct Builder {
    avals: Vec<Aval>,
    nodes: Vec<Node>,
    params: Vec<Value>,
    locs: Vec<Loc>,
    loc_ids: FxHashMap<Loc, LocId>,
    last_loc: Option<LocId>,
}

impl Builder {
    /// An empty builder.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Adds a parameter.
    pub fn param(&mut self, aval: Aval) -> Value {
        let v = self.fresh(aval);
        self.params.push(v);
        v
    }

    /// Adds a node whose result avals are `avals`.
    pub fn node(&mut self, op: Op, args: Values, avals: impl IntoIterator<Item = Aval>, loc: &Loc) -> Values {
        let results: Values = avals.into_iter().map(|a| self.fresh(a)).collect();
        let loc = self.intern(loc);
        self.nodes.push(Node { op, args, results: results.clone(), loc });
        results
    }

    /// The aval of `v`.
    pub fn aval(&self, v: Value) -> &Aval {
        &self.avals[v.index()]
    }

    /// The nodes so far.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The number of values so far.
    pub fn num_values(&self) -> usize {
        self.avals.len()
    }

    /// The location of a node made here.
    pub fn loc(&self, node: &Node) -> &Loc {
        &self.locs[node.loc.0 as usize]
    }

    /// The graph with `results`; parameters in the order of their making.
    pub fn finish(self, name: impl Into<String>, results: Vec<Value>) -> Graph {
        let signature = Signature::flat(self.params.len(), results.len());
        Graph {
            name: name.into(),
            avals: self.avals,
            nodes: self.nodes,
            params: self.params,
            results,
            locs: self.locs,
            signature,
        }
    }

    fn fresh(&mut self, aval: Aval) -> Value {
        self.avals.push(aval);
        Value::from_index(self.avals.len() - 1)
    }

    /// Consecutive nodes mostly share a line, so the last location is looked at before the table.
    fn intern(&mut self, loc: &Loc) -> LocId {
        if let Some(id) = self.last_loc.filter(|id| self.locs[id.0 as usize] == *loc) {
            return id;
        }
        let next = LocId::from_index(self.locs.len());
        let id = *self.loc_ids.entry(loc.clone()).or_insert(next);
        if id == next {
            self.locs.push(loc.clone());
        }
        self.last_loc = Some(id);
        id
    }
}
