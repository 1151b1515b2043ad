//! Modules: layers with parameters, as values and as functions.
//!
//! A [`Module`] is a struct of tensors and other modules with `#[derive(Module)]`. Its parameters come out as a tree,
//! [`State`], under PyTorch's names, and [`Module::with`] puts others in: so each transform applies to models as to
//! any function.
//!
//! | | |
//! |---|---|
//! | layers | [`Linear`], [`Bilinear`], [`Embedding`], [`EmbeddingBag`], [`Identity`], [`Flatten`], [`Sequential`] |
//! | convolutions | [`Conv1d`], [`Conv2d`], [`Conv3d`], [`ConvTranspose1d`], [`ConvTranspose2d`], [`ConvTranspose3d`] |
//! | norms | [`BatchNorm1d`], [`BatchNorm2d`], [`BatchNorm3d`], [`LayerNorm`], [`RmsNorm`], [`GroupNorm`], [`InstanceNorm1d`], [`InstanceNorm2d`], [`InstanceNorm3d`] |
//! | attention | [`MultiheadAttention`], [`TransformerEncoderLayer`], [`TransformerEncoder`], [`TransformerDecoderLayer`], [`TransformerDecoder`] |
//! | recurrence | [`Rnn`], [`Gru`], [`Lstm`] |
//! | dropout | [`Dropout`], [`Dropout1d`], [`Dropout2d`] |
//! | pooling | [`MaxPool2d`], [`AvgPool2d`], [`AdaptiveAvgPool2d`], and those of other ranks |
//! | activations | [`Relu`], [`Gelu`], [`Silu`], … |
//!
//! - Parameters start as PyTorch's do, from the [`Keys`](crate::random::Keys) of a seed: the same seed, the same model.
//! - A [`Layer`] is a plain function of its input, `layer.forward(&x)`. What differs in training (dropout, batch norm)
//!   is a [`Forward`] and takes a [`Pass`]: `model.forward_in(&x, &mut Pass::train(key))`. No module remembers a mode.
//! - Buffers that a pass changes are changed in the module's value; [`functional_call`] and
//!   [`make_functional_with_buffers`] return them.
//! - [`State::save`] and [`State::load`] exchange files with PyTorch.
//! - `println!("{model}")` prints as PyTorch does; `{model:#}` adds numbers of parameters.
//!
//! Tied parameters are declared: `#[module(tied("decoder.weight" = "encoder.weight"))]` makes the first name an alias,
//! which [`Module::parameters`] leaves out and [`Module::with`] fills from the second.

pub mod init;

mod activation;
mod attention;
mod conv;
mod dropout;
mod embedding;
mod error;
mod file;
mod functional;
mod linear;
mod module;
mod named;
mod norm;
mod pass;
mod pool;
mod print;
mod python;
mod recurrent;
mod running_norm;
mod sequential;
mod transformer;

pub use activation::*;
pub use attention::{AttentionWeights, InProjection, Masks, MultiheadAttention, NonDynamicallyQuantizableLinear};
pub use conv::{Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, PaddingMode};
pub use cotangent_derive::Module;
pub use dropout::{Dropout, Dropout1d, Dropout2d};
pub use embedding::{Embedding, EmbeddingBag};
pub use error::{Mismatch, StateError};
pub use functional::{
    Functional, FunctionalWithBuffers, combine_state_for_ensemble, functional_call, functional_call_untied,
    make_functional, make_functional_with_buffers, stack_module_state,
};
pub use linear::{Bilinear, Flatten, Identity, Linear};
pub use module::{Buffer, Member, Module, Part, PartMut};
pub use named::{Named, State};
pub use norm::{GroupNorm, LayerNorm, RmsNorm};
pub use pass::{Forward, Layer, Pass};
pub use pool::*;
pub use print::print;
pub use recurrent::{Gru, Lstm, Nonlinearity, RecurrentOptions, Rnn};
pub use running_norm::{
    BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d,
    batch_norm_without_running_stats,
};
pub use sequential::{Sequential, Step};
pub use transformer::{
    FeedForward, NormPlace, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer,
    TransformerOptions,
};
