//! PyTorch's user methods and composites over the public [`Tensor`](cotangent_core::Tensor) of the core.
//!
//! What needs no identity of its own (`x.sum_dim(-1)`, `x.transpose(0, 1)`, `x.squeeze(0)`) emits primitives
//! directly.
//! What PyTorch's graphs show as one operator (`aten._softmax`, `aten.gelu`, `aten.native_layer_norm`) is a
//! *composite*:
//! one call node under its ATen name, whose body is written here and inlined by the first transform that looks inside.
//! So nothing here has rules of its own, and everything can be differentiated and batched.
//!
//! # Conventions
//!
//! - Methods stand in extension traits, one per theme; `use cotangent_aten::prelude::*` brings all of them.
//!   Functions without a receiver (`cat`, `stack`, `einsum`, `zeros`) are free.
//! - Dims count from the end if negative. A reduced dim stays with size 1 inside [`keepdim`]:
//!   `x.sum_dim(keepdim(-1))`.
//! - Broadcasting, promotion, ties, kinks and empty sizes are PyTorch's; where a function has a kink, its doc says what
//!   the derivative is there.
//! - A mistake gives a tensor that stands for a typed error with a constraint label (`softmax_c1`) and the user's
//!   line.

#![forbid(unsafe_code)]

pub mod arg;
mod call;
mod log_factor;
mod schema;

pub mod assign;
pub mod compare;
pub mod creation;
pub mod dtype;
pub mod einsum;
pub mod gather;
pub mod index;
pub mod integral;
pub mod join;
pub mod linalg;
pub mod matmul;
pub mod nn;
pub mod order;
pub mod piece;
pub mod pointwise;
pub mod quantile;
pub mod quantize;
pub mod reduce;
pub mod shape;
pub mod special;
pub mod stats;

pub use arg::{Over, Sizes, keepdim};

/// Everything: the extension traits and the free functions.
pub mod prelude {
    pub use crate::arg::{Over, Sizes, keepdim};
    pub use crate::assign::Assignment;
    pub use crate::compare::Comparisons;
    pub use crate::creation::*;
    pub use crate::dtype::Conversion;
    pub use crate::einsum::einsum;
    pub use crate::gather::Gathers;
    pub use crate::index::{ELLIPSIS, Index, Indexing, IntoIndices, NEW_AXIS};
    pub use crate::integral::Integrals;
    pub use crate::join::*;
    pub use crate::linalg::prelude::*;
    pub use crate::matmul::{Products, chain_matmul};
    pub use crate::nn::prelude::*;
    pub use crate::order::Orders;
    pub use crate::piece::{PadMode, Parts};
    pub use crate::pointwise::Pointwise;
    pub use crate::quantile::{Between, Nans, Quantiles};
    pub use crate::quantize::{Levels, Quantizations};
    pub use crate::reduce::Reductions;
    pub use crate::shape::{Shapes, broadcast_tensors};
    pub use crate::special::{Rounding, Specials};
    pub use crate::stats::Statistics;
    pub use cotangent_core::ops::ScatterReduction;
}
