//! Products with the identity matrices from which batched Jacobians start.
//!
//! A *diagonal* is `eye`, `diag_embed(d)`, an expansion of either along leading dims, or a view of a matrix of either
//! kind as `[n, shape…]` with `n` the number of elements of `shape`. What is multiplied with it matters only on the
//! diagonal, so that the product is again a diagonal, of the product of the diagonals: `n` numbers in place of `n²`.

use super::edit::{Editor, NodeId};
use super::pattern::aligned;
use super::{Apply, Class, Rule};
use crate::ir::{Aval, DType, Dim, Shape, Value};
use crate::ops::{Binary, DiagEmbed, Diagonal, Eye, Op, Permute, Unary};

/// A rule that does `n` multiplications in place of `n²`, whatever else uses the matrix.
macro_rules! cheaper {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Cheaper($f) }
    };
}

macro_rules! rule {
    ($f:ident, $name:literal, $class:ident, $law:literal) => {
        Rule { name: $name, class: Class::$class, law: $law, apply: Apply::Node($f) }
    };
}

pub(super) static RULES: &[Rule] = &[
    rule!(
        permute_diagonal,
        "permute-diagonal",
        Exact,
        "transpose(eye) -> eye; transpose(diag_embed(d)) -> diag_embed(d)"
    ),
    rule!(eye_of_places, "eye-of-places", Exact, "arange of rows == arange of columns -> eye"),
    cheaper!(choose_diagonal, "choose-diagonal", Exact, "where(eye, x, 0) -> diag_embed(diagonal of x)"),
    cheaper!(mul_diagonal, "mul-diagonal", Finite, "eye * x -> diag_embed(diagonal of x); diag_embed(d) * x likewise"),
    rule!(add_diagonal, "add-diagonal", Exact, "diag_embed(a) + diag_embed(b) -> diag_embed(a + b)"),
    cheaper!(odd_diagonal, "odd-diagonal", Finite, "-diag_embed(d) -> diag_embed(-d)"),
    rule!(sum_diagonal, "sum-diagonal", Finite, "sum(eye) -> full(1); sum(diag_embed(d)) -> d"),
    rule!(diagonal_diagonal, "diagonal-diagonal", Exact, "diagonal(eye) -> full(1); diagonal(diag_embed(d)) -> d"),
    cheaper!(
        mm_diagonal,
        "mm-diagonal",
        Finite,
        "diag_embed(d) @ x -> d * x by rows; x @ diag_embed(d) -> x * d by columns"
    ),
];

/// A batch of square diagonal matrices of `n` rows, perhaps seen under another shape.
struct Diag {
    /// The numbers on the diagonals `[lead…, n]`; `None` for ones.
    values: Option<Value>,
    /// `[lead…, n, n]`: the shape before the view.
    matrix: Shape,
}

/// Reads `v` as diagonal matrices.
fn diag(e: &Editor, v: Value) -> Option<Diag> {
    let shape = e.shape(v).clone();
    let (x, matrix) = match e.as_view(v) {
        // A view that splits the columns: `[n, shape…]` or `[n, n]` split on both sides.
        Some(x) if e.shape(x).rank() == 2 => (x, e.shape(x).clone()),
        Some(_) => return None,
        None => (v, shape),
    };
    let (x, expanded) = match e.as_expand(x) {
        Some(small) if e.shape(small).rank() == 2 => (small, true),
        Some(_) => return None,
        None => (x, false),
    };
    let rank = matrix.rank();
    match e.def_op(x)? {
        (Op::Eye(eye), _) if eye.n == eye.m => Some(Diag { values: None, matrix }),
        (Op::DiagEmbed(d), id) if d.offset == 0 && !expanded && (d.dim1, d.dim2) == (rank - 2, rank - 1) => {
            Some(Diag { values: Some(e.arg(id, 0)), matrix })
        }
        _ => None,
    }
}

impl Diag {
    fn n(&self) -> Dim {
        self.matrix[self.matrix.rank() - 1]
    }

    /// The shape of the diagonals.
    fn shape(&self) -> Shape {
        self.matrix.slice(0, self.matrix.rank() - 1)
    }
}

/// The diagonal matrices of `d`, viewed as `shape`.
fn embed(e: &mut Editor, d: Value, shape: &Shape) -> Option<Value> {
    let rank = e.shape(d).rank();
    let y = e.emit(DiagEmbed { offset: 0, dim1: rank - 1, dim2: rank }, &[d])?;
    e.view(y, shape)
}

/// The elements of `x`, of the shape of `v`, on the diagonals of `v = diag`.
fn on_diagonal(e: &mut Editor, x: Value, v: Value, diag: &Diag) -> Option<Value> {
    let aval = e.aval(x).with_shape(diag.shape());
    if let Some(c) = e.as_full(x) {
        return e.full(&aval, c);
    }
    let is_view = *e.shape(v) != diag.matrix;
    if let Some(small) = e.as_expand(x) {
        let (shape, from) = (e.shape(x).clone(), aligned(e.shape(small), e.shape(x)));
        if is_view {
            // `[n, shape…]`, where each row holds the same numbers.
            if from[0] == 1 && shape[0] == diag.n() && from.dims()[1..] == shape.dims()[1..] {
                return e.view(small, &diag.shape());
            }
        } else {
            let rank = shape.rank();
            for dim in [rank - 2, rank - 1] {
                if from[dim] == 1 && (shape[dim] != 1 || rank == 2) {
                    let y = e.view(small, &from.removed(dim))?;
                    return e.expand(y, &diag.shape());
                }
            }
        }
    }
    if is_view {
        return None;
    }
    let rank = diag.matrix.rank();
    e.emit(Diagonal { offset: 0, dim1: rank - 2, dim2: rank - 1 }, &[x])
}

fn permute_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Permute(Permute { dims }) = e.op(id) else { return None };
    let (dims, x) = (dims.clone(), e.arg(id, 0));
    let d = diag(e, x)?;
    let rank = dims.len();
    if *e.shape(x) == d.matrix {
        let swapped = (0..rank - 2).chain([rank - 1, rank - 2]);
        return dims.iter().copied().eq(swapped).then_some(x);
    }
    // `[n, shape…]` with the rows moved last is the same matrix seen as `[shape…, n]`.
    let rows = e.shape(x)[0] == d.n();
    if rows && dims.iter().copied().eq((1..rank).chain([0])) {
        let (matrix, shape) = (e.as_view(x)?, e.out(id).shape);
        return e.view(matrix, &shape);
    }
    None
}

/// The dim of the square matrix `v` along which it counts from 0, as exporters write `eye` and `diag`.
fn counted(e: &Editor, v: Value) -> Option<usize> {
    let small = e.as_expand(v)?;
    let from = aligned(e.shape(small), e.shape(v));
    let (Op::Arange(r), _) = e.def_op(e.as_view(small).unwrap_or(small))? else { return None };
    // Every dtype counts so far.
    let holds = r.end.get() <= 128 || r.dtype == DType::I64;
    let dim = [0, 1].into_iter().find(|d| from[1 - d] == 1)?;
    (holds && from[dim] == e.shape(v)[dim] && from[dim] != 1).then_some(dim)
}

fn eye_of_places(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Binary(Binary::Eq) = e.op(id) else { return None };
    let shape = e.shape(e.arg(id, 0));
    let &[n, m] = shape.dims() else { return None };
    let (a, b) = (counted(e, e.arg(id, 0))?, counted(e, e.arg(id, 1))?);
    if n != m || a == b { None } else { e.emit(Eye { n, m, dtype: DType::Bool }, &[]) }
}

fn choose_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Where(_) = e.op(id) else { return None };
    let (p, x, other) = (e.arg(id, 0), e.arg(id, 1), e.arg(id, 2));
    let d = diag(e, p)?;
    if d.values.is_some() || !e.is_zero(other) || e.as_full(x).is_some() {
        return None;
    }
    let values = on_diagonal(e, x, p, &d)?;
    let shape = e.shape(p).clone();
    embed(e, values, &shape)
}

fn mul_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Binary(op @ (Binary::Mul | Binary::Div)) = e.op(id) else { return None };
    let op = *op;
    if !e.out_dtype(id).is_float() {
        return None;
    }
    let (a, b) = (e.arg(id, 0), e.arg(id, 1));
    let pairs = if op == Binary::Mul { vec![(a, b), (b, a)] } else { vec![(a, b)] };
    for (v, x) in pairs {
        let Some(d) = diag(e, v) else { continue };
        let Some(y) = on_diagonal(e, x, v, &d) else { continue };
        let values = match (op, d.values) {
            (_, Some(values)) => e.binary(op, values, y)?,
            (Binary::Mul, None) => y,
            (_, None) => e.unary(Unary::Reciprocal, y)?,
        };
        let shape = e.shape(v).clone();
        return embed(e, values, &shape);
    }
    None
}

fn add_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Binary(op @ (Binary::Add | Binary::Sub)) = e.op(id) else { return None };
    let op = *op;
    let (a, b) = (e.arg(id, 0), e.arg(id, 1));
    let (p, q) = (diag(e, a)?, diag(e, b)?);
    if p.matrix != q.matrix {
        return None;
    }
    let values = e.binary(op, p.values?, q.values?)?;
    let shape = e.out(id).shape;
    embed(e, values, &shape)
}

fn odd_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Unary(Unary::Neg) = e.op(id) else { return None };
    let x = e.arg(id, 0);
    let values = diag(e, x)?.values?;
    let values = e.unary(Unary::Neg, values)?;
    let shape = e.out(id).shape;
    embed(e, values, &shape)
}

fn sum_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Sum(_) = e.op(id) else { return None };
    let (dims, x) = e.as_sum(e.results(id)[0])?;
    let d = diag(e, x)?;
    let rank = e.shape(x).rank();
    let is_view = *e.shape(x) != d.matrix;
    if is_view && e.shape(x)[0] != d.n() {
        return None;
    }
    let (row, columns) = if is_view { (0, 1..rank) } else { (rank - 2, rank - 1..rank) };
    let by_rows = dims.contains(&row);
    let by_columns = columns.clone().all(|c| dims.contains(&c));
    let in_part = !by_columns && dims.iter().any(|p| columns.contains(p));
    if in_part || !(by_rows || by_columns) {
        return None;
    }
    let values = match d.values {
        Some(v) => v,
        None => {
            let aval = Aval::new(e.dtype(x), d.shape());
            e.full(&aval, 1.0)?
        }
    };
    // Over rows or columns each diagonal is left; over both, its sum.
    let mut rest: Vec<usize> = dims.into_iter().filter(|p| *p != row && !columns.contains(p)).collect();
    if by_rows && by_columns {
        rest.push(d.shape().rank() - 1);
    }
    let out = e.out(id).shape;
    let sum = e.sum(values, &rest)?;
    e.view(sum, &out)
}

fn diagonal_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let Op::Diagonal(Diagonal { offset: 0, dim1, dim2 }) = e.op(id) else { return None };
    let (dims, x) = ((*dim1, *dim2), e.arg(id, 0));
    let d = diag(e, x)?;
    let rank = d.matrix.rank();
    if *e.shape(x) != d.matrix || dims != (rank - 2, rank - 1) {
        return None;
    }
    let aval = e.out(id);
    match d.values {
        Some(v) => Some(v),
        None => e.full(&aval, 1.0),
    }
}

fn mm_diagonal(e: &mut Editor, id: NodeId) -> Option<Value> {
    let (Op::Mm(_) | Op::Bmm(_)) = e.op(id) else { return None };
    let (a, b) = (e.arg(id, 0), e.arg(id, 1));
    let out = e.out(id).shape;
    let rank = out.rank();
    for (v, x, dim) in [(a, b, rank - 1), (b, a, rank - 2)] {
        let Some(Diag { values: Some(values), matrix }) = diag(e, v) else { continue };
        if matrix != *e.shape(v) {
            continue;
        }
        let shape = e.shape(values).inserted(dim, 1);
        let shape = if shape[0] == 1 && rank == 2 && dim == 0 { e.shape(values).clone() } else { shape };
        let scale = e.view(values, &shape)?;
        let scale = e.expand(scale, &out)?;
        return e.binary(Binary::Mul, scale, x);
    }
    None
}
