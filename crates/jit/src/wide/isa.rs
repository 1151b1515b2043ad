//! The two sets of vector instructions, and what differs between them.

use super::alloc::MASKS;

/// Vector instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Isa {
    /// AVX2, FMA, F16C and BMI2: 16 registers of 256 bits, masks are vectors.
    Avx2,
    /// These and AVX-512 F, BW, DQ and VL: 32 registers of 512 bits, masks have registers of their own.
    Avx512,
}

impl Isa {
    /// Whether the CPU, and the system, have them.
    pub fn available(self) -> bool {
        #[cfg(all(target_arch = "x86_64", unix))]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c") && has!("bmi2");
            match self {
                Isa::Avx2 => avx2,
                Isa::Avx512 => avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl"),
            }
        }
        #[cfg(not(all(target_arch = "x86_64", unix)))]
        {
            false
        }
    }

    /// The bytes of a vector.
    pub fn bytes(self) -> usize {
        match self {
            Isa::Avx2 => 32,
            Isa::Avx512 => 64,
        }
    }

    /// The length of a whole vector in instructions.
    pub fn full(self) -> u8 {
        match self {
            Isa::Avx2 => 1,
            Isa::Avx512 => 2,
        }
    }

    /// Vector registers for values and accumulators: all but two.
    pub fn vectors(self) -> u64 {
        match self {
            Isa::Avx2 => 0x3fff,
            Isa::Avx512 => 0xffff_3fff,
        }
    }

    /// Mask registers for values: `k0` cannot mask, `k1` has the lanes of a masked vector.
    pub fn masks(self) -> u64 {
        match self {
            Isa::Avx2 => 0,
            Isa::Avx512 => 0xfc << MASKS,
        }
    }

    /// The register of the first accumulator; the others stand below.
    pub fn first_accumulator(self) -> u8 {
        match self {
            Isa::Avx2 => 13,
            Isa::Avx512 => 31,
        }
    }

    /// How many accumulators have registers; where there are more, all are in memory.
    pub fn accumulators(self) -> usize {
        match self {
            Isa::Avx2 => 6,
            Isa::Avx512 => 14,
        }
    }
}
