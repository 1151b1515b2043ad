//! Writes every op sample, its pullback and some random graphs in all forms that other systems read, with what the reference
//! evaluator computes: the input of `tests/interop/run_exports.py`.

use std::collections::BTreeMap;
use std::path::Path;

use cotangent_core::array::Array;
use cotangent_core::ir::{DType, Graph};
use cotangent_core::ops::Op;
use cotangent_core::simplify::simplify;
use cotangent_core::text::CodeStyle;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_tests::numeric::{Rng, sample_graph};
use cotangent_tests::random_graph::{Config, random_args, random_graph};
use cotangent_torch::write_program;
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn array(a: &Array) -> Value {
    let hex = hex(&a.to_le_bytes());
    json!({ "dtype": a.dtype().torch_name(), "shape": a.shape().sizes().to_vec(), "hex": hex })
}

/// The exported program of `g`, written to `path` on the way.
fn exported(g: &Graph, path: &Path) -> Option<String> {
    write_program(path, g, &BTreeMap::new()).ok()?;
    Some(hex(&std::fs::read(path).ok()?))
}

/// A program in all forms; none if it has no value at these arguments.
fn cases(name: &str, g: &Graph, args: &[Array], path: &Path, out: &mut Vec<Value>) {
    // The modules are called with flat arguments.
    let flat = cotangent_core::ir::Signature::flat(g.params().len(), g.results().len());
    let g = g.clone().with_signature(flat);
    let Ok(results) = eval(&g, args) else { return };
    out.push(json!({
        "name": name,
        "today": g.python_module_in(CodeStyle::Today),
        "functorch2021": g.python_module_in(CodeStyle::Functorch2021),
        "raised": g.raised().python_module(),
        "pt2": exported(&g, path),
        "raised_pt2": exported(&simplify(&g).raised(), path),
        "stablehlo": cotangent_stablehlo::module(&g).ok(),
        "args": args.iter().map(array).collect::<Vec<_>>(),
        "results": results.iter().map(array).collect::<Vec<_>>(),
    }));
}

fn main() {
    let path = std::env::temp_dir().join(format!("cotangent-{}.pt2", std::process::id()));
    let mut out = Vec::new();
    for s in Op::all_samples() {
        let g = sample_graph(&s);
        let name = format!("{} ({}) {:?}", s.op.name(), s.note, s.args.iter().map(Array::aval).collect::<Vec<_>>());
        cases(&name, &g, &s.args, &path, &mut out);
        let wrt: Vec<usize> = (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float()).collect();
        if let Ok(pullback) = vjp(&g, &wrt) {
            let mut rng = Rng(1);
            let bars = pullback.param_avals().into_iter().skip(s.args.len()).map(|a| rng.array(&a));
            let args: Vec<Array> = s.args.iter().cloned().chain(bars).collect();
            cases(&format!("vjp of {name}"), &pullback, &args, &path, &mut out);
        }
    }
    for seed in 0..200 {
        let g = random_graph(seed, Config { dtypes: &[DType::F64, DType::F32, DType::I64], ..Config::ALL });
        cases(&format!("random {seed}"), &g, &random_args(seed, &g), &path, &mut out);
    }
    let _ = std::fs::remove_file(&path);
    println!("{}", Value::Array(out));
}
