//! The narrow path: machine code of 128-bit vectors for stages, by Cranelift: on x86-64 with SSE4.2 and on AArch64.
//!
//! Each stage is one function. Lanes go in blocks of several interleaved copies of the body, then single vectors; the rest is one vector
//! whose lanes beyond the last repeat that one: they read and write again what it does, and only reductions tell them apart.

mod access;
mod accumulate;
mod aim;
mod blocks;
mod call;
mod convert;
mod fused;
mod half;
mod inst;
mod integer;
mod stage;
mod table;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::{CodegenError, CompileError, Context};
use cranelift_frontend::FunctionBuilderContext;
use rustc_hash::FxHashMap;

use crate::error::JitError;
use crate::kernel::StageKernel;
use crate::machine::thunk::Call;
use crate::machine::{CodeMemory, Key, StageCode};
use blocks::Blocks;
pub use target::Target;

/// The bytes of a vector.
const BYTES: usize = 16;

/// What Cranelift needs again for each function.
struct Kept {
    context: Context,
    builder: FunctionBuilderContext,
    plane: ControlPlane,
}

impl Kept {
    fn new() -> Self {
        Kept { context: Context::new(), builder: FunctionBuilderContext::new(), plane: ControlPlane::default() }
    }
}

/// Makes the machine code of one program.
pub struct Assembler {
    target: &'static Target,
    kept: Option<Box<Kept>>,
    code: Vec<u8>,
    known: FxHashMap<(Key, Blocks), StageCode>,
    /// What thunks are told; addresses are in the code.
    calls: Vec<Arc<Call>>,
    memory: Option<CodeMemory>,
}

/// A function as text.
pub struct Text {
    /// Cranelift's IR.
    pub clif: String,
    /// The machine's instructions.
    pub assembly: String,
}

impl std::fmt::Debug for Assembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "narrow::Assembler({} bytes)", self.code_bytes())
    }
}

impl Assembler {
    /// Makes code for a machine.
    pub fn new(target: &'static Target) -> Self {
        let (code, known, calls) = (Vec::new(), FxHashMap::default(), Vec::new());
        Assembler { target, kept: None, code, known, calls, memory: None }
    }

    /// Code for a stage, or `None` where that is more than Cranelift makes: such stages run on tiles.
    pub fn stage(&mut self, kernel: &StageKernel) -> Option<StageCode> {
        let blocks = Blocks::of(kernel);
        let key = (Key::new(kernel), blocks);
        if let Some(known) = self.known.get(&key) {
            return Some(StageCode { accumulators: kernel.lane.accumulators.clone(), ..known.clone() });
        }
        let kept = self.kept.get_or_insert_with(|| Box::new(Kept::new()));
        kept.context.clear();
        stage::build(&mut kept.context.func, &mut kept.builder, self.target, kernel, &mut self.calls);
        let compiled = kept.context.compile(self.target.compiler(blocks), &mut kept.plane);
        let buffer = match compiled {
            Ok(compiled) => &compiled.buffer,
            Err(CompileError { inner: CodegenError::CodeTooLarge | CodegenError::ImplLimitExceeded, .. }) => {
                return None;
            }
            Err(e) => panic!("narrow: what is built is legal: {:?}", e.inner),
        };
        assert!(buffer.relocs().is_empty(), "narrow: code calls by address only");
        self.code.resize(self.code.len().next_multiple_of(32), 0);
        let offset = self.code.len();
        self.code.extend_from_slice(buffer.data());
        let accumulators = kernel.lane.accumulators.clone();
        let (lanes, copies) = (blocks.width, blocks.copies);
        let stage = StageCode { offset, lanes, copies, bytes: BYTES, entry: 0, accumulators };
        self.known.insert(key, stage.clone());
        Some(stage)
    }

    /// Makes the code executable; its address.
    pub fn finish(&mut self) -> Result<usize, JitError> {
        self.kept = None;
        self.known = FxHashMap::default();
        let code = std::mem::take(&mut self.code);
        if !code.is_empty() {
            self.memory = Some(CodeMemory::new(&code)?);
        }
        Ok(self.memory.as_ref().map_or(0, CodeMemory::base))
    }

    /// The bytes of code.
    pub fn code_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, CodeMemory::bytes)
    }

    /// The function of a stage, which this or another assembler for the machine has compiled, as Cranelift's IR and as assembly.
    pub fn text(&self, kernel: &StageKernel) -> Text {
        let mut context = Context::for_function(Function::new());
        stage::build(&mut context.func, &mut FunctionBuilderContext::new(), self.target, kernel, &mut Vec::new());
        let clif = context.func.display().to_string();
        context.set_disasm(true);
        let compiled = context.compile(self.target.compiler(Blocks::of(kernel)), &mut ControlPlane::default());
        let assembly = compiled.expect("narrow: it has been compiled before").vcode.clone();
        Text { clif, assembly: assembly.unwrap_or_default() }
    }
}
