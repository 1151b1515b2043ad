//! Every row of `vmap`'s table (field.md F1–F3), against a loop over the examples. Names as in functorch's `test_vmap`.

use std::collections::BTreeMap;

use cotangent::prelude::*;
use cotangent_tests::expect::message;

fn arange(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n).map(|i| i as f64 / 7.0 + 0.25).collect::<Vec<f64>>(), shape.to_vec())
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_vec::<f64>().unwrap()
}

/// Example `i` of `x` along `dim`.
fn example(x: &Tensor, dim: usize, i: usize) -> Tensor {
    x.slice_dim(dim, i, i + 1, 1).view_to(&x.shape().removed(dim))
}

/// The results of `f` at each example, stacked at `out_dim`.
fn stacked(n: usize, out_dim: usize, f: impl Fn(usize) -> Tensor) -> Tensor {
    let rows: Vec<Tensor> = (0..n)
        .map(|i| {
            let y = f(i);
            y.view_to(&y.shape().inserted(out_dim, 1))
        })
        .collect();
    Tensor::cat_dim(&rows, out_dim)
}

#[track_caller]
fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.aval(), b.aval());
    assert_eq!(values(a), values(b));
}

#[test]
fn equals_the_loop_for_every_in_dim_and_out_dim() {
    let x = arange(&[2, 3, 4]);
    let f = |x: Tensor| x.sin() * 2.0;
    for in_dim in -3i64..3 {
        for out_dim in -3i64..3 {
            let d = in_dim.rem_euclid(3) as usize;
            let o = out_dim.rem_euclid(3) as usize;
            let y = vmap(f).in_dims(in_dim).out_dims(out_dim).call((x.clone(),)).unwrap();
            assert_same(&y, &stacked(x.shape()[d].get(), o, |i| f(example(&x, d, i))));
        }
    }
}

#[test]
fn in_dims_wrap_by_the_batched_rank() {
    let (x, w) = (arange(&[3, 2]), arange(&[2]));
    let f = |x: Tensor, w: Tensor| (x * w).sum_over(&[0]);
    let y = vmap(f).in_dims((-2, None)).call((x.clone(), w.clone())).unwrap();
    assert_same(&y, &stacked(3, 0, |i| f(example(&x, 0, i), w.clone())));
}

#[test]
fn non_default_in_dims_out_dims() {
    let x = arange(&[2, 3, 5, 7]);
    let result = vmap(|x: Tensor| x).in_dims(1).call((x.clone(),)).unwrap();
    assert_same(&result, &x.permute_to(&[1, 0, 2, 3]));
    let result = vmap(|x: Tensor| x).in_dims(2).out_dims(3).call((x.clone(),)).unwrap();
    assert_same(&result, &x.permute_to(&[0, 1, 3, 2]));
}

#[test]
fn multiple_inputs_and_outputs() {
    let (x, y) = (arange(&[3, 2]), arange(&[3, 2]));
    let (s, p, c) = vmap(|x: Tensor, y: Tensor| (&x + &y, &x * &y, x.cos())).call((x.clone(), y.clone())).unwrap();
    assert_same(&s, &(&x + &y));
    assert_same(&p, &(&x * &y));
    assert_same(&c, &x.cos());
}

#[test]
fn single_input_single_output_with_a_one_tuple() {
    let x = arange(&[3]);
    let (y,) = vmap(|x: Tensor| (x.sin(),)).in_dims((0,)).out_dims((0,)).call((x.clone(),)).unwrap();
    assert_same(&y, &x.sin());
    let ys = vmap(|x: Tensor| vec![x.sin(), x.cos()]).out_dims([0, 0]).call((x.clone(),)).unwrap();
    assert_same(&ys[1], &x.cos());
}

#[test]
fn in_dims_and_out_dims_as_prefixes() {
    type Pair = (Tensor, Tensor);
    let (a, b, c) = (arange(&[3, 2]), arange(&[2, 3]), arange(&[2]));
    let f = |(a, b): Pair, c: Tensor| (&a + &b, [a * &c, c]);
    let expected = stacked(3, 0, |i| example(&a, 0, i) + example(&b, 1, i));
    let (sum, [_, c_out]) = vmap(f)
        .in_dims(((0, 1), None))
        .out_dims((0, [Some(0), None]))
        .call(((a.clone(), b.clone()), c.clone()))
        .unwrap();
    assert_same(&sum, &expected);
    assert_same(&c_out, &c);
    // One number for a whole part of the tree.
    let (sum, _) = vmap(f).in_dims((0, None)).out_dims((0, 1)).call(((a.clone(), a.clone()), c)).unwrap();
    assert_same(&sum, &(&a + &a));
}

#[test]
fn maps_vectors_options_and_structs_as_arguments() {
    #[derive(Tree, Clone)]
    struct Params {
        w: Tensor,
        b: Option<Tensor>,
    }
    let x = arange(&[3, 2]);
    let map = BTreeMap::from([("u".to_owned(), x.clone()), ("v".to_owned(), arange(&[2]))]);
    let dims = BTreeMap::from([("u".to_owned(), Some(0)), ("v".to_owned(), None)]);
    let y = vmap(|m: BTreeMap<String, Tensor>| &m["u"] * &m["v"]).in_dims((dims,)).call((map,)).unwrap();
    assert_same(&y, &(&x * arange(&[2])));

    let y = vmap(|v: Vec<Tensor>| &v[0] + &v[1]).in_dims((vec![0, 0],)).call((vec![x.clone(), x.clone()],)).unwrap();
    assert_same(&y, &(&x + &x));

    let p = Params { w: x.clone(), b: Some(arange(&[2])) };
    let dims = BTreeMap::from([("w".to_owned(), Some(0)), ("b".to_owned(), None)]);
    let f = |p: Params| p.b.map_or(p.w.clone(), |b| &p.w + b);
    let y = vmap(f).in_dims((dims,)).call((p,)).unwrap();
    assert_same(&y, &(&x + arange(&[2])));
    let y = vmap(f).call((Params { w: x.clone(), b: None },)).unwrap();
    assert_same(&y, &x);
}

#[test]
fn a_result_that_never_met_the_batch_is_expanded() {
    let (x, y) = (arange(&[3]), arange(&[2]));
    let r = vmap(|_: Tensor, y: Tensor| y).in_dims((0, None)).call((x.clone(), y.clone())).unwrap();
    assert_same(&r, &y.view_to(&[1, 2].into()).expand_to(&[3, 2].into()));
    let r = vmap(|_: Tensor, y: Tensor| y).in_dims((0, None)).out_dims(-1).call((x.clone(), y.clone())).unwrap();
    assert_same(&r, &y.view_to(&[2, 1].into()).expand_to(&[2, 3].into()));
    // A constant of the function's own.
    let r = vmap(|_: Tensor| Tensor::from([1.0f64, 2.0])).call((x,)).unwrap();
    assert_eq!(r.shape(), &Shape::from([3, 2]));
}

#[test]
fn out_dims_none_returns_what_is_unbatched() {
    let (x, y) = (arange(&[3]), arange(&[2]));
    let f = |x: Tensor, y: Tensor| (x, y);
    let (_, r) = vmap(f).in_dims((0, None)).out_dims((0, None)).call((x.clone(), y.clone())).unwrap();
    assert_same(&r, &y);
    let e = message(vmap(f).in_dims((0, None)).out_dims((None, None)).call((x, y)));
    assert_eq!(e, "vmap(closure): `closure` can not return a batched tensor when out_dim is None");
}

#[test]
fn a_batch_of_no_examples() {
    let x = arange(&[0, 2]);
    let y = vmap(|x: Tensor| (x.sin() * 2.0).sum_over(&[0])).call((x.clone(),)).unwrap();
    assert_eq!(y.shape(), &Shape::from([0]));
    let y = vmap(vmap(|x: Tensor| x.sin())).call((arange(&[0, 3, 0]),)).unwrap();
    assert_eq!(y.shape(), &Shape::from([0, 3, 0]));
    let g = vmap(grad(|x: Tensor| x.sin().sum_over(&[0]))).call((x,)).unwrap();
    assert_eq!(g.shape(), &Shape::from([0, 2]));
}

#[test]
fn nested() {
    let (x, y) = (arange(&[2, 3]), arange(&[5]));
    // An outer product by two nested maps.
    let outer = vmap(vmap(|x: Tensor, y: Tensor| x * y).in_dims((None, 0))).in_dims((0, None));
    let r = outer.call((example(&x, 0, 1), y.clone())).unwrap();
    let expected = example(&x, 0, 1).view_to(&[3, 1].into()).expand_to(&[3, 5].into())
        * y.view_to(&[1, 5].into()).expand_to(&[3, 5].into());
    assert_same(&r, &expected);
    // Three deep, with a capture from each level.
    let z = arange(&[4]);
    let f = |x: Tensor| vmap(|y: Tensor| vmap(|z: Tensor| &x * &y + z).call((z.clone(),))).call((y.clone(),));
    let r = vmap(f).call((example(&x, 0, 0),)).unwrap();
    assert_eq!(r.shape(), &Shape::from([3, 5, 4]));
    let at = |i: usize, j: usize, k: usize| values(&x)[i] * values(&y)[j] + values(&z)[k];
    let expected: Vec<f64> = (0..3)
        .flat_map(|i| (0..5).flat_map(move |j| (0..4).map(move |k| (i, j, k))))
        .map(|(i, j, k)| at(i, j, k))
        .collect();
    assert_eq!(values(&r), expected);
}

#[test]
fn nested_with_inner_in_dims_beyond_the_outer() {
    let x = arange(&[2, 3, 4]);
    let f = |x: Tensor| x.sin().sum_over(&[0]);
    let y = vmap(vmap(f).in_dims(-1).out_dims(0)).in_dims(1).call((x.clone(),)).unwrap();
    let expected = stacked(3, 0, |i| {
        let row = example(&x, 1, i);
        stacked(4, 0, |j| f(example(&row, 1, j)))
    });
    assert_same(&y, &expected);
}

#[test]
fn chunks() {
    let (x, w) = (arange(&[3, 7]), arange(&[3]));
    let f = |x: Tensor, w: Tensor| (x * &w, w);
    let whole = vmap(f).in_dims((1, None)).out_dims((-1, None)).call((x.clone(), w.clone())).unwrap();
    for k in [1, 2, 3, 7, 100] {
        let parts = vmap(f).in_dims((1, None)).out_dims((-1, None)).chunk_size(k).call((x.clone(), w.clone())).unwrap();
        assert_same(&parts.0, &whole.0);
        assert_same(&parts.1, &whole.1);
    }
    let e = message(vmap(|x: Tensor| x).chunk_size(0).call((x,)));
    assert_eq!(e, "vmap(closure): chunk_size should be None or greater than 0");
}

#[test]
fn references_to_transforms_are_functions() {
    let f = vmap(|x: Tensor| x.sin());
    let again = vmap(&f);
    let x = arange(&[2, 3]);
    assert_same(&again.call((x.clone(),)).unwrap(), &f.clone().call((x,)).unwrap());
}

#[test]
fn integers_and_truth_values_are_mapped() {
    let i = Tensor::from([1i64, 2, 3]);
    let y = vmap(|i: Tensor| (&i * 2, i.gt(1))).call((i,)).unwrap();
    assert_eq!(y.0.to_vec::<i64>().unwrap(), [2, 4, 6]);
    assert_eq!(y.1.to_vec::<bool>().unwrap(), [false, true, true]);
}

fn loss(x: Tensor, y: Tensor) -> Tensor {
    x * y
}

#[test]
fn errors() {
    let (x, y) = (arange(&[3, 2]), arange(&[3]));
    let pair = || (x.clone(), y.clone());
    let e = message(vmap(|| Tensor::from(1.0f64)).call(()));
    assert_eq!(
        e,
        "vmap(closure): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function with no inputs. The latter is unsupported"
    );
    let e = message(vmap(loss).in_dims([0, 0]).call(pair()));
    assert_eq!(
        e,
        "vmap(loss): expected `in_dims` to be an int or a (potentially nested) tuple matching the structure of inputs, got [0, 0]"
    );
    let e = message(vmap(loss).in_dims(None).call(pair()));
    assert!(e.ends_with("matching the structure of inputs, got None"), "{e}");
    let e = message(vmap(loss).in_dims((0,)).call(pair()));
    assert_eq!(
        e,
        "vmap(loss): in_dims is not compatible with the structure of `inputs`. in_dims has structure (0,) but inputs has structure (*, *)"
    );
    let e = message(vmap(loss).in_dims(((0, 0), 0)).call(pair()));
    assert!(e.ends_with("in_dims has structure ((0, 0), 0) but inputs has structure (*, *)"), "{e}");
    let e = message(vmap(loss).in_dims((0, 1)).call(pair()));
    assert_eq!(
        e,
        "vmap(loss): Got in_dim=1 for some input, but that input is a tensor of dimensionality 1 so expected in_dim to satisfy -1 <= in_dim < 1"
    );
    let e = message(vmap(loss).in_dims((0, -2)).call(pair()));
    assert!(e.contains("Got in_dim=-2 for some input"), "{e}");
    let e = message(vmap(|x: Tensor| x).call((Tensor::from(1.0f64),)));
    assert!(e.contains("dimensionality 0 so expected in_dim to satisfy -0 <= in_dim < 0"), "{e}");
    let e = message(vmap(loss).in_dims((None, None)).call(pair()));
    assert_eq!(e, "vmap(loss): Expected at least one tensor to vmap over");
    let e = message(vmap(loss).call((arange(&[4, 2]), arange(&[5, 2]))));
    assert_eq!(
        e,
        "vmap(loss): Expected all tensors to have the same size in the mapped dimension, got sizes [4, 5] for the mapped dimension"
    );
    let e = message(vmap(|x: Tensor| x).out_dims((0, 0)).call((x.clone(),)));
    assert_eq!(
        e,
        "vmap(closure): out_dims is not compatible with the structure of `outputs`. out_dims has structure (0, 0) but outputs has structure *"
    );
    let e = message(vmap(|x: Tensor| x).out_dims(3).call((x.clone(),)));
    assert_eq!(
        e,
        "vmap(closure): Dimension out of range of the batched output (expected to be in range of [-2, 1], but got 3)"
    );
}
