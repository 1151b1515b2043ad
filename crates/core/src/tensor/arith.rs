//! Operators and elementwise methods: broadcasting and PyTorch's promotion happen here, never in the graph (I4).

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::panic::Location;

use super::operand::{IntoOperand, Operand, result_type};
use super::{Repr, Tensor, fail};
use crate::error::InferError;
use crate::ir::{Aval, DType, Dim, Scalar, Shape};
use crate::ops::{Binary, Unary};

/// The shape to which two shapes broadcast, or `None`.
pub fn broadcast_shapes(a: &Shape, b: &Shape) -> Option<Shape> {
    let rank = a.rank().max(b.rank());
    let at = |s: &Shape, i: usize| (i + s.rank()).checked_sub(rank).map_or(Dim::new(1), |j| s[j]);
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y || y == 1 => Some(x),
            (x, y) if x == 1 => Some(y),
            (_, _) => None,
        })
        .collect()
}

impl Tensor {
    /// Both operands in the dtype and shape in which they meet.
    #[track_caller]
    pub(crate) fn meet(&self, other: &Operand, dtype: DType, name: &str) -> Result<(Tensor, Tensor), Tensor> {
        match other {
            Operand::Scalar(s) => {
                let a = self.convert(dtype);
                let b = a.full_of(&Aval::new(dtype, self.shape()), s.cast(dtype));
                Ok((a, b))
            }
            Operand::Tensor(b) => {
                let Some(shape) = broadcast_shapes(self.shape(), b.shape()) else {
                    return Err(self.no_broadcast(b, name));
                };
                let (x, y) = (self.convert(dtype), b.convert(dtype));
                Ok((x.expand_beside(&shape, &y), y.expand_beside(&shape, &x)))
            }
        }
    }

    /// Broadcast to `shape` where `other` is. What a trace captures it captures small: a vector that meets a traced matrix is broadcast in the graph.
    #[track_caller]
    fn expand_beside(&self, shape: &Shape, other: &Tensor) -> Tensor {
        match &other.0 {
            Repr::Traced(trace, ..) if self.shape() != shape => trace.captured(self).expand_to(shape),
            Repr::Traced(..) | Repr::Concrete(_) | Repr::Abstract(_) | Repr::Poison(..) => self.expand_to(shape),
        }
    }

    #[track_caller]
    fn no_broadcast(&self, other: &Tensor, name: &str) -> Tensor {
        let e = InferError::Mismatch {
            label: "broadcast_c1",
            expected: "shapes that broadcast: trailing dims equal or 1".to_owned(),
            lhs: self.aval(),
            rhs: other.aval(),
        };
        let help = "insert dims of size 1 with `unsqueeze`, or bring the shapes together with `view` or `expand`";
        fail(name, &[self, other], e, Some(help.to_owned()), Location::caller())
    }

    /// A binary method: `to` chooses the dtype in which the operands meet.
    #[track_caller]
    pub(crate) fn binary_method(&self, other: impl IntoOperand, op: Binary, to: fn(DType) -> DType) -> Tensor {
        let other = other.into_operand();
        let me = Operand::Tensor(self.clone());
        let dtype = to(result_type(&[&me, &other]));
        match self.meet(&other, dtype, crate::ops::Op::from(op).name()) {
            Ok((a, b)) => a.binary(op, &b),
            Err(poison) => poison,
        }
    }

    /// A unary method of a float function: integers are computed in `f32`, as PyTorch does.
    #[track_caller]
    pub(crate) fn float_method(&self, op: Unary) -> Tensor {
        self.convert(float_of(self.dtype())).unary(op)
    }

    /// The power, with PyTorch's conventions at base 0.
    #[track_caller]
    pub fn pow(&self, exponent: impl IntoOperand) -> Tensor {
        let exponent = exponent.into_operand();
        match &exponent {
            Operand::Scalar(Scalar::Int(e)) if *e < 0 && !self.dtype().is_float() => {
                let e = InferError::Attribute {
                    label: "pow_c1",
                    attr: "exponent",
                    expected: "not negative for integers (convert the base to float)".to_owned(),
                    found: e.to_string(),
                };
                fail("pow", &[self], e, None, Location::caller())
            }
            Operand::Scalar(_) | Operand::Tensor(_) => self.binary_method(exponent, Binary::Pow, no_bool),
        }
    }

    /// 64 random bits for each key (`self`) and counter: the Philox4x32-10 generator.
    #[track_caller]
    pub fn philox(&self, counter: &Tensor) -> Tensor {
        self.binary_method(counter, Binary::Philox, same)
    }

    /// `condition ? self : other`, with broadcasting and promotion.
    #[track_caller]
    pub fn where_(&self, condition: &Tensor, other: impl IntoOperand) -> Tensor {
        let other = other.into_operand();
        let dtype = result_type(&[&Operand::Tensor(self.clone()), &other]);
        let (a, b) = match self.meet(&other, dtype, "where") {
            Ok(pair) => pair,
            Err(poison) => return poison,
        };
        let Some(shape) = broadcast_shapes(condition.shape(), a.shape()) else {
            return condition.no_broadcast(&a, "where");
        };
        let a = a.expand_beside(&shape, condition);
        a.where_exact(&condition.expand_beside(&shape, &a), &b.expand_beside(&shape, condition))
    }
}

/// The float dtype in which PyTorch computes float functions of `d`.
pub fn float_of(d: DType) -> DType {
    if d.is_float() { d } else { DType::F32 }
}

fn same(d: DType) -> DType {
    d
}

/// `bool` operands meet as `i64`, for arithmetic that `bool` does not have.
fn no_bool(d: DType) -> DType {
    if d == DType::Bool { DType::I64 } else { d }
}

macro_rules! unary_methods {
    ($($(#[$m:meta])* $name:ident = $method:ident($Op:ident)),* $(,)?) => {
        impl Tensor { $(
            $(#[$m])*
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                self.$method(Unary::$Op)
            }
        )* }
    };
}

unary_methods! {
    /// The negation.
    neg = unary(Neg),
    /// The absolute value; derivative `sign(x)`.
    abs = unary(Abs),
    /// -1, 0 or 1; 0 at NaN.
    sign = unary(Sign),
    /// The largest integer not above.
    floor = unary(Floor),
    /// The smallest integer not below.
    ceil = unary(Ceil),
    /// Towards zero.
    trunc = unary(Trunc),
    /// To the nearest integer, halves to even.
    round = unary(Round),
    /// The complement of the bits; logical negation on `bool`.
    bitwise_not = unary(BitwiseNot),
    /// The identity through which no derivative passes.
    detach = unary(Detach),
    /// The square root.
    sqrt = float_method(Sqrt),
    /// The reciprocal of the square root.
    rsqrt = float_method(Rsqrt),
    /// `1 / x`.
    reciprocal = float_method(Reciprocal),
    /// The exponential.
    exp = float_method(Exp),
    /// `2^x`.
    exp2 = float_method(Exp2),
    /// `e^x - 1`.
    expm1 = float_method(Expm1),
    /// The natural logarithm.
    log = float_method(Log),
    /// `log(1 + x)`.
    log1p = float_method(Log1p),
    /// The binary logarithm.
    log2 = float_method(Log2),
    /// The decimal logarithm.
    log10 = float_method(Log10),
    /// The sine.
    sin = float_method(Sin),
    /// The cosine.
    cos = float_method(Cos),
    /// The tangent function.
    tan = float_method(Tan),
    /// The arc sine.
    asin = float_method(Asin),
    /// The arc cosine.
    acos = float_method(Acos),
    /// The arc tangent.
    atan = float_method(Atan),
    /// The hyperbolic sine.
    sinh = float_method(Sinh),
    /// The hyperbolic cosine.
    cosh = float_method(Cosh),
    /// The hyperbolic tangent.
    tanh = float_method(Tanh),
    /// The inverse hyperbolic sine.
    asinh = float_method(Asinh),
    /// The inverse hyperbolic cosine.
    acosh = float_method(Acosh),
    /// The inverse hyperbolic tangent.
    atanh = float_method(Atanh),
    /// The logistic function.
    sigmoid = float_method(Sigmoid),
    /// The error function.
    erf = float_method(Erf),
    /// The complementary error function.
    erfc = float_method(Erfc),
    /// The logarithm of the absolute value of the gamma function.
    lgamma = float_method(Lgamma),
}

macro_rules! binary_methods {
    ($($(#[$m:meta])* $name:ident = $Op:ident, $to:expr),* $(,)?) => {
        impl Tensor { $(
            $(#[$m])*
            #[track_caller]
            pub fn $name(&self, other: impl IntoOperand) -> Tensor {
                self.binary_method(other, Binary::$Op, $to)
            }
        )* }
    };
}

binary_methods! {
    /// The sum, with broadcasting and promotion as all binary methods.
    add = Add, same,
    /// The difference; an error on two `bool`.
    sub = Sub, same,
    /// The product.
    mul = Mul, same,
    /// The true quotient; integers are divided in `f32`.
    div = Div, float_of,
    /// The remainder with the dividend's sign.
    fmod = Fmod, no_bool,
    /// The remainder with the divisor's sign; also `%`.
    remainder = Remainder, no_bool,
    /// The angle of `(other, self)`.
    atan2 = Atan2, float_of,
    /// The larger; NaN if either is. Ties share the derivative.
    maximum = Maximum, same,
    /// The smaller; NaN if either is. Ties share the derivative.
    minimum = Minimum, same,
    /// Bitwise and; logical on `bool`.
    bitwise_and = BitwiseAnd, same,
    /// Bitwise or; logical on `bool`.
    bitwise_or = BitwiseOr, same,
    /// Bitwise exclusive or; logical on `bool`.
    bitwise_xor = BitwiseXor, same,
    /// Equality, element by element.
    eq = Eq, same,
    /// Inequality, element by element.
    ne = Ne, same,
    /// Less, element by element.
    lt = Lt, same,
    /// Less or equal, element by element.
    le = Le, same,
    /// Greater, element by element.
    gt = Gt, same,
    /// Greater or equal, element by element.
    ge = Ge, same,
}

macro_rules! operators {
    ($($Trait:ident $method:ident $call:ident),*) => { $(
        impl<R: IntoOperand> $Trait<R> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: R) -> Tensor {
                Tensor::$call(&self, other)
            }
        }
        impl<R: IntoOperand> $Trait<R> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: R) -> Tensor {
                Tensor::$call(self, other)
            }
        }
        // One float and one integer type, so that the literal in `(1.0 - &x).sin()` has only one reading.
        operators!(@scalars $Trait $method $call f64 i64);
    )* };
    (@scalars $Trait:ident $method:ident $call:ident $($t:ty)*) => { $(
        impl $Trait<Tensor> for $t {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                Scalar::from(self).beside(&other, |a, b| a.$call(b))
            }
        }
        impl $Trait<&Tensor> for $t {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                Scalar::from(self).beside(other, |a, b| a.$call(b))
            }
        }
    )* };
}
operators!(Add add add, Sub sub sub, Mul mul mul, Div div div, Rem rem remainder);

impl Scalar {
    /// Applies a binary method with this number as the first operand.
    #[track_caller]
    fn beside(self, other: &Tensor, f: impl FnOnce(&Tensor, &Tensor) -> Tensor) -> Tensor {
        let dtype = result_type(&[&Operand::Tensor(other.clone()), &Operand::Scalar(self)]);
        let a = other.full_of(&Aval::new(dtype, other.shape()), self.cast(dtype));
        f(&a, other)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}
