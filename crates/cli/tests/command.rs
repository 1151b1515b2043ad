//! The command as a user runs it: what it prints, and what it says about mistakes.

use std::io::Write;
use std::process::{Command, Output, Stdio};

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
    assert!(out(&["print", "-"], PROGRAM).contains("torch.ops.aten.mul.Tensor"));
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
