//! What is wrong with a text that should be a graph.

use std::ops::Range;

/// A located error in IR text or JSON.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
#[error("{message}")]
#[diagnostic(code(cotangent::text::parse))]
pub struct ParseError {
    /// What was expected and what was found.
    pub message: String,
    /// The text.
    #[source_code]
    pub text: miette::NamedSource<String>,
    /// Where in the text, in bytes.
    #[label("here")]
    pub span: miette::SourceSpan,
    /// How to mend it.
    #[help]
    pub help: Option<String>,
}

impl ParseError {
    /// An error at `span` of `text`, which comes from the file `name`.
    pub fn new(name: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        ParseError {
            message: message.into(),
            text: miette::NamedSource::new(name, text.to_owned()),
            span: span.into(),
            help: None,
        }
    }
}
