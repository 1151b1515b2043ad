//! Printed code: golden snapshots, and what PyTorch and functorch print for the same graphs.

use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Attr, Aval, DType, Graph, Scalar, Shape, Signature, TreeSpec};
use cotangent_core::ops::{Call, Full, Op, Rule};
use cotangent_core::simplify::{Class, raise};
use cotangent_core::tensor::{composite_one, emit_all, linear_with_transpose};
use cotangent_core::text::CodeStyle;
use cotangent_core::text::ir::parse;
use cotangent_core::transform::build;
use cotangent_tests::numeric::{graph_of, sample_graph};
use cotangent_tests::random_graph::{Config, random_graph};
use cotangent_tests::snapshot::snapshot;

fn f32s(shape: &[usize]) -> Aval {
    Aval::new(DType::F32, shape)
}

/// `grad(|x| x.sin().sum())` with the nodes that reverse mode makes, nothing simplified.
fn raw_grad_of_sin_sum() -> Graph {
    build("grad", |t| {
        let x = t.param(&f32s(&[100]));
        let _sum = x.sin().sum_over(&[0]);
        let cos = x.cos();
        let full = Full { size: Shape::scalar(), fill_value: Scalar::Float(1.0), dtype: DType::F32 };
        let ones = Tensor::generate(full, Some(&x)).expand_to(&[100].into());
        Ok(vec![ones * cos])
    })
    .expect("a graph")
}

/// A graph with a tree in and a struct out.
fn trees() -> Graph {
    let g = build("trees", |t| {
        let (a, b, y) = (t.param(&f32s(&[3])), t.param(&f32s(&[3])), t.param(&f32s(&[3])));
        Ok(vec![&a + &b, y])
    });
    let dict = TreeSpec::Dict(vec![("a".to_owned(), TreeSpec::Leaf), ("b".to_owned(), TreeSpec::Leaf)]);
    let names = ["d", "y", "n"].map(str::to_owned).to_vec();
    let result = TreeSpec::Struct(
        "Out".to_owned(),
        vec![("o".to_owned(), TreeSpec::Tuple(vec![TreeSpec::Leaf; 2])), ("n".to_owned(), TreeSpec::None)],
    );
    g.expect("a graph").with_signature(Signature { names, params: vec![dict, TreeSpec::Leaf, TreeSpec::None], result })
}

/// Constants used twice and returned.
fn constants() -> Graph {
    build("constants", |t| {
        let x = t.param(&f32s(&[3]));
        let c = Tensor::from_array(Array::new([3], vec![1.0f32, f32::INFINITY, -0.5]));
        Ok(vec![&(&x * &c) + &(&c * &x), c])
    })
    .expect("a graph")
}

/// Calls: a composite of ATen with attributes, and a user's function called twice.
fn calls() -> Graph {
    let body = build("double_sine", |t| {
        let x = t.param(&f32s(&[2]));
        Ok(vec![x.sin() * 2.0, x])
    });
    let target = "cotangent::double_sine(...)".to_owned();
    let call = Call { target, params: Vec::new(), body: Arc::new(body.expect("a graph")), rule: Rule::Checkpoint };
    build("calls", |t| {
        let x = t.param(&f32s(&[2]));
        let schema = "aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor";
        let params = [("alpha", 1i64), ("scale", 2), ("input_scale", 1)].map(|(k, v)| (k, Attr::Scalar(v.into())));
        let x = composite_one(schema, &params, &[&x], |a| a[0].exp());
        let first = emit_all(Op::from(call.clone()), &[&x]);
        let second = emit_all(Op::from(call.clone()), &[&first[0]]);
        Ok(vec![&second[0] + &first[1]])
    })
    .expect("a graph")
}

/// Names that Python or `torch.fx` has taken, and dead statements.
fn names() -> Graph {
    let g = build("names", |t| {
        let (x, y) = (t.param(&f32s(&[2, 2])), t.param(&f32s(&[2, 2])));
        let dead = x.abs();
        let _ = dead.sum_over(&[1]);
        Ok(vec![
            x.sum_over(&[0]),
            y.abs().mm(&x),
            Tensor::generate(Full { size: [2].into(), fill_value: Scalar::Int(7), dtype: DType::I64 }, Some(&x)),
        ])
    });
    let signature = Signature {
        names: ["sin", "λx y"].map(str::to_owned).to_vec(),
        params: vec![TreeSpec::Leaf; 2],
        result: TreeSpec::List(vec![TreeSpec::Leaf; 3]),
    };
    g.expect("a graph").with_signature(signature)
}

#[test]
fn code() {
    let graphs = [raw_grad_of_sin_sum(), trees(), constants(), calls(), names()];
    for g in graphs {
        snapshot("code", &format!("{}.today", g.name()), &g.code());
        snapshot("code", &format!("{}.functorch2021", g.name()), &g.code_in(CodeStyle::Functorch2021));
        snapshot("code", &format!("{}.module", g.name()), &g.python_module());
    }
}

/// A linear map that knows its transpose, and a composite that PyTorch has no operator for.
#[test]
fn what_pytorch_cannot_name_is_spelled_out() {
    let g = build("spelled", |t| {
        let x = t.param(&f32s(&[3]));
        let y = linear_with_transpose("doubled", &[], &x, |_, x| x + x, |_, y| y * 2.0);
        Ok(vec![composite_one("cotangent::halved(Tensor x) -> Tensor", &[], &[&y], |a| a[0].sin() * 0.5)])
    });
    let g = g.expect("a graph");
    for text in [g.code(), g.readable(), g.python_module(), g.raised().code(), raise(&g, Class::Exact).python_module()]
    {
        assert!(!text.contains("doubled") && !text.contains("halved"), "{text}");
        assert!(text.contains("aten.sin"), "{text}");
    }
}

/// A graph with lines of its own, so that they do not move with this file.
const LOSS: &str = r#"graph loss(w = %0: f32[3], data = {x = %1: f32[3]}) {
  %2: f32[3] = mul(%0, %1) loc("src/main.rs":12)
  %3: f32[3], %4: f32[3] = call(%2, target="cotangent::twice(...)", params=[], body=graph twice(%0: f32[3]) {
    %1: f32[3] = add(%0, %0) loc("src/twice.rs":3)
    return (%1, %0)
  }, rule=["checkpoint"]) loc("src/main.rs":13)
  %5: f32[3] = cos(%3) loc("src/main.rs":13 via tangent)
  %6: f32[3] = add(%5, %4) loc(unknown via tangent, vmap)
  %7: f32[] = sum(%6, dim=none)
  return %7
}"#;

#[test]
fn readable() {
    let g = parse("loss.cot", LOSS).expect("a graph");
    snapshot("code", "loss.readable", &g.readable());
    assert_eq!(without_escapes(&g.readable_colored()), g.readable());
    assert_ne!(g.readable_colored(), g.readable());
}

/// The text without escape sequences.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, p| out + p.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn the_seeds_own_example() {
    let expected = "\n\n\ndef forward(self, x_1):
    sin = torch.ops.aten.sin(x_1)
    sum_1 = torch.ops.aten.sum(sin, None);  sin = None
    cos = torch.ops.aten.cos(x_1);  x_1 = None
    _tensor_constant0 = self._tensor_constant0
    mul = torch.ops.aten.mul(_tensor_constant0, cos);  _tensor_constant0 = cos = None
    return mul
    ";
    assert_eq!(raw_grad_of_sin_sum().code_in(CodeStyle::Functorch2021), expected);
}

#[test]
fn every_sample_prints_in_both_styles() {
    for s in Op::all_samples() {
        let g = sample_graph(&s);
        for style in [CodeStyle::Today, CodeStyle::Functorch2021] {
            let code = g.code_in(style);
            assert!(code.starts_with("\n\n\ndef forward(self") && code.ends_with("\n    "), "{code}");
            assert!(!code.contains("…"), "{code}");
        }
    }
}

#[test]
fn every_attribute_is_in_the_schema() {
    for s in Op::all_samples() {
        if matches!(s.op, Op::Call(_) | Op::Constant(_)) {
            continue;
        }
        for (name, value) in s.op.prim().attrs() {
            let schema = s.op.prim().schema();
            let named = |mark: char| schema.contains(&format!(" {name}{mark}"));
            let said = [',', ')', '='].into_iter().any(named);
            assert!(said || value == Attr::None, "`{}`: `{name}` is not in `{schema}`", s.op.name());
        }
    }
}

#[test]
fn printing_is_linear() {
    let g = build("long", |t| {
        let mut x = t.param(&f32s(&[3]));
        for _ in 0..50_000 {
            x = x.sin() * &x;
        }
        Ok(vec![x])
    });
    let g = g.expect("a graph");
    let start = std::time::Instant::now();
    let (code, text) = (g.code(), g.to_string());
    let elapsed = start.elapsed();
    assert_eq!((code.lines().count(), text.lines().count()), (100_000 + 6, 100_000 + 3));
    // Generous for a build without optimisation on a busy machine: quadratic printing takes minutes.
    assert!(elapsed.as_secs() < 20, "{elapsed:?}");
}

#[test]
fn a_graph_without_statements() {
    let g = graph_of(&Op::from(Full { size: [1].into(), fill_value: Scalar::Float(0.0), dtype: DType::F64 }), &[]);
    let code = g.expect("a graph").code();
    assert_eq!(
        code,
        "\n\n\ndef forward(self):\n    full = torch.ops.aten.full.default([1], 0.0, dtype = torch.float64)\n    return full\n    "
    );
}

#[test]
fn pictures() {
    let g = parse("loss.cot", LOSS).expect("a graph").with_name("a \"loss\" <b> & co");
    snapshot("code", "loss.dot", &g.dot());
    snapshot("code", "loss.svg", &g.svg());
    assert_eq!(g.svg(), g.svg());
    let empty = parse("empty.cot", "graph empty() {\n  return ()\n}").expect("a graph");
    assert!(empty.svg().contains("</svg>") && empty.dot().contains('}'));
    for seed in 0..50 {
        let g = random_graph(seed, Config { steps: 100, ..Config::ALL });
        let svg = g.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 1 + g.params().len() + g.len() + g.results().len());
    }
}
