//! `assert_graph_snapshot!`: the graph of a function as a snapshot, checked in tests with `insta`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cotangent_core::error::Error;
use cotangent_core::ir::Graph;
use cotangent_core::text::CodeStyle;

use crate::function::{Arguments, Function};
use crate::make_fx::{CaptureOptions, make_fx_with};

#[doc(hidden)]
pub use insta;

/// How a graph is captured and shown in a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    form: Form,
    capture: CaptureOptions,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Code(CodeStyle),
    Ir,
    Readable,
}

impl SnapshotOptions {
    /// As the code that PyTorch prints.
    pub fn code() -> Self {
        SnapshotOptions { form: Form::Code(CodeStyle::Today), capture: CaptureOptions::new() }
    }

    /// As the code that functorch printed in 2021.
    pub fn code_2021() -> Self {
        SnapshotOptions { form: Form::Code(CodeStyle::Functorch2021), capture: CaptureOptions::new() }
    }

    /// As typed IR text.
    pub fn ir() -> Self {
        SnapshotOptions { form: Form::Ir, capture: CaptureOptions::new() }
    }

    /// As code with avals and source lines. Source lines change with every edit above them.
    pub fn readable() -> Self {
        SnapshotOptions { form: Form::Readable, capture: CaptureOptions::new() }
    }

    /// The graph as it was traced, not simplified.
    pub fn raw(self) -> Self {
        self.captured(CaptureOptions::raw())
    }

    /// The graph captured with other options.
    pub fn captured(self, capture: CaptureOptions) -> Self {
        SnapshotOptions { capture, ..self }
    }

    /// The graph of `f` at `args` as text.
    ///
    /// *Errors*: as [`make_fx`](crate::make_fx::make_fx).
    pub fn text<Args: Arguments, F: Function<Args>>(self, f: F, args: Args) -> Result<String, Error> {
        let graph = make_fx_with(self.capture, f, args)?;
        Ok(shown(self.form, &graph))
    }
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        SnapshotOptions::code()
    }
}

fn shown(form: Form, graph: &Graph) -> String {
    match form {
        Form::Code(style) => graph.code_in(style).trim().to_owned(),
        Form::Ir => graph.to_string(),
        Form::Readable => graph.readable().trim().to_owned(),
    }
}

/// Checks that the graph of a function is the one of a snapshot, and names the first statement that changed.
///
/// | form | snapshot |
/// |---|---|
/// | `assert_graph_snapshot!(f, (x,), @"…")` | in the test itself |
/// | `assert_graph_snapshot!("name", f, (x,))` | in the file `snapshots/name.snap` beside the test |
///
/// Both take [`SnapshotOptions`] after a semicolon: `assert_graph_snapshot!(f, (x,); SnapshotOptions::ir().raw(), @"…")`.
/// New and changed snapshots are reviewed with `cargo insta review`.
///
/// ```
/// use cotangent::prelude::*;
///
/// cotangent::assert_graph_snapshot!(|x: Tensor| x.sin().cos(), (Tensor::abstract_(DType::F32, [3]),), @r"
/// def forward(self, x_1):
///     sin = torch.ops.aten.sin.default(x_1);  x_1 = None
///     cos = torch.ops.aten.cos.default(sin);  sin = None
///     return cos
/// ");
/// ```
#[macro_export]
macro_rules! assert_graph_snapshot {
    ($name:literal, $f:expr, $args:expr $(,)?) => {
        $crate::assert_graph_snapshot!($name, $f, $args; $crate::snapshot::SnapshotOptions::default())
    };
    ($name:literal, $f:expr, $args:expr; $options:expr) => {{
        let text = $crate::snapshot::__text($options.text($f, $args));
        $crate::snapshot::__explain_file(env!("CARGO_MANIFEST_DIR"), file!(), $name, &text);
        let mut settings = $crate::snapshot::insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| $crate::snapshot::insta::assert_snapshot!($name, text));
    }};
    ($f:expr, $args:expr, @$inline:literal $(,)?) => {
        $crate::assert_graph_snapshot!($f, $args; $crate::snapshot::SnapshotOptions::default(), @$inline)
    };
    ($f:expr, $args:expr; $options:expr, @$inline:literal $(,)?) => {{
        let text = $crate::snapshot::__text($options.text($f, $args));
        $crate::snapshot::__explain($inline, &text);
        $crate::snapshot::insta::assert_snapshot!(text, @$inline);
    }};
}

#[doc(hidden)]
#[track_caller]
pub fn __text(text: Result<String, Error>) -> String {
    match text {
        Ok(text) => text,
        Err(e) => panic!("the function of the snapshot has no graph: {e}"),
    }
}

/// Says which statement changed, if one did.
#[doc(hidden)]
pub fn __explain(expected: &str, found: &str) {
    if let Some(change) = first_change(expected, found) {
        eprintln!("{change}");
    }
}

/// As [`__explain`] for the snapshot `name` beside the test in `file`.
#[doc(hidden)]
pub fn __explain_file(manifest_dir: &str, file: &str, name: &str, found: &str) {
    if let Some(expected) = recorded(manifest_dir, file, name) {
        __explain(&expected, found);
    }
}

/// The graph in the file of the snapshot `name`, if there is one yet.
fn recorded(manifest_dir: &str, file: &str, name: &str) -> Option<String> {
    let settings = insta::Settings::clone_current();
    // The compiler names the file relative to the workspace, which is the manifest's folder or above.
    let test = Path::new(manifest_dir).ancestors().map(|dir| dir.join(file)).find(|f| f.exists());
    let snapshot: PathBuf = test?.parent()?.join(settings.snapshot_path()).join(format!("{name}.snap"));
    let text = std::fs::read_to_string(snapshot).ok()?;
    // The header of a snapshot file stands between two lines of dashes.
    let (_, graph) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
    Some(graph.to_owned())
}

/// The first statement that differs, for a message; indentation aside.
fn first_change(expected: &str, found: &str) -> Option<String> {
    let lines = |s: &str| -> Vec<String> { s.trim().lines().map(|l| l.trim().to_owned()).collect() };
    let (old, new) = (lines(expected), lines(found));
    let i = (0..old.len().max(new.len())).find(|i| old.get(*i) != new.get(*i))?;
    let mut message = format!("the first statement that changed is on line {} of the graph:\n", i + 1);
    let mut show = |sign: char, line: Option<&String>| {
        let _ = writeln!(message, "  {sign} {}", line.map_or("(nothing)", String::as_str));
    };
    show('-', old.get(i));
    show('+', new.get(i));
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_a_test_are_read_without_their_header() {
        let read = |name| recorded(env!("CARGO_MANIFEST_DIR"), "tests/tests/all/make_fx.rs", name);
        let graph = read("gradient_of_sine").unwrap();
        assert!(graph.trim_start().starts_with("def forward(self, x_1):"), "{graph}");
        assert_eq!(read("a name without a file"), None);
    }

    #[test]
    fn the_first_changed_statement_is_named() {
        assert_eq!(first_change("\n    a = 1\n    b = 2\n", "a = 1\nb = 2"), None);
        let change = first_change("a = 1\nb = 2\nc = 3", "a = 1\nb = 4\nc = 5").unwrap();
        assert_eq!(change, "the first statement that changed is on line 2 of the graph:\n  - b = 2\n  + b = 4\n");
        let change = first_change("a = 1", "a = 1\nb = 4").unwrap();
        assert!(change.ends_with("  - (nothing)\n  + b = 4\n"));
    }
}
