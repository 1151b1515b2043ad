//! What is wrong with a text that should be a graph.

use std::ops::Range;

use miette::{LabeledSpan, NamedSource};

/// One thing that is wrong, at a place in the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where, in bytes.
    pub span: Range<usize>,
    /// What was expected and what was found.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Problem { span, message: message.into(), help: None }
    }

    /// The same problem with advice.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(help.into()), ..self }
    }
}

/// The located errors of IR text or JSON: one where the text cannot be read, all of them where it is read but breaks
/// invariants.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
#[error("{}", self.summary())]
#[diagnostic(code(cotangent::text::parse))]
pub struct ParseError {
    /// The text under its file's name.
    #[source_code]
    pub text: NamedSource<String>,
    /// The guilty spans: at most [`ParseError::MAX_LABELS`].
    #[label(collection)]
    pub labels: Vec<LabeledSpan>,
    /// How to mend the first problem.
    #[help]
    pub help: Option<String>,
    /// All problems, in order of the text.
    pub problems: Vec<Problem>,
}

impl ParseError {
    /// The most problems that are shown in the text; the others are only counted.
    pub const MAX_LABELS: usize = 20;

    /// An error at `span` of `text`, which comes from the file `name`.
    pub fn new(name: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        ParseError::of(name, text, vec![Problem::new(span, message)])
    }

    /// The error of these problems, of which there is at least one.
    pub(crate) fn of(name: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| p.span.start);
        let only = problems.len() == 1;
        let label = |p: &Problem| {
            let message = if only { "here".to_owned() } else { p.message.clone() };
            LabeledSpan::new_with_span(Some(message), p.span.clone())
        };
        ParseError {
            text: NamedSource::new(name, text.to_owned()),
            labels: problems.iter().take(Self::MAX_LABELS).map(label).collect(),
            help: problems.iter().find_map(|p| p.help.clone()),
            problems,
        }
    }

    /// Where the first problem is, in bytes.
    pub fn span(&self) -> Range<usize> {
        self.problems.first().map_or(0..0, |p| p.span.clone())
    }

    fn summary(&self) -> String {
        match self.problems.as_slice() {
            [only] => only.message.clone(),
            many => format!("{} problems, the first: {}", many.len(), many.first().map_or("", |p| &p.message)),
        }
    }
}

impl From<ParseError> for crate::Error {
    fn from(e: ParseError) -> Self {
        crate::Error::Parse(Box::new(e))
    }
}
