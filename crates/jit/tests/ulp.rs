//! Errors of the elementary functions in units of the last place, on dense samples of all `f32`.

mod common;

use common::{Pointwise, access, nest, paths, run, stage};
use cotangent_core::array::Array;
use cotangent_core::ir::DType;
use cotangent_core::ops::Unary;
use cotangent_loops::ir::*;

/// The distance of `got` from the exact value, in spacings of `f32` there.
fn ulps(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if got.is_nan() && exact.is_nan() || got.to_bits() == rounded.to_bits() {
        return 0.0;
    }
    if !got.is_finite() || !rounded.is_finite() || got.is_nan() != exact.is_nan() {
        return f64::INFINITY;
    }
    let magnitude = rounded.abs().max(f32::MIN_POSITIVE);
    let spacing = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
    let sign_lost = got == 0.0 && rounded == 0.0;
    if sign_lost { f64::INFINITY } else { (f64::from(got) - exact).abs() / spacing }
}

/// Those that are expanded into vector operations; the others are the reference's own rows, rounded from `f64`.
const EXPANDED: [Unary; 33] = [
    Unary::Sqrt,
    Unary::Rsqrt,
    Unary::Reciprocal,
    Unary::Exp,
    Unary::Exp2,
    Unary::Expm1,
    Unary::Log,
    Unary::Log1p,
    Unary::Log2,
    Unary::Log10,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Asin,
    Unary::Acos,
    Unary::Atan,
    Unary::Sinh,
    Unary::Asinh,
    Unary::Acosh,
    Unary::Atanh,
    Unary::Cosh,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Erf,
    Unary::Erfc,
    Unary::Erfinv,
    Unary::Floor,
    Unary::Ceil,
    Unary::Trunc,
    Unary::Round,
    Unary::Sign,
    Unary::Neg,
    Unary::Abs,
];

/// `y[i] = f(x[i])` for `n` numbers.
fn map(f: Unary, n: usize) -> LoopProgram {
    let d = DType::F32;
    let ops = vec![(BodyOp::Load(0), d), (BodyOp::Unary(f, BodyValue(0)), d), (BodyOp::Store(1, BodyValue(1)), d)];
    let accesses = vec![access(0, 0, &[], &[], 1), access(1, 0, &[], &[], 1)];
    Pointwise { inputs: vec![(d, n)], outputs: vec![(d, n)], nest: nest(&[], &[], vec![stage(n, accesses, ops)]) }
        .program()
}

/// The largest error of `f` among the results `ys` at `xs`, and where it is.
fn worst(f: Unary, xs: &[f32], ys: &[f32]) -> (f64, f32) {
    let errors = xs.iter().zip(ys).map(|(x, y)| (ulps(*y, f.eval_f64(f64::from(*x))), *x));
    errors.fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
}

/// Every 8192nd number, such that zeros and infinities are hit, and all neighbours of the usual range.
fn dense() -> Vec<f32> {
    let mut xs: Vec<f32> = (0..1u64 << 19).map(|i| f32::from_bits((i * 8192) as u32)).collect();
    xs.extend((0..100_000).map(|i| (f64::from(i) * 4e-4 - 20.0) as f32));
    xs.extend((0..100_000).map(|i| (f64::from(i) * 2e-5) as f32));
    // Next to multiples of π/2.
    xs.extend((-20_000..20_000).map(|k| (f64::from(k) * std::f64::consts::FRAC_PI_2) as f32));
    xs.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45]);
    xs
}

/// The numbers of a run, in pieces. The environment variable `COTANGENT_ULPS=all`, or a function's name, asks for all 2³² of them, which take
/// a minute or two of a core for each function in a release build.
fn pieces(f: Unary, asked: Option<&str>) -> Box<dyn Iterator<Item = Vec<f32>>> {
    match asked {
        None => Box::new(std::iter::once(dense())),
        Some(name) if name == "all" || name == format!("{f:?}") => {
            Box::new((0..1u32 << 12).map(|i| (0..1u32 << 20).map(|j| f32::from_bits(i << 20 | j)).collect()))
        }
        Some(_) => Box::new(std::iter::empty()),
    }
}

#[test]
fn at_most_two_ulps() {
    let asked = std::env::var("COTANGENT_ULPS").ok();
    let mut bad = Vec::new();
    // All paths execute the same lane code: of all numbers the widest one is enough.
    let paths = if asked.is_some() { paths().split_off(paths().len() - 1) } else { paths() };
    for f in EXPANDED {
        for path in paths.iter().copied() {
            let mut all = (0.0, 0.0);
            for xs in pieces(f, asked.as_deref()) {
                let out = run(&map(f, xs.len()), &[Array::new([xs.len()], xs.clone())], path);
                let one = worst(f, &xs, out[0].as_slice::<f32>().expect("f32"));
                all = if one.0 > all.0 { one } else { all };
            }
            println!("| {} | {path:?} | {:.3} | {:e} |", format!("{f:?}").to_lowercase(), all.0, all.1);
            if all.0 > 2.0 {
                bad.push(format!("{f:?} on {path:?}: {} at {:e}", all.0, all.1));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
