//! Factorizations: those that StableHLO has, and the LAPACK calls that XLA registers on CPUs.

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar, Shape};
use cotangent_core::ops::{Cholesky, Eigh, LuFactor, Op, Qr, QrMode, SolveTriangular, Svd, Triangle};

use crate::error::Refusal;
use crate::literal::ty;
use crate::writer::{Val, Vals, Writer, ints, list};

/// Why the factorization of indefinite symmetric matrices is refused.
pub(crate) const NO_LDL: &str = "neither StableHLO nor XLA's CPU library has this factorization";

/// The factor; what stands in the other triangle is left open by StableHLO, and zero here.
pub(crate) fn cholesky(w: &mut Writer, c: &Cholesky, x: &Val) -> Vals {
    let lower = !c.upper;
    let t = x.ty();
    let factor =
        w.value(&x.aval, format_args!("\"stablehlo.cholesky\"({}) <{{lower = {lower}}}> : ({t}) -> {t}", x.name));
    w.compose(&[factor], |x| vec![if lower { x[0].lower(0) } else { x[0].upper(0) }])
}

pub(crate) fn solve_triangular(w: &mut Writer, s: &SolveTriangular, a: &Val, b: &Val) -> Val {
    w.value(
        &b.aval,
        format_args!(
            "\"stablehlo.triangular_solve\"({}, {}) <{{left_side = {}, lower = {}, unit_diagonal = {}, \
             transpose_a = #stablehlo<transpose NO_TRANSPOSE>}}> : ({}, {}) -> {}",
            a.name,
            b.name,
            s.left,
            !s.upper,
            s.unitriangular,
            a.ty(),
            b.ty(),
            b.ty()
        ),
    )
}

/// A call of LAPACK: matrices lie in columns there. `config` are the routine's own options.
fn lapack(w: &mut Writer, routine: &str, config: &str, x: &[Val], y: &[Aval]) -> Result<Vec<Val>, Refusal> {
    let kind = match x[0].dtype() {
        DType::F32 => 's',
        DType::F64 => 'd',
        DType::BF16 | DType::F16 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
            return Err(Refusal::Reason("LAPACK factors matrices of f32 and f64 only"));
        }
    };
    let batch = x[0].aval.rank() - 2;
    let layouts =
        |avals: &mut dyn Iterator<Item = &Aval>| avals.map(|a| columns(a, batch)).collect::<Vec<_>>().join(", ");
    let (names, types) = list(x);
    let results: Vec<String> = y.iter().map(ty).collect();
    Ok(w.values(
        y,
        format_args!(
            "stablehlo.custom_call @lapack_{kind}{routine}_ffi({names}) {{backend_config = {{{config}}}, \
             operand_layouts = [{}], result_layouts = [{}], api_version = 4 : i32}} : ({types}) -> ({})",
            layouts(&mut x.iter().map(|v| &v.aval)),
            layouts(&mut y.iter()),
            results.join(", ")
        ),
    ))
}

/// The factors of a matrix without elements, which depend on no value: XLA's calls of LAPACK divide by its size.
pub(crate) fn of_nothing(w: &mut Writer, op: &Op, x: &Val) -> Vals {
    let nothing = Array::full(&x.aval, Scalar::Float(0.0));
    let refused = |_| Refusal::Reason("this matrix without elements has no factors");
    let factors = op.prim().eval(&[&nothing]).map_err(refused)?;
    Ok(factors.iter().map(|a| w.constant(a)).collect())
}

/// The order of dims, the fastest first, where the matrices after `batch` dims lie in columns.
fn columns(a: &Aval, batch: usize) -> String {
    let rank = a.rank();
    let matrix: Vec<usize> = (batch..rank).collect();
    let order: Vec<usize> = matrix.into_iter().chain((0..batch).rev()).collect();
    match order.as_slice() {
        [] => "dense<> : tensor<0xindex>".to_owned(),
        [one] => format!("dense<{one}> : tensor<1xindex>"),
        all => format!("dense<[{}]> : tensor<{rank}xindex>", ints(all)),
    }
}

/// The batch dims of `x`, then `sizes`.
fn batched(x: &Aval, dtype: DType, sizes: &[usize]) -> Aval {
    let batch = &x.shape.sizes()[..x.rank() - 2];
    let shape: Vec<usize> = batch.iter().chain(sizes).copied().collect();
    Aval::new(dtype, Shape::from(shape.as_slice()))
}

fn matrix_sizes(x: &Aval) -> [usize; 2] {
    [x.shape[x.rank() - 2].get(), x.shape[x.rank() - 1].get()]
}

pub(crate) fn lu_factor(w: &mut Writer, f: &LuFactor, x: &Val, y: &[Aval]) -> Vals {
    if !f.pivot {
        return Err(Refusal::Reason("LAPACK has no LU without pivoting"));
    }
    lapack(w, "getrf", "", std::slice::from_ref(x), y)
}

/// `Q` from Householder's reflectors, `R` above them.
pub(crate) fn qr(w: &mut Writer, q: &Qr, x: &Val, y: &[Aval]) -> Vals {
    let [m, n] = matrix_sizes(&x.aval);
    let k = m.min(n);
    let tau = batched(&x.aval, x.dtype(), &[k]);
    let packed = lapack(w, "geqrf", "", std::slice::from_ref(x), &[x.aval.clone(), tau])?;
    let columns = match q.mode {
        QrMode::Reduced => k,
        QrMode::Complete => m,
    };
    // As many columns as `Q` has.
    let wide = w.compose(&packed[..1], |x| {
        let last = x[0].rank() - 1;
        let kept = x[0].slice_dim(last, 0, n.min(columns), 1);
        let mut amounts = vec![(0, 0); last + 1];
        amounts[last] = (0, columns.saturating_sub(n) as i64);
        vec![kept.pad_dims(&amounts, 0i64)]
    })?;
    let orthogonal = single(lapack(w, "orgqr", "", &[wide[0].clone(), packed[1].clone()], &y[..1])?);
    let upper = w.compose(&packed[..1], |x| {
        let rows = x[0].rank() - 2;
        vec![x[0].slice_dim(rows, 0, columns, 1).upper(0)]
    })?;
    Ok(vec![orthogonal, upper[0].clone()])
}

fn single(mut v: Vec<Val>) -> Val {
    v.swap_remove(0)
}

pub(crate) fn eigh(w: &mut Writer, e: &Eigh, x: &Val, y: &[Aval]) -> Vals {
    let uplo = match e.UPLO {
        Triangle::Lower => b'L',
        Triangle::Upper => b'U',
    };
    let info = batched(&x.aval, DType::I32, &[]);
    let config = format!("mode = {} : ui8, uplo = {uplo} : ui8", b'V');
    let mut out = lapack(w, "syevd", &config, std::slice::from_ref(x), &[y[1].clone(), y[0].clone(), info])?;
    out.truncate(2);
    out.reverse();
    Ok(out)
}

pub(crate) fn svd(w: &mut Writer, s: &Svd, x: &Val, y: &[Aval]) -> Vals {
    let info = batched(&x.aval, DType::I32, &[]);
    let config = format!("mode = {} : ui8", if s.full_matrices { b'A' } else { b'S' });
    let results = [x.aval.clone(), y[1].clone(), y[0].clone(), y[2].clone(), info];
    let out = lapack(w, "gesdd", &config, std::slice::from_ref(x), &results)?;
    Ok(vec![out[2].clone(), out[1].clone(), out[3].clone()])
}
