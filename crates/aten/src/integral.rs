//! Differences of neighbours, and integrals by them.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

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
        strips(x, d, &x.full_of(&Aval::new(DType::F64, ()), dx)).sum_over(&[d])
    }

    /// The integrals up to each element but the first along `dim` by the trapezoidal rule with distance `dx`.
    ///
    /// *Errors*: `trapezoid_c1` no such dim.
    #[track_caller]
    fn cumulative_trapezoid(&self, dx: f64, dim: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("trapezoid", 1), x, dim));
        strips(x, d, &x.full_of(&Aval::new(DType::F64, ()), dx)).cumsum_along(d)
    }

    /// The integral along `dim` by the trapezoidal rule at the places `at`, a vector or like this tensor.
    ///
    /// *Errors*: `trapezoid_c1` no such dim; `trapezoid_c2` places of another number or shape.
    #[track_caller]
    fn trapezoid_at(&self, at: &Tensor, dim: i64) -> Tensor {
        let d = attempt!(real_dim(at!("trapezoid", 1), self.tensor(), dim));
        attempt!(strips_at(self.tensor(), d, at)).sum_over(&[d])
    }

    /// The integrals up to each element but the first along `dim` by the trapezoidal rule at the places `at`, a vector
    /// or like this tensor.
    ///
    /// *Errors*: as [`Integrals::trapezoid_at`].
    #[track_caller]
    fn cumulative_trapezoid_at(&self, at: &Tensor, dim: i64) -> Tensor {
        let d = attempt!(real_dim(at!("trapezoid", 1), self.tensor(), dim));
        attempt!(strips_at(self.tensor(), d, at)).cumsum_along(d)
    }
}

impl Integrals for Tensor {}

/// The areas between neighbours along `d` at distances that broadcast.
#[track_caller]
fn strips(x: &Tensor, d: usize, dx: &Tensor) -> Tensor {
    let x = x.convert(cotangent_core::tensor::float_of(x.dtype()));
    let n = x.shape()[d].get();
    if n == 0 {
        return x;
    }
    (x.slice_dim(d, 0, n - 1, 1) + x.slice_dim(d, 1, n, 1)) * 0.5 * dx
}

/// The areas between neighbours along `d` at places, a vector or like `x`.
#[track_caller]
fn strips_at(x: &Tensor, d: usize, places: &Tensor) -> Result<Tensor, Tensor> {
    live(&[x, places])?;
    let places = if places.rank() == 1 && x.rank() > 0 && places.shape()[0] == x.shape()[d] {
        places.view_to(&(0..x.rank()).map(|i| if i == d { places.numel() } else { 1 }).collect())
    } else if places.shape() == x.shape() {
        places.clone()
    } else {
        return Err(bad_pair(at!("trapezoid", 2), x, places, "a place for each element along the dim"));
    };
    Ok(strips(x, d, &places.diff(1, d as i64)))
}
