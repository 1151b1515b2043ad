//! A graph as `torch.fx` sees it: statements with names, which `super::code` lays out.
//!
//! What differs from [`Graph`]: constants are attributes of the module, read anew for each use; an op of several
//! results is one value and an item of it for each result; parameters have Python names.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::apply::Application;
use super::code::CodeStyle;
use super::names::{Namespace, argument_name, identifier, snake_case};
use super::schema;
use crate::array::Array;
use crate::ir::{Graph, Node, TreeSpec, Value};
use crate::ops::{Call, Op};

/// The number of a name in [`Fx::names`].
pub type Id = usize;

/// `name = expression`.
pub struct Stmt<'g> {
    /// The name.
    pub id: Id,
    /// What it stands for.
    pub expr: Expr<'g>,
    /// The names in the expression, in order.
    pub inputs: SmallVec<[Id; 4]>,
    /// The node of the graph from which it comes.
    pub node: Option<usize>,
}

/// The right side of a statement.
pub enum Expr<'g> {
    /// A constant of the module, by its number: `self._tensor_constant0`.
    Constant(usize),
    /// An operator of PyTorch's: `torch.ops.aten.add.Tensor(x, y)`.
    Apply(Application<'g>),
    /// A sub-module, by its name, of the names in [`Stmt::inputs`].
    Module(String),
    /// One of the results of a statement: `sort[0]`.
    Item(Id, usize),
}

/// The statements of a graph.
pub struct Fx<'g> {
    /// The graph.
    pub graph: &'g Graph,
    /// In whose form.
    pub style: CodeStyle,
    /// All names; the placeholders come first.
    pub names: Vec<String>,
    /// For each name, the value of the graph that it stands for.
    pub values: Vec<Option<Value>>,
    /// The number of placeholders.
    pub placeholders: usize,
    /// The names of the function's arguments where one of them is a tree.
    pub trees: Option<Vec<String>>,
    /// The statements.
    pub stmts: Vec<Stmt<'g>>,
    /// What stands at each leaf of the result, with `None` for an absent one.
    pub results: Vec<Option<Id>>,
    /// The module's constants, `_tensor_constant0`, ….
    pub constants: Vec<Arc<Array>>,
    /// The module's sub-modules.
    pub modules: Vec<(String, &'g Call)>,
}

impl<'g> Fx<'g> {
    /// The statements of `graph`.
    pub fn new(graph: &'g Graph, style: CodeStyle) -> Self {
        let fx = Fx {
            graph,
            style,
            names: Vec::new(),
            values: Vec::new(),
            placeholders: 0,
            trees: None,
            stmts: Vec::new(),
            results: Vec::new(),
            constants: Vec::new(),
            modules: Vec::new(),
        };
        let mut ctx = Ctx {
            fx,
            names: Namespace::default(),
            defs: vec![None; graph.num_values()],
            constant_index: FxHashMap::default(),
            constant_names: Vec::new(),
            module_names: Namespace::default(),
            module_index: FxHashMap::default(),
        };
        ctx.params();
        for i in 0..graph.nodes().len() {
            ctx.node(i);
        }
        ctx.results();
        ctx.fx
    }

    /// For each statement, the names that are used there for the last time; today also its own, if it is never used.
    ///
    /// *Source*: `torch.fx.graph.CodeGen._gen_python_code`, `delete_unused_values`.
    pub fn last_uses(&self) -> Vec<SmallVec<[Id; 4]>> {
        let mut used = vec![false; self.names.len()];
        for id in self.results.iter().flatten() {
            used[*id] = true;
        }
        let mut out = vec![SmallVec::new(); self.stmts.len()];
        for (s, dead) in self.stmts.iter().zip(&mut out).rev() {
            let unused = self.style == CodeStyle::Today && !used[s.id];
            for id in &s.inputs {
                if !std::mem::replace(&mut used[*id], true) {
                    dead.push(*id);
                }
            }
            if unused {
                dead.push(s.id);
            }
        }
        out
    }
}

/// What a value of the graph is in the statements.
#[derive(Clone)]
enum Def {
    Name(Id),
    Constant(Arc<Array>),
}

struct Ctx<'g> {
    fx: Fx<'g>,
    names: Namespace,
    defs: Vec<Option<Def>>,
    /// By the address of the array.
    constant_index: FxHashMap<usize, usize>,
    /// For each constant, the name under which it was read.
    constant_names: Vec<Id>,
    module_names: Namespace,
    module_index: FxHashMap<(&'g Graph, bool), String>,
}

impl<'g> Ctx<'g> {
    fn define(&mut self, candidate: &str, value: Option<Value>) -> Id {
        self.fx.names.push(self.names.create(candidate));
        self.fx.values.push(value);
        self.fx.names.len() - 1
    }

    /// Placeholders: `x_1` for a tensor; for a tree `d_1`, `d_2`, …. An absent tensor is a leaf in Python.
    fn params(&mut self) {
        let graph = self.fx.graph;
        let signature = graph.signature();
        let mut leaves = graph.params().iter();
        for (name, tree) in signature.names.iter().zip(&signature.params) {
            for (k, is_tensor) in python_leaves(tree).into_iter().enumerate() {
                let value = if is_tensor { leaves.next().copied() } else { None };
                let id = self.define(&format!("{}_{}", identifier(name), k + 1), value);
                if let Some(v) = value {
                    self.defs[v.index()] = Some(Def::Name(id));
                }
            }
        }
        self.fx.placeholders = self.fx.names.len();
        if signature.params.iter().any(|t| !matches!(t, TreeSpec::Leaf | TreeSpec::None)) {
            // Arguments live beside the placeholders in the same function.
            self.fx.trees = Some(signature.names.iter().map(|n| self.names.create(&argument_name(n))).collect());
        }
    }

    fn node(&mut self, i: usize) {
        let n = &self.fx.graph.nodes()[i];
        if let Op::Constant(c) = &n.op {
            self.defs[n.results[0].index()] = Some(Def::Constant(c.value.clone()));
            return;
        }
        if self.fx.style == CodeStyle::Functorch2021 && self.execute(n) {
            return;
        }
        let mut operands = SmallVec::new();
        for v in &n.args {
            operands.push(self.read(*v, Some(i)));
        }
        let many = n.results.len() != 1;
        let (candidate, expr, many) = match &n.op {
            Op::Call(call) => match Application::of_call(call, &operands) {
                Some(apply) => (snake_case(apply.schema.name), Expr::Apply(apply), many),
                None => {
                    let module = self.module(call);
                    (module.clone(), Expr::Module(module), many)
                }
            },
            op => {
                let schema = schema::parse(op.prim().schema()).expect("primitives have schemas");
                let (name, many) = (snake_case(schema.name), schema.many);
                let apply = Application::new(schema, op.prim().attrs(), &operands);
                (name, Expr::Apply(apply.expect("primitives take their schemas' operands")), many)
            }
        };
        let whole = self.define(&candidate, if many { None } else { n.results.first().copied() });
        self.fx.stmts.push(Stmt { id: whole, expr, inputs: operands, node: Some(i) });
        if !many {
            self.defs[n.results[0].index()] = Some(Def::Name(whole));
            return;
        }
        for (k, v) in n.results.iter().enumerate() {
            let item = self.define("getitem", Some(*v));
            self.fx.stmts.push(Stmt {
                id: item,
                expr: Expr::Item(whole, k),
                inputs: SmallVec::from_iter([whole]),
                node: Some(i),
            });
            self.defs[v.index()] = Some(Def::Name(item));
        }
    }

    /// Computes a node that depends on no parameter, as functorch did in 2021; `false` if it depends on one or has no
    /// value.
    fn execute(&mut self, n: &Node) -> bool {
        let args: Option<Vec<Arc<Array>>> = n
            .args
            .iter()
            .map(|v| match &self.defs[v.index()] {
                Some(Def::Constant(a)) => Some(a.clone()),
                Some(Def::Name(_)) | None => None,
            })
            .collect();
        let Some(args) = args else { return false };
        let refs: Vec<&Array> = args.iter().map(Arc::as_ref).collect();
        let Ok(results) = n.op.prim().eval(&refs) else { return false };
        for (v, r) in n.results.iter().zip(results) {
            self.defs[v.index()] = Some(Def::Constant(Arc::new(r)));
        }
        true
    }

    /// The name of a value where it is used; a constant is read from the module where it is used first, and in 2021 at each use.
    fn read(&mut self, v: Value, node: Option<usize>) -> Id {
        let array = match self.defs[v.index()].as_ref().expect("I1: defined before use") {
            Def::Name(id) => return *id,
            Def::Constant(array) => array.clone(),
        };
        let next = self.fx.constants.len();
        let k = *self.constant_index.entry(Arc::as_ptr(&array) as usize).or_insert(next);
        if k == next {
            self.fx.constants.push(array);
        } else if self.fx.style == CodeStyle::Today {
            return self.constant_names[k];
        }
        let id = self.define(&format!("_tensor_constant{k}"), Some(v));
        if k == next {
            self.constant_names.push(id);
        }
        self.fx.stmts.push(Stmt { id, expr: Expr::Constant(k), inputs: SmallVec::new(), node });
        id
    }

    fn results(&mut self) {
        let graph = self.fx.graph;
        let mut leaves = graph.results().iter();
        for is_tensor in python_leaves(&graph.signature().result) {
            let v = if is_tensor { leaves.next() } else { None };
            let id = v.map(|v| self.read(*v, None));
            self.fx.results.push(id);
        }
    }

    /// The attribute of the module that holds the graph of a call; equal graphs share one.
    fn module(&mut self, call: &'g Call) -> String {
        let key = (call.body.as_ref(), call.has_forward());
        if let Some(name) = self.module_index.get(&key) {
            return name.clone();
        }
        let name = self.module_names.create(&format!("{}_0", identifier(call.function())));
        self.module_index.insert(key, name.clone());
        self.fx.modules.push((name.clone(), call));
        name
    }
}

/// The leaves of a tree as Python sees them: tensors, and what is absent.
fn python_leaves(tree: &TreeSpec) -> Vec<bool> {
    match tree {
        TreeSpec::Leaf => vec![true],
        TreeSpec::None => vec![false],
        tree => tree.children().into_iter().flat_map(python_leaves).collect(),
    }
}
