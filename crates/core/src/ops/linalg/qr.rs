//! The QR factorization.

use super::{Kind, Matrices, Matrix, each_matrix, row_major, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attr, AttrField, Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Eye, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};
use crate::tensor::Tensor;

/// Multiplications of a matrix from which on [`faer`] factors it, in blocks: it is several times as fast, and gives other signs where a column depends
/// on those before it.
const LARGE: usize = 1 << 18;

/// How much of `Q` is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QrMode {
    /// The first `min(m, n)` columns.
    Reduced,
    /// All `m` columns.
    Complete,
}

impl AttrField for QrMode {
    const KIND: &'static str = "\"reduced\" or \"complete\"";

    fn to_attr(&self) -> Attr {
        Attr::Str(match self {
            QrMode::Reduced => "reduced".to_owned(),
            QrMode::Complete => "complete".to_owned(),
        })
    }

    fn from_attr(attr: &Attr) -> Option<Self> {
        match String::from_attr(attr)?.as_str() {
            "reduced" => Some(QrMode::Reduced),
            "complete" => Some(QrMode::Complete),
            _ => None,
        }
    }
}

attr_struct! {
    /// `A = Q R` with orthonormal columns of `Q` and an upper trapezoid `R`.
    ///
    /// *Shape*: `[.., m, n] → [.., m, k], [.., k, n]` with `k = min(m, n)`, or `k = m` if complete.
    /// *Numerics*: Householder reflections with LAPACK's signs: a diagonal element of `R` has the sign opposite to the
    /// element it replaces, and keeps it where nothing stands below.
    /// *Errors*: `linalg_c1`, `linalg_c2`.
    /// *Derivative*: needs the first `min(m, n)` columns independent; infinite or NaN otherwise. A complete `Q` of a tall matrix,
    /// which PyTorch refuses to differentiate, has the derivative of the product of reflections that it is.
    /// *Source*: `torch.linalg.qr`.
    pub struct Qr {
        /// How much of `Q` is computed.
        pub mode: QrMode,
    }
}
from_text!(Qr, "linalg_qr");

impl Qr {
    fn results(&self, x: &Aval) -> Result<[Aval; 2], InferError> {
        let a = Matrices::of(x)?;
        let k = match self.mode {
            QrMode::Reduced => a.small(),
            QrMode::Complete => a.rows,
        };
        Ok([a.with(x.dtype, &[a.rows, k]), a.with(x.dtype, &[k, a.cols])])
    }
}

impl Primitive for Qr {
    fn name(&self) -> &'static str {
        "linalg_qr"
    }

    fn schema(&self) -> &'static str {
        "aten::linalg_qr(Tensor A, str mode=\"reduced\") -> (Tensor Q, Tensor R)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        Ok(self.results(x)?.into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let results = self.results(&args[0].aval()).expect("I3: inferred");
        each_matrix(args[0], results, |a| {
            if a.cols == 0 {
                let side = if self.mode == QrMode::Complete { a.rows } else { 0 };
                let identity = (0..a.rows * side).map(|i| f64::from(u8::from(i / side == i % side)));
                return Ok([identity.collect(), Vec::new()]);
            }
            if a.rows * a.cols * a.rows.min(a.cols) < LARGE {
                return Ok(reflected(&a, if self.mode == QrMode::Complete { a.rows } else { a.rows.min(a.cols) }));
            }
            let qr = a.faer().qr();
            let (q, mut r) = match self.mode {
                QrMode::Reduced => (qr.compute_thin_Q(), row_major(qr.thin_R())),
                QrMode::Complete => (qr.compute_Q(), row_major(qr.thin_R())),
            };
            r.resize(q.ncols() * a.cols, 0.0);
            Ok([row_major(q.as_ref()), r])
        })
        .map(Vec::from)
    }

    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let Tangent::Is(a_dot) = &x_dot[0] else { return vec![Tangent::Zero; 2] };
        let a = Matrices::of(&x[0].aval()).expect("I3: inferred");
        let k = a.small();
        let (q, r) = (y[0].first_cols(k), y[1].first_rows(k));
        let (q_dot, r_dot) = thin_jvp(&q, &r, a_dot, k);
        if y[0].shape() == q.shape() {
            return vec![Tangent::Is(q_dot), Tangent::Is(r_dot)];
        }
        vec![Tangent::Is(completed_jvp(&q, &q_dot, a.rows, a.cols)), Tangent::Is(r_dot.padded_rows(a.rows))]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        args[0].x.qr_exact(self.mode).map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::Qr)
    }
}

/// `Q` of `side` columns and `R`, by the reflections of LAPACK's `geqr2`.
fn reflected(a: &Matrix<'_>, side: usize) -> [Vec<f64>; 2] {
    let (m, n) = (a.rows, a.cols);
    let mut r = a.data.to_vec();
    let mut reflections: Vec<(Vec<f64>, f64)> = Vec::new();
    for j in 0..m.min(n) {
        let top = r[j * n + j];
        let below = (j + 1..m).fold(0.0, |length: f64, i| length.hypot(r[i * n + j]));
        // What stands alone already stays.
        if below == 0.0 {
            reflections.push((Vec::new(), 0.0));
            continue;
        }
        let image = -top.hypot(below).copysign(top);
        let v: Vec<f64> = std::iter::once(1.0).chain((j + 1..m).map(|i| r[i * n + j] / (top - image))).collect();
        let factor = (image - top) / image;
        reflect(&v, factor, &mut r[j * n..], n, j + 1);
        r[j * n + j] = image;
        (j + 1..m).for_each(|i| r[i * n + j] = 0.0);
        reflections.push((v, factor));
    }
    let mut q: Vec<f64> = (0..m * side).map(|i| f64::from(u8::from(i / side == i % side))).collect();
    for (j, (v, factor)) in reflections.iter().enumerate().rev() {
        reflect(v, *factor, &mut q[j * side..], side, j);
    }
    r.truncate(side * n);
    [q, r]
}

/// Applies `I - factor · v · vᵀ` to the columns from `first` on of the row-major `x`.
fn reflect(v: &[f64], factor: f64, x: &mut [f64], cols: usize, first: usize) {
    for c in first..cols {
        let along: f64 = v.iter().enumerate().map(|(i, v)| v * x[i * cols + c]).sum();
        v.iter().enumerate().for_each(|(i, v)| x[i * cols + c] -= factor * along * v);
    }
}

/// The derivative of `Q: [m, k]` and `R: [k, n]` with `k = min(m, n)`.
fn thin_jvp(q: &Tensor, r: &Tensor, a_dot: &Tensor, k: Dim) -> (Tensor, Tensor) {
    // On the first k columns, dA R₁⁻¹ = dQ + Q D with D = dR₁ R₁⁻¹ upper triangular, and Ω = Qᵀ dQ is skew: the strictly
    // lower part of Qᵀ dA R₁⁻¹ = Ω + D is that of Ω.
    let z = a_dot.first_cols(k).solve_upper_right(&r.first_cols(k));
    let w = q.mt().matmul_exact(&z);
    let low = w.lower(-1);
    let omega = &low - low.mt();
    let q_dot = z - q.matmul_exact(&(w - &omega));
    let r_dot = (q.mt().matmul_exact(a_dot) - omega.matmul_exact(r)).upper(0);
    (q_dot, r_dot)
}

/// The derivative of all `m` columns from that of the first `n`.
///
/// A product of `n` reflections is determined by its first columns: with `W = Q₁ - I[:, :n]` and its upper block `W₁`,
/// `Q = I + W W₁⁻ᵀ Wᵀ` (the compact WY form, with its two unknowns eliminated).
fn completed_jvp(q: &Tensor, q_dot: &Tensor, m: Dim, n: Dim) -> Tensor {
    let eye = Tensor::generate(Eye { n: m, m: n, dtype: q.dtype() }, Some(q));
    let w = q - &eye.expand_to(q.shape());
    let (w1, wt) = (w.first_rows(n), w.mt());
    let [lu, pivots, _] = w1.lu_factor_exact();
    let [p, l, u] = lu.lu_unpack_exact(&pivots);
    // W₁ = P L U, so that W₁⁻¹ Wᵀ = U⁻¹ L⁻¹ Pᵀ Wᵀ and W₁⁻ᵀ Wᵀ = P L⁻ᵀ U⁻ᵀ Wᵀ.
    let n_t = p.mt().matmul_exact(&wt).solve_unit_lower(&l).solve_upper(&u);
    let k = p.matmul_exact(&wt.solve_lower(&u.mt()).solve_unit_upper(&l.mt()));
    let w1_dot_t = q_dot.first_rows(n).mt();
    q_dot.matmul_exact(&k) + n_t.mt().matmul_exact(&(q_dot.mt() - w1_dot_t.matmul_exact(&k)))
}

impl Samples for Qr {
    fn samples() -> Vec<Sample> {
        use QrMode::{Complete, Reduced};
        let of = |note, mode, dtype, shape: &[usize]| {
            Sample::new(note, Qr { mode }, [sample_matrix(Kind::General, dtype, shape)])
        };
        vec![
            of("usual", Reduced, DType::F64, &[3, 3]),
            of("tall", Reduced, DType::F64, &[2, 4, 2]),
            of("wide", Reduced, DType::F64, &[2, 4]),
            of("complete square", Complete, DType::F64, &[2, 2]),
            of("complete wide", Complete, DType::F64, &[2, 3]),
            of("complete tall", Complete, DType::F64, &[4, 2]),
            of("one", Reduced, DType::F64, &[1, 1]),
            of("empty", Reduced, DType::F64, &[0, 0]),
            of("no columns", Complete, DType::F64, &[2, 0]),
            of("empty batch", Reduced, DType::F64, &[0, 3, 2]),
            of("single", Reduced, DType::F32, &[3, 2]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PyTorch 2.15's factors of a matrix whose second column is zero, and stays.
    #[test]
    fn a_column_that_depends_on_others_is_reflected_as_by_lapack() {
        let data = [1.0, 0.0, 2.0, 3.0, 0.0, -4.0, 5.0, 0.0, 7.0, 2.0, 0.0, 1.0];
        let a = Matrix { rows: 4, cols: 3, data: &data };
        let [q, r] = reflected(&a, 3);
        let expected = [-0.160128153805087, -0.480384461415261, 0.683247039747534, -0.480384461415261];
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14);
        assert!(close(&q[..4], &expected), "{q:?}");
        let triangle = [-6.244997998398398, 0.0, -4.323460152737352, 0.0, 0.0, -6.618410724531008];
        assert!(close(&r[..6], &triangle) && r.len() == 9, "{r:?}");
        let [q, r] = reflected(&a, 4);
        assert!(close(&q[3..4], &[-0.5260829081675]) && r[9..] == [0.0; 3], "{q:?} {r:?}");
    }
}
