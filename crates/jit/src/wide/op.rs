//! The opcodes of vector instructions: map, prefix, `W`, byte.

#![allow(missing_docs)]

use super::asm::{EVEX_W, Vop};
use crate::lane::{Bin, Pred, Ty};

pub const MOVUPS: Vop = Vop(1, 0, 0, 0x10);
pub const MOVUPS_TO: Vop = Vop(1, 0, 0, 0x11);
/// Past the caches, to a multiple of the vector's size.
pub const MOVNTPS_TO: Vop = Vop(1, 0, 0, 0x2B);
pub const MOVAPS: Vop = Vop(1, 0, 0, 0x28);
pub const MASKLOAD32: Vop = Vop(2, 1, 0, 0x2C);
pub const MASKLOAD64: Vop = Vop(2, 1, 0, 0x2D);
pub const MASKSTORE32: Vop = Vop(2, 1, 0, 0x2E);
pub const MASKSTORE64: Vop = Vop(2, 1, 0, 0x2F);
/// Elements at the base and so many times the scale, of indices of 64 bits; the mask is cleared.
pub const GATHER32: Vop = Vop(2, 1, 0, 0x93);
pub const GATHER64: Vop = Vop(2, 1, 1, 0x93);
pub const BROADCAST32: Vop = Vop(2, 1, 0, 0x18);
pub const BROADCAST64: Vop = Vop(2, 1, EVEX_W, 0x19);
pub const BROADCAST_D: Vop = Vop(2, 1, 0, 0x58);
pub const BROADCAST_Q: Vop = Vop(2, 1, EVEX_W, 0x59);
pub const MOVD: Vop = Vop(1, 1, 0, 0x6E);
pub const MOVQ: Vop = Vop(1, 1, 1, 0x6E);
pub const MOVD_TO: Vop = Vop(1, 1, 0, 0x7E);
pub const MOVQ_TO: Vop = Vop(1, 1, 1, 0xD6);
pub const ZX8D: Vop = Vop(2, 1, 0, 0x31);
pub const ZX8Q: Vop = Vop(2, 1, 0, 0x32);
pub const ZX16D: Vop = Vop(2, 1, 0, 0x33);
pub const SX8D: Vop = Vop(2, 1, 0, 0x21);
pub const SX16D: Vop = Vop(2, 1, 0, 0x23);
pub const SX32Q: Vop = Vop(2, 1, 0, 0x25);
pub const PH2PS: Vop = Vop(2, 1, 0, 0x13);
pub const PS2PH: Vop = Vop(3, 1, 0, 0x1D);
pub const PS2PD: Vop = Vop(1, 0, 0, 0x5A);
pub const PD2PS: Vop = Vop(1, 1, 1, 0x5A);
pub const DQ2PS: Vop = Vop(1, 0, 0, 0x5B);
pub const TPS2DQ: Vop = Vop(1, 2, 0, 0x5B);
pub const DQ2PD: Vop = Vop(1, 2, 0, 0xE6);
pub const TPD2DQ: Vop = Vop(1, 1, 1, 0xE6);
pub const EXTRACT128: Vop = Vop(3, 1, 0, 0x39);
pub const INSERT128: Vop = Vop(3, 1, 0, 0x38);
pub const INSERT_D: Vop = Vop(3, 1, 0, 0x22);
pub const INSERT_Q: Vop = Vop(3, 1, 1, 0x22);
pub const EXTRACT_D: Vop = Vop(3, 1, 0, 0x16);
pub const EXTRACT_Q: Vop = Vop(3, 1, 1, 0x16);
pub const SHUFPS: Vop = Vop(1, 0, 0, 0xC6);
pub const PSHUFD: Vop = Vop(1, 1, 0, 0x70);
pub const PSHUFB: Vop = Vop(2, 1, 0, 0x00);
pub const UNPACK_LDQ: Vop = Vop(1, 1, 0, 0x62);
pub const UNPACK_LQDQ: Vop = Vop(1, 1, 0, 0x6C);
pub const MOVMSKPS: Vop = Vop(1, 0, 0, 0x50);
pub const MOVMSKPD: Vop = Vop(1, 1, 0, 0x50);
pub const PDEP: Vop = Vop(2, 3, 1, 0xF5);
pub const BLENDPS: Vop = Vop(3, 1, 0, 0x4A);
pub const BLENDPD: Vop = Vop(3, 1, 0, 0x4B);
/// Lanes that the immediate byte names.
pub const BLENDPS_OF: Vop = Vop(3, 1, 0, 0x0C);
pub const BLENDPD_OF: Vop = Vop(3, 1, 0, 0x0D);
pub const PXOR: Vop = Vop(1, 1, 0, 0xEF);
pub const PADDD: Vop = Vop(1, 1, 0, 0xFE);
pub const PADDQ: Vop = Vop(1, 1, 1, 0xD4);
pub const PCMPGTD: Vop = Vop(1, 1, 0, 0x66);
pub const PCMPGTQ: Vop = Vop(2, 1, 0, 0x37);
pub const PCMPEQD: Vop = Vop(1, 1, 0, 0x76);
pub const PCMPEQQ: Vop = Vop(2, 1, 0, 0x29);
pub const CMPPS: Vop = Vop(1, 0, 0, 0xC2);
pub const CMPPD: Vop = Vop(1, 1, 1, 0xC2);
pub const SQRTPS: Vop = Vop(1, 0, 0, 0x51);
pub const SQRTPD: Vop = Vop(1, 1, 1, 0x51);
pub const ROUNDPS: Vop = Vop(3, 1, 0, 0x08);
pub const ROUNDPD: Vop = Vop(3, 1, 1, 0x09);
/// Shifts of 32-bit lanes by an immediate; `reg` says which.
pub const SHIFT32: Vop = Vop(1, 1, 0, 0x72);
pub const SHIFT64: Vop = Vop(1, 1, 1, 0x73);

// AVX-512 only.
pub const MOVUPD: Vop = Vop(1, 1, 1, 0x10);
pub const MOVUPD_TO: Vop = Vop(1, 1, 1, 0x11);
pub const MOV8: Vop = Vop(1, 3, 0, 0x6F);
pub const MOV8_TO: Vop = Vop(1, 3, 0, 0x7F);
pub const BLENDMPS: Vop = Vop(2, 1, 0, 0x65);
pub const BLENDMPD: Vop = Vop(2, 1, 1, 0x65);
/// Comparison of integers; the immediate is 0 for equal, 1 for less.
pub const PCMPD: Vop = Vop(3, 1, 0, 0x1F);
pub const PCMPQ: Vop = Vop(3, 1, 1, 0x1F);
pub const TESTMB: Vop = Vop(2, 1, 0, 0x26);
pub const DWORD_TO_BYTE: Vop = Vop(2, 2, 0, 0x31);
pub const DWORD_TO_WORD: Vop = Vop(2, 2, 0, 0x33);
pub const QWORD_TO_DWORD: Vop = Vop(2, 2, 0, 0x35);
pub const GETEXPPS: Vop = Vop(2, 1, 0, 0x42);
pub const GETEXPPD: Vop = Vop(2, 1, 1, 0x42);
pub const GETMANTPS: Vop = Vop(3, 1, 0, 0x26);
pub const GETMANTPD: Vop = Vop(3, 1, 1, 0x26);
pub const QQ2PD: Vop = Vop(1, 2, 1, 0xE6);
pub const QQ2PS: Vop = Vop(1, 0, 1, 0x5B);
pub const TPD2QQ: Vop = Vop(1, 1, 1, 0x7A);
pub const EXTRACT256: Vop = Vop(3, 1, 1, 0x3B);
pub const PABSB: Vop = Vop(2, 1, 0, 0x1C);
/// Lanes of one vector, or of two, where the first's are replaced, in the order that a vector of indices says.
pub const PERMPS: Vop = Vop(2, 1, 0, 0x16);
pub const PERMPD: Vop = Vop(2, 1, 1, 0x16);
pub const PERM2PS: Vop = Vop(2, 1, 0, 0x7F);
pub const PERM2PD: Vop = Vop(2, 1, 1, 0x7F);
/// A mask as bytes, 32-bit or 64-bit lanes, and back.
pub const MASK_TO_B: Vop = Vop(2, 2, 0, 0x28);
pub const MASK_TO_D: Vop = Vop(2, 2, 0, 0x38);
pub const MASK_TO_Q: Vop = Vop(2, 2, 1, 0x38);
pub const D_TO_MASK: Vop = Vop(2, 2, 0, 0x39);
pub const Q_TO_MASK: Vop = Vop(2, 2, 1, 0x39);
/// Mask registers: loads, stores, moves from general registers, tests of 16 and of 8 bits.
pub const KMOV: Vop = Vop(1, 0, 0, 0x90);
pub const KMOV_TO: Vop = Vop(1, 0, 0, 0x91);
pub const KMOV_GPR: Vop = Vop(1, 0, 0, 0x92);
pub const KMOV_TO_GPR: Vop = Vop(1, 0, 0, 0x93);
pub const KORTEST: Vop = Vop(1, 0, 0, 0x98);
pub const KORTEST8: Vop = Vop(1, 1, 0, 0x98);
pub const KAND: Vop = Vop(1, 0, 0, 0x41);
pub const KANDN: Vop = Vop(1, 0, 0, 0x42);
pub const KOR: Vop = Vop(1, 0, 0, 0x45);
pub const KNOT: Vop = Vop(1, 0, 0, 0x44);
pub const KXNOR: Vop = Vop(1, 0, 0, 0x46);
pub const KXOR: Vop = Vop(1, 0, 0, 0x47);
/// The low bits of a general register, as many as another says.
pub const BZHI: Vop = Vop(2, 0, 0, 0xF5);

/// The instruction of an operation of two operands.
pub fn bin(op: Bin, ty: Ty) -> Vop {
    let float = |byte| Vop(1, u8::from(ty == Ty::F64), u8::from(ty == Ty::F64), byte);
    let int = |byte| Vop(1, 1, u8::from(ty == Ty::I64), byte);
    let single = ty == Ty::I32;
    match (op, ty.is_float()) {
        (Bin::Add, true) => float(0x58),
        (Bin::Mul, true) => float(0x59),
        (Bin::Sub, true) => float(0x5C),
        (Bin::Min, true) => float(0x5D),
        (Bin::Div, _) => float(0x5E),
        (Bin::Max, true) => float(0x5F),
        (Bin::And, true) => float(0x54),
        (Bin::AndNot, true) => float(0x55),
        (Bin::Or, true) => float(0x56),
        (Bin::Xor, true) => float(0x57),
        (Bin::Add, false) => int(if single { 0xFE } else { 0xD4 }),
        (Bin::Sub, false) => int(if single { 0xFA } else { 0xFB }),
        (Bin::Mul, false) => Vop(2, 1, u8::from(!single), 0x40),
        (Bin::Min, false) => Vop(2, 1, u8::from(!single), 0x39),
        (Bin::Max, false) => Vop(2, 1, u8::from(!single), 0x3D),
        (Bin::And, false) => int(0xDB),
        (Bin::AndNot, false) => int(0xDF),
        (Bin::Or, false) => int(0xEB),
        (Bin::Xor, false) => int(0xEF),
        (Bin::MulLow, _) => int(0xF4),
        (Bin::ShlBy, _) => Vop(2, 1, u8::from(!single), 0x47),
        (Bin::ShrBy, _) => Vop(2, 1, u8::from(!single), 0x45),
        (Bin::Scale, _) => Vop(2, 1, u8::from(ty == Ty::F64), 0x2C),
        (Bin::LogEdges, _) => Vop(3, 1, u8::from(ty == Ty::F64), 0x54),
    }
}

/// The instruction of an operation of two masks in registers.
pub fn mask_bin(op: Bin) -> Vop {
    match op {
        Bin::And => KAND,
        Bin::AndNot => KANDN,
        Bin::Or => KOR,
        Bin::Xor => KXOR,
        Bin::Add | Bin::Sub | Bin::Mul | Bin::Div | Bin::Min | Bin::Max | Bin::MulLow => {
            unreachable!("lane code: {op:?} of masks")
        }
        Bin::ShlBy | Bin::ShrBy | Bin::Scale | Bin::LogEdges => unreachable!("lane code: {op:?} of masks"),
    }
}

/// The immediate of a comparison of floats.
pub fn float_predicate(p: Pred) -> u8 {
    match p {
        Pred::Eq => 0,
        Pred::Unordered => 3,
        Pred::Ne => 4,
        Pred::Lt => 17,
        Pred::Le => 18,
    }
}

/// What [`Bin::LogEdges`] gives for each class of numbers, four bits each, from quiet and signalling NaN over zero, one, the infinities and negative to
/// positive numbers: 0 what is there, 3 the NaN of invalid operations, 4 and 5 the infinities.
pub const LOG_EDGES: u64 = 0x0353_0433;

/// Whether operands may change places.
pub fn commutes(op: Bin) -> bool {
    match op {
        Bin::Add | Bin::Mul | Bin::And | Bin::Or | Bin::Xor | Bin::MulLow => true,
        Bin::Sub | Bin::Div | Bin::Min | Bin::Max | Bin::AndNot | Bin::ShlBy | Bin::ShrBy => false,
        Bin::Scale | Bin::LogEdges => false,
    }
}
