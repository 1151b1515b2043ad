//! Which vectors routines use.

use crate::Path;

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
    /// The vectors that go with a path that has been chosen for this machine.
    pub fn of(path: Path) -> Self {
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Wide256 => Vectors::V256,
            #[cfg(target_arch = "x86_64")]
            Path::Wide512 => Vectors::V512,
            #[cfg(not(target_arch = "x86_64"))]
            Path::Wide256 | Path::Wide512 => Vectors::Portable,
            Path::Auto | Path::Tiles => Vectors::Portable,
        }
    }

    /// Those of 256 bits, where the CPU has them.
    pub fn narrow() -> Self {
        Vectors::of(if crate::wide::available() { Path::Wide256 } else { Path::Tiles })
    }

    /// Whether the CPU has vectors of 512 bits.
    pub fn are_512() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            crate::wide::available() && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw")
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }
}
