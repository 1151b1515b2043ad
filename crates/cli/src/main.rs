//! The `cotangent` command.

mod check;
mod demo;
mod engine;
mod export;
mod input;
mod print;
mod program;
mod run;
mod say;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Function transforms on array programs: print, differentiate, batch and check graphs.
///
/// Without a command, a small program is traced, differentiated, printed and evaluated.
#[derive(Parser)]
#[command(name = "cotangent", version, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  cotangent                                                  trace grad(sum(sin x)), print it, compare it with cos x
  cotangent print f.ir                                       the program as PyTorch code
  cotangent print f.ir --transform grad                      its gradient, simplified
  cotangent print f.ir --transform \"vmap(grad, in_dims=(None, 0), size=8)\" --form ir
  cotangent print f.ir --transform hessian --raw --form readable
  cotangent print f.json --form svg > f.svg                  a drawing
  cotangent print f.ir --transform grad --form loops         what is compiled (or asm: the machine code)
  cotangent print net.pt2 --transform \"grad(argnums=fc.weight)\"  a PyTorch program's gradient
  cotangent run net.pt2 --inputs in.safetensors --out y.safetensors
  cotangent bench net.pt2 --inputs in.safetensors            time of reading, compiling, and a call
  cotangent bench net.pt2 --inputs in.safetensors --profile  and of each kernel
  cotangent export net.pt2 --transform grad --to torch --out g.py      or --to pt2, --to stablehlo
  cotangent check-ir f.ir                                    verify the invariants of every graph in a file
  cotangent check corpus --filter 'ops/*/vjp'                run PyTorch programs against PyTorch's values";

#[derive(Subcommand)]
enum Command {
    /// Print a program, under transforms if any are given.
    Print(PrintArgs),
    /// Evaluate a program, under transforms if any are given.
    Run {
        #[command(flatten)]
        run: run::RunArgs,
        #[command(flatten)]
        out: run::OutArgs,
    },
    /// Measure how long a program takes to read, compile and evaluate.
    Bench {
        #[command(flatten)]
        run: run::RunArgs,
        #[command(flatten)]
        bench: run::BenchArgs,
    },
    /// Write a program in a form that other systems read.
    Export(export::ExportArgs),
    /// Check that a file holds well-formed graphs.
    CheckIr {
        /// IR text, or JSON if the name ends in `.json`; `-` for standard input.
        file: PathBuf,
    },
    /// Run a corpus of PyTorch programs under transforms and compare with PyTorch's values.
    Check(check::CheckArgs),
}

/// What to print, and how.
#[derive(clap::Args)]
struct PrintArgs {
    #[command(flatten)]
    program: program::ProgramArgs,
    /// The form to print.
    #[arg(long, value_enum, default_value_t = Form::Code)]
    form: Form,
    /// List on standard error which simplifications were made.
    #[arg(long, conflicts_with = "raw")]
    explain: bool,
}

/// A form of a graph.
#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// Code that runs in PyTorch, as functorch's make_fx prints it today.
    Code,
    /// The same in the spelling of 2021.
    Code2021,
    /// A self-contained Python module.
    Python,
    /// Typed IR text, which reads back.
    Ir,
    /// JSON, which reads back.
    Json,
    /// Statements with shapes, dtypes and source lines.
    Readable,
    /// A Graphviz drawing.
    Dot,
    /// A drawing.
    Svg,
    /// The loops that are compiled, with their kernels and buffers.
    Loops,
    /// Which nodes are fused into which kernel, and the machine code of each.
    Asm,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        None => demo::run(),
        Some(Command::Print(args)) => print::run(args),
        Some(Command::Run { run, out }) => run::run(run, out),
        Some(Command::Bench { run, bench }) => run::bench(run, bench),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::CheckIr { file }) => input::check(file),
        Some(Command::Check(args)) => check::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}
