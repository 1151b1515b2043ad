//! `custom_jvp`, `custom_vjp` (field.md F17).

use cotangent::prelude::*;
use cotangent_core::tensor::composite_by_result;
use cotangent_tests::expect::message;

fn at(t: &Tensor) -> f64 {
    t.item().unwrap()
}

type One = (Tensor,);

fn sin(x: Tensor) -> Tensor {
    x.sin()
}

/// The true derivative times three, so that it can be told from the true one.
fn sin_rule((x,): One, (x_dot,): One) -> Tensor {
    x_dot * x.cos() * 3.0
}

#[test]
fn a_forward_rule_serves_every_mode() {
    let f = custom_jvp(sin, sin_rule);
    let x = Tensor::from(0.5f64);
    let d = 3.0 * 0.5f64.cos();
    assert_eq!(at(&f.call((x.clone(),)).unwrap()), 0.5f64.sin());
    assert_eq!(at(&grad(&f).call((x.clone(),)).unwrap()), d);
    assert_eq!(at(&jvp(&f, (x.clone(),), (Tensor::from(1.0f64),)).unwrap().1), d);
    assert_eq!(at(&jacfwd(&f).call((x.clone(),)).unwrap()), d);
    let xs = Tensor::from([0.5f64, 1.0]);
    let g = vmap(grad(&f)).call((xs.clone(),)).unwrap();
    assert_eq!(g.to_vec::<f64>().unwrap(), [d, 3.0 * 1.0f64.cos()]);
    let g = grad(|xs: Tensor| Ok::<_, Error>(vmap(&f).call((xs,))?.sum())).call((xs,)).unwrap();
    assert_eq!(g.to_vec::<f64>().unwrap(), [d, 3.0 * 1.0f64.cos()]);
    // The rule's own computation is differentiated as any other.
    assert!((at(&grad(grad(&f)).call((x,)).unwrap()) + 3.0 * 0.5f64.sin()).abs() < 1e-12);
}

#[test]
fn trees_and_integers_in_a_forward_rule() {
    type Args = (Vec<Tensor>, Tensor);
    let f = custom_jvp(
        |xs: Vec<Tensor>, n: Tensor| (&xs[0] * &xs[1], n),
        |(xs, _): Args, (dots, n_dot): Args| (&xs[0] * &dots[1] + &xs[1] * &dots[0], n_dot),
    );
    let g = grad(|a: Tensor, b: Tensor| Ok::<_, Error>(f.call((vec![a, b], Tensor::from(2i64)))?.0))
        .argnums::<(At<0>, At<1>)>();
    let (a, b) = g.call((Tensor::from(3.0f64), Tensor::from(5.0f64))).unwrap();
    assert_eq!((at(&a), at(&b)), (5.0, 3.0));
}

#[test]
fn a_reverse_rule() {
    let clip = custom_vjp(
        |x: Tensor, limit: Tensor| (x, limit).0,
        |x: Tensor, limit: Tensor| (x, limit),
        |limit: Tensor, x_bar: Tensor| (x_bar.minimum(&limit), limit.zeros_like()),
    );
    let args = || (Tensor::from(3.0f64), Tensor::from(2.0f64));
    let f = |x: Tensor, limit: Tensor| Ok::<_, Error>(clip.call((x, limit))? * 5.0);
    assert_eq!(at(&clip.call(args()).unwrap()), 3.0);
    assert_eq!(at(&grad(f).call(args()).unwrap()), 2.0);
    assert_eq!(at(&jacrev(f).call(args()).unwrap()), 2.0);
    let (_, pullback) = vjp(f, args()).unwrap();
    assert_eq!(at(&pullback.call((Tensor::from(0.1f64),)).unwrap().0), 0.5);
    let xs = Tensor::from([1.0f64, 2.0]);
    let limits = Tensor::from([2.0f64, 9.0]);
    let g = vmap(grad(f)).call((xs, limits)).unwrap();
    assert_eq!(g.to_vec::<f64>().unwrap(), [2.0, 5.0]);
}

#[test]
fn reverse_rules_nest() {
    // A square whose reverse rule is differentiated again.
    let square =
        custom_vjp(|x: Tensor| &x * &x, |x: Tensor| (&x * &x, x), |x: Tensor, y_bar: Tensor| (y_bar * x * 2.0,));
    let x = Tensor::from(3.0f64);
    assert_eq!(at(&grad(&square).call((x.clone(),)).unwrap()), 6.0);
    assert_eq!(at(&grad(grad(&square)).call((x,)).unwrap()), 2.0);
}

#[test]
fn forward_mode_through_a_reverse_rule_is_an_error() {
    let square =
        custom_vjp(|x: Tensor| &x * &x, |x: Tensor| (&x * &x, x), |x: Tensor, y_bar: Tensor| (y_bar * x * 2.0,));
    let x = Tensor::from(3.0f64);
    let e = message(jvp(&square, (x.clone(),), (x.clone(),)));
    assert_eq!(
        e,
        "jvp: `closure` has a custom vjp rule and therefore no forward derivative; use grad, vjp or jacrev, or give it a custom jvp rule"
    );
    assert!(message(jacfwd(&square).call((x.clone(),))).starts_with("jacfwd: `closure` has a custom vjp rule"));
    assert!(message(linearize(&square, (x,))).starts_with("linearize: `closure` has a custom vjp rule"));
}

#[test]
fn rules_that_do_not_fit() {
    let x = Tensor::from([1.0f64, 2.0]);
    let f = custom_jvp(sin, |(_,): One, (x_dot,): One| x_dot.sum());
    assert_eq!(
        message(jacfwd(f).call((x.clone(),))),
        "custom rule of `sin`: the rule should return a tangent like the result, f64[2], but it returns f64[]"
    );
    let f = custom_vjp(sin, |x: Tensor| (x.sin(), x), |x: Tensor, y_bar: Tensor| ((x * y_bar).sum(),));
    assert_eq!(
        message(jacrev(f).call((x.clone(),))),
        "custom rule of `sin`: the backward rule should return a cotangent like each argument, (*,) of f64[2], but it returns (*,) of f64[]"
    );
    let f = custom_vjp(sin, |x: Tensor| (x.sum(), ()), |(): (), y_bar: Tensor| (y_bar,));
    assert_eq!(
        message(jacrev(f).call((x.clone(),))),
        "custom rule of `sin`: the forward rule should return (result, residuals) with the result like f64[2], but it returns f64[]"
    );
    // What a function with rules computes with has to be an argument.
    let outer = |y: Tensor| {
        let f = custom_jvp(|x: Tensor| x * &y, |(_,): One, (x_dot,): One| x_dot);
        Ok::<_, Error>(f.call((y.clone(),))?.sum())
    };
    let e = message(grad(outer).call((x,)));
    assert_eq!(e, "custom rule: `closure` uses a traced tensor (f64[2]) that is not one of its arguments");
}

#[test]
fn a_call_stays_a_call_in_a_graph() {
    let g = make_fx(custom_jvp(sin, sin_rule), (Tensor::abstract_(DType::F32, [3]),)).unwrap();
    assert_eq!(g.len(), 1);
    // And is differentiated by its rule when the graph is transformed later.
    let d = grad(|x: Tensor| Ok::<_, Error>(g.call((x,))?[0].sum())).call((Tensor::from([0.0f32; 3]),)).unwrap();
    assert_eq!(d.to_vec::<f32>().unwrap(), [3.0; 3]);
}

/// A sine whose derivative is said in terms of itself.
fn own_sine(x: Tensor) -> Result<Tensor, Error> {
    let rule = |(x,): One, (x_dot,): One| Ok::<_, Error>(x_dot * own_sine(x + std::f64::consts::FRAC_PI_2)?);
    custom_jvp(sin, rule).call((x,))
}

#[test]
fn a_rule_that_calls_its_own_function_without_end_is_an_error() {
    assert_eq!(
        message(grad(own_sine).call((Tensor::from(0.5f64),))),
        "custom rule of `sin`: 16 rules are being traced inside one another; a rule should not call its own function"
    );
    fn own_reverse(x: Tensor) -> Result<Tensor, Error> {
        let fwd = |x: Tensor| Ok::<_, Error>((own_reverse(x.clone())?, x));
        custom_vjp(sin, fwd, |x: Tensor, y_bar: Tensor| (y_bar * x.cos(),)).call((x,))
    }
    assert!(message(grad(own_reverse).call((Tensor::from(0.5f64),))).starts_with("custom rule of `sin`: 16 rules"));
}

#[test]
fn a_composite_whose_rule_uses_its_own_result_function() {
    fn exponential(x: &Tensor) -> Tensor {
        let rule = |x: &[Tensor], _: &[Tensor], x_dot: &[Tensor]| vec![&x_dot[0] * exponential(&x[0])];
        composite_by_result("aten::my_exp(Tensor self) -> Tensor", &[], &[x], |x| vec![x[0].exp()], rule).swap_remove(0)
    }
    // Each step of this one is another call.
    fn growing(x: &Tensor) -> Tensor {
        let rule = |x: &[Tensor], _: &[Tensor], x_dot: &[Tensor]| {
            vec![growing(&cat(&[x[0].clone(), x[0].clone()], 0)).sum() * &x_dot[0]]
        };
        composite_by_result("aten::my_sin(Tensor self) -> Tensor", &[], &[x], |x| vec![x[0].sin()], rule).swap_remove(0)
    }
    let x = || Tensor::from(0.5f64);
    let f = |x: Tensor| exponential(&x);
    for (i, d) in
        [grad(f).call((x(),)), grad(grad(f)).call((x(),)), grad(grad(grad(f))).call((x(),))].into_iter().enumerate()
    {
        assert!((at(&d.unwrap()) - 0.5f64.exp()).abs() < 1e-15, "derivative {}", i + 1);
    }
    let e = message(grad(|x: Tensor| growing(&x).sum()).call((Tensor::from([0.5f64]),)));
    assert!(e.contains("custom rule of `my_sin`: 16 rules are being traced inside one another"), "{e}");
}
