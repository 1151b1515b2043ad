//! An exported program: PyTorch's graph with its weights, as a function of tensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, Dim, Graph, Loc, Shape, Signature, TreeSpec};
use cotangent_core::tensor::trace::at;
use cotangent_core::transform::build;
use cotangent_core::{Error, Tensor};

use crate::archive::{Archive, Layout};
use crate::args::{Arg, Call, Value};
use crate::error::TorchError;
use crate::export::Stored;
use crate::mutation::{self, PLACES, Sharing, View};
use crate::schema::{
    self, Argument, GraphJson, InputSpec, Model, ModuleCall, NodeJson, OutputSpec, Payload, SignatureJson, Size,
    TensorMeta,
};
use crate::strided::{is_dense, strided};
use crate::{overloads, pickle};

/// How deep sub-graphs may nest.
const MAX_DEPTH: usize = 16;

/// The most bytes by which weights may be larger than twice their file, for names that share an entry.
const MAX_SHARED: u64 = 1 << 30;

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

fn malformed(message: impl Into<String>) -> TorchError {
    TorchError::Program { message: message.into() }
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
        let mut failure = None;
        let built = build("forward", |t| {
            let args: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
            match self.call(&args) {
                Ok(results) => Ok(results),
                Err(e) => {
                    let message = e.to_string();
                    failure = Some(e);
                    Err(Error::user(message))
                }
            }
        });
        if let Some(e) = failure {
            return Err(e);
        }
        let graph = built?;
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
            env.values.insert(input.value.clone(), Value::Tensor(arg.clone()));
        }
        for (name, array) in &self.constants {
            let value = array.as_ref().map_or(Value::None, |a| Value::Tensor(Tensor::from_shared(a.clone())));
            env.values.insert(name.clone(), value);
        }
        env.run(&self.graph, 0)?;
        let names = self.outputs.iter().chain(self.mutations.iter().map(|(_, n)| n));
        // A check has no value that others could use: the results carry it.
        let checked =
            |t: Tensor| env.checks.iter().fold(t, |t, (condition, message)| t.assert_that(condition, message));
        names.map(|n| env.tensor(n).map(checked)).collect()
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

/// The weights and constants of an archive of models: an entry for each.
fn raw_weights(
    archive: &mut Archive,
    format: impl Fn(String) -> TorchError,
) -> Result<BTreeMap<String, Arc<Array>>, TorchError> {
    let mut weights = BTreeMap::new();
    // Names may share an entry; each has an array of its own.
    let mut room = archive.length().saturating_mul(2).saturating_add(MAX_SHARED);
    for (folder, config) in
        [("data/weights", "model_weights_config.json"), ("data/constants", "model_constants_config.json")]
    {
        let Some(bytes) = archive.read(&format!("{folder}/{config}"))? else { continue };
        let payload: Payload = serde_json::from_slice(&bytes).map_err(|e| format(format!("{config}: {e}")))?;
        for (name, entry) in payload.config {
            let Some(meta) = entry.tensor_meta.filter(|_| !entry.use_pickle) else { continue };
            let fail = |m: String| format(format!("weight `{name}`: {m}"));
            let path = format!("{folder}/{}", entry.path_name);
            let layout = StridedLayout::of(&meta).map_err(&fail)?;
            let array = match archive.size(&path)? {
                Some(size) if layout.fills(size) => {
                    Array::from_le_fill(&layout.aval, |room| archive.fill(&path, room))?
                }
                Some(_) | None => layout.array(&archive.require(&path)?).map_err(&fail)?,
            };
            let size = (array.numel() * array.dtype().size_bytes()) as u64;
            room =
                room.checked_sub(size).ok_or_else(|| fail("the weights are much larger than the file".to_owned()))?;
            weights.insert(name, Arc::new(array));
        }
    }
    Ok(weights)
}

/// The weights and constants of a flat archive: dictionaries that `torch.save` wrote.
fn pickled_weights(
    archive: &mut Archive,
    format: impl Fn(String) -> TorchError,
) -> Result<BTreeMap<String, Arc<Array>>, TorchError> {
    let mut weights = BTreeMap::new();
    for entry in ["serialized_state_dict.pt", "serialized_constants.pt"] {
        if let Some(bytes) = archive.read(entry)?.filter(|b| !b.is_empty()) {
            let tensors = pickle::tensors(&bytes).map_err(|m| format(format!("{entry}: {m}")))?;
            weights.extend(tensors.into_iter().map(|(n, a)| (n, Arc::new(a))));
        }
    }
    Ok(weights)
}

fn fixed_aval(dtype: i64, sizes: &[i64]) -> Result<Aval, String> {
    let dtype = schema::dtype(dtype).ok_or_else(|| format!("unsupported scalar type {dtype}"))?;
    let dim = |i: &i64| usize::try_from(*i).map(Dim::new).map_err(|_| format!("negative size {i}"));
    let shape: Shape = sizes.iter().map(dim).collect::<Result<Vec<Dim>, _>>()?.into_iter().collect();
    Ok(Aval::new(dtype, shape))
}

/// How a weight lies in its entry.
struct StridedLayout {
    aval: Aval,
    strides: Vec<i64>,
    offset: i64,
}

impl StridedLayout {
    fn of(meta: &TensorMeta) -> Result<Self, String> {
        let fixed = |s: &Size| match s {
            Size::Int(i) => Ok(*i),
            Size::Name(n, _) => Err(format!("expected a fixed size, found `{n}`")),
        };
        let sizes: Vec<i64> = meta.sizes.iter().map(fixed).collect::<Result<_, _>>()?;
        let strides: Vec<i64> = meta.strides.iter().map(fixed).collect::<Result<_, _>>()?;
        let offset = meta.storage_offset.as_ref().map_or(Ok(0), fixed)?;
        Ok(StridedLayout { aval: fixed_aval(meta.dtype, &sizes)?, strides, offset })
    }

    /// Whether the elements are the whole entry of `size` bytes, in order.
    fn fills(&self, size: usize) -> bool {
        let bytes = self.aval.shape.checked_numel().and_then(|n| n.checked_mul(self.aval.dtype.size_bytes()));
        self.offset == 0 && bytes == Some(size) && is_dense(&self.aval, &self.strides)
    }

    fn array(&self, bytes: &[u8]) -> Result<Array, String> {
        let StridedLayout { aval, strides, offset } = self;
        strided(aval, bytes, strides, *offset)
            .ok_or_else(|| format!("{} bytes do not hold {aval} with strides {strides:?}", bytes.len()))
    }
}

/// The values of a program while it runs.
#[derive(Default)]
struct Env<'g> {
    values: HashMap<String, Value>,
    /// Symbolic sizes, bound to those of the inputs.
    sizes: HashMap<String, i64>,
    /// Conditions that have to hold, with what it means if they do not.
    checks: Vec<(Tensor, String)>,
    /// The nodes of several outputs, by these.
    makers: HashMap<&'g str, &'g NodeJson>,
    /// Names for shared memory, in order.
    views: Vec<View<'g>>,
}

impl<'g> Env<'g> {
    fn bind_sizes(&mut self, meta: Option<&TensorMeta>, shape: &Shape, input: &str) -> Result<(), TorchError> {
        let Some(meta) = meta else { return Ok(()) };
        if meta.sizes.len() != shape.rank() {
            return Err(malformed(format!("input `{input}`: expected {} dims, found {shape}", meta.sizes.len())));
        }
        for (size, d) in meta.sizes.iter().zip(shape.dims()) {
            let found = d.get() as i64;
            let expected = match size {
                Size::Int(i) => *i,
                Size::Name(n, _) => *self.sizes.entry(n.clone()).or_insert(found),
            };
            if expected != found {
                return Err(malformed(format!("input `{input}`: expected a size of {expected}, found {shape}")));
            }
        }
        Ok(())
    }

    fn tensor(&self, name: &str) -> Result<Tensor, TorchError> {
        match self.values.get(name) {
            Some(Value::Tensor(t)) => match t.error() {
                None => Ok(t.clone()),
                Some(e) => Err(e.clone().into()),
            },
            Some(Value::Tensors(_) | Value::Int(_) | Value::None | Value::Check { .. }) => {
                Err(malformed(format!("`{name}` is no tensor")))
            }
            None => Err(malformed(format!("`{name}` is used before it is defined"))),
        }
    }

    fn size(&self, size: &Size) -> Result<i64, TorchError> {
        match size {
            Size::Int(i) => Ok(*i),
            Size::Name(n, _) => match (self.values.get(n), self.sizes.get(n)) {
                (Some(Value::Int(i)), _) | (_, Some(i)) => Ok(*i),
                (_, None) => Err(malformed(format!("size `{n}` is not known"))),
            },
        }
    }

    fn arg(&self, a: &Argument) -> Result<Arg, TorchError> {
        let tensors = |v: &Vec<String>| v.iter().map(|n| self.tensor(n)).collect::<Result<Vec<_>, _>>();
        Ok(match a {
            Argument::None => Arg::None,
            Argument::Tensor(n) => match self.values.get(n) {
                Some(Value::None) => Arg::None,
                Some(Value::Tensor(_) | Value::Tensors(_) | Value::Int(_) | Value::Check { .. }) | None => {
                    Arg::Tensor(self.tensor(n)?)
                }
            },
            Argument::Tensors(v) => Arg::Tensors(tensors(v)?),
            Argument::OptionalTensors(v) => {
                let one = |n: &Option<String>| n.as_ref().map(|n| self.tensor(n)).transpose();
                Arg::OptionalTensors(v.iter().map(one).collect::<Result<_, _>>()?)
            }
            Argument::Int(i) => Arg::Int(*i),
            Argument::Ints(v) => Arg::Ints(v.clone()),
            Argument::Float(x) => Arg::Float(*x),
            Argument::Floats(v) => Arg::Floats(v.clone()),
            Argument::Bool(b) => Arg::Bool(*b),
            Argument::Bools(v) => Arg::Bools(v.clone()),
            Argument::Str(s) => Arg::Str(s.clone()),
            Argument::SymInt(s) => Arg::Int(self.size(s)?),
            Argument::SymInts(v) => Arg::Ints(v.iter().map(|s| self.size(s)).collect::<Result<_, _>>()?),
            Argument::ScalarType(code) => {
                Arg::DType(schema::dtype(*code).ok_or_else(|| malformed(format!("unsupported scalar type {code}")))?)
            }
            Argument::Operator(name) => Arg::Str(name.clone()),
            Argument::Graph(_) | Argument::Meaningless => Arg::Meaningless,
            Argument::Unknown(kind) => return Err(malformed(format!("unsupported kind of argument `{kind}`"))),
        })
    }

    fn run(&mut self, graph: &'g GraphJson, depth: usize) -> Result<(), TorchError> {
        if depth > MAX_DEPTH {
            return Err(malformed(format!("expected at most {MAX_DEPTH} nested graphs")));
        }
        for n in &graph.nodes {
            let outs = at(location(n), || self.node(n, depth))?;
            let outs = outs.into_iter().map(|v| match v {
                Value::Check { condition, message } => {
                    self.check(n, condition, message);
                    Value::None
                }
                v @ (Value::Tensor(_) | Value::Tensors(_) | Value::Int(_) | Value::None) => v,
            });
            let outs = outs.collect();
            self.define(n, outs)?;
            if n.outputs.len() > 1 {
                self.makers.extend(n.outputs.iter().filter_map(named).map(|name| (name, n)));
            }
        }
        Ok(())
    }

    /// Lets what a condition of node `n` is about depend on it: the factors or solutions beside the `info` that is checked,
    /// else all results of the program.
    fn check(&mut self, n: &NodeJson, condition: Tensor, message: String) {
        let beside = n.inputs.iter().filter_map(|a| self.makers.get(named(&a.arg)?));
        let mut found = false;
        for name in beside.flat_map(|m| &m.outputs).filter_map(named) {
            if let Some(Value::Tensor(t)) = self.values.get_mut(name)
                && t.dtype().is_float()
            {
                *t = t.assert_that(&condition, &message);
                found = true;
            }
        }
        if !found {
            self.checks.push((condition, message));
        }
    }

    fn node(&mut self, n: &'g NodeJson, depth: usize) -> Result<Vec<Value>, TorchError> {
        let target = n.target.strip_prefix("torch.ops.").unwrap_or(&n.target);
        match target {
            // Gradients that are switched off inside the exported program: its value is that of the sub-graph, detached.
            "higher_order.wrap_with_set_grad_enabled" => return self.sub_graph(n, depth, flag(n) == Some(false)),
            "higher_order.wrap_with_autocast" if flag(n) == Some(true) => {
                return Err(TorchError::Refused {
                    target: target.to_owned(),
                    node: n.name.clone().unwrap_or_default(),
                    reason: "operators inside convert their operands; export with `run_decompositions()`, which writes that out".to_owned(),
                });
            }
            "higher_order.wrap_with_autocast"
            | "higher_order.invoke_subgraph"
            | "higher_order.tag_activation_checkpoint" => {
                return self.sub_graph(n, depth, false);
            }
            _ => {}
        }
        let functional = mutation::functional(target);
        let outs = self.call(n, functional.as_deref().unwrap_or(target), None)?;
        if functional.is_some()
            && let (Some(written), Some(Value::Tensor(value))) = (mutation::first_tensor(n), outs.first())
        {
            // What is written keeps its dtype.
            let value = value.convert(self.tensor(written)?.dtype());
            self.write(written, value.clone())?;
            self.views.extend(mutation::views(n, target));
            return Ok(vec![Value::Tensor(value)]);
        }
        self.views.extend(mutation::views(n, target));
        Ok(outs)
    }

    /// The results of `target` on the arguments of `n`, or with another first operand.
    fn call(&self, n: &NodeJson, target: &str, first: Option<&Tensor>) -> Result<Vec<Value>, TorchError> {
        let name = n.name.as_deref().unwrap_or("?");
        let mut args = Vec::with_capacity(n.inputs.len());
        for (i, a) in n.inputs.iter().enumerate() {
            let arg = match first.filter(|_| i == 0) {
                Some(t) => Arg::Tensor(t.clone()),
                None => self.arg(&a.arg)?,
            };
            args.push((a.name.as_str(), arg));
        }
        let outs = overloads::call(&Call { target, node: name, args })?;
        for v in &outs {
            let tensors: &[Tensor] = match v {
                Value::Tensor(t) | Value::Check { condition: t, .. } => std::slice::from_ref(t),
                Value::Tensors(v) => v,
                Value::Int(_) | Value::None => &[],
            };
            if let Some(e) = tensors.iter().find_map(Tensor::error) {
                return Err(TorchError::Node { node: name.to_owned(), source: Box::new(e.clone()) });
            }
        }
        Ok(outs)
    }

    /// Gives `name` a new value, and with it everything that shares its memory.
    fn write(&mut self, name: &'g str, value: Tensor) -> Result<(), TorchError> {
        let (mut at, mut value) = (name, value);
        while let Some(view) = self.views.iter().rev().find(|v| v.name == at).cloned() {
            if view.sharing == Sharing::Perhaps {
                return Err(malformed(format!(
                    "`{name}` is written in place, and may share the memory of `{}`",
                    view.base
                )));
            }
            if let Some(made) = view.made {
                let base = self.tensor(view.base)?;
                let all = Shape::from([base.numel()]);
                let places = base.arange_like(all[0], PLACES).view_to(base.shape());
                let places = self.view(made, &places)?;
                let flat = |t: &Tensor| t.view_to(&[t.numel()].into());
                value = flat(&base).scatter_along(0, &flat(&places), &flat(&value)).view_to(base.shape());
            }
            at = view.base;
        }
        self.values.insert(at.to_owned(), Value::Tensor(value));
        let mut written = vec![at];
        for view in self.views.clone().into_iter().filter(|v| v.name != at) {
            if !written.contains(&view.base) {
                continue;
            }
            written.push(view.name);
            let base = self.tensor(view.base)?;
            match (view.sharing, view.made) {
                // Whoever uses it finds that it is not defined.
                (Sharing::Perhaps, _) => drop(self.values.remove(view.name)),
                (Sharing::View, None) => drop(self.values.insert(view.name.to_owned(), Value::Tensor(base))),
                (Sharing::View, Some(made)) => {
                    let value = self.view(made, &base)?;
                    self.values.insert(view.name.to_owned(), Value::Tensor(value));
                }
            }
        }
        Ok(())
    }

    /// The view of `base` that is the result `made.1` of the node `made.0`.
    fn view(&self, made: (&NodeJson, usize), base: &Tensor) -> Result<Tensor, TorchError> {
        let target = made.0.target.strip_prefix("torch.ops.").unwrap_or(&made.0.target);
        let outs = self.call(made.0, target, Some(base))?;
        let mut tensors = outs.into_iter().flat_map(|v| match v {
            Value::Tensor(t) => vec![t],
            Value::Tensors(v) => v,
            Value::Int(_) | Value::None | Value::Check { .. } => Vec::new(),
        });
        tensors.nth(made.1).ok_or_else(|| malformed(format!("node `{}` makes no view", made.0.target)))
    }

    /// The results of the graph that `n` holds on the tensors beside it.
    fn sub_graph(&mut self, n: &'g NodeJson, depth: usize, detached: bool) -> Result<Vec<Value>, TorchError> {
        let mut graph = None;
        let mut operands = Vec::new();
        for a in &n.inputs {
            match &a.arg {
                Argument::Graph(g) => graph = Some(g),
                Argument::Tensor(t) => operands.push(t),
                Argument::Tensors(v) => operands.extend(v),
                // The operator's own options.
                Argument::Bool(_)
                | Argument::Str(_)
                | Argument::None
                | Argument::ScalarType(_)
                | Argument::Meaningless => {}
                Argument::OptionalTensors(_)
                | Argument::Int(_)
                | Argument::Ints(_)
                | Argument::Float(_)
                | Argument::Floats(_)
                | Argument::Bools(_)
                | Argument::SymInt(_)
                | Argument::SymInts(_)
                | Argument::Operator(_)
                | Argument::Unknown(_) => {
                    return Err(malformed(format!("node `{}`: an operand that is no tensor", n.target)));
                }
            }
        }
        let graph = graph.ok_or_else(|| malformed(format!("node `{}` without a graph", n.target)))?;
        let mut inner = Env { sizes: self.sizes.clone(), ..Env::default() };
        for (param, operand) in graph.inputs.iter().zip(operands) {
            if let Argument::Tensor(p) = param {
                inner.values.insert(p.clone(), Value::Tensor(self.tensor(operand)?));
            }
        }
        inner.run(graph, depth + 1)?;
        self.checks.append(&mut inner.checks);
        let mut outs = Vec::new();
        for o in &graph.outputs {
            let Argument::Tensor(name) = o else { return Err(malformed("a sub-graph's output that is no tensor")) };
            let t = inner.tensor(name)?;
            outs.push(Value::Tensor(if detached { t.detach() } else { t }));
        }
        Ok(outs)
    }

    fn define(&mut self, n: &NodeJson, outs: Vec<Value>) -> Result<(), TorchError> {
        if outs.len() < n.outputs.len() {
            return Err(malformed(format!(
                "node `{}` has {} outputs, expected {}",
                n.target,
                n.outputs.len(),
                outs.len()
            )));
        }
        for (name, value) in n.outputs.iter().zip(outs) {
            match (name, value) {
                (Argument::Tensor(name), value) => {
                    self.values.insert(name.clone(), value);
                }
                (Argument::Tensors(names), Value::Tensors(values)) if names.len() == values.len() => {
                    self.values.extend(names.iter().cloned().zip(values.into_iter().map(Value::Tensor)));
                }
                (Argument::SymInt(Size::Name(name, _)), value @ Value::Int(_)) => {
                    self.values.insert(name.clone(), value);
                }
                (Argument::None, _) => {}
                (name, value) => return Err(malformed(format!("node `{}`: output {name:?} for {value:?}", n.target))),
            }
        }
        Ok(())
    }
}

/// The name of a tensor.
fn named(a: &Argument) -> Option<&str> {
    if let Argument::Tensor(name) = a { Some(name) } else { None }
}

/// The first truth value among the arguments: whether a wrapper switches something on.
fn flag(n: &NodeJson) -> Option<bool> {
    n.inputs.iter().find_map(|a| if let Argument::Bool(b) = a.arg { Some(b) } else { None })
}

/// The innermost frame of PyTorch's stack trace.
fn location(n: &NodeJson) -> Loc {
    let trace = n.metadata.get("stack_trace").and_then(|v| v.as_str()).unwrap_or_default();
    let frame = trace.lines().rev().find_map(|line| {
        let rest = line.trim_start().strip_prefix("File \"")?;
        let (file, rest) = rest.split_once("\", line ")?;
        let line = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some((file.to_owned(), line))
    });
    frame.map_or_else(Loc::default, |(file, line)| Loc { file: file.into(), line, ..Loc::default() })
}
