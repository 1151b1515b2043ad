//! PyTorch's `prims`: what its decompositions are written in, here read as the operators of ATen that compute the same.
//!
//! *Source*: `torch/_prims/__init__.py`, whose `impl_aten` names the operator of ATen; what is not differentiable there
//! has the derivative of that operator here.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use super::{Answer, one};
use crate::args::{Arg, Call, Read};

/// Elementwise prims of the operands `self` and `other` that ATen has under their own names.
const SAME: &[&str] = &[
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "clone",
    "conj_physical",
    "cos",
    "cosh",
    "digamma",
    "eq",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "fmax",
    "fmin",
    "fmod",
    "gcd",
    "ge",
    "gt",
    "hypot",
    "igamma",
    "igammac",
    "imag",
    "isfinite",
    "le",
    "lgamma",
    "log",
    "log10",
    "log1p",
    "log2",
    "lt",
    "maximum",
    "minimum",
    "mul",
    "ne",
    "neg",
    "nextafter",
    "real",
    "reciprocal",
    "remainder",
    "round",
    "rsqrt",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "sub",
    "tan",
    "tanh",
    "trunc",
];

/// A prim, ATen's overload and the names that its arguments have there.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The one operand of most prims that are not elementwise.
const OF: &[(&str, &str)] = &[("a", "self")];

/// The arguments of reductions.
const REDUCED: &[(&str, &str)] = &[("inp", "self"), ("dims", "dim"), ("output_dtype", "dtype")];

/// The sizes of tensors from nothing.
const SIZED: &[(&str, &str)] = &[("shape", "size")];

/// Prims that ATen has under another name, or with other names of arguments.
const RENAMED: &[Row] = &[
    ("amax", "aten.amax.default", REDUCED),
    ("amin", "aten.amin.default", REDUCED),
    ("as_strided", "aten.as_strided.default", OF),
    ("as_strided_scatter", "aten.as_strided_scatter.default", &[]),
    ("bessel_i0", "aten.i0.default", &[]),
    ("bessel_i0e", "aten.special_i0e.default", &[]),
    ("bessel_i1", "aten.special_i1.default", &[]),
    ("bessel_i1e", "aten.special_i1e.default", &[]),
    ("bessel_j0", "aten.special_bessel_j0.default", &[]),
    ("bessel_j1", "aten.special_bessel_j1.default", &[]),
    ("cat", "aten.cat.default", &[]),
    ("collapse", "aten.flatten.using_ints", &[("a", "self"), ("start", "start_dim"), ("end", "end_dim")]),
    ("collapse_view", "aten.flatten.using_ints", &[("a", "self"), ("start", "start_dim"), ("end", "end_dim")]),
    ("conj", "aten.conj.default", OF),
    ("convert_element_type", "aten._to_copy.default", OF),
    ("copy_strided", "aten.clone.default", OF),
    ("device_put", "aten.clone.default", OF),
    ("empty", "aten.empty.memory_format", SIZED),
    ("empty_permuted", "aten.empty_permuted.default", SIZED),
    ("empty_strided", "aten.empty_strided.default", SIZED),
    ("erf_inv", "aten.erfinv.default", &[]),
    ("erfcx", "aten.special_erfcx.default", &[]),
    ("fft_c2c", "aten._fft_c2c.default", &[]),
    ("fft_c2r", "aten._fft_c2r.default", &[]),
    ("fft_r2c", "aten._fft_r2c.default", &[]),
    ("fill", "aten.fill.Scalar", &[]),
    ("frexp", "aten.frexp.Tensor", &[]),
    ("full", "aten.full.default", SIZED),
    ("full_like", "aten.full_like.default", OF),
    ("item", "aten.item.default", OF),
    ("ndtri", "aten.special_ndtri.default", &[]),
    ("normal", "aten.normal.float_float", SIZED),
    ("pow", "aten.pow.Tensor_Tensor", &[("other", "exponent")]),
    ("reshape", "aten.reshape.default", OF),
    ("resize", "aten.resize.default", OF),
    ("rev", "aten.flip.default", OF),
    ("shift_left", "aten.bitwise_left_shift.Tensor", &[]),
    ("shift_right_arithmetic", "aten.bitwise_right_shift.Tensor", &[]),
    ("spherical_bessel_j0", "aten.special_spherical_bessel_j0.default", &[]),
    ("squeeze", "aten.squeeze.dims", &[("a", "self"), ("dimensions", "dim")]),
    ("sum", "aten.sum.dim_IntList", REDUCED),
    ("svd", "aten.linalg_svd.default", &[]),
    ("transpose", "aten.permute.default", &[("a", "self"), ("permutation", "dims")]),
    ("var", "aten.var.correction", REDUCED),
    ("view_of", "aten.alias.default", OF),
    ("view_of_dtype", "aten.view.dtype", OF),
    ("where", "aten.where.self", &[("pred", "condition"), ("a", "self"), ("b", "other")]),
    ("zeta", "aten.special_zeta.default", &[]),
];

/// The prims.
pub(super) fn call(c: &Call) -> Answer {
    let Some(name) = c.target.strip_prefix("prims.").and_then(|t| t.strip_suffix(".default")) else { return Ok(None) };
    if SAME.contains(&name) {
        return super::call(&Call { target: &format!("aten.{name}.default"), node: c.node, args: c.args.clone() })
            .map(Some);
    }
    if let Some((_, target, names)) = RENAMED.iter().find(|(prim, ..)| *prim == name) {
        let renamed = |n| names.iter().find(|(prim, _)| *prim == n).map_or(n, |(_, aten)| *aten);
        let args = c.args.iter().map(|(n, arg)| (renamed(*n), arg.clone())).collect();
        return super::call(&Call { target, node: c.node, args }).map(Some);
    }
    one(match name {
        "broadcast_in_dim" => broadcast_in_dim(c)?,
        "cbrt" => {
            let x = c.tensor("self")?;
            x.abs().pow(1.0 / 3.0).copysign(&x)
        }
        "div" => {
            let (x, y) = (c.tensor("self")?, c.operand("other")?);
            if x.dtype().is_float() { x.div(y) } else { x.div_rounded(y, Rounding::Trunc) }
        }
        "iota" => iota(c)?,
        "prod" => prod(c)?,
        // A number keeps its own dtype here, where ATen makes a float of it.
        "scalar_tensor" => {
            let s = c.scalar("s")?;
            scalar_tensor(s, c.dtype("dtype")?.unwrap_or(s.default_dtype()))
        }
        "split_dim" => split_dim(c)?,
        "uniform" => {
            let like = full_of(c.ints("shape")?, 0i64, c.dtype("dtype")?.unwrap_or(DType::F32));
            let args = vec![
                ("self", Arg::Tensor(like)),
                ("from", Arg::Float(c.float("low")?)),
                ("to", Arg::Float(c.float("high")?)),
            ];
            return super::call(&Call { target: "aten.uniform.default", node: c.node, args }).map(Some);
        }
        _ => return Ok(None),
    })
}

/// The dims of `a` as those dims of `shape` that `broadcast_dimensions` lists, repeated along the others.
fn broadcast_in_dim(c: &Call) -> Read<Tensor> {
    let (x, shape, dims) = (c.tensor("a")?, c.sizes("shape")?, c.sizes("broadcast_dimensions")?);
    let ascending = dims.windows(2).all(|pair| pair[0] < pair[1]);
    if dims.len() != x.rank() || !ascending || dims.last().is_some_and(|d| *d >= shape.len()) {
        return Err(c.wrong("broadcast_dimensions", "a dim of `shape` for each dim of `a`, in ascending order"));
    }
    let mut placed = vec![1; shape.len()];
    for (d, n) in dims.iter().zip(x.shape().dims()) {
        placed[*d] = n.get();
    }
    Ok(x.view_to(&Shape::from(placed)).expand(c.ints("shape")?))
}

/// `length` integers from `start`, at the distance `step`.
fn iota(c: &Call) -> Read<Tensor> {
    let (length, start, step) = (c.size("length")?, c.int("start")?, c.int("step")?);
    let end = i64::try_from(length).ok().and_then(|n| n.checked_mul(step)?.checked_add(start));
    let end = end.ok_or_else(|| c.wrong("length", "a length whose last number is a 64-bit integer"))?;
    Ok(arange_of(start, end, step, c.dtype("dtype")?.unwrap_or(DType::I64)))
}

/// The product along each of the dims, of all elements without dims, and of none along an empty list.
fn prod(c: &Call) -> Read<Tensor> {
    let x = c.tensor("inp")?;
    let x = c.dtype("output_dtype")?.map_or(x.clone(), |d| x.to(d));
    let Some(mut dims) = c.opt_ints("dims")? else { return Ok(x.prod()) };
    dims.sort_unstable();
    Ok(dims.into_iter().rev().fold(x, |x, d| x.prod_dim(d)))
}

/// The dim `dim` as two, of which the outer one has `outer_length`.
fn split_dim(c: &Call) -> Read<Tensor> {
    let (x, dim, outer) = (c.tensor("a")?, c.size("dim")?, c.size("outer_length")?);
    let n = x.shape().dims().get(dim).ok_or_else(|| c.wrong("dim", "a dim of the tensor"))?.get();
    let inner = n.checked_div(outer).filter(|inner| inner * outer == n);
    let inner = inner.ok_or_else(|| c.wrong("outer_length", &format!("a divisor of the dim's size {n}")))?;
    Ok(x.unflatten(dim as i64, [outer as i64, inner as i64]))
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::error::TorchError;

    fn tensor(v: &[f64]) -> Arg {
        Arg::Tensor(Tensor::from_vec(v.to_vec(), [v.len()]))
    }

    #[test]
    fn every_prim_is_read_or_refused_with_a_reason() {
        let own = ["broadcast_in_dim", "cbrt", "div", "iota", "prod", "scalar_tensor", "split_dim", "uniform"];
        let refused = ["fft_c2c", "fft_c2r", "fft_r2c", "imag"];
        for name in SAME.iter().chain(RENAMED.iter().map(|(name, ..)| name)).chain(&own) {
            let target = format!("prims.{name}.default");
            match super::super::call(&Call { target: &target, node: "n", args: Vec::new() }) {
                Err(TorchError::Unsupported { target, .. }) => panic!("{target} is not known"),
                Err(TorchError::Refused { .. }) => assert!(refused.contains(name), "{name}"),
                Ok(_) | Err(_) => assert!(!refused.contains(name), "{name}"),
            }
        }
    }

    /// PyTorch's values.
    #[test]
    fn prims_compute_what_their_aten_operators_do() {
        let v = tensor(&[-8.0, 0.0, 27.0]);
        assert_eq!(values("prims.mul.default", vec![("self", v.clone()), ("other", v.clone())]), [64.0, 0.0, 729.0]);
        let third: Vec<i64> =
            values("prims.cbrt.default", vec![("self", v.clone())]).iter().map(|x| x.round() as i64).collect();
        assert_eq!(third, [-2, 0, 3]);
        assert_eq!(
            values("prims.rev.default", vec![("a", v.clone()), ("dims", Arg::Ints(vec![0]))]),
            [27.0, 0.0, -8.0]
        );
        assert_eq!(values("prims.sum.default", vec![("inp", v.clone()), ("dims", Arg::Ints(vec![0]))]), [19.0]);
        assert_eq!(
            values("prims.prod.default", vec![("inp", v.clone()), ("dims", Arg::Ints(Vec::new()))]),
            [-8.0, 0.0, 27.0]
        );
        let chosen = ("pred", Arg::Tensor(Tensor::from([true, false, true])));
        assert_eq!(
            values("prims.where.default", vec![chosen, ("a", v.clone()), ("b", tensor(&[1.0, 2.0, 3.0]))]),
            [-8.0, 2.0, 27.0]
        );
    }

    #[test]
    fn dims_are_placed_and_repeated() {
        let args = |dims: &[i64]| {
            vec![
                ("a", tensor(&[1.0, 2.0])),
                ("shape", Arg::Ints(vec![2, 3])),
                ("broadcast_dimensions", Arg::Ints(dims.to_vec())),
            ]
        };
        assert_eq!(values("prims.broadcast_in_dim.default", args(&[0])), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        for wrong in [&[0, 1][..], &[2], &[]] {
            let call = Call { target: "prims.broadcast_in_dim.default", node: "n", args: args(wrong) };
            assert!(matches!(super::super::call(&call), Err(TorchError::Argument { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn integers_are_divided_towards_zero_and_counted_in_steps() {
        let out = |target, args| match super::super::call(&Call { target, node: "n", args }).as_deref() {
            Ok([crate::args::Value::Tensor(t)]) => t.to_vec::<i64>().expect("integers"),
            other => panic!("{other:?}"),
        };
        let of = |v: [i64; 3]| Arg::Tensor(Tensor::from(v));
        let (x, y) = (("self", of([-7, 7, 6])), ("other", of([2, 2, -4])));
        assert_eq!(out("prims.div.default", vec![x, y]), [-3, 3, -1]);
        let steps = vec![
            ("length", Arg::Int(3)),
            ("start", Arg::Int(5)),
            ("step", Arg::Int(-2)),
            ("dtype", Arg::DType(DType::I64)),
        ];
        assert_eq!(out("prims.iota.default", steps), [5, 3, 1]);
        let halves = vec![("a", of([1, 2, 3])), ("dim", Arg::Int(0)), ("outer_length", Arg::Int(3))];
        assert_eq!(out("prims.split_dim.default", halves), [1, 2, 3]);
    }
}
