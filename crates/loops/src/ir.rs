//! The loop IR: buffers, loop nests with bodies, and calls of routines.
//!
//! A [`LoopProgram`] is what a graph becomes when memory, order and loops are decided. It knows nothing of tangents, batching or ATen.
//! Its invariants are checked by [`crate::verify`]:
//!
//! - **P1** every buffer, scratch row, row scalar and body value that is named exists and is defined before its use;
//! - **P2** every access stays inside its buffer for all indices of its loops, one through an index for all indices that its dim has;
//! - **P3** operands of a body op have the dtypes that the op takes;
//! - **P4** no two outer indices of a nest write the same element, so that outer loops may run in any order and on any thread;
//! - **P5** every element of a result and of a temporary is written before it is read.

use std::ops::Range;
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Loc, Scalar, Shape};
use cotangent_core::ops::{Argmax, Argmin, Binary, Convolution, Extreme, Gather, Monoid, Op, Sort, Spectral, Unary};

/// An index into [`LoopProgram::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// A value of a body: the index of the op that defines it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct BodyValue(pub u32);

/// A program of loops.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LoopProgram {
    /// The memory.
    pub buffers: Vec<Buffer>,
    /// One buffer for each parameter of the graph.
    pub params: Vec<BufferId>,
    /// One buffer for each result of the graph; may be a parameter, a constant, or the same buffer twice.
    pub results: Vec<BufferId>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// A dense row-major block of memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    /// Element type.
    pub dtype: DType,
    /// The number of elements.
    pub len: usize,
    /// Where the memory comes from.
    pub role: Role,
}

/// Where a buffer's memory comes from.
#[derive(Clone, PartialEq, Debug)]
pub enum Role {
    /// The caller's argument; read only.
    Param,
    /// Stored elements; read only.
    Constant(Arc<Array>),
    /// Written by the program and handed to the caller.
    Result,
    /// Written and read inside the program.
    Temp,
}

/// One thing that happens.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// A loop nest.
    Nest(Nest),
    /// A routine that loops do not express well.
    Routine(Routine),
}

/// Perfectly nested parallel loops around a sequence of stages that share row scalars and scratch rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Nest {
    /// The extents of the outer loops, outermost first. Their iterations are independent (P4).
    pub outer: Vec<usize>,
    /// Scratch rows: memory private to one outer iteration, as `(dtype, elements)`.
    pub scratch: Vec<(DType, usize)>,
    /// Row scalars: results of reductions over lanes, private to one outer iteration.
    pub scalars: Vec<DType>,
    /// What happens in each outer iteration, in order.
    pub stages: Vec<Stage>,
    /// What is read through an index.
    pub lookups: Vec<Lookup>,
    /// The source lines of the nodes that were fused, for profiles and `explain`.
    pub locs: Vec<Loc>,
}

/// A dim that is read through an index, whose elements a body computes or reads.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lookup {
    /// The op's name, for errors.
    pub name: String,
    /// The dim that is indexed, for errors.
    pub dim: usize,
    /// The size of the dim: an index that is not from 0 to below it is an error.
    pub size: usize,
    /// How many elements of the memory an index is from the next.
    pub step: i64,
    /// The source line, for errors.
    pub loc: Loc,
}

/// One pass over `serial × lanes` points.
///
/// For each serial index, for each lane, `body` runs. Its accumulators are
/// - *lane* accumulators ([`BodyOp::ReduceLanes`]): combined over all serial indices and all lanes into a row scalar;
/// - *column* accumulators ([`BodyOp::ReduceSerial`]): combined over the serial indices, one for each lane; `after` runs once for each
///   lane at the end and may use them ([`BodyOp::Column`]).
///
/// The order of a combination depends on the extents only, never on the number of threads.
#[derive(Clone, PartialEq, Debug)]
pub struct Stage {
    /// The extents of the serial loops, outermost first; empty for one pass.
    pub serial: Vec<usize>,
    /// The extent of the innermost loop: the vector lanes.
    pub lanes: usize,
    /// The monoids of the column accumulators, with their dtypes.
    pub columns: Vec<(Monoid, DType)>,
    /// Where elements are, for the loads and stores of `body` and `after`.
    pub accesses: Vec<Access>,
    /// What happens at each point.
    pub body: Body,
    /// What happens for each lane after the serial loops. Its accesses have serial strides of 0.
    pub after: Body,
}

impl Stage {
    /// The accesses that are read through an index.
    pub fn looked_up(&self) -> impl Iterator<Item = usize> + '_ {
        let lookups = self.body.ops.iter().chain(&self.after.ops).filter_map(|(op, _)| match op {
            BodyOp::Lookup { access, .. } => Some(*access as usize),
            _ => None,
        });
        lookups.chain((0..self.accesses.len()).filter(|i| self.accesses[*i].aim.is_some()))
    }
}

/// An affine place in memory: `offset + Σ outer[i]·o_i + Σ serial[j]·s_j + lane·l`, in elements; one that is aimed stands `step·index` further.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// The memory.
    pub memory: Memory,
    /// The place of the first point.
    pub offset: i64,
    /// A stride in elements for each outer loop.
    pub outer: Vec<i64>,
    /// A stride in elements for each serial loop.
    pub serial: Vec<i64>,
    /// The stride of the lanes: 1 is contiguous, 0 is one element for all lanes.
    pub lane: i64,
    /// The index that moves it, if one does; it is only read then.
    pub aim: Option<Aim>,
}

/// What moves an access beside loops: an index that is the same in all lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Aim {
    /// Which of the nest's lookups says how far.
    pub of: u32,
    /// The access of the stage where the index stands, an `i64`; its lanes have no stride, and nothing moves it but loops.
    pub index: u32,
}

/// The memory of an access.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Memory {
    /// A buffer of the program.
    Buffer(BufferId),
    /// A scratch row of the nest.
    Scratch(u32),
}

/// Straight-line scalar code in static single assignment form.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Body {
    /// The ops; op `i` defines [`BodyValue`] `i` (stores and reductions define a value that nobody uses).
    pub ops: Vec<(BodyOp, DType)>,
}

/// One scalar operation, beside the dtype of its value.
#[derive(Clone, PartialEq, Debug)]
pub enum BodyOp {
    /// Reads the place of access `i`.
    Load(u32),
    /// Reads through an index.
    Lookup {
        /// Which of the nest's lookups.
        of: u32,
        /// The memory. It has no strides: how far loops move is in `offset`.
        access: u32,
        /// Elements beside the access's place, made of loop indices and numbers, as an `i64`.
        offset: BodyValue,
        /// The index, as an `i64`.
        index: BodyValue,
    },
    /// A number.
    Const(Scalar),
    /// `scale · index + offset` of a loop, as an integer or float.
    Index {
        /// Which loop.
        of: Loop,
        /// Factor.
        scale: i64,
        /// Summand.
        offset: i64,
    },
    /// A row scalar of an earlier stage.
    RowScalar(u32),
    /// A column accumulator; in `after` only.
    Column(u32),
    /// A function of one value.
    Unary(Unary, BodyValue),
    /// A function of two values.
    Binary(Binary, BodyValue, BodyValue),
    /// `if p { a } else { b }`.
    Select(BodyValue, BodyValue, BodyValue),
    /// A cast to the op's dtype.
    Convert(BodyValue),
    /// Writes a value to the place of access `i`.
    Store(u32, BodyValue),
    /// Combines a value into row scalar `i`; in `body` only.
    ReduceLanes(u32, Monoid, BodyValue),
    /// Combines a value into column accumulator `i`; in `body` only.
    ReduceSerial(u32, BodyValue),
}

/// A loop around a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Loop {
    /// An outer loop.
    Outer(u32),
    /// A serial loop.
    Serial(u32),
    /// The lanes.
    Lane,
}

/// A routine on whole buffers.
#[derive(Clone, PartialEq, Debug)]
pub struct Routine {
    /// Which one, with its sizes.
    pub kind: RoutineKind,
    /// What it reads.
    pub inputs: Vec<BufferId>,
    /// What it writes, wholly.
    pub outputs: Vec<BufferId>,
    /// The source line.
    pub loc: Loc,
    /// The op's name, for errors and profiles.
    pub name: String,
}

/// A matrix in a buffer: element `(b, i, j)` stands at `offset + b·batch + i·row + j·col`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Matrix {
    /// The place of the first element.
    pub offset: i64,
    /// The stride of the batch.
    pub batch: i64,
    /// The stride of rows.
    pub row: i64,
    /// The stride of columns.
    pub col: i64,
}

/// The routines.
#[derive(Clone, PartialEq, Debug)]
pub enum RoutineKind {
    /// A batch of matrix products: `[batch, m, k] · [batch, k, n]`, operands of any layout, the result row-major.
    MatMul {
        /// The number of products.
        batch: usize,
        /// Rows.
        m: usize,
        /// Inner size.
        k: usize,
        /// Columns.
        n: usize,
        /// The left operand.
        lhs: Matrix,
        /// The right operand.
        rhs: Matrix,
    },
    /// Some places of a sort along a dim, of a dense row-major operand.
    Places {
        /// The sort.
        sort: Sort,
        /// The aval of the operand.
        x: Aval,
        /// The places that are written.
        places: Range<usize>,
    },
    /// The elements of a sort along a dim at ranks that are data, and where they stood, of dense row-major operands.
    Ranked {
        /// The sort.
        sort: Sort,
        /// The aval of the operand.
        x: Aval,
        /// The aval of the ranks: that of an index of a gather along the sort's dim, with the operand's sizes on the others.
        index: Aval,
    },
    /// The extremes along a dim of a dense row-major operand, and where the first of each stands.
    Extremes {
        /// The dim, which is not empty.
        dim: usize,
        /// Which.
        which: Extreme,
        /// The aval of the operand.
        x: Aval,
    },
    /// The values of a decomposition, of whose vectors nobody reads any, of a dense row-major operand.
    Values {
        /// The decomposition.
        of: Spectral,
        /// The aval of the operand.
        x: Aval,
        /// The avals of all its results, of which the values alone are written.
        results: Vec<Aval>,
    },
    /// An op with an index for each element, which is the same for all elements of a row: those behind the indexed dim. What is read has one
    /// for each row, `[.., count, 1, ..]`.
    Rows {
        /// The op, with its attributes.
        op: Op,
        /// The avals of the operands, with an index for each element.
        args: Vec<Aval>,
        /// The avals of the results.
        results: Vec<Aval>,
        /// The indexed dim.
        dim: usize,
    },
    /// A gather with an index for each element, which is the same for all lines along the dims from `first` to the indexed one. What is read has one for each
    /// element of one of these lines, `[.., 1, count, ..]`.
    Lines {
        /// The gather.
        gather: Gather,
        /// The operand.
        x: Aval,
        /// The index, with one for each element.
        index: Aval,
        /// The first of the dims, which is not the indexed one.
        first: usize,
    },
    /// A convolution, not transposed, whose dense row-major operands and result have their first two dims exchanged, as gradients of weights have them: images and
    /// channels. Channels of the input are those of a group: it is stored as `[channels, groups · images, …]`.
    Exchanged {
        /// The convolution.
        op: Convolution,
        /// The avals of input and weights, as the op has them.
        args: Box<[Aval; 2]>,
        /// The aval of the first positions of the result, as the op has it: those that are computed.
        y: Aval,
    },
    /// Any other op of the graph on dense row-major operands: sorts, factorizations, convolutions, gathers and scatters.
    Op {
        /// The op, with its attributes.
        op: Op,
        /// The avals of the operands.
        args: Vec<Aval>,
        /// The avals of the results.
        results: Vec<Aval>,
    },
}

/// The op that says where extremes along `dim` stand.
pub(crate) fn positions(which: Extreme, dim: usize) -> Op {
    match which {
        Extreme::Max => Argmax { dim }.into(),
        Extreme::Min => Argmin { dim }.into(),
    }
}

/// A shape with its first two dims exchanged.
pub(crate) fn exchanged(shape: &Shape) -> Shape {
    shape.with(0, shape[1]).with(1, shape[0])
}

impl RoutineKind {
    /// Whether it writes some elements of its first operand and copies the others, so that its result may have the operand's memory.
    pub fn updates(&self) -> bool {
        match self {
            RoutineKind::Op { op, .. } | RoutineKind::Rows { op, .. } => {
                matches!(op, Op::IndexAdd(_) | Op::Scatter(_) | Op::ScatterAdd(_) | Op::ScatterReduce(_))
            }
            RoutineKind::MatMul { .. }
            | RoutineKind::Places { .. }
            | RoutineKind::Ranked { .. }
            | RoutineKind::Extremes { .. }
            | RoutineKind::Values { .. }
            | RoutineKind::Exchanged { .. }
            | RoutineKind::Lines { .. } => false,
        }
    }
}
