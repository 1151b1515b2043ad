//! The JSON of an exported program, as far as it describes a computation.
//!
//! Source: `torch/_export/serde/schema.py`. Unknown fields are ignored, as PyTorch's own reader does within one major version.

use std::collections::BTreeMap;

use cotangent_core::ir::DType;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Value;

/// The major version of the schema that is read.
pub(crate) const MAJOR: u64 = 8;

#[derive(Deserialize)]
pub(crate) struct Model {
    pub graph_module: GraphModule,
    pub schema_version: Version,
}

#[derive(Deserialize)]
pub(crate) struct Version {
    pub major: u64,
    pub minor: u64,
}

#[derive(Deserialize)]
pub(crate) struct GraphModule {
    pub graph: GraphJson,
    pub signature: SignatureJson,
}

#[derive(Deserialize)]
pub(crate) struct GraphJson {
    pub inputs: Vec<Argument>,
    pub outputs: Vec<Argument>,
    pub nodes: Vec<NodeJson>,
    #[serde(default)]
    pub tensor_values: BTreeMap<String, TensorMeta>,
}

#[derive(Deserialize)]
pub(crate) struct NodeJson {
    pub target: String,
    pub inputs: Vec<NamedArgument>,
    pub outputs: Vec<Argument>,
    #[serde(default)]
    pub metadata: BTreeMap<String, Value>,
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct NamedArgument {
    pub name: String,
    pub arg: Argument,
}

/// One argument: a union of one field.
#[derive(Debug)]
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
        struct Named {
            name: String,
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
            "as_sym_int" | "as_sym_bool" => Argument::SymInt(read(value)?),
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

#[derive(Deserialize)]
pub(crate) struct TensorMeta {
    pub dtype: i64,
    pub sizes: Vec<Size>,
    #[serde(default)]
    pub strides: Vec<Size>,
    #[serde(default)]
    pub storage_offset: Option<Size>,
}

#[derive(Deserialize)]
pub(crate) struct SignatureJson {
    pub input_specs: Vec<BTreeMap<String, Value>>,
    pub output_specs: Vec<BTreeMap<String, Value>>,
}

/// The tensors of `model_weights_config.json` and `model_constants_config.json`.
#[derive(Deserialize, Default)]
pub(crate) struct Payload {
    pub config: BTreeMap<String, PayloadEntry>,
}

#[derive(Deserialize)]
pub(crate) struct PayloadEntry {
    pub path_name: String,
    #[serde(default)]
    pub use_pickle: bool,
    pub tensor_meta: Option<TensorMeta>,
}

/// The dtype of PyTorch's serialized scalar type.
pub(crate) fn dtype(code: i64) -> Option<DType> {
    match code {
        1 => Some(DType::U8),
        2 => Some(DType::I8),
        3 => Some(DType::I16),
        4 => Some(DType::I32),
        5 => Some(DType::I64),
        6 => Some(DType::F16),
        7 => Some(DType::F32),
        8 => Some(DType::F64),
        12 => Some(DType::Bool),
        13 => Some(DType::BF16),
        _ => None,
    }
}
