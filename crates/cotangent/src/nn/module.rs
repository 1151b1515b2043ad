//! The module: a value made of named tensors.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};

use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::error::{Mismatch, StateError};
use super::named::State;

/// A part of a module.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A tensor that is trained.
    Parameter(&'a Tensor),
    /// A tensor that belongs to the module but is not trained.
    Buffer(&'a Tensor),
    /// A module of its own.
    Module(&'a dyn Module),
}

/// A part of a module, to be changed.
pub enum PartMut<'a> {
    /// A tensor that is trained.
    Parameter(&'a mut Tensor),
    /// A tensor that belongs to the module but is not trained.
    Buffer(&'a mut Tensor),
    /// A module of its own.
    Module(&'a mut dyn Module),
}

/// A value made of parameters, buffers and modules, each with a name: the impl comes from `#[derive(Module)]`.
///
/// A module is data, and it is trained and transformed through its state: [`Module::parameters`] takes the parameters
/// out as a tree, and [`Module::with`] makes a module of others, for instance of traced ones.
///
/// ```
/// use cotangent::nn::{Layer, Linear, Module};
/// use cotangent::prelude::*;
/// use cotangent::random::Keys;
///
/// #[derive(Clone, Module)]
/// struct Net {
///     hidden: Linear,
///     out: Linear,
/// }
///
/// impl Layer for Net {
///     fn forward(&self, x: &Tensor) -> Tensor {
///         self.out.forward(&self.hidden.forward(x).tanh())
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// let mut keys = Keys::new(0);
/// let net = Net { hidden: Linear::new(2, 8, &mut keys), out: Linear::new(8, 1, &mut keys) };
/// let params = net.parameters();
/// assert_eq!(params.names().collect::<Vec<_>>(), ["hidden.weight", "hidden.bias", "out.weight", "out.bias"]);
///
/// let x = Tensor::from([[1.0f32, 2.0]]);
/// let grads = grad(|params| Ok::<_, Error>(net.with(&params)?.forward(&x).sum())).call((params,))?;
/// assert_eq!(grads["out.bias"].to_vec::<f32>()?, [1.0]);
/// # Ok(())
/// # }
/// ```
pub trait Module: Any {
    /// The name that is printed.
    fn class_name(&self) -> String;

    /// The parts and their names, in order.
    fn members(&self) -> Vec<(String, Part<'_>)>;

    /// The parts and their names, in order, to be changed.
    fn members_mut(&mut self) -> Vec<(String, PartMut<'_>)>;

    /// What stands between the brackets when the module is printed: `in_features=2, out_features=8, bias=True`.
    fn extra_repr(&self) -> String {
        String::new()
    }

    /// Tied tensors, as pairs of dotted names below this module: an alias and its original, which have one value.
    fn ties(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// The parameters under their dotted names; of tied ones only the original.
    fn parameters(&self) -> State
    where
        Self: Sized,
    {
        state(self, Kind::Parameter)
    }

    /// The buffers under their dotted names.
    fn buffers(&self) -> State
    where
        Self: Sized,
    {
        state(self, Kind::Buffer)
    }

    /// All parameters, aliases too, and buffers, in the order of PyTorch's `state_dict`.
    fn state_dict(&self) -> State
    where
        Self: Sized,
    {
        let mut out = State::new();
        walk(self, "", &mut |name, _, x| drop(out.insert(name, x.clone())));
        out
    }

    /// The number of numbers in all parameters.
    fn num_parameters(&self) -> usize
    where
        Self: Sized,
    {
        self.parameters().values().map(Tensor::numel).sum()
    }

    /// This module with the tensors of `state` in place of its own; names that are not given stay.
    ///
    /// *Errors*: [`StateError::Names`] a name that the module does not have, or another shape;
    /// [`StateError::Tied`] more than one value for tied tensors.
    fn with(&self, state: &State) -> Result<Self, StateError>
    where
        Self: Sized + Clone,
    {
        let mut out = self.clone();
        fill(&mut out, state, Strictness::Partial, Keep::Given)?;
        Ok(out)
    }

    /// As [`Module::with`], but a tied tensor is one tensor under each of its names: a name that is given is replaced alone.
    ///
    /// *Errors*: [`StateError::Names`] as [`Module::with`].
    fn with_untied(&self, state: &State) -> Result<Self, StateError>
    where
        Self: Sized + Clone,
    {
        let mut out = self.clone();
        fill(&mut out, state, Strictness::Untied, Keep::Given)?;
        Ok(out)
    }

    /// As [`Module::with`], and each name has to be given; of tied ones, one.
    ///
    /// *Errors*: as [`Module::with`]; missing names.
    fn with_all(&self, state: &State) -> Result<Self, StateError>
    where
        Self: Sized + Clone,
    {
        let mut out = self.clone();
        fill(&mut out, state, Strictness::Whole, Keep::Given)?;
        Ok(out)
    }

    /// Takes the values of `state`, converted to the dtypes of this module, as PyTorch's `load_state_dict` does.
    ///
    /// *Errors*: as [`Module::with_all`], but tied names may all be given; the module is then unchanged.
    fn load_state_dict(&mut self, state: &State) -> Result<(), StateError>
    where
        Self: Sized,
    {
        fill(self, state, Strictness::File, Keep::Own)
    }

    /// This module with its floats in another dtype.
    fn to_dtype(mut self, dtype: DType) -> Self
    where
        Self: Sized,
    {
        walk_mut(&mut self, "", &mut |_, x| {
            if x.dtype().is_float() {
                *x = x.convert(dtype);
            }
        });
        self
    }
}

/// What a field of a module may be: a parameter, a module, or an absent one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no parameter and no module",
    label = "neither a tensor nor a module",
    note = "a tensor that is not trained is marked `#[module(buffer)]`, any other value `#[module(config)]`"
)]
pub trait Member {
    /// The part, if there is one.
    fn part(&self) -> Option<Part<'_>>;

    /// The part, to be changed.
    fn part_mut(&mut self) -> Option<PartMut<'_>>;
}

impl Member for Tensor {
    fn part(&self) -> Option<Part<'_>> {
        Some(Part::Parameter(self))
    }

    fn part_mut(&mut self) -> Option<PartMut<'_>> {
        Some(PartMut::Parameter(self))
    }
}

impl<M: Module> Member for M {
    fn part(&self) -> Option<Part<'_>> {
        Some(Part::Module(self))
    }

    fn part_mut(&mut self) -> Option<PartMut<'_>> {
        Some(PartMut::Module(self))
    }
}

impl<M: Member> Member for Option<M> {
    fn part(&self) -> Option<Part<'_>> {
        self.as_ref()?.part()
    }

    fn part_mut(&mut self) -> Option<PartMut<'_>> {
        self.as_mut()?.part_mut()
    }
}

/// What a field marked `#[module(buffer)]` may be.
pub trait Buffer {
    /// The buffer, if there is one.
    fn buffer(&self) -> Option<Part<'_>>;

    /// The buffer, to be changed.
    fn buffer_mut(&mut self) -> Option<PartMut<'_>>;
}

impl Buffer for Tensor {
    fn buffer(&self) -> Option<Part<'_>> {
        Some(Part::Buffer(self))
    }

    fn buffer_mut(&mut self) -> Option<PartMut<'_>> {
        Some(PartMut::Buffer(self))
    }
}

impl Buffer for Option<Tensor> {
    fn buffer(&self) -> Option<Part<'_>> {
        self.as_ref().map(Part::Buffer)
    }

    fn buffer_mut(&mut self) -> Option<PartMut<'_>> {
        self.as_mut().map(PartMut::Buffer)
    }
}

/// Members under their numbers: PyTorch's `ModuleList` and `ParameterList`.
macro_rules! list_module {
    ($t:ty $(, const $n:ident: $size:ty)?) => {
        impl<M: Member + 'static $(, const $n: $size)?> Module for $t {
            fn class_name(&self) -> String {
                "ModuleList".to_owned()
            }

            fn members(&self) -> Vec<(String, Part<'_>)> {
                self.iter().enumerate().filter_map(|(i, m)| Some((i.to_string(), m.part()?))).collect()
            }

            fn members_mut(&mut self) -> Vec<(String, PartMut<'_>)> {
                self.iter_mut().enumerate().filter_map(|(i, m)| Some((i.to_string(), m.part_mut()?))).collect()
            }
        }
    };
}
list_module!(Vec<M>);
list_module!([M; N], const N: usize);

/// Members under their keys: PyTorch's `ModuleDict`.
impl<M: Member + 'static> Module for BTreeMap<String, M> {
    fn class_name(&self) -> String {
        "ModuleDict".to_owned()
    }

    fn members(&self) -> Vec<(String, Part<'_>)> {
        self.iter().filter_map(|(k, m)| Some((k.clone(), m.part()?))).collect()
    }

    fn members_mut(&mut self) -> Vec<(String, PartMut<'_>)> {
        self.iter_mut().filter_map(|(k, m)| Some((k.clone(), m.part_mut()?))).collect()
    }
}

/// Whether a tensor is trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Parameter,
    Buffer,
}

/// Which names a state has to give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// Any.
    Partial,
    /// Any; tied ones are names as others.
    Untied,
    /// All; of tied ones, one.
    Whole,
    /// All; of tied ones, any number, as files have them.
    File,
}

/// Whose dtype a replaced tensor has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Given,
    Own,
}

fn dotted(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Calls `f` with each tensor: of each module its parameters, its buffers, and then those of its modules.
pub(crate) fn walk<'a>(module: &'a dyn Module, prefix: &str, f: &mut dyn FnMut(String, Kind, &'a Tensor)) {
    let members = module.members();
    for kind in [Kind::Parameter, Kind::Buffer] {
        for (name, part) in &members {
            match part {
                Part::Parameter(x) if kind == Kind::Parameter => f(dotted(prefix, name), kind, x),
                Part::Buffer(x) if kind == Kind::Buffer => f(dotted(prefix, name), kind, x),
                Part::Parameter(_) | Part::Buffer(_) | Part::Module(_) => {}
            }
        }
    }
    for (name, part) in members {
        if let Part::Module(m) = part {
            walk(m, &dotted(prefix, &name), f);
        }
    }
}

/// Calls `f` with each tensor, to be changed; in any order.
pub(crate) fn walk_mut(module: &mut dyn Module, prefix: &str, f: &mut dyn FnMut(&str, &mut Tensor)) {
    for (name, part) in module.members_mut() {
        let name = dotted(prefix, &name);
        match part {
            PartMut::Parameter(x) | PartMut::Buffer(x) => f(&name, x),
            PartMut::Module(m) => walk_mut(m, &name, f),
        }
    }
}

/// The original of each alias, under dotted names below `module`.
fn all_ties(module: &dyn Module, prefix: &str, out: &mut HashMap<String, String>) {
    out.extend(module.ties().into_iter().map(|(a, o)| (dotted(prefix, &a), dotted(prefix, &o))));
    for (name, part) in module.members() {
        if let Part::Module(m) = part {
            all_ties(m, &dotted(prefix, &name), out);
        }
    }
}

pub(crate) fn state(module: &dyn Module, kind: Kind) -> State {
    let mut ties = HashMap::new();
    all_ties(module, "", &mut ties);
    let mut out = State::new();
    walk(module, "", &mut |name, k, x| {
        if k == kind && !ties.contains_key(&name) {
            out.insert(name, x.clone());
        }
    });
    out
}

/// Puts the tensors of `state` in the places of their names, or changes nothing and reports all that does not fit.
fn fill(module: &mut dyn Module, state: &State, strictness: Strictness, keep: Keep) -> Result<(), StateError> {
    let mut ties = HashMap::new();
    if strictness != Strictness::Untied {
        all_ties(module, "", &mut ties);
    }
    let original = |name: &str| ties.get(name).cloned().unwrap_or_else(|| name.to_owned());
    let mut given: HashMap<String, &Tensor> = HashMap::new();
    for (name, x) in state.iter() {
        let root = original(name);
        if given.insert(root.clone(), x).is_some() && strictness != Strictness::File {
            let names = state.names().filter(|n| original(n) == root).map(str::to_owned).collect();
            return Err(StateError::Tied { module: module.class_name(), names });
        }
    }
    let (mut missing, mut shapes) = (Vec::new(), Vec::new());
    let mut known = std::collections::HashSet::new();
    walk(module, "", &mut |name, _, own| {
        match given.get(&original(&name)) {
            Some(x) if x.shape() != own.shape() => {
                shapes.push(Mismatch { name: name.clone(), expected: own.shape().clone(), found: x.shape().clone() });
            }
            Some(_) => {}
            None => missing.push(name.clone()),
        }
        known.insert(name);
    });
    let unexpected: Vec<String> = state.names().filter(|n| !known.contains(*n)).map(str::to_owned).collect();
    match strictness {
        Strictness::Partial | Strictness::Untied => missing.clear(),
        Strictness::Whole | Strictness::File => {}
    }
    if !(missing.is_empty() && unexpected.is_empty() && shapes.is_empty()) {
        return Err(StateError::Names { module: module.class_name(), missing, unexpected, shapes });
    }
    walk_mut(module, "", &mut |name, own| {
        if let Some(x) = given.get(&original(name)) {
            *own = if keep == Keep::Own { x.convert(own.dtype()) } else { (*x).clone() };
        }
    });
    Ok(())
}
