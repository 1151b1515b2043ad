//! Tests of elements, logic, and clamping.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType, Scalar};
use cotangent_core::tensor::{IntoOperand, Operand, result_type};

use crate::arg::{AsTensor, at, attempt, live};
use crate::call::{by_result, num, one};
use crate::pointwise::pair;
use crate::schema;

/// Tests of elements, logic on truth values, and clamping.
///
/// *Errors*: `isclose_c1`, `logical_and_c1`, `logical_or_c1`, `logical_xor_c1`, `clamp_c1` shapes that do not
/// broadcast.
pub trait Comparisons: AsTensor {
    /// Whether each element is NaN.
    #[track_caller]
    fn isnan(&self) -> Tensor {
        one(schema::ISNAN, &[], &[self.tensor()], |a| a[0].ne(&a[0]))
    }

    /// Whether each element is infinite.
    #[track_caller]
    fn isinf(&self) -> Tensor {
        one(schema::ISINF, &[], &[self.tensor()], |a| in_float(&a[0], |x| x.abs().eq(f64::INFINITY)))
    }

    /// Whether each element is +inf.
    #[track_caller]
    fn isposinf(&self) -> Tensor {
        one(schema::ISPOSINF, &[], &[self.tensor()], |a| in_float(&a[0], |x| x.eq(f64::INFINITY)))
    }

    /// Whether each element is -inf.
    #[track_caller]
    fn isneginf(&self) -> Tensor {
        one(schema::ISNEGINF, &[], &[self.tensor()], |a| in_float(&a[0], |x| x.eq(f64::NEG_INFINITY)))
    }

    /// Whether each element is neither infinite nor NaN.
    #[track_caller]
    fn isfinite(&self) -> Tensor {
        let x = self.tensor();
        if x.dtype().is_float() { x.abs().lt(f64::INFINITY) } else { x.eq(x) }
    }

    /// Whether `|x - y| <= atol + rtol |y|`, or both are equal.
    #[track_caller]
    fn isclose(&self, other: &Tensor, rtol: f64, atol: f64) -> Tensor {
        let (x, y) = attempt!(pair(at!("isclose", 1), self.tensor(), other));
        let same = x.eq(&y);
        if !x.dtype().is_float() && rtol == 0.0 && atol == 0.0 {
            return same;
        }
        let d = cotangent_core::tensor::float_of(crate::pointwise::meeting(&x, &y));
        let (x, y) = (x.convert(d), y.convert(d));
        let allowed = y.abs() * rtol + atol;
        let error = (&x - &y).abs();
        same.bitwise_or(error.isfinite().bitwise_and(error.le(allowed)))
    }

    /// Whether each element is 0.
    #[track_caller]
    fn logical_not(&self) -> Tensor {
        one(schema::LOGICAL_NOT, &[], &[self.tensor()], |a| truth(&a[0]).bitwise_not())
    }

    /// Whether neither is 0.
    #[track_caller]
    fn logical_and(&self, other: &Tensor) -> Tensor {
        let (x, y) = attempt!(pair(at!("logical_and", 1), self.tensor(), other));
        one(schema::LOGICAL_AND, &[], &[&x, &y], |a| truth(&a[0]).bitwise_and(truth(&a[1])))
    }

    /// Whether either is not 0.
    #[track_caller]
    fn logical_or(&self, other: &Tensor) -> Tensor {
        let (x, y) = attempt!(pair(at!("logical_or", 1), self.tensor(), other));
        one(schema::LOGICAL_OR, &[], &[&x, &y], |a| truth(&a[0]).bitwise_or(truth(&a[1])))
    }

    /// Whether exactly one is not 0.
    #[track_caller]
    fn logical_xor(&self, other: &Tensor) -> Tensor {
        let (x, y) = attempt!(pair(at!("logical_xor", 1), self.tensor(), other));
        one(schema::LOGICAL_XOR, &[], &[&x, &y], |a| truth(&a[0]).bitwise_xor(truth(&a[1])))
    }

    /// The nearest number in [`min`, `max`]; `max` where `min` is larger; NaN stays, and a NaN bound gives NaN.
    ///
    /// *Derivative*: 0 at a bound that is a number ([`CLAMP_AT_BOUND`]) and at NaN; a tie with a tensor bound is
    /// shared.
    #[track_caller]
    fn clamp(&self, min: impl IntoOperand, max: impl IntoOperand) -> Tensor {
        clamped(
            self.tensor(),
            Some(min.into_operand()),
            Some(max.into_operand()),
            [schema::CLAMP, schema::CLAMP_TENSOR],
        )
    }

    /// As [`Comparisons::clamp`] with a lower bound only.
    #[track_caller]
    fn clamp_min(&self, min: impl IntoOperand) -> Tensor {
        clamped(self.tensor(), Some(min.into_operand()), None, [schema::CLAMP_MIN, schema::CLAMP_MIN_TENSOR])
    }

    /// As [`Comparisons::clamp`] with an upper bound only.
    #[track_caller]
    fn clamp_max(&self, max: impl IntoOperand) -> Tensor {
        clamped(self.tensor(), None, Some(max.into_operand()), [schema::CLAMP_MAX, schema::CLAMP_MAX_TENSOR])
    }

    /// `value` where `mask` is true.
    ///
    /// *Errors*: `masked_fill_c1` shapes that do not broadcast; `masked_fill_c2` a mask that is not `bool`.
    #[track_caller]
    fn masked_fill(&self, mask: &Tensor, value: impl IntoOperand) -> Tensor {
        let x = self.tensor();
        attempt!(pair(at!("masked_fill", 1), x, mask));
        if mask.dtype() != DType::Bool {
            return crate::arg::bad_operand(at!("masked_fill", 2), mask, "a bool mask");
        }
        match value.into_operand() {
            Operand::Scalar(s) => one(schema::MASKED_FILL_SCALAR, &[("value", num(s))], &[x, mask], |a| {
                a[0].full_like(s).where_(&a[1], &a[0])
            }),
            Operand::Tensor(v) => one(schema::MASKED_FILL_TENSOR, &[], &[x, mask, &v], |a| {
                a[2].convert(a[0].dtype()).where_(&a[1], &a[0])
            }),
        }
    }
}

impl Comparisons for Tensor {}

/// The derivative of clamping by numbers where the operand meets a bound: 0, as PyTorch has it since 2.15.
pub const CLAMP_AT_BOUND: f64 = 0.0;

/// The truth values of numbers: everything but 0 is true.
#[track_caller]
pub(crate) fn truth(x: &Tensor) -> Tensor {
    x.convert(DType::Bool)
}

/// A test that integers fail.
#[track_caller]
fn in_float(x: &Tensor, test: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    if x.dtype().is_float() { test(x) } else { x.ne(x) }
}

#[track_caller]
fn clamped(x: &Tensor, min: Option<Operand>, max: Option<Operand>, schemas: [&str; 2]) -> Tensor {
    attempt!(live(&[x]));
    let number = |o: &Option<Operand>| match o {
        Some(Operand::Scalar(s)) => Ok(Some(*s)),
        Some(Operand::Tensor(_)) => Err(()),
        None => Ok(None),
    };
    if let (Ok(min), Ok(max)) = (number(&min), number(&max)) {
        let bounds = [("min", min), ("max", max)];
        let params: Vec<(&str, Attr)> = bounds.iter().filter_map(|(name, s)| s.map(|s| (*name, num(s)))).collect();
        let value = |a: &[Tensor]| [clamp_numbers(&a[0], min, max)];
        let [y] = by_result(schemas[0], &params, &[x], value, |x, y, x_dot| {
            let t = x_dot[0].convert(y[0].dtype());
            vec![within(&x[0], min, max).map_or(t.clone(), |inside| t.where_(&inside, t.zeros_like()))]
        });
        return y;
    }
    let mut args = vec![x.clone()];
    let (low, high) = (min.is_some(), max.is_some());
    for bound in [min, max].into_iter().flatten() {
        args.push(attempt!(pair(at!("clamp", 1), x, bound)).1);
    }
    let refs: Vec<&Tensor> = args.iter().collect();
    one(schemas[1], &[], &refs, |a| {
        let y = if low { a[0].maximum(&a[1]) } else { a[0].clone() };
        if high { y.minimum(&a[a.len() - 1]) } else { y }
    })
}

#[track_caller]
fn clamp_numbers(x: &Tensor, min: Option<Scalar>, max: Option<Scalar>) -> Tensor {
    let mut operands = vec![Operand::Tensor(x.clone())];
    operands.extend([min, max].into_iter().flatten().map(Operand::Scalar));
    let x = x.convert(result_type(&operands.iter().collect::<Vec<_>>()));
    let above = min.map_or(x.detach(), |s| x.detach().maximum(s));
    let value = max.map_or(above.clone(), |s| above.minimum(s));
    within(&x, min, max).map_or(x.clone(), |inside| x.where_(&inside, value))
}

/// Where `x` lies between the bounds, if there are any: there alone the clamped value moves with it.
#[track_caller]
fn within(x: &Tensor, min: Option<Scalar>, max: Option<Scalar>) -> Option<Tensor> {
    let (above, below) = (min.map(|s| x.gt(s)), max.map(|s| x.lt(s)));
    match (above, below) {
        (Some(a), Some(b)) => Some(a.bitwise_and(b)),
        (a, b) => a.or(b),
    }
}
