//! Systems of symmetric matrices given by their packed factors.

use super::{Kind, Matrices, Matrix, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    no_derivative, nonlinear, one,
};
use crate::tensor::Tensor;

attr_struct! {
    /// The solution `X` of `A X = B`, given the factors of the symmetric `A` from [`super::LdlFactor`].
    ///
    /// *Shape*: `[.., n, n], i32[.., n], [.., n, k] → [.., n, k]`.
    /// *Errors*: `linalg_c1`–`linalg_c3`; `ldl_solve_c1` operands that do not fit; `ldl_solve_c2` `hermitian`; a pivot that is
    /// no row's number.
    /// *Derivative*: linear in `B`, by the same system. None in `LD`, as in PyTorch: a tangent is the error `ldl_solve_c3`.
    /// *Source*: `torch.linalg.ldl_solve`, LAPACK's `sytrs`.
    pub struct LdlSolve {
        /// Whether complex matrices are Hermitian: never in a primitive.
        pub hermitian: bool,
    }
}
from_text!(LdlSolve, "linalg_ldl_solve");

/// Solves for the `k` columns of the row-major `x`; the blocks are one or two rows each.
fn substitute(ld: &Matrix<'_>, blocks: &[(usize, usize, usize)], x: &mut [f64], k: usize) {
    let n = ld.rows;
    let a = |i: usize, j: usize| ld.data[i * n + j];
    let exchange = |x: &mut [f64], i: usize, j: usize| (0..k).for_each(|c| x.swap(i * k + c, j * k + c));
    // Down: P₁ L₁ P₂ L₂ … and the blocks of D.
    for &(start, size, with) in blocks {
        let last = start + size - 1;
        exchange(x, last, with);
        for c in 0..k {
            for i in last + 1..n {
                x[i * k + c] -= (start..=last).map(|j| a(i, j) * x[j * k + c]).sum::<f64>();
            }
            if size == 1 {
                x[start * k + c] /= a(start, start);
            } else {
                let off = a(last, start);
                let (first, second) = (a(start, start) / off, a(last, last) / off);
                let (b, d) = (x[start * k + c] / off, x[last * k + c] / off);
                let divisor = first * second - 1.0;
                x[start * k + c] = (second * b - d) / divisor;
                x[last * k + c] = (first * d - b) / divisor;
            }
        }
    }
    // Up: the transposes.
    for &(start, size, with) in blocks.iter().rev() {
        let last = start + size - 1;
        for c in 0..k {
            for j in start..=last {
                x[j * k + c] -= (last + 1..n).map(|i| a(i, j) * x[i * k + c]).sum::<f64>();
            }
        }
        exchange(x, last, with);
    }
}

/// Start and size of each block, and the row that changes places with its last one; the position of a pivot that is no row.
fn blocks(pivots: &[i64]) -> Result<Vec<(usize, usize, usize)>, usize> {
    let (n, mut out, mut k) = (pivots.len(), Vec::new(), 0);
    while k < n {
        let size = if pivots[k] < 0 { 2 } else { 1 };
        let row = usize::try_from(pivots[k].unsigned_abs()).ok().and_then(|r| r.checked_sub(1)).filter(|r| *r < n);
        match row {
            Some(row) if k + size <= n => out.push((k, size, row)),
            Some(_) | None => return Err(k),
        }
        k += size;
    }
    Ok(out)
}

impl Primitive for LdlSolve {
    fn name(&self) -> &'static str {
        "linalg_ldl_solve"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [ld, pivots, b] = arity(args)?;
        let (m, rhs) = (Matrices::square(ld)?, Matrices::of(b)?);
        let fits = ld.dtype == b.dtype && m.batch == rhs.batch && m.rows == rhs.rows;
        if !fits || *pivots != m.with(DType::I32, &[m.rows]) {
            return Err(InferError::Mismatch {
                label: "ldl_solve_c1",
                expected: "[.., n, n], i32[.., n] and [.., n, k] of one dtype".to_owned(),
                lhs: ld.clone(),
                rhs: if fits { pivots.clone() } else { b.clone() },
            });
        }
        if self.hermitian {
            let (expected, found) = ("false".to_owned(), "true".to_owned());
            return Err(InferError::Attribute { label: "ldl_solve_c2", attr: "hermitian", expected, found });
        }
        one(b.clone())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let (ld, b) = (args[0].aval(), args[2].aval());
        let m = Matrices::of(&ld).expect("I3: inferred");
        let (n, k) = (m.rows.get(), Matrices::of(&b).expect("I3: inferred").cols.get());
        let (data, pivots, mut x) = (args[0].to_f64_vec(), args[1].to_i64_vec(), args[2].to_f64_vec());
        for (i, matrix) in m.each(&data).enumerate() {
            let own = &pivots[i * n..][..n];
            let blocks = blocks(own).map_err(|at| EvalError::Index {
                dim: ld.rank() - 2,
                index: own[at],
                size: n,
                at: i * n + at,
            })?;
            substitute(&matrix, &blocks, &mut x[i * n * k..][..n * k], k);
        }
        Ok(vec![Array::from_f64_fn(&b, |i| x[i])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        if let Tangent::Is(t) = &x_dot[0] {
            return vec![Tangent::Is(no_derivative(self.name(), "ldl_solve_c3", "LD", t))];
        }
        vec![x_dot[2].map(|b_dot| x[0].ldl_solve_exact(&x[1], b_dot))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        let [LinArg::Residual(ld), LinArg::Residual(pivots), b] = args else { return nonlinear(self.name()) };
        let b_bar = match b {
            LinArg::Residual(_) => Cotangent::Zero,
            // The matrix is symmetric.
            LinArg::Linear(_) => y_bar[0].map(|y_bar| ld.ldl_solve_exact(pivots, y_bar)),
        };
        vec![Cotangent::Zero, Cotangent::Zero, b_bar]
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let [ld, pivots, b] = [0, 1, 2].map(|i| args[i].materialised(size));
        vec![Batched::mapped(ld.ldl_solve_exact(&pivots, &b))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::LdlSolve)
    }
}

impl Samples for LdlSolve {
    fn samples() -> Vec<Sample> {
        let of = |note, dtype, batch: &[usize], n: usize, k: usize, pivots: &[i32]| {
            let lead: Shape = batch.iter().copied().collect();
            let ld = sample_matrix(Kind::Positive, dtype, &[batch, &[n, n]].concat());
            let count: usize = batch.iter().product();
            let pivots = Array::new(lead.concat(&[n].into()), pivots.repeat(count));
            let b = Aval::new(dtype, lead.concat(&[n, k].into()));
            let b = Array::from_f64_fn(&b, |i| (i as f64 * 1.1).cos());
            Sample::new(note, LdlSolve { hermitian: false }, [ld, pivots, b]).without_derivative(&[0])
        };
        vec![
            of("usual", DType::F64, &[], 3, 2, &[1, 3, 3]),
            of("a block of two", DType::F64, &[2], 3, 1, &[-3, -3, 3]),
            of("one", DType::F64, &[], 1, 1, &[1]),
            of("empty", DType::F64, &[], 0, 2, &[]),
            of("no columns", DType::F64, &[], 2, 0, &[1, 2]),
            of("empty batch", DType::F64, &[0], 2, 2, &[1, 2]),
            of("single", DType::F32, &[], 2, 2, &[2, 2]),
        ]
    }
}
