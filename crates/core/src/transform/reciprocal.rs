//! Divisions by known numbers as products, which take a fraction of the time.

use super::replay::rebuild;
use crate::error::Error;
use crate::ir::{DType, Graph, Node, Scalar, Value};
use crate::ops::{Binary, Op};
use crate::tensor::emit_all;

/// The graph where quotients by a uniform tensor are products with its reciprocal: for machine code, which nobody reads.
///
/// *Numerics*: of [`Class::Rounding`](crate::simplify::Class::Rounding): at most 1.5 ULP instead of 0.5; equal bits where the number is a power of
/// two. A number whose reciprocal is infinite or has lost digits stays a divisor, and so does every number of a dtype that is computed in another one.
pub fn multiply_by_reciprocals(graph: &Graph) -> Result<Graph, Error> {
    let defs = graph.definitions();
    let factor = |n: &Node| match n.op {
        Op::Binary(Binary::Div) => reciprocal(graph, &defs, n.args[1]),
        _ => None,
    };
    if !graph.nodes().iter().any(|n| factor(n).is_some()) {
        return Ok(graph.clone());
    }
    rebuild(graph, |n, args| match factor(n) {
        Some(c) => vec![args[0] * args[1].full_like(c)],
        None => emit_all(n.op.clone(), args),
    })
}

/// The reciprocal of a uniform tensor, where it is a normal number.
fn reciprocal(graph: &Graph, defs: &[Option<(usize, usize)>], v: Value) -> Option<Scalar> {
    let Op::Full(full) = &graph.nodes()[defs[v.index()]?.0].op else { return None };
    let c = full.fill_value.to_f64();
    let normal = match full.dtype {
        DType::F32 => (1.0 / c as f32).is_normal(),
        DType::F64 => (1.0 / c).is_normal(),
        DType::F16 | DType::BF16 => false,
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => false,
    };
    normal.then_some(Scalar::Float(1.0 / c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Array;
    use crate::ir::Aval;
    use crate::tensor::trace::build;
    use crate::transform::eval::eval;

    /// `x / c` of `dtype` with its divisions taken away, as a graph, and its values at some numbers before and after.
    fn quotients(dtype: DType, c: f64) -> (Graph, [Vec<f64>; 2]) {
        let aval = Aval::new(dtype, [4]);
        let graph = build("f", |t| {
            let x = t.param(&aval);
            let c = x.full_like(c);
            Ok(vec![x / c])
        })
        .expect("a graph");
        let without = multiply_by_reciprocals(&graph).expect("a graph");
        let x = Array::from_f64_fn(&aval, |i| [3.0, -0.0, f64::INFINITY, 1e-30][i]);
        let values = [&graph, &without].map(|g| eval(g, std::slice::from_ref(&x)).expect("values")[0].to_f64_vec());
        (without, values)
    }

    fn divides(graph: &Graph) -> bool {
        graph.nodes().iter().any(|n| matches!(n.op, Op::Binary(Binary::Div)))
    }

    #[test]
    fn quotients_by_numbers_become_products() {
        for (dtype, c, tolerance) in
            [(DType::F32, 3.0, 2e-7), (DType::F64, -0.7, 4e-16), (DType::F32, 8.0, 0.0), (DType::F64, 0.125, 0.0)]
        {
            let (graph, [want, got]) = quotients(dtype, c);
            assert!(!divides(&graph), "{c} of {dtype}");
            for (w, g) in want.iter().zip(&got) {
                assert!(w == g || (w - g).abs() <= tolerance * w.abs(), "{dtype} / {c}: {g:e}, expected {w:e}");
                assert_eq!(w.is_sign_negative(), g.is_sign_negative(), "{dtype} / {c}");
            }
        }
    }

    #[test]
    fn numbers_without_a_normal_reciprocal_stay_divisors() {
        for (dtype, c) in [
            (DType::F32, 0.0),
            (DType::F32, f64::INFINITY),
            (DType::F32, f64::NAN),
            (DType::F32, 3e38),
            (DType::F64, 1e-310),
            (DType::F16, 3.0),
            (DType::BF16, 3.0),
        ] {
            let (graph, [want, got]) = quotients(dtype, c);
            assert!(divides(&graph), "{c} of {dtype}");
            assert!(want.iter().zip(&got).all(|(w, g)| w.to_bits() == g.to_bits()), "{c} of {dtype}");
        }
    }
}
