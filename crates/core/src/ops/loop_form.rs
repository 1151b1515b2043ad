//! What a primitive says about its execution: the bridge to loops, which name no op.

use crate::ir::{DType, Scalar, Shape};

use super::{Binary, Statistic, Unary};

/// The scalar function of a pointwise op.
#[derive(Clone, PartialEq, Debug)]
pub enum ScalarFn {
    /// A unary function.
    Unary(Unary),
    /// A binary function.
    Binary(Binary),
    /// `if p { a } else { b }`.
    Select,
    /// A cast.
    Convert(DType),
    /// The polygamma function of this order.
    Polygamma(i64),
}

/// An associative combination with a neutral element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Monoid {
    Sum,
    Prod,
    /// NaN if there is one.
    Max,
    /// NaN if there is one.
    Min,
    LogAddExp,
}

/// A result that reads each element from one place of the operand.
#[derive(Clone, PartialEq, Debug)]
pub enum View {
    /// Trailing-aligned broadcast to the result's shape.
    Broadcast,
    /// The same elements in row-major order.
    Reshape,
    /// Result dim `i` is operand dim `dims[i]`.
    Permute(Vec<usize>),
    /// `start + i * step` on one dim.
    Slice {
        /// The dim.
        dim: usize,
        /// First index.
        start: usize,
        /// Distance.
        step: usize,
    },
    /// Reversed on these dims.
    Flip(Vec<usize>),
    /// The diagonal of two dims, as last dim.
    Diagonal {
        /// Offset above the main diagonal.
        offset: i64,
        /// Row dim.
        dim1: usize,
        /// Column dim.
        dim2: usize,
    },
    /// Sliding windows of one dim, as last dim.
    Unfold {
        /// The dim.
        dim: usize,
        /// Window size.
        size: usize,
        /// Distance of windows.
        step: usize,
    },
}

/// A result made of pieces of the operands and a fill.
#[derive(Clone, PartialEq, Debug)]
pub enum Piecewise {
    /// Operands one after the other on a dim.
    Concat {
        /// The dim.
        dim: usize,
    },
    /// The operand with borders (negative: cropped), innermost dim first as in PyTorch.
    Pad {
        /// `(low, high)` pairs from the last dim.
        pad: Vec<i64>,
        /// The border's value.
        value: Scalar,
    },
    /// The second operand written over a slice of the first.
    SliceUpdate {
        /// The dim.
        dim: usize,
        /// First index.
        start: usize,
        /// Distance.
        step: usize,
    },
    /// The operand's last dim on a diagonal, zero elsewhere.
    DiagEmbed {
        /// Offset above the main diagonal.
        offset: i64,
        /// Row dim of the result.
        dim1: usize,
        /// Column dim of the result.
        dim2: usize,
    },
}

/// Elements computed from their index alone.
#[derive(Clone, PartialEq, Debug)]
pub enum Generate {
    /// One value everywhere.
    Fill(Scalar),
    /// The index on the only dim.
    Iota,
    /// One on the diagonal, zero elsewhere.
    Eye,
    /// Stored elements.
    Stored,
}

/// The form of the index of data-dependent addressing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indexing {
    /// One index for each element that is read or written, in the shape of those elements.
    Elementwise,
    /// One vector of indices along the dim for all other coordinates.
    Vector,
}

/// Data-dependent addressing; an index out of bounds is an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reads through an index.
    Gather {
        /// The indexed dim.
        dim: usize,
        /// The form of the index.
        index: Indexing,
    },
    /// Writes through an index, in row-major order; `None` overwrites.
    Scatter {
        /// The indexed dim.
        dim: usize,
        /// The form of the index.
        index: Indexing,
        /// How values are combined.
        combine: Option<Monoid>,
    },
}

/// A routine that loops do not express.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kernel {
    /// Stable, with the positions as second result; NaN is larger than any number.
    Sort {
        dim: usize,
        descending: bool,
    },
    /// Binary search in the last dim: before equal elements, or after them where `right`.
    Search {
        right: bool,
    },
    /// Some elements of each line along a dim, with their positions as second result.
    Statistic {
        dim: usize,
        which: Statistic,
    },
    /// Passes the second operand on, or stops with the op's message where the first is false.
    Assert,
    Cholesky,
    SolveTriangular,
    Lu,
    /// The factors of a packed LU.
    LuUnpack,
    /// The factors of a symmetric matrix.
    Ldl,
    LdlSolve,
    Qr,
    Eigh,
    Svd,
}

/// How the windows of a convolution lie, for each spatial dim; sizes are those of operands and result.
///
/// Window `a` meets with the kernel's element `k` the position `a * stride + k * dilation - padding` of the dense side, or
/// nothing where that is outside. Windows are counted on the result and read the input; transposed, they are counted
/// on the input and added into the result. The kernel is `[groups * co, ci, k..]`, transposed `[groups * ci, co, k..]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Windows {
    /// Distance of windows.
    pub stride: Vec<usize>,
    /// Positions before the first of the dense side.
    pub padding: Vec<usize>,
    /// Distance of a window's elements.
    pub dilation: Vec<usize>,
    /// Whether windows are added into the result.
    pub transposed: bool,
    /// The number of independent convolutions into which channels are divided.
    pub groups: usize,
}

/// The ways in which an op executes.
#[derive(Clone, PartialEq, Debug)]
pub enum LoopForm {
    /// One scalar function at each element.
    Pointwise(ScalarFn),
    /// Elements from elsewhere; never needs memory where strides can say the same.
    View(View),
    /// Pieces.
    Piecewise(Piecewise),
    /// Elements from nothing.
    Generate(Generate),
    /// A reduction over dims.
    Reduce {
        /// The dims.
        dims: Vec<usize>,
        /// How.
        monoid: Monoid,
    },
    /// The first position of the extreme element along a dim; NaN is the most extreme.
    ArgReduce {
        /// The dim.
        dim: usize,
        /// `Max` or `Min`.
        monoid: Monoid,
    },
    /// A prefix combination along a dim, with the last position of the extreme as second result where `indices`.
    Scan {
        /// The dim.
        dim: usize,
        /// How.
        monoid: Monoid,
        /// Whether the index is a second result.
        indices: bool,
    },
    /// A matrix product with this many leading batch dims.
    Contract {
        /// 0 or 1.
        batch_dims: usize,
    },
    /// A convolution of `[n, c, ..]` with a kernel; see [`Windows`].
    Convolution(Windows),
    /// The sum of overlapping windows.
    WindowAdd {
        /// The dim of the result.
        dim: usize,
        /// Window size.
        size: usize,
        /// Distance of windows.
        step: usize,
        /// The result.
        shape: Shape,
    },
    /// Data-dependent addressing.
    Access(Access),
    /// A routine.
    Kernel(Kernel),
    /// The body of a call, inlined before lowering.
    Inline,
}

impl LoopForm {
    /// The word in the coverage table.
    pub fn name(&self) -> &'static str {
        match self {
            LoopForm::Pointwise(_) => "pointwise",
            LoopForm::View(_) => "view",
            LoopForm::Piecewise(_) => "piecewise",
            LoopForm::Generate(_) => "generate",
            LoopForm::Reduce { .. } => "reduce",
            LoopForm::ArgReduce { .. } => "arg-reduce",
            LoopForm::Scan { .. } => "scan",
            LoopForm::Contract { .. } => "contract",
            LoopForm::Convolution(_) => "convolution",
            LoopForm::WindowAdd { .. } => "window-add",
            LoopForm::Access(_) => "access",
            LoopForm::Kernel(_) => "kernel",
            LoopForm::Inline => "inline",
        }
    }
}
