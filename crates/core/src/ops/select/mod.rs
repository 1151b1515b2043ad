//! Order statistics along a dim, with the places where PyTorch finds them.

mod introselect;
mod places;

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::tensor::{Tensor, emit_all};

use super::indexing::{check_dim, lines};
use super::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};

attr_struct! {
    /// The `k` largest elements along `dim`, or the smallest, and their positions as `i64`.
    ///
    /// *Shape*: `x: [.., n, ..] → [.., k, ..], [.., k, ..]`.
    /// *Numerics*: NaN is larger than any number; of equal elements those that PyTorch finds on the CPU.
    /// *Errors*: `topk_c1` `k` beyond the size; `topk_c2` `dim`.
    /// *Derivative*: that of a gather by the positions.
    /// *Source*: `torch.topk`.
    pub struct Topk {
        /// How many.
        pub k: usize,
        /// The dim.
        pub dim: usize,
        /// Whether the largest.
        pub largest: bool,
        /// Whether in order.
        pub sorted: bool,
    }
}
from_text!(Topk, "topk");

attr_struct! {
    /// The `k`-th smallest element along `dim`, from 1, and its position as `i64`.
    ///
    /// *Shape*: `x: [.., n, ..] → [.., 1, ..], [.., 1, ..]`, without the dim unless `keepdim`.
    /// *Numerics*, *Derivative*: as [`Topk`].
    /// *Errors*: `kthvalue_c1` `dim`; `kthvalue_c2` a rank of 0 or beyond the size.
    /// *Source*: `torch.kthvalue`.
    pub struct Kthvalue {
        /// The rank, from 1.
        pub k: usize,
        /// The dim.
        pub dim: usize,
        /// Whether the dim stays, with size 1.
        pub keepdim: bool,
    }
}
from_text!(Kthvalue, "kthvalue");

attr_struct! {
    /// The most frequent element along `dim`, the smallest of several, and a position of it as `i64`.
    ///
    /// *Shape*: as [`Kthvalue`].
    /// *Numerics*, *Derivative*: as [`Topk`]; no NaN equals another.
    /// *Errors*: `mode_c1` `dim`; `mode_c2` no elements along it.
    /// *Source*: `torch.mode`.
    pub struct Mode {
        /// The dim.
        pub dim: usize,
        /// Whether the dim stays, with size 1.
        pub keepdim: bool,
    }
}
from_text!(Mode, "mode");

/// Which elements of a line an op gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Statistic {
    /// So many extreme ones.
    Top {
        /// How many.
        k: usize,
        /// Whether the largest.
        largest: bool,
        /// Whether in order.
        sorted: bool,
    },
    /// That of a rank, from 0.
    Rank(usize),
    /// The most frequent one.
    Mode,
}

impl Statistic {
    /// The places in a line, which has as many elements as the op's constraints ask for.
    pub fn places<T: Element>(self, line: &[T]) -> Vec<usize> {
        match self {
            Statistic::Top { k, largest, sorted } => places::top(line, k, largest, sorted),
            Statistic::Rank(k) => vec![places::kth(line, k)],
            Statistic::Mode => vec![places::mode(line)],
        }
    }

    /// Whether it gives the first of the extreme elements of a line of `n`.
    pub fn is_first_extreme(self, n: usize) -> bool {
        matches!(self, Statistic::Top { k: 1, .. }) && n >= places::FEW
    }
}

/// The elements of `x` at the places of `statistic` in each line along `dim`, and these places; `y` is the shape with the dim.
fn eval(statistic: Statistic, x: &Array, dim: usize, y: &Shape) -> [Array; 2] {
    let mut from = vec![0usize; y.numel()];
    let mut indices = vec![0i64; y.numel()];
    dispatch!(x.dtype(), T => {
        let xs = x.elems::<T>();
        for (line, into) in lines(x.shape(), dim).zip(lines(y, dim)) {
            let at: Vec<usize> = line.positions().collect();
            let elements: Vec<T> = at.iter().map(|at| xs[*at]).collect();
            for (to, place) in into.positions().zip(statistic.places(&elements)) {
                from[to] = at[place];
                indices[to] = place as i64;
            }
        }
    });
    [x.pick(y, |i| from[i]), Array::new(y, indices)]
}

impl Topk {
    /// What is chosen of a line.
    pub fn statistic(&self) -> Statistic {
        Statistic::Top { k: self.k, largest: self.largest, sorted: self.sorted }
    }
}

impl Primitive for Topk {
    fn name(&self) -> &'static str {
        "topk"
    }

    fn schema(&self) -> &'static str {
        "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_dim("topk_c2", self.dim, x.rank())?;
        check_rank("topk_c1", self.k, 0, x.shape[self.dim])?;
        let y = x.with_shape(x.shape.with(self.dim, self.k));
        Ok(Avals::from_iter([y.clone(), y.with_dtype(DType::I64)]))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let y = args[0].shape().with(self.dim, self.k);
        Ok(eval(self.statistic(), args[0], self.dim, &y).into())
    }

    fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.gather_along(self.dim, &y[1])), Tangent::Zero]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("topk")
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        let op = Topk { dim: self.dim + 1, ..self.clone() };
        emit_all(op.into(), &[&args[0].x]).into_iter().map(Batched::mapped).collect()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Statistic { dim: self.dim, which: self.statistic() })
    }
}

/// Checks that `k` is from `least` to the size of the dim.
fn check_rank(label: &'static str, k: usize, least: usize, size: Dim) -> Result<(), InferError> {
    if (least..=size.get()).contains(&k) {
        return Ok(());
    }
    Err(InferError::Attribute {
        label,
        attr: "k",
        expected: format!("from {least} to the size {size} of the dim"),
        found: k.to_string(),
    })
}

/// The shape with the dim in size 1, or without it.
fn reduced(x: &Shape, dim: usize, keepdim: bool) -> Shape {
    if keepdim { x.with(dim, 1) } else { x.removed(dim) }
}

macro_rules! one_of_a_line {
    ($($Op:ident { $($field:ident),* }, $name:literal, $schema:literal, $c1:literal,
        |$this:ident, $n:ident| $check:expr, $statistic:expr;)*) => { $(
        impl $Op {
            /// What is chosen of a line.
            pub fn statistic(&self) -> Statistic {
                let $this = self;
                $statistic
            }
        }

        impl Primitive for $Op {
            fn name(&self) -> &'static str {
                $name
            }

            fn schema(&self) -> &'static str {
                concat!("aten::", $schema, " -> (Tensor values, Tensor indices)")
            }

            fn attrs(&self) -> Attrs {
                self.generic_attrs()
            }

            fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
                let [x] = arity(args)?;
                check_dim($c1, self.dim, x.rank())?;
                let ($this, $n) = (self, x.shape[self.dim]);
                $check?;
                let y = x.with_shape(reduced(&x.shape, self.dim, self.keepdim));
                Ok(Avals::from_iter([y.clone(), y.with_dtype(DType::I64)]))
            }

            fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
                let x = args[0];
                let found = eval(self.statistic(), x, self.dim, &x.shape().with(self.dim, 1));
                let y = reduced(x.shape(), self.dim, self.keepdim);
                Ok(found.map(|a| a.reshaped(&y)).into())
            }

            fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
                let kept = x[0].shape().with(self.dim, 1);
                let moved = |t: &Tensor| t.gather_along(self.dim, &y[1].view_to(&kept)).view_to(y[0].shape());
                vec![x_dot[0].map(moved), Tangent::Zero]
            }

            fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
                nonlinear($name)
            }

            fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
                let op = $Op { dim: self.dim + 1, keepdim: self.keepdim, $($field: self.$field),* };
                emit_all(op.into(), &[&args[0].x]).into_iter().map(Batched::mapped).collect()
            }

            fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
                LoopForm::Kernel(Kernel::Statistic { dim: self.dim, which: self.statistic() })
            }
        }
    )* };
}

one_of_a_line! {
    Kthvalue { k }, "kthvalue", "kthvalue(Tensor self, SymInt k, int dim=-1, bool keepdim=False)", "kthvalue_c1",
        |op, n| check_rank("kthvalue_c2", op.k, 1, n), Statistic::Rank(op.k - 1);
    Mode {}, "mode", "mode(Tensor self, int dim=-1, bool keepdim=False)", "mode_c1",
        |_op, n| check_some(n), Statistic::Mode;
}

/// Checks that there are elements along the dim.
fn check_some(size: Dim) -> Result<(), InferError> {
    if size.get() > 0 {
        return Ok(());
    }
    Err(InferError::Attribute {
        label: "mode_c2",
        attr: "dim",
        expected: "a dim with at least one element".to_owned(),
        found: "one of size 0".to_owned(),
    })
}

/// Elements without ties, with ties, and with NaN.
fn lines_of_samples() -> [Array; 3] {
    let x = Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 2.3).sin()).collect());
    let ties = Array::new([9], [3, 1, 2, 1, 3, 3, 2, 1, 2].map(f64::from).to_vec());
    let kinks = Array::new([6], vec![f64::NAN, -0.0, 0.0, 1.0, f64::NAN, -1.0]);
    [x, ties, kinks]
}

impl Samples for Topk {
    fn samples() -> Vec<Sample> {
        let of = |k, dim, largest| Topk { k, dim, largest, sorted: true };
        let [x, ties, kinks] = lines_of_samples();
        vec![
            Sample::new("usual", of(2, 1, true), [x.clone()]),
            Sample::new("smallest", of(1, 2, false), [x.clone()]),
            Sample::new("none", of(0, 0, true), [Array::new([3], vec![0.5, 1.0, 2.0])]),
            Sample::new("empty", of(1, 1, true), [Array::new([0, 2], Vec::<f64>::new())]),
            Sample::new("unsorted", Topk { sorted: false, ..of(3, 0, true) }, [ties.cast(DType::I64)]),
            Sample::kink("ties", of(5, 0, true), [ties.clone()]),
            Sample::kink("nan", of(3, 0, true), [kinks.clone()]),
            Sample::kink("nan smallest", of(5, 0, false), [kinks]),
            Sample::new("bf16", of(2, 1, false), [x.cast(DType::BF16)]),
        ]
    }
}

macro_rules! samples {
    ($($Op:ident, |$dim:ident, $keepdim:ident| $of:expr;)*) => { $(
        impl Samples for $Op {
            fn samples() -> Vec<Sample> {
                let of = |$dim, $keepdim| $of;
                let [x, ties, kinks] = lines_of_samples();
                vec![
                    Sample::new("usual", of(1, false), [x.clone()]),
                    Sample::new("kept", of(2, true), [x.clone()]),
                    Sample::new("one", of(0, false), [Array::new([1], vec![0.5])]),
                    Sample::new("empty", of(1, false), [Array::new([0, 2], Vec::<f64>::new())]),
                    Sample::new("integers", of(0, false), [ties.cast(DType::I32)]),
                    Sample::kink("ties", of(0, true), [ties]),
                    Sample::kink("nan", of(0, false), [kinks]),
                    Sample::new("bf16", of(1, true), [x.cast(DType::BF16)]),
                ]
            }
        }
    )* };
}

samples! {
    Kthvalue, |dim, keepdim| Kthvalue { k: 1, dim, keepdim };
    Mode, |dim, keepdim| Mode { dim, keepdim };
}
