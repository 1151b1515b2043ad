//! `cotangent print`.

use std::io::{IsTerminal, Write, stdout};

use cotangent::jit::Executable;
use cotangent::text::CodeStyle;
use miette::{IntoDiagnostic, Report, Result};

use crate::program::{self, Loaded};
use crate::{Form, PrintArgs};

/// Reads, transforms, simplifies and prints a program.
pub fn run(args: &PrintArgs) -> Result<()> {
    let loaded = program::load(&args.program)?;
    if args.explain {
        eprint!("{}", loaded.explanation);
    }
    let mut out = stdout().lock();
    // A closed pipe is the reader's choice, not a failure.
    match out.write_all(form(&loaded, args.form)?.as_bytes()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.into_diagnostic(),
    }
}

fn form(loaded: &Loaded, form: Form) -> Result<String> {
    let graph = &loaded.graph;
    let mut text = match form {
        Form::Code => loaded.raised().code(),
        Form::Code2021 => graph.code_in(CodeStyle::Functorch2021),
        Form::Python => loaded.raised().python_module(),
        Form::Ir => graph.to_string(),
        Form::Json => cotangent::text::json::to_json(graph),
        Form::Readable if stdout().is_terminal() => loaded.raised().readable_colored(),
        Form::Readable => loaded.raised().readable(),
        Form::Dot => graph.dot(),
        Form::Svg => graph.svg(),
        Form::Loops => cotangent_loops::text::print(executable(loaded)?.loops()),
        Form::Asm => executable(loaded)?.as_text(),
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn executable(loaded: &Loaded) -> Result<Executable> {
    Executable::simplified(&loaded.graph, loaded.options).map_err(Report::new)
}
