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

#[test]
fn at_most_two_ulps() {
    let d = DType::F32;
    // Every 8192nd number, offset so that zeros and infinities are hit, and all neighbours of the usual range.
    let mut xs: Vec<f32> = (0..1u64 << 19).map(|i| f32::from_bits((i * 8192) as u32)).collect();
    xs.extend((0..100_000).map(|i| (f64::from(i) * 4e-4 - 20.0) as f32));
    xs.extend((0..100_000).map(|i| (f64::from(i) * 2e-5) as f32));
    xs.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45]);
    let n = xs.len();
    let args = [Array::new([n], xs.clone())];
    let mut bad = Vec::new();
    // Those that are expanded into vector operations; the others are the reference's own rows, rounded from `f64`.
    let expanded = [
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
        Unary::Floor,
        Unary::Ceil,
        Unary::Trunc,
        Unary::Round,
        Unary::Sign,
        Unary::Neg,
        Unary::Abs,
    ];
    for f in &expanded {
        let ops = vec![(BodyOp::Load(0), d), (BodyOp::Unary(*f, BodyValue(0)), d), (BodyOp::Store(1, BodyValue(1)), d)];
        let accesses = vec![access(0, 0, &[], &[], 1), access(1, 0, &[], &[], 1)];
        let p = Pointwise {
            inputs: vec![(d, n)],
            outputs: vec![(d, n)],
            nest: nest(&[], &[], vec![stage(n, accesses, ops)]),
        };
        let p = p.program();
        for path in paths() {
            let out = run(&p, &args, path);
            let out = out[0].as_slice::<f32>().expect("f32");
            let (mut worst, mut at) = (0.0, 0.0);
            for (x, y) in xs.iter().zip(out) {
                let e = ulps(*y, f.eval_f64(f64::from(*x)));
                if e > worst {
                    (worst, at) = (e, *x);
                }
            }
            println!("{:>12} {path:?}: {worst:.3} ulp at {at:e} ({:#x})", format!("{f:?}"), at.to_bits());
            if worst > 2.0 {
                bad.push(format!("{f:?} on {path:?}: {worst} at {at:e}"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
