//! One place of a dim from another tensor, indices of batches, and largest absolute values.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::random_graph::random_args;

use crate::{neighbours, same_bits, targets};

/// The rows or columns at which a matrix of two is masked.
fn mask(column: bool, places: [bool; 2]) -> Tensor {
    let shape = if column { [2, 1] } else { [1, 2] };
    Tensor::from_array(Array::new(shape, places.to_vec())).expand_to(&[2, 2].into())
}

/// An image of two pixels in four channels.
fn channels(x: &Tensor, y: &Tensor) -> Tensor {
    Tensor::cat_dim(&[x.exp(), y.sin()].map(|x| x.view_to(&[1, 2, 2].into())), 1)
}

#[test]
fn places_from_other_tensors_and_their_neighbours() {
    neighbours(&[
        (
            "select_scatter",
            |x, y| {
                y.sum_over(&[1])
                    .view_to(&[2, 1].into())
                    .expand_to(&[2, 2].into())
                    .where_(&mask(false, [false, true]), x)
            },
            |x, y| {
                y.sum_over(&[1]).view_to(&[2, 1].into()).expand_to(&[2, 2].into()).where_(&mask(true, [false, true]), x)
            },
        ),
        (
            "slice_scatter",
            |x, y| {
                y.amax_over(&[0])
                    .view_to(&[1, 2].into())
                    .exp()
                    .expand_to(&[2, 2].into())
                    .where_(&mask(true, [true, false]), x)
                    .sin()
                    + y.slice_scatter_dim(&x.slice_dim(0, 0, 1, 1), 0, 1, 2, 1)
            },
            |x, y| (x + y).where_(&mask(true, [true, true]), x),
        ),
        // A row, which stands for one of all rows.
        (
            "select_scatter",
            |x, y| y.sum_over(&[0]).expand_to(&[2, 2].into()).where_(&mask(true, [false, true]), x),
            |x, y| y.sum_over(&[0]).expand_to(&[2, 2].into()).where_(&mask(false, [false, true]), x),
        ),
        (
            "select_scatter",
            |x, _| x.zeros_like().where_(&mask(true, [true, false]), x),
            |x, _| x.zeros_like().where_(&x.gt(0.0), x),
        ),
        ("linalg_vector_norm", |x, _| x.abs().amax_over(&[1]), |x, _| x.amax_over(&[1])),
        ("rot90", |x, _| x.flip_dims(&[0]).permute_to(&[1, 0]), |x, _| x.flip_dims(&[0, 1]).permute_to(&[1, 0])),
        (
            "channel_shuffle",
            |x, y| channels(x, y).view_to(&[1, 2, 2, 2].into()).permute_to(&[0, 2, 1, 3]).view_to(&[1, 4, 2].into()),
            |x, y| channels(x, y).view_to(&[1, 2, 2, 2].into()).permute_to(&[0, 1, 3, 2]).view_to(&[1, 4, 2].into()),
        ),
    ]);
}

/// A batch of an index by its own indices.
fn batched(x: &[usize], at: &[usize], f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Graph {
    let avals = [Aval::new(DType::F64, x), Aval::new(DType::I64, at)];
    let g = build("f", |t| Ok(vec![f(&t.param(&avals[0]), &t.param(&avals[1])).ok()?]));
    simplify(&vmap(&g.unwrap(), &[Some(0), Some(0)], &[0], 3.into()).unwrap())
}

#[test]
fn batches_of_indices_are_indices() {
    type F = fn(&Tensor, &Tensor) -> Tensor;
    fn wrapped(at: &Tensor, n: i64) -> Tensor {
        (at + n).where_(&at.lt(0), at).view_to(&[at.numel()].into())
    }
    let table: [(&[usize], &[usize], F); 5] = [
        (&[2, 4], &[3], |x, at| x.index_select_along(1, &wrapped(at, 4))),
        (&[2, 2, 4], &[3], |x, at| x.index_select_along(2, &wrapped(at, 4))),
        (&[2, 4, 3], &[3], |x, at| x.index_select_along(1, &wrapped(at, 4))),
        (&[4, 2], &[2, 3], |x, at| x.index_select_along(0, &wrapped(at, 4)).view_to(&[2, 3, 2].into())),
        (&[2, 4], &[2, 3], |x, at| x.index_select_along(1, &wrapped(at, 4)).view_to(&[2, 2, 3].into())),
    ];
    for (x, at, f) in table {
        let g = batched(x, at, f);
        let raised = g.raised();
        let found = targets(&raised);
        assert!(
            found.contains(&"index.Tensor".to_owned()) && !found.contains(&"where.self".to_owned()),
            "{}",
            raised.code()
        );
        let mut args = random_args(1, &g);
        let n: usize = at.iter().product();
        args[1] = Array::new(args[1].shape().clone(), (0..3 * n as i64).map(|i| i % 8 - 4).collect());
        assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}\n{raised}");
    }
    // Wrapped by another size.
    let near = targets(&batched(&[2, 4], &[3], |x, at| x.index_select_along(1, &wrapped(at, 3))).raised());
    assert!(near.contains(&"where.self".to_owned()), "{near:?}");
}

/// An index that got a dim to meet another one is the index without it.
#[test]
fn indices_that_meet_are_indices() {
    let avals = [Aval::new(DType::F64, [3, 4]), Aval::new(DType::I64, [2])];
    let g = build("f", |t| {
        let [x, at] = [0, 1].map(|i| t.param(&avals[i]));
        let column = at.view_to(&[2, 1].into());
        let wrapped = (&column + 3).where_(&column.lt(0), &column).view_to(&[2].into());
        let zeros = x.zeros_like();
        let rows = x.index_select_along(0, &wrapped);
        let sums = zeros.index_add_along(0, &wrapped, &rows.sin());
        Ok(vec![rows, sums])
    });
    let g = simplify(&g.unwrap());
    let raised = g.raised();
    let found = targets(&raised);
    assert!(found.contains(&"index.Tensor".to_owned()) && found.contains(&"index_put.default".to_owned()), "{found:?}");
    assert!(!found.contains(&"where.self".to_owned()), "{}", raised.code());
    let mut args = random_args(1, &g);
    args[1] = Array::new([2], vec![-1i64, 1]);
    assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{g}\n{raised}");
}

/// Differences of reductions of which one is needed with and without its dims.
#[test]
fn kept_dims_are_those_of_reductions() {
    let aval = Aval::new(DType::F64, [2, 4]);
    let g = build("f", |t| {
        let x = t.param(&aval);
        let [low, high] = [x.amin_over(&[1]), x.amax_over(&[1])].map(|v| v.view_to(&[2, 1].into()));
        Ok(vec![((&x - &low) / (&high - &low)).ok()?])
    });
    let g = simplify(&g.unwrap());
    let raised = g.raised();
    assert_eq!(
        targets(&raised),
        ["amin.default", "sub.Tensor", "amax.default", "sub.Tensor", "div.Tensor"],
        "{}",
        raised.code()
    );
    let args = random_args(1, &g);
    assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()));
}
