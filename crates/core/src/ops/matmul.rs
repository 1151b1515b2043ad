//! Matrix products.

use crate::array::Array;
use crate::error::{EvalError, InferError};
use crate::ir::{Attrs, Aval, DType, Dim, Shape, attr_struct};
use crate::tensor::{Tensor, emit};

use super::{
    Avals, Batched, Cotangent, LinArg, LoopForm, Primitive, Sample, Samples, Tangent, arity, from_text, nonlinear, one,
};

attr_struct! {
    /// The matrix product `[m, k] · [k, n] → [m, n]`.
    ///
    /// *Numerics*: halves accumulate in `f32`; integers wrap; `k` = 0 gives zeros.
    /// *Errors*: `matmul_c1` ranks, `matmul_c2` inner sizes or dtypes, `matmul_c3` `bool`.
    /// *Derivative*: linear in each operand.
    /// *Source*: `torch.mm`.
    pub struct Mm {}
}
from_text!(Mm, "mm");

attr_struct! {
    /// The batch of matrix products `[b, m, k] · [b, k, n] → [b, m, n]`.
    ///
    /// *Numerics*, *Errors*, *Derivative*: as [`Mm`].
    /// *Source*: `torch.bmm`.
    pub struct Bmm {}
}
from_text!(Bmm, "bmm");

fn infer_product(a: &Aval, b: &Aval, batch_dims: usize) -> Result<Avals, InferError> {
    for x in [a, b] {
        if x.rank() != batch_dims + 2 {
            return Err(InferError::Operand {
                label: "matmul_c1",
                expected: format!("a tensor of {} dims", batch_dims + 2),
                found: x.clone(),
            });
        }
        if x.dtype == DType::Bool {
            return Err(InferError::Operand { label: "matmul_c3", expected: "numbers".to_owned(), found: x.clone() });
        }
    }
    let (batch, m) = (a.shape.slice(0, batch_dims), a.shape[batch_dims]);
    let fits =
        a.dtype == b.dtype && batch == b.shape.slice(0, batch_dims) && a.shape[batch_dims + 1] == b.shape[batch_dims];
    if !fits {
        return Err(InferError::Mismatch {
            label: "matmul_c2",
            expected: "[.., m, k] and [.., k, n] of one dtype".to_owned(),
            lhs: a.clone(),
            rhs: b.clone(),
        });
    }
    let shape = batch.concat(&Shape::from_iter([m, b.shape[batch_dims + 1]]));
    one(a.with_shape(shape))
}

/// The transposes of `y = a · b` in either operand; `t` swaps the last two dims, `dot` multiplies.
fn transpose_product(
    y_bar: &Cotangent,
    args: &[LinArg],
    t: impl Fn(&Tensor) -> Tensor,
    dot: impl Fn(&Tensor, &Tensor) -> Tensor,
) -> Vec<Cotangent> {
    match (&args[0], &args[1]) {
        (LinArg::Residual(_), LinArg::Residual(_)) => vec![Cotangent::Zero, Cotangent::Zero],
        (LinArg::Linear(_), LinArg::Residual(b)) => {
            vec![y_bar.map(|y_bar| dot(y_bar, &t(b))), Cotangent::Zero]
        }
        (LinArg::Residual(a), LinArg::Linear(_)) => {
            vec![Cotangent::Zero, y_bar.map(|y_bar| dot(&t(a), y_bar))]
        }
        (LinArg::Linear(_), LinArg::Linear(_)) => nonlinear("mm"),
    }
}

impl Primitive for Mm {
    fn name(&self) -> &'static str {
        "mm"
    }

    fn schema(&self) -> &'static str {
        "aten::mm(Tensor self, Tensor mat2) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a, b] = arity(args)?;
        infer_product(a, b, 0)
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        let batched = |x: &Array| x.reshaped(x.shape().inserted(0, 1));
        let y = Bmm {}.eval(&[&batched(args[0]), &batched(args[1])])?.remove(0);
        Ok(vec![y.reshaped(y.shape().removed(0))])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.mm(&x[1])).plus(x_dot[1].map(|t| x[0].mm(t)))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_product(&y_bar[0], args, |x| x.permute_to(&[1, 0]), |a, b| a.mm(b))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let (a, b) = (&args[0], &args[1]);
        vec![Batched::mapped(match (a.mapped, b.mapped) {
            // One shared right operand: the batch joins the rows, and one product does it all.
            (true, false) => {
                let (m, k, n) = (a.x.shape()[1], a.x.shape()[2], b.x.shape()[1]);
                let rows = Dim::checked_mul(size, m).expect("I3: bounded sizes");
                let y = a.x.view_to(&[rows, k].into_iter().collect()).mm(&b.x);
                y.view_to(&[size, m, n].into_iter().collect())
            }
            (false, true | false) | (true, true) => emit(Bmm {}, &[&a.materialised(size), &b.materialised(size)]),
        })]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Contract { batch_dims: 0 }
    }
}

impl Primitive for Bmm {
    fn name(&self) -> &'static str {
        "bmm"
    }

    fn schema(&self) -> &'static str {
        "aten::bmm(Tensor self, Tensor mat2) -> Tensor"
    }

    fn attrs(&self) -> Attrs {
        self.generic_attrs()
    }

    fn infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let [a, b] = arity(args)?;
        infer_product(a, b, 1)
    }

    fn eval(&self, args: &[&Array]) -> Result<Vec<Array>, EvalError> {
        Ok(vec![crate::array::matmul::bmm(args[0], args[1])])
    }

    fn jvp(&self, x: &[Tensor], _: &[Tensor], x_dot: &[Tangent]) -> Vec<Tangent> {
        vec![x_dot[0].map(|t| t.bmm(&x[1])).plus(x_dot[1].map(|t| x[0].bmm(t)))]
    }

    fn transpose(&self, y_bar: &[Cotangent], args: &[LinArg]) -> Vec<Cotangent> {
        transpose_product(&y_bar[0], args, |x| x.permute_to(&[0, 2, 1]), |a, b| a.bmm(b))
    }

    fn batch(&self, args: &[Batched], size: Dim) -> Vec<Batched> {
        let merge = |b: &Batched| {
            let x = b.materialised(size);
            let s = x.shape();
            let lead = Dim::checked_mul(s[0], s[1]).expect("I3: bounded sizes");
            x.view_to(&[lead, s[2], s[3]].into_iter().collect())
        };
        let y = merge(&args[0]).bmm(&merge(&args[1]));
        let inner = if args[0].mapped { args[0].x.shape()[1] } else { args[0].x.shape()[0] };
        let shape = [size, inner, y.shape()[1], y.shape()[2]].into_iter().collect();
        vec![Batched::mapped(y.view_to(&shape))]
    }

    fn loop_form(&self, _: &[&Aval], _: &[Aval]) -> LoopForm {
        LoopForm::Contract { batch_dims: 1 }
    }
}

fn counting(shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    Array::new(shape, (0..n).map(|i| (i as f64 * 1.3).cos()).collect())
}

impl Samples for Mm {
    fn samples() -> Vec<Sample> {
        let of = |note, m, k, n| Sample::new(note, Mm {}, [counting(&[m, k]), counting(&[k, n])]);
        vec![of("usual", 2, 3, 4), of("one", 1, 1, 1), of("empty k", 2, 0, 3), of("empty m", 0, 2, 3)]
    }
}

impl Samples for Bmm {
    fn samples() -> Vec<Sample> {
        let of = |note, b, m, k, n| Sample::new(note, Bmm {}, [counting(&[b, m, k]), counting(&[b, k, n])]);
        vec![of("usual", 2, 3, 2, 4), of("one", 1, 1, 1, 1), of("empty batch", 0, 2, 2, 2), of("empty k", 2, 2, 0, 1)]
    }
}
