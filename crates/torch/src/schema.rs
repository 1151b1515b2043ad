//! The JSON of an exported program, as far as it describes a computation: read from files, and written into them.
//!
//! Source: `torch/_export/serde/schema.py`. Unknown fields are ignored, as PyTorch's own reader does within one major version.

use std::collections::BTreeMap;

use cotangent_core::ir::Aval;
use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::scalar_type;

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

/// A name in an object of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Named {
    pub name: String,
}

/// One argument: a union of one field.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    None,
    Tensor(String),
    Tensors(Vec<String>),
    OptionalTensors(Vec<Option<String>>),
    Int(i64),
    Ints(Vec<i64>),
    Float(f64),
    Floats(Vec<f64>),
    Bool(bool),
    Bools(Vec<bool>),
    Str(String),
    SymInt(Size),
    SymInts(Vec<Size>),
    ScalarType(i64),
    Operator(String),
    Graph(Box<GraphJson>),
    /// A device, layout, memory format and the like, which have no meaning for values.
    Meaningless,
    /// A kind that is not known; an error only where it is used.
    Unknown(String),
}

impl std::fmt::Debug for GraphJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a graph of {} nodes", self.nodes.len())
    }
}

/// A size or a truth value, which may be a symbol.
#[derive(Clone, Debug)]
pub(crate) enum Size {
    Int(i64),
    /// A symbol or an expression of symbols, and its value in the example that the program was exported with.
    Name(String, Option<i64>),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let v = Value::deserialize(d)?;
        let field = |k: &str| v.get(k);
        if let Some(i) = field("as_int").and_then(Value::as_i64) {
            return Ok(Size::Int(i));
        }
        if let Some(b) = field("as_bool").and_then(Value::as_bool) {
            return Ok(Size::Int(b.into()));
        }
        if let Some(name) = field("as_name").and_then(Value::as_str) {
            return Ok(Size::Name(name.to_owned(), None));
        }
        if let Some(expr) = field("as_expr")
            && let Some(text) = expr.get("expr_str").and_then(Value::as_str)
        {
            let example = expr.get("hint").and_then(|h| h.get("as_int")).and_then(Value::as_i64);
            return Ok(Size::Name(text.to_owned(), example));
        }
        Err(D::Error::custom(format!("expected a size, found {v}")))
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let fields: BTreeMap<String, Value> = BTreeMap::deserialize(d)?;
        let Some((kind, value)) = fields.into_iter().next() else {
            return Err(D::Error::custom("expected an argument, found an empty object"));
        };
        fn read<T: serde::de::DeserializeOwned, E: serde::de::Error>(v: Value) -> Result<T, E> {
            serde_json::from_value(v).map_err(E::custom)
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Optional {
            Some { as_tensor: Named },
            None {},
        }
        #[derive(Deserialize)]
        struct SubGraph {
            graph: GraphJson,
        }
        let name = |n: Named| n.name;
        Ok(match kind.as_str() {
            "as_none" => Argument::None,
            "as_tensor" => Argument::Tensor(read::<Named, D::Error>(value)?.name),
            "as_tensors" => Argument::Tensors(read::<Vec<Named>, D::Error>(value)?.into_iter().map(name).collect()),
            "as_optional_tensors" => Argument::OptionalTensors(
                read::<Vec<Optional>, D::Error>(value)?
                    .into_iter()
                    .map(|o| match o {
                        Optional::Some { as_tensor } => Some(as_tensor.name),
                        Optional::None {} => None,
                    })
                    .collect(),
            ),
            "as_int" => Argument::Int(read(value)?),
            "as_ints" => Argument::Ints(read(value)?),
            "as_float" => Argument::Float(read_float(&value).map_err(D::Error::custom)?),
            "as_floats" => {
                let items: Vec<Value> = read(value)?;
                let floats: Result<Vec<f64>, String> = items.iter().map(read_float).collect();
                Argument::Floats(floats.map_err(D::Error::custom)?)
            }
            "as_bool" => Argument::Bool(read(value)?),
            "as_bools" => Argument::Bools(read(value)?),
            "as_sym_float" if value.get("as_float").is_some() => {
                Argument::Float(read_float(&value["as_float"]).map_err(D::Error::custom)?)
            }
            "as_string" => Argument::Str(read(value)?),
            "as_optional_tensor" => match read::<Optional, D::Error>(value)? {
                Optional::Some { as_tensor } => Argument::Tensor(as_tensor.name),
                Optional::None {} => Argument::None,
            },
            // A float is a symbol only where it depends on data.
            "as_sym_float" | "as_sym_int" | "as_sym_bool" => Argument::SymInt(read(value)?),
            "as_sym_ints" | "as_sym_bools" => Argument::SymInts(read(value)?),
            "as_scalar_type" => Argument::ScalarType(read(value)?),
            "as_operator" => Argument::Operator(read(value)?),
            "as_graph" => Argument::Graph(Box::new(read::<SubGraph, D::Error>(value)?.graph)),
            "as_device" | "as_layout" | "as_memory_format" => Argument::Meaningless,
            _ => Argument::Unknown(kind),
        })
    }
}

/// PyTorch writes infinities and NaN as strings.
fn read_float(v: &Value) -> Result<f64, String> {
    match v {
        Value::Number(n) => n.as_f64().ok_or_else(|| format!("expected a float, found {n}")),
        Value::String(s) => match s.as_str() {
            "Infinity" | "inf" => Ok(f64::INFINITY),
            "-Infinity" | "-inf" => Ok(f64::NEG_INFINITY),
            "NaN" | "nan" => Ok(f64::NAN),
            _ => Err(format!("expected a float, found {s:?}")),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("expected a float, found {v}"))
        }
    }
}

/// A number as PyTorch writes it.
fn float(x: f64) -> Value {
    match x {
        x if x.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        x => json!(x),
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Size::Int(i) => json!({ "as_int": i }),
            Size::Name(n, None) => json!({ "as_name": n }),
            Size::Name(n, Some(example)) => json!({"as_expr": {"expr_str": n, "hint": {"as_int": example}}}),
        }
        .serialize(s)
    }
}

impl Serialize for Argument {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let named = |n: &String| json!({ "name": n });
        let (kind, value) = match self {
            Argument::None => ("as_none", json!(true)),
            Argument::Tensor(n) => ("as_tensor", named(n)),
            Argument::Tensors(v) => ("as_tensors", v.iter().map(named).collect()),
            Argument::OptionalTensors(v) => {
                let one = |n: &Option<String>| match n {
                    Some(n) => json!({ "as_tensor": named(n) }),
                    None => json!({"as_none": true}),
                };
                ("as_optional_tensors", v.iter().map(one).collect())
            }
            Argument::Int(i) => ("as_int", json!(i)),
            Argument::Ints(v) => ("as_ints", json!(v)),
            Argument::Float(x) => ("as_float", float(*x)),
            Argument::Floats(v) => ("as_floats", v.iter().map(|x| float(*x)).collect()),
            Argument::Bool(b) => ("as_bool", json!(b)),
            Argument::Bools(v) => ("as_bools", json!(v)),
            Argument::Str(text) => ("as_string", json!(text)),
            Argument::SymInt(n) => ("as_sym_int", json!(n)),
            Argument::SymInts(v) => ("as_sym_ints", json!(v)),
            Argument::ScalarType(code) => ("as_scalar_type", json!(code)),
            Argument::Operator(name) => ("as_operator", json!(name)),
            Argument::Graph(_) | Argument::Meaningless | Argument::Unknown(_) => {
                return Err(S::Error::custom(format!("{self:?} is only read")));
            }
        };
        let mut map = s.serialize_map(Some(1))?;
        map.serialize_entry(kind, &value)?;
        map.end()
    }
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
