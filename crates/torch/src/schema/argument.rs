//! Arguments and sizes: unions of one field in the JSON, enums here.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _};
use serde::ser::{Error as _, SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{GraphJson, Named};

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
