//! The factorization of symmetric indefinite matrices, packed as LAPACK does.

use super::{Kind, Matrices, Matrix, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    no_derivative, nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `A = L D Lᵀ` up to exchanges of rows and columns, with a unit lower `L` and a `D` of blocks of size 1 and 2.
    ///
    /// *Shape*: `[.., n, n] → [.., n, n], [.., n], [..]`; the last two are of `i32`. The lower triangle is read.
    /// *Numerics*: the diagonal pivoting of Bunch and Kaufman as in LAPACK's `sytf2`: `pivots[i] = r > 0` says that row `i`
    /// changed places with row `r` (from 1) for a block of size 1; two equal negative numbers `-r` that the second row of a
    /// block of size 2 changed places with row `r`. `info` is 0, or the place (from 1) of the first block that is zero.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `ldl_factor_c1` `hermitian`, which differs for complex numbers only;
    /// `ldl_factor_c2` `check_errors`, for which an assertion on `info` stands.
    /// *Derivative*: none, as in PyTorch: a tangent is the error `ldl_factor_c3`.
    /// *Source*: `torch.linalg.ldl_factor_ex`.
    pub struct LdlFactor {
        /// Whether complex matrices are Hermitian: never in a primitive.
        pub hermitian: bool,
        /// Whether a zero block is an error: never in a primitive.
        pub check_errors: bool,
    }
}
from_text!(LdlFactor, "linalg_ldl_factor_ex");

/// The share of the largest element of its column above which a diagonal element is a pivot of size 1.
fn threshold() -> f64 {
    (1.0 + 17f64.sqrt()) / 8.0
}

/// The place below `from` (and before `to`) of the element of largest magnitude, and this magnitude; 0 of none.
fn largest(from: usize, to: usize, at: impl Fn(usize) -> f64) -> (usize, f64) {
    (from..to).fold((from, 0.0), |(best, size), i| if at(i).abs() > size { (i, at(i).abs()) } else { (best, size) })
}

/// `LD`, `pivots` and `info` of one matrix.
fn factor(m: Matrix<'_>) -> (Vec<f64>, Vec<i32>, i32) {
    let n = m.rows;
    let mut a: Vec<f64> = (0..n * n).map(|e| if e / n.max(1) >= e % n.max(1) { m.data[e] } else { 0.0 }).collect();
    let (mut pivots, mut info, mut k) = (vec![0; n], 0, 0);
    while k < n {
        let at = |i: usize, j: usize| a[i * n + j];
        let diagonal = at(k, k).abs();
        let (below, column) = largest(k + 1, n, |i| at(i, k));
        let zero = diagonal.max(column) == 0.0 || diagonal.is_nan();
        // The size of the block, and the row that changes places with its last one.
        let (size, with) = if zero || diagonal >= threshold() * column {
            (1, k)
        } else {
            let (_, left) = largest(k, below, |j| at(below, j));
            let (_, down) = largest(below + 1, n, |i| at(i, below));
            let row = left.max(down);
            if diagonal >= threshold() * column * (column / row) {
                (1, k)
            } else if at(below, below).abs() >= threshold() * row {
                (1, below)
            } else {
                (2, below)
            }
        };
        if zero {
            info = if info == 0 { k as i32 + 1 } else { info };
            pivots[k] = k as i32 + 1;
            k += 1;
            continue;
        }
        exchange(&mut a, n, k, k + size - 1, with);
        if size == 1 {
            pivots[k] = with as i32 + 1;
            eliminate_one(&mut a, n, k);
        } else {
            (pivots[k], pivots[k + 1]) = (-(with as i32 + 1), -(with as i32 + 1));
            eliminate_two(&mut a, n, k);
        }
        k += size;
    }
    (a, pivots, info)
}

/// Exchanges rows and columns `i` and `j ≥ i` of the part from column `k` on, of which the lower triangle is stored.
fn exchange(a: &mut [f64], n: usize, k: usize, i: usize, j: usize) {
    if i == j {
        return;
    }
    (j + 1..n).for_each(|r| a.swap(r * n + i, r * n + j));
    (i + 1..j).for_each(|r| a.swap(r * n + i, j * n + r));
    a.swap(i * n + i, j * n + j);
    (k..i).for_each(|c| a.swap(i * n + c, j * n + c));
}

fn eliminate_one(a: &mut [f64], n: usize, k: usize) {
    let inverse = 1.0 / a[k * n + k];
    for j in k + 1..n {
        let factor = a[j * n + k] * inverse;
        for i in j..n {
            a[i * n + j] -= a[i * n + k] * factor;
        }
    }
    (k + 1..n).for_each(|i| a[i * n + k] *= inverse);
}

fn eliminate_two(a: &mut [f64], n: usize, k: usize) {
    let off = a[(k + 1) * n + k];
    let (first, second) = (a[(k + 1) * n + k + 1] / off, a[k * n + k] / off);
    let scale = 1.0 / (first * second - 1.0) / off;
    for j in k + 2..n {
        let w = scale * (first * a[j * n + k] - a[j * n + k + 1]);
        let v = scale * (second * a[j * n + k + 1] - a[j * n + k]);
        for i in j..n {
            a[i * n + j] -= a[i * n + k] * w + a[i * n + k + 1] * v;
        }
        (a[j * n + k], a[j * n + k + 1]) = (w, v);
    }
}

impl Primitive for LdlFactor {
    fn name(&self) -> &'static str {
        "linalg_ldl_factor_ex"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor pivots, Tensor info)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let a = Matrices::square(x)?;
        let flags =
            [("ldl_factor_c1", "hermitian", self.hermitian), ("ldl_factor_c2", "check_errors", self.check_errors)];
        for (label, attr, value) in flags {
            if value {
                let (expected, found) = ("false".to_owned(), "true".to_owned());
                return Err(InferError::Attribute { label, attr, expected, found });
            }
        }
        Ok([x.clone(), a.with(DType::I32, &[a.rows]), a.with(DType::I32, &[])].into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0].aval();
        let a = Matrices::of(&x).expect("I3: inferred");
        let (mut ld, mut pivots, mut info) = (Vec::new(), Vec::new(), Vec::new());
        for matrix in a.each(&args[0].to_f64_vec()) {
            let of = factor(matrix);
            ld.extend(of.0);
            pivots.extend(of.1);
            info.push(of.2);
        }
        Ok(vec![
            Array::from_f64_fn(&x, |i| ld[i]),
            Array::new(a.with(DType::I32, &[a.rows]).shape, pivots),
            Array::new(&a.batch, info),
        ])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let ld_dot = x_dot[0].map(|t| no_derivative(self.name(), "ldl_factor_c3", "self", t));
        vec![ld_dot, Tangent::Zero, Tangent::Zero]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.ldl_factor_exact().map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Ldl)
    }
}

impl Samples for LdlFactor {
    fn samples() -> Vec<Sample> {
        let of = |note, a: Array| {
            let op = LdlFactor { hermitian: false, check_errors: false };
            Sample::new(note, op, [a]).without_derivative(&[0])
        };
        let matrix = |dtype, shape: &[usize]| sample_matrix(Kind::Positive, dtype, shape);
        vec![
            of("usual", matrix(DType::F64, &[3, 3])),
            of("a block of two", Array::new([3, 3], vec![0.0, 1.0, 2.0, 1.0, 0.0, 3.0, 2.0, 3.0, 0.0])),
            of("an exchange", Array::new([2, 2], vec![0.1, 1.0, 1.0, 5.0])),
            of("zeros", Array::new([2, 2], vec![0.0; 4])),
            of("batch", matrix(DType::F64, &[2, 4, 4])),
            of("one", matrix(DType::F64, &[1, 1])),
            of("empty", matrix(DType::F64, &[0, 0])),
            of("empty batch", matrix(DType::F64, &[0, 2, 2])),
            of("single", matrix(DType::F32, &[2, 2])),
        ]
    }
}
