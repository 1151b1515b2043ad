//! Derivatives for which PyTorch has one operator that takes the function's own operands: of convolutions, and of the maxima
//! of windows.
//!
//! The function stands in the graph. What its own rules make of its derivative is looked for beside it, so that no pattern here
//! repeats these rules, whatever strides, padding and groups there are.

use super::super::edit::{Editor, NodeId};
use super::super::simplify;
use super::{MAX_BODY, call, convolved};
use crate::error::Error;
use crate::ir::{Attr, Aval, Graph, Node, Value};
use crate::ops::{Binary, Call, Op, Permute};
use crate::tensor::{Tensor, emit_all};
use crate::transform::build;
use crate::transform::grad::vjp;
use crate::transform::inline::inline_composites;
use crate::transform::replay::{rebuild, replay};

/// Lets one operator stand for the derivatives of each function that has one; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if e.is_alive(id) {
            taken |= convolved::beside(e, id).or_else(|| maximum(e, id)).is_some();
        }
    }
    taken
}

pub(super) fn traced(params: &[Aval], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Result<Graph, Error> {
    build("", |t| Ok(f(&params.iter().map(|a| t.param(a)).collect::<Vec<_>>())))
}

/// The derivative of a function of one result in one of its operands, `(x…, y_bar) → x_bar`, as its rules make it.
pub(super) struct Pullback(Graph);

/// Where a pullback stands in a graph.
pub(super) struct Standing {
    /// What the pullback makes of its cotangent, or of another operand, before anything else, and the value of the graph that this is.
    pub seen: (Value, Value),
    pub x_bar: Bar,
}

/// The result of a pullback in a graph.
pub(super) struct Bar {
    /// It, or that of which it is a view or a permutation.
    pub value: Value,
    /// How the dims of the result are permuted to those of `value`.
    pub dims: Option<Vec<usize>>,
}

impl Bar {
    /// What stands for the value, if `result` is the result.
    pub fn seen(&self, e: &mut Editor, result: Value) -> Option<Value> {
        let shape = e.shape(self.value).clone();
        match &self.dims {
            Some(dims) => e.permute(result, dims),
            None => e.view(result, &shape),
        }
    }
}

/// The node that computes `op` at `args`; views of views and permutations of permutations are one.
fn seen(e: &Editor, op: &Op, args: &[Value]) -> Option<NodeId> {
    e.equal_node(op, args).or_else(|| match op {
        Op::View(_) => e.equal_node(op, &[e.as_view(args[0])?]),
        Op::Permute(Permute { dims }) => {
            let (first, x) = e.as_permute(args[0])?;
            e.equal_node(&Permute { dims: dims.iter().map(|d| first[*d]).collect() }.into(), &[x])
        }
        _ => None,
    })
}

fn inverse(dims: &[usize]) -> Vec<usize> {
    let mut back = vec![0; dims.len()];
    dims.iter().enumerate().for_each(|(to, from)| back[*from] = to);
    back
}

impl Pullback {
    pub fn new(f: &Graph, wrt: usize) -> Option<Self> {
        let all = vjp(f, &[wrt]).ok()?;
        let last = traced(&all.param_avals(), |args| replay(&all, args).pop().into_iter().collect()).ok()?;
        Some(Pullback(simplify(&last))).filter(|p| p.0.len() <= MAX_BODY)
    }

    /// A function of one operand, which stands where its cotangent does.
    pub fn of(f: Graph) -> Self {
        Pullback(f)
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn y_bar(&self) -> Value {
        *self.0.params().last().expect("a pullback has a cotangent")
    }

    /// The values of the graph that are those of the pullback, as far as they follow from `known` ones.
    fn follow(&self, e: &Editor, known: &mut [Option<Value>]) {
        for n in self.0.nodes().iter().filter(|n| n.results.len() == 1) {
            let args: Option<Vec<Value>> = n.args.iter().map(|v| known[v.index()]).collect();
            let found = args.and_then(|args| seen(e, &n.op, &args)).map(|id| e.results(id)[0]);
            let own = &mut known[n.results[0].index()];
            *own = own.or(found);
        }
    }

    /// The result among the `known` values.
    fn result(&self, known: &[Option<Value>]) -> Option<Bar> {
        let result = self.0.results()[0];
        if let Some(value) = known[result.index()] {
            return Some(Bar { value, dims: None });
        }
        let last = self.0.nodes().iter().find(|n| n.results[0] == result)?;
        let dims = match &last.op {
            Op::View(_) => None,
            Op::Permute(Permute { dims }) => Some(inverse(dims)),
            _ => return None,
        };
        known[last.args[0].index()].map(|value| Bar { value, dims })
    }

    /// The values of the graph that are those of the pullback at `args`, as far as these are known.
    fn known(&self, e: &Editor, args: &[Option<Value>]) -> Vec<Option<Value>> {
        let mut known = vec![None; self.0.num_values()];
        for (p, v) in self.0.params().iter().zip(args) {
            known[p.index()] = *v;
        }
        self.follow(e, &mut known);
        known
    }

    /// The result at `args`.
    pub fn at(&self, e: &Editor, args: &[Option<Value>]) -> Option<Bar> {
        self.result(&self.known(e, args))
    }

    /// The places where the pullback stands at `operands`, along some cotangent.
    pub fn standing(&self, e: &Editor, operands: &[Value]) -> Vec<Standing> {
        self.standing_at(e, &operands.iter().copied().map(Some).collect::<Vec<_>>())
    }

    /// The places where the pullback stands at operands of which one, or what is made of it first, is still unknown.
    pub fn standing_at(&self, e: &Editor, args: &[Option<Value>]) -> Vec<Standing> {
        let known = self.known(e, args);
        // What is computed from nothing may be anywhere.
        let told = |v: &Value| known[v.index()].filter(|v| e.def(*v).is_none_or(|d| !e.args(d).is_empty()));
        let meets = self.0.nodes().iter().find_map(|n| {
            let (mut unknown, anchor) =
                (n.args.iter().filter(|v| known[v.index()].is_none()), n.args.iter().find_map(told)?);
            Some((n, unknown.next()?, anchor)).filter(|_| unknown.next().is_none())
        });
        let Some((n, unknown, anchor)) = meets else { return Vec::new() };
        let along = |user: NodeId| {
            let pairs = || n.args.iter().zip(e.args(user));
            let same = *e.op(user) == n.op && pairs().all(|(v, w)| known[v.index()].is_none_or(|k| k == *w));
            let (_, cotangent) = pairs().find(|(v, _)| *v == unknown).filter(|_| same)?;
            let mut known = known.clone();
            known[unknown.index()] = Some(*cotangent);
            self.follow(e, &mut known);
            Some(Standing { seen: (*unknown, *cotangent), x_bar: self.result(&known)? })
        };
        e.users(anchor).filter_map(along).collect()
    }

    /// The pullback without the number that it divides or multiplies its cotangent by first, if there is one.
    pub fn unscaled(&self) -> Option<Self> {
        let made = |v: Value| self.0.nodes().iter().find(|n| n.results.as_slice() == [v]);
        let is_scale = |n: &&Node| {
            matches!(n.op, Op::Binary(Binary::Div | Binary::Mul))
                && n.args[0] == self.y_bar()
                && made(n.args[1]).is_some_and(|by| matches!(by.op, Op::Full(_)))
        };
        let scaled = self.0.nodes().iter().find(is_scale)?.results[0];
        let rest = rebuild(&self.0, |n, args| match n.results.as_slice() == [scaled] {
            true => vec![args[0].clone()],
            false => emit_all(n.op.clone(), args),
        });
        Some(Pullback(simplify(&rest.ok()?)))
    }

    /// The cotangent of a pullback of nothing else whose result is `v`.
    pub fn ending(&self, e: &Editor, v: Value) -> Option<Value> {
        let last = self.0.nodes().iter().find(|n| n.results.as_slice() == self.0.results())?;
        // Most values differ at once.
        if *e.def_op(v)?.0 != last.op {
            return None;
        }
        let mut known = vec![None; self.0.num_values()];
        self.follow(e, &mut known);
        let mut left = vec![(self.0.results()[0], v)];
        while let Some((own, v)) = left.pop() {
            if let Some(found) = known[own.index()] {
                if found != v {
                    return None;
                }
                continue;
            }
            known[own.index()] = Some(v);
            if own == self.y_bar() {
                continue;
            }
            let n = self.0.nodes().iter().find(|n| n.results.as_slice() == [own])?;
            let (op, at) = e.def_op(v)?;
            if *op != n.op || e.results(at).len() != 1 {
                return None;
            }
            left.extend(n.args.iter().copied().zip(e.args(at).iter().copied()));
        }
        known[self.y_bar().index()].filter(|g| e.aval(*g) == self.0.aval(self.y_bar()))
    }

    /// The cotangent, from what the pullback makes of it first.
    pub fn cotangent(&self, e: &mut Editor, seen: (Value, Value)) -> Option<Value> {
        self.operand(e, seen, self.y_bar())
    }

    /// The operand at `place`, from what the pullback makes of it first.
    pub fn operand_at(&self, e: &mut Editor, seen: (Value, Value), place: usize) -> Option<Value> {
        self.operand(e, seen, self.0.params()[place])
    }

    fn operand(&self, e: &mut Editor, seen: (Value, Value), param: Value) -> Option<Value> {
        let (mut own, mut v) = seen;
        while own != param {
            let n = self.0.nodes().iter().find(|n| n.results[0] == own)?;
            own = *n.args.first()?;
            v = match &n.op {
                Op::View(_) => e.view(v, &self.0.aval(own).shape)?,
                Op::Permute(Permute { dims }) => e.permute(v, &inverse(dims))?,
                _ => return None,
            };
        }
        Some(v)
    }

    pub fn replay(&self, operands: &[Tensor], y_bar: &Tensor) -> Tensor {
        let args: Vec<Tensor> = operands.iter().chain([y_bar]).cloned().collect();
        replay(&self.0, &args).remove(0)
    }
}

/// Lets the results of `call` stand for the values `bars` that they are. The attempt is at the first of them.
pub(super) fn stand(e: &mut Editor, call: Call, args: &[Value], bars: &[Option<Bar>]) -> Option<()> {
    let made = e.emit(call, args).and_then(|v| Some(e.results(e.def(v)?).to_vec()));
    let mut committed = false;
    for (bar, made) in bars.iter().zip(made.into_iter().flatten()) {
        let Some(bar) = bar else { continue };
        let Some(v) = bar.seen(e, made) else { break };
        if committed {
            e.stand_in(bar.value, v);
        } else if e.commit(v, 0) {
            committed = true;
        } else {
            return None;
        }
    }
    if !committed {
        e.rollback();
    }
    committed.then_some(())
}

/// The most nodes of one operand above a value.
const MAX_ALONE: usize = 4;

/// What `v` is computed from alone: it may stand right behind that, wherever it was made.
fn origin(e: &Editor, mut v: Value) -> Value {
    for _ in 0..MAX_ALONE {
        match e.def_op(v) {
            Some((Op::View(_) | Op::Permute(_) | Op::Call(_), at)) if e.args(at).len() == 1 => v = e.arg(at, 0),
            Some(_) | None => break,
        }
    }
    v
}

/// Whether `v` is computed after all of `args`, so that none of them waits for it.
pub(super) fn follows(e: &Editor, v: Value, args: &[Value]) -> bool {
    args.iter().all(|a| e.def(v) > e.def(origin(e, *a)))
}

/// The operators that give the maxima of windows with their places, and those of their derivatives by these places.
const MAXIMA: [(&str, &str); 4] = [
    (
        "max_pool2d_with_indices",
        "aten::max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor",
    ),
    (
        "max_pool3d_with_indices",
        "aten::max_pool3d_with_indices_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, int[3] dilation, bool ceil_mode, Tensor indices) -> Tensor",
    ),
    (
        "adaptive_max_pool2d",
        "aten::adaptive_max_pool2d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor",
    ),
    (
        "adaptive_max_pool3d",
        "aten::adaptive_max_pool3d_backward(Tensor grad_output, Tensor self, Tensor indices) -> Tensor",
    ),
];

/// The cotangent of an image of whose windows a call gives the maxima and their places.
pub(super) fn maximum(e: &mut Editor, id: NodeId) -> Option<()> {
    let Op::Call(forward) = e.op(id) else { return None };
    let (_, schema) = MAXIMA.iter().find(|(name, _)| *name == forward.function())?;
    let [_, places] = *e.results(id) else { return None };
    let x = e.arg(id, 0);
    if e.count(x) < 2 {
        return None;
    }
    let body = inline_composites(&forward.body).ok()?;
    let f = traced(&[e.aval(x).clone()], |a| replay(&body, a).drain(..1).collect()).ok()?;
    let by_x = Pullback::new(&f, 0)?;
    let Standing { seen, x_bar } = by_x.standing(e, &[x]).pop()?;
    if !follows(e, x_bar.value, &[seen.1, x, places]) {
        return None;
    }
    let of_windows = ["kernel_size", "stride", "padding", "dilation", "ceil_mode"];
    let params: Vec<(&str, Attr)> =
        of_windows.into_iter().filter_map(|name| Some((name, forward.param(name)?.clone()))).collect();
    e.begin(e.def(x_bar.value)?);
    let Some(y_bar) = by_x.cotangent(e, seen) else {
        e.rollback();
        return None;
    };
    let args = [y_bar, x, places];
    let Ok(body) = traced(&args.map(|v| e.aval(v).clone()), |a| vec![by_x.replay(&a[1..2], &a[0])]) else {
        e.rollback();
        return None;
    };
    stand(e, call(schema, params, body), &args, &[Some(x_bar)])
}
