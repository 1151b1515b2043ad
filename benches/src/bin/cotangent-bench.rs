//! Measures one workload in this process and reports it: `cotangent-bench --workload NAME --json`.

use std::process::ExitCode;

use clap::Parser;
use cotangent_benches::measure::measure;
use cotangent_benches::protocol::{Report, UNSUPPORTED};
use cotangent_benches::workloads::all;

/// Measures one workload: its first call, repeated calls and memory. Run it in a fresh process for each measurement.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Options {
    /// The workload's name; exit status 3 if there is none of this name
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    workload: Option<String>,

    /// Print one line of JSON instead of a summary
    #[arg(long)]
    json: bool,

    /// Print the graph that is compiled, and measure nothing
    #[arg(long)]
    graph: bool,

    /// Print the names of the workloads
    #[arg(long)]
    list: bool,

    /// How long to repeat calls
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    seconds: f64,

    /// Threads to use instead of all cores, or of `COTANGENT_NUM_THREADS`
    #[arg(long, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if options.list {
        for w in all() {
            println!("{}", w.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let name = options.workload.as_deref().unwrap_or_default();
    let Some(workload) = all().into_iter().find(|w| w.name == name) else {
        eprintln!("error: no workload `{name}` (see --list)");
        return Ok(ExitCode::from(UNSUPPORTED));
    };
    if options.graph {
        print!("{}", workload.program().graph()?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(n) = options.threads {
        cotangent_jit::threads::set_num_threads(n.get());
    }
    let report = Report::new(name, &measure(&workload, options.seconds)?)?;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!(
            "{name}: first call {:.3} ms, then median {:.3} µs, minimum {:.3} µs over {} calls",
            report.first_call_ms, report.median_us, report.min_us, report.calls
        );
        for (i, output) in report.outputs.iter().enumerate() {
            println!("  {i}: {:?} mean {:.6e}, of absolute values {:.6e}", output.shape, output.mean, output.mean_abs);
        }
    }
    Ok(ExitCode::SUCCESS)
}
