//! Reads and additions at positions in several dims, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::random_graph::random_args;

use crate::{neighbours, same_bits, targets};

/// A row and a column for each of two elements.
fn places(x: &Tensor, y: &Tensor) -> [Tensor; 2] {
    [x.argmax_along(1), y.argmin_along(0)]
}

/// The elements in the order of rows, at places that are not wrapped.
fn numbered([i, j]: [Tensor; 2]) -> Tensor {
    i * 2i64 + j
}

#[test]
fn positions_and_their_neighbours() {
    neighbours(&[
        (
            "index",
            |x, y| {
                let [i, j] = places(x, y);
                y.index(&[Some(&i), Some(&j)])
            },
            |x, y| y.view_to(&[4].into()).index_select_along(0, &numbered(places(x, y))),
        ),
        (
            "index_put",
            |x, y| {
                let [i, j] = places(x, y);
                x.index_put_accumulate(&[Some(&i), Some(&j)], &y.sum_over(&[0]))
            },
            |x, y| {
                let all = x.view_to(&[4].into());
                all.index_add_along(0, &numbered(places(x, y)), &y.sum_over(&[0])).view_to(&[2, 2].into())
            },
        ),
        (
            "index_put",
            |x, y| {
                let [i, j] = places(x, y);
                x.zeros_like().index_put(&[Some(&i), Some(&j)], &y.sum_over(&[0]))
            },
            |x, y| {
                let all = x.view_to(&[4].into());
                all.scatter_along(0, &numbered(places(x, y)), &y.sum_over(&[0])).view_to(&[2, 2].into())
            },
        ),
    ]);
}

/// Of a batch that has positions of its own, the rows are an index too.
#[test]
fn positions_of_a_batch_are_found() {
    let (x, i) = (Aval::new(DType::F64, [3, 4]), Aval::new(DType::I64, [5]));
    let g = build("f", |t| {
        let [x, i, j] = [t.param(&x), t.param(&i), t.param(&i)];
        Ok(vec![x.index(&[Some(&i), Some(&j)]).ok()?])
    });
    let g = g.unwrap();
    for (dims, expected) in [([Some(0), None, None], 1), ([Some(0), Some(0), Some(0)], 3)] {
        let batch = simplify(&vmap(&g, &dims, &[0], 2.into()).unwrap());
        let raised = batch.raised();
        let found = targets(&raised);
        assert_eq!(found.last().map(String::as_str), Some("index.Tensor"), "{}", raised.code());
        assert_eq!(found.len(), expected, "{}", raised.code());
        let args: Vec<_> = random_args(1, &batch);
        match (eval(&batch, &args), eval(&raised, &args)) {
            (Ok(a), Ok(b)) => assert!(same_bits(&a, &b)),
            (a, b) => assert_eq!(a.is_err(), b.is_err()),
        }
    }
}

/// Dims between the indices stay in their places, in derivatives and in batches, too.
#[test]
fn positions_apart_are_found() {
    let (x, i) = (Aval::new(DType::F64, [3, 2, 4]), Aval::new(DType::I64, [5]));
    let apart = build("f", |t| {
        let [x, i, j] = [t.param(&x), t.param(&i), t.param(&i)];
        Ok(vec![x.index(&[Some(&i), None, Some(&j)]).sin().ok()?])
    });
    let side_by_side = build("f", |t| {
        let [x, i, j] = [t.param(&x), t.param(&i), t.param(&i)];
        Ok(vec![x.index(&[None, Some(&i), Some(&j)]).sin().ok()?])
    });
    let whole = |g: &Graph| targets(g).iter().all(|t| t != "where.self" && t != "permute.default");
    for (f, expected) in [(apart.unwrap(), true), (side_by_side.unwrap(), false)] {
        let back = simplify(&vjp(&f, &[0]).unwrap());
        let batch = simplify(&vmap(&f, &[Some(0), Some(0), Some(0)], &[0], 2.into()).unwrap());
        for g in [back, batch] {
            let raised = g.raised();
            assert!(whole(&raised) || !expected, "{}", raised.code());
            let mut args = random_args(1, &g);
            for a in &mut args[1..3] {
                let n = a.shape().numel() as i64;
                *a = Array::new(a.shape().clone(), (0..n).map(|i| i % 4 - 2).collect());
            }
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}\n{raised}");
        }
    }
}
