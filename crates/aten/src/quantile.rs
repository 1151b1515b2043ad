//! Quantiles whose ranks are data.

use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use crate::arg::{AsTensor, Over, at, attempt, bad_operand, bad_pair, float, live};
use crate::pointwise::Pointwise;
use crate::shape::Shapes;

/// What stands at a rank between two elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Between {
    /// The value on the line through both.
    Linear,
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// The middle of both.
    Midpoint,
    /// The nearer one, that of even rank in the middle.
    Nearest,
}

/// What NaN does to a quantile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nans {
    /// One NaN makes it NaN.
    Propagated,
    /// Only the other elements count; NaN if there are none.
    Ignored,
}

/// `torch.quantile` and `torch.nanquantile` for a tensor of ranks.
pub trait Quantiles: AsTensor {
    /// The `q`-quantiles along one dim, or of all elements.
    ///
    /// *Shape*: the dims of `q`, which has none or one, then those that are left.
    /// *Errors*: `quantiles_c1` integers; `quantiles_c2` ranks of another dtype or of more than one dim; `quantiles_c3` no
    /// such dim, or several; `quantiles_c4` no elements.
    #[track_caller]
    fn quantiles(&self, q: &Tensor, over: impl Into<Over>, between: Between, nans: Nans) -> Tensor {
        let (x, over) = (self.tensor(), over.into());
        attempt!(live(&[q]));
        attempt!(float(at!("quantiles", 1), x));
        if q.dtype() != x.dtype() || q.rank() > 1 {
            return bad_pair(at!("quantiles", 2), x, q, "ranks of the same dtype with at most one dim");
        }
        // The reduced dim comes last.
        let (rows, kept) = match over.dims.as_ref().map(|d| d.0.as_slice()) {
            None => (x.reshape([-1i64]), x.shape().dims().iter().map(|_| 1usize).collect()),
            Some([d]) => {
                let d = attempt!(crate::arg::dim(at!("quantiles", 3), x, *d));
                let kept = if x.rank() == 0 { x.shape().clone() } else { x.shape().with(d, 1) };
                (if x.rank() == 0 { x.reshape([1i64]) } else { x.movedim(d, -1i64) }, kept)
            }
            Some(_) => return bad_operand(at!("quantiles", 3), x, "one dim, or none for all elements"),
        };
        let last = rows.rank() - 1;
        let n = rows.shape()[last].get();
        if n == 0 {
            return bad_operand(at!("quantiles", 4), x, "at least one element");
        }
        // Few elements of the order are read, whose derivatives go to where they stood.
        let order = rows.detach().sort_along(last, false).1;
        let is_nan = rows.ne(&rows);
        let counts = |t: &Tensor| t.convert(DType::I64).sum_over(&[last]).unsqueeze(-1);
        // One row of ranks for each row of elements.
        let ranks = match nans {
            Nans::Ignored => {
                let numbers = counts(&is_nan.bitwise_not()).convert(x.dtype());
                (q * (numbers - 1.0)).maximum(0.0)
            }
            Nans::Propagated => {
                let end = (n - 1) as f64;
                let wide = q * end + counts(&is_nan).convert(x.dtype()) * 0.0;
                wide.full_like(end).where_(&counts(&is_nan).gt(0i64), &wide)
            }
        };
        let ranks = if q.rank() == 0 { ranks.view_to(&rows.shape().with(last, 1)) } else { ranks };
        let ranks = match between {
            Between::Lower => ranks.floor(),
            Between::Higher => ranks.ceil(),
            Between::Nearest => ranks.round(),
            Between::Linear | Between::Midpoint => ranks,
        };
        let at = |r: &Tensor| rows.gather_along(last, &order.gather_along(last, &r.detach().convert(DType::I64)));
        let below = at(&ranks);
        let y = match between {
            Between::Lower | Between::Higher | Between::Nearest => below,
            Between::Linear => below.lerp(&at(&ranks.ceil()), &ranks - ranks.floor()),
            Between::Midpoint => below.lerp(&at(&ranks.ceil()), 0.5),
        };
        let y = y.movedim(-1i64, 0i64);
        let shape = if over.keepdim { kept } else { rows.shape().removed(last) };
        y.view_to(&q.shape().concat(&shape))
    }
}

impl Quantiles for Tensor {}
