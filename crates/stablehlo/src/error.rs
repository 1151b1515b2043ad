//! What StableHLO cannot express.

use cotangent_core::Error;

/// A graph that has no form in StableHLO.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
pub enum StableHloError {
    /// An operation that neither StableHLO nor CHLO has, and that is no composition of theirs.
    #[error("`{op}` has no form in StableHLO: {reason}")]
    #[diagnostic(code(cotangent::stablehlo::refused))]
    Refused {
        /// The operation.
        op: String,
        /// Why.
        reason: &'static str,
    },
    /// What a composition ran into.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Core(Box<Error>),
}

impl From<Error> for StableHloError {
    fn from(e: Error) -> Self {
        StableHloError::Core(Box::new(e))
    }
}

/// Why an operation has no form.
pub(crate) enum Refusal {
    /// The operation itself has none.
    Reason(&'static str),
    /// One inside it has none.
    Inner(StableHloError),
}

impl Refusal {
    /// The error of the operation called `op`.
    pub fn of(self, op: &str) -> StableHloError {
        match self {
            Refusal::Reason(reason) => StableHloError::Refused { op: op.to_owned(), reason },
            Refusal::Inner(e) => e,
        }
    }
}
