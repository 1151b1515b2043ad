//! Lane code: what bodies become before machine code.
//!
//! Every op of the graph's dtypes is expanded here into operations that a vector unit has (or into a call of a scalar function), once for
//! all executors: the tile interpreter and the wide emitter run the same lane code and give the same bits. Values are 32 or 64 bits
//! wide, or masks; the narrow dtypes live in `I32` and `F32` and are wrapped or rounded after each op.

mod builder;
mod code;
mod convert;
mod division;
mod expand;
mod float;
mod integer;
mod lookup;
mod math;
mod order;
pub mod scalar;
mod table;

use cotangent_core::ir::DType;
use cotangent_core::ops::Monoid;

use builder::Builder;
pub use code::Code;
pub use expand::{Expanded, expand};
pub use scalar::ScalarCall;
pub use table::Table;

/// The type of a value in a lane.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Ty {
    F32,
    F64,
    I32,
    I64,
    /// All ones or all zeros, as wide as the lanes of the code are.
    Mask,
}

impl Ty {
    /// The type in which values of a dtype live.
    pub fn of(dtype: DType) -> Ty {
        match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Ty::F32,
            DType::F64 => Ty::F64,
            DType::I64 => Ty::I64,
            DType::I32 | DType::I16 | DType::I8 | DType::U8 => Ty::I32,
            DType::Bool => Ty::Mask,
        }
    }

    /// Whether lanes of this type have 64 bits.
    pub fn is_wide(self) -> bool {
        matches!(self, Ty::F64 | Ty::I64)
    }

    /// Whether the type is of floats.
    pub fn is_float(self) -> bool {
        matches!(self, Ty::F32 | Ty::F64)
    }
}

/// How an element lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Mem {
    /// A byte that is 0 or 1.
    Bool,
    I8,
    U8,
    I16,
    U16,
    F16,
    B32,
    B64,
}

impl Mem {
    /// The layout of a dtype; `bf16` is the upper half of an `f32`, handled as 16 bits.
    pub fn of(dtype: DType) -> Mem {
        match dtype {
            DType::F32 | DType::I32 => Mem::B32,
            DType::F64 | DType::I64 => Mem::B64,
            DType::BF16 => Mem::U16,
            DType::F16 => Mem::F16,
            DType::I16 => Mem::I16,
            DType::I8 => Mem::I8,
            DType::U8 => Mem::U8,
            DType::Bool => Mem::Bool,
        }
    }

    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Mem::Bool | Mem::I8 | Mem::U8 => 1,
            Mem::I16 | Mem::U16 | Mem::F16 => 2,
            Mem::B32 => 4,
            Mem::B64 => 8,
        }
    }
}

/// A value: the instruction that defines it, and the type under which it is read (bits do not change).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct V {
    /// The index of the instruction.
    pub id: u32,
    /// The type.
    pub ty: Ty,
}

impl V {
    /// The same bits as another type of the same width.
    pub fn bits(self, ty: Ty) -> V {
        debug_assert_eq!(self.ty.is_wide(), ty.is_wide());
        V { id: self.id, ty }
    }
}

/// Which operations lane code has; both sets give the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpSet {
    /// Those of every vector unit.
    Common,
    /// Also those that AVX-512 has as one instruction.
    Extended,
}

/// Operations of two values of one type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Bin {
    Add,
    Sub,
    /// On `I64` in the extended set.
    Mul,
    /// Floats.
    Div,
    /// `if a < b { a } else { b }`; on `I64` in the extended set.
    Min,
    /// `if a > b { a } else { b }`; on `I64` in the extended set.
    Max,
    And,
    /// `!a & b`.
    AndNot,
    Or,
    Xor,
    /// The product of the low halves as unsigned numbers; `I64`.
    MulLow,
    /// Logical shifts by lanes; counts beyond the width give 0.
    ShlBy,
    ShrBy,
    /// `a · 2^b` for an integral `b`, rounded once; floats, extended set.
    Scale,
    /// The logarithm of `a`: `b` if that is positive and finite, what a logarithm is elsewhere; floats, extended set.
    LogEdges,
}

/// The parts of a positive finite float, of which only the extended set has operations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// The power of two in it, as a float.
    Exponent,
    /// The rest, from 1 to below 2.
    Mantissa,
}

/// The sign pattern of `±a·b ± c` with one rounding.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Fused {
    /// `a·b + c`
    Add,
    /// `a·b − c`
    Sub,
    /// `c − a·b`
    NegAdd,
}

/// Comparisons: ordered ones are false at NaN; `Ne` and `Unordered` are true there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Pred {
    Eq,
    Ne,
    Lt,
    Le,
    Unordered,
}

/// Shifts by a constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Shift {
    Left,
    Logical,
    /// Not on `I64`.
    Arithmetic,
}

/// Rounding to an integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum RoundTo {
    Even,
    Down,
    Up,
    Zero,
}

/// Changes of type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Conv {
    F32ToF64,
    F64ToF32,
    /// `I32` to `F32`, rounded.
    I32ToF32,
    I32ToF64,
    /// Towards zero; `i32::MIN` where it does not fit.
    F32ToI32,
    /// The same of an `F64`.
    F64ToI32,
    I32ToI64,
    I64ToI32,
    /// `F32` rounded to binary16 and back.
    RoundF16,
    /// Rounded; extended set, as the next two.
    I64ToF64,
    /// Rounded once.
    I64ToF32,
    /// Towards zero; `i64::MIN` where it does not fit.
    F64ToI64,
}

/// An instruction's operation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// The element of access `i`.
    Load(u32, Mem),
    /// The element of access `i`, which has no strides, so many elements further: an `I64`. Of 32 or 64 bits.
    Gather(u32, Mem, V),
    /// Writes the element of access `i`.
    Store(u32, Mem, V),
    /// These bits in every lane.
    Const(u64),
    /// The index of the lane.
    Lane,
    /// The index of an outer loop.
    Outer(u32),
    /// The index of a serial loop.
    Serial(u32),
    /// A row scalar.
    Scalar(u32),
    /// An accumulator.
    Acc(u32),
    /// Changes an accumulator.
    SetAcc(u32, V),
    /// Two operands; of masks none is a constant but the second of `Xor`.
    Bin(Bin, V, V),
    /// A fused product and sum of `a`, `b`, `c`.
    Fused(Fused, V, V, V),
    /// A comparison.
    Cmp(Pred, V, V),
    /// `if mask { a } else { b }`, not of masks.
    Select(V, V, V),
    /// The square root.
    Sqrt(V),
    /// To an integer, as float.
    Round(RoundTo, V),
    /// A part of a float.
    Part(Part, V),
    /// A shift by a constant.
    Shift(Shift, V, u8),
    /// A change of type.
    Conv(Conv, V),
    /// The entry that the low four bits of an `I32` name; in the common set the highest bit is a copy of the fourth.
    Table(&'static Table, V),
    /// A scalar function in each lane where the mask is set; the last value elsewhere.
    Call(ScalarCall, V, V, Option<(V, V)>),
}

/// An instruction with the type of its value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Inst {
    /// What it does.
    pub op: Op,
    /// The type of its value.
    pub ty: Ty,
}

impl Op {
    /// Calls `f` with each operand.
    pub fn operands(&self, mut f: impl FnMut(V)) {
        match *self {
            Op::Load(..) | Op::Const(_) | Op::Lane | Op::Outer(_) | Op::Serial(_) | Op::Scalar(_) | Op::Acc(_) => {}
            Op::Gather(_, _, a)
            | Op::Store(_, _, a)
            | Op::SetAcc(_, a)
            | Op::Sqrt(a)
            | Op::Round(_, a)
            | Op::Part(_, a)
            | Op::Shift(_, a, _)
            | Op::Conv(_, a)
            | Op::Table(_, a) => f(a),
            Op::Bin(_, a, b) | Op::Cmp(_, a, b) => {
                f(a);
                f(b);
            }
            Op::Fused(_, a, b, c) | Op::Select(a, b, c) => {
                f(a);
                f(b);
                f(c);
            }
            Op::Call(_, a, b, guard) => {
                f(a);
                f(b);
                if let Some((mask, fast)) = guard {
                    f(mask);
                    f(fast);
                }
            }
        }
    }

    /// The same operation of other operands: those that `m` says.
    fn map(self, m: impl Fn(V) -> V) -> Op {
        match self {
            Op::Gather(a, mem, v) => Op::Gather(a, mem, m(v)),
            Op::Store(a, mem, v) => Op::Store(a, mem, m(v)),
            Op::SetAcc(a, v) => Op::SetAcc(a, m(v)),
            Op::Bin(k, a, b) => Op::Bin(k, m(a), m(b)),
            Op::Fused(k, a, b, c) => Op::Fused(k, m(a), m(b), m(c)),
            Op::Cmp(p, a, b) => Op::Cmp(p, m(a), m(b)),
            Op::Select(a, b, c) => Op::Select(m(a), m(b), m(c)),
            Op::Sqrt(a) => Op::Sqrt(m(a)),
            Op::Round(k, a) => Op::Round(k, m(a)),
            Op::Part(k, a) => Op::Part(k, m(a)),
            Op::Shift(k, a, s) => Op::Shift(k, m(a), s),
            Op::Conv(k, a) => Op::Conv(k, m(a)),
            Op::Table(t, a) => Op::Table(t, m(a)),
            Op::Call(f, a, b, g) => Op::Call(f, m(a), m(b), g.map(|(x, y)| (m(x), m(y)))),
            op @ (Op::Load(..)
            | Op::Const(_)
            | Op::Lane
            | Op::Outer(_)
            | Op::Serial(_)
            | Op::Scalar(_)
            | Op::Acc(_)) => op,
        }
    }

    /// Whether the instruction does something beside defining its value.
    pub fn has_effect(&self) -> bool {
        match self {
            Op::Store(..) | Op::SetAcc(..) => true,
            Op::Call(call, ..) => call.can_fail(),
            _ => false,
        }
    }
}

/// An accumulator of a stage.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Accumulator {
    /// How values combine.
    pub monoid: Monoid,
    /// Of which dtype; narrow ones accumulate in `I32` and `F32`.
    pub dtype: DType,
    /// The row scalar that takes the result; none for a column accumulator.
    pub scalar: Option<u32>,
}

impl Accumulator {
    /// The bits of the neutral element, as its type holds it.
    pub fn neutral(&self) -> u64 {
        scalar::bits(cotangent_loops::interp::neutral(self.monoid, self.dtype), Ty::of(self.dtype))
    }
}
