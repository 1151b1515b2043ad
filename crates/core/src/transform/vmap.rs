//! Batching: a function of one example becomes a function of a batch.
//!
//! Inside, the batch dim is always 0; where it stands in arguments and results is met at the border. A node without
//! a mapped operand is left as it is.

use std::sync::Arc;

use super::examples;
use super::replay::Env;
use crate::error::{Error, TransformError, VmapError};
use crate::ir::{Attr, Aval, Derivation, Dim, Graph, Scalar};
use crate::ops::{Batched, Call, Op, Rule};
use crate::tensor::trace::{at, build, derived};
use crate::tensor::{Tensor, emit_all};

/// The results of `graph` over a batch of `size` examples.
pub fn push_batched(graph: &Graph, args: &[Batched], size: Dim) -> Vec<Batched> {
    let mut env = Env::new(graph, args.iter().cloned());
    for n in graph.nodes() {
        let args = env.read(&n.args);
        let loc = graph.loc(n);
        let results = if !args.iter().any(|a| a.mapped) {
            let args: Vec<&Tensor> = args.iter().map(|a| &a.x).collect();
            let results = at(loc.clone(), || emit_all(n.op.clone(), &args));
            results.into_iter().map(|x| Batched { x, mapped: false }).collect()
        } else if let Op::Call(call) = &n.op
            && let Some(whole) = examples::of_more(call, size)
        {
            derived(loc, Derivation::Vmap, || examples::over(whole, &args, size))
        } else if let Op::Call(call) = &n.op
            && call.is_transparent()
        {
            let pointwise = elementwise(call);
            let as_it_is = args.iter().all(|a| a.mapped) && (pointwise || of_matrices(call));
            let whole = if as_it_is { Some(call.clone()) } else { along_dim(call, &args) };
            match whole {
                Some(call) => derived(loc, Derivation::Vmap, || call.over_batch(&args, size)),
                None if pointwise && broadcasts(call) => {
                    derived(loc, Derivation::Vmap, || over_shared(call, &args, size))
                }
                // Its body may have another derivative.
                None if pointwise && matches!(call.rule, Rule::ByResult(_)) => {
                    derived(loc, Derivation::Vmap, || call.over_batch(&args, size))
                }
                None => push_batched(&call.body, &args, size),
            }
        } else {
            derived(loc, Derivation::Vmap, || n.op.prim().batch(&args, size))
        };
        for (v, b) in n.results.iter().zip(&results) {
            debug_assert!(
                b.x.error().is_some() || unbatched(b) == *graph.aval(*v),
                "batch of `{}`: {}",
                n.op.name(),
                b.x.aval()
            );
        }
        env.write(&n.results, results);
    }
    env.read(graph.results())
}

/// Whether a call is elementwise in operands of one shape: of a batch it is the same operator, which broadcasts what examples share.
fn elementwise(call: &Call) -> bool {
    let body = &call.body;
    let [y] = body.results() else { return false };
    let shape = &body.aval(*y).shape;
    let pointwise = |op: &Op| {
        matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Where(_) | Op::Convert(_) | Op::Full(_) | Op::Expand(_))
    };
    (shape.rank() > 0 || !reduces(call))
        && body.params().iter().all(|p| body.aval(*p).shape == *shape)
        && body.nodes().iter().all(|n| {
            pointwise(&n.op) && (matches!(n.op, Op::Full(_)) || n.results.iter().all(|v| body.aval(*v).shape == *shape))
        })
}

/// Composites that treat the lines of all their operands along a dim, each line for itself.
const ALONG_DIM: [&str; 5] = [
    "aten::linalg_cross(",
    "aten::median.dim(",
    "aten::nanmedian.dim(",
    "cotangent::median_shared(",
    "cotangent::nanmedian_shared(",
];

/// Composites of matrices in the last two dims, under any others.
const OF_MATRICES: [&str; 9] = [
    "_linalg_det",
    "_linalg_slogdet",
    "cholesky_inverse",
    "linalg_cholesky_ex",
    "linalg_det",
    "linalg_eigvalsh",
    "linalg_matrix_exp",
    "linalg_svdvals",
    "logdet",
];

/// The results over a batch for an elementwise operator, some of whose operands are shared by the examples: it broadcasts these.
fn over_shared(call: &Call, args: &[Batched], size: Dim) -> Vec<Batched> {
    let dims: Vec<Option<usize>> = args.iter().map(|a| a.mapped.then_some(0)).collect();
    let whole = |g: &Graph, dims: &[Option<usize>]| {
        let mapped = vmap(g, dims, &vec![0; g.results().len()], size);
        Arc::new(mapped.expect("I3: rules keep a verified graph's avals").with_name(g.name()))
    };
    let rule = match &call.rule {
        Rule::ByResult(g) => {
            let results = call.body.results().iter().map(|_| Some(0));
            let dims: Vec<Option<usize>> = dims.iter().copied().chain(results).chain(dims.iter().copied()).collect();
            Rule::ByResult(whole(g, &dims))
        }
        rule @ (Rule::Inline
        | Rule::Checkpoint
        | Rule::Jvp(_)
        | Rule::Linear { .. }
        | Rule::Vjp { .. }
        | Rule::VjpTangent { .. }) => rule.clone(),
    };
    let call = Call { body: whole(&call.body, &dims), rule, ..call.clone() };
    let refs: Vec<&Tensor> = args.iter().map(|a| &a.x).collect();
    emit_all(call.into(), &refs).into_iter().map(Batched::mapped).collect()
}

/// Whether an elementwise operator takes operands of several shapes: PyTorch's losses want one.
fn broadcasts(call: &Call) -> bool {
    call.target.starts_with("aten::") && !call.target.contains(" reduction")
}

/// Whether a call is of matrices: of a batch that all operands have it is the same operator.
fn of_matrices(call: &Call) -> bool {
    call.target.starts_with("aten::") && OF_MATRICES.contains(&call.function())
}

/// The call that does the same along its dim for a batch whose dim stands in front.
fn along_dim(call: &Call, args: &[Batched]) -> Option<Call> {
    let rank = |a: &Batched| a.x.rank() - usize::from(a.mapped);
    let first = args.first().map(rank).filter(|r| *r > 0)?;
    let alike = args.iter().all(|a| rank(a) == first);
    if !alike || !ALONG_DIM.iter().any(|name| call.target.starts_with(name)) {
        return None;
    }
    let Attr::Scalar(Scalar::Int(dim)) = call.param("dim")? else { return None };
    let dim = if *dim < 0 { *dim } else { *dim + 1 };
    Some(call.with_param("dim", Attr::Scalar(Scalar::Int(dim))))
}

/// Whether a composite reduces or relates elements, by its schema: of a single element the body does not show it, and of a batch it would be another
/// function. Such schemas name dims or a way to reduce, but for those that take all elements; a user's says nothing.
fn reduces(call: &Call) -> bool {
    const OF_ALL: [&str; 3] = ["mean", "median", "nanmedian"];
    let names = |what: &str| call.target.contains(what);
    !call.target.starts_with("aten::") || names(" dim") || names(" reduction") || OF_ALL.contains(&call.function())
}

fn unbatched(b: &Batched) -> Aval {
    if b.mapped { b.x.aval().with_shape(b.x.shape().removed(0)) } else { b.x.aval() }
}

/// The graph over a batch: parameter `i` has its batch dim at `in_dims[i]` (or is shared by all examples), result `i`
/// at `out_dims[i]`.
///
/// *Shape*: the batch dims of the mapped parameters are given by `size`.
/// *Errors*: a dim beyond the rank of a parameter or result; a number of dims that is not that of the parameters or
/// results.
pub fn vmap(graph: &Graph, in_dims: &[Option<usize>], out_dims: &[usize], size: Dim) -> Result<Graph, Error> {
    check_dims(graph, "in_dims", in_dims.iter().copied(), &graph.param_avals())?;
    check_dims(graph, "out_dims", out_dims.iter().map(|d| Some(*d)), &graph.result_avals())?;
    build("vmap", |t| {
        let arg = |(aval, dim): (Aval, &Option<usize>)| match dim {
            None => Batched { x: t.param(&aval), mapped: false },
            Some(d) => Batched::mapped(move_dim(&t.param(&aval.with_shape(aval.shape.inserted(*d, size))), *d, 0)),
        };
        let args: Vec<Batched> = graph.param_avals().into_iter().zip(in_dims).map(arg).collect();
        let results = push_batched(graph, &args, size);
        Ok(results.iter().zip(out_dims).map(|(r, d)| move_dim(&r.materialised(size), 0, *d)).collect())
    })
}

/// The graph with every parameter mapped at 0 and every result at 0.
pub(crate) fn vmap_all(graph: &Graph, size: Dim) -> Graph {
    vmap(graph, &vec![Some(0); graph.params().len()], &vec![0; graph.results().len()], size)
        .expect("I3: rules keep a verified graph's avals")
        .with_name(graph.name())
}

/// The tensor with dim `from` moved to `to`; the others keep their order.
pub fn move_dim(x: &Tensor, from: usize, to: usize) -> Tensor {
    let mut dims: Vec<usize> = (0..x.rank()).filter(|d| *d != from).collect();
    dims.insert(to.min(dims.len()), from);
    x.permute_to(&dims)
}

fn check_dims(
    graph: &Graph,
    what: &'static str,
    dims: impl ExactSizeIterator<Item = Option<usize>>,
    avals: &[Aval],
) -> Result<(), Error> {
    let wrong = |source| Err(TransformError::Vmap { function: graph.name().to_owned(), source }.into());
    if dims.len() != avals.len() {
        return wrong(VmapError::Count { what, expected: avals.len(), found: dims.len() });
    }
    for (index, (d, aval)) in dims.zip(avals).enumerate() {
        if let Some(found) = d
            && found > aval.rank()
        {
            return wrong(VmapError::Dim { what, index, aval: aval.clone(), found });
        }
    }
    Ok(())
}
