//! For which machine Cranelift makes code.

use std::sync::OnceLock;

use cranelift_codegen::isa::{Builder, OwnedTargetIsa, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use super::blocks::Blocks;

/// A machine with vectors of 128 bits.
pub struct Target {
    isa: OwnedTargetIsa,
    /// The same, with registers allocated in one pass.
    linear: OwnedTargetIsa,
    /// Whether a product and a sum are one instruction.
    pub fused: bool,
}

/// Features without which vectors on x86-64 are calls: of SSE4.1 for rounding and blends, of SSE4.2 for comparisons of 64-bit integers.
const NEEDED: [&str; 2] = ["has_sse41", "has_sse42"];

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.isa)
    }
}

impl Target {
    /// This machine, if Cranelift knows it and it has the vectors.
    pub fn host() -> Option<&'static Target> {
        static HOST: OnceLock<Option<Target>> = OnceLock::new();
        // Only there executable memory is that of `CodeMemory`.
        let host = || if cfg!(unix) { Target::new(cranelift_native::builder().ok()?) } else { None };
        HOST.get_or_init(host).as_ref()
    }

    /// The machine that `builder` describes, if it has the vectors.
    pub fn new(builder: Builder) -> Option<Target> {
        let with = |allocation| builder.finish(flags(allocation)).ok();
        let (isa, linear) = (with("backtracking")?, with("single_pass")?);
        let has = |name: &str| isa.isa_flags().iter().any(|f| f.name == name && f.as_bool() == Some(true));
        let (vectors, fused) = match isa.name() {
            "x64" => (NEEDED.into_iter().all(has), has("has_fma")),
            "aarch64" => (true, true),
            _ => (false, false),
        };
        vectors.then_some(Target { isa, linear, fused })
    }

    /// Cranelift's description of the machine.
    pub fn isa(&self) -> &dyn TargetIsa {
        &*self.isa
    }

    /// The one with which a stage that is walked so is compiled.
    pub(super) fn compiler(&self, blocks: Blocks) -> &dyn TargetIsa {
        if blocks.crowded { &*self.linear } else { &*self.isa }
    }
}

/// How Cranelift compiles.
fn flags(allocation: &str) -> settings::Flags {
    let mut flags = settings::builder();
    for (name, value) in [
        // Bodies are straight lines whose common parts lane code shares already. Measured: five more passes take as long again and bring nothing.
        ("opt_level", "none"),
        ("regalloc_algorithm", allocation),
        // Stages with many values have large stacks: no page is skipped.
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
        // Nothing unwinds through stages: a panic in a scalar function aborts.
        ("unwind_info", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
    ] {
        flags.set(name, value).expect("a flag of Cranelift");
    }
    settings::Flags::new(flags)
}
