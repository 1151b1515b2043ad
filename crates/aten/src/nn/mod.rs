//! `torch.nn.functional`.

pub mod activation;
pub mod adaptive;
pub mod attention;
mod bytes;
pub mod columns;
pub mod conv;
pub mod ctc;
pub mod distance;
pub mod embedding;
pub mod grid;
pub mod interpolate;
pub mod loss;
pub mod native_norm;
pub mod norm;
pub mod pool;
pub mod softmax;

/// The traits and free functions of this theme.
pub mod prelude {
    pub use super::activation::Activations;
    pub use super::adaptive::AdaptivePooling;
    pub use super::attention::{Attention, Attentions, MultiHead};
    pub use super::columns::Columns;
    pub use super::conv::{Conv, ConvTranspose, Convolutions, Padding, PerDim};
    pub use super::distance::Distances;
    pub use super::embedding::{
        BagMode, Embeddings, by_frequency, embedding, embedding_bag, embedding_bag_at, embedding_by_frequency,
    };
    pub use super::grid::{GridCorners, GridSampling, Outside, Sampling, affine_grid};
    pub use super::interpolate::{Interpolation, Kernel, Resampling, Resize};
    pub use super::loss::{CrossEntropy, Losses, Reduction};
    pub use super::norm::Normalizations;
    pub use super::pool::{Pool, Pooling};
    pub use super::softmax::Softmaxes;
}
