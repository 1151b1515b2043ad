//! Malformed IR text: each gives a located error. The snapshots show what the reader of the error sees.

use cotangent_core::text::ir::{parse, parse_all};
use cotangent_tests::snapshot::{rendered, snapshot};

/// A graph of one node.
fn node(node: &str) -> String {
    format!("graph f(%0: f32[2]) {{\n  {node}\n  return %1\n}}")
}

/// Malformed texts, by what is wrong with them.
fn cases() -> Vec<(&'static str, String)> {
    let own = |s: &str| s.to_owned();
    vec![
        ("empty", own("")),
        ("not a graph", own("def f(x): return x")),
        ("second graph", own("graph f(%0: f32[]) { return %0 } graph g() { return () }")),
        ("end", own("graph f(%0: f32[2]) {\n  %1: f32[2] = sin(%0)\n")),
        ("unknown op", node("%1: f32[2] = sine(%0)")),
        ("missing attribute", node("%1: f32[2, 2] = expand(%0)")),
        ("unknown attribute", node("%1: f32[2] = sin(%0, fast=true)")),
        ("kind of attribute", node("%1: f32[2] = expand(%0, size=\"2\")")),
        ("attribute twice", node("%1: f32[2] = expand(%0, size=[2], size=[2])")),
        ("operand after attribute", node("%1: f32[2] = expand(size=[2], %0)")),
        ("undefined value", node("%1: f32[2] = mul(%2, %3)")),
        ("defined twice", node("%1: f32[2] = sin(%0)\n  %1: f32[2] = cos(%0)")),
        ("used before definition", node("%1: f32[2] = sin(%2)\n  %2: f32[2] = sin(%0)")),
        ("several violations", node("%1: f32[3] = sin(%0)\n  %2: f32[2] = mul(%0, %1)\n  %3: i64[] = add(%0)")),
        ("dtype", own("graph f(%0: float[2]) { return %0 }")),
        ("size", own("graph f(%0: f32[-1]) { return %0 }")),
        ("too large", own("graph f(%0: f32[1000000,1000000,1000000]) { return %0 }")),
        ("value number", own("graph f(%99999999999: f32[]) { return %0 }")),
        ("elements of an array", node("%1: f32[2] = constant(value=f32[2]{1.0})")),
        ("element of an array", node("%1: u8[2] = constant(value=u8[2]{1, 256})")),
        ("base64", node("%1: f32[2] = constant(value=f32[2] base64\"AAAA?\")")),
        ("bytes of an array", node("%1: f32[2] = constant(value=f32[99999999] base64\"AAAAAAAAgD8=\")")),
        ("open string", node("%1: f32[2] = sin(%0) loc(\"src/main.rs:12)")),
        ("escape", node("%1: f32[2] = sin(%0) loc(\"a\\qb\":1)")),
        ("location", node("%1: f32[2] = sin(%0) loc(12)")),
        ("derivation", node("%1: f32[2] = sin(%0) loc(unknown via magic)")),
        ("integer", node("%1: i64[] = full(size=[], fill_value=9223372036854775808, dtype=i64)")),
        ("number", node("%1: f32[] = full(size=[], fill_value=1.2.3, dtype=f32)")),
        ("fill value", node("%1: i64[] = full(size=[], fill_value=1.5, dtype=i64)")),
        (
            "inner violation",
            node(
                "%1: f32[2] = call(%0, target=\"cotangent::g(...)\", params=[], body=graph g(%0: f32[2]) {\n    %1: f64[2] = sin(%0)\n    return %0\n  }, rule=[\"inline\"])",
            ),
        ),
    ]
}

#[test]
fn malformed_texts() {
    for (name, text) in cases() {
        let e = parse("f.cot", &text).expect_err(name);
        assert!(e.problems.iter().all(|p| p.span.end <= text.len()), "{name}");
        snapshot("errors/text", &name.replace(' ', "_"), &rendered(&e));
    }
}

#[test]
fn all_violations_are_reported() {
    let (_, text) = cases().into_iter().find(|(name, _)| *name == "several violations").expect("a case");
    let e = parse("f.cot", &text).expect_err("violations");
    let places: Vec<&str> = e.problems.iter().map(|p| &text[p.span.clone()]).collect();
    assert_eq!(places, ["%1: f32[3] = sin(%0)", "%2: f32[2] = mul(%0, %1)", "%3: i64[] = add(%0)"]);
}

#[test]
fn deep_texts_do_not_overflow_the_stack() {
    let deep = [
        format!("graph f(%0: f32[]) {{ %1: f32[] = sin(%0, a={}", "[".repeat(1_000_000)),
        format!("graph f({}", "(".repeat(1_000_000)),
        format!("graph f() {{ return {}", "{a = ".repeat(1_000_000)),
        "graph f(%0: f32[]) { %1: f32[] = call(%0, body=".repeat(100_000),
    ];
    for text in deep {
        let e = parse("deep.cot", &text).expect_err("too deep");
        assert!(e.to_string().contains("inside each other"), "{e}");
    }
}

#[test]
fn every_prefix_of_a_text_is_an_error() {
    let text = "graph f(x = {a = %0: f32[2], b = %1: bf16[1]}) {\n  %2: f32[2] = constant(value=f32[2]{1.0, nan(0x7fc00001)}) loc(\"λ.rs\":3 via vmap)\n  return [%0, none]\n}";
    parse("f.cot", text).expect("a graph");
    for end in (1..text.len()).filter(|i| text.is_char_boundary(*i)) {
        let e = parse_all("f.cot", &text[..end]).expect_err("half a graph");
        assert!(e.span().end <= end);
    }
}
