//! Derivatives of convolutions in their operands, beside the convolution or where nothing needs its own value.
//!
//! A derivative that is linear in both operands keeps the operands only: the cotangent meets the weight in the adjoint, and the
//! input in a convolution by it. The adjoint says which convolution it was.

use super::super::edit::{Editor, NodeId};
use super::fused::settings;
use super::pullback::{Bar, Pullback, Standing, follows, stand, traced};
use super::{call, number, sizes};
use crate::ir::{Attr, Aval, Shape, Value};
use crate::ops::{Convolution, Op, Sum};

const CONVOLUTION_BACKWARD: &str = "aten::convolution_backward(Tensor grad_output, Tensor input, Tensor weight, SymInt[]? bias_sizes, SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups, bool[3] output_mask) -> (Tensor, Tensor, Tensor)";

/// The convolution that a node is, or that a composite with a bias begins with.
fn as_convolution(op: &Op) -> Option<&Convolution> {
    match op {
        Op::Convolution(op) => Some(op),
        Op::Call(call) if call.function() == "convolution" => {
            let operands = call.body.params().get(..2)?;
            call.body.nodes().iter().filter(|n| n.args.as_slice() == operands).find_map(|n| as_convolution(&n.op))
        }
        _ => None,
    }
}

/// The cotangents of the input, of the weight and perhaps of the bias of a convolution.
pub(super) fn beside(e: &mut Editor, id: NodeId) -> Option<()> {
    let op = as_convolution(e.op(id))?.clone();
    let [x, w] = [e.arg(id, 0), e.arg(id, 1)];
    if e.count(w) < 2 {
        return None;
    }
    let f = traced(&[e.aval(x).clone(), e.aval(w).clone()], |a| vec![a[0].conv(&a[1], op.clone())]).ok()?;
    let (by_x, by_w) = (Pullback::new(&f, 0)?, Pullback::new(&f, 1)?);
    let (y_bar, x_bar, w_bar) = by_x.standing(e, &[x, w]).into_iter().find_map(|s| {
        let (own, y_bar) = s.seen;
        let w_bar = by_w.at(e, &[x, w, y_bar].map(Some)).filter(|_| own == by_x.y_bar())?;
        Some((y_bar, s.x_bar, w_bar))
    })?;
    e.begin(e.def(x_bar.value)?);
    convolution_backward(e, &op, [&by_x, &by_w], [y_bar, x, w], [x_bar, w_bar])
}

/// Lets one operator stand for the derivatives `bars` of the convolution in its input and its weight, and for that in a bias, at
/// `args = [y_bar, x, w]`. The attempt is at the first of them.
fn convolution_backward(
    e: &mut Editor,
    op: &Convolution,
    [by_x, by_w]: [&Pullback; 2],
    args: [Value; 3],
    [x_bar, w_bar]: [Bar; 2],
) -> Option<()> {
    if !follows(e, x_bar.value, &args) || !follows(e, w_bar.value, &args) {
        e.rollback();
        return None;
    }
    let y_bar = args[0];
    let rank = e.shape(y_bar).rank();
    let others: Vec<usize> = (0..rank).filter(|d| *d != 1).collect();
    let total = e.equal_node(&Sum::over(&others, rank).into(), &[y_bar]).map(|id| e.results(id)[0]);
    let bias_bar = total.filter(|v| follows(e, *v, &args)).map(|value| Bar { value, dims: None });
    let body = traced(&args.map(|v| e.aval(v).clone()), |a| {
        let bias_bar = match &bias_bar {
            Some(_) => a[0].sum_over(&others),
            None => a[0].full_of(&Aval::new(a[0].dtype(), [0]), 0.0),
        };
        vec![by_x.replay(&a[1..], &a[0]), by_w.replay(&a[1..], &a[0]), bias_bar]
    });
    let Ok(body) = body else {
        e.rollback();
        return None;
    };
    let channels = bias_bar.as_ref().map_or(0, |b| e.shape(b.value).numel());
    let bars = [Some(x_bar), Some(w_bar), bias_bar];
    let [stride, padding, dilation, transposed, output_padding, groups] = settings(op);
    let bias_sizes = ("bias_sizes", sizes(&[channels]));
    let mask = ("output_mask", Attr::List(bars.iter().map(|b| number(b.is_some())).collect()));
    let params = [bias_sizes, stride, padding, dilation, transposed, output_padding, groups, mask];
    stand(e, call(CONVOLUTION_BACKWARD, params, body), &args, &bars)
}

/// Lets one operator stand for the derivatives in both operands of each such convolution; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if e.is_alive(id) {
            taken |= alone(e, id).is_some();
        }
    }
    taken
}

/// The convolution of which `adjoint` at `y` and `w` is the derivative in its input of shape `x`.
fn of_adjoint(adjoint: &Convolution, x: &Shape, y: &Shape, w: &Shape) -> Option<Convolution> {
    let n = adjoint.stride.len();
    if adjoint.transposed {
        return Some(Convolution { transposed: false, output_padding: vec![0; n], ..adjoint.clone() });
    }
    let rest = |d: usize| {
        let [x, y, k] = [x, y, w].map(|s| s[d + 2].get());
        let least = (x.checked_sub(1)? * adjoint.stride[d] + adjoint.dilation[d] * k.checked_sub(1)? + 1)
            .checked_sub(2 * adjoint.padding[d])?;
        y.checked_sub(least)
    };
    let output_padding = (0..n).map(rest).collect::<Option<_>>()?;
    Some(Convolution { transposed: true, output_padding, ..adjoint.clone() })
}

/// The fewest nodes of the derivative in the weight that are more statements than the operator and its two results.
const MIN_NODES: usize = 3;

fn alone(e: &mut Editor, id: NodeId) -> Option<()> {
    let Op::Convolution(adjoint) = e.op(id) else { return None };
    let (y_bar, w, x) = (e.arg(id, 0), e.arg(id, 1), e.out(id));
    if !x.dtype.is_float() || e.count(y_bar) < 2 {
        return None;
    }
    let op = of_adjoint(adjoint, &x.shape, e.shape(y_bar), e.shape(w))?;
    let f = traced(&[x, e.aval(w).clone()], |a| vec![a[0].conv(&a[1], op.clone())]).ok()?;
    if f.aval(f.results()[0]) != e.aval(y_bar) {
        return None;
    }
    let (by_x, by_w) = (Pullback::new(&f, 0)?, Pullback::new(&f, 1)?);
    if by_w.len() < MIN_NODES {
        return None;
    }
    let x_bar = by_x.at(e, &[None, Some(w), Some(y_bar)])?;
    let Standing { seen, x_bar: w_bar } = by_w.standing_at(e, &[None, Some(w), Some(y_bar)]).pop()?;
    e.begin(e.def(x_bar.value)?);
    let operand = by_w.operand_at(e, seen, 0).filter(|x| *x != w && e.aval(*x) == f.aval(f.params()[0]));
    let Some(x) = operand else {
        e.rollback();
        return None;
    };
    convolution_backward(e, &op, [&by_x, &by_w], [y_bar, x, w], [x_bar, w_bar])
}
