//! Loads and stores: dense, strided, narrow, masked.

use super::asm::gpr::{R8, RAX, RBX, RCX, RDX, RSP};
use super::asm::{Cond, Masked, Rm};
use super::emit::{BOUNCE, COUNT, Emit, Lanes, SCRATCH, SCRATCH2, TAIL};
use super::isa::Isa;
use super::op;
use crate::lane::{Code, Mem, Ty, V};

impl Emit<'_> {
    /// The register that holds the pointer of an access.
    pub(super) fn pointer(&mut self, a: usize) -> u8 {
        if a < 8 {
            return R8 + a as u8;
        }
        let at = self.kernel.home(a);
        self.asm().mov(RAX, Emit::word(at));
        RAX
    }

    /// Copies elements of `size` bytes between memory at `rax` with `stride` and the bounce buffer.
    pub(super) fn bounce(&mut self, stride: i32, size: usize, first: i32, out: bool) {
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
    pub(super) fn strided(&mut self, a: usize, stride: i32) {
        if stride == 0 {
            let base = self.pointer(a);
            return self.asm().mov(RAX, Rm::Reg(base));
        }
        self.asm().imul(RAX, Rm::Reg(RDX), stride);
        let base = if a < 8 { Rm::Reg(R8 + a as u8) } else { Emit::word(self.kernel.home(a)) };
        self.asm().add(RAX, base);
    }

    /// The lanes that a block has for certain: all of a vector, or those of a known rest.
    fn known_lanes(&self) -> Option<usize> {
        match self.lanes {
            Lanes::Full(_) => Some(self.width),
            Lanes::Tail => self.rest,
        }
    }

    /// `d` = `n` elements of 4 or 8 bytes at `rax` with `stride`, zeros behind them: put together in registers, because a vector that is read where
    /// its elements have just been written waits for all of them.
    fn gather(&mut self, n: usize, size: usize, stride: i32, first: i32, d: u8) {
        let (begin, insert) = if size == 4 { (op::MOVD, op::INSERT_D) } else { (op::MOVQ, op::INSERT_Q) };
        let half = 16 / size;
        let l = self.isa.full();
        for from in (0..n).step_by(half) {
            let to = if from == 0 { d } else { SCRATCH };
            for e in from..n.min(from + half) {
                let at = Rm::Mem(RAX, first + e as i32 * stride);
                if e == from {
                    self.asm().v(begin, 0, to, 0, at);
                } else {
                    self.asm().vi(insert, 0, to, to, at, (e - from) as u8);
                }
            }
            if from > 0 {
                self.asm().vi(op::INSERT128, l, d, d, Rm::Reg(SCRATCH), (from / half) as u8);
            }
        }
    }

    /// `d` = a whole vector of elements of 4 or 8 bytes, of which the first one is at `rax + first` and each next one before the last.
    fn load_reversed(&mut self, size: usize, first: i32, d: u8) {
        let (bytes, parts) = (self.isa.bytes(), size / 4);
        let word = |i: usize| ((self.width - 1 - i / parts) * parts + i % parts) as u32;
        let words: Vec<u8> = (0..bytes / 4).flat_map(|i| word(i).to_le_bytes()).collect();
        let (full, table) = (self.isa.full(), self.out.constant(&words));
        self.asm().v(op::MOVUPS, full, d, 0, Rm::Mem(RAX, first - (bytes - size) as i32));
        self.asm().v(op::MOVUPS, full, SCRATCH, 0, Rm::Pool(table));
        self.asm().v(op::PERMPS, full, d, SCRATCH, Rm::Reg(d));
    }

    /// The first `bytes` bytes of `r`, a multiple of 4, to `at(offset)`: plain stores, because masked ones are many operations.
    fn store_bytes(&mut self, bytes: usize, r: u8, at: &dyn Fn(usize) -> Rm) {
        let (mut done, mut from) = (0, r);
        while done < bytes {
            if done == 16 {
                self.asm().vi(op::EXTRACT128, 1, r, 0, Rm::Reg(SCRATCH), 1);
                from = SCRATCH;
            }
            let (left, inside) = (bytes - done, done % 16);
            let to = at(done);
            done += match (left, inside) {
                (16.., 0) => {
                    self.asm().v(op::MOVUPS_TO, 0, from, 0, to);
                    16
                }
                (8.., 0) => {
                    self.asm().v(op::MOVQ_TO, 0, from, 0, to);
                    8
                }
                (8.., _) => {
                    self.asm().vi(op::EXTRACT_Q, 0, from, 0, to, (inside / 8) as u8);
                    8
                }
                (_, 0) => {
                    self.asm().v(op::MOVD_TO, 0, from, 0, to);
                    4
                }
                (_, _) => {
                    self.asm().vi(op::EXTRACT_D, 0, from, 0, to, (inside / 4) as u8);
                    4
                }
            };
        }
    }

    pub(super) fn load(&mut self, a: u32, mem: Mem, d: u8, c: usize, ty: Ty) {
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
        if let (true, Some(1), Mem::B32 | Mem::B64) = (tail, self.rest, mem) {
            let at = self.lane_alone(a, stride);
            return self.asm().v(if wide { op::MOVQ } else { op::MOVD }, 0, d, 0, at);
        }
        if self.isa == Isa::Avx512 && stride > 0 && stride as usize == size {
            let at = Rm::Index(self.pointer(a), RDX, size.trailing_zeros() as u8, first);
            let lanes = self.lanes_of_block();
            return self.load_dense(mem, l, d, at, lanes);
        }
        let at = if stride as usize == size && stride > 0 {
            let at = Rm::Index(self.pointer(a), RDX, size.trailing_zeros() as u8, first);
            if tail && size >= 4 {
                // What is read into the low part of a register leaves zeros behind it, and needs no mask.
                let whole = match self.rest.map(|n| n * size) {
                    Some(8) => Some(op::MOVQ),
                    Some(16) => Some(op::MOVUPS),
                    Some(_) | None => None,
                };
                if let Some(load) = whole {
                    return self.asm().v(load, 0, d, 0, at);
                }
                let mask = self.tail_mask(wide);
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, mask);
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
            if let Some(apart) = self.read_between(mem, stride) {
                return self.load_interleaved(apart, mem, first, d, ty);
            }
            let plain = matches!(mem, Mem::B32 | Mem::B64);
            if plain && !tail && stride == -(size as i32) && l == self.isa.full() {
                return self.load_reversed(size, first, d);
            }
            if let Some(n) = self.known_lanes().filter(|_| plain) {
                return self.gather(n, size, stride, first, d);
            }
            self.bounce(stride, size, first, false);
            Rm::Mem(RSP, BOUNCE)
        };
        match mem {
            Mem::B32 | Mem::B64 | Mem::U8 | Mem::I8 | Mem::U16 | Mem::I16 | Mem::F16 => {
                self.load_dense(mem, l, d, at, Masked::No);
            }
            Mem::Bool => {
                let (extend, greater) =
                    if self.lanes_are_wide(Ty::Mask) { (op::ZX8Q, op::PCMPGTQ) } else { (op::ZX8D, op::PCMPGTD) };
                self.asm().v(extend, 1, d, 0, at);
                self.asm().v(op::PXOR, 1, SCRATCH, SCRATCH, Rm::Reg(SCRATCH));
                self.asm().v(greater, 1, d, d, Rm::Reg(SCRATCH));
            }
        }
    }

    /// Numbers that follow one another in memory.
    fn load_dense(&mut self, mem: Mem, l: u8, d: u8, at: Rm, lanes: Masked) {
        let what = match mem {
            Mem::B32 => op::MOVUPS,
            // The size of elements matters only where lanes are masked.
            Mem::B64 if lanes == Masked::No => op::MOVUPS,
            Mem::B64 => op::MOVUPD,
            Mem::U8 => op::ZX8D,
            Mem::I8 => op::SX8D,
            Mem::U16 => op::ZX16D,
            Mem::I16 => op::SX16D,
            Mem::F16 => op::PH2PS,
            Mem::Bool => unreachable!("masks have loads of their own"),
        };
        match lanes {
            Masked::No => self.asm().v(what, l, d, 0, at),
            Masked::Merge(_) | Masked::Zero(_) => self.asm().masked(what, l, d, 0, at, lanes),
        }
    }

    /// Lanes to elements that follow one another in memory, with AVX-512; truth values are bytes in `r` already.
    pub(super) fn store_lanes(&mut self, mem: Mem, ty: Ty, r: u8, at: Rm, tail: bool) {
        let (l, lanes) = (self.l(ty), if tail { Masked::Merge(TAIL) } else { Masked::No });
        match mem {
            Mem::B32 => self.asm().masked(op::MOVUPS_TO, l, r, 0, at, lanes),
            Mem::B64 => self.asm().masked(op::MOVUPD_TO, l, r, 0, at, lanes),
            Mem::I8 | Mem::U8 => self.asm().masked(op::DWORD_TO_BYTE, l, r, 0, at, lanes),
            Mem::I16 | Mem::U16 => self.asm().masked(op::DWORD_TO_WORD, l, r, 0, at, lanes),
            Mem::F16 => self.asm().masked_vi(op::PS2PH, l, r, at, lanes, 0),
            Mem::Bool if tail => self.asm().masked(op::MOV8_TO, 0, r, 0, at, lanes),
            Mem::Bool => {
                let store = if self.width == 8 { op::MOVQ_TO } else { op::MOVUPS_TO };
                self.asm().v(store, 0, r, 0, at);
            }
        }
    }

    /// One element in all lanes.
    pub(super) fn load_one(&mut self, mem: Mem, at: Rm, d: u8, ty: Ty) {
        let l = self.l(ty);
        let size = mem.size();
        match mem {
            Mem::B32 => return self.asm().v(op::BROADCAST32, l, d, 0, at),
            // It has no form of 128 bits.
            Mem::B64 => return self.asm().v(op::BROADCAST64, l.max(1), d, 0, at),
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
        let spread = if mem == Mem::Bool && self.lanes_are_wide(ty) { op::BROADCAST_Q } else { op::BROADCAST_D };
        let full = self.isa.full();
        self.asm().v(spread, full, d, 0, Rm::Reg(d));
    }

    pub(super) fn store(&mut self, code: &Code, a: u32, mem: Mem, v: V, c: usize, i: u32) {
        let a = a as usize;
        let (stride, size) = (self.kernel.accesses[a].lane as i32, mem.size());
        let r = if self.in_mask_register(v.ty) {
            let mask = self.mask(code, v, c, i);
            self.mask_as_bytes(mask)
        } else {
            self.reg(code, v, c, i)
        };
        let wide = mem == Mem::B64;
        let l = self.l(v.ty);
        let tail = self.lanes == Lanes::Tail;
        let dense = stride > 0 && stride as usize == size;
        let first = (c * self.width) as i32 * stride;
        if self.kernel.accesses[a].streams && !tail {
            // Lanes begin at multiples of a vector.
            let at = Rm::Index(self.pointer(a), RDX, size.trailing_zeros() as u8, first);
            return self.asm().v(op::MOVNTPS_TO, l, r, 0, at);
        }
        if self.kernel.accesses[a].repeats > 1 {
            return self.store_repeated(a, mem, c, r, v.ty);
        }
        if let (true, Some(1), Mem::B32 | Mem::B64) = (tail, self.rest, mem) {
            let at = self.lane_alone(a, stride);
            return self.asm().v(if wide { op::MOVQ_TO } else { op::MOVD_TO }, 0, r, 0, at);
        }
        if self.isa == Isa::Avx512 {
            if dense {
                let at = Rm::Index(self.pointer(a), RDX, size.trailing_zeros() as u8, first);
                return self.store_lanes(mem, v.ty, r, at, tail);
            }
            if let Some(apart) = self.written_between(mem, stride) {
                self.strided(a, stride);
                return self.store_interleaved(apart, mem, first, r, v.ty);
            }
            self.store_lanes(mem, v.ty, r, Rm::Mem(RSP, BOUNCE), false);
            self.strided(a, stride);
            return self.bounce(stride, size, if tail { 0 } else { first }, true);
        }
        if dense && size >= 4 {
            let (base, scale) = (self.pointer(a), size.trailing_zeros() as u8);
            let at = Rm::Index(base, RDX, scale, first);
            if let (true, Some(n)) = (tail, self.rest) {
                return self.store_bytes(n * size, r, &|offset| Rm::Index(base, RDX, scale, offset as i32));
            }
            if tail {
                let mask = self.tail_mask(wide);
                self.asm().v(op::MOVUPS, 1, SCRATCH, 0, mask);
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

    /// A whole vector of elements, one after the other, with AVX2.
    pub(super) fn store_packed(&mut self, mem: Mem, r: u8, at: Rm) {
        let full = !self.kernel.lane.wide;
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
                self.asm().scalar(op::PDEP, 0, RAX, RAX, ones);
                let bytes = self.width;
                self.asm().mov_to(at, RAX, bytes);
            }
            Mem::I8 | Mem::U8 | Mem::I16 | Mem::U16 => {
                let bytes = mem.size() as u8;
                let table = self.out.constant(&shuffle(4, bytes));
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
}
