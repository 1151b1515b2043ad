//! Machine code as assembly.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};

/// The functions of `code`, named by the steps and stages that they are for: `entries[step][stage]` is where one begins.
///
/// Stages with equal bodies share a function.
pub fn disassembly(code: &[u8], entries: &[Vec<Option<usize>>]) -> String {
    let mut functions: Vec<(usize, String)> = Vec::new();
    for (step, stages) in entries.iter().enumerate() {
        for (stage, at) in stages.iter().enumerate() {
            functions.extend(at.map(|at| (at, format!("step {step} stage {stage}"))));
        }
    }
    functions.sort_by_key(|(at, _)| *at);
    let mut out = String::new();
    let mut groups = functions.chunk_by(|a, b| a.0 == b.0).peekable();
    while let Some(group) = groups.next() {
        let from = group[0].0;
        let to = groups.peek().map_or(code.len(), |next| next[0].0);
        let names: Vec<&str> = group.iter().map(|(_, name)| name.as_str()).collect();
        let _ = writeln!(out, "{}:", names.join(", "));
        function(&code[from..to], from, &mut out);
    }
    out
}

/// One instruction a line, with its place in the code.
fn function(code: &[u8], from: usize, out: &mut String) {
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
