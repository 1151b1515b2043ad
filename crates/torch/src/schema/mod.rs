//! The JSON of an exported program, as far as it describes a computation: read from files, and written into them.
//!
//! Source: `torch/_export/serde/schema.py`. Unknown fields are ignored, as PyTorch's own reader does within one major version.

mod argument;

use std::collections::BTreeMap;

use cotangent_core::ir::Aval;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scalar_type;
pub(crate) use argument::{Argument, Size};

/// The major version of the schema, and the minor one that is written.
pub(crate) const MAJOR: u64 = 8;
pub(crate) const MINOR: u64 = 20;

#[derive(Serialize, Deserialize)]
pub(crate) struct Model {
    pub graph_module: GraphModule,
    #[serde(default)]
    pub opset_version: BTreeMap<String, u64>,
    #[serde(default)]
    pub range_constraints: BTreeMap<String, Value>,
    pub schema_version: Version,
    #[serde(default)]
    pub verifiers: Vec<String>,
    #[serde(default)]
    pub torch_version: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Version {
    pub major: u64,
    pub minor: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GraphModule {
    pub graph: GraphJson,
    pub signature: SignatureJson,
    #[serde(default)]
    pub module_call_graph: Vec<ModuleCall>,
}

/// How a module is called from Python.
#[derive(Serialize, Deserialize)]
pub(crate) struct ModuleCall {
    pub fqn: String,
    #[serde(default)]
    pub signature: Option<CallSignature>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct CallSignature {
    pub inputs: Vec<Argument>,
    pub outputs: Vec<Argument>,
    /// The trees of arguments and results, as PyTorch's `treespec_dumps` writes them.
    pub in_spec: String,
    pub out_spec: String,
    #[serde(default)]
    pub forward_arg_names: Option<Vec<String>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct GraphJson {
    pub inputs: Vec<Argument>,
    pub outputs: Vec<Argument>,
    pub nodes: Vec<NodeJson>,
    #[serde(default)]
    pub tensor_values: BTreeMap<String, TensorMeta>,
    #[serde(default)]
    pub sym_int_values: BTreeMap<String, Value>,
    #[serde(default)]
    pub sym_bool_values: BTreeMap<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NodeJson {
    pub target: String,
    pub inputs: Vec<NamedArgument>,
    pub outputs: Vec<Argument>,
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NamedArgument {
    pub name: String,
    pub arg: Argument,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<u8>,
}

/// [`NamedArgument::kind`] of an argument that is passed by position, and of one passed by name.
pub(crate) const POSITIONAL: u8 = 1;
pub(crate) const KEYWORD: u8 = 2;

impl std::fmt::Debug for GraphJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a graph of {} nodes", self.nodes.len())
    }
}

/// A name in an object of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub name: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TensorMeta {
    pub dtype: i64,
    pub sizes: Vec<Size>,
    #[serde(default)]
    pub requires_grad: bool,
    #[serde(default)]
    pub device: Device,
    #[serde(default)]
    pub strides: Vec<Size>,
    #[serde(default)]
    pub storage_offset: Option<Size>,
    #[serde(default = "strided_layout")]
    pub layout: i64,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Device {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub index: Option<i64>,
}

impl Default for Device {
    fn default() -> Self {
        Device { kind: "cpu".to_owned(), index: None }
    }
}

/// PyTorch's serialized layout of tensors that have strides.
pub(crate) fn strided_layout() -> i64 {
    7
}

impl TensorMeta {
    /// Of a dense row-major tensor.
    pub fn dense(aval: &Aval, requires_grad: bool) -> Self {
        let sizes = |v: Vec<usize>| v.into_iter().map(|i| Size::Int(i as i64)).collect();
        TensorMeta {
            dtype: scalar_type::code(aval.dtype),
            sizes: sizes(aval.shape.sizes().to_vec()),
            requires_grad,
            device: Device::default(),
            strides: sizes(aval.shape.strides().to_vec()),
            storage_offset: Some(Size::Int(0)),
            layout: strided_layout(),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct SignatureJson {
    pub input_specs: Vec<InputSpec>,
    pub output_specs: Vec<OutputSpec>,
}

/// What an input of the graph is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InputSpec {
    Parameter { arg: Named, parameter_name: String },
    Buffer { arg: Named, buffer_name: String, persistent: bool },
    TensorConstant { arg: Named, tensor_constant_name: String },
    UserInput { arg: Argument },
    ConstantInput { name: String, value: Value },
    Token { arg: Named },
}

/// What an output of the graph is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutputSpec {
    UserOutput { arg: Argument },
    LossOutput { arg: Named },
    GradientToParameter { arg: Named, parameter_name: String },
    GradientToUserInput { arg: Named, user_input_name: String },
    BufferMutation { arg: Named, buffer_name: String },
    ParameterMutation { arg: Named, parameter_name: String },
    UserInputMutation { arg: Named, user_input_name: String },
    Token { arg: Named },
}

/// The tensors of `model_weights_config.json` and `model_constants_config.json`.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Payload {
    pub config: BTreeMap<String, PayloadEntry>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PayloadEntry {
    pub path_name: String,
    #[serde(default)]
    pub is_param: bool,
    #[serde(default)]
    pub use_pickle: bool,
    pub tensor_meta: Option<TensorMeta>,
}
