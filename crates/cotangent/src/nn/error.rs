//! What can be wrong with the state of a module.

use std::fmt;
use std::path::PathBuf;

use cotangent_core::error::Error;
use cotangent_core::ir::Shape;
use cotangent_safetensors::FileError;

/// A tensor of another shape than the module has under its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// The name.
    pub name: String,
    /// The module's shape.
    pub expected: Shape,
    /// The shape that was given.
    pub found: Shape,
}

/// A state that does not fit its module.
#[derive(Clone, PartialEq, Debug, thiserror::Error, miette::Diagnostic)]
pub enum StateError {
    /// Names or shapes that are not the module's; all of them together.
    #[error("the state does not fit {module}:{}", listed(missing, unexpected, shapes))]
    #[diagnostic(code(cotangent::nn::names))]
    Names {
        /// The module's class.
        module: String,
        /// Names that were not given.
        missing: Vec<String>,
        /// Names that the module does not have.
        unexpected: Vec<String>,
        /// Tensors of another shape.
        shapes: Vec<Mismatch>,
    },
    /// Several values for one tied tensor.
    #[error("{module}: got several values for {}, which are tied", quoted(names))]
    #[diagnostic(code(cotangent::nn::tied), help("give one of the names"))]
    Tied {
        /// The module's class.
        module: String,
        /// The tied names.
        names: Vec<String>,
    },
    /// A module with buffers where only parameters are carried.
    #[error("{module} has buffers ({}). Please use make_functional_with_buffers(model)", quoted(names))]
    #[diagnostic(code(cotangent::nn::buffers))]
    HasBuffers {
        /// The module's class.
        module: String,
        /// Its buffers.
        names: Vec<String>,
    },
    /// An ensemble of no models.
    #[error("expected at least one model, got 0")]
    #[diagnostic(code(cotangent::nn::ensemble_empty))]
    NoModels,
    /// Models of an ensemble that differ in more than their values.
    #[error("expected all models to be of the same class, model {index} is\n{found}\nand model 0 is\n{expected}")]
    #[diagnostic(code(cotangent::nn::ensemble_class))]
    Unlike {
        /// The model's number.
        index: usize,
        /// Model 0 as printed.
        expected: String,
        /// This model as printed.
        found: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {message}", path.display())]
    #[diagnostic(code(cotangent::nn::file))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A state with a tensor that has no elements: it is traced, abstract or stands for an error.
    #[error("`{name}` has no values to save: {problem}")]
    #[diagnostic(code(cotangent::nn::no_values))]
    NoValues {
        /// The tensor.
        name: String,
        /// Why.
        problem: String,
    },
}

impl StateError {
    pub(crate) fn file(path: &std::path::Path, e: FileError) -> Self {
        let message = match e {
            FileError::Access { message, .. } | FileError::Format { message, .. } => message,
        };
        StateError::File { path: path.to_owned(), message }
    }
}

impl From<StateError> for Error {
    fn from(e: StateError) -> Self {
        Error::user(e)
    }
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

fn listed(missing: &[String], unexpected: &[String], shapes: &[Mismatch]) -> String {
    let mut parts = Vec::new();
    if !missing.is_empty() {
        parts.push(format!(" missing {}", quoted(missing)));
    }
    if !unexpected.is_empty() {
        parts.push(format!(" unexpected {}", quoted(unexpected)));
    }
    parts.extend(shapes.iter().map(|m| format!(" {m}")));
    parts.join(";")
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` has shape {}, expected {}", self.name, self.found, self.expected)
    }
}
