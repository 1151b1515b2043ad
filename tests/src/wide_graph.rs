//! Random graphs of arrays that are long along some axes: their loops have lanes in parts, copies of transposed operands, rows of several threads.
//!
//! Each value has some of the axes of its graph, in any order. Two values meet on the axes of both, over which others are repeated, as pairwise
//! distances, outer products and what follows a transposition have them.

use cotangent_core::ir::{Aval, DType, Graph, Shape};
use cotangent_core::ops::{Binary, Unary};
use cotangent_core::tensor::Tensor;
use cotangent_core::transform::build;

use crate::numeric::Rng;

/// Sizes around vectors, cache lines and what copies have room for.
const SIZES: [usize; 14] = [1, 2, 3, 5, 8, 9, 16, 20, 33, 64, 65, 130, 200, 513];
/// The most elements of a value.
const MOST: usize = 40_000;
/// The dtypes of parameters.
const DTYPES: [DType; 4] = [DType::F32, DType::F32, DType::F64, DType::I64];

/// A value, and which axis each of its dims is.
#[derive(Clone)]
struct Value {
    x: Tensor,
    axes: Vec<usize>,
}

/// The random graph of `seed`.
///
/// *Panics*: never for a seed, unless graphs cannot be built.
pub fn wide_graph(seed: u64) -> Graph {
    let mut rng = Rng(seed);
    let mut sizes = [0; 3].map(|_| *rng.pick(&SIZES));
    // Now and then one axis has all the elements.
    if rng.below(5) == 0 {
        sizes[0] = 1000 + rng.below(3000);
    }
    let dtype = *rng.pick(&DTYPES);
    let graph = build("wide", |t| {
        let mut values: Vec<Value> = Vec::new();
        for _ in 0..2 + rng.below(2) {
            let axes = some_axes(&mut rng, &sizes);
            let shape: Vec<usize> = axes.iter().map(|a| sizes[*a]).collect();
            values.push(Value { x: t.param(&Aval::new(dtype, shape)), axes });
        }
        for _ in 0..3 + rng.below(6) {
            let [a, b] = [0; 2].map(|_| {
                // Mostly a recent value, so that chains form.
                let n = values.len();
                let i = if rng.below(3) == 0 { rng.below(n) } else { n - 1 - rng.below(n.min(3)) };
                values[i].clone()
            });
            values.extend(step(&mut rng, &sizes, &a, &b));
        }
        let results = 1 + rng.below(2);
        Ok((0..results).map(|k| values[values.len() - 1 - k].x.clone()).collect())
    });
    graph.unwrap_or_else(|e| panic!("wide graph {seed}: {e}"))
}

/// Some axes in any order, of as many elements as a value may have.
fn some_axes(rng: &mut Rng, sizes: &[usize]) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..sizes.len()).filter(|_| rng.below(3) > 0).collect();
    shuffle(rng, &mut axes);
    while axes.iter().map(|a| sizes[*a]).product::<usize>() > MOST {
        axes.pop();
    }
    axes
}

fn shuffle(rng: &mut Rng, items: &mut [usize]) {
    for i in (1..items.len()).rev() {
        items.swap(i, rng.below(i + 1));
    }
}

/// `v` with these axes, which have all of its own.
fn spread(v: &Value, axes: &[usize], sizes: &[usize]) -> Tensor {
    let mut own: Vec<usize> = v.axes.clone();
    own.sort_by_key(|a| axes.iter().position(|b| a == b));
    let order: Vec<usize> = own.iter().filter_map(|a| v.axes.iter().position(|b| a == b)).collect();
    let ones: Vec<usize> = axes.iter().map(|a| if own.contains(a) { sizes[*a] } else { 1 }).collect();
    let all: Vec<usize> = axes.iter().map(|a| sizes[*a]).collect();
    v.x.permute_to(&order).view_to(&Shape::from(ones)).expand_to(&Shape::from(all))
}

/// One op, or a few that make a pattern; nothing where it does not fit.
fn step(rng: &mut Rng, sizes: &[usize], a: &Value, b: &Value) -> Option<Value> {
    const UNARY: [Unary; 5] = [Unary::Neg, Unary::Abs, Unary::Sign, Unary::Neg, Unary::Abs];
    const BINARY: [Binary; 6] = [Binary::Add, Binary::Sub, Binary::Sub, Binary::Mul, Binary::Maximum, Binary::Minimum];
    let dims = |rng: &mut Rng, n: usize| (0..n).filter(|_| rng.below(2) == 0).collect::<Vec<usize>>();
    let without = |v: &Value, dims: &[usize]| {
        (0..v.axes.len()).filter(|d| !dims.contains(d)).map(|d| v.axes[d]).collect::<Vec<usize>>()
    };
    match rng.below(10) {
        0..=3 => {
            let mut axes = a.axes.clone();
            axes.extend(b.axes.iter().filter(|x| !a.axes.contains(x)));
            if rng.below(2) == 0 {
                shuffle(rng, &mut axes);
            }
            if axes.iter().map(|x| sizes[*x]).product::<usize>() > MOST {
                return None;
            }
            let [x, y] = [a, b].map(|v| spread(v, &axes, sizes));
            Some(Value { x: x.binary(*rng.pick(&BINARY), &y), axes })
        }
        4 => Some(Value { x: a.x.unary(*rng.pick(&UNARY)), axes: a.axes.clone() }),
        5 | 6 => {
            let over = dims(rng, a.axes.len());
            let x = if rng.below(3) == 0 && a.x.numel() > 0 { a.x.amax_over(&over) } else { a.x.sum_over(&over) };
            (!over.is_empty()).then(|| Value { x, axes: without(a, &over) })
        }
        7 => {
            let mut order: Vec<usize> = (0..a.axes.len()).collect();
            shuffle(rng, &mut order);
            let axes = order.iter().map(|d| a.axes[*d]).collect();
            Some(Value { x: a.x.permute_to(&order), axes })
        }
        8 if !a.axes.is_empty() => {
            // A sum along a line, less its own end.
            let dim = rng.below(a.axes.len());
            Some(Value { x: a.x.cumsum_along(dim), axes: a.axes.clone() })
        }
        _ if !a.axes.is_empty() => {
            // Each element beside the next one of a line, and zeros behind the last.
            let (dim, n) = rng.pick(&a.axes.iter().map(|x| sizes[*x]).enumerate().collect::<Vec<_>>()).to_owned();
            let mut pads = vec![(0, 0); a.axes.len()];
            pads[dim] = (0, 1);
            let next = a.x.slice_dim(dim, 1, n, 1).pad_dims(&pads, 0);
            Some(Value { x: a.x.binary(Binary::Sub, &next), axes: a.axes.clone() })
        }
        _ => None,
    }
}
