//! Exported programs that are written: they read back as the same function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph, Signature, TreeSpec};
use cotangent_core::ops::Op;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_tests::archive::archive;
use cotangent_tests::numeric::{Rng, sample_graph};
use cotangent_tests::random_graph::{Config, random_args, random_graph};
use cotangent_torch::{InputKind, Program, Stored, TorchError, write_program};

/// A file that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Scratch(std::env::temp_dir().join(format!("cotangent-{}-{name}.pt2", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn bits(arrays: &[Array]) -> Vec<(Aval, Vec<u8>)> {
    arrays.iter().map(|a| (a.aval(), a.to_le_bytes())).collect()
}

/// Writes and reads `graph`, and compares values at `args` bit by bit.
fn reads_back(name: &str, scratch: &Scratch, graph: &Graph, args: &[Array]) {
    let Ok(expected) = eval(graph, args) else { return };
    write_program(&scratch.0, graph, &BTreeMap::new()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let program = Program::read(&scratch.0).unwrap_or_else(|e| panic!("{name}: {e}"));
    let avals = program.avals(&BTreeMap::new()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let again = program.graph(&avals).unwrap_or_else(|e| panic!("{name}: {e}"));
    let found = eval(&again, args).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(bits(&found), bits(&expected), "{name}\n{}", graph.code());
}

#[test]
fn samples_and_their_pullbacks_read_back() {
    let scratch = Scratch::new("samples");
    for s in Op::all_samples() {
        let g = sample_graph(&s);
        let name = format!("{} ({})", s.op.name(), s.note);
        reads_back(&name, &scratch, &g, &s.args);
        let wrt: Vec<usize> = (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float()).collect();
        if let Ok(pullback) = vjp(&g, &wrt) {
            let mut rng = Rng(1);
            let bars = pullback.param_avals().into_iter().skip(s.args.len()).map(|a| rng.array(&a));
            let args: Vec<Array> = s.args.iter().cloned().chain(bars).collect();
            reads_back(&format!("vjp of {name}"), &scratch, &simplify(&pullback), &args);
        }
    }
}

#[test]
fn random_graphs_read_back() {
    let scratch = Scratch::new("random");
    for seed in 0..50 {
        let g = random_graph(seed, Config { dtypes: &[DType::F64, DType::F32, DType::I64], ..Config::ALL });
        reads_back(&format!("random {seed}"), &scratch, &g, &random_args(seed, &g));
    }
}

/// `w * x + b`, with a location.
fn affine() -> Graph {
    let graph = build("affine", |t| {
        let aval = Aval::new(DType::F32, [2]);
        let (w, x, b) = (t.param(&aval), t.param(&aval), t.param(&aval));
        Ok(vec![&w * &x + &b])
    });
    let names = ["net.w", "x", "net.b"].map(str::to_owned).to_vec();
    graph.expect("a graph").with_signature(Signature { names, params: vec![TreeSpec::Leaf; 3], result: TreeSpec::Leaf })
}

#[test]
fn stored_arguments_are_parameters_and_buffers() {
    let scratch = Scratch::new("stored");
    let value = |x: f32| Arc::new(Array::new([2], vec![x, -x]));
    let stored = BTreeMap::from([
        ("net.w".to_owned(), Stored { kind: InputKind::Parameter, value: value(2.0) }),
        ("net.b".to_owned(), Stored { kind: InputKind::Buffer, value: value(0.5) }),
        // Of another shape: an argument of that name is the user's.
        ("x".to_owned(), Stored { kind: InputKind::Parameter, value: Arc::new(Array::scalar(1.0f32)) }),
    ]);
    let graph = affine();
    write_program(&scratch.0, &graph, &stored).expect("a file");
    let program = Program::read(&scratch.0).expect("a program");
    let inputs: Vec<(InputKind, &str)> = program.inputs().iter().map(|i| (i.kind, i.name.as_str())).collect();
    assert_eq!(inputs, [(InputKind::Parameter, "net.w"), (InputKind::User, "x"), (InputKind::Buffer, "net.b")]);
    assert_eq!(program.weights()["net.w"].to_f64_vec(), [2.0, -2.0]);
    assert_eq!(program.weights()["net.b"].to_f64_vec(), [0.5, -0.5]);
    let again = program.graph(&program.avals(&BTreeMap::new()).expect("shapes")).expect("a graph");
    let loc = |g: &Graph| g.loc(&g.nodes()[0]).clone();
    assert_eq!((loc(&again).file, loc(&again).line), (loc(&graph).file, loc(&graph).line));
}

#[test]
fn files_that_cannot_be_written_are_errors() {
    let nowhere = Path::new("/no/such/folder/x.pt2");
    let error = write_program(nowhere, &affine(), &BTreeMap::new()).expect_err("there is no such folder");
    assert!(matches!(error, TorchError::Write { .. }), "{error}");
}

/// `{"w": tensor([[1, 2], [3, 4]]).t()}` as protocol 2 of `torch.save` writes it.
const PICKLE: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03\
ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\x86q\x08K\x01K\x02\x86q\t\x89\
ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs.";

/// The same as a parameter, as it stands in the files of torch 2.6 and 2.7.
///
/// *Source*: `torch._export.serde.serialize.serialize`, of which `torch.export.load` still reads the parts as those versions arranged them.
const PARAMETER: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_parameter\nq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03\
((X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x01\x00\x00\x000q\x06X\x03\x00\x00\x00cpuq\x07K\x04tq\x08QK\x00K\x02K\x02\x86q\tK\x01K\x02\x86q\n\x89\
ccollections\nOrderedDict\nq\x0b)Rq\x0ctq\rRq\x0e\x88h\x0b)Rq\x0f\x87q\x10Rq\x11s.";

/// The program that adds its parameter `w` to its input, in the layout of torch 2.6 and 2.7: one program, weights as `torch.save` writes them.
fn flat_archive(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    let tensor = |name: &str| serde_json::json!({"as_tensor": {"name": name}});
    let meta = serde_json::json!({"dtype": 7, "sizes": [{"as_int": 2}, {"as_int": 2}], "requires_grad": true,
        "device": {"type": "cpu", "index": null}, "strides": [{"as_int": 1}, {"as_int": 2}], "storage_offset": {"as_int": 0}, "layout": 7});
    let model = serde_json::json!({
        "graph_module": {
            "graph": {
                "inputs": [tensor("p_w"), tensor("x")],
                "outputs": [tensor("add")],
                "nodes": [{"target": "torch.ops.aten.add.Tensor", "outputs": [tensor("add")], "metadata": {},
                    "inputs": [{"name": "self", "arg": tensor("x")}, {"name": "other", "arg": tensor("p_w")}]}],
                "tensor_values": {"p_w": meta, "x": meta, "add": meta},
            },
            "signature": {
                "input_specs": [{"parameter": {"arg": {"name": "p_w"}, "parameter_name": "w"}}, {"user_input": {"arg": tensor("x")}}],
                "output_specs": [{"user_output": {"arg": tensor("add")}}],
            },
            "module_call_graph": [],
        },
        "opset_version": {"aten": 10}, "range_constraints": {}, "schema_version": {"major": 8, "minor": 5},
    });
    let weights =
        archive(&[("archive/data.pkl", pickle), ("archive/byteorder", b"little"), ("archive/data/0", storage)]);
    archive(&[
        ("version", b"8.5"),
        ("serialized_exported_program.json", model.to_string().as_bytes()),
        ("serialized_state_dict.pt", &weights),
        ("serialized_constants.pt", b""),
        ("serialized_example_inputs.pt", b""),
    ])
}

#[test]
fn flat_archives_of_torch_2_6_are_read() {
    let storage: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let read = |pickle| Program::parse(Path::new("flat.pt2"), &flat_archive(pickle, &storage)).expect("a program");
    let program = read(PICKLE);
    let w = program.weights()["w"].clone();
    assert_eq!(w.to_f64_vec(), [1.0, 3.0, 2.0, 4.0], "a transposed view");
    assert_eq!(bits(&[read(PARAMETER).weights()["w"].as_ref().clone()]), bits(&[w.as_ref().clone()]));
    let graph = program.graph(&program.avals(&BTreeMap::new()).expect("shapes")).expect("a graph");
    let sum = eval(&graph, &[w.as_ref().clone(), Array::new([2, 2], vec![10f32, 20.0, 30.0, 40.0])]).expect("values");
    assert_eq!(sum[0].to_f64_vec(), [11.0, 23.0, 32.0, 44.0]);
}

#[test]
fn broken_flat_archives_are_errors() {
    let fails = |pickle: &[u8], storage: &[u8], part: &str| {
        let error =
            Program::parse(Path::new("flat.pt2"), &flat_archive(pickle, storage)).err().expect("an error").to_string();
        assert!(error.contains(part), "{error}");
    };
    fails(PICKLE, &[0; 12], "does not lie in its storage");
    fails(&PICKLE[..PICKLE.len() / 2], &[0; 16], "cut off");
    fails(b"\x80\x02cos\nsystem\nq\x00X\x02\x00\x00\x00lsq\x01\x85q\x02Rq\x03.", &[], "os.system");
}
