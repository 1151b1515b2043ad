//! Convolutions of which nobody reads the last positions, as gradients of the weights of strided ones have: sums over an image that ends where
//! the last position needs it, so that no other is computed.

use cotangent_core::ir::{Aval, Graph, Node, Scalar, Shape};
use cotangent_core::ops::{Convolution, Op, Piecewise, Slice};
use rustc_hash::FxHashMap;

use super::{Flow, Id, Kind, ViewForm, wide};
use crate::ir::{RoutineKind, exchanged};

/// Of eight positions, the most that are read of a convolution that is computed in part: less does not repay a copy of the image.
const EIGHTHS: usize = 7;

/// What a node is.
pub(super) enum Crop {
    /// A convolution, with the shape of the positions that are read.
    Convolution(Shape),
    /// A permutation of it that leaves positions where they are, with its shape.
    Permute(Vec<usize>, Shape),
    /// A slice of either, whose operand ends where it does.
    Slice,
}

/// `shape` with the positions of another.
fn with_positions(shape: &Shape, of: &Shape) -> Shape {
    (2..shape.rank()).fold(shape.clone(), |shape, d| shape.with(d, of[d]))
}

/// The convolutions in `graph` of which nobody reads more than the first positions of some dims, through slices and exchanges of images and channels
/// that nobody else reads, and these.
pub(super) fn cropped(graph: &Graph) -> FxHashMap<usize, Crop> {
    let mut found = FxHashMap::default();
    if !graph.nodes().iter().any(|n| matches!(n.op, Op::Convolution(_))) {
        return found;
    }
    let (definitions, uses) = (graph.definitions(), graph.use_counts());
    // Slices and permutations, and the convolution that each is of.
    let mut of: FxHashMap<usize, usize> = FxHashMap::default();
    let mut shapes: FxHashMap<usize, Shape> = FxHashMap::default();
    for (i, n) in graph.nodes().iter().enumerate() {
        let is_slice = matches!(n.op, Op::Slice(Slice { dim: 2.., start: 0, end: _, step: 1 }));
        if !is_slice && permutes(graph, n).is_none() {
            continue;
        }
        let Some((node, _)) = definitions[n.args[0].index()].filter(|_| uses[n.args[0].index()] == 1) else { continue };
        let root = if let Op::Convolution(c) = &graph.nodes()[node].op {
            (!c.transposed).then_some(node)
        } else {
            of.get(&node).copied()
        };
        let aval = graph.aval(n.results[0]);
        if let Some(root) = root.filter(|_| aval.dtype.is_float() && wide(aval.dtype) == aval.dtype) {
            of.insert(i, root);
            if is_slice {
                let whole = graph.aval(graph.nodes()[root].results[0]);
                shapes.insert(root, with_positions(&whole.shape, &aval.shape));
            }
        }
    }
    shapes.retain(|root, shape| {
        let n = &graph.nodes()[*root];
        shape.numel() > 0
            && 8 * shape.numel() <= EIGHTHS * graph.aval(n.results[0]).shape.numel()
            && matches!(&n.op, Op::Convolution(op) if pads(op, [n.args[0], n.args[1]].map(|v| &graph.aval(v).shape), shape).is_some())
    });
    for (i, root) in of {
        let (Some(positions), n) = (shapes.get(&root), &graph.nodes()[i]) else { continue };
        found.insert(
            i,
            if let Some(dims) = permutes(graph, n) {
                Crop::Permute(dims, with_positions(&graph.aval(n.results[0]).shape, positions))
            } else {
                Crop::Slice
            },
        );
    }
    found.extend(shapes.into_iter().map(|(root, shape)| (root, Crop::Convolution(shape))));
    found
}

/// How a node permutes images and channels, if that is all it does: a reshape exchanges them if there is one of either.
fn permutes(graph: &Graph, n: &Node) -> Option<Vec<usize>> {
    if let Op::Permute(p) = &n.op {
        return p.dims.iter().enumerate().all(|(d, at)| d < 2 || *at == d).then(|| p.dims.clone());
    }
    let [from, to] = [*n.args.first()?, n.results[0]].map(|v| &graph.aval(v).shape);
    let is_one = matches!(n.op, Op::View(_)) && from.rank() >= 2 && (from[0] == 1 || from[1] == 1);
    (is_one && *to == exchanged(from)).then(|| [1, 0].into_iter().chain(2..from.rank()).collect())
}

/// The borders of an image that has what positions of this shape meet, as [`Piecewise::Pad`] has them; `None` if they meet borders only.
fn pads(op: &Convolution, [x, w]: [&Shape; 2], y: &Shape) -> Option<Vec<i64>> {
    let Convolution { stride, padding, dilation, .. } = op;
    let of = |d: usize| {
        let reach = (y[d + 2].get() - 1) * stride[d] + w[d + 2].get().checked_sub(1)? * dilation[d] + 1;
        let inside = reach.checked_sub(padding[d]).filter(|n| *n > 0)?;
        Some([padding[d] as i64, inside as i64 - x[d + 2].get() as i64])
    };
    let all: Vec<[i64; 2]> = (0..stride.len()).rev().map(of).collect::<Option<_>>()?;
    Some(all.concat())
}

/// Whether a permutation exchanges the first two dims.
fn is_exchange(dims: &[usize]) -> bool {
    dims.starts_with(&[1, 0]) && dims.iter().enumerate().skip(2).all(|(d, at)| d == *at)
}

impl Flow {
    /// The value of a convolution whose operands both have images and channels exchanged, as gradients of weights have: nobody writes them in that order, and its result
    /// is in the other one, too.
    pub(super) fn exchanged(
        &mut self,
        op: &Convolution,
        args: &[Id],
        avals: &[&Aval],
        crop: Option<&Crop>,
        y: &Aval,
        i: usize,
    ) -> Option<Id> {
        let permuted = |x: Id| match &self.values[x].kind {
            Kind::View(ViewForm::Permute(dims)) => Some((&dims[..], self.values[x].args[0])),
            _ => None,
        };
        let exchange = |x: Id| permuted(x).filter(|(dims, _)| is_exchange(dims)).map(|(_, from)| from);
        // Of several groups images are exchanged with the channels that each group has, the groups between them stay in order.
        let of_groups = |x: Id| {
            let view = matches!(self.values[x].kind, Kind::View(ViewForm::Reshape)).then(|| self.values[x].args[0])?;
            let ((dims, from), sizes, x) = (permuted(view)?, &self.values[view].sizes[..], avals[0].shape.sizes());
            let (images, channels) = (x[0], x[1] / op.groups);
            let [of_one, of_all] = [vec![op.groups, channels], vec![images, op.groups, channels]]
                .map(|outer| sizes == [&outer[..], &x[2..]].concat());
            let is_all = dims.starts_with(&[2, 1, 0]) && dims.iter().enumerate().skip(3).all(|(d, at)| d == *at);
            (of_one && images == 1 && is_exchange(dims) || of_all && is_all).then_some(from)
        };
        if op.transposed || args.len() > 2 {
            return None;
        }
        let input = if op.groups == 1 { exchange(args[0])? } else { of_groups(args[0])? };
        let (sources, dtype) = ([input, exchange(args[1])?], wide(y.dtype));
        let sources = sources.map(|x| self.converted(x, dtype, i));
        let shape = if let Some(Crop::Convolution(shape)) = crop { shape } else { &y.shape };
        let args = Box::new([avals[0], avals[1]].map(|a| a.with_dtype(dtype)));
        let y_read = Aval::new(dtype, shape.clone());
        let stored = y_read.with_shape(exchanged(shape));
        let dims = [1, 0].into_iter().chain(2..shape.rank()).collect();
        let kind = RoutineKind::Exchanged { op: op.clone(), args, y: y_read.clone() };
        let result = self.routine(kind, &sources, &[stored], i)[0];
        let result = self.push(Kind::View(ViewForm::Permute(dims)), &[result], &y_read, Some(i));
        Some(self.converted(result, y.dtype, i))
    }

    /// The value of a node that is cropped.
    pub(super) fn crop(&mut self, crop: &Crop, op: &Op, args: &[Id], avals: &[&Aval], is_free: bool, i: usize) -> Id {
        match (crop, op) {
            (Crop::Convolution(y), Op::Convolution(op)) => self.cropped(op, args, avals, y, is_free, i),
            (Crop::Permute(dims, y), _) => {
                let y = avals[0].with_shape(y.clone());
                self.push(Kind::View(ViewForm::Permute(dims.clone())), args, &y, Some(i))
            }
            (Crop::Convolution(_) | Crop::Slice, _) => args[0],
        }
    }

    /// The convolution `op`, at the positions of a result of `shape`.
    fn cropped(
        &mut self,
        op: &Convolution,
        args: &[Id],
        avals: &[&Aval],
        shape: &Shape,
        is_free: bool,
        i: usize,
    ) -> Id {
        let pad = pads(op, [&avals[0].shape, &avals[1].shape], shape).expect("I1: it was found to have them");
        let mut sizes = avals[0].shape.clone();
        for (k, pair) in pad.chunks_exact(2).enumerate() {
            let d = sizes.rank() - 1 - k;
            sizes = sizes.with(d, (sizes[d].get() as i64 + pair[0] + pair[1]) as usize);
        }
        let aval = avals[0].with_shape(sizes);
        let pad = Piecewise::Pad { pad, value: Scalar::Float(0.0) };
        let image = self.pieces(&pad, &args[..1], |_| is_free, &aval, i);
        let op = Convolution { padding: vec![0; op.padding.len()], ..op.clone() };
        let (args, y) = ([&[image], &args[1..]].concat(), aval.with_shape(shape.clone()));
        let avals = std::iter::once(aval).chain(avals[1..].iter().map(|a| (*a).clone())).collect();
        self.call(&op.into(), &args, avals, vec![y], i)[0]
    }
}
