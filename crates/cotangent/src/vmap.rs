//! `vmap`: a function of one example becomes a function of a batch.

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError, VmapError};
use cotangent_core::ir::{Aval, DType, Dim, Graph, TreeSpec};
use cotangent_core::ops::Batched;
use cotangent_core::tensor::trace::{Level, Randomness, build};
use cotangent_core::transform::vmap::{move_dim, push_batched};

use crate::apply::apply;
use crate::capture::{Captured, capture_leaves};
use crate::dims::{DimTree, IntoDims};
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{assemble, checked_leaves};

/// The function `f` over a batch: equals the stack of `f` at each example, for a pure `f`.
///
/// All arguments are mapped over dim 0 and results have the batch in dim 0, unless [`Vmap::in_dims`] and
/// [`Vmap::out_dims`] say otherwise. A result that does not depend on the batch is repeated.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let scale = |w: Tensor, x: Tensor| w * x;
/// let (w, x) = (Tensor::from(2.0f32), Tensor::from([1.0f32, 2.0, 3.0]));
/// let y = vmap(scale).in_dims((None, Some(0))).call((w, x))?;
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// # Ok(())
/// # }
/// ```
pub fn vmap<F>(f: F) -> Vmap<F> {
    let dim = DimTree::Dim(Some(0));
    Vmap { f, in_dims: dim.clone(), out_dims: dim, randomness: Randomness::Error, chunk_size: None }
}

/// The function that [`vmap`] makes.
#[derive(Clone, Debug)]
pub struct Vmap<F> {
    f: F,
    in_dims: DimTree,
    out_dims: DimTree,
    randomness: Randomness,
    chunk_size: Option<usize>,
}

impl<F> Vmap<F> {
    /// Which dim of each argument is mapped: one integer for all, or a tuple with an entry for each argument, which may
    /// itself be a tuple, array, `Vec` or map for the parts of that argument. `None` shares an argument between all
    /// examples; negative dims count from the end of the batched tensor.
    pub fn in_dims(mut self, dims: impl IntoDims) -> Self {
        self.in_dims = dims.into_dims();
        self
    }

    /// Where the batch dim stands in each result: one integer for all, or a prefix of the result's tree. `None`
    /// says that a result does not depend on the batch and is returned as it is.
    pub fn out_dims(mut self, dims: impl IntoDims) -> Self {
        self.out_dims = dims.into_dims();
        self
    }

    /// What random draws without a key mean inside: an error (the default), one draw for all, or one for each example.
    pub fn randomness(mut self, randomness: Randomness) -> Self {
        self.randomness = randomness;
        self
    }

    /// Computes `size` examples at a time, for less memory.
    pub fn chunk_size(mut self, size: usize) -> Self {
        self.chunk_size = Some(size);
        self
    }
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Vmap<F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let function = self.f.name();
        let wrong = |source| Error::from(TransformError::Vmap { function: function.clone(), source });
        if self.chunk_size == Some(0) {
            return Err(wrong(VmapError::ChunkSize));
        }
        let (leaves, spec) = checked_leaves(&args)?;
        let batch = Batch::of_inputs(&self.in_dims, &leaves, &spec).map_err(wrong)?;
        let level = Level::Batched { in_dims: batch.in_dims.clone(), size: batch.size, randomness: self.randomness };
        let index = Aval::new(DType::I64, ());
        let captured = capture_leaves("vmap", level, &self.f, leaves, &spec, &batch.examples, &[index])?;
        let out_dims = self.out_dims.broadcast(&captured.out_spec).ok_or_else(|| {
            wrong(VmapError::OutDimsStructure {
                out_dims: self.out_dims.to_string(),
                outputs: captured.out_spec.clone(),
            })
        })?;
        let out_dims = out_positions(&out_dims, &captured.graph).map_err(wrong)?;
        let chunk = self.chunk_size.unwrap_or(batch.size).clamp(1, batch.size.max(1));
        let pieces = (0..batch.size.max(1)).step_by(chunk).map(|start| {
            let len = chunk.min(batch.size - start);
            let (graph, inputs) = batched(&captured, &batch, &out_dims, start, len)?;
            apply(&graph, &inputs)
        });
        let pieces: Vec<Vec<Tensor>> = pieces.collect::<Result<_, Error>>()?;
        Ok(assemble(&captured.out_spec, joined(pieces, &out_dims)?))
    }

    fn name(&self) -> String {
        format!("vmap({})", self.f.name())
    }
}

by_reference!(Vmap<F>);

/// The mapped dims of the arguments.
struct Batch {
    /// For each leaf, the mapped dim, counted from the front.
    in_dims: Vec<Option<usize>>,
    /// The avals of one example.
    examples: Vec<Aval>,
    /// The number of examples.
    size: usize,
}

impl Batch {
    fn of_inputs(in_dims: &DimTree, leaves: &[Tensor], spec: &TreeSpec) -> Result<Self, VmapError> {
        match in_dims {
            DimTree::Dim(Some(_)) | DimTree::Tuple(_) => {}
            DimTree::Dim(None) | DimTree::List(_) | DimTree::Dict(_) => {
                return Err(VmapError::InDimsKind { found: in_dims.to_string() });
            }
        }
        if leaves.is_empty() {
            return Err(VmapError::NoInputs);
        }
        let dims = in_dims
            .broadcast(spec)
            .ok_or_else(|| VmapError::InDimsStructure { in_dims: in_dims.to_string(), inputs: spec.clone() })?;
        let mut batch = Batch { in_dims: Vec::new(), examples: Vec::new(), size: 0 };
        let mut sizes = Vec::new();
        for (x, dim) in leaves.iter().zip(dims) {
            let Some(in_dim) = dim else {
                batch.in_dims.push(None);
                batch.examples.push(x.aval());
                continue;
            };
            let rank = x.rank() as i64;
            let d = if in_dim < 0 { in_dim + rank } else { in_dim };
            if !(0..rank).contains(&d) {
                return Err(VmapError::InDim { in_dim, rank: x.rank() });
            }
            let d = d as usize;
            sizes.push(x.shape()[d].get());
            batch.in_dims.push(Some(d));
            batch.examples.push(Aval { dtype: x.dtype(), shape: x.shape().removed(d) });
        }
        batch.size = *sizes.first().ok_or(VmapError::NothingMapped)?;
        if sizes.iter().any(|s| *s != batch.size) {
            return Err(VmapError::Sizes { sizes });
        }
        Ok(batch)
    }
}

/// The batch dims of the results, counted from the front.
fn out_positions(dims: &[Option<i64>], graph: &Graph) -> Result<Vec<Option<usize>>, VmapError> {
    let position = |(dim, aval): (&Option<i64>, Aval)| {
        let Some(out_dim) = *dim else { return Ok(None) };
        let n = aval.rank() as i64 + 1;
        let d = if out_dim < 0 { out_dim + n } else { out_dim };
        if (0..n).contains(&d) { Ok(Some(d as usize)) } else { Err(VmapError::OutDim { out_dim, rank: aval.rank() }) }
    };
    dims.iter().zip(graph.result_avals()).map(position).collect()
}

/// The graph `(batched leaf…, example number, capture…) → batched result…` of examples `start` to `start + len`, and the
/// tensors it is applied to.
fn batched(
    captured: &Captured,
    batch: &Batch,
    out_dims: &[Option<usize>],
    start: usize,
    len: usize,
) -> Result<(Graph, Vec<Tensor>), Error> {
    let graph = &captured.graph;
    let size = Dim::new(len);
    let piece = |(x, dim): (&Tensor, &Option<usize>)| match dim {
        Some(d) if len < batch.size => x.slice_dim(*d, start, start + len, 1),
        Some(_) | None => x.clone(),
    };
    let mut inputs: Vec<Tensor> = captured.leaves.iter().zip(&batch.in_dims).map(piece).collect();
    let mut in_dims = batch.in_dims.clone();
    // The number of the example matters only to random draws.
    let draws = graph.use_counts()[graph.params()[inputs.len()].index()] > 0;
    if draws {
        let from_zero = inputs[0].arange_like(size, DType::I64);
        inputs.push(if start == 0 { from_zero } else { from_zero + start as i64 });
        in_dims.push(Some(0));
    }
    inputs.extend(captured.captures.iter().cloned());
    in_dims.extend(captured.captures.iter().map(|_| None));
    let mut refused = None;
    let out = build("vmap", |t| {
        let arg = |(x, dim): (&Tensor, &Option<usize>)| match dim {
            None => Batched { x: t.param(&x.aval()), mapped: false },
            Some(d) => Batched::mapped(move_dim(&t.param(&x.aval()), *d, 0)),
        };
        let mut args: Vec<Batched> = inputs.iter().zip(&in_dims).map(arg).collect();
        if !draws {
            // Stands for the number of the example, which is never read.
            args.insert(captured.leaves.len(), args[0].clone());
        }
        let results = push_batched(graph, &args, size);
        let placed = results.iter().zip(out_dims).map(|(r, d)| match d {
            Some(d) => move_dim(&r.materialised(size), 0, *d),
            None => {
                if r.mapped {
                    let function = graph.name().to_owned();
                    refused = Some(VmapError::BatchedResult { function });
                }
                r.x.clone()
            }
        });
        Ok(placed.collect())
    })?;
    match refused {
        Some(source) => Err(TransformError::Vmap { function: graph.name().to_owned(), source }.into()),
        None => Ok((out, inputs)),
    }
}

/// The results of all pieces of a batch, one after the other along their batch dims.
fn joined(mut pieces: Vec<Vec<Tensor>>, out_dims: &[Option<usize>]) -> Result<Vec<Tensor>, Error> {
    if pieces.len() == 1 {
        return Ok(pieces.remove(0));
    }
    let join = |(i, dim): (usize, &Option<usize>)| match dim {
        None => Ok(pieces[0][i].clone()),
        Some(d) => Tensor::cat_dim(&pieces.iter().map(|p| p[i].clone()).collect::<Vec<_>>(), *d).ok(),
    };
    out_dims.iter().enumerate().map(join).collect()
}
