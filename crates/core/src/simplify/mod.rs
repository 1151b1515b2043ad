//! Simplification: a graph becomes what a person would have written.
//!
//! A static list of small named rules, applied to a fixed point by a worklist over an editable form of the graph
//! (`edit.rs`). The rules stand in `ir-spec/simplify.md` with their classes. Equal nodes are merged and unused nodes
//! removed on the way.
//!
//! - **S1** the number of nodes never grows: each application is counted and undone if more is made than dies.
//! - **S2** values change only as far as the rule's class allows.
//! - **S3** params, their order, the signature and the avals of the results stay.
//! - **S4** time is linear in the size of the graph, for a bounded number of rewrites per node. Each rule makes the
//!   graph smaller, or moves one kind of op in one direction: `neg`, views and `expand` towards the results (so that
//!   they meet their likes, and work is done before broadcasting), sums and products towards the smaller operand.
//!
//! Calls of composites stay calls; their bodies are simplified.

mod algebra;
mod batched_identity;
mod contract;
mod convert;
mod cse;
mod dce;
mod edit;
mod factor;
mod fold;
mod index_select;
mod movement;
mod pattern;
mod pieces;
mod raise;
mod reduce;
mod report;
mod select;
mod sign;
mod strided;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::ir::{Graph, Value};
use crate::ops::{Call, Op, Rule as CallRule};
use edit::{Editor, NodeId};
pub use raise::{raise, recompose};
pub use report::{Report, Step};

/// How far a rule may change values. Each class contains the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Class {
    /// Equal bits for all inputs, infinities, NaN and signed zeros included; only the payload of a NaN may differ.
    Exact,
    /// Equal where operands and intermediate values are finite, up to the sign of a zero.
    Finite,
    /// Equal in real arithmetic, without steps that are worse conditioned: sums in another order, merged scalar
    /// factors. A few units in the last place of the largest intermediate value.
    #[default]
    Rounding,
    /// Equal where both forms are defined: inverse functions cancelled, and what they do to rounding and domain.
    FastMath,
}

impl Class {
    /// All classes, in order.
    pub const ALL: [Class; 4] = [Class::Exact, Class::Finite, Class::Rounding, Class::FastMath];

    /// The name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Exact => "exact",
            Class::Finite => "finite",
            Class::Rounding => "rounding",
            Class::FastMath => "fast-math",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A simplification.
#[derive(Debug)]
pub struct Rule {
    /// Its name, that of its file test.
    pub name: &'static str,
    /// How far it may change values.
    pub class: Class,
    /// What it does, in one line.
    pub law: &'static str,
    apply: Apply,
}

type Rewrite = fn(&mut Editor, NodeId) -> Option<Value>;

#[derive(Debug)]
enum Apply {
    /// At a node of one result: the value that may stand for it.
    Node(Rewrite),
    /// As [`Apply::Node`], by a form that does less work though it may take more nodes, until other rules follow.
    Cheaper(Rewrite),
    /// Done by the engine.
    Engine,
}

/// All rules, in the order in which they are tried.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    THEMES.iter().copied().flatten()
}

static THEMES: [&[Rule]; 15] = [
    dce::RULES,
    cse::RULES,
    fold::RULES,
    convert::RULES,
    movement::RULES,
    index_select::RULES,
    pieces::RULES,
    strided::RULES,
    select::RULES,
    algebra::RULES,
    sign::RULES,
    factor::RULES,
    reduce::RULES,
    contract::RULES,
    batched_identity::RULES,
];

/// What to apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// The last class of rules to apply.
    pub class: Class,
    /// Whether the report shows each rewrite.
    pub trace: bool,
}

impl Options {
    /// Only rules that change no bit.
    pub fn exact() -> Self {
        Options { class: Class::Exact, trace: false }
    }

    /// All rules.
    pub fn fast_math() -> Self {
        Options { class: Class::FastMath, trace: false }
    }

    /// These options with each rewrite in the report.
    pub fn traced(self) -> Self {
        Options { trace: true, ..self }
    }
}

/// The graph simplified by the rules up to [`Class::Rounding`].
pub fn simplify(graph: &Graph) -> Graph {
    simplify_with(graph, Options::default()).0
}

/// The graph simplified, with what was done.
pub fn simplify_with(graph: &Graph, options: Options) -> (Graph, Report) {
    let mut run = Run { options, steps: Vec::new(), bodies: FxHashMap::default() };
    let out = run.graph(graph);
    let report = Report { graph: graph.name().to_owned(), before: graph.len(), after: out.len(), steps: run.steps };
    (out, report)
}

/// Which rules [`simplify`] applies to the graph, how often and on which source lines.
pub fn explain(graph: &Graph) -> String {
    simplify_with(graph, Options::default()).1.explain()
}

impl Graph {
    /// What simplification does to this graph: each rule that fires, how often, and at which source lines.
    pub fn explain(&self) -> String {
        explain(self)
    }
}

/// How often all nodes are looked at again after the worklist is empty.
const MAX_SWEEPS: usize = 16;

/// Whether rules that lower the work may add nodes for a while.
#[derive(Clone, Copy)]
enum Growth {
    None,
    /// Up to the number of nodes of the input.
    Within,
}

/// One simplification with the bodies of calls that it met, which stay shared.
struct Run {
    options: Options,
    steps: Vec<Step>,
    bodies: FxHashMap<*const Graph, Arc<Graph>>,
}

impl Run {
    /// Simplifies with rules that each keep the number of nodes or lower it. If one that lowers the work was refused for
    /// that, simplifies once more with room for it, and takes the smaller graph.
    fn graph(&mut self, graph: &Graph) -> Graph {
        let op = |op: &Op| match op {
            Op::Call(call) => self.call(call).into(),
            op => op.clone(),
        };
        let ops: Vec<Op> = graph.nodes().iter().map(|n| &n.op).map(op).collect();
        let start = self.steps.len();
        let (strict, refused) = self.pass(graph, &ops, Growth::None);
        if !refused {
            return strict;
        }
        let steps = self.steps.split_off(start);
        let (loose, _) = self.pass(graph, &ops, Growth::Within);
        if loose.len() < strict.len() {
            return loose;
        }
        self.steps.truncate(start);
        self.steps.extend(steps);
        strict
    }

    fn pass(&mut self, graph: &Graph, ops: &[Op], growth: Growth) -> (Graph, bool) {
        let mut e = Editor::new(graph, ops);
        for id in (0..e.num_nodes()).rev() {
            if e.is_alive(id) && e.results(id).iter().all(|v| e.count(*v) == 0) {
                self.record(&e, &dce::RULES[0], id, None);
                e.sweep(id);
            }
        }
        let refused = self.run_rules(&mut e, growth, graph.len());
        debug_assert!(e.live() <= graph.len(), "S1: `{}` grew", graph.name());
        (e.finish(graph), refused)
    }

    fn call(&mut self, call: &Call) -> Call {
        let mut all = |g: &Arc<Graph>| match self.bodies.get(&Arc::as_ptr(g)) {
            Some(done) => done.clone(),
            None => {
                let done = Arc::new(self.graph(g));
                self.bodies.insert(Arc::as_ptr(g), done.clone());
                done
            }
        };
        let rule = match &call.rule {
            CallRule::Inline => CallRule::Inline,
            CallRule::Checkpoint => CallRule::Checkpoint,
            CallRule::Jvp(g) => CallRule::Jvp(all(g)),
            CallRule::ByResult(g) => CallRule::ByResult(all(g)),
            CallRule::Linear { transpose, residuals } => {
                CallRule::Linear { transpose: all(transpose), residuals: *residuals }
            }
            CallRule::Vjp { fwd, bwd } => CallRule::Vjp { fwd: all(fwd), bwd: all(bwd) },
            CallRule::VjpTangent { bwd, residuals } => CallRule::VjpTangent { bwd: all(bwd), residuals: *residuals },
        };
        Call { target: call.target.clone(), params: call.params.clone(), body: all(&call.body), rule }
    }

    /// Applies rules until none fires, with at most `limit` nodes. Whether one was refused because the graph would grow.
    fn run_rules(&mut self, e: &mut Editor, growth: Growth, limit: usize) -> bool {
        let active: Vec<(&'static Rule, Rewrite, bool)> = rules()
            .filter(|r| r.class <= self.options.class)
            .filter_map(|r| match r.apply {
                Apply::Node(f) => Some((r, f, false)),
                Apply::Cheaper(f) => Some((r, f, true)),
                Apply::Engine => None,
            })
            .collect();
        let mut refused = false;
        let (mut swept, mut sweeps) = (self.steps.len(), MAX_SWEEPS);
        let mut queue: VecDeque<NodeId> = (0..e.num_nodes()).collect();
        let mut queued = vec![true; e.num_nodes()];
        // S4 holds by the rules' measures; a rule that breaks its measure must not hang a user's program.
        let mut budget = 64 * (e.num_nodes() + 64);
        loop {
            self.merge_equal(e);
            for id in std::mem::take(&mut e.touched) {
                if e.is_alive(id) && !std::mem::replace(&mut queued[id], true) {
                    queue.push_back(id);
                }
            }
            let Some(id) = queue.pop_front() else {
                // What a rule could not afford may have become cheaper where nothing told: look at all nodes again.
                if self.steps.len() == swept || sweeps == 0 {
                    break;
                }
                (swept, sweeps) = (self.steps.len(), sweeps - 1);
                queue.extend((0..e.num_nodes()).filter(|id| e.is_alive(*id)));
                queued.fill(true);
                continue;
            };
            queued[id] = false;
            if !e.is_alive(id) || e.results(id).len() != 1 {
                continue;
            }
            for (rule, apply, cheaper) in &active {
                e.begin(id);
                let live = e.live();
                let Some(new) = apply(e, id) else {
                    e.rollback();
                    continue;
                };
                let before = self.options.trace.then(|| show(e, id));
                let loc = e.loc(id).clone();
                let room = match growth {
                    Growth::Within if *cheaper => limit.saturating_sub(live),
                    Growth::Within | Growth::None => 0,
                };
                if !e.commit(new, room) {
                    refused |= *cheaper;
                    continue;
                }
                let after = || e.def(new).map_or_else(|| "a parameter".to_owned(), |d| show(e, d));
                let change = before.map(|b| (b, after()));
                self.steps.push(Step { rule: rule.name, loc, change });
                // What was made comes next, operands first, so that users see it simplified.
                queued.resize(e.num_nodes(), false);
                for id in e.take_made().into_iter().rev() {
                    queued[id] = true;
                    queue.push_front(id);
                }
                budget -= 1;
                break;
            }
            if budget == 0 {
                debug_assert!(false, "S4: rules undo each other: {:?}", &self.steps[self.steps.len() - 8..]);
                break;
            }
        }
        refused
    }

    fn merge_equal(&mut self, e: &mut Editor) {
        while let Some((id, _)) = e.equal.pop() {
            if !e.is_alive(id) {
                continue;
            }
            match e.twin(id) {
                Some(twin) => {
                    self.record(e, &cse::RULES[0], id, Some(twin));
                    e.merge(id, twin);
                }
                None => e.enter(id),
            }
        }
    }

    fn record(&mut self, e: &Editor, rule: &Rule, id: NodeId, by: Option<NodeId>) {
        let after = || by.map_or_else(|| "nothing".to_owned(), |by| show(e, by));
        let change = self.options.trace.then(|| (show(e, id), after()));
        self.steps.push(Step { rule: rule.name, loc: e.loc(id).clone(), change });
    }
}

/// A node in one line: its op, the avals of its operands and of its results.
fn show(e: &Editor, id: NodeId) -> String {
    let avals = |v: &[Value]| v.iter().map(|v| e.aval(*v).to_string()).collect::<Vec<_>>().join(", ");
    format!("{}({}): {}", e.op(id).name(), avals(e.args(id)), avals(e.results(id)))
}
