//! What can go wrong, one enum for each stage.

mod vmap;

use std::fmt;
use std::sync::Arc;

pub use vmap::VmapError;

use crate::ir::{AttrError, Aval, Loc, Shape};

/// The arguments or attributes of one op break a constraint of its spec section.
///
/// `label` is the constraint's name in `ir-spec/ops`, for instance `gather_c2`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum InferError {
    /// Another number of operands.
    #[error("expected {expected} operands, found {found}")]
    #[diagnostic(code(cotangent::infer::arity))]
    Arity {
        /// What the op takes.
        expected: usize,
        /// What stands there.
        found: usize,
    },
    /// An operand of a dtype or rank that the op does not take.
    #[error("expected {expected}, found {found} ({label})")]
    #[diagnostic(code(cotangent::infer::operand))]
    Operand {
        /// The constraint.
        label: &'static str,
        /// What the op takes.
        expected: String,
        /// The operand.
        found: Aval,
    },
    /// Two operands that do not fit together.
    #[error("expected {expected}, found {lhs} and {rhs} ({label})")]
    #[diagnostic(code(cotangent::infer::mismatch))]
    Mismatch {
        /// The constraint.
        label: &'static str,
        /// How they should fit.
        expected: String,
        /// The first.
        lhs: Aval,
        /// The second.
        rhs: Aval,
    },
    /// A dimension outside the operand.
    #[error("expected a dimension in [{low}, {high}], found {dim} ({label})", low = -(*rank as i64).max(1), high = (*rank as i64 - 1).max(0))]
    #[diagnostic(code(cotangent::infer::dim))]
    Dim {
        /// The constraint.
        label: &'static str,
        /// The dimension that was given.
        dim: i64,
        /// The rank of the operand.
        rank: usize,
    },
    /// An attribute out of range.
    #[error("expected `{attr}` to be {expected}, found {found} ({label})")]
    #[diagnostic(code(cotangent::infer::attribute))]
    Attribute {
        /// The constraint.
        label: &'static str,
        /// The attribute.
        attr: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
    /// A derivative that the op does not have.
    #[error("there is no derivative in `{operand}` ({label})")]
    #[diagnostic(code(cotangent::infer::derivative))]
    NotDifferentiable {
        /// The constraint.
        label: &'static str,
        /// The operand.
        operand: &'static str,
    },
    /// A result that has too many elements to exist.
    #[error("expected at most 2^47 elements, found shape {shape}")]
    #[diagnostic(code(cotangent::infer::size))]
    TooLarge {
        /// The shape of the result.
        shape: Shape,
    },
}

/// Data that an op cannot compute with.
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum EvalError {
    /// An index outside its dimension.
    #[error("index {index} is out of bounds for dimension {dim} with size {size} (at element {at})")]
    #[diagnostic(code(cotangent::eval::index))]
    Index {
        /// The dimension that is indexed.
        dim: usize,
        /// The index.
        index: i64,
        /// The size of the dimension.
        size: usize,
        /// The flat position in the index array; of loops that read through an index themselves, that of the row and lane that asked for it.
        at: usize,
    },
    /// An integer divided by zero.
    #[error("integer division by zero (at element {at})")]
    #[diagnostic(code(cotangent::eval::zero_division))]
    ZeroDivision {
        /// The flat position.
        at: usize,
    },
    /// A call that has only a reverse rule, evaluated forward.
    #[error("`{name}` has a custom vjp rule and no forward derivative")]
    #[diagnostic(code(cotangent::eval::no_forward))]
    NoForward {
        /// The function.
        name: String,
    },
    /// A factorization of a matrix that has none.
    #[error("{0}")]
    #[diagnostic(code(cotangent::eval::linalg))]
    Linalg(String),
    /// Data that a composite's condition refuses.
    #[error("{message}")]
    #[diagnostic(code(cotangent::eval::assertion))]
    Assertion {
        /// The condition's own words.
        message: String,
    },
}

/// The transforms and composites around a call, for messages: `softmax in vmap(grad(loss))`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Stack {
    /// The transforms, outermost first.
    pub transforms: Vec<String>,
    /// The user's function, if it has a name.
    pub function: Option<String>,
    /// The composites inside it, outermost first.
    pub composites: Vec<String>,
}

impl Stack {
    /// Whether there is nothing around the call.
    pub fn is_empty(&self) -> bool {
        self.transforms.is_empty() && self.composites.is_empty()
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.composites.iter().rev() {
            write!(f, "{c} in ")?;
        }
        for s in &self.transforms {
            write!(f, "{s}(")?;
        }
        f.write_str(self.function.as_deref().unwrap_or("…"))?;
        for _ in &self.transforms {
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// Any error of cotangent. Cheap to clone.
///
/// Its `Debug` form is for people too, as it is what a `main` that returns it and `unwrap` print: the message, and how to mend it.
#[derive(Clone, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// A call whose operands break a constraint.
    #[error("`{op}` at {loc}{}: {source}", in_stack(stack))]
    #[diagnostic(code(cotangent::trace::infer))]
    Infer {
        /// The op or method.
        op: String,
        /// The user's line.
        loc: Loc,
        /// The transforms around it.
        stack: Box<Stack>,
        /// The operands.
        args: Vec<Aval>,
        /// What is wrong.
        #[diagnostic_source]
        source: InferError,
        /// How to mend it.
        #[help]
        help: Option<String>,
    },
    /// A call whose data cannot be computed with.
    #[error("`{op}` at {loc}: {source}")]
    #[diagnostic(code(cotangent::eval))]
    Eval {
        /// The op.
        op: String,
        /// The user's line.
        loc: Loc,
        /// What is wrong.
        #[diagnostic_source]
        source: EvalError,
    },
    /// A traced tensor used after its trace ended.
    #[error(
        "`{op}` at {loc}: a tensor traced inside `{made_in}` was used after that trace ended; return it from the function (as an auxiliary output) instead of storing it"
    )]
    #[diagnostic(code(cotangent::trace::escaped))]
    Escaped {
        /// The op that used it.
        op: String,
        /// The user's line.
        loc: Loc,
        /// The transform whose trace has ended.
        made_in: String,
    },
    /// The value of a traced tensor was asked for.
    #[error(
        "at {loc}{}: it appears that you're trying to get a value out of a tracing tensor ({aval}): {what}",
        in_stack(stack)
    )]
    #[diagnostic(
        code(cotangent::trace::value),
        help(
            "a traced tensor has a dtype and a shape but no value; choose with `where_` instead of `if`, or return the tensor and read it outside"
        )
    )]
    TracedValue {
        /// The user's line.
        loc: Loc,
        /// The transforms around it.
        stack: Box<Stack>,
        /// The tensor.
        aval: Aval,
        /// The call.
        what: &'static str,
    },
    /// A tensor read as another type than it holds.
    #[error("at {loc}: expected a tensor of {expected}, found {found}")]
    #[diagnostic(code(cotangent::tensor::read))]
    Read {
        /// The user's line.
        loc: Loc,
        /// What was asked for.
        expected: String,
        /// The tensor.
        found: Aval,
    },
    /// Data that do not fill a shape.
    #[error("at {loc}: expected {expected} elements for shape {shape}, found {found}")]
    #[diagnostic(code(cotangent::tensor::length))]
    Length {
        /// The user's line.
        loc: Loc,
        /// The shape.
        shape: Shape,
        /// Its number of elements.
        expected: String,
        /// The number given.
        found: usize,
    },
    /// A transform used against its rules.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Transform(#[from] TransformError),
    /// Text or JSON that is no graph.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Parse(#[from] Box<crate::text::ParseError>),
    /// A graph that breaks invariants.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Verify(#[from] crate::ir::verify::VerifyError),
    /// A graph that could not be compiled, or a compiled program that could not run.
    #[error("compiled `{function}`: {problem}")]
    #[diagnostic(code(cotangent::compile))]
    Compile {
        /// The function.
        function: String,
        /// What is wrong.
        problem: Arc<str>,
    },
    /// A NaN or an infinity where a trap was asked for.
    #[error(transparent)]
    #[diagnostic(transparent)]
    NonFinite(Box<NonFinite>),
    /// The error of a user's own function.
    #[error("{0}")]
    #[diagnostic(code(cotangent::user))]
    User(Arc<str>),
}

/// The first value that a trap caught.
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
#[error("`{op}` at {loc}: {value} at index {index:?} of {aval}")]
#[diagnostic(code(cotangent::trap::non_finite))]
pub struct NonFinite {
    /// The op that gave it, or `argument i`.
    pub op: String,
    /// The user's line.
    pub loc: Loc,
    /// The value.
    pub value: f64,
    /// Its place.
    pub index: Vec<usize>,
    /// The tensor that holds it.
    pub aval: Aval,
}

fn in_stack(stack: &Stack) -> String {
    if stack.is_empty() { String::new() } else { format!(" (in `{stack}`)") }
}

/// A transform used against its rules (field.md F1–F18).
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum TransformError {
    /// A result that `grad` cannot start from.
    #[error(
        "grad: expected f(*args) to return a scalar tensor, got {found}. Maybe you wanted to use the vjp or jacrev APIs instead?"
    )]
    #[diagnostic(code(cotangent::transform::grad_scalar))]
    NotScalar {
        /// The result.
        found: Aval,
    },
    /// A result or argument that has no derivative.
    #[error("{transform}: only tensors of floating point dtype can be differentiated, {what} is {found}")]
    #[diagnostic(code(cotangent::transform::dtype))]
    NotFloat {
        /// The transform.
        transform: &'static str,
        /// Which argument or result.
        what: String,
        /// Its aval.
        found: Aval,
    },
    /// `argnums` against its rules.
    #[error("{transform}: {problem}")]
    #[diagnostic(code(cotangent::transform::argnums))]
    Argnums {
        /// The transform.
        transform: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Tangents or cotangents unlike their primals.
    #[error("{transform}: expected {what} {index} to be {expected}, found {found}")]
    #[diagnostic(code(cotangent::transform::like))]
    Unlike {
        /// The transform.
        transform: &'static str,
        /// tangent or cotangent.
        what: &'static str,
        /// The leaf's number.
        index: usize,
        /// The aval of the primal.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Trees that do not fit together.
    #[error(
        "{transform}: expected {what} to have the same structure as {like}, got {what} with structure {found} and {like} with structure {expected}"
    )]
    #[diagnostic(code(cotangent::transform::structure))]
    Structure {
        /// The transform.
        transform: &'static str,
        /// Which tree.
        what: &'static str,
        /// The tree that it should be like.
        like: &'static str,
        /// The structure that fits.
        expected: crate::ir::TreeSpec,
        /// The structure that was given.
        found: crate::ir::TreeSpec,
    },
    /// `vmap` used against its rules.
    #[error("vmap({function}): {source}")]
    #[diagnostic(code(cotangent::transform::vmap))]
    Vmap {
        /// The function that is mapped.
        function: String,
        /// What is wrong.
        #[diagnostic_source]
        source: VmapError,
    },
    /// The two trees of a function that returns an auxiliary value, or its results, have no tensor.
    #[error("{transform}: expected {what} to contain at least one tensor")]
    #[diagnostic(code(cotangent::transform::empty))]
    Empty {
        /// The transform.
        transform: &'static str,
        /// `primals` or `the result of f`.
        what: &'static str,
    },
    /// A result that does not depend on the arguments, under `strict`.
    #[error(
        "{transform}: the output of f is independent of the inputs (result {index}). This is not allowed with strict"
    )]
    #[diagnostic(code(cotangent::transform::strict))]
    Independent {
        /// The transform.
        transform: &'static str,
        /// The leaf's number.
        index: usize,
    },
    /// A chunk of no examples.
    #[error("{transform}: `chunk_size` should be greater than 0")]
    #[diagnostic(code(cotangent::transform::chunk_size))]
    ChunkSize {
        /// The transform.
        transform: &'static str,
    },
    /// A function that uses tensors of an enclosing trace where it may not.
    #[error("{transform}: `{function}` uses a traced tensor ({found}) that is not one of its arguments")]
    #[diagnostic(code(cotangent::transform::captures), help("pass the tensor as an argument"))]
    Captures {
        /// The transform.
        transform: &'static str,
        /// The function.
        function: String,
        /// The first such tensor.
        found: Aval,
    },
    /// A random op under `randomness = error`.
    #[error(
        "vmap: called random operation while in randomness error mode (`{op}` at {loc}). Please use the `same` or `different` randomness flags on vmap, or give each example a key of its own"
    )]
    #[diagnostic(code(cotangent::transform::randomness))]
    Randomness {
        /// The op.
        op: String,
        /// The user's line.
        loc: Loc,
    },
    /// Forward mode through a function that has only a reverse rule.
    #[error(
        "{transform}: `{name}` has a custom vjp rule and therefore no forward derivative; use grad, vjp or jacrev, or give it a custom jvp rule"
    )]
    #[diagnostic(code(cotangent::transform::forward_of_vjp))]
    ForwardOfVjp {
        /// The transform.
        transform: &'static str,
        /// The function.
        name: String,
    },
    /// A user's rule that does not fit its function.
    #[error("custom rule of `{name}`: {problem}")]
    #[diagnostic(code(cotangent::transform::custom_rule))]
    CustomRule {
        /// The function.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut part: Option<&dyn miette::Diagnostic> = Some(self);
        while let Some(diagnostic) = part {
            if let Some(help) = diagnostic.help() {
                write!(f, "\nhelp: {help}")?;
            }
            part = diagnostic.diagnostic_source();
        }
        Ok(())
    }
}

impl Error {
    /// The user's own error, from inside a traced function that returns `Result`.
    pub fn user(error: impl fmt::Display) -> Self {
        Error::User(error.to_string().into())
    }
}

impl From<AttrError> for Error {
    fn from(e: AttrError) -> Self {
        Error::User(e.to_string().into())
    }
}
