//! The matrix of operations and rules, generated, in one snapshot without holes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use cotangent_core::array::Array;
use cotangent_core::ir::Aval;
use cotangent_core::ops::{Cotangent, LinArg, Op, Sample};
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::linearize::linearize;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::numeric::sample_graph;
use cotangent_tests::repo;

/// What one sample shows of its op's rules.
#[derive(Default)]
struct Row {
    samples: usize,
    infer: bool,
    eval: bool,
    jvp: &'static str,
    transpose: Vec<usize>,
    batch: bool,
    form: String,
}

fn floats(s: &Sample) -> Vec<usize> {
    (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float()).collect()
}

/// What the op's jvp rule says on this sample: `rule`, `zero`, or `refused` where PyTorch has no derivative either.
fn jvp_word(s: &Sample) -> &'static str {
    let g = sample_graph(s);
    if floats(s).is_empty() || g.result_avals().iter().all(|a| !a.dtype.is_float()) {
        return "no floats";
    }
    // One operand at a time: some functions have a derivative in one of them only.
    let words: Vec<&str> = floats(s)
        .into_iter()
        .map(|i| match (linearize(&g, &[i]).map(|l| l.linear.moving().contains(&true)), jvp(&g, &[i])) {
            (Ok(true), Ok(_)) => "rule",
            (Ok(false), Ok(_)) => "zero",
            (_, _) => "refused",
        })
        .collect();
    ["rule", "zero"].into_iter().find(|w| words.contains(w)).unwrap_or("refused")
}

/// The operands in which the op is linear while the others are fixed.
fn linear_operands(s: &Sample) -> Vec<usize> {
    let avals: Vec<Aval> = s.args.iter().map(Array::aval).collect();
    let results = sample_graph(s).result_avals();
    let is_linear = |i: &usize| {
        let transposed = catch_unwind(AssertUnwindSafe(|| {
            build("transpose", |t| {
                let arg = |(j, a): (usize, &Aval)| {
                    if j == *i { LinArg::Linear(a.clone()) } else { LinArg::Residual(t.param(a)) }
                };
                let args: Vec<LinArg> = avals.iter().enumerate().map(arg).collect();
                let y_bar: Vec<Cotangent> = results.iter().map(|a| Cotangent::Is(t.param(a))).collect();
                let x_bar = s.op.prim().transpose(&y_bar, &args);
                let like = t.param(&avals[*i]);
                Ok(vec![x_bar[*i].or_zeros(&like)])
            })
        }));
        matches!(transposed, Ok(Ok(_)))
    };
    floats(s).into_iter().filter(is_linear).collect()
}

fn batches(s: &Sample) -> bool {
    let g = sample_graph(s);
    let in_dims = vec![Some(0); s.args.len()];
    s.args.is_empty() || vmap(&g, &in_dims, &vec![0; g.results().len()], 2.into()).is_ok()
}

fn observe(s: &Sample, row: &mut Row) {
    let g = sample_graph(s);
    row.samples += 1;
    row.infer |= !g.result_avals().is_empty();
    row.eval |= eval(&g, &s.args).is_ok();
    let word = jvp_word(s);
    if row.jvp.is_empty() || row.jvp == "no floats" {
        row.jvp = word;
    }
    if row.samples == 1 {
        row.transpose = linear_operands(s);
    }
    row.batch |= batches(s);
    let args: Vec<Aval> = s.args.iter().map(Array::aval).collect();
    row.form = s.op.prim().loop_form(&args.iter().collect::<Vec<_>>(), &g.result_avals()).name().to_owned();
}

/// The spec's headings, one for each op: `## name` or `### name`, names in backticks or bare.
fn spec_sections() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let dir = repo("ir-spec/ops");
    let mut files: Vec<_> =
        std::fs::read_dir(&dir).expect("ir-spec/ops").map(|f| f.expect("readable").path()).collect();
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        for line in text.lines().filter(|l| l.starts_with("##") || l.starts_with("| `")) {
            let stem = Path::new(&file).file_stem().expect("named").to_string_lossy().into_owned();
            let cell = if line.starts_with('|') { line.split('|').nth(1).unwrap_or_default() } else { line };
            for word in cell.split(|c: char| !c.is_alphanumeric() && c != '_') {
                out.entry(word.to_owned()).or_insert(stem.clone());
            }
        }
    }
    out
}

#[test]
fn every_op_has_every_rule_samples_and_a_spec_section() {
    let mut rows: BTreeMap<&'static str, Row> = BTreeMap::new();
    for s in Op::all_samples() {
        observe(&s, rows.entry(s.op.name()).or_default());
    }
    let spec = spec_sections();
    let mut table = format!(
        "{:<32} {:<10} {:<6} {:<6} {:<10} {:<14} {:<6} {:<12} samples\n",
        "op", "spec", "infer", "eval", "jvp", "transpose", "batch", "loop form"
    );
    let mut holes = Vec::new();
    for (name, r) in &rows {
        let yes = |b: bool| if b { "yes" } else { "HOLE" };
        let section = spec.get(*name).map_or("HOLE", String::as_str);
        let transpose = if r.transpose.is_empty() {
            "nonlinear".to_owned()
        } else {
            format!("linear {:?}", r.transpose).replace(' ', "")
        };
        let line = format!(
            "{name:<32} {section:<10} {:<6} {:<6} {:<10} {transpose:<14} {:<6} {:<12} {}",
            yes(r.infer),
            yes(r.eval),
            r.jvp,
            yes(r.batch),
            r.form,
            r.samples
        );
        if line.contains("HOLE") || line.contains("ERROR") || r.samples < 3 {
            holes.push(line.clone());
        }
        writeln!(table, "{}", line.trim_end()).expect("to a string");
    }
    assert!(holes.is_empty(), "holes:\n{}", holes.join("\n"));
    cotangent_tests::snapshot::snapshot("coverage", "matrix", &table);
}

/// The constraint labels (`gather_c2`) in files with extension `ext` below `root`, with how often each stands there.
fn labels(root: &str, ext: &str) -> BTreeMap<String, usize> {
    let is_label = |w: &str| {
        w.rsplit_once("_c")
            .is_some_and(|(op, n)| !op.is_empty() && !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut files = Vec::new();
    cotangent_tests::files_below(&repo(root), ext, &mut files);
    let mut out = BTreeMap::new();
    for f in files {
        let text = std::fs::read_to_string(f).expect("readable");
        for w in text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| is_label(w)) {
            *out.entry(w.to_owned()).or_default() += 1;
        }
    }
    out
}

/// Every constraint of a primitive that an error names stands in the spec.
#[test]
fn constraints_of_primitives_stand_in_the_spec() {
    let spec = labels("ir-spec", "md");
    let unstated: Vec<String> =
        labels("crates/core/src/ops", "rs").into_keys().filter(|l| !spec.contains_key(l)).collect();
    assert!(unstated.is_empty(), "not in ir-spec: {unstated:?}");
}

/// Every constraint that the spec states is one that some error names.
#[test]
fn the_spec_states_no_constraint_that_nothing_checks() {
    let code = labels("crates", "rs");
    let unused: Vec<String> = labels("ir-spec", "md").into_keys().filter(|l| !code.contains_key(l)).collect();
    assert!(unused.is_empty(), "only in ir-spec: {unused:?}");
}
