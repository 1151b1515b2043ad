//! The largest and smallest element up to each one along a dim.

use crate::array::{Array, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, emit_all};

use super::extreme::Extreme;
use super::indexing::{check_dim, lines};
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text, nonlinear,
};

attr_struct! {
    /// The largest element up to each one along `dim`, and its position as `i64`.
    ///
    /// *Shape*: `x: [s…] → [s…], [s…]`.
    /// *Numerics*: of equal elements the position of the latest; from the first NaN on NaN.
    /// *Errors*: `cummax_c1` `dim`.
    /// *Derivative*: that of a gather by the positions.
    /// *Source*: `torch.cummax`.
    pub struct Cummax {
        /// The dim.
        pub dim: usize,
    }
}
from_text!(Cummax, "cummax");

attr_struct! {
    /// The smallest element up to each one along `dim`, and its position as `i64`.
    ///
    /// *Shape*, *Numerics*, *Derivative*: as [`Cummax`].
    /// *Errors*: `cummin_c1` `dim`.
    /// *Source*: `torch.cummin`.
    pub struct Cummin {
        /// The dim.
        pub dim: usize,
    }
}
from_text!(Cummin, "cummin");

fn scan(which: Extreme, x: &Array, dim: usize) -> Vec<Array> {
    let mut from = vec![0usize; x.numel()];
    let mut indices = vec![0i64; x.numel()];
    dispatch!(x.dtype(), T => {
        let xs = x.elems::<T>();
        for line in lines(x.shape(), dim) {
            let mut best: Option<(usize, usize)> = None;
            for (k, at) in line.positions().enumerate() {
                let (best_k, best_at) = match best {
                    Some((best_k, best_at)) if which.beats(xs[best_at], xs[at]) => (best_k, best_at),
                    Some(_) | None => (k, at),
                };
                best = Some((best_k, best_at));
                from[at] = best_at;
                indices[at] = best_k as i64;
            }
        }
    });
    vec![x.pick(x.shape(), |i| from[i]), Array::new(x.shape(), indices)]
}

macro_rules! cumulative_extremes {
    ($($Op:ident, $name:literal, $Which:ident, $c1:literal;)*) => { $(
        impl Primitive for $Op {
            fn name(&self) -> &'static str {
                $name
            }

            fn schema(&self) -> &'static str {
                concat!("aten::", $name, "(Tensor self, int dim) -> (Tensor values, Tensor indices)")
            }

            fn attrs(&self) -> Attrs {
                self.generic_attrs()
            }

            fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
                let [x] = arity(args)?;
                check_dim($c1, self.dim, x.rank())?;
                Ok(Avals::from_iter([x.clone(), x.with_dtype(DType::I64)]))
            }

            fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
                Ok(scan(Extreme::$Which, args[0], self.dim))
            }

            fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
                vec![x_dot[0].map(|t| t.gather_along(self.dim, &y[1])), Tangent::Zero]
            }

            fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
                nonlinear($name)
            }

            fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
                let op = $Op { dim: self.dim + 1 };
                emit_all(op.into(), &[&args[0].x]).into_iter().map(Batched::mapped).collect()
            }

            fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
                LoopForm::Scan { dim: self.dim, monoid: Extreme::$Which.monoid(), indices: true }
            }
        }

        impl Samples for $Op {
            fn samples() -> Vec<Sample> {
                let x = Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 2.3).sin()).collect());
                let kinks = Array::new([2, 4], vec![1.0, 1.0, 2.0, 0.5, 3.0, f64::NAN, 4.0, f64::NAN]);
                vec![
                    Sample::new("usual", $Op { dim: 1 }, [x.clone()]),
                    Sample::new("one", $Op { dim: 0 }, [Array::new([1], vec![0.5])]),
                    Sample::new("empty", $Op { dim: 0 }, [Array::new([0, 3], Vec::<f64>::new())]),
                    Sample::kink("ties and nan", $Op { dim: 1 }, [kinks]),
                    Sample::new("bf16", $Op { dim: 2 }, [x.cast(DType::BF16)]),
                    Sample::new("bool", $Op { dim: 0 }, [Array::new([3], vec![false, true, false])]),
                ]
            }
        }
    )* };
}

cumulative_extremes! {
    Cummax, "cummax", Max, "cummax_c1";
    Cummin, "cummin", Min, "cummin_c1";
}
