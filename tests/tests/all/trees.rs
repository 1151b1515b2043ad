//! Trees of tensors: taking apart, putting together, and the derive.

use std::collections::BTreeMap;

use cotangent::core::ir::TreeSpec;
use cotangent::prelude::*;

fn s(v: f64) -> Tensor {
    Tensor::from(v)
}

/// The structure, and whether putting the leaves together again gives the same tree.
fn round_trip<T: Tree>(tree: &T) -> String {
    let (leaves, spec) = tree.to_leaves();
    let again = T::from_leaves(&spec, &mut leaves.clone().into_iter()).expect("the structure fits");
    let (leaves_again, spec_again) = again.to_leaves();
    assert_eq!(spec, spec_again);
    assert_eq!(spec.num_leaves(), leaves.len());
    let values = |l: &[Tensor]| l.iter().map(|t| t.item::<f64>().unwrap()).collect::<Vec<_>>();
    assert_eq!(values(&leaves), values(&leaves_again));
    // Each leaf is replaced where it is.
    let mut changed = again;
    assert!(changed.visit_leaves_mut(&spec, &mut |x| *x = &*x + 1.0));
    let more: Vec<f64> = values(&leaves).iter().map(|x| x + 1.0).collect();
    assert_eq!(values(&changed.to_leaves().0), more);
    let mut visited = Vec::new();
    assert!(tree.visit_leaves(&spec, &mut |x| visited.push(x.clone())));
    assert_eq!(values(&leaves), values(&visited));
    for other in [TreeSpec::Tuple(vec![spec.clone()]), TreeSpec::List(vec![spec.clone(), TreeSpec::Leaf])] {
        assert!(!tree.visit_leaves(&other, &mut |_| {}), "{other} for {spec}");
        assert!(!changed.visit_leaves_mut(&other, &mut |_| {}), "{other} for {spec}");
    }
    spec.to_string()
}

#[derive(Tree, Clone)]
struct Linear {
    w: Tensor,
    b: Option<Tensor>,
}

#[derive(Tree, Clone)]
struct Pair(Tensor, Vec<Tensor>);

#[derive(Tree, Clone)]
struct Layers<L> {
    first: L,
    rest: Vec<L>,
}

#[derive(Tree, Clone)]
struct Fixed<L, const N: usize>
where
    L: Clone,
{
    all: [L; N],
}

#[derive(Tree, Clone)]
struct Unit;

#[test]
fn structures() {
    assert_eq!(round_trip(&s(1.0)), "*");
    assert_eq!(round_trip(&()), "none");
    assert_eq!(round_trip(&(s(1.0), (s(2.0),))), "(*, (*,))");
    assert_eq!(round_trip(&(s(1.), s(2.), s(3.), s(4.), s(5.), s(6.), s(7.), s(8.))), "(*, *, *, *, *, *, *, *)");
    assert_eq!(round_trip(&[s(1.0), s(2.0)]), "[*, *]");
    assert_eq!(round_trip(&vec![vec![s(1.0)], vec![]]), "[[*], []]");
    assert_eq!(round_trip(&Box::new(s(1.0))), "*");
    assert_eq!(round_trip(&[Some(s(1.0)), None]), "[*, none]");
    let map = BTreeMap::from([("b".to_owned(), s(2.0)), ("a".to_owned(), s(1.0))]);
    assert_eq!(round_trip(&map), "{a: *, b: *}");
}

#[test]
fn derived_structs() {
    let linear = Linear { w: s(1.0), b: None };
    assert_eq!(round_trip(&linear), "Linear{w: *, b: none}");
    assert_eq!(round_trip(&Linear { b: Some(s(2.0)), ..linear.clone() }), "Linear{w: *, b: *}");
    assert_eq!(round_trip(&Pair(s(1.0), vec![s(2.0)])), "Pair{0: *, 1: [*]}");
    let layers = Layers { first: linear.clone(), rest: vec![linear] };
    assert_eq!(round_trip(&layers), "Layers{first: Linear{w: *, b: none}, rest: [Linear{w: *, b: none}]}");
    assert_eq!(round_trip(&Fixed { all: [s(1.0), s(2.0)] }), "Fixed{all: [*, *]}");
    assert_eq!(round_trip(&Unit), "Unit{}");
}

#[test]
fn the_structure_is_compared_in_place() {
    let layer = |b: bool| Linear { w: s(1.0), b: b.then(|| s(2.0)) };
    let (with, without) = (layer(true).tree_spec(), layer(false).tree_spec());
    let fits = |tree: &Linear, spec: &TreeSpec| tree.visit_leaves(spec, &mut |_| {});
    assert!(fits(&layer(true), &with) && fits(&layer(false), &without));
    assert!(!fits(&layer(true), &without) && !fits(&layer(false), &with));
    let TreeSpec::Struct(name, mut fields) = with else { panic!("a struct") };
    assert!(!fits(&layer(true), &TreeSpec::Struct("Other".to_owned(), fields.clone())));
    fields[0].0 = "v".to_owned();
    assert!(!fits(&layer(true), &TreeSpec::Struct(name.clone(), fields.clone())));
    fields.truncate(1);
    assert!(!fits(&layer(true), &TreeSpec::Struct(name, fields)));
    assert!(!vec![s(1.0)].visit_leaves(&vec![s(1.0), s(1.0)].tree_spec(), &mut |_| {}));
    let map = |k: &str| BTreeMap::from([(k.to_owned(), s(1.0))]);
    assert!(!map("a").visit_leaves(&map("b").tree_spec(), &mut |_| {}));
}

#[test]
fn a_structure_of_another_type_is_refused() {
    let (leaves, spec) = (s(1.0), s(2.0)).to_leaves();
    assert!(Tensor::from_leaves(&spec, &mut leaves.clone().into_iter()).is_none());
    assert!(<[Tensor; 2]>::from_leaves(&spec, &mut leaves.clone().into_iter()).is_none());
    assert!(<(Tensor, Tensor, Tensor)>::from_leaves(&spec, &mut leaves.clone().into_iter()).is_none());
    assert!(Linear::from_leaves(&spec, &mut leaves.clone().into_iter()).is_none());
    assert!(<(Tensor, Tensor)>::from_leaves(&spec, &mut leaves[..1].iter().cloned()).is_none());
    let (leaves, spec) = vec![s(1.0)].to_leaves();
    assert!(<[Tensor; 2]>::from_leaves(&spec, &mut leaves.into_iter()).is_none());
}

#[test]
fn gradients_and_jacobians_of_structs() {
    let p = Layers { first: Linear { w: s(2.0), b: Some(s(3.0)) }, rest: vec![Linear { w: s(5.0), b: None }] };
    let f = |p: Layers<Linear>| p.first.w * p.first.b.expect("given") * &p.rest[0].w;
    let g = grad(f).call((p.clone(),)).unwrap();
    assert_eq!(g.first.w.item::<f64>().unwrap(), 15.0);
    assert_eq!(g.first.b.unwrap().item::<f64>().unwrap(), 10.0);
    assert_eq!(g.rest[0].w.item::<f64>().unwrap(), 6.0);
    assert!(g.rest[0].b.is_none());
    // The Hessian has a struct of structs, named after the struct.
    let h = hessian(f).call((p.clone(),)).unwrap();
    assert_eq!(h.first.w.rest[0].w.item::<f64>().unwrap(), 3.0);
    // The Jacobian of a struct has its fields.
    let j = jacrev(|p: Layers<Linear>| Pair(f(p.clone()), vec![p.first.w])).call((p,)).unwrap();
    assert_eq!(j.0.first.w.item::<f64>().unwrap(), 15.0);
    assert_eq!(j.1[0].first.w.item::<f64>().unwrap(), 1.0);
}

#[test]
fn signatures_record_trees_and_names() {
    let f = |p: Linear, xs: (Tensor, Vec<Tensor>)| BTreeMap::from([("y".to_owned(), p.w * xs.0)]);
    let args = (Linear { w: s(1.0), b: None }, (s(2.0), vec![s(3.0)]));
    let g = make_fx_with(CaptureOptions::new().names(["params", "xs"]), f, args).unwrap();
    assert_eq!(g.signature().names, ["params", "xs"]);
    let specs: Vec<String> = g.signature().params.iter().map(ToString::to_string).collect();
    assert_eq!(specs, ["Linear{w: *, b: none}", "(*, [*])"]);
    assert_eq!(g.signature().result.to_string(), "{y: *}");
}
