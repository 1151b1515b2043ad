//! Malformed JSON: each gives a located error. The snapshots show what the reader of the error sees.

use cotangent_core::text::ir::parse;
use cotangent_core::text::json::{from_json, to_json};
use cotangent_tests::snapshot::{rendered, snapshot};

const TEXT: &str = "graph f(%0: f32[2]) {
  %1: f32[2] = constant(value=f32[2]{1.0, nan})
  %2: f32[2] = mul(%0, %1) loc(\"src/main.rs\":3)
  %3: f32[2] = call(%2, target=\"cotangent::g(...)\", params=[], body=graph g(%0: f32[2]) {
    %1: f32[2] = sin(%0)
    return %1
  }, rule=[\"inline\"])
  %4: f32[2] = full(size=[2], fill_value=1.5, dtype=f32)
  return %3
}";

/// The JSON of a graph, a node on each line.
fn json() -> String {
    let json = to_json(&parse("f.cot", TEXT).expect("a graph"));
    json.replace("{\"op\"", "\n{\"op\"").replace("],\"results\":[3]", "\n],\"results\":[3]")
}

/// What is replaced by what, by what is wrong then.
const CASES: &[(&str, &str, &str)] = &[
    ("not JSON", "{\"version\"", "graph {\"version\""),
    ("version", "\"version\":1,\"name\":\"f\"", "\"version\":2,\"name\":\"f\""),
    ("missing field", "\"name\":\"f\",", ""),
    ("unknown field", "\"name\":\"f\",", "\"name\":\"f\",\"nodes_\":[],"),
    ("field twice", "\"name\":\"f\",", "\"name\":\"f\",\"name\":\"f\","),
    ("kind of field", "\"name\":\"f\",", "\"name\":3,"),
    ("unknown op", "\"op\":\"mul\"", "\"op\":\"times\""),
    ("undefined value", "\"args\":[0,1]", "\"args\":[0,9]"),
    ("value number", "\"args\":[0,1]", "\"args\":[0,-1]"),
    ("used before definition", "\"args\":[0,1]", "\"args\":[0,4]"),
    ("arity", "\"args\":[0,1]", "\"args\":[0]"),
    ("result type", "\"results\":[{\"value\":2,\"dtype\":\"f32\"", "\"results\":[{\"value\":2,\"dtype\":\"f64\""),
    ("dtype", "{\"value\":2,\"dtype\":\"f32\"", "{\"value\":2,\"dtype\":\"float\""),
    ("size", "\"value\":2,\"dtype\":\"f32\",\"shape\":[2]", "\"value\":2,\"dtype\":\"f32\",\"shape\":[-2]"),
    (
        "too large",
        "\"value\":2,\"dtype\":\"f32\",\"shape\":[2]",
        "\"value\":2,\"dtype\":\"f32\",\"shape\":[1000000000,1000000000]",
    ),
    ("defined twice", "\"results\":[{\"value\":2", "\"results\":[{\"value\":1"),
    ("missing attribute", "[\"size\",{\"list\":[{\"int\":2}]}],", ""),
    ("kind of attribute", "{\"float\":1.5}", "{\"str\":\"1.5\"}"),
    ("attribute kind", "{\"float\":1.5}", "{\"double\":1.5}"),
    ("float", "{\"float\":1.5}", "{\"float\":\"one\"}"),
    ("attribute twice", "[\"fill_value\",", "[\"size\",\"none\"],[\"fill_value\","),
    ("base64", "\"base64\":\"AACAPwAAwH8=\"", "\"base64\":\"AACAPwAAwH8\""),
    ("bytes", "\"base64\":\"AACAPwAAwH8=\"", "\"base64\":\"AACAPw==\""),
    ("location", "\"line\":3", "\"line\":-3"),
    (
        "signature",
        "\"params\":[\"leaf\"],\"result\":\"leaf\"},\"params\":[{\"value\":0,\"dtype\":\"f32\",\"shape\":[2]}],\"nodes\":[\n{\"op\":\"constant\"",
        "\"params\":[\"leaf\",\"leaf\"],\"result\":\"leaf\"},\"params\":[{\"value\":0,\"dtype\":\"f32\",\"shape\":[2]}],\"nodes\":[\n{\"op\":\"constant\"",
    ),
    (
        "inner violation",
        "\"op\":\"sin\",\"args\":[0],\"attrs\":[],\"results\":[{\"value\":1,\"dtype\":\"f32\"",
        "\"op\":\"sin\",\"args\":[0],\"attrs\":[],\"results\":[{\"value\":1,\"dtype\":\"i64\"",
    ),
];

#[test]
fn malformed_json() {
    let good = json();
    from_json("f.json", &good).expect("a graph");
    for (name, from, to) in CASES {
        assert!(good.contains(from), "{name}: {good}");
        let text = good.replacen(from, to, 1);
        let e = from_json("f.json", &text).expect_err(name);
        assert!(e.problems.iter().all(|p| p.span.end <= text.len()), "{name}");
        snapshot("errors/json", &name.replace(' ', "_"), &rendered(&e));
    }
}

#[test]
fn deep_json_does_not_overflow_the_stack() {
    let attr = format!("{}{}", "{\"list\":[".repeat(100_000), "]}".repeat(100_000));
    let text = json().replace("{\"float\":1.5}", &attr);
    let e = from_json("deep.json", &text).expect_err("too deep");
    assert!(e.to_string().contains("inside each other"), "{e}");
    let tree = format!("{}{}", "{\"tuple\":[".repeat(100_000), "]}".repeat(100_000));
    let e = from_json("deep.json", &json().replacen("\"leaf\"", &tree, 1)).expect_err("too deep");
    assert!(e.to_string().contains("recursion limit"), "{e}");
}

#[test]
fn every_prefix_of_json_is_an_error() {
    let good = json();
    for end in 0..good.len() {
        from_json("f.json", &good[..end]).expect_err("half a graph");
    }
}
