//! Embeddings.

use cotangent_aten::nn::embedding::{BagMode, embedding, embedding_bag, embedding_bag_at, embedding_by_frequency};
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::Module;
use super::init;
use super::pass::Layer;
use super::python::float;
use crate::random::Keys;

/// Row and column numbers of a table.
fn sizes(weight: &Tensor) -> [usize; 2] {
    [0, 1].map(|d| weight.shape().dims().get(d).map_or(0, |n| n.get()))
}

/// `weight` with zeros in row `index`.
#[track_caller]
fn without_row(weight: &Tensor, index: usize) -> Tensor {
    let here = weight.arange_like(sizes(weight)[0].into(), DType::I64).eq(index as i64).unsqueeze(1);
    weight.masked_fill(&here, 0.0)
}

/// A row of `weight` for each index: `i64 […] → […, embedding_dim]`.
///
/// Rows start standard normal, that of the padding index as zeros; it has no derivative. Rows longer than `max_norm` are scaled
/// down to it when they are looked up; the table itself stays as it is, where PyTorch changes it in place.
///
/// *Derivative*: passes to the rows that are named, as in PyTorch also where a row was scaled.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct Embedding {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Tensor,
    /// The row that is not trained.
    #[module(config)]
    pub padding_idx: Option<usize>,
    /// The largest norm of a row.
    #[module(config)]
    pub max_norm: Option<f64>,
    /// Which norm that is: its `p`.
    #[module(config)]
    pub norm_type: f64,
    /// Whether the derivative of a row is divided by the number of times that it is named.
    #[module(config)]
    pub scale_grad_by_freq: bool,
}

impl Embedding {
    /// A new table.
    #[track_caller]
    pub fn new(num_embeddings: usize, embedding_dim: usize, keys: &mut Keys) -> Self {
        Embedding {
            weight: init::normal([num_embeddings, embedding_dim], 0.0, 1.0, keys),
            padding_idx: None,
            max_norm: None,
            norm_type: 2.0,
            scale_grad_by_freq: false,
        }
    }

    /// The same table with zeros in row `index`, which is not trained.
    #[track_caller]
    pub fn with_padding_idx(self, index: usize) -> Self {
        Embedding { weight: without_row(&self.weight, index), padding_idx: Some(index), ..self }
    }

    /// The same table with rows of at most this norm.
    pub fn with_max_norm(self, max_norm: f64) -> Self {
        Embedding { max_norm: Some(max_norm), ..self }
    }

    /// The same table with derivatives divided by how often a row is named.
    pub fn scaled_by_frequency(self) -> Self {
        Embedding { scale_grad_by_freq: true, ..self }
    }

    fn extra_repr(&self) -> String {
        let [rows, columns] = sizes(&self.weight);
        let mut out = format!("{rows}, {columns}");
        if let Some(i) = self.padding_idx {
            out += &format!(", padding_idx={i}");
        }
        if let Some(norm) = self.max_norm {
            out += &format!(", max_norm={}", float(norm));
        }
        if self.norm_type != 2.0 {
            out += &format!(", norm_type={}", float(self.norm_type));
        }
        if self.scale_grad_by_freq {
            out += ", scale_grad_by_freq=True";
        }
        out
    }
}

impl Layer for Embedding {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let pad = self.padding_idx.map(|i| i as i64);
        let rows = match self.scale_grad_by_freq {
            false => embedding(x, &self.weight, pad),
            true => embedding_by_frequency(x, &self.weight, pad),
        };
        let Some(most) = self.max_norm.filter(|_| rows.error().is_none()) else { return rows };
        let norm = rows.vector_norm(self.norm_type, keepdim(-1));
        let scaled = (&rows / (&norm + 1e-7) * most).where_(&norm.gt(most), &rows);
        // The scale is no function of the rows for the derivative.
        scaled.detach() + (&rows - rows.detach())
    }
}

/// The rows of `weight` that a bag of indices names, as their sum, mean or largest elements: `i64 [bags, n] → [bags, embedding_dim]`.
///
/// Rows start standard normal, that of the padding index as zeros; it counts for no bag.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct EmbeddingBag {
    /// `[num_embeddings, embedding_dim]`.
    pub weight: Tensor,
    /// What becomes of the rows of a bag.
    #[module(config)]
    pub mode: BagMode,
    /// The row that counts for no bag.
    #[module(config)]
    pub padding_idx: Option<usize>,
}

impl EmbeddingBag {
    /// A new table whose bags are means.
    #[track_caller]
    pub fn new(num_embeddings: usize, embedding_dim: usize, keys: &mut Keys) -> Self {
        let weight = init::normal([num_embeddings, embedding_dim], 0.0, 1.0, keys);
        EmbeddingBag { weight, mode: BagMode::Mean, padding_idx: None }
    }

    /// The same table with another mode.
    pub fn with_mode(self, mode: BagMode) -> Self {
        EmbeddingBag { mode, ..self }
    }

    /// The same table with zeros in row `index`, which counts for no bag.
    #[track_caller]
    pub fn with_padding_idx(self, index: usize) -> Self {
        EmbeddingBag { weight: without_row(&self.weight, index), padding_idx: Some(index), ..self }
    }

    /// The bags of `x` with a weight for each index, of the same shape.
    ///
    /// *Errors*: as [`embedding_bag`].
    #[track_caller]
    pub fn forward_weighted(&self, x: &Tensor, weights: &Tensor) -> Tensor {
        embedding_bag(x, &self.weight, self.mode, Some(weights), self.padding())
    }

    /// The bags of the indices `x: [n]`, in which bag `i` starts at `offsets[i]`.
    ///
    /// *Errors*: as [`embedding_bag_at`].
    #[track_caller]
    pub fn forward_at(&self, x: &Tensor, offsets: &Tensor) -> Tensor {
        embedding_bag_at(x, &self.weight, offsets, self.mode, None, self.padding())
    }

    fn padding(&self) -> Option<i64> {
        self.padding_idx.map(|i| i as i64)
    }

    fn extra_repr(&self) -> String {
        let [rows, columns] = sizes(&self.weight);
        let mode = match self.mode {
            BagMode::Sum => "sum",
            BagMode::Mean => "mean",
            BagMode::Max => "max",
        };
        let padding = self.padding_idx.map_or(String::new(), |i| format!(", padding_idx={i}"));
        format!("{rows}, {columns}, mode='{mode}'{padding}")
    }
}

impl Layer for EmbeddingBag {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        embedding_bag(x, &self.weight, self.mode, None, self.padding())
    }
}
