//! A graph as an exported program: an archive that `torch.export.load` and [`Program::read`](crate::Program::read) read.
//!
//! The statements are those of [`Graph::code`]; calls that PyTorch has no operator for are inlined. Arguments of which a value is stored
//! become the module's parameters and buffers, all others arguments of `forward`, in order and with their trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Attr, Aval, Graph, Loc, Scalar, TreeSpec};
use cotangent_core::ops::{Binary, Call, Op, philox_arithmetic};
use cotangent_core::tensor::emit_all;
use cotangent_core::text::fx::{Expr, Fx, Id, Stmt};
use cotangent_core::text::{Application, CodeStyle, Said, argument_name};
use cotangent_core::transform::decompose::decompose;
use cotangent_core::transform::replay::replay;
use serde_json::{Value, json};

use crate::archive::ArchiveWriter;
use crate::error::TorchError;
use crate::program::InputKind;
use crate::scalar_type;
use crate::schema::{
    self, Argument, CallSignature, GraphJson, GraphModule, InputSpec, KEYWORD, Model, ModuleCall, Named, NamedArgument,
    NodeJson, OutputSpec, POSITIONAL, Payload, PayloadEntry, SignatureJson, TensorMeta, Version,
};

/// The version of ATen's operators.
const ATEN_OPSET: u64 = 10;

/// A value that is stored with a program.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Parameter or buffer; a user's input is not stored.
    pub kind: InputKind,
    /// The value.
    pub value: Arc<Array>,
}

/// Writes `graph` as an exported program. An argument whose name is in `stored`, with a value of its dtype and shape, becomes a parameter or
/// buffer.
///
/// *Errors*: a file that cannot be written; a function that has only a reverse rule, of which no values are known.
pub fn write_program(path: &Path, graph: &Graph, stored: &BTreeMap<String, Stored>) -> Result<(), TorchError> {
    let graph = decompose(graph, is_foreign, arithmetic)?;
    let reverse_only = |op: &Op| matches!(op, Op::Call(c) if !c.has_forward() && !Application::is_operator(c));
    if let Some(n) = graph.nodes().iter().find(|n| reverse_only(&n.op)) {
        return Err(TorchError::Refused {
            target: n.op.name().to_owned(),
            node: graph.loc(n).to_string(),
            reason: "its function has a custom vjp rule and no forward derivative".to_owned(),
        });
    }
    let fx = Fx::new(&graph, CodeStyle::Today);
    let mut writer =
        Writer { fx: &fx, names: fx.names.clone(), specs: Vec::new(), inputs: Vec::new(), user: Vec::new() };
    let mut archive = ArchiveWriter::create(path)?;
    let constants = writer.constants(&mut archive)?;
    let weights = writer.placeholders(stored, &mut archive)?;
    archive.json("data/weights/model_weights_config.json", &weights)?;
    archive.json("data/constants/model_constants_config.json", &constants)?;
    archive.json("models/model.json", &writer.model())?;
    archive.finish()
}

/// Whether PyTorch has no operator for it.
fn is_foreign(op: &Op) -> bool {
    match op {
        Op::Call(c) => c.has_forward() && !Application::is_operator(c),
        op => *op == Op::Binary(Binary::Philox),
    }
}

/// What a foreign operation is in terms of others.
fn arithmetic(op: &Op, args: &[Tensor]) -> Vec<Tensor> {
    match op {
        Op::Call(Call { body, .. }) => replay(body, args),
        Op::Binary(Binary::Philox) => vec![philox_arithmetic(&args[0], &args[1])],
        op => emit_all(op.clone(), &args.iter().collect::<Vec<_>>()),
    }
}

struct Writer<'g> {
    fx: &'g Fx<'g>,
    /// The name of each value: that of the statements, or of the constant behind it.
    names: Vec<String>,
    specs: Vec<InputSpec>,
    inputs: Vec<Argument>,
    /// The user's arguments: name and tree.
    user: Vec<(String, TreeSpec)>,
}

impl Writer<'_> {
    /// Writes the constants of the graph.
    fn constants(&mut self, archive: &mut ArchiveWriter) -> Result<Payload, TorchError> {
        let mut payload = Payload::default();
        for (k, array) in self.fx.constants.iter().enumerate() {
            let (name, value) = (format!("_tensor_constant{k}"), format!("c_tensor_constant{k}"));
            let path_name = format!("tensor_{k}");
            archive.bytes(&format!("data/constants/{path_name}"), &array.to_le_bytes())?;
            payload.config.insert(name.clone(), entry(path_name, &array.aval(), false));
            self.inputs.push(Argument::Tensor(value.clone()));
            self.specs.push(InputSpec::TensorConstant { arg: Named { name: value }, tensor_constant_name: name });
        }
        for s in &self.fx.stmts {
            if let Expr::Constant(k) = s.expr {
                self.names[s.id] = format!("c_tensor_constant{k}");
            }
        }
        Ok(payload)
    }

    /// Writes the stored arguments, and says what each placeholder is.
    fn placeholders(
        &mut self,
        stored: &BTreeMap<String, Stored>,
        archive: &mut ArchiveWriter,
    ) -> Result<Payload, TorchError> {
        let mut payload = Payload::default();
        let signature = self.fx.graph.signature();
        let mut ids = 0..self.fx.placeholders;
        for (name, tree) in signature.names.iter().zip(&signature.params) {
            let leaves = python_leaves(tree);
            let ids: Vec<Id> = ids.by_ref().take(leaves).collect();
            let aval = ids.first().and_then(|id| self.aval(*id));
            if *tree == TreeSpec::Leaf
                && let Some(s) = stored.get(name).filter(|s| Some(s.value.aval()) == aval)
            {
                let path_name = format!("weight_{}", payload.config.len());
                archive.bytes(&format!("data/weights/{path_name}"), &s.value.to_le_bytes())?;
                let trained = s.kind == InputKind::Parameter && s.value.dtype().is_float();
                payload.config.insert(name.clone(), entry(path_name, &s.value.aval(), trained));
                let arg = Named { name: self.names[ids[0]].clone() };
                self.specs.push(match trained {
                    true => InputSpec::Parameter { arg, parameter_name: name.clone() },
                    false => InputSpec::Buffer { arg, buffer_name: name.clone(), persistent: true },
                });
                self.inputs.push(Argument::Tensor(self.names[ids[0]].clone()));
                continue;
            }
            self.user.push((name.clone(), tree.clone()));
            for id in ids {
                let name = self.names[id].clone();
                let (input, spec) = match self.fx.values[id] {
                    Some(_) => (Argument::Tensor(name.clone()), InputSpec::UserInput { arg: Argument::Tensor(name) }),
                    // An absent tensor.
                    None => (Argument::None, InputSpec::ConstantInput { name, value: json!({"as_none": true}) }),
                };
                self.inputs.push(input);
                self.specs.push(spec);
            }
        }
        Ok(payload)
    }

    fn aval(&self, id: Id) -> Option<Aval> {
        self.fx.values[id].map(|v| self.fx.graph.aval(v).clone())
    }

    fn argument(&self, said: &Said) -> Option<Argument> {
        Some(match said {
            Said::Nothing => return None,
            Said::Operand(id) => Argument::Tensor(self.names[*id].clone()),
            Said::Operands(ids) => {
                let names: Vec<Option<String>> = ids.iter().map(|id| id.map(|id| self.names[id].clone())).collect();
                match names.iter().cloned().collect() {
                    Some(all) => Argument::Tensors(all),
                    None => Argument::OptionalTensors(names),
                }
            }
            Said::Attr(a) => attribute(a),
        })
    }

    /// The call of an operator; `items` are the statements that take its results apart.
    fn node(&self, apply: &Application, stmt: &Stmt, items: &[&Stmt]) -> NodeJson {
        let mut inputs = Vec::new();
        let mut skipped = false;
        for (arg, said) in apply.schema.args.iter().zip(&apply.said) {
            // An argument without default has to be said.
            let said = self.argument(said).or_else(|| arg.default.is_none().then_some(Argument::None));
            match said {
                Some(value) => {
                    let kind = if arg.keyword_only || skipped { KEYWORD } else { POSITIONAL };
                    inputs.push(NamedArgument { name: arg.name.to_owned(), arg: value, kind: Some(kind) });
                }
                None => skipped = true,
            }
        }
        let outputs = match apply.schema.many {
            false => vec![self.names[stmt.id].clone()],
            true => items.iter().map(|s| self.names[s.id].clone()).collect(),
        };
        let loc = stmt.node.map(|n| self.fx.graph.loc(&self.fx.graph.nodes()[n]));
        NodeJson {
            target: format!("torch.ops.{}.{}.{}", apply.schema.namespace, apply.schema.name, apply.schema.overload),
            inputs,
            outputs: outputs.into_iter().map(Argument::Tensor).collect(),
            metadata: loc
                .and_then(stack_trace)
                .map(|t| ("stack_trace".to_owned(), Value::String(t)))
                .into_iter()
                .collect(),
            name: Some(self.names[stmt.id].clone()),
        }
    }

    fn graph(&self) -> (GraphJson, Vec<OutputSpec>) {
        let mut nodes = Vec::new();
        for (i, s) in self.fx.stmts.iter().enumerate() {
            match &s.expr {
                Expr::Apply(apply) => {
                    let items: Vec<&Stmt> = self.fx.stmts[i + 1..]
                        .iter()
                        .take_while(|t| matches!(t.expr, Expr::Item(of, _) if of == s.id))
                        .collect();
                    nodes.push(self.node(apply, s, &items));
                }
                // Constants are inputs, results stand in their node, and no call is left that is no operator.
                Expr::Constant(_) | Expr::Item(..) | Expr::Module(_) => {}
            }
        }
        let outputs: Vec<Argument> = self
            .fx
            .results
            .iter()
            .map(|r| r.map_or(Argument::None, |id| Argument::Tensor(self.names[id].clone())))
            .collect();
        let specs = outputs.iter().map(|arg| OutputSpec::UserOutput { arg: arg.clone() }).collect();
        let values = (0..self.names.len())
            .filter_map(|id| Some((self.names[id].clone(), TensorMeta::dense(&self.aval(id)?, false))));
        let graph = GraphJson {
            inputs: self.inputs.clone(),
            outputs,
            nodes,
            tensor_values: values.collect(),
            sym_int_values: BTreeMap::new(),
            sym_bool_values: BTreeMap::new(),
        };
        (graph, specs)
    }

    fn model(self) -> Model {
        let (graph, output_specs) = self.graph();
        let args: Vec<Value> = self.user.iter().map(|(_, t)| spec(t)).collect();
        let in_spec =
            node_spec("tuple", "null", vec![node_spec("tuple", "null", args), node_spec("dict", "[]", Vec::new())]);
        let signature = CallSignature {
            inputs: Vec::new(),
            outputs: Vec::new(),
            in_spec: json!([1, in_spec]).to_string(),
            out_spec: json!([1, spec(&self.fx.graph.signature().result)]).to_string(),
            forward_arg_names: Some(argument_names(&self.user)),
        };
        Model {
            graph_module: GraphModule {
                graph,
                signature: SignatureJson { input_specs: self.specs, output_specs },
                module_call_graph: vec![ModuleCall { fqn: String::new(), signature: Some(signature) }],
            },
            opset_version: BTreeMap::from([("aten".to_owned(), ATEN_OPSET)]),
            range_constraints: BTreeMap::new(),
            schema_version: Version { major: schema::MAJOR, minor: schema::MINOR },
            verifiers: vec!["ATEN".to_owned()],
            torch_version: "2.15.0".to_owned(),
        }
    }
}

/// Different names of Python's for the user's arguments.
fn argument_names(user: &[(String, TreeSpec)]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let different = |(name, _): &(String, TreeSpec)| {
        let mut name = argument_name(name);
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    user.iter().map(different).collect()
}

fn entry(path_name: String, aval: &Aval, trained: bool) -> PayloadEntry {
    PayloadEntry {
        path_name,
        is_param: trained,
        use_pickle: false,
        tensor_meta: Some(TensorMeta::dense(aval, trained)),
    }
}

/// The number of leaves of a tree as Python sees them: what is absent is one.
fn python_leaves(tree: &TreeSpec) -> usize {
    match tree {
        TreeSpec::Leaf | TreeSpec::None => 1,
        tree => tree.children().into_iter().map(python_leaves).sum(),
    }
}

fn attribute(a: &Attr) -> Argument {
    match a {
        Attr::None => Argument::None,
        Attr::Scalar(Scalar::Bool(b)) => Argument::Bool(*b),
        Attr::Scalar(Scalar::Int(i)) => Argument::Int(*i),
        Attr::Scalar(Scalar::Float(x)) => Argument::Float(*x),
        Attr::DType(d) => Argument::ScalarType(scalar_type::code(*d)),
        Attr::Str(s) => Argument::Str(s.clone()),
        Attr::List(items) => list(items),
        // Neither stands in the schema of an operator.
        Attr::Array(_) | Attr::Graph(_) => Argument::None,
    }
}

/// A list of numbers of one kind.
fn list(items: &[Attr]) -> Argument {
    let scalars: Vec<Scalar> =
        items.iter().filter_map(|a| if let Attr::Scalar(s) = a { Some(*s) } else { None }).collect();
    let bools: Option<Vec<bool>> =
        scalars.iter().map(|s| if let Scalar::Bool(b) = s { Some(*b) } else { None }).collect();
    let ints: Option<Vec<i64>> = scalars.iter().map(|s| if let Scalar::Int(i) = s { Some(*i) } else { None }).collect();
    match (ints, bools) {
        (Some(v), _) => Argument::Ints(v),
        (None, Some(v)) => Argument::Bools(v),
        (None, None) => Argument::Floats(scalars.into_iter().map(Scalar::to_f64).collect()),
    }
}

/// The location as PyTorch writes it, from which [`crate::Program`] reads it.
fn stack_trace(loc: &Loc) -> Option<String> {
    (!loc.file.is_empty()).then(|| format!("  File \"{}\", line {}, in forward\n", loc.file, loc.line))
}

/// A tree as PyTorch's `treespec_dumps` writes it; structs are dictionaries there.
fn spec(tree: &TreeSpec) -> Value {
    let keyed = |v: &[(String, TreeSpec)]| {
        let keys: Vec<&String> = v.iter().map(|(k, _)| k).collect();
        node_spec("dict", &json!(keys).to_string(), v.iter().map(|(_, t)| spec(t)).collect())
    };
    match tree {
        TreeSpec::Leaf | TreeSpec::None => json!({"type": null, "context": null, "children_spec": []}),
        TreeSpec::Tuple(v) => node_spec("tuple", "null", v.iter().map(spec).collect()),
        TreeSpec::List(v) => node_spec("list", "null", v.iter().map(spec).collect()),
        TreeSpec::Dict(v) | TreeSpec::Struct(_, v) => keyed(v),
    }
}

fn node_spec(kind: &str, context: &str, children: Vec<Value>) -> Value {
    json!({"type": format!("builtins.{kind}"), "context": context, "children_spec": children})
}
