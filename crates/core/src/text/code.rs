//! Graphs as the code that functorch and PyTorch print: [`Graph::code`].

use std::fmt::Write;

use super::fx::{Expr, Fx, Id, Stmt};
use super::pyrepr::string;
use super::shown::shown;
use crate::ir::{Graph, TreeSpec};

/// Whose printed form.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CodeStyle {
    /// PyTorch 2: `torch.ops.aten.sum.dim_IntList(x_1, [0])`. Trailing defaults are left out.
    #[default]
    Today,
    /// functorch in 2021: operators without overload (`torch.ops.aten.sum(x_1, [0], False)`), positional defaults said,
    /// and everything that depends on no parameter executed and stored in the module.
    Functorch2021,
}

impl Graph {
    /// The code of the graph as `make_fx(f)(*args).code` prints it.
    ///
    /// *Source*: `torch.fx.GraphModule.code`, PyTorch 2.15.
    pub fn code(&self) -> String {
        self.code_in(CodeStyle::Today)
    }

    /// The code of the graph in the form of another time.
    pub fn code_in(&self, style: CodeStyle) -> String {
        format!("\n\n\n{}    ", forward(&Fx::new(&shown(self), style)))
    }
}

/// The function `forward`.
pub(crate) fn forward(fx: &Fx) -> String {
    let params = match &fx.trees {
        Some(arguments) => arguments.clone(),
        None => fx.names[..fx.placeholders].to_vec(),
    };
    let mut out =
        format!("def forward({}):\n", ["self".to_owned()].into_iter().chain(params).collect::<Vec<_>>().join(", "));
    if let Some(line) = prologue(fx) {
        let _ = writeln!(out, "    {line}");
    }
    for (s, dead) in fx.stmts.iter().zip(fx.last_uses()) {
        let _ = writeln!(out, "    {} = {}{}", fx.names[s.id], expression(fx, s), freed(fx, &dead));
    }
    let _ = writeln!(out, "    {}", returned(fx));
    out
}

/// The right side of a statement.
pub(crate) fn expression(fx: &Fx, stmt: &Stmt) -> String {
    match &stmt.expr {
        Expr::Constant(k) => format!("self._tensor_constant{k}"),
        Expr::Apply(apply) => apply.code(&fx.names, fx.style),
        Expr::Module(module) => {
            let args: Vec<&str> = stmt.inputs.iter().map(|id| fx.names[*id].as_str()).collect();
            format!("self.{module}({})", args.join(", "))
        }
        Expr::Item(whole, k) => format!("{}[{k}]", fx.names[*whole]),
    }
}

/// `d_1, d_2, = fx_pytree.tree_flatten_spec([d], self._in_spec)` where an argument is a tree.
pub(crate) fn prologue(fx: &Fx) -> Option<String> {
    let arguments = fx.trees.as_ref()?.join(", ");
    let names = &fx.names[..fx.placeholders];
    Some(match names {
        [] => format!("fx_pytree.tree_flatten_spec([{arguments}], self._in_spec)"),
        _ => format!("{}, = fx_pytree.tree_flatten_spec([{arguments}], self._in_spec)", names.join(", ")),
    })
}

/// `;  a = b = None` for names that are not needed any more.
pub(crate) fn freed(fx: &Fx, dead: &[Id]) -> String {
    if dead.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = dead.iter().map(|id| fx.names[*id].as_str()).collect();
    format!(";  {} = None", names.join(" = "))
}

/// `return (a, b)` in the structure of the result.
pub(crate) fn returned(fx: &Fx) -> String {
    let mut names = fx.results.iter().map(|r| r.map_or("None", |id| fx.names[id].as_str()));
    if fx.trees.is_some() {
        return format!("return pytree.tree_unflatten([{}], self._out_spec)", names.collect::<Vec<_>>().join(", "));
    }
    format!("return {}", structure(&fx.graph.signature().result, &mut || names.next().unwrap_or("None").to_owned()))
}

/// A tree as Python writes it; structs are dictionaries there.
pub(crate) fn structure(tree: &TreeSpec, leaf: &mut dyn FnMut() -> String) -> String {
    let items = |v: &[TreeSpec], leaf: &mut dyn FnMut() -> String| {
        v.iter().map(|t| structure(t, leaf)).collect::<Vec<_>>().join(", ")
    };
    match tree {
        // An absent value is a leaf in Python, and `leaf` knows which one comes next.
        TreeSpec::Leaf | TreeSpec::None => leaf(),
        TreeSpec::Tuple(v) => format!("({}{})", items(v, leaf), if v.len() == 1 { "," } else { "" }),
        TreeSpec::List(v) => format!("[{}]", items(v, leaf)),
        TreeSpec::Dict(v) | TreeSpec::Struct(_, v) => {
            let fields: Vec<String> = v.iter().map(|(k, t)| format!("{}: {}", string(k), structure(t, leaf))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}
