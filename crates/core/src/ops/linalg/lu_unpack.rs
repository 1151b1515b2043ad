//! The three factors of a packed LU factorization.

use super::{Kind, Matrices, sample_matrix};
use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, attr_struct};
use crate::ops::{
    Avals, Batched, Cotangent, Kernel, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text,
    nonlinear,
};
use crate::tensor::Tensor;

attr_struct! {
    /// The permutation matrix `P`, the unit lower trapezoid `L` and the upper trapezoid `U` of [`super::LuFactor`].
    ///
    /// *Shape*: `[.., m, n], [.., k] → [.., m, m], [.., m, k], [.., k, n]` with `k = min(m, n)`.
    /// *Errors*: `linalg_c1`, `linalg_c2`; `lu_unpack_c1` pivots that are not `i32[.., k]`; `lu_unpack_c2` `unpack_data` or
    /// `unpack_pivots` false; a pivot that is no row's number.
    /// *Derivative*: linear in `LU_data`, of which `L` and `U` are parts (but for the ones on the diagonal of `L`).
    /// *Source*: `torch.lu_unpack`.
    pub struct LuUnpack {
        /// Whether `L` and `U` are given: always in a primitive.
        pub unpack_data: bool,
        /// Whether `P` is given: always in a primitive.
        pub unpack_pivots: bool,
    }
}
from_text!(LuUnpack, "lu_unpack");

impl LuUnpack {
    fn results(&self, x: &Aval) -> Result<[Aval; 3], InferError> {
        let a = Matrices::of(x)?;
        let k = a.small();
        Ok([[a.rows, a.rows], [a.rows, k], [k, a.cols]].map(|dims| a.with(x.dtype, &dims)))
    }
}

impl Primitive for LuUnpack {
    fn name(&self) -> &'static str {
        "lu_unpack"
    }

    fn schema(&self) -> &'static str {
        "aten::lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x, pivots] = arity(args)?;
        let a = Matrices::of(x)?;
        if *pivots != a.with(DType::I32, &[a.small()]) {
            return Err(InferError::Mismatch {
                label: "lu_unpack_c1",
                expected: "[.., m, n] and i32[.., min(m, n)]".to_owned(),
                lhs: x.clone(),
                rhs: pivots.clone(),
            });
        }
        for (attr, value) in [("unpack_data", self.unpack_data), ("unpack_pivots", self.unpack_pivots)] {
            if !value {
                let (expected, found) = ("true".to_owned(), "false".to_owned());
                return Err(InferError::Attribute { label: "lu_unpack_c2", attr, expected, found });
            }
        }
        Ok(self.results(x)?.into_iter().collect())
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0].aval();
        let a = Matrices::of(&x).expect("I3: inferred");
        let (m, n, k) = (a.rows.get(), a.cols.get(), a.small().get());
        let (data, pivots) = (args[0].to_f64_vec(), args[1].to_i64_vec());
        let (mut p, mut l, mut u) = (Vec::new(), Vec::new(), Vec::new());
        for (b, lu) in a.each(&data).enumerate() {
            let mut row_of: Vec<usize> = (0..m).collect();
            for i in 0..k {
                let pivot = pivots[b * k + i];
                let row = usize::try_from(pivot - 1).ok().filter(|row| *row < m);
                let row =
                    row.ok_or(EvalError::Index { dim: x.rank() - 2, index: pivot - 1, size: m, at: b * k + i })?;
                row_of.swap(i, row);
            }
            let start = p.len();
            p.resize(start + m * m, 0.0);
            row_of.iter().enumerate().for_each(|(i, row)| p[start + row * m + i] = 1.0);
            let at = |i: usize, j: usize| lu.data[i * n + j];
            let lower = |i: usize, j: usize| {
                if i == j {
                    1.0
                } else if i > j {
                    at(i, j)
                } else {
                    0.0
                }
            };
            l.extend((0..m * k).map(|e| lower(e / k, e % k)));
            u.extend((0..k * n).map(|e| if e / n <= e % n { at(e / n, e % n) } else { 0.0 }));
        }
        let avals = self.results(&x).expect("I3: inferred");
        Ok(avals.iter().zip([p, l, u]).map(|(aval, data)| Array::from_f64_fn(aval, |i| data[i])).collect())
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        let k = Matrices::of(&x[0].aval()).expect("I3: inferred").small();
        let l_dot = x_dot[0].map(|t| t.first_cols(k).lower(-1));
        let u_dot = x_dot[0].map(|t| t.first_rows(k).upper(0));
        vec![Tangent::Zero, l_dot, u_dot]
    }

    fn transpose(&self, _: &[Cotangent], _: &[LinArg]) -> Vec<Cotangent> {
        // Its tangents are slices and triangles; the op itself, with the ones on the diagonal, is affine.
        nonlinear(self.name())
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        args[0].materialised(size).lu_unpack_exact(&args[1].materialised(size)).map(Batched::mapped).into()
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Kernel(Kernel::LuUnpack)
    }
}

impl Samples for LuUnpack {
    fn samples() -> Vec<Sample> {
        let of = |note, dtype, shape: &[usize], pivots: Vec<i32>| {
            let lead = &shape[..shape.len() - 2];
            let k = shape[shape.len() - 2].min(shape[shape.len() - 1]);
            let pivots = Array::new([lead, &[k]].concat(), pivots);
            let op = LuUnpack { unpack_data: true, unpack_pivots: true };
            Sample::new(note, op, [sample_matrix(Kind::General, dtype, shape), pivots])
        };
        vec![
            of("usual", DType::F64, &[3, 3], vec![2, 3, 3]),
            of("wide", DType::F64, &[2, 4], vec![2, 2]),
            of("tall batch", DType::F64, &[2, 3, 2], vec![3, 3, 1, 2]),
            of("one", DType::F64, &[1, 1], vec![1]),
            of("empty", DType::F64, &[0, 2], vec![]),
            of("empty batch", DType::F32, &[0, 2, 2], vec![]),
        ]
    }
}
