//! The text of a module: names of values, lines, and the walk over a graph.

use std::fmt::{Display, Write};

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph, Scalar, Value};
use cotangent_core::transform::build;

use crate::emit::emit;
use crate::error::{Refusal, StableHloError};
use crate::literal::{constant, splat, ty};
use crate::reduce::{self, Fold};

/// A value in the text.
#[derive(Clone)]
pub(crate) struct Val {
    pub name: String,
    pub aval: Aval,
}

impl Val {
    pub fn ty(&self) -> String {
        ty(&self.aval)
    }

    pub fn dtype(&self) -> DType {
        self.aval.dtype
    }
}

/// The values of an operation's results.
pub(crate) type Vals = Result<Vec<Val>, Refusal>;

pub(crate) struct Writer {
    out: String,
    next: usize,
    indent: usize,
}

impl Writer {
    /// The module of `graph`.
    pub fn module(graph: &Graph) -> Result<String, StableHloError> {
        let mut w = Writer { out: String::new(), next: 0, indent: 2 };
        let params: Vec<Val> = graph
            .param_avals()
            .iter()
            .enumerate()
            .map(|(i, a)| Val { name: format!("%arg{i}"), aval: (*a).clone() })
            .collect();
        let results = w.graph(graph, &params)?;
        let mut out = format!("module @{} {{\n", symbol(graph.name()));
        for (p, name) in params.iter().zip(graph.signature().leaf_names()) {
            let _ = writeln!(out, "  // {}: {}", p.name, name.escape_debug());
        }
        let args: Vec<String> = params.iter().map(|p| format!("{}: {}", p.name, p.ty())).collect();
        let types: Vec<String> = results.iter().map(Val::ty).collect();
        let names: Vec<&str> = results.iter().map(|v| v.name.as_str()).collect();
        let _ = writeln!(out, "  func.func public @main({}) -> ({}) {{", args.join(", "), types.join(", "));
        out += &w.out;
        let _ = match names.as_slice() {
            [] => writeln!(out, "    return"),
            _ => writeln!(out, "    return {} : {}", names.join(", "), types.join(", ")),
        };
        Ok(out + "  }\n}\n")
    }

    /// The results of `graph` at `args`.
    pub fn graph(&mut self, graph: &Graph, args: &[Val]) -> Result<Vec<Val>, StableHloError> {
        let mut env: Vec<Option<Val>> = vec![None; graph.num_values()];
        for (p, a) in graph.params().iter().zip(args) {
            env[p.index()] = Some(a.clone());
        }
        let read = |env: &[Option<Val>], v: &Value| env[v.index()].clone().expect("I1: defined before use");
        for n in graph.nodes() {
            let args: Vec<Val> = n.args.iter().map(|v| read(&env, v)).collect();
            let avals: Vec<Aval> = n.results.iter().map(|v| graph.aval(*v).clone()).collect();
            // What has no elements needs no operation, and some have no form for it.
            let results = match avals.iter().all(|a| a.shape.numel() == 0) {
                true => avals.iter().map(|a| self.full(a, Scalar::Int(0))).collect(),
                false => emit(self, &n.op, &args, &avals).map_err(|r| r.of(n.op.name()))?,
            };
            for (v, r) in n.results.iter().zip(results) {
                env[v.index()] = Some(r);
            }
        }
        Ok(graph.results().iter().map(|v| read(&env, v)).collect())
    }

    /// What `f`, in terms of other primitives, makes of `args`.
    pub fn compose(&mut self, args: &[Val], f: impl FnOnce(&[Tensor]) -> Vec<Tensor>) -> Vals {
        let graph = build("composition", |t| {
            let params: Vec<Tensor> = args.iter().map(|a| t.param(&a.aval)).collect();
            Ok(f(&params))
        });
        let graph = graph.map_err(|e| Refusal::Inner(e.into()))?;
        self.graph(&graph, args).map_err(Refusal::Inner)
    }

    /// A line of `text`.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{:width$}{text}", "", width = 2 * self.indent);
    }

    /// The value of an expression.
    pub fn value(&mut self, aval: &Aval, text: impl Display) -> Val {
        let name = self.name();
        self.line(format_args!("{name} = {text}"));
        Val { name, aval: aval.clone() }
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("%{}", self.next - 1)
    }

    /// An operation with a region: `head` is the operation with its operands and attributes, `tail` its type.
    pub fn with_region(
        &mut self,
        head: &str,
        region_params: &[Aval],
        region: impl FnOnce(&mut Writer, &[Val]) -> Vec<Val>,
        tail: &str,
        results: &[Aval],
    ) -> Vec<Val> {
        let name = self.name();
        let many = if results.len() > 1 { format!(":{}", results.len()) } else { String::new() };
        self.line(format_args!("{name}{many} = {head} ({{"));
        self.region(region_params, region);
        self.line(format_args!("}}) {tail}"));
        match results {
            [one] => vec![Val { name, aval: one.clone() }],
            all => all.iter().enumerate().map(|(i, a)| Val { name: format!("{name}#{i}"), aval: a.clone() }).collect(),
        }
    }

    /// `state` after `body` as often as `condition` holds for any element.
    pub fn repeat(
        &mut self,
        state: [Val; 2],
        condition: impl FnOnce(&mut Writer, [&Val; 2]) -> Val,
        body: impl FnOnce(&mut Writer, [&Val; 2]) -> [Val; 2],
    ) -> [Val; 2] {
        let (names, types) = list(&state);
        let avals = [state[0].aval.clone(), state[1].aval.clone()];
        let truth = Aval::new(DType::Bool, ());
        let name = self.name();
        self.line(format_args!("{name}:2 = \"stablehlo.while\"({names}) ({{"));
        self.region(&avals, |w, v| {
            let holds = condition(w, [&v[0], &v[1]]);
            let dims: Vec<usize> = (0..holds.aval.rank()).collect();
            vec![reduce::reduce(w, Fold::Max, &holds, &dims, &truth)]
        });
        self.line("}, {");
        self.region(&avals, |w, v| body(w, [&v[0], &v[1]]).to_vec());
        self.line(format_args!("}}) : ({types}) -> ({types})"));
        let [a, b] = avals;
        [Val { name: format!("{name}#0"), aval: a }, Val { name: format!("{name}#1"), aval: b }]
    }

    /// A block with parameters of `avals` that returns what `f` makes of them.
    fn region(&mut self, avals: &[Aval], f: impl FnOnce(&mut Writer, &[Val]) -> Vec<Val>) {
        let params: Vec<Val> = avals.iter().map(|a| Val { name: self.name(), aval: a.clone() }).collect();
        let typed: Vec<String> = params.iter().map(|p| format!("{}: {}", p.name, p.ty())).collect();
        self.line(format_args!("^bb0({}):", typed.join(", ")));
        self.indent += 1;
        let returned = f(self, &params);
        let (names, types) = list(&returned);
        self.line(format_args!("stablehlo.return {names} : {types}"));
        self.indent -= 1;
    }

    /// An operation of several results.
    pub fn values(&mut self, avals: &[Aval], text: impl Display) -> Vec<Val> {
        let name = self.name();
        self.line(format_args!("{name}:{} = {text}", avals.len()));
        avals.iter().enumerate().map(|(i, a)| Val { name: format!("{name}#{i}"), aval: a.clone() }).collect()
    }

    /// A constant.
    pub fn constant(&mut self, a: &Array) -> Val {
        self.value(&a.aval(), constant(a))
    }

    /// A constant in which every element is `value`.
    pub fn full(&mut self, aval: &Aval, value: Scalar) -> Val {
        match aval.shape.numel() {
            0 => self.value(aval, format_args!("stablehlo.constant dense<> : {}", ty(aval))),
            _ => self.value(aval, splat(aval, value)),
        }
    }

    /// `name %a, %b : type`: an elementwise operation of operands of the result's type.
    pub fn elementwise(&mut self, name: &str, args: &[&Val]) -> Val {
        let names: Vec<&str> = args.iter().map(|a| a.name.as_str()).collect();
        self.value(&args[0].aval, format_args!("{name} {} : {}", names.join(", "), args[0].ty()))
    }

    /// `name %a : (type) -> type`.
    pub fn typed(&mut self, name: &str, arg: &Val, options: &str, to: &Aval) -> Val {
        self.value(to, format_args!("{name} {}{options} : ({}) -> {}", arg.name, arg.ty(), ty(to)))
    }

    /// A comparison: `direction` is `EQ`, `NE`, `LT`, `LE`, `GT` or `GE`.
    pub fn compare(&mut self, direction: &str, a: &Val, b: &Val) -> Val {
        let kind = match a.dtype() {
            DType::F32 | DType::F64 | DType::BF16 | DType::F16 => "FLOAT",
            DType::I64 | DType::I32 | DType::I16 | DType::I8 => "SIGNED",
            DType::U8 | DType::Bool => "UNSIGNED",
        };
        let to = a.aval.with_dtype(DType::Bool);
        let (t, to_ty) = (a.ty(), ty(&to));
        self.value(
            &to,
            format_args!("stablehlo.compare {direction}, {}, {}, {kind} : ({t}, {t}) -> {to_ty}", a.name, b.name),
        )
    }

    /// `a` where `condition` holds, else `b`.
    pub fn select(&mut self, condition: &Val, a: &Val, b: &Val) -> Val {
        let (c, t) = (condition.ty(), a.ty());
        self.value(&a.aval, format_args!("stablehlo.select {}, {}, {} : {c}, {t}", condition.name, a.name, b.name))
    }

    /// The numbers 0, 1, … along `dim`.
    pub fn iota(&mut self, aval: &Aval, dim: usize) -> Val {
        self.value(aval, format_args!("stablehlo.iota dim = {dim} : {}", ty(aval)))
    }

    /// `x` in another dtype.
    pub fn convert(&mut self, x: &Val, dtype: DType) -> Val {
        if x.dtype() == dtype { x.clone() } else { self.typed("stablehlo.convert", x, "", &x.aval.with_dtype(dtype)) }
    }
}

/// Names and types, with commas.
pub(crate) fn list(values: &[Val]) -> (String, String) {
    let names: Vec<&str> = values.iter().map(|v| v.name.as_str()).collect();
    let types: Vec<String> = values.iter().map(Val::ty).collect();
    (names.join(", "), types.join(", "))
}

/// Numbers with commas.
pub(crate) fn ints(v: impl IntoIterator<Item = impl Display>) -> String {
    v.into_iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}

/// `array<i64: 1, 2>`.
pub(crate) fn array(v: impl IntoIterator<Item = impl Display>) -> String {
    match ints(v) {
        s if s.is_empty() => "array<i64>".to_owned(),
        s => format!("array<i64: {s}>"),
    }
}

/// A name after `@`: letters, digits and underscores.
fn symbol(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_alphabetic()) { plain } else { format!("graph_{plain}") }
}
