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

    /// Whether the CPU does instructions of 512 bits in two halves: Zen 4, the family 25 of AMD. Measured on two threads of Zen 5 and of Zen 4: squares of 16 instead
    /// of 8 transpose `f32` for a sum of 1200×800 in 81 µs instead of 103, and there a tenth to a half slower.
    pub fn has_halves() -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::__cpuid;
            // A virtual machine traps on the question, which takes microseconds.
            static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
            *HAS.get_or_init(|| {
                let (vendor, version) = (__cpuid(0), __cpuid(1).eax);
                let family = (version >> 8 & 15) + (version >> 20 & 255);
                let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes);
                name.as_flattened() == b"AuthenticAMD" && family == 25
            })
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            false
        }
    }

    /// Those that transpose fastest what is near, for what only copies: 512 bits, unless the CPU does their instructions in two halves.
    pub fn shuffling() -> Self {
        if Vectors::has_halves() { Vectors::narrow() } else { Vectors::widest() }
    }

    /// The side of the squares that they transpose.
    pub fn square(self, size: usize) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 => 64 / size,
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 => 32 / size,
            Vectors::Portable => 1,
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
