//! Operators of exported programs that the corpus does not hold: graphs inside graphs, chunks, numbers that stay NaN.

use std::collections::BTreeMap;
use std::path::Path;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::simplify::{Options, simplify, simplify_with};
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::jvp::jvp;
use cotangent_tests::archive::archive;
use cotangent_torch::{Program, TorchError};
use serde_json::{Value, json};

fn tensor(name: &str) -> Value {
    json!({"as_tensor": {"name": name}})
}

fn node(target: &str, inputs: &[(&str, Value)], output: &str) -> Value {
    let inputs: Vec<Value> = inputs.iter().map(|(name, arg)| json!({"name": name, "arg": arg})).collect();
    json!({"target": format!("torch.ops.{target}"), "inputs": inputs, "outputs": [tensor(output)], "metadata": {}})
}

/// The numbers of dtypes in PyTorch's files.
const F16: u8 = 6;
const F32: u8 = 7;

const U16: u8 = 28;

/// A program of `f32` arguments whose last node is its result.
fn program(inputs: &[(&str, &[usize])], nodes: &[Value]) -> Result<Program, TorchError> {
    program_of(F32, inputs, nodes)
}

/// A program of arguments of one dtype whose last node is its result.
fn program_of(dtype: u8, inputs: &[(&str, &[usize])], nodes: &[Value]) -> Result<Program, TorchError> {
    let meta = |shape: &[usize]| {
        let ints = |v: Vec<usize>| v.into_iter().map(|n| json!({"as_int": n})).collect::<Vec<_>>();
        let strides = (0..shape.len()).map(|d| shape[d + 1..].iter().product()).collect();
        json!({"dtype": dtype, "sizes": ints(shape.to_vec()), "requires_grad": false, "device": {"type": "cpu", "index": null},
            "strides": ints(strides), "storage_offset": {"as_int": 0}, "layout": 7})
    };
    let output = nodes.last().expect("a node")["outputs"][0].clone();
    let names: Vec<Value> = inputs.iter().map(|(n, _)| tensor(n)).collect();
    let values: BTreeMap<&str, Value> = inputs.iter().map(|(n, shape)| (*n, meta(shape))).collect();
    let specs: Vec<Value> = names.iter().map(|n| json!({"user_input": {"arg": n}})).collect();
    let model = json!({
        "graph_module": {
            "graph": {"inputs": names, "outputs": [output], "nodes": nodes, "tensor_values": values},
            "signature": {"input_specs": specs, "output_specs": [{"user_output": {"arg": output}}]},
            "module_call_graph": [],
        },
        "opset_version": {"aten": 10}, "range_constraints": {}, "schema_version": {"major": 8, "minor": 8},
    });
    let entries = [("version", &b"8.8"[..]), ("serialized_exported_program.json", &model.to_string().into_bytes())];
    Program::parse(Path::new("calls.pt2"), &archive(&entries))
}

fn graph(program: &Program) -> Result<Graph, TorchError> {
    program.graph(&program.avals(&BTreeMap::new())?)
}

fn values(g: &Graph, args: &[Array]) -> Vec<f64> {
    eval(g, args).expect("values")[0].to_f64_vec()
}

fn array(shape: &[usize], values: &[f32]) -> Array {
    Array::new(shape, values.to_vec())
}

#[test]
fn nan_times_zero_stays_nan() {
    let zero = json!({"as_float": 0.0});
    let nodes = [
        node("aten.mul.Tensor", &[("self", tensor("x")), ("other", zero)], "mul"),
        node("aten.sub.Tensor", &[("self", tensor("mul")), ("other", tensor("mul"))], "sub"),
    ];
    let g = graph(&program(&[("x", &[3])], &nodes).unwrap()).unwrap();
    let x = [array(&[3], &[f32::NAN, f32::INFINITY, 1.0])];
    let exact = values(&simplify_with(&g, Options::exact()).0, &x);
    assert!(exact[0].is_nan() && exact[1].is_nan() && exact[2] == 0.0, "{exact:?}");
    // The other classes may take it for the zero that it is of finite numbers.
    assert_eq!(values(&simplify(&g), &x), [0.0; 3]);
}

/// Values of `torch.ops.aten._chunk_cat`, PyTorch 2.15.
#[test]
fn chunks_stand_side_by_side() {
    let call = |dim: i64| {
        let tensors = json!({"as_tensors": [{"name": "x"}, {"name": "y"}]});
        let inputs = [("tensors", tensors), ("dim", json!({"as_int": dim})), ("num_chunks", json!({"as_int": 2}))];
        node("aten._chunk_cat.default", &inputs, "cat")
    };
    let g = graph(&program(&[("x", &[3]), ("y", &[5])], &[call(0)]).unwrap()).unwrap();
    let args = [array(&[3], &[1.0, 2.0, 3.0]), array(&[5], &[10.0, 11.0, 12.0, 13.0, 14.0])];
    assert_eq!(g.result_avals()[0].shape.sizes().as_slice(), [2, 5]);
    assert_eq!(values(&g, &args), [1.0, 2.0, 10.0, 11.0, 12.0, 3.0, 0.0, 13.0, 14.0, 0.0]);

    let g = graph(&program(&[("x", &[2, 3]), ("y", &[2, 1])], &[call(1)]).unwrap()).unwrap();
    let args = [array(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), array(&[2, 1], &[10.0, 11.0])];
    assert_eq!(g.result_avals()[0].shape.sizes().as_slice(), [2, 2, 3]);
    assert_eq!(values(&g, &args), [1.0, 2.0, 10.0, 3.0, 0.0, 0.0, 4.0, 5.0, 11.0, 6.0, 0.0, 0.0]);

    let from_the_end = graph(&program(&[("x", &[2, 3]), ("y", &[2, 1])], &[call(-1)]).unwrap()).unwrap();
    assert_eq!(values(&from_the_end, &args), values(&g, &args));

    for dim in [1, -2] {
        let error = graph(&program(&[("x", &[3]), ("y", &[5])], &[call(dim)]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("dim"), "{error}");
    }
}

/// No difference of `x` is `x`, whatever stands before it: `torch.diff(x, n=0, prepend=y)`, PyTorch 2.15.
#[test]
fn no_difference_has_the_size_of_its_operand() {
    let diff = |n: i64| {
        let inputs = [("self", tensor("x")), ("n", json!({"as_int": n})), ("prepend", tensor("y"))];
        graph(&program(&[("x", &[3]), ("y", &[1])], &[node("aten.diff.default", &inputs, "diff")]).unwrap()).unwrap()
    };
    let args = [array(&[3], &[1.0, 4.0, 9.0]), array(&[1], &[0.5])];
    assert_eq!(values(&diff(0), &args), [1.0, 4.0, 9.0]);
    assert_eq!(values(&diff(1), &args), [0.5, 3.0, 5.0]);
}

#[test]
fn sizes_that_depend_on_data_are_refused() {
    let refused = |nodes: &[Value], reason: &str| {
        let error = graph(&program(&[("x", &[1]), ("y", &[3])], nodes).unwrap()).unwrap_err();
        assert!(matches!(error, TorchError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    refused(&[node("aten.nonzero.default", &[("self", tensor("y"))], "places")], "depends on data");
    let number = json!({"as_sym_int": {"as_name": "k"}});
    let mut item = node("aten.item.default", &[("self", tensor("x"))], "k");
    item["outputs"] = json!([number]);
    let inputs =
        [("self", tensor("y")), ("dim", json!({"as_int": 0})), ("start", json!({"as_int": 0})), ("end", number)];
    refused(&[item, node("aten.slice.Tensor", &inputs, "part")], "`end` depends on data");
}

/// What `make_fx` of a derivative leaves in a program: zeros of PyTorch's own kinds, and numbers in the place of tensors.
#[test]
fn traced_derivatives_are_read() {
    let ints = |v: &[i64]| json!({"as_ints": v});
    let nodes = [
        node("aten._efficientzerotensor.default", &[("size", ints(&[2]))], "zeros"),
        node(
            "aten._new_zeros_with_same_feature_meta.default",
            &[("self", tensor("x")), ("other", tensor("zeros")), ("self_num_batch_dims", json!({"as_int": 1}))],
            "batch",
        ),
        node("aten._to_copy.default", &[("self", json!({"as_float": 0.5}))], "half"),
        node("aten.add.Tensor", &[("self", tensor("batch")), ("other", tensor("half"))], "sum"),
    ];
    let g = graph(&program(&[("x", &[3])], &nodes).unwrap()).unwrap();
    assert_eq!(g.result_avals()[0].shape.sizes().as_slice(), [3, 2]);
    assert_eq!(values(&g, &[array(&[3], &[1.0; 3])]), [0.5; 6]);

    let more = [("self", tensor("x")), ("other", tensor("x")), ("self_num_batch_dims", json!({"as_int": 2}))];
    let wrong = node("aten._new_zeros_with_same_feature_meta.default", &more, "batch");
    let error = graph(&program(&[("x", &[3])], &[wrong]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("self_num_batch_dims"), "{error}");
}

/// PyTorch's derivatives of `native_layer_norm` are those of its first result alone.
#[test]
fn statistics_of_layer_norm_have_no_derivative() {
    let inputs = [
        ("input", tensor("x")),
        ("normalized_shape", json!({"as_ints": [3]})),
        ("weight", json!({"as_none": true})),
        ("bias", json!({"as_none": true})),
        ("eps", json!({"as_float": 0.5})),
    ];
    let mut call = node("aten.native_layer_norm.default", &inputs, "y");
    call["outputs"] = json!([tensor("y"), tensor("mean"), tensor("rstd")]);
    let sum = [tensor("mean"), tensor("rstd")].map(|t| ("self", t));
    let [mean, rstd] = sum;
    let both = node("aten.add.Tensor", &[mean, ("other", rstd.1)], "z");
    let g = graph(&program(&[("x", &[2, 3])], &[call, both]).unwrap()).unwrap();
    let x = array(&[2, 3], &[1.0, 2.0, 4.0, 0.5, 0.0, 3.0]);
    let y_bar = array(&[2, 1], &[1.0, 2.0]);
    let x_bar = eval(&vjp(&g, &[0]).unwrap(), &[x, y_bar]).unwrap().pop().unwrap();
    assert_eq!(x_bar.to_f64_vec(), [0.0; 6]);
}

/// `F.embedding` with `max_norm` scales rows of the detached weights in place: derivatives pass as if it had not.
#[test]
fn rescaled_rows_have_the_derivative_of_what_stood_there() {
    let at = node("aten.arange.default", &[("end", json!({"as_int": 2}))], "at");
    let detached = node("aten.detach.default", &[("self", tensor("x"))], "d");
    let inputs = [
        ("self", tensor("d")),
        ("indices", tensor("at")),
        ("max_norm", json!({"as_float": 1.0})),
        ("norm_type", json!({"as_float": 2.0})),
    ];
    let scaled = node("aten.embedding_renorm.default", &inputs, "r");
    let g = graph(&program(&[("x", &[3, 2])], &[at, detached, scaled]).unwrap()).unwrap();
    let (x, y_bar) = (array(&[3, 2], &[3.0, 4.0, 0.0, 0.5, 6.0, 8.0]), array(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let [y, x_bar] = <[Array; 2]>::try_from(eval(&vjp(&g, &[0]).unwrap(), &[x, y_bar.clone()]).unwrap()).unwrap();
    let expected = [0.6, 0.8, 0.0, 0.5, 6.0, 8.0];
    assert!(y.to_f64_vec().iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-6), "{y}");
    assert_eq!(x_bar, y_bar);
}

/// Rounded before it is added to, the product would leave 3072 · 2⁻¹⁸; the exact sum is 3081 · 2⁻¹⁸.
#[test]
fn a_product_that_is_added_to_is_rounded_once() {
    let a = Array::from_f64_fn(&Aval::new(DType::F16, [1]), |_| 1.0 + 3.0 * 2f64.powi(-9));
    let less = |shape: &[usize]| Array::from_f64_fn(&Aval::new(DType::F16, shape), |_| -1.0);
    let inputs = [("self", tensor("x")), ("vec1", tensor("a")), ("vec2", tensor("a"))];
    let addr = node("aten.addr.default", &inputs, "addr");
    let g = graph(&program_of(F16, &[("x", &[1, 1]), ("a", &[1])], &[addr]).unwrap()).unwrap();
    assert_eq!(values(&g, &[less(&[1, 1]), a.clone()]), [3080.0 * 2f64.powi(-18)]);

    let inputs = [("self", tensor("x")), ("batch1", tensor("a")), ("batch2", tensor("a"))];
    let addbmm = node("aten.addbmm.default", &inputs, "addbmm");
    let g = graph(&program_of(F16, &[("x", &[1, 1]), ("a", &[1, 1, 1])], &[addbmm]).unwrap()).unwrap();
    let a = Array::from_f64_fn(&Aval::new(DType::F16, [1, 1, 1]), |_| 1.0 + 3.0 * 2f64.powi(-9));
    assert_eq!(values(&g, &[less(&[1, 1]), a]), [3080.0 * 2f64.powi(-18)]);
}

/// `y = wrapped(x * x) + x` under a higher-order operator with these options before its graph.
fn wrapped(target: &str, options: &[(&str, Value)]) -> Result<Graph, TorchError> {
    let inner = json!({"inputs": [tensor("a")], "outputs": [tensor("square")], "tensor_values": {},
        "nodes": [node("aten.mul.Tensor", &[("self", tensor("a")), ("other", tensor("a"))], "square")]});
    let mut inputs = options.to_vec();
    inputs.push(("graph", json!({"as_graph": {"name": "inner", "graph": inner}})));
    inputs.push(("operand", tensor("x")));
    let nodes = [
        node(&format!("higher_order.{target}"), &inputs, "w"),
        node("aten.add.Tensor", &[("self", tensor("w")), ("other", tensor("x"))], "y"),
    ];
    graph(&program(&[("x", &[2])], &nodes)?)
}

#[test]
fn higher_order_wrappers_are_their_graphs() {
    let bool = |b: bool| json!({"as_bool": b});
    let x = array(&[2], &[3.0, -1.0]);
    let autocast = |enabled: bool| {
        [("device_type", json!({"as_string": "cpu"})), ("dtype", json!({"as_none": true})), ("enabled", bool(enabled))]
    };
    let cases = [
        ("invoke_subgraph", vec![], [7.0, -1.0]),
        ("tag_activation_checkpoint", vec![], [7.0, -1.0]),
        ("wrap_with_autocast", autocast(false).to_vec(), [7.0, -1.0]),
        ("wrap_with_set_grad_enabled", vec![("enabled", bool(true))], [7.0, -1.0]),
        // No derivative passes where gradients are switched off.
        ("wrap_with_set_grad_enabled", vec![("enabled", bool(false))], [1.0, 1.0]),
    ];
    for (target, options, slope) in cases {
        let g = wrapped(target, &options).unwrap_or_else(|e| panic!("{target}: {e}"));
        assert_eq!(values(&g, std::slice::from_ref(&x)), [12.0, 0.0], "{target}");
        let pullback = vjp(&g, &[0]).unwrap();
        let derivative = eval(&pullback, &[x.clone(), array(&[2], &[1.0, 1.0])]).unwrap()[1].to_f64_vec();
        assert_eq!(derivative, slope, "{target}");
    }
    let error = wrapped("wrap_with_autocast", &autocast(true)).unwrap_err().to_string();
    assert!(error.contains("run_decompositions"), "{error}");
    let error = wrapped("invoke_subgraph", &[("more", tensor("x"))]).unwrap_err().to_string();
    assert!(error.contains("1 inputs stands beside 2 operands"), "{error}");
}

/// A graph of these inputs and one node.
fn body(inputs: &[&str], target: &str, args: &[(&str, Value)]) -> Value {
    let inputs: Vec<Value> = inputs.iter().map(|n| tensor(n)).collect();
    let graph =
        json!({"inputs": inputs, "outputs": [tensor("r")], "tensor_values": {}, "nodes": [node(target, args, "r")]});
    json!({"as_graph": {"name": "body", "graph": graph}})
}

/// What `operator` with these arguments comes to on one tensor `x` of this shape.
fn higher_order(operator: &str, shape: &[usize], args: &[Value]) -> Result<Graph, TorchError> {
    let args: Vec<(&str, Value)> = args.iter().map(|a| ("", a.clone())).collect();
    graph(&program(&[("x", shape)], &[node(&format!("higher_order.{operator}"), &args, "y")])?)
}

fn tensors(names: &[&str]) -> Value {
    let names: Vec<Value> = names.iter().map(|n| json!({"name": n})).collect();
    json!({"as_tensors": names})
}

#[test]
fn a_check_inside_a_branch_counts_where_the_branch_is_taken() {
    let positive =
        [("self", tensor("a")), ("assert_msg", json!({"as_string": "a is positive"})), ("dep_token", tensor("a"))];
    let checked = body(&["a"], "aten._functional_assert_async.msg", &positive);
    let plain = body(&["a"], "aten.neg.default", &[("self", tensor("a"))]);
    let g = higher_order("cond", &[], &[tensor("x"), checked, plain, tensors(&["x"])]).unwrap();
    for (x, expected) in [(2.0, 2.0), (0.0, 0.0), (-1.0, -1.0)] {
        assert_eq!(values(&g, &[array(&[], &[x])]), [expected], "{x}");
    }
    let assertion = [("self", tensor("a")), ("assert_msg", json!({"as_string": "a is not zero"}))];
    let mut failing = body(&["a"], "aten._assert_async.msg", &assertion);
    failing["as_graph"]["graph"]["outputs"] = json!([tensor("a")]);
    let same = body(&["a"], "aten.neg.default", &[("self", tensor("a"))]);
    let taken = |first: bool| {
        let (a, b) = if first { (failing.clone(), same.clone()) } else { (same.clone(), failing.clone()) };
        higher_order("cond", &[], &[tensor("x"), a, b, tensors(&["x"])]).unwrap()
    };
    let zero = array(&[], &[0.0]);
    assert_eq!(values(&taken(true), std::slice::from_ref(&zero)), [0.0], "the failing branch is not taken");
    let error = eval(&taken(false), &[zero]).unwrap_err().to_string();
    assert!(error.contains("a is not zero"), "{error}");
}

#[test]
fn loops_whose_length_is_not_known_are_refused() {
    let positive = body(&["a"], "aten.gt.Scalar", &[("self", tensor("a")), ("other", json!({"as_int": 0}))]);
    let halved = body(&["a"], "aten.div.Scalar", &[("self", tensor("a")), ("other", json!({"as_int": 2}))]);
    let error = higher_order("while_loop", &[], &[positive, halved, tensors(&["x"]), tensors(&[])]).unwrap_err();
    assert!(error.to_string().contains("the number of its steps depends on data"), "{error}");
    let sum = body(&["a", "b"], "aten.add.Tensor", &[("self", tensor("a")), ("other", tensor("b"))]);
    let error = higher_order("associative_scan", &[65537], &[sum, tensors(&["x"])]).unwrap_err().to_string();
    assert!(error.contains("at most 65536 steps of loops, found 65537"), "{error}");
}

#[test]
fn inconsistent_control_flow_is_an_error() {
    let neg = || body(&["a"], "aten.neg.default", &[("self", tensor("a"))]);
    let two = || body(&["a", "b"], "aten.add.Tensor", &[("self", tensor("a")), ("other", tensor("b"))]);
    let cases = [
        ("cond", vec![tensor("x"), neg(), tensors(&["x"])], "expected 2 graphs"),
        ("cond", vec![json!({"as_none": true}), neg(), neg(), tensors(&["x"])], "no truth value"),
        ("map_impl", vec![neg(), tensors(&[]), tensors(&["x"])], "one leading dim"),
        ("scan", vec![two(), tensors(&["x"]), tensors(&["x"]), tensors(&[]), tensors(&["x"])], "expected 3 lists"),
        ("scan", vec![two(), tensors(&["x", "x"]), tensors(&["x"])], "2 inputs stands beside 3"),
        ("associative_scan", vec![neg(), tensors(&["x"])], "1 inputs stands beside 2"),
    ];
    for (operator, args, expected) in cases {
        let error = higher_order(operator, &[3], &args).unwrap_err().to_string();
        assert!(error.contains(expected), "{operator}: expected `{expected}`, found `{error}`");
    }
    // A batch of examples that does not end.
    let begin = json!({"target": "torch._functorch.predispatch._vmap_increment_nesting",
        "inputs": [{"name": "", "arg": {"as_int": 3}}], "outputs": [{"as_none": true}], "metadata": {}});
    let last = node("aten.neg.default", &[("self", tensor("x"))], "y");
    let error = graph(&program(&[("x", &[3])], &[begin, last]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("does not end"), "{error}");
}

/// The rows of an identity matrix of more than 256 are numbered in `uint16`, of which no tensor here is.
#[test]
fn unsigned_numbers_are_made_in_a_dtype_that_holds_them() {
    let dtype = json!({"as_scalar_type": U16});
    let bounds = [("start", json!({"as_int": 0})), ("end", json!({"as_int": 300}))];
    let numbers =
        |name: &str| node("aten.arange.start_step", &[&bounds[..], &[("dtype", dtype.clone())]].concat(), name);
    let column = node("aten.unsqueeze.default", &[("self", tensor("i")), ("dim", json!({"as_int": -1}))], "column");
    let eq = node("aten.eq.Tensor", &[("self", tensor("column")), ("other", tensor("j"))], "eq");
    let eye =
        node("aten._to_copy.default", &[("self", tensor("eq")), ("dtype", json!({"as_scalar_type": F32}))], "eye");
    let mm = node("aten.mm.default", &[("self", tensor("x")), ("mat2", tensor("eye"))], "mm");
    let g = graph(&program(&[("x", &[1, 300])], &[numbers("i"), column, numbers("j"), eq, eye, mm]).unwrap()).unwrap();
    let x: Vec<f32> = (0..300).map(|i| i as f32).collect();
    assert!(values(&g, &[array(&[1, 300], &x)]).iter().zip(&x).all(|(y, x)| *y == f64::from(*x)));
    let cast = node("aten._to_copy.default", &[("self", tensor("x")), ("dtype", dtype)], "cast");
    let e = graph(&program(&[("x", &[3])], &[cast]).unwrap()).unwrap_err();
    assert!(matches!(&e, TorchError::Refused { target, .. } if target == "aten._to_copy.default"), "{e}");
    assert!(e.to_string().contains("uint16"), "{e}");
    let e = program_of(U16, &[("x", &[3])], &[node("aten.neg.default", &[("self", tensor("x"))], "neg")]);
    let e = graph(&e.unwrap()).unwrap_err();
    assert!(e.to_string().contains("uint16"), "{e}");
}

/// PyTorch's losses of classes have no derivative by the weights of classes.
#[test]
fn weights_of_classes_have_no_derivative() {
    let target = node(
        "aten.full.default",
        &[
            ("size", json!({"as_ints": [2]})),
            ("fill_value", json!({"as_int": 1})),
            ("dtype", json!({"as_scalar_type": 5})),
        ],
        "target",
    );
    let args = [("self", tensor("x")), ("target", tensor("target")), ("weight", tensor("w"))];
    for operator in ["aten.nll_loss_nd.default", "aten.cross_entropy_loss.default"] {
        let nodes = [target.clone(), node(operator, &args, "loss")];
        let g = graph(&program(&[("x", &[2, 3]), ("w", &[3])], &nodes).unwrap()).unwrap();
        let g = jvp(&g, &[1]).expect("forward mode");
        let (x, w) = (array(&[2, 3], &[0.5, -1.0, 2.0, 0.25, 1.0, -0.5]), array(&[3], &[0.5, 2.0, 1.0]));
        let tangent = &eval(&g, &[x, w.clone(), w]).expect("values")[1];
        assert_eq!(tangent.to_f64_vec(), [0.0], "{operator}");
    }
}

#[test]
fn two_numbers_meet_as_tensors_of_rank_0() {
    let float = |v: f64| json!({"as_float": v});
    let args = [("self", float(-8.5)), ("other", float(-1.765625)), ("rounding_mode", json!({"as_string": "floor"}))];
    let g = graph(&program(&[], &[node("aten.div.Tensor_mode", &args, "y")]).unwrap()).unwrap();
    assert_eq!(values(&g, &[]), [4.0]);
}
