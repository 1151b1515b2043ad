//! Lowering: from a graph to a program of loops.

mod flow;
mod group;
mod in_place;
mod layout;
mod loops;
mod narrow;
mod nest;
mod order;
mod schedule;

use cotangent_core::error::EvalError;
use cotangent_core::ir::{Graph, Loc};
use cotangent_core::simplify::{Class, Options, simplify_with};
use cotangent_core::transform::inline::inline_all;
use cotangent_core::transform::masked::by_blocks;
use cotangent_core::transform::places::by_views;
use cotangent_core::transform::products::by_products;
use cotangent_core::transform::reciprocal::multiply_by_reciprocals;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::ir::{Buffer, BufferId, Lookup, LoopProgram, Role, Routine, RoutineKind, Step};
use flow::{Flow, Id, Kind};
use group::Group;
use schedule::{Planned, schedule};

/// Why a graph has no loops.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LowerError {
    /// Its calls could not be inlined.
    #[error("a call could not be inlined: {0}")]
    #[diagnostic(code(cotangent::lower::inline))]
    Inline(#[source] Box<cotangent_core::Error>),
    /// A stored constant could not be read.
    #[error("a constant has no elements to store")]
    #[diagnostic(code(cotangent::lower::constant))]
    Constant(#[source] EvalError),
}

/// A program, and for each step the nodes that went into it: `(name, source line)`.
pub type Explained = (LoopProgram, Vec<Vec<(&'static str, Loc)>>);

/// The loops of `graph`.
///
/// Composites are inlined, the graph is simplified, and what nothing depends on is left out. Time and memory are linear in
/// the number of nodes.
///
/// *Errors*: only those of inlining; every op lowers.
pub fn lower(graph: &Graph) -> Result<LoopProgram, LowerError> {
    Ok(lower_explained(graph)?.0)
}

/// The loops of `graph`, and the nodes that went into each step: `(name, source line)`.
pub fn lower_explained(graph: &Graph) -> Result<Explained, LowerError> {
    explained(&prepared(graph)?)
}

/// What [`lower`] makes loops of: `graph` simplified, with its calls inlined.
///
/// *Errors*: only those of inlining.
pub fn prepared(graph: &Graph) -> Result<Graph, LowerError> {
    prepared_with(graph, Options::default())
}

/// As [`prepared`], simplified as `options` say.
pub fn prepared_with(graph: &Graph, options: Options) -> Result<Graph, LowerError> {
    let failed = |e| LowerError::Inline(Box::new(e));
    let simplified = simplify_with(&inline_all(graph).map_err(failed)?, options).0;
    let simplified = match by_views(&simplified, options.class).map_err(failed)? {
        Some(views) => simplify_with(&views, options).0,
        None => simplified,
    };
    let simplified = match by_products(&simplified, options.class).map_err(failed)? {
        Some(products) => simplify_with(&products, options).0,
        None => simplified,
    };
    let simplified = match by_blocks(&simplified, options.class).map_err(failed)? {
        Some(blocks) => simplify_with(&blocks, options).0,
        None => simplified,
    };
    if options.class < Class::Rounding { Ok(simplified) } else { multiply_by_reciprocals(&simplified).map_err(failed) }
}

/// The loops of a graph as it stands, which is not simplified first; calls in it stay calls.
///
/// *Errors*: only those of constants.
pub fn lower_as_is(graph: &Graph) -> Result<LoopProgram, LowerError> {
    Ok(explained(graph)?.0)
}

/// As [`lower_as_is`], with the nodes that went into each step.
pub fn explained(graph: &Graph) -> Result<Explained, LowerError> {
    let flow = flow::flow(graph).map_err(LowerError::Constant)?;
    Ok(program(&flow))
}

fn program(flow: &Flow) -> Explained {
    let (mut schedule, results) = schedule(flow);
    order::order(&mut schedule.steps, flow);
    layout::lay_out(&mut schedule.steps, flow, &results);
    let read = reads(&schedule.steps, &results);
    let is_result: FxHashSet<Id> = results.iter().copied().collect();
    let same = in_place::in_place(&schedule.steps, flow, &results);
    let (program, ids, once) = (LoopProgram::default(), FxHashMap::default(), std::mem::take(&mut schedule.once));
    let mut memory = Buffers { flow, program, ids, is_result, same, once };
    for p in &flow.params {
        let id = memory.id(*p);
        memory.program.params.push(id);
    }
    let mut explained = Vec::new();
    for step in schedule.steps {
        let (step, nodes) = match step {
            Planned::Group(group) => {
                let nodes = nodes_of(&group, flow);
                if !group.stores.iter().any(|s| read.contains(&s.dst)) {
                    continue;
                }
                (memory.nest(*group, &read, &nodes), nodes)
            }
            Planned::Product { value, args, mats, batch, mkn: [m, k, n] } => {
                let node = flow.values[value].node.expect("products are nodes");
                let (loc, name) = &flow.nodes[node];
                let kind = RoutineKind::MatMul { batch, m, k, n, lhs: mats[0], rhs: mats[1] };
                let inputs = args.iter().map(|a| memory.id(*a)).collect();
                let outputs = vec![memory.id(value)];
                let routine = Routine { kind, inputs, outputs, loc: loc.clone(), name: (*name).to_owned() };
                (Step::Routine(routine), vec![node])
            }
            Planned::Call { call, args } => {
                let call = &flow.calls[call];
                let (loc, name) = &flow.nodes[call.node];
                let inputs = args.iter().map(|a| memory.id(*a)).collect();
                let outputs = call.results.iter().map(|r| memory.id(*r)).collect();
                let (kind, loc, name) = (call.kind.clone(), loc.clone(), (*name).to_owned());
                (Step::Routine(Routine { kind, inputs, outputs, loc, name }), vec![call.node])
            }
        };
        memory.program.steps.push(step);
        explained.push(nodes.into_iter().map(|n| (flow.nodes[n].1, flow.nodes[n].0.clone())).collect());
    }
    memory.program.results = results.iter().map(|r| memory.id(*r)).collect();
    (memory.program, explained)
}

/// The values that somebody reads from memory.
fn reads(steps: &[Planned], results: &[Id]) -> FxHashSet<Id> {
    results.iter().copied().chain(steps.iter().flat_map(Planned::reads)).collect()
}

/// The graph's nodes that are computed in a group, in order.
fn nodes_of(group: &Group, flow: &Flow) -> Vec<usize> {
    let of = |v: Id| flow.values[v].node;
    let mut nodes: Vec<usize> = group.log.iter().filter_map(|(v, _)| of(*v)).collect();
    nodes.extend(group.stores.iter().filter_map(|s| of(s.dst)));
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

struct Buffers<'a> {
    flow: &'a Flow,
    program: LoopProgram,
    ids: FxHashMap<Id, BufferId>,
    is_result: FxHashSet<Id>,
    /// Values that have the memory of another.
    same: FxHashMap<Id, Id>,
    /// Values that nothing computes again.
    once: Vec<bool>,
}

impl Buffers<'_> {
    fn id(&mut self, v: Id) -> BufferId {
        if let Some(id) = self.ids.get(&v) {
            return *id;
        }
        // One write in place may follow another.
        let (asked, mut v) = (v, v);
        while let Some(result) = self.same.get(&v) {
            v = *result;
        }
        if let Some(id) = self.ids.get(&v).copied() {
            self.ids.insert(asked, id);
            return id;
        }
        let value = &self.flow.values[v];
        let role = match &value.kind {
            Kind::Param => Role::Param,
            Kind::Stored(a) => Role::Constant(a.clone()),
            Kind::Fill(_)
            | Kind::Iota
            | Kind::Eye
            | Kind::Point(_)
            | Kind::View(_)
            | Kind::Pick(_)
            | Kind::Unrolled(..)
            | Kind::Reduce(..)
            | Kind::Lookup(..)
            | Kind::Pieces(_)
            | Kind::Product
            | Kind::Output(_) => {
                if self.is_result.contains(&v) {
                    Role::Result
                } else {
                    Role::Temp
                }
            }
        };
        let id = BufferId(self.program.buffers.len() as u32);
        self.program.buffers.push(Buffer { dtype: value.dtype, len: value.numel(), role });
        self.ids.extend([(v, id), (asked, id)]);
        id
    }

    fn nest(&mut self, group: Group, read: &FxHashSet<Id>, nodes: &[usize]) -> Step {
        // Buffers are numbered in the order of their use.
        let stores = group.stores.iter().map(|s| s.dst).filter(|d| read.contains(d));
        for v in group.loads().chain(stores).collect::<Vec<_>>() {
            self.id(v);
        }
        let mut locs: Vec<Loc> = nodes.iter().map(|n| self.flow.nodes[*n].0.clone()).collect();
        locs.dedup();
        let ids = &self.ids;
        let lookup = |l: &group::Lookup| {
            let (dim, size) = self.flow.looked_up(l.of);
            let (loc, name) = &self.flow.nodes[self.flow.values[l.of].node.expect("lookups are nodes")];
            Lookup { name: (*name).to_owned(), dim, size, step: l.step, loc: loc.clone() }
        };
        Step::Nest(nest::nest(group, |v| self.once[v], |v| read.contains(&v), |v| ids[&v], lookup, locs))
    }
}

/// The steps of a program as a table: each step, what it is, and the nodes with their source lines.
pub fn explain(program: &LoopProgram, nodes: &[Vec<(&'static str, Loc)>]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for (i, (step, nodes)) in program.steps.iter().zip(nodes).enumerate() {
        let what = match step {
            Step::Nest(n) => format!("nest of {} stages", n.stages.len()),
            Step::Routine(r) => format!("routine {}", r.name),
        };
        let _ = writeln!(out, "step {i}: {what}");
        let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, loc) in nodes {
            let loc = loc.to_string();
            match lines.last_mut() {
                Some(last) if last.0 == loc => last.1.push(name),
                _ => lines.push((loc, vec![name])),
            }
        }
        for (loc, names) in lines {
            let _ = writeln!(out, "  {loc}: {}", names.join(", "));
        }
    }
    out
}
