//! The command as a user runs it: what it prints, and what it says about mistakes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cotangent::array::Array;
use cotangent_torch::{read_safetensors, write_safetensors};

const PROGRAM: &str = "graph f(%0: f32[3], %1: f32[3]) {
  %2: f32[3] = mul(%0, %1)
  %3: f32[] = sum(%2, dim=none)
  return %3
}
";

fn run(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cotangent"))
        .args(args)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // The command may end without reading: a closed pipe is no failure of the test.
    let _closed = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    child.wait_with_output().expect("the command ends")
}

fn out(args: &[&str], stdin: &str) -> String {
    let o = run(args, stdin);
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).expect("text")
}

fn error(args: &[&str], stdin: &str) -> String {
    let o = run(args, stdin);
    assert!(!o.status.success(), "{}", String::from_utf8_lossy(&o.stdout));
    String::from_utf8(o.stderr).expect("text")
}

#[test]
fn without_arguments_it_shows_the_gradient_of_a_sine() {
    let text = out(&[], "");
    for part in [
        "torch.ops.aten.sin.default(x_1)",
        "torch.ops.aten.cos.default(x_1)",
        "a call of the compiled program: ",
        "grad(f)(x)[..4] = [1.0, 0.995",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn it_prints_programs_under_transforms() {
    assert!(out(&["print", "-"], PROGRAM).contains("torch.ops.aten.dot.default(x_1, y_1)"));
    assert!(out(&["print", "-", "--raw"], PROGRAM).contains("torch.ops.aten.mul.Tensor"));
    let grad = out(&["print", "-", "--transform", "grad", "--form", "ir"], PROGRAM);
    assert!(!grad.contains(" = "), "the gradient of a product is its other factor:\n{grad}");
    let raw = out(&["print", "-", "--transform", "grad", "--form", "ir", "--raw"], PROGRAM);
    assert!(raw.contains("mul("), "{raw}");
    let batch = out(
        &["print", "-", "--transform", "vmap(grad(argnums=1), in_dims=(None, 0), size=8)", "--form", "ir"],
        PROGRAM,
    );
    assert!(batch.contains("f32[8,3]"), "{batch}");
}

#[test]
fn every_form_of_a_graph_is_printed_and_its_text_reads_back() {
    for form in ["code", "code2021", "python", "ir", "json", "readable", "dot", "svg"] {
        assert!(!out(&["print", "-", "--form", form], PROGRAM).is_empty());
    }
    for form in ["ir", "json"] {
        let text = out(&["print", "-", "--form", form], PROGRAM);
        assert_eq!(out(&["print", "-", "--form", form], &text), text);
        assert!(out(&["check-ir", "-"], &text).contains("well-formed"));
    }
}

/// What is compiled: the loops, which read back, and the machine code beside the nodes that it is for.
#[test]
fn loops_and_machine_code_are_printed() {
    let loops = out(&["print", "-", "--transform", "grad", "--form", "loops"], PROGRAM);
    let read = cotangent_loops::text::parse(&loops).expect("reads back");
    assert_eq!(cotangent_loops::text::print(&read).trim_end(), loops.trim_end());
    let code = out(&["print", "-", "--form", "asm"], PROGRAM);
    assert!(code.starts_with("step 0: nest of 1 stages\n") && code.contains(": mul, sum"), "{code}");
}

#[test]
fn mistakes_are_shown_where_they_stand() {
    let unknown = error(&["print", "-", "--transform", "vmap(grd)"], PROGRAM);
    assert!(unknown.contains("found `grd`"), "{unknown}");
    let missing = error(&["print", "-", "--transform", "vmap(grad)"], PROGRAM);
    assert!(missing.contains("size=N"), "{missing}");
    let args = error(&["print", "-", "--transform", "grad(argnums=7)"], PROGRAM);
    assert!(args.contains("expected arguments of the program"), "{args}");
    let shape = error(&["check-ir", "-"], &PROGRAM.replace("%2: f32[3]", "%2: f32[4]"));
    assert!(shape.contains("I3"), "{shape}");
    let text = error(&["check-ir", "-"], "graph f(");
    assert!(text.contains("expected"), "{text}");
    let file = error(&["print", "no-such-file.ir"], "");
    assert!(file.contains("no-such-file.ir"), "{file}");
}

#[test]
fn help_has_examples() {
    assert!(out(&["--help"], "").contains("cotangent print f.ir --transform grad"));
}

/// A program of the corpus in the tests' package.
fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/conformance/models/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder that goes with the test.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("cotangent-cli-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder");
        Scratch(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn inputs(path: &str, values: &[(&str, &[f32])]) {
    let arrays: Vec<(&str, Array)> = values.iter().map(|(n, v)| (*n, Array::new([v.len()], v.to_vec()))).collect();
    write_safetensors(Path::new(path), arrays.iter().map(|(n, a)| (*n, a))).expect("a file");
}

#[test]
fn programs_run_with_both_engines() {
    let scratch = Scratch::new("run");
    let (program, given, results) =
        (scratch.file("f.ir"), scratch.file("in.safetensors"), scratch.file("out.safetensors"));
    std::fs::write(&program, PROGRAM).expect("a file");
    inputs(&given, &[("x", &[1.0, 2.0, 3.0]), ("y", &[4.0, 5.0, 6.0])]);
    for engine in ["jit", "eval"] {
        let printed = out(&["run", &program, "--inputs", &given, "--engine", engine], "");
        assert!(printed.starts_with("0: f32[]") && printed.contains("32"), "{printed}");
        out(&["run", &program, "--inputs", &given, "--engine", engine, "--out", &results, "--transform", "grad"], "");
        let written = read_safetensors(Path::new(&results)).expect("results");
        assert_eq!(written["0"].to_f64_vec(), [4.0, 5.0, 6.0]);
    }
    let profiled = ["bench", &program, "--inputs", &given, "--seconds", "0.01", "--profile"];
    let kernels = out(&profiled, "");
    assert!(kernels.contains("GFLOP/s") && kernels.contains("  nest"), "{kernels}");
    let evaluated = run(&[&profiled[..], &["--engine", "eval"]].concat(), "");
    assert!(String::from_utf8_lossy(&evaluated.stderr).contains("has no kernels"));
    let timed = out(&["bench", &program, "--inputs", &given, "--seconds", "0.01"], "");
    for part in ["read and transform (", "compile", "first call", "median of"] {
        assert!(timed.contains(part), "{timed}");
    }
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let scratch = Scratch::new("inputs");
    let (program, given) = (scratch.file("f.ir"), scratch.file("in.safetensors"));
    std::fs::write(&program, PROGRAM).expect("a file");
    let run = |values: &[(&str, &[f32])]| {
        inputs(&given, values);
        error(&["run", &program, "--inputs", &given], "")
    };
    assert!(run(&[("x", &[1.0, 2.0, 3.0])]).contains("y: f32[3]"));
    assert!(run(&[("x", &[1.0]), ("y", &[1.0; 3])]).contains("expected f32[3], found f32[1]"));
    assert!(run(&[("x", &[1.0; 3]), ("y", &[1.0; 3]), ("z", &[1.0])]).contains("found `z`"));
    assert!(error(&["run", &program, "--inputs", &scratch.file("none")], "").contains("none"));
}

#[test]
fn programs_are_exported_in_every_form() {
    let scratch = Scratch::new("export");
    let program = fixture("batchnorm_mlp_eval/net_aten.pt2");
    let (torch, hlo, pt2) = (scratch.file("g.py"), scratch.file("g.mlir"), scratch.file("g.pt2"));
    out(&["export", &program, "--to", "torch", "--out", &torch], "");
    let code = std::fs::read_to_string(&torch).expect("a file");
    assert!(code.contains("class Module(torch.nn.Module)") && code.contains("ARGUMENTS = ["), "{code}");
    out(&["export", &program, "--to", "stablehlo", "--out", &hlo], "");
    assert!(std::fs::read_to_string(&hlo).expect("a file").contains("stablehlo.dot_general"));
    let weights = read_safetensors(Path::new(&scratch.file("g.safetensors"))).expect("weights");
    assert!(!weights.is_empty());

    // The archive is the same program: it prints the same, and holds the same parameters.
    out(&["export", &program, "--to", "pt2", "--out", &pt2], "");
    assert_eq!(out(&["print", &pt2, "--form", "code"], ""), out(&["print", &program, "--form", "code"], ""));
    out(&["export", &pt2, "--to", "torch", "--out", &torch], "");
    let again = read_safetensors(Path::new(&scratch.file("g.safetensors"))).expect("weights");
    let bytes = |w: &std::collections::BTreeMap<String, Array>| -> Vec<(String, Vec<u8>)> {
        w.iter().map(|(n, a)| (n.clone(), a.to_le_bytes())).collect()
    };
    assert_eq!(bytes(&again), bytes(&weights));

    let refused = error(&["export", &program, "--to", "torch", "--out", &scratch.file("g.safetensors")], "");
    assert!(refused.contains("--out"), "{refused}");
}

/// A zero that the program multiplies by is the program's own: the result is NaN, under derivatives too.
#[test]
fn cases_of_a_corpus_keep_every_bit() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    for engine in ["eval", "jit"] {
        let lines = out(&["check", corpus, "--json", "--engine", engine], "");
        assert_eq!(lines.matches("\"status\":\"pass\"").count(), 3, "{lines}");
    }
}

/// As with `cotangent | head`.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cotangent"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    let o = child.wait_with_output().expect("the command ends");
    assert!(o.status.success() && o.stderr.is_empty(), "{}", String::from_utf8_lossy(&o.stderr));
}
