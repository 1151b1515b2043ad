//! The form of each primitive.

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Cat, Convert, Expand, Op, Pad, Polygamma, Slice, SliceScatter};
use cotangent_core::transform::systems::solve_by_factors;

use crate::convolution::convolution;
use crate::elementwise::{binary, unary};
use crate::error::Refusal;
use crate::literal::ty;
use crate::reduce::Fold;
use crate::writer::{Val, Vals, Writer, ints, list};
use crate::{compose, index, linalg, reduce};

/// A program's checks are errors of their own.
const NO_ASSERTION: &str = "it has no assertions; leave the check out of the exported function";

/// Writes `op` on `x`, with results of avals `y` that have elements.
pub(crate) fn emit(w: &mut Writer, op: &Op, x: &[Val], y: &[Aval]) -> Vals {
    let one = |v: Val| Ok(vec![v]);
    match op {
        Op::Constant(c) => one(w.constant(&c.value)),
        Op::Full(f) => one(w.full(&y[0], f.fill_value)),
        Op::Arange(_) => one(w.iota(&y[0], 0)),
        Op::Eye(_) => {
            let places = y[0].with_dtype(DType::I64);
            let (row, column) = (w.iota(&places, 0), w.iota(&places, 1));
            let diagonal = w.compare("EQ", &row, &column);
            one(w.convert(&diagonal, y[0].dtype))
        }
        Op::Unary(f) => unary(w, *f, &x[0]),
        Op::Binary(f) => binary(w, *f, &x[0], &x[1]),
        Op::Polygamma(Polygamma { n }) => {
            let n = w.full(&x[0].aval, Scalar::Int(*n));
            one(chlo(w, "polygamma", &[&n, &x[0]]))
        }
        Op::Where(_) => one(w.select(&x[0], &x[1], &x[2])),
        Op::Convert(Convert { dtype }) => one(convert(w, &x[0], *dtype)),
        Op::Expand(Expand { size }) => {
            let first = size.rank() - x[0].aval.rank();
            one(w.typed(
                "stablehlo.broadcast_in_dim",
                &x[0],
                &format!(", dims = [{}]", ints(first..size.rank())),
                &y[0],
            ))
        }
        Op::View(_) => one(w.typed("stablehlo.reshape", &x[0], "", &y[0])),
        Op::Permute(p) => one(w.typed("stablehlo.transpose", &x[0], &format!(", dims = [{}]", ints(&p.dims)), &y[0])),
        Op::Slice(s) => one(slice(w, s, &x[0], &y[0])),
        Op::SliceScatter(s) => one(slice_scatter(w, s, &x[0], &x[1])),
        Op::Cat(Cat { dim }) => {
            let (names, types) = list(x);
            one(w.value(&y[0], format_args!("stablehlo.concatenate {names}, dim = {dim} : ({types}) -> {}", ty(&y[0]))))
        }
        Op::Pad(p) => one(pad(w, p, &x[0], &y[0])),
        Op::Flip(f) => one(
            w.value(&y[0], format_args!("stablehlo.reverse {}, dims = [{}] : {}", x[0].name, ints(&f.dims), ty(&y[0])))
        ),
        Op::Sum(s) => one(reduce::reduce(w, Fold::Sum, &x[0], &s.dims(x[0].aval.rank()), &y[0])),
        Op::Prod(p) => one(reduce::reduce(w, Fold::Product, &x[0], &[p.dim], &y[0])),
        Op::Amax(a) => one(reduce::reduce(w, Fold::Max, &x[0], &a.dim, &y[0])),
        Op::Amin(a) => one(reduce::reduce(w, Fold::Min, &x[0], &a.dim, &y[0])),
        Op::Argmax(a) => one(reduce::arg(w, Fold::Max, &x[0], a.dim, &y[0])),
        Op::Argmin(a) => one(reduce::arg(w, Fold::Min, &x[0], a.dim, &y[0])),
        Op::Cumsum(c) => one(reduce::scan(w, Fold::Sum, &x[0], c.dim)),
        Op::Cumprod(c) => one(reduce::scan(w, Fold::Product, &x[0], c.dim)),
        Op::Logcumsumexp(c) => one(reduce::scan(w, Fold::LogSumExp, &x[0], c.dim)),
        Op::Cummax(c) => Ok(reduce::arg_scan(w, Fold::Max, &x[0], c.dim)),
        Op::Cummin(c) => Ok(reduce::arg_scan(w, Fold::Min, &x[0], c.dim)),
        Op::Sort(s) => Ok(reduce::sort(w, s, &x[0])),
        Op::Topk(t) => w.compose(x, |x| compose::statistic(t.statistic(), t.dim, &x[0], &y[0].shape)),
        Op::Kthvalue(k) => w.compose(x, |x| compose::statistic(k.statistic(), k.dim, &x[0], &y[0].shape)),
        Op::Mode(m) => w.compose(x, |x| compose::statistic(m.statistic(), m.dim, &x[0], &y[0].shape)),
        Op::Searchsorted(s) => w.compose(x, |x| vec![compose::searchsorted(s, &x[0], &x[1])]),
        Op::Mm(_) => one(dot(w, "contracting_dims = [1] x [0]", x, &y[0])),
        Op::Bmm(_) => one(dot(w, "batching_dims = [0] x [0], contracting_dims = [2] x [1]", x, &y[0])),
        Op::Gather(g) => w.compose(x, |x| vec![compose::gather(&x[0], g.dim, &x[1])]),
        Op::IndexSelect(s) => one(index::select(w, s.dim, &x[0], &x[1], &y[0])),
        Op::IndexAdd(s) => one(index::scatter(w, Fold::Sum, s.dim, x)),
        Op::Scatter(s) => index::scatter_elements(w, Fold::Last, s.dim, x),
        Op::ScatterAdd(s) => index::scatter_elements(w, Fold::Sum, s.dim, x),
        Op::ScatterReduce(s) => index::scatter_elements(w, index::fold(s.reduce), s.dim, x),
        Op::Diagonal(d) => w.compose(x, |x| vec![compose::diagonal(d, &x[0])]),
        Op::DiagEmbed(d) => w.compose(x, |x| vec![compose::diag_embed(d, &x[0])]),
        Op::Unfold(u) => w.compose(x, |x| vec![compose::unfold(u, &x[0])]),
        Op::UnfoldBackward(u) => w.compose(x, |x| vec![compose::unfold_backward(u, &x[0])]),
        Op::Convolution(c) => convolution(w, c, &x[0], &x[1], &y[0]),
        Op::Cholesky(c) => linalg::cholesky(w, c, &x[0]),
        Op::SolveTriangular(s) => one(linalg::solve_triangular(w, s, &x[0], &x[1])),
        Op::LuFactor(_) | Op::Qr(_) | Op::Eigh(_) | Op::Svd(_) if x[0].aval.shape.numel() == 0 => {
            linalg::of_nothing(w, op, &x[0])
        }
        Op::LuFactor(f) => linalg::lu_factor(w, f, &x[0], y),
        Op::Solve(_) | Op::Inverse(_) => w.compose(x, |x| solve_by_factors(op, x)),
        Op::LuUnpack(u) => w.compose(x, |x| compose::lu_unpack(u, &x[0], &x[1])),
        Op::Qr(q) => linalg::qr(w, q, &x[0], y),
        Op::Eigh(e) => linalg::eigh(w, e, &x[0], y),
        Op::Svd(s) => linalg::svd(w, s, &x[0], y),
        Op::LdlFactor(_) | Op::LdlSolve(_) => Err(Refusal::Reason(linalg::NO_LDL)),
        Op::AssertAsync(_) => Err(Refusal::Reason(NO_ASSERTION)),
        Op::Call(c) if c.has_forward() => w.graph(&c.body, x).map_err(Refusal::Inner),
        Op::Call(_) => Err(Refusal::Reason("its function has a custom vjp rule and no forward derivative")),
    }
}

/// An elementwise operation of CHLO.
pub(crate) fn chlo(w: &mut Writer, name: &str, args: &[&Val]) -> Val {
    let names: Vec<&str> = args.iter().map(|a| a.name.as_str()).collect();
    let types: Vec<String> = args.iter().map(|a| a.ty()).collect();
    w.value(&args[0].aval, format_args!("chlo.{name} {} : {} -> {}", names.join(", "), types.join(", "), args[0].ty()))
}

/// Conversion as PyTorch does it: to `bool` whether it is not 0, and to narrow integers by their low bits.
fn convert(w: &mut Writer, x: &Val, dtype: DType) -> Val {
    match dtype {
        DType::Bool if x.dtype() != DType::Bool => {
            let zero = w.full(&x.aval, Scalar::Int(0));
            w.compare("NE", x, &zero)
        }
        DType::I32 | DType::I16 | DType::I8 | DType::U8 if x.dtype().is_float() => {
            let wide = w.convert(x, DType::I64);
            w.convert(&wide, dtype)
        }
        DType::F32
        | DType::F64
        | DType::BF16
        | DType::F16
        | DType::I64
        | DType::I32
        | DType::I16
        | DType::I8
        | DType::U8
        | DType::Bool => w.convert(x, dtype),
    }
}

fn slice(w: &mut Writer, s: &Slice, x: &Val, y: &Aval) -> Val {
    let sizes = x.aval.shape.sizes();
    let ranges = sizes.iter().enumerate().map(|(d, n)| match d == s.dim {
        true => format!("{}:{}:{}", s.start, s.end, s.step),
        false => format!("0:{n}"),
    });
    w.typed("stablehlo.slice", x, &format!(" [{}]", ints(ranges)), y)
}

fn pad(w: &mut Writer, p: &Pad, x: &Val, y: &Aval) -> Val {
    // The pairs start at the last dim.
    let amounts = |side: usize| {
        let mut v = vec![0; x.aval.rank()];
        for (d, pair) in p.pad.chunks_exact(2).enumerate() {
            v[x.aval.rank() - 1 - d] = pair[side];
        }
        v
    };
    let value = w.full(&Aval::new(x.dtype(), ()), p.value);
    padded(w, x, &value, [&amounts(0), &amounts(1), &vec![0; x.aval.rank()]], y)
}

/// `x` with `value` below, above and between its elements.
fn padded(w: &mut Writer, x: &Val, value: &Val, [low, high, interior]: [&[i64]; 3], y: &Aval) -> Val {
    w.value(
        y,
        format_args!(
            "stablehlo.pad {}, {}, low = [{}], high = [{}], interior = [{}] : ({}, {}) -> {}",
            x.name,
            value.name,
            ints(low),
            ints(high),
            ints(interior),
            x.ty(),
            value.ty(),
            ty(y)
        ),
    )
}

/// The source with its elements apart, over the operand where a mask spread in the same way is true.
fn slice_scatter(w: &mut Writer, s: &SliceScatter, x: &Val, src: &Val) -> Val {
    let n = src.aval.shape[s.dim].get();
    if n == 0 {
        return x.clone();
    }
    let at_dim = |v: usize| (0..x.aval.rank()).map(|d| if d == s.dim { v as i64 } else { 0 }).collect::<Vec<_>>();
    let end = s.start + (n - 1) * s.step + 1;
    let (low, high, interior) = (at_dim(s.start), at_dim(x.aval.shape[s.dim].get() - end), at_dim(s.step - 1));
    let amounts = [low.as_slice(), high.as_slice(), interior.as_slice()];
    let zero = w.full(&Aval::new(x.dtype(), ()), Scalar::Int(0));
    let spread = padded(w, src, &zero, amounts, &x.aval);
    let inside = w.full(&src.aval.with_dtype(DType::Bool), Scalar::Bool(true));
    let outside = w.constant(&Array::scalar(false));
    let mask = padded(w, &inside, &outside, amounts, &x.aval.with_dtype(DType::Bool));
    w.select(&mask, &spread, x)
}

fn dot(w: &mut Writer, dims: &str, x: &[Val], y: &Aval) -> Val {
    let (names, types) = list(x);
    w.value(y, format_args!("stablehlo.dot_general {names}, {dims} : ({types}) -> {}", ty(y)))
}
