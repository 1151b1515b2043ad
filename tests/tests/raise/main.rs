//! PyTorch's compound operators in graphs: which are found, and that they mean what stood there.
//!
//! One file for each file of rules, but for the smallest.

mod activation;
mod alone;
mod averages;
mod backward;
mod cross;
mod diagonal;
mod embedding;
mod fused;
mod gate;
mod index;
mod matrix;
mod nll;
mod norm;
mod norm_backward;
mod patterns;
mod positions;
mod pullback;
mod rearrange;
mod recompose;
mod reduce;
mod repeated;
mod scattered;
mod settle;
mod single;
mod slope;
mod solve;
mod table;
mod whole;
mod window;

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::simplify;
use cotangent_core::text::Application;
use cotangent_core::text::ir::parse;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::inline::{inline, inline_composites};
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::random_graph::{Config, random_args, random_graph};

fn graph(text: &str) -> Graph {
    parse("raise.cot", text).unwrap_or_else(|e| panic!("{:?}\n{text}", e.problems))
}

/// The targets of the printed code, without namespace.
fn targets(g: &Graph) -> Vec<String> {
    let code = g.code();
    let calls = code.lines().filter_map(|l| l.split("torch.ops.").nth(1)?.split('(').next());
    calls.map(|t| t.trim_start_matches("aten.").to_owned()).collect()
}

fn same_bits(a: &[Array], b: &[Array]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.aval() == b.aval() && a.to_le_bytes() == b.to_le_bytes())
}

/// A function of two matrices of two rows and columns.
type F = fn(&Tensor, &Tensor) -> Tensor;

/// Functions that an operator is the whole of, and functions that are almost so: the one is found, with its bits, the other
/// is not.
fn neighbours(table: &[(&str, F, F)]) {
    let aval = Aval::new(DType::F64, [2, 2]);
    for (name, operator, neighbour) in table {
        for (f, expected) in [(operator, true), (neighbour, false)] {
            let g = build("f", |t| Ok(vec![f(&t.param(&aval), &t.param(&aval)).ok()?])).unwrap();
            let g = simplify(&inline_composites(&g).unwrap());
            let raised = g.raised();
            let found = targets(&raised).iter().any(|t| t.split('.').next() == Some(name));
            assert_eq!(found, expected, "{name}: {}", raised.code());
            let args = random_args(1, &g);
            assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()), "{name}: {g}");
        }
    }
}

/// A derivative beside its function takes from the call what that has already; what the call itself needs stays.
#[test]
fn results_of_calls_are_shared() {
    let aval = Aval::new(DType::F64, [4, 3]);
    let g = build("f", |t| {
        let x = t.param(&aval);
        let at = Tensor::from_array(Array::new([2], vec![0i64, 2]));
        let y = embedding(&at, &x, None);
        Ok(vec![&y * &y, y, x.index_select(0, &at) * 2.0])
    });
    let g = g.unwrap();
    let raised = simplify(&g).raised();
    assert!(!targets(&raised).contains(&"index_select.default".to_owned()), "{}", raised.code());
    let args = random_args(1, &g);
    assert!(same_bits(&eval(&g, &args).unwrap(), &eval(&raised, &args).unwrap()));
}

/// A batch of an elementwise composite is the composite; one of a reduction of single elements is not the reduction.
#[test]
fn batches_of_composites_are_what_they_say() {
    type F = fn(&Tensor) -> Tensor;
    let batch = |shape: &[usize], f: F| {
        let g = build("f", |t| Ok(vec![f(&t.param(&Aval::new(DType::F64, shape))).ok()?])).unwrap();
        targets(&vmap(&g, &[Some(0)], &[0], 3.into()).unwrap())
    };
    assert_eq!(batch(&[2], |x| x.softplus(1.0, 20.0)), ["softplus.default"]);
    assert_eq!(batch(&[], |x| x.softplus(1.0, 20.0)), ["softplus.default"]);
    // What examples share is broadcast by the operator.
    let pair = Aval::new(DType::F64, [2]);
    let g = build("f", |t| Ok(vec![t.param(&pair).lerp(&t.param(&pair), t.param(&pair).fmin(t.param(&pair))).ok()?]));
    let shared = simplify(&vmap(&g.unwrap(), &[Some(0), None, None, Some(0)], &[0], 3.into()).unwrap());
    assert_eq!(targets(&shared), ["fmin.default", "lerp.Tensor"]);
    let args = random_args(1, &shared);
    let spelt = inline_composites(&shared).unwrap();
    assert!(same_bits(&eval(&shared, &args).unwrap(), &eval(&spelt, &args).unwrap()));
    let reductions: [(&str, F); 4] = [
        ("any", |x| x.any(0)),
        ("mean", |x| x.mean()),
        ("l1_loss", |x| x.l1_loss(&(x * x), Reduction::Mean)),
        ("_softmax", |x| x.softmax(0)),
    ];
    for (name, f) in reductions {
        let found = batch(&[], f);
        assert!(!found.iter().any(|t| t.starts_with(name)), "{found:?}");
    }
}

#[test]
fn raised_graphs_have_the_values_of_graphs() {
    for seed in 0..300 {
        let g = random_graph(seed, Config::ALL);
        let args = random_args(seed, &g);
        for g in [g.clone(), simplify(&g)] {
            let Ok(expected) = eval(&g, &args) else { continue };
            let raised = g.raised();
            // What PyTorch cannot name is spelled out first.
            let spelled = inline(&g, |c| c.is_shown() && !Application::is_operator(c)).unwrap();
            assert!(raised.len() <= spelled.len(), "{seed}: {} nodes, {} before", raised.len(), spelled.len());
            assert!(same_bits(&expected, &eval(&raised, &args).unwrap()), "{seed}: {g}\n{raised}");
        }
    }
}
