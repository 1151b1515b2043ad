//! From the parts that a reader found to a graph, with the places in the text at hand for what is wrong.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::Problem;
use crate::ir::verify::violations;
use crate::ir::{Aval, Graph, Loc, LocId, Node, Signature, Value};
use crate::ops::Op;

/// The value for each number in a text, and the avals by value.
type Definitions = (FxHashMap<u32, Value>, Vec<Aval>);

/// A node as it stands in the text; values are the text's own numbers.
pub(crate) struct RawNode {
    pub op: Op,
    pub args: Vec<(u32, Range<usize>)>,
    pub results: Vec<(u32, Aval, Range<usize>)>,
    pub loc: Loc,
    pub span: Range<usize>,
}

/// A graph as it stands in the text.
#[derive(Default)]
pub(crate) struct Parts {
    pub name: String,
    /// Where violations that are at no node are shown.
    pub header: Range<usize>,
    pub params: Vec<(u32, Aval, Range<usize>)>,
    pub nodes: Vec<RawNode>,
    pub results: Vec<(u32, Range<usize>)>,
    pub signature: Signature,
}

impl Parts {
    /// The graph and the invariants that it breaks, at their nodes.
    ///
    /// Values are numbered anew by the rank of their numbers, which changes nothing in a text that was printed.
    ///
    /// *Errors*: all values that are used and not defined, or defined twice.
    pub fn assemble(self) -> Result<(Graph, Vec<Problem>), Vec<Problem>> {
        let (ranks, avals) = self.definitions()?;
        let mut problems = Vec::new();
        let mut find = |v: u32, span: &Range<usize>| {
            ranks.get(&v).copied().unwrap_or_else(|| {
                let help = "values of other graphs cannot be seen: pass them as operands";
                problems.push(Problem::new(span.clone(), format!("%{v} is not defined in this graph")).with_help(help));
                Value::from_index(0)
            })
        };
        let (mut locs, mut loc_ids) = (Vec::new(), FxHashMap::default());
        let (mut nodes, mut spans) = (Vec::with_capacity(self.nodes.len()), Vec::with_capacity(self.nodes.len()));
        for n in self.nodes {
            let loc = *loc_ids.entry(n.loc).or_insert_with_key(|loc: &Loc| {
                locs.push(loc.clone());
                LocId::from_index(locs.len() - 1)
            });
            let args = n.args.iter().map(|(v, span)| find(*v, span)).collect();
            let results = n.results.iter().map(|(v, _, span)| find(*v, span)).collect();
            nodes.push(Node { op: n.op, args, results, loc });
            spans.push(n.span);
        }
        let params = self.params.iter().map(|(v, _, span)| find(*v, span)).collect();
        let results = self.results.iter().map(|(v, span)| find(*v, span)).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let graph = Graph::from_parts(self.name, avals, nodes, params, results, locs, self.signature);
        let problem = |v: crate::ir::verify::Violation| {
            let span = v.node.map_or(&self.header, |n| &spans[n]);
            Problem::new(span.clone(), format!("{} ({})", v.message, v.invariant))
        };
        let problems = violations(&graph).into_iter().map(problem).collect();
        Ok((graph, problems))
    }

    /// The value for each number in the text, and the avals by value.
    fn definitions(&self) -> Result<Definitions, Vec<Problem>> {
        let mut all: Vec<&(u32, Aval, Range<usize>)> =
            self.params.iter().chain(self.nodes.iter().flat_map(|n| &n.results)).collect();
        // Stable, so that the second of two definitions in the text is the guilty one.
        all.sort_by_key(|(v, _, _)| *v);
        let twice = all.windows(2).filter(|w| w[0].0 == w[1].0);
        let problems: Vec<Problem> =
            twice.map(|w| Problem::new(w[1].2.clone(), format!("%{} is defined twice (I2)", w[1].0))).collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let ranks = all.iter().enumerate().map(|(i, (v, _, _))| (*v, Value::from_index(i))).collect();
        Ok((ranks, all.into_iter().map(|(_, a, _)| a.clone()).collect()))
    }
}
