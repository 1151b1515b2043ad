//! Draws without a key, from a generator of this thread.

use std::cell::Cell;
use std::panic::Location;

use cotangent_core::Tensor;
use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::{Aval, DType, Shape};
use cotangent_core::tensor::trace::{Randomness, batch_levels, here};

use super::key::Key;

/// PyTorch's default seed.
const DEFAULT_SEED: i64 = 67_280_421_310_721;

thread_local! {
    /// The seed and the number of draws since it was set.
    static GENERATOR: Cell<(i64, i64)> = const { Cell::new((DEFAULT_SEED, 0)) };
}

/// Starts this thread's generator anew.
pub fn manual_seed(seed: i64) {
    GENERATOR.set((seed, 0));
}

/// The next key, as the `vmap`s around the draw want it.
///
/// *Errors*: a `vmap` whose randomness is [`Randomness::Error`].
#[track_caller]
fn next_key(op: &str) -> Result<Key, Error> {
    let loc = here(Location::caller());
    let levels = batch_levels();
    if levels.iter().any(|l| l.randomness == Randomness::Error) {
        return Err(TransformError::Randomness { op: op.to_owned(), loc }.into());
    }
    let (seed, draws) = GENERATOR.get();
    GENERATOR.set((seed, draws + 1));
    let key = Key::new(seed).fold_in(draws);
    Ok(levels.into_iter().fold(key, |key, level| match level.randomness {
        Randomness::Error | Randomness::Same => key,
        Randomness::Different => key.fold_in(level.index),
    }))
}

#[track_caller]
fn draw(op: &str, aval: Aval, f: impl FnOnce(Key) -> Tensor) -> Tensor {
    match next_key(op) {
        Ok(key) => f(key),
        Err(e) => Tensor::poison_recorded(e, &[], aval),
    }
}

/// Uniform `f32` numbers in [0, 1).
#[track_caller]
pub fn rand(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    draw("rand", Aval::new(DType::F32, &shape), |key| key.rand(&shape))
}

/// Standard normal `f32` numbers.
#[track_caller]
pub fn randn(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    draw("randn", Aval::new(DType::F32, &shape), |key| key.randn(&shape))
}

/// Uniform integers in [low, high).
#[track_caller]
pub fn randint(low: i64, high: i64, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    draw("randint", Aval::new(DType::I64, &shape), |key| key.randint(low, high, &shape))
}

/// 1 with the probability that `p` has at that place, else 0.
#[track_caller]
pub fn bernoulli(p: &Tensor) -> Tensor {
    draw("bernoulli", p.aval(), |key| key.bernoulli(p))
}

/// The numbers 0, 1, …, `n` - 1 in random order.
#[track_caller]
pub fn randperm(n: usize) -> Tensor {
    draw("randperm", Aval::new(DType::I64, vec![n]), |key| key.randperm(n))
}

/// `x` with each element set to zero with probability `p`, and the others divided by `1 - p`.
#[track_caller]
pub fn dropout(x: &Tensor, p: f64) -> Tensor {
    draw("dropout", x.aval(), |key| key.dropout(x, p))
}
