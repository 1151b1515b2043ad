//! Which vectors routines use.

use crate::wide::Isa;

/// The vectors of routines; a variant other than `Portable` means that the CPU has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vectors {
    /// Those of portable libraries and of the compiler's target.
    Portable,
    /// 256 bits with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    V256,
    /// 512 bits with AVX-512.
    #[cfg(target_arch = "x86_64")]
    V512,
}

impl Vectors {
    /// The vectors that go with the instructions of bodies, which the CPU has.
    pub fn of(isa: Option<Isa>) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Some(Isa::Avx2) => Vectors::V256,
            #[cfg(target_arch = "x86_64")]
            Some(Isa::Avx512) => Vectors::V512,
            #[cfg(not(target_arch = "x86_64"))]
            Some(Isa::Avx2 | Isa::Avx512) => Vectors::Portable,
            None => Vectors::Portable,
        }
    }

    /// Those of 256 bits, where the CPU has them.
    pub fn narrow() -> Self {
        Vectors::of(Some(Isa::Avx2).filter(|isa| isa.available()))
    }
}
