//! How a tensor shows itself: elements, or the stack of wrappers that transforms put around it (field.md F50–F52).

use std::fmt;

use super::trace::{Level, Wrapping, wrappings};
use super::{Repr, Tensor};

impl Tensor {
    /// The stack of transforms around a tensor, innermost first: `Batched[lvl=2 dim=0, Wrapper[lvl=1, f32[2,3]]]`.
    ///
    /// Levels are counted from 1, the outermost transform; a transform on whose arguments the tensor does not depend
    /// is not listed. The innermost part is the tensor that all wrappers stand for, with the batch dims in place.
    pub fn describe(&self) -> String {
        let (wrappings, inner) = self.unwrapped();
        let mut out = String::new();
        for w in &wrappings {
            match w.dim {
                Some((dim, _)) => out.push_str(&format!("{}[lvl={} dim={dim}, ", kind(w), w.ordinal)),
                None => out.push_str(&format!("{}[lvl={}, ", kind(w), w.ordinal)),
            }
        }
        out.push_str(&inner);
        out.push_str(&"]".repeat(wrappings.len()));
        out
    }

    /// Whether a `vmap` maps the tensor.
    pub fn is_batched(&self) -> bool {
        self.unwrapped().0.iter().any(|w| w.dim.is_some())
    }

    /// Whether a derivative transform follows the tensor.
    pub fn is_differentiated(&self) -> bool {
        self.unwrapped().0.iter().any(|w| w.trace.level() == &Level::Wrapper)
    }

    /// The transforms around the tensor, and what they stand for.
    fn unwrapped(&self) -> (Vec<Wrapping>, String) {
        match &self.0 {
            Repr::Concrete(a) => (Vec::new(), a.aval().to_string()),
            Repr::Abstract(a) => (Vec::new(), a.to_string()),
            Repr::Poison(e, _) => (Vec::new(), format!("error({e})")),
            Repr::Traced(trace, v, aval) => {
                let wrappings = wrappings(trace, *v);
                let mut shape = aval.shape.clone();
                for (dim, size) in wrappings.iter().filter_map(|w| w.dim) {
                    shape = shape.inserted(dim.min(shape.rank()), size);
                }
                (wrappings, aval.with_shape(shape).to_string())
            }
        }
    }
}

fn kind(w: &Wrapping) -> &'static str {
    match w.trace.level() {
        Level::Batched { .. } => "Batched",
        Level::Wrapper => "Wrapper",
        Level::Capture | Level::Composite | Level::Pass => "Traced",
    }
}

impl fmt::Debug for Tensor {
    /// The elements, or the wrappers nested as functorch shows them: `BatchedTensor(lvl=1, bdim=0, value=…)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Repr::Concrete(a) = &self.0 {
            return write!(f, "{a:?}");
        }
        let (wrappings, inner) = self.unwrapped();
        for (indent, w) in wrappings.iter().enumerate() {
            let bdim = w.dim.map(|(d, _)| format!(" bdim={d},")).unwrap_or_default();
            let name = match w.trace.level() {
                Level::Batched { .. } => "BatchedTensor",
                Level::Wrapper => "GradTrackingTensor",
                Level::Capture | Level::Composite | Level::Pass => "TracedTensor",
            };
            writeln!(f, "{name}(lvl={},{bdim} value=", w.ordinal)?;
            f.write_str(&"    ".repeat(indent + 1))?;
        }
        f.write_str(&inner)?;
        for indent in (0..wrappings.len()).rev() {
            write!(f, "\n{})", "    ".repeat(indent))?;
        }
        Ok(())
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
