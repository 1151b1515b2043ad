//! Elementwise composites against PyTorch.

use std::ops::Neg as _;

use cotangent_aten::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, Graph};
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::oracle::{Except, Function, check, row, row_except, traced};

#[test]
fn pointwise() {
    check(
        "pointwise",
        &[
            row("square", |a| vec![a[0].square()]),
            row("rsub", |a| vec![a[0].rsub(2.0)]),
            row("addcmul", |a| vec![a[0].addcmul(&a[1], &a[2], 0.5)]),
            row("addcdiv", |a| vec![a[0].addcdiv(&a[1], &a[2], 2.0)]),
            row("lerp_scalar", |a| vec![a[0].lerp(&a[1], 0.25)]),
            row("lerp_high", |a| vec![a[0].lerp(&a[1], 0.75)]),
            row("lerp_tensor", |a| vec![a[0].lerp(&a[1], &a[2])]),
            row("frac", |a| vec![a[0].frac()]),
            row("deg2rad", |a| vec![a[0].deg2rad()]),
            row("rad2deg", |a| vec![a[0].rad2deg()]),
            row("round_decimals", |a| vec![a[0].round_decimals(1)]),
            row("logit", |a| vec![a[0].logit(None)]),
            row("logit_eps", |a| vec![a[0].logit(0.1)]),
            row("hypot", |a| vec![a[0].hypot(&a[1])]),
            row("logaddexp", |a| vec![a[0].logaddexp(&a[1])]),
            row("logaddexp2", |a| vec![a[0].logaddexp2(&a[1])]),
            row("xlogy", |a| vec![a[0].xlogy(&a[1])]),
            row("sinc", |a| vec![a[0].sinc()]),
            row("fmax", |a| vec![a[0].fmax(&a[1])]),
            row("fmin", |a| vec![a[0].fmin(&a[1])]),
            row("heaviside", |a| vec![a[0].heaviside(0.5)]),
            row("nan_to_num", |a| vec![a[0].nan_to_num(0.0, None, None)]),
            row("nan_to_num_given", |a| vec![a[0].nan_to_num(1.0, 2.0, -3.0)]),
            row("entr", |a| vec![a[0].entr()]),
            row("ndtr", |a| vec![a[0].ndtr()]),
            row("mvlgamma", |a| vec![a[0].mvlgamma(3)]),
            row_except("float_power", Except::Dtype, |a| vec![a[0].float_power(3.0)]),
        ],
    );
}

#[test]
fn comparisons() {
    check(
        "compare",
        &[
            row("isnan", |a| vec![a[0].isnan()]),
            row("isinf", |a| vec![a[0].isinf()]),
            row("isposinf", |a| vec![a[0].isposinf()]),
            row("isneginf", |a| vec![a[0].isneginf()]),
            row("isfinite", |a| vec![a[0].isfinite()]),
            row("isclose", |a| vec![a[0].isclose(&a[1], 1e-5, 1e-8)]),
            row("logical_not", |a| vec![a[0].logical_not()]),
            row("logical_and", |a| vec![a[0].logical_and(&a[1])]),
            row("logical_or", |a| vec![a[0].logical_or(&a[1])]),
            row("logical_xor", |a| vec![a[0].logical_xor(&a[1])]),
            row("clamp", |a| vec![a[0].clamp(-1.0, 1.0)]),
            row("clamp_crossed", |a| vec![a[0].clamp(2.0, 1.0)]),
            row("clamp_min", |a| vec![a[0].clamp_min(0.0)]),
            row("clamp_max", |a| vec![a[0].clamp_max(0.5)]),
            row("clamp_tensor", |a| vec![a[0].clamp(&a[1], &a[2])]),
            row("masked_fill", |a| vec![a[0].masked_fill(&a[1], 3.0)]),
            row("masked_fill_tensor", |a| vec![a[0].masked_fill(&a[1], &a[2])]),
        ],
    );
}

#[test]
fn special_functions() {
    check(
        "special",
        &[
            row("floor_divide", |a| vec![a[0].floor_divide(&a[1])]),
            row("div_floor", |a| vec![a[0].div_rounded(&a[1], Rounding::Floor)]),
            row("div_trunc", |a| vec![a[0].div_rounded(&a[1], Rounding::Trunc)]),
            row("true_divide", |a| vec![a[0].true_divide(&a[1])]),
            row("gcd", |a| vec![a[0].gcd(&a[1])]),
            row("lcm", |a| vec![a[0].lcm(&a[1])]),
            row("bitwise_left_shift", |a| vec![a[0].bitwise_left_shift(&a[1])]),
            row("bitwise_right_shift", |a| vec![a[0].bitwise_right_shift(&a[1])]),
            row("copysign", |a| vec![a[0].copysign(&a[1])]),
            row("ldexp", |a| vec![a[0].ldexp(&a[1])]),
            row("xlog1py", |a| vec![a[0].xlog1py(&a[1])]),
            row("signbit", |a| vec![a[0].signbit()]),
            row("polygamma", |a| vec![a[0].polygamma(1)]),
            row("igamma", |a| vec![a[0].detach().igamma(&a[1])]),
            row("erfinv", |a| vec![a[0].erfinv()]),
            row("erfcx", |a| vec![a[0].erfcx()]),
            row("ndtri", |a| vec![a[0].ndtri()]),
            row("log_ndtr", |a| vec![a[0].log_ndtr()]),
            row("digamma", |a| vec![a[0].digamma()]),
            row("i0", |a| vec![a[0].i0()]),
            row("i0e", |a| vec![a[0].i0e()]),
            row("i1", |a| vec![a[0].i1()]),
            row("i1e", |a| vec![a[0].i1e()]),
        ],
    );
}

/// PyTorch's rule for entropies is `-(1 + log x)` wherever the value is.
#[test]
fn entropies_have_the_derivative_of_the_logarithm() {
    let points = [-2.0, -0.0, 0.0, 0.5, f64::INFINITY];
    let x = [Array::new([5], points.to_vec())];
    let g = traced(|a| vec![a[0].entr()], &x).expect("a graph");
    let ones = Array::new([5], vec![1.0; 5]);
    let results = |g: &Graph, more: &[Array]| eval(g, &[&x[..], more].concat()).expect("values").pop().expect("one");
    let first = vjp(&g, &[0]).expect("reverse");
    let expected = [f64::NAN, f64::INFINITY, f64::INFINITY, 0.5f64.ln().neg() - 1.0, f64::NEG_INFINITY];
    let same = |got: &Array, expected: &[f64]| {
        let near = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12;
        assert!(got.to_f64_vec().iter().zip(expected).all(near), "{got}, expected {expected:?}");
    };
    same(&results(&first, std::slice::from_ref(&ones)), &expected);
    same(&results(&jvp(&g, &[0]).expect("forward"), std::slice::from_ref(&ones)), &expected);
    let second = jvp(&first, &[0]).expect("forward over reverse");
    same(&results(&second, &[ones.clone(), ones]), &[0.5, f64::INFINITY, f64::NEG_INFINITY, -2.0, 0.0]);
}

/// Nothing times the pole of a logarithm is nothing, and so is the slope in the factor there; the slope in the argument is 0/0.
#[test]
fn logarithms_times_nothing_have_the_derivatives_of_pytorch() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let rows: [(Function, f64); 2] = [(|a| vec![a[0].xlogy(&a[1])], 0.0), (|a| vec![a[0].xlog1py(&a[1])], 1.0)];
    for (f, shift) in rows {
        let of = |v: [f64; 5]| Array::new([5], v.to_vec());
        let x = [of([0.0, 0.0, 0.0, 1.0, 2.0]), of([0.0, -1.0, 2.0, 0.0, 3.0].map(|y| y - shift))];
        let ones = of([1.0; 5]);
        let g = traced(f, &x).expect("a graph");
        let shared = vmap(&g, &[Some(0), None], &[0], 1.into()).expect("a batch");
        let results = |g: &Graph, more: &[&Array]| -> Vec<Array> {
            let mut args: Vec<Array> = x.to_vec();
            args.extend(more.iter().map(|a| (*a).clone()));
            // A batch of one example.
            let fit =
                |(a, p): (Array, Aval)| if a.shape() == &p.shape { a } else { Array::new(p.shape, a.to_f64_vec()) };
            let args: Vec<Array> = args.into_iter().zip(g.param_avals()).map(fit).collect();
            eval(g, &args).expect("values")
        };
        let same = |got: &Array, expected: [f64; 5]| {
            let near = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-12;
            assert!(got.to_f64_vec().iter().zip(&expected).all(near), "{got}, expected {expected:?}");
        };
        let (two, three) = (2f64.ln(), 3f64.ln());
        for g in [&g, &shared] {
            let first = vjp(g, &[0, 1]).expect("reverse");
            let [value, by_x, by_y] = results(&first, &[&ones]).try_into().expect("three");
            same(&value, [0.0, 0.0, 0.0, -inf, 2.0 * three]);
            same(&by_x, [0.0, 0.0, two, -inf, three]);
            same(&by_y, [nan, 0.0, 0.0, inf, 2.0 / 3.0]);
            let forward = results(&jvp(g, &[0, 1]).expect("forward"), &[&ones, &ones]);
            same(&forward[1], [nan, 0.0, two, nan, three + 2.0 / 3.0]);
            let second = results(&jvp(&first, &[1]).expect("forward over reverse"), &[&ones, &ones]);
            same(&second[4], [0.0, 0.0, 0.5, inf, 1.0 / 3.0]);
            same(&second[5], [nan, 0.0, 0.0, -inf, -2.0 / 9.0]);
        }
    }
}

/// PyTorch multiplies before it divides, here in reverse mode only: of one linear map the other mode has the other order.
#[test]
fn derivatives_of_the_longest_lengths_overflow() {
    let x = [Array::new([2], vec![f64::MAX, 1.0]), Array::new([2], vec![1.0, f64::MAX]), Array::new([2], vec![2.0; 2])];
    let g = vjp(&traced(|a| vec![a[0].hypot(&a[1])], &x[..2]).expect("a graph"), &[0, 1]).expect("reverse");
    let found = eval(&g, &x).expect("values");
    assert_eq!(found[1].to_f64_vec(), [f64::INFINITY, 2.0 / f64::MAX]);
    assert_eq!(found[2].to_f64_vec(), [2.0 / f64::MAX, f64::INFINITY]);
}
