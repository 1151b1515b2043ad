//! The largest and smallest elements over dims, and where they stand.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, emit};

use super::indexing::{check_dim, check_numbers, is_nan, lines};
use super::sum::{check_dims, group_index, with_ones, without};
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Monoid, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one,
};

attr_struct! {
    /// The largest elements over `dim`.
    ///
    /// *Shape*: the reduced dims disappear; they are not empty.
    /// *Numerics*: NaN if there is one.
    /// *Errors*: `amax_c1` dims unsorted, repeated, out of range or none; `amax_c2` empty reduced dim.
    /// *Derivative*: ties share it evenly; NaN where the result is NaN.
    /// *Source*: `torch.amax`.
    pub struct Amax {
        /// The reduced dims, sorted, at least one (PyTorch reads none as all).
        pub dim: Vec<usize>,
    }
}
from_text!(Amax, "amax");

attr_struct! {
    /// The smallest elements over `dim`.
    ///
    /// *Shape*, *Numerics*, *Derivative*: as [`Amax`].
    /// *Errors*: `amin_c1` dims unsorted, repeated, out of range or none; `amin_c2` empty reduced dim.
    /// *Source*: `torch.amin`.
    pub struct Amin {
        /// The reduced dims, sorted, at least one (PyTorch reads none as all).
        pub dim: Vec<usize>,
    }
}
from_text!(Amin, "amin");

attr_struct! {
    /// The position of the first largest element along `dim`, as `i64`.
    ///
    /// *Shape*: the dim disappears; it is not empty.
    /// *Numerics*: the first NaN if there is one.
    /// *Errors*: `argmax_c1` `dim`; `argmax_c2` empty dim; `argmax_c3` `bool`.
    /// *Derivative*: none.
    /// *Source*: `torch.argmax`.
    pub struct Argmax {
        /// The reduced dim.
        pub dim: usize,
    }
}
from_text!(Argmax, "argmax");

attr_struct! {
    /// The position of the first smallest element along `dim`, as `i64`.
    ///
    /// *Shape*, *Numerics*, *Derivative*: as [`Argmax`].
    /// *Errors*: `argmin_c1` `dim`; `argmin_c2` empty dim; `argmin_c3` `bool`.
    /// *Source*: `torch.argmin`.
    pub struct Argmin {
        /// The reduced dim.
        pub dim: usize,
    }
}
from_text!(Argmin, "argmin");

/// Which end of the order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extreme {
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Extreme {
    /// Whether `a` is strictly more extreme than `b`; NaN is more extreme than any number.
    pub fn beats<T: Element>(self, a: T, b: T) -> bool {
        if is_nan(a) || is_nan(b) {
            return !is_nan(b);
        }
        match self {
            Extreme::Max => a > b,
            Extreme::Min => a < b,
        }
    }

    /// The combination in loops.
    pub fn monoid(self) -> Monoid {
        match self {
            Extreme::Max => Monoid::Max,
            Extreme::Min => Monoid::Min,
        }
    }
}

fn check_not_empty(label: &'static str, x: &Aval, dims: &[usize]) -> Result<(), InferError> {
    if dims.iter().all(|d| x.shape[*d] != 0) {
        return Ok(());
    }
    Err(InferError::Operand { label, expected: "reduced dims that are not empty".to_owned(), found: x.clone() })
}

fn infer_reduce(labels: [&'static str; 2], x: &Aval, dims: &[usize]) -> Result<Avals, InferError> {
    check_dims(labels[0], dims, x.rank())?;
    if dims.is_empty() {
        return Err(InferError::Attribute {
            label: labels[0],
            attr: "dim",
            expected: "at least one dim".to_owned(),
            found: "[]".to_owned(),
        });
    }
    check_not_empty(labels[1], x, dims)?;
    one(x.with_shape(without(&x.shape, dims)))
}

fn eval_reduce(which: Extreme, x: &Array, dims: &[usize]) -> Array {
    let shape = without(x.shape(), dims);
    let group = group_index(x.shape(), dims);
    dispatch!(x.dtype(), T => {
        let mut best: Vec<Option<T>> = vec![None; shape.numel()];
        for (i, v) in x.elems::<T>().iter().enumerate() {
            let slot = &mut best[group(i)];
            if slot.is_none_or(|b| which.beats(*v, b)) {
                *slot = Some(*v);
            }
        }
        let best: Vec<T> = best.into_iter().map(|b| b.expect("reduced dims are not empty (c2)")).collect();
        Array::new(shape, best)
    })
}

/// The tangent of an extreme: the mean over the ties. The weights are 0/0 where the result is NaN.
fn jvp_reduce(x: &Tensor, y: &Tensor, x_dot: &Tangent, dims: &[usize]) -> Tangent {
    let back = |t: &Tensor| t.view_to(&with_ones(x.shape(), dims)).expand_to(x.shape());
    let tie = x.eq(back(y)).convert(x.dtype());
    let weight = &tie / back(&tie.sum_over(dims));
    x_dot.map(|t| (t * weight).sum_over(dims))
}

fn infer_position(labels: [&'static str; 3], x: &Aval, dim: usize) -> Result<Avals, InferError> {
    check_dim(labels[0], dim, x.rank())?;
    check_not_empty(labels[1], x, &[dim])?;
    check_numbers(labels[2], x)?;
    one(Aval::new(DType::I64, x.shape.removed(dim)))
}

fn eval_position(which: Extreme, x: &Array, dim: usize) -> Array {
    dispatch!(x.dtype(), T => {
        let xs = x.elems::<T>();
        let first = lines(x.shape(), dim).map(|line| {
            let mut at = line.positions().enumerate();
            let start = at.next().expect("the dim is not empty (c2)");
            let better = |best: (usize, usize), new: (usize, usize)| {
                if which.beats(xs[new.1], xs[best.1]) { new } else { best }
            };
            at.fold(start, better).0 as i64
        });
        Array::new(x.shape().removed(dim), first.collect::<Vec<i64>>())
    })
}

macro_rules! extremes {
    ($($Op:ident, $name:literal, $Which:ident, $c1:literal, $c2:literal;)*) => { $(
        impl Primitive for $Op {
            fn name(&self) -> &'static str {
                $name
            }

            fn schema(&self) -> &'static str {
                concat!("aten::", $name, "(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor")
            }

            fn attrs(&self) -> Attrs {
                self.generic_attrs()
            }

            fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
                let [x] = arity(args)?;
                infer_reduce([$c1, $c2], x, &self.dim)
            }

            fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
                Ok(vec![eval_reduce(Extreme::$Which, args[0], &self.dim)])
            }

            fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
                vec![jvp_reduce(&x[0], &y[0], &x_dot[0], &self.dim)]
            }

            fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
                nonlinear($name)
            }

            fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
                let dim = self.dim.iter().map(|d| d + 1).collect();
                vec![Batched::mapped(emit($Op { dim }, &[&args[0].x]))]
            }

            fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
                LoopForm::Reduce { dims: self.dim.clone(), monoid: Extreme::$Which.monoid() }
            }
        }

        impl Samples for $Op {
            fn samples() -> Vec<Sample> {
                let of = |dim: &[usize]| $Op { dim: dim.to_vec() };
                let x = Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 2.3).sin()).collect());
                let ties = Array::new([2, 3], vec![1.0, 2.0, 2.0, -1.0, -1.0, -1.0]);
                // Of one row: 0 · NaN would otherwise pass between rows in one of the modes only.
                let nan = Array::new([1, 3], vec![1.0, f64::NAN, 2.0]);
                vec![
                    Sample::new("usual", of(&[0, 2]), [x.clone()]),
                    Sample::new("one dim", of(&[1]), [x.clone()]),
                    Sample::new("all", of(&[0, 1, 2]), [x.clone()]),
                    Sample::new("size one", of(&[0]), [Array::new([1], vec![0.5])]),
                    Sample::new("empty result", of(&[1]), [Array::new([0, 3], Vec::<f64>::new())]),
                    Sample::kink("ties", of(&[1]), [ties.clone()]),
                    Sample::kink("ties over two dims", of(&[0, 1]), [ties]),
                    Sample::kink("nan", of(&[1]), [nan]),
                    Sample::new("f16", of(&[1]), [x.cast(DType::F16)]),
                    Sample::new("u8", of(&[1]), [x.cast(DType::U8)]),
                    Sample::new("bool", of(&[0]), [Array::new([3], vec![true, false, true])]),
                ]
            }
        }
    )* };
}

extremes! {
    Amax, "amax", Max, "amax_c1", "amax_c2";
    Amin, "amin", Min, "amin_c1", "amin_c2";
}

macro_rules! positions_of_extremes {
    ($($Op:ident, $name:literal, $Which:ident, $c1:literal, $c2:literal, $c3:literal;)*) => { $(
        impl Primitive for $Op {
            fn name(&self) -> &'static str {
                $name
            }

            fn schema(&self) -> &'static str {
                concat!("aten::", $name, "(Tensor self, int? dim=None, bool keepdim=False) -> Tensor")
            }

            fn attrs(&self) -> Attrs {
                self.generic_attrs()
            }

            fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
                let [x] = arity(args)?;
                infer_position([$c1, $c2, $c3], x, self.dim)
            }

            fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
                Ok(vec![eval_position(Extreme::$Which, args[0], self.dim)])
            }

            fn jvp(&self, _: &[Tensor], _: &[Tensor], _: &[Tangent]) -> Vec<Tangent> {
                vec![Tangent::Zero]
            }

            fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
                nonlinear($name)
            }

            fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
                vec![Batched::mapped(emit($Op { dim: self.dim + 1 }, &[&args[0].x]))]
            }

            fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
                LoopForm::ArgReduce { dim: self.dim, monoid: Extreme::$Which.monoid() }
            }
        }

        impl Samples for $Op {
            fn samples() -> Vec<Sample> {
                let x = Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 2.3).sin()).collect());
                let kinks = Array::new([2, 4], vec![1.0, 2.0, 2.0, 1.0, 3.0, f64::NAN, f64::NAN, 4.0]);
                vec![
                    Sample::new("usual", $Op { dim: 1 }, [x.clone()]),
                    Sample::new("size one", $Op { dim: 0 }, [Array::new([1], vec![0.5])]),
                    Sample::new("empty result", $Op { dim: 1 }, [Array::new([0, 3], Vec::<f64>::new())]),
                    Sample::kink("ties and nan", $Op { dim: 1 }, [kinks]),
                    Sample::new("i8", $Op { dim: 2 }, [x.cast(DType::I8)]),
                ]
            }
        }
    )* };
}

positions_of_extremes! {
    Argmax, "argmax", Max, "argmax_c1", "argmax_c2", "argmax_c3";
    Argmin, "argmin", Min, "argmin_c1", "argmin_c2", "argmin_c3";
}
