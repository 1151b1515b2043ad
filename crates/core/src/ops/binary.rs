//! Elementwise functions of two operands of one aval, and comparisons: a table of complete rows.

use crate::array::{Array, Element, dispatch};
use crate::error::{EvalError, InferError};
use crate::ir::{AttrError, AttrReader, Attrs, Aval, DType, Dim, Scalar};
use crate::tensor::Tensor;

use super::philox::philox;
use super::unary::Domain;
use super::{
    Avals, Batched, Cotangent, FromText, LinArg, LoopForm, Primitive, Sample, Samples, ScalarFn, Tangent, arity,
    nonlinear, one,
};

/// The part of the derivative that belongs to one operand: `f(a, b, y, t)`, linear in the tangent `t`.
type Part = fn(&Tensor, &Tensor, &Tensor, &Tensor) -> Tensor;

/// The derivative and linearity of a row.
#[derive(Clone, Copy)]
enum D {
    /// Zero wherever it exists.
    Zero,
    /// Linear in both operands jointly; the second one enters with this sign.
    Joint(f64),
    /// Linear in each operand while the other is fixed: the product.
    Bilinear,
    /// Linear in the first operand; the part of the second.
    LinearInFirst(Part),
    /// The parts of both operands.
    Parts(Part, Part),
}

struct Row {
    name: &'static str,
    schema: &'static str,
    domain: Domain,
    f: Fns,
    derivative: D,
    kinks: &'static [(f64, f64)],
    interval: (f64, f64),
}

/// The function on each kind of number.
#[derive(Clone, Copy)]
enum Fns {
    /// The result has the operands' dtype; integers wrap; `bool` is 0 and 1.
    Same { f64: fn(f64, f64) -> f64, f32: fn(f32, f32) -> f32, i64: fn(i64, i64) -> Option<i64> },
    /// The result is `bool`.
    Compare { f64: fn(&f64, &f64) -> bool, i64: fn(&i64, &i64) -> bool },
}

macro_rules! binary_ops {
    ($($(#[$m:meta])* $Case:ident = $row:expr),* $(,)?) => {
        /// An elementwise function of two operands, under ATen's name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Binary { $($(#[$m])* $Case),* }

        impl Binary {
            /// All cases.
            pub const ALL: &'static [Binary] = &[$(Binary::$Case),*];

            fn row(self) -> Row {
                match self { $(Binary::$Case => $row),* }
            }
        }
    };
}

macro_rules! row {
    ($name:literal, $overload:literal, $domain:expr, $f64:expr, $f32:expr, $i64:expr, $d:expr, $kinks:expr, $interval:expr) => {
        Row {
            name: $name,
            schema: concat!("aten::", $name, $overload, "(Tensor self, Tensor other) -> Tensor"),
            domain: $domain,
            f: Fns::Same { f64: $f64, f32: $f32, i64: $i64 },
            derivative: $d,
            kinks: $kinks,
            interval: $interval,
        }
    };
}

macro_rules! compare_row {
    ($name:literal, $op:tt) => {
        Row {
            name: $name,
            schema: concat!("aten::", $name, ".Tensor(Tensor self, Tensor other) -> Tensor"),
            domain: Domain::Any,
            f: Fns::Compare { f64: |a, b| a $op b, i64: |a, b| a $op b },
            derivative: D::Zero,
            kinks: &[(0.0, 0.0), (f64::NAN, 1.0)],
            interval: (-2.0, 2.0),
        }
    };
}

binary_ops! {
    /// The sum; `or` on `bool`.
    Add = Row { name: "add", schema: "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        domain: Domain::Any, f: Fns::Same { f64: |a, b| a + b, f32: |a, b| a + b, i64: |a, b| Some(a.wrapping_add(b)) },
        derivative: D::Joint(1.0), kinks: &[(0.0, -0.0)], interval: (-2.0, 2.0) },
    /// The difference.
    Sub = Row { name: "sub", schema: "aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
        domain: Domain::Number, f: Fns::Same { f64: |a, b| a - b, f32: |a, b| a - b, i64: |a, b| Some(a.wrapping_sub(b)) },
        derivative: D::Joint(-1.0), kinks: &[(0.0, 0.0)], interval: (-2.0, 2.0) },
    /// The product; `and` on `bool`.
    Mul = row!("mul", ".Tensor", Domain::Any, |a, b| a * b, |a, b| a * b, |a, b| Some(a.wrapping_mul(b)),
        D::Bilinear, &[(0.0, 0.0)], (-2.0, 2.0)),
    /// The quotient of floats.
    Div = row!("div", ".Tensor", Domain::Float, |a, b| a / b, |a, b| a / b, |_, _| None,
        D::LinearInFirst(|_, b, y, t| -(t * (y / b))), &[(0.0, 0.0), (1.0, 0.0)], (0.4, 2.0)),
    /// The remainder with the dividend's sign; integers by zero are errors.
    Fmod = row!("fmod", ".Tensor", Domain::Number, |a, b| a % b, |a, b| a % b,
        |a, b| if b == 0 { None } else { Some(a.wrapping_rem(b)) },
        D::LinearInFirst(|a, b, _, t| -(t * (a / b).trunc())), &[(-3.0, 3.0), (1.0, 0.0)], (0.4, 2.0)),
    /// The remainder with the divisor's sign; integers by zero are errors.
    Remainder = row!("remainder", ".Tensor", Domain::Number, remainder64, remainder32,
        |a, b| if b == 0 { None } else { Some(remainder_i64(a, b)) },
        D::LinearInFirst(|a, b, _, t| -(t * (a / b).floor())), &[(-3.0, 3.0), (1.0, 0.0), (-1.0, f64::INFINITY)], (0.4, 2.0)),
    /// The power. 0⁰ is 1; see the spec for the derivatives at base 0.
    Pow = Row { name: "pow", schema: "aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor",
        domain: Domain::Number, f: Fns::Same { f64: f64::powf, f32: f32::powf, i64: int_pow },
        derivative: D::Parts(pow_base, pow_exponent),
        kinks: &[(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (0.0, -1.0), (-2.0, 2.0), (-2.0, 0.5)], interval: (0.4, 2.0) },
    /// The angle of `(other, self)`; derivative 0 at the origin.
    Atan2 = Row { name: "atan2", schema: "aten::atan2(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Float, f: Fns::Same { f64: f64::atan2, f32: f32::atan2, i64: |_, _| None },
        derivative: D::Parts(
            |a, b, _, t| t * atan2_part(b, a, b),
            |a, b, _, t| t * -atan2_part(a, a, b)),
        kinks: &[(0.0, 0.0), (0.0, -0.0), (-0.0, -0.0), (0.0, -1.0)], interval: (0.4, 2.0) },
    /// The larger; NaN if either is. A tie shares the derivative; with NaN both get it.
    Maximum = Row { name: "maximum", schema: "aten::maximum(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Any, f: Fns::Same { f64: |a, b| if a.is_nan() || a > b { a } else { b }, f32: |a, b| if a.is_nan() || a > b { a } else { b }, i64: |a, b| Some(a.max(b)) },
        derivative: D::Parts(
            |a, b, _, t| extreme_part(t, &a.eq(b), &a.lt(b)),
            |a, b, _, t| extreme_part(t, &a.eq(b), &a.gt(b))),
        kinks: &[(1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)], interval: (-2.0, 2.0) },
    /// The smaller; NaN if either is. A tie shares the derivative; with NaN both get it.
    Minimum = Row { name: "minimum", schema: "aten::minimum(Tensor self, Tensor other) -> Tensor",
        domain: Domain::Any, f: Fns::Same { f64: |a, b| if a.is_nan() || a < b { a } else { b }, f32: |a, b| if a.is_nan() || a < b { a } else { b }, i64: |a, b| Some(a.min(b)) },
        derivative: D::Parts(
            |a, b, _, t| extreme_part(t, &a.eq(b), &a.gt(b)),
            |a, b, _, t| extreme_part(t, &a.eq(b), &a.lt(b))),
        kinks: &[(1.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)], interval: (-2.0, 2.0) },
    /// Bitwise and; logical on `bool`.
    BitwiseAnd = row!("bitwise_and", ".Tensor", Domain::Bits, |a, _| a, |a, _| a, |a, b| Some(a & b), D::Zero, &[(1.0, 1.0)], (0.0, 9.0)),
    /// Bitwise or; logical on `bool`.
    BitwiseOr = row!("bitwise_or", ".Tensor", Domain::Bits, |a, _| a, |a, _| a, |a, b| Some(a | b), D::Zero, &[(1.0, 1.0)], (0.0, 9.0)),
    /// Bitwise exclusive or; logical on `bool`.
    BitwiseXor = row!("bitwise_xor", ".Tensor", Domain::Bits, |a, _| a, |a, _| a, |a, b| Some(a ^ b), D::Zero, &[(1.0, 1.0)], (0.0, 9.0)),
    /// 64 random bits for a key and a counter: see [`philox`].
    Philox = Row { name: "philox", schema: "cotangent::philox(Tensor self, Tensor other) -> Tensor", domain: Domain::I64,
        f: Fns::Same { f64: |a, _| a, f32: |a, _| a, i64: |key, counter| Some(philox(key, counter)) },
        derivative: D::Zero, kinks: &[(-1.0, -1.0)], interval: (0.0, 99.0) },
    /// Equality; NaN equals nothing.
    Eq = compare_row!("eq", ==),
    /// Inequality.
    Ne = compare_row!("ne", !=),
    /// Less.
    Lt = compare_row!("lt", <),
    /// Less or equal.
    Le = compare_row!("le", <=),
    /// Greater.
    Gt = compare_row!("gt", >),
    /// Greater or equal.
    Ge = compare_row!("ge", >=),
}

fn remainder64(a: f64, b: f64) -> f64 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}

fn remainder32(a: f32, b: f32) -> f32 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}

fn remainder_i64(a: i64, b: i64) -> i64 {
    let r = a.wrapping_rem(b);
    if r != 0 && (r < 0) != (b < 0) { r + b } else { r }
}

/// Integer power by squaring with wrapping; a negative exponent gives 0 except for bases 1 and -1.
fn int_pow(a: i64, b: i64) -> Option<i64> {
    if b < 0 {
        return Some(match a {
            1 => 1,
            -1 => {
                if b % 2 == 0 {
                    1
                } else {
                    -1
                }
            }
            _ => 0,
        });
    }
    let (mut base, mut e, mut out) = (a, b, 1i64);
    while e > 0 {
        if e & 1 == 1 {
            out = out.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        e >>= 1;
    }
    Some(out)
}

/// Exponent 0 has derivative 0 even where `x^(e-1)` is infinite or NaN.
fn pow_base(a: &Tensor, b: &Tensor, _: &Tensor, t: &Tensor) -> Tensor {
    let d = b * a.pow(&(b - 1.0));
    t * d.where_(&b.ne(0.0), d.zeros_like())
}

/// Base 0 with an exponent that is not negative has derivative 0 in the exponent.
fn pow_exponent(a: &Tensor, b: &Tensor, y: &Tensor, t: &Tensor) -> Tensor {
    let d = y * a.log();
    let flat = a.eq(0.0).bitwise_and(b.ge(0.0));
    t * d.zeros_like().where_(&flat, &d)
}

/// `num / (a² + b²)`, and 0 at the origin.
fn atan2_part(num: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    let square = a * a + b * b;
    let part = num / &square;
    part.zeros_like().where_(&square.eq(0.0), &part)
}

fn extreme_part(t: &Tensor, tie: &Tensor, lost: &Tensor) -> Tensor {
    let half = (t * 0.5).where_(tie, t);
    t.zeros_like().where_(lost, &half)
}

impl Binary {
    /// The domain of the function.
    pub fn domain(self) -> Domain {
        self.row().domain
    }

    /// Whether the result is `bool` whatever the operands are.
    pub fn is_comparison(self) -> bool {
        matches!(self.row().f, Fns::Compare { .. })
    }

    /// The function on `f64`, comparisons giving 0 and 1.
    pub fn eval_f64(self, a: f64, b: f64) -> f64 {
        match self.row().f {
            Fns::Same { f64, .. } => f64(a, b),
            Fns::Compare { f64, .. } => f64::from(u8::from(f64(&a, &b))),
        }
    }
}

impl Primitive for Binary {
    fn name(&self) -> &'static str {
        self.row().name
    }

    fn schema(&self) -> &'static str {
        self.row().schema
    }

    fn attrs(&self) -> Attrs {
        Vec::new()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a, b] = arity(args)?;
        let row = self.row();
        if a != b {
            return Err(InferError::Mismatch {
                label: "binary_c1",
                expected: "operands of one dtype and shape".to_owned(),
                lhs: a.clone(),
                rhs: b.clone(),
            });
        }
        if !row.domain.has(a.dtype) {
            return Err(InferError::Operand {
                label: "binary_c2",
                expected: row.domain.words().to_owned(),
                found: a.clone(),
            });
        }
        one(if self.is_comparison() { a.with_dtype(DType::Bool) } else { a.clone() })
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (a, b) = (args[0], args[1]);
        if matches!(a.dtype(), DType::BF16 | DType::F16) {
            let y = self.eval(&[&a.cast(DType::F32), &b.cast(DType::F32)])?.remove(0);
            return Ok(vec![if self.is_comparison() { y } else { y.cast(a.dtype()) }]);
        }
        Ok(vec![match self.row().f {
            Fns::Compare { f64, i64 } => {
                let y = dispatch!(a.dtype(), T => a.elems::<T>().iter().zip(b.elems::<T>()).map(|(x, y)| {
                    match (x.to_scalar(), y.to_scalar()) {
                        (Scalar::Float(x), Scalar::Float(y)) => f64(&x, &y),
                        (x, y) => i64(&x.to_i64(), &y.to_i64()),
                    }
                }).collect::<Vec<bool>>());
                Array::new(a.shape(), y)
            }
            Fns::Same { f64, f32, i64 } => match a.dtype() {
                DType::F64 => zip(a, b, f64),
                DType::F32 => zip(a, b, f32),
                DType::BF16
                | DType::F16
                | DType::I64
                | DType::I32
                | DType::I16
                | DType::I8
                | DType::U8
                | DType::Bool => {
                    dispatch!(a.dtype(), T => {
                        let pairs = a.elems::<T>().iter().zip(b.elems::<T>()).enumerate();
                        let y: Result<Vec<T>, EvalError> = pairs.map(|(at, (x, y))| {
                            i64(x.to_scalar().to_i64(), y.to_scalar().to_i64())
                                .map(|v| T::from_scalar(Scalar::Int(v)))
                                .ok_or(EvalError::ZeroDivision { at })
                        }).collect();
                        Array::new(a.shape(), y?)
                    })
                }
            },
        }])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let (a, b, y) = (&x[0], &x[1], &y[0]);
        vec![match (self.row().derivative, &x_dot[0], &x_dot[1]) {
            (D::Zero, _, _) | (_, Tangent::Zero, Tangent::Zero) => Tangent::Zero,
            (D::Joint(_), Tangent::Is(s), Tangent::Is(t)) => Tangent::Is(s.binary(*self, t)),
            (D::Joint(_), Tangent::Is(s), Tangent::Zero) => Tangent::Is(s.clone()),
            (D::Joint(sign), Tangent::Zero, Tangent::Is(t)) => Tangent::Is(if sign < 0.0 { -t } else { t.clone() }),
            (D::Bilinear, s, t) => s.map(|s| s * b).plus(t.map(|t| a * t)),
            (D::LinearInFirst(second), s, t) => {
                let first = if *self == Binary::Div { s.map(|s| s / b) } else { s.clone() };
                first.plus(t.map(|t| second(a, b, y, t)))
            }
            (D::Parts(first, second), s, t) => s.map(|s| first(a, b, y, s)).plus(t.map(|t| second(a, b, y, t))),
        }]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let y_bar = &y_bar[0];
        match (self, &args[0], &args[1]) {
            (_, LinArg::Residual(_), LinArg::Residual(_)) => vec![Cotangent::Zero, Cotangent::Zero],
            (Binary::Add, a, b) => {
                let part = |l: &LinArg| match l {
                    LinArg::Residual(_) => Cotangent::Zero,
                    LinArg::Linear(_) => y_bar.clone(),
                };
                vec![part(a), part(b)]
            }
            (Binary::Sub, a, b) => {
                let first = match a {
                    LinArg::Residual(_) => Cotangent::Zero,
                    LinArg::Linear(_) => y_bar.clone(),
                };
                let second = match b {
                    LinArg::Residual(_) => Cotangent::Zero,
                    LinArg::Linear(_) => y_bar.map(|t| -t),
                };
                vec![first, second]
            }
            (Binary::Mul, LinArg::Linear(_), LinArg::Residual(b)) => {
                vec![y_bar.map(|t| t * b), Cotangent::Zero]
            }
            (Binary::Mul, LinArg::Residual(a), LinArg::Linear(_)) => {
                vec![Cotangent::Zero, y_bar.map(|t| t * a)]
            }
            (Binary::Div, LinArg::Linear(_), LinArg::Residual(b)) => {
                vec![y_bar.map(|t| t / b), Cotangent::Zero]
            }
            (_, _, _) => nonlinear(self.name()),
        }
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (a, b) = (args[0].materialised(size), args[1].materialised(size));
        vec![Batched::mapped(a.binary(*self, &b))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Pointwise(ScalarFn::Binary(*self))
    }
}

fn zip<T: Element>(a: &Array, b: &Array, f: fn(T, T) -> T) -> Array {
    let pairs = a.elems::<T>().iter().zip(b.elems::<T>());
    Array::new(a.shape(), pairs.map(|(x, y)| f(*x, *y)).collect())
}

impl FromText for Binary {
    fn from_text(name: &str, _: &mut AttrReader) -> Option<Result<Self, AttrError>> {
        Binary::ALL.iter().find(|u| u.row().name == name).map(|u| Ok(*u))
    }
}

impl Samples for Binary {
    fn samples() -> Vec<Sample> {
        let mut out = Vec::new();
        for op in Binary::ALL {
            let row = op.row();
            let main = if row.domain.has(DType::F64) { DType::F64 } else { DType::I64 };
            let (lo, hi) = row.interval;
            let at = |k: f64, i: usize| lo + (hi - lo) * (k * (i as f64 + 1.0)).fract();
            let aval = Aval::new(main, [2, 3]);
            let a = Array::from_f64_fn(&aval, |i| at(0.317, i));
            let b = Array::from_f64_fn(&aval, |i| at(0.731, i));
            out.push(Sample::new("usual", *op, [a.clone(), b.clone()]));
            out.push(Sample::new("scalar", *op, [a.pick((), |_| 0), b.pick((), |_| 0)]));
            for (k, l) in row.kinks {
                let at = |x: f64| Array::from_f64_fn(&Aval::new(main, [1]), |_| x);
                out.push(Sample::kink("kink", *op, [at(*k), at(*l)]));
            }
            let empty = Array::full(&Aval::new(main, [2, 0]), 1.0.into());
            out.push(Sample::new("empty", *op, [empty.clone(), empty]));
        }
        out
    }
}
