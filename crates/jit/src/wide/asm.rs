//! An encoder of the x86-64 instructions that the emitter uses.
//!
//! Vector instructions are VEX-encoded with the three-byte prefix; each takes the destination, a second source (`vvvv`) and a register or memory.

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
}

/// Opcode of a vector instruction: map, mandatory prefix (0 none, 1 `66`, 2 `F3`, 3 `F2`), `W`, and the opcode byte.
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
#[derive(Debug, Default)]
pub struct Asm {
    /// The bytes so far.
    pub code: Vec<u8>,
    /// The constants, placed behind the code.
    pub pool: Vec<u8>,
    pool_fixups: Vec<(usize, usize, u32)>,
    labels: Vec<usize>,
    jumps: Vec<(usize, Label)>,
}

impl Asm {
    fn byte(&mut self, b: u8) {
        self.code.push(b);
    }

    fn dword(&mut self, x: i32) {
        self.code.extend_from_slice(&x.to_le_bytes());
    }

    /// ModRM, SIB and displacement; `tail` is the number of immediate bytes behind them.
    fn modrm(&mut self, reg: u8, rm: Rm, tail: usize) {
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Reg(r) => self.byte(0xC0 | reg | (r & 7)),
            Rm::Mem(base, disp) => {
                self.byte(0x80 | reg | (base & 7));
                if base & 7 == gpr::RSP {
                    self.byte(0x24);
                }
                self.dword(disp);
            }
            Rm::Index(base, index, scale, disp) => {
                self.byte(0x80 | reg | 4);
                self.byte(scale << 6 | (index & 7) << 3 | (base & 7));
                self.dword(disp);
            }
            Rm::Pool(at) => {
                self.byte(reg | 5);
                self.pool_fixups.push((self.code.len(), self.code.len() + 4 + tail, at));
                self.dword(0);
            }
        }
    }

    /// The inverted X and B bits of a VEX prefix.
    fn vex_xb(rm: Rm) -> (u8, u8) {
        match rm {
            Rm::Reg(r) | Rm::Mem(r, _) => (0, r >> 3),
            Rm::Index(b, i, _, _) => (i >> 3, b >> 3),
            Rm::Pool(_) => (0, 0),
        }
    }

    fn vex(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm, tail: usize) {
        let Vop(map, pp, w, opcode) = op;
        let (x, b) = Asm::vex_xb(rm);
        let second = (1 ^ (reg >> 3)) << 7 | (1 ^ x) << 6 | (1 ^ b) << 5 | map;
        let third = w << 7 | (!v & 15) << 3 | l << 2 | pp;
        if let Rm::Reg(r) = rm {
            return self.code.extend_from_slice(&[0xC4, second, third, opcode, 0xC0 | (reg & 7) << 3 | (r & 7)]);
        }
        self.code.extend_from_slice(&[0xC4, second, third, opcode]);
        self.modrm(reg, rm, tail);
    }

    /// A vector instruction; `v` is 0 where there is no second source.
    pub fn v(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm) {
        self.vex(op, l, reg, v, rm, 0);
    }

    /// A vector instruction with an immediate byte.
    pub fn vi(&mut self, op: Vop, l: u8, reg: u8, v: u8, rm: Rm, imm: u8) {
        self.vex(op, l, reg, v, rm, 1);
        self.byte(imm);
    }

    fn rex(&mut self, w: u8, reg: u8, rm: Rm) {
        let (x, b) = Asm::vex_xb(rm);
        self.byte(0x40 | w << 3 | (reg >> 3) << 2 | x << 1 | b);
    }

    /// A one-byte-opcode instruction with REX; `w` chooses 64 bits.
    fn op(&mut self, w: u8, opcode: u8, reg: u8, rm: Rm, tail: usize) {
        self.rex(w, reg, rm);
        self.byte(opcode);
        self.modrm(reg, rm, tail);
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
        self.modrm(reg, mem, 0);
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

    /// `ret`
    pub fn ret(&mut self) {
        self.byte(0xC3);
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
