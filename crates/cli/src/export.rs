//! `cotangent export`.

use std::path::{Path, PathBuf};

use cotangent_torch::{write_program, write_safetensors};
use miette::{IntoDiagnostic, Report, Result, WrapErr, miette};

use crate::program::{self, Loaded, ProgramArgs};

/// What to write, and where.
#[derive(clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// The form to write.
    #[arg(long, value_enum)]
    to: Target,
    /// The file to write. Parameters and buffers are inside a `.pt2`; beside a Python file they stand as safetensors of the same name.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A form that other systems read.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Target {
    /// A Python file that needs PyTorch only: a module, and a command that runs it on safetensors.
    Torch,
    /// An exported program, which `torch.export.load` reads; parameters and buffers are in it.
    Pt2,
    /// StableHLO text, which XLA compiles; parameters and buffers stand beside it as safetensors of the same name.
    Stablehlo,
}

/// Writes a program in the form of another system.
pub fn run(args: &ExportArgs) -> Result<()> {
    let loaded = program::load(&args.program)?;
    match args.to {
        Target::Torch => torch(&loaded, &args.out),
        Target::Pt2 => write_program(&args.out, &loaded.raised(), &loaded.stored).map_err(Report::new),
        Target::Stablehlo => {
            let text = cotangent_stablehlo::module(&loaded.graph).map_err(Report::new)?;
            weights_beside(&loaded, &args.out)?;
            write(&args.out, &text)
        }
    }
}

/// What stands after the module: the arguments by name, with the weights from the file beside.
const COMMAND: &str = r#"

def run(inputs):
    """The results for inputs by name; parameters and buffers that are not given are those of the program."""
    import os

    from safetensors.torch import load_file

    beside = os.path.splitext(os.path.abspath(__file__))[0] + ".safetensors"
    values = {**(load_file(beside) if os.path.exists(beside) else {}), **inputs}
    results = Module()(*(values[name] for name in ARGUMENTS))
    return pytree.tree_leaves(results)


if __name__ == "__main__":
    import sys

    from safetensors.torch import load_file, save_file

    results = run(load_file(sys.argv[1]) if len(sys.argv) > 1 else {})
    if len(sys.argv) > 2:
        save_file({str(i): t.detach().contiguous().clone() for i, t in enumerate(results)}, sys.argv[2])
    else:
        for i, t in enumerate(results):
            print(f"{i}: {t}")
"#;

fn torch(loaded: &Loaded, out: &Path) -> Result<()> {
    weights_beside(loaded, out)?;
    // JSON's strings are Python's.
    let names = serde_json::to_string(&loaded.graph.signature().leaf_names()).into_diagnostic()?;
    write(out, &format!("{}\n\nARGUMENTS = {names}\n{COMMAND}", loaded.raised().python_module()))
}

/// Writes parameters and buffers beside `out`, as safetensors of the same name.
fn weights_beside(loaded: &Loaded, out: &Path) -> Result<()> {
    let beside = out.with_extension("safetensors");
    if beside == out {
        return Err(miette!("expected a file of text in --out, found {}", out.display()));
    }
    let names = loaded.graph.signature().leaf_names();
    let weights = loaded.stored.iter().filter(|(n, _)| names.contains(n)).map(|(n, s)| (n.as_str(), s.value.as_ref()));
    write_safetensors(&beside, weights).map_err(Report::new)
}

fn write(out: &Path, text: &str) -> Result<()> {
    std::fs::write(out, text).into_diagnostic().wrap_err_with(|| format!("cannot write {}", out.display()))
}
