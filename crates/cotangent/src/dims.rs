//! `in_dims` and `out_dims`: which dimension is mapped, for each part of a tree.

use std::collections::BTreeMap;
use std::fmt;

use cotangent_core::ir::TreeSpec;

/// A prefix of a tree with a dimension (or none) for each part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DimTree {
    /// One dimension for all tensors below, negative from the end; `None` if they are not mapped.
    Dim(Option<i64>),
    /// One for each item of a tuple.
    Tuple(Vec<DimTree>),
    /// One for each item of an array or `Vec`.
    List(Vec<DimTree>),
    /// One for each entry of a map, or field of a struct.
    Dict(Vec<(String, DimTree)>),
}

/// What may be given as `in_dims` or `out_dims`: `0`, `Some(0)`, `None`, and tuples, arrays, `Vec`s and maps of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which dimension is mapped",
    note = "give an integer, `Some(dim)`, `None`, or a tuple, array, `Vec` or `BTreeMap<String, _>` of these"
)]
pub trait IntoDims {
    /// The dims as a tree.
    fn into_dims(self) -> DimTree;
}

impl IntoDims for DimTree {
    fn into_dims(self) -> DimTree {
        self
    }
}

impl IntoDims for i64 {
    fn into_dims(self) -> DimTree {
        DimTree::Dim(Some(self))
    }
}

// The only impl for an `Option`, so that `None` needs no type.
impl IntoDims for Option<i64> {
    fn into_dims(self) -> DimTree {
        DimTree::Dim(self)
    }
}

impl<D: IntoDims> IntoDims for Vec<D> {
    fn into_dims(self) -> DimTree {
        DimTree::List(self.into_iter().map(D::into_dims).collect())
    }
}

impl<D: IntoDims, const N: usize> IntoDims for [D; N] {
    fn into_dims(self) -> DimTree {
        DimTree::List(self.into_iter().map(D::into_dims).collect())
    }
}

impl<D: IntoDims> IntoDims for BTreeMap<String, D> {
    fn into_dims(self) -> DimTree {
        DimTree::Dict(self.into_iter().map(|(k, d)| (k, d.into_dims())).collect())
    }
}

macro_rules! tuple_dims {
    ($($A:ident $i:tt),+) => {
        impl<$($A: IntoDims),+> IntoDims for ($($A,)+) {
            fn into_dims(self) -> DimTree {
                DimTree::Tuple(vec![$(self.$i.into_dims()),+])
            }
        }
    };
}
tuple_dims!(A 0);
tuple_dims!(A 0, B 1);
tuple_dims!(A 0, B 1, C 2);
tuple_dims!(A 0, B 1, C 2, D 3);
tuple_dims!(A 0, B 1, C 2, D 3, E 4);
tuple_dims!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_dims!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_dims!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl DimTree {
    /// A dim for each leaf of a tree of structure `spec`, or `None` if this is no prefix of it.
    pub fn broadcast(&self, spec: &TreeSpec) -> Option<Vec<Option<i64>>> {
        let mut out = Vec::with_capacity(spec.num_leaves());
        self.fill(spec, &mut out).then_some(out)
    }

    fn fill(&self, spec: &TreeSpec, out: &mut Vec<Option<i64>>) -> bool {
        let each = |dims: &[DimTree], specs: &[TreeSpec], out: &mut Vec<Option<i64>>| {
            dims.len() == specs.len() && dims.iter().zip(specs).all(|(d, s)| d.fill(s, out))
        };
        match (self, spec) {
            (DimTree::Dim(d), spec) => {
                out.extend(std::iter::repeat_n(*d, spec.num_leaves()));
                true
            }
            (DimTree::Tuple(d), TreeSpec::Tuple(s)) | (DimTree::List(d), TreeSpec::List(s)) => each(d, s, out),
            (DimTree::Dict(d), TreeSpec::Dict(s) | TreeSpec::Struct(_, s)) => {
                // A struct's fields stand in their own order, a map's in that of its keys.
                d.len() == s.len()
                    && s.iter().all(|(k, s)| d.iter().find(|(key, _)| key == k).is_some_and(|(_, d)| d.fill(s, out)))
            }
            (DimTree::Tuple(_) | DimTree::List(_) | DimTree::Dict(_), _) => false,
        }
    }
}

impl fmt::Display for DimTree {
    /// `0`, `None`, `(0, None)`, `[0, 1]`, `{w: 0}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = |v: &[DimTree]| v.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            DimTree::Dim(None) => f.write_str("None"),
            DimTree::Dim(Some(d)) => write!(f, "{d}"),
            DimTree::Tuple(v) if v.len() == 1 => write!(f, "({},)", v[0]),
            DimTree::Tuple(v) => write!(f, "({})", items(v)),
            DimTree::List(v) => write!(f, "[{}]", items(v)),
            DimTree::Dict(v) => {
                let entries: Vec<String> = v.iter().map(|(k, d)| format!("{k}: {d}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
        }
    }
}
