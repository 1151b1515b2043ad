//! Round trips: what is written reads back as the same graph, and canonical text is written again byte for byte.

use cotangent_core::array::{Array, Data};
use cotangent_core::ir::verify::verify;
use cotangent_core::ir::{Graph, Signature, TreeSpec};
use cotangent_core::ops::{Constant, Op};
use cotangent_core::text::ir::{Options, parse, parse_all, print, print_with};
use cotangent_core::text::json::{from_json, to_json};
use cotangent_core::transform::build;
use cotangent_core::transform::grad::{grad_and_value, vjp};
use cotangent_tests::numeric::{graph_of, sample_graph};
use cotangent_tests::random_graph::{Config, random_graph};
use half::{bf16, f16};
use proptest::prelude::*;

/// Both directions, with and without locations.
fn text_round_trip(g: &Graph) {
    for options in [Options::default(), Options::with_locations(), Options { max_elements: 0, ..Options::default() }] {
        let text = print_with(g, options);
        let read = parse("round_trip.cot", &text).unwrap_or_else(|e| panic!("{:?}\n{text}", e.problems));
        assert_eq!(read, *g, "{text}");
        assert_eq!(print_with(&read, options), text);
        for (a, b) in g.nodes().iter().zip(read.nodes()) {
            assert!(!options.locations || g.loc(a) == read.loc(b), "locations are kept");
        }
    }
    json_round_trip(g);
}

fn json_round_trip(g: &Graph) {
    let json = to_json(g);
    let read = from_json("round_trip.json", &json).unwrap_or_else(|e| panic!("{:?}\n{json}", e.problems));
    assert_eq!(read, *g, "{json}");
    assert_eq!(to_json(&read), json);
    assert_eq!(print_with(&read, Options::with_locations()), print_with(g, Options::with_locations()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_graphs(seed: u64) {
        let g = random_graph(seed, Config::ALL);
        verify(&g).expect("random graphs keep the invariants");
        text_round_trip(&g);
    }

    /// Changes to a text never make a reader panic.
    #[test]
    fn damaged_texts(seed in 0u64..50, at: prop::sample::Index, what in 0usize..4, c in prop::sample::select(vec!['0', '%', '(', ')', '{', '"', '9', 'n', '[', ',', 'λ', '-'])) {
        let g = random_graph(seed, Config { steps: 6, ..Config::ALL });
        for text in [print(&g), to_json(&g)] {
            let mut chars: Vec<char> = text.chars().collect();
            let i = at.index(chars.len());
            match what {
                0 => chars[i] = c,
                1 => chars.insert(i, c),
                2 => drop(chars.remove(i)),
                _ => chars.truncate(i),
            }
            let damaged: String = chars.into_iter().collect();
            let _ = parse("damaged.cot", &damaged);
            let _ = from_json("damaged.json", &damaged);
        }
    }
}

#[test]
fn every_sample() {
    for s in Op::all_samples() {
        text_round_trip(&sample_graph(&s));
    }
}

#[test]
fn every_derivative_of_a_sample() {
    for s in Op::all_samples() {
        let g = sample_graph(&s);
        let wrt: Vec<usize> = (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float()).collect();
        if let Ok(g) = vjp(&g, &wrt) {
            text_round_trip(&g);
        }
    }
}

#[test]
fn constants_of_every_dtype_keep_their_bits() {
    let halves: Vec<u16> =
        vec![0, 0x8000, 0x7e00, 0xfe00, 0x7c01, 0x7c00, 0xfc00, 0x0001, 0x3555, 0x7bff, 0x7fc0, 0x7f81, 0x3dcd];
    let singles: Vec<u32> = vec![
        0,
        0x8000_0000,
        0x7fc0_0000,
        0xffc0_0000,
        0x7f80_0001,
        0x7fc0_0001,
        0x7f80_0000,
        0xff80_0000,
        1,
        0x3dcc_cccd,
    ];
    let doubles: Vec<u64> = vec![
        0,
        1 << 63,
        0x7ff8 << 48,
        0xfff8 << 48,
        (0x7ff0 << 48) + 1,
        0x7ff0 << 48,
        1,
        0x3fb9_9999_9999_999a,
        u64::MAX,
    ];
    let arrays = vec![
        Data::F16(halves.iter().map(|b| f16::from_bits(*b)).collect()),
        Data::BF16(halves.iter().map(|b| bf16::from_bits(*b)).collect()),
        Data::F32(singles.iter().map(|b| f32::from_bits(*b)).collect()),
        Data::F64(doubles.iter().map(|b| f64::from_bits(*b)).collect()),
        Data::I64(vec![i64::MIN, i64::MAX, 0].into()),
        Data::I32(vec![i32::MIN, i32::MAX].into()),
        Data::I16(vec![i16::MIN, i16::MAX].into()),
        Data::I8(vec![i8::MIN, i8::MAX].into()),
        Data::U8(vec![0, 255].into()),
        Data::Bool(vec![true, false].into()),
        Data::F32(vec![].into()),
        Data::F64((0..200).map(|i| f64::from(i).sqrt()).collect()),
    ];
    for data in arrays {
        let n = data.len();
        let value = std::sync::Arc::new(Array::try_new([n], data).expect("as many elements"));
        text_round_trip(&graph_of(&Constant { value }.into(), &[]).expect("a constant"));
    }
}

#[test]
fn trees_and_names() {
    let leaf = || TreeSpec::Leaf;
    let dict =
        TreeSpec::Dict(vec![("w".to_owned(), leaf()), ("odd \"key\"\n".to_owned(), TreeSpec::Tuple(vec![leaf()]))]);
    let nothing = TreeSpec::Struct("none".to_owned(), vec![]);
    let params = vec![
        TreeSpec::None,
        dict,
        TreeSpec::Struct("Params".to_owned(), vec![("b".to_owned(), TreeSpec::List(vec![leaf(), leaf()]))]),
        TreeSpec::Tuple(vec![]),
        nothing,
    ];
    let g = build("a name with blanks", |t| {
        let x: Vec<_> =
            (0..4).map(|i| t.param(&cotangent_core::ir::Aval::new(cotangent_core::ir::DType::F32, [i]))).collect();
        Ok(vec![x[1].sin(), x[0].clone()])
    })
    .expect("a graph");
    let signature = |names: &[&str]| Signature {
        names: names.iter().map(|s| (*s).to_owned()).collect(),
        params: params.clone(),
        result: TreeSpec::List(vec![TreeSpec::Tuple(vec![leaf()]), TreeSpec::None, leaf()]),
    };
    text_round_trip(&g.clone().with_signature(signature(&["none", "graph", "x", "", "λ"])));
    text_round_trip(&g.with_signature(signature(&["arg0", "arg1", "arg2", "arg3", "arg4"])));
}

#[test]
fn hand_written_text_is_read_and_canonical_text_is_printed() {
    let text = "// a comment\ngraph f (weights = %7 : f32 [ 2, ], (%3: f32[2]),) { // numbers by rank\n %9: f32[2] = add(%7, %3,)\nreturn (%9,) }";
    let g = parse("hand.cot", text).expect("a graph");
    assert_eq!(
        print(&g),
        "graph f(weights = %1: f32[2], y = %0: f32[2]) {\n  %2: f32[2] = add(%1, %0)\n  return (%2,)\n}"
    );
    let two = format!("{g}\n\n{g}\n");
    assert_eq!(parse_all("two.cot", &two).expect("two graphs"), [g.clone(), g]);
    assert!(parse_all("none.cot", "// nothing").expect("no graph").is_empty());
}

#[test]
fn gradients_print_every_derivation() {
    let aval = cotangent_core::ir::Aval::new(cotangent_core::ir::DType::F32, [3]);
    let g = build("f", |t| Ok(vec![t.param(&aval).sin().sum_over(&[0])])).expect("a graph");
    let g = grad_and_value(&g, &[0]).expect("a gradient");
    text_round_trip(&g);
    assert!(
        print_with(&g, Options::with_locations()).contains("via tangent"),
        "{}",
        print_with(&g, Options::with_locations())
    );
}
