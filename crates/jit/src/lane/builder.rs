//! Making lane code.

use rustc_hash::FxHashMap;

use super::{Bin, Code, Conv, Fused, Inst, Op, OpSet, Part, Pred, RoundTo, ScalarCall, Shift, Ty, V};

/// Makes lane code; constants exist once.
pub struct Builder {
    pub(super) code: Code,
    known: FxHashMap<Inst, u32>,
    pub(super) ops: OpSet,
}

impl Builder {
    pub(super) fn new(ops: OpSet) -> Self {
        Builder { code: Code::default(), known: FxHashMap::default(), ops }
    }

    pub(super) fn push(&mut self, op: Op, ty: Ty) -> V {
        let inst = Inst { op, ty };
        // Loads move over no store, and accumulators change: neither is shared.
        let pure = !op.has_effect() && !matches!(op, Op::Load(..) | Op::Gather(..) | Op::Acc(_));
        if pure && let Some(id) = self.known.get(&inst) {
            return V { id: *id, ty };
        }
        let id = self.code.insts.len() as u32;
        if pure {
            self.known.insert(inst, id);
        }
        self.code.insts.push(inst);
        V { id, ty }
    }

    pub(super) fn constant(&mut self, bits: u64, ty: Ty) -> V {
        self.push(Op::Const(bits), ty)
    }

    /// A float constant of `ty`.
    pub(super) fn f(&mut self, x: f64, ty: Ty) -> V {
        let bits = match ty {
            Ty::F32 => u64::from((x as f32).to_bits()),
            Ty::F64 => x.to_bits(),
            Ty::I32 | Ty::I64 | Ty::Mask => unreachable!("lane code: a float constant of {ty:?}"),
        };
        self.constant(bits, ty)
    }

    /// An integer constant of `ty`.
    pub(super) fn i(&mut self, x: i64, ty: Ty) -> V {
        self.constant(if ty.is_wide() { x.cast_unsigned() } else { u64::from(x as u32) }, ty)
    }

    pub(super) fn is_const(&self, v: V) -> Option<u64> {
        match self.code.insts[v.id as usize].op {
            Op::Const(bits) => Some(bits),
            _ => None,
        }
    }

    pub(super) fn bin(&mut self, op: Bin, a: V, b: V) -> V {
        debug_assert_eq!(a.ty, b.ty, "{op:?}");
        let folded = if a.ty == Ty::Mask { self.fold_mask(op, a, b) } else { None };
        folded.unwrap_or_else(|| self.push(Op::Bin(op, a, b), a.ty))
    }
    /// An operation of masks with a constant, which is no operation at all unless it negates.
    pub(super) fn fold_mask(&mut self, op: Bin, a: V, b: V) -> Option<V> {
        let (x, y) = (self.is_const(a).map(|bits| bits != 0), self.is_const(b).map(|bits| bits != 0));
        match op {
            Bin::And => match (x, y) {
                (Some(true), _) | (None, Some(false)) => Some(b),
                (Some(false), _) | (None, Some(true)) => Some(a),
                (None, None) => None,
            },
            Bin::Or => match (x, y) {
                (Some(false), _) | (None, Some(true)) => Some(b),
                (Some(true), _) | (None, Some(false)) => Some(a),
                (None, None) => None,
            },
            Bin::AndNot => match (x, y) {
                (Some(false), _) | (None, Some(false)) => Some(b),
                (Some(true), _) => Some(self.constant(0, Ty::Mask)),
                (None, Some(true)) => Some(self.not(a)),
                (None, None) => None,
            },
            Bin::Xor => match (x, y) {
                (Some(false), _) => Some(b),
                (_, Some(false)) => Some(a),
                (Some(true), Some(true)) => Some(self.constant(0, Ty::Mask)),
                (Some(true), None) => Some(self.not(b)),
                (None, Some(true) | None) => None,
            },
            Bin::Add | Bin::Sub | Bin::Mul | Bin::Div | Bin::Min | Bin::Max | Bin::MulLow => None,
            Bin::ShlBy | Bin::ShrBy | Bin::Scale | Bin::LogEdges => None,
        }
    }
    pub(super) fn add(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Add, a, b)
    }
    pub(super) fn sub(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Sub, a, b)
    }
    pub(super) fn mul(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Mul, a, b)
    }
    pub(super) fn div(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Div, a, b)
    }
    pub(super) fn and(&mut self, a: V, b: V) -> V {
        self.bin(Bin::And, a, b)
    }
    pub(super) fn or(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Or, a, b)
    }
    pub(super) fn xor(&mut self, a: V, b: V) -> V {
        self.bin(Bin::Xor, a, b)
    }
    /// `a·b + c`
    pub(super) fn fma(&mut self, a: V, b: V, c: V) -> V {
        self.push(Op::Fused(Fused::Add, a, b, c), c.ty)
    }
    /// `c − a·b`
    pub(super) fn fnma(&mut self, a: V, b: V, c: V) -> V {
        self.push(Op::Fused(Fused::NegAdd, a, b, c), c.ty)
    }
    pub(super) fn cmp(&mut self, p: Pred, a: V, b: V) -> V {
        debug_assert_eq!(a.ty, b.ty, "{p:?}");
        self.push(Op::Cmp(p, a, b), Ty::Mask)
    }
    pub(super) fn lt(&mut self, a: V, b: V) -> V {
        self.cmp(Pred::Lt, a, b)
    }
    pub(super) fn is_nan(&mut self, a: V) -> V {
        self.cmp(Pred::Unordered, a, a)
    }
    pub(super) fn select(&mut self, mask: V, a: V, b: V) -> V {
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
    pub(super) fn not(&mut self, mask: V) -> V {
        let ones = self.constant(u64::MAX, Ty::Mask);
        self.xor(mask, ones)
    }
    pub(super) fn round(&mut self, to: RoundTo, a: V) -> V {
        self.push(Op::Round(to, a), a.ty)
    }
    pub(super) fn part(&mut self, part: Part, a: V) -> V {
        self.push(Op::Part(part, a), a.ty)
    }
    pub(super) fn shift(&mut self, s: Shift, a: V, n: u8) -> V {
        self.push(Op::Shift(s, a, n), a.ty)
    }
    pub(super) fn conv(&mut self, c: Conv, a: V) -> V {
        let ty = match c {
            Conv::F32ToF64 | Conv::I32ToF64 | Conv::I64ToF64 => Ty::F64,
            Conv::F64ToF32 | Conv::I32ToF32 | Conv::I64ToF32 | Conv::RoundF16 => Ty::F32,
            Conv::F32ToI32 | Conv::F64ToI32 | Conv::I64ToI32 => Ty::I32,
            Conv::I32ToI64 | Conv::F64ToI64 => Ty::I64,
        };
        self.push(Op::Conv(c, a), ty)
    }
    pub(super) fn call(&mut self, call: ScalarCall, a: V, b: V, guard: Option<(V, V)>) -> V {
        let ty = call.result();
        self.push(Op::Call(call, a, b, guard), ty)
    }
    /// The polynomial with these coefficients, highest power first.
    pub(super) fn poly(&mut self, x: V, coefficients: &[f64]) -> V {
        let mut p = self.f(coefficients[0], x.ty);
        for c in &coefficients[1..] {
            let c = self.f(*c, x.ty);
            p = self.fma(p, x, c);
        }
        p
    }
    pub(super) fn sign_bit(&mut self, ty: Ty) -> V {
        self.f(-0.0, ty)
    }
    pub(super) fn fabs(&mut self, x: V) -> V {
        let sign = self.sign_bit(x.ty);
        self.bin(Bin::AndNot, sign, x)
    }
    /// `magnitude` (not negative) with the sign of `x`.
    pub(super) fn with_sign(&mut self, magnitude: V, x: V) -> V {
        let sign = self.sign_bit(x.ty);
        let sign = self.and(x, sign);
        self.or(magnitude, sign)
    }
}
