//! Integers and truth values.

use cotangent_core::ir::DType;
use cotangent_core::ops::{Binary, Unary};

use super::{Bin, Builder, OpSet, Pred, ScalarCall, Shift, Ty, V};

impl Builder {
    /// Brings an `I32` back into the range of a narrow dtype.
    pub(super) fn wrap(&mut self, x: V, dtype: DType) -> V {
        match dtype {
            DType::I8 => self.extend(x, 24),
            DType::I16 => self.extend(x, 16),
            DType::U8 => {
                let low = self.i(255, Ty::I32);
                self.and(x, low)
            }
            DType::I32 | DType::I64 | DType::Bool | DType::F32 | DType::F64 | DType::F16 | DType::BF16 => x,
        }
    }

    fn extend(&mut self, x: V, bits: u8) -> V {
        let high = self.shift(Shift::Left, x, bits);
        self.shift(Shift::Arithmetic, high, bits)
    }

    pub(super) fn integer_unary(&mut self, f: Unary, x: V, dtype: DType) -> V {
        let zero = self.i(0, x.ty);
        let y = match f {
            Unary::Neg => self.sub(zero, x),
            Unary::Abs => {
                let minus = self.sub(zero, x);
                self.integer_extreme(x, minus, true)
            }
            Unary::Sign => {
                let (one, minus) = (self.i(1, x.ty), self.i(-1, x.ty));
                let (positive, negative) = (self.lt(zero, x), self.lt(x, zero));
                let y = self.select(positive, one, zero);
                self.select(negative, minus, y)
            }
            Unary::BitwiseNot => {
                let ones = self.i(-1, x.ty);
                self.xor(x, ones)
            }
            // The other functions that take integers are the identity on them.
            _ => x,
        };
        self.wrap(y, dtype)
    }

    /// The larger or smaller of two integers.
    pub(super) fn integer_extreme(&mut self, a: V, b: V, max: bool) -> V {
        if a.ty == Ty::I32 || self.ops == OpSet::Extended {
            return self.bin(if max { Bin::Max } else { Bin::Min }, a, b);
        }
        let less = self.lt(a, b);
        if max { self.select(less, b, a) } else { self.select(less, a, b) }
    }

    pub(super) fn integer_mul(&mut self, a: V, b: V) -> V {
        if a.ty == Ty::I32 || self.ops == OpSet::Extended {
            return self.mul(a, b);
        }
        // (ah·2³² + al)(bh·2³² + bl) modulo 2⁶⁴.
        let (ah, bh) = (self.shift(Shift::Logical, a, 32), self.shift(Shift::Logical, b, 32));
        let (x, y) = (self.bin(Bin::MulLow, ah, b), self.bin(Bin::MulLow, a, bh));
        let cross = self.add(x, y);
        let cross = self.shift(Shift::Left, cross, 32);
        let low = self.bin(Bin::MulLow, a, b);
        self.add(low, cross)
    }

    pub(super) fn integer_binary(&mut self, f: Binary, a: V, b: V, dtype: DType) -> V {
        let y = match f {
            Binary::Add => self.add(a, b),
            Binary::Sub => self.sub(a, b),
            Binary::Mul => self.integer_mul(a, b),
            Binary::Maximum => self.integer_extreme(a, b, true),
            Binary::Minimum => self.integer_extreme(a, b, false),
            Binary::BitwiseAnd => self.and(a, b),
            Binary::BitwiseOr => self.or(a, b),
            Binary::BitwiseXor => self.xor(a, b),
            Binary::Philox => self.philox(a, b),
            Binary::BitwiseLeftShift => self.bin(Bin::ShlBy, a, b),
            Binary::BitwiseRightShift => {
                // The complement of a negative number shifts in zeros; distances beyond the width leave the sign.
                let (zero, ones) = (self.i(0, a.ty), self.i(-1, a.ty));
                let negative = self.lt(a, zero);
                let sign = self.select(negative, ones, zero);
                let y = self.xor(a, sign);
                let y = self.bin(Bin::ShrBy, y, b);
                self.xor(y, sign)
            }
            Binary::DivFloor | Binary::DivTrunc | Binary::Remainder | Binary::Fmod => {
                self.whole_division(f, a, b, dtype)
            }
            _ => self.call(ScalarCall::Binary(f, dtype), a, b, None),
        };
        self.wrap(y, dtype)
    }

    pub(super) fn bool_binary(&mut self, f: Binary, a: V, b: V) -> V {
        match f {
            Binary::Add | Binary::Maximum | Binary::BitwiseOr => self.or(a, b),
            Binary::Mul | Binary::Minimum | Binary::BitwiseAnd => self.and(a, b),
            Binary::BitwiseXor | Binary::Ne => self.xor(a, b),
            Binary::Eq => {
                let differ = self.xor(a, b);
                self.not(differ)
            }
            Binary::Lt => self.bin(Bin::AndNot, a, b),
            Binary::Gt => self.bin(Bin::AndNot, b, a),
            Binary::Le => {
                let gt = self.bin(Bin::AndNot, b, a);
                self.not(gt)
            }
            Binary::Ge => {
                let lt = self.bin(Bin::AndNot, a, b);
                self.not(lt)
            }
            // No other function takes truth values (`binary_c2`).
            _ => a,
        }
    }

    /// A comparison of two numbers.
    pub(super) fn comparison(&mut self, f: Binary, a: V, b: V) -> V {
        match f {
            Binary::Eq => self.cmp(Pred::Eq, a, b),
            Binary::Lt => self.lt(a, b),
            Binary::Gt => self.lt(b, a),
            Binary::Le if a.ty.is_float() => self.cmp(Pred::Le, a, b),
            Binary::Ge if a.ty.is_float() => self.cmp(Pred::Le, b, a),
            Binary::Ne if a.ty.is_float() => self.cmp(Pred::Ne, a, b),
            Binary::Le => {
                let gt = self.lt(b, a);
                self.not(gt)
            }
            Binary::Ge => {
                let lt = self.lt(a, b);
                self.not(lt)
            }
            _ => {
                let eq = self.cmp(Pred::Eq, a, b);
                self.not(eq)
            }
        }
    }

    /// Philox4x32-10 of a key and a counter: the first two words.
    fn philox(&mut self, key: V, counter: V) -> V {
        let low = self.i(0xffff_ffff, Ty::I64);
        let high = |b: &mut Builder, x| b.shift(Shift::Logical, x, 32);
        // Words stand in the low halves; the high halves may hold anything where only `MulLow` and `xor` follow.
        let mut k = [key, high(self, key)];
        let zero = self.i(0, Ty::I64);
        let mut c = [counter, high(self, counter), zero, zero];
        let m = [self.i(0xD251_1F53, Ty::I64), self.i(0xCD9E_8D57, Ty::I64)];
        let weyl = [self.i(0x9E37_79B9, Ty::I64), self.i(0xBB67_AE85, Ty::I64)];
        for _ in 0..10 {
            let p0 = self.bin(Bin::MulLow, m[0], c[0]);
            let p1 = self.bin(Bin::MulLow, m[1], c[2]);
            let (h0, h1) = (high(self, p0), high(self, p1));
            let x = self.xor(h1, c[1]);
            let y = self.xor(h0, c[3]);
            c = [self.xor(x, k[0]), p1, self.xor(y, k[1]), p0];
            k = [self.add(k[0], weyl[0]), self.add(k[1], weyl[1])];
        }
        let word = self.and(c[0], low);
        let upper = self.shift(Shift::Left, c[1], 32);
        self.or(word, upper)
    }
}
