//! Random well-formed graphs from a seed, for properties that hold for every graph.

use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Graph, Shape, Signature, TreeSpec};
use cotangent_core::ops::{Binary, Call, Op, Rule, Sum, Unary};
use cotangent_core::tensor::emit_all;
use cotangent_core::transform::build;
use cotangent_core::{Error, Tensor};

use crate::numeric::Rng;

/// How a random graph is made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The number of steps, each one node or a few.
    pub steps: usize,
    /// How deep calls may nest.
    pub depth: usize,
    /// The dtypes of parameters, and those to which converts lead.
    pub dtypes: &'static [DType],
    /// The sizes of dims of parameters.
    pub sizes: &'static [usize],
}

/// The most elements of a parameter, and of what is expanded: the evaluator takes its time.
const MOST: usize = 10_000;

impl Config {
    /// Everything.
    pub const ALL: Config = Config {
        steps: 12,
        depth: 2,
        dtypes: &[DType::F32, DType::F64, DType::I64, DType::I32, DType::Bool],
        sizes: &[0, 1, 2, 3, 3],
    };

    /// Graphs of `f64` without empty arrays: for numerical comparisons.
    pub const F64: Config = Config { dtypes: &[DType::F64], sizes: &[1, 2, 3], ..Config::ALL };

    /// Arrays of which loops are cut, blocked and turned, which small ones never are.
    pub const LONG: Config = Config { steps: 8, sizes: &[1, 9, 33, 130], ..Config::ALL };
}

impl Rng {
    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The seeds of a test: `usual` many, or as many as the environment variable `COTANGENT_GRAPHS` says.
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..std::env::var("COTANGENT_GRAPHS").map_or(usual, |n| n.parse().expect("COTANGENT_GRAPHS is a number of graphs"))
}

/// The random graph of `seed`: one to four parameters, results among all values that were made.
pub fn random_graph(seed: u64, config: Config) -> Graph {
    let mut rng = Rng(seed);
    let graph = body(&mut rng, config, "random").expect("random graphs are well-formed");
    let signature = random_signature(&mut rng, &graph);
    graph.with_signature(signature)
}

/// Arguments for `graph`: small numbers, so that integers and floats stay tame.
pub fn random_args(seed: u64, graph: &Graph) -> Vec<Array> {
    let mut rng = Rng(seed ^ 0x5eed);
    let array = |a: &Aval| {
        let data: Vec<f64> = (0..a.shape.numel()).map(|_| rng.below(41) as f64 / 8.0 - 2.5).collect();
        Array::from_f64_fn(a, |i| data[i])
    };
    graph.param_avals().iter().map(array).collect()
}

fn body(rng: &mut Rng, config: Config, name: &str) -> Result<Graph, Error> {
    build(name, |t| {
        let params = 1 + rng.below(4);
        let mut pool: Vec<Tensor> = (0..params).map(|_| t.param(&random_aval(rng, config))).collect();
        for _ in 0..config.steps {
            let x = rng.pick(&pool).clone();
            let new = step(rng, config, &pool, &x)?;
            pool.extend(new);
        }
        let results = 1 + rng.below(3);
        let mut out = vec![pool[pool.len() - 1].clone()];
        out.extend((1..results).map(|_| rng.pick(&pool).clone()));
        Ok(out)
    })
}

fn random_aval(rng: &mut Rng, config: Config) -> Aval {
    let mut shape: Vec<usize> = (0..rng.below(4)).map(|_| *rng.pick(config.sizes)).collect();
    while shape.iter().product::<usize>() > MOST {
        shape.pop();
    }
    Aval::new(*rng.pick(config.dtypes), shape)
}

/// One step from `x`: an op that suits its aval.
fn step(rng: &mut Rng, config: Config, pool: &[Tensor], x: &Tensor) -> Result<Vec<Tensor>, Error> {
    let one = |y: Tensor| Ok(vec![y]);
    let fits = |op: &Op, avals: &[&Aval]| op.checked_infer(avals).is_ok();
    let aval = x.aval();
    match rng.below(11) {
        0 | 1 => {
            let op = Op::from(*rng.pick(Unary::ALL));
            // The sign of a NaN is nobody's promise.
            let op = if op == Op::from(Unary::Signbit) { Op::from(Unary::Sign) } else { op };
            if fits(&op, &[&aval]) { Ok(emit_all(op, &[x])) } else { Ok(Vec::new()) }
        }
        2 | 3 => {
            let alike: Vec<&Tensor> = pool.iter().filter(|y| y.aval() == aval).collect();
            let y = *rng.pick(&alike);
            let op = Op::from(*rng.pick(Binary::ALL));
            // Integers may be divided by zero: the divisor is made beside them.
            // The degree of a polynomial is cut to an integer: rounded before, a last bit does not decide it.
            let y = match (aval.dtype.is_float(), op.name().contains("polynomial")) {
                (true, false) => y.clone(),
                (true, true) => y.round(),
                (false, _) => y.ones_like(),
            };
            if fits(&op, &[&aval, &aval]) { Ok(emit_all(op, &[x, &y])) } else { Ok(Vec::new()) }
        }
        4 => one(x.convert(*rng.pick(config.dtypes))),
        5 => {
            let mut dims: Vec<usize> = (0..x.rank()).collect();
            for i in (1..dims.len()).rev() {
                dims.swap(i, rng.below(i + 1));
            }
            one(x.permute_to(&dims))
        }
        6 => {
            let flat = Shape::from([aval.shape.numel()]);
            let y = x.view_to(&flat);
            if rng.below(2) == 0 { one(y) } else { Ok(vec![y.clone(), y.view_to(&aval.shape)]) }
        }
        7 => {
            let lead = 1 + rng.below(3);
            let lead = if lead * aval.shape.numel() > MOST { 1 } else { lead };
            one(x.expand_to(&aval.shape.inserted(0, lead)))
        }
        8 => {
            let dims: Vec<usize> = (0..x.rank()).filter(|_| rng.below(2) == 0).collect();
            let op = Op::from(Sum::over(&dims, x.rank()));
            if dims.is_empty() || !fits(&op, &[&aval]) { Ok(Vec::new()) } else { Ok(emit_all(op, &[x])) }
        }
        9 => {
            let y = rng.pick(pool).clone();
            one(lookup(rng, x, &y).unwrap_or_else(|| x.clone()))
        }
        _ if config.depth > 0 && rng.below(2) == 0 => call(rng, config, pool),
        _ => {
            let mask = x.convert(DType::Bool);
            one(x.where_exact(&mask, &x.zeros_like()))
        }
    }
}

/// Elements or slices of `x` at places that some of `y`, or `x` itself, says; `None` where there are none to name.
fn lookup(rng: &mut Rng, x: &Tensor, y: &Tensor) -> Option<Tensor> {
    let shape = x.aval().shape.clone();
    let sizes: Vec<usize> = shape.dims().iter().map(|d| d.get()).collect();
    let dims: Vec<usize> = (0..sizes.len()).filter(|d| sizes[*d] > 0).collect();
    if dims.is_empty() {
        return None;
    }
    let dim = *rng.pick(&dims);
    let (step, shift) = (1 + rng.below(2) as i64, rng.below(3) as i64);
    let place = |y: &Tensor| {
        let one = y.convert(DType::Bool).convert(DType::I64);
        (&one * step + shift).remainder(&(one.zeros_like() + sizes[dim] as i64))
    };
    if rng.below(3) == 0 {
        return Some(x.gather_along(dim, &place(x)));
    }
    let count = y.aval().shape.numel();
    (count <= 30).then(|| x.index_select_along(dim, &place(&y.view_to(&Shape::from([count])))))
}

/// A call of a random function whose parameters some values of the pool fit.
fn call(rng: &mut Rng, config: Config, pool: &[Tensor]) -> Result<Vec<Tensor>, Error> {
    let args: Vec<&Tensor> = (0..1 + rng.below(2)).map(|_| rng.pick(pool)).collect();
    let inner = Config { steps: config.steps / 2, depth: config.depth - 1, ..config };
    let graph = build("inner", |t| {
        let mut pool: Vec<Tensor> = args.iter().map(|a| t.param(&a.aval())).collect();
        for _ in 0..inner.steps {
            let x = rng.pick(&pool).clone();
            let new = step(rng, inner, &pool, &x)?;
            pool.extend(new);
        }
        Ok(pool.split_off(pool.len() - 1 - rng.below(2).min(pool.len() - 1)))
    })?;
    let rule = if rng.below(3) == 0 { Rule::Checkpoint } else { Rule::Inline };
    let call = Call { target: "cotangent::inner(...)".to_owned(), params: Vec::new(), body: Arc::new(graph), rule };
    Ok(emit_all(call.into(), &args))
}

/// Trees over the graph's parameters and results.
fn random_signature(rng: &mut Rng, graph: &Graph) -> Signature {
    let flat = graph.signature().clone();
    if rng.below(2) == 0 {
        return flat;
    }
    let leaves = |n: usize| vec![TreeSpec::Leaf; n];
    let named = |n: usize| (0..n).map(|i| (format!("field {i}"), TreeSpec::Leaf)).collect::<Vec<_>>();
    let params = graph.params().len();
    let tree = match rng.below(4) {
        0 => TreeSpec::Tuple(leaves(params)),
        1 => TreeSpec::List(leaves(params)),
        2 => TreeSpec::Dict(named(params)),
        _ => TreeSpec::Struct("Params".to_owned(), named(params)),
    };
    let result = TreeSpec::Tuple(vec![TreeSpec::List(leaves(graph.results().len())), TreeSpec::None]);
    Signature { names: vec!["tree".to_owned(), "nothing".to_owned()], params: vec![tree, TreeSpec::None], result }
}
