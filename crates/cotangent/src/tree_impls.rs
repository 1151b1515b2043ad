//! [`Tree`] for tensors and the collections of the standard library.

use std::collections::BTreeMap;

use cotangent_core::Tensor;
use cotangent_core::ir::TreeSpec;

use crate::tree::Tree;

impl Tree for Tensor {
    type Map<T: Tree> = T;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        leaves.push(self.clone());
        TreeSpec::Leaf
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        let same = matches!(spec, TreeSpec::Leaf);
        if same {
            visit(self);
        }
        same
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        let same = matches!(spec, TreeSpec::Leaf);
        if same {
            visit(self);
        }
        same
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        matches!(spec, TreeSpec::Leaf).then(|| leaves.next())?
    }
}

impl Tree for () {
    type Map<T: Tree> = ();

    fn push_leaves(&self, _: &mut Vec<Tensor>) -> TreeSpec {
        TreeSpec::None
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, _: &mut impl FnMut(&'a Tensor)) -> bool {
        matches!(spec, TreeSpec::None)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, _: &mut impl FnMut(&'a mut Tensor)) -> bool {
        matches!(spec, TreeSpec::None)
    }

    fn from_leaves(spec: &TreeSpec, _: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        matches!(spec, TreeSpec::None).then_some(())
    }
}

impl<A: Tree> Tree for Box<A> {
    type Map<T: Tree> = Box<A::Map<T>>;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        self.as_ref().push_leaves(leaves)
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        self.as_ref().visit_leaves(spec, visit)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        self.as_mut().visit_leaves_mut(spec, visit)
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        A::from_leaves(spec, leaves).map(Box::new)
    }
}

/// An absent value has the structure `none`.
impl<A: Tree> Tree for Option<A> {
    type Map<T: Tree> = Option<A::Map<T>>;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        self.as_ref().map_or(TreeSpec::None, |a| a.push_leaves(leaves))
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        match self {
            None => matches!(spec, TreeSpec::None),
            Some(a) => a.visit_leaves(spec, visit),
        }
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        match self {
            None => matches!(spec, TreeSpec::None),
            Some(a) => a.visit_leaves_mut(spec, visit),
        }
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        match spec {
            TreeSpec::None => Some(None),
            spec => A::from_leaves(spec, leaves).map(Some),
        }
    }
}

/// As [`Tree::visit_leaves`], for a list.
fn visit_items<'a, A: Tree>(list: &'a [A], spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
    let TreeSpec::List(items) = spec else { return false };
    items.len() == list.len() && list.iter().zip(items).all(|(a, s)| a.visit_leaves(s, visit))
}

/// As [`Tree::visit_leaves_mut`], for a list.
fn visit_items_mut<'a, A: Tree>(list: &'a mut [A], spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
    let TreeSpec::List(items) = spec else { return false };
    items.len() == list.len() && list.iter_mut().zip(items).all(|(a, s)| a.visit_leaves_mut(s, visit))
}

impl<A: Tree> Tree for Vec<A> {
    type Map<T: Tree> = Vec<A::Map<T>>;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        TreeSpec::List(self.iter().map(|a| a.push_leaves(leaves)).collect())
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        visit_items(self, spec, visit)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        visit_items_mut(self, spec, visit)
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        let TreeSpec::List(items) = spec else { return None };
        items.iter().map(|s| A::from_leaves(s, leaves)).collect()
    }
}

impl<A: Tree, const N: usize> Tree for [A; N] {
    type Map<T: Tree> = [A::Map<T>; N];

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        TreeSpec::List(self.iter().map(|a| a.push_leaves(leaves)).collect())
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        visit_items(self, spec, visit)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        visit_items_mut(self, spec, visit)
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Vec::<A>::from_leaves(spec, leaves)?.try_into().ok()
    }
}

impl<A: Tree> Tree for BTreeMap<String, A> {
    type Map<T: Tree> = BTreeMap<String, A::Map<T>>;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        TreeSpec::Dict(self.iter().map(|(k, a)| (k.clone(), a.push_leaves(leaves))).collect())
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        let TreeSpec::Dict(items) = spec else { return false };
        let same = |((k, a), (name, s)): ((&String, &'a A), &(String, TreeSpec))| k == name && a.visit_leaves(s, visit);
        items.len() == self.len() && self.iter().zip(items).all(same)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        let TreeSpec::Dict(items) = spec else { return false };
        let same = |((k, a), (name, s)): ((&String, &'a mut A), &(String, TreeSpec))| {
            k == name && a.visit_leaves_mut(s, visit)
        };
        items.len() == self.len() && self.iter_mut().zip(items).all(same)
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        let TreeSpec::Dict(items) = spec else { return None };
        items.iter().map(|(k, s)| Some((k.clone(), A::from_leaves(s, leaves)?))).collect()
    }
}

macro_rules! tuple_tree {
    ($($A:ident $i:tt),+) => {
        impl<$($A: Tree),+> Tree for ($($A,)+) {
            type Map<Leaf: Tree> = ($($A::Map<Leaf>,)+);

            fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
                TreeSpec::Tuple(vec![$(self.$i.push_leaves(leaves)),+])
            }

            fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
                let TreeSpec::Tuple(items) = spec else { return false };
                let mut items = items.iter();
                $(items.next().is_some_and(|s| self.$i.visit_leaves(s, visit)) &&)+ items.next().is_none()
            }

            fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
                let TreeSpec::Tuple(items) = spec else { return false };
                let mut items = items.iter();
                $(items.next().is_some_and(|s| self.$i.visit_leaves_mut(s, visit)) &&)+ items.next().is_none()
            }

            fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
                let TreeSpec::Tuple(items) = spec else { return None };
                Some(($($A::from_leaves(items.get($i)?, leaves)?,)+))
            }
        }
    };
}
tuple_tree!(A 0);
tuple_tree!(A 0, B 1);
tuple_tree!(A 0, B 1, C 2);
tuple_tree!(A 0, B 1, C 2, D 3);
tuple_tree!(A 0, B 1, C 2, D 3, E 4);
tuple_tree!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_tree!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_tree!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
