//! Loops: serial ones, and those that walk lanes.

use super::alone::goes_alone;
use super::asm::gpr::{R8, RAX, RCX, RDX, RSI, RSP};
use super::asm::{Cond, Rm};
use super::emit::{COUNT, Emit, LONG, Lanes, MASK32, MASK64, SCRATCH, TAIL};
use super::isa::Isa;
use super::op;

impl Emit<'_> {
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
        let blocks: &[Lanes] =
            if long || copies == 1 { &[Lanes::Full(copies)] } else { &[Lanes::Full(copies), Lanes::Full(1)] };
        for lanes in blocks.iter().copied() {
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
        match self.isa {
            Isa::Avx2 => {
                self.asm().neg(RAX);
                let table = self.tail_masks;
                self.asm().lea(RCX, Rm::Pool(table));
                // They go to the stack, for lanes of 32 and, where there are some, 64 bits.
                for (scale, at) in [(2, MASK32), (3, MASK64)] {
                    if scale == 2 || self.kernel.lane.wide {
                        self.asm().v(op::MOVUPS, 1, SCRATCH, 0, Rm::Index(RCX, RAX, scale, 32));
                        self.asm().v(op::MOVUPS_TO, 1, SCRATCH, 0, Rm::Mem(RSP, at));
                    }
                }
            }
            Isa::Avx512 => {
                self.asm().mov_imm(RCX, 0xffff);
                self.asm().scalar(op::BZHI, 0, RCX, RAX, Rm::Reg(RCX));
                self.asm().scalar(op::KMOV_GPR, 0, TAIL, 0, Rm::Reg(RCX));
            }
        }
        block(self, Lanes::Tail);
        if long {
            self.asm().add_imm(Rm::Reg(RDX), width);
            self.asm().jmp(top);
        }
        self.asm().bind(end);
    }

    /// The mask of the lanes of a masked vector of AVX2, which have 64 bits if `wide`.
    pub(super) fn tail_mask(&self, wide: bool) -> Rm {
        match self.rest {
            Some(rest) => Rm::Pool(self.tail_masks + 32 - ((rest as u32) << if wide { 3 } else { 2 })),
            None => Rm::Mem(RSP, if wide { MASK64 } else { MASK32 }),
        }
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
        if rest > 1 || !goes_alone(self.kernel) {
            self.asm().store_imm(Rm::Mem(RSP, COUNT), rest as i32);
            if self.isa == Isa::Avx512 {
                self.asm().mov_imm(RCX, (1 << rest) - 1);
                self.asm().scalar(op::KMOV_GPR, 0, TAIL, 0, Rm::Reg(RCX));
            }
        }
        self.rest = Some(rest);
        block(self, Lanes::Tail);
        self.rest = None;
    }

    /// The serial loops from depth `d` inwards around `inner`, which is given how many steps of the innermost one are its own: `together`, or those
    /// that are left.
    pub(super) fn serial(&mut self, d: usize, together: usize, inner: &mut dyn FnMut(&mut Emit, usize)) {
        let Some(&extent) = self.kernel.serial.get(d) else { return inner(self, 1) };
        let by = if d + 1 == self.kernel.serial.len() { together } else { 1 };
        let (whole, rest) = (extent - extent % by, extent % by);
        let counter = Emit::word(self.kernel.layout.serial + d);
        self.asm().store_imm(counter, 0);
        if whole > 0 {
            let top = self.asm().label();
            self.asm().align(16);
            self.asm().bind(top);
            if d + 1 == self.kernel.serial.len() {
                inner(self, by)
            } else {
                self.serial(d + 1, together, inner)
            }
            self.advance(d, by as i64);
            self.asm().add_imm(counter, by as i32);
            self.asm().cmp_imm(counter, whole as i32);
            self.asm().jcc(Cond::Below, top);
        }
        if rest > 0 {
            inner(self, rest);
        }
        self.advance(d, -(whole as i64));
    }

    /// `inner` for so many steps of the innermost serial loop, one after the other; the pointers are where they were before.
    pub(super) fn innermost(&mut self, steps: usize, inner: &mut dyn FnMut(&mut Emit)) {
        for step in 0..steps {
            inner(self);
            if steps > 1 {
                let last = self.kernel.serial.len() - 1;
                self.advance(last, if step + 1 < steps { 1 } else { 1 - steps as i64 });
            }
        }
    }

    /// Moves all pointers by `steps` of serial loop `d`.
    pub(super) fn advance(&mut self, d: usize, steps: i64) {
        for i in 0..self.kernel.accesses.len() {
            let bytes = self.kernel.accesses[i].serial[d] * steps;
            if bytes != 0 {
                let at = match self.kernel.accesses[i].aim {
                    // Its place without the index.
                    Some(aim) if aim.moves => Emit::word(self.kernel.layout.pointers + i),
                    Some(_) | None if i < 8 => Rm::Reg(R8 + i as u8),
                    Some(_) | None => Emit::word(self.kernel.home(i)),
                };
                self.asm().add_imm(at, bytes as i32);
            }
        }
    }
}
