//! The graph as lowering sees it: values by loop form, with reductions, products and pieces in a normal form.

mod chosen;
mod cropped;
mod lookup;
mod nested;
mod pieces;
mod places;
mod reduce;
mod rows;
mod single;
mod sunk;
mod through;
mod uniform;
mod vectors;
mod windows;

use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType, Graph, Loc, Scalar, Shape};
use cotangent_core::ops::{
    Access, Binary, Generate, Indexing, LoopForm, Monoid, Op, ScalarFn, Spectral, Unary, ViewForm,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::affine::Affine;
use crate::ir::RoutineKind;
use chosen::{Chosen, chosen, live};
use cropped::cropped;
pub use lookup::LONG_SLICE;
use places::{Read, read_places};
pub(crate) use through::through;

/// A value of the flow.
pub(crate) type Id = usize;

/// Products of at most this many multiplications become nests, which fuse with their neighbours.
const TINY_PRODUCT: usize = 4096;

/// A scalar function that bodies have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Point {
    Unary(Unary),
    Binary(Binary),
    Select,
    Convert,
}

impl Point {
    /// `f`, unless bodies do not have it.
    fn of(f: &ScalarFn) -> Option<Self> {
        match f {
            ScalarFn::Unary(f) => Some(Point::Unary(*f)),
            ScalarFn::Binary(f) => Some(Point::Binary(*f)),
            ScalarFn::Select => Some(Point::Select),
            ScalarFn::Convert(_) => Some(Point::Convert),
            ScalarFn::Polygamma(_) => None,
        }
    }
}

/// How a value is made.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Kind {
    Param,
    Stored(Arc<Array>),
    Fill(Scalar),
    Iota,
    Eye,
    Point(Point),
    View(ViewForm),
    /// Operand dim `j` has the index of result dim `pick[j]`, or 0.
    Pick(Vec<Option<usize>>),
    /// The elements of the first operand whose index along a dim is the second one's.
    Lookup(usize, Indexing),
    /// A reduction that is written out.
    Unrolled(Vec<usize>, Monoid),
    Reduce(Vec<usize>, Monoid),
    /// The operands stored into parts of the result.
    Pieces(Vec<Piece>),
    /// `[b, m, k] · [b, k, n]`.
    Product,
    /// Result of a routine.
    Output(usize),
}

impl Kind {
    /// Whether a value is in memory whoever reads it.
    fn is_memory(&self) -> bool {
        match self {
            Kind::Param | Kind::Stored(_) | Kind::Pieces(_) | Kind::Product | Kind::Output(_) => true,
            Kind::Fill(_)
            | Kind::Iota
            | Kind::Eye
            | Kind::Point(_)
            | Kind::View(_)
            | Kind::Pick(_)
            | Kind::Lookup(..)
            | Kind::Unrolled(..)
            | Kind::Reduce(..) => false,
        }
    }
}

/// Where an operand is stored: a map for each dim of the result over the dims of the operand.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Piece {
    pub at: Vec<Affine>,
    /// Overwrites pieces before it.
    pub over: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub kind: Kind,
    pub args: SmallVec<[Id; 2]>,
    pub dtype: DType,
    pub sizes: SmallVec<[usize; 4]>,
    /// The node of the graph; `None` for parameters.
    pub node: Option<usize>,
}

impl Value {
    pub fn numel(&self) -> usize {
        self.sizes.iter().product()
    }
}

/// An op that stays a call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub kind: RoutineKind,
    pub args: Vec<Id>,
    pub results: Vec<Id>,
    pub node: usize,
}

/// The graph by loop forms.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub values: Vec<Value>,
    pub calls: Vec<Call>,
    pub params: Vec<Id>,
    pub results: Vec<Id>,
    /// The source line and name of each node.
    pub nodes: Vec<(Loc, &'static str)>,
}

/// The flow of `graph`, which has been inlined.
pub(crate) fn flow(graph: &Graph) -> Result<Flow, EvalError> {
    let mut f =
        Flow { nodes: graph.nodes().iter().map(|n| (graph.loc(n).clone(), n.op.name())).collect(), ..Flow::default() };
    let mut env: Vec<Option<Id>> = vec![None; graph.num_values()];
    for p in graph.params() {
        let id = f.push(Kind::Param, &[], graph.aval(*p), None);
        env[p.index()] = Some(id);
        f.params.push(id);
    }
    let (chosen, cropped) = (chosen(graph), cropped(graph));
    let (live, places, uses) = (live(graph, &chosen), read_places(graph), graph.use_counts());
    let (mut ranked, mut values) = (FxHashMap::default(), FxHashMap::default());
    for (i, n) in graph.nodes().iter().enumerate().filter(|(i, _)| live[*i]) {
        if let Some(extreme) = chosen.get(&i) {
            let x = env[n.args[0].index()].expect("I1: defined before use");
            let y = graph.aval(n.results[0]);
            env[n.results[0].index()] = Some(match *extreme {
                Chosen::Alone(dim, monoid) => f.extreme(x, dim, monoid, y, i),
                Chosen::With(positions) => f.push(Kind::View(ViewForm::Reshape), &[values[&positions]], y, Some(i)),
                Chosen::Positions(dim, which) => {
                    let [own, positions] = f.extremes(x, dim, which, [graph.aval(n.args[0]), y], i);
                    values.insert(i, own);
                    positions
                }
            });
            continue;
        }
        match places.get(&i) {
            Some(Read::Ranks) => continue,
            Some(Read::Ranked { sort, result }) => {
                let found = f.ranked(graph, &env, *sort, n.args[1], &mut ranked, i);
                env[n.results[0].index()] = Some(found[*result]);
                continue;
            }
            Some(Read::Places(_)) | None => {}
        }
        let args: SmallVec<[Id; 2]> = n.args.iter().map(|v| env[v.index()].expect("I1: defined before use")).collect();
        let avals: Vec<&Aval> = n.args.iter().map(|v| graph.aval(*v)).collect();
        let results: Vec<Aval> = n.results.iter().map(|v| graph.aval(*v).clone()).collect();
        if let Op::Convolution(op) = &n.op
            && let Some(id) = f.exchanged(op, &args, &avals, cropped.get(&i), &results[0], i)
        {
            env[n.results[0].index()] = Some(id);
            continue;
        }
        if let Some(crop) = cropped.get(&i) {
            let is_free = uses[n.args[0].index()] == 1;
            env[n.results[0].index()] = Some(f.crop(crop, &n.op, &args, &avals, is_free, i));
            continue;
        }
        if let Some(of) = Spectral::of(&n.op) {
            let (values, rest) = (n.results[of.result()], n.results.iter().filter(|v| uses[v.index()] > 0));
            if rest.eq([&values]) {
                env[values.index()] = Some(f.spectrum(args[0], of, avals[0], results, i));
                continue;
            }
        }
        if let Op::AssertAsync(_) = n.op {
            // The check is made on the condition alone: what hangs on it stays where it is.
            f.call(&n.op, &[args[0], args[0]], vec![avals[0].clone(); 2], vec![avals[0].clone()], i);
            env[n.results[0].index()] = Some(args[1]);
            continue;
        }
        let form = n.op.prim().loop_form(&avals, &results);
        let read = places.get(&i);
        let ids = if let (Op::Sort(sort), Some(Read::Places(read))) = (&n.op, read) {
            f.sorted(args[0], sort, avals[0], read, i)
        } else if let (Op::Slice(slice), Some(Read::Places(read))) = (&n.op, read) {
            vec![f.part(args[0], slice, read.start, &results[0], i)]
        } else if let Some(id) = f.node(&n.op, &form, &args, |k| uses[n.args[k].index()] == 1, &results, i)? {
            vec![id]
        } else if let Some(ids) = f.rows(&n.op, &form, &args, &avals, &results, i) {
            ids
        } else {
            f.call(&n.op, &args, avals.into_iter().cloned().collect(), results, i)
        };
        for (v, id) in n.results.iter().zip(ids) {
            env[v.index()] = Some(id);
        }
    }
    f.results = graph.results().iter().map(|v| env[v.index()].expect("I1: defined before use")).collect();
    f.without_dead();
    Ok(f)
}

/// The dtype in which sums and products of a dtype are computed: halves in `f32`.
fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::F32 | DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => dtype,
    }
}

impl Flow {
    fn push(&mut self, kind: Kind, args: &[Id], aval: &Aval, node: Option<usize>) -> Id {
        let sizes = aval.shape.dims().iter().map(|d| d.get()).collect();
        self.values.push(Value { kind, args: args.into(), dtype: aval.dtype, sizes, node });
        self.values.len() - 1
    }

    fn make(&mut self, kind: Kind, args: &[Id], dtype: DType, sizes: &[usize], node: usize) -> Id {
        self.values.push(Value { kind, args: args.into(), dtype, sizes: sizes.into(), node: Some(node) });
        self.values.len() - 1
    }

    /// The value of a node, or `None` if it is a call of a routine. `is_free` says which operands nobody else reads.
    fn node(
        &mut self,
        op: &Op,
        form: &LoopForm,
        args: &[Id],
        is_free: impl Fn(usize) -> bool,
        results: &[Aval],
        i: usize,
    ) -> Result<Option<Id>, EvalError> {
        let y = &results[0];
        let kind = match form {
            LoopForm::Pointwise(f) => return Ok(Point::of(f).map(|f| self.point(f, args, is_free, y, i))),
            LoopForm::View(v) => Kind::View(v.clone()),
            LoopForm::Generate(Generate::Fill(s)) => Kind::Fill(*s),
            LoopForm::Generate(Generate::Iota) => Kind::Iota,
            LoopForm::Generate(Generate::Eye) => Kind::Eye,
            LoopForm::Generate(Generate::Stored) => match &op.prim().eval(&[])?[0] {
                a if a.numel() == 1 => Kind::Fill(a.get(0)),
                a => Kind::Stored(Arc::new(a.clone())),
            },
            LoopForm::Reduce { dims, monoid } => return Ok(Some(self.reduce(args[0], dims, *monoid, y, i))),
            LoopForm::Piecewise(p) => return Ok(Some(self.pieces(p, args, is_free, y, i))),
            LoopForm::WindowAdd { dim, size, step, shape: _ } => {
                return Ok(self.window_add(args[0], [*dim, *size, *step], y, i));
            }
            LoopForm::Contract { batch_dims } => return Ok(Some(self.product(*batch_dims, args, y, i))),
            LoopForm::Access(Access::Scatter { dim, index: Indexing::Elementwise, combine }) => {
                return Ok(self.single(*dim, *combine, args, y, i));
            }
            LoopForm::Convolution(_) if wide(y.dtype) != y.dtype => return Ok(Some(self.wide_call(op, args, y, i))),
            LoopForm::Access(Access::Gather { dim, index }) => return Ok(self.lookup(*dim, *index, args, y, i)),
            LoopForm::Scan { dim, monoid, indices: false } => {
                return Ok(self.uniform_scan(args[0], *dim, *monoid, y, i));
            }
            LoopForm::ArgReduce { .. }
            | LoopForm::Scan { indices: true, .. }
            | LoopForm::Convolution(_)
            | LoopForm::Access(Access::Scatter { index: Indexing::Vector, .. })
            | LoopForm::Kernel(_)
            | LoopForm::Inline => return Ok(None),
        };
        Ok(Some(self.push(kind, args, y, Some(i))))
    }

    /// `f` at each element.
    fn point(&mut self, f: Point, args: &[Id], is_free: impl Fn(usize) -> bool, y: &Aval, i: usize) -> Id {
        self.sunk(f, args, is_free, y, i).unwrap_or_else(|| self.push(Kind::Point(f), args, y, Some(i)))
    }

    /// The results of a routine.
    fn call(&mut self, op: &Op, args: &[Id], avals: Vec<Aval>, results: Vec<Aval>, i: usize) -> Vec<Id> {
        let kind = RoutineKind::Op { op: op.clone(), args: avals, results: results.clone() };
        self.routine(kind, args, &results, i)
    }

    /// The values of a decomposition of `x` whose vectors nobody reads.
    fn spectrum(&mut self, x: Id, of: Spectral, aval: &Aval, results: Vec<Aval>, i: usize) -> Id {
        let values = results[of.result()].clone();
        let kind = RoutineKind::Values { of, x: aval.clone(), results };
        self.routine(kind, &[x], &[values], i)[0]
    }

    /// The results of a routine of this kind.
    fn routine(&mut self, kind: RoutineKind, args: &[Id], results: &[Aval], i: usize) -> Vec<Id> {
        let routine = self.calls.len();
        let ids: Vec<Id> = results.iter().map(|a| self.push(Kind::Output(routine), args, a, Some(i))).collect();
        self.calls.push(Call { kind, args: args.to_vec(), results: ids.clone(), node: i });
        ids
    }

    /// The one result of a routine on halves, which computes in `f32`.
    fn wide_call(&mut self, op: &Op, args: &[Id], y: &Aval, i: usize) -> Id {
        let to = wide(y.dtype);
        let args: SmallVec<[Id; 2]> = args.iter().map(|x| self.converted(*x, to, i)).collect();
        let aval = |x: &Id| Aval::new(to, self.values[*x].sizes.iter().copied().collect::<Shape>());
        let avals = args.iter().map(aval).collect();
        let result = self.call(op, &args, avals, vec![y.with_dtype(to)], i)[0];
        self.converted(result, y.dtype, i)
    }

    /// `x` as a `dtype`.
    fn converted(&mut self, x: Id, dtype: DType, i: usize) -> Id {
        if self.values[x].dtype == dtype {
            return x;
        }
        let sizes = self.values[x].sizes.clone();
        self.make(Kind::Point(Point::Convert), &[x], dtype, &sizes, i)
    }

    fn product(&mut self, batch_dims: usize, args: &[Id], y: &Aval, i: usize) -> Id {
        let (x, w) = (self.values[args[0]].sizes.clone(), self.values[args[1]].sizes.clone());
        let b = batch_dims;
        let (m, k, n) = (x[b], x[b + 1], w[b + 1]);
        let batch: usize = x[..b].iter().product();
        let count = batch * m * k * n;
        let vector = m == 1 || k == 1 || n == 1;
        if count == 0 && k == 0 {
            return self.push(Kind::Fill(Scalar::Int(0).cast(y.dtype)), &[], y, Some(i));
        }
        let wide = wide(y.dtype);
        if count > TINY_PRODUCT && (!vector || self.is_of_vectors(b, args, [m, k, n], y.dtype)) {
            // Products of halves are of `f32`; those of `bf16` are read as they are.
            let of = if y.dtype == DType::BF16 { DType::BF16 } else { wide };
            let args = [args[0], args[1]].map(|x| self.converted(x, of, i));
            let product = self.push(Kind::Product, &args, &y.with_dtype(wide), Some(i));
            return self.converted(product, y.dtype, i);
        }
        // The product of broadcast operands over `[batch, m, n, k]`, summed over `k`.
        let mut space: SmallVec<[usize; 4]> = x[..b].into();
        space.extend([m, n, k]);
        let batch_pick = || (0..b).map(Some);
        let lhs = batch_pick().chain([Some(b), Some(b + 2)]).collect();
        let rhs = batch_pick().chain([Some(b + 2), Some(b + 1)]).collect();
        let operand = |f: &mut Flow, pick: Vec<Option<usize>>, arg: Id| {
            let v = f.make(Kind::Pick(pick), &[arg], y.dtype, &space, i);
            f.converted(v, wide, i)
        };
        let (l, r) = (operand(self, lhs, args[0]), operand(self, rhs, args[1]));
        let product = self.make(Kind::Point(Point::Binary(Binary::Mul)), &[l, r], wide, &space, i);
        let sum = self.reduce(product, &[b + 2], Monoid::Sum, &y.with_dtype(wide), i);
        self.converted(sum, y.dtype, i)
    }

    fn slice(&mut self, x: Id, dim: usize, start: usize, len: usize, i: usize) -> Id {
        let mut sizes = self.values[x].sizes.clone();
        if start == 0 && sizes[dim] == len {
            return x;
        }
        sizes[dim] = len;
        let dtype = self.values[x].dtype;
        self.make(Kind::View(ViewForm::Slice { dim, start, step: 1 }), &[x], dtype, &sizes, i)
    }
}
