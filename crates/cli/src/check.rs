//! `cotangent check`: runs a corpus of PyTorch programs and compares with the values that PyTorch gives.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use cotangent::simplify::Options;
use cotangent_torch::corpus::{Case, Outcome, Status, Suite, find_suites, run_case};
use cotangent_torch::write_safetensors;
use indicatif::{ProgressBar, ProgressStyle};
use miette::{IntoDiagnostic, Report, Result};
use rayon::prelude::*;
use serde_json::json;

use crate::engine::Engine;

/// What to run, and what to write.
#[derive(clap::Args)]
pub struct CheckArgs {
    /// The corpus: every folder below it that holds a `cases.json`.
    dir: PathBuf,
    /// Print one JSON line per case.
    #[arg(long)]
    json: bool,
    /// Write the outputs of each case as `OUT/<case name>.safetensors`.
    #[arg(long, value_name = "OUT")]
    write: Option<PathBuf>,
    /// Run only cases whose name matches; `*` stands for anything.
    #[arg(long, value_name = "GLOB")]
    filter: Option<String>,
    /// How many cases run at once; the number of cores if it is not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// What evaluates the graphs.
    #[arg(long, value_enum, default_value_t = Engine::Jit)]
    engine: Engine,
}

type Tally = BTreeMap<(String, String), [usize; 4]>;

/// Runs the cases and prints a table by family and transform. Fails if some case does not pass.
pub fn run(args: &CheckArgs) -> Result<()> {
    let suites = find_suites(&args.dir);
    if suites.is_empty() {
        return Err(miette::miette!("expected folders with a cases.json below {}", args.dir.display()));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.jobs.unwrap_or(0)).build().into_diagnostic()?;
    let bar = ProgressBar::new(suites.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} suites, {elapsed} {msg}").into_diagnostic()?);
    let tally: Mutex<Tally> = Mutex::new(Tally::new());
    let failure: Mutex<Option<Report>> = Mutex::new(None);
    // A panic inside a case is reported as the case's end, not on standard error.
    std::panic::set_hook(Box::new(|_| {}));
    pool.install(|| {
        suites.par_iter().for_each(|dir| {
            if let Err(e) = run_suite(args, dir, &tally) {
                failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(e);
            }
            bar.inc(1);
        });
    });
    drop(std::panic::take_hook());
    bar.finish_and_clear();
    if let Some(e) = failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Err(e);
    }
    let tally = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    eprint!("{}", table(&tally));
    let not_passed: usize = tally.values().map(|t| t[1..].iter().sum::<usize>()).sum();
    if not_passed > 0 {
        return Err(miette::miette!("{not_passed} cases did not pass"));
    }
    Ok(())
}

fn run_suite(args: &CheckArgs, dir: &std::path::Path, tally: &Mutex<Tally>) -> Result<()> {
    let suite = Suite::read(dir).map_err(Report::new)?;
    let engine = args.engine;
    for case in suite.cases.iter().filter(|c| args.filter.as_deref().is_none_or(|g| matches(g, &c.name))) {
        // PyTorch keeps every bit, under derivatives too: a zero of the program times NaN is NaN.
        let outcome = run_case(&suite, case, &move |graph, inputs| engine.run(graph, inputs, Options::exact()));
        report(args, &suite, case, &outcome, tally)?;
    }
    Ok(())
}

fn report(args: &CheckArgs, suite: &Suite, case: &Case, outcome: &Outcome, tally: &Mutex<Tally>) -> Result<()> {
    let column = match outcome.status {
        Status::Pass => 0,
        Status::Fail => 1,
        Status::Unsupported => 2,
        Status::Error => 3,
    };
    let key = (suite.family.clone(), case.transform.clone());
    let mut tally = tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tally.entry(key).or_default()[column] += 1;
    drop(tally);
    if args.json {
        let error = Some(outcome.max_abs_err).filter(|e| e.is_finite());
        let line = json!({"case": case.name, "status": outcome.status.name(), "max_abs_err": error, "message": outcome.message});
        writeln!(std::io::stdout().lock(), "{line}").into_diagnostic()?;
    }
    if let Some(out) = &args.write
        && !outcome.outputs.is_empty()
    {
        let tensors = outcome.outputs.iter().enumerate().map(|(i, a)| (i.to_string(), a));
        write_safetensors(&out.join(format!("{}.safetensors", case.name)), tensors).map_err(Report::new)?;
    }
    Ok(())
}

/// Whether `name` matches a pattern in which `*` stands for anything; a pattern without `*` matches inside names.
fn matches(pattern: &str, name: &str) -> bool {
    if !pattern.contains('*') {
        return name.contains(pattern);
    }
    let parts: Vec<&str> = pattern.split('*').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    let Some(mut rest) = name.strip_prefix(first).and_then(|r| r.strip_suffix(last)) else { return false };
    for part in &parts[1..parts.len() - 1] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Families with the transforms of each that do not pass everywhere, then transforms over all families.
fn table(tally: &Tally) -> String {
    let mut families: BTreeMap<&str, BTreeMap<&str, [usize; 4]>> = BTreeMap::new();
    let mut transforms: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for ((family, transform), counts) in tally {
        families.entry(family).or_default().insert(transform, *counts);
        let sum = transforms.entry(transform).or_default();
        *sum = added(*sum, *counts);
    }
    let mut out = format!("{:<24}{:>8}{:>8}{:>14}{:>8}{:>9}\n", "", "pass", "fail", "unsupported", "error", "%");
    for (family, by_transform) in &families {
        out += &line(family, by_transform.values().copied().fold([0; 4], added));
        let imperfect = by_transform.iter().filter(|(_, c)| c[1..] != [0; 3]);
        out.extend(imperfect.map(|(transform, c)| line(&format!("  {transform}"), *c)));
    }
    out += "\n";
    out.extend(transforms.iter().map(|(transform, c)| line(transform, *c)));
    out + &line("all", transforms.values().copied().fold([0; 4], added))
}

fn added(a: [usize; 4], b: [usize; 4]) -> [usize; 4] {
    std::array::from_fn(|i| a[i] + b[i])
}

fn line(name: &str, c: [usize; 4]) -> String {
    let percent = 100.0 * c[0] as f64 / c.iter().sum::<usize>().max(1) as f64;
    format!("{name:<24}{:>8}{:>8}{:>14}{:>8}{percent:>9.2}\n", c[0], c[1], c[2], c[3])
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches("softmax", "ops/softmax/f64_3/vjp"));
        assert!(matches("ops/*/vjp", "ops/softmax/f64_3/vjp"));
        assert!(!matches("ops/*/vjp", "ops/softmax/f64_3/jvp"));
        assert!(matches("*a*b*", "xaxb"));
        assert!(!matches("*a*b*", "xbxa"));
    }
}
