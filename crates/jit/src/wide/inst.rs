//! Instructions of lane code as machine instructions.

use super::alloc::Loc;
use super::asm::gpr::{RAX, RDX};
use super::asm::{Masked, Rm, Vop};
use super::emit::{Emit, SCRATCH, SCRATCH2};
use super::isa::Isa;
use super::op;
use crate::lane::{Bin, Code, Conv, Fused, Op, Part, Pred, RoundTo, Shift, Table, Ty, V};
use crate::machine::thunk::Call;

impl Emit<'_> {
    pub(super) fn inst(&mut self, code: &Code, i: u32, c: usize) {
        let inst = code.insts[i as usize];
        self.alloc.locked = 0;
        self.scratch_taken = false;
        let (ty, l) = (inst.ty, self.l(inst.ty));
        match inst.op {
            Op::Const(_) => return,
            Op::Scalar(_) if self.kept(&inst).is_some() => {}
            _ if self.mask_inst(code, i, c) => {}
            Op::Load(a, mem) => {
                let d = self.take((c, i), i);
                self.load(a, mem, d, c, ty);
            }
            Op::Gather(a, mem, v) => self.gather_lanes(code, a, mem, v, c, i),
            Op::Store(a, mem, v) => self.store(code, a, mem, v, c, i),
            Op::Scalar(k) => {
                let at = self.kernel.layout.scalars + k as usize;
                self.broadcast(at, ty, c, i);
            }
            Op::Outer(k) => self.broadcast(crate::frame::HEADER + k as usize, ty, c, i),
            Op::Serial(k) => {
                let at = self.kernel.layout.serial + k as usize;
                self.broadcast(at, ty, c, i);
            }
            Op::Lane => {
                let d = self.take((c, i), i);
                let size = if ty.is_wide() { 8 } else { 4 };
                let mut bytes = vec![0u8; self.isa.bytes()];
                for (e, lane) in bytes.chunks_exact_mut(size).take(self.width).enumerate() {
                    lane.copy_from_slice(&((e + c * self.width) as u64).to_le_bytes()[..size]);
                }
                let steps = Rm::Pool(self.out.constant(&bytes));
                self.asm().mov(RAX, Emit::word(1));
                self.asm().add(RAX, Rm::Reg(RDX));
                self.asm().v(op::MOVQ, 0, d, 0, Rm::Reg(RAX));
                let (spread, add) =
                    if ty.is_wide() { (op::BROADCAST_Q, op::PADDQ) } else { (op::BROADCAST_D, op::PADDD) };
                let l = self.isa.full();
                self.asm().v(spread, l, d, 0, Rm::Reg(d));
                self.asm().v(add, l, d, d, steps);
            }
            Op::Acc(k) => match self.accumulators[k as usize] {
                Loc::Reg(r) => self.alloc.pin((c, i), r - c as u8),
                Loc::Slot(_) | Loc::None => {
                    let d = self.take((c, i), i);
                    self.accumulator(k as usize, c, d);
                }
            },
            Op::SetAcc(k, v) => self.set_accumulator(code, k as usize, v, c, i),
            Op::Bin(Bin::LogEdges, x, y) => self.log_edges(code, x, y, c, i, ty),
            Op::Bin(b, x, y) => {
                let (x, y) = if op::commutes(b) && self.in_pool(code, x) { (y, x) } else { (x, y) };
                let (p, q) = (self.reg(code, x, c, i), self.rm(code, y, c));
                let d = self.result(code, i, c);
                self.asm().v(op::bin(b, ty), l, d, p, q);
            }
            Op::Fused(kind, x, y, z) => self.fused(code, kind, [x, y, z], c, i, ty),
            Op::Cmp(p, x, y) => match self.isa {
                Isa::Avx2 => self.compare(code, p, x, y, c, i),
                Isa::Avx512 => self.compare_to_mask(code, p, x, y, c, i),
            },
            Op::Select(m, x, y) => {
                let mask = match self.isa {
                    Isa::Avx2 => self.reg(code, m, c, i),
                    Isa::Avx512 => self.mask(code, m, c, i),
                };
                if let Some((bits, v)) = self.select_of_bits(code, x, y) {
                    let v = self.rm(code, v, c);
                    let mask = if l == 0 { self.narrow_mask(mask) } else { mask };
                    let d = self.result(code, i, c);
                    self.asm().v(op::bin(bits, ty), l, d, mask, v);
                } else {
                    let other = self.reg(code, y, c, i);
                    let one = self.rm(code, x, c);
                    let mask = if self.isa == Isa::Avx2 && l == 0 { self.narrow_mask(mask) } else { mask };
                    let d = self.result(code, i, c);
                    self.blend(ty, l, d, one, other, mask);
                }
            }
            Op::Sqrt(x) => {
                let x = self.rm(code, x, c);
                let d = self.result(code, i, c);
                self.asm().v(if ty.is_wide() { op::SQRTPD } else { op::SQRTPS }, l, d, 0, x);
            }
            Op::Round(to, x) => {
                let x = self.rm(code, x, c);
                let d = self.result(code, i, c);
                let how = match to {
                    RoundTo::Even => 8,
                    RoundTo::Down => 9,
                    RoundTo::Up => 10,
                    RoundTo::Zero => 11,
                };
                self.asm().vi(if ty.is_wide() { op::ROUNDPD } else { op::ROUNDPS }, l, d, 0, x, how);
            }
            Op::Part(part, x) => {
                let x = self.rm(code, x, c);
                let d = self.result(code, i, c);
                let wide = ty.is_wide();
                match part {
                    Part::Exponent => self.asm().v(if wide { op::GETEXPPD } else { op::GETEXPPS }, l, d, 0, x),
                    Part::Mantissa => self.asm().vi(if wide { op::GETMANTPD } else { op::GETMANTPS }, l, d, 0, x, 0),
                }
            }
            Op::Shift(s, x, by) => {
                let x = self.reg(code, x, c, i);
                let d = self.result(code, i, c);
                let digit = match s {
                    Shift::Left => 6,
                    Shift::Logical => 2,
                    Shift::Arithmetic => 4,
                };
                self.asm().vi(if ty.is_wide() { op::SHIFT64 } else { op::SHIFT32 }, l, digit, d, Rm::Reg(x), by);
            }
            Op::Conv(k, x) => self.convert(code, k, x, c, i),
            Op::Table(table, x) => self.table(code, table, x, c, i),
            Op::Call(f, x, y, guard) => {
                let call = Call {
                    function: f,
                    wide: (x.ty.is_wide(), ty.is_wide()),
                    guarded: guard.is_some(),
                    wide_mask: self.lanes_are_wide(Ty::Mask),
                };
                self.call(code, call, [x, y], guard, c, i);
            }
        }
        // Operands that die here give their slots back; a value that nobody uses gives its register back.
        let mut dead: [Option<u32>; 5] = [None; 5];
        let mut n = 0;
        inst.op.operands(|v| {
            dead[n] = Some(v.id);
            n += 1;
        });
        let unused = self.alloc.dies(i, i);
        dead[4] = unused.then_some(i);
        for id in dead.into_iter().flatten() {
            let transferred = matches!(self.alloc.loc((c, id)), Loc::Reg(r) if id != i && !self.alloc.owns((c, id), r));
            if self.alloc.dies(id, i) && !transferred {
                self.alloc.release((c, id));
            }
        }
    }

    pub(super) fn broadcast(&mut self, word: usize, ty: Ty, c: usize, i: u32) {
        let d = self.take((c, i), i);
        self.spread(d, Emit::word(word), ty);
    }

    /// `d = if mask { one } else { other }`; the mask is a vector or, with AVX-512, the number of a mask register.
    pub(super) fn blend(&mut self, ty: Ty, l: u8, d: u8, one: Rm, other: u8, mask: u8) {
        let wide = self.lanes_are_wide(ty);
        match self.isa {
            Isa::Avx2 => {
                self.asm().vi(if wide { op::BLENDPD } else { op::BLENDPS }, l, d, other, one, mask << 4);
            }
            Isa::Avx512 => {
                let blend = if wide { op::BLENDMPD } else { op::BLENDMPS };
                self.asm().masked(blend, l, d, other, one, Masked::Merge(mask));
            }
        }
    }

    /// A mask of 64-bit lanes as one of 32-bit lanes in the scratch register.
    pub(super) fn narrow_mask(&mut self, mask: u8) -> u8 {
        self.asm().vi(op::EXTRACT128, 1, mask, 0, Rm::Reg(SCRATCH), 1);
        self.asm().vi(op::SHUFPS, 0, SCRATCH, mask, Rm::Reg(SCRATCH), 0x88);
        SCRATCH
    }

    pub(super) fn compare(&mut self, code: &Code, p: Pred, x: V, y: V, c: usize, i: u32) {
        let ty = x.ty;
        let l = self.l(ty);
        // Integers have "greater" only.
        let (x, y) = if !ty.is_float() && p == Pred::Lt { (y, x) } else { (x, y) };
        let (a, b) = (self.reg(code, x, c, i), self.rm(code, y, c));
        let d = self.result(code, i, c);
        if ty.is_float() {
            self.asm().vi(if ty == Ty::F64 { op::CMPPD } else { op::CMPPS }, l, d, a, b, op::float_predicate(p));
        } else {
            let what = match (p, ty.is_wide()) {
                (Pred::Eq, false) => op::PCMPEQD,
                (Pred::Eq, true) => op::PCMPEQQ,
                (Pred::Lt, false) => op::PCMPGTD,
                (Pred::Lt, true) => op::PCMPGTQ,
                (Pred::Ne | Pred::Le | Pred::Unordered, _) => unreachable!("lane code: {p:?} of integers"),
            };
            self.asm().v(what, l, d, a, b);
        }
        if l == 0 {
            self.asm().v(op::SX32Q, 1, d, 0, Rm::Reg(d));
        }
    }

    pub(super) fn convert(&mut self, code: &Code, k: Conv, x: V, c: usize, i: u32) {
        // Where lanes differ in width, the 64-bit side fills a register. Some instructions take no spread element.
        let from = if matches!(k, Conv::I64ToI32 | Conv::I32ToI64 | Conv::RoundF16) {
            Rm::Reg(self.reg(code, x, c, i))
        } else {
            self.rm(code, x, c)
        };
        let (full, l) = (self.isa.full(), self.l(Ty::F32));
        let d = self.result(code, i, c);
        match k {
            Conv::F32ToF64 => self.asm().v(op::PS2PD, full, d, 0, from),
            Conv::F64ToF32 => self.asm().v(op::PD2PS, full, d, 0, from),
            Conv::I32ToF32 => self.asm().v(op::DQ2PS, l, d, 0, from),
            Conv::I32ToF64 => self.asm().v(op::DQ2PD, full, d, 0, from),
            Conv::F32ToI32 => self.asm().v(op::TPS2DQ, l, d, 0, from),
            Conv::F64ToI32 => self.asm().v(op::TPD2DQ, full, d, 0, from),
            Conv::I32ToI64 => self.asm().v(op::SX32Q, full, d, 0, from),
            Conv::I64ToI32 => {
                let Rm::Reg(r) = from else { unreachable!("taken as a register above") };
                match self.isa {
                    Isa::Avx2 => {
                        self.asm().vi(op::EXTRACT128, 1, r, 0, Rm::Reg(SCRATCH), 1);
                        self.asm().vi(op::SHUFPS, 0, d, r, Rm::Reg(SCRATCH), 0x88);
                    }
                    Isa::Avx512 => self.asm().v(op::QWORD_TO_DWORD, full, r, 0, Rm::Reg(d)),
                }
            }
            Conv::I64ToF64 => self.asm().v(op::QQ2PD, full, d, 0, from),
            Conv::I64ToF32 => self.asm().v(op::QQ2PS, full, d, 0, from),
            Conv::F64ToI64 => self.asm().v(op::TPD2QQ, full, d, 0, from),
            Conv::RoundF16 => {
                let Rm::Reg(r) = from else { unreachable!("taken as a register above") };
                self.asm().vi(op::PS2PH, l, r, 0, Rm::Reg(SCRATCH), 0);
                self.asm().v(op::PH2PS, l, d, 0, Rm::Reg(SCRATCH));
            }
        }
    }

    /// The entries of a table that lanes name; what is beyond the lanes of a vector names entries, too.
    fn table(&mut self, code: &Code, table: &Table, x: V, c: usize, i: u32) {
        let bytes = table.bytes();
        let (full, index) = (self.isa.full(), self.reg(code, x, c, i));
        match self.isa {
            Isa::Avx512 => {
                let table = Rm::Pool(self.out.constant(&bytes));
                let d = self.result(code, i, c);
                self.asm().v(op::PERMPS, full, d, index, table);
            }
            Isa::Avx2 => {
                // The highest bit says which half it is.
                let [low, high] = [&bytes[..32], &bytes[32..]].map(|half| Rm::Pool(self.out.constant(half)));
                self.asm().v(op::PERMPS, full, SCRATCH, index, low);
                self.asm().v(op::PERMPS, full, SCRATCH2, index, high);
                let d = self.result(code, i, c);
                self.asm().vi(op::BLENDPS, full, d, SCRATCH, Rm::Reg(SCRATCH2), index << 4);
            }
        }
    }

    /// The register of a value that instruction `i` uses last.
    pub(super) fn dying(&self, v: V, c: usize, i: u32) -> Option<u8> {
        match self.alloc.loc((c, v.id)) {
            Loc::Reg(r) if self.alloc.owns((c, v.id), r) && self.alloc.dies(v.id, i) => Some(r),
            Loc::Reg(_) | Loc::Slot(_) | Loc::None => None,
        }
    }

    /// Gives the register of a dying value to the result of instruction `i`.
    pub(super) fn inherit(&mut self, v: V, r: u8, c: usize, i: u32) {
        self.alloc.free_register((c, v.id));
        self.alloc.put((c, i), r);
    }

    /// The result takes the place of `y`, which the instruction changes where `x` is no positive finite number.
    fn log_edges(&mut self, code: &Code, x: V, y: V, c: usize, i: u32, ty: Ty) {
        let int = if ty.is_wide() { Ty::I64 } else { Ty::I32 };
        let (what, l, classes) = (op::bin(Bin::LogEdges, ty), self.l(ty), self.constant(op::LOG_EDGES, int));
        let p = self.reg(code, x, c, i);
        let d = match self.dying(y, c, i).filter(|_| x.id != y.id) {
            Some(r) => {
                self.inherit(y, r, c, i);
                r
            }
            None => {
                let q = self.rm(code, y, c);
                let d = self.take((c, i), i);
                self.copy(d, q, ty);
                d
            }
        };
        self.asm().vi(what, l, d, p, classes, 0);
    }

    /// The form by which operand dies: its register takes the result.
    pub(super) fn fused(&mut self, code: &Code, kind: Fused, [x, y, z]: [V; 3], c: usize, i: u32, ty: Ty) {
        let l = self.l(ty);
        let base = match kind {
            Fused::Add => 0x98,
            Fused::Sub => 0x9A,
            Fused::NegAdd => 0x9C,
        };
        let form = |order: u8| Vop(2, 1, u8::from(ty.is_wide()), base + order);
        let (f132, f213, f231) = (form(0), form(0x10), form(0x20));
        let [x_in_pool, y_in_pool, z_in_pool] = [x, y, z].map(|v| self.in_pool(code, v));
        let (x, y, y_in_pool) = if x_in_pool { (y, x, true) } else { (x, y, y_in_pool) };
        let hint = self.hint(code, i, c);
        let in_accumulator = hint.is_some_and(|r| self.alloc.loc((c, z.id)) == Loc::Reg(r) && !z_in_pool);
        // Operands in registers first, so that what dies is known.
        let p = self.reg(code, x, c, i);
        if let Some(d) = hint.filter(|_| in_accumulator) {
            let q = self.rm(code, y, c);
            self.alloc.pin((c, i), d);
            return self.asm().v(f231, l, d, p, q);
        }
        let dying = |e: &Emit, v: V| e.dying(v, c, i);
        let give = |e: &mut Emit, v: V, r: u8| e.inherit(v, r, c, i);
        let same = x.id == y.id;
        if let Some(r) = dying(self, x).filter(|_| !y_in_pool && (z.id != x.id)) {
            let q = if same { r } else { self.reg(code, y, c, i) };
            let s = self.rm(code, z, c);
            give(self, x, r);
            self.asm().v(f213, l, r, q, s);
        } else if let Some(r) = dying(self, y).filter(|_| !same && z.id != y.id) {
            let s = self.rm(code, z, c);
            give(self, y, r);
            self.asm().v(f213, l, r, p, s);
        } else if let Some(r) = dying(self, z).filter(|_| z.id != x.id && z.id != y.id) {
            let q = self.rm(code, y, c);
            give(self, z, r);
            self.asm().v(f231, l, r, p, q);
        } else if let Some(r) = dying(self, x).filter(|_| y_in_pool && z.id != x.id) {
            let s = self.reg(code, z, c, i);
            let q = self.rm(code, y, c);
            give(self, x, r);
            self.asm().v(f132, l, r, s, q);
        } else {
            let (q, s) = (self.rm(code, y, c), self.rm(code, z, c));
            let d = self.take((c, i), i);
            self.copy(d, s, ty);
            self.asm().v(f231, l, d, p, q);
        }
    }
}
