//! Numeric laws of every primitive: each rule against numbers, alone and composed.

use cotangent_core::Error;
use cotangent_core::array::Array;
use cotangent_core::error::InferError;
use cotangent_core::ir::verify::verify;
use cotangent_core::ir::{Aval, DType, Graph};
use cotangent_core::ops::{Op, Sample};
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::numeric::{Rng, axpy, close, close_f64, dot, sample_graph, stack};

fn run(g: &Graph, args: &[Array]) -> Vec<Array> {
    verify(g).unwrap_or_else(|e| panic!("{e}\n{g}"));
    eval(g, args).unwrap_or_else(|e| panic!("{e}\n{g}"))
}

fn try_run(g: &Graph, args: &[Array]) -> Option<Vec<Array>> {
    verify(g).unwrap_or_else(|e| panic!("{e}\n{g}"));
    eval(g, args).ok()
}

/// Names each failing sample, so that one run shows them all.
fn for_each_sample(law: fn(&Sample) -> Result<(), String>) {
    let only = std::env::var("COTANGENT_OP").ok();
    let mut failures = Vec::new();
    for s in Op::all_samples().iter().filter(|s| only.as_deref().is_none_or(|o| o == s.op.name())) {
        let result = std::panic::catch_unwind(|| law(s));
        let message = match result {
            Ok(Ok(())) => continue,
            Ok(Err(m)) => m,
            Err(p) => p
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| p.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_default(),
        };
        failures.push(format!("{} ({}): {message}", s.op.name(), s.note));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

/// The positions of float arguments: those with derivatives.
fn floats(s: &Sample) -> Vec<usize> {
    (0..s.args.len()).filter(|i| s.args[*i].dtype().is_float() && !s.no_derivative.contains(i)).collect()
}

fn tangents(s: &Sample, rng: &mut Rng) -> Vec<Array> {
    floats(s)
        .into_iter()
        .map(|i| if s.symmetric && i == 0 { rng.symmetric(&s.args[i].aval()) } else { rng.array(&s.args[i].aval()) })
        .collect()
}

fn float_results(g: &Graph) -> Vec<Aval> {
    g.result_avals().into_iter().filter(|a| a.dtype.is_float()).collect()
}

fn cotangents(g: &Graph, rng: &mut Rng) -> Vec<Array> {
    float_results(g).iter().map(|a| rng.array(a)).collect()
}

fn with(args: &[Array], more: &[Array]) -> Vec<Array> {
    args.iter().chain(more).cloned().collect()
}

fn expect_close(what: &str, got: &[Array], expected: &[Array], tol: f64) -> Result<(), String> {
    if got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| close(a, b, tol)) {
        return Ok(());
    }
    Err(format!("{what}: got {got:?}, expected {expected:?}"))
}

/// Whether differences make sense: all floats are `f64` and the sample is at a smooth point.
fn is_smooth(s: &Sample, g: &Graph) -> bool {
    let avals = g.param_avals().into_iter().chain(g.result_avals());
    s.is_smooth() && avals.into_iter().all(|a| !a.dtype.is_float() || a.dtype == DType::F64)
}

/// Tolerance by the least precise dtype among operands and results.
fn tolerance(g: &Graph) -> f64 {
    let all = g.param_avals().into_iter().chain(g.result_avals());
    all.map(|a| match a.dtype {
        DType::BF16 => 0.1,
        DType::F16 => 0.02,
        DType::F32 => 1e-4,
        DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => 1e-9,
    })
    .fold(0.0, f64::max)
}

#[test]
fn evaluation_gives_the_inferred_avals() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        let y = run(&g, &s.args);
        let found: Vec<Aval> = y.iter().map(Array::aval).collect();
        if found == g.result_avals() { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn jvp_is_the_limit_of_differences() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        if !is_smooth(s, &g) || floats(s).is_empty() {
            return Ok(());
        }
        let wrt = floats(s);
        let x_dot = tangents(s, &mut Rng(1));
        let got = run(&jvp(&g, &wrt).map_err(|e| e.to_string())?, &with(&s.args, &x_dot)).split_off(g.results().len());
        let h = 1e-5;
        let moved = |h: f64| {
            let mut args = s.args.clone();
            for (i, t) in wrt.iter().zip(&x_dot) {
                args[*i] = axpy(&args[*i], h, t);
            }
            run(&g, &args)
        };
        let (hi, lo) = (moved(h), moved(-h));
        let expected: Vec<Array> = hi
            .iter()
            .zip(&lo)
            .enumerate()
            .filter(|(_, (a, _))| a.dtype().is_float())
            .map(|(k, (hi, lo))| {
                if s.constant_results.contains(&k) {
                    return Array::full(&lo.aval(), 0.0.into());
                }
                let (hi, lo2) = (hi.to_f64_vec(), lo.to_f64_vec());
                Array::from_f64_fn(&lo.aval(), |i| (hi[i] - lo2[i]) / (2.0 * h))
            })
            .collect();
        expect_close("jvp against differences", &got, &expected, 1e-6)
    });
}

#[test]
fn vjp_is_the_adjoint_of_jvp() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        let wrt = floats(s);
        if wrt.is_empty() || float_results(&g).is_empty() || !s.modes_agree() {
            return Ok(());
        }
        let mut rng = Rng(2);
        let (x_dot, y_bar) = (tangents(s, &mut rng), cotangents(&g, &mut rng));
        let n = g.results().len();
        let y_dot = run(&jvp(&g, &wrt).map_err(|e| e.to_string())?, &with(&s.args, &x_dot)).split_off(n);
        let x_bar = run(&vjp(&g, &wrt).map_err(|e| e.to_string())?, &with(&s.args, &y_bar)).split_off(n);
        let (a, b) = (dot(&y_bar, &y_dot), dot(&x_bar, &x_dot));
        if close_f64(a, b, tolerance(&g)) || !(a.is_finite() && b.is_finite()) {
            Ok(())
        } else {
            Err(format!("<y_bar, y_dot> = {a}, <x_bar, x_dot> = {b}"))
        }
    });
}

/// Forward and reverse Jacobians agree element by element, at the kinks too.
#[test]
fn jacobians_of_both_modes_agree() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        let wrt = floats(s);
        let results = float_results(&g);
        if wrt.is_empty() || results.is_empty() || s.symmetric || !s.modes_agree() {
            return Ok(());
        }
        let n = g.results().len();
        let unit = |aval: &Aval, at: usize| Array::from_f64_fn(aval, |i| f64::from(u8::from(i == at)));
        for k in wrt {
            // One argument at a time: a zero tangent of another one would meet infinite derivatives.
            let (forward, reverse) =
                (jvp(&g, &[k]).map_err(|e| e.to_string())?, vjp(&g, &[k]).map_err(|e| e.to_string())?);
            for i in 0..s.args[k].numel().min(4) {
                let y_dot = run(&forward, &with(&s.args, &[unit(&s.args[k].aval(), i)])).split_off(n);
                for l in 0..results.len() {
                    for j in 0..results[l].shape.numel().min(4) {
                        let mut y_bar: Vec<Array> = results.iter().map(|a| Array::full(a, 0.0.into())).collect();
                        y_bar[l] = unit(&results[l], j);
                        let x_bar = run(&reverse, &with(&s.args, &y_bar)).split_off(n);
                        let (f, r) = (y_dot[l].to_f64_vec()[j], x_bar[0].to_f64_vec()[i]);
                        if !close_f64(f, r, tolerance(&g)) {
                            return Err(format!("d result {l}[{j}] / d argument {k}[{i}]: forward {f}, reverse {r}"));
                        }
                    }
                }
            }
        }
        Ok(())
    });
}

/// A tangent or cotangent of an operand without derivative is a typed error, never a zero.
#[test]
fn missing_derivatives_are_errors() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        for k in s.no_derivative {
            for (mode, result) in [("jvp", jvp(&g, &[*k])), ("vjp", vjp(&g, &[*k]))] {
                match result {
                    Err(Error::Infer { source: InferError::NotDifferentiable { .. }, .. }) => {}
                    Err(e) => return Err(format!("{mode}: {e}")),
                    Ok(_) => return Err(format!("{mode} of argument {k} was accepted")),
                }
            }
        }
        Ok(())
    });
}

/// The examples of a batch: scaled versions of floats, the same integers (indices must stay valid).
fn examples(args: &[Array], mapped: &[bool], size: usize) -> Vec<Vec<Array>> {
    (0..size)
        .map(|b| {
            let vary = |(a, m): (&Array, &bool)| {
                if *m && a.dtype().is_float() { axpy(a, 0.01 * b as f64, a) } else { a.clone() }
            };
            args.iter().zip(mapped).map(vary).collect()
        })
        .collect()
}

fn batched_args(args: &[Array], mapped: &[bool], size: usize) -> Vec<Array> {
    let examples = examples(args, mapped, size);
    (0..args.len())
        .map(|i| {
            if !mapped[i] {
                return args[i].clone();
            }
            let column: Vec<Array> = examples.iter().map(|e| e[i].clone()).collect();
            stack(&column, &args[i].aval())
        })
        .collect()
}

fn batch_law(g: &Graph, args: &[Array], size: usize, mapped: &[bool], tol: f64) -> Result<(), String> {
    let in_dims: Vec<Option<usize>> = mapped.iter().map(|m| m.then_some(0)).collect();
    let out_dims = vec![0; g.results().len()];
    let batched = vmap(g, &in_dims, &out_dims, size.into()).map_err(|e| e.to_string())?;
    let got = run(&batched, &batched_args(args, mapped, size));
    let each: Vec<Vec<Array>> = examples(args, mapped, size).iter().map(|e| run(g, e)).collect();
    let expected: Vec<Array> = (0..g.results().len())
        .map(|k| stack(&each.iter().map(|r| r[k].clone()).collect::<Vec<_>>(), g.aval(g.results()[k])))
        .collect();
    expect_close(&format!("vmap of {size} with mapped {mapped:?}"), &got, &expected, tol)
}

fn subsets(n: usize) -> Vec<Vec<bool>> {
    (1..1u32 << n).map(|m| (0..n).map(|i| m >> i & 1 == 1).collect()).collect()
}

#[test]
fn batching_equals_a_loop() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        for mapped in subsets(s.args.len().min(4)) {
            let mapped = [mapped, vec![true; s.args.len().saturating_sub(4)]].concat();
            for size in [3, 1, 0] {
                batch_law(&g, &s.args, size, &mapped, tolerance(&g))?;
            }
        }
        Ok(())
    });
}

/// Every composition of two and three of {jvp, vjp, vmap} against the loop or the plain transform.
#[test]
fn transforms_commute_with_batching() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        let wrt = floats(s);
        if wrt.is_empty() || float_results(&g).is_empty() {
            return Ok(());
        }
        let mut rng = Rng(3);
        let (x_dot, y_bar) = (tangents(s, &mut rng), cotangents(&g, &mut rng));
        let (forward, reverse) = (jvp(&g, &wrt).map_err(|e| e.to_string())?, vjp(&g, &wrt).map_err(|e| e.to_string())?);
        let tol = 10.0 * tolerance(&g);
        // vmap of the derivative graphs equals their loop.
        let (f_args, r_args) = (with(&s.args, &x_dot), with(&s.args, &y_bar));
        batch_law(&forward, &f_args, 2, &vec![true; f_args.len()], tol).map_err(|e| format!("vmap(jvp): {e}"))?;
        batch_law(&reverse, &r_args, 2, &vec![true; r_args.len()], tol).map_err(|e| format!("vmap(vjp): {e}"))?;
        let mut only_bar = vec![false; s.args.len()];
        only_bar.resize(r_args.len(), true);
        batch_law(&reverse, &r_args, 2, &only_bar, tol).map_err(|e| format!("jacobian rows: {e}"))?;
        // The derivative of the batched graph equals the batch of derivatives.
        let size = 2;
        let mapped = vec![true; s.args.len()];
        let batched = vmap(&g, &vec![Some(0); s.args.len()], &vec![0; g.results().len()], size.into())
            .map_err(|e| e.to_string())?;
        let n = g.results().len();
        let big = batched_args(&s.args, &mapped, size);
        let stacked =
            |v: &[Array]| -> Vec<Array> { v.iter().map(|a| stack(&[a.clone(), a.clone()], &a.aval())).collect() };
        let each = examples(&s.args, &mapped, size);
        let loops = |d: &Graph, extra: &[Array]| -> Vec<Array> {
            let rows: Vec<Vec<Array>> = each.iter().map(|e| run(d, &with(e, extra))).collect();
            (0..d.results().len())
                .map(|k| stack(&rows.iter().map(|r| r[k].clone()).collect::<Vec<_>>(), d.aval(d.results()[k])))
                .collect()
        };
        let jvp_of_vmap = jvp(&batched, &wrt).map_err(|e| e.to_string())?;
        expect_close("jvp(vmap)", &run(&jvp_of_vmap, &with(&big, &stacked(&x_dot))), &loops(&forward, &x_dot), tol)?;
        let vjp_of_vmap = vjp(&batched, &wrt).map_err(|e| e.to_string())?;
        expect_close(
            "vjp(vmap)",
            &run(&vjp_of_vmap, &with(&big, &stacked(&y_bar)))[n..],
            &loops(&reverse, &y_bar)[n..],
            tol,
        )
    });
}

/// Second derivatives: forward over reverse against differences of the reverse mode, and reverse over reverse against
/// forward over reverse; then all of it once more under vmap.
#[test]
fn second_derivatives_agree() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        let wrt = floats(s);
        if wrt.is_empty() || float_results(&g).is_empty() {
            return Ok(());
        }
        let mut rng = Rng(4);
        let (x_dot, y_bar) = (tangents(s, &mut rng), cotangents(&g, &mut rng));
        let n = g.results().len();
        let reverse = vjp(&g, &wrt).map_err(|e| e.to_string())?;
        let args = with(&s.args, &y_bar);
        let forward_over_reverse = jvp(&reverse, &wrt).map_err(|e| e.to_string())?;
        let all = run(&forward_over_reverse, &with(&args, &x_dot));
        let floats_of_y = float_results(&g).len();
        let x_bar_dot = all[reverse.results().len() + floats_of_y..].to_vec();
        if is_smooth(s, &g) {
            let h = 1e-5;
            let moved = |h: f64| {
                let mut args = args.clone();
                for (i, t) in wrt.iter().zip(&x_dot) {
                    args[*i] = axpy(&args[*i], h, t);
                }
                run(&reverse, &args).split_off(n)
            };
            let (hi, lo) = (moved(h), moved(-h));
            let expected: Vec<Array> = hi
                .iter()
                .zip(&lo)
                .map(|(hi, lo)| {
                    let (a, b) = (hi.to_f64_vec(), lo.to_f64_vec());
                    Array::from_f64_fn(&hi.aval(), |i| (a[i] - b[i]) / (2.0 * h))
                })
                .collect();
            expect_close("jvp(vjp) against differences", &x_bar_dot, &expected, 1e-5)?;
        }
        // <x_dot2, d x_bar> by reverse over reverse: its cotangents for y are zero.
        let x_bar_bar = tangents(s, &mut rng);
        let mut seed: Vec<Array> = float_results(&g).iter().map(|a| Array::full(a, 0.0.into())).collect();
        seed.extend(x_bar_bar.iter().cloned());
        let reverse_over_reverse = vjp(&reverse, &wrt).map_err(|e| e.to_string())?;
        let rr = run(&reverse_over_reverse, &with(&args, &seed)).split_off(reverse.results().len());
        let (a, b) = (dot(&x_bar_bar, &x_bar_dot), dot(&rr, &x_dot));
        if !close_f64(a, b, 100.0 * tolerance(&g)) && a.is_finite() && b.is_finite() {
            return Err(format!("jvp(vjp) and vjp(vjp) disagree: {a}, {b}"));
        }
        let deep = with(&args, &x_dot);
        batch_law(&forward_over_reverse, &deep, 2, &vec![true; deep.len()], 100.0 * tolerance(&g))
            .map_err(|e| format!("vmap(jvp(vjp)): {e}"))?;
        let deep = with(&args, &seed);
        batch_law(&reverse_over_reverse, &deep, 2, &vec![true; deep.len()], 100.0 * tolerance(&g))
            .map_err(|e| format!("vmap(vjp(vjp)): {e}"))
    });
}

/// A sample of data that an op cannot compute with is an error in every form, never a panic.
#[test]
fn evaluation_of_samples_never_panics() {
    for_each_sample(|s| {
        let g = sample_graph(s);
        try_run(&g, &s.args).map(|_| ()).ok_or_else(|| "samples are valid".to_owned())
    });
}
