//! Trees of tensors: the structure of arguments and results.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The structure of a tree whose leaves are tensors.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TreeSpec {
    /// One tensor.
    #[default]
    Leaf,
    /// Nothing: `()` or an absent `Option`.
    None,
    /// A tuple.
    Tuple(Vec<TreeSpec>),
    /// An array or `Vec`.
    List(Vec<TreeSpec>),
    /// An ordered map with string keys.
    Dict(Vec<(String, TreeSpec)>),
    /// A struct: its name and its fields.
    Struct(String, Vec<(String, TreeSpec)>),
}

impl TreeSpec {
    /// The number of tensors.
    pub fn num_leaves(&self) -> usize {
        match self {
            TreeSpec::Leaf => 1,
            TreeSpec::None => 0,
            TreeSpec::Tuple(v) | TreeSpec::List(v) => v.iter().map(TreeSpec::num_leaves).sum(),
            TreeSpec::Dict(v) | TreeSpec::Struct(_, v) => v.iter().map(|(_, t)| t.num_leaves()).sum(),
        }
    }

    /// The direct children.
    pub fn children(&self) -> Vec<&TreeSpec> {
        match self {
            TreeSpec::Leaf | TreeSpec::None => Vec::new(),
            TreeSpec::Tuple(v) | TreeSpec::List(v) => v.iter().collect(),
            TreeSpec::Dict(v) | TreeSpec::Struct(_, v) => v.iter().map(|(_, t)| t).collect(),
        }
    }
}

impl fmt::Display for TreeSpec {
    /// `*` for a tensor, `(*, [*, *])`, `{w: *}`, `Params{w: *, b: *}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, v: &[(String, TreeSpec)]| {
            f.write_str("{")?;
            for (i, (k, t)) in v.iter().enumerate() {
                write!(f, "{}{k}: {t}", if i > 0 { ", " } else { "" })?;
            }
            f.write_str("}")
        };
        let items = |f: &mut fmt::Formatter<'_>, v: &[TreeSpec]| {
            for (i, t) in v.iter().enumerate() {
                write!(f, "{}{t}", if i > 0 { ", " } else { "" })?;
            }
            Ok(())
        };
        match self {
            TreeSpec::Leaf => f.write_str("*"),
            TreeSpec::None => f.write_str("none"),
            TreeSpec::Tuple(v) => {
                f.write_str("(")?;
                items(f, v)?;
                f.write_str(if v.len() == 1 { ",)" } else { ")" })
            }
            TreeSpec::List(v) => {
                f.write_str("[")?;
                items(f, v)?;
                f.write_str("]")
            }
            TreeSpec::Dict(v) => fields(f, v),
            TreeSpec::Struct(name, v) => {
                f.write_str(name)?;
                fields(f, v)
            }
        }
    }
}
