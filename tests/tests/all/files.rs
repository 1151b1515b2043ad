//! File tests: each directory of `tests/files` is an area with one test here.

use std::path::{Path, PathBuf};

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::{Class, Options, Rule, rules, simplify_with};
use cotangent_core::transform::eval::eval;
use cotangent_tests::filetest::FileTest;
use cotangent_tests::numeric::{Rng, close};

/// The files of an area, in order of their names.
fn files(area: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(area);
    let Ok(entries) = std::fs::read_dir(&dir) else { return Vec::new() };
    let mut out: Vec<PathBuf> = entries.map(|e| e.expect("a readable directory").path()).collect();
    out.retain(|p| p.extension().is_some_and(|e| e == "cot"));
    out.sort();
    out
}

/// Compares with `snapshots/<area>/<name>.snap`.
fn snapshot(area: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshots").join(area));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Checks every file of an area, and with `more` what only that area has.
fn area(area: &str, more: impl Fn(&FileTest) -> Result<(), String>) {
    let mut failures = Vec::new();
    for path in files(area) {
        let test = FileTest::read(&path);
        let result = test.check().and_then(|outcome| more(&test).map(|()| outcome));
        match result {
            Ok(Some(outcome)) if test.wants_snapshot() => snapshot(area, &test.name, &outcome.output.to_string()),
            Ok(_) => {}
            Err(message) => failures.push(format!("{}: {message}", test.name)),
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn grad() {
    area("grad", |_| Ok(()));
}

#[test]
fn vmap() {
    area("vmap", |_| Ok(()));
}

#[test]
fn ops() {
    area("ops", |_| Ok(()));
}

#[test]
fn simplify() {
    area("simplify", |test| match rules().find(|r| r.name == test.name) {
        Some(rule) => fires_and_keeps_values(rule, test),
        None => Ok(()),
    });
}

#[test]
fn every_rule_has_a_file() {
    let names: Vec<String> = files("simplify").iter().map(|p| FileTest::read(p).name).collect();
    let without: Vec<&str> = rules().map(|r| r.name).filter(|n| !names.iter().any(|f| f == n)).collect();
    assert!(without.is_empty(), "rules without a file: {without:?}");
}

/// The rule fires where rules up to its class are allowed, and values change only as far as the class says.
fn fires_and_keeps_values(rule: &Rule, test: &FileTest) -> Result<(), String> {
    let input = test.outcome()?.input;
    let (output, report) = simplify_with(&input, Options { class: rule.class, trace: false });
    if report.count(rule.name) == 0 {
        return Err(format!("did not fire:\n{input}\n{report}"));
    }
    if output.len() > input.len() {
        return Err(format!("S1: grew:\n{input}\n{output}"));
    }
    for seed in 0..6 {
        for special in [false, true] {
            let args = args(&input, seed, special && rule.class <= Class::Finite, rule.class == Class::Exact);
            let (a, b) = (eval(&input, &args), eval(&output, &args));
            let (Ok(a), Ok(b)) = (a, b) else { return Err("does not evaluate".to_owned()) };
            if let Some((a, b)) = a.iter().zip(&b).find(|(a, b)| !same(a, b, rule.class)) {
                return Err(format!("values differ at {args:?}:\n{input}\n{output}\n{a:?}\n{b:?}"));
            }
        }
    }
    Ok(())
}

/// Random arguments; `special` ones hold signed zeros and, if `infinite`, infinities and NaN.
fn args(g: &Graph, seed: u64, special: bool, infinite: bool) -> Vec<Array> {
    const SPECIAL: [f64; 8] = [0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-310];
    let mut rng = Rng(seed + 1);
    let indices =
        g.nodes().iter().any(|n| ["scatter", "gather", "index"].iter().any(|word| n.op.name().contains(word)));
    let number = |rng: &mut Rng, aval: &Aval| match aval.dtype {
        DType::Bool => rng.below(2) as f64,
        DType::F64 | DType::F32 | DType::F16 | DType::BF16 if special => {
            SPECIAL[rng.below(if infinite { SPECIAL.len() } else { 4 })]
        }
        DType::F64 | DType::F32 | DType::F16 | DType::BF16 => rng.unit() * 3.0,
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 if indices => rng.below(2) as f64,
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 => rng.below(7) as f64 - 3.0,
    };
    let mut array = |aval: &Aval| {
        let data: Vec<f64> = (0..aval.shape.numel()).map(|_| number(&mut rng, aval)).collect();
        Array::from_f64_fn(aval, |i| data[i])
    };
    g.param_avals().iter().map(&mut array).collect()
}

fn same(a: &Array, b: &Array, class: Class) -> bool {
    let pairs = || a.to_f64_vec().into_iter().zip(b.to_f64_vec());
    a.aval() == b.aval()
        && match class {
            Class::Exact => pairs().all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())),
            Class::Finite => pairs().all(|(a, b)| a == b || !a.is_finite()),
            Class::Rounding => close(a, b, 1e-12),
            Class::FastMath => close(a, b, 1e-9),
        }
}
