//! Composites against what PyTorch computes for them: values, gradients, and batching against a loop.
//!
//! `tests/fixtures/make_aten_fixtures.py` records the numbers; a theme of it is a table of rows here, so that adding a
//! composite is adding a row on both sides.

use std::collections::BTreeMap;

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::verify::verify;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use serde_json::Value;

use crate::numeric::{Rng, axpy, close, close_f64, dot, stack};

/// A composite as a function of its tensors.
pub type Function = fn(&[Tensor]) -> Vec<Tensor>;

/// A row of a theme's table.
pub struct Row {
    /// The name on both sides.
    pub name: &'static str,
    /// The composite.
    pub f: Function,
    /// What of PyTorch's behaviour is not compared, and why.
    pub except: Except,
}

/// What of a row is not compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Except {
    /// Nothing.
    Nothing,
    /// That the two modes agree: PyTorch's have a convention each.
    Modes,
    /// Digits of gradients: PyTorch computes them with constants of single precision.
    Digits,
    /// The dtype of results: they are of `f64` whatever the operands are.
    Dtype,
    /// Batching: the function depends on data, or its integer arguments cannot be batched.
    Batching,
}

/// A row that agrees with PyTorch in everything.
pub const fn row(name: &'static str, f: Function) -> Row {
    Row { name, f, except: Except::Nothing }
}

/// A row with an exception.
pub const fn row_except(name: &'static str, except: Except, f: Function) -> Row {
    Row { name, f, except }
}

struct Case {
    args: Vec<Array>,
    out: Vec<Array>,
    grads: Vec<Option<Vec<f64>>>,
}

/// Compares every row of the theme with every case recorded for it, in other dtypes too; a name on one side only is a
/// failure.
pub fn check(theme: &str, rows: &[Row]) {
    compare_rows("aten", theme, rows, |row, case| {
        check_case(row, case)?;
        if row.except == Except::Dtype { Ok(()) } else { check_dtypes(row, case) }
    });
}

/// As [`check`] in `f64` alone, for a theme of `tests/fixtures/<file>.json`.
pub fn check_in(file: &str, theme: &str, rows: &[Row]) {
    compare_rows(file, theme, rows, check_case);
}

fn compare_rows(file: &str, theme: &str, rows: &[Row], compare: fn(&Row, &Case) -> Result<(), String>) {
    let mut recorded = load(file, theme);
    let mut failures = Vec::new();
    for row in rows {
        let Some(cases) = recorded.remove(row.name) else {
            failures.push(format!("{}: not recorded", row.name));
            continue;
        };
        for (i, case) in cases.iter().enumerate() {
            let outcome = std::panic::catch_unwind(|| compare(row, case));
            let message = match outcome {
                Ok(Ok(())) => continue,
                Ok(Err(m)) => m,
                Err(p) => p.downcast_ref::<String>().cloned().unwrap_or_else(|| "panic".to_owned()),
            };
            failures.push(format!("{} (case {i}): {message}", row.name));
        }
    }
    failures.extend(recorded.keys().map(|name| format!("{name}: recorded, but has no row")));
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

const TOLERANCE: f64 = 1e-9;

fn check_case(row: &Row, case: &Case) -> Result<(), String> {
    let eager: Vec<Tensor> = case.args.iter().cloned().map(Tensor::from_array).collect();
    let eager: Result<Vec<Array>, _> = (row.f)(&eager).iter().map(Tensor::to_array).collect();
    compare("values", &eager.map_err(|e| e.to_string())?, &case.out)?;
    let graph = traced(row.f, &case.args)?;
    compare("values in a trace", &run(&graph, &case.args)?, &case.out)?;
    let wrt: Vec<usize> = (0..case.args.len()).filter(|i| case.args[*i].dtype().is_float()).collect();
    let tolerance = if row.except == Except::Digits { 1e-6 } else { TOLERANCE };
    check_gradients(&graph, case, &wrt, tolerance)?;
    if row.except != Except::Modes {
        check_modes(&graph, case, &wrt)?;
    }
    if row.except != Except::Batching {
        check_batching(&graph, &case.args)?;
    }
    Ok(())
}

fn check_gradients(graph: &Graph, case: &Case, wrt: &[usize], tolerance: f64) -> Result<(), String> {
    let y_bar: Vec<Array> = case.out.iter().filter(|y| y.dtype().is_float()).map(|y| weights(&y.aval())).collect();
    let pullback = vjp(graph, wrt).map_err(|e| e.to_string())?;
    let all: Vec<Array> = case.args.iter().chain(&y_bar).cloned().collect();
    let x_bar = run(&pullback, &all)?.split_off(case.out.len());
    for ((i, got), expected) in wrt.iter().zip(&x_bar).zip(&case.grads) {
        let Some(expected) = expected else { continue };
        let expected = Array::from_f64_fn(&got.aval(), |k| expected[k]);
        if !close(got, &expected, tolerance) {
            return Err(format!("gradient of argument {i}: got {got}, PyTorch has {expected}"));
        }
    }
    Ok(())
}

/// Forward and reverse mode agree: `<y_bar, J x_dot> = <Jᵀ y_bar, x_dot>`, where both are finite.
fn check_modes(graph: &Graph, case: &Case, wrt: &[usize]) -> Result<(), String> {
    let mut rng = Rng(5);
    let x_dot: Vec<Array> = wrt.iter().map(|i| rng.array(&case.args[*i].aval())).collect();
    let y_bar: Vec<Array> = case.out.iter().filter(|y| y.dtype().is_float()).map(|y| weights(&y.aval())).collect();
    if x_dot.is_empty() || y_bar.is_empty() {
        return Ok(());
    }
    let with = |more: &[Array]| case.args.iter().chain(more).cloned().collect::<Vec<_>>();
    let n = case.out.len();
    let y_dot = run(&jvp(graph, wrt).map_err(|e| e.to_string())?, &with(&x_dot))?.split_off(n);
    let x_bar = run(&vjp(graph, wrt).map_err(|e| e.to_string())?, &with(&y_bar))?.split_off(n);
    let (a, b) = (dot(&y_bar, &y_dot), dot(&x_bar, &x_dot));
    if close_f64(a, b, TOLERANCE) || !(a.is_finite() && b.is_finite()) {
        return Ok(());
    }
    Err(format!("<y_bar, y_dot> = {a}, <x_bar, x_dot> = {b}"))
}

/// With operands of another float dtype the results are of that dtype, near those of `f64` where a `f32` can tell.
fn check_dtypes(row: &Row, case: &Case) -> Result<(), String> {
    for dtype in [DType::F32, DType::BF16] {
        let cast = |a: &Array| if a.dtype().is_float() { a.cast(dtype) } else { a.clone() };
        let args: Vec<Array> = case.args.iter().map(cast).collect();
        let graph = traced(row.f, &args)?;
        for (got, y) in graph.result_avals().iter().zip(&case.out) {
            let expected = if y.dtype().is_float() { y.aval().with_dtype(dtype) } else { y.aval() };
            if *got != expected {
                return Err(format!("result of {dtype}: got {got}, expected {expected}"));
            }
        }
        let ordinary = case.args.iter().all(|a| a.to_f64_vec().iter().all(|x| x.abs() < 1e3));
        if dtype == DType::F32 && ordinary {
            for (got, y) in run(&graph, &args)?.iter().zip(&case.out) {
                if !close(got, &y.cast(got.dtype()), 1e-4) {
                    return Err(format!("values in f32: got {got}, expected {y}"));
                }
            }
        }
    }
    Ok(())
}

/// The batched function of three examples, and of none, equals the loop; all arguments are mapped.
fn check_batching(graph: &Graph, args: &[Array]) -> Result<(), String> {
    for size in [3, 0] {
        let examples: Vec<Vec<Array>> = (0..size).map(|b| args.iter().map(|a| varied(a, b)).collect()).collect();
        let batch: Vec<Array> = (0..args.len())
            .map(|i| stack(&examples.iter().map(|e| e[i].clone()).collect::<Vec<_>>(), &args[i].aval()))
            .collect();
        let mapped = vmap(graph, &vec![Some(0); args.len()], &vec![0; graph.results().len()], size.into());
        let got = run(&mapped.map_err(|e| e.to_string())?, &batch)?;
        let each: Vec<Vec<Array>> = examples.iter().map(|e| run(graph, e)).collect::<Result<_, _>>()?;
        for (k, aval) in graph.result_avals().iter().enumerate() {
            let expected = stack(&each.iter().map(|e| e[k].clone()).collect::<Vec<_>>(), aval);
            compare(&format!("batch of {size}"), &got[k..=k], &[expected])?;
        }
    }
    Ok(())
}

/// An example of a batch: floats vary, integers (which may be indices) do not.
fn varied(a: &Array, b: usize) -> Array {
    if a.dtype().is_float() && a.to_f64_vec().iter().all(|x| x.is_finite()) {
        axpy(a, 0.01 * b as f64, a)
    } else {
        a.clone()
    }
}

fn weights(aval: &Aval) -> Array {
    Array::from_f64_fn(aval, |i| ((i * 7 + 3) % 11) as f64 / 11.0 - 0.4)
}

/// The graph of a function at arguments of these avals.
pub fn traced(f: Function, args: &[Array]) -> Result<Graph, String> {
    let graph = build("row", |t| {
        let x: Vec<Tensor> = args.iter().map(|a| t.param(&a.aval())).collect();
        f(&x).into_iter().map(Tensor::ok).collect()
    })
    .map_err(|e| e.to_string())?;
    verify(&graph).map_err(|e| e.to_string())?;
    Ok(graph)
}

fn run(graph: &Graph, args: &[Array]) -> Result<Vec<Array>, String> {
    verify(graph).map_err(|e| format!("{e}\n{graph}"))?;
    eval(graph, args).map_err(|e| e.to_string())
}

fn compare(what: &str, got: &[Array], expected: &[Array]) -> Result<(), String> {
    if got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| close(a, b, TOLERANCE)) {
        return Ok(());
    }
    Err(format!("{what}: got {got:?}, expected {expected:?}"))
}

fn load(file: &str, theme: &str) -> BTreeMap<String, Vec<Case>> {
    let path = format!("{}/fixtures/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the fixture");
    let all: Value = serde_json::from_str(&text).expect("the fixture is JSON");
    let rows = all[theme].as_object().unwrap_or_else(|| panic!("theme {theme} is not recorded"));
    let arrays = |v: &Value| v.as_array().expect("a list").iter().map(array).collect();
    let gradient = |v: &Value| v.as_array().map(|g| g.iter().map(number).collect());
    let case = |c: &Value| Case {
        args: arrays(&c["args"]),
        out: arrays(&c["out"]),
        grads: c["grads"].as_array().expect("a list").iter().map(gradient).collect(),
    };
    let cases = |v: &Value| v.as_array().expect("a list").iter().map(case).collect();
    rows.iter().map(|(name, v)| (name.clone(), cases(v))).collect()
}

fn array(v: &Value) -> Array {
    let dtype: DType = v[0].as_str().expect("a dtype").parse().expect("a dtype");
    let shape: Vec<usize> =
        v[1].as_array().expect("a shape").iter().map(|n| n.as_u64().expect("a size") as usize).collect();
    let data: Vec<f64> = v[2].as_array().expect("elements").iter().map(number).collect();
    Array::from_f64_fn(&Aval::new(dtype, shape), |i| data[i])
}

/// A number; infinities and NaN are strings.
fn number(v: &Value) -> f64 {
    v.as_f64().or_else(|| v.as_str()?.parse().ok()).unwrap_or_else(|| panic!("a number, found {v}"))
}
