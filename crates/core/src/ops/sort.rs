//! Sorting along a dim, and binary search in what is sorted.

use std::cmp::Ordering;

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::tensor::{Tensor, emit, emit_all};

use super::indexing::{check_dim, check_numbers, fold_batch, is_nan, lines, unfold_batch};
use super::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one,
};

attr_struct! {
    /// The elements in order along `dim`, and the positions from which they came, as `i64`.
    ///
    /// *Shape*: `x: [s…] → [s…], [s…]`.
    /// *Numerics*: equal elements keep their order, also descending; NaN is larger than any number; −0.0 equals 0.0.
    /// *Errors*: `sort_c1` `dim`; `sort_c2` not `stable`.
    /// *Derivative*: that of a gather by the positions.
    /// *Source*: `torch.sort`.
    pub struct Sort {
        /// Always true: the order of equal elements is not left open.
        pub stable: bool,
        /// The sorted dim.
        pub dim: usize,
        /// From the largest to the smallest.
        pub descending: bool,
    }
}
from_text!(Sort, "sort");

attr_struct! {
    /// The positions at which values would be inserted in sequences that are sorted along their last dim.
    ///
    /// *Shape*: `sorted_sequence: [b…, n]`, `self: [b…, k] → [b…, k]`.
    /// *Numerics*: a comparison with NaN is false, so a NaN is inserted at the end; what stands behind a NaN or out of
    /// order in a sequence is found by the same steps of bisection as in PyTorch.
    /// *Errors*: `searchsorted_c1` rank 0, or different leading dims or dtypes; `searchsorted_c2` `bool`.
    /// *Derivative*: none.
    /// *Source*: `torch.searchsorted`.
    pub struct Searchsorted {
        /// Positions as `i32` instead of `i64`.
        pub out_int32: bool,
        /// After equal elements instead of before them.
        pub right: bool,
    }
}
from_text!(Searchsorted, "searchsorted");

/// The order in which NaN is larger than any number.
fn order<T: Element>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

/// Where `x` is inserted in the sorted `row`: before equal elements, or after them where `right`. A comparison with NaN is false, so a NaN
/// goes to the end.
pub fn insertion_point<T: Element>(row: &[T], x: T, right: bool) -> usize {
    let (mut start, mut end) = (0, row.len());
    while start < end {
        let mid = start + (end - start) / 2;
        if if right { row[mid] > x } else { row[mid] >= x } {
            end = mid;
        } else {
            start = mid + 1;
        }
    }
    start
}

impl Primitive for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn schema(&self) -> &'static str {
        "aten::sort.stable(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_dim("sort_c1", self.dim, x.rank())?;
        if !self.stable {
            return Err(InferError::Attribute {
                label: "sort_c2",
                attr: "stable",
                expected: "true".to_owned(),
                found: "false".to_owned(),
            });
        }
        Ok(Avals::from_iter([x.clone(), x.with_dtype(DType::I64)]))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let mut from = vec![0usize; x.numel()];
        let mut indices = vec![0i64; x.numel()];
        dispatch!(x.dtype(), T => {
            let xs = x.elems::<T>();
            for line in lines(x.shape(), self.dim) {
                let mut sorted: Vec<(usize, usize)> = line.positions().enumerate().collect();
                // A stable sort by the reversed order keeps the order of equal elements too.
                sorted.sort_by(|(_, a), (_, b)| match self.descending {
                    false => order(xs[*a], xs[*b]),
                    true => order(xs[*b], xs[*a]),
                });
                for (to, (k, at)) in line.positions().zip(sorted) {
                    from[to] = at;
                    indices[to] = k as i64;
                }
            }
        });
        Ok(vec![x.pick(x.shape(), |i| from[i]), Array::new(x.shape(), indices)])
    }

    fn jvp(&self, _: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.gather_along(self.dim, &y[1])), Tangent::Zero]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("sort")
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        let op = Sort { dim: self.dim + 1, ..self.clone() };
        emit_all(op.into(), &[&args[0].x]).into_iter().map(Batched::mapped).collect()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Sort { dim: self.dim, descending: self.descending })
    }
}

impl Primitive for Searchsorted {
    fn name(&self) -> &'static str {
        "searchsorted"
    }

    fn schema(&self) -> &'static str {
        "aten::searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [sequence, x] = arity(args)?;
        let rank = x.rank();
        let fit = sequence.dtype == x.dtype
            && sequence.rank() == rank
            && rank > 0
            && sequence.shape.dims()[..rank - 1] == x.shape.dims()[..rank - 1];
        if !fit {
            return Err(InferError::Mismatch {
                label: "searchsorted_c1",
                expected: "sequences and values of one dtype and the same leading dims".to_owned(),
                lhs: sequence.clone(),
                rhs: x.clone(),
            });
        }
        check_numbers("searchsorted_c2", x)?;
        one(x.with_dtype(if self.out_int32 { DType::I32 } else { DType::I64 }))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (sequence, x) = (args[0], args[1]);
        let last = x.shape().rank() - 1;
        let mut found = vec![0i64; x.numel()];
        dispatch!(x.dtype(), T => {
            let (sorted, xs) = (sequence.elems::<T>(), x.elems::<T>());
            for (row, values) in lines(sequence.shape(), last).zip(lines(x.shape(), last)) {
                let row: Vec<T> = row.positions().map(|i| sorted[i]).collect();
                for at in values.positions() {
                    found[at] = insertion_point(&row, xs[at], self.right) as i64;
                }
            }
        });
        Ok(vec![Array::new(x.shape(), found).cast(if self.out_int32 { DType::I32 } else { DType::I64 })])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], _: &[Tangent]) -> Vec<Tangent> {
        vec![Tangent::Zero]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear("searchsorted")
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [sequence, x] = [&args[0], &args[1]];
        if sequence.mapped {
            return vec![Batched::mapped(emit(self.clone(), &[&sequence.x, &x.materialised(size)]))];
        }
        // The sequences have no batch dim and are not repeated: the values of all examples are searched at once.
        let last = x.x.rank() - 2;
        let y = emit(self.clone(), &[&sequence.x, &fold_batch(&x.x, last)]);
        vec![Batched::mapped(unfold_batch(&y, last, size, x.x.shape()[last + 1]))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Search { right: self.right })
    }
}

impl Samples for Sort {
    fn samples() -> Vec<Sample> {
        let of = |dim, descending| Sort { stable: true, dim, descending };
        let x = Array::new([2, 3, 2], (0..12).map(|i| (f64::from(i) * 2.3).sin()).collect());
        let kinks = Array::new([6], vec![f64::NAN, -0.0, 0.0, 1.0, f64::NAN, -1.0]);
        vec![
            Sample::new("usual", of(1, false), [x.clone()]),
            Sample::new("descending", of(2, true), [x.clone()]),
            Sample::new("one", of(0, false), [Array::new([1], vec![0.5])]),
            Sample::new("empty", of(1, false), [Array::new([2, 0], Vec::<f64>::new())]),
            Sample::kink("ties and nan", of(0, false), [kinks.clone()]),
            Sample::kink("ties and nan descending", of(0, true), [kinks]),
            Sample::new("bf16", of(0, false), [x.cast(DType::BF16)]),
            Sample::new("bool", of(0, true), [Array::new([4], vec![true, false, true, false])]),
        ]
    }
}

impl Samples for Searchsorted {
    fn samples() -> Vec<Sample> {
        let of = |out_int32, right| Searchsorted { out_int32, right };
        let rows = Array::new([2, 3], vec![-1.0, 0.5, 2.0, 0.0, 0.25, 0.75]);
        let values = Array::new([2, 4], vec![0.0, 3.0, -2.0, 1.0, 0.1, 0.3, 0.9, -0.1]);
        let ties = Array::new([5], vec![1.0, 2.0, 2.0, f64::NAN, f64::NAN]);
        let at_ties = Array::new([5], vec![2.0, f64::NAN, 3.0, f64::NEG_INFINITY, 1.0]);
        let empty = Array::new([0], Vec::<f64>::new());
        vec![
            Sample::new("usual", of(false, false), [rows.clone(), values.clone()]),
            Sample::new("i32 result", of(true, true), [rows.clone(), values.clone()]),
            Sample::new("empty sequence", of(false, false), [empty.clone(), at_ties.clone()]),
            Sample::new("no values", of(false, false), [ties.clone(), empty]),
            Sample::kink("ties and nan", of(false, false), [ties.clone(), at_ties.clone()]),
            Sample::kink("ties and nan right", of(false, true), [ties, at_ties]),
            Sample::new("integers", of(false, true), [rows.cast(DType::I32), values.cast(DType::I32)]),
        ]
    }
}
