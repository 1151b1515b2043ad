//! `torch.nn.functional`.

pub mod activation;
pub mod embedding;
pub mod loss;
pub mod norm;
pub mod softmax;

/// The traits and free functions of this theme.
pub mod prelude {
    pub use super::activation::Activations;
    pub use super::embedding::{BagMode, Embeddings, embedding, embedding_bag, embedding_bag_at};
    pub use super::loss::{CrossEntropy, Losses, Reduction};
    pub use super::norm::Normalizations;
    pub use super::softmax::Softmaxes;
}
