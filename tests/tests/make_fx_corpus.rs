//! Captured graphs beside PyTorch's: the functions of the corpus' `make_fx.json` under transforms.
//!
//! Each function is read from its exported program, transformed, and printed. The raw graph has the targets that
//! `make_fx` records, up to the differences that `tests/data/make_fx.txt` states with their reasons; the simplified graph
//! has, in PyTorch's compound operators, no more statements than PyTorch's after dead code elimination, but for the
//! functions that the same file names.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::replay::replay;
use cotangent_torch::Program;
use cotangent_torch::corpus::{Case, Suite, case_graph};
use serde_json::Value;

/// The corpus where it is present, else a part of it that lives with the tests.
fn corpus() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let whole = std::env::var_os("COTANGENT_CONFORMANCE").map(PathBuf::from);
    let candidates = [whole, Some(here.join("../../shared/conformance"))];
    let found = candidates.into_iter().flatten().find(|p| p.join("make_fx.json").is_file());
    found.unwrap_or_else(|| here.join("fixtures/conformance"))
}

/// What may differ, and why.
#[derive(Default)]
struct Differences {
    /// A target of PyTorch's and those that stand for it here; none where nothing does.
    instead: BTreeMap<String, Vec<String>>,
    /// Targets that PyTorch has no need of.
    ours: BTreeSet<String>,
    /// Functions under transforms whose simplified graphs are longer than PyTorch's.
    longer: BTreeSet<String>,
}

fn differences() -> Differences {
    let mut out = Differences::default();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/make_fx.txt")).unwrap();
    for line in text.lines().filter(|l| !l.trim_start().starts_with('#') && !l.trim().is_empty()) {
        let (fact, reason) = line.split_once(':').unwrap_or_else(|| panic!("`{line}` has no reason"));
        assert!(!reason.trim().is_empty(), "`{line}` has no reason");
        let words: Vec<&str> = fact.split_whitespace().collect();
        match words.as_slice() {
            ["theirs", target, "->", ours @ ..] => {
                out.instead.insert((*target).to_owned(), ours.iter().map(|s| (*s).to_owned()).collect());
            }
            ["ours", target] => {
                out.ours.insert((*target).to_owned());
            }
            ["longer", entries] => {
                let (function, transforms) = entries.split_once('/').expect("a function and its transforms");
                out.longer.extend(transforms.split(',').map(|t| format!("{function}/{t}")));
            }
            _ => panic!("`{line}` is no difference"),
        }
    }
    out
}

/// `name = expression` of printed code, and what is returned.
fn statements(code: &str) -> (Vec<(&str, &str)>, &str) {
    let mut returned = "";
    let mut out = Vec::new();
    for line in code.lines().map(str::trim) {
        if line.starts_with("return") {
            returned = line;
        } else if !line.starts_with("def ")
            && let Some(pair) = line.split(";  ").next().and_then(|l| l.split_once(" = "))
        {
            out.push(pair);
        }
    }
    (out, returned)
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// `aten.sum.dim_IntList`.
fn target(expression: &str) -> Option<&str> {
    expression.strip_prefix("torch.ops.")?.split('(').next()
}

fn targets(code: &str) -> BTreeSet<String> {
    statements(code).0.into_iter().filter_map(|(_, e)| target(e)).map(str::to_owned).collect()
}

/// How many statements `torch.fx` keeps: those that the result needs, and those that write in place.
fn live_statements(code: &str) -> usize {
    let (all, returned) = statements(code);
    let mut live: HashSet<&str> = names(returned).collect();
    let in_place = |e: &str| target(e).and_then(|t| t.split('.').nth(1)).is_some_and(|op| op.ends_with('_'));
    let mut kept = 0;
    for (name, expression) in all.into_iter().rev() {
        if live.contains(name) || in_place(expression) {
            kept += 1;
            live.extend(names(expression));
        }
    }
    kept
}

fn aval(json: &Value) -> Aval {
    let dtype = match json[0].as_str().unwrap() {
        // The exported programs compute in f64.
        "f32" | "f64" => DType::F64,
        "i64" => DType::I64,
        "b8" => DType::Bool,
        other => panic!("dtype {other}"),
    };
    let sizes: Vec<usize> = json[1].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
    Aval::new(dtype, sizes)
}

/// The graph that `make_fx` captures: as the corpus' case has it, but gradients and cotangents alone.
fn captured(program: &Program, case: &Case, avals: &[Aval]) -> Graph {
    let graph = case_graph(program, case, avals).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let beside_results = matches!(case.transform.as_str(), "grad" | "vmap_grad" | "vjp");
    if !beside_results {
        return graph;
    }
    let built = build("captured", |t| {
        let args: Vec<Tensor> = graph.param_avals().iter().map(|a| t.param(a)).collect();
        Ok(replay(&graph, &args).split_off(program.num_outputs()))
    });
    built.unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn captured_graphs_are_those_of_pytorch() {
    let (corpus, differences) = (corpus(), differences());
    let json: Value = serde_json::from_slice(&std::fs::read(corpus.join("make_fx.json")).unwrap()).unwrap();
    let mut suites: BTreeMap<String, Suite> = BTreeMap::new();
    let (mut wrong, mut longer, mut seen) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for entry in json["entries"].as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let (function, transform) = name.split_once('/').unwrap();
        let suite = suites
            .entry(function.to_owned())
            .or_insert_with(|| Suite::read(&corpus.join("funcs").join(function)).unwrap());
        let Some(case) = suite.cases.iter().find(|c| c.transform == transform) else { continue };
        let program = Program::read(&suite.dir.join(&case.program)).unwrap();
        let avals: Vec<Aval> = entry["args"].as_array().unwrap().iter().map(aval).collect();
        let graph = captured(&program, case, &avals);
        let a = targets(&graph.code());
        let recorded = entry["ops"].as_object().unwrap().keys();
        let b: BTreeSet<String> = recorded.filter(|t| t.contains('.')).cloned().collect();
        let stands_for = |t: &String| differences.instead.get(t);
        let missing = b.iter().filter(|t| {
            let replaced = |ours: &Vec<String>| ours.is_empty() || ours.iter().any(|o| a.contains(o));
            !a.contains(*t) && !stands_for(t).is_some_and(replaced)
        });
        let explained: HashSet<&String> = b.iter().filter_map(stands_for).flatten().collect();
        let more = a.iter().filter(|t| !b.contains(*t) && !explained.contains(t) && !differences.ours.contains(*t));
        let (missing, more): (Vec<_>, Vec<_>) = (missing.collect(), more.collect());
        if !missing.is_empty() || !more.is_empty() {
            wrong.push(format!("{name}: only PyTorch has {missing:?}, only cotangent has {more:?}"));
        }

        seen.insert(name);
        // The code of the longest graphs is not recorded.
        let Some(theirs) = entry["code"].as_str() else { continue };
        let (ours, live) = (live_statements(&simplify(&graph).raised().code()), live_statements(theirs));
        if ours > live {
            longer.insert(name);
            if !differences.longer.contains(name) {
                wrong.push(format!("{name}: simplified to {ours} statements, PyTorch has {live}"));
            }
        }
    }
    let named = differences.longer.iter().map(String::as_str);
    let shorter: Vec<_> = named.filter(|f| seen.contains(f) && !longer.contains(f)).collect();
    assert!(shorter.is_empty(), "no longer than PyTorch's, against tests/data/make_fx.txt: {shorter:?}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(seen.len() >= 5, "{} entries", seen.len());
}

#[test]
fn code_is_read() {
    let code = "def forward(self, x_1):\n    a = torch.ops.aten.sin.default(x_1)\n    b = torch.ops.aten.fill_.Scalar(a, 1);  \
                a = b = None\n    c = torch.ops.aten.cos.default(x_1);  x_1 = None\n    d = torch.ops.aten.exp.default(c);  \
                d = None\n    return c\n";
    assert_eq!(live_statements(code), 3);
    assert_eq!(
        targets(code).into_iter().collect::<Vec<_>>(),
        ["aten.cos.default", "aten.exp.default", "aten.fill_.Scalar", "aten.sin.default"]
    );
}
