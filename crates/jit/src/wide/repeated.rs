//! Stores of elements that are repeated side by side.

use super::asm::Rm;
use super::asm::gpr::{RAX, RSP};
use super::emit::{BOUNCE, Emit, Lanes, SCRATCH};
use super::isa::Isa;
use super::op;
use crate::lane::{Mem, Ty};

impl Emit<'_> {
    /// The lanes of `r` to memory, each as often as the store repeats it: a permutation for each vector of memory.
    pub(super) fn store_repeated(&mut self, a: usize, mem: Mem, c: usize, r: u8, ty: Ty) {
        let (stride, size, width) = (self.kernel.accesses[a].lane as i32, mem.size(), self.width);
        let (times, l, full) = (self.kernel.accesses[a].repeats, self.l(ty), self.isa.full());
        if self.lanes == Lanes::Tail {
            match self.isa {
                Isa::Avx2 => self.store_packed(mem, r, Rm::Mem(RSP, BOUNCE)),
                Isa::Avx512 => self.store_lanes(mem, ty, r, Rm::Mem(RSP, BOUNCE), false),
            }
            for again in 0..times {
                self.strided(a, stride);
                self.asm().add_imm(Rm::Reg(RAX), (again * size) as i32);
                self.bounce(stride, size, 0, true);
            }
            return;
        }
        self.strided(a, stride);
        let first = c * width * stride as usize;
        for k in 0..times {
            // Of words of 32 bits, of which a lane has one or two, those behind the lanes do not matter.
            let word = |i: usize| {
                let (element, part) = (i / (size / 4), i % (size / 4));
                let lane = (k * width + element.min(width - 1)) / times;
                (lane * (size / 4) + part) as u32
            };
            let words: Vec<u8> = (0..self.isa.bytes() / 4).flat_map(|i| word(i).to_le_bytes()).collect();
            let table = self.out.constant(&words);
            self.asm().v(op::MOVUPS, full, SCRATCH, 0, Rm::Pool(table));
            self.asm().v(op::PERMPS, full, SCRATCH, SCRATCH, Rm::Reg(r));
            let to = Rm::Mem(RAX, (first + k * width * size) as i32);
            self.asm().v(op::MOVUPS_TO, l, SCRATCH, 0, to);
        }
    }
}
