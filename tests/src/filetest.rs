//! File tests: IR text with directives in comments.
//!
//! ```text
//! // test: grad wrt=[0] | simplify
//! // nodes: 1
//! // run: (f64[2] {0.0, 1.0}) ~= (f64[2] {1.0, 0.5403023058681398})
//!
//! graph f(%0: f64[2]) { … }
//! ```
//!
//! - `test:` the pipeline of passes applied to the first graph, separated by `|`: `simplify [class]`, `grad wrt=[0]`,
//!   `vjp wrt=[0]`, `jvp wrt=[0]`, `jacrev wrt=[0]`, `jacfwd wrt=[0]`, `hessian wrt=[0]`,
//!   `vmap in_dims=[0,none] size=3`, `inline`. Without passes the graph itself is tested.
//! - `nodes:` the number of nodes of the result; `fires:` rules that must have fired in `simplify` passes.
//! - `run:` arguments and expected results: `==` to the bit, `~=` within 1e-6.
//! - `error:` a piece of the message that reading or transforming the file must give.
//! - `snapshot` the result is compared with a snapshot (always so where there is no `run:`, `nodes:` or `error:`).

use std::fmt::Write as _;
use std::path::Path;

use cotangent_core::array::Array;
use cotangent_core::ir::Graph;
use cotangent_core::ir::verify::verify;
use cotangent_core::ops::Op;
use cotangent_core::simplify::{Class, Options, Report, simplify_with};
use cotangent_core::text::ir::parse_all;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::{grad, inline, jacobian, jvp, vmap};

use crate::numeric::close;

/// One file.
#[derive(Debug)]
pub struct FileTest {
    /// The file's name without directory and ending.
    pub name: String,
    /// The passes.
    pub passes: Vec<String>,
    /// Other directives, in order: `(word, rest of the line)`.
    pub directives: Vec<(String, String)>,
    /// The whole text.
    pub text: String,
}

/// What a file's pipeline gave.
#[derive(Debug)]
pub struct Outcome {
    /// The graph that stands in the file.
    pub input: Graph,
    /// The result of the pipeline.
    pub output: Graph,
    /// The reports of its simplifications.
    pub reports: Vec<Report>,
}

impl FileTest {
    /// Reads the directives of a file.
    ///
    /// # Panics
    /// If the file cannot be read.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let mut passes = Vec::new();
        let mut directives = Vec::new();
        for line in text.lines().filter_map(|l| l.strip_prefix("// ")) {
            let (word, rest) = line.split_once(':').unwrap_or((line, ""));
            match word.trim() {
                "test" => passes = rest.split('|').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
                w @ ("run" | "error" | "nodes" | "fires" | "snapshot") => {
                    directives.push((w.to_owned(), rest.trim().to_owned()));
                }
                _ => {}
            }
        }
        FileTest { name, passes, directives, text }
    }

    /// The texts of one directive.
    pub fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.directives.iter().filter(move |(w, _)| w == word).map(|(_, rest)| rest.as_str())
    }

    /// Runs the pipeline.
    ///
    /// *Errors*: the message of the first error.
    pub fn outcome(&self) -> Result<Outcome, String> {
        let graphs = parse_all(&self.name, &self.text).map_err(|e| {
            let mut message = e.to_string();
            for p in &e.problems {
                let _ = write!(message, "\n{}", p.message);
            }
            message
        })?;
        let input = graphs.into_iter().next().ok_or("the file holds no graph")?;
        verify(&input).map_err(|e| e.to_string())?;
        let mut output = input.clone();
        let mut reports = Vec::new();
        for pass in &self.passes {
            output = apply(pass, &output, &mut reports)?;
            verify(&output).map_err(|e| format!("after `{pass}`: {e}\n{output}"))?;
        }
        Ok(Outcome { input, output, reports })
    }

    /// Checks all directives and gives the outcome, unless an error was expected.
    pub fn check(&self) -> Result<Option<Outcome>, String> {
        let outcome = self.outcome();
        let errors: Vec<&str> = self.all("error").collect();
        if !errors.is_empty() {
            let Err(message) = outcome else { return Err("expected an error, found none".to_owned()) };
            return match errors.iter().find(|e| !message.contains(**e)) {
                Some(e) => Err(format!("expected an error with `{e}`, found: {message}")),
                None => Ok(None),
            };
        }
        let outcome = outcome?;
        for n in self.all("nodes") {
            if n != outcome.output.len().to_string() {
                return Err(format!("expected {n} nodes, found {}:\n{}", outcome.output.len(), outcome.output));
            }
        }
        for rule in self.all("fires").flat_map(|r| r.split(',').map(str::trim)) {
            if outcome.reports.iter().all(|r| r.count(rule) == 0) {
                return Err(format!("`{rule}` did not fire:\n{:?}", outcome.reports));
            }
        }
        for run in self.all("run") {
            check_run(run, &outcome.output)?;
        }
        Ok(Some(outcome))
    }

    /// Whether the result is to be compared with a snapshot.
    pub fn wants_snapshot(&self) -> bool {
        self.directives.iter().all(|(w, _)| w == "snapshot" || w == "fires")
            || self.directives.iter().any(|(w, _)| w == "snapshot")
    }
}

/// The class of that name.
pub fn class_named(name: &str) -> Option<Class> {
    Class::ALL.into_iter().find(|c| c.name() == name)
}

fn apply(pass: &str, g: &Graph, reports: &mut Vec<Report>) -> Result<Graph, String> {
    let mut words = pass.split_whitespace();
    let name = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let text = |key: &str| words.iter().find_map(|w| w.strip_prefix(key)?.strip_prefix('='));
    let list = |key: &str| -> Result<Vec<Option<usize>>, String> {
        let t = text(key).ok_or_else(|| format!("`{name}` needs `{key}=[…]`"))?;
        let inner = t.strip_prefix('[').and_then(|t| t.strip_suffix(']')).ok_or_else(|| format!("no list: `{t}`"))?;
        inner
            .split(',')
            .filter(|w| !w.is_empty())
            .map(|w| if w == "none" { Ok(None) } else { w.parse().map(Some).map_err(|_| format!("no number: `{w}`")) })
            .collect()
    };
    let wrt = || list("wrt").map(|l| l.into_iter().flatten().collect::<Vec<usize>>());
    let result = match name {
        "simplify" => {
            let class = match words.first() {
                Some(w) => class_named(w).ok_or_else(|| format!("there is no class `{w}`"))?,
                None => Class::default(),
            };
            let (out, report) = simplify_with(g, Options { class, trace: false });
            reports.push(report);
            Ok(out)
        }
        "grad" => grad::grad_and_value(g, &wrt()?),
        "vjp" => grad::vjp(g, &wrt()?),
        "jvp" => jvp::jvp(g, &wrt()?),
        "jacrev" => jacobian::jacrev(g, &wrt()?),
        "jacfwd" => jacobian::jacfwd(g, &wrt()?),
        "hessian" => jacobian::hessian(g, &wrt()?),
        "inline" => inline::inline_composites(g),
        "vmap" => {
            let size: usize = text("size").and_then(|s| s.parse().ok()).ok_or("`vmap` needs `size=n`")?;
            vmap::vmap(g, &list("in_dims")?, &vec![0; g.results().len()], size.into())
        }
        other => return Err(format!("there is no pass `{other}`")),
    };
    result.map_err(|e| e.to_string())
}

fn check_run(run: &str, g: &Graph) -> Result<(), String> {
    let (exact, sides) = match run.split_once("~=") {
        Some(sides) => (false, sides),
        None => (true, run.split_once("==").ok_or_else(|| format!("`run: {run}` has neither `~=` nor `==`"))?),
    };
    let (args, expected) = (arrays(sides.0)?, arrays(sides.1)?);
    let found = eval(g, &args).map_err(|e| e.to_string())?;
    let same = |(a, b): (&Array, &Array)| if exact { a == b } else { close(a, b, 1e-6) };
    if found.len() == expected.len() && found.iter().zip(&expected).all(same) {
        return Ok(());
    }
    Err(format!("run: {run}\nfound {found:?}\n{g}"))
}

/// The arrays of `(f64[2] {1.0, 2.0}, i64[] {3})`, read as the constants of a graph.
fn arrays(text: &str) -> Result<Vec<Array>, String> {
    let text = text.trim();
    let inner =
        text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).ok_or_else(|| format!("no tuple: `{text}`"))?;
    let mut body = String::new();
    for (i, item) in inner.split_inclusive('}').map(|s| s.trim_start_matches([',', ' '])).enumerate() {
        if item.is_empty() {
            continue;
        }
        let aval = item.split('{').next().unwrap_or_default().trim();
        let _ = writeln!(body, "  %{i}: {aval} = constant(value={item})");
    }
    let graphs =
        parse_all("run", &format!("graph run() {{\n{body}  return none\n}}")).map_err(|e| format!("{text}: {e}"))?;
    let constant = |op: &Op| match op {
        Op::Constant(c) => Ok(c.value.as_ref().clone()),
        other => Err(format!("no constant: {}", other.name())),
    };
    graphs[0].nodes().iter().map(|n| constant(&n.op)).collect()
}
