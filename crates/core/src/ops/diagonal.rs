//! Diagonals: reading them and writing them.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, Dim, Shape, attr_struct};
use crate::tensor::Tensor;

use super::axis::strided;
use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Piecewise, Primitive, Sample, Samples, Tangent, ViewForm, arity,
    from_text, one, transpose_unary,
};

attr_struct! {
    /// The elements with `column = row + offset` of the matrices in two dims, as new last dim.
    ///
    /// *Shape*: the two dims disappear; the last one holds what of the diagonal lies inside, which may be nothing.
    /// *Errors*: `diagonal_c1` no such dims; `diagonal_c2` not `dim1 < dim2` (exchanged dims have the negated offset).
    /// *Derivative*: linear; the transpose embeds the diagonal in zeros.
    /// *Source*: `torch.diagonal`.
    pub struct Diagonal {
        /// Offset above the main diagonal.
        pub offset: i64,
        /// Row dim.
        pub dim1: usize,
        /// Column dim.
        pub dim2: usize,
    }
}
from_text!(Diagonal, "diagonal");

attr_struct! {
    /// Square matrices in two new dims of the result, with the operand's last dim on a diagonal and zeros elsewhere.
    ///
    /// *Shape*: both dims, counted in the result, have `n + |offset|` elements.
    /// *Errors*: `diag_embed_c1` a scalar operand; `diag_embed_c2` no such dims; `diag_embed_c3` not `dim1 < dim2`.
    /// *Derivative*: linear; the transpose reads the diagonal.
    /// *Source*: `torch.diag_embed`.
    pub struct DiagEmbed {
        /// Offset above the main diagonal.
        pub offset: i64,
        /// Row dim of the result.
        pub dim1: usize,
        /// Column dim of the result.
        pub dim2: usize,
    }
}
from_text!(DiagEmbed, "diag_embed");

/// Row and column of a diagonal's first element.
fn first(offset: i64) -> (usize, usize) {
    let below = |o: i64| usize::try_from(o).unwrap_or(0);
    (below(offset.saturating_neg()), below(offset))
}

/// Checks that `dim1 < dim2 < rank`.
fn check_pair(labels: [&'static str; 2], dim1: usize, dim2: usize, rank: usize) -> Result<(), InferError> {
    if let Some(dim) = [dim1, dim2].into_iter().find(|d| *d >= rank) {
        return Err(InferError::Dim { label: labels[0], dim: dim as i64, rank });
    }
    if dim1 >= dim2 {
        return Err(InferError::Attribute {
            label: labels[1],
            attr: "dim1",
            expected: format!("below `dim2` = {dim2}"),
            found: dim1.to_string(),
        });
    }
    Ok(())
}

impl Diagonal {
    /// The number of elements of the diagonal that lie inside.
    fn len(&self, x: &Shape) -> usize {
        let (row, column) = first(self.offset);
        x[self.dim1].get().saturating_sub(row).min(x[self.dim2].get().saturating_sub(column))
    }

    fn result(&self, x: &Shape) -> Shape {
        let lead = x.removed(self.dim2).removed(self.dim1);
        lead.inserted(lead.rank(), self.len(x))
    }

    /// From the flat index on the diagonals to that in the matrices, of shape `x`.
    fn place(&self, x: &Shape) -> impl Fn(usize) -> usize + use<> {
        let (result, stride) = (self.result(x), x.strides());
        let (row, column) = first(self.offset);
        let start = row.saturating_mul(stride[self.dim1]).saturating_add(column.saturating_mul(stride[self.dim2]));
        let lead = (0..x.rank()).filter(|d| ![self.dim1, self.dim2].contains(d)).map(|d| stride[d]);
        let strides = lead.chain([stride[self.dim1].saturating_add(stride[self.dim2])]).collect();
        strided(&result, start, strides)
    }

    /// The diagonal `d` in zeros of aval `x`.
    fn embed(&self, d: &Tensor, x: &Aval) -> Tensor {
        let len = self.len(&x.shape);
        if len == 0 {
            return d.full_of(x, 0.0);
        }
        let (rows, columns) = (x.shape[self.dim1].get(), x.shape[self.dim2].get());
        let (row, column) = first(self.offset);
        if rows == columns && rows == len + row + column {
            return d.diag_embed_at(self.offset, self.dim1, self.dim2);
        }
        // The smallest square that holds the diagonal, and zeros around it: never larger than `x` itself.
        let mut pad = vec![(0, 0); x.rank()];
        pad[self.dim1] = (row as i64, (rows - row - len) as i64);
        pad[self.dim2] = (column as i64, (columns - column - len) as i64);
        d.diag_embed_at(0, self.dim1, self.dim2).pad_dims(&pad, 0.0)
    }
}

impl DiagEmbed {
    /// The diagonal that is written.
    fn diagonal(&self) -> Diagonal {
        Diagonal { offset: self.offset, dim1: self.dim1, dim2: self.dim2 }
    }

    fn result(&self, x: &Shape) -> Result<Shape, InferError> {
        let last = x.rank() - 1;
        let offset = usize::try_from(self.offset.unsigned_abs()).ok().map(Dim::new);
        let size =
            offset.and_then(|o| x[last].checked_add(o)).ok_or_else(|| InferError::TooLarge { shape: x.clone() })?;
        Ok(x.removed(last).inserted(self.dim1, size).inserted(self.dim2, size))
    }
}

impl Primitive for Diagonal {
    fn name(&self) -> &'static str {
        "diagonal"
    }

    fn schema(&self) -> &'static str {
        "aten::diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        check_pair(["diagonal_c1", "diagonal_c2"], self.dim1, self.dim2, x.rank())?;
        one(x.with_shape(self.result(&x.shape)))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let shape = args[0].shape();
        Ok(vec![args[0].pick(self.result(shape), self.place(shape))])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.diagonal_of(self.offset, self.dim1, self.dim2))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, x| self.embed(y_bar, x))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.diagonal_of(self.offset, self.dim1 + 1, self.dim2 + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::View(ViewForm::Diagonal { offset: self.offset, dim1: self.dim1, dim2: self.dim2 })
    }
}

impl Primitive for DiagEmbed {
    fn name(&self) -> &'static str {
        "diag_embed"
    }

    fn schema(&self) -> &'static str {
        "aten::diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [x] = arity(args)?;
        if x.rank() == 0 {
            let expected = "at least one dim".to_owned();
            return Err(InferError::Operand { label: "diag_embed_c1", expected, found: x.clone() });
        }
        check_pair(["diag_embed_c2", "diag_embed_c3"], self.dim1, self.dim2, x.rank() + 1)?;
        one(x.with_shape(self.result(&x.shape)?))
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let x = args[0];
        let shape = self.result(x.shape()).expect("I3: sizes checked by infer");
        let zeros = Array::full(&x.aval().with_shape(&shape), 0.0.into());
        Ok(vec![zeros.put(x, self.diagonal().place(&shape))])
    }

    fn jvp(&self, _: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.diag_embed_at(self.offset, self.dim1, self.dim2))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_unary(y_bar, args, |y_bar, _| y_bar.diagonal_of(self.offset, self.dim1, self.dim2))
    }

    fn batch(&self, args: &[Batched], _: Dim) -> Vec<Batched> {
        vec![Batched::mapped(args[0].x.diag_embed_at(self.offset, self.dim1 + 1, self.dim2 + 1))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Piecewise(Piecewise::DiagEmbed { offset: self.offset, dim1: self.dim1, dim2: self.dim2 })
    }
}

fn counting(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| (i as f64 + 0.3).cos()).collect())
}

impl Samples for Diagonal {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], offset, dim1, dim2| {
            Sample::new(note, Diagonal { offset, dim1, dim2 }, [counting(shape)])
        };
        vec![
            of("usual", &[3, 3], 0, 0, 1),
            of("above", &[3, 3], 1, 0, 1),
            of("below", &[3, 3], -2, 0, 1),
            of("wide", &[2, 4], 1, 0, 1),
            of("wide, above", &[2, 4], 3, 0, 1),
            of("tall", &[4, 2], -1, 0, 1),
            of("tall, above", &[4, 2], 1, 0, 1),
            of("dims apart", &[2, 3, 2], -1, 0, 2),
            of("last dims", &[2, 2, 3], 1, 1, 2),
            of("outside", &[2, 3], 5, 0, 1),
            of("far outside", &[1, 1], i64::MIN, 0, 1),
            of("empty", &[0, 3], 0, 0, 1),
            of("one", &[1, 1], 0, 0, 1),
        ]
    }
}

impl Samples for DiagEmbed {
    fn samples() -> Vec<Sample> {
        let of = |note, shape: &[usize], offset, dim1, dim2| {
            Sample::new(note, DiagEmbed { offset, dim1, dim2 }, [counting(shape)])
        };
        let bools = Array::new([2], vec![true, false]);
        vec![
            of("usual", &[3], 0, 0, 1),
            of("above", &[2, 2], 1, 1, 2),
            of("below", &[2], -2, 0, 1),
            of("dims apart", &[2, 2], 0, 0, 2),
            of("empty", &[2, 0], 1, 1, 2),
            of("empty lead", &[0, 2], 0, 0, 1),
            of("one", &[1], 0, 0, 1),
            Sample::new("bool", DiagEmbed { offset: 0, dim1: 0, dim2: 1 }, [bools]),
        ]
    }
}
