//! Stages to machine code.
//!
//! Registers: `rdi` the frame, `rsi` the number of lanes, `rdx` the lane, `r8`–`r15` the pointers of the first accesses, `rax`, `rcx`, `rbx`
//! for addresses; `ymm14` and `ymm15` for constants and steps inside an operation, the others for accumulators and values.

use super::alloc::{Alloc, Loc};
use super::asm::gpr::{R8, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP};
use super::asm::{Asm, Cond, Label, Rm};
use super::{Assembler, op, thunk};
use crate::frame::{HEADER, ROWS};
use crate::kernel::StageKernel;
use crate::lane::{Code, Op, Ty};

/// Registers for values and accumulators.
pub(super) const FREE: u16 = 0x3fff;
pub(super) const SCRATCH: u8 = 15;
pub(super) const SCRATCH2: u8 = 14;

/// Bodies of more instructions than this are emitted for full blocks and masked vectors only.
pub(super) const LONG: usize = 48;

/// The stack, from `rsp`.
pub(super) const AREA: i32 = 0;
pub(super) const BOUNCE: i32 = 128;
pub(super) const MASK32: i32 = 192;
pub(super) const MASK64: i32 = 224;
pub(super) const COUNT: i32 = 256;
pub(super) const SAVED_GPR: i32 = 264;
pub(super) const SAVED: i32 = 352;
pub(super) const SLOTS: i32 = SAVED + 16 * 32;

/// Which lanes a block has.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Lanes {
    /// This many full vectors.
    Full(usize),
    /// One vector, masked.
    Tail,
}

impl Lanes {
    pub(super) fn copies(self) -> usize {
        match self {
            Lanes::Full(n) => n,
            Lanes::Tail => 1,
        }
    }
}

/// A call of a scalar function, out of line.
pub(super) struct Slow {
    pub(super) entry: Option<Label>,
    pub(super) join: Label,
    pub(super) saved: u16,
    pub(super) operands: [Option<Rm>; 4],
    pub(super) to: u8,
    pub(super) call: *const thunk::Call,
    pub(super) first: i32,
    pub(super) tail: bool,
}

pub(super) struct Emit<'a> {
    pub(super) out: &'a mut Assembler,
    pub(super) kernel: &'a StageKernel,
    /// Lanes of a vector.
    pub(super) width: usize,
    pub(super) copies: usize,
    /// Register, or slot, of each accumulator's first copy.
    pub(super) accumulators: Vec<Loc>,
    pub(super) slots: u32,
    pub(super) slow: Vec<Slow>,
    pub(super) tail_masks: u32,
    pub(super) lanes: Lanes,
    pub(super) alloc: Alloc,
    pub(super) scratch_taken: bool,
    /// Whether the stage is part of a function of rows: it always has all lanes, and its reductions go to the row scalars.
    pub(super) whole: bool,
    /// The lanes of the masked vector, where they are known.
    pub(super) rest: Option<usize>,
}

/// General registers that functions save.
const CALLEE_SAVED: [u8; 6] = [RBP, RBX, 12, 13, 14, 15];

/// Emits the function of a stage at the end of the code; the number of interleaved copies.
pub fn stage(out: &mut Assembler, kernel: &StageKernel, width: usize) -> usize {
    let frame_size = begin(&mut out.asm);
    let mut e = emit(out, kernel, width, false);
    e.asm().mov(RSI, Emit::word(0));
    e.stage();
    let (copies, slots) = (e.copies, e.slots);
    let slow = std::mem::take(&mut e.slow);
    end(e.asm());
    slow.iter().for_each(|s| e.slow_call(s));
    set_frame_size(&mut out.asm, frame_size, slots);
    copies
}

/// Emits a function that runs all stages for as many rows as the frame says, one step of the innermost outer loop apart; the
/// places of the stages.
pub fn rows(out: &mut Assembler, kernels: &[StageKernel]) -> Vec<usize> {
    let frame_size = begin(&mut out.asm);
    let top = out.asm.label();
    out.asm.bind(top);
    let mut slots = 0;
    let mut places = Vec::with_capacity(kernels.len());
    for kernel in kernels {
        places.push(out.asm.code.len());
        let mut e = emit(out, kernel, super::width(kernel), true);
        e.asm().mov_imm(RSI, kernel.lanes as u64);
        e.stage();
        slots = slots.max(e.slots);
        let slow = std::mem::take(&mut e.slow);
        if !slow.is_empty() {
            let next = e.asm().label();
            e.asm().jmp(next);
            slow.iter().for_each(|s| e.slow_call(s));
            e.asm().bind(next);
        }
    }
    for kernel in kernels {
        for (i, a) in kernel.accesses.iter().enumerate() {
            let step = a.step();
            if step != 0 {
                out.asm.add_imm(Emit::word(kernel.layout.pointers + i), step as i32);
            }
        }
    }
    // The last outer index stands before the row scalars.
    if let Some(kernel) = kernels.first().filter(|k| k.layout.scalars > HEADER) {
        out.asm.add_imm(Emit::word(kernel.layout.scalars - 1), 1);
    }
    out.asm.add_imm(Emit::word(ROWS), -1);
    out.asm.jcc(Cond::NotZero, top);
    end(&mut out.asm);
    set_frame_size(&mut out.asm, frame_size, slots);
    places
}

/// Begins a function; where the size of its stack is to be written.
fn begin(asm: &mut Asm) -> usize {
    for r in CALLEE_SAVED {
        asm.push(r);
    }
    asm.mov(RBP, Rm::Reg(RSP));
    asm.add_imm(Rm::Reg(RSP), 0);
    let frame_size = asm.code.len() - 4;
    asm.and_imm(Rm::Reg(RSP), -32);
    frame_size
}

fn end(asm: &mut Asm) {
    asm.vzeroupper();
    asm.mov(RSP, Rm::Reg(RBP));
    for r in CALLEE_SAVED.into_iter().rev() {
        asm.pop(r);
    }
    asm.ret();
}

fn set_frame_size(asm: &mut Asm, at: usize, slots: u32) {
    let bytes = SLOTS + 32 * slots as i32;
    asm.code[at..at + 4].copy_from_slice(&(-bytes).to_le_bytes());
}

fn emit<'a>(out: &'a mut Assembler, kernel: &'a StageKernel, width: usize, whole: bool) -> Emit<'a> {
    let mut copies = copies(kernel);
    if whole {
        copies = copies.min((kernel.lanes / width).max(1));
    }
    let count = kernel.lane.accumulators.len() * copies;
    let in_registers = count <= 6;
    let accumulators = (0..kernel.lane.accumulators.len())
        .map(|k| if in_registers { Loc::Reg(13 - (k * copies) as u8) } else { Loc::Slot((k * copies) as u32) })
        .collect();
    let tail_masks = out.asm.pool.len() as u32;
    for half in [[0xff; 32], [0; 32]] {
        out.asm.pool.extend_from_slice(&half);
    }
    Emit {
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
        whole,
        rest: None,
    }
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
    pub(super) fn asm(&mut self) -> &mut Asm {
        &mut self.out.asm
    }

    pub(super) fn word(i: usize) -> Rm {
        Rm::Mem(RDI, 8 * i as i32)
    }

    /// 1 where values of `ty` fill 256 bits.
    pub(super) fn l(&self, ty: Ty) -> u8 {
        u8::from(self.width == 8 || ty.is_wide() || ty == Ty::Mask)
    }

    /// The serial loops and lanes of the stage.
    fn stage(&mut self) {
        let pointers = self.kernel.accesses.len().min(8);
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
        if columns && self.kernel.columns_in_memory {
            // Whole rows, one after the other, as they stand in memory.
            let own = self.kernel.lane.rows..self.kernel.lane.accumulators.len();
            self.blocks(self.copies, &|e, lanes| {
                own.clone().for_each(|k| (0..lanes.copies()).for_each(|c| e.neutral(k, c)));
                e.columns(lanes, true);
            });
            if points > 0 {
                self.serial(0, &mut |e| {
                    e.blocks(e.copies, &|e, lanes| {
                        e.columns(lanes, false);
                        e.code(&body, lanes);
                        e.columns(lanes, true);
                    });
                });
            }
            self.blocks(self.copies, &|e, lanes| {
                e.columns(lanes, false);
                e.code(&after, lanes);
            });
        } else if columns {
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
    }

    /// The lanes in blocks of `copies` vectors, single vectors and the masked rest; long bodies, whose code is what costs, mask
    /// single vectors too.
    pub(super) fn blocks(&mut self, copies: usize, block: &dyn Fn(&mut Emit, Lanes)) {
        self.asm().zero(RDX);
        let long = self.kernel.lane.body.insts.len() > LONG;
        // The body at most twice, if it is long.
        let rest = self.kernel.lanes % (copies * self.width);
        if self.whole && (!long || copies == 1 || rest < self.width || rest.is_multiple_of(self.width)) {
            return self.known_blocks(copies, block);
        }
        let mut copies_done = false;
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

    /// As [`Emit::blocks`] where the number of lanes is that of the kernel: what does not happen has no code.
    fn known_blocks(&mut self, copies: usize, block: &dyn Fn(&mut Emit, Lanes)) {
        let mut rest = self.kernel.lanes;
        for copies in if copies > 1 { vec![copies, 1] } else { vec![1] } {
            let step = copies * self.width;
            let times = rest / step;
            rest %= step;
            if times == 0 {
                continue;
            }
            let end = (self.kernel.lanes - rest) as i32;
            let top = self.asm().label();
            if times > 1 {
                self.asm().align(16);
            }
            self.asm().bind(top);
            block(self, Lanes::Full(copies));
            self.asm().add_imm(Rm::Reg(RDX), step as i32);
            if times > 1 {
                self.asm().cmp_imm(Rm::Reg(RDX), end);
                self.asm().jcc(Cond::Below, top);
            }
        }
        if rest == 0 {
            return;
        }
        self.asm().store_imm(Rm::Mem(RSP, COUNT), rest as i32);
        for (scale, at) in [(2, MASK32), (3, MASK64)] {
            if scale == 2 || self.width == 4 {
                let mask = Rm::Pool(self.tail_masks + 32 - ((rest as u32) << scale));
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, mask);
                self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, Rm::Mem(RSP, at));
            }
        }
        self.rest = Some(rest);
        block(self, Lanes::Tail);
        self.rest = None;
    }

    /// The serial loops from depth `d` inwards around `inner`.
    pub(super) fn serial(&mut self, d: usize, inner: &mut dyn FnMut(&mut Emit)) {
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
    pub(super) fn advance(&mut self, d: usize, steps: i64) {
        for i in 0..self.kernel.accesses.len() {
            let bytes = self.kernel.accesses[i].serial[d] * steps;
            if bytes != 0 {
                let at = if i < 8 { Rm::Reg(R8 + i as u8) } else { Emit::word(self.kernel.layout.pointers + i) };
                self.asm().add_imm(at, bytes as i32);
            }
        }
    }

    pub(super) fn constant(&mut self, bits: u64, ty: Ty) -> Rm {
        let mut bytes = [0; 32];
        if ty.is_wide() || ty == Ty::Mask {
            bytes.chunks_exact_mut(8).for_each(|c| c.copy_from_slice(&bits.to_le_bytes()));
        } else {
            bytes.chunks_exact_mut(4).for_each(|c| c.copy_from_slice(&(bits as u32).to_le_bytes()));
        }
        Rm::Pool(self.out.constant(bytes))
    }

    pub(super) fn slot(s: u32) -> Rm {
        Rm::Mem(RSP, SLOTS + 32 * s as i32)
    }

    /// Straight-line code for the lanes of a block.
    pub(super) fn code(&mut self, code: &Code, lanes: Lanes) {
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
}
