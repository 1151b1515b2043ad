//! Derivatives that take the operands of the function beside them: of convolutions, and of maxima of windows.

use cotangent_aten::nn::pool::Pool;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::ops::{Convolution, Op};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::replay::replay;
use cotangent_tests::random_graph::random_args;

use crate::{graph, same_bits, targets};

pub fn function(shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Tensor) -> Graph {
    let built = build("f", |t| {
        let args: Vec<Tensor> = shapes.iter().map(|s| t.param(&Aval::new(DType::F64, *s))).collect();
        Ok(vec![f(&args).ok()?])
    });
    built.unwrap()
}

/// The derivative in the first operand beside the function, which is a call of its composite.
pub fn beside(f: &Graph) -> Graph {
    let pullback = vjp(f, &[0]).unwrap();
    let built = build("beside", |t| {
        let args: Vec<Tensor> = pullback.param_avals().iter().map(|a| t.param(a)).collect();
        let y = replay(f, &args[..1]).remove(0);
        Ok(vec![y, replay(&pullback, &args).pop().expect("a cotangent")])
    });
    simplify(&built.unwrap())
}

/// How often `target` stands in the raised graph, which has the values of `g`.
pub fn found(g: &Graph, target: &str) -> usize {
    let raised = g.raised();
    let args = random_args(1, g);
    assert!(same_bits(&eval(g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}\n{raised}");
    targets(&raised).iter().filter(|t| *t == target).count()
}

/// Convolutions of one to three dims, with everything that changes their derivatives.
fn convolutions() -> Vec<(Convolution, [&'static [usize]; 2])> {
    let plain = Convolution::plain;
    vec![
        (plain(1), [&[2, 3, 5], &[4, 3, 2]]),
        (plain(2), [&[1, 2, 5, 5], &[3, 2, 3, 3]]),
        (plain(2), [&[2, 1, 4, 4], &[1, 1, 3, 3]]),
        (plain(3), [&[2, 2, 3, 3, 3], &[2, 2, 2, 2, 2]]),
        (Convolution { padding: vec![1, 1], stride: vec![2, 2], ..plain(2) }, [&[2, 2, 6, 5], &[3, 2, 3, 3]]),
        (Convolution { dilation: vec![2, 1], ..plain(2) }, [&[2, 2, 6, 5], &[3, 2, 3, 3]]),
        (Convolution { groups: 2, padding: vec![1], ..plain(1) }, [&[2, 4, 5], &[6, 2, 3]]),
        (Convolution { transposed: true, ..plain(1) }, [&[2, 3, 5], &[3, 4, 2]]),
        (
            Convolution { transposed: true, stride: vec![2, 2], output_padding: vec![1, 0], ..plain(2) },
            [&[2, 3, 3, 4], &[3, 2, 3, 3]],
        ),
    ]
}

#[test]
fn derivatives_of_convolutions_are_one_operator() {
    for (op, shapes) in convolutions() {
        let f = function(&shapes, |a| a[0].conv(&a[1], op.clone()).sin());
        let g = simplify(&vjp(&f, &[0, 1]).unwrap());
        assert_eq!(found(&g, "convolution_backward.default"), 1, "{op:?}: {}", g.raised().code());
        // The derivative in one of both is shorter by itself.
        for wrt in [0, 1] {
            let g = simplify(&vjp(&f, &[wrt]).unwrap());
            assert_eq!(found(&g, "convolution_backward.default"), 0, "{op:?}: {}", g.raised().code());
        }
    }
}

/// Two convolutions with one weight have a derivative each.
#[test]
fn shared_weights_have_a_derivative_for_each_convolution() {
    let shapes: [&[usize]; 3] = [&[2, 2, 5], &[2, 2, 5], &[3, 2, 3]];
    let f = function(&shapes, |a| {
        let [y, z] = [0, 1].map(|i| a[i].conv(&a[2], Convolution::plain(1)));
        y.sin() * z.exp()
    });
    let g = simplify(&vjp(&f, &[0, 1, 2]).unwrap());
    assert_eq!(found(&g, "convolution_backward.default"), 2, "{}", g.raised().code());
}

/// The derivative in a bias, which the convolution takes, is the third result.
#[test]
fn the_bias_is_taken_in() {
    let shapes: [&[usize]; 3] = [&[2, 2, 5], &[3, 2, 3], &[3]];
    let f = function(&shapes, |a| a[0].conv1d(&a[1], &a[2], &Conv::default()).sin());
    let g = simplify(&vjp(&f, &[0, 1, 2]).unwrap());
    assert_eq!(found(&g, "convolution_backward.default"), 1, "{}", g.raised().code());
    assert!(!targets(&g.raised()).iter().any(|t| t.starts_with("sum")), "{}", g.raised().code());
}

/// What differs from the derivative in one attribute or operand.
#[test]
fn neighbours_of_convolutions_stay() {
    let op = Convolution { padding: vec![1], ..Convolution::plain(1) };
    let f = function(&[&[3, 3, 3], &[3, 3, 3]], |a| a[0].conv(&a[1], op.clone()).sin());
    let text = simplify(&vjp(&f, &[0, 1]).unwrap()).to_string();
    assert_eq!(found(&graph(&text), "convolution_backward.default"), 1);
    let adjoint = text.lines().find(|l| l.contains("transposed=true")).unwrap();
    let first = |l: &str| l.split('(').nth(1).and_then(|l| l.split(',').next()).unwrap().to_owned();
    let y_bar = first(adjoint);
    let reversed = text.lines().find(|l| l.contains(&format!("permute({y_bar},"))).unwrap();
    let near = [
        (adjoint, adjoint.replace(&format!("({y_bar},"), "(%0,")),
        (adjoint, adjoint.replace("transposed=true", "transposed=false")),
        (reversed, reversed.replace(&format!("({y_bar},"), "(%1,")),
        (reversed, reversed.replace("[1, 0, 2]", "[1, 2, 0]")),
    ];
    for (line, other) in near {
        assert_ne!(line, other, "{text}");
        let g = graph(&text.replace(line, &other));
        assert_eq!(found(&g, "convolution_backward.default"), 0, "{other}");
    }
}

#[test]
fn derivatives_of_maxima_go_by_their_places() {
    type F = fn(&Tensor) -> Tensor;
    fn pool(stride: usize, padding: usize, dilation: usize, ceil_mode: bool) -> Pool {
        Pool { padding: padding.into(), dilation: dilation.into(), ceil_mode, ..Pool::stride(stride) }
    }
    let table: [(&str, &[usize], F); 9] = [
        ("max_pool2d_with_indices_backward", &[2, 2, 4, 4], |x| x.max_pool2d(2, &Pool::default())),
        ("max_pool2d_with_indices_backward", &[2, 2, 5, 7], |x| x.max_pool2d(2, &Pool::default())),
        ("max_pool2d_with_indices_backward", &[1, 1, 6, 6], |x| x.max_pool2d(3, &pool(2, 1, 1, false))),
        ("max_pool2d_with_indices_backward", &[2, 1, 7, 7], |x| x.max_pool2d(2, &pool(1, 0, 2, false))),
        ("max_pool2d_with_indices_backward", &[2, 1, 7, 6], |x| x.max_pool2d(3, &pool(2, 0, 1, true))),
        ("max_pool2d_with_indices_backward", &[2, 3, 6], |x| x.max_pool1d(2, &Pool::default())),
        ("max_pool2d_with_indices_backward", &[2, 3, 7], |x| x.max_pool1d(3, &pool(2, 1, 1, false))),
        ("max_pool3d_with_indices_backward", &[1, 2, 4, 4, 4], |x| x.max_pool3d(2, &Pool::default())),
        ("adaptive_max_pool2d_backward", &[1, 2, 5, 4], |x| x.adaptive_max_pool2d([2, 2]).0),
    ];
    for (target, shape, f) in table {
        let target = format!("{target}.default");
        let g = beside(&function(&[shape], |a| f(&a[0]).sin()));
        assert_eq!(found(&g, &target), 1, "{}", g.raised().code());
        let text = g.to_string();
        // Maxima of other windows than those that the call has.
        let at = text.rfind("argmax(").unwrap();
        let other = graph(&format!("{}argmin({}", &text[..at], &text[at + "argmax(".len()..]));
        assert_eq!(found(&other, &target), 0, "{}", other.raised().code());
    }
}

/// Without a call beside it the derivative and what it takes of the function go by a call that is made for both.
#[test]
fn maxima_of_plain_windows_are_made_a_call() {
    let backward = "max_pool2d_with_indices_backward.default";
    let pools: [(&[usize], Pool); 3] =
        [(&[2, 2, 4, 4], Pool::default()), (&[1, 1, 5, 6], Pool::stride(1)), (&[2, 1, 6, 7], Pool::stride(3))];
    for (shape, pool) in pools {
        let f = function(&[shape], |a| a[0].max_pool2d(2, &pool).sin());
        let g = simplify(&vjp(&f, &[0]).unwrap());
        assert_eq!(found(&g, backward), 1, "{}", g.raised().code());
        assert_eq!(found(&g, "max_pool2d_with_indices.default"), 1);
        // The call gives the places that the backward operator takes.
        let raised = g.raised();
        let places = raised.nodes().iter().find(|n| n.results.len() == 2).map(|n| n.results[1]).unwrap();
        let user = raised.nodes().iter().find(|n| n.args.contains(&places)).unwrap();
        assert_eq!(user.args[2], places, "{raised}");
        // Other places are taken elsewhere, so that nothing would become shorter.
        let f = function(&[shape], |a| {
            let windows = a[0].unfold(2, 2, 2).unfold(3, 2, 2);
            let flat = windows.view_to(&windows.shape().slice(0, 4).concat(&[4].into()));
            let at = flat.argmax_along(4).view_to(&flat.shape().with(4, 1));
            flat.gather_along(4, &at) + at.convert(DType::F64)
        });
        assert_eq!(found(&simplify(&f), "max_pool2d_with_indices.default"), 0);
    }
}

/// The places are those of the composite.
#[test]
fn made_calls_have_the_places_of_the_composite() {
    let f = function(&[&[2, 2, 4, 6]], |a| a[0].max_pool2d([2, 3], &Pool::stride([2, 1])).sin());
    let raised = simplify(&vjp(&f, &[0]).unwrap()).raised();
    let call = raised.nodes().iter().find_map(|n| match &n.op {
        Op::Call(c) if c.function() == "max_pool2d_with_indices" => Some(c.body.clone()),
        _ => None,
    });
    let composite = build("f", |t| {
        let x = t.param(&Aval::new(DType::F64, [2, 2, 4, 6]));
        let (values, places) = x.max_pool2d_with_indices([2, 3], &Pool::stride([2, 1]));
        Ok(vec![values, places])
    });
    let composite = composite.unwrap();
    let args = random_args(3, &composite);
    assert!(same_bits(&eval(&call.unwrap(), &args).unwrap(), &eval(&composite, &args).unwrap()));
}
