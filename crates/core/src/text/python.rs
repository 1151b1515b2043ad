//! A graph as a Python module that runs in PyTorch and needs nothing beside it: [`Graph::python_module`].

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustc_hash::FxHashMap;

use super::code::{CodeStyle, forward, structure};
use super::fx::Fx;
use super::literal::elements;
use super::names::Namespace;
use super::pyrepr::{dtype, float, string};
use super::shown::shown;
use crate::array::{Array, Data};
use crate::ir::{DType, Graph, TreeSpec};
use crate::ops::Call;

/// What printed code takes from elsewhere, as `torch.fx` imports it.
const IMPORTS: &str = "\
import base64
from math import inf, nan

import torch
import torch.fx._pytree as fx_pytree
import torch.utils._pytree as pytree
from torch import device
";

/// Operators of this project that PyTorch has under no name.
const OPERATORS: &[(&str, &str)] = &[("torch.ops.cotangent.philox", PHILOX)];

const PHILOX: &str = r#"
if not hasattr(torch.ops.cotangent, "philox"):

    @torch.library.custom_op("cotangent::philox", mutates_args=())
    def philox(key: torch.Tensor, counter: torch.Tensor) -> torch.Tensor:
        """64 bits of Philox4x32-10 at (counter, 0) under key; products wrap, so that their bits are right."""
        mask = 0xFFFFFFFF
        k0, k1 = key & mask, (key >> 32) & mask
        c0, c1 = counter & mask, (counter >> 32) & mask
        c2, c3 = torch.zeros_like(c0), torch.zeros_like(c0)
        for _ in range(10):
            p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
            c0, c1, c2, c3 = (p1 >> 32) & mask ^ c1 ^ k0, p1 & mask, (p0 >> 32) & mask ^ c3 ^ k1, p0 & mask
            k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
        return c0 | (c1 << 32)
"#;

/// Constants of at most this many elements are written as numbers.
const MAX_ELEMENTS: usize = 64;

impl Graph {
    /// A Python file with a class `Module` whose `forward` is [`Graph::code`], with all constants and sub-modules in it.
    pub fn python_module(&self) -> String {
        self.python_module_in(CodeStyle::Today)
    }

    /// As [`Graph::python_module`], in the form of another time.
    pub fn python_module_in(&self, style: CodeStyle) -> String {
        let shown = shown(self);
        let mut writer =
            Writer { style, classes: String::new(), names: Namespace::default(), done: FxHashMap::default() };
        writer.names.create("Module");
        writer.class(&shown, None);
        let classes = writer.classes;
        let needed = OPERATORS.iter().filter(|(name, _)| classes.contains(name)).map(|(_, source)| *source);
        format!("{IMPORTS}{}{classes}", needed.collect::<String>())
    }
}

struct Writer<'g> {
    style: CodeStyle,
    classes: String,
    names: Namespace,
    /// The class of each sub-graph; those that cannot be evaluated are apart.
    done: FxHashMap<(&'g Graph, bool), String>,
}

impl<'g> Writer<'g> {
    /// Writes the class of a call's body, after those of the calls in it.
    fn sub_module(&mut self, name: &str, call: &'g Call) -> String {
        let key = (call.body.as_ref(), call.has_forward());
        if let Some(class) = self.done.get(&key) {
            return class.clone();
        }
        let class = self.names.create(name);
        self.done.insert(key, class.clone());
        self.class(&call.body, Some((&class, call)));
        class
    }

    fn class(&mut self, graph: &'g Graph, called: Option<(&str, &'g Call)>) {
        let fx = Fx::new(graph, self.style);
        let modules: Vec<(&String, String)> =
            fx.modules.iter().map(|(name, call)| (name, self.sub_module(name, call))).collect();
        let class = called.map_or("Module", |(class, _)| class);
        let out = &mut self.classes;
        let _ =
            writeln!(out, "\n\nclass {class}(torch.nn.Module):\n    def __init__(self):\n        super().__init__()");
        for (k, a) in fx.constants.iter().enumerate() {
            let _ = writeln!(out, "        self._tensor_constant{k} = {}", constant(a));
        }
        for (name, class) in modules {
            let _ = writeln!(out, "        self.{name} = {class}()");
        }
        if fx.trees.is_some() {
            let signature = graph.signature();
            let arguments: Vec<String> = signature.params.iter().map(placeholder).collect();
            let _ = writeln!(out, "        self._in_spec = pytree.tree_structure([{}])", arguments.join(", "));
            let _ = writeln!(out, "        self._out_spec = pytree.tree_structure({})", placeholder(&signature.result));
        }
        out.push('\n');
        if let Some((_, call)) = called.filter(|(_, call)| !call.has_forward()) {
            let why = format!("`{}` has a custom vjp rule and no forward derivative", call.function());
            let _ = writeln!(out, "    def forward(self, *args):\n        raise NotImplementedError({})", string(&why));
            return;
        }
        for line in forward(&fx).lines() {
            let _ = writeln!(out, "    {line}");
        }
    }
}

/// A tree with zeros at its leaves.
fn placeholder(tree: &TreeSpec) -> String {
    structure(tree, &mut || "0".to_owned())
}

/// An expression for the array, exact to the bit.
fn constant(a: &Array) -> String {
    let shape = a.shape().dims().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let dtype = dtype(a.dtype());
    if a.numel() == 0 {
        return format!("torch.empty([{shape}], dtype={dtype})");
    }
    let shaped = |flat: String, rank: usize| if rank == 1 { flat } else { format!("{flat}.reshape([{shape}])") };
    if a.numel() > MAX_ELEMENTS || has_odd_nan(a) {
        let bytes = STANDARD.encode(a.to_le_bytes());
        let flat = format!("torch.frombuffer(bytearray(base64.b64decode(\"{bytes}\")), dtype={dtype})");
        return shaped(flat, a.shape().rank());
    }
    let items: Vec<String> = match a.data() {
        Data::F32(_) | Data::F64(_) | Data::BF16(_) | Data::F16(_) => a.to_f64_vec().into_iter().map(float).collect(),
        Data::Bool(v) => v.iter().map(|b| if *b { "True" } else { "False" }.to_owned()).collect(),
        Data::I64(_) | Data::I32(_) | Data::I16(_) | Data::I8(_) | Data::U8(_) => elements(a),
    };
    match a.shape().rank() {
        0 => format!("torch.tensor({}, dtype={dtype})", items[0]),
        rank => shaped(format!("torch.tensor([{}], dtype={dtype})", items.join(", ")), rank),
    }
}

/// Whether a NaN has a sign or a payload, which Python's `nan` does not have.
fn has_odd_nan(a: &Array) -> bool {
    match a.dtype() {
        DType::F32 | DType::F64 | DType::BF16 | DType::F16 => elements(a).iter().any(|e| e.starts_with("nan(")),
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => false,
    }
}
