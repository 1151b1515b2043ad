//! `make_fx`: a function as a graph.

use cotangent_core::error::Error;
use cotangent_core::ir::{Graph, Signature, default_names};
use cotangent_core::tensor::trace::Level;
use cotangent_core::transform::inline::inline_composites;

use crate::capture::capture;
use crate::function::{Arguments, Function};

/// The graph of `f` at arguments of these dtypes and shapes, simplified.
///
/// Only dtypes and shapes of the arguments matter; [`Tensor::abstract_`](cotangent_core::Tensor::abstract_) makes
/// arguments without elements. Transforms inside `f` are expanded. The graph is itself a [`Function`], which can be
/// run, traced and transformed again.
///
/// *Errors*: those of the function; a function that uses tensors of an enclosing trace.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let g = make_fx(grad(|x: Tensor| x.sin().sum()), (Tensor::abstract_(DType::F32, [100]),))?;
/// let x = Tensor::from(vec![0.0f32; 100]);
/// assert_eq!(g.call((x,))?[0].to_vec::<f32>()?, [1.0; 100]);
/// # Ok(())
/// # }
/// ```
pub fn make_fx<Args: Arguments, F: Function<Args>>(f: F, args: Args) -> Result<Graph, Error> {
    make_fx_with(CaptureOptions::new(), f, args)
}

/// As [`make_fx`], with a choice of what is done to the graph.
pub fn make_fx_with<Args: Arguments, F: Function<Args>>(
    options: CaptureOptions,
    f: F,
    args: Args,
) -> Result<Graph, Error> {
    let captured = capture("make_fx", Level::Capture, &f, &args)?.closed("make_fx")?;
    let names = options.names.clone().filter(|n| n.len() == Args::COUNT);
    let signature = Signature {
        names: names.unwrap_or_else(|| default_names(Args::COUNT)),
        params: captured.arg_specs,
        result: captured.out_spec,
    };
    let mut graph = captured.graph.with_signature(signature);
    if options.decompose {
        graph = inline_composites(&graph)?;
    }
    Ok(if options.simplify { cotangent_core::simplify::simplify(&graph) } else { graph })
}

/// What [`make_fx_with`] does to a captured graph.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    simplify: bool,
    decompose: bool,
    names: Option<Vec<String>>,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        CaptureOptions::new()
    }
}

impl CaptureOptions {
    /// Simplified; composites stay calls under their ATen names where no transform had to look inside.
    pub fn new() -> Self {
        CaptureOptions { simplify: true, decompose: false, names: None }
    }

    /// As it was traced: nothing is simplified, and statements that nothing needs stay.
    pub fn raw() -> Self {
        CaptureOptions { simplify: false, decompose: false, names: None }
    }

    /// Whether composites are replaced by the primitives that they consist of.
    pub fn decompose(mut self, decompose: bool) -> Self {
        self.decompose = decompose;
        self
    }

    /// Names for the arguments, which Rust does not let a library see; used if there is one for each argument.
    pub fn names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }
}
