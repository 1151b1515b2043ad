//! Each constraint of the ops that move elements, of windows and of convolution: what breaks it is refused under its label, and
//! the specification states it.

use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{
    Cat, Convert, Convolution, DiagEmbed, Diagonal, Expand, Flip, Op, Pad, Permute, Slice, SliceScatter, Unfold,
    UnfoldBackward, View, Where,
};

const SPEC: [&str; 6] = [
    include_str!("../../../ir-spec/ops/view.md"),
    include_str!("../../../ir-spec/ops/piece.md"),
    include_str!("../../../ir-spec/ops/window.md"),
    include_str!("../../../ir-spec/ops/conv.md"),
    include_str!("../../../ir-spec/ops/select.md"),
    include_str!("../../../ir-spec/ops/convert.md"),
];

fn f64s(shape: &[usize]) -> Aval {
    Aval::new(DType::F64, shape)
}

fn bools(shape: &[usize]) -> Aval {
    Aval::new(DType::Bool, shape)
}

type Case = (&'static str, Op, Vec<Aval>);

fn refused(label: &'static str, op: impl Into<Op>, args: impl IntoIterator<Item = Aval>) -> Case {
    (label, op.into(), args.into_iter().collect())
}

fn check(cases: impl IntoIterator<Item = Case>) {
    for (label, op, args) in cases {
        let error = op.checked_infer(&args.iter().collect::<Vec<_>>()).expect_err(label).to_string();
        assert!(error.contains(&format!("({label})")), "{label}: {error}");
        assert!(SPEC.iter().any(|page| page.contains(&format!("- `{label}`"))), "the specification has no `{label}`");
    }
}

#[test]
fn views() {
    let slice = |dim, start, end, step| Slice { dim, start, end, step };
    let diagonal = |dim1, dim2| Diagonal { offset: 0, dim1, dim2 };
    let unfold = |dimension, size, step| Unfold { dimension, size, step };
    check([
        refused("view_c1", View { shape: [4].into() }, [f64s(&[3])]),
        refused("expand_c1", Expand { size: [2, 4].into() }, [f64s(&[3])]),
        refused("expand_c1", Expand { size: ().into() }, [f64s(&[1])]),
        refused("permute_c1", Permute { dims: vec![0, 0] }, [f64s(&[2, 2])]),
        refused("permute_c1", Permute { dims: vec![0] }, [f64s(&[2, 2])]),
        refused("slice_c1", slice(1, 0, 1, 1), [f64s(&[3])]),
        refused("slice_c1", slice(0, 0, 0, 1), [f64s(&[])]),
        refused("slice_c2", slice(0, 0, 4, 1), [f64s(&[3])]),
        refused("slice_c2", slice(0, 3, 2, 1), [f64s(&[3])]),
        refused("slice_c3", slice(0, 0, 2, 0), [f64s(&[3])]),
        refused("flip_c1", Flip { dims: vec![1, 0] }, [f64s(&[2, 2])]),
        refused("flip_c1", Flip { dims: vec![2] }, [f64s(&[2, 2])]),
        refused("diagonal_c1", diagonal(0, 2), [f64s(&[2, 2])]),
        refused("diagonal_c2", diagonal(1, 0), [f64s(&[2, 2])]),
        refused("diagonal_c2", diagonal(1, 1), [f64s(&[2, 2])]),
        refused("unfold_c1", unfold(0, 1, 1), [f64s(&[])]),
        refused("unfold_c2", unfold(0, 4, 1), [f64s(&[3])]),
        refused("unfold_c3", unfold(0, 1, 0), [f64s(&[3])]),
    ]);
}

#[test]
fn pieces() {
    let scatter = |dim, start, end, step| SliceScatter { dim, start, end, step };
    let pad = |pad: &[i64], value| Pad { pad: pad.to_vec(), value };
    let embed = |dim1, dim2| DiagEmbed { offset: 0, dim1, dim2 };
    let zero = Scalar::Float(0.0);
    check([
        refused("slice_scatter_c1", scatter(1, 0, 1, 1), [f64s(&[3]), f64s(&[1])]),
        refused("slice_scatter_c2", scatter(0, 0, 4, 1), [f64s(&[3]), f64s(&[4])]),
        refused("slice_scatter_c3", scatter(0, 0, 1, 0), [f64s(&[3]), f64s(&[1])]),
        refused("slice_scatter_c4", scatter(0, 0, 3, 2), [f64s(&[3]), f64s(&[3])]),
        refused("slice_scatter_c4", scatter(0, 0, 1, 1), [f64s(&[3]), bools(&[1])]),
        refused("cat_c1", Cat { dim: 0 }, []),
        refused("cat_c2", Cat { dim: 0 }, [f64s(&[])]),
        refused("cat_c3", Cat { dim: 0 }, [f64s(&[1]), bools(&[1])]),
        refused("cat_c3", Cat { dim: 0 }, [f64s(&[1, 2]), f64s(&[1, 3])]),
        refused("cat_c3", Cat { dim: 0 }, [f64s(&[1, 2]), f64s(&[1])]),
        refused("constant_pad_nd_c1", pad(&[1], zero), [f64s(&[2])]),
        refused("constant_pad_nd_c1", pad(&[1, 1, 1, 1], zero), [f64s(&[2])]),
        refused("constant_pad_nd_c2", pad(&[0, 0], zero), [f64s(&[2])]),
        refused("constant_pad_nd_c3", pad(&[-2, -1], zero), [f64s(&[2])]),
        refused("constant_pad_nd_c3", pad(&[-3, 2], zero), [f64s(&[2])]),
        refused("constant_pad_nd_c3", pad(&[i64::MAX, i64::MAX], zero), [f64s(&[2])]),
        refused("constant_pad_nd_c4", pad(&[1, 1], Scalar::Int(0)), [f64s(&[2])]),
        refused("constant_pad_nd_c4", pad(&[1, 1], Scalar::Int(300)), [Aval::new(DType::U8, [2])]),
        refused("diag_embed_c1", embed(0, 1), [f64s(&[])]),
        refused("diag_embed_c2", embed(0, 2), [f64s(&[2])]),
        refused("diag_embed_c3", embed(1, 0), [f64s(&[2])]),
    ]);
}

#[test]
fn windows() {
    let add = |dim, size, step| UnfoldBackward { input_sizes: [4].into(), dim, size, step };
    check([
        refused("unfold_backward_c1", add(1, 2, 1), [f64s(&[3, 2])]),
        refused("unfold_backward_c2", add(0, 5, 1), [f64s(&[1, 5])]),
        refused("unfold_backward_c3", add(0, 2, 0), [f64s(&[3, 2])]),
        refused("unfold_backward_c4", add(0, 2, 2), [f64s(&[3, 2])]),
        refused("unfold_backward_c5", add(0, 2, 1), [bools(&[3, 2])]),
    ]);
}

#[test]
fn convolutions() {
    let plain = Convolution::plain;
    let adjoint = |n| Convolution { transposed: true, ..plain(n) };
    let (x, w) = (f64s(&[1, 2, 5]), f64s(&[4, 2, 3]));
    let both = || [x.clone(), w.clone()];
    check([
        refused("convolution_c1", plain(0), [f64s(&[1, 2]), f64s(&[4, 2])]),
        refused("convolution_c1", plain(1), [x.clone(), f64s(&[4, 2, 3, 3])]),
        refused("convolution_c2", plain(1), [x.clone(), Aval::new(DType::F32, [4, 2, 3])]),
        refused("convolution_c2", plain(1), [bools(&[1, 2, 5]), bools(&[4, 2, 3])]),
        refused("convolution_c3", plain(2), both()),
        refused("convolution_c3", Convolution { padding: vec![], ..plain(1) }, both()),
        refused("convolution_c4", Convolution { stride: vec![0], ..plain(1) }, both()),
        refused("convolution_c4", Convolution { dilation: vec![0], ..plain(1) }, both()),
        refused("convolution_c5", Convolution { groups: 0, ..plain(1) }, both()),
        refused("convolution_c6", plain(1), [f64s(&[1, 3, 5]), w.clone()]),
        refused("convolution_c6", Convolution { groups: 3, ..plain(1) }, [f64s(&[1, 6, 5]), w.clone()]),
        refused("convolution_c6", plain(1), [f64s(&[1, 0, 5]), f64s(&[4, 0, 3])]),
        refused("convolution_c6", plain(1), [x.clone(), f64s(&[0, 2, 3])]),
        refused("convolution_c6", adjoint(1), both()),
        refused("convolution_c6", Convolution { groups: usize::MAX, ..plain(1) }, both()),
        refused("convolution_c7", plain(1), [x.clone(), f64s(&[4, 2, 0])]),
        refused("convolution_c7", plain(1), [f64s(&[1, 2, 0]), w.clone()]),
        refused("convolution_c8", Convolution { output_padding: vec![1], ..plain(1) }, both()),
        refused(
            "convolution_c8",
            Convolution { output_padding: vec![2], stride: vec![2], ..adjoint(1) },
            [f64s(&[1, 4, 5]), w.clone()],
        ),
        refused("convolution_c9", plain(1), [f64s(&[1, 2, 2]), w.clone()]),
        refused("convolution_c9", Convolution { dilation: vec![usize::MAX], ..plain(1) }, both()),
        refused("convolution_c9", Convolution { padding: vec![4], ..adjoint(1) }, [f64s(&[1, 4, 2]), w.clone()]),
    ]);
}

#[test]
fn choices() {
    check([
        refused("where_c1", Where {}, [f64s(&[2]), f64s(&[2]), f64s(&[2])]),
        refused("where_c2", Where {}, [bools(&[2]), f64s(&[2]), f64s(&[3])]),
        refused("where_c2", Where {}, [bools(&[3]), f64s(&[2]), f64s(&[2])]),
    ]);
}

/// Sizes that no machine holds are refused before anything is allocated.
#[test]
fn impossible_sizes() {
    let huge = [
        refused("", Pad { pad: vec![0, 1 << 50], value: Scalar::Float(0.0) }, [f64s(&[1])]),
        refused("", DiagEmbed { offset: i64::MIN, dim1: 0, dim2: 1 }, [f64s(&[1])]),
        refused("", Cat { dim: 0 }, [f64s(&[usize::MAX, 0]), f64s(&[1, 0])]),
        refused("", Expand { size: [1 << 40, 1 << 40].into() }, [f64s(&[])]),
    ];
    for (_, op, args) in huge {
        let error = op.checked_infer(&args.iter().collect::<Vec<_>>()).expect_err("no such size");
        assert!(error.to_string().contains("at most 2^47 elements"), "{}: {error}", op.name());
    }
}

/// Sizes beyond the machine beside a size of 0 hold no element, and do no harm.
#[test]
fn huge_empty_arrays() {
    use cotangent_core::array::Array;
    let x = Array::new([0, 1 << 40, 1 << 40], Vec::<f64>::new());
    let ops: [Op; 5] = [
        Slice { dim: 1, start: 1, end: 5, step: 2 }.into(),
        Flip { dims: vec![1] }.into(),
        Diagonal { offset: 7, dim1: 1, dim2: 2 }.into(),
        Unfold { dimension: 1, size: 3, step: 2 }.into(),
        Convert { dtype: DType::F32 }.into(),
    ];
    for op in ops {
        let y = op.checked_infer(&[&x.aval()]).unwrap_or_else(|e| panic!("{}: {e}", op.name()));
        let found = op.prim().eval(&[&x]).unwrap_or_else(|e| panic!("{}: {e}", op.name()));
        assert_eq!(found[0].aval(), y[0], "{}", op.name());
    }
}

/// A negative amount where a size stands is refused as the attributes are read, and the message says what fits.
#[test]
fn negative_attributes() {
    use cotangent_core::ir::Attr;
    let list = |x: i64| Attr::List(vec![Attr::Scalar(Scalar::Int(x))]);
    let attrs = |stride| {
        let named = [
            ("bias", Attr::None),
            ("stride", list(stride)),
            ("padding", list(0)),
            ("dilation", list(1)),
            ("transposed", Attr::Scalar(Scalar::Bool(false))),
            ("output_padding", list(0)),
            ("groups", Attr::Scalar(Scalar::Int(1))),
        ];
        named.map(|(name, attr)| (name.to_owned(), attr)).to_vec()
    };
    assert_eq!(Op::from_text("convolution", attrs(1)).unwrap_or_else(|e| panic!("{e}")), Convolution::plain(1).into());
    let error = Op::from_text("convolution", attrs(-1)).expect_err("a negative stride").to_string();
    assert_eq!(error, "attribute `stride` should be a list of sizes, found a list");
}
