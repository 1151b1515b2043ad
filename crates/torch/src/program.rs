//! An exported program: PyTorch's graph with its weights, as a function of tensors.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, Graph, Signature, TreeSpec};

use crate::archive::{Archive, Layout};
use crate::args::Value;
use crate::env::{Env, traced};
use crate::error::{TorchError, malformed};
use crate::export::Stored;
use crate::recompose::recomposed;
use crate::scalar_type;
use crate::schema::{self, Argument, GraphJson, InputSpec, Model, ModuleCall, OutputSpec, SignatureJson, Size};
use crate::weights::{fixed_aval, pickled_weights, raw_weights};

/// What an argument of a program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InputKind {
    /// A parameter of the module: a weight that is trained.
    Parameter,
    /// A buffer of the module.
    Buffer,
    /// An input of `forward`.
    User,
}

/// An argument of a program.
#[derive(Clone, Debug)]
pub struct Input {
    /// What it is.
    pub kind: InputKind,
    /// The name in the module (`net.0.weight`), or of the input.
    pub name: String,
    /// Its name in the graph.
    value: String,
}

/// A program that `torch.export.save` wrote.
pub struct Program {
    graph: GraphJson,
    inputs: Vec<Input>,
    constants: Vec<(String, Option<Arc<Array>>)>,
    outputs: Vec<String>,
    mutations: Vec<(String, String)>,
    weights: BTreeMap<String, Arc<Array>>,
}

impl Program {
    /// Reads the program at `path`.
    ///
    /// *Errors*: a file that cannot be read or is no exported program; a schema of another major version; weights that do not
    /// fill their shapes.
    pub fn read(path: &Path) -> Result<Self, TorchError> {
        Self::of_archive(Archive::open(path)?, path)
    }

    /// The program in the bytes of such a file, which messages call `name`.
    ///
    /// *Errors*: as [`Program::read`].
    pub fn parse(name: &Path, bytes: &[u8]) -> Result<Self, TorchError> {
        Self::of_archive(Archive::in_bytes(name, bytes)?, name)
    }

    fn of_archive(mut archive: Archive, path: &Path) -> Result<Self, TorchError> {
        let format = |message: String| TorchError::Format { path: path.to_owned(), message };
        let json = match archive.layout() {
            Layout::Archive => "models/model.json",
            Layout::Flat => "serialized_exported_program.json",
        };
        let model: Model =
            serde_json::from_slice(&archive.require(json)?).map_err(|e| format(format!("{json}: {e}")))?;
        let version = &model.schema_version;
        if version.major != schema::MAJOR {
            return Err(format(format!(
                "expected schema version {}.x (torch 2.6 to 2.15), found {}.{}",
                schema::MAJOR,
                version.major,
                version.minor
            )));
        }
        let weights = match archive.layout() {
            Layout::Archive => raw_weights(&mut archive, format)?,
            Layout::Flat => pickled_weights(&mut archive, format)?,
        };
        Self::assemble(model, weights)
    }

    fn assemble(model: Model, weights: BTreeMap<String, Arc<Array>>) -> Result<Self, TorchError> {
        let mut inputs = Vec::new();
        let mut constants = Vec::new();
        let SignatureJson { input_specs, output_specs } = model.graph_module.signature;
        for spec in input_specs {
            match spec {
                InputSpec::Parameter { arg, parameter_name: name } => {
                    inputs.push(Input { kind: InputKind::Parameter, name, value: arg.name });
                }
                InputSpec::Buffer { arg, buffer_name: name, persistent: _ } => {
                    inputs.push(Input { kind: InputKind::Buffer, name, value: arg.name });
                }
                InputSpec::UserInput { arg: Argument::Tensor(value) } => {
                    inputs.push(Input { kind: InputKind::User, name: value.clone(), value });
                }
                // Numbers, strings and absent arguments are in the program already.
                InputSpec::UserInput { arg: _ } | InputSpec::ConstantInput { .. } => {}
                InputSpec::TensorConstant { arg, tensor_constant_name: name } => {
                    let array = weights.get(&name).cloned();
                    let array = array.ok_or_else(|| malformed(format!("constant `{name}` is not in the archive")))?;
                    constants.push((arg.name, Some(array)));
                }
                InputSpec::Token { arg } => constants.push((arg.name, None)),
            }
        }
        let mut outputs = Vec::new();
        let mut mutations = Vec::new();
        for spec in output_specs {
            match spec {
                OutputSpec::UserOutput { arg: Argument::Tensor(name) } => outputs.push(name),
                // Outputs that are no tensors (None, sizes) are not part of the value.
                OutputSpec::UserOutput { arg: _ } | OutputSpec::Token { arg: _ } => {}
                // The outputs of a program with a loss and its gradients.
                OutputSpec::LossOutput { arg }
                | OutputSpec::GradientToParameter { arg, parameter_name: _ }
                | OutputSpec::GradientToUserInput { arg, user_input_name: _ } => outputs.push(arg.name),
                OutputSpec::BufferMutation { arg, buffer_name: name }
                | OutputSpec::ParameterMutation { arg, parameter_name: name }
                | OutputSpec::UserInputMutation { arg, user_input_name: name } => mutations.push((name, arg.name)),
            }
        }
        rename(&mut inputs, &model.graph_module.module_call_graph);
        Ok(Program { graph: model.graph_module.graph, inputs, constants, outputs, mutations, weights })
    }

    /// The arguments: parameters, buffers and user inputs, in the order of the program's signature.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The stored parameters, buffers and constants, by name.
    pub fn weights(&self) -> &BTreeMap<String, Arc<Array>> {
        &self.weights
    }

    /// The stored values of the arguments, by name.
    pub fn stored(&self) -> BTreeMap<String, Stored> {
        let value =
            |i: &Input| Some((i.name.clone(), Stored { kind: i.kind, value: self.weights.get(&i.name)?.clone() }));
        self.inputs.iter().filter(|i| i.kind != InputKind::User).filter_map(value).collect()
    }

    /// The dtypes and shapes of the arguments. A symbolic size is that of `sizes`, or of the example that the program was
    /// exported with.
    ///
    /// *Errors*: a symbolic size of which neither is known.
    pub fn avals(&self, sizes: &BTreeMap<String, i64>) -> Result<Vec<Aval>, TorchError> {
        let one = |input: &Input| {
            let meta = self.graph.tensor_values.get(&input.value);
            let meta = meta.ok_or_else(|| malformed(format!("input `{}` has no shape", input.name)))?;
            let size = |s: &Size| match s {
                Size::Int(i) => Ok(*i),
                Size::Name(n, example) => sizes
                    .get(n)
                    .copied()
                    .or(*example)
                    .ok_or_else(|| malformed(format!("input `{}`: the size `{n}` is not known", input.name))),
            };
            let dims: Vec<i64> = meta.sizes.iter().map(size).collect::<Result<_, _>>()?;
            fixed_aval(meta.dtype, &dims).map_err(|e| malformed(format!("input `{}`: {e}", input.name)))
        };
        self.inputs.iter().map(one).collect()
    }

    /// The buffers, parameters and inputs that the program updates, in order.
    pub fn mutated(&self) -> impl Iterator<Item = &str> {
        self.mutations.iter().map(|(name, _)| name.as_str())
    }

    /// The number of user outputs.
    pub fn num_outputs(&self) -> usize {
        self.outputs.len()
    }

    /// The program as a graph for arguments of `avals`: the user outputs, then the new values of the updated buffers.
    ///
    /// *Errors*: an operator that is not supported, with its name; arguments that do not fit the program's shapes.
    pub fn graph(&self, avals: &[Aval]) -> Result<Graph, TorchError> {
        let graph = recomposed(&traced("forward", avals, |args| self.call(args))?)?;
        let results = graph.results().len();
        let signature = Signature {
            names: self.inputs.iter().map(|i| i.name.clone()).collect(),
            params: vec![TreeSpec::Leaf; self.inputs.len()],
            result: TreeSpec::Tuple(vec![TreeSpec::Leaf; results]),
        };
        Ok(graph.with_signature(signature))
    }

    /// Applies the program: the user outputs, then the new values of the updated buffers.
    ///
    /// *Errors*: as [`Program::graph`].
    pub fn call(&self, args: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
        if args.len() != self.inputs.len() {
            return Err(malformed(format!("expected {} arguments, found {}", self.inputs.len(), args.len())));
        }
        let mut env = Env::default();
        for (input, arg) in self.inputs.iter().zip(args) {
            env.bind_sizes(self.graph.tensor_values.get(&input.value), arg.shape(), &input.name)?;
            env.bind(&input.value, Value::Tensor(arg.clone()));
        }
        for (name, array) in &self.constants {
            let value = array.as_ref().map_or(Value::None, |a| Value::Tensor(Tensor::from_shared(a.clone())));
            env.bind(name, value);
        }
        env.run(&self.graph, 0)?;
        let names = self.outputs.iter().chain(self.mutations.iter().map(|(_, n)| n));
        // Numbers that were made in a wider dtype are no result.
        for name in names.clone() {
            if let Some(meta) = self.graph.tensor_values.get(name)
                && scalar_type::dtype(meta.dtype).is_none()
            {
                return Err(malformed(format!("output `{name}`: {}", scalar_type::unsupported(meta.dtype))));
            }
        }
        env.results(names.map(String::as_str))
    }
}

/// Gives the user's inputs the names of the arguments of `forward`, where each argument is one tensor.
fn rename(inputs: &mut [Input], calls: &[ModuleCall]) {
    let signature = calls.iter().find(|c| c.fqn.is_empty()).and_then(|c| c.signature.as_ref());
    let Some(names) = signature.and_then(|s| s.forward_arg_names.as_ref()) else { return };
    let users: Vec<&mut Input> = inputs.iter_mut().filter(|i| i.kind == InputKind::User).collect();
    if users.len() == names.len() {
        for (input, name) in users.into_iter().zip(names) {
            input.name.clone_from(name);
        }
    }
}
