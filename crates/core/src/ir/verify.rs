//! The verifier: checks the invariants of a graph and reports every violation.
//!
//! - **I1** order: every operand is defined before its use.
//! - **I2** single definition: each value is one parameter or one result of one node.
//! - **I3** types: each result's aval is what the op infers from its operands.
//! - **I4** explicit: no implicit broadcasting or promotion; the ops' own constraints say so, and I3 checks them.
//! - **I5** pure: holds by construction, no op has an effect.
//! - **I6** normal attributes: part of the ops' constraints.
//! - **I7** closed: all values exist, and the signature has as many leaves as there are parameters and results.
//! - **I8** located: every node has a location in the graph's table.
//! - **I9** persistent: holds by construction, passes take `&Graph`.

use std::fmt;

use super::{Aval, Graph, TreeSpec, Value};
use crate::ops::Op;

/// One broken invariant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Its number, `I1` to `I9`.
    pub invariant: &'static str,
    /// The index of the node at which it is broken, if it is at one.
    pub node: Option<usize>,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(n) => write!(f, "{} at node {n}: {}", self.invariant, self.message),
            None => write!(f, "{}: {}", self.invariant, self.message),
        }
    }
}

/// All violations of a graph that breaks invariants.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, miette::Diagnostic)]
#[error("graph `{graph}` breaks {} invariant(s):{}", violations.len(), list(violations))]
#[diagnostic(code(cotangent::verify), help("the invariants I1 to I9 stand in ir-spec/graph.md"))]
pub struct VerifyError {
    /// The graph's name.
    pub graph: String,
    /// The violations, in order of nodes.
    pub violations: Vec<Violation>,
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(|v| format!("\n  {v}")).collect()
}

/// Checks all invariants.
///
/// *Errors*: every violation, not just the first.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    let mut violations = Vec::new();
    all(graph, &mut violations);
    if violations.is_empty() {
        return Ok(());
    }
    Err(VerifyError { graph: graph.name().to_owned(), violations })
}

/// The violations of `graph` itself, not of graphs inside its nodes: for readers, which check each graph as they
/// read it.
pub(crate) fn violations(graph: &Graph) -> Vec<Violation> {
    let mut violations = Vec::new();
    collect(graph, &mut violations, |_, _| {});
    violations
}

fn all(graph: &Graph, out: &mut Vec<Violation>) {
    collect(graph, out, all);
}

/// Appends the violations of `graph`; `inner` appends those of a graph inside a node.
fn collect(graph: &Graph, out: &mut Vec<Violation>, inner: fn(&Graph, &mut Vec<Violation>)) {
    let mut push = |invariant, node, message| out.push(Violation { invariant, node, message });
    let mut defined = vec![false; graph.num_values()];
    let mut define = |v: Value| match defined.get_mut(v.index()) {
        None => Some(("I7", format!("{v} does not exist"))),
        Some(d) if *d => Some(("I2", format!("{v} is defined twice"))),
        Some(d) => {
            *d = true;
            None
        }
    };
    let mut known = vec![false; graph.num_values()];
    for p in graph.params() {
        match define(*p) {
            Some((i, m)) => push(i, None, m),
            None => known[p.index()] = true,
        }
    }
    for (i, n) in graph.nodes().iter().enumerate() {
        let at = Some(i);
        let mut operands: Vec<&Aval> = Vec::with_capacity(n.args.len());
        for v in &n.args {
            match known.get(v.index()) {
                None => push("I7", at, format!("operand {v} does not exist")),
                Some(false) => push("I1", at, format!("operand {v} is used before it is defined")),
                Some(true) => operands.push(graph.aval(*v)),
            }
        }
        if let Op::Call(call) = &n.op {
            let mut found = Vec::new();
            for g in call.graphs() {
                inner(g, &mut found);
            }
            for v in found {
                push(v.invariant, at, format!("in the body of `{}`: {v}", call.function()));
            }
        }
        if operands.len() == n.args.len() {
            match n.op.checked_infer(&operands) {
                Err(e) => push("I3", at, format!("`{}`: {e}", n.op.name())),
                Ok(avals) => {
                    let found = n.results.iter().filter(|&v| v.index() < known.len()).map(|v| graph.aval(*v));
                    let (expected, found): (Vec<&Aval>, Vec<&Aval>) = (avals.iter().collect(), found.collect());
                    if expected != found {
                        push("I3", at, format!("`{}`: expected results {expected:?}, found {found:?}", n.op.name()));
                    }
                }
            }
        }
        for v in &n.results {
            match define(*v) {
                Some((i, m)) => push(i, at, m),
                None => known[v.index()] = true,
            }
        }
        if !graph.has_loc(n) {
            push("I8", at, "no location".to_owned());
        }
    }
    for v in graph.results() {
        match known.get(v.index()) {
            None => push("I7", None, format!("result {v} does not exist")),
            Some(false) => push("I1", None, format!("result {v} is never defined")),
            Some(true) => {}
        }
    }
    let signature = graph.signature();
    let leaves: usize = signature.params.iter().map(TreeSpec::num_leaves).sum();
    if leaves != graph.params().len() || signature.names.len() != signature.params.len() {
        push("I7", None, format!("the signature has {leaves} leaves for {} params", graph.params().len()));
    }
    let leaves = signature.result.num_leaves();
    if leaves != graph.results().len() {
        push("I7", None, format!("the signature has {leaves} leaves for {} results", graph.results().len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Aval, DType, Loc, Node, Signature};
    use crate::ops::Unary;
    use crate::transform::build;

    /// A graph's parts, open to damage.
    struct Parts {
        avals: Vec<Aval>,
        nodes: Vec<Node>,
        params: Vec<Value>,
        results: Vec<Value>,
        locs: Vec<Loc>,
        signature: Signature,
    }

    /// `cos(sin(x))`, damaged by `break_it`: the invariants that the verifier reports.
    fn broken(break_it: impl FnOnce(&mut Parts)) -> Vec<&'static str> {
        let g = build("f", |t| Ok(vec![t.param(&Aval::new(DType::F32, [3])).sin().cos()])).expect("well-formed");
        verify(&g).expect("well-formed");
        let mut p = Parts {
            avals: (0..g.num_values()).map(|i| g.aval(Value::from_index(i)).clone()).collect(),
            nodes: g.nodes().to_vec(),
            params: g.params().to_vec(),
            results: g.results().to_vec(),
            locs: g.locs().to_vec(),
            signature: g.signature().clone(),
        };
        break_it(&mut p);
        let g = Graph::from_parts("f".into(), p.avals, p.nodes, p.params, p.results, p.locs, p.signature);
        verify(&g).map_or_else(|e| e.violations.iter().map(|v| v.invariant).collect(), |()| Vec::new())
    }

    #[test]
    fn i1_order() {
        assert_eq!(broken(|p| p.nodes.swap(0, 1)), ["I1"]);
        assert_eq!(broken(|p| drop(p.nodes.pop())), ["I1"]);
    }

    #[test]
    fn i2_single_definition() {
        assert_eq!(broken(|p| p.nodes[1].results = p.nodes[0].results.clone()), ["I2", "I1"]);
        assert_eq!(broken(|p| p.nodes[0].results = [p.params[0]].into_iter().collect()), ["I2", "I1"]);
    }

    #[test]
    fn i3_types() {
        assert_eq!(broken(|p| p.avals[1] = Aval::new(DType::F32, [4])), ["I3", "I3"]);
        assert_eq!(broken(|p| p.avals[2] = Aval::new(DType::F64, [3])), ["I3"]);
    }

    /// No promotion inside the graph: a float function of integers does not infer.
    #[test]
    fn i4_explicit() {
        assert_eq!(broken(|p| p.avals[0] = Aval::new(DType::I64, [3])), ["I3"]);
    }

    /// Attributes out of normal form do not infer: dims unsorted, or all of them named.
    #[test]
    fn i6_normal_attributes() {
        let sum = |dims: Vec<usize>| crate::ops::Sum { dim: Some(dims) };
        assert_eq!(broken(|p| p.nodes[1].op = sum(vec![0]).into()), ["I3"]);
        assert_eq!(broken(|p| p.nodes[1].op = sum(vec![1, 0]).into()), ["I3"]);
    }

    #[test]
    fn i7_closed() {
        let far = Value::from_index(99);
        assert_eq!(broken(|p| p.nodes[1].args = [far].into_iter().collect()), ["I7"]);
        assert_eq!(broken(|p| p.results = vec![far]), ["I7"]);
        assert_eq!(broken(|p| p.params.push(far)), ["I7", "I7"]);
        assert_eq!(broken(|p| p.signature.result = TreeSpec::None), ["I7"]);
    }

    #[test]
    fn i8_located() {
        assert_eq!(broken(|p| p.locs.clear()), ["I8", "I8"]);
    }

    #[test]
    fn all_violations_are_reported_with_their_nodes() {
        let error = {
            let g = build("f", |t| Ok(vec![t.param(&Aval::new(DType::F32, [3])).sin()])).expect("well-formed");
            let mut nodes = g.nodes().to_vec();
            nodes[0].op = Unary::BitwiseNot.into();
            let g = Graph::from_parts(
                "f".into(),
                vec![g.aval(g.params()[0]).clone(); 2],
                nodes,
                g.params().to_vec(),
                vec![Value::from_index(7)],
                Vec::new(),
                g.signature().clone(),
            );
            verify(&g).expect_err("three violations")
        };
        let found: Vec<(&str, Option<usize>)> = error.violations.iter().map(|v| (v.invariant, v.node)).collect();
        assert_eq!(found, [("I3", Some(0)), ("I8", Some(0)), ("I7", None)]);
        assert!(error.to_string().contains("I3 at node 0: `bitwise_not`"), "{error}");
    }
}
