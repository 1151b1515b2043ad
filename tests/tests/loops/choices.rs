//! What is chosen by a place: scatters, maxima, sorts and decompositions that are read in part.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ops::Triangle;
use cotangent_core::transform::eval::eval;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{BufferId, Routine, RoutineKind, Step};
use cotangent_loops::lower;

use crate::{args_of, check, f32s};

/// Operand, index and source of a scatter of one element into each line along `dim`.
fn single_scatter(op: &str, dtype: &str, shape: &[usize], dim: usize) -> Graph {
    let own: Vec<usize> = shape.iter().enumerate().map(|(d, n)| if d == dim { 1 } else { *n }).collect();
    let sizes = |s: &[usize]| s.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let (x, y) = (sizes(shape), sizes(&own));
    let text = format!(
        "graph \"single\"(%0: {dtype}[{x}], %1: i64[{y}], %2: {dtype}[{y}]) {{\n  \
         %3: {dtype}[{x}] = {op}(%0, %1, %2, dim={dim})\n  return (%3)\n}}\n"
    );
    cotangent_core::text::ir::parse("single.cot", &text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn scatters_of_one_element_for_each_line_are_choices() {
    for shape in [&[7usize, 5, 9][..], &[4, 6], &[6, 4], &[9]] {
        for dim in 0..shape.len() {
            for (op, dtype) in [
                ("scatter", "f32"),
                ("scatter", "bool"),
                ("scatter", "i64"),
                ("scatter_add", "bf16"),
                ("scatter_add", "i8"),
            ] {
                let g = single_scatter(op, dtype, shape, dim);
                let mut args = args_of(&g, 4);
                check(&g, &args).unwrap_or_else(|e| panic!("{op} {dtype} {shape:?} {dim}: {e}"));
                // The last index out of bounds: refused as the reference does.
                let (n, own) = (args[1].numel(), args[1].shape().clone());
                let last = |k: i64| Array::new(&own, (0..n).map(|i| if i + 1 == n { k } else { 0 }).collect());
                for k in [shape[dim] as i64, -1] {
                    args[1] = last(k);
                    let expected = eval(&g, &args).unwrap_err().to_string();
                    let program = lower(&g).unwrap();
                    let found = interpret(&program, &args).unwrap_err().to_string();
                    assert!(expected.ends_with(&found), "{op} {dtype} {shape:?} {dim}: {found}");
                    check(&g, &args).unwrap_or_else(|e| panic!("{op} {dtype} {shape:?} {dim}: {e}"));
                }
            }
        }
    }
}

#[test]
fn the_gradient_of_a_cross_entropy_writes_its_result_once() {
    let y = Tensor::from_array(Array::new([64], (0..64i64).map(|i| i % 10).collect()));
    let g = make_fx(grad(|z: Tensor, y: Tensor| z.cross_entropy(&y)), (f32s(&[64, 10]), y)).unwrap();
    check(&g, &args_of(&g, 10)).unwrap_or_else(|e| panic!("{e}"));
    let is_scatter = |s: &&Step| matches!(s, Step::Routine(r) if r.outputs.len() == 1 && r.inputs.len() == 3);
    let program = lower(&g).unwrap();
    assert_eq!(program.steps.iter().filter(is_scatter).count(), 0, "{program}");
}

#[test]
fn maxima_over_windows_need_no_positions() {
    let options = Pool { stride: Some(2.into()), padding: 1.into(), ..Pool::default() };
    let pools = |x: Tensor| (x.max_pool2d(3, &options), x.max_dim(1).0, x.min_dim(keepdim(0)).0);
    let g = make_fx(pools, (f32s(&[2, 3, 14, 21]),)).unwrap();
    check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{e}"));
    let program = lower(&g).unwrap();
    assert!(program.steps.iter().all(|s| matches!(s, Step::Nest(_))), "{program}");
    // Where positions are results too, both are found at once.
    let both = |x: Tensor| (x.max_dim(1), x.min_dim(keepdim(0)), x.min_dim(0).1 + 1i64);
    let g = make_fx(both, (f32s(&[12, 40]),)).unwrap();
    check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{e}"));
    let program = lower(&g).unwrap();
    // What else is read at such positions may have fewer dims.
    let other = |x: Tensor| {
        let (y, at) = x.max_dim(2);
        (y, x.select(0, 0).select(0, 0).gather(0, &at.reshape([24])))
    };
    let elsewhere = make_fx(other, (f32s(&[4, 6, 12]),)).unwrap();
    check(&elsewhere, &args_of(&elsewhere, 1)).unwrap_or_else(|e| panic!("{e}"));
    let is_extreme = |s: &&Step| matches!(s, Step::Routine(Routine { kind: RoutineKind::Extremes { .. }, .. }));
    assert_eq!((program.steps.iter().filter(is_extreme).count(), program.steps.len()), (2, 3), "{program}");
}

#[test]
fn sorts_are_done_as_far_as_they_are_read() {
    let places = |g: &Graph| {
        check(g, &args_of(g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let program = lower(g).unwrap();
        let of = |s: &Step| match s {
            Step::Routine(Routine { kind: RoutineKind::Places { places, .. }, .. }) => Some((places.start, places.end)),
            Step::Routine(_) | Step::Nest(_) => None,
        };
        program.steps.iter().filter_map(of).collect::<Vec<_>>()
    };
    let x = f32s(&[3, 40]);
    let top = |x: Tensor| {
        let (y, at) = x.sort_descending(1);
        (y.slice(1, 0, 4, 1), at.slice(1, 0, 4, 1))
    };
    assert_eq!(places(&make_fx(top, (x.clone(),)).unwrap()), [(0, 4)]);
    let slices = |x: Tensor| {
        let (y, at) = x.sort(1);
        (y.slice(1, 3, 9, 1).sin(), y.slice(1, 20, 30, 2), at.slice(1, 12, 14, 1))
    };
    assert_eq!(places(&make_fx(slices, (x.clone(),)).unwrap()), [(3, 30)]);
    let square = |x: Tensor| x.sort(1).0.slice(1, 0, 4, 1).square().sum();
    assert_eq!(places(&make_fx(grad(square), (x.clone(),)).unwrap()), [(0, 4)], "the derivative");
    let none: [(usize, usize); 0] = [];
    // Slices of other dims, and what else reads a result, need it whole.
    assert_eq!(places(&make_fx(|x: Tensor| x.sort(1).0.slice(0, 0, 2, 1), (x.clone(),)).unwrap()), none);
    let both = |x: Tensor| (x.sort(1).0.slice(1, 0, 2, 1), x.sort(1).1 + 1i64);
    assert_eq!(places(&make_fx(both, (x,)).unwrap()), none);
}

/// Medians and quantiles, whose ranks are data, as NaN is; and what reads more of a sort.
#[test]
fn few_ranks_of_a_sort_are_found_without_it() {
    use cotangent_aten::quantile::{Between, Nans};
    let ranks = |g: &Graph| {
        check(g, &args_of(g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let program = lower(g).unwrap();
        let of = |s: &Step| match s {
            Step::Routine(Routine { kind: RoutineKind::Ranked { index, .. }, .. }) => {
                Some(index.shape.sizes().to_vec())
            }
            Step::Routine(_) | Step::Nest(_) => None,
        };
        program.steps.iter().filter_map(of).collect::<Vec<_>>()
    };
    let x = f32s(&[5, 40]);
    let one = vec![vec![5, 1]];
    assert_eq!(ranks(&make_fx(|x: Tensor| x.median_dim(1), (x.clone(),)).unwrap()), one);
    assert_eq!(ranks(&make_fx(|x: Tensor| x.nanmedian_dim(1), (x.clone(),)).unwrap()), one);
    assert_eq!(ranks(&make_fx(grad(|x: Tensor| x.median_dim(1).0.sum()), (x.clone(),)).unwrap()), one);
    let several = |x: Tensor, q: Tensor| x.quantiles(&q, 1, Between::Linear, Nans::Propagated);
    assert_eq!(ranks(&make_fx(several, (x.clone(), f32s(&[3]))).unwrap()), [[5, 3], [5, 3]]);
    let none: [Vec<usize>; 0] = [];
    let many = |x: Tensor, q: Tensor| x.quantiles(&q, 1, Between::Lower, Nans::Ignored);
    assert_eq!(ranks(&make_fx(many, (x.clone(), f32s(&[9]))).unwrap()), none);
    // Who reads the whole order has it sorted.
    let whole = |x: Tensor| {
        let order = x.sort(1).0;
        (order.gather_along(1, &Tensor::from([[1i64], [2], [3], [4], [5]])), order)
    };
    assert_eq!(ranks(&make_fx(whole, (x,)).unwrap()), none);
}

/// Reads and writes through an index that was expanded along the dims behind the indexed one.
#[test]
fn an_index_that_is_the_same_for_a_row_moves_rows() {
    let rows = |g: &Graph| {
        let args = args_of(g, 1)
            .into_iter()
            .map(|x| if x.dtype().is_float() { x } else { Array::from_f64_fn(&x.aval(), |i| (i * 7 % 5) as f64) });
        check(g, &args.collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
        let of = |s: &Step| match s {
            Step::Routine(Routine { kind: RoutineKind::Rows { op, .. }, .. }) => Some(op.name()),
            Step::Routine(_) | Step::Nest(_) => None,
        };
        lower(g).unwrap().steps.iter().filter_map(of).collect::<Vec<_>>()
    };
    let graph = |op: &str, own: &str, expand: &str| {
        let (operands, params) = match op {
            "gather" => ("%0, %3", String::new()),
            _ => ("%0, %3, %2", format!("%2: f32[{expand}]")),
        };
        let params = if params.is_empty() { "%2: f32[1]".to_owned() } else { params };
        let result = if op == "gather" { expand } else { "2,5,6" };
        let name = op.split_once(' ').map_or(op, |(name, _)| name);
        let attrs = op.split_once(' ').map_or(String::new(), |(_, more)| format!(", {more}"));
        let sizes = expand.replace(',', ", ");
        let text = format!(
            "graph \"rows\"(%0: f32[2,5,6], %1: i64[{own}], {params}) {{\n  \
             %3: i64[{expand}] = expand(%1, size=[{sizes}])\n  \
             %4: f32[{result}] = {name}({operands}, dim=1{attrs})\n  return (%4)\n}}\n"
        );
        cotangent_core::text::ir::parse("rows.cot", &text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    };
    for op in ["gather", "scatter", "scatter_add", "scatter_reduce reduce=\"amax\""] {
        let name = op.split(' ').next().unwrap();
        // For each line, for all lines, and as a plain vector; and what differs within a row.
        for own in ["2,4,1", "1,4,1", "4,1"] {
            assert_eq!(rows(&graph(op, own, "2,4,6")), [name], "{own}");
        }
        assert!(rows(&graph(op, "2,1,6", "2,4,6")).is_empty(), "{name}");
    }
}

/// A vector times a matrix whose rows lie across the sums; others are sums along what lies side by side.
#[test]
fn a_vector_across_the_rows_of_a_large_matrix_is_a_product() {
    let products = |params: &str, d: &str, result: &str, lines: &[&str]| {
        let lines: String = lines.iter().map(|l| format!("  {l}\n")).collect();
        let (params, lines) = (params.replace("_[", &format!("{d}[")), lines.replace("_[", &format!("{d}[")));
        let text = format!("graph \"vector\"({params}) {{\n{lines}  return ({result})\n}}\n");
        let g = cotangent_core::text::ir::parse("vector.cot", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let is_product = |s: &&Step| matches!(s, Step::Routine(Routine { kind: RoutineKind::MatMul { .. }, .. }));
        lower(&g).unwrap().steps.iter().filter(is_product).count()
    };
    let row = ["%2: _[1,300] = mm(%0, %1)"];
    let column = ["%2: _[300,200] = permute(%0, dims=[1, 0])", "%3: _[300,1] = mm(%2, %1)"];
    for d in ["f32", "f64"] {
        assert_eq!(products("%0: _[1,200], %1: _[200,300]", d, "%2", &row), 1);
        assert_eq!(products("%0: _[200,300], %1: _[200,1]", d, "%3", &column), 1);
        let along = ["%2: _[200,300] = permute(%1, dims=[1, 0])", "%3: _[1,300] = mm(%0, %2)"];
        assert_eq!(products("%0: _[1,200], %1: _[300,200]", d, "%3", &along), 0, "side by side along the sums");
        let computed = ["%2: _[200,300] = abs(%1)", "%3: _[1,300] = mm(%0, %2)"];
        assert_eq!(products("%0: _[1,200], %1: _[200,300]", d, "%3", &computed), 0, "not in memory");
    }
    assert_eq!(products("%0: _[1,200], %1: _[200,300]", "i64", "%2", &row), 0);
    assert_eq!(products("%0: _[1,60], %1: _[60,300]", "f32", "%2", &row), 0, "small");
    // Lines that are neither short nor long, of enough matrices, with vectors that lie as they do; and large matrices of a batch.
    let many = |[b, m, k]: [usize; 3], d: &str| {
        let params = format!("%0: _[{b},{m},{k}], %1: _[{b},{k},1]");
        products(&params, d, "%2", &[&format!("%2: _[{b},{m},1] = bmm(%0, %1)")])
    };
    for d in ["f32", "f64"] {
        assert_eq!(many([90, 25, 16], d), 1);
        assert_eq!([many([90, 45, 8], d), many([20, 10, 200], d), many([9, 25, 16], d)], [0; 3]);
        let apart = ["%2: _[90,16,1] = permute(%1, dims=[0, 2, 1])", "%3: _[90,25,1] = bmm(%0, %2)"];
        assert_eq!(products("%0: _[90,25,16], %1: _[90,1,16]", d, "%3", &apart), 1);
        let across = ["%2: _[2,1,300] = bmm(%0, %1)"];
        assert_eq!(products("%0: _[2,1,200], %1: _[2,200,300]", d, "%2", &across), 1);
    }
    assert_eq!(many([90, 25, 16], "i64"), 0);
}

/// Operands of `bf16` are read as they are, those of `f16` as `f32`; sums are of `f32`.
#[test]
fn products_of_halves_are_floats() {
    for (d, operand) in [("bf16", DType::BF16), ("f16", DType::F32), ("f32", DType::F32)] {
        let text = format!(
            "graph \"halves\"(%0: {d}[20,30], %1: {d}[30,40]) {{\n  %2: {d}[20,40] = mm(%0, %1)\n  return (%2)\n}}\n"
        );
        let g = cotangent_core::text::ir::parse("halves.cot", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        check(&g, &args_of(&g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let program = lower(&g).unwrap();
        let of = |b: BufferId| program.buffers[b.0 as usize].dtype;
        let dtypes = program.steps.iter().filter_map(|s| match s {
            Step::Routine(r) => Some([of(r.inputs[0]), of(r.inputs[1]), of(r.outputs[0])]),
            Step::Nest(_) => None,
        });
        assert_eq!(dtypes.collect::<Vec<_>>(), [[operand, operand, DType::F32]], "{d}");
    }
}

/// Reads through an index that was expanded along dims right before the indexed one.
#[test]
fn an_index_that_is_the_same_for_lines_is_read_once() {
    let lines = |own: &str, expand: &str, dim: usize| {
        let sizes = expand.replace(',', ", ");
        let text = format!(
            "graph \"lines\"(%0: f32[2,3,5,2], %1: i64[{own}]) {{\n  \
             %2: i64[{expand}] = expand(%1, size=[{sizes}])\n  \
             %3: f32[{expand}] = gather(%0, %2, dim={dim})\n  return (%3)\n}}\n"
        );
        let g = cotangent_core::text::ir::parse("lines.cot", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let args = args_of(&g, 1)
            .into_iter()
            .map(|x| if x.dtype().is_float() { x } else { Array::from_f64_fn(&x.aval(), |i| (i * 7 % 5) as f64) });
        check(&g, &args.collect::<Vec<_>>()).unwrap_or_else(|e| panic!("{e}"));
        let of = |s: &Step| match s {
            Step::Routine(Routine { kind: RoutineKind::Lines { first, .. }, .. }) => Some(*first),
            Step::Routine(_) | Step::Nest(_) => None,
        };
        lower(&g).unwrap().steps.iter().filter_map(of).collect::<Vec<_>>()
    };
    // For the lines of one dim, of all before, as a plain array, and where another one was expanded, too.
    assert_eq!(lines("2,1,4,2", "2,3,4,2", 2), [1]);
    assert_eq!(lines("1,1,4,2", "2,3,4,2", 2), [0]);
    assert_eq!(lines("4,2", "2,3,4,2", 2), [0]);
    assert_eq!(lines("2,1,1,2", "2,3,4,2", 2), [1]);
    // Of what differs between lines, and of rows, there are others; and operands may have more lines than the index.
    assert!(lines("1,3,4,2", "2,3,4,2", 2).is_empty());
    assert!(lines("2,3,4,1", "2,3,4,2", 2).is_empty());
    assert!(lines("2,1,4,1", "2,3,4,2", 2).is_empty());
    assert!(lines("2,1,4,2", "2,2,4,2", 2).is_empty());
}

#[test]
fn vectors_that_nobody_reads_are_not_computed() {
    let values = |g: &Graph| {
        check(g, &args_of(g, 1)).unwrap_or_else(|e| panic!("{e}"));
        let of = |s: &Step| matches!(s, Step::Routine(Routine { kind: RoutineKind::Values { .. }, .. }));
        lower(g).unwrap().steps.iter().filter(|s| of(s)).count()
    };
    let x = f32s(&[2, 4, 4]);
    assert_eq!(values(&make_fx(|x: Tensor| x.svdvals(), (x.clone(),)).unwrap()), 1);
    let sum = |x: Tensor| x.eigvalsh(Triangle::Upper).sum();
    assert_eq!(values(&make_fx(sum, (x.clone(),)).unwrap()), 1);
    assert_eq!(values(&make_fx(|x: Tensor| x.svd()[0].abs(), (x.clone(),)).unwrap()), 0, "vectors alone");
    let both = |x: Tensor| {
        let [w, v] = x.eigh(Triangle::Lower);
        (w, v.abs())
    };
    assert_eq!(values(&make_fx(both, (x.clone(),)).unwrap()), 0);
    assert_eq!(values(&make_fx(grad(sum), (x,)).unwrap()), 0, "the derivative reads vectors");
}

/// A nest that computes a dear value at other places than its own cannot store it, nor wait for it to be stored.
#[test]
fn a_dear_value_is_stored_apart_from_where_it_is_computed_backwards() {
    let f = |x: Tensor| {
        let dear = (x.tan() + x.sin().exp()).tanh().sin();
        (dear.flip(0) * 2.0, dear.matmul(&x), dear)
    };
    let g = make_fx(f, (f32s(&[6, 6]),)).unwrap();
    check(&g, &args_of(&g, 6)).unwrap_or_else(|e| panic!("{e}"));
}
