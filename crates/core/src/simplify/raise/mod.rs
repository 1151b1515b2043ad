//! Raising: what simplification and derivatives have taken apart is put together to the operators that PyTorch has for
//! it, so that a graph prints as a person would have written it in PyTorch.
//!
//! The inverse of inlining. A rule looks at a node and at what its operands are computed from; where PyTorch has one
//! operator for that, a *call* under the operator's schema stands for it, whose body is what stood there, node by
//! node. So nothing changes for transforms, evaluation and compilation, which look at bodies; printed code and exported
//! programs name the operator. Patterns of many nodes come first, then those of a few, then single nodes; each time nodes
//! are visited from the results on: what only a raised node needed is gone before its own turn.
//!
//! - **R1** the number of nodes never grows once calls that PyTorch cannot name are spelled out: a call takes the place of one
//!   node at least.
//! - **R2** PyTorch's operator gives the values of the body, as far as the rule's class says.
//! - **R3** time is linear in the size of the graph: a rule looks at a bounded number of nodes, and a body holds no
//!   more than [`MAX_BODY`].

mod activation;
mod again;
mod attention;
mod averaged;
mod averages;
mod convolved;
mod cross;
mod diagonal;
mod elementwise;
mod embedding;
mod fused;
mod gate;
mod index;
mod known;
mod lift;
mod matrix;
mod nll;
mod norm;
mod norm_backward;
mod pooled;
mod positions;
mod pullback;
mod rearrange;
mod reduce;
mod repeated;
mod rows;
mod scattered;
mod settle;
mod single;
mod slope;
mod solve;
mod table;
mod term;
mod upward;
mod whole;
mod window;

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::edit::{Editor, NodeId};
use super::{Class, Options, simplify_with};
use crate::ir::{Attr, Aval, Builder, DType, Dim, Graph, Scalar, Value, Values};
use crate::ops::{Arange, Call, Expand, Full, Op, Rule as CallRule, Sum, Unary, View};
use crate::text::shown;

/// The most nodes that a call may stand for.
const MAX_BODY: usize = 32;

/// A way to raise: where it matches at a node, the operator that stands for it.
struct Raising {
    /// How far the operator's values may differ.
    class: Class,
    find: fn(&Editor, NodeId) -> Option<Found>,
}

/// An operator of PyTorch's in a graph.
struct Found {
    schema: &'static str,
    params: Vec<(&'static str, Attr)>,
    args: Values,
    /// The operands that are nowhere in the graph, and their places among `args`, the first ones first.
    made: Vec<(usize, Made)>,
    /// A value that the body has from an operand, not from where the graph has it; signs of zeros may differ.
    given: Option<(Value, Given)>,
    /// What its results are.
    results: Vec<Slot>,
}

/// An operand that a rule makes.
enum Made {
    /// A number everywhere, along which a derivative is; nothing in the call's body depends on it.
    Uniform(Aval, f64),
    /// The numbers `0, 1, …` of so many rows, as a column; nothing in the call's body depends on it.
    Rows(usize),
    /// The opposite of a value that the body has.
    Opposite(Value),
}

/// What a value is of an operand of the call.
enum Given {
    /// The opposite of that at a place.
    Opposite(usize),
    /// The sums of that at a place over a dim, repeated along it.
    Total(usize, usize),
    /// The opposite of these.
    OppositeTotal(usize, usize),
    /// That at a place in another shape.
    Seen(usize),
}

/// A result of an operator.
enum Slot {
    /// That of the node.
    Root,
    /// Another value of the graph, which is computed after all that the operator takes.
    Value(Value),
    /// None that is wanted.
    Nothing(Aval),
}

impl Found {
    fn new(
        schema: &'static str,
        params: impl IntoIterator<Item = (&'static str, Attr)>,
        args: impl IntoIterator<Item = Value>,
    ) -> Option<Self> {
        let (params, args) = (params.into_iter().collect(), args.into_iter().collect());
        Some(Found { schema, params, args, made: Vec::new(), given: None, results: vec![Slot::Root] })
    }

    /// A backward operator on the cotangent `g`, or on ones of `aval`.
    fn along(
        schema: &'static str,
        params: impl IntoIterator<Item = (&'static str, Attr)>,
        g: Option<Value>,
        aval: &Aval,
        x: Value,
    ) -> Option<Self> {
        let made = g.is_none().then(|| (0, Made::Uniform(aval.clone(), 1.0))).into_iter().collect();
        Some(Found { made, ..Found::new(schema, params, g.into_iter().chain([x]))? })
    }
}

/// The rules of operators that stand for many nodes, larger patterns first.
static LARGE: [&[Raising]; 10] = [
    solve::RULES,
    whole::RULES,
    table::RULES,
    nll::RULES,
    norm_backward::RULES,
    norm::RULES,
    slope::RULES,
    gate::RULES,
    activation::RULES,
    reduce::NORMS,
];

/// The rules of operators that stand for a few nodes.
static MIDDLE: [&[Raising]; 11] = [
    scattered::RULES,
    diagonal::RULES,
    positions::RULES,
    embedding::RULES,
    index::RULES,
    window::RULES,
    rearrange::RULES,
    reduce::RULES,
    reduce::POWER_NORMS,
    matrix::RULES,
    activation::CHOICES,
];

/// The rules that take what is left.
static SMALL: [&[Raising]; 2] = [fused::RULES, elementwise::RULES];

/// The rules of operators that exporters take apart.
static DECOMPOSED: [&[Raising]; 5] =
    [norm::DECOMPOSED_ROWS, whole::RULES, table::RULES, reduce::NORMS, reduce::DECOMPOSED_NORMS];

/// The graph with PyTorch's compound operators as calls; rules up to `class` apply.
///
/// Values are those of `graph` to the last bit wherever this project computes them, but for signs of zeros and for what the derivative
/// of a normalisation is added to, and within `class` where PyTorch runs the printed code.
pub fn raise(graph: &Graph, class: Class) -> Graph {
    let inlined = match shown(graph) {
        // What a call kept apart meets what stands around it.
        Cow::Owned(inlined) => Some(simplify_with(&inlined, Options { class, trace: false }).0),
        Cow::Borrowed(_) => None,
    };
    let graph = inlined.as_ref().unwrap_or(graph);
    let mut e = editor(graph);
    let passes = [
        known::share,
        again::take,
        pullback::take,
        convolved::take,
        averages::take,
        averaged::take,
        pooled::take,
        repeated::take,
    ];
    for pass in passes {
        if pass(&mut e) {
            // Views of what is shared may cancel.
            let graph = simplify_with(&e.finish(graph), Options { class, trace: false }).0;
            e = editor(&graph);
        }
    }
    norm_backward::gather(&mut e);
    // Before the differences and squares that they are made of.
    e = raise_by(e, class, &[cross::RULES, norm::STATISTICS]);
    e = raise_by(e, class, &LARGE);
    lift::lift(&mut e);
    single::select(&mut e);
    rows::take(&mut e);
    e = raise_by(e, class, &[MIDDLE.as_slice(), SMALL.as_slice()].concat());
    settle::settle(&mut e);
    e.finish(graph)
}

/// The graph with the operators as calls that PyTorch's exporter has taken apart: what a program said before.
///
/// Values are those of `graph` to the last bit.
pub fn recompose(graph: &Graph) -> Graph {
    let e = raise_by(editor(graph), Class::Rounding, &DECOMPOSED);
    // Of what was found.
    raise_by(e, Class::Rounding, &[attention::RULES]).finish(graph)
}

fn editor(graph: &Graph) -> Editor {
    let ops: Vec<Op> = graph.nodes().iter().map(|n| n.op.clone()).collect();
    Editor::new(graph, &ops)
}

fn raise_by(mut e: Editor, class: Class, rules: &[&'static [Raising]]) -> Editor {
    for id in (0..e.num_nodes()).rev() {
        // A node that only raised ones needed.
        e.sweep(id);
        if !e.is_alive(id) || e.results(id).len() != 1 {
            continue;
        }
        let found = rules.iter().copied().flatten().filter(|r| r.class <= class).find_map(|r| (r.find)(&e, id));
        let Some(found) = found else { continue };
        e.begin(id);
        let mut args = found.args;
        for (place, made) in &found.made {
            args.insert(*place, make(&mut e, made));
        }
        let Some(body) = body(&e, id, &args, found.given.as_ref(), &found.results) else {
            e.rollback();
            continue;
        };
        match e.emit(call(found.schema, found.params, body), &args) {
            Some(first) => {
                let call = e.def(first).expect("just emitted");
                let made = e.results(call).to_vec();
                let root = found.results.iter().position(|r| matches!(r, Slot::Root)).expect("a rule says which it is");
                if e.commit(made[root], 0) {
                    for (slot, new) in found.results.iter().zip(made) {
                        if let Slot::Value(old) = slot {
                            e.stand_in(*old, new);
                        }
                    }
                }
            }
            None => e.rollback(),
        }
    }
    e
}

/// The operator with this schema, which computes what `body` does.
fn call(schema: &str, params: impl IntoIterator<Item = (&'static str, Attr)>, body: Graph) -> Call {
    let pair = |(k, a): (&str, Attr)| Attr::List(vec![Attr::Str(k.to_owned()), a]);
    let params = params.into_iter().map(pair).collect();
    Call { target: schema.to_owned(), params, body: Arc::new(body), rule: CallRule::Inline }
}

fn make(e: &mut Editor, made: &Made) -> Value {
    let v = match made {
        Made::Uniform(aval, x) => e.full(aval, *x),
        Made::Rows(n) => {
            let range = e.emit(Arange { end: Dim::new(*n), dtype: DType::I64 }, &[]);
            range.and_then(|r| e.view(r, &[*n, 1].into()))
        }
        Made::Opposite(v) => e.unary(Unary::Neg, *v),
    };
    v.expect("I3: a known aval")
}

impl Graph {
    /// The graph with PyTorch's compound operators as calls, for printing: `g.raised().code()` says
    /// `aten.mul.Scalar(x, 2.0)`, `aten.tanh_backward(g, y)`, `aten._softmax(x, 1, False)` where primitives stand in
    /// `g.code()`.
    ///
    /// *Numerics*: as [`Class::Rounding`] where PyTorch runs the code.
    pub fn raised(&self) -> Graph {
        raise(self, Class::default())
    }
}

/// What computes `results` from `args`, and from the value that is `given` by one of them: `None` if that needs anything else, or
/// if it is long.
fn body(e: &Editor, root: NodeId, args: &[Value], given: Option<&(Value, Given)>, results: &[Slot]) -> Option<Graph> {
    let mut b = Builder::new();
    let mut env: FxHashMap<Value, Value> = FxHashMap::default();
    let mut params = Vec::with_capacity(args.len());
    for v in args {
        let param = b.param(e.aval(*v).clone());
        env.entry(*v).or_insert(param);
        params.push(param);
    }
    if let Some((v, how)) = given {
        let aval = e.aval(*v);
        let mut node = |op: Op, x: Value, aval: Aval| b.node(op, [x].into_iter().collect(), [aval], e.loc(root))[0];
        let own = match how {
            Given::Opposite(place) => node(Unary::Neg.into(), params[*place], aval.clone()),
            Given::Seen(place) => node(View { shape: aval.shape.clone() }.into(), params[*place], aval.clone()),
            Given::Total(place, dim) | Given::OppositeTotal(place, dim) => {
                let short = aval.with_shape(aval.shape.removed(*dim));
                let kept = aval.with_shape(aval.shape.with(*dim, 1));
                let sum = node(Sum::over(&[*dim], aval.rank()).into(), params[*place], short);
                let column = node(View { shape: kept.shape.clone() }.into(), sum, kept);
                let column = match how {
                    Given::OppositeTotal(..) => {
                        node(Unary::Neg.into(), column, aval.with_shape(aval.shape.with(*dim, 1)))
                    }
                    Given::Total(..) | Given::Opposite(_) | Given::Seen(_) => column,
                };
                node(Expand { size: aval.shape.clone() }.into(), column, aval.clone())
            }
        };
        env.insert(*v, own);
    }
    let wanted = |slot: &Slot| match slot {
        Slot::Root => Some(e.results(root)[0]),
        Slot::Value(v) => Some(*v),
        Slot::Nothing(_) => None,
    };
    let mut stack = results.iter().filter_map(wanted).map(|v| e.def(v)).collect::<Option<Vec<_>>>()?;
    let mut made = 0;
    while let Some(&id) = stack.last() {
        if env.contains_key(&e.results(id)[0]) {
            stack.pop();
            continue;
        }
        let before = stack.len();
        for v in e.args(id).iter().filter(|v| !env.contains_key(v)) {
            stack.push(e.def(*v)?);
        }
        if stack.len() > before {
            if stack.len() > 2 * MAX_BODY {
                return None;
            }
            continue;
        }
        stack.pop();
        made += 1;
        if made > MAX_BODY {
            return None;
        }
        let args: Values = e.args(id).iter().map(|v| env[v]).collect();
        let avals = e.results(id).iter().map(|v| e.aval(*v).clone());
        let results = b.node(e.op(id).clone(), args, avals, e.loc(id));
        env.extend(e.results(id).iter().copied().zip(results));
    }
    let result = |slot: &Slot| match slot {
        Slot::Root => env[&e.results(root)[0]],
        Slot::Value(v) => env[v],
        Slot::Nothing(aval) => b.node(zeros(aval), Values::new(), [aval.clone()], e.loc(root))[0],
    };
    let results = results.iter().map(result).collect();
    Some(b.finish("", results))
}

fn zeros(aval: &Aval) -> Op {
    Full { size: aval.shape.clone(), fill_value: Scalar::Int(0).cast(aval.dtype), dtype: aval.dtype }.into()
}

/// A number as an attribute.
fn number(x: impl Into<Scalar>) -> Attr {
    Attr::Scalar(x.into())
}

/// Dims or sizes as an attribute.
fn sizes(v: &[usize]) -> Attr {
    Attr::List(v.iter().map(|n| number(*n as i64)).collect())
}
