//! Elementwise ops in all dtypes against PyTorch: wrapping, division, shifts, `bool`, and halves computed in `f32`.

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::Op;
use cotangent_tests::points::op_of;

/// One element of `dtype`.
fn element(dtype: DType, text: &str) -> Array {
    let aval = Aval::new(dtype, ());
    let value = match text.parse() {
        Ok(i) if !dtype.is_float() => Scalar::Int(i),
        Ok(_) | Err(_) => Scalar::Float(text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))),
    };
    Array::full(&aval, value.cast(dtype))
}

/// Single precision differs from PyTorch's vector functions by an ulp or two; everything else not at all.
fn agree(found: &Array, expected: &Array) -> bool {
    let (a, b) = (found.to_f64_vec()[0], expected.to_f64_vec()[0]);
    let tol = if found.dtype() == DType::F32 { 4.0 * f64::from(f32::EPSILON) } else { 0.0 };
    found == expected || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tol * b.abs()
}

fn check(line: &str) -> Result<(), String> {
    let (call, y) = line.split_once(" = ").ok_or("malformed")?;
    let (name, x) = call.strip_suffix(')').and_then(|c| c.split_once('(')).ok_or("malformed")?;
    let (name, dtype) = name.split_once('@').ok_or("malformed")?;
    let dtype: DType = DType::ALL.into_iter().find(|d| d.name() == dtype).ok_or("dtype")?;
    let op: Op = op_of(name);
    let args: Vec<Array> = x.split(", ").map(|x| element(dtype, x)).collect();
    let avals: Vec<Aval> = args.iter().map(Array::aval).collect();
    let result = op.checked_infer(&avals.iter().collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    match op.prim().eval(&args.iter().collect::<Vec<_>>()) {
        Ok(found) if y != "zero" && agree(&found[0], &element(result[0].dtype, y)) => Ok(()),
        Err(_) if y == "zero" => Ok(()),
        found => Err(format!("{found:?}")),
    }
}

#[test]
fn every_dtype_computes_as_pytorch() {
    let lines = include_str!("../../data/dtypes.txt").lines().filter(|l| !l.starts_with('#'));
    let failures: Vec<String> = lines.filter_map(|l| check(l).err().map(|e| format!("{l}: {e}"))).collect();
    assert!(failures.is_empty(), "{} differences: {failures:#?}", failures.len());
}

/// PyTorch crashes on the least integer divided by -1; here the quotient wraps.
#[test]
fn the_least_integer_by_minus_one_wraps() {
    for line in ["div<trunc>@i64(MIN, -1) = MIN", "div<floor>@i64(MIN, -1) = MIN", "div<floor>@i8(-128, -1) = -128"] {
        assert_eq!(check(&line.replace("MIN", &i64::MIN.to_string())), Ok(()), "{line}");
    }
}

/// What PyTorch does not take, a row does not take either.
#[test]
fn dtypes_outside_the_domain_are_errors() {
    let refused =
        ["neg@bool(1) = 1", "sub@bool(1, 1) = 0", "gcd@bool(1, 1) = 1", "exp@i64(1) = 1", "div@i64(1, 1) = 1"];
    for line in refused {
        assert!(check(line).is_err_and(|e| e.contains("expected")), "{line}");
    }
}
