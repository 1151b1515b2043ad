//! What PyTorch computes: programs under transforms, evaluated by both engines.
//!
//! A part of the corpus, chosen by `fixtures/conformance/select.py`, stands in the repository. The whole of it runs where it is:
//! in the folder that `COTANGENT_CONFORMANCE` names, or in `../shared/conformance` beside the repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cotangent::array::Array;
use cotangent::ir::Graph;
use cotangent::jit::Executable;
use cotangent::simplify::simplify;
use cotangent::transform::eval::eval;
use cotangent::{Error, Tensor};
use cotangent_torch::corpus::{Status, Suite, find_suites, run_case};
use rayon::prelude::*;

/// Cases that are known to fail, and why.
const KNOWN: &str = include_str!("../fixtures/conformance/known_failures.txt");

/// What evaluates a graph at arguments.
type Engine = fn(&Graph, &[Array]) -> Result<Vec<Array>, Error>;

fn evaluated(graph: &Graph, args: &[Array]) -> Result<Vec<Array>, Error> {
    eval(&simplify(graph), args)
}

fn compiled(graph: &Graph, args: &[Array]) -> Result<Vec<Array>, Error> {
    let args: Vec<Tensor> = args.iter().cloned().map(Tensor::from_array).collect();
    Executable::new(&simplify(graph))?.call(&args)?.iter().map(Tensor::to_array).collect()
}

/// The name and reason of each known failure of an engine; lines are `engine case: reason`, where `*` stands for both engines.
fn known(engine: &str) -> BTreeMap<&'static str, &'static str> {
    let mut out = BTreeMap::new();
    for line in KNOWN.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (who, rest) = line.split_once(' ').expect("an engine before the case");
        let (case, reason) = rest.split_once(": ").expect("a reason after the case");
        assert!(matches!(who, "*" | "eval" | "jit"), "{line}: expected eval, jit or *");
        if matches!(who, "*") || who == engine {
            out.insert(case, reason);
        }
    }
    out
}

/// How each case below `dir` ended; the message is empty where it passed.
fn outcomes(dir: &Path, engine: Engine) -> BTreeMap<String, String> {
    let of_suite = |dir: &PathBuf| {
        let suite = Suite::read(dir).unwrap_or_else(|e| panic!("{e}"));
        let run = |case| {
            let outcome = run_case(&suite, case, &engine);
            match outcome.status {
                Status::Pass => String::new(),
                Status::Fail | Status::Unsupported | Status::Error => {
                    format!("{}: {}", outcome.status.name(), outcome.message)
                }
            }
        };
        suite.cases.iter().map(|case| (case.name.clone(), run(case))).collect::<Vec<_>>()
    };
    find_suites(dir).par_iter().flat_map_iter(of_suite).collect()
}

/// Runs every case below `dir`; the known failures must fail, all others pass.
fn check(dir: &Path, name: &str, engine: Engine) -> BTreeMap<String, String> {
    let (found, known) = (outcomes(dir, engine), known(name));
    assert!(!found.is_empty(), "no cases below {}", dir.display());
    let mut wrong = Vec::new();
    for (case, message) in &found {
        match (known.contains_key(case.as_str()), message.is_empty()) {
            (false, true) | (true, false) => {}
            (false, false) => wrong.push(format!("{case}: {message}")),
            (true, true) => wrong.push(format!("{case}: passes, but is listed as a known failure")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases with {name}:\n{}", wrong.len(), found.len(), wrong.join("\n"));
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conformance")
}

/// Programs that hold graphs of their own or stop derivatives, from `fixtures/make_control_fixtures.py`.
fn control() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/control")
}

/// Operators that the corpus does not hold, from `fixtures/make_exported_fixtures.py`.
fn exported() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exported")
}

/// The whole corpus, if it is here.
fn corpus() -> Option<PathBuf> {
    let given = std::env::var_os("COTANGENT_CONFORMANCE").map(PathBuf::from);
    Some(given.unwrap_or_else(|| root().join("../shared/conformance"))).filter(|dir| dir.is_dir())
}

#[test]
fn fixture_with_the_evaluator() {
    check(&fixture(), "eval", evaluated);
}

#[test]
fn fixture_with_compiled_code() {
    check(&fixture(), "jit", compiled);
}

#[test]
fn control_flow_with_the_evaluator() {
    check(&control(), "eval", evaluated);
}

#[test]
fn control_flow_with_compiled_code() {
    check(&control(), "jit", compiled);
}

#[test]
fn other_operators_with_the_evaluator() {
    check(&exported(), "eval", evaluated);
}

#[test]
fn other_operators_with_compiled_code() {
    check(&exported(), "jit", compiled);
}

#[test]
fn whole_corpus_with_the_evaluator() {
    let Some(dir) = corpus() else { return };
    let found = check(&dir, "eval", evaluated);
    for case in known("eval").keys() {
        assert!(found.contains_key(*case), "known failure {case} is no case of the corpus");
    }
}

#[test]
fn whole_corpus_with_compiled_code() {
    let Some(dir) = corpus() else { return };
    let found = check(&dir, "jit", compiled);
    for case in known("jit").keys() {
        assert!(found.contains_key(*case), "known failure {case} is no case of the corpus");
    }
}
