//! Values by name, in order: parameters and buffers outside of their module.

use std::fmt;
use std::ops::Index;

use cotangent_core::Tensor;
use cotangent_core::ir::TreeSpec;
use indexmap::IndexMap;

use crate::tree::Tree;

/// The parameters or buffers of a module under PyTorch's dotted names, in PyTorch's order.
pub type State = Named<Tensor>;

/// Values with different names, in the order in which they were inserted. A tree.
///
/// ```
/// use cotangent::nn::State;
/// use cotangent::prelude::*;
///
/// let state = State::from_iter([("weight", Tensor::from([1.0f32])), ("bias", Tensor::from([2.0f32]))]);
/// assert_eq!(state.names().collect::<Vec<_>>(), ["weight", "bias"]);
/// assert_eq!(state["bias"].shape(), &Shape::from([1]));
/// assert!(state.get("scale").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Named<T> {
    items: IndexMap<String, T>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named { items: IndexMap::new() }
    }
}

impl<T> Named<T> {
    /// No values.
    pub fn new() -> Self {
        Named::default()
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.items.get(name)
    }

    /// Gives `name` a value, at its old place or at the end; returns the old value.
    pub fn insert(&mut self, name: impl Into<String>, value: T) -> Option<T> {
        self.items.insert(name.into(), value)
    }

    /// Takes the value of `name` out.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        self.items.shift_remove(name)
    }

    /// The names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.items.iter().map(|(n, x)| (n.as_str(), x))
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(String::as_str)
    }

    /// The values in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.items.values()
    }

    /// These values and those of `other`, which replace values of the same name.
    pub fn merged(mut self, other: Self) -> Self {
        self.items.extend(other.items);
        self
    }
}

impl<T> Index<&str> for Named<T> {
    type Output = T;

    /// The value of this name.
    ///
    /// *Panics* if there is none; [`Named::get`] does not.
    fn index(&self, name: &str) -> &T {
        self.get(name).unwrap_or_else(|| panic!("no value is named `{name}`"))
    }
}

/// Of values with the same name the last one counts.
impl<N: Into<String>, T> FromIterator<(N, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (N, T)>>(items: I) -> Self {
        Named { items: items.into_iter().map(|(name, x)| (name.into(), x)).collect() }
    }
}

impl<T> IntoIterator for Named<T> {
    type Item = (String, T);
    type IntoIter = indexmap::map::IntoIter<String, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<A: Tree> Tree for Named<A> {
    type Map<T: Tree> = Named<A::Map<T>>;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        TreeSpec::Dict(self.items.iter().map(|(k, a)| (k.clone(), a.push_leaves(leaves))).collect())
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        let TreeSpec::Dict(items) = spec else { return false };
        let same = |((k, a), (name, s)): ((&String, &'a A), &(String, TreeSpec))| k == name && a.visit_leaves(s, visit);
        items.len() == self.items.len() && self.items.iter().zip(items).all(same)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        let TreeSpec::Dict(items) = spec else { return false };
        let same = |((k, a), (name, s)): ((&String, &'a mut A), &(String, TreeSpec))| {
            k == name && a.visit_leaves_mut(s, visit)
        };
        items.len() == self.items.len() && self.items.iter_mut().zip(items).all(same)
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        let TreeSpec::Dict(items) = spec else { return None };
        let items = items.iter().map(|(k, s)| Some((k.clone(), A::from_leaves(s, leaves)?)));
        Some(Named { items: items.collect::<Option<_>>()? })
    }
}

/// One line for each value: its name, dtype and shape.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, x)) in self.iter().enumerate() {
            write!(f, "{}{name}: {}", if i > 0 { "\n" } else { "" }, x.aval())?;
        }
        Ok(())
    }
}
