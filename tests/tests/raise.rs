//! PyTorch's compound operators in graphs: which are found, and that they mean what stood there.

use std::collections::BTreeMap;

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::{Class, raise, recompose, simplify};
use cotangent_core::text::ir::parse;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::{grad_and_value, vjp};
use cotangent_core::transform::inline::inline_composites;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::numeric::close;
use cotangent_tests::random_graph::{Config, random_args, random_graph};
use cotangent_torch::{Program, write_program};

fn graph(text: &str) -> Graph {
    parse("raise.cot", text).unwrap_or_else(|e| panic!("{:?}\n{text}", e.problems))
}

/// The targets of the printed code, without namespace.
fn targets(g: &Graph) -> Vec<String> {
    let code = g.code();
    let calls = code.lines().filter_map(|l| l.split("torch.ops.").nth(1)?.split('(').next());
    calls.map(|t| t.trim_start_matches("aten.").to_owned()).collect()
}

/// A body with its parameters, and the operators that it is.
const PATTERNS: &[(&str, &str, &[&str])] = &[
    ("%0: f64[3]", "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = mul(%1, %0)", &["mul.Scalar"]),
    ("%0: f64[3]", "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = sub(%1, %0)", &["rsub.Scalar"]),
    ("%0: f64[3]", "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: bool[3] = lt(%1, %0)", &["gt.Scalar"]),
    // No operator divides a number by a tensor.
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=2.0, dtype=f64) %2: f64[3] = div(%1, %0)",
        &["full.default", "div.Tensor"],
    ),
    // PyTorch's power with 0.5 is a root, of which -inf has none.
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=0.5, dtype=f64) %2: f64[3] = pow(%0, %1)",
        &["full.default", "pow.Tensor_Tensor"],
    ),
    ("%0: f64[3], %1: f64[2,3]", "%2: f64[2,3] = expand(%0, size=[2, 3]) %3: f64[2,3] = mul(%1, %2)", &["mul.Tensor"]),
    // Nothing else has the rows of the result.
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[2,3] = expand(%0, size=[2, 3]) %3: f64[2,3] = expand(%1, size=[2, 3]) %4: f64[2,3] = mul(%2, %3)",
        &["expand.default", "mul.Tensor"],
    ),
    (
        "%0: f64[2,3]",
        "%1: f64[2] = sum(%0, dim=[1]) %2: f64[2] = full(size=[2], fill_value=3.0, dtype=f64) %3: f64[2] = div(%1, %2) \
         %4: f64[2,1] = reshape(%3, shape=[2, 1])",
        &["mean.dim"],
    ),
    // Divided by another number.
    (
        "%0: f64[2,3]",
        "%1: f64[2] = sum(%0, dim=[1]) %2: f64[2] = full(size=[2], fill_value=4.0, dtype=f64) %3: f64[2] = div(%1, %2)",
        &["sum.dim_IntList", "div.Scalar"],
    ),
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = tanh(%0) %3: f64[3] = full(size=[3], fill_value=1.0, dtype=f64) %4: f64[3] = mul(%2, %2) \
         %5: f64[3] = sub(%3, %4) %6: f64[3] = mul(%1, %5)",
        &["tanh.default", "tanh_backward.default"],
    ),
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = sigmoid(%0) %3: f64[3] = full(size=[3], fill_value=1.0, dtype=f64) %4: f64[3] = sub(%3, %2) \
         %5: f64[3] = mul(%4, %2) %6: f64[3] = mul(%1, %5)",
        &["sigmoid.default", "sigmoid_backward.default"],
    ),
    (
        "%0: f64[3], %1: f64[3]",
        "%2: f64[3] = full(size=[3], fill_value=0.0, dtype=f64) %3: bool[3] = le(%0, %2) %4: f64[3] = where(%3, %2, %1)",
        &["threshold_backward.default"],
    ),
    (
        "%0: f64[3]",
        "%1: f64[3] = full(size=[3], fill_value=0.0, dtype=f64) %2: bool[3] = le(%0, %1) %3: f64[3] = where(%2, %1, %0)",
        &["relu.default"],
    ),
    (
        "%0: f64[2,3]",
        "%1: f64[2] = amax(%0, dim=[1]) %2: f64[2,1] = reshape(%1, shape=[2, 1]) %3: f64[2,3] = expand(%2, size=[2, 3]) \
         %4: f64[2,3] = sub(%0, %3) %5: f64[2,3] = exp(%4) %6: f64[2] = sum(%5, dim=[1]) \
         %7: f64[2,1] = reshape(%6, shape=[2, 1]) %8: f64[2,3] = expand(%7, size=[2, 3]) %9: f64[2,3] = div(%5, %8)",
        &["_softmax.default"],
    ),
    // The maximum of columns, the sum of rows.
    (
        "%0: f64[3,3]",
        "%1: f64[3] = amax(%0, dim=[0]) %3: f64[3,3] = expand(%1, size=[3, 3]) %4: f64[3,3] = sub(%0, %3) \
         %5: f64[3,3] = exp(%4) %6: f64[3] = sum(%5, dim=[1]) %7: f64[3,1] = reshape(%6, shape=[3, 1]) \
         %8: f64[3,3] = expand(%7, size=[3, 3]) %9: f64[3,3] = div(%5, %8)",
        &["amax.default", "sub.Tensor", "exp.default", "sum.dim_IntList", "div.Tensor"],
    ),
    (
        "%0: f64[5,2], %1: i64[3]",
        "%2: i64[3] = full(size=[3], fill_value=0, dtype=i64) %3: i64[3] = full(size=[3], fill_value=5, dtype=i64) \
         %4: bool[3] = lt(%1, %2) %5: i64[3] = add(%1, %3) %6: i64[3] = where(%4, %5, %1) \
         %7: f64[3,2] = index_select(%0, %6, dim=0)",
        &["index.Tensor"],
    ),
    (
        "%0: f64[5]",
        "%1: i64[5] = arange(end=5, dtype=i64) %2: i64[5] = full(size=[5], fill_value=3, dtype=i64) \
         %3: i64[5] = add(%1, %2) %4: i64[5] = full(size=[5], fill_value=5, dtype=i64) %5: i64[5] = fmod(%3, %4) \
         %6: f64[5] = index_select(%0, %5, dim=0)",
        &["roll.default"],
    ),
    (
        "%0: f64[2,3], %1: f64[3]",
        "%2: f64[3,1] = reshape(%1, shape=[3, 1]) %3: f64[2,1] = mm(%0, %2) %4: f64[2] = reshape(%3, shape=[2])",
        &["mv.default"],
    ),
    (
        "",
        "%1: i64[3] = arange(end=3, dtype=i64) %2: i64[3,1] = reshape(%1, shape=[3, 1]) \
         %3: i64[3,3] = expand(%2, size=[3, 3]) %4: i64[3,3] = expand(%1, size=[3, 3]) %5: bool[3,3] = eq(%3, %4) \
         %6: f64[3,3] = convert_element_type(%5, dtype=f64)",
        &["eye.m"],
    ),
];

/// Functions that an operator is the whole of, and functions that are almost so.
#[test]
fn operators_and_their_neighbours() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    fn log_sum(x: &Tensor, shift: &Tensor) -> Tensor {
        let shifted = x - shift;
        &shifted - shifted.exp().sum_over(&[1]).log().view_to(&[2, 1].into())
    }
    fn largest(x: &Tensor, dim: usize) -> Tensor {
        x.amax_over(&[dim]).view_to(&if dim == 1 { [2, 1] } else { [1, 2] }.into()).detach()
    }
    fn spread(x: &Tensor, about: f64, n: f64) -> Tensor {
        let centred = x - (x.sum_over(&[1]) / about).view_to(&[2, 1].into());
        (&centred * &centred).sum_over(&[1]) / n
    }
    fn normal(x: &Tensor, w: &Tensor, eps: f64, square: f64) -> Tensor {
        let centred = x - (x.sum_over(&[1]) / 2.0).view_to(&[2, 1].into());
        let variance = (&centred * &centred).sum_over(&[1]) / square;
        centred * (variance + eps).rsqrt().view_to(&[2, 1].into()) * w
    }
    let table: &[(&str, F, F)] = &[
        (
            "gelu",
            |x, _| x * 0.5 * ((x * 0.5f64.sqrt()).erf() + 1.0),
            |x, y| y * 0.5 * ((x * 0.5f64.sqrt()).erf() + 1.0),
        ),
        (
            "gelu_backward",
            |x, g| {
                let cumulative = ((x * 0.5f64.sqrt()).erf() + 1.0) * 0.5;
                g * (cumulative + x * (x * x * -0.5).exp() * 0.398_942_280_401_432_7)
            },
            |x, g| {
                let cumulative = ((x * 0.5f64.sqrt()).erf() + 1.0) * 0.5;
                g * (cumulative + x * (x * x * -0.25).exp() * 0.398_942_280_401_432_7)
            },
        ),
        ("elu", |x, _| (x.expm1() * 1.5).where_(&x.le(0.0), x), |x, _| (x.expm1() * 1.5).where_(&x.le(0.5), x)),
        (
            "elu_backward",
            |x, g| g * (x.exp() * 1.5).where_(&x.le(0.0), x.ones_like()),
            |x, g| g * (x.exp() * 1.5).where_(&x.le(0.0), x.full_like(2.0)),
        ),
        ("leaky_relu", |x, _| x.where_(&x.gt(0.0), x * 0.1), |x, y| x.where_(&x.gt(0.0), y * 0.1)),
        (
            "leaky_relu_backward",
            |x, g| g * x.ones_like().where_(&x.gt(0.0), x.full_like(0.1)),
            |x, g| g * x.ones_like().where_(&x.ge(0.0), x.full_like(0.1)),
        ),
        ("clamp", |x, _| x.maximum(-0.5).minimum(0.5), |x, y| x.maximum(-0.5).minimum(y)),
        ("_log_softmax", |x, _| log_sum(x, &largest(x, 1)), |x, _| log_sum(x, &largest(x, 0))),
        (
            "_log_softmax_backward_data",
            |y, g| g - g.sum_over(&[1]).view_to(&[2, 1].into()) * y.exp(),
            |y, g| g - y.sum_over(&[1]).view_to(&[2, 1].into()) * y.exp(),
        ),
        (
            "_softmax_backward_data",
            |y, g| (g - (g * y).sum_over(&[1]).view_to(&[2, 1].into())) * y,
            |y, g| (g - (g * g).sum_over(&[1]).view_to(&[2, 1].into())) * y,
        ),
        ("var", |x, _| spread(x, 2.0, 2.0), |x, _| spread(x, 3.0, 2.0)),
        ("std", |x, _| spread(x, 2.0, 2.0).sqrt(), |x, _| spread(x, 3.0, 2.0).sqrt()),
        ("layer_norm", |x, y| normal(x, &y.sum_over(&[0]), 1e-3, 2.0), |x, y| normal(x, &y.sum_over(&[0]), 1e-3, 3.0)),
        ("linalg_vector_norm", |x, _| (x * x).sum_over(&[1]).sqrt(), |x, y| (x * y).sum_over(&[1]).sqrt()),
        (
            "linalg_vector_norm",
            |x, _| flat_root(&(x * x).sum_over(&[1]), 0.0),
            |x, _| flat_root(&(x * x).sum_over(&[1]), 1.0),
        ),
        (
            "cdist",
            |x, y| {
                let d = x.view_to(&[2, 1, 2].into()) - y;
                flat_root(&(&d * &d).sum_over(&[2]), 0.0)
            },
            |x, y| {
                let d = x.view_to(&[2, 2, 1].into()) - y;
                flat_root(&(&d * &d).sum_over(&[2]), 0.0)
            },
        ),
        ("roll", |x, _| x.roll(&[1], &[1]), |x, _| x.flip_dims(&[1])),
        (
            "roll",
            |x, _| x.zeros_like().index_add_along(0, &places(&[1, 0]), x),
            |x, _| x.ones_like().index_add_along(0, &places(&[1, 0]), x),
        ),
        (
            "max",
            |x, _| x.gather_along(1, &x.argmax_along(1).view_to(&[2, 1].into())),
            |x, y| x.gather_along(1, &y.argmax_along(1).view_to(&[2, 1].into())),
        ),
        (
            "min",
            |x, _| x.gather_along(0, &x.argmin_along(0).view_to(&[1, 2].into())),
            |x, _| x.gather_along(1, &x.argmin_along(0).view_to(&[2, 1].into())),
        ),
        (
            "stack",
            |x, y| Tensor::cat_dim(&[x.clone(), y.clone()], 1).view_to(&[2, 2, 2].into()),
            |x, y| {
                Tensor::cat_dim(&[x.clone(), y.sum_over(&[0]).view_to(&[1, 2].into())], 0).view_to(&[3, 1, 2].into())
            },
        ),
        ("pow", |x, _| x * x * x, |x, y| x * x * y),
        (
            "amax",
            |x, _| (x.amax_over(&[1]).exp() + 1.0).view_to(&[2, 1].into()) * x,
            |x, _| (x.prod_over(1).exp() + 1.0).view_to(&[2, 1].into()) * x,
        ),
        ("trace", |x, _| x.main_diagonal().sum_over(&[0]), |x, _| x.diagonal_of(1, 0, 1).sum_over(&[0])),
        (
            "outer",
            |x, y| x.sum_over(&[0]).view_to(&[2, 1].into()).mm(&y.sum_over(&[0]).view_to(&[1, 2].into())),
            |x, y| x.mm(y),
        ),
        (
            "dot",
            |x, y| (x.sum_over(&[0]) * y.sum_over(&[0])).sum_over(&[0]),
            |x, y| (x.sum_over(&[0]) / y.sum_over(&[0])).sum_over(&[0]),
        ),
        ("mv", |x, y| (x * y.sum_over(&[0]).expand_to(x.shape())).sum_over(&[1]), |x, y| (x * y).sum_over(&[1])),
        ("matmul", |x, y| y.sum_over(&[0]).view_to(&[1, 2].into()).mm(x).view_to(&[2].into()), |x, y| y.mm(x)),
    ];
    fn places(i: &[i64]) -> Tensor {
        Tensor::from_array(Array::new([i.len()], i.to_vec()))
    }
    fn flat_root(s: &Tensor, at: f64) -> Tensor {
        let flat = s.eq(0.0);
        s.full_like(at).where_(&flat, s.ones_like().where_(&flat, s).sqrt())
    }
    fn huber(x: &Tensor, y: &Tensor, inside: f64) -> Tensor {
        let d = (x - y).abs();
        (&d * &d * 0.5).where_(&d.lt(inside), (&d - 0.25) * 0.5)
    }
    fn smooth(x: &Tensor, y: &Tensor, half: f64) -> Tensor {
        let d = (x - y).abs();
        (&d * &d * 0.5).where_(&d.lt(1.0), &d - half).sum_over(&[0, 1]) / 4.0
    }
    fn log_sigmoid(x: &Tensor, y: &Tensor) -> Tensor {
        x.minimum(0.0) - (-y.abs()).exp().log1p()
    }
    fn log_sum_exp(x: &Tensor, guard: f64) -> Tensor {
        let m = x.amax_over(&[1]);
        let m = m.zeros_like().where_(&m.abs().eq(guard), &m);
        (x - m.view_to(&[2, 1].into())).exp().sum_over(&[1]).log() + m
    }
    let wholes: &[(&str, F, F)] = &[
        ("softplus", |x, _| x.where_(&x.gt(20.0), x.exp().log1p()), |x, y| x.where_(&x.gt(20.0), y.exp().log1p())),
        (
            "softplus",
            |x, _| x.where_(&(x * 2.0).gt(20.0), (x * 2.0).exp().log1p() / 2.0),
            |x, _| x.where_(&(x * 2.0).gt(20.0), (x * 2.0).exp().log1p() / 3.0),
        ),
        ("log_sigmoid", |x, _| log_sigmoid(x, x), log_sigmoid),
        (
            "mish",
            |x, _| x * x.where_(&x.gt(20.0), x.exp().log1p()).tanh(),
            |x, y| y * x.where_(&x.gt(20.0), x.exp().log1p()).tanh(),
        ),
        ("celu", |x, _| x.where_(&x.gt(0.0), (x / 0.7).expm1() * 0.7), |x, _| x.where_(&x.gt(0.0), (x / 0.7).expm1())),
        (
            "hardshrink",
            |x, _| x.zeros_like().where_(&x.abs().le(0.5), x),
            |x, y| x.zeros_like().where_(&y.abs().le(0.5), x),
        ),
        ("mse_loss", |x, y| ((x - y) * (x - y)).sum_over(&[0, 1]), |x, y| ((x - y) * (y - x)).sum_over(&[0, 1])),
        ("addmm", |x, y| x.mm(y) + x, |x, y| x.mm(y) * x),
        ("addmm", |x, y| x.sum_over(&[0]) + x.mm(y), |x, y| x - x.mm(y)),
        (
            "baddbmm",
            |x, y| x.view_to(&[1, 2, 2].into()).bmm(&y.view_to(&[1, 2, 2].into())) + x,
            |x, y| x.view_to(&[1, 2, 2].into()).bmm(&y.view_to(&[1, 2, 2].into())) - x,
        ),
        (
            "sinc",
            |x, _| {
                let t = x * std::f64::consts::PI;
                t.ones_like().where_(&t.eq(0.0), t.sin() / &t)
            },
            |x, _| {
                let t = x * 3.0;
                t.ones_like().where_(&t.eq(0.0), t.sin() / &t)
            },
        ),
        (
            "xlogy",
            |x, y| y.full_like(f64::NAN).where_(&y.isnan(), x.zeros_like().where_(&x.eq(0.0), x * y.log())),
            |x, y| y.full_like(f64::NAN).where_(&y.isnan(), x.zeros_like().where_(&y.eq(0.0), x * y.log())),
        ),
        (
            "binary_cross_entropy_with_logits",
            |x, t| (1.0 - t) * x - log_sigmoid(x, x),
            |x, t| (2.0 - t) * x - log_sigmoid(x, x),
        ),
        ("huber_loss", |x, y| huber(x, y, 0.5), |x, y| huber(x, y, 0.75)),
        ("smooth_l1_loss", |x, y| smooth(x, y, 0.5), |x, y| smooth(x, y, 0.25)),
        ("logsumexp", |x, _| log_sum_exp(x, f64::INFINITY), |x, _| log_sum_exp(x, 1.0)),
        ("tril", |x, _| x.tril(-1), |x, _| x.triu(-1)),
        ("triu", |x, _| x.triu(1), |x, _| x.tril(1)),
        (
            "hardtanh",
            |x, _| x.full_like(-1.0).where_(&x.le(-1.0), x.ones_like().where_(&x.ge(1.0), x)),
            |x, _| x.full_like(-1.0).where_(&x.le(-2.0), x.ones_like().where_(&x.ge(1.0), x)),
        ),
        ("lerp", |x, y| x + (y - x) * 0.3, |x, y| y + (y - x) * 0.3),
        ("addcmul", |x, y| x + x * y * 0.5, |x, y| x + x / y),
    ];
    let aval = Aval::new(DType::F64, [2, 2]);
    let table = [table, wholes].concat();
    for (name, operator, neighbour) in table {
        for (f, expected) in [(operator, true), (neighbour, false)] {
            let g = build("f", |t| Ok(vec![f(&t.param(&aval), &t.param(&aval)).ok()?])).unwrap();
            let g = simplify(&inline_composites(&g).unwrap());
            let raised = g.raised();
            let found = targets(&raised).iter().any(|t| t.split('.').next() == Some(name));
            assert_eq!(found, expected, "{name}: {}", raised.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{name}: {g}");
        }
    }
}

/// A batch of a derivative by the result is the operator again.
#[test]
fn derivatives_by_the_result_are_operators() {
    let x = Aval::new(DType::F64, [2, 3]);
    let composite = |f: fn(Tensor) -> Tensor| build("f", |t| Ok(vec![f(t.param(&x))])).unwrap();
    let softmax = composite(|x| x.softmax(-1));
    let log_softmax = composite(|x| x.log_softmax(0));
    for (g, expected) in [
        (vjp(&softmax, &[0]).unwrap(), ["_softmax.default", "_softmax_backward_data.default"]),
        (vjp(&log_softmax, &[0]).unwrap(), ["_log_softmax.default", "_log_softmax_backward_data.default"]),
    ] {
        let wide = vmap(&g, &[Some(1), Some(0)], &[0, 2], 4.into()).unwrap();
        for g in [&g, &wide] {
            let raised = simplify(g).raised();
            let found = targets(&raised);
            assert!(expected.iter().all(|e| found.contains(&(*e).to_owned())), "{}", raised.code());
            let args = random_args(1, g);
            for (a, b) in eval(g, &args).unwrap().iter().zip(eval(&raised, &args).unwrap()) {
                assert!(close(a, &b, 1e-12), "{g}\n{raised}");
            }
        }
    }
}

/// The derivative of a composite is PyTorch's backward operator along a cotangent, along ones and along tangents, and is
/// what the composite's body has for a derivative.
#[test]
fn derivatives_of_composites_are_operators() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let table: &[(&str, F)] = &[
        ("hardtanh_backward", |x, _| x.hardtanh(-0.5, 0.5)),
        ("softplus_backward", |x, _| x.softplus(1.0, 20.0)),
        ("softplus_backward", |x, _| x.softplus(3.0, 1.0)),
        ("hardswish_backward", |x, _| x.hardswish()),
        ("elu_backward", |x, _| x.selu()),
        ("elu_backward", |x, _| x.celu(0.7)),
        ("hardshrink_backward", |x, _| x.hardshrink(0.3)),
        ("mse_loss_backward", |x, y| x.mse_loss(y, Reduction::Mean)),
        ("elu_backward", |x, _| x.elu_scaled(0.5, 1.5, 1.0)),
        ("leaky_relu_backward", |x, _| x.leaky_relu(0.2)),
        ("huber_loss_backward", |x, y| x.huber_loss(y, Reduction::None, 0.5)),
        ("huber_loss_backward", |x, y| x.huber_loss(y, Reduction::Sum, 0.5)),
        ("huber_loss_backward", |x, y| x.huber_loss(y, Reduction::Mean, 0.5)),
        ("smooth_l1_loss_backward", |x, y| x.smooth_l1_loss(y, Reduction::Mean, 1.0)),
        ("smooth_l1_loss_backward", |x, y| x.smooth_l1_loss(y, Reduction::None, 0.5)),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for (name, f) in table {
        let of = |total: bool| {
            let g = build("f", |t| {
                let y = f(&t.param(&aval), &t.param(&aval)).ok()?;
                Ok(vec![if total { y.sum() } else { y }])
            });
            g.unwrap()
        };
        for (f, ones) in [(of(false), false), (of(true), true)] {
            let along = |f: &Graph| if ones { grad_and_value(f, &[0]) } else { vjp(f, &[0]) }.unwrap();
            let g = simplify(&along(&f));
            let raised = g.raised();
            let found = targets(&raised).iter().any(|t| t.split('.').next() == Some(*name));
            assert!(found, "{name}: {}", raised.code());
            let args = random_args(1, &g);
            let values = eval(&g, &args).unwrap();
            assert!(same_bits(&values, &eval(&raised, &args).unwrap()), "{name}: {g}");
            let inlined = along(&inline_composites(&f).unwrap());
            for (a, b) in values.iter().zip(eval(&inlined, &args).unwrap()) {
                assert!(close(a, &b, 1e-12), "{name}: {a:?} {b:?}");
            }
        }
    }
}

/// The derivatives of a normalisation are one operator, with those of weight and bias where they are wanted.
#[test]
fn derivatives_of_normalizations_are_one_operator() {
    type F = fn(&[Tensor]) -> Tensor;
    let table: [(&str, F); 4] = [
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], &a[1], &a[2], 1e-5)),
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], &a[1], None, 1e-5)),
        ("native_layer_norm_backward.default", |a| a[0].layer_norm([4], None, None, 1e-5)),
        ("native_batch_norm_backward.default", |a| {
            let [y, _, _] =
                cotangent_aten::nn::norm::native_batch_norm(&a[0], Some(&a[1]), Some(&a[2]), 0.1, 1e-5).unwrap();
            y
        }),
    ];
    for (expected, f) in table {
        let f = build("f", |t| {
            let x = t.param(&Aval::new(DType::F64, [3, 4]));
            let [w, b] = std::array::from_fn(|_| t.param(&Aval::new(DType::F64, [4])));
            Ok(vec![f(&[x, w, b]).ok()?])
        });
        for wrt in [vec![0], vec![0, 1, 2]] {
            let g = simplify(&vjp(f.as_ref().unwrap(), &wrt).unwrap());
            let raised = g.raised();
            let found = targets(&raised);
            assert!(found.contains(&expected.to_owned()), "{}", raised.code());
            assert!(!found.iter().any(|t| t.starts_with("sum") || t.starts_with("mean")), "{}", raised.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
        }
    }
}

/// Slopes that are nearly those of an operator.
#[test]
fn neighbours_of_derivatives_stay() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    let table: &[F] = &[
        // The derivative of another function on one side.
        |x, g| g * x.ones_like().where_(&x.gt(20.0), x.tanh()),
        |x, g| g * x.full_like(2.0).where_(&x.gt(20.0), x.sigmoid()),
        // Along different values in the branches.
        |x, g| g.where_(&x.gt(20.0), x * x.sigmoid()),
        // Bounds in the wrong order.
        |x, g| x.zeros_like().where_(&x.le(1.0), x.zeros_like().where_(&x.ge(-1.0), g)),
        |x, g| x.zeros_like().where_(&x.le(-3.0), (g * (x / 3.0 + 0.25)).where_(&x.lt(3.0), g)),
        // Two thresholds.
        |x, g| g * ((x - g).sign() * 0.5).where_(&(x - g).abs().gt(0.75), x - g),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for f in table {
        let g = build("f", |t| Ok(vec![f(&t.param(&aval), &t.param(&aval)).ok()?])).unwrap();
        let raised = simplify(&g).raised();
        let backward = |t: &String| t.contains("_backward") && !t.starts_with("threshold") && !t.starts_with("tanh");
        assert!(!targets(&raised).iter().any(backward), "{}", raised.code());
    }
}

/// A derivative beside its function takes from the call what that has already; what the call itself needs stays.
#[test]
fn results_of_calls_are_shared() {
    let aval = Aval::new(DType::F64, [4, 3]);
    let g = build("f", |t| {
        let x = t.param(&aval);
        let at = Tensor::from_array(Array::new([2], vec![0i64, 2]));
        let y = embedding(&at, &x, None);
        Ok(vec![&y * &y, y, x.index_select(0, &at) * 2.0])
    });
    let g = g.unwrap();
    let raised = simplify(&g).raised();
    assert!(!targets(&raised).contains(&"index_select.default".to_owned()), "{}", raised.code());
    let args = random_args(1, &g);
    assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()));
}

/// What an exporter takes apart is whole again before it is differentiated.
#[test]
fn decompositions_are_recomposed() {
    type F = fn(&Tensor) -> Tensor;
    let table: &[(&str, F, F)] = &[
        (
            "hardswish",
            |x| x * (x + 3.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
            |x| x * (x + 3.0).clamp_min(0i64).clamp_max(5i64) / 6.0,
        ),
        (
            "hardsigmoid",
            |x| (x + 3.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
            |x| (x + 2.0).clamp_min(0i64).clamp_max(6i64) / 6.0,
        ),
        ("linalg_vector_norm", |x| x.pow(2.0).sum_over(&[1]).sqrt(), |x| x.pow(3.0).sum_over(&[1]).sqrt()),
    ];
    let aval = Aval::new(DType::F64, [2, 3]);
    for (name, f, neighbour) in table {
        for (f, expected) in [(f, true), (neighbour, false)] {
            let g = build("f", |t| Ok(vec![f(&t.param(&aval)).ok()?])).unwrap();
            let whole = recompose(&g);
            let found = targets(&whole).iter().any(|t| t.split('.').next() == Some(*name));
            assert_eq!(found, expected, "{}", whole.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&whole, &args).unwrap()), "{name}");
        }
    }
}

/// An inverse or a solution that has to exist.
#[test]
fn checked_systems_are_found() {
    let of = |body: &str| graph(&format!("graph f(%0: f64[2,3,3], %1: f64[2,3]) {{\n{body}}}\n"));
    let checked = |system: &str, result: &str, info: &str| {
        of(&format!(
            "  {system}\n  %7: i32[2] = full(size=[2], fill_value=0, dtype=i32)\n  %8: bool[2] = ne({info}, %7)\n  \
             %9: i64[2] = convert_element_type(%8, dtype=i64)\n  %10: i64[] = sum(%9, dim=none)\n  \
             %11: i64[] = full(size=[], fill_value=0, dtype=i64)\n  %12: bool[] = eq(%10, %11)\n  \
             %13: f64[2,3,3] = _functional_assert_async(%12, {result}, assert_msg=\"singular\")\n  return %13\n"
        ))
    };
    let inverse = "%2: f64[2,3,3], %3: i32[2] = linalg_inv_ex(%0, check_errors=false)";
    assert_eq!(targets(&checked(inverse, "%2", "%3").raised()), ["linalg_inv.default"]);
    let solve = "%2: f64[2,3,3], %3: f64[2,3,3], %4: i32[2,3], %5: i32[2] = _linalg_solve_ex(%0, %0, left=false, check_errors=false)";
    let raised = checked(solve, "%2", "%5").raised();
    assert_eq!(targets(&raised), ["linalg_solve.default"]);
    assert!(raised.code().contains("left = False"), "{}", raised.code());
    // Something else is checked, or something else depends on it.
    let factors = checked(solve, "%3", "%5").raised();
    assert!(targets(&factors).contains(&"_functional_assert_async.msg".to_owned()), "{factors}");
    let other = checked(
        &format!("{inverse}\n  %5: f64[2,3,3], %6: i32[2] = linalg_inv_ex(%5, check_errors=false)")
            .replace("(%5", "(%2"),
        "%2",
        "%6",
    );
    assert!(targets(&other.raised()).contains(&"_functional_assert_async.msg".to_owned()), "{other}");
}

/// The body as a graph: its last value is the result.
fn pattern(params: &str, body: &str) -> Graph {
    let mut lines: Vec<String> = Vec::new();
    for word in body.split_inclusive(' ') {
        if word.starts_with('%') && word.trim_end().ends_with(':') {
            lines.push("  ".to_owned());
        }
        lines.last_mut().unwrap().push_str(word);
    }
    let last = lines.last().unwrap().trim().split(':').next().unwrap().to_owned();
    graph(&format!("graph f({params}) {{\n{}\n  return {last}\n}}\n", lines.join("\n")))
}

fn same_bits(a: &[Array], b: &[Array]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.aval() == b.aval() && a.to_le_bytes() == b.to_le_bytes())
}

#[test]
fn compound_operators_are_found() {
    for (params, body, expected) in PATTERNS {
        let g = pattern(params, body);
        let raised = g.raised();
        assert_eq!(targets(&raised), *expected, "{g}");
        let args = random_args(1, &g);
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}");
        let read = graph(&raised.to_string());
        assert_eq!(read.to_string(), raised.to_string());
    }
}

/// Exported programs that name the operators are read by this project with the same values.
#[test]
fn compound_operators_read_back() {
    let path = std::env::temp_dir().join(format!("cotangent-{}-raised.pt2", std::process::id()));
    for (params, body, _) in PATTERNS {
        let g = pattern(params, body);
        write_program(&path, &g.raised(), &BTreeMap::new()).unwrap();
        let program = Program::read(&path).unwrap();
        let avals = program.avals(&BTreeMap::new()).unwrap();
        let again = program.graph(&avals).unwrap_or_else(|e| panic!("{e}: {}", g.raised().code()));
        let args = random_args(1, &g);
        let (a, b) = (eval(&g, &args).unwrap(), eval(&again, &args).unwrap());
        assert_eq!(a[0].aval(), b[0].aval());
        for (x, y) in a[0].to_f64_vec().into_iter().zip(b[0].to_f64_vec()) {
            assert!((x - y).abs() <= 1e-12 * x.abs().max(1.0) || (x.is_nan() && y.is_nan()), "{x}, {y}: {g}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

/// Sums in another order are no operator where every bit is kept.
#[test]
fn rules_keep_to_their_class() {
    let (params, body, _) = PATTERNS.iter().find(|p| p.2 == ["_softmax.default"]).unwrap();
    let exact = targets(&raise(&pattern(params, body), Class::Exact));
    assert!(exact.iter().any(|t| t == "exp.default"), "{exact:?}");
}

#[test]
fn raised_graphs_have_the_values_of_graphs() {
    for seed in 0..300 {
        let g = random_graph(seed, Config::ALL);
        let args = random_args(seed, &g);
        for g in [g.clone(), simplify(&g)] {
            let Ok(expected) = eval(&g, &args) else { continue };
            let raised = g.raised();
            assert!(raised.len() <= g.len(), "{seed}: {} nodes, {} before", raised.len(), g.len());
            assert!(same_bits(&expected, &eval(&raised, &args).unwrap()), "{seed}: {g}\n{raised}");
        }
    }
}
