//! Composable function transforms for Rust: what JAX and functorch give Python.
//!
//! A function over [`Tensor`]s is an ordinary Rust closure. Transforms take a function and give another one:
//!
//! | transform | of `f : x → y` |
//! |---|---|
//! | [`grad`](grad::grad), [`grad_and_value`](grad::grad_and_value), [`value_and_grad`](grad::value_and_grad) | the gradient of a scalar result |
//! | [`vmap`](vmap::vmap) | `f` over a batch |
//! | [`vjp`](vjp::vjp) | the result and the map of cotangents |
//! | [`jvp`](jvp::jvp), [`linearize`](linearize::linearize) | the result and its tangent; the map of tangents |
//! | [`jacrev`](jacobian::jacrev), [`jacfwd`](jacobian::jacfwd), [`hessian`](hessian::hessian) | all first and second derivatives |
//! | [`make_fx`](make_fx::make_fx) | the program as a [`Graph`](cotangent_core::ir::Graph) |
//! | [`eval_shape`](eval_shape::eval_shape) | dtypes and shapes of the result |
//! | [`checkpoint`](checkpoint::checkpoint), [`custom_jvp`](custom_jvp::custom_jvp), [`custom_vjp`](custom_vjp::custom_vjp), [`stop_gradient`](stop_gradient::stop_gradient) | control over derivatives |
//!
//! Everything is imported with `use cotangent::prelude::*;`.
//!
//! # A first program
//!
//! ```
//! use cotangent::prelude::*;
//!
//! fn compute_loss(weights: Tensor, example: Tensor, target: Tensor) -> Tensor {
//!     let y = example.dot(&weights).relu();
//!     (y - target).square().mean()
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let weights = Tensor::from([1.0f32, 2.0]);
//! let examples = Tensor::from([[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]]);
//! let targets = Tensor::from([0.0f32, 0.0, 0.0]);
//!
//! // The gradient for one example; transforms compose by value, so the gradient for each example of a batch is
//! let per_example = vmap(grad(compute_loss)).in_dims((None, Some(0), Some(0)));
//! let grads = per_example.call((weights, examples, targets))?;
//! assert_eq!(grads.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0, 6.0, 6.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # Functions and arguments
//!
//! A [`Function`](function::Function) is a closure or `fn` of up to 8 arguments, a graph, or a transform of one. It is called
//! with a tuple of arguments, `f.call((x, y))`. Arguments and results are *trees*: a [`Tensor`], or tuples, arrays,
//! `Vec`s, `Option`s, `BTreeMap<String, _>`s and `#[derive(Tree)]` structs of trees. A function may return a
//! `Result` of a tree. Closures may capture tensors, also those of an enclosing transform:
//!
//! ```
//! use cotangent::prelude::*;
//!
//! #[derive(Tree, Clone)]
//! struct Line {
//!     slope: Tensor,
//!     offset: Tensor,
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let x = Tensor::from([1.0f32, 2.0, 3.0]);
//! let loss = |line: Line| ((&x * line.slope + line.offset) - 1.0).square().mean();
//! let g = grad(loss).call((Line { slope: Tensor::from(0.0f32), offset: Tensor::from(0.0f32) },))?;
//! assert_eq!((g.slope.item::<f32>()?, g.offset.item::<f32>()?), (-4.0, -2.0));
//! # Ok(())
//! # }
//! ```
//!
//! # Tensors
//!
//! Data come from [`Tensor::from`], [`Tensor::from_vec`], [`Tensor::from_slice`] and [`Ndarray`](ndarray::Ndarray), and go to [`Tensor::to_vec`] and
//! [`Tensor::item`]. What `torch` has as functions ([`zeros`](prelude::zeros), [`arange`](prelude::arange), [`linspace`](prelude::linspace),
//! [`eye`](prelude::eye), [`cat`](prelude::cat), [`stack`](prelude::stack), [`einsum`](prelude::einsum), …) are functions of the prelude; its methods are methods
//! by traits: [`Pointwise`](prelude::Pointwise), [`Comparisons`](prelude::Comparisons), [`Reductions`](prelude::Reductions), [`Shapes`](prelude::Shapes),
//! [`Indexing`](prelude::Indexing), [`Gathers`](prelude::Gathers), [`Products`](prelude::Products), [`Conversion`](prelude::Conversion), linear algebra
//! ([`Factorizations`](prelude::Factorizations), [`Systems`](prelude::Systems), …), and what networks use ([`Activations`](prelude::Activations),
//! [`Losses`](prelude::Losses), …). Operators broadcast, and take tensors, references to them, and numbers.
//!
//! ```
//! use cotangent::prelude::*;
//!
//! # fn main() -> Result<(), Error> {
//! let x = arange(6).float().view([2, 3]);
//! let y = (2.0 * &x + ones([3])).i((1, ..2));
//! assert_eq!(y.to_vec::<f32>()?, [7.0, 9.0]);
//! assert_eq!(stack(&[&y, &y], 1).sum().item::<f32>()?, 32.0);
//! # Ok(())
//! # }
//! ```
//!
//! # Concrete, traced, abstract
//!
//! Outside a transform a tensor is concrete: operations evaluate at once. Inside, it is traced: it has a dtype and a shape
//! but no value, and operations are recorded. [`Tensor::abstract_`] makes an argument without elements, for
//! [`make_fx`](make_fx::make_fx) and [`eval_shape`](eval_shape::eval_shape). [`Tensor::describe`] shows which transforms are
//! around a tensor.
//!
//! # Errors
//!
//! A mistake inside a function does not panic. It gives a tensor that stands for the error, and comes back from the call
//! that started the outermost transform, with the line of the mistake and the transforms around it:
//!
//! ```
//! use cotangent::prelude::*;
//!
//! fn loss(w: Tensor, x: Tensor) -> Tensor {
//!     (w + x).sum()
//! }
//!
//! let (w, x) = (Tensor::from([1.0f32, 2.0]), Tensor::from([[1.0f32, 2.0, 3.0]]));
//! let e = vmap(grad(loss)).in_dims((None, Some(0))).call((w, x)).unwrap_err().to_string();
//! assert!(e.contains("(in `vmap(grad(loss))`)"), "{e}");
//! assert!(e.contains("f32[2] and f32[3]"), "{e}");
//! ```
//!
//! # Random numbers
//!
//! See [`random`].
//!
//! # Graphs as test fixtures
//!
//! See [`assert_graph_snapshot!`].

#![forbid(unsafe_code)]

// The code of `#[derive(Module)]` names this crate.
extern crate self as cotangent;

mod apply;
pub mod argnums;
pub mod auxiliary;
mod call;
mod capture;
mod check;
pub mod checkpoint;
pub mod custom_jvp;
pub mod custom_vjp;
pub mod data;
pub mod dims;
pub mod eval_shape;
pub mod function;
pub mod grad;
pub mod hessian;
pub mod jacobian;
pub mod jit;
pub mod jvp;
pub mod linearize;
pub mod make_fx;
mod native;
pub mod ndarray;
pub mod nn;
pub mod optim;
pub mod pipeline;
pub mod pointwise;
pub mod prelude;
mod programs;
pub mod random;
pub mod snapshot;
pub mod stop_gradient;
pub mod tree;
mod tree_impls;
pub mod vjp;
pub mod vmap;

pub use cotangent_aten as aten;
pub use cotangent_core as core;
pub use cotangent_core::{Error, Tensor, array, ir, simplify, text, transform};
pub use cotangent_derive::Tree;
pub use tree::Tree;

/// The README's examples compile and run as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// So do those of the guide for people who know JAX or functorch.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;
