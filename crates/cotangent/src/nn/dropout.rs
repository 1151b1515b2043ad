//! Dropout.

use cotangent_core::Tensor;
use cotangent_core::ir::Aval;

use super::Module;
use super::pass::{Forward, Pass};
use super::python::float;

/// In training, each element is set to zero with probability `p` and the others are divided by `1 - p`.
#[derive(Clone, Debug, Module)]
#[module(extra_repr)]
pub struct Dropout {
    /// The probability.
    #[module(config)]
    pub p: f64,
}

impl Dropout {
    /// A dropout of probability `p`.
    pub fn new(p: f64) -> Self {
        Dropout { p }
    }

    /// The result at `x` in this pass.
    #[track_caller]
    pub fn apply(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        match pass.next_key() {
            Some(key) if self.p != 0.0 => key.dropout(x, self.p),
            Some(_) | None => x.clone(),
        }
    }

    fn extra_repr(&self) -> String {
        format!("p={}, inplace=False", float(self.p))
    }
}

impl Default for Dropout {
    fn default() -> Self {
        Dropout::new(0.5)
    }
}

impl Forward for Dropout {
    #[track_caller]
    fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.apply(x, pass)
    }
}

macro_rules! channel_dropout {
    ($name:ident, $shapes:literal, |$x:ident| $lead:expr) => {
        #[doc = concat!("In training, each channel of ", $shapes, " is set to zero with probability `p`, and the others are divided by `1 - p`.")]
        #[derive(Clone, Debug, Module)]
        #[module(extra_repr)]
        pub struct $name {
            /// The probability.
            #[module(config)]
            pub p: f64,
        }

        impl $name {
            /// A dropout of probability `p`.
            pub fn new(p: f64) -> Self {
                $name { p }
            }

            fn extra_repr(&self) -> String {
                format!("p={}, inplace=False", float(self.p))
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::new(0.5)
            }
        }

        impl Forward for $name {
            #[track_caller]
            fn forward_in(&mut self, $x: &Tensor, pass: &mut Pass) -> Tensor {
                let Some(key) = pass.next_key().filter(|_| self.p != 0.0) else { return $x.clone() };
                // One number for each channel, which broadcasts over the last dims.
                let shape = ($lead..$x.rank()).fold($x.shape().clone(), |shape, d| shape.with(d, 1));
                $x * key.dropout(&$x.full_of(&Aval::new($x.dtype(), shape), 1.0), self.p)
            }
        }
    };
}
channel_dropout!(Dropout1d, "[n, c, l] or [c, l]", |x| x.rank().saturating_sub(1));
channel_dropout!(Dropout2d, "[n, c, h, w] or [n, c, l]", |x| x.rank().min(2));
