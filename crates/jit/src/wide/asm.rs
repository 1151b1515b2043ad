//! An encoder of the x86-64 instructions that the emitter uses.
//!
//! Each vector instruction takes the destination, a second source (`vvvv`) and a register or memory. With AVX2 it has the three-byte VEX prefix;
//! with AVX-512 the EVEX prefix, which reaches 32 registers, masks lanes and spreads one element of memory over all lanes. Displacements of EVEX
//! instructions have 32 bits, because their short form counts in units that depend on the instruction.

mod general;

use super::isa::Isa;

/// General registers by number.
pub mod gpr {
    #![allow(missing_docs)]
    pub const RAX: u8 = 0;
    pub const RCX: u8 = 1;
    pub const RDX: u8 = 2;
    pub const RBX: u8 = 3;
    pub const RSP: u8 = 4;
    pub const RBP: u8 = 5;
    pub const RSI: u8 = 6;
    pub const RDI: u8 = 7;
    pub const R8: u8 = 8;
}

/// The last operand of an instruction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rm {
    /// A register.
    Reg(u8),
    /// `[base + disp]`
    Mem(u8, i32),
    /// `[base + index · 2^scale + disp]`
    Index(u8, u8, u8, i32),
    /// A constant of the pool, by its offset there.
    Pool(u32),
    /// An element of the pool in all lanes, by its offset; AVX-512, and not with moves.
    Spread(u32),
}

/// The lanes that an EVEX instruction writes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Masked {
    /// All.
    No,
    /// Those of a mask register; the others keep what they were.
    Merge(u8),
    /// Those of a mask register; the others become zero.
    Zero(u8),
}

/// `W` of the few opcodes that have it 0 in VEX and 1 in EVEX.
pub const EVEX_W: u8 = 2;

/// Opcode of a vector instruction: map, mandatory prefix (0 none, 1 `66`, 2 `F3`, 3 `F2`), `W` (or [`EVEX_W`]), and the opcode byte.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Vop(pub u8, pub u8, pub u8, pub u8);

/// A place in code that is jumped to; bound once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Label(usize);

/// Condition codes of jumps.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Cond {
    Below = 2,
    AboveEqual = 3,
    NotZero = 5,
    BelowEqual = 6,
    Above = 7,
}

/// Code under construction.
#[derive(Debug)]
pub struct Asm {
    isa: Isa,
    /// The bytes so far.
    pub code: Vec<u8>,
    /// The constants, placed behind the code.
    pub pool: Vec<u8>,
    pool_fixups: Vec<(usize, usize, u32)>,
    labels: Vec<usize>,
    jumps: Vec<(usize, Label)>,
}

impl Asm {
    /// No code yet, of these vector instructions.
    pub fn new(isa: Isa) -> Self {
        Asm { isa, code: vec![], pool: vec![], pool_fixups: vec![], labels: vec![], jumps: vec![] }
    }

    /// The vector instructions.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    fn byte(&mut self, b: u8) {
        self.code.push(b);
    }

    fn dword(&mut self, x: i32) {
        self.code.extend_from_slice(&x.to_le_bytes());
    }

    /// ModRM, SIB and displacement, of 8 bits where that may be; `tail` is the number of immediate bytes behind them.
    fn modrm(&mut self, reg: u8, rm: Rm, tail: usize, short: bool) {
        let reg = (reg & 7) << 3;
        // `rbp` and `r13` have no form without displacement.
        let mode = |base: u8, disp: i32| match i8::try_from(disp) {
            Ok(0) if base & 7 != gpr::RBP => 0,
            Ok(_) if short => 0x40,
            Ok(_) | Err(_) => 0x80,
        };
        match rm {
            Rm::Reg(r) => self.byte(0xC0 | reg | (r & 7)),
            Rm::Mem(base, disp) => {
                let mode = mode(base, disp);
                self.byte(mode | reg | (base & 7));
                if base & 7 == gpr::RSP {
                    self.byte(0x24);
                }
                self.displacement(mode, disp);
            }
            Rm::Index(base, index, scale, disp) => {
                let mode = mode(base, disp);
                self.byte(mode | reg | 4);
                self.byte(scale << 6 | (index & 7) << 3 | (base & 7));
                self.displacement(mode, disp);
            }
            Rm::Pool(at) | Rm::Spread(at) => {
                self.byte(reg | 5);
                self.pool_fixups.push((self.code.len(), self.code.len() + 4 + tail, at));
                self.dword(0);
            }
        }
    }

    fn displacement(&mut self, mode: u8, disp: i32) {
        match mode {
            0 => {}
            0x40 => self.byte(disp as u8),
            _ => self.dword(disp),
        }
    }

    /// The X and B bits of a prefix, not inverted.
    fn xb(rm: Rm) -> (u8, u8) {
        match rm {
            Rm::Reg(r) | Rm::Mem(r, _) => (0, r >> 3 & 1),
            Rm::Index(b, i, _, _) => (i >> 3, b >> 3),
            Rm::Pool(_) | Rm::Spread(_) => (0, 0),
        }
    }

    fn vex(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm, tail: usize) {
        let Vop(map, pp, w, opcode) = op;
        let (x, b) = Asm::xb(rm);
        let second = (1 ^ (reg >> 3)) << 7 | (1 ^ x) << 6 | (1 ^ b) << 5 | map;
        let third = (w & 1) << 7 | (!v & 15) << 3 | l << 2 | pp;
        self.code.extend_from_slice(&[0xC4, second, third, opcode]);
        self.modrm(reg, rm, tail, true);
    }

    fn evex(&mut self, op: Vop, l: u8, [reg, v]: [u8; 2], rm: Rm, masked: Masked, tail: usize) {
        let Vop(map, pp, w, opcode) = op;
        let (x, b) = match rm {
            // The fifth bit of a register stands where that of an index would.
            Rm::Reg(r) => (r >> 4, r >> 3 & 1),
            Rm::Mem(..) | Rm::Index(..) | Rm::Pool(_) | Rm::Spread(_) => Asm::xb(rm),
        };
        let (zero, mask) = match masked {
            Masked::No => (0, 0),
            Masked::Merge(k) => (0, k),
            Masked::Zero(k) => (1, k),
        };
        let spread = u8::from(matches!(rm, Rm::Spread(_)));
        let first = (1 ^ (reg >> 3 & 1)) << 7 | (1 ^ x) << 6 | (1 ^ b) << 5 | (1 ^ (reg >> 4)) << 4 | map;
        let second = u8::from(w != 0) << 7 | (!v & 15) << 3 | 4 | pp;
        let third = zero << 7 | l << 5 | spread << 4 | (1 ^ (v >> 4)) << 3 | mask;
        self.code.extend_from_slice(&[0x62, first, second, third, opcode]);
        self.modrm(reg, rm, tail, false);
    }

    fn vector(&mut self, op: Vop, l: u8, regs: [u8; 2], rm: Rm, tail: usize) {
        match self.isa {
            Isa::Avx2 => self.vex(op, l, regs[0], regs[1], rm, tail),
            Isa::Avx512 => self.evex(op, l, regs, rm, Masked::No, tail),
        }
    }

    /// A vector instruction of 128, 256 or 512 bits (`l` 0, 1, 2); `v` is 0 where there is no second source.
    pub fn v(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm) {
        self.vector(op, l, [reg, v], rm, 0);
    }

    /// A vector instruction with an immediate byte.
    pub fn vi(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm, imm: u8) {
        self.vector(op, l, [reg, v], rm, 1);
        self.byte(imm);
    }

    /// A vector instruction of AVX-512 on some lanes.
    pub fn masked(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm, masked: Masked) {
        self.evex(op, l, [reg, v], rm, masked, 0);
    }

    /// As [`Asm::masked`], with an immediate byte and without a second source.
    pub fn masked_vi(&mut self, op: Vop, l: u8, reg: u8, rm: Rm, masked: Masked, imm: u8) {
        self.evex(op, l, [reg, 0], rm, masked, 1);
        self.byte(imm);
    }

    /// An instruction of mask or general registers with the VEX prefix, whatever vectors have.
    pub fn scalar(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm) {
        self.vex(op, l, reg, v, rm, 0);
    }

    /// A label to bind later.
    pub fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// Binds a label here.
    pub fn bind(&mut self, l: Label) {
        self.labels[l.0] = self.code.len();
    }

    /// Jumps.
    pub fn jmp(&mut self, l: Label) {
        self.byte(0xE9);
        self.jumps.push((self.code.len(), l));
        self.dword(0);
    }

    /// Jumps on a condition.
    pub fn jcc(&mut self, c: Cond, l: Label) {
        self.byte(0x0F);
        self.byte(0x80 | c as u8);
        self.jumps.push((self.code.len(), l));
        self.dword(0);
    }

    /// Aligns the next instruction, for loops and functions.
    pub fn align(&mut self, to: usize) {
        while !self.code.len().is_multiple_of(to) {
            self.byte(0x90);
        }
    }

    /// The finished bytes: code, then constants at a multiple of 64.
    pub fn finish(mut self) -> Vec<u8> {
        for (at, label) in &self.jumps {
            let to = self.labels[label.0] as i64 - (*at as i64 + 4);
            self.code[*at..at + 4].copy_from_slice(&(to as i32).to_le_bytes());
        }
        self.align(64);
        let base = self.code.len();
        for (at, end, offset) in &self.pool_fixups {
            let to = (base + *offset as usize) as i64 - *end as i64;
            self.code[*at..at + 4].copy_from_slice(&(to as i32).to_le_bytes());
        }
        self.code.extend_from_slice(&self.pool);
        self.code
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

    use super::super::op;
    use super::gpr::{R8, RAX, RCX, RDX, RSP};
    use super::*;

    fn text(asm: Asm) -> Vec<String> {
        let code = asm.code;
        let mut formatter = IntelFormatter::new();
        formatter.options_mut().set_space_after_operand_separator(true);
        let line = |i| {
            let mut line = String::new();
            formatter.format(&i, &mut line);
            line
        };
        Decoder::with_ip(64, &code, 0, DecoderOptions::NONE).iter().map(line).collect()
    }

    /// What a decoder of others reads in our bytes.
    #[test]
    fn evex_instructions_decode_as_what_was_meant() {
        let mut asm = Asm::new(Isa::Avx512);
        let add = op::bin(crate::lane::Bin::Add, crate::lane::Ty::F32);
        asm.v(add, 2, 17, 30, Rm::Reg(9));
        asm.v(add, 2, 1, 2, Rm::Reg(31));
        asm.v(add, 2, 8, 14, Rm::Spread(0));
        asm.v(op::bin(crate::lane::Bin::Mul, crate::lane::Ty::F64), 2, 8, 14, Rm::Spread(0));
        asm.v(op::MOVUPS, 2, 24, 0, Rm::Index(R8 + 5, RDX, 2, 0));
        asm.v(op::MOVUPS_TO, 1, 24, 0, Rm::Mem(RSP, 64));
        asm.masked(op::MOVUPS, 2, 3, 0, Rm::Index(R8, RDX, 2, -8), Masked::Zero(1));
        asm.masked(op::MOVUPD_TO, 2, 19, 0, Rm::Mem(R8 + 4, 0), Masked::Merge(7));
        asm.vi(op::CMPPS, 2, 5, 20, Rm::Reg(11), 17);
        asm.vi(op::CMPPD, 2, 5, 20, Rm::Reg(11), 3);
        asm.vi(op::PCMPQ, 2, 6, 20, Rm::Reg(31), 1);
        asm.masked(op::BLENDMPD, 2, 16, 17, Rm::Reg(18), Masked::Merge(5));
        asm.v(op::BROADCAST64, 2, 30, 0, Rm::Mem(RAX, 8));
        asm.v(op::BROADCAST_Q, 2, 30, 0, Rm::Reg(29));
        asm.vi(op::SHIFT64, 2, 6, 21, Rm::Reg(22), 7);
        asm.v(op::QWORD_TO_DWORD, 2, 20, 0, Rm::Reg(25));
        asm.masked(op::DWORD_TO_BYTE, 2, 20, 0, Rm::Mem(RCX, 0), Masked::Merge(1));
        asm.masked_vi(op::PS2PH, 2, 20, Rm::Mem(RCX, 0), Masked::Merge(1), 0);
        asm.v(op::TESTMB, 0, 3, 15, Rm::Reg(15));
        asm.v(op::MASK_TO_Q, 2, 15, 0, Rm::Reg(6));
        asm.v(op::D_TO_MASK, 2, 6, 0, Rm::Reg(15));
        asm.scalar(op::KAND, 1, 2, 3, Rm::Reg(4));
        asm.scalar(op::KMOV_TO, 0, 5, 0, Rm::Mem(RSP, 0));
        asm.scalar(op::KORTEST8, 0, 5, 0, Rm::Reg(5));
        asm.scalar(op::KMOV_GPR, 0, 1, 0, Rm::Reg(RCX));
        asm.scalar(op::BZHI, 0, RCX, RAX, Rm::Reg(RCX));
        asm.vi(op::EXTRACT256, 2, 17, 0, Rm::Reg(14), 1);
        asm.vi(op::ROUNDPD, 2, 17, 0, Rm::Reg(14), 9);
        asm.v(op::MOVNTPS_TO, 2, 24, 0, Rm::Index(R8 + 5, RDX, 2, 64));
        asm.masked(op::PERM2PS, 2, 17, 15, Rm::Mem(RAX, 60), Masked::No);
        asm.masked(op::PERM2PD, 1, 3, 15, Rm::Mem(RAX, 64), Masked::No);
        asm.masked(op::PERMPS, 2, 15, 15, Rm::Reg(20), Masked::No);
        asm.masked(op::PERMPD, 2, 15, 15, Rm::Reg(20), Masked::No);
        asm.sfence();
        let expected = [
            "vaddps zmm17, zmm30, zmm9",
            "vaddps zmm1, zmm2, zmm31",
            "vaddps zmm8, zmm14, [16h]{1to16}",
            "vmulpd zmm8, zmm14, [20h]{1to8}",
            "vmovups zmm24, [r13+rdx*4]",
            "vmovups [rsp+40h], ymm24",
            "vmovups zmm3{k1}{z}, [r8+rdx*4-8]",
            "vmovupd [r12]{k7}, zmm19",
            "vcmplt_oqps k5, zmm20, zmm11",
            "vcmpunordpd k5, zmm20, zmm11",
            "vpcmpltq k6, zmm20, zmm31",
            "vblendmpd zmm16{k5}, zmm17, zmm18",
            "vbroadcastsd zmm30, [rax+8]",
            "vpbroadcastq zmm30, xmm29",
            "vpsllq zmm21, zmm22, 7",
            "vpmovqd ymm25, zmm20",
            "vpmovdb [rcx]{k1}, zmm20",
            "vcvtps2ph [rcx]{k1}, zmm20, 0",
            "vptestmb k3, xmm15, xmm15",
            "vpmovm2q zmm15, k6",
            "vpmovd2m k6, zmm15",
            "kandw k2, k3, k4",
            "kmovw [rsp], k5",
            "kortestb k5, k5",
            "kmovw k1, ecx",
            "bzhi ecx, ecx, eax",
            "vextracti64x4 ymm14, zmm17, 1",
            "vrndscalepd zmm17, zmm14, 9",
            "vmovntps [r13+rdx*4+40h], zmm24",
            "vpermt2ps zmm17, zmm15, [rax+3Ch]",
            "vpermt2pd ymm3, ymm15, [rax+40h]",
            "vpermps zmm15, zmm15, zmm20",
            "vpermpd zmm15, zmm15, zmm20",
            "sfence",
        ];
        assert_eq!(text(asm), expected);
    }
}
