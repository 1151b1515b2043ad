//! Machine code, and what it was made from, as text.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

use crate::kernel::StageKernel;
use crate::machine::Assembler;
use crate::program::Compiled;

/// A function of machine code.
struct Function<'a> {
    /// Its place in the code.
    at: usize,
    /// The step and stage that it is for.
    name: String,
    stage: &'a StageKernel,
}

impl Compiled {
    /// The machine code of the nests' bodies as assembly, by step and stage; bodies that run on tiles and routines have none of their own.
    ///
    /// Stages with equal bodies share a function.
    pub fn disassembly(&self) -> String {
        match self.code() {
            None => String::new(),
            Some(Assembler::Wide(wide)) => {
                let code = wide.instructions();
                self.listing(|from, to, _, out| decode(&code[from..to.unwrap_or(code.len())], from, out))
            }
            Some(Assembler::Narrow(narrow)) => {
                self.listing(|_, _, stage, out| out.push_str(&narrow.text(stage).assembly))
            }
        }
    }

    /// Cranelift's IR of the nests' bodies, by step and stage, where the path is Cranelift's; nothing elsewhere.
    pub fn clif(&self) -> String {
        match self.code() {
            None | Some(Assembler::Wide(_)) => String::new(),
            Some(Assembler::Narrow(narrow)) => self.listing(|_, _, stage, out| out.push_str(&narrow.text(stage).clif)),
        }
    }

    /// All functions in order, each with its names, as `write` puts them, which is told where a function begins and the next one does.
    fn listing(&self, write: impl Fn(usize, Option<usize>, &StageKernel, &mut String)) -> String {
        let functions = self.functions();
        let mut out = String::new();
        let mut groups = functions.chunk_by(|a, b| a.at == b.at).peekable();
        while let Some(group) = groups.next() {
            let names: Vec<&str> = group.iter().map(|f| f.name.as_str()).collect();
            let _ = writeln!(out, "{}:", names.join(", "));
            write(group[0].at, groups.peek().map(|next| next[0].at), group[0].stage, &mut out);
        }
        out
    }

    /// The functions by their places.
    fn functions(&self) -> Vec<Function<'_>> {
        let mut functions = Vec::new();
        for (step, nest) in self.nests().into_iter().enumerate() {
            for (i, stage) in nest.iter().flat_map(|nest| nest.stages.iter().enumerate()) {
                let walk = nest.and_then(|nest| nest.walk.as_ref()).map(|walk| walk.stages[i]);
                let at = walk.or(stage.code.as_ref().map(|code| code.offset));
                functions.extend(at.map(|at| Function { at, name: format!("step {step} stage {i}"), stage }));
            }
        }
        functions.sort_by_key(|f| f.at);
        functions
    }
}

/// One instruction a line, with its place in the code.
fn decode(code: &[u8], from: usize, out: &mut String) {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_rip_relative_addresses(true);
    let mut line = String::new();
    for instruction in Decoder::with_ip(64, code, from as u64, DecoderOptions::NONE) {
        line.clear();
        formatter.format(&instruction, &mut line);
        let _ = writeln!(out, "{:>8x}  {line}", instruction.ip());
    }
}
