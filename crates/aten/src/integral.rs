//! Differences of neighbours, and integrals by them.

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use crate::arg::{AsTensor, at, attempt, bad_pair, live, real_dim};

/// Differences and integrals along a dim under PyTorch's names.
pub trait Integrals: AsTensor {
    /// The differences of neighbours along `dim`, `n` times.
    ///
    /// *Errors*: `diff_c1` no such dim.
    #[track_caller]
    fn diff(&self, n: usize, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("diff", 1), x, dim));
        (0..n).fold(x.clone(), |x, _| match x.shape()[d].get() {
            0 => x,
            m if x.dtype() == DType::Bool => x.slice_dim(d, 1, m, 1).bitwise_xor(x.slice_dim(d, 0, m - 1, 1)),
            m => x.slice_dim(d, 1, m, 1) - x.slice_dim(d, 0, m - 1, 1),
        })
    }

    /// The integral along `dim` by the trapezoidal rule with distance `dx`.
    ///
    /// *Errors*: `trapezoid_c1` no such dim.
    #[track_caller]
    fn trapezoid(&self, dx: f64, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("trapezoid", 1), x, dim));
        if x.dtype().is_float() || x.shape()[d].get() == 0 {
            return halved(&pairs(x, d)).sum_over(&[d]) * dx;
        }
        // All elements, and half of the first and the last too much, whose sum may wrap.
        let n = x.shape()[d].get();
        let at = |i: usize| x.slice_dim(d, i, i + 1, 1);
        (float(&widened(x).sum_over(&[d])) - halved(&plus(&at(0), &at(n - 1))).sum_over(&[d])) * dx
    }

    /// The integrals up to each element but the first along `dim` by the trapezoidal rule with distance `dx`.
    ///
    /// *Errors*: `trapezoid_c1` no such dim.
    #[track_caller]
    fn cumulative_trapezoid(&self, dx: f64, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("trapezoid", 1), x, dim));
        (halved(&pairs(x, d)) * dx).cumsum_along(d)
    }

    /// The integral along `dim` by the trapezoidal rule at the places `at`, a vector or
    /// such that they broadcast with this tensor.
    ///
    /// *Errors*: `trapezoid_c1` no such dim; `trapezoid_c2` places of another number or shape.
    #[track_caller]
    fn trapezoid_at(&self, at: &Tensor, dim: i64) -> Tensor {
        let d = attempt!(real_dim(at!("trapezoid", 1), self.tensor(), dim));
        halved(&attempt!(strips_at(self.tensor(), d, at)).sum_over(&[d]))
    }

    /// The integrals up to each element but the first along `dim` by the trapezoidal rule at the places `at`, a vector
    /// or such that they broadcast with this tensor.
    ///
    /// *Errors*: as [`Integrals::trapezoid_at`].
    #[track_caller]
    fn cumulative_trapezoid_at(&self, at: &Tensor, dim: i64) -> Tensor {
        let d = attempt!(real_dim(at!("trapezoid", 1), self.tensor(), dim));
        halved(&attempt!(strips_at(self.tensor(), d, at)).cumsum_along(d))
    }
}

impl Integrals for Tensor {}

/// The sums of neighbours along `d`; those of integers wrap, as PyTorch's do.
#[track_caller]
fn pairs(x: &Tensor, d: usize) -> Tensor {
    match x.shape()[d].get() {
        0 => x.clone(),
        n => plus(&x.slice_dim(d, 0, n - 1, 1), &x.slice_dim(d, 1, n, 1)),
    }
}

#[track_caller]
fn plus(a: &Tensor, b: &Tensor) -> Tensor {
    if a.dtype() == DType::Bool { a.bitwise_or(b) } else { a + b }
}

/// Integers as those in which PyTorch adds them up.
fn widened(x: &Tensor) -> Tensor {
    if x.dtype().is_float() { x.clone() } else { x.convert(DType::I64) }
}

fn float(x: &Tensor) -> Tensor {
    x.convert(cotangent_core::tensor::float_of(x.dtype()))
}

fn halved(x: &Tensor) -> Tensor {
    float(x) * 0.5
}

/// The shape of places as it broadcasts with `x`, if there is one for each element along `d`.
fn beside(x: &Tensor, d: usize, places: &Tensor) -> Option<Shape> {
    let missing = x.rank().checked_sub(places.rank())?;
    let shape: Shape = (0..x.rank()).map(|i| if i < missing { 1 } else { places.shape()[i - missing].get() }).collect();
    let fits = |i: usize| shape[i] == x.shape()[i] || (i != d && (shape[i] == 1 || x.shape()[i] == 1));
    (0..x.rank()).all(fits).then_some(shape)
}

/// Twice the areas between neighbours along `d` at places, a vector or such that they broadcast with `x`.
#[track_caller]
fn strips_at(x: &Tensor, d: usize, places: &Tensor) -> Result<Tensor, Tensor> {
    live(&[x, places])?;
    let places = if places.rank() == 1 && x.rank() > 0 && places.shape()[0] == x.shape()[d] {
        places.view_to(&(0..x.rank()).map(|i| if i == d { places.numel() } else { 1 }).collect())
    } else if let Some(shape) = beside(x, d, places) {
        places.view_to(&shape)
    } else {
        return Err(bad_pair(at!("trapezoid", 2), x, places, "a place for each element along the dim"));
    };
    Ok(widened(&(pairs(x, d) * places.diff(1, d as i64))))
}
