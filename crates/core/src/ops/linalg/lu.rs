//! The LU factorization with partial pivoting.

use super::{Kind, Matrices, Matrix, each_matrix, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `A = P L U`: a permutation matrix, a unit lower and an upper trapezoid.
    ///
    /// *Shape*: `[.., m, n] → [.., m, m], [.., m, k], [.., k, n]` with `k = min(m, n)`.
    /// *Numerics*: the pivot of a column is its element of largest magnitude, the first of equal ones, as in LAPACK's
    /// `getrf`; a column without a nonzero pivot is left as it is, so that singular matrices have factors too.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `lu_c1` without pivoting, which PyTorch refuses on the CPU as well.
    /// *Derivative*: of `L` and `U`, the permutation held; infinite or NaN at singular leading blocks.
    /// *Source*: `torch.linalg.lu`.
    pub struct Lu {
        /// Whether rows are exchanged.
        pub pivot: bool,
    }
}
from_text!(Lu, "linalg_lu");

/// The factors of one matrix.
///
/// Written out instead of taken from a library, because the choice among equal pivots and the treatment of zero
/// pivots are visible in the results.
fn factor(a: Matrix<'_>) -> [Vec<f64>; 3] {
    let (m, n) = (a.rows, a.cols);
    let k = m.min(n);
    let mut row_of: Vec<usize> = (0..m).collect();
    let mut lu = a.data.to_vec();
    for j in 0..k {
        let mut pivot = j;
        for i in j + 1..m {
            if lu[i * n + j].abs() > lu[pivot * n + j].abs() {
                pivot = i;
            }
        }
        if lu[pivot * n + j] == 0.0 {
            continue;
        }
        if pivot != j {
            row_of.swap(j, pivot);
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
    let mut p = vec![0.0; m * m];
    row_of.iter().enumerate().for_each(|(i, row)| p[row * m + i] = 1.0);
    let lower = |i: usize, j: usize| {
        if i == j {
            1.0
        } else if i > j {
            lu[i * n + j]
        } else {
            0.0
        }
    };
    let upper = |i: usize, j: usize| if i <= j { lu[i * n + j] } else { 0.0 };
    let l = (0..m * k).map(|e| lower(e / k, e % k)).collect();
    let u = (0..k * n).map(|e| upper(e / n, e % n)).collect();
    [p, l, u]
}

impl Lu {
    fn results(&self, x: &Aval) -> Result<[Aval; 3], InferError> {
        let a = Matrices::of(x)?;
        let k = a.small();
        Ok([[a.rows, a.rows], [a.rows, k], [k, a.cols]].map(|dims| a.with(x.dtype, &dims)))
    }
}

impl Primitive for Lu {
    fn name(&self) -> &'static str {
        "linalg_lu"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        let results = self.results(x)?;
        if !self.pivot {
            return Err(InferError::Attribute {
                label: "lu_c1",
                attr: "pivot",
                expected: "true (there is no factorization without pivoting)".to_owned(),
                found: "false".to_owned(),
            });
        }
        Ok(results.into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let results = self.results(&args[0].aval()).expect("I3: inferred");
        each_matrix(args[0], results, |a| Ok(factor(a)))
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let Tangent::Is(a_dot) = &x_dot[0] else { return vec![Tangent::Zero; 3] };
        let [p, l, u] = [&y[0], &y[1], &y[2]];
        let a = Matrices::of(&x[0].aval()).expect("I3: inferred");
        let pa_dot = p.mt().matmul_exact(a_dot);
        let (l_dot, u_dot) = if a.rows <= a.cols {
            // Pᵀ dA = dL U + L dU. With H = L⁻¹ Pᵀ dA, the strictly lower part of H₁ U₁⁻¹ is L⁻¹ dL, for the square blocks
            // H₁ and U₁ of the first columns.
            let h = pa_dot.solve_unit_lower(l);
            let u1 = u.first_cols(a.rows);
            let d = h.first_cols(a.rows).solve_upper_right(&u1).lower(-1);
            (l.matmul_exact(&d), (h - d.matmul_exact(u)).upper(0))
        } else {
            // With G = Pᵀ dA U⁻¹, the upper part of L₁⁻¹ G₁ is dU U⁻¹, for the square blocks of the first rows.
            let g = pa_dot.solve_upper_right(u);
            let d = g.first_rows(a.cols).solve_unit_lower(&l.first_rows(a.cols)).upper(0);
            ((g - l.matmul_exact(&d)).lower(-1), d.matmul_exact(u))
        };
        vec![Tangent::Zero, Tangent::Is(l_dot), Tangent::Is(u_dot)]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.lu_exact(self.clone()).map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Lu)
    }
}

impl Samples for Lu {
    fn samples() -> Vec<Sample> {
        let op = || Lu { pivot: true };
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
