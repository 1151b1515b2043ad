//! `stop_gradient`: a tree through which no derivative passes.

use crate::tree::Tree;

/// The same tree, as a constant for derivatives.
pub fn stop_gradient<T: Tree>(tree: T) -> T {
    tree.map_leaves(|t| t.detach())
}
