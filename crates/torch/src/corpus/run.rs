//! Running one case: the program's graph under the case's transform, evaluated and compared.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, Graph};
use cotangent_core::transform::replay::replay;
use cotangent_core::transform::{build, grad, jacobian, jvp, vmap};
use cotangent_core::{Error, Tensor};

use super::case::{Case, Suite};
use super::compare::difference;
use crate::error::TorchError;
use crate::program::Program;

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// All outputs agree.
    Pass,
    /// Some output disagrees.
    Fail,
    /// The program or transform is not implemented.
    Unsupported,
    /// The case could not be computed.
    Error,
}

impl Status {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Unsupported => "unsupported",
            Status::Error => "error",
        }
    }
}

/// The end of a case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The largest absolute difference over all outputs.
    pub max_abs_err: f64,
    /// What is wrong, if something is.
    pub message: String,
    /// The outputs, followed by the updated buffers.
    pub outputs: Vec<Array>,
}

/// What evaluates a graph at arguments.
pub type Engine = dyn Fn(&Graph, &[Array]) -> Result<Vec<Array>, Error>;

/// Runs `case` with `engine`, which evaluates a graph. Never panics: a panic inside is an error of the case.
pub fn run_case(suite: &Suite, case: &Case, engine: &Engine) -> Outcome {
    let end = |status, message: String| Outcome { status, max_abs_err: f64::INFINITY, message, outputs: Vec::new() };
    match catch_unwind(AssertUnwindSafe(|| compute(suite, case, engine))) {
        Ok(Ok((outputs, expected))) => judge(case, outputs, &expected),
        Ok(Err(e @ (TorchError::Unsupported { .. } | TorchError::Refused { .. }))) => {
            end(Status::Unsupported, e.to_string())
        }
        Ok(Err(e)) => end(Status::Error, e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            end(Status::Error, format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn judge(case: &Case, outputs: Vec<Array>, expected: &[Array]) -> Outcome {
    let mut outcome = Outcome { status: Status::Pass, max_abs_err: 0.0, message: String::new(), outputs };
    if outcome.outputs.len() != expected.len() {
        outcome.status = Status::Fail;
        outcome.message = format!("expected {} outputs, found {}", expected.len(), outcome.outputs.len());
        return outcome;
    }
    for (i, (got, want)) in outcome.outputs.iter().zip(expected).enumerate() {
        match difference(got, want, case.rtol, case.atol) {
            Ok(d) => outcome.max_abs_err = outcome.max_abs_err.max(d),
            Err((d, message)) => {
                outcome.max_abs_err = outcome.max_abs_err.max(d);
                if outcome.status == Status::Pass {
                    outcome.status = Status::Fail;
                    outcome.message = format!("output {i}: {message}");
                }
            }
        }
    }
    outcome
}

type Computed = (Vec<Array>, Vec<Array>);

fn compute(suite: &Suite, case: &Case, engine: &Engine) -> Result<Computed, TorchError> {
    let program = Program::read(&suite.dir.join(&case.program))?;
    let find = |name: &String| -> Result<Array, TorchError> {
        let found = match name.strip_prefix("weight:") {
            Some(w) => program.weights().get(w).map(AsRef::as_ref),
            None => suite.data.get(name),
        };
        found.cloned().ok_or_else(|| TorchError::Program { message: format!("tensor `{name}` is in no file") })
    };
    let extra = case.cotangents.iter().chain(&case.tangents).chain(&case.cotangents2);
    let inputs: Vec<Array> = case.args.iter().chain(extra).map(find).collect::<Result<_, _>>()?;
    let avals: Vec<Aval> = inputs.iter().map(Array::aval).collect();
    let graph = case_graph(&program, case, &avals)?;
    let outputs = engine(&graph, &inputs)?;
    let mutated: BTreeMap<&str, &String> = case.mutated.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let buffers = program.mutated().filter_map(|b| mutated.get(b).copied());
    let expected: Vec<Array> = if case.transform == "forward" && !mutated.is_empty() {
        case.expected.iter().chain(buffers).map(find).collect::<Result<_, _>>()?
    } else {
        case.expected.iter().map(find).collect::<Result<_, _>>()?
    };
    Ok((outputs, expected))
}

fn positions(dims: &[Option<i64>], avals: &[Aval]) -> Result<Vec<Option<usize>>, TorchError> {
    let one = |(d, a): (&Option<i64>, &Aval)| {
        let Some(d) = d else { return Ok(None) };
        let at = if *d < 0 { d + a.rank() as i64 } else { *d };
        let found = usize::try_from(at).ok().filter(|at| *at < a.rank());
        found.map(Some).ok_or_else(|| TorchError::Program { message: format!("batch dim {d} of {a}") })
    };
    if dims.len() != avals.len() {
        let message = format!("expected {} batch dims, found {}", avals.len(), dims.len());
        return Err(TorchError::Program { message });
    }
    dims.iter().zip(avals).map(one).collect()
}

fn unbatched(avals: &[Aval], dims: &[Option<usize>]) -> Vec<Aval> {
    let one = |(a, d): (&Aval, &Option<usize>)| d.map_or_else(|| a.clone(), |d| a.with_shape(a.shape.removed(d)));
    avals.iter().zip(dims).map(one).collect()
}

/// The program of a case under its transform, for inputs of `avals` (arguments, cotangents, tangents, second cotangents).
///
/// *Errors*: an operator or transform that is not supported; a case that contradicts its program.
pub fn case_graph(program: &Program, case: &Case, avals: &[Aval]) -> Result<Graph, TorchError> {
    let n = case.args.len();
    let kind = case.transform.as_str();
    if kind == "vmap_vmap" {
        let outer = positions(&case.in_dims, avals)?;
        let middle = unbatched(avals, &outer);
        let inner = positions(&case.inner_in_dims, &middle)?;
        let f = user_outputs(program, &unbatched(&middle, &inner))?;
        let zeros = vec![0; f.results().len()];
        let g = vmap::vmap(&f, &inner, &zeros, case.inner_batch_size.into())?;
        return Ok(vmap::vmap(&g, &outer, &zeros, case.batch_size.into())?);
    }
    if kind == "vmap" {
        let dims = positions(&case.in_dims, avals)?;
        let f = user_outputs(program, &unbatched(avals, &dims))?;
        let place = |(d, a): (&i64, Aval)| if *d < 0 { (d + a.rank() as i64 + 1) as usize } else { *d as usize };
        let out: Vec<usize> = case.out_dims.iter().zip(f.result_avals()).map(place).collect();
        return Ok(vmap::vmap(&f, &dims, &out, case.batch_size.into())?);
    }
    if let Some(inner) = kind.strip_prefix("vmap_") {
        let dims: Vec<Option<i64>> = case.in_dims.iter().chain(&case.extra_in_dims).copied().collect();
        let dims = positions(&dims, avals)?;
        let single = unbatched(avals, &dims);
        let f = user_outputs(program, &single[..n])?;
        let g = once(&f, inner, case, &single)?;
        return Ok(vmap::vmap(&g, &dims, &vec![0; g.results().len()], case.batch_size.into())?);
    }
    if kind == "forward" {
        let g = program.graph(avals)?;
        let outputs = if case.mutated.is_empty() { program.num_outputs() } else { g.results().len() };
        return Ok(g.with_only_results(outputs));
    }
    once(&user_outputs(program, avals.get(..n).unwrap_or(avals))?, kind, case, avals)
}

fn user_outputs(program: &Program, avals: &[Aval]) -> Result<Graph, TorchError> {
    Ok(program.graph(avals)?.with_only_results(program.num_outputs()))
}

/// One application of the transform `kind`: parameters as `avals`, results in the order of the case's `expected`.
fn once(f: &Graph, kind: &str, case: &Case, avals: &[Aval]) -> Result<Graph, TorchError> {
    let n = f.params().len();
    let wrt = &case.argnums;
    let selected = build("selected", |t| {
        let args: Vec<Tensor> = f.param_avals().iter().map(|a| t.param(a)).collect();
        let y = replay(f, &args);
        let pick = |o: &usize| y.get(*o).cloned().ok_or_else(|| Error::user(format!("the program has no output {o}")));
        case.outnums.iter().map(pick).collect()
    })?;
    let outs = selected.results().len();
    // Each kind is a graph over the same parameters, or a prefix of them, whose last results are wanted.
    let (derivative, skip, with_values) = match kind {
        "jvp" => (jvp::jvp(&selected, wrt)?, outs, true),
        "vjp" => (grad::vjp(&selected, wrt)?, outs, true),
        "grad" => (grad::grad_and_value(&selected, wrt)?.with_only_results(wrt.len()), 0, true),
        "jacrev" => (jacobian::jacrev(&selected, wrt)?, 0, false),
        "jacfwd" => (jacobian::jacfwd(&selected, wrt)?, 0, false),
        "hessian" => (jacobian::hessian(&selected, wrt)?, 0, false),
        "jvp_vjp" => (jvp::jvp(&gradient(&selected, wrt)?, wrt)?, 0, false),
        "vjp_vjp" => (grad::vjp(&gradient(&selected, wrt)?, wrt)?, 0, false),
        "jvp_grad" => {
            let g = grad::grad_and_value(&selected, wrt)?.with_only_results(wrt.len());
            (jvp::jvp(&g, wrt)?, 0, false)
        }
        _ => return Err(TorchError::Unsupported { target: format!("transform {kind}"), node: case.name.clone() }),
    };
    Ok(build("case", |t| {
        let args: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        let mut out = if with_values { replay(f, &args[..n]) } else { Vec::new() };
        let params = derivative.params().len();
        let given =
            args.get(..params).ok_or_else(|| Error::user(format!("expected {params} inputs, found {}", args.len())))?;
        out.extend(replay(&derivative, given).into_iter().skip(skip));
        Ok(out)
    })?)
}

/// `(args…, cotangents…) → x_bar…`.
fn gradient(selected: &Graph, wrt: &[usize]) -> Result<Graph, TorchError> {
    let g = grad::vjp(selected, wrt)?;
    let skip = selected.results().len();
    Ok(build("gradient", |t| {
        let args: Vec<Tensor> = g.param_avals().iter().map(|a| t.param(a)).collect();
        Ok(replay(&g, &args).into_iter().skip(skip).collect())
    })?)
}
