//! Strided loads and stores of AVX-512 whose elements lie so near that whole vectors between them are read, or written in part: columns of
//! narrow matrices, say.
//!
//! A vector of lanes `stride` elements apart stands in `stride` vectors of memory. Of each a permutation takes what belongs to the lanes, or a mask lets
//! through what is written: few instructions for each vector of memory instead of two for each lane.

use super::asm::gpr::RAX;
use super::asm::{Masked, Rm};
use super::emit::{Emit, Lanes, SCRATCH, TAIL};
use super::isa::Isa;
use super::op;
use crate::lane::{Mem, Ty};

impl Emit<'_> {
    /// The elements from a lane to the next, where a whole block is read better by permutations than one by one. Measured on Zen 4: 3 · apart cycles,
    /// because most vectors of memory lie in two cache lines, against 9 for 16 lanes.
    pub(super) fn read_between(&self, mem: Mem, stride: i32) -> Option<usize> {
        self.elements_apart(mem, stride).filter(|apart| 5 * apart <= self.width)
    }

    /// The same where it is written better in parts: 4 · apart cycles, against 19 for 16 lanes.
    pub(super) fn written_between(&self, mem: Mem, stride: i32) -> Option<usize> {
        self.elements_apart(mem, stride).filter(|apart| 4 * apart <= self.width)
    }

    fn elements_apart(&self, mem: Mem, stride: i32) -> Option<usize> {
        let apart = usize::try_from(stride).ok()? / mem.size();
        let plain = matches!(mem, Mem::B32 | Mem::B64) && stride as usize == apart * mem.size();
        let whole = matches!(self.lanes, Lanes::Full(_)) && self.isa == Isa::Avx512;
        (plain && whole && apart >= 2).then_some(apart)
    }

    /// `d` = lanes that are `apart` elements apart, from `rax + first` on; nothing behind the last one is read.
    pub(super) fn load_interleaved(&mut self, apart: usize, mem: Mem, first: i32, d: u8, ty: Ty) {
        let (l, size, width) = (self.l(ty), mem.size(), self.width);
        let permute = if size == 4 { op::PERM2PS } else { op::PERM2PD };
        // The vectors of memory follow one another, but that the last one ends with the last lane.
        let begins = |k: usize| if k + 1 < apart { k * width } else { (width - 1) * (apart - 1) };
        let at = |k: usize| Rm::Mem(RAX, first + (begins(k) * size) as i32);
        self.asm().v(op::MOVUPS, l, d, 0, at(0));
        for k in 1..apart {
            let pick = |lane: usize| match lane * apart {
                // The first vector's lanes are still where they stand in memory.
                e if k == 1 && e < width => e,
                e if e >= begins(k) && e < begins(k) + width => width + e - begins(k),
                _ => lane,
            };
            let table = self.indices(size, pick);
            self.asm().v(op::MOVUPS, l, SCRATCH, 0, Rm::Pool(table));
            self.asm().masked(permute, l, d, SCRATCH, at(k), Masked::No);
        }
    }

    /// The lanes of `r` to places that are `apart` elements apart, from `rax + first` on; nothing between them is written.
    pub(super) fn store_interleaved(&mut self, apart: usize, mem: Mem, first: i32, r: u8, ty: Ty) {
        let (l, size, width) = (self.l(ty), mem.size(), self.width);
        let (permute, store) = if size == 4 { (op::PERMPS, op::MOVUPS_TO) } else { (op::PERMPD, op::MOVUPD_TO) };
        for k in 0..apart {
            // The element of memory at `place` of this vector is that of a lane, or nobody's.
            let is_written = |place: &usize| (k * width + place).is_multiple_of(apart);
            let table = self.indices(size, |place| (k * width + place) / apart);
            let mask = (0..width).filter(is_written).fold(0u16, |m, place| m | 1 << place);
            let mask = self.out.constant(&mask.to_le_bytes());
            self.asm().v(op::MOVUPS, l, SCRATCH, 0, Rm::Pool(table));
            self.asm().masked(permute, l, SCRATCH, SCRATCH, Rm::Reg(r), Masked::No);
            self.asm().scalar(op::KMOV, 0, TAIL, 0, Rm::Pool(mask));
            let to = Rm::Mem(RAX, first + (k * width * size) as i32);
            self.asm().masked(store, l, SCRATCH, 0, to, Masked::Merge(TAIL));
        }
    }

    /// A vector of indices of lanes of `size` bytes.
    fn indices(&mut self, size: usize, index: impl Fn(usize) -> usize) -> u32 {
        let lanes = (0..self.width).flat_map(|lane| (index(lane) as u64).to_le_bytes().into_iter().take(size));
        let bytes: Vec<u8> = lanes.collect();
        self.out.constant(&bytes)
    }
}
