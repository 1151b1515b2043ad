//! The trait of a primitive: all that the passes know of an operation.

use smallvec::SmallVec;

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim};
use crate::tensor::{Tensor, reject};

use super::LoopForm;

/// The avals of a node's results.
pub type Avals = SmallVec<[Aval; 1]>;

/// The tangent of a value: symbolically zero, or a tensor of the value's aval.
#[derive(Clone, Debug)]
pub enum Tangent {
    /// Zero everywhere; never materialised by a rule.
    Zero,
    /// This tensor.
    Is(Tensor),
}

impl Tangent {
    /// The tangent through a linear map.
    pub fn map(&self, f: impl FnOnce(&Tensor) -> Tensor) -> Tangent {
        match self {
            Tangent::Zero => Tangent::Zero,
            Tangent::Is(t) => Tangent::Is(f(t)),
        }
    }

    /// The sum of two tangents.
    pub fn plus(self, other: Tangent) -> Tangent {
        match (self, other) {
            (Tangent::Zero, t) | (t, Tangent::Zero) => t,
            (Tangent::Is(a), Tangent::Is(b)) => Tangent::Is(a + b),
        }
    }

    /// The tensor, made of zeros like `x` where the tangent is symbolically zero.
    pub fn or_zeros(&self, x: &Tensor) -> Tensor {
        match self {
            Tangent::Zero => x.zeros_like(),
            Tangent::Is(t) => t.clone(),
        }
    }
}

/// The cotangent of a value: symbolically zero, or a tensor of the value's aval.
pub type Cotangent = Tangent;

/// An operand of a linear node, as its transpose rule sees it.
#[derive(Clone, Debug)]
pub enum LinArg {
    /// Does not depend on the linear inputs: its value may be used.
    Residual(Tensor),
    /// Depends linearly on them: only its aval is known.
    Linear(Aval),
}

/// An operand or result under `vmap`; a mapped one has the batch dim at 0.
#[derive(Clone, Debug)]
pub struct Batched {
    /// The tensor.
    pub x: Tensor,
    /// Whether dim 0 is the batch dim.
    pub mapped: bool,
}

impl Batched {
    /// A mapped value.
    pub fn mapped(x: Tensor) -> Self {
        Batched { x, mapped: true }
    }

    /// The tensor with the batch dim at 0, repeated over `size` examples if it has none.
    pub fn materialised(&self, size: Dim) -> Tensor {
        if self.mapped {
            self.x.clone()
        } else {
            let shape = self.x.shape().inserted(0, size);
            self.x.expand_to(&shape)
        }
    }
}

/// An operation of the graph with all its rules.
///
/// No method has a default body: a rule that was forgotten does not compile, and a rule that does not apply says so.
/// Rules are written in [`Tensor`], the user's own language. Inside rules the operands have been inferred, so
/// that emitting cannot fail; what fails there is a bug of the rule and comes back as an error naming it.
pub trait Primitive {
    /// The name in IR text: ATen's name without overload.
    fn name(&self) -> &'static str;

    /// PyTorch's schema of the overload that this op is, from which printed code takes the order of arguments.
    fn schema(&self) -> &'static str;

    /// The attributes under the schema's names.
    fn attrs(&self) -> Attrs;

    /// The avals of the results; checks the constraints of the spec section.
    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError>;

    /// The reference: computes the results on host arrays whose avals have been inferred.
    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError>;

    /// The tangents of the results `y` at `x`, where at least one `x_dot` is not symbolically zero.
    /// Linear in `x_dot`.
    fn jvp(&self, x: &[Tensor], y: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent>;

    /// The contributions to the cotangents of the linear operands; `Zero` for residual ones.
    /// Called only for ops that `jvp` rules emit on tangents; the others return [`nonlinear`].
    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent>;

    /// The results over a batch of `size` examples, where at least one operand is mapped (or the op draws random
    /// numbers).
    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched>;

    /// How the op executes in loops.
    fn loop_form(&self, args: &[&Aval], results: &[Aval]) -> LoopForm;
}

/// Says that an op is linear in none of its operands, so that no tangent ever passes through it.
///
/// # Panics
/// Always: some jvp rule emitted a nonlinear op on a tangent (L2), which is a bug of that rule.
pub fn nonlinear(op: &str) -> Vec<Cotangent> {
    panic!("L2: `{op}` is not linear; a jvp rule applied it to a tangent")
}

/// The tangent through an operand in which an op has no derivative: a typed error in the trace.
#[track_caller]
pub(crate) fn no_derivative(op: &str, label: &'static str, operand: &'static str, x_dot: &Tensor) -> Tensor {
    let e = InferError::NotDifferentiable { label, operand };
    let help = format!("keep `{operand}` out of the derivative with `detach`, if it should count as a constant");
    reject(op, &[x_dot], e, help)
}

/// An op with operands on which its rules are tested.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The op.
    pub op: super::Op,
    /// The operands.
    pub args: Vec<Array>,
    /// What this sample is for: `kink`, `empty`, `usual`, ….
    pub note: &'static str,
    /// Whether the first operand stands for a symmetric matrix, so that its tangents are symmetric.
    pub symmetric: bool,
    /// The operands in which the op has no derivative: a tangent there is a typed error.
    pub no_derivative: &'static [usize],
    /// The float results that count as constants, as in PyTorch.
    pub constant_results: &'static [usize],
    /// Whether the op has the derivative that differences show: not at kinks, ties and poles.
    smooth: bool,
    /// Whether forward and reverse mode follow conventions of their own here, as PyTorch's do.
    modes_differ: bool,
}

impl Sample {
    /// A sample of `op` at `args`.
    pub fn new(note: &'static str, op: impl Into<super::Op>, args: impl IntoIterator<Item = Array>) -> Self {
        Sample {
            op: op.into(),
            args: args.into_iter().collect(),
            note,
            symmetric: false,
            no_derivative: &[],
            constant_results: &[],
            smooth: true,
            modes_differ: false,
        }
    }

    /// A sample at a kink, tie or pole, where derivatives are a matter of convention.
    pub fn kink(note: &'static str, op: impl Into<super::Op>, args: impl IntoIterator<Item = Array>) -> Self {
        Sample { smooth: false, ..Sample::new(note, op, args) }
    }

    /// The same sample with tangents of the first operand kept symmetric.
    pub fn symmetric(self) -> Self {
        Sample { symmetric: true, ..self }
    }

    /// The same sample with operands in which the op has no derivative.
    pub fn without_derivative(self, operands: &'static [usize]) -> Self {
        Sample { no_derivative: operands, ..self }
    }

    /// The same sample with results that count as constants.
    pub fn with_constants(self, results: &'static [usize]) -> Self {
        Sample { constant_results: results, ..self }
    }

    /// The same sample, at which each mode has a convention of its own.
    pub fn one_mode_each(self) -> Self {
        Sample { modes_differ: true, ..self }
    }

    /// Whether forward and reverse mode are one another's adjoints.
    pub fn modes_agree(&self) -> bool {
        !self.modes_differ
    }

    /// Whether differences show the derivative.
    pub fn is_smooth(&self) -> bool {
        self.smooth
    }
}

/// Argument sets for the tests of an op: at least one usual, one degenerate (size 0 or 1), and one at each kink.
pub trait Samples {
    /// The argument sets.
    fn samples() -> Vec<Sample>;
}

/// The transpose of an op that is linear in its only operand, where `f` maps the cotangent back.
pub(crate) fn transpose_unary(
    y_bar: &[Cotangent],
    args: &[LinArg],
    f: impl FnOnce(&Tensor, &Aval) -> Tensor,
) -> Vec<Cotangent> {
    match &args[0] {
        LinArg::Residual(_) => vec![Cotangent::Zero],
        LinArg::Linear(x) => vec![y_bar[0].map(|y_bar| f(y_bar, x))],
    }
}

/// Checks the number of operands.
pub(crate) fn arity<'a, const N: usize>(args: &[&'a Aval]) -> Result<[&'a Aval; N], InferError> {
    <[&Aval; N]>::try_from(args).map_err(|_| InferError::Arity { expected: N, found: args.len() })
}

/// One result.
pub(crate) fn one(aval: Aval) -> Result<Avals, InferError> {
    Ok(SmallVec::from_iter([aval]))
}
