//! Derivatives and integrals of sampled functions.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use super::{Answer, list, one, parts};
use crate::args::{Arg, Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    let dim = || c.int_or("dim", -1);
    match (name, overload) {
        ("gradient", _) => list(gradient(c)?),
        ("diff", "default") => {
            let (x, dim) = (c.tensor("self")?, dim()?);
            let (before, after) = (c.opt_tensor("prepend")?, c.opt_tensor("append")?);
            let parts: Vec<&Tensor> = [before.as_ref(), Some(&x), after.as_ref()].into_iter().flatten().collect();
            let n = c.int_or("n", 1)?.max(0) as usize;
            // PyTorch joins what stands before and behind only where there are differences to take.
            let whole = if parts.len() == 1 || n == 0 { x.clone() } else { cat(&parts, dim) };
            one(whole.diff(n, dim))
        }
        ("trapezoid" | "trapz", "dx") => one(c.tensor("y")?.trapezoid(c.float_or("dx", 1.0)?, dim()?)),
        ("trapezoid" | "trapz", "x") => one(c.tensor("y")?.trapezoid_at(&c.tensor("x")?, dim()?)),
        ("cumulative_trapezoid", "dx") => one(c.tensor("y")?.cumulative_trapezoid(c.float_or("dx", 1.0)?, dim()?)),
        ("cumulative_trapezoid", "x") => one(c.tensor("y")?.cumulative_trapezoid_at(&c.tensor("x")?, dim()?)),
        (_, _) => Ok(None),
    }
}

/// Where a function is sampled along one dim.
enum Spacing {
    /// At equal distances.
    Even(f64),
    /// At these coordinates.
    At(Tensor),
}

/// The derivatives along each of the dims.
fn gradient(c: &Call) -> Read<Vec<Tensor>> {
    let x = c.tensor("self")?;
    let x = if x.dtype().is_float() { x } else { x.convert(DType::F32) };
    let dims = match c.opt_ints("dim")? {
        Some(dims) => dims,
        None => (0..x.rank() as i64).collect(),
    };
    let wrong = || c.wrong("spacing", "a number, or a number or a vector of coordinates for each dim");
    let spacings: Vec<Spacing> = match c.get("spacing") {
        None | Some(Arg::None) => dims.iter().map(|_| Spacing::Even(1.0)).collect(),
        Some(Arg::Tensors(v)) => v.iter().cloned().map(Spacing::At).collect(),
        Some(Arg::Floats(v)) => v.iter().copied().map(Spacing::Even).collect(),
        Some(Arg::Ints(v)) => v.iter().map(|i| Spacing::Even(*i as f64)).collect(),
        Some(_) => {
            let even = c.float("spacing")?;
            dims.iter().map(|_| Spacing::Even(even)).collect()
        }
    };
    if spacings.len() != dims.len() {
        return Err(wrong());
    }
    let second = match c.int_or("edge_order", 1)? {
        1 => false,
        2 => true,
        _ => return Err(c.wrong("edge_order", "1 or 2")),
    };
    let along = |(dim, spacing): (&i64, &Spacing)| {
        let d = if *dim < 0 { dim + x.rank() as i64 } else { *dim };
        let d =
            usize::try_from(d).ok().filter(|d| *d < x.rank()).ok_or_else(|| c.wrong("dim", "dims of the tensor"))?;
        let n = x.shape()[d].get();
        if n < 2 + usize::from(second) {
            return Err(c.wrong("edge_order", "at least one element more than the order along each dim"));
        }
        match spacing {
            Spacing::Even(dx) => Ok(gradient_even(&x, d, *dx, second)),
            Spacing::At(at) if at.rank() == 1 && at.numel() == n => Ok(gradient_at(&x, d, at, second)),
            Spacing::At(_) => Err(wrong()),
        }
    };
    dims.iter().zip(&spacings).map(along).collect()
}

/// Central differences, with one-sided ones at the ends, at equal distances.
fn gradient_even(x: &Tensor, d: usize, dx: f64, second: bool) -> Tensor {
    let n = x.shape()[d].get();
    let at = |i: usize| x.slice_dim(d, i, i + 1, 1);
    let inner = (x.slice_dim(d, 2, n, 1) - x.slice_dim(d, 0, n - 2, 1)) / (2.0 * dx);
    let (first, last) = if second {
        ((at(0) * -1.5 + at(1) * 2.0 + at(2) * -0.5) / dx, (at(n - 3) * 0.5 + at(n - 2) * -2.0 + at(n - 1) * 1.5) / dx)
    } else {
        ((at(1) - at(0)) / dx, (at(n - 1) - at(n - 2)) / dx)
    };
    cat(&[&first, &inner, &last], d as i64)
}

/// The same at the coordinates `places`: the slope of the parabola through three neighbours.
fn gradient_at(x: &Tensor, d: usize, places: &Tensor, second: bool) -> Tensor {
    let n = x.shape()[d].get();
    let column: Shape = (0..x.rank()).map(|i| if i == d { n - 1 } else { 1 }).collect();
    let dx = places.convert(x.dtype()).diff(1, 0).view_to(&column);
    let step = |a: usize, b: usize| dx.slice_dim(d, a, b, 1);
    let part = |a: usize, b: usize| x.slice_dim(d, a, b, 1);
    let (h, k) = (step(0, n - 2), step(1, n - 1));
    let both = &h + &k;
    let inner = part(0, n - 2) * (-&k / (&h * &both))
        + part(1, n - 1) * ((&k - &h) / (&h * &k))
        + part(2, n) * (&h / (&k * &both));
    let (first, last) = if second {
        let (h, k) = (step(0, 1), step(1, 2));
        let both = &h + &k;
        let first = part(0, 1) * (-(&h * 2.0 + &k) / (&h * &both)) + part(1, 2) * (&both / (&h * &k))
            - part(2, 3) * (&h / (&k * &both));
        let (h, k) = (step(n - 3, n - 2), step(n - 2, n - 1));
        let both = &h + &k;
        let last = part(n - 3, n - 2) * (&k / (&h * &both)) - part(n - 2, n - 1) * (&both / (&h * &k))
            + part(n - 1, n) * ((&k * 2.0 + &h) / (&k * &both));
        (first, last)
    } else {
        let slope = |i: usize| (part(i + 1, i + 2) - part(i, i + 1)) / step(i, i + 1);
        (slope(0), slope(n - 2))
    };
    cat(&[&first, &inner, &last], d as i64)
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;

    fn samples() -> Arg {
        Arg::Tensor(Tensor::from_vec(vec![1.0, 4.0, 9.0, 16.0, 2.0, 3.0, 5.0, 7.0], [2, 4]))
    }

    fn close(got: &[f64], expected: &[f64]) {
        let near = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(got.len() == expected.len() && near, "{got:?}, expected {expected:?}");
    }

    /// PyTorch's values.
    #[test]
    fn gradients_at_even_distances_and_at_coordinates() {
        let of = |spacing, dim, order| {
            let args = vec![("self", samples()), ("spacing", spacing), ("dim", dim), ("edge_order", Arg::Int(order))];
            values("aten.gradient.tensorarray", args)
        };
        close(&of(Arg::Float(0.5), Arg::Int(1), 2), &[4.0, 8.0, 12.0, 16.0, 1.0, 3.0, 4.0, 4.0]);
        let both = [0.5, -0.5, -2.0, -4.5, 0.5, -0.5, -2.0, -4.5, 1.5, 2.0, 3.0, 3.5, 0.5, 0.75, 1.0, 1.0];
        close(&of(Arg::Int(2), Arg::None, 1), &both);
        let at = || Arg::Tensors(vec![Tensor::from([0.0, 1.0, 1.5, 4.0])]);
        close(&of(at(), Arg::Int(-1), 1), &[3.0, 23.0 / 3.0, 8.8, 2.8, 1.0, 3.0, 52.0 / 15.0, 0.8]);
        let second = [-5.0 / 3.0, 23.0 / 3.0, 8.8, -3.2, -1.0, 3.0, 52.0 / 15.0, -28.0 / 15.0];
        close(&of(at(), Arg::Ints(vec![1]), 2), &second);
    }

    #[test]
    fn wrong_gradients_are_errors() {
        let of = |spacing, dim, order| {
            let args = vec![("self", samples()), ("spacing", spacing), ("dim", dim), ("edge_order", Arg::Int(order))];
            call(&Call { target: "aten.gradient.array", node: "n", args }).map(|_| ()).expect_err("a wrong argument")
        };
        for (spacing, dim, order, argument) in [
            (Arg::Floats(vec![1.0]), Arg::None, 1, "spacing"),
            (Arg::Tensors(vec![Tensor::from([0.0, 1.0])]), Arg::Int(1), 1, "spacing"),
            (Arg::None, Arg::Int(2), 1, "dim"),
            (Arg::None, Arg::Int(0), 2, "edge_order"),
            (Arg::None, Arg::Int(0), 3, "edge_order"),
        ] {
            let message = of(spacing, dim, order).to_string();
            assert!(message.contains(argument), "{message}");
        }
    }

    #[test]
    fn integrals_up_to_each_place() {
        let places = Arg::Tensor(Tensor::from([0.0, 1.0, 1.5, 4.0]));
        let got = values("aten.cumulative_trapezoid.x", vec![("y", samples()), ("x", places)]);
        close(&got, &[2.5, 5.75, 37.0, 2.5, 4.5, 19.5]);
    }
}
