//! Reads and sums through an index that is known beforehand, as views: a roll is two slices, and the windows of an image are strides.
//!
//! PyTorch decomposes `roll`, `im2col`, paddings by reflection and nearest neighbours into an index made of ranges. As views they fuse with
//! what reads them, and no index is computed, checked or read. Other reads go through the dim that the index names, where a program permutes it to
//! the front and back, which would copy all of the tensor.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::added::Added;
use super::replay::{Env, rebuild};
use crate::array::Array;
use crate::error::Error;
use crate::ir::{Graph, Node, Shape, Value};
use crate::ops::Op;
use crate::simplify::Class;
use crate::tensor::{Tensor, emit_all};

/// The most elements of a value that is computed beforehand.
const MOST_ELEMENTS: usize = 1 << 19;
/// The most pieces of a result that are worth it.
const MOST_RUNS: usize = 8;
/// The most nested steps.
const MOST_LEVELS: usize = 5;

/// The graph where `index_select` with an index that depends on no parameter, and goes in even steps, is a view or a few of them, and where any other one
/// reads a permuted tensor as it lies; sums at such places are sums of views where `class` allows it. For machine code, which nobody reads. `None` if there is
/// no such node. Equal bits below [`Class::Rounding`].
///
/// *Errors*: none that the graph does not have.
pub fn by_views(graph: &Graph, class: Class) -> Result<Option<Graph>, Error> {
    let (known, defs) = (known_indices(graph), graph.definitions());
    let steps = |n: &Node, dim: usize| -> Option<Vec<Steps>> {
        let size = graph.aval(n.args[0]).shape[dim].get();
        let index = known.find(n.args[1])?.to_i64_vec();
        let index: Vec<usize> = index.into_iter().map(|i| usize::try_from(i).ok()).collect::<Option<_>>()?;
        index.iter().all(|i| *i < size).then(|| runs(&index)).flatten()
    };
    let order = |n: &Node| match &graph.nodes()[defs[n.args[0].index()]?.0].op {
        Op::Permute(p) => Some(p.dims.clone()),
        _ => None,
    };
    let view = |n: &Node| match &n.op {
        Op::IndexSelect(s) => {
            let read = Read { dim: s.dim, steps: steps(n, s.dim), order: order(n) };
            (read.steps.is_some() || read.order.is_some()).then_some(View::Read(read))
        }
        Op::IndexAdd(s) => Some(View::Sum(s.dim, Added::of(&steps(n, s.dim)?, class)?)),
        _ => None,
    };
    let found = graph.nodes().iter().filter_map(|n| Some((n.results[0], view(n)?)));
    let found: FxHashMap<Value, View> = found.collect();
    if found.is_empty() {
        return Ok(None);
    }
    let rebuilt = rebuild(graph, |n, args| match found.get(&n.results[0]) {
        Some(View::Read(read)) => vec![read.of(args[0], args[1])],
        Some(View::Sum(dim, added)) => vec![added.sum(args[0], *dim, args[2])],
        None => emit_all(n.op.clone(), args),
    })?;
    Ok(Some(rebuilt))
}

/// What stands for a node.
enum View {
    Read(Read),
    /// A sum along a dim.
    Sum(usize, Added),
}

/// A read along a dim.
struct Read {
    dim: usize,
    /// The index, if it is known.
    steps: Option<Vec<Steps>>,
    /// How the tensor is permuted before it is read.
    order: Option<Vec<usize>>,
}

impl Read {
    /// The elements of `x` at `index`.
    fn of(&self, x: &Tensor, index: &Tensor) -> Tensor {
        let Some(order) = &self.order else { return self.along(x, self.dim, index) };
        // Simplification takes both permutations away.
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, d)| back[*d] = i);
        self.along(&x.permute_to(&back), order[self.dim], index).permute_to(order)
    }

    fn along(&self, x: &Tensor, dim: usize, index: &Tensor) -> Tensor {
        let Some(runs) = &self.steps else { return x.index_select_along(dim, index) };
        let pieces: Vec<Tensor> = runs.iter().map(|steps| steps.of(x, dim)).collect();
        Tensor::cat_dim(&pieces, dim)
    }
}

/// The values on which an index depends, as far as no parameter takes part in them.
fn known_indices(graph: &Graph) -> Env<Arc<Array>> {
    let mut wanted = vec![false; graph.num_values()];
    for n in graph.nodes().iter().rev() {
        if let Op::IndexSelect(_) | Op::IndexAdd(_) = n.op {
            wanted[n.args[1].index()] = true;
        }
        if n.results.iter().any(|v| wanted[v.index()]) {
            n.args.iter().for_each(|v| wanted[v.index()] = true);
        }
    }
    let mut known = Env::empty(graph);
    for n in graph.nodes().iter().filter(|n| n.results.iter().any(|v| wanted[v.index()])) {
        let is_small = n.results.iter().all(|v| graph.aval(*v).shape.numel() <= MOST_ELEMENTS);
        let args: Option<Vec<Arc<Array>>> = n.args.iter().map(|v| known.find(*v).cloned()).collect();
        let Some(args) = args.filter(|_| is_small) else { continue };
        let args: Vec<&Array> = args.iter().map(Arc::as_ref).collect();
        if let Ok(results) = n.op.prim().eval(&args) {
            known.write(&n.results, results.into_iter().map(Arc::new));
        }
    }
    known
}

/// Places `start + Σ i · step` for all `i < count` of each level, the last level fastest.
#[derive(Debug, PartialEq)]
pub(super) struct Steps {
    pub start: usize,
    pub levels: Vec<(usize, isize)>,
}

/// The steps of an index, of all of it or of a few runs; `None` where there is no such order.
fn runs(index: &[usize]) -> Option<Vec<Steps>> {
    if index.is_empty() {
        return None;
    }
    if let Some(steps) = nested(index) {
        return Some(vec![steps]);
    }
    let (mut rest, mut out) = (index, Vec::new());
    while let Some((first, others)) = rest.split_first() {
        if out.len() == MOST_RUNS {
            return None;
        }
        let step = others.first().map_or(1, |next| *next as isize - *first as isize);
        let even = rest.windows(2).take_while(|w| w[1] as isize - w[0] as isize == step).count() + 1;
        // A pair that nothing continues is the end of one run and the beginning of another.
        let len = if even == 2 && rest.len() > 2 { 1 } else { even };
        out.push(Steps { start: *first, levels: vec![(len, if len == 1 { 1 } else { step })] });
        rest = &rest[len..];
    }
    Some(out)
}

/// The steps of the whole index, level by level from the fastest.
fn nested(index: &[usize]) -> Option<Steps> {
    let (mut starts, mut levels) = (index.to_vec(), Vec::new());
    while starts.len() > 1 {
        let step = starts[1] as isize - starts[0] as isize;
        let is_even = |w: &[usize]| w[1] as isize - w[0] as isize == step;
        let count = starts.windows(2).take_while(|w| is_even(w)).count() + 1;
        let even = starts.len().is_multiple_of(count) && starts.chunks(count).all(|c| c.windows(2).all(is_even));
        if !even || levels.len() == MOST_LEVELS {
            return None;
        }
        levels.push((count, step));
        starts = starts.into_iter().step_by(count).collect();
    }
    levels.reverse();
    Some(Steps { start: starts[0], levels })
}

impl Steps {
    /// The elements of `x` at these places of `dim`.
    fn of(&self, x: &Tensor, dim: usize) -> Tensor {
        // Levels that go backwards are read forwards, and reversed.
        let first = self.levels.iter().fold(self.start, |at, (n, step)| at - (n - 1) * step.min(&0).unsigned_abs());
        let reach =
            |levels: &[(usize, isize)]| levels.iter().map(|(n, step)| (n - 1) * step.unsigned_abs()).sum::<usize>() + 1;
        let whole = x.slice_dim(dim, first, first + reach(&self.levels), 1);
        let (rank, lead) = (x.rank(), dim);
        match self.levels[..] {
            [] => return whole,
            [(n, step)] if step != 0 => {
                let size = (n - 1) * step.unsigned_abs() + 1;
                let every = whole.slice_dim(dim, 0, size, step.unsigned_abs());
                return if step < 0 { every.flip_dims(&[dim]) } else { every };
            }
            _ => {}
        }
        // The dim goes last, and is taken apart level by level; what is left of it has one element.
        let order: Vec<usize> = (0..lead).chain(dim + 1..rank).chain([dim]).collect();
        let mut y = whole.permute_to(&order);
        for (i, (n, step)) in self.levels.iter().enumerate() {
            let (last, inner) = (y.rank() - 1, reach(&self.levels[i + 1..]));
            if *step == 0 {
                let mut sizes: Vec<usize> = y.shape().dims().iter().map(|d| d.get()).collect();
                sizes.insert(last, 1);
                let alone = y.view_to(&Shape::from(sizes.clone()));
                sizes[last] = *n;
                y = alone.expand_to(&Shape::from(sizes));
            } else {
                y = y.unfold_dim(last, inner, step.unsigned_abs());
            }
        }
        // `[lead, others, levels, 1]`
        let others = rank - 1 - lead;
        let backwards: Vec<usize> =
            self.levels.iter().enumerate().filter(|(_, l)| l.1 < 0).map(|(i, _)| lead + others + i).collect();
        let y = y.flip_dims(&backwards);
        let levels = lead + others..lead + others + self.levels.len();
        let order: Vec<usize> =
            (0..lead).chain(levels.clone()).chain(lead..lead + others).chain([levels.end]).collect();
        let mut sizes: Vec<usize> = x.shape().dims().iter().map(|d| d.get()).collect();
        sizes[dim] = self.levels.iter().map(|l| l.0).product();
        y.permute_to(&order).view_to(&Shape::from(sizes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{Aval, DType};
    use crate::tensor::trace::build;
    use crate::transform::eval::eval;

    /// `x[.., index, ..]` along `dim` of `shape`, with the index as a constant, and how many reads through an index are left.
    fn check(shape: [usize; 3], dim: usize, index: &[i64]) -> usize {
        let aval = Aval::new(DType::F32, shape);
        let index = Array::new([index.len()], index.to_vec());
        let graph = build("f", |t| {
            let x = t.param(&aval);
            Ok(vec![x.index_select_along(dim, &Tensor::from_array(index.clone()))])
        })
        .expect("a graph");
        let views = by_views(&graph, Class::Exact).expect("a graph").unwrap_or_else(|| graph.clone());
        let x = Array::from_f64_fn(&aval, |i| i as f64);
        let [want, got] = [&graph, &views].map(|g| eval(g, std::slice::from_ref(&x)).expect("values")[0].to_f64_vec());
        assert_eq!(want, got, "{index:?} on {dim}");
        views.nodes().iter().filter(|n| matches!(n.op, Op::IndexSelect(_))).count()
    }

    #[test]
    fn even_steps_are_views() {
        let windows: Vec<i64> = (0..2 * 3 * 3 * 2).map(|i| i / 18 * 2 + i / 6 % 3 * 2 + i / 2 % 3 + i % 2).collect();
        for index in [
            vec![0],
            vec![7, 0, 1, 2, 3, 4, 5, 6],
            vec![2, 3, 4, 5, 6, 7, 0, 1],
            vec![7, 6, 5, 4, 3, 2, 1, 0],
            vec![3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 6, 5],
            vec![0, 0, 1, 1, 2, 2, 3, 3],
            vec![5, 5, 5],
            vec![1, 3, 5],
            vec![6, 4, 7, 5],
            vec![0, 0, 3, 3, 0, 0, 3, 3],
            windows,
        ] {
            for dim in 0..3 {
                let mut shape = [3, 2, 4];
                shape[dim] = 10;
                assert_eq!(check(shape, dim, &index), 0, "{index:?} on {dim}");
            }
        }
    }

    #[test]
    fn sums_at_known_places_are_sums_of_views() {
        let (exact, rounding) = (Some(Class::Exact), Some(Class::Rounding));
        for (index, least) in [
            (vec![2i64, 3, 4, 5, 0, 1], exact),
            (vec![2, 1, 0, 1, 2, 3, 4, 5, 4, 3], exact),
            (vec![0, 0, 0, 1, 2, 3, 4, 5, 5], rounding),
            (vec![5, 4, 3, 2, 1, 0], exact),
            (vec![0, 0, 1, 1, 2, 2, 3, 3], rounding),
            (vec![1, 2, 3, 1, 2, 3], rounding),
            (vec![3], exact),
            (vec![3, 3, 3], rounding),
            (vec![4, 2, 0], None),
            (vec![0, 2, 1, 3, 2, 4, 3, 5], None),
            (vec![0, 1, 2, 6], None),
        ] {
            let [x, source] = [6, index.len()].map(|n| Aval::new(DType::F64, [2, n, 3]));
            let places = Tensor::from_array(Array::new([index.len()], index.clone()));
            let graph = build("f", |t| {
                let (x, source) = (t.param(&x), t.param(&source));
                Ok(vec![x.index_add_along(1, &places, &source)])
            })
            .expect("a graph");
            for class in [Class::Exact, Class::Rounding] {
                let views = by_views(&graph, class).expect("a graph");
                assert_eq!(views.is_some(), least.is_some_and(|least| least <= class), "{index:?} at {class:?}");
                let Some(views) = views else { continue };
                assert!(!views.nodes().iter().any(|n| matches!(n.op, Op::IndexAdd(_))), "{index:?}");
                let args = [&x, &source].map(|a| Array::from_f64_fn(a, |i| (i * i % 101) as f64));
                let [want, got] = [&graph, &views].map(|g| eval(g, &args).expect("values")[0].to_f64_vec());
                assert_eq!(want, got, "{index:?} at {class:?}");
            }
        }
    }

    #[test]
    fn other_indices_stay() {
        assert_eq!(check([9, 2, 2], 0, &[3, 1, 4, 1, 5, 0, 2, 6, 5, 3, 5, 8, 0, 7, 3, 3, 1, 2, 8, 4]), 1);
        assert_eq!(check([9, 2, 2], 0, &[]), 1);
    }

    #[test]
    fn indices_of_parameters_and_beyond_the_end_stay() {
        let (x, index) = (Aval::new(DType::F32, [4]), Aval::new(DType::I64, [2]));
        let graph = build("f", |t| {
            let (x, index) = (t.param(&x), t.param(&index));
            let beyond = Tensor::from_array(Array::new([2], vec![3i64, 4]));
            Ok(vec![x.index_select_along(0, &index), x.index_select_along(0, &beyond)])
        })
        .expect("a graph");
        assert!(by_views(&graph, Class::Exact).expect("a graph").is_none());
    }

    #[test]
    fn permuted_tensors_are_read_as_they_lie() {
        let (x, index) = (Aval::new(DType::F32, [3, 4, 5]), Aval::new(DType::I64, [2]));
        let graph = build("f", |t| {
            let (x, index) = (t.param(&x), t.param(&index));
            Ok(vec![x.permute_to(&[2, 0, 1]).index_select_along(0, &index)])
        })
        .expect("a graph");
        let views = by_views(&graph, Class::Exact).expect("a graph").expect("a permuted read");
        let inputs = [Array::from_f64_fn(&x, |i| i as f64), Array::new([2], vec![4i64, 1])];
        let [want, got] = [&graph, &views].map(|g| eval(g, &inputs).expect("values")[0].clone());
        assert_eq!((want.shape(), want.to_f64_vec()), (got.shape(), got.to_f64_vec()));
        assert!(views.nodes().iter().any(|n| matches!(&n.op, Op::IndexSelect(s) if s.dim == 2)));
    }
}
