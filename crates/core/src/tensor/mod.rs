//! Tensors: what users and rules compute with.
//!
//! A [`Tensor`] is concrete outside a trace and evaluates at once; inside a trace it is symbolic and each operation
//! becomes a node. An operation that breaks its op's constraints gives a *poisoned* tensor, which passes through all
//! further operations; the call that started the trace, or reading the value, returns the first error.

mod arith;
mod composite;
mod conv;
mod describe;
mod index;
mod linalg;
mod operand;
mod prim;
mod reduce;
mod shape;
pub mod trace;
mod value;

pub use arith::{broadcast_shapes, float_of};
pub use composite::{
    Backward, composite, composite_by_result, composite_linear, composite_one, composite_with_backward,
    linear_with_transpose,
};
pub use operand::{IntoOperand, Operand, result_type};
pub use prim::Dims;

use std::panic::Location;
use std::sync::Arc;

use crate::array::Array;
use crate::error::{Error, InferError};
use crate::ir::{Aval, DType, Loc, Shape, Value};
use crate::ops::Op;
use trace::Trace;

/// An n-dimensional array: concrete, traced, or abstract (an aval without elements). Cheap to clone.
#[derive(Clone)]
pub struct Tensor(pub(crate) Repr);

#[derive(Clone)]
pub(crate) enum Repr {
    Concrete(Arc<Array>),
    Abstract(Aval),
    Traced(Arc<Trace>, Value, Aval),
    Poison(Arc<Error>, Aval),
}

impl Tensor {
    /// A tensor that has a dtype and a shape but no elements: an argument for `make_fx` and `eval_shape`.
    pub fn abstract_(dtype: DType, shape: impl Into<Shape>) -> Self {
        Tensor(Repr::Abstract(Aval::new(dtype, shape)))
    }

    /// The tensor of a host array.
    pub fn from_array(array: Array) -> Self {
        Tensor(Repr::Concrete(Arc::new(array)))
    }

    /// The tensor of an array that others hold too.
    pub fn from_shared(array: Arc<Array>) -> Self {
        Tensor(Repr::Concrete(array))
    }

    /// A tensor that stands for an error.
    pub fn poison(error: Error) -> Self {
        Tensor(Repr::Poison(Arc::new(error), Aval::new(DType::F32, ())))
    }

    /// A tensor that stands for an error where one of `aval` was expected.
    pub fn poison_like(error: Error, aval: Aval) -> Self {
        Tensor(Repr::Poison(Arc::new(error), aval))
    }

    /// A tensor that stands for an error, which is recorded in the deepest trace of `args` (or the current one), so that
    /// it comes back even if nothing uses the tensor.
    pub fn poison_recorded(error: Error, args: &[&Tensor], aval: Aval) -> Self {
        if let Some(trace) = reporting(args) {
            trace.record(&error);
        }
        Tensor::poison_like(error, aval)
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Repr::Concrete(a) => a.dtype(),
            Repr::Abstract(a) | Repr::Traced(_, _, a) | Repr::Poison(_, a) => a.dtype,
        }
    }

    /// Sizes. Of a tensor that stands for an error, a guess.
    pub fn shape(&self) -> &Shape {
        match &self.0 {
            Repr::Concrete(a) => a.shape(),
            Repr::Abstract(a) | Repr::Traced(_, _, a) | Repr::Poison(_, a) => &a.shape,
        }
    }

    /// dtype and shape.
    pub fn aval(&self) -> Aval {
        Aval { dtype: self.dtype(), shape: self.shape().clone() }
    }

    /// The number of dimensions; PyTorch's `dim()`.
    pub fn rank(&self) -> usize {
        self.shape().rank()
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.shape().checked_numel().unwrap_or(0)
    }

    /// The size of dimension `dim`, negative from the end; 0 (and a poisoned trace) if there is none.
    #[track_caller]
    pub fn size(&self, dim: i64) -> usize {
        match normal_dim(dim, self.rank()) {
            Some(d) if d < self.rank() => self.shape()[d].get(),
            Some(_) | None => {
                let e = InferError::Dim { label: "size_c1", dim, rank: self.rank() };
                fail("size", &[self], e, None, Location::caller());
                0
            }
        }
    }

    /// Whether the tensor is part of a trace.
    pub fn is_traced(&self) -> bool {
        matches!(self.0, Repr::Traced(..))
    }

    /// The error that a poisoned tensor stands for.
    pub fn error(&self) -> Option<&Error> {
        match &self.0 {
            Repr::Poison(e, _) => Some(e),
            Repr::Concrete(_) | Repr::Abstract(_) | Repr::Traced(..) => None,
        }
    }

    /// The host array of a concrete tensor.
    pub fn as_array(&self) -> Option<&Arc<Array>> {
        match &self.0 {
            Repr::Concrete(a) => Some(a),
            Repr::Abstract(_) | Repr::Traced(..) | Repr::Poison(..) => None,
        }
    }

    /// The memory of a concrete tensor's elements, to be overwritten, if no other tensor shares it: see
    /// [`Data::bytes_mut`](crate::array::Data::bytes_mut).
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.0 {
            Repr::Concrete(a) => Arc::get_mut(a)?.bytes_mut(),
            Repr::Abstract(_) | Repr::Traced(..) | Repr::Poison(..) => None,
        }
    }

    /// Whether there are no elements behind the tensor, only a dtype and a shape.
    pub fn is_abstract(&self) -> bool {
        matches!(self.0, Repr::Abstract(_))
    }
}

/// A dimension counted from the end if negative; rank 0 has the dimensions 0 and -1.
pub(crate) fn normal_dim(dim: i64, rank: usize) -> Option<usize> {
    let n = rank.max(1) as i64;
    let d = if dim < 0 { dim + n } else { dim };
    (0..n).contains(&d).then_some(d as usize)
}

/// Applies `op`, which has one result.
#[track_caller]
pub(crate) fn emit(op: impl Into<Op>, args: &[&Tensor]) -> Tensor {
    let mut results = emit_all(op.into(), args);
    results.truncate(1);
    results.pop().expect("I2: an op has a result")
}

/// Applies `op` to tensors: records a node in the deepest trace among them, or evaluates.
///
/// This is the single entrance for operations, of users, composites and rules alike.
#[track_caller]
pub fn emit_all(op: Op, args: &[&Tensor]) -> Vec<Tensor> {
    let site = Location::caller();
    if let Some(e) = args.iter().find_map(|a| a.error()) {
        let aval = args[0].aval();
        return vec![Tensor::poison_like(e.clone(), aval); op.num_results()];
    }
    match try_emit(&op, args, site) {
        Ok(results) => results,
        Err(e) => {
            if let Some(trace) = reporting(args) {
                trace.record(&e);
            }
            let aval = args.first().map_or(Aval::new(DType::F32, ()), |a| a.aval());
            vec![Tensor::poison_like(e, aval); op.num_results()]
        }
    }
}

/// Applies an op without operands in the trace of `like`, or the current one; abstract beside an abstract tensor.
#[track_caller]
pub(crate) fn emit_beside(op: Op, like: Option<&Tensor>) -> Tensor {
    let site = Location::caller();
    let Some(like) = like else { return emit(op, &[]) };
    let result =
        op.checked_infer(&[]).map_err(|e| infer_error(op.name(), &[], e, None, trace::here(site))).and_then(|avals| {
            match &like.0 {
                Repr::Traced(trace, _, _) => trace.push(op.clone(), &[], avals, &trace::here(site)),
                Repr::Abstract(_) => Ok(avals.into_iter().map(|a| Tensor(Repr::Abstract(a))).collect()),
                Repr::Poison(e, _) => Err(e.as_ref().clone()),
                Repr::Concrete(_) => {
                    let values = op.prim().eval(&[]).expect("ops without operands do not fail");
                    Ok(values.into_iter().map(Tensor::from_array).collect())
                }
            }
        });
    match result {
        Ok(mut r) => r.swap_remove(0),
        Err(e) => {
            if let Repr::Traced(trace, _, _) = &like.0 {
                trace.record(&e);
            }
            Tensor::poison_like(e, like.aval())
        }
    }
}

fn try_emit(op: &Op, args: &[&Tensor], site: &'static Location<'static>) -> Result<Vec<Tensor>, Error> {
    let avals: smallvec::SmallVec<[Aval; 3]> = args.iter().map(|a| a.aval()).collect();
    let refs: smallvec::SmallVec<[&Aval; 3]> = avals.iter().collect();
    let results = op.checked_infer(&refs).map_err(|e| infer_error(op.name(), &refs, e, None, trace::here(site)))?;
    if let Some(trace) = deepest(args) {
        return trace.push(op.clone(), args, results, &trace::here(site));
    }
    if args.is_empty()
        && let Some(trace) = trace::current()
    {
        return trace.push(op.clone(), args, results, &trace::here(site));
    }
    if args.iter().any(|a| a.is_abstract()) {
        return Ok(results.into_iter().map(|a| Tensor(Repr::Abstract(a))).collect());
    }
    let arrays: smallvec::SmallVec<[&Array; 3]> =
        args.iter().map(|a| a.as_array().expect("concrete").as_ref()).collect();
    let values = op.prim().eval(&arrays).map_err(|source| Error::Eval {
        op: op.name().to_owned(),
        loc: trace::here(site),
        source,
    })?;
    Ok(values.into_iter().map(Tensor::from_array).collect())
}

fn deepest(args: &[&Tensor]) -> Option<Arc<Trace>> {
    let traced = |t: &&Tensor| match &t.0 {
        Repr::Traced(trace, _, _) => Some(trace.clone()),
        Repr::Concrete(_) | Repr::Abstract(_) | Repr::Poison(..) => None,
    };
    args.iter().filter_map(traced).max_by_key(|t| t.depth())
}

/// The trace that has to report an error: the deepest of the operands that goes on, or the current one.
fn reporting(args: &[&Tensor]) -> Option<Arc<Trace>> {
    deepest(args).filter(|t| !t.has_ended()).or_else(trace::current)
}

fn infer_error(op: &str, args: &[&Aval], source: InferError, help: Option<String>, loc: Loc) -> Error {
    Error::Infer {
        op: op.to_owned(),
        loc,
        stack: trace::stack(),
        args: args.iter().map(|a| (*a).clone()).collect(),
        source,
        help,
    }
}

/// A poisoned tensor for a front-end check that failed; the error is recorded in the trace.
pub(crate) fn fail(
    op: &str,
    args: &[&Tensor],
    source: InferError,
    help: Option<String>,
    site: &'static Location<'static>,
) -> Tensor {
    let first = args.iter().find_map(|a| a.error());
    let error = first.cloned().unwrap_or_else(|| {
        let avals: Vec<Aval> = args.iter().map(|a| a.aval()).collect();
        infer_error(op, &avals.iter().collect::<Vec<_>>(), source, help, trace::here(site))
    });
    if let Some(trace) = reporting(args) {
        trace.record(&error);
    }
    let aval = args.first().map_or(Aval::new(DType::F32, ()), |a| a.aval());
    Tensor::poison_like(error, aval)
}

/// A poisoned tensor for a composite whose arguments do not fit, with the user's line and a hint.
#[track_caller]
pub fn reject(op: &str, args: &[&Tensor], source: InferError, help: impl Into<Option<String>>) -> Tensor {
    fail(op, args, source, help.into(), Location::caller())
}
