//! Random tensors: a function of an explicit [`Key`], or drawn from this thread's generator.
//!
//! A draw is a pure function of its key, by the counter-based generator Philox, so that the same key gives the same
//! numbers in any transform, and `vmap` over keys equals the loop over them.
//!
//! The functions without a key ([`rand`], [`randn`], …) draw a new key from a generator of this thread, which
//! [`manual_seed`] sets. Under `vmap` they follow its [`randomness`](crate::vmap::Vmap::randomness): an error, one
//! draw for all examples, or one for each. In a captured graph their keys are constants.
//!
//! ```
//! use cotangent::prelude::*;
//! use cotangent::random::Key;
//!
//! # fn main() -> Result<(), Error> {
//! let [a, b] = Key::new(7).split();
//! assert_eq!(a.rand([3]).to_vec::<f32>()?, a.rand([3]).to_vec::<f32>()?);
//! assert_ne!(a.rand([3]).to_vec::<f32>()?, b.rand([3]).to_vec::<f32>()?);
//!
//! // A batch of keys, mapped as any other argument.
//! let noise = vmap(|k: Key, x: Tensor| x + k.randn([3])).in_dims((0, None));
//! let y = noise.call((Key::new(7).split_stacked(10), Tensor::from([1.0f32, 2.0, 3.0])))?;
//! assert_eq!(y.shape(), &Shape::from([10, 3]));
//! # Ok(())
//! # }
//! ```

mod generator;
mod key;
mod keys;

pub use generator::{bernoulli, dropout, manual_seed, rand, randint, randn, randperm};
pub use key::Key;
pub use keys::Keys;
