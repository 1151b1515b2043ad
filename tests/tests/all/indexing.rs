//! Values of reductions, scans, sorting and indexing that PyTorch 2.15 gives, where conventions matter.

use std::slice::from_ref;

use cotangent_core::array::Array;
use cotangent_core::error::{Error, EvalError};
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{
    Amax, Argmax, Argmin, Cummax, Cumprod, Gather, IndexAdd, IndexSelect, Logcumsumexp, Op, Prod, Scatter, ScatterAdd,
    ScatterReduce, ScatterReduction, Searchsorted, Sort,
};
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::numeric::{close, graph_of};

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

fn floats(x: &[f64]) -> Array {
    Array::new([x.len()], x.to_vec())
}

fn ints(x: &[i64]) -> Array {
    Array::new([x.len()], x.to_vec())
}

fn apply(op: impl Into<Op>, args: &[Array]) -> Vec<Array> {
    try_apply(op, args).unwrap_or_else(|e| panic!("{e}"))
}

fn try_apply(op: impl Into<Op>, args: &[Array]) -> Result<Vec<Array>, Error> {
    let avals: Vec<Aval> = args.iter().map(Array::aval).collect();
    eval(&graph_of(&op.into(), &avals)?, args)
}

/// The gradients of the sum of the first result.
fn grads(op: impl Into<Op>, args: &[Array], wrt: &[usize]) -> Vec<Array> {
    let avals: Vec<Aval> = args.iter().map(Array::aval).collect();
    let g = graph_of(&op.into(), &avals).expect("legal");
    let y_bar = Array::full(g.aval(g.results()[0]), 1.0.into());
    let all: Vec<Array> = args.iter().cloned().chain([y_bar]).collect();
    eval(&vjp(&g, wrt).expect("floats"), &all).expect("valid").split_off(g.results().len())
}

#[track_caller]
fn expect(found: &[Array], expected: &[Array]) {
    let same = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| close(a, b, 1e-12));
    assert!(same, "found {found:?}, expected {expected:?}");
}

/// The label in the message of what `infer` refuses.
#[track_caller]
fn refused(op: impl Into<Op>, avals: &[Aval], label: &str) {
    let e = graph_of(&op.into(), avals).expect_err(label);
    assert!(e.to_string().ends_with(&format!("({label})")), "{e}");
}

#[test]
fn ties_and_nan_of_extremes() {
    let x = floats(&[1.0, 2.0, 2.0]);
    expect(&grads(Amax { dim: vec![0] }, from_ref(&x), &[0]), &[floats(&[0.0, 0.5, 0.5])]);
    let nan = floats(&[1.0, NAN, 2.0]);
    expect(&apply(Amax { dim: vec![0] }, from_ref(&nan)), &[Array::scalar(NAN)]);
    expect(&grads(Amax { dim: vec![0] }, &[nan], &[0]), &[floats(&[NAN, NAN, NAN])]);
    expect(&apply(Argmax { dim: 0 }, &[x]), &[Array::scalar(1i64)]);
    expect(&apply(Argmax { dim: 0 }, &[floats(&[3.0, NAN, NAN])]), &[Array::scalar(1i64)]);
    expect(&apply(Argmin { dim: 0 }, &[floats(&[1.0, 1.0])]), &[Array::scalar(0i64)]);
}

#[test]
fn cumulative_extremes_take_the_latest() {
    let y = apply(Cummax { dim: 0 }, &[floats(&[1.0, 1.0, NAN, 2.0, NAN, 3.0])]);
    expect(&y, &[floats(&[1.0, 1.0, NAN, NAN, NAN, NAN]), ints(&[0, 1, 2, 2, 4, 4])]);
    expect(&grads(Cummax { dim: 0 }, &[floats(&[1.0, 1.0, 0.0])], &[0]), &[floats(&[1.0, 2.0, 0.0])]);
}

#[test]
fn products_are_exact_with_zeros() {
    expect(&grads(Prod { dim: 0 }, &[floats(&[2.0, 0.0, 3.0])], &[0]), &[floats(&[0.0, 6.0, 0.0])]);
    expect(&grads(Prod { dim: 0 }, &[floats(&[0.0, 0.0, 3.0])], &[0]), &[floats(&[0.0, 0.0, 0.0])]);
    let x = floats(&[2.0, 0.0, 3.0, 0.0, 4.0]);
    expect(&grads(Cumprod { dim: 0 }, &[x], &[0]), &[floats(&[1.0, 8.0, 0.0, 0.0, 0.0])]);
}

/// The mixed second derivative of `0 · 0 · c` is `c`, where a rule that divides by factors finds none.
#[test]
fn second_derivatives_of_products_are_exact_with_zeros() {
    let g = graph_of(&Prod { dim: 0 }.into(), &[Aval::new(DType::F64, [3])]).expect("legal");
    let hessian = jvp(&vjp(&g, &[0]).expect("floats"), &[0]).expect("floats");
    let args = [floats(&[0.0, 0.0, 3.0]), Array::scalar(1.0), floats(&[1.0, 0.0, 0.0])];
    let column = eval(&hessian, &args).expect("valid").pop().expect("a result");
    expect(&[column], &[floats(&[0.0, 3.0, 0.0])]);
}

#[test]
fn log_sum_exps_of_nothing_and_of_much() {
    let x = floats(&[-INF, -INF, 0.0, 1.0]);
    let last = (1.0 + 1f64.exp()).ln();
    expect(&apply(Logcumsumexp { dim: 0 }, from_ref(&x)), &[floats(&[-INF, -INF, 0.0, last])]);
    let share = (-last).exp();
    // As PyTorch's: the cotangent of a sum of nothing is the difference of two infinities.
    expect(&grads(Logcumsumexp { dim: 0 }, &[x], &[0]), &[floats(&[NAN, NAN, 1.0 + share, (1.0 - last).exp()])]);
    expect(&apply(Logcumsumexp { dim: 0 }, &[floats(&[1000.0, 1.0])]), &[floats(&[1000.0, 1000.0])]);
    expect(&apply(Logcumsumexp { dim: 0 }, &[floats(&[INF, 1.0, INF, NAN])]), &[floats(&[INF, INF, INF, NAN])]);
}

#[test]
fn sorting_is_stable_with_nan_as_the_largest() {
    let x = floats(&[NAN, -0.0, 0.0, 1.0, NAN, -1.0]);
    let up = apply(Sort { stable: true, dim: 0, descending: false }, from_ref(&x));
    expect(&up, &[floats(&[-1.0, -0.0, 0.0, 1.0, NAN, NAN]), ints(&[5, 1, 2, 3, 0, 4])]);
    let down = apply(Sort { stable: true, dim: 0, descending: true }, &[x]);
    expect(&down, &[floats(&[NAN, NAN, 1.0, -0.0, 0.0, -1.0]), ints(&[0, 4, 3, 1, 2, 5])]);
}

#[test]
fn searching_follows_the_bisection_of_pytorch() {
    let of = |right| Searchsorted { out_int32: false, right };
    let found = apply(of(false), &[floats(&[1.0, 2.0, 2.0, NAN]), floats(&[NAN, 2.0, 3.0])]);
    expect(&found, &[ints(&[4, 1, 4])]);
    let found = apply(of(true), &[floats(&[1.0, 2.0, 2.0]), floats(&[NAN, 2.0, 3.0, -INF])]);
    expect(&found, &[ints(&[3, 3, 3, 0])]);
}

#[test]
fn repeated_places_of_scatters() {
    let args = [floats(&[5.0, 6.0, 7.0]), ints(&[0, 0, 1]), floats(&[1.0, 2.0, 3.0])];
    expect(&apply(Scatter { dim: 0 }, &args), &[floats(&[2.0, 3.0, 7.0])]);
    expect(&grads(Scatter { dim: 0 }, &args, &[0, 2]), &[floats(&[0.0, 0.0, 1.0]), floats(&[1.0, 1.0, 1.0])]);
    expect(&apply(ScatterAdd { dim: 0 }, &args), &[floats(&[8.0, 9.0, 7.0])]);
}

#[test]
fn reductions_of_scatters_share_and_stay_exact() {
    let args = [floats(&[1.0, 2.0, 1.0]), ints(&[0, 1, 2, 1]), floats(&[1.0, 0.0, 3.0, 4.0])];
    let of = |reduce| ScatterReduce { dim: 0, reduce };
    let found = grads(of(ScatterReduction::Prod), &args, &[0, 2]);
    expect(&found, &[floats(&[1.0, 0.0, 3.0]), floats(&[1.0, 8.0, 1.0, 0.0])]);
    let found = grads(of(ScatterReduction::Amax), &args, &[0, 2]);
    expect(&found, &[floats(&[0.5, 0.0, 0.0]), floats(&[0.5, 0.0, 1.0, 1.0])]);
    let found = grads(of(ScatterReduction::Amin), &args, &[0, 2]);
    expect(&found, &[floats(&[0.5, 0.0, 1.0]), floats(&[0.5, 1.0, 0.0, 0.0])]);
}

/// Examples with different indices: the laws of samples vary only floats.
#[test]
fn batches_of_different_indices_equal_a_loop() {
    let x = Array::new([2, 4], (0..8).map(f64::from).collect());
    let source = |n: usize| Array::new([2, n], (0..2 * n).map(|i| 0.5 + i as f64).collect());
    let cases: Vec<(Op, Vec<Array>, [Array; 3])> = vec![
        (Gather { dim: 1 }.into(), vec![], [0i64, 1, 2].map(|b| Array::new([2, 3], vec![b, 1, 3, 2 - b, 0, b]))),
        (
            ScatterAdd { dim: 1 }.into(),
            vec![source(3)],
            [0i64, 1, 2].map(|b| Array::new([2, 3], vec![b, 1, 3, 2 - b, 0, b])),
        ),
        (IndexSelect { dim: 1 }.into(), vec![], [0, 1, 2].map(|b| ints(&[b, 3, 2 - b]))),
        (IndexSelect { dim: 0 }.into(), vec![], [0, 1, 0].map(|b| ints(&[b, 1, 1 - b]))),
        (IndexAdd { dim: 1 }.into(), vec![source(3)], [0, 1, 2].map(|b| ints(&[b, 3, 2 - b]))),
    ];
    for (op, more, index) in cases {
        let with = |index: &Array| [vec![x.clone(), index.clone()], more.clone()].concat();
        let avals: Vec<Aval> = with(&index[0]).iter().map(Array::aval).collect();
        let g = graph_of(&op, &avals).expect("legal");
        let rows: Vec<i64> = index.iter().flat_map(|i| i.elems::<i64>().to_vec()).collect();
        let stacked = Array::new(avals[1].shape.inserted(0, 3), rows);
        let in_dims: Vec<Option<usize>> = (0..avals.len()).map(|i| (i == 1).then_some(0)).collect();
        let batched = vmap(&g, &in_dims, &[0], 3.into()).expect("dims fit");
        let found = eval(&batched, &with(&stacked)).expect("valid").remove(0).to_f64_vec();
        let each: Vec<f64> =
            index.iter().flat_map(|i| eval(&g, &with(i)).expect("valid").remove(0).to_f64_vec()).collect();
        assert_eq!(found, each, "{}", op.name());
    }
}

/// No example reads or writes another one's elements through an index out of bounds.
#[test]
fn indices_out_of_bounds_are_errors_in_batches_too() {
    let x = Array::new([2, 3], vec![0.0; 6]);
    for bad in [-1, 3] {
        let avals = [Aval::new(DType::F64, [3]), Aval::new(DType::I64, [1])];
        for op in [Op::from(IndexSelect { dim: 0 }), Op::from(Gather { dim: 0 })] {
            let g = graph_of(&op, &avals).expect("legal");
            for (mapped, x) in [(None, floats(&[0.0; 3])), (Some(0), x.clone())] {
                let batched = vmap(&g, &[mapped, Some(0)], &[0], 2.into()).expect("dims fit");
                let found = eval(&batched, &[x, Array::new([2, 1], vec![0, bad])]);
                assert!(
                    matches!(&found, Err(Error::Eval { source: EvalError::Index { index, size: 3, .. }, .. }) if *index == bad),
                    "{}: {found:?}",
                    op.name()
                );
            }
        }
    }
    let found = try_apply(IndexSelect { dim: 1 }, &[Array::new([0, 3], Vec::<f64>::new()), ints(&[5])]);
    assert!(found.is_err(), "{found:?}");
}

#[test]
fn constraints_are_reported_by_label() {
    let f = |shape: &[usize]| Aval::new(DType::F64, shape);
    let i = |shape: &[usize]| Aval::new(DType::I64, shape);
    let b = |shape: &[usize]| Aval::new(DType::Bool, shape);
    refused(Amax { dim: vec![1, 0] }, &[f(&[2, 3])], "amax_c1");
    refused(Amax { dim: vec![] }, &[f(&[2, 3])], "amax_c1");
    refused(Amax { dim: vec![1] }, &[f(&[0, 0])], "amax_c2");
    refused(Argmax { dim: 1 }, &[f(&[2])], "argmax_c1");
    refused(Argmax { dim: 0 }, &[f(&[0])], "argmax_c2");
    refused(Argmin { dim: 0 }, &[b(&[2])], "argmin_c3");
    refused(Prod { dim: 0 }, &[f(&[])], "prod_c1");
    refused(Prod { dim: 0 }, &[Aval::new(DType::I32, [2])], "prod_c2");
    refused(Cumprod { dim: 0 }, &[b(&[2])], "cumprod_c2");
    refused(Cummax { dim: 2 }, &[f(&[2])], "cummax_c1");
    refused(Logcumsumexp { dim: 0 }, &[i(&[2])], "logcumsumexp_c2");
    refused(Sort { stable: true, dim: 1, descending: false }, &[f(&[2])], "sort_c1");
    refused(Sort { stable: false, dim: 0, descending: false }, &[f(&[2])], "sort_c2");
    let search = Searchsorted { out_int32: false, right: false };
    refused(search.clone(), &[f(&[2, 3]), f(&[3, 3])], "searchsorted_c1");
    refused(search, &[b(&[2]), b(&[2])], "searchsorted_c2");
    refused(Gather { dim: 2 }, &[f(&[2, 3]), i(&[2, 3])], "gather_c1");
    refused(Gather { dim: 0 }, &[f(&[2]), f(&[2])], "gather_c2");
    refused(Gather { dim: 1 }, &[f(&[2, 3]), i(&[3, 1])], "gather_c3");
    refused(Scatter { dim: 0 }, &[f(&[2]), i(&[3]), f(&[4])], "scatter_c4");
    refused(ScatterAdd { dim: 0 }, &[b(&[2]), i(&[3]), b(&[3])], "scatter_add_c5");
    refused(
        ScatterReduce { dim: 0, reduce: ScatterReduction::Amax },
        &[f(&[2]), i(&[3]), i(&[3])],
        "scatter_reduce_c4",
    );
    refused(IndexSelect { dim: 0 }, &[f(&[2]), i(&[1, 1])], "index_select_c2");
    refused(IndexAdd { dim: 0 }, &[f(&[2, 2]), i(&[1]), f(&[1, 3])], "index_add_c3");
    refused(IndexAdd { dim: 0 }, &[b(&[2]), i(&[1]), b(&[1])], "index_add_c4");
}
