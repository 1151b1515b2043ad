//! Numbers times logarithms, where nothing times the pole of the logarithm is nothing.

use cotangent_core::Tensor;
use cotangent_core::tensor::broadcast_shapes;

use crate::call::by_result;
use crate::pointwise::floats;

/// What a number is multiplied with, as a function of another number: one of the logarithms.
#[derive(Clone, Copy)]
pub(crate) struct LogFactor {
    /// The logarithm.
    pub(crate) log: fn(&Tensor) -> Tensor,
    /// Where it is `-inf`.
    pub(crate) pole: f64,
    /// How far its argument is from there.
    pub(crate) from_pole: fn(&Tensor) -> Tensor,
}

/// `x` times a logarithm of `y`, and 0 where `x` is 0 and `y` no NaN.
///
/// PyTorch masks the derivative in `x` there, if `y` is at or below the pole, but not that in `y`: the rule says so, and a body with
/// the value's mask would not.
#[track_caller]
pub(crate) fn times_log(schema: &str, x: &Tensor, y: &Tensor, of: LogFactor) -> Tensor {
    let (mut x, mut y) = floats(x, y);
    if x.rank() > 0 && y.rank() > 0 {
        // Over a batch the rule stays only if the body is elementwise.
        let shape = broadcast_shapes(x.shape(), y.shape()).expect("checked by `pair`");
        (x, y) = (x.expand_to(&shape), y.expand_to(&shape));
    }
    let masked =
        |x: &Tensor, here: Tensor, value: &Tensor| value.zeros_like().where_(&x.eq(0.0).bitwise_and(here), value);
    let value = |a: &[Tensor]| [masked(&a[0], a[1].eq(&a[1]), &(&a[0] * (of.log)(&a[1])))];
    let [z] = by_result(schema, &[], &[&x, &y], value, |a, _, dot| {
        let slope = masked(&a[0], a[1].le(of.pole), &(of.log)(&a[1]));
        vec![&dot[0] * slope + &dot[1] * &a[0] / (of.from_pole)(&a[1])]
    });
    z
}
