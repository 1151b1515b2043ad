//! Quantization that is played through in floats, as in training for integer arithmetic.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

use crate::arg::{AsTensor, at, attempt_pair, bad_pair, live, real_dim};
use crate::call::{many, num};
use crate::pointwise::Pointwise;
use crate::schema;

/// The first and the last level of a quantization.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Levels {
    /// The smallest level.
    pub min: i64,
    /// The largest level.
    pub max: i64,
}

/// Quantization under PyTorch's names.
pub trait Quantizations: AsTensor {
    /// Each element rounded to a step of `scale` from the level `zero_point` on, and where that is one of `levels`; elsewhere, also
    /// at NaN, it is the next one of them.
    ///
    /// *Numerics*: in `f32`, by a product with `1 / scale`, halves to even.
    /// *Derivative*: 1 where the element's level is one of `levels`, else 0.
    #[track_caller]
    fn fake_quantize_per_tensor(&self, scale: f64, zero_point: i64, levels: Levels) -> (Tensor, Tensor) {
        let x = self.tensor();
        let params = [
            ("scale", num(scale)),
            ("zero_point", num(zero_point)),
            ("quant_min", num(levels.min)),
            ("quant_max", num(levels.max)),
        ];
        let [y, inside] = many(schema::FAKE_QUANTIZE_PER_TENSOR_AFFINE_CACHEMASK, &params, &[x], |a| {
            let known = |n: f64| a[0].full_of(&Aval::new(DType::F32, ()), n);
            quantized(&a[0], &known(scale), &known(zero_point as f64), levels)
        });
        (y, inside)
    }

    /// As [`Quantizations::fake_quantize_per_tensor`] with scales and zero points that are tensors, which broadcast and have no
    /// derivative.
    #[track_caller]
    fn fake_quantize(&self, scale: &Tensor, zero_point: &Tensor, levels: Levels) -> (Tensor, Tensor) {
        let x = self.tensor();
        attempt_pair!(live(&[x, scale, zero_point]));
        let [y, inside] = quantized(x, scale, zero_point, levels);
        (y, inside)
    }

    /// As [`Quantizations::fake_quantize`] with a scale and a zero point for each place along `axis`.
    ///
    /// *Errors*: `fake_quantize_c1` no such dim; `fake_quantize_c2` another number of scales or zero points.
    #[track_caller]
    fn fake_quantize_per_channel(
        &self,
        scale: &Tensor,
        zero_point: &Tensor,
        axis: i64,
        levels: Levels,
    ) -> (Tensor, Tensor) {
        let x = self.tensor();
        attempt_pair!(live(&[x, scale, zero_point]));
        let d = attempt_pair!(real_dim(at!("fake_quantize", 1), x, axis));
        let n = x.shape()[d].get();
        for t in [scale, zero_point] {
            if t.numel() != n {
                let poison = bad_pair(at!("fake_quantize", 2), x, t, "a number for each place along the axis");
                return (poison.clone(), poison);
            }
        }
        let along = |t: &Tensor| t.view_to(&(0..x.rank()).map(|i| if i == d { n } else { 1 }).collect());
        self.fake_quantize(&along(scale), &along(zero_point), levels)
    }
}

impl Quantizations for Tensor {}

#[track_caller]
fn quantized(x: &Tensor, scale: &Tensor, zero_point: &Tensor, levels: Levels) -> [Tensor; 2] {
    let (min, max) = (levels.min as f64, levels.max as f64);
    let [scale, zero] = [scale, zero_point].map(|t| t.convert(DType::F32).detach());
    let level = (x.convert(DType::F32).detach() * (1.0 / &scale)).round() + &zero;
    let inside = level.ge(min).bitwise_and(level.le(max));
    let rounded = (level.fmax(min).fmin(max) - zero) * scale;
    let moved = (x - x.detach()).where_(&inside, 0.0);
    [rounded.convert(x.dtype()) + moved, inside]
}
