//! Which executor runs bodies: its names, and what the machine has.

use std::sync::OnceLock;

use cotangent_loops::ir::{LoopProgram, Step};

use crate::error::JitError;
use crate::machine::Assembler;
use crate::narrow::{self, Target};
use crate::routine::Vectors;
use crate::wide::{self, Isa};

/// Which executor runs bodies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Path {
    /// The one that the environment variable `COTANGENT_PATH` names (`wide512`, `wide256`, `narrow128` or `tiles`), else the best one that the machine has.
    #[default]
    Auto,
    /// Vectors of 512 bits: x86-64 with AVX-512 (F, BW, DQ and VL).
    Wide512,
    /// Vectors of 256 bits: x86-64 with AVX2 and FMA.
    Wide256,
    /// Vectors of 128 bits, by Cranelift: x86-64 with SSE4.2, and AArch64.
    Narrow128,
    /// The portable interpreter of tiles.
    Tiles,
}

/// An executor that this machine has.
#[derive(Clone, Copy, Debug)]
pub enum Executor {
    /// The wide emitter.
    Wide(Isa),
    /// Cranelift.
    Narrow(&'static Target),
    /// No machine code.
    Tiles,
}

impl Path {
    /// All paths beside the choice, best first.
    pub const ALL: [Path; 4] = [Path::Wide512, Path::Wide256, Path::Narrow128, Path::Tiles];

    /// The name in the environment.
    pub fn name(self) -> &'static str {
        match self {
            Path::Auto => "auto",
            Path::Wide512 => "wide512",
            Path::Wide256 => "wide256",
            Path::Narrow128 => "narrow128",
            Path::Tiles => "tiles",
        }
    }

    /// The path of this name.
    fn named(name: &str) -> Result<Path, JitError> {
        let path = Path::ALL.into_iter().find(|path| path.name() == name);
        path.ok_or_else(|| JitError::UnknownPath { found: name.to_owned() })
    }

    /// What the environment says; nothing, or nothing at all, leaves the choice to us.
    fn configured() -> Result<Path, JitError> {
        static PATH: OnceLock<Result<Path, JitError>> = OnceLock::new();
        let read = || match std::env::var_os("COTANGENT_PATH").filter(|name| !name.is_empty()) {
            Some(name) => Path::named(&name.to_string_lossy()),
            None => Ok(Path::Auto),
        };
        PATH.get_or_init(read).clone()
    }

    /// The executor of the path.
    ///
    /// *Errors*: the environment names no path; this machine does not have the path.
    pub(crate) fn executor(self) -> Result<Executor, JitError> {
        let wide = |isa: Isa| isa.available().then_some(Executor::Wide(isa));
        let found = match self {
            Path::Auto => match Path::configured()? {
                Path::Auto => {
                    return Ok(Path::ALL.into_iter().find_map(|path| path.executor().ok()).unwrap_or(Executor::Tiles));
                }
                path => return path.executor(),
            },
            Path::Wide512 => wide(Isa::Avx512),
            Path::Wide256 => wide(Isa::Avx2),
            Path::Narrow128 => Target::host().map(Executor::Narrow),
            Path::Tiles => Some(Executor::Tiles),
        };
        found.ok_or(JitError::NoSuchPath { path: self.name() })
    }
}

impl Executor {
    /// The vectors of routines that go with it.
    pub fn vectors(self) -> Vectors {
        match self {
            Executor::Wide(isa) => Vectors::of(Some(isa)),
            Executor::Narrow(_) | Executor::Tiles => Vectors::Portable,
        }
    }

    /// What makes the machine code of `program`.
    pub fn assembler(self, program: &LoopProgram) -> Option<Assembler> {
        match self {
            Executor::Wide(isa) => Some(Assembler::Wide(wide::Assembler::new(isa, operations(program)))),
            Executor::Narrow(target) => Some(Assembler::Narrow(narrow::Assembler::new(target))),
            Executor::Tiles => None,
        }
    }
}

/// The operations of all bodies.
fn operations(program: &LoopProgram) -> usize {
    let stages = program.steps.iter().flat_map(|step| match step {
        Step::Nest(nest) => nest.stages.as_slice(),
        Step::Routine(_) => &[],
    });
    stages.map(|stage| stage.body.ops.len() + stage.after.ops.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_names_and_others_are_errors() {
        for path in Path::ALL {
            assert_eq!(Path::named(path.name()), Ok(path));
        }
        let e = Path::named("avx2").expect_err("no path's name").to_string();
        assert_eq!(e, "expected COTANGENT_PATH to be wide512, wide256, narrow128 or tiles, found `avx2`");
    }
}
