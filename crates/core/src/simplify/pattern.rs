//! What rules look for and build: the definitions of values by kind, and ops that leave out what does nothing.

use super::edit::{Editor, NodeId};
use crate::ir::{Aval, DType, Scalar, Shape, Value};
use crate::ops::{Binary, Convert, Expand, Eye, Full, Op, Permute, Sum, Unary, View, Where};

impl Editor {
    /// The operand of `id` at `i`.
    pub fn arg(&self, id: NodeId, i: usize) -> Value {
        self.args(id)[i]
    }

    /// The shape of `v`.
    pub fn shape(&self, v: Value) -> &Shape {
        &self.aval(v).shape
    }

    /// The element type of `v`.
    pub fn dtype(&self, v: Value) -> DType {
        self.aval(v).dtype
    }

    /// The aval of the result of `id`.
    pub fn out(&self, id: NodeId) -> Aval {
        self.aval(self.results(id)[0]).clone()
    }

    /// The dtype of the result of `id`.
    pub fn out_dtype(&self, id: NodeId) -> DType {
        self.dtype(self.results(id)[0])
    }

    /// The operation that defines `v`, with its node.
    pub fn def_op(&self, v: Value) -> Option<(&Op, NodeId)> {
        self.def(v).map(|id| (self.op(id), id))
    }

    /// The number that every element of `v` is.
    pub fn as_full(&self, v: Value) -> Option<Scalar> {
        match self.def_op(v) {
            Some((Op::Full(f), _)) => Some(f.fill_value),
            _ => None,
        }
    }

    /// Whether every element of `v` is this number, to the bit.
    pub fn is_full(&self, v: Value, x: f64) -> bool {
        self.as_full(v) == Some(Scalar::Float(x).cast(self.dtype(v)))
    }

    /// Whether every element of `v` is a zero of either sign (or `false`).
    pub fn is_zero(&self, v: Value) -> bool {
        self.as_full(v).is_some_and(|s| s.to_f64() == 0.0)
    }

    /// The operand of a unary function that gives `v`.
    pub fn as_unary(&self, v: Value, op: Unary) -> Option<Value> {
        match self.def_op(v) {
            Some((Op::Unary(u), id)) if *u == op => Some(self.arg(id, 0)),
            _ => None,
        }
    }

    /// The operands of a binary function that gives `v`.
    pub fn as_binary(&self, v: Value, op: Binary) -> Option<(Value, Value)> {
        match self.def_op(v) {
            Some((Op::Binary(b), id)) if *b == op => Some((self.arg(id, 0), self.arg(id, 1))),
            _ => None,
        }
    }

    /// `v = x · c` or `c · x` with a uniform `c`: `(x, c)`.
    pub fn as_scaled(&self, v: Value) -> Option<(Value, Scalar)> {
        let (a, b) = self.as_binary(v, Binary::Mul)?;
        self.as_full(b).map(|c| (a, c)).or_else(|| self.as_full(a).map(|c| (b, c)))
    }

    /// What `v` is an expansion of.
    pub fn as_expand(&self, v: Value) -> Option<Value> {
        match self.def_op(v) {
            Some((Op::Expand(_), id)) => Some(self.arg(id, 0)),
            _ => None,
        }
    }

    /// What `v` is a view of.
    pub fn as_view(&self, v: Value) -> Option<Value> {
        match self.def_op(v) {
            Some((Op::View(_), id)) => Some(self.arg(id, 0)),
            _ => None,
        }
    }

    /// What `v` is a permutation of.
    pub fn as_permute(&self, v: Value) -> Option<(Vec<usize>, Value)> {
        match self.def_op(v) {
            Some((Op::Permute(p), id)) => Some((p.dims.clone(), self.arg(id, 0))),
            _ => None,
        }
    }

    /// What `v` is a conversion of.
    pub fn as_convert(&self, v: Value) -> Option<Value> {
        match self.def_op(v) {
            Some((Op::Convert(_), id)) => Some(self.arg(id, 0)),
            _ => None,
        }
    }

    /// The branches of a choice that gives `v`: `(condition, self, other)`.
    pub fn as_where(&self, v: Value) -> Option<(Value, Value, Value)> {
        match self.def_op(v) {
            Some((Op::Where(_), id)) => Some((self.arg(id, 0), self.arg(id, 1), self.arg(id, 2))),
            _ => None,
        }
    }

    /// The size of the identity matrix that `v` is.
    pub fn as_eye(&self, v: Value) -> Option<usize> {
        match self.def_op(v) {
            Some((Op::Eye(Eye { n, m, .. }), _)) if n == m => Some(n.get()),
            _ => None,
        }
    }

    /// The operand of a sum that gives `v`, with the summed dims.
    pub fn as_sum(&self, v: Value) -> Option<(Vec<usize>, Value)> {
        match self.def_op(v) {
            Some((Op::Sum(s), id)) => {
                let x = self.arg(id, 0);
                Some((s.dims(self.shape(x).rank()), x))
            }
            _ => None,
        }
    }

    /// A uniform tensor.
    pub fn full(&mut self, aval: &Aval, x: impl Into<Scalar>) -> Option<Value> {
        let fill_value = x.into().cast(aval.dtype);
        self.emit(Full { size: aval.shape.clone(), fill_value, dtype: aval.dtype }, &[])
    }

    /// A function of one operand.
    pub fn unary(&mut self, op: Unary, x: Value) -> Option<Value> {
        self.emit(op, &[x])
    }

    /// A function of two operands.
    pub fn binary(&mut self, op: Binary, a: Value, b: Value) -> Option<Value> {
        self.emit(op, &[a, b])
    }

    /// A choice.
    pub fn select(&mut self, p: Value, a: Value, b: Value) -> Option<Value> {
        self.emit(Where {}, &[p, a, b])
    }

    /// A conversion, if there is something to convert.
    pub fn convert(&mut self, x: Value, dtype: DType) -> Option<Value> {
        if self.dtype(x) == dtype { Some(x) } else { self.emit(Convert { dtype }, &[x]) }
    }

    /// A view, if there is something to change; a view of a view is one.
    pub fn view(&mut self, x: Value, shape: &Shape) -> Option<Value> {
        let mut x = x;
        while self.shape(x) != shape {
            match self.as_view(x) {
                Some(inner) => x = inner,
                None => return self.emit(View { shape: shape.clone() }, &[x]),
            }
        }
        Some(x)
    }

    /// An expansion, if there is something to repeat; an expansion of an expansion is one.
    pub fn expand(&mut self, x: Value, shape: &Shape) -> Option<Value> {
        let mut x = x;
        while self.shape(x) != shape {
            match (self.as_full(x), self.as_expand(x)) {
                (Some(c), _) => {
                    let aval = self.aval(x).with_shape(shape);
                    return self.full(&aval, c);
                }
                (None, Some(inner)) => x = inner,
                (None, None) => return self.emit(Expand { size: shape.clone() }, &[x]),
            }
        }
        Some(x)
    }

    /// A permutation, if there is something to move; a permutation of a permutation is one.
    pub fn permute(&mut self, x: Value, dims: &[usize]) -> Option<Value> {
        let (mut x, mut dims) = (x, dims.to_vec());
        while !dims.iter().copied().eq(0..dims.len()) {
            match self.as_permute(x) {
                Some((inner, y)) => {
                    dims = dims.iter().map(|d| inner[*d]).collect();
                    x = y;
                }
                None => return self.emit(Permute { dims }, &[x]),
            }
        }
        Some(x)
    }

    /// A sum, if there is something to sum.
    pub fn sum(&mut self, x: Value, dims: &[usize]) -> Option<Value> {
        let rank = self.shape(x).rank();
        if dims.is_empty() { Some(x) } else { self.emit(Sum::over(dims, rank), &[x]) }
    }

    /// `x` multiplied by a number, unless that is one.
    pub fn scale(&mut self, x: Value, c: f64) -> Option<Value> {
        if c == 1.0 {
            return Some(x);
        }
        let aval = self.aval(x).clone();
        let c = self.full(&aval, c)?;
        self.binary(Binary::Mul, x, c)
    }
}

/// The shape of `x` seen with as many dims as `to`: ones in front, as broadcasting aligns them.
pub(super) fn aligned(x: &Shape, to: &Shape) -> Shape {
    let lead = to.rank() - x.rank();
    std::iter::repeat_n(crate::ir::Dim::new(1), lead).chain(x.dims().iter().copied()).collect()
}

/// The dims of `a` and those of `b` that hold the same elements, for two shapes of equally many elements: runs of dims
/// with equal products. Dims of size 1 belong to none. `None` where a size is 0.
pub(super) fn groups(a: &Shape, b: &Shape) -> Option<Vec<(Vec<usize>, Vec<usize>)>> {
    let rest = |s: &Shape| s.sizes().into_iter().enumerate().filter(|(_, n)| *n != 1).collect::<Vec<_>>();
    let (a, b) = (rest(a), rest(b));
    if a.iter().chain(&b).any(|(_, n)| *n == 0) {
        return None;
    }
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    let mut out = Vec::new();
    while let (Some((i, mut p)), Some((j, mut q))) = (a.next(), b.next()) {
        let (mut left, mut right) = (vec![i], vec![j]);
        while p != q {
            let (side, dims, product) = if p < q { (&mut a, &mut left, &mut p) } else { (&mut b, &mut right, &mut q) };
            let (k, n) = side.next()?;
            dims.push(k);
            *product *= n;
        }
        out.push((left, right));
    }
    Some(out)
}
