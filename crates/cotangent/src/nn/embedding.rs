//! Embeddings.

use cotangent_aten::nn::embedding::embedding;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::Module;
use super::init;
use super::pass::Layer;
use crate::random::Keys;

/// A row of `weight` for each index: `i64 […] → […, embedding_dim]`.
///
/// Rows start standard normal, that of the padding index as zeros; it has no derivative.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct Embedding {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Tensor,
    /// The row that is not trained.
    #[module(config)]
    pub padding_idx: Option<usize>,
}

impl Embedding {
    /// A new table.
    #[track_caller]
    pub fn new(num_embeddings: usize, embedding_dim: usize, keys: &mut Keys) -> Self {
        Embedding { weight: init::normal([num_embeddings, embedding_dim], 0.0, 1.0, keys), padding_idx: None }
    }

    /// The same table with zeros in row `index`, which is not trained.
    #[track_caller]
    pub fn with_padding_idx(self, index: usize) -> Self {
        let rows = self.weight.shape().dims().first().map_or(0, |n| n.get());
        let here = self.weight.arange_like(rows.into(), cotangent_core::ir::DType::I64).eq(index as i64).unsqueeze(1);
        Embedding { weight: self.weight.masked_fill(&here, 0.0), padding_idx: Some(index) }
    }

    fn extra_repr(&self) -> String {
        let [rows, columns] = [0, 1].map(|d| self.weight.shape().dims().get(d).map_or(0, |n| n.get()));
        let padding = self.padding_idx.map_or(String::new(), |i| format!(", padding_idx={i}"));
        format!("{rows}, {columns}{padding}")
    }
}

impl Layer for Embedding {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        embedding(x, &self.weight, self.padding_idx.map(|i| i as i64))
    }
}
