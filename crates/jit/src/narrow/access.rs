//! Loads and stores: dense ones, and others lane by lane.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::blocks::Lanes;
use super::stage::{Emit, plain};
use crate::lane::{Mem, Ty};

impl Emit<'_> {
    /// The element of access `a` in each lane.
    pub(super) fn load(&mut self, a: usize, mem: Mem, ty: Ty, c: usize, lanes: &Lanes) -> Value {
        let stride = self.kernel.accesses[a].lane;
        let raw = if stride == 0 {
            let at = self.b.use_var(self.pointers[a]);
            let (x, raw) = (self.element(mem, ty, (at, 0)), self.raw(mem, ty));
            self.b.ins().splat(raw, x)
        } else {
            match lanes {
                Lanes::Full(_) if stride == mem.size() as i64 => self.load_dense(a, mem, ty, c),
                Lanes::Full(_) | Lanes::Rest(_) => {
                    let elements = (0..self.walk.width).map(|j| {
                        let at = self.place(a, c, j, lanes);
                        self.element(mem, ty, at)
                    });
                    let elements: Vec<Value> = elements.collect();
                    self.lanes_of(&elements, self.raw(mem, ty))
                }
            }
        };
        match mem {
            Mem::B32 | Mem::B64 | Mem::I8 | Mem::U8 | Mem::I16 | Mem::U16 => raw,
            Mem::F16 => self.widen_half(raw),
            Mem::Bool => {
                let zero = self.constant(0, Ty::I32);
                let mask = self.b.ins().icmp(IntCC::NotEqual, raw, zero);
                self.mask(mask)
            }
        }
    }

    /// The element of access `a` in each lane that stands so many elements further; lanes behind the last one repeat it.
    pub(super) fn gather(&mut self, a: usize, mem: Mem, ty: Ty, places: Value) -> Value {
        let pointer = self.b.use_var(self.pointers[a]);
        let elements = (0..self.walk.width).map(|j| {
            let place = self.b.ins().extractlane(places, j as u8);
            let far = self.b.ins().ishl_imm(place, i64::from(mem.size().trailing_zeros()));
            let at = self.b.ins().iadd(pointer, far);
            self.element(mem, ty, (at, 0))
        });
        let elements: Vec<Value> = elements.collect();
        self.lanes_of(&elements, self.raw(mem, ty))
    }

    /// The vectors that elements are loaded to; what is narrow fills 32 bits.
    fn raw(&self, mem: Mem, ty: Ty) -> types::Type {
        match mem {
            Mem::B32 | Mem::B64 => self.vector(ty),
            Mem::Bool | Mem::I8 | Mem::U8 | Mem::I16 | Mem::U16 | Mem::F16 => types::I32X4,
        }
    }

    /// The address of lane `j` of a block's copy `c`, with a constant distance.
    fn place(&mut self, a: usize, c: usize, j: usize, lanes: &Lanes) -> (Value, i32) {
        let stride = self.kernel.accesses[a].lane;
        let (pointer, lane) = (self.b.use_var(self.pointers[a]), self.b.use_var(self.lane));
        let (lane, ahead) = match lanes {
            Lanes::Full(_) => (lane, ((c * self.walk.width + j) as i64).wrapping_mul(stride)),
            Lanes::Rest(rest) => (self.b.ins().iadd(lane, rest.distances[j]), 0),
        };
        let from = if stride > 0 && (stride as u64).is_power_of_two() {
            self.b.ins().ishl_imm(lane, i64::from(stride.trailing_zeros()))
        } else {
            self.b.ins().imul_imm(lane, stride)
        };
        let at = self.b.ins().iadd(pointer, from);
        match i32::try_from(ahead) {
            Ok(ahead) => (at, ahead),
            Err(_) => (self.b.ins().iadd_imm(at, ahead), 0),
        }
    }

    /// One element, extended to 32 bits where it is narrow.
    fn element(&mut self, mem: Mem, ty: Ty, (at, ahead): (Value, i32)) -> Value {
        let lane = self.vector(ty).lane_type();
        match mem {
            Mem::B32 | Mem::B64 => self.b.ins().load(lane, plain(), at, ahead),
            Mem::I8 => self.b.ins().sload8(types::I32, plain(), at, ahead),
            Mem::U8 | Mem::Bool => self.b.ins().uload8(types::I32, plain(), at, ahead),
            Mem::I16 => self.b.ins().sload16(types::I32, plain(), at, ahead),
            Mem::U16 | Mem::F16 => self.b.ins().uload16(types::I32, plain(), at, ahead),
        }
    }

    /// A whole vector of elements that follow one another.
    fn load_dense(&mut self, a: usize, mem: Mem, ty: Ty, c: usize) -> Value {
        let (at, ahead) = self.place(a, c, 0, &Lanes::Full(1));
        let vector = self.vector(ty);
        let (b, flags) = (&mut self.b, plain());
        let x = match self.walk.width * mem.size() {
            2 => {
                let x = b.ins().uload16(types::I32, flags, at, ahead);
                b.ins().scalar_to_vector(types::I32X4, x)
            }
            4 => {
                let x = b.ins().load(types::I32, flags, at, ahead);
                b.ins().scalar_to_vector(types::I32X4, x)
            }
            8 => {
                let x = b.ins().load(types::I64, flags, at, ahead);
                b.ins().scalar_to_vector(types::I64X2, x)
            }
            _ => b.ins().load(vector, flags, at, ahead),
        };
        let signed = matches!(mem, Mem::I8 | Mem::I16);
        let mut widen = |x: Value, from| {
            let x = self.cast(x, from);
            if signed { self.b.ins().swiden_low(x) } else { self.b.ins().uwiden_low(x) }
        };
        match mem {
            Mem::B32 | Mem::B64 => self.cast(x, vector),
            Mem::I16 | Mem::U16 | Mem::F16 => widen(x, types::I16X8),
            Mem::Bool | Mem::I8 | Mem::U8 => {
                let x = widen(x, types::I8X16);
                widen(x, types::I16X8)
            }
        }
    }

    /// Writes the element of access `a` in each lane.
    pub(super) fn store(&mut self, a: usize, mem: Mem, x: Value, c: usize, lanes: &Lanes) {
        let x = match mem {
            Mem::B32 | Mem::B64 | Mem::I8 | Mem::U8 | Mem::I16 | Mem::U16 => x,
            Mem::F16 => self.narrow_half(x),
            Mem::Bool => {
                let (mask, one) = (self.mask_of_words(x), self.constant(1, Ty::I32));
                self.b.ins().band(mask, one)
            }
        };
        let dense = self.kernel.accesses[a].lane == mem.size() as i64;
        match lanes {
            Lanes::Full(_) if dense => self.store_dense(a, mem, x, c),
            Lanes::Full(_) | Lanes::Rest(_) => {
                for j in 0..self.walk.width {
                    let (at, ahead) = self.place(a, c, j, lanes);
                    let (b, flags) = (&mut self.b, plain());
                    let y = b.ins().extractlane(x, j as u8);
                    match mem.size() {
                        1 => b.ins().istore8(flags, y, at, ahead),
                        2 => b.ins().istore16(flags, y, at, ahead),
                        _ => b.ins().store(flags, y, at, ahead),
                    };
                }
            }
        }
    }

    fn store_dense(&mut self, a: usize, mem: Mem, x: Value, c: usize) {
        let (at, ahead) = self.place(a, c, 0, &Lanes::Full(1));
        let packed = match mem.size() {
            1 => self.shuffle(x, &[0, 4, 8, 12], types::I32X4),
            2 => self.shuffle(x, &[0, 1, 4, 5, 8, 9, 12, 13], types::I32X4),
            _ => x,
        };
        let part = match self.walk.width * mem.size() {
            2 => types::I16X8,
            4 => types::I32X4,
            8 => types::I64X2,
            _ => {
                self.b.ins().store(plain(), packed, at, ahead);
                return;
            }
        };
        let packed = self.cast(packed, part);
        let first = self.b.ins().extractlane(packed, 0);
        self.b.ins().store(plain(), first, at, ahead);
    }
}
