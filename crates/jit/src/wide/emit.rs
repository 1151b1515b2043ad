//! Stages to machine code.
//!
//! Registers: `rdi` the frame, `rsi` the number of lanes, `rdx` the lane, `r8`–`r15` the pointers of the first accesses, `rax`, `rcx`, `rbx`
//! for addresses; vector registers 14 and 15 for constants and steps inside an operation, the others for accumulators and values; with
//! AVX-512 `k0` for constant masks, `k1` for the lanes of a masked vector, the others for masks.

use super::Assembler;
use super::aim::Outside;
use super::alloc::{Alloc, Loc};
use super::alone::is_short;
use super::asm::gpr::{R8, RBP, RBX, RDI, RSI, RSP};
use super::asm::{Asm, Label, Rm};
use super::isa::Isa;
use super::pressure::{self, Kept};
use crate::kernel::StageKernel;
use crate::lane::{Code, Op, Ty};
use crate::machine::thunk;

pub(super) const SCRATCH: u8 = 15;
pub(super) const SCRATCH2: u8 = 14;
/// The mask register of the lanes that a masked vector has.
pub(super) const TAIL: u8 = 1;

/// Bodies of more instructions than this are emitted for full blocks and masked vectors only.
pub(super) const LONG: usize = 48;

/// The stack, from `rsp`, with room for the longest vectors: operands and result of a call, elements on their way, the masks of AVX2.
pub(super) const AREA: i32 = 0;
pub(super) const BOUNCE: i32 = 256;
pub(super) const MASK32: i32 = 320;
pub(super) const MASK64: i32 = 352;
pub(super) const COUNT: i32 = 384;
pub(super) const SAVED_GPR: i32 = 392;
pub(super) const SAVED_MASKS: i32 = 448;
pub(super) const SAVED: i32 = 512;
/// The frame of the first row that runs together with others, their number, and where their frames end.
pub(super) const HOME: i32 = SAVED + 32 * 64;
pub(super) const TOGETHER: i32 = HOME + 8;
pub(super) const END: i32 = TOGETHER + 8;
pub(super) const SLOTS: i32 = HOME + 64;

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
    pub(super) saved: u64,
    pub(super) operands: [(Rm, Ty); 2],
    /// The register of the mask, and the value of lanes where it is not set.
    pub(super) mask: Option<u8>,
    pub(super) fast: Option<(Rm, Ty)>,
    pub(super) to: u8,
    pub(super) call: *const thunk::Call,
    pub(super) first: i32,
    pub(super) tail: bool,
}

pub(super) struct Emit<'a> {
    pub(super) out: &'a mut Assembler,
    pub(super) kernel: &'a StageKernel,
    pub(super) isa: Isa,
    /// Lanes of a vector.
    pub(super) width: usize,
    pub(super) copies: usize,
    /// Register, or slot, of each accumulator's first copy.
    pub(super) accumulators: Vec<Loc>,
    pub(super) slots: u32,
    pub(super) slow: Vec<Slow>,
    pub(super) outside: Vec<Outside>,
    pub(super) tail_masks: u32,
    pub(super) lanes: Lanes,
    pub(super) alloc: Alloc,
    pub(super) scratch_taken: bool,
    /// The constant that is in [`SCRATCH`] while all copies execute one instruction.
    pub(super) shared: Option<u32>,
    /// Whether the stage is part of a function of rows: it always has all lanes, and its reductions go to the row scalars.
    pub(super) whole: bool,
    /// The lanes of the masked vector, where they are known.
    pub(super) rest: Option<usize>,
    /// Whether the only lane is computed in 128 bits: a division of 512 takes three times as long.
    pub(super) short: bool,
    /// The registers of constants and row scalars.
    pub(super) kept: Kept,
}

/// Registers for values, whatever else there is.
const MIN_VALUES: usize = 8;

/// General registers that functions save.
const CALLEE_SAVED: [u8; 6] = [RBP, RBX, 12, 13, 14, 15];

/// Emits the function of a stage at the end of the code; the number of interleaved copies.
pub fn stage(out: &mut Assembler, kernel: &StageKernel, width: usize) -> usize {
    let frame_size = begin(&mut out.asm);
    let mut e = emit(out, kernel, width, false);
    e.asm().mov(RSI, Emit::word(0));
    e.load_constants();
    e.stage();
    let (copies, slots) = (e.copies, e.slots);
    let (slow, outside) = (std::mem::take(&mut e.slow), std::mem::take(&mut e.outside));
    end(e.asm(), &[kernel]);
    slow.iter().for_each(|s| e.slow_call(s));
    outside.iter().for_each(|o| o.emit(e.asm()));
    set_frame_size(&mut out.asm, frame_size, slots);
    copies
}

/// Begins a function; where the size of its stack is to be written.
pub(super) fn begin(asm: &mut Asm) -> usize {
    for r in CALLEE_SAVED {
        asm.push(r);
    }
    asm.mov(RBP, Rm::Reg(RSP));
    asm.add_imm(Rm::Reg(RSP), 0);
    let frame_size = asm.code.len() - 4;
    asm.and_imm(Rm::Reg(RSP), -64);
    frame_size
}

pub(super) fn end(asm: &mut Asm, kernels: &[&StageKernel]) {
    if kernels.iter().any(|k| k.accesses.iter().any(|a| a.streams)) {
        // Streaming stores have no order with others: who hears that this is done sees them.
        asm.sfence();
    }
    asm.vzeroupper();
    asm.mov(RSP, Rm::Reg(RBP));
    for r in CALLEE_SAVED.into_iter().rev() {
        asm.pop(r);
    }
    asm.ret();
}

pub(super) fn set_frame_size(asm: &mut Asm, at: usize, slots: u32) {
    let bytes = SLOTS + asm.isa().bytes() as i32 * slots as i32;
    asm.code[at..at + 4].copy_from_slice(&(-bytes).to_le_bytes());
}

pub(super) fn emit<'a>(out: &'a mut Assembler, kernel: &'a StageKernel, width: usize, whole: bool) -> Emit<'a> {
    let isa = out.asm.isa();
    let most = pressure::most_alive(&kernel.lane.body, isa);
    let mut copies = pressure::copies(kernel, isa, most);
    let mut blocks = pressure::MANY;
    if whole {
        copies = copies.min((kernel.lanes / width).max(1));
        blocks = kernel.lanes.div_ceil(width);
    }
    let count = kernel.lane.accumulators.len() * copies;
    let in_registers = count <= isa.accumulators();
    let first = isa.first_accumulator();
    let accumulators = (0..kernel.lane.accumulators.len())
        .map(|k| if in_registers { Loc::Reg(first - (k * copies) as u8) } else { Loc::Slot((k * copies) as u32) })
        .collect();
    let taken = if in_registers { count } else { 0 };
    let spare: Vec<u8> = (0..=first).rev().filter(|r| isa.vectors() >> r & 1 == 1).skip(taken).collect();
    let spare = &spare[..spare.len().saturating_sub((copies * most).max(MIN_VALUES))];
    let tail_masks = match isa {
        Isa::Avx2 => out.constant(&[[0xff; 32], [0; 32]].concat()),
        Isa::Avx512 => 0,
    };
    Emit {
        out,
        kernel,
        isa,
        width,
        copies,
        accumulators,
        slots: if in_registers { 0 } else { count as u32 },
        slow: Vec::new(),
        outside: Vec::new(),
        tail_masks,
        lanes: Lanes::Full(1),
        alloc: Alloc::new(Vec::new(), 0, 0, 0),
        scratch_taken: false,
        shared: None,
        whole,
        rest: None,
        short: whole && isa == Isa::Avx512 && kernel.lanes == 1 && is_short(kernel),
        kept: pressure::choose(kernel, blocks, spare),
    }
}

/// How many rows go to column accumulators in memory while these are in registers: they are read and written once for all. A body that asks for the
/// index of the row goes alone.
fn rows_together(body: &Code) -> usize {
    match body.insts.len() {
        _ if body.insts.iter().any(|inst| matches!(inst.op, Op::Serial(_))) => 1,
        0..=12 => 4,
        13..=24 => 2,
        _ => 1,
    }
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

    /// The length of values of `ty` in instructions: beside 64-bit lanes, those of 32 bits fill half of a register.
    pub(super) fn l(&self, ty: Ty) -> u8 {
        if self.short {
            return 0;
        }
        let half = self.kernel.lane.wide && !self.lanes_are_wide(ty);
        self.isa.full() - u8::from(half)
    }

    /// Whether lanes of `ty` have 64 bits in a vector; masks are as wide as the widest lanes.
    pub(super) fn lanes_are_wide(&self, ty: Ty) -> bool {
        ty.is_wide() || (ty == Ty::Mask && self.kernel.lane.wide)
    }

    /// The serial loops and lanes of the stage, where constants are in their registers.
    pub(super) fn stage(&mut self) {
        let pointers = self.kernel.accesses.len().min(8);
        for i in (0..pointers).filter(|i| self.kernel.accesses[*i].aim.is_none()) {
            let at = self.kernel.layout.pointers + i;
            self.asm().mov(R8 + i as u8, Emit::word(at));
        }
        self.aim(false);
        self.load_scalars();
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
                let together = rows_together(&body);
                self.serial(0, together, &mut |e, rows| {
                    e.blocks(e.copies, &|e, lanes| {
                        e.columns(lanes, false);
                        e.innermost(rows, &mut |e| {
                            e.aim(true);
                            e.code(&body, lanes);
                        });
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
                    e.serial(0, 1, &mut |e, _| {
                        e.aim(true);
                        e.code(&body, lanes);
                    });
                }
                e.code(&after, lanes);
            });
        } else {
            if points > 0 && !body.insts.is_empty() {
                self.serial(0, 1, &mut |e, _| {
                    e.aim(true);
                    e.blocks(e.copies, &|e, lanes| e.code(&body, lanes));
                });
            }
            if !after.insts.is_empty() {
                self.blocks(1, &|e, lanes| e.code(&after, lanes));
            }
        }
        for k in 0..self.kernel.lane.rows {
            self.fold(k);
        }
    }

    /// A constant in all lanes, as an operand.
    pub(super) fn constant(&mut self, bits: u64, ty: Ty) -> Rm {
        let bytes = bits.to_le_bytes();
        let one = if ty.is_wide() || ty == Ty::Mask { &bytes[..] } else { &bytes[..4] };
        match self.isa {
            Isa::Avx2 => Rm::Pool(self.out.constant(&one.repeat(32 / one.len()))),
            Isa::Avx512 => Rm::Spread(self.out.constant(one)),
        }
    }

    pub(super) fn slot(&self, s: u32) -> Rm {
        Rm::Mem(RSP, SLOTS + self.isa.bytes() as i32 * s as i32)
    }

    /// The registers of accumulators and of what is kept.
    pub(super) fn pinned_registers(&self) -> u64 {
        let kept = self.kept.values().fold(0, |m, r| m | 1 << r);
        self.accumulators.iter().fold(kept, |m, a| match a {
            Loc::Reg(r) => (0..self.copies as u8).fold(m, |m, c| m | 1 << (r - c)),
            Loc::Slot(_) | Loc::None => m,
        })
    }

    /// Straight-line code for the lanes of a block.
    pub(super) fn code(&mut self, code: &Code, lanes: Lanes) {
        self.lanes = lanes;
        let pinned = self.pinned_registers();
        let in_registers = self.accumulators.iter().any(|a| matches!(a, Loc::Reg(_)));
        let first = if !in_registers { (self.accumulators.len() * self.copies) as u32 } else { 0 };
        let free = self.isa.vectors() | self.isa.masks();
        self.alloc = Alloc::new(uses(code), lanes.copies(), free & !pinned, first);
        for i in 0..code.insts.len() {
            self.share_constant(code, i as u32, lanes.copies());
            for c in 0..lanes.copies() {
                self.inst(code, i as u32, c);
            }
        }
        self.shared = None;
        self.slots = self.slots.max(self.alloc.slot_count);
    }
}
