//! The operations of lane code.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::blocks::Lanes;
use super::stage::Emit;
use crate::frame::HEADER;
use crate::lane::{Bin, Code, Fused, Op, Pred, RoundTo, Shift, Ty, V};

impl Emit<'_> {
    /// Emits an instruction for copy `c`; its value, if it has one that is read as such.
    pub(super) fn inst(&mut self, code: &Code, i: usize, c: usize, lanes: &Lanes) -> Option<Value> {
        let inst = code.insts[i];
        let ty = inst.ty;
        Some(match inst.op {
            // Constants are made where they are read.
            Op::Const(_) => return None,
            Op::Load(a, mem) => self.load(a as usize, mem, ty, c, lanes),
            Op::Gather(a, mem, v) => {
                let places = self.value(code, v, c);
                self.gather(a as usize, mem, ty, places)
            }
            Op::Store(a, mem, v) => {
                let x = self.value(code, v, c);
                self.store(a as usize, mem, x, c, lanes);
                return None;
            }
            Op::Lane => self.lane_indices(ty, c, lanes),
            Op::Outer(k) => {
                let index = self.word(HEADER + k as usize);
                self.spread_word(index, ty)
            }
            Op::Serial(k) => {
                let index = self.b.use_var(self.serial[k as usize]);
                self.spread_word(index, ty)
            }
            Op::Scalar(k) => self.scalar(k, ty),
            Op::Acc(k) => self.b.use_var(self.accumulators[k as usize][c]),
            Op::SetAcc(k, v) => {
                let x = self.value(code, v, c);
                self.set_accumulator(k as usize, x, c, lanes);
                x
            }
            Op::Bin(op, x, y) => {
                let (x, y) = (self.value(code, x, c), self.value(code, y, c));
                match ty {
                    Ty::F32 | Ty::F64 => self.float_bin(op, x, y),
                    Ty::I32 | Ty::I64 | Ty::Mask => self.integer_bin(op, x, y),
                }
            }
            Op::Fused(kind, x, y, z) => {
                let [x, y, z] = [x, y, z].map(|v| self.value(code, v, c));
                let (x, z) = match kind {
                    Fused::Add => (x, z),
                    Fused::Sub => (x, self.b.ins().fneg(z)),
                    Fused::NegAdd => (self.b.ins().fneg(x), z),
                };
                self.fused(x, y, z)
            }
            Op::Cmp(p, x, y) => self.compare(code, p, x, y, c),
            Op::Select(m, x, y) => {
                let [m, x, y] = [m, x, y].map(|v| self.value(code, v, c));
                self.select(m, x, y)
            }
            Op::Sqrt(x) => {
                let x = self.value(code, x, c);
                self.b.ins().sqrt(x)
            }
            Op::Round(to, x) => {
                let x = self.value(code, x, c);
                match to {
                    RoundTo::Even => self.b.ins().nearest(x),
                    RoundTo::Down => self.b.ins().floor(x),
                    RoundTo::Up => self.b.ins().ceil(x),
                    RoundTo::Zero => self.b.ins().trunc(x),
                }
            }
            Op::Part(..) => unreachable!("lane code: {:?} is of the extended set", inst.op),
            Op::Shift(shift, x, by) => {
                let x = self.value(code, x, c);
                match shift {
                    Shift::Left => self.b.ins().ishl_imm(x, i64::from(by)),
                    Shift::Logical => self.b.ins().ushr_imm(x, i64::from(by)),
                    Shift::Arithmetic => self.b.ins().sshr_imm(x, i64::from(by)),
                }
            }
            Op::Conv(conv, x) => {
                let x = self.value(code, x, c);
                self.convert(conv, x)
            }
            Op::Table(table, x) => {
                let x = self.value(code, x, c);
                self.table(table, x)
            }
            Op::Call(function, x, y, guard) => self.call(code, function, [x, y], guard, c),
        })
    }

    fn lane_indices(&mut self, ty: Ty, c: usize, lanes: &Lanes) -> Value {
        let (base, lane) = (self.word(1), self.b.use_var(self.lane));
        let first = self.b.ins().iadd(base, lane);
        let first = self.b.ins().iadd_imm(first, (c * self.walk.width) as i64);
        let first = self.spread_word(first, ty);
        let distances = match lanes {
            Lanes::Full(_) => self.iota(ty),
            Lanes::Rest(rest) => {
                let ty = self.vector(ty);
                let narrow = ty.lane_type() != types::I64;
                let scalars =
                    rest.distances.iter().map(|d| if narrow { self.b.ins().ireduce(types::I32, *d) } else { *d });
                let scalars: Vec<Value> = scalars.collect();
                self.lanes_of(&scalars, ty)
            }
        };
        self.b.ins().iadd(first, distances)
    }

    /// A row scalar in all lanes.
    fn scalar(&mut self, k: u32, ty: Ty) -> Value {
        let word = self.word(self.kernel.layout.scalars + k as usize);
        match ty {
            Ty::I32 | Ty::I64 => self.spread_word(word, ty),
            Ty::F32 | Ty::F64 => {
                let integer = if ty == Ty::F32 { Ty::I32 } else { Ty::I64 };
                let x = self.spread_word(word, integer);
                self.cast(x, self.vector(ty))
            }
            Ty::Mask => {
                // Of a mask every word has the low half.
                let low = self.spread_word(word, Ty::I32);
                self.mask(low)
            }
        }
    }

    fn float_bin(&mut self, op: Bin, x: Value, y: Value) -> Value {
        match op {
            Bin::Add => self.b.ins().fadd(x, y),
            Bin::Sub => self.b.ins().fsub(x, y),
            Bin::Mul => self.b.ins().fmul(x, y),
            Bin::Div => self.b.ins().fdiv(x, y),
            Bin::Min => self.first_if(x, y, x, y),
            Bin::Max => self.first_if(y, x, x, y),
            Bin::And => self.b.ins().band(x, y),
            Bin::AndNot => self.b.ins().band_not(y, x),
            Bin::Or => self.b.ins().bor(x, y),
            Bin::Xor => self.b.ins().bxor(x, y),
            Bin::MulLow | Bin::ShlBy | Bin::ShrBy => unreachable!("lane code: {op:?} of floats"),
            Bin::Scale | Bin::LogEdges => unreachable!("lane code: {op:?} is of the extended set"),
        }
    }

    /// `if a < b { x } else { y }`, in the form that machines have an instruction for where these are two numbers.
    fn first_if(&mut self, a: Value, b: Value, x: Value, y: Value) -> Value {
        let less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        let less = self.cast(less, self.b.func.dfg.value_type(x));
        self.b.ins().bitselect(less, x, y)
    }

    fn compare(&mut self, code: &Code, p: Pred, x: V, y: V, c: usize) -> Value {
        let is_float = x.ty.is_float();
        let (x, y) = (self.value(code, x, c), self.value(code, y, c));
        let mask = if is_float {
            let how = match p {
                Pred::Eq => FloatCC::Equal,
                Pred::Ne => FloatCC::NotEqual,
                Pred::Lt => FloatCC::LessThan,
                Pred::Le => FloatCC::LessThanOrEqual,
                Pred::Unordered => FloatCC::Unordered,
            };
            self.b.ins().fcmp(how, x, y)
        } else {
            let how = match p {
                Pred::Eq => IntCC::Equal,
                Pred::Ne => IntCC::NotEqual,
                Pred::Lt => IntCC::SignedLessThan,
                Pred::Le => IntCC::SignedLessThanOrEqual,
                Pred::Unordered => unreachable!("lane code: {p:?} of integers"),
            };
            self.b.ins().icmp(how, x, y)
        };
        self.mask(mask)
    }

    /// What a comparison gives as a mask, which is as wide as the widest lanes.
    pub(super) fn mask(&mut self, x: Value) -> Value {
        let narrow = self.b.func.dfg.value_type(x) == types::I32X4;
        if narrow && self.kernel.lane.wide { self.b.ins().swiden_low(x) } else { x }
    }

    /// A mask, or what a comparison has given, for lanes of 32 bits.
    pub(super) fn mask_of_words(&mut self, mask: Value) -> Value {
        if self.b.func.dfg.value_type(mask) == types::I64X2 { self.low_halves(mask) } else { mask }
    }

    /// `if mask { x } else { y }`
    pub(super) fn select(&mut self, mask: Value, x: Value, y: Value) -> Value {
        let ty = self.b.func.dfg.value_type(x);
        let mask = if ty.lane_bits() == 32 { self.mask_of_words(mask) } else { mask };
        // Of integers: machines have an instruction for masks that come right from comparisons.
        let bits = self.b.func.dfg.value_type(mask);
        let (x, y) = (self.cast(x, bits), self.cast(y, bits));
        let z = self.b.ins().bitselect(mask, x, y);
        self.cast(z, ty)
    }
}
