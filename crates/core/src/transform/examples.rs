//! Batching of composites whose operands' first dim counts examples: of a batch, they are the same operator on more
//! examples.

use std::sync::Arc;

use super::replay::replay;
use super::vmap::vmap_all;
use crate::error::Error;
use crate::ir::{Attr, Aval, Dim, Graph, Scalar, Shape};
use crate::ops::{Batched, Call, Rule};
use crate::tensor::trace::build;
use crate::tensor::{Tensor, emit_all};

/// Composites that treat the examples of all their operands each for itself, with what follows these words.
const OF_EXAMPLES: [&str; 5] = [
    "_scaled_dot_product_flash_attention_for_cpu",
    "_upsample_",
    "affine_grid_generator",
    "grid_sampler_",
    "upsample_",
];

/// The arguments that say the sizes of a result or operand, examples first.
const SIZES: [&str; 2] = ["input_size", "size"];

/// The composite for `size` times as many examples; `None` if it is none of examples.
pub(super) fn of_more(call: &Call, size: Dim) -> Option<Call> {
    if !OF_EXAMPLES.iter().any(|name| call.function().starts_with(name)) {
        return None;
    }
    let n = call.body.param_avals().first()?.shape.sizes().first().copied()?;
    let more = |g: &Graph| of_more_examples(g, n, size).map(Arc::new);
    let rule = match &call.rule {
        Rule::Inline => Rule::Inline,
        Rule::ByResult(g) => Rule::ByResult(more(g)?),
        Rule::Linear { transpose, residuals } => Rule::Linear { transpose: more(transpose)?, residuals: *residuals },
        Rule::Checkpoint | Rule::Jvp(_) | Rule::Vjp { .. } | Rule::VjpTangent { .. } => return None,
    };
    let whole = Call { target: call.target.clone(), params: call.params.clone(), body: more(&call.body)?, rule };
    SIZES.iter().try_fold(whole, |call, name| {
        let Some(Attr::List(sizes)) = call.param(name) else { return Some(call) };
        let mut sizes = sizes.clone();
        let Some(Attr::Scalar(Scalar::Int(first))) = sizes.first_mut() else { return None };
        *first = first.checked_mul(i64::try_from(size.get()).ok()?)?;
        Some(call.with_param(name, Attr::List(sizes)))
    })
}

/// The results of that composite over a batch.
pub(super) fn over(call: Call, args: &[Batched], size: Dim) -> Vec<Batched> {
    let args: Vec<Tensor> = args.iter().map(|a| a.materialised(size)).collect();
    let n = args[0].shape().sizes()[1];
    let args: Vec<Tensor> = args.iter().map(joined).collect();
    let results = emit_all(call.into(), &args.iter().collect::<Vec<_>>());
    results.iter().map(|y| Batched::mapped(parted(y, size, n))).collect()
}

/// `graph`, all of whose parameters and results are of `n` examples, for `size` times as many.
fn of_more_examples(graph: &Graph, n: usize, size: Dim) -> Option<Graph> {
    let of_examples = |a: &Aval| a.shape.sizes().first() == Some(&n);
    if !graph.param_avals().iter().chain(&graph.result_avals()).all(of_examples) {
        return None;
    }
    let more = |a: &Aval| a.with_shape(parts(&a.shape, [n * size.get()]));
    let mapped = vmap_all(graph, size);
    let built: Result<Graph, Error> = build(graph.name(), |t| {
        let args: Vec<Tensor> = graph.param_avals().iter().map(|a| parted(&t.param(&more(a)), size, n)).collect();
        Ok(replay(&mapped, &args).iter().map(joined).collect())
    });
    built.ok()
}

/// A shape with other dims in place of the first.
fn parts<const N: usize>(shape: &Shape, first: [usize; N]) -> Shape {
    first.into_iter().chain(shape.sizes().iter().skip(1).copied()).collect()
}

/// `[size · n, …]` as `[size, n, …]`.
fn parted(x: &Tensor, size: Dim, n: usize) -> Tensor {
    x.view_to(&parts(x.shape(), [size.get(), n]))
}

/// `[size, n, …]` as `[size · n, …]`.
fn joined(x: &Tensor) -> Tensor {
    let sizes = x.shape().sizes().to_vec();
    x.view_to(&std::iter::once(sizes[0] * sizes[1]).chain(sizes[2..].iter().copied()).collect())
}
