//! Primitives in terms of others.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType, Dim, Shape};
use cotangent_core::ops::{
    Arange, Binary, DiagEmbed, Diagonal, Eye, LuUnpack, Searchsorted, Statistic, Unfold, UnfoldBackward,
};

/// -1, 0 or 1; 0 at NaN.
pub(crate) fn sign(x: &Tensor) -> Tensor {
    if x.dtype() == DType::Bool {
        return x.clone();
    }
    let zero = x.zeros_like();
    let below = x.full_like(-1i64).where_(&x.lt(&zero), &zero);
    x.ones_like().where_(&x.gt(&zero), below)
}

/// `sin(x) / x`, by its series near 0.
pub(crate) fn spherical_j0(x: &Tensor) -> Tensor {
    let square = x * x;
    let series = [-1.0 / 39_916_800.0, 1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0]
        .into_iter()
        .fold(x.zeros_like(), |sum, c| sum * &square + c);
    let ratio = x.zeros_like().where_(&x.abs().eq(f64::INFINITY), x.sin() / x);
    series.where_(&x.abs().lt(0.5), ratio)
}

/// The remainder with the sign of `b`.
pub(crate) fn remainder(a: &Tensor, b: &Tensor) -> Tensor {
    let r = a.fmod(b);
    (&r + b).where_(&needs_step(&r, b), &r)
}

/// Whether a remainder has another sign than its divisor.
fn needs_step(r: &Tensor, b: &Tensor) -> Tensor {
    let other = r.lt(0i64).ne(b.lt(0i64));
    r.ne(0i64).bitwise_and(other)
}

/// The quotient rounded down, from the remainder as Python does.
pub(crate) fn div_floor(a: &Tensor, b: &Tensor) -> Tensor {
    let ratio = a / b;
    let r = a.fmod(b);
    let q = (a - &r) / b;
    let q = (&q - 1i64).where_(&needs_step(&r, b), &q);
    let floor = q.floor();
    let nearest = (&floor + 1i64).where_(&(&q - &floor).gt(0.5), &floor);
    // A zero has the sign of the ratio.
    let zero = &ratio * 0.0;
    zero.where_(&q.eq(0i64), nearest).where_(&b.ne(0i64), ratio)
}

/// The quotient of integers rounded down.
pub(crate) fn div_floor_int(a: &Tensor, b: &Tensor) -> Tensor {
    let r = a.fmod(b);
    let q = a.binary(Binary::DivTrunc, b);
    (&q - 1i64).where_(&needs_step(&r, b), &q)
}

/// The least common multiple, 0 if an operand is.
pub(crate) fn lcm(a: &Tensor, b: &Tensor) -> Tensor {
    let gcd = a.binary(Binary::Gcd, b);
    let divisor = gcd.ones_like().where_(&gcd.eq(0i64), &gcd);
    (a.binary(Binary::DivTrunc, &divisor) * b).abs()
}

/// How many elements of its sequence stand before each value; comparisons with NaN do not hold.
pub(crate) fn searchsorted(s: &Searchsorted, sequence: &Tensor, values: &Tensor) -> Tensor {
    let dims = sequence.shape().dims();
    let (batch, n) = (&dims[..dims.len() - 1], dims[dims.len() - 1]);
    let k = values.shape().dims()[dims.len() - 1];
    let shape = |tail: [Dim; 2]| batch.iter().copied().chain(tail).collect::<Shape>();
    let all = shape([k, n]);
    let sequence = sequence.view_to(&shape([Dim::new(1), n])).expand_to(&all);
    let values = values.view_to(&shape([k, Dim::new(1)])).expand_to(&all);
    let behind = if s.right { sequence.gt(&values) } else { sequence.ge(&values) };
    let count = behind.bitwise_not().convert(DType::I64).sum_over(&[dims.len()]);
    count.convert(if s.out_int32 { DType::I32 } else { DType::I64 })
}

/// 0, 1, … along `dim` of `shape`.
fn coordinates(shape: &Shape, dim: usize) -> Tensor {
    let ones: Shape = (0..shape.rank()).map(|d| if d == dim { shape[d] } else { Dim::new(1) }).collect();
    Tensor::generate(Arange { end: shape[dim], dtype: DType::I64 }, None).view_to(&ones).expand_to(shape)
}

/// The places, in a tensor of `shape` as one vector, of an index along `dim` for each of its elements.
pub(crate) fn flat_positions(shape: &Shape, dim: usize, index: &Tensor) -> Tensor {
    let strides = shape.strides();
    let place = (0..shape.rank()).fold(index.zeros_like(), |sum, d| {
        let along = if d == dim { index.clone() } else { coordinates(index.shape(), d) };
        sum + along * strides[d] as i64
    });
    place.view_to(&[index.numel()].into())
}

pub(crate) fn gather(x: &Tensor, dim: usize, index: &Tensor) -> Tensor {
    let flat = x.view_to(&[x.numel()].into());
    flat.index_select_along(0, &flat_positions(x.shape(), dim, index)).view_to(index.shape())
}

/// 0, 1, … up to `n`, times `step`, plus `start`.
fn steps(n: usize, step: usize, start: usize) -> Tensor {
    Tensor::generate(Arange { end: n.into(), dtype: DType::I64 }, None) * step as i64 + start as i64
}

/// `dims` of `rank` with `dim1` and `dim2` at the end.
fn with_last(rank: usize, dim1: usize, dim2: usize) -> Vec<usize> {
    (0..rank).filter(|d| *d != dim1 && *d != dim2).chain([dim1, dim2]).collect()
}

/// The places of a diagonal of `k` elements in matrices of `columns`, as one vector.
fn diagonal_places(k: usize, columns: usize, offset: i64) -> Tensor {
    let (row, column) = ((-offset).max(0) as usize, offset.max(0) as usize);
    steps(k, columns + 1, row * columns + column)
}

pub(crate) fn diagonal(d: &Diagonal, x: &Tensor) -> Tensor {
    let moved = x.permute_to(&with_last(x.rank(), d.dim1, d.dim2));
    let dims = moved.shape().dims();
    let (batch, rows, columns) = (&dims[..dims.len() - 2], dims[dims.len() - 2].get(), dims[dims.len() - 1].get());
    let (down, right) = ((-d.offset).max(0) as usize, d.offset.max(0) as usize);
    let k = rows.saturating_sub(down).min(columns.saturating_sub(right));
    let flat: Shape = batch.iter().copied().chain([Dim::new(rows * columns)]).collect();
    moved.view_to(&flat).index_select_along(batch.len(), &diagonal_places(k, columns, d.offset))
}

pub(crate) fn diag_embed(d: &DiagEmbed, x: &Tensor) -> Tensor {
    let rank = x.rank() + 1;
    let k = x.shape().dims()[rank - 2].get();
    let n = k + d.offset.unsigned_abs() as usize;
    let batch = &x.shape().dims()[..rank - 2];
    let shape = |tail: &[usize]| batch.iter().copied().chain(tail.iter().map(|n| Dim::new(*n))).collect::<Shape>();
    let zeros = x.full_of(&Aval::new(x.dtype(), shape(&[n * n])), 0i64);
    let places = diagonal_places(k, n, d.offset).expand_to(x.shape());
    let matrices = zeros.scatter_along(rank - 2, &places, x).view_to(&shape(&[n, n]));
    let mut order = vec![0; rank];
    for (from, to) in with_last(rank, d.dim1, d.dim2).into_iter().enumerate() {
        order[to] = from;
    }
    matrices.permute_to(&order)
}

/// The places of the elements of `windows` windows.
fn window_places(windows: usize, size: usize, step: usize) -> Tensor {
    let shape = Shape::from([windows, size]);
    (coordinates(&shape, 0) * step as i64 + coordinates(&shape, 1)).view_to(&[windows * size].into())
}

/// The order of dims that takes the one after `dim` to the end.
fn last_after(rank: usize, dim: usize) -> Vec<usize> {
    (0..rank).filter(|d| *d != dim + 1).chain([dim + 1]).collect()
}

pub(crate) fn unfold(u: &Unfold, x: &Tensor) -> Tensor {
    let windows = (x.shape()[u.dimension].get() - u.size) / u.step + 1;
    let picked = x.index_select_along(u.dimension, &window_places(windows, u.size, u.step));
    let parted: Shape = x
        .shape()
        .dims()
        .iter()
        .enumerate()
        .flat_map(|(d, n)| if d == u.dimension { vec![Dim::new(windows), Dim::new(u.size)] } else { vec![*n] })
        .collect();
    picked.view_to(&parted).permute_to(&last_after(x.rank() + 1, u.dimension))
}

pub(crate) fn unfold_backward(u: &UnfoldBackward, y_bar: &Tensor) -> Tensor {
    let windows = y_bar.shape()[u.dim].get();
    let order = last_after(y_bar.rank(), u.dim);
    let mut back = vec![0; order.len()];
    for (to, from) in order.into_iter().enumerate() {
        back[from] = to;
    }
    let merged: Shape = u
        .input_sizes
        .dims()
        .iter()
        .enumerate()
        .map(|(d, n)| if d == u.dim { Dim::new(windows * u.size) } else { *n })
        .collect();
    let source = y_bar.permute_to(&back).view_to(&merged);
    let zeros = y_bar.full_of(&Aval::new(y_bar.dtype(), &u.input_sizes), 0i64);
    zeros.index_add_along(u.dim, &window_places(windows, u.size, u.step), &source)
}

/// The permutation, the unit lower and the upper factor. The exchanges of rows are unrolled.
pub(crate) fn lu_unpack(u: &LuUnpack, lu: &Tensor, pivots: &Tensor) -> Vec<Tensor> {
    let rank = lu.rank();
    let [m, n] = [lu.shape()[rank - 2], lu.shape()[rank - 1]];
    let k = if m < n { m } else { n };
    let eye = |rows: Dim, columns: Dim| {
        let sizes: Shape = lu.shape().dims()[..rank - 2].iter().copied().chain([rows, columns]).collect();
        Tensor::generate(Eye { n: rows, m: columns, dtype: lu.dtype() }, None).expand_to(&sizes)
    };
    let lower = lu.first_cols(k).lower(-1) + eye(m, k);
    let upper = lu.first_rows(k).upper(0);
    let none = Tensor::zeros_of(&Aval::new(lu.dtype(), [0]), None);
    let (lower, upper) = if u.unpack_data { (lower, upper) } else { (none.clone(), none.clone()) };
    if !u.unpack_pivots {
        return vec![none, lower, upper];
    }
    let batch: Vec<Dim> = lu.shape().dims()[..rank - 2].to_vec();
    let rows: Shape = batch.iter().copied().chain([m]).collect();
    let one: Shape = batch.iter().copied().chain([Dim::new(1)]).collect();
    let place = coordinates(&rows, rank - 2);
    let mut order = place.clone();
    for i in 0..k.get() {
        let other = (pivots.slice_dim(rank - 2, i, i + 1, 1).convert(DType::I64) - 1i64).view_to(&one);
        let here = order.slice_dim(rank - 2, i, i + 1, 1).expand_to(&rows);
        let there = order.gather_along(rank - 2, &other).expand_to(&rows);
        let at_other = place.eq(other.expand_to(&rows));
        order = there.where_(&place.eq(i as i64), here.where_(&at_other, &order));
    }
    // Row `order[i]` of the matrix became row `i`.
    let square: Shape = batch.iter().copied().chain([m, m]).collect();
    let column: Shape = batch.iter().copied().chain([Dim::new(1), m]).collect();
    let hits = coordinates(&square, rank - 2).eq(order.view_to(&column).expand_to(&square));
    vec![hits.convert(lu.dtype()), lower, upper]
}

/// The elements that a statistic takes of each line along `dim`, and where they are, of the shape `y`: from a stable sort, so that of equal elements
/// others may be found than PyTorch finds.
pub(crate) fn statistic(which: Statistic, dim: usize, x: &Tensor, y: &Shape) -> Vec<Tensor> {
    let descending = matches!(which, Statistic::Top { largest: true, .. });
    let (values, order) = x.sort_along(dim, descending);
    let slices = |start: usize, end: usize| [&values, &order].map(|t| t.slice_dim(dim, start, end, 1)).to_vec();
    let found = match which {
        Statistic::Top { k, .. } => slices(0, k),
        Statistic::Rank(k) => slices(k, k + 1),
        Statistic::Mode => {
            // Equal elements stand together in order: the longest run, and its end.
            let last = x.rank() - 1;
            let to_last: Vec<usize> = (0..=last).filter(|i| *i != dim).chain([dim]).collect();
            let back: Vec<usize> =
                (0..=last).map(|i| to_last.iter().position(|t| *t == i).expect("a permutation")).collect();
            let s = values.permute_to(&to_last);
            let s = if s.dtype() == DType::Bool { s.convert(DType::I64) } else { s };
            let (from, to) = (s.searchsorted_exact(&s, false), s.searchsorted_exact(&s, true));
            let longest = (&to - from).argmax_along(last);
            let end = to.gather_along(last, &longest.view_to(&s.shape().with(last, 1))) - 1i64;
            let at = end.permute_to(&back);
            [&values, &order].map(|t| t.gather_along(dim, &at)).to_vec()
        }
    };
    found.iter().map(|t| t.view_to(y)).collect()
}
