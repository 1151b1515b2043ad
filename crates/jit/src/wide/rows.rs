//! Functions that walk the rows of a nest.

use super::Assembler;
use super::asm::gpr::{RAX, RDI, RSI, RSP};
use super::asm::{Cond, Rm};
use super::emit::{END, Emit, HOME, TOGETHER, begin, emit, end, set_frame_size};
use crate::frame::{HEADER, ROWS};
use crate::kernel::StageKernel;

/// Emits a function that runs all stages for as many rows as the frame says, one step of the innermost outer loop apart; the
/// places of the stages.
///
/// `together` rows go through a stage before the next stage, each on a frame of its own; frames are `frame` words apart.
pub fn rows(out: &mut Assembler, kernels: &[StageKernel], together: usize, frame: usize) -> Vec<usize> {
    let frame_size = begin(&mut out.asm);
    let top = out.asm.label();
    let (home, count, behind) = (Rm::Mem(RSP, HOME), Rm::Mem(RSP, TOGETHER), Rm::Mem(RSP, END));
    if together > 1 {
        out.asm.mov_to(home, RDI, 8);
    }
    out.asm.bind(top);
    if together > 1 {
        let all = out.asm.label();
        out.asm.mov(RAX, Emit::word(ROWS));
        out.asm.cmp_imm(Rm::Reg(RAX), together as i32);
        out.asm.jcc(Cond::BelowEqual, all);
        out.asm.mov_imm(RAX, together as u64);
        out.asm.bind(all);
        out.asm.mov_to(count, RAX, 8);
        out.asm.imul(RAX, Rm::Reg(RAX), 8 * frame as i32);
        out.asm.add(RAX, Rm::Reg(RDI));
        out.asm.mov_to(behind, RAX, 8);
    }
    let (mut slots, mut outside) = (0, Vec::new());
    let mut places = Vec::with_capacity(kernels.len());
    for (k, kernel) in kernels.iter().enumerate() {
        places.push(out.asm.code.len());
        let width = out.width(kernel);
        let mut e = emit(out, kernel, width, true);
        let row = e.asm().label();
        e.load_constants();
        e.asm().align(16);
        e.asm().bind(row);
        e.asm().mov_imm(RSI, kernel.lanes as u64);
        e.stage();
        outside.append(&mut e.outside);
        slots = slots.max(e.slots);
        let slow = std::mem::take(&mut e.slow);
        if !slow.is_empty() {
            let next = e.asm().label();
            e.asm().jmp(next);
            slow.iter().for_each(|s| e.slow_call(s));
            e.asm().bind(next);
        }
        for (i, a) in kernel.accesses.iter().enumerate() {
            let step = a.step() * together as i64;
            if step != 0 {
                out.asm.add_imm(Emit::word(kernel.layout.pointers + i), step as i32);
            }
        }
        // The last outer index stands before the row scalars.
        if k + 1 == kernels.len() && kernel.layout.scalars > HEADER {
            out.asm.add_imm(Emit::word(kernel.layout.scalars - 1), together as i32);
        }
        if together > 1 {
            out.asm.add_imm(Rm::Reg(RDI), 8 * frame as i32);
            out.asm.cmp(RDI, behind);
            out.asm.jcc(Cond::Below, row);
            out.asm.mov(RDI, home);
        }
    }
    if together > 1 {
        out.asm.mov(RAX, Emit::word(ROWS));
        out.asm.sub(RAX, count);
        out.asm.mov_to(Emit::word(ROWS), RAX, 8);
    } else {
        out.asm.add_imm(Emit::word(ROWS), -1);
    }
    out.asm.jcc(Cond::NotZero, top);
    end(&mut out.asm, &kernels.iter().collect::<Vec<_>>());
    outside.iter().for_each(|o| o.emit(&mut out.asm));
    set_frame_size(&mut out.asm, frame_size, slots);
    places
}
