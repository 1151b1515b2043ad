//! Trees of tensors: what functions take and return.

use cotangent_core::Tensor;
use cotangent_core::error::Error;
use cotangent_core::ir::TreeSpec;

/// A value made of tensors: a [`Tensor`], a tuple, array, `Vec`, `Option`, `Box`, `BTreeMap<String, _>` of trees, or a
/// struct with `#[derive(Tree)]`.
///
/// A tree is taken apart into its tensors, the *leaves*, and a [`TreeSpec`], and put together again.
///
/// ```
/// use cotangent::prelude::*;
///
/// #[derive(Tree)]
/// struct Layer {
///     w: Tensor,
///     b: Option<Tensor>,
/// }
/// let layer = Layer { w: Tensor::from(1.0f32), b: None };
/// assert_eq!(layer.tree_spec().to_string(), "Layer{w: *, b: none}");
/// ```
///
/// An enum is no tree, because its structure depends on its value; nor is a struct with a field that is none:
///
/// ```compile_fail
/// # use cotangent::prelude::*;
/// #[derive(Tree)]
/// enum Layer {
///     Linear(Tensor),
/// }
/// ```
///
/// ```compile_fail
/// # use cotangent::prelude::*;
/// #[derive(Tree)]
/// struct Layer {
///     name: String,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tree of tensors",
    label = "not a tree of tensors",
    note = "arguments and results of transformed functions are `Tensor`s, or tuples, arrays, `Vec`s, `Option`s, `Box`es, `BTreeMap<String, _>`s and `#[derive(Tree)]` structs of them",
    note = "a plain number or configuration can be captured by the closure instead"
)]
pub trait Tree: Sized {
    /// The same structure with a `T` in place of each tensor: what `jacrev` returns for a function with this result.
    type Map<T: Tree>: Tree;

    /// Appends the leaves in order and returns the structure.
    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec;

    /// Visits the leaves in order if the structure is `spec`; `false`, after some of the leaves or none, if it is another.
    ///
    /// It allocates nothing: what a call of a compiled function does in place of [`Tree::push_leaves`].
    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool;

    /// As [`Tree::visit_leaves`], with leaves that may be replaced: what a call that writes into old results does.
    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool;

    /// The tree of this structure with the next of `leaves`; `None` if the structure is of another type or the
    /// leaves run out.
    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self>;

    /// The leaves in order, and the structure.
    fn to_leaves(&self) -> (Vec<Tensor>, TreeSpec) {
        let mut leaves = Vec::new();
        let spec = self.push_leaves(&mut leaves);
        (leaves, spec)
    }

    /// The structure.
    fn tree_spec(&self) -> TreeSpec {
        self.to_leaves().1
    }

    /// The same tree with `f` applied to each leaf.
    fn map_leaves(&self, f: impl FnMut(&Tensor) -> Tensor) -> Self {
        let (leaves, spec) = self.to_leaves();
        assemble(&spec, leaves.iter().map(f))
    }
}

/// Puts a tree together whose structure is known to be of type `T`.
pub(crate) fn assemble<T: Tree>(spec: &TreeSpec, leaves: impl IntoIterator<Item = Tensor>) -> T {
    T::from_leaves(spec, &mut leaves.into_iter()).expect("the structure comes from a tree of this type")
}

/// The leaves, or the first error that one of them stands for.
pub(crate) fn checked_leaves<T: Tree>(tree: &T) -> Result<(Vec<Tensor>, TreeSpec), Error> {
    let (leaves, spec) = tree.to_leaves();
    match leaves.iter().find_map(Tensor::error) {
        Some(e) => Err(e.clone()),
        None => Ok((leaves, spec)),
    }
}

/// The structure `outer` with `inner` in place of each leaf.
pub(crate) fn nest(outer: &TreeSpec, inner: &TreeSpec) -> TreeSpec {
    let all = |v: &[TreeSpec]| v.iter().map(|t| nest(t, inner)).collect();
    let fields = |v: &[(String, TreeSpec)]| v.iter().map(|(k, t)| (k.clone(), nest(t, inner))).collect();
    match outer {
        TreeSpec::Leaf => inner.clone(),
        TreeSpec::None => TreeSpec::None,
        TreeSpec::Tuple(v) => TreeSpec::Tuple(all(v)),
        TreeSpec::List(v) => TreeSpec::List(all(v)),
        TreeSpec::Dict(v) => TreeSpec::Dict(fields(v)),
        TreeSpec::Struct(name, v) => TreeSpec::Struct(name.clone(), fields(v)),
    }
}
