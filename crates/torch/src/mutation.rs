//! Operators that write in place, in programs that were not decomposed: `add_`, `relu_`, `copy_`.
//!
//! A graph has no storages: the written value takes the place of the old one under its name, under the names of what it is
//! a view of, and under those of all other views of that.

use cotangent_core::ir::DType;

use crate::schema::{Argument, NodeJson};

/// The operator that computes what an operator in place writes.
pub(crate) fn functional(target: &str) -> Option<String> {
    let rest = target.strip_prefix("aten.")?;
    let (name, overload) = rest.split_once('.')?;
    let of_python = match name {
        "__iand__" => Some("bitwise_and"),
        "__ior__" => Some("bitwise_or"),
        "__ixor__" => Some("bitwise_xor"),
        "__ilshift__" => Some("bitwise_left_shift"),
        "__irshift__" => Some("bitwise_right_shift"),
        _ => None,
    };
    let name = of_python.or_else(|| name.strip_suffix('_').filter(|n| !n.is_empty() && !n.ends_with('_')))?;
    let name = match name {
        "normal" => "normal_functional",
        "_index_put_impl" => "index_put",
        _ => name,
    };
    Some(format!("aten.{name}.{overload}"))
}

/// How the results of an operator lie in the memory of its operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sharing {
    /// They are views.
    View,
    /// They are views where the operand's strides allow it, which is not known here.
    Perhaps,
}

/// Whether the results of `target` share the memory of its first operand.
pub(crate) fn sharing(target: &str) -> Option<Sharing> {
    let (name, _) = target.strip_prefix("aten.")?.split_once('.')?;
    match name {
        "alias" | "detach" | "view" | "view_as" | "select" | "slice" | "narrow" | "transpose" | "permute" | "t"
        | "numpy_T" | "mT" | "unsqueeze" | "squeeze" | "expand" | "expand_as" | "diagonal" | "unfold" | "movedim"
        | "moveaxis" | "swapaxes" | "swapdims" | "unflatten" | "split" | "split_with_sizes" | "chunk"
        | "tensor_split" | "hsplit" | "vsplit" | "dsplit" | "unbind" => Some(Sharing::View),
        "reshape" | "reshape_as" | "flatten" | "ravel" | "contiguous" | "to" | "as_strided" => Some(Sharing::Perhaps),
        _ => None,
    }
}

/// A name for memory that another name has too.
#[derive(Clone)]
pub(crate) struct View<'g> {
    pub name: &'g str,
    pub base: &'g str,
    /// The operator that makes the view, and which of its results it is; the base itself where there is none.
    pub made: Option<(&'g NodeJson, usize)>,
    pub sharing: Sharing,
}

/// The views that `node` makes.
pub(crate) fn views<'g>(node: &'g NodeJson, target: &str) -> Vec<View<'g>> {
    let Some(base) = first_tensor(node) else { return Vec::new() };
    let name = |a: &'g Argument| -> Vec<&'g str> {
        match a {
            Argument::Tensor(n) => vec![n.as_str()],
            Argument::Tensors(v) => v.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    };
    let names = node.outputs.iter().flat_map(name);
    if functional(target).is_some() {
        return names.map(|name| View { name, base, made: None, sharing: Sharing::View }).collect();
    }
    let Some(sharing) = sharing(target) else { return Vec::new() };
    names.enumerate().map(|(i, name)| View { name, base, made: Some((node, i)), sharing }).collect()
}

/// The name of the first operand, which is the one that is written or shared.
pub(crate) fn first_tensor(node: &NodeJson) -> Option<&str> {
    match node.inputs.first().map(|a| &a.arg) {
        Some(Argument::Tensor(n)) => Some(n),
        _ => None,
    }
}

/// The dtype of places in memory.
pub(crate) const PLACES: DType = DType::I64;

#[cfg(test)]
mod tests {
    use super::functional;

    #[test]
    fn names_of_operators_in_place() {
        assert_eq!(functional("aten.add_.Tensor").as_deref(), Some("aten.add.Tensor"));
        assert_eq!(functional("aten.normal_.default").as_deref(), Some("aten.normal_functional.default"));
        assert_eq!(functional("aten.add.Tensor"), None);
        assert_eq!(functional("aten.__and__.Tensor"), None);
        assert_eq!(functional("aten.__ior__.Scalar").as_deref(), Some("aten.bitwise_or.Scalar"));
    }
}
