//! Derivatives of linear functions of an image for which PyTorch has an operator: averages of windows, and padding by what is inside.
//!
//! Such a derivative does not meet the function's operand, so it is found from its end: what the function's own rules make of it is compared with what
//! stands in the graph, node by node, back to the cotangent.

use rustc_hash::FxHashMap;

use super::super::edit::{Editor, NodeId};
use super::pullback::{Pullback, follows, traced};
use super::{call, number};
use crate::ir::{Attr, Aval};
use crate::ops::{Call, Op};
use crate::transform::inline::inline_composites;
use crate::transform::replay::replay;

/// The functions, and the operators of their derivatives, which take the cotangent, the image, and what the function takes besides.
const LINEAR: [(&str, &str); 10] = [
    (
        "avg_pool2d",
        "aten::avg_pool2d_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride, int[2] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
    ),
    (
        "avg_pool3d",
        "aten::avg_pool3d_backward(Tensor grad_output, Tensor self, int[3] kernel_size, int[3] stride, int[3] padding, bool ceil_mode, bool count_include_pad, int? divisor_override) -> Tensor",
    ),
    ("_adaptive_avg_pool2d", "aten::_adaptive_avg_pool2d_backward(Tensor grad_output, Tensor self) -> Tensor"),
    ("_adaptive_avg_pool3d", "aten::_adaptive_avg_pool3d_backward(Tensor grad_output, Tensor self) -> Tensor"),
    (
        "reflection_pad1d",
        "aten::reflection_pad1d_backward(Tensor grad_output, Tensor self, SymInt[2] padding) -> Tensor",
    ),
    (
        "reflection_pad2d",
        "aten::reflection_pad2d_backward(Tensor grad_output, Tensor self, SymInt[4] padding) -> Tensor",
    ),
    (
        "reflection_pad3d",
        "aten::reflection_pad3d_backward(Tensor grad_output, Tensor self, SymInt[6] padding) -> Tensor",
    ),
    (
        "replication_pad1d",
        "aten::replication_pad1d_backward(Tensor grad_output, Tensor self, SymInt[2] padding) -> Tensor",
    ),
    (
        "replication_pad2d",
        "aten::replication_pad2d_backward(Tensor grad_output, Tensor self, SymInt[4] padding) -> Tensor",
    ),
    (
        "replication_pad3d",
        "aten::replication_pad3d_backward(Tensor grad_output, Tensor self, SymInt[6] padding) -> Tensor",
    ),
];

/// The parameters that functions and derivatives have in common.
const PARAMS: [&str; 6] = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", DIVISOR];

/// That of means which says what they divide by.
const DIVISOR: &str = "divisor_override";

/// The most functions of images of one shape.
const MOST: usize = 8;

/// A function in the graph.
struct Forward {
    node: NodeId,
    schema: &'static str,
    params: Vec<(&'static str, Attr)>,
    by_x: Pullback,
}

/// Lets one operator stand for the derivatives of each such function; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut functions: FxHashMap<Aval, Vec<Forward>> = FxHashMap::default();
    for id in (0..e.num_nodes()).filter(|id| e.is_alive(*id)) {
        let Op::Call(op) = e.op(id) else { continue };
        let Some((_, schema)) = LINEAR.iter().find(|(name, _)| *name == op.function()) else { continue };
        let [x] = *e.args(id) else { continue };
        let same = functions.entry(e.aval(x).clone()).or_default();
        let params: Vec<(&'static str, Attr)> =
            PARAMS.into_iter().filter_map(|name| Some((name, op.param(name)?.clone()))).collect();
        if same.len() < MOST && !same.iter().any(|f| (f.schema, &f.params) == (*schema, &params)) {
            let Some(by_x) = pullback(op, e.aval(x)) else { continue };
            // The number that all are divided by may have met another one.
            let sums: Vec<_> = params.iter().map(|(name, a)| (*name, divided_by_one(name, a))).collect();
            let rest = by_x.unscaled().filter(|_| op.param(DIVISOR).is_some());
            same.push(Forward { node: id, schema, params, by_x });
            same.extend(rest.map(|by_x| Forward { node: id, schema, params: sums, by_x }));
        }
    }
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if functions.is_empty() || !e.is_alive(id) {
            continue;
        }
        let [v] = *e.results(id) else { continue };
        for f in functions.get(e.aval(v)).into_iter().flatten() {
            if stand(e, id, f).is_some() {
                taken = true;
                break;
            }
        }
    }
    taken
}

/// The value of a parameter of sums in place of means.
fn divided_by_one(name: &str, value: &Attr) -> Attr {
    if name == DIVISOR { number(1i64) } else { value.clone() }
}

/// The derivative of a call of one operand.
fn pullback(op: &Call, x: &Aval) -> Option<Pullback> {
    let body = inline_composites(&op.body).ok()?;
    Pullback::new(&traced(std::slice::from_ref(x), |a| replay(&body, a)).ok()?, 0)
}

/// Lets the operator stand for node `id` if that is the derivative.
fn stand(e: &mut Editor, id: NodeId, f: &Forward) -> Option<()> {
    let (v, x) = (e.results(id)[0], e.arg(f.node, 0));
    let y_bar = f.by_x.ending(e, v).filter(|_| e.is_alive(f.node))?;
    let args = [y_bar, x];
    if !follows(e, v, &args) {
        return None;
    }
    let body = traced(&args.map(|v| e.aval(v).clone()), |a| vec![f.by_x.replay(&a[1..], &a[0])]).ok()?;
    e.begin(id);
    let made = e.emit(call(f.schema, f.params.clone(), body), &args);
    if made.is_some_and(|made| e.commit(made, 0)) {
        return Some(());
    }
    e.rollback();
    None
}
