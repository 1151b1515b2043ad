//! Traces: where symbolic tensors are recorded.
//!
//! A trace is a graph under construction. Traces nest; an op is recorded in the deepest trace of its operands, and a
//! value of an enclosing trace used inside becomes a *capture*, an extra input of the inner graph. `jvp`, `linearize`
//! and all other transforms see each other only through captures.

mod known;
mod nesting;
mod rules;

use std::cell::RefCell;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::{Repr, Tensor};
use crate::array::Array;
use crate::error::{Error, Stack};
use crate::ir::{Aval, Builder, Derivation, Graph, Loc, Value, Values};
use crate::ops::{Constant, Op};

pub use nesting::{BatchLevel, batch_levels, current_level};
pub(crate) use nesting::{Wrapping, wrappings};
pub use rules::in_rule;
pub(crate) use rules::is_in_rule;

/// What opened a trace, for messages and for [`Tensor::describe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Level {
    /// `make_fx`.
    Capture,
    /// The body of a composite, or of a function with rules of its own: transparent to [`Tensor::describe`].
    Composite,
    /// A derivative transform.
    Wrapper,
    /// `vmap` over a batch.
    ///
    /// The parameter after the mapped ones is the number of the example, an `i64` scalar, for random draws.
    Batched {
        /// For each parameter, where its batch dim stands, counted in the batched tensor.
        in_dims: Vec<Option<usize>>,
        /// The number of examples.
        size: usize,
        /// What a random draw without a key means.
        randomness: Randomness,
    },
    /// A pass over a finished graph.
    Pass,
}

/// What a random draw without an explicit key means inside `vmap` (field.md F2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Randomness {
    /// It is an error.
    #[default]
    Error,
    /// All examples share one draw.
    Same,
    /// Each example draws for itself.
    Different,
}

/// A graph under construction.
#[derive(Debug)]
pub struct Trace {
    id: u64,
    depth: u32,
    /// The number of transforms up to this one; 0 for passes and composites.
    ordinal: u32,
    name: String,
    function: Option<String>,
    level: Level,
    parent: Option<Arc<Trace>>,
    state: Mutex<State>,
}

struct State {
    builder: Builder,
    constants: FxHashMap<usize, (Arc<Array>, Value)>,
    captures: Vec<(Tensor, Value)>,
    capture_index: FxHashMap<(u64, Value), Value>,
    /// For each value, the transforms on whose parameters it depends, as bits by ordinal.
    masks: Vec<u64>,
    /// The outer tensors that parameters stand for.
    origins: FxHashMap<Value, Tensor>,
    error: Option<Error>,
    ended: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} nodes", self.builder.nodes().len())
    }
}

/// A finished trace.
#[derive(Debug)]
pub struct Traced {
    /// The graph; its last parameters are the captures.
    pub graph: Graph,
    /// The tensors of enclosing traces that the function used.
    pub captures: Vec<Tensor>,
}

thread_local! {
static ACTIVE: RefCell<Vec<Arc<Trace>>> = const { RefCell::new(Vec::new()) };
static SITE: RefCell<Option<Loc>> = const { RefCell::new(None) };
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The innermost active trace of this thread.
pub(crate) fn current() -> Option<Arc<Trace>> {
    ACTIVE.with_borrow(|a| a.last().cloned())
}

/// The active transforms and composites, outermost first.
pub(crate) fn stack() -> Box<Stack> {
    Box::new(ACTIVE.with_borrow(|active| {
        let mut stack = Stack::default();
        for t in active.iter().filter(|t| !t.name.is_empty()) {
            match t.level {
                Level::Capture | Level::Wrapper | Level::Batched { .. } => {
                    stack.transforms.push(t.name.clone());
                    stack.function = t.function.clone();
                }
                Level::Composite => stack.composites.push(t.name.clone()),
                Level::Pass => {}
            }
        }
        stack
    }))
}

/// The location for the next node: the one set by a pass, or the caller's.
pub fn here(site: &'static Location<'static>) -> Loc {
    SITE.with_borrow(|s| s.clone()).unwrap_or_else(|| Loc::of(site))
}

/// Runs `f` so that what it emits is located at `loc`: passes and composites give nodes the user's line.
pub fn at<R>(loc: Loc, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Loc>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SITE.set(self.0.take());
        }
    }
    let _restore = Restore(SITE.replace(Some(loc)));
    f()
}

/// Runs `f` so that what it emits is located at the place from which a user called a composite, which is
/// `site` unless a location is already set (by an enclosing composite or a pass).
pub fn at_site<R>(site: &'static Location<'static>, f: impl FnOnce() -> R) -> R {
    if SITE.with_borrow(Option::is_some) { f() } else { at(Loc::of(site), f) }
}

/// Makes `trace` the current one until dropped.
pub(crate) struct Enter;

impl Enter {
    pub(crate) fn new(trace: &Arc<Trace>) -> Self {
        ACTIVE.with_borrow_mut(|a| a.push(trace.clone()));
        Enter
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        ACTIVE.with_borrow_mut(|a| {
            a.pop();
        });
    }
}

impl Trace {
    /// A new trace, deeper than every active one of this thread.
    pub fn new(name: impl Into<String>, level: Level) -> Arc<Self> {
        Self::beneath(current(), name.into(), None, level)
    }

    /// A new trace for a transform of the user's function `function`.
    pub fn of_function(name: impl Into<String>, function: impl Into<String>, level: Level) -> Arc<Self> {
        Self::beneath(current(), name.into(), Some(function.into()), level)
    }

    /// A new trace directly under `self`, for tangents that use values of `self` as residuals.
    pub fn nested(self: &Arc<Self>, name: impl Into<String>) -> Arc<Self> {
        Self::beneath(Some(self.clone()), name.into(), None, Level::Pass)
    }

    fn beneath(parent: Option<Arc<Trace>>, name: String, function: Option<String>, level: Level) -> Arc<Self> {
        let ordinal = match level {
            Level::Composite | Level::Pass => 0,
            Level::Capture | Level::Wrapper | Level::Batched { .. } => {
                ancestors(parent.as_ref()).map(|t| t.ordinal).max().unwrap_or(0) + 1
            }
        };
        Arc::new(Trace {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            depth: parent.as_ref().map_or(0, |t| t.depth) + 1,
            ordinal,
            name,
            function,
            level,
            parent,
            state: Mutex::new(State {
                builder: Builder::new(),
                constants: FxHashMap::default(),
                captures: Vec::new(),
                capture_index: FxHashMap::default(),
                masks: Vec::new(),
                origins: FxHashMap::default(),
                error: None,
                ended: false,
            }),
        })
    }

    /// Adds a parameter.
    pub fn param(self: &Arc<Self>, aval: &Aval) -> Tensor {
        let mut s = self.lock();
        let v = s.builder.param(aval.clone());
        s.masks.push(self.own_bit(v));
        drop(s);
        self.tensor(v, aval.clone())
    }

    /// Adds a parameter of `aval` that stands for `origin`, which may have a batch dim more.
    pub fn param_for(self: &Arc<Self>, aval: &Aval, origin: &Tensor) -> Tensor {
        let mut s = self.lock();
        let v = s.builder.param(aval.clone());
        s.masks.push(self.own_bit(v) | mask(origin));
        s.origins.insert(v, origin.clone());
        drop(s);
        self.tensor(v, aval.clone())
    }

    /// The bit of this level, if its parameter `v` is subject to the transform.
    fn own_bit(&self, v: Value) -> u64 {
        match &self.level {
            Level::Batched { in_dims, .. } if in_dims.get(v.index()) == Some(&None) => 0,
            Level::Batched { .. } | Level::Capture | Level::Wrapper => self.bit(),
            Level::Composite | Level::Pass => 0,
        }
    }

    fn bit(&self) -> u64 {
        if self.ordinal == 0 { 0 } else { 1 << self.ordinal.min(63) }
    }

    /// Runs `f` with this trace as the current one.
    pub fn enter<R>(self: &Arc<Self>, f: impl FnOnce() -> R) -> R {
        let _entered = Enter::new(self);
        f()
    }

    /// Ends the trace with these results.
    pub fn finish(self: &Arc<Self>, name: impl Into<String>, results: &[Tensor]) -> Result<Traced, Error> {
        for r in results {
            if let Repr::Poison(e, _) = &r.0 {
                self.lock().ended = true;
                return Err(e.as_ref().clone());
            }
        }
        let mut values = Vec::with_capacity(results.len());
        for r in results {
            values.push(self.lift(r, "return", &Loc::default())?);
        }
        let mut s = self.lock();
        s.ended = true;
        if let Some(e) = s.error.take() {
            return Err(e);
        }
        let builder = std::mem::take(&mut s.builder);
        let captures: Vec<(Tensor, Value)> = std::mem::take(&mut s.captures);
        s.constants.clear();
        s.origins.clear();
        drop(s);
        Ok(Traced { graph: builder.finish(name, values), captures: captures.into_iter().map(|(t, _)| t).collect() })
    }

    /// Ends the trace and gives its first error, if it has one: for a user's function that panicked after it.
    pub fn abandon(&self) -> Option<Error> {
        let mut s = self.lock();
        s.ended = true;
        s.error.take()
    }

    /// Appends a node.
    pub(crate) fn push(
        self: &Arc<Self>,
        op: Op,
        args: &[&Tensor],
        avals: impl IntoIterator<Item = Aval>,
        loc: &Loc,
    ) -> Result<Vec<Tensor>, Error> {
        let name = op.name();
        let mut values = Values::new();
        for a in args {
            values.push(self.lift(a, name, loc)?);
        }
        let avals: smallvec::SmallVec<[Aval; 1]> = avals.into_iter().collect();
        let mut s = self.lock();
        if s.ended {
            return Err(self.escaped(name, loc));
        }
        let mask = values.iter().fold(0, |m, v| m | s.masks[v.index()]);
        let results = s.builder.node(op, values, avals.iter().cloned(), loc);
        s.masks.extend(results.iter().map(|_| mask));
        drop(s);
        Ok(results.iter().zip(avals).map(|(v, a)| self.tensor(*v, a)).collect())
    }

    /// Records the first error; later ones follow from it.
    pub(crate) fn record(&self, error: &Error) {
        let mut s = self.lock();
        s.error.get_or_insert_with(|| error.clone());
    }

    /// How deep it is nested; operations go to the deepest trace of their operands.
    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// What opened it.
    pub(crate) fn level(&self) -> &Level {
        &self.level
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn escaped(&self, op: &str, loc: &Loc) -> Error {
        Error::Escaped { op: op.to_owned(), loc: loc.clone(), made_in: self.name.clone() }
    }

    fn tensor(self: &Arc<Self>, v: Value, aval: Aval) -> Tensor {
        Tensor(Repr::Traced(self.clone(), v, aval))
    }

    /// A host array as a constant of this trace; any other tensor as it is.
    pub(crate) fn captured(self: &Arc<Self>, t: &Tensor) -> Tensor {
        let Repr::Concrete(array) = &t.0 else { return t.clone() };
        self.lift(t, "constant", &Loc::default()).map_or_else(|_| t.clone(), |v| self.tensor(v, array.aval()))
    }

    /// The value that stands for `t` in this trace.
    fn lift(self: &Arc<Self>, t: &Tensor, op: &str, loc: &Loc) -> Result<Value, Error> {
        match &t.0 {
            Repr::Traced(trace, v, _) if trace.id == self.id => Ok(*v),
            Repr::Traced(trace, v, aval) => {
                if trace.has_ended() {
                    return Err(trace.escaped(op, loc));
                }
                let mask = trace.mask(*v);
                let mut s = self.lock();
                if let Some(inner) = s.capture_index.get(&(trace.id, *v)) {
                    return Ok(*inner);
                }
                let inner = s.builder.param(aval.clone());
                s.masks.push(mask);
                s.captures.push((t.clone(), inner));
                s.capture_index.insert((trace.id, *v), inner);
                Ok(inner)
            }
            Repr::Concrete(array) => {
                let mut s = self.lock();
                let key = Arc::as_ptr(array) as usize;
                if let Some((_, v)) = s.constants.get(&key) {
                    return Ok(*v);
                }
                let op = Constant { value: array.clone() };
                let v = s.builder.node(op.into(), Values::new(), [array.aval()], loc)[0];
                s.masks.push(0);
                s.constants.insert(key, (array.clone(), v));
                Ok(v)
            }
            Repr::Abstract(aval) => Err(Error::TracedValue {
                loc: loc.clone(),
                stack: stack(),
                aval: aval.clone(),
                what: "an abstract tensor has no value that a trace could capture; pass it as an argument",
            }),
            Repr::Poison(e, _) => Err(e.as_ref().clone()),
        }
    }

    fn mask(&self, v: Value) -> u64 {
        self.lock().masks.get(v.index()).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while a trace is locked leaves at worst a node without results, and the trace is abandoned.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a pass: builds a closed graph from tensors of a fresh trace.
pub fn build(name: &str, f: impl FnOnce(&Arc<Trace>) -> Result<Vec<Tensor>, Error>) -> Result<Graph, Error> {
    let trace = Trace::new(name, Level::Pass);
    let results = trace.enter(|| f(&trace))?;
    let traced = trace.finish(name, &results)?;
    debug_assert!(traced.captures.is_empty(), "I7: pass `{name}` captured outer values");
    Ok(traced.graph)
}

/// The derivation that a pass adds to the location of each node it replaces.
pub fn derived<R>(loc: &Loc, step: Derivation, f: impl FnOnce() -> R) -> R {
    at(loc.derived(step), f)
}

/// A trace and those around it, innermost first.
fn ancestors(trace: Option<&Arc<Trace>>) -> impl Iterator<Item = Arc<Trace>> {
    std::iter::successors(trace.cloned(), |t| t.parent.clone())
}

/// The transforms on whose parameters a tensor depends.
fn mask(t: &Tensor) -> u64 {
    match &t.0 {
        Repr::Traced(trace, v, _) => trace.mask(*v),
        Repr::Concrete(_) | Repr::Abstract(_) | Repr::Poison(..) => 0,
    }
}
