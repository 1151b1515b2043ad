//! `cotangent run` and `cotangent bench`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cotangent::Tensor;
use cotangent::array::Array;
use cotangent_torch::write_safetensors;
use miette::{Report, Result};

use crate::engine::Engine;
use crate::program::{self, ProgramArgs};
use crate::say::say;

/// What to run, on what.
#[derive(clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    program: ProgramArgs,
    /// The arguments, by name, in a safetensors file. Parameters and buffers of an exported program are those of its file where
    /// they are not given.
    #[arg(long, value_name = "FILE")]
    inputs: Option<PathBuf>,
    /// What evaluates the program.
    #[arg(long, value_enum, default_value_t = Engine::Jit)]
    engine: Engine,
}

/// Where results go.
#[derive(clap::Args)]
pub struct OutArgs {
    /// Write the results as tensors `0`, `1`, … of a safetensors file; without it they are printed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How long to measure.
#[derive(clap::Args)]
pub struct BenchArgs {
    /// Measure for about so many seconds.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Print also the time of each kernel in one more call, with the source lines of what is fused into it.
    #[arg(long)]
    profile: bool,
}

/// Evaluates a program.
pub fn run(args: &RunArgs, out: &OutArgs) -> Result<()> {
    let loaded = program::load(&args.program)?;
    let inputs = loaded.arguments(args.inputs.as_deref())?;
    let evaluate = args.engine.prepare(&loaded.graph, loaded.options).map_err(Report::new)?;
    let results = arrays(&evaluate(&inputs).map_err(Report::new)?)?;
    match &out.out {
        Some(path) => {
            let named = results.iter().enumerate().map(|(i, a)| (i.to_string(), a));
            write_safetensors(path, named).map_err(Report::new)
        }
        None => {
            for (i, a) in results.into_iter().enumerate() {
                say!("{i}: {} {}", a.aval(), Tensor::from_array(a));
            }
            Ok(())
        }
    }
}

/// Measures reading, compiling and evaluating a program.
pub fn bench(args: &RunArgs, bench: &BenchArgs) -> Result<()> {
    let start = Instant::now();
    let loaded = program::load(&args.program)?;
    let inputs = loaded.arguments(args.inputs.as_deref())?;
    say!("{:>12}  read and transform ({} nodes)", time(start.elapsed()), loaded.graph.len());
    let start = Instant::now();
    let evaluate = args.engine.prepare(&loaded.graph, loaded.options).map_err(Report::new)?;
    say!("{:>12}  compile", time(start.elapsed()));
    let start = Instant::now();
    evaluate(&inputs).map_err(Report::new)?;
    say!("{:>12}  first call", time(start.elapsed()));
    let (begin, limit) = (Instant::now(), Duration::from_secs_f64(bench.seconds.clamp(0.0, 3600.0)));
    let mut times = Vec::new();
    while times.is_empty() || begin.elapsed() < limit {
        let start = Instant::now();
        evaluate(&inputs).map_err(Report::new)?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    say!("{:>12}  median of {} calls, fastest {}", time(times[times.len() / 2]), times.len(), time(times[0]));
    if bench.profile {
        let profile = args.engine.profile(&loaded.graph, loaded.options, &inputs).map_err(Report::new)?;
        match profile {
            Some(profile) => say!("\n{}", profile.to_string().trim_end()),
            None => eprintln!("no profile: the reference evaluator has no kernels; leave `--engine eval` out"),
        }
    }
    Ok(())
}

fn arrays(tensors: &[Tensor]) -> Result<Vec<Array>> {
    tensors.iter().map(|t| t.to_array().map_err(Report::new)).collect()
}

fn time(d: Duration) -> String {
    format!("{d:.3?}")
}
