//! Which vectors routines use.

#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, F64x8, Kernel, Lanes};
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

    /// The widest that the CPU has, for what only copies: the same bits on every path.
    pub fn widest() -> Self {
        Vectors::of([Isa::Avx512, Isa::Avx2].into_iter().find(|isa| isa.available()))
    }

    /// Whether squares of elements of so many bytes are transposed in whole cache lines.
    pub fn has_lines(self, size: usize) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 => size >= 4,
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 => false,
            Vectors::Portable => false,
        }
    }

    /// Those of 256 bits, where the CPU has them.
    pub fn narrow() -> Self {
        Vectors::of(Some(Isa::Avx2).filter(|isa| isa.available()))
    }
}

/// Loops over numbers that lie side by side, compiled with the instructions of the vectors that run them, of which the compiler makes
/// them. Implementations are `#[inline(always)]`.
pub trait Loops {
    /// Runs them.
    ///
    /// # Safety
    /// As the implementation says.
    unsafe fn run(self);
}

/// [`Loops`] as a kernel.
#[cfg(target_arch = "x86_64")]
struct OfVectors<L>(L);

#[cfg(target_arch = "x86_64")]
impl<L: Loops> Kernel for OfVectors<L> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.0.run() }
    }
}

/// Runs loops with vectors.
///
/// # Safety
/// The CPU has the vectors; and as [`Loops::run`].
pub unsafe fn with(vectors: Vectors, loops: impl Loops) {
    // SAFETY: the caller's.
    unsafe {
        match vectors {
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 => F64x4::enabled(OfVectors(loops)),
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 => F64x8::enabled(OfVectors(loops)),
            Vectors::Portable => loops.run(),
        }
    }
}
