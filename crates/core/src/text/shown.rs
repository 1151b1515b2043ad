//! What printed code says of calls that PyTorch has no operator for.

use std::borrow::Cow;

use super::apply::Application;
use crate::ir::Graph;
use crate::ops::{Call, Op};
use crate::transform::inline::inline;

/// The graph without calls that a reader looks into and PyTorch cannot name: tangents of composites, steps of this
/// library's own. Statements stand for them; functions with rules of a user's stay calls of sub-modules.
pub(crate) fn shown(graph: &Graph) -> Cow<'_, Graph> {
    if !graph.nodes().iter().any(|n| matches!(&n.op, Op::Call(call) if is_unnamed(call))) {
        return Cow::Borrowed(graph);
    }
    // Inlining has no errors of its own: a graph that cannot be built again is shown as it is.
    inline(graph, is_unnamed).map_or(Cow::Borrowed(graph), Cow::Owned)
}

fn is_unnamed(call: &Call) -> bool {
    call.is_shown() && !Application::is_operator(call)
}
