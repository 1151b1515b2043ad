//! Programs from files, with the arguments that the files hold.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cotangent::Tensor;
use cotangent::array::Array;
use cotangent::ir::Graph;
use cotangent::pipeline;
use cotangent::simplify::{Class, Options, raise, simplify_with};
use cotangent_torch::{Program, Stored, read_safetensors};
use miette::{Report, Result, miette};

use crate::input;

/// Which program, under which transforms.
#[derive(clap::Args)]
pub struct ProgramArgs {
    /// An exported program if the name ends in `.pt2`; else IR text, or JSON if it ends in `.json`; `-` for standard input.
    pub file: PathBuf,
    /// Transforms of the program, outermost first: `grad`, `vmap(grad, in_dims=(None, 0), size=8)`, `jvp`, `vjp`, `jacrev`,
    /// `jacfwd`, `hessian`. Arguments are named by number or name (`argnums=net.0.weight`).
    #[arg(long, value_name = "TRANSFORMS")]
    pub transform: Option<String>,
    /// The graph of the file, where it holds several.
    #[arg(long, value_name = "NAME")]
    pub graph: Option<String>,
    /// The value of a symbolic size of an exported program; that of its example if it is not given.
    #[arg(long = "size", value_name = "NAME=SIZE", value_parser = size)]
    pub sizes: Vec<(String, i64)>,
    /// Leave the program as the transforms left it, not simplified.
    #[arg(long)]
    pub raw: bool,
    /// How far simplification may change values. By default programs of PyTorch keep every bit (`exact`: 0 * NaN is NaN); under a
    /// derivative, and for graphs of this project, sums may be taken in another order (`rounding`), and zeros that
    /// derivatives bring in count as factors of finite numbers.
    #[arg(long, value_enum, value_name = "CLASS", conflicts_with = "raw")]
    pub simplify: Option<Simplify>,
}

/// A class of simplifications, each containing the ones before it.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Simplify {
    /// Equal bits, of infinities, NaN and signed zeros too.
    Exact,
    /// Equal where values are finite.
    Finite,
    /// Sums in another order, merged factors.
    Rounding,
    /// Inverse functions cancelled.
    FastMath,
}

impl From<Simplify> for Class {
    fn from(s: Simplify) -> Class {
        match s {
            Simplify::Exact => Class::Exact,
            Simplify::Finite => Class::Finite,
            Simplify::Rounding => Class::Rounding,
            Simplify::FastMath => Class::FastMath,
        }
    }
}

/// The class of simplifications for a program of PyTorch's under `transform`: exact, unless a derivative brings in zeros of its own.
fn default_class(transform: &str) -> Class {
    let mut words = transform.split(|c: char| !c.is_ascii_alphanumeric());
    if words.any(pipeline::is_derivative) { Class::default() } else { Class::Exact }
}

fn size(text: &str) -> Result<(String, i64), String> {
    let (name, n) = text.split_once('=').ok_or("expected NAME=SIZE")?;
    Ok((name.to_owned(), n.parse().map_err(|e| format!("{n}: {e}"))?))
}

/// A program and the values of its arguments that came with it.
pub struct Loaded {
    /// The program under its transforms.
    pub graph: Graph,
    /// The values that came with the program, by name.
    pub stored: BTreeMap<String, Stored>,
    /// The simplifications that are allowed.
    pub options: Options,
    /// Whether the graph is as the transforms left it.
    raw: bool,
    /// Which simplifications were made.
    pub explanation: String,
}

/// Reads, transforms and simplifies a program.
pub fn load(args: &ProgramArgs) -> Result<Loaded> {
    let exported = args.file.extension().is_some_and(|e| e == "pt2");
    let class = match (args.simplify, exported) {
        (Some(s), _) => s.into(),
        (None, true) => default_class(args.transform.as_deref().unwrap_or_default()),
        (None, false) => Class::default(),
    };
    let options = Options { class, ..Options::default() };
    let (program, stored) = if exported {
        let program = Program::read(&args.file).map_err(Report::new)?;
        let avals = program.avals(&args.sizes.iter().cloned().collect()).map_err(Report::new)?;
        (program.graph(&avals).map_err(Report::new)?, program.stored())
    } else {
        (input::graph(&args.file, args.graph.as_deref())?, BTreeMap::new())
    };
    let mut graph = match &args.transform {
        Some(text) => pipeline::transform(&program, text).map_err(Report::new)?,
        None => program,
    };
    let mut explanation = String::new();
    if !args.raw {
        let (simplified, report) = simplify_with(&graph, options);
        explanation = report.explain();
        graph = simplified;
    }
    Ok(Loaded { graph, stored, options, raw: args.raw, explanation })
}

impl Loaded {
    /// The graph as code for PyTorch: in PyTorch's compound operators, unless it was asked for as it is.
    pub fn raised(&self) -> Cow<'_, Graph> {
        if self.raw { Cow::Borrowed(&self.graph) } else { Cow::Owned(raise(&self.graph, self.options.class)) }
    }

    /// The arguments: those of the safetensors file `inputs` by name, then the program's own parameters and buffers.
    ///
    /// *Errors*: an argument that neither has, or that has another dtype or shape.
    pub fn arguments(&self, inputs: Option<&Path>) -> Result<Vec<Tensor>> {
        let given = inputs.map_or(Ok(BTreeMap::new()), read_safetensors).map_err(Report::new)?;
        let given: BTreeMap<String, Arc<Array>> = given.into_iter().map(|(n, a)| (n, Arc::new(a))).collect();
        let names = self.graph.signature().leaf_names();
        let wanted = || names.iter().map(String::as_str).zip(self.graph.param_avals());
        if let Some(extra) = given.keys().find(|k| !names.contains(k)) {
            return Err(miette!("expected inputs of the program ({}), found `{extra}`", names.join(", ")));
        }
        let mut out = Vec::with_capacity(names.len());
        for (name, aval) in wanted() {
            let Some(array) = given.get(name).or_else(|| self.stored.get(name).map(|s| &s.value)) else {
                let missing: Vec<String> = wanted()
                    .filter(|(n, _)| !given.contains_key(*n) && !self.stored.contains_key(*n))
                    .map(|(n, a)| format!("{n}: {a}"))
                    .collect();
                return Err(miette!("expected values in --inputs for {}", missing.join(", ")));
            };
            if array.aval() != aval {
                return Err(miette!("input `{name}`: expected {aval}, found {}", array.aval()));
            }
            out.push(Tensor::from_shared(array.clone()));
        }
        Ok(out)
    }
}
