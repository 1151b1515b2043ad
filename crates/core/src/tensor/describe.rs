//! How a tensor shows itself: elements, or the stack of wrappers that a trace put around it (field.md F50–F52).

use std::fmt;

use super::trace::Level;
use super::{Repr, Tensor};
use crate::ir::Shape;

impl Tensor {
    /// The stack of transforms around a tensor, outermost first: `Batched[lvl=2 dim=0, Wrapper[lvl=1, f32[2,3]]]`.
    ///
    /// Levels are counted from 1, the outermost transform. The innermost part is the tensor that all wrappers
    /// stand for, with the batch dims in place.
    pub fn describe(&self) -> String {
        match &self.0 {
            Repr::Concrete(a) => a.aval().to_string(),
            Repr::Abstract(a) => a.to_string(),
            Repr::Poison(e, _) => format!("error({e})"),
            Repr::Traced(trace, v, aval) => {
                let levels = super::trace::levels(trace);
                let mut shape = aval.shape.clone();
                let mut out = String::new();
                let mut close = 0;
                for (lvl, level) in levels.iter().enumerate().rev() {
                    let innermost = lvl + 1 == levels.len();
                    match level {
                        Level::Wrapper => out.push_str(&format!("Wrapper[lvl={}, ", lvl + 1)),
                        Level::Capture | Level::Pass => out.push_str(&format!("Traced[lvl={}, ", lvl + 1)),
                        Level::Batched { in_dims, size } => {
                            if innermost && !trace.is_mapped(*v) {
                                continue;
                            }
                            let dim = batch_dim(in_dims, v.index(), &shape);
                            shape = shape.inserted(dim, *size);
                            out.push_str(&format!("Batched[lvl={} dim={dim}, ", lvl + 1));
                        }
                    }
                    close += 1;
                }
                out.push_str(&format!("{}{shape}", aval.dtype));
                out.push_str(&"]".repeat(close));
                out
            }
        }
    }
}

/// Parameters keep the dim that the user mapped; what is computed from them has the batch dim in front.
fn batch_dim(in_dims: &[Option<usize>], index: usize, shape: &Shape) -> usize {
    in_dims.get(index).copied().flatten().unwrap_or(0).min(shape.rank())
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Concrete(a) => write!(f, "{a}"),
            Repr::Abstract(_) | Repr::Traced(..) | Repr::Poison(..) => f.write_str(&self.describe()),
        }
    }
}
