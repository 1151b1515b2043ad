//! Values at a block of a mask, computed from the same block of what they depend on.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::facts::{Fact, dims_of, loop_form};
use super::{Block, Mask};
use crate::ir::{Graph, Node, Shape, Value};
use crate::ops::{Generate, LoopForm, Monoid, ViewForm};
use crate::tensor::trace::at;
use crate::tensor::{Tensor, emit_all};
use crate::transform::replay::Env;

/// How far back a block is followed: beyond, it is cut out of the whole value.
const DEPTH: usize = 64;

/// The dims of a value that are a mask's rows and columns, if it has them.
type Dims = [Option<usize>; 2];

/// Values by block.
pub(super) struct Sliced<'a> {
    graph: &'a Graph,
    facts: &'a Env<Fact>,
    defs: Vec<Option<(usize, usize)>>,
    pub mask: Mask,
    pub blocks: Vec<Block>,
    known: FxHashMap<(usize, Value, Dims), Tensor>,
}

impl<'a> Sliced<'a> {
    pub fn new(graph: &'a Graph, facts: &'a Env<Fact>, mask: Mask, blocks: Vec<Block>) -> Self {
        Self { graph, facts, defs: graph.definitions(), mask, blocks, known: FxHashMap::default() }
    }

    /// Block `b` of `v`, of which `env` has what is computed already.
    pub fn of(&mut self, env: &Env<Tensor>, b: usize, v: Value, dims: Dims) -> Tensor {
        self.within(env, b, v, dims, DEPTH)
    }

    fn within(&mut self, env: &Env<Tensor>, b: usize, v: Value, dims: Dims, depth: usize) -> Tensor {
        if dims == [None, None] {
            return env.get(v).clone();
        }
        if let Some(known) = self.known.get(&(b, v, dims)) {
            return known.clone();
        }
        let graph = self.graph;
        let node = self.defs[v.index()].filter(|_| depth > 0).map(|(n, _)| &graph.nodes()[n]);
        let computed = node.and_then(|n| at(graph.loc(n).clone(), || self.computed(env, b, n, dims, depth - 1)));
        let part = computed.unwrap_or_else(|| self.cut(env.get(v), b, dims));
        self.known.insert((b, v, dims), part.clone());
        part
    }

    /// The block cut out of the whole value.
    fn cut(&self, x: &Tensor, b: usize, [row, column]: Dims) -> Tensor {
        let Block { rows, columns } = &self.blocks[b];
        let cut = |x: Tensor, dim: Option<usize>, range: &std::ops::Range<usize>| match dim {
            Some(dim) => x.slice_dim(dim, range.start, range.end, 1),
            None => x,
        };
        cut(cut(x.clone(), row, rows), column, columns)
    }

    /// The shape of a block of a value of this shape.
    fn shape(&self, whole: &Shape, b: usize, [row, column]: Dims) -> Shape {
        let mut dims: Vec<usize> = whole.dims().iter().map(|d| d.get()).collect();
        row.into_iter().for_each(|d| dims[d] = self.blocks[b].rows.len());
        column.into_iter().for_each(|d| dims[d] = self.blocks[b].columns.len());
        Shape::from(dims)
    }

    /// The block of a node's result from blocks of its operands; `None` where it depends on more than they have.
    fn computed(&mut self, env: &Env<Tensor>, b: usize, n: &Node, dims: Dims, depth: usize) -> Option<Tensor> {
        let graph = self.graph;
        let y = n.results[0];
        let shape = &graph.aval(y).shape;
        match loop_form(graph, n) {
            LoopForm::Pointwise(_) => {
                let args: SmallVec<[Tensor; 3]> = n.args.iter().map(|x| self.within(env, b, *x, dims, depth)).collect();
                Some(emit_all(n.op.clone(), &args.iter().collect::<Vec<_>>()).swap_remove(0))
            }
            LoopForm::Generate(Generate::Fill(x)) => {
                let aval = graph.aval(y).with_shape(self.shape(shape, b, dims));
                Some(env.get(y).full_of(&aval, x))
            }
            LoopForm::View(view) => {
                let x = n.args[0];
                let to = dims_of(&view, &graph.aval(x).shape, shape)?;
                let own = dims.map(|dim| to.iter().position(|t| dim.is_some() && *t == dim));
                let repeated = matches!(view, ViewForm::Broadcast);
                if !repeated && own.iter().zip(&dims).any(|(own, dim)| own.is_some() != dim.is_some()) {
                    return None;
                }
                let part = self.within(env, b, x, own, depth);
                let shape = self.shape(shape, b, dims);
                Some(match &view {
                    ViewForm::Broadcast => part.expand_to(&shape),
                    ViewForm::Reshape => part.view_to(&shape),
                    ViewForm::Permute(order) => part.permute_to(order),
                    ViewForm::Slice { .. }
                    | ViewForm::Flip(_)
                    | ViewForm::Diagonal { .. }
                    | ViewForm::Unfold { .. } => return None,
                })
            }
            LoopForm::Reduce { dims: reduced, monoid } => {
                let [row, None] = dims else { return None };
                let x = n.args[0];
                let rank = graph.aval(x).rank();
                let kept: SmallVec<[usize; 4]> = (0..rank).filter(|d| !reduced.contains(d)).collect();
                let row = kept[row?];
                let column = reduced.iter().copied().find(|d| self.is_hidden(x, [row, *d], monoid));
                let part = self.within(env, b, x, [Some(row), column], depth);
                Some(emit_all(n.op.clone(), &[&part]).swap_remove(0))
            }
            LoopForm::Contract { batch_dims } => {
                let [Some(row), Some(column)] = dims else { return None };
                let of = |dim: usize| dim.checked_sub(batch_dims).filter(|k| *k < 2);
                let (row, column) = (of(row)?, of(column)?);
                let Block { rows, columns } = self.blocks[b].clone();
                let mut args = [env.get(n.args[0]).clone(), env.get(n.args[1]).clone()];
                for (k, range) in [(row, rows), (column, columns)] {
                    // The left operand has the result's rows, the right one its columns.
                    args[k] = args[k].slice_dim(batch_dims + k, range.start, range.end, 1);
                }
                Some(emit_all(n.op.clone(), &[&args[0], &args[1]]).swap_remove(0))
            }
            LoopForm::Piecewise(_)
            | LoopForm::Generate(Generate::Iota | Generate::Eye | Generate::Stored)
            | LoopForm::ArgReduce { .. }
            | LoopForm::Scan { .. }
            | LoopForm::Convolution(_)
            | LoopForm::WindowAdd { .. }
            | LoopForm::Access(_)
            | LoopForm::Kernel(_)
            | LoopForm::Inline => None,
        }
    }

    /// Whether what the mask hides of `x` changes nothing in a combination.
    fn is_hidden(&self, x: Value, dims: [usize; 2], monoid: Monoid) -> bool {
        let Some(Fact::Only { region, elsewhere, .. }) = self.facts.find(x) else { return false };
        let is_neutral = match monoid {
            Monoid::Sum => *elsewhere == 0.0,
            Monoid::Max => *elsewhere <= super::facts::LOW,
            Monoid::Prod | Monoid::Min | Monoid::LogAddExp => false,
        };
        is_neutral && Mask::of(self.graph, x, region, dims).is_some_and(|own| own == self.mask)
    }
}
