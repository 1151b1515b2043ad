//! Systems of equations with square matrices.

use super::lu_factor::{factor, substitute};
use super::{Joined, Kind, Matrices, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text, nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// The solution `X` of `A X = B`, or of `X A = B` unless `left`, with the factors of `A` as [`super::LuFactor`] has them.
    ///
    /// *Shape*: `[.., n, n], [.., n, k] → [.., n, k], [.., n, n], i32[.., n], i32[..]`; `B` may be a batch of vectors `[.., n]`,
    /// for which the system stands left.
    /// *Numerics*: infinities and NaN at singular matrices, for which `info` is not 0.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `solve_c1` dtypes, batch dims or sizes that do not fit; `solve_c2` vectors on the left
    /// of the matrix; `solve_c3` `check_errors`, for which an assertion on `info` stands.
    /// *Derivative*: of the solution alone, by the same system: `A X_dot = B_dot - A_dot X`. Linear in `B`.
    /// *Source*: `torch.linalg.solve_ex`.
    pub struct Solve {
        /// Whether the matrix stands left of the unknown.
        pub left: bool,
        /// Whether a singular matrix is an error: never in a primitive.
        pub check_errors: bool,
    }
}
from_text!(Solve, "_linalg_solve_ex");

/// Whether the right-hand side `b` of matrices `a` is a batch of vectors.
fn is_vector(a: &Shape, b: &Shape) -> bool {
    b.rank() + 1 == a.rank()
}

fn first([x, ..]: [Tensor; 4]) -> Tensor {
    x
}

/// `a_dot · x`, or `x · a_dot` unless `left`.
fn moved(a_dot: &Tensor, x: &Tensor, left: bool) -> Tensor {
    if is_vector(a_dot.shape(), x.shape()) {
        a_dot.matmul_exact(&x.column()).view_to(x.shape())
    } else if left {
        a_dot.matmul_exact(x)
    } else {
        x.matmul_exact(a_dot)
    }
}

impl Primitive for Solve {
    fn name(&self) -> &'static str {
        "_linalg_solve_ex"
    }

    fn schema(&self) -> &'static str {
        "aten::_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor LU, Tensor pivots, Tensor info)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a, b] = arity(args)?;
        let m = Matrices::square(a)?;
        let wrong = |label, attr, expected: &str, found: bool| {
            let (expected, found) = (expected.to_owned(), found.to_string());
            Err(InferError::Attribute { label, attr, expected, found })
        };
        let fits = if is_vector(&a.shape, &b.shape) {
            b.shape == m.batch.concat(&[m.rows].into_iter().collect())
        } else {
            let rhs = Matrices::of(b)?;
            m.batch == rhs.batch && m.rows == if self.left { rhs.rows } else { rhs.cols }
        };
        if a.dtype != b.dtype || !fits {
            let side = if self.left { "[.., n, k] (or [.., n])" } else { "[.., k, n]" };
            let expected = format!("[.., n, n] and {side} of one dtype");
            return Err(InferError::Mismatch { label: "solve_c1", expected, lhs: a.clone(), rhs: b.clone() });
        }
        if is_vector(&a.shape, &b.shape) && !self.left {
            return wrong("solve_c2", "left", "true (vectors stand right of the matrix)", false);
        }
        if self.check_errors {
            return wrong("solve_c3", "check_errors", "false (assert on `info`)", true);
        }
        let pivots = m.with(DType::I32, &[m.rows]);
        Ok([b.clone(), a.clone(), pivots, m.with(DType::I32, &[])].into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (a, b) = (args[0].aval(), args[1].aval());
        let m = Matrices::square(&a).expect("I3: inferred");
        let n = m.rows.get();
        let mut x = args[1].to_f64_vec();
        let (mut lu, mut pivots, mut info) = (Vec::new(), Vec::new(), Vec::new());
        let each = x.len() / m.batch.numel().max(1);
        for (i, matrix) in m.each(&args[0].to_f64_vec()).enumerate() {
            let of = factor(matrix);
            let rhs = &mut x[i * each..][..each];
            // The unknowns of one system are a column, from the right a row.
            let systems = each / n.max(1);
            let step = if self.left { (systems, 1) } else { (1, n) };
            for s in 0..systems {
                let mut column: Vec<f64> = (0..n).map(|r| rhs[r * step.0 + s * step.1]).collect();
                substitute(&of.0, &of.1, &mut column, !self.left);
                column.into_iter().enumerate().for_each(|(r, v)| rhs[r * step.0 + s * step.1] = v);
            }
            lu.extend(of.0);
            pivots.extend(of.1);
            info.push(of.2);
        }
        Ok(vec![
            Array::from_f64_fn(&b, |i| x[i]),
            Array::from_f64_fn(&a, |i| lu[i]),
            Array::new(m.with(DType::I32, &[m.rows]).shape, pivots),
            Array::new(&m.batch, info),
        ])
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let b_dot = x_dot[1].clone().plus(x_dot[0].map(|a_dot| -moved(a_dot, &y[0], self.left)));
        let solution = b_dot.map(|b_dot| first(x[0].solve_exact(self.left, b_dot)));
        vec![solution, Tangent::Zero, Tangent::Zero, Tangent::Zero]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let LinArg::Residual(a) = &args[0] else { return nonlinear(self.name()) };
        let b_bar = match &args[1] {
            LinArg::Residual(_) => Cotangent::Zero,
            LinArg::Linear(_) => y_bar[0].map(|y_bar| first(a.mt().solve_exact(self.left, y_bar))),
        };
        vec![Cotangent::Zero, b_bar]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (a, b) = (&args[0], &args[1]);
        if a.mapped {
            let results = a.x.solve_exact(self.left, &b.materialised(size));
            return results.into_iter().map(Batched::mapped).collect();
        }
        // One shared matrix: the batch joins the columns (rows, from the right), and one system solves them all.
        let vector = is_vector(a.x.shape(), &b.x.shape().removed(0));
        let rhs = if vector { b.x.column() } else { b.x.clone() };
        let dim = if self.left { rhs.rank() - 1 } else { rhs.rank() - 2 };
        let joined = Joined::new(&rhs, dim, size);
        let [x, lu, pivots, info] = a.x.solve_exact(self.left, &joined.together(&rhs));
        let shared = |x| Batched { x, mapped: false };
        vec![Batched::mapped(joined.apart(&x).view_to(b.x.shape())), shared(lu), shared(pivots), shared(info)]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Inline
    }
}

impl Samples for Solve {
    fn samples() -> Vec<Sample> {
        let of = |note, dtype, left: bool, a: &[usize], b: &[usize]| {
            let b = Array::from_f64_fn(&Aval::new(dtype, b), |i| (i as f64 * 1.1).cos());
            let a = sample_matrix(Kind::General, dtype, a);
            Sample::new(note, Solve { left, check_errors: false }, [a, b]).with_constants(&[1])
        };
        vec![
            of("usual", DType::F64, true, &[3, 3], &[3, 2]),
            of("vectors", DType::F64, true, &[2, 3, 3], &[2, 3]),
            of("right batch", DType::F64, false, &[2, 2, 2], &[2, 3, 2]),
            of("one", DType::F64, true, &[1, 1], &[1]),
            of("empty", DType::F64, true, &[0, 0], &[0, 2]),
            of("no columns", DType::F64, true, &[2, 2], &[2, 0]),
            of("empty batch", DType::F64, true, &[0, 2, 2], &[0, 2, 2]),
            of("single", DType::F32, false, &[2, 2], &[1, 2]),
        ]
    }
}
