//! Attention under a mask that is known beforehand, by blocks of rows: what the mask hides is not computed.
//!
//! Under a causal mask, half of all scores are minus infinity, whatever the inputs are; their exponentials are zero, and so is what they
//! contribute to a sum or to a product of matrices. A block of rows needs only the columns that the mask shows to one of them.

mod facts;
mod sliced;

use std::ops::Range;

use super::replay::Env;
use crate::error::Error;
use crate::ir::{Graph, Node, Value};
use crate::ops::Op;
use crate::simplify::Class;
use crate::tensor::trace::{at, build};
use crate::tensor::{Tensor, emit_all};
use facts::{Fact, Region, facts};
use sliced::Sliced;

/// The most blocks, and the fewest rows of one: fewer do not repay that a product packs its operands for each block.
const MOST_BLOCKS: usize = 8;
const FEWEST_ROWS: usize = 64;
/// The part of all products, one in so many, that must be saved; and the fewest multiplications.
const LEAST_PART: usize = 5;
const LEAST_SAVED: usize = 1 << 23;

/// A mask of matrices: element (row, column) is shown where no `base + row · r + column · c` is positive.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mask {
    forms: Vec<[i64; 3]>,
    rows: usize,
    columns: usize,
}

/// Rows, and the columns that one of them sees.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Block {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Mask {
    /// A region of `graph`'s value `v` as a mask of these dims. `None` if it is of others too.
    fn of(graph: &Graph, v: Value, region: &Region, [row, column]: [usize; 2]) -> Option<Self> {
        let shape = &graph.aval(v).shape;
        let form = |f: &facts::Form| {
            let others = f.by.iter().enumerate().all(|(d, by)| d == row || d == column || *by == 0);
            others.then(|| [f.base, f.by[row], f.by[column]])
        };
        let forms = region.forms.iter().map(form).collect::<Option<_>>()?;
        Some(Self { forms, rows: shape[row].get(), columns: shape[column].get() })
    }

    /// The columns that a row sees: all in between are taken as seen.
    fn seen(&self, row: usize) -> Option<Range<usize>> {
        let (mut from, mut to) = (0, self.columns as i64);
        for [base, by_row, by_column] in &self.forms {
            let rest = base.checked_add(by_row.checked_mul(row as i64)?)?;
            match by_column.signum() {
                1 => to = to.min(rest.checked_neg()?.div_euclid(*by_column).saturating_add(1)),
                -1 => from = from.max(-rest.checked_neg()?.div_euclid(by_column.checked_neg()?)),
                _ if rest > 0 => to = 0,
                _ => {}
            }
        }
        (from < to).then_some(from as usize..to.max(0) as usize)
    }

    /// Blocks of rows, of which each row sees something; at least one.
    fn blocks(&self) -> Option<Vec<Block>> {
        let each = self.rows.div_ceil(MOST_BLOCKS).next_multiple_of(16).max(FEWEST_ROWS);
        let mut blocks = Vec::new();
        for start in (0..self.rows).step_by(each) {
            let rows = start..self.rows.min(start + each);
            let mut columns = self.seen(start)?;
            for row in rows.clone().skip(1) {
                let seen = self.seen(row)?;
                columns = columns.start.min(seen.start)..columns.end.max(seen.end);
            }
            blocks.push(Block { rows, columns });
        }
        (!blocks.is_empty()).then_some(blocks)
    }
}

/// A product of matrices one operand of which is zero where the mask hides it.
struct Exit {
    /// Which operand.
    operand: usize,
    /// The operand's dims of the mask's rows and columns.
    dims: [usize; 2],
}

impl Exit {
    /// The operand of a product that is hidden by a mask, by the facts of the graph's values, and the mask if its rows are what is summed over or not.
    fn all(graph: &Graph, facts: &Env<Fact>, n: &Node) -> Vec<(Self, Mask)> {
        if !matches!(n.op, Op::Mm(_) | Op::Bmm(_)) {
            return Vec::new();
        }
        let of = |operand: usize| {
            let v = n.args[operand];
            let rank = graph.aval(v).rank();
            let region = match facts.find(v) {
                Some(Fact::Only { region, elsewhere, .. }) if *elsewhere == 0.0 => Some(region),
                Some(Fact::Only { .. } | Fact::Fill(_) | Fact::Number(_)) | None => None,
            };
            [[rank - 2, rank - 1], [rank - 1, rank - 2]].into_iter().filter_map(move |dims| {
                let own = Mask::of(graph, v, region?, dims)?;
                Some((Self { operand, dims }, own))
            })
        };
        (0..2).flat_map(of).collect()
    }

    /// The operand that is hidden by this mask.
    fn of(graph: &Graph, facts: &Env<Fact>, n: &Node, mask: &Mask) -> Option<Self> {
        Self::all(graph, facts, n).into_iter().find(|(_, own)| own == mask).map(|(exit, _)| exit)
    }

    /// The product by blocks.
    fn product(&self, n: &Node, env: &Env<Tensor>, sliced: &mut Sliced) -> Tensor {
        let rank = env.get(n.args[0]).rank();
        let (summed, other) = if self.operand == 0 { (rank - 1, rank - 2) } else { (rank - 2, rank - 1) };
        let [row, column] = self.dims;
        let by_rows = row != summed;
        let of_block = |b: usize, sliced: &mut Sliced| {
            let block = sliced.blocks[b].clone();
            let masked = sliced.of(env, b, n.args[self.operand], [Some(row), Some(column)]);
            let range = if by_rows { block.columns } else { block.rows };
            // Its other dim is summed over.
            let beside = env.get(n.args[1 - self.operand]).slice_dim(other, range.start, range.end, 1);
            let args = if self.operand == 0 { [&masked, &beside] } else { [&beside, &masked] };
            emit_all(n.op.clone(), &args).swap_remove(0)
        };
        let parts: Vec<Tensor> = (0..sliced.blocks.len()).map(|b| of_block(b, sliced)).collect();
        // The dim of the result that is the masked operand's.
        let free = if self.operand == 0 { rank - 2 } else { rank - 1 };
        if by_rows {
            return Tensor::cat_dim(&parts, free);
        }
        let whole = |(part, block): (Tensor, &Block)| {
            let mut borders = vec![(0, 0); rank];
            borders[free] = (block.columns.start as i64, (sliced.mask.columns - block.columns.end) as i64);
            part.pad_dims(&borders, 0.0)
        };
        let parts = parts.into_iter().zip(&sliced.blocks).map(whole);
        parts.reduce(|sum, part| sum + part).expect("a mask with rows has blocks")
    }
}

/// The graph where products of matrices that are zero behind a known mask are computed by blocks of rows, with everything on which only they depend.
/// `None` where nothing is to be gained.
///
/// *Numerics*: of [`Class::Rounding`]: sums leave out what is zero where scores and values are finite; a mask of numbers below -1e30 hides as minus
/// infinity does.
/// *Errors*: none that the graph does not have.
pub fn by_blocks(graph: &Graph, class: Class) -> Result<Option<Graph>, Error> {
    let has = |found: &dyn Fn(&Op) -> bool| graph.nodes().iter().any(|n| found(&n.op));
    let may = class >= Class::Rounding
        && has(&|op| matches!(op, Op::Arange(_) | Op::Constant(_)))
        && has(&|op| matches!(op, Op::Mm(_) | Op::Bmm(_)));
    if !may {
        return Ok(None);
    }
    let before = multiplications(graph);
    if before < LEAST_SAVED {
        return Ok(None);
    }
    let facts = facts(graph);
    // What the rows of the mask are is seen from what they are good for.
    let exits = graph.nodes().iter().map(|n| Exit::all(graph, &facts, n));
    let masks = exits.into_iter().find(|all| !all.is_empty()).unwrap_or_default();
    let most = before.saturating_sub(LEAST_SAVED.max(before / LEAST_PART));
    let mut best: Option<(usize, Graph)> = None;
    for (_, mask) in masks {
        let Some(blocks) = mask.blocks() else { continue };
        let out = blockwise(graph, &facts, &mask, &blocks)?;
        let left = multiplications(&out);
        if left <= most && best.as_ref().is_none_or(|(fewest, _)| left < *fewest) {
            best = Some((left, out));
        }
    }
    Ok(best.map(|(_, out)| out))
}

/// The graph with products by blocks of `mask`.
fn blockwise(graph: &Graph, facts: &Env<Fact>, mask: &Mask, blocks: &[Block]) -> Result<Graph, Error> {
    let out = build(graph.name(), |t| {
        let params: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        let mut env = Env::new(graph, params);
        let mut sliced = Sliced::new(graph, facts, mask.clone(), blocks.to_vec());
        for n in graph.nodes() {
            let results = at(graph.loc(n).clone(), || match Exit::of(graph, facts, n, mask) {
                Some(exit) => vec![exit.product(n, &env, &mut sliced)],
                None => emit_all(n.op.clone(), &n.args.iter().map(|v| env.get(*v)).collect::<Vec<_>>()),
            });
            env.write(&n.results, results);
        }
        Ok(env.read(graph.results()))
    })?;
    Ok(out.with_signature(graph.signature().clone()))
}

/// The multiplications of all products of matrices on which a result depends.
fn multiplications(graph: &Graph) -> usize {
    let mut wanted = vec![false; graph.num_values()];
    graph.results().iter().for_each(|v| wanted[v.index()] = true);
    let mut sum = 0usize;
    for n in graph.nodes().iter().rev() {
        if !n.results.iter().any(|v| wanted[v.index()]) {
            continue;
        }
        if let Op::Mm(_) | Op::Bmm(_) = n.op {
            let columns = graph.aval(n.args[1]).shape.dims().last().map_or(1, |n| n.get());
            sum = sum.saturating_add(graph.aval(n.args[0]).shape.numel().saturating_mul(columns));
        }
        n.args.iter().for_each(|v| wanted[v.index()] = true);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use crate::ir::{Aval, DType, Scalar};
    use crate::ops::{Binary, Unary};
    use crate::simplify::{Options, simplify_with};
    use crate::transform::eval::eval;
    use crate::transform::grad::grad_and_value;

    const ROWS: usize = 320;

    /// `column - row` of all scores.
    fn distance(like: &Tensor, rows: usize, columns: usize) -> Tensor {
        let of = |n: usize, shape: [usize; 2]| {
            like.arange_like(n.into(), DType::I64).view_to(&shape.into()).expand_to(&[rows, columns].into())
        };
        &of(columns, [1, columns]) - &of(rows, [rows, 1])
    }

    /// Attention, of which `shown` says what is seen where `column - row` is given.
    fn attention([q, k, v]: [&Tensor; 3], hide: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
        let (rows, columns) = (q.shape()[1].get(), k.shape()[1].get());
        let scores = q.bmm(&k.permute_to(&[0, 2, 1]));
        let hidden = hide(&scores, &distance(&scores, rows, columns));
        let e = (&hidden
            - &hidden.amax_over(&[2]).unary(Unary::Detach).view_to(&row_shape(&scores)).expand_to(scores.shape()))
            .exp();
        let p = &e / &e.sum_over(&[2]).view_to(&row_shape(&scores)).expand_to(scores.shape());
        p.bmm(v)
    }

    fn row_shape(scores: &Tensor) -> crate::ir::Shape {
        [scores.shape()[0].get(), scores.shape()[1].get(), 1].into()
    }

    fn fill(like: &Tensor, x: f64) -> Tensor {
        like.full_like(Scalar::Float(x))
    }

    /// The scores where `shown` holds, else minus infinity.
    fn masked(scores: &Tensor, shown: &Tensor) -> Tensor {
        scores.where_exact(&shown.expand_to(scores.shape()), &fill(scores, f64::NEG_INFINITY))
    }

    fn zero(like: &Tensor) -> Tensor {
        like.full_like(Scalar::Int(0))
    }

    /// The graph of attention on these sizes, and what is left of its products in parts of all.
    fn check(rows: usize, columns: usize, hide: impl Fn(&Tensor, &Tensor) -> Tensor) -> f64 {
        let avals = [[2, rows, 64], [2, columns, 64], [2, columns, 64]].map(|s| Aval::new(DType::F64, s));
        let graph = build("f", |t| {
            let [q, k, v] = [0, 1, 2].map(|i| t.param(&avals[i]));
            Ok(vec![attention([&q, &k, &v], &hide)])
        })
        .expect("a graph");
        let Some(blocks) = by_blocks(&graph, Class::Rounding).expect("a graph") else { return 1.0 };
        let simplified = simplify_with(&blocks, Options::default()).0;
        let args = avals.clone().map(|a| Array::from_f64_fn(&a, |i| ((i * i + 7 * i) % 101) as f64 / 101.0));
        let [want, got] = [&graph, &simplified].map(|g| eval(g, &args).expect("values")[0].to_f64_vec());
        let worst = want.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-12, "{worst}");
        multiplications(&simplified) as f64 / multiplications(&graph) as f64
    }

    #[test]
    fn causal_masks_halve_the_products() {
        let shown = |_: &Tensor, d: &Tensor| d.le(zero(d));
        assert!(check(ROWS, ROWS, |s, d| masked(s, &shown(s, d))) < 0.65);
        let hidden = |s: &Tensor, d: &Tensor| d.gt(zero(d)).expand_to(s.shape());
        assert!(check(ROWS, ROWS, |s, d| fill(s, f64::NEG_INFINITY).where_exact(&hidden(s, d), s)) < 0.65);
        // A mask that is added, and one of very low numbers.
        for low in [f64::NEG_INFINITY, f64::from(f32::MIN)] {
            let added = |s: &Tensor, d: &Tensor| {
                let zeros = s.full_of(&Aval::new(DType::F64, d.shape().clone()), 0.0);
                s + &zeros.where_exact(&d.le(zero(d)), &fill(&zeros, low)).expand_to(s.shape())
            };
            assert!(check(ROWS, ROWS, added) < 0.65);
        }
    }

    #[test]
    fn stored_masks_are_known_as_well() {
        let at = |f: fn(i64) -> f64, dtype| {
            let n = ROWS as i64;
            let values = (0..n * n).map(|i| f(i % n - i / n)).collect();
            Tensor::from_array(Array::new([ROWS, ROWS], values).cast(dtype))
        };
        let shown = at(|d| if d <= 0 { 1.0 } else { 0.0 }, DType::Bool);
        assert!(check(ROWS, ROWS, |s, _| masked(s, &shown)) < 0.65);
        let hidden = at(|d| if d > 5 { 1.0 } else { 0.0 }, DType::Bool);
        let hide = |s: &Tensor, _: &Tensor| fill(s, f64::NEG_INFINITY).where_exact(&hidden.expand_to(s.shape()), s);
        assert!(check(ROWS, ROWS, hide) < 0.65);
        let added = at(|d| if d > 0 { f64::NEG_INFINITY } else { 0.0 }, DType::F64);
        assert!(check(ROWS, ROWS, |s, _| s + &added.expand_to(s.shape())) < 0.65);
        let later = at(|d| if d < -3 { f64::NEG_INFINITY } else { 0.0 }, DType::F64);
        assert!(check(ROWS, ROWS, |s, _| s + &later.expand_to(s.shape())) < 0.65);
        // Of another order, and with one element more.
        let odd = at(|d| if d > 0 && d % 7 != 0 { f64::NEG_INFINITY } else { 0.0 }, DType::F64);
        assert_eq!(check(ROWS, ROWS, |s, _| s + &odd.expand_to(s.shape())), 1.0);
    }

    #[test]
    fn derivatives_are_computed_by_blocks_too() {
        let aval = Aval::new(DType::F64, [2, ROWS, 64]);
        let graph = build("f", |t| {
            let [q, k, v, g] = [0; 4].map(|_| t.param(&aval));
            let y = attention([&q, &k, &v], |s, d| masked(s, &d.le(zero(d))));
            Ok(vec![(&y * &g).sum_over(&[0, 1, 2])])
        })
        .expect("a graph");
        let graph = simplify_with(&grad_and_value(&graph, &[0, 1, 2]).expect("gradients"), Options::default()).0;
        let blocks = by_blocks(&graph, Class::Rounding).expect("a graph").expect("blocks");
        let blocks = simplify_with(&blocks, Options::default()).0;
        let left = multiplications(&blocks) as f64 / multiplications(&graph) as f64;
        assert!(left < 0.65, "{left}");
        let args = [0; 4].map(|_| Array::from_f64_fn(&aval, |i| ((i * i + 7 * i) % 101) as f64 / 101.0));
        let [want, got] = [&graph, &blocks].map(|g| eval(g, &args).expect("values"));
        for (want, got) in want.iter().zip(&got) {
            let pairs = want.to_f64_vec().into_iter().zip(got.to_f64_vec());
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-10, "{worst}");
        }
    }

    #[test]
    fn windows_and_offsets_are_masks_too() {
        // Only the last 32, and all but the first 64 columns beside the diagonal.
        let window = |s: &Tensor, d: &Tensor| {
            let near = d.ge(d.full_like(Scalar::Int(-31)));
            let both = emit_all(Op::Binary(Binary::BitwiseAnd), &[&d.le(zero(d)), &near]);
            masked(s, &both[0])
        };
        assert!(check(ROWS, ROWS, window) < 0.4);
        assert!(check(ROWS, 512, |s, d| masked(s, &d.lt(d.full_like(Scalar::Int(192))))) < 0.75);
    }

    #[test]
    fn what_hides_little_or_a_whole_row_stays() {
        assert_eq!(check(ROWS, ROWS, |s, d| masked(s, &d.le(d.full_like(Scalar::Int(300))))), 1.0);
        assert_eq!(check(ROWS, ROWS, |s, d| masked(s, &d.lt(zero(d)))), 1.0);
        assert_eq!(check(ROWS, ROWS, |s, _| s.clone()), 1.0);
    }
}
