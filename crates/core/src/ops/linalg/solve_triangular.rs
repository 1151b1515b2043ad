//! Triangular systems of equations.

use super::{Joined, Kind, Matrices, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear, one,
};
use crate::tensor::Tensor;

attr_struct! {
    /// `X` with `self · X = B`, or `X · self = B` unless `left`.
    ///
    /// *Shape*: `[.., n, n], [.., n, k] → [.., n, k]`; `B: [.., k, n]` unless `left`.
    /// *Numerics*: substitution; reads one triangle of `self`, without its diagonal (taken as ones) if `unitriangular`.
    /// A zero on the diagonal divides: infinities and NaN, no error.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `solve_triangular_c1` dtypes, batch dims or sizes that do not fit.
    /// *Derivative*: linear in `B`; that by `self` lies in the triangle that is read.
    /// *Source*: `torch.linalg.solve_triangular`.
    pub struct SolveTriangular {
        /// Which triangle is read.
        pub upper: bool,
        /// Whether the matrix stands left of the unknown.
        pub left: bool,
        /// Whether the diagonal is taken as ones.
        pub unitriangular: bool,
    }
}
from_text!(SolveTriangular, "linalg_solve_triangular");

impl SolveTriangular {
    /// The system of the transposed matrix.
    fn transposed(&self) -> Self {
        SolveTriangular { upper: !self.upper, ..self.clone() }
    }

    /// The part of a matrix that is read.
    fn part(&self, a: &Tensor) -> Tensor {
        let off = i64::from(self.unitriangular);
        if self.upper { a.upper(off) } else { a.lower(-off) }
    }

    /// Solves `a x = b` for the `k` columns of `b`, element `(i, j)` of which stands at `at(i, j)`.
    fn substitute(
        &self,
        a: impl Fn(usize, usize) -> f64,
        x: &mut [f64],
        n: usize,
        k: usize,
        at: impl Fn(usize, usize) -> usize,
    ) {
        // Of the transposed system (right-hand matrices) the other triangle is read.
        let upper = self.upper == self.left;
        for step in 0..n {
            let (i, solved) = if upper { (n - 1 - step, n - step..n) } else { (step, 0..step) };
            for j in 0..k {
                let known: f64 = solved.clone().map(|p| a(i, p) * x[at(p, j)]).sum();
                let rest = x[at(i, j)] - known;
                x[at(i, j)] = if self.unitriangular { rest } else { rest / a(i, i) };
            }
        }
    }
}

impl Primitive for SolveTriangular {
    fn name(&self) -> &'static str {
        "linalg_solve_triangular"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a, b] = arity(args)?;
        let (m, rhs) = (Matrices::square(a)?, Matrices::of(b)?);
        let inner = if self.left { rhs.rows } else { rhs.cols };
        if a.dtype != b.dtype || m.batch != rhs.batch || m.rows != inner {
            let side = if self.left { "[.., n, k]" } else { "[.., k, n]" };
            return Err(InferError::Mismatch {
                label: "solve_triangular_c1",
                expected: format!("[.., n, n] and {side} of one dtype"),
                lhs: a.clone(),
                rhs: b.clone(),
            });
        }
        one(b.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let rhs = Matrices::of(&args[1].aval()).expect("I3: inferred");
        let (rows, cols) = (rhs.rows.get(), rhs.cols.get());
        let (n, k) = if self.left { (rows, cols) } else { (cols, rows) };
        let (a, mut x) = (args[0].to_f64_vec(), args[1].to_f64_vec());
        for b in 0..rhs.batch.numel() {
            let a = &a[b * n * n..][..n * n];
            let x = &mut x[b * n * k..][..n * k];
            if self.left {
                self.substitute(|i, j| a[i * n + j], x, n, k, |i, j| i * k + j);
            } else {
                self.substitute(|i, j| a[j * n + i], x, n, k, |i, j| j * n + i);
            }
        }
        Ok(vec![Array::from_f64_fn(&args[1].aval(), |i| x[i])])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        // A X = B gives A dX = dB - dA X, and dX A = dB - X dA from the right.
        let moved = x_dot[0].map(|a_dot| {
            let a_dot = self.part(a_dot);
            -if self.left { a_dot.matmul_exact(&y[0]) } else { y[0].matmul_exact(&a_dot) }
        });
        let b_dot = x_dot[1].clone().plus(moved);
        vec![b_dot.map(|b_dot| x[0].solve_triangular_exact(self.clone(), b_dot))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let LinArg::Residual(a) = &args[0] else { return nonlinear(self.name()) };
        let b_bar = match &args[1] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|y_bar| a.mt().solve_triangular_exact(self.transposed(), y_bar)),
        };
        vec![Cotangent::Zero, b_bar]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (a, b) = (&args[0], &args[1]);
        if a.mapped {
            let x = a.x.solve_triangular_exact(self.clone(), &b.materialised(size));
            return vec![Batched::mapped(x)];
        }
        // One shared matrix: the batch joins the columns (rows, from the right), and one system solves them all.
        let free = if self.left { b.x.rank() - 1 } else { b.x.rank() - 2 };
        let joined = Joined::new(&b.x, free, size);
        let x = a.x.solve_triangular_exact(self.clone(), &joined.together(&b.x));
        vec![Batched::mapped(joined.apart(&x))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::SolveTriangular)
    }
}

impl Samples for SolveTriangular {
    fn samples() -> Vec<Sample> {
        let of = |note, dtype, [upper, left, unitriangular]: [bool; 3], batch: &[usize], n: usize, k: usize| {
            let a = sample_matrix(Kind::General, dtype, &[batch, &[n, n]].concat());
            let b = if left { [n, k] } else { [k, n] };
            let b = Aval::new(dtype, [batch, &b].concat());
            let b = Array::from_f64_fn(&b, |i| (i as f64 * 1.1).cos());
            Sample::new(note, SolveTriangular { upper, left, unitriangular }, [a, b])
        };
        vec![
            of("usual", DType::F64, [false, true, false], &[], 3, 2),
            of("upper", DType::F64, [true, true, false], &[2], 3, 1),
            of("right", DType::F64, [false, false, false], &[], 2, 3),
            of("upper right unit", DType::F64, [true, false, true], &[2], 2, 2),
            of("unit", DType::F64, [false, true, true], &[], 3, 2),
            of("one", DType::F64, [true, true, false], &[], 1, 1),
            of("empty", DType::F64, [false, true, false], &[], 0, 2),
            of("no columns", DType::F64, [false, false, false], &[], 2, 0),
            of("empty batch", DType::F64, [true, true, false], &[0], 2, 2),
            of("single", DType::F32, [true, true, false], &[], 2, 2),
        ]
    }
}
