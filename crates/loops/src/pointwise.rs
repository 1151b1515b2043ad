//! One nest for a scalar function over operands of any strides.

use cotangent_core::error::Error;
use cotangent_core::ir::{Aval, DType, Graph, Loc, Shape};
use cotangent_core::ops::{Generate, LoopForm, ScalarFn};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::inline::inline_all;

use crate::ir::{Access, Body, BodyOp, BodyValue, Buffer, BufferId, LoopProgram, Memory, Nest, Role, Stage, Step};

/// Where the elements of an operand are: `offset + Σ index[d] · strides[d]`, in elements of a memory of `len`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Layout {
    /// The place of the element at index 0.
    pub offset: usize,
    /// A stride for each dim of the result; 0 where the operand is broadcast.
    pub strides: Vec<i64>,
    /// The elements of the memory.
    pub len: usize,
}

impl Layout {
    /// Whether all indices below `shape` stay inside the memory.
    pub fn is_inside(&self, shape: &[usize]) -> bool {
        let (mut low, mut high) = (self.offset as i128, self.offset as i128);
        for (stride, n) in self.strides.iter().zip(shape) {
            let reach = i128::from(*stride) * n.saturating_sub(1) as i128;
            if reach < 0 { low += reach } else { high += reach }
        }
        shape.contains(&0) || (low >= 0 && high < self.len as i128)
    }
}

/// Why a function has no such nest.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum PointwiseError {
    /// An op that does more than compute with the elements at one place.
    #[error("at {loc}: `{op}` is not a function of single elements")]
    #[diagnostic(code(cotangent::pointwise::op))]
    Op {
        /// The op.
        op: &'static str,
        /// The user's line.
        loc: Loc,
    },
    /// Its calls could not be inlined.
    #[error("a call could not be inlined: {0}")]
    #[diagnostic(code(cotangent::pointwise::inline))]
    Inline(#[source] Box<Error>),
    /// An operand that reaches outside its memory.
    #[error("operand {operand} reaches outside its memory of {len} elements")]
    #[diagnostic(code(cotangent::pointwise::layout))]
    Layout {
        /// Which operand.
        operand: usize,
        /// The elements of the memory.
        len: usize,
    },
}

/// The program that applies the scalar function `graph` at each index below `shape`; its results are dense and row-major.
///
/// *Errors*: [`PointwiseError`].
pub fn pointwise(graph: &Graph, shape: &[usize], operands: &[Layout]) -> Result<LoopProgram, PointwiseError> {
    for (operand, layout) in operands.iter().enumerate() {
        if layout.strides.len() != shape.len() || !layout.is_inside(shape) {
            return Err(PointwiseError::Layout { operand, len: layout.len });
        }
    }
    let graph = simplify(&inline_all(graph).map_err(|e| PointwiseError::Inline(Box::new(e)))?);
    let dense = Shape::from(shape);
    let strides = dense.strides().iter().map(|s| *s as i64).collect();
    let result = Layout { offset: 0, strides, len: dense.numel() };
    let layouts: Vec<&Layout> = operands.iter().chain(std::iter::repeat_n(&result, graph.results().len())).collect();
    let (mut extents, mut moves) = merged(shape, &layouts);

    let mut program = LoopProgram::default();
    let params = graph.params().iter().zip(operands).map(|(p, l)| (*p, l.len, Role::Param));
    let results = graph.results().iter().map(|r| (*r, result.len, Role::Result));
    for (value, len, role) in params.chain(results) {
        program.buffers.push(Buffer { dtype: graph.aval(value).dtype, len, role });
    }
    let ids: Vec<BufferId> = (0..program.buffers.len()).map(|i| BufferId(i as u32)).collect();
    let (params, results) = ids.split_at(operands.len());
    (program.params, program.results) = (params.to_vec(), results.to_vec());

    // Without dims there is one lane.
    let (lanes, lane) = extents.pop().zip(moves.pop()).unwrap_or_else(|| (1, vec![0; layouts.len()]));
    let accesses = layouts.iter().zip(&ids).enumerate().map(|(i, (layout, id))| Access {
        memory: Memory::Buffer(*id),
        offset: layout.offset as i64,
        outer: moves.iter().map(|m| m[i]).collect(),
        serial: Vec::new(),
        lane: lane[i],
        aim: None,
    });
    let stage = Stage {
        serial: Vec::new(),
        lanes,
        columns: Vec::new(),
        accesses: accesses.collect(),
        body: body(&graph)?,
        after: Body::default(),
    };
    let locs = graph.nodes().iter().map(|n| graph.loc(n).clone()).collect();
    let nest = Nest {
        outer: extents,
        scratch: Vec::new(),
        scalars: Vec::new(),
        stages: vec![stage],
        lookups: Vec::new(),
        locs,
    };
    if result.len > 0 {
        program.steps.push(Step::Nest(nest));
    }
    Ok(program)
}

/// The loops: dims that all layouts walk as one are merged into one; with the stride of each layout.
fn merged(shape: &[usize], layouts: &[&Layout]) -> (Vec<usize>, Vec<Vec<i64>>) {
    let (mut extents, mut moves): (Vec<usize>, Vec<Vec<i64>>) = (Vec::new(), Vec::new());
    for (d, n) in shape.iter().enumerate().filter(|(_, n)| **n != 1) {
        let here: Vec<i64> = layouts.iter().map(|l| l.strides[d]).collect();
        match (extents.last_mut(), moves.last_mut()) {
            (Some(extent), Some(m)) if m.iter().zip(&here).all(|(m, h)| *m == h * *n as i64) => {
                *extent *= n;
                *m = here;
            }
            _ => {
                extents.push(*n);
                moves.push(here);
            }
        }
    }
    (extents, moves)
}

/// The graph of rank 0 as a body: parameter `i` is access `i`, results follow.
fn body(graph: &Graph) -> Result<Body, PointwiseError> {
    let mut body = Body::default();
    let mut values: Vec<Option<BodyValue>> = vec![None; graph.num_values()];
    let mut push = |op: BodyOp, dtype: DType| {
        body.ops.push((op, dtype));
        BodyValue(body.ops.len() as u32 - 1)
    };
    for (i, p) in graph.params().iter().enumerate() {
        values[p.index()] = Some(push(BodyOp::Load(i as u32), graph.aval(*p).dtype));
    }
    for node in graph.nodes() {
        let refused = || PointwiseError::Op { op: node.op.name(), loc: graph.loc(node).clone() };
        let args: Vec<BodyValue> =
            node.args.iter().map(|v| values[v.index()].ok_or_else(refused)).collect::<Result<_, _>>()?;
        let [result] = node.results[..] else { return Err(refused()) };
        let aval = graph.aval(result);
        if aval.rank() != 0 {
            return Err(refused());
        }
        let avals: Vec<&Aval> = node.args.iter().map(|v| graph.aval(*v)).collect();
        let form = node.op.prim().loop_form(&avals, std::slice::from_ref(aval));
        let op = match (form, &args[..]) {
            (LoopForm::Pointwise(ScalarFn::Unary(f)), [x]) => BodyOp::Unary(f, *x),
            (LoopForm::Pointwise(ScalarFn::Binary(f)), [x, y]) => BodyOp::Binary(f, *x, *y),
            (LoopForm::Pointwise(ScalarFn::Select), [p, x, y]) => BodyOp::Select(*p, *x, *y),
            (LoopForm::Pointwise(ScalarFn::Convert(_)), [x]) => BodyOp::Convert(*x),
            (LoopForm::Generate(Generate::Fill(value)), []) => BodyOp::Const(value),
            // A view of one element is the element.
            (LoopForm::View(_), [x]) => {
                values[result.index()] = Some(*x);
                continue;
            }
            _ => return Err(refused()),
        };
        values[result.index()] = Some(push(op, aval.dtype));
    }
    for (i, r) in graph.results().iter().enumerate() {
        let value = values[r.index()].unwrap_or(BodyValue(0));
        push(BodyOp::Store((graph.params().len() + i) as u32, value), graph.aval(*r).dtype);
    }
    Ok(body)
}
