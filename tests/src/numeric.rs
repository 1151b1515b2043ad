//! Numbers for tests: deterministic random arrays, comparison, inner products, and graphs of one op.

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph, Value};
use cotangent_core::ops::{Op, Sample};
use cotangent_core::tensor::emit_all;
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::{Error, Tensor};

/// A small deterministic generator (splitmix64), so that failures repeat.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [-1, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// An array of `aval` with elements in [-1, 1).
    pub fn array(&mut self, aval: &Aval) -> Array {
        let data: Vec<f64> = (0..aval.shape.numel()).map(|_| self.unit()).collect();
        Array::from_f64_fn(aval, |i| data[i])
    }

    /// A symmetric array: the last two dims may be exchanged.
    pub fn symmetric(&mut self, aval: &Aval) -> Array {
        let x = self.array(aval);
        let n = aval.shape[aval.rank() - 1].get();
        let data = x.to_f64_vec();
        Array::from_f64_fn(aval, |i| {
            let (row, col) = (i / n % n, i % n);
            0.5 * (data[i] + data[i - row * n - col + col * n + row])
        })
    }
}

/// Whether two arrays agree: same aval, integers equal, floats equal, both NaN or within `tol` (absolute and relative).
pub fn close(a: &Array, b: &Array, tol: f64) -> bool {
    a.aval() == b.aval() && a.to_f64_vec().iter().zip(b.to_f64_vec()).all(|(a, b)| close_f64(*a, b, tol))
}

/// How far results of dtype `of` may be apart that two evaluators compute for `graph`, for [`close`]: by the narrowest float of the graph, because
/// a wide result may come of narrow ones.
pub fn tolerance(graph: &Graph, of: DType) -> f64 {
    let own = |d: DType| match d {
        DType::F64 => 1e-9,
        DType::F32 => 1e-4,
        DType::F16 => 2e-2,
        DType::BF16 => 1e-1,
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => 0.0,
    };
    if !of.is_float() {
        return 0.0;
    }
    (0..graph.num_values()).map(|v| own(graph.aval(Value::from_index(v)).dtype)).fold(0.0, f64::max)
}

/// Whether two numbers agree.
pub fn close_f64(a: f64, b: f64, tol: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tol * (1.0 + b.abs())
}

/// Whether result `i` of `graph` is as far from `got` where its float arguments move by a few units in their last places: evaluators that round
/// differently cannot agree on what hangs on these places, such as the cosine of a large number.
pub fn hangs_on_last_places(graph: &Graph, args: &[Array], i: usize, got: &Array) -> bool {
    let moved = |by: f64| {
        let array = |a: &Array| {
            let by = by * last_place(a.dtype());
            let x = a.to_f64_vec();
            if a.dtype().is_float() { Array::from_f64_fn(&a.aval(), |i| x[i] * (1.0 + by)) } else { a.clone() }
        };
        let args: Vec<Array> = args.iter().map(array).collect();
        eval(graph, &args).ok().map(|results| results[i].to_f64_vec())
    };
    let (Some(low), Some(here), Some(high)) = (moved(-4.0), moved(0.0), moved(4.0)) else { return false };
    got.to_f64_vec().iter().enumerate().all(|(k, x)| {
        let reach = (low[k] - here[k]).abs().max((high[k] - here[k]).abs());
        (x - here[k]).abs() <= 4.0 * reach || close_f64(*x, here[k], 1e-12)
    })
}

/// How far the floats of a dtype next to 1 are from it.
fn last_place(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F32 => f64::from(f32::EPSILON),
        DType::F16 => 1.0 / 1024.0,
        DType::BF16 => 1.0 / 128.0,
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => 0.0,
    }
}

/// The inner product of two lists of arrays, over their float members.
pub fn dot(a: &[Array], b: &[Array]) -> f64 {
    let pairs = a.iter().zip(b).filter(|(a, _)| a.dtype().is_float());
    pairs.flat_map(|(a, b)| a.to_f64_vec().into_iter().zip(b.to_f64_vec())).map(|(x, y)| x * y).sum()
}

/// `a + s b`, element by element.
pub fn axpy(a: &Array, s: f64, b: &Array) -> Array {
    let (x, y) = (a.to_f64_vec(), b.to_f64_vec());
    Array::from_f64_fn(&a.aval(), |i| x[i] + s * y[i])
}

/// The arrays stacked on a new dim 0.
pub fn stack(arrays: &[Array], aval: &Aval) -> Array {
    let n = aval.shape.numel().max(1);
    let shape = aval.shape.inserted(0, arrays.len());
    let bytes: Vec<u8> = arrays.iter().flat_map(|a| a.to_le_bytes()).collect();
    debug_assert!(arrays.is_empty() || arrays[0].numel() == n || aval.shape.numel() == 0);
    Array::from_le_bytes(&aval.with_shape(shape), &bytes).expect("equal avals")
}

/// The graph that applies `op` to parameters of `avals`.
pub fn graph_of(op: &Op, avals: &[Aval]) -> Result<Graph, Error> {
    build(op.name(), |t| {
        let args: Vec<Tensor> = avals.iter().map(|a| t.param(a)).collect();
        emit_all(op.clone(), &args.iter().collect::<Vec<_>>()).into_iter().map(Tensor::ok).collect()
    })
}

/// The graph of a sample.
pub fn sample_graph(s: &Sample) -> Graph {
    let avals: Vec<Aval> = s.args.iter().map(Array::aval).collect();
    graph_of(&s.op, &avals).unwrap_or_else(|e| panic!("{} ({}): {e}", s.op.name(), s.note))
}
