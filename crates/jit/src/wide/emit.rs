//! Stages to machine code.
//!
//! Registers: `rdi` the frame, `rsi` the number of lanes, `rdx` the lane, `r8`–`r15` the pointers of the first accesses, `rax`, `rcx`, `rbx`
//! for addresses; `ymm14` and `ymm15` for constants and steps inside an operation, the others for accumulators and values.

use std::sync::Arc;

use cotangent_core::ops::Monoid;

use super::alloc::{Alloc, Loc, Move, Value};
use super::asm::gpr::{R8, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP};
use super::asm::{Asm, Cond, Label, Rm, Vop};
use super::{Assembler, op, thunk};
use crate::frame::PARTIAL_WORDS;
use crate::kernel::StageKernel;
use crate::lane::{Bin, Code, Conv, Fused, Mem, Op, Pred, RoundTo, Shift, Ty, V};

/// Registers for values and accumulators.
const FREE: u16 = 0x3fff;
const SCRATCH: u8 = 15;
const SCRATCH2: u8 = 14;

/// Bodies of more instructions than this are emitted for full blocks and masked vectors only.
const LONG: usize = 48;

/// The stack, from `rsp`.
const AREA: i32 = 0;
const BOUNCE: i32 = 128;
const MASK32: i32 = 192;
const MASK64: i32 = 224;
const COUNT: i32 = 256;
const SAVED_GPR: i32 = 264;
const SAVED: i32 = 352;
const SLOTS: i32 = SAVED + 16 * 32;

/// Which lanes a block has.
#[derive(Clone, Copy, PartialEq)]
enum Lanes {
    /// This many full vectors.
    Full(usize),
    /// One vector, masked.
    Tail,
}

impl Lanes {
    fn copies(self) -> usize {
        match self {
            Lanes::Full(n) => n,
            Lanes::Tail => 1,
        }
    }
}

/// A call of a scalar function, out of line.
struct Slow {
    entry: Option<Label>,
    join: Label,
    saved: u16,
    operands: [Option<Rm>; 4],
    to: u8,
    call: *const thunk::Call,
    first: i32,
    tail: bool,
}

struct Emit<'a> {
    out: &'a mut Assembler,
    kernel: &'a StageKernel,
    /// Lanes of a vector.
    width: usize,
    copies: usize,
    /// Register, or slot, of each accumulator's first copy.
    accumulators: Vec<Loc>,
    slots: u32,
    slow: Vec<Slow>,
    tail_masks: u32,
    lanes: Lanes,
    alloc: Alloc,
    scratch_taken: bool,
}

/// Emits the function of a stage at the end of the code; the number of interleaved copies.
pub fn stage(out: &mut Assembler, kernel: &StageKernel, width: usize) -> usize {
    let copies = copies(kernel);
    let count = kernel.lane.accumulators.len() * copies;
    let in_registers = count <= 6;
    let accumulators = (0..kernel.lane.accumulators.len())
        .map(|k| if in_registers { Loc::Reg(13 - (k * copies) as u8) } else { Loc::Slot((k * copies) as u32) })
        .collect();
    let tail_masks = out.asm.pool.len() as u32;
    for half in [[0xff; 32], [0; 32]] {
        out.asm.pool.extend_from_slice(&half);
    }
    let mut e = Emit {
        out,
        kernel,
        width,
        copies,
        accumulators,
        slots: if in_registers { 0 } else { count as u32 },
        slow: Vec::new(),
        tail_masks,
        lanes: Lanes::Full(1),
        alloc: Alloc::default(),
        scratch_taken: false,
    };
    e.function();
    copies
}

/// How many copies of the body to interleave: as many as registers allow, few for long bodies.
fn copies(kernel: &StageKernel) -> usize {
    let code = &kernel.lane.body;
    let accumulators = kernel.lane.accumulators.len();
    let mut uses = vec![0usize; code.insts.len()];
    for (i, inst) in code.insts.iter().enumerate() {
        inst.op.operands(|v| uses[v.id as usize] = i);
    }
    // The most values that live at once; constants are operands in memory, accumulators have registers of their own.
    let mut ends = vec![0i32; code.insts.len() + 1];
    let (mut live, mut most) = (0i32, 1);
    for (i, inst) in code.insts.iter().enumerate() {
        live -= ends[i];
        if !matches!(inst.op, Op::Const(_) | Op::Acc(_)) && uses[i] > i {
            live += 1;
            ends[uses[i]] += 1;
        }
        most = most.max(live);
    }
    let calls = code.insts.iter().any(|i| matches!(i.op, Op::Call(_, _, _, None)));
    // Measured: the longer a body, the more latency there is to hide, and the more spills that is worth.
    let room = if code.insts.len() > 100 { 28 } else { 20 };
    let fits = |c: &usize| c * most as usize + accumulators * c <= room && accumulators * c <= 8;
    if calls { 1 } else { [4, 3, 2].into_iter().find(fits).unwrap_or(1) }
}

fn uses(code: &Code) -> Vec<Vec<u32>> {
    let mut uses = vec![Vec::new(); code.insts.len()];
    for (i, inst) in code.insts.iter().enumerate() {
        inst.op.operands(|v| uses[v.id as usize].push(i as u32));
    }
    uses
}

impl Emit<'_> {
    fn asm(&mut self) -> &mut Asm {
        &mut self.out.asm
    }

    fn word(i: usize) -> Rm {
        Rm::Mem(RDI, 8 * i as i32)
    }

    /// 1 where values of `ty` fill 256 bits.
    fn l(&self, ty: Ty) -> u8 {
        u8::from(self.width == 8 || ty.is_wide() || ty == Ty::Mask)
    }

    fn function(&mut self) {
        let pointers = self.kernel.accesses.len().min(8);
        let saved = [RBP, RBX, 12, 13, 14, 15];
        for r in saved {
            self.asm().push(r);
        }
        self.asm().mov(RBP, Rm::Reg(RSP));
        self.asm().add_imm(Rm::Reg(RSP), 0);
        let frame_size = self.asm().code.len() - 4;
        self.asm().and_imm(Rm::Reg(RSP), -32);
        self.asm().mov(RSI, Emit::word(0));
        for i in 0..pointers {
            let at = self.kernel.layout.pointers + i;
            self.asm().mov(R8 + i as u8, Emit::word(at));
        }
        for k in 0..self.kernel.lane.rows {
            for c in 0..self.copies {
                self.neutral(k, c);
            }
        }
        let points: usize = self.kernel.serial.iter().product();
        let columns = self.kernel.lane.accumulators.len() > self.kernel.lane.rows;
        let (body, after) = (self.kernel.lane.body.clone(), self.kernel.lane.after.clone());
        if columns {
            self.blocks(self.copies, &|e, lanes| {
                for k in e.kernel.lane.rows..e.kernel.lane.accumulators.len() {
                    for c in 0..lanes.copies() {
                        e.neutral(k, c);
                    }
                }
                if points > 0 {
                    e.serial(0, &mut |e| e.code(&body, lanes));
                }
                e.code(&after, lanes);
            });
        } else {
            if points > 0 && !body.insts.is_empty() {
                self.serial(0, &mut |e| e.blocks(e.copies, &|e, lanes| e.code(&body, lanes)));
            }
            if !after.insts.is_empty() {
                self.blocks(1, &|e, lanes| e.code(&after, lanes));
            }
        }
        if self.kernel.lane.rows > 0 {
            self.asm().mov(RAX, Emit::word(4));
        }
        for k in 0..self.kernel.lane.rows {
            self.fold(k);
        }
        self.asm().vzeroupper();
        self.asm().mov(RSP, Rm::Reg(RBP));
        for r in saved.into_iter().rev() {
            self.asm().pop(r);
        }
        self.asm().ret();
        for slow in std::mem::take(&mut self.slow) {
            self.slow_call(&slow);
        }
        let bytes = SLOTS + 32 * self.slots as i32;
        self.asm().code[frame_size..frame_size + 4].copy_from_slice(&(-bytes).to_le_bytes());
    }

    /// The lanes in blocks of `copies` vectors, single vectors and the masked rest; long bodies, whose code is what costs, mask
    /// single vectors too.
    fn blocks(&mut self, copies: usize, block: &dyn Fn(&mut Emit, Lanes)) {
        self.asm().zero(RDX);
        let mut copies_done = false;
        let long = self.kernel.lane.body.insts.len() > LONG;
        for lanes in [Lanes::Full(copies), Lanes::Full(1)] {
            if lanes == Lanes::Full(1) && (long || copies == 1) && copies_done {
                continue;
            }
            copies_done = true;
            let step = (lanes.copies() * self.width) as i32;
            let (top, end) = (self.asm().label(), self.asm().label());
            self.asm().lea(RAX, Rm::Mem(RDX, step));
            self.asm().cmp(RAX, Rm::Reg(RSI));
            self.asm().jcc(Cond::Above, end);
            self.asm().align(16);
            self.asm().bind(top);
            block(self, lanes);
            self.asm().add_imm(Rm::Reg(RDX), step);
            self.asm().lea(RAX, Rm::Mem(RDX, step));
            self.asm().cmp(RAX, Rm::Reg(RSI));
            self.asm().jcc(Cond::BelowEqual, top);
            self.asm().bind(end);
        }
        let (top, end) = (self.asm().label(), self.asm().label());
        self.asm().bind(top);
        self.asm().cmp(RDX, Rm::Reg(RSI));
        self.asm().jcc(Cond::AboveEqual, end);
        // The masks are windows of ones followed by zeros that begin `rest` lanes before the zeros.
        self.asm().mov(RAX, Rm::Reg(RSI));
        self.asm().sub(RAX, Rm::Reg(RDX));
        let width = self.width as i32;
        if long {
            let rest = self.asm().label();
            self.asm().cmp_imm(Rm::Reg(RAX), width);
            self.asm().jcc(Cond::BelowEqual, rest);
            self.asm().mov_imm(RAX, width as u64);
            self.asm().bind(rest);
        }
        self.asm().mov_to(Rm::Mem(RSP, COUNT), RAX, 8);
        self.asm().neg(RAX);
        let table = self.tail_masks;
        self.asm().lea(RCX, Rm::Pool(table));
        for (scale, at) in [(2, MASK32), (3, MASK64)] {
            if scale == 2 || self.width == 4 {
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, Rm::Index(RCX, RAX, scale, 32));
                self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, Rm::Mem(RSP, at));
            }
        }
        block(self, Lanes::Tail);
        if long {
            self.asm().add_imm(Rm::Reg(RDX), width);
            self.asm().jmp(top);
        }
        self.asm().bind(end);
    }

    /// The serial loops from depth `d` inwards around `inner`.
    fn serial(&mut self, d: usize, inner: &mut dyn FnMut(&mut Emit)) {
        let Some(&extent) = self.kernel.serial.get(d) else { return inner(self) };
        let counter = Emit::word(self.kernel.layout.serial + d);
        self.asm().store_imm(counter, 0);
        let top = self.asm().label();
        self.asm().align(16);
        self.asm().bind(top);
        self.serial(d + 1, inner);
        self.advance(d, 1);
        self.asm().add_imm(counter, 1);
        self.asm().cmp_imm(counter, extent as i32);
        self.asm().jcc(Cond::Below, top);
        self.advance(d, -(extent as i64));
    }

    /// Moves all pointers by `steps` of serial loop `d`.
    fn advance(&mut self, d: usize, steps: i64) {
        for i in 0..self.kernel.accesses.len() {
            let bytes = self.kernel.accesses[i].serial[d] * steps;
            if bytes != 0 {
                let at = if i < 8 { Rm::Reg(R8 + i as u8) } else { Emit::word(self.kernel.layout.pointers + i) };
                self.asm().add_imm(at, bytes as i32);
            }
        }
    }

    fn constant(&mut self, bits: u64, ty: Ty) -> Rm {
        let mut bytes = [0; 32];
        if ty.is_wide() || ty == Ty::Mask {
            bytes.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&bits.to_le_bytes()));
        } else {
            bytes.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&(bits as u32).to_le_bytes()));
        }
        Rm::Pool(self.out.constant(bytes))
    }

    fn slot(s: u32) -> Rm {
        Rm::Mem(RSP, SLOTS + 32 * s as i32)
    }

    /// Copy `c` of accumulator `k` in a register: its own, or `to` after a load.
    fn accumulator(&mut self, k: usize, c: usize, to: u8) -> u8 {
        match self.accumulators[k] {
            Loc::Reg(r) => r - c as u8,
            Loc::Slot(s) => {
                self.asm().v(op::MOVUPS, 1, to, 0, Emit::slot(s + c as u32));
                to
            }
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    fn neutral(&mut self, k: usize, c: usize) {
        let a = self.kernel.lane.accumulators[k];
        let value = self.constant(a.neutral(), Ty::of(a.dtype));
        match self.accumulators[k] {
            Loc::Reg(r) => self.asm().v(op::MOVUPS, 1, r - c as u8, 0, value),
            Loc::Slot(s) => {
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, value);
                self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, Emit::slot(s + c as u32));
            }
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    /// Straight-line code for the lanes of a block.
    fn code(&mut self, code: &Code, lanes: Lanes) {
        self.lanes = lanes;
        let pinned = self.accumulators.iter().fold(0u16, |m, a| match a {
            Loc::Reg(r) => (0..self.copies as u8).fold(m, |m, c| m | 1 << (r - c)),
            Loc::Slot(_) | Loc::None => m,
        });
        let first = if pinned == 0 { (self.accumulators.len() * self.copies) as u32 } else { 0 };
        self.alloc = Alloc::new(uses(code), lanes.copies(), FREE & !pinned, first);
        for i in 0..code.insts.len() {
            for c in 0..lanes.copies() {
                self.inst(code, i as u32, c);
            }
        }
        self.slots = self.slots.max(self.alloc.slot_count);
    }

    fn take(&mut self, v: Value, at: u32) -> u8 {
        let (r, moved) = self.alloc.take(v, at);
        if let Some(Move::Spill(from, slot)) = moved {
            self.asm().v(op::MOVUPS_TO, 1, from, 0, Emit::slot(slot));
        }
        r
    }

    /// A value as a register operand.
    fn reg(&mut self, code: &Code, v: V, c: usize, at: u32) -> u8 {
        if let Op::Const(bits) = code.insts[v.id as usize].op {
            let value = self.constant(bits, code.insts[v.id as usize].ty);
            let r = if self.scratch_taken { SCRATCH } else { SCRATCH2 };
            self.scratch_taken = true;
            self.asm().v(op::MOVUPS, 1, r, 0, value);
            return r;
        }
        let v = (c, v.id);
        let r = match self.alloc.loc(v) {
            Loc::Reg(r) => r,
            Loc::Slot(s) => {
                let r = self.take(v, at);
                self.asm().v(op::MOVUPS, 1, r, 0, Emit::slot(s));
                r
            }
            Loc::None => unreachable!("values are defined before they are used"),
        };
        self.alloc.locked |= 1 << r;
        r
    }

    /// A value as the last operand.
    fn rm(&mut self, code: &Code, v: V, c: usize) -> Rm {
        if let Op::Const(bits) = code.insts[v.id as usize].op {
            return self.constant(bits, code.insts[v.id as usize].ty);
        }
        match self.alloc.loc((c, v.id)) {
            Loc::Reg(r) => {
                self.alloc.locked |= 1 << r;
                Rm::Reg(r)
            }
            Loc::Slot(s) => Emit::slot(s),
            Loc::None => unreachable!("values are defined before they are used"),
        }
    }

    fn is_const(code: &Code, v: V) -> bool {
        matches!(code.insts[v.id as usize].op, Op::Const(_))
    }

    /// The accumulator's register, if instruction `i` can write its value straight into it.
    fn hint(&self, code: &Code, i: u32, c: usize) -> Option<u8> {
        let set = (i as usize + 1..code.insts.len())
            .take(3)
            .find(|j| matches!(code.insts[*j].op, Op::SetAcc(_, v) if v.id == i))?;
        let Op::SetAcc(k, _) = code.insts[set].op else { return None };
        let Loc::Reg(r) = self.accumulators[k as usize] else { return None };
        let masked = self.lanes == Lanes::Tail && (k as usize) < self.kernel.lane.rows;
        let read_later =
            code.insts.iter().enumerate().any(|(j, inst)| {
                inst.op == Op::Acc(k) && (j > i as usize && j <= set || !self.alloc.dies(j as u32, i))
            });
        (!masked && !read_later && self.alloc.only_use(i, set as u32)).then_some(r - c as u8)
    }

    /// A register for the result, after the registers of operands used last have been freed.
    fn result(&mut self, code: &Code, i: u32, c: usize) -> u8 {
        let mut dead: [Option<u32>; 4] = [None; 4];
        let mut n = 0;
        code.insts[i as usize].op.operands(|v| {
            dead[n] = Some(v.id);
            n += 1;
        });
        for id in dead.into_iter().flatten() {
            if self.alloc.dies(id, i) {
                self.alloc.free_register((c, id));
            }
        }
        if let Some(r) = self.hint(code, i, c) {
            self.alloc.pin((c, i), r);
            return r;
        }
        self.take((c, i), i)
    }

    fn inst(&mut self, code: &Code, i: u32, c: usize) {
        let inst = code.insts[i as usize];
        self.alloc.locked = 0;
        self.scratch_taken = false;
        let (ty, l) = (inst.ty, self.l(inst.ty));
        match inst.op {
            Op::Const(_) => return,
            Op::Load(a, mem) => {
                let d = self.take((c, i), i);
                self.load(a, mem, d, c, ty);
            }
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
                let mut bytes = [0u8; 32];
                for e in 0..self.width {
                    let x = (e + c * self.width) as u64;
                    if ty.is_wide() {
                        bytes[8 * e..][..8].copy_from_slice(&x.to_le_bytes());
                    } else {
                        bytes[4 * e..][..4].copy_from_slice(&(x as u32).to_le_bytes());
                    }
                }
                let steps = Rm::Pool(self.out.constant(bytes));
                self.asm().mov(RAX, Emit::word(1));
                self.asm().add(RAX, Rm::Reg(RDX));
                self.asm().v(op::MOVQ, 0, d, 0, Rm::Reg(RAX));
                let (spread, add) =
                    if ty.is_wide() { (op::BROADCAST_Q, op::PADDQ) } else { (op::BROADCAST_D, op::PADDD) };
                self.asm().v(spread, 1, d, 0, Rm::Reg(d));
                self.asm().v(add, 1, d, d, steps);
            }
            Op::Acc(k) => match self.accumulators[k as usize] {
                Loc::Reg(r) => self.alloc.pin((c, i), r - c as u8),
                Loc::Slot(_) | Loc::None => {
                    let d = self.take((c, i), i);
                    self.accumulator(k as usize, c, d);
                }
            },
            Op::SetAcc(k, v) => self.set_accumulator(code, k as usize, v, c, i),
            Op::Bin(b, x, y) => {
                let (x, y) = if op::commutes(b) && Emit::is_const(code, x) { (y, x) } else { (x, y) };
                let (p, q) = (self.reg(code, x, c, i), self.rm(code, y, c));
                let d = self.result(code, i, c);
                self.asm().v(op::bin(b, ty), l, d, p, q);
            }
            Op::Fused(kind, x, y, z) => self.fused(code, kind, [x, y, z], c, i, ty),
            Op::Cmp(p, x, y) => self.compare(code, p, x, y, c, i),
            Op::Select(m, x, y) => {
                let mask = self.reg(code, m, c, i);
                let other = self.reg(code, y, c, i);
                let one = self.rm(code, x, c);
                let mask = if l == 0 { self.narrow_mask(mask) } else { mask };
                let d = self.result(code, i, c);
                let wide = ty.is_wide() || (ty == Ty::Mask && self.width == 4);
                self.asm().vi(if wide { op::BLENDPD } else { op::BLENDPS }, l, d, other, one, mask << 4);
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
            Op::Call(f, x, y, guard) => {
                let call = thunk::Call {
                    function: f,
                    wide: (x.ty.is_wide(), ty.is_wide()),
                    guarded: guard.is_some(),
                    wide_mask: self.width == 4,
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

    fn broadcast(&mut self, word: usize, ty: Ty, c: usize, i: u32) {
        let d = self.take((c, i), i);
        let wide = ty.is_wide() || (ty == Ty::Mask && self.width == 4);
        let l = self.l(ty);
        self.asm().v(if wide { op::BROADCAST64 } else { op::BROADCAST32 }, l, d, 0, Emit::word(word));
    }

    fn set_accumulator(&mut self, code: &Code, k: usize, v: V, c: usize, i: u32) {
        let masked = self.lanes == Lanes::Tail && k < self.kernel.lane.rows;
        let value = self.reg(code, v, c, i);
        let own = self.accumulators[k];
        if masked {
            let old = match own {
                Loc::Reg(r) => r - c as u8,
                Loc::Slot(_) | Loc::None => {
                    // The old value and the mask need both scratch registers; the value is in neither unless it is a constant.
                    self.accumulator(k, c, SCRATCH2)
                }
            };
            let wide = v.ty.is_wide() || (v.ty == Ty::Mask && self.width == 4);
            let (mask, blend) = if wide { (MASK64, op::BLENDPD) } else { (MASK32, op::BLENDPS) };
            self.asm().v(op::MOVUPS, 1, SCRATCH, 0, Rm::Mem(RSP, mask));
            self.asm().vi(blend, 1, old, old, Rm::Reg(value), SCRATCH << 4);
            if let Loc::Slot(s) = own {
                self.asm().v(op::MOVUPS_TO, 1, old, 0, Emit::slot(s + c as u32));
            }
            return;
        }
        match own {
            Loc::Reg(r) if r - c as u8 == value => {}
            Loc::Reg(r) => self.asm().v(op::MOVAPS, 1, r - c as u8, 0, Rm::Reg(value)),
            Loc::Slot(s) => self.asm().v(op::MOVUPS_TO, 1, value, 0, Emit::slot(s + c as u32)),
            Loc::None => unreachable!("accumulators have places"),
        }
    }

    /// Leaves row reduction `k` in the first word of its partials (whose address is in `rax`), combined in a fixed tree of copies and lanes;
    /// or all of its vectors where a combination is no single instruction.
    fn fold(&mut self, k: usize) {
        let a = self.kernel.lane.accumulators[k];
        let to = |c: usize| Rm::Mem(RAX, (8 * PARTIAL_WORDS * k + 32 * c) as i32);
        if !super::folds(&a) {
            for c in 0..self.copies {
                let r = self.accumulator(k, c, SCRATCH);
                self.asm().v(op::MOVUPS_TO, 1, r, 0, to(c));
            }
            return;
        }
        let ty = Ty::of(a.dtype);
        // No values live any more: low registers are free, `0` for the sum, `1` and `2` for steps.
        let mut n = self.copies;
        let mut copies: Vec<u8> = (0..n).map(|c| self.accumulator(k, c, c as u8)).collect();
        while n > 1 {
            let half = n.div_ceil(2);
            for c in 0..n - half {
                let (p, q) = (copies[c], copies[c + half]);
                self.combine(&a, 1, p, q);
                copies[c] = p;
            }
            n = half;
        }
        let r = copies[0];
        let wide = ty.is_wide() || (ty == Ty::Mask && self.width == 4);
        if self.l(ty) == 1 {
            self.asm().vi(op::EXTRACT128, 1, r, 0, Rm::Reg(SCRATCH2), 1);
            self.combine(&a, 0, r, SCRATCH2);
        }
        self.asm().vi(op::PSHUFD, 0, SCRATCH2, 0, Rm::Reg(r), 0x4E);
        self.combine(&a, 0, r, SCRATCH2);
        if !wide {
            self.asm().vi(op::PSHUFD, 0, SCRATCH2, 0, Rm::Reg(r), 0xB1);
            self.combine(&a, 0, r, SCRATCH2);
        }
        self.asm().v(op::MOVQ_TO, 0, r, 0, to(0));
    }

    /// `x = x ∘ y` in registers, by way of the scratch register.
    fn combine(&mut self, a: &crate::lane::Accumulator, l: u8, x: u8, y: u8) {
        let ty = Ty::of(a.dtype);
        let instruction = |b| op::bin(b, ty);
        let b = match (a.monoid, ty) {
            (Monoid::Sum | Monoid::Max, Ty::Mask) => Bin::Or,
            (Monoid::Prod | Monoid::Min, Ty::Mask) => Bin::And,
            (Monoid::Sum | Monoid::LogAddExp, _) => Bin::Add,
            (Monoid::Prod, _) => Bin::Mul,
            (Monoid::Max, _) => Bin::Max,
            (Monoid::Min, _) => Bin::Min,
        };
        if ty.is_float() && matches!(b, Bin::Max | Bin::Min) {
            // The instruction gives `y` where either is NaN; where `x` is, `x` stays.
            let (compare, blend) = if ty.is_wide() { (op::CMPPD, op::BLENDPD) } else { (op::CMPPS, op::BLENDPS) };
            self.asm().vi(compare, l, SCRATCH, x, Rm::Reg(x), 3);
            self.asm().v(instruction(b), l, y, x, Rm::Reg(y));
            self.asm().vi(blend, l, x, y, Rm::Reg(x), SCRATCH << 4);
        } else {
            self.asm().v(instruction(b), l, x, x, Rm::Reg(y));
        }
    }

    /// A mask of 64-bit lanes as one of 32-bit lanes in the scratch register.
    fn narrow_mask(&mut self, mask: u8) -> u8 {
        self.asm().vi(op::EXTRACT128, 1, mask, 0, Rm::Reg(SCRATCH), 1);
        self.asm().vi(op::SHUFPS, 0, SCRATCH, mask, Rm::Reg(SCRATCH), 0x88);
        SCRATCH
    }

    fn compare(&mut self, code: &Code, p: Pred, x: V, y: V, c: usize, i: u32) {
        let ty = x.ty;
        let l = self.l(ty);
        // Integers have "greater" only.
        let (x, y) = if !ty.is_float() && p == Pred::Lt { (y, x) } else { (x, y) };
        let (a, b) = (self.reg(code, x, c, i), self.rm(code, y, c));
        let d = self.result(code, i, c);
        if ty.is_float() {
            let how = match p {
                Pred::Eq => 0,
                Pred::Unordered => 3,
                Pred::Ne => 4,
                Pred::Lt => 17,
                Pred::Le => 18,
            };
            self.asm().vi(if ty == Ty::F64 { op::CMPPD } else { op::CMPPS }, l, d, a, b, how);
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

    fn convert(&mut self, code: &Code, k: Conv, x: V, c: usize, i: u32) {
        // Where lanes differ in width, `width` is 4: the 64-bit side fills a register.
        let from = if matches!(k, Conv::I64ToI32) { Rm::Reg(self.reg(code, x, c, i)) } else { self.rm(code, x, c) };
        let l = u8::from(self.width == 8);
        let d = self.result(code, i, c);
        match k {
            Conv::F32ToF64 => self.asm().v(op::PS2PD, 1, d, 0, from),
            Conv::F64ToF32 => self.asm().v(op::PD2PS, 1, d, 0, from),
            Conv::I32ToF32 => self.asm().v(op::DQ2PS, l, d, 0, from),
            Conv::I32ToF64 => self.asm().v(op::DQ2PD, 1, d, 0, from),
            Conv::F32ToI32 => self.asm().v(op::TPS2DQ, l, d, 0, from),
            Conv::F64ToI32 => self.asm().v(op::TPD2DQ, 1, d, 0, from),
            Conv::I32ToI64 => self.asm().v(op::SX32Q, 1, d, 0, from),
            Conv::I64ToI32 => {
                let Rm::Reg(r) = from else { unreachable!("taken as a register above") };
                self.asm().vi(op::EXTRACT128, 1, r, 0, Rm::Reg(SCRATCH), 1);
                self.asm().vi(op::SHUFPS, 0, d, r, Rm::Reg(SCRATCH), 0x88);
            }
            Conv::RoundF16 => {
                let r = match from {
                    Rm::Reg(r) => r,
                    Rm::Mem(..) | Rm::Index(..) | Rm::Pool(_) => {
                        self.asm().v(op::MOVUPS, 1, SCRATCH, 0, from);
                        SCRATCH
                    }
                };
                self.asm().vi(op::PS2PH, l, r, 0, Rm::Reg(SCRATCH), 0);
                self.asm().v(op::PH2PS, l, d, 0, Rm::Reg(SCRATCH));
            }
        }
    }

    /// The form by which operand dies: its register takes the result.
    fn fused(&mut self, code: &Code, kind: Fused, [x, y, z]: [V; 3], c: usize, i: u32, ty: Ty) {
        let l = self.l(ty);
        let base = match kind {
            Fused::Add => 0x98,
            Fused::Sub => 0x9A,
            Fused::NegAdd => 0x9C,
        };
        let form = |order: u8| Vop(2, 1, u8::from(ty.is_wide()), base + order);
        let (f132, f213, f231) = (form(0), form(0x10), form(0x20));
        let constant = |v: V| Emit::is_const(code, v);
        let (x, y) = if constant(x) { (y, x) } else { (x, y) };
        let hint = self.hint(code, i, c);
        let in_accumulator = hint.is_some_and(|r| self.alloc.loc((c, z.id)) == Loc::Reg(r) && !constant(z));
        // Operands in registers first, so that what dies is known.
        let p = self.reg(code, x, c, i);
        if let Some(d) = hint.filter(|_| in_accumulator) {
            let q = self.rm(code, y, c);
            self.alloc.pin((c, i), d);
            return self.asm().v(f231, l, d, p, q);
        }
        let dying = |e: &Emit, v: V| match e.alloc.loc((c, v.id)) {
            Loc::Reg(r) if e.alloc.owns((c, v.id), r) && e.alloc.dies(v.id, i) => Some(r),
            Loc::Reg(_) | Loc::Slot(_) | Loc::None => None,
        };
        let give = |e: &mut Emit, v: V, r: u8| {
            e.alloc.free_register((c, v.id));
            e.alloc.put((c, i), r);
        };
        let same = x.id == y.id;
        if let Some(r) = dying(self, x).filter(|_| !constant(y) && (z.id != x.id)) {
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
        } else if let Some(r) = dying(self, x).filter(|_| constant(y) && z.id != x.id) {
            let s = self.reg(code, z, c, i);
            let q = self.rm(code, y, c);
            give(self, x, r);
            self.asm().v(f132, l, r, s, q);
        } else {
            let (q, s) = (self.rm(code, y, c), self.rm(code, z, c));
            let d = self.take((c, i), i);
            self.asm().v(op::MOVUPS, 1, d, 0, s);
            self.asm().v(f231, l, d, p, q);
        }
    }

    /// The register that holds the pointer of an access.
    fn pointer(&mut self, a: usize) -> u8 {
        if a < 8 {
            return R8 + a as u8;
        }
        let at = self.kernel.layout.pointers + a;
        self.asm().mov(RAX, Emit::word(at));
        RAX
    }

    /// Copies elements of `size` bytes between memory at `rax` with `stride` and the bounce buffer.
    fn bounce(&mut self, stride: i32, size: usize, first: i32, out: bool) {
        let scale = size.trailing_zeros() as u8;
        if let Lanes::Full(_) = self.lanes {
            for e in 0..self.width as i32 {
                let (there, here) = (Rm::Mem(RAX, first + e * stride), Rm::Mem(RSP, BOUNCE + e * size as i32));
                let (from, to) = if out { (here, there) } else { (there, here) };
                self.asm().mov_from(RCX, from, size, false);
                self.asm().mov_to(to, RCX, size);
            }
            return;
        }
        let top = self.asm().label();
        self.asm().zero(RCX);
        self.asm().bind(top);
        let (there, here) = (Rm::Mem(RAX, 0), Rm::Index(RSP, RCX, scale, BOUNCE));
        // `rsp` is no index: it is the base here.
        let (from, to) = if out { (here, there) } else { (there, here) };
        self.asm().mov_from(RBX, from, size, false);
        self.asm().mov_to(to, RBX, size);
        self.asm().add_imm(Rm::Reg(RAX), stride);
        self.asm().add_imm(Rm::Reg(RCX), 1);
        self.asm().cmp(RCX, Rm::Mem(RSP, COUNT));
        self.asm().jcc(Cond::Below, top);
    }

    /// `rax` = the place of this block's first lane of a strided access.
    fn strided(&mut self, a: usize, stride: i32) {
        self.asm().imul(RAX, Rm::Reg(RDX), stride);
        let base = if a < 8 { Rm::Reg(R8 + a as u8) } else { Emit::word(self.kernel.layout.pointers + a) };
        self.asm().add(RAX, base);
    }

    fn load(&mut self, a: u32, mem: Mem, d: u8, c: usize, ty: Ty) {
        let a = a as usize;
        let (stride, size) = (self.kernel.accesses[a].lane as i32, mem.size());
        let wide = mem == Mem::B64;
        let l = self.l(ty);
        let tail = self.lanes == Lanes::Tail;
        let first = (c * self.width) as i32 * stride;
        if stride == 0 {
            let at = Rm::Mem(self.pointer(a), 0);
            return self.load_one(mem, at, d, ty);
        }
        let at = if stride as usize == size && stride > 0 {
            let at = Rm::Index(self.pointer(a), RDX, size.trailing_zeros() as u8, first);
            if tail && size >= 4 {
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, Rm::Mem(RSP, if wide { MASK64 } else { MASK32 }));
                let load = if wide { op::MASKLOAD64 } else { op::MASKLOAD32 };
                return self.asm().v(load, l, d, SCRATCH, at);
            }
            if tail {
                self.strided(a, stride);
                self.bounce(stride, size, 0, false);
                Rm::Mem(RSP, BOUNCE)
            } else {
                at
            }
        } else {
            self.strided(a, stride);
            self.bounce(stride, size, first, false);
            Rm::Mem(RSP, BOUNCE)
        };
        match mem {
            Mem::B32 | Mem::B64 => self.asm().v(op::MOVUPS, l, d, 0, at),
            Mem::U8 => self.asm().v(op::ZX8D, l, d, 0, at),
            Mem::I8 => self.asm().v(op::SX8D, l, d, 0, at),
            Mem::U16 => self.asm().v(op::ZX16D, l, d, 0, at),
            Mem::I16 => self.asm().v(op::SX16D, l, d, 0, at),
            Mem::F16 => self.asm().v(op::PH2PS, l, d, 0, at),
            Mem::Bool => {
                let (extend, greater) = if self.width == 8 { (op::ZX8D, op::PCMPGTD) } else { (op::ZX8Q, op::PCMPGTQ) };
                self.asm().v(extend, 1, d, 0, at);
                self.asm().v(op::PXOR, 1, SCRATCH, SCRATCH, Rm::Reg(SCRATCH));
                self.asm().v(greater, 1, d, d, Rm::Reg(SCRATCH));
            }
        }
    }

    /// One element in all lanes.
    fn load_one(&mut self, mem: Mem, at: Rm, d: u8, ty: Ty) {
        let l = self.l(ty);
        let size = mem.size();
        match mem {
            Mem::B32 => return self.asm().v(op::BROADCAST32, l, d, 0, at),
            Mem::B64 => return self.asm().v(op::BROADCAST64, 1, d, 0, at),
            Mem::U8 | Mem::U16 | Mem::F16 | Mem::Bool => self.asm().mov_from(RAX, at, size, false),
            Mem::I8 | Mem::I16 => self.asm().mov_from(RAX, at, size, true),
        }
        if mem == Mem::Bool {
            self.asm().neg(RAX);
        }
        self.asm().v(op::MOVQ, 0, d, 0, Rm::Reg(RAX));
        if mem == Mem::F16 {
            self.asm().v(op::PH2PS, 0, d, 0, Rm::Reg(d));
        }
        let spread = if mem == Mem::Bool && self.width == 4 { op::BROADCAST_Q } else { op::BROADCAST_D };
        self.asm().v(spread, 1, d, 0, Rm::Reg(d));
    }

    fn store(&mut self, code: &Code, a: u32, mem: Mem, v: V, c: usize, i: u32) {
        let a = a as usize;
        let (stride, size) = (self.kernel.accesses[a].lane as i32, mem.size());
        let r = self.reg(code, v, c, i);
        let wide = mem == Mem::B64;
        let l = self.l(v.ty);
        let tail = self.lanes == Lanes::Tail;
        let dense = stride > 0 && stride as usize == size;
        let first = (c * self.width) as i32 * stride;
        if dense && size >= 4 {
            let at = Rm::Index(self.pointer(a), RDX, size.trailing_zeros() as u8, first);
            if tail {
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, Rm::Mem(RSP, if wide { MASK64 } else { MASK32 }));
                return self.asm().v(if wide { op::MASKSTORE64 } else { op::MASKSTORE32 }, l, r, SCRATCH, at);
            }
            return self.asm().v(op::MOVUPS_TO, l, r, 0, at);
        }
        if dense && !tail {
            // Narrow elements need `rax`: the pointer must not be there.
            let base = if a < 8 { R8 + a as u8 } else { RCX };
            if a >= 8 {
                let at = self.kernel.layout.pointers + a;
                self.asm().mov(RCX, Emit::word(at));
            }
            return self.store_packed(mem, r, Rm::Index(base, RDX, size.trailing_zeros() as u8, first));
        }
        self.store_packed(mem, r, Rm::Mem(RSP, BOUNCE));
        self.strided(a, stride);
        self.bounce(stride, size, if tail { 0 } else { first }, true);
    }

    /// A whole vector of elements, one after the other.
    fn store_packed(&mut self, mem: Mem, r: u8, at: Rm) {
        let full = self.width == 8;
        let shuffle = |step: u8, size: u8| {
            let mut bytes = [0x80u8; 32];
            for half in 0..2 {
                for e in 0..4u8 {
                    for b in 0..size {
                        bytes[(half * 16 + e * size + b) as usize] = e * step + b;
                    }
                }
            }
            bytes
        };
        match mem {
            Mem::B32 => self.asm().v(op::MOVUPS_TO, u8::from(full), r, 0, at),
            Mem::B64 => self.asm().v(op::MOVUPS_TO, 1, r, 0, at),
            Mem::F16 => self.asm().vi(op::PS2PH, u8::from(full), r, 0, at, 0),
            Mem::Bool => {
                let ones = self.constant(0x0101_0101_0101_0101, Ty::I64);
                self.asm().v(if full { op::MOVMSKPS } else { op::MOVMSKPD }, 1, RAX, 0, Rm::Reg(r));
                self.asm().v(op::PDEP, 0, RAX, RAX, ones);
                let bytes = self.width;
                self.asm().mov_to(at, RAX, bytes);
            }
            Mem::I8 | Mem::U8 | Mem::I16 | Mem::U16 => {
                let bytes = mem.size() as u8;
                let table = self.out.constant(shuffle(4, bytes));
                self.asm().v(op::PSHUFB, u8::from(full), SCRATCH, r, Rm::Pool(table));
                if full {
                    self.asm().vi(op::EXTRACT128, 1, SCRATCH, 0, Rm::Reg(SCRATCH2), 1);
                    let join = if bytes == 1 { op::UNPACK_LDQ } else { op::UNPACK_LQDQ };
                    self.asm().v(join, 0, SCRATCH, SCRATCH, Rm::Reg(SCRATCH2));
                }
                match self.width as u8 * bytes {
                    4 => self.asm().v(op::MOVD_TO, 0, SCRATCH, 0, at),
                    8 => self.asm().v(op::MOVQ_TO, 0, SCRATCH, 0, at),
                    _ => self.asm().v(op::MOVUPS_TO, 0, SCRATCH, 0, at),
                }
            }
        }
    }

    fn call(&mut self, code: &Code, call: thunk::Call, args: [V; 2], guard: Option<(V, V)>, c: usize, i: u32) {
        let call = Arc::new(call);
        let address = Arc::as_ptr(&call);
        self.out.calls.push(call);
        let mask = guard.map(|(m, _)| self.reg(code, m, c, i));
        let mut operands = [Some(self.rm(code, args[0], c)), Some(self.rm(code, args[1], c)), mask.map(Rm::Reg), None];
        if let Some((_, fast)) = guard {
            operands[3] = Some(self.rm(code, fast, c));
        }
        let accumulators = self.accumulators.iter().fold(0u16, |m, a| match a {
            Loc::Reg(r) => (0..self.copies as u8).fold(m, |m, c| m | 1 << (r - c)),
            Loc::Slot(_) | Loc::None => m,
        });
        let saved = self.alloc.in_use() | accumulators;
        // The result takes the register of the fast value where that dies; room is made before the code forks.
        let inherited = guard.and_then(|(_, fast)| match self.alloc.loc((c, fast.id)) {
            Loc::Reg(r) if self.alloc.owns((c, fast.id), r) && self.alloc.dies(fast.id, i) => Some((fast, r)),
            Loc::Reg(_) | Loc::Slot(_) | Loc::None => None,
        });
        let to = match inherited {
            Some((fast, r)) => {
                self.alloc.free_register((c, fast.id));
                self.alloc.put((c, i), r);
                r
            }
            None => self.take((c, i), i),
        };
        let join = self.asm().label();
        let entry = mask.map(|_| self.asm().label());
        let slow = Slow {
            entry,
            join,
            saved,
            operands,
            to,
            call: address,
            first: (c * self.width) as i32,
            tail: self.lanes == Lanes::Tail,
        };
        if let (Some(mask), Some(entry)) = (mask, entry) {
            let test = if self.width == 8 { op::MOVMSKPS } else { op::MOVMSKPD };
            self.asm().v(test, 1, RAX, 0, Rm::Reg(mask));
            self.asm().test(RAX);
            self.asm().jcc(Cond::NotZero, entry);
            if let (None, Some(fast)) = (inherited, operands[3]) {
                self.asm().v(op::MOVUPS, 1, to, 0, fast);
            }
            self.asm().bind(join);
            self.slow.push(slow);
        } else {
            self.slow_call(&slow);
            self.asm().bind(join);
        }
    }

    fn slow_call(&mut self, slow: &Slow) {
        if let Some(entry) = slow.entry {
            self.asm().bind(entry);
        }
        let registers = (0..16u8).filter(|r| slow.saved >> r & 1 == 1);
        for r in registers.clone() {
            self.asm().v(op::MOVUPS_TO, 1, r, 0, Rm::Mem(RSP, SAVED + 32 * i32::from(r)));
        }
        for (k, operand) in slow.operands.iter().enumerate() {
            let at = Rm::Mem(RSP, AREA + 32 * k as i32);
            match operand {
                None => {}
                Some(Rm::Reg(r)) => self.asm().v(op::MOVUPS_TO, 1, *r, 0, at),
                Some(memory) => {
                    self.asm().v(op::MOVUPS, 1, SCRATCH, 0, *memory);
                    self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, at);
                }
            }
        }
        let saved = [RSI, RDX, RDI, R8, 9, 10, 11];
        for (k, r) in saved.into_iter().enumerate() {
            self.asm().mov_to(Rm::Mem(RSP, SAVED_GPR + 8 * k as i32), r, 8);
        }
        self.asm().vzeroupper();
        self.asm().mov(R8, Rm::Reg(RDI));
        self.asm().lea(RCX, Rm::Mem(RDX, slow.first));
        if slow.tail {
            self.asm().mov(RDX, Rm::Mem(RSP, COUNT));
        } else {
            let width = self.width as u64;
            self.asm().mov_imm(RDX, width);
        }
        self.asm().lea(RSI, Rm::Mem(RSP, AREA));
        self.asm().mov_imm(RDI, slow.call as u64);
        self.asm().mov_imm(RAX, thunk::call as *const () as u64);
        self.asm().call(RAX);
        for (k, r) in saved.into_iter().enumerate() {
            self.asm().mov(r, Rm::Mem(RSP, SAVED_GPR + 8 * k as i32));
        }
        for r in registers {
            self.asm().v(op::MOVUPS, 1, r, 0, Rm::Mem(RSP, SAVED + 32 * i32::from(r)));
        }
        self.asm().v(op::MOVUPS, 1, slow.to, 0, Rm::Mem(RSP, AREA + 96));
        if slow.entry.is_some() {
            self.asm().jmp(slow.join);
        }
    }
}
