//! A view of what elementwise functions make, moved up to what they are made of.

use super::super::edit::Editor;
use crate::ir::{Shape, Value};
use crate::ops::Op;

/// The same elementwise functions as those of `v`, of operands that are viewed in this shape; numbers are made in it. `None` where an operation refuses it.
pub(super) fn viewed(e: &mut Editor, v: Value, shape: &Shape) -> Option<Value> {
    if let Some(c) = e.as_full(v) {
        let aval = e.aval(v).with_shape(shape);
        return e.full(&aval, c);
    }
    let (op, id) = e.def_op(v)?;
    match op {
        Op::Unary(_) | Op::Binary(_) => {
            let (op, args) = (op.clone(), e.args(id).to_vec());
            let args = args.into_iter().map(|a| viewed(e, a, shape)).collect::<Option<Vec<_>>>()?;
            e.emit(op, &args)
        }
        _ => e.view(v, shape),
    }
}
