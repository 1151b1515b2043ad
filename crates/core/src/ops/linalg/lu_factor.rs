//! The LU factorization with partial pivoting, packed as LAPACK does.

use super::{Kind, Matrices, Matrix, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `A = P L U`, with the unit lower trapezoid `L` and the upper trapezoid `U` packed into `LU`.
    ///
    /// *Shape*: `[.., m, n] → [.., m, n], [.., k], [..]` with `k = min(m, n)`; the last two are of `i32`.
    /// *Numerics*: `pivots[i]` is the row, counted from 1, that changed places with row `i` in step `i`; `info` is 0, or the number,
    /// counted from 1, of the first zero on the diagonal of `U`. The pivot of a column is its element of largest magnitude, the
    /// first of equal ones, as in LAPACK's `getrf`; a column without a nonzero pivot is left as it is, so that
    /// singular matrices have factors too.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `lu_factor_c1` without pivoting, which PyTorch refuses on the CPU as well;
    /// `lu_factor_c2` `check_errors`, for which an assertion on `info` stands.
    /// *Derivative*: of `LU`, the pivots held; infinite or NaN at singular leading blocks.
    /// *Source*: `torch.linalg.lu_factor_ex`.
    pub struct LuFactor {
        /// Whether rows are exchanged: always in a primitive.
        pub pivot: bool,
        /// Whether a zero on the diagonal of `U` is an error: never in a primitive.
        pub check_errors: bool,
    }
}
from_text!(LuFactor, "linalg_lu_factor_ex");

/// `LU`, `pivots` and `info` of one matrix.
///
/// Written out instead of taken from a library, because the choice among equal pivots and the treatment of zero
/// pivots are visible in the results.
pub(super) fn factor(a: Matrix<'_>) -> (Vec<f64>, Vec<i32>, i32) {
    let (m, n) = (a.rows, a.cols);
    let (mut lu, mut pivots, mut info) = (a.data.to_vec(), Vec::new(), 0);
    for j in 0..m.min(n) {
        let mut pivot = j;
        for i in j + 1..m {
            if lu[i * n + j].abs() > lu[pivot * n + j].abs() {
                pivot = i;
            }
        }
        pivots.push(pivot as i32 + 1);
        if lu[pivot * n + j] == 0.0 {
            info = if info == 0 { j as i32 + 1 } else { info };
            continue;
        }
        if pivot != j {
            (0..n).for_each(|c| lu.swap(j * n + c, pivot * n + c));
        }
        for i in j + 1..m {
            let factor = lu[i * n + j] / lu[j * n + j];
            lu[i * n + j] = factor;
            for c in j + 1..n {
                lu[i * n + c] -= factor * lu[j * n + c];
            }
        }
    }
    (lu, pivots, info)
}

/// Solves `A x = b` in place of `b` by the packed factors of `A`, or `Aᵀ x = b` if `adjoint`.
pub(super) fn substitute(lu: &[f64], pivots: &[i32], x: &mut [f64], adjoint: bool) {
    let n = x.len();
    let exchanges = pivots.iter().map(|p| *p as usize - 1).enumerate();
    if !adjoint {
        exchanges.for_each(|(i, row)| x.swap(i, row));
        for i in 0..n {
            x[i] -= (0..i).map(|j| lu[i * n + j] * x[j]).sum::<f64>();
        }
        for i in (0..n).rev() {
            x[i] -= (i + 1..n).map(|j| lu[i * n + j] * x[j]).sum::<f64>();
            x[i] /= lu[i * n + i];
        }
        return;
    }
    for i in 0..n {
        x[i] -= (0..i).map(|j| lu[j * n + i] * x[j]).sum::<f64>();
        x[i] /= lu[i * n + i];
    }
    for i in (0..n).rev() {
        x[i] -= (i + 1..n).map(|j| lu[j * n + i] * x[j]).sum::<f64>();
    }
    exchanges.rev().for_each(|(i, row)| x.swap(i, row));
}

impl Primitive for LuFactor {
    fn name(&self) -> &'static str {
        "linalg_lu_factor_ex"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, Tensor info)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let a = Matrices::of(x)?;
        let wrong = |label, attr, expected: &str, found: bool| {
            let (expected, found) = (expected.to_owned(), found.to_string());
            Err(InferError::Attribute { label, attr, expected, found })
        };
        if !self.pivot {
            return wrong("lu_factor_c1", "pivot", "true (there is no factorization without pivoting)", false);
        }
        if self.check_errors {
            return wrong("lu_factor_c2", "check_errors", "false (assert on `info`)", true);
        }
        Ok([x.clone(), a.with(DType::I32, &[a.small()]), a.with(DType::I32, &[])].into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0].aval();
        let a = Matrices::of(&x).expect("I3: inferred");
        let (mut lu, mut pivots, mut info) = (Vec::new(), Vec::new(), Vec::new());
        for matrix in a.each(&args[0].to_f64_vec()) {
            let of = factor(matrix);
            lu.extend(of.0);
            pivots.extend(of.1);
            info.push(of.2);
        }
        Ok(vec![
            Array::from_f64_fn(&x, |i| lu[i]),
            Array::new(a.with(DType::I32, &[a.small()]).shape, pivots),
            Array::new(&a.batch, info),
        ])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let lu_dot = x_dot[0].map(|a_dot| {
            let [p, l, u] = y[0].lu_unpack_exact(&y[1]);
            let a = Matrices::of(&x[0].aval()).expect("I3: inferred");
            let pa_dot = p.mt().matmul_exact(a_dot);
            if a.rows <= a.cols {
                // Pᵀ dA = dL U + L dU. With H = L⁻¹ Pᵀ dA, the strictly lower part of H₁ U₁⁻¹ is L⁻¹ dL, for the square
                // blocks H₁ and U₁ of the first columns.
                let h = pa_dot.solve_unit_lower(&l);
                let u1 = u.first_cols(a.rows);
                let d = h.first_cols(a.rows).solve_upper_right(&u1).lower(-1);
                l.matmul_exact(&d).padded_cols(a.cols) + (h - d.matmul_exact(&u)).upper(0)
            } else {
                // With G = Pᵀ dA U⁻¹, the upper part of L₁⁻¹ G₁ is dU U⁻¹, for the square blocks of the first rows.
                let g = pa_dot.solve_upper_right(&u);
                let d = g.first_rows(a.cols).solve_unit_lower(&l.first_rows(a.cols)).upper(0);
                (g - l.matmul_exact(&d)).lower(-1) + d.matmul_exact(&u).padded_rows(a.rows)
            }
        });
        vec![lu_dot, Tangent::Zero, Tangent::Zero]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.lu_factor_exact().map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Lu)
    }
}

impl Samples for LuFactor {
    fn samples() -> Vec<Sample> {
        let op = || LuFactor { pivot: true, check_errors: false };
        let of = |note, dtype, shape: &[usize]| Sample::new(note, op(), [sample_matrix(Kind::General, dtype, shape)]);
        let exchanges = vec![0.1, 2.0, 0.3, 0.4, 0.5, 3.0, 2.5, 0.7, 0.8];
        vec![
            of("usual", DType::F64, &[3, 3]),
            Sample::new("exchanges rows", op(), [Array::new([3, 3], exchanges)]),
            of("wide", DType::F64, &[2, 4]),
            of("tall batch", DType::F64, &[2, 4, 2]),
            of("one", DType::F64, &[1, 1]),
            of("empty", DType::F64, &[0, 0]),
            of("no columns", DType::F64, &[2, 0]),
            of("empty batch", DType::F64, &[0, 2, 2]),
            of("single", DType::F32, &[2, 2]),
        ]
    }
}
