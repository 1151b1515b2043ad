//! What can go wrong with `vmap`; the wording follows PyTorch's.

use crate::ir::{Aval, TreeSpec};

/// `vmap` used against its rules (field.md F1).
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum VmapError {
    /// A function without arguments.
    #[error(
        "got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no inputs. The latter is unsupported"
    )]
    #[diagnostic(code(cotangent::vmap::no_inputs))]
    NoInputs,
    /// `in_dims` that is neither a number nor a tuple.
    #[error(
        "expected `in_dims` to be an int or a (potentially nested) tuple matching the structure of inputs, got {found}"
    )]
    #[diagnostic(code(cotangent::vmap::in_dims_kind))]
    InDimsKind {
        /// What was given.
        found: String,
    },
    /// `in_dims` that is no prefix of the arguments.
    #[error(
        "in_dims is not compatible with the structure of `inputs`. in_dims has structure {in_dims} but inputs has structure {inputs}"
    )]
    #[diagnostic(code(cotangent::vmap::in_dims_structure))]
    InDimsStructure {
        /// The dims.
        in_dims: String,
        /// The arguments.
        inputs: TreeSpec,
    },
    /// A mapped dim that the argument does not have.
    #[error(
        "Got in_dim={in_dim} for some input, but that input is a tensor of dimensionality {rank} so expected in_dim to satisfy -{rank} <= in_dim < {rank}"
    )]
    #[diagnostic(code(cotangent::vmap::in_dim))]
    InDim {
        /// The dim that was given.
        in_dim: i64,
        /// The rank of the argument.
        rank: usize,
    },
    /// No argument is mapped.
    #[error("Expected at least one tensor to vmap over")]
    #[diagnostic(code(cotangent::vmap::nothing_mapped), help("give at least one argument a mapped dim in `in_dims`"))]
    NothingMapped,
    /// Mapped dims of different sizes.
    #[error(
        "Expected all tensors to have the same size in the mapped dimension, got sizes {sizes:?} for the mapped dimension"
    )]
    #[diagnostic(code(cotangent::vmap::sizes))]
    Sizes {
        /// The size of the mapped dim of each mapped leaf.
        sizes: Vec<usize>,
    },
    /// `out_dims` that is no prefix of the results.
    #[error(
        "out_dims is not compatible with the structure of `outputs`. out_dims has structure {out_dims} but outputs has structure {outputs}"
    )]
    #[diagnostic(code(cotangent::vmap::out_dims_structure))]
    OutDimsStructure {
        /// The dims.
        out_dims: String,
        /// The results.
        outputs: TreeSpec,
    },
    /// A dim that the batched result does not have.
    #[error(
        "Dimension out of range of the batched output (expected to be in range of [-{n}, {high}], but got {out_dim})",
        n = rank + 1,
        high = rank
    )]
    #[diagnostic(code(cotangent::vmap::out_dim))]
    OutDim {
        /// The dim that was given.
        out_dim: i64,
        /// The rank of one example's result.
        rank: usize,
    },
    /// A result that depends on the batch where `out_dims` says that it does not.
    #[error("`{function}` can not return a batched tensor when out_dim is None")]
    #[diagnostic(code(cotangent::vmap::batched_result))]
    BatchedResult {
        /// The function.
        function: String,
    },
    /// A chunk of no examples.
    #[error("chunk_size should be None or greater than 0")]
    #[diagnostic(code(cotangent::vmap::chunk_size))]
    ChunkSize,
    /// Another number of dims than the graph has parameters or results.
    #[error("expected {expected} {what}, found {found}")]
    #[diagnostic(code(cotangent::vmap::count))]
    Count {
        /// `in_dims` or `out_dims`.
        what: &'static str,
        /// The number of parameters or results.
        expected: usize,
        /// The number of dims.
        found: usize,
    },
    /// A flat dim beyond the rank of a graph's parameter or result.
    #[error("expected {what}[{index}] to be at most {} for {aval}, found {found}", aval.rank())]
    #[diagnostic(code(cotangent::vmap::dim))]
    Dim {
        /// `in_dims` or `out_dims`.
        what: &'static str,
        /// The number of the parameter or result.
        index: usize,
        /// Its aval without batch dim.
        aval: Aval,
        /// The dim.
        found: usize,
    },
}
