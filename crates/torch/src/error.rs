//! What can be wrong with a file of PyTorch's, or with a program in it.

use std::path::PathBuf;

use cotangent_core::Error;
use cotangent_safetensors::FileError;

/// A file that cannot be read, or a program that cannot be imported.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
pub enum TorchError {
    /// The file cannot be read.
    #[error("cannot read {}: {message}", path.display())]
    #[diagnostic(code(cotangent::torch::read))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The file cannot be written.
    #[error("cannot write {}: {message}", path.display())]
    #[diagnostic(code(cotangent::torch::write))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    #[diagnostic(code(cotangent::torch::format))]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found, and where.
        message: String,
    },
    /// An operator that is not known.
    #[error("unsupported operator {target} (node `{node}`)")]
    #[diagnostic(code(cotangent::torch::operator))]
    Unsupported {
        /// The operator's overload.
        target: String,
        /// The node.
        node: String,
    },
    /// An operator that no functional program of static shapes can express.
    #[error("{target} (node `{node}`) is refused: {reason}")]
    #[diagnostic(code(cotangent::torch::refused))]
    Refused {
        /// The operator's overload.
        target: String,
        /// The node.
        node: String,
        /// Why, and what to use instead.
        reason: String,
    },
    /// An argument of a node that is not as the operator's schema says.
    #[error("{target} (node `{node}`): argument `{argument}`: expected {expected}, found {found}")]
    #[diagnostic(code(cotangent::torch::argument))]
    Argument {
        /// The operator's overload.
        target: String,
        /// The node.
        node: String,
        /// The argument's name.
        argument: String,
        /// What the schema says.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A program that contradicts itself or its inputs.
    #[error("the program is inconsistent: {message}")]
    #[diagnostic(code(cotangent::torch::program))]
    Program {
        /// What was expected and what was found.
        message: String,
    },
    /// An error inside the imported program.
    #[error("node `{node}`: {source}")]
    #[diagnostic(code(cotangent::torch::node))]
    Node {
        /// The node.
        node: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// An error of a transform or of the evaluation.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Core(Box<Error>),
}

impl From<Error> for TorchError {
    fn from(e: Error) -> Self {
        TorchError::Core(Box::new(e))
    }
}

impl From<FileError> for TorchError {
    fn from(e: FileError) -> Self {
        match e {
            FileError::Access { path, message } => TorchError::Read { path, message },
            FileError::Format { path, message } => TorchError::Format { path, message },
        }
    }
}

/// The error of a program that contradicts itself or its inputs.
pub(crate) fn malformed(message: impl Into<String>) -> TorchError {
    TorchError::Program { message: message.into() }
}
