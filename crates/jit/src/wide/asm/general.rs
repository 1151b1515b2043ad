//! Instructions of general registers.

use super::{Asm, Rm};

impl Asm {
    fn rex(&mut self, w: u8, reg: u8, rm: Rm) {
        let (x, b) = Asm::xb(rm);
        self.byte(0x40 | w << 3 | (reg >> 3) << 2 | x << 1 | b);
    }

    /// A one-byte-opcode instruction with REX; `w` chooses 64 bits.
    fn op(&mut self, w: u8, opcode: u8, reg: u8, rm: Rm, tail: usize) {
        self.rex(w, reg, rm);
        self.byte(opcode);
        self.modrm(reg, rm, tail, true);
    }

    /// `reg = rm`, 64 bits.
    pub fn mov(&mut self, reg: u8, rm: Rm) {
        self.op(1, 0x8B, reg, rm, 0);
    }

    /// `mem = reg`, of 1, 2, 4 or 8 bytes.
    pub fn mov_to(&mut self, mem: Rm, reg: u8, size: usize) {
        if size == 2 {
            self.byte(0x66);
        }
        self.op(u8::from(size == 8), if size == 1 { 0x88 } else { 0x89 }, reg, mem, 0);
    }

    /// `reg = mem` of 1, 2, 4 or 8 bytes, with zeros or (narrow ones) the sign above.
    pub fn mov_from(&mut self, reg: u8, mem: Rm, size: usize, signed: bool) {
        if size >= 4 {
            return self.op(u8::from(size == 8), 0x8B, reg, mem, 0);
        }
        self.rex(0, reg, mem);
        self.byte(0x0F);
        self.byte(0xB6 | u8::from(signed) << 3 | u8::from(size == 2));
        self.modrm(reg, mem, 0, true);
    }

    /// `reg = imm`, 64 bits.
    pub fn mov_imm(&mut self, reg: u8, imm: u64) {
        self.byte(0x48 | reg >> 3);
        self.byte(0xB8 | (reg & 7));
        self.code.extend_from_slice(&imm.to_le_bytes());
    }

    /// `qword mem = imm`
    pub fn store_imm(&mut self, mem: Rm, imm: i32) {
        self.op(1, 0xC7, 0, mem, 4);
        self.dword(imm);
    }

    /// `rm += imm`, 64 bits.
    pub fn add_imm(&mut self, rm: Rm, imm: i32) {
        self.op(1, 0x81, 0, rm, 4);
        self.dword(imm);
    }

    /// `rm & imm`
    pub fn and_imm(&mut self, rm: Rm, imm: i32) {
        self.op(1, 0x81, 4, rm, 4);
        self.dword(imm);
    }

    /// Compares `rm` with `imm`, 64 bits.
    pub fn cmp_imm(&mut self, rm: Rm, imm: i32) {
        self.op(1, 0x81, 7, rm, 4);
        self.dword(imm);
    }

    /// Compares `reg` with `rm`, 64 bits.
    pub fn cmp(&mut self, reg: u8, rm: Rm) {
        self.op(1, 0x3B, reg, rm, 0);
    }

    /// `reg += rm`, 64 bits.
    pub fn add(&mut self, reg: u8, rm: Rm) {
        self.op(1, 0x03, reg, rm, 0);
    }

    /// `reg -= rm`, 64 bits.
    pub fn sub(&mut self, reg: u8, rm: Rm) {
        self.op(1, 0x2B, reg, rm, 0);
    }

    /// `reg = address`
    pub fn lea(&mut self, reg: u8, mem: Rm) {
        self.op(1, 0x8D, reg, mem, 0);
    }

    /// `reg = rm · imm`, 64 bits.
    pub fn imul(&mut self, reg: u8, rm: Rm, imm: i32) {
        self.op(1, 0x69, reg, rm, 4);
        self.dword(imm);
    }

    /// `reg = 0`
    pub fn zero(&mut self, reg: u8) {
        self.op(0, 0x33, reg, Rm::Reg(reg), 0);
    }

    /// `reg = −reg`, 64 bits.
    pub fn neg(&mut self, reg: u8) {
        self.op(1, 0xF7, 3, Rm::Reg(reg), 0);
    }

    /// Tests 32 bits of a register.
    pub fn test(&mut self, reg: u8) {
        self.op(0, 0x85, reg, Rm::Reg(reg), 0);
    }

    /// Pushes a register.
    pub fn push(&mut self, reg: u8) {
        self.byte(0x40 | reg >> 3);
        self.byte(0x50 | (reg & 7));
    }

    /// Pops a register.
    pub fn pop(&mut self, reg: u8) {
        self.byte(0x40 | reg >> 3);
        self.byte(0x58 | (reg & 7));
    }

    /// Calls the address in a register.
    pub fn call(&mut self, reg: u8) {
        self.byte(0x40 | reg >> 3);
        self.byte(0xFF);
        self.byte(0xD0 | (reg & 7));
    }

    /// `vzeroupper`
    pub fn vzeroupper(&mut self) {
        self.code.extend_from_slice(&[0xC5, 0xF8, 0x77]);
    }

    /// `sfence`
    pub fn sfence(&mut self) {
        self.code.extend_from_slice(&[0x0F, 0xAE, 0xF8]);
    }

    /// `ret`
    pub fn ret(&mut self) {
        self.byte(0xC3);
    }
}
