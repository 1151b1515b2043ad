//! Lane code: what bodies become before machine code.
//!
//! Every op of the graph's dtypes is expanded here into operations that a vector unit has (or into a call of a scalar function), once for
//! all executors: the tile interpreter and the wide emitter run the same lane code and give the same bits. Values are 32 or 64 bits
//! wide, or masks; the narrow dtypes live in `I32` and `F32` and are wrapped or rounded after each op.

mod convert;
mod expand;
mod float;
mod integer;
mod math;
pub mod scalar;

use rustc_hash::FxHashMap;

use cotangent_core::ir::DType;
use cotangent_core::ops::Monoid;

pub use expand::{Expanded, expand};
pub use scalar::ScalarCall;

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
            Op::Store(_, _, a)
            | Op::SetAcc(_, a)
            | Op::Sqrt(a)
            | Op::Round(_, a)
            | Op::Part(_, a)
            | Op::Shift(_, a, _)
            | Op::Conv(_, a) => f(a),
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

    /// Whether the instruction does something beside defining its value.
    pub fn has_effect(&self) -> bool {
        match self {
            Op::Store(..) | Op::SetAcc(..) => true,
            Op::Call(call, ..) => call.can_fail(),
            _ => false,
        }
    }
}

/// Straight-line lane code.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Code {
    /// Instructions; each reads earlier ones.
    pub insts: Vec<Inst>,
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

/// Makes lane code; constants exist once.
pub struct Builder {
    code: Code,
    known: FxHashMap<Inst, u32>,
    ops: OpSet,
}

impl Builder {
    fn new(ops: OpSet) -> Self {
        Builder { code: Code::default(), known: FxHashMap::default(), ops }
    }

    fn push(&mut self, op: Op, ty: Ty) -> V {
        let inst = Inst { op, ty };
        // Loads move over no store, and accumulators change: neither is shared.
        let pure = !op.has_effect() && !matches!(op, Op::Load(..) | Op::Acc(_));
        if pure {
            if let Some(id) = self.known.get(&inst) {
                return V { id: *id, ty };
            }
        }
        let id = self.code.insts.len() as u32;
        if pure {
            self.known.insert(inst, id);
        }
        self.code.insts.push(inst);
        V { id, ty }
    }

    fn constant(&mut self, bits: u64, ty: Ty) -> V {
        self.push(Op::Const(bits), ty)
    }

    /// A float constant of `ty`.
    fn f(&mut self, x: f64, ty: Ty) -> V {
        let bits = match ty {
            Ty::F32 => u64::from((x as f32).to_bits()),
            Ty::F64 => x.to_bits(),
            Ty::I32 | Ty::I64 | Ty::Mask => unreachable!("lane code: a float constant of {ty:?}"),
        };
        self.constant(bits, ty)
    }

    /// An integer constant of `ty`.
    fn i(&mut self, x: i64, ty: Ty) -> V {
        self.constant(if ty.is_wide() { x.cast_unsigned() } else { u64::from(x as u32) }, ty)
    }

    fn is_const(&self, v: V) -> Option<u64> {
        match self.code.insts[v.id as usize].op {
            Op::Const(bits) => Some(bits),
            _ => None,
        }
    }

    fn bin(&mut self, op: Bin, a: V, b: V) -> V {
        debug_assert_eq!(a.ty, b.ty, "{op:?}");
        let folded = if a.ty == Ty::Mask { self.fold_mask(op, a, b) } else { None };
        folded.unwrap_or_else(|| self.push(Op::Bin(op, a, b), a.ty))
    }
    /// An operation of masks with a constant, which is no operation at all unless it negates.
    fn fold_mask(&mut self, op: Bin, a: V, b: V) -> Option<V> {
        let (x, y) = (self.is_const(a).map(|bits| bits != 0), self.is_const(b).map(|bits| bits != 0));
        match (op, x, y) {
            (Bin::And, Some(true), _) | (Bin::Or | Bin::Xor, Some(false), _) | (Bin::AndNot, Some(false), _) => Some(b),
            (Bin::And, _, Some(true)) | (Bin::Or | Bin::Xor, _, Some(false)) => Some(a),
            (Bin::And, Some(false), _) | (Bin::Or, Some(true), _) => Some(a),
            (Bin::And | Bin::AndNot, _, Some(false)) | (Bin::Or, _, Some(true)) => Some(b),
            (Bin::AndNot, Some(true), _) => Some(self.constant(0, Ty::Mask)),
            (Bin::AndNot, _, Some(true)) => Some(self.not(a)),
            (Bin::Xor, Some(true), Some(true)) => Some(self.constant(0, Ty::Mask)),
            (Bin::Xor, Some(true), None) => Some(self.not(b)),
            _ => None,
        }
    }
    fn add(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Add, a, b)
    }
    fn sub(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Sub, a, b)
    }
    fn mul(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Mul, a, b)
    }
    fn div(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Div, a, b)
    }
    fn and(&mut self, a: V, b: V) -> V {
        self.bin(Bin::And, a, b)
    }
    fn or(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Or, a, b)
    }
    fn xor(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Xor, a, b)
    }
    /// `a·b + c`
    fn fma(&mut self, a: V, b: V, c: V) -> V {
        self.push(Op::Fused(Fused::Add, a, b, c), c.ty)
    }
    /// `c − a·b`
    fn fnma(&mut self, a: V, b: V, c: V) -> V {
        self.push(Op::Fused(Fused::NegAdd, a, b, c), c.ty)
    }
    fn cmp(&mut self, p: Pred, a: V, b: V) -> V {
        debug_assert_eq!(a.ty, b.ty, "{p:?}");
        self.push(Op::Cmp(p, a, b), Ty::Mask)
    }
    fn lt(&mut self, a: V, b: V) -> V {
        self.cmp(Pred::Lt, a, b)
    }
    fn is_nan(&mut self, a: V) -> V {
        self.cmp(Pred::Unordered, a, a)
    }
    fn select(&mut self, mask: V, a: V, b: V) -> V {
        debug_assert_eq!(a.ty, b.ty, "select");
        debug_assert_eq!(mask.ty, Ty::Mask, "select");
        if let Some(bits) = self.is_const(mask) {
            return if bits == 0 { b } else { a };
        }
        if a.ty == Ty::Mask {
            let (a, b) = (self.and(mask, a), self.bin(Bin::AndNot, mask, b));
            return self.or(a, b);
        }
        self.push(Op::Select(mask, a, b), a.ty)
    }
    fn not(&mut self, mask: V) -> V {
        let ones = self.constant(u64::MAX, Ty::Mask);
        self.xor(mask, ones)
    }
    fn round(&mut self, to: RoundTo, a: V) -> V {
        self.push(Op::Round(to, a), a.ty)
    }
    fn part(&mut self, part: Part, a: V) -> V {
        self.push(Op::Part(part, a), a.ty)
    }
    fn shift(&mut self, s: Shift, a: V, n: u8) -> V {
        self.push(Op::Shift(s, a, n), a.ty)
    }
    fn conv(&mut self, c: Conv, a: V) -> V {
        let ty = match c {
            Conv::F32ToF64 | Conv::I32ToF64 | Conv::I64ToF64 => Ty::F64,
            Conv::F64ToF32 | Conv::I32ToF32 | Conv::I64ToF32 | Conv::RoundF16 => Ty::F32,
            Conv::F32ToI32 | Conv::F64ToI32 | Conv::I64ToI32 => Ty::I32,
            Conv::I32ToI64 | Conv::F64ToI64 => Ty::I64,
        };
        self.push(Op::Conv(c, a), ty)
    }
    fn call(&mut self, call: ScalarCall, a: V, b: V, guard: Option<(V, V)>) -> V {
        let ty = call.result();
        self.push(Op::Call(call, a, b, guard), ty)
    }
    /// The polynomial with these coefficients, highest power first.
    fn poly(&mut self, x: V, coefficients: &[f64]) -> V {
        let mut p = self.f(coefficients[0], x.ty);
        for c in &coefficients[1..] {
            let c = self.f(*c, x.ty);
            p = self.fma(p, x, c);
        }
        p
    }
    fn sign_bit(&mut self, ty: Ty) -> V {
        self.f(-0.0, ty)
    }
    fn fabs(&mut self, x: V) -> V {
        let sign = self.sign_bit(x.ty);
        self.bin(Bin::AndNot, sign, x)
    }
    /// `magnitude` (not negative) with the sign of `x`.
    fn with_sign(&mut self, magnitude: V, x: V) -> V {
        let sign = self.sign_bit(x.ty);
        let sign = self.and(x, sign);
        self.or(magnitude, sign)
    }
}
