//! Sums of products of broadcast operands as products of matrices, which is what they are: `(x[:, :, None] * y[:, None, :]).sum(0)` is `x.T @ y`.
//!
//! A product of matrices keeps blocks of both operands in registers and caches; a sum over broadcast operands reads them again for each of its elements.

use rustc_hash::FxHashMap;

use super::replay::rebuild;
use crate::error::Error;
use crate::ir::{DType, Graph, Node, Shape, Value};
use crate::ops::{Binary, Op};
use crate::simplify::Class;
use crate::tensor::{Tensor, emit_all};

/// The least inner size: shorter sums are written out where their elements are used.
const LEAST_INNER: usize = 16;
/// The fewest rows and columns: a product with a vector reads each element of the matrix once, as the sum does.
const LEAST_SIDE: usize = 4;
/// The fewest multiplications that repay operands and a result in memory.
const LEAST_PRODUCTS: usize = 1 << 15;

/// The graph where sums over the common dims of two broadcast factors are products of matrices. For machine code, which nobody reads. `None` if there is none,
/// or `class` is below [`Class::Rounding`]: the order of the sums is another one, and halves, whose products are rounded one by one, stay as they are.
///
/// *Errors*: none that the graph does not have.
pub fn by_products(graph: &Graph, class: Class) -> Result<Option<Graph>, Error> {
    if class < Class::Rounding {
        return Ok(None);
    }
    let (defs, uses) = (graph.definitions(), graph.use_counts());
    let mut found: FxHashMap<Value, Part> = FxHashMap::default();
    for n in graph.nodes() {
        let Op::Sum(sum) = &n.op else { continue };
        let y = n.args[0];
        let Some(factors) = defs[y.index()].map(|(i, _)| &graph.nodes()[i]) else { continue };
        if uses[y.index()] != 1 || !matches!(factors.op, Op::Binary(Binary::Mul)) {
            continue;
        }
        let summed = sum.dims(graph.aval(y).shape.rank());
        if let Some(product) = Product::of(graph, &defs, factors, &summed, &graph.aval(n.results[0]).shape) {
            found.insert(y, Part::Factors(product));
            found.insert(n.results[0], Part::Sum);
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let rebuilt = rebuild(graph, |n, args| match found.get(&n.results[0]) {
        Some(Part::Factors(product)) => vec![product.of_factors(args[0], args[1])],
        Some(Part::Sum) => vec![args[0].clone()],
        None => emit_all(n.op.clone(), args),
    })?;
    Ok(Some(rebuilt))
}

/// What stands for a node.
enum Part {
    /// The whole sum, in the place of its factors' product.
    Factors(Product),
    /// Nothing is left to do.
    Sum,
}

/// The dims of two factors by their role in the product.
#[derive(Default, Debug)]
struct Product {
    /// Dims of both factors that stay.
    batch: Vec<usize>,
    /// Those of the first factor alone.
    rows: Vec<usize>,
    /// Those of the second factor alone.
    columns: Vec<usize>,
    /// Those of both that are summed.
    inner: Vec<usize>,
    /// The sizes of all dims.
    sizes: Vec<usize>,
    /// The shape of the sum.
    out: Shape,
}

impl Product {
    /// The product that the sum over `summed` of these factors is, if it is one and worth it.
    fn of(
        graph: &Graph,
        defs: &[Option<(usize, usize)>],
        factors: &Node,
        summed: &[usize],
        out: &Shape,
    ) -> Option<Self> {
        let aval = graph.aval(factors.results[0]);
        if !matches!(aval.dtype, DType::F32 | DType::F64) {
            return None;
        }
        let sizes: Vec<usize> = aval.shape.dims().iter().map(|d| d.get()).collect();
        let varies = |v: Value| -> Vec<bool> {
            let made = defs[v.index()].map(|(i, _)| &graph.nodes()[i]);
            match made {
                Some(n) if matches!(n.op, Op::Expand(_)) => {
                    let from = &graph.aval(n.args[0]).shape;
                    let lead = sizes.len() - from.rank();
                    (0..sizes.len()).map(|d| d >= lead && from[d - lead].get() == sizes[d]).collect()
                }
                Some(_) | None => vec![true; sizes.len()],
            }
        };
        let [left, right] = [0, 1].map(|k| varies(factors.args[k]));
        let mut product = Product { out: out.clone(), ..Product::default() };
        for d in (0..sizes.len()).filter(|d| sizes[*d] != 1) {
            let role = match (left[d], right[d], summed.contains(&d)) {
                (true, true, false) => &mut product.batch,
                (true, true, true) => &mut product.inner,
                (true, false, false) => &mut product.rows,
                (false, true, false) => &mut product.columns,
                // Sums of one factor are of other rules.
                (true, false, true) | (false, true, true) | (false, false, _) => return None,
            };
            role.push(d);
        }
        product.sizes = sizes;
        let [m, n, k] = [&product.rows, &product.columns, &product.inner].map(|dims| product.count(dims));
        let worth = k >= LEAST_INNER && m.min(n) >= LEAST_SIDE;
        let all = product.sizes.iter().try_fold(1usize, |all, n| all.checked_mul(*n))?;
        (worth && all >= LEAST_PRODUCTS).then_some(product)
    }

    fn count(&self, dims: &[usize]) -> usize {
        dims.iter().map(|d| self.sizes[*d]).product()
    }

    /// The sum, of its factors with all their repetitions.
    fn of_factors(&self, left: &Tensor, right: &Tensor) -> Tensor {
        let [b, m, n, k] = [&self.batch, &self.rows, &self.columns, &self.inner].map(|dims| self.count(dims));
        let left = self.matrices(left, [&self.batch, &self.rows, &self.inner], &self.columns, [b, m, k]);
        let right = self.matrices(right, [&self.batch, &self.inner, &self.columns], &self.rows, [b, k, n]);
        let product = if self.batch.is_empty() { left.mm(&right) } else { left.bmm(&right) };
        // From batch, rows and columns to the order of the dims.
        let kept: Vec<usize> = [&self.batch, &self.rows, &self.columns].into_iter().flatten().copied().collect();
        let sizes: Vec<usize> = kept.iter().map(|d| self.sizes[*d]).collect();
        let mut order: Vec<usize> = (0..kept.len()).collect();
        order.sort_unstable_by_key(|i| kept[*i]);
        product.view_to(&Shape::from(sizes)).permute_to(&order).view_to(&self.out)
    }

    /// A factor as matrices of `sizes`, with the dims of each role side by side; it is the same all along `repeated`.
    fn matrices(&self, x: &Tensor, roles: [&Vec<usize>; 3], repeated: &[usize], [b, m, n]: [usize; 3]) -> Tensor {
        let once = repeated.iter().fold(x.clone(), |x, d| x.slice_dim(*d, 0, 1, 1));
        let mut order: Vec<usize> = roles.into_iter().flatten().copied().collect();
        order.extend((0..self.sizes.len()).filter(|d| !roles.iter().any(|dims| dims.contains(d))));
        let sizes = if self.batch.is_empty() { vec![m, n] } else { vec![b, m, n] };
        once.permute_to(&order).view_to(&Shape::from(sizes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use crate::ir::Aval;
    use crate::tensor::trace::build;
    use crate::transform::eval::eval;

    const N: [usize; 4] = [17, 19, 23, 5];

    /// `sum(x * y)` over `summed` of factors that have these of four dims, and are repeated along the others.
    fn sum(dtype: DType, left: [bool; 4], right: [bool; 4], summed: &[usize]) -> (Graph, [Aval; 2]) {
        let avals = [left, right].map(|has| Aval::new(dtype, [0, 1, 2, 3].map(|d| if has[d] { N[d] } else { 1 })));
        let graph = build("f", |t| {
            let [x, y] = avals.each_ref().map(|a| t.param(a).expand_to(&Shape::from(N)));
            Ok(vec![(x * y).sum_over(summed)])
        });
        (graph.expect("a graph"), avals)
    }

    #[test]
    fn sums_of_broadcast_factors_are_products() {
        let [t, f] = [true, false];
        for (left, right, summed, is_product) in [
            // A batch of products, its dims in any order.
            ([t, t, f, t], [t, f, t, t], vec![0], true),
            ([t, t, f, t], [t, f, t, t], vec![0, 3], true),
            ([f, t, t, t], [t, f, t, t], vec![2], true),
            ([t, f, t, f], [f, t, t, f], vec![2], false),
            ([t, f, t, t], [f, t, t, t], vec![2, 3], true),
            // The inner dim is short; a factor is summed alone; one has all dims.
            ([t, t, f, t], [t, f, t, t], vec![3], false),
            ([t, t, f, t], [t, f, t, t], vec![0, 1], false),
            ([t, t, t, t], [t, f, t, t], vec![0], false),
        ] {
            for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 2e-5)] {
                let (graph, avals) = sum(dtype, left, right, &summed);
                let products = by_products(&graph, Class::Rounding).expect("a graph");
                assert_eq!(products.is_some(), is_product, "{left:?} {right:?} {summed:?}");
                assert!(by_products(&graph, Class::Finite).expect("a graph").is_none());
                let Some(products) = products else { continue };
                assert!(!products.nodes().iter().any(|n| matches!(n.op, Op::Sum(_))));
                let args = avals.each_ref().map(|a| Array::from_f64_fn(a, |i| ((i * i + 7 * i) % 101) as f64 - 50.0));
                let [want, got] = [&graph, &products].map(|g| eval(g, &args).expect("values")[0].clone());
                assert_eq!(want.shape(), got.shape());
                for (w, g) in want.to_f64_vec().into_iter().zip(got.to_f64_vec()) {
                    assert!((w - g).abs() <= tolerance * (1.0 + w.abs()), "{g}, expected {w}: {left:?} {right:?}");
                }
            }
        }
    }

    #[test]
    fn halves_and_products_that_somebody_reads_stay() {
        let (graph, _) = sum(DType::BF16, [true, true, false, false], [true, false, true, false], &[0]);
        assert!(by_products(&graph, Class::Rounding).expect("a graph").is_none());
        let [x, y] = [[17, 19, 1], [17, 1, 23]].map(|s| Aval::new(DType::F32, s));
        let graph = build("f", |t| {
            let [x, y] = [&x, &y].map(|a| t.param(a).expand_to(&Shape::from([17, 19, 23])));
            let product = x * y;
            Ok(vec![product.sum_over(&[0]), product])
        });
        assert!(by_products(&graph.expect("a graph"), Class::Rounding).expect("a graph").is_none());
    }
}
