//! Sums along a dim of what is the same everywhere: the gradient of a running sum is one, and no sum is needed for it.

use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Binary, Monoid};

use super::{Flow, Id, Kind, Point};

impl Flow {
    /// The running sum along `dim` of a uniform value `x`: a multiple of it at each place. `None` if `x` is not uniform, or a sum might round.
    pub(super) fn uniform_scan(&mut self, x: Id, dim: usize, monoid: Monoid, y: &Aval, i: usize) -> Option<Id> {
        let Kind::Fill(c) = self.values[x].kind else { return None };
        let n = y.shape[dim].get();
        if monoid != Monoid::Sum || y.dtype != self.values[x].dtype || !is_exact(c, n, y.dtype) {
            return None;
        }
        let sizes: Vec<usize> = y.shape.dims().iter().map(|d| d.get()).collect();
        let places = self.make(Kind::Iota, &[], y.dtype, &[n], i);
        let one = self.make(Kind::Fill(Scalar::Int(1).cast(y.dtype)), &[], y.dtype, &[n], i);
        let counts = self.make(Kind::Point(Point::Binary(Binary::Add)), &[places, one], y.dtype, &[n], i);
        let factor = self.make(Kind::Fill(c), &[], y.dtype, &[n], i);
        let sums = self.make(Kind::Point(Point::Binary(Binary::Mul)), &[counts, factor], y.dtype, &[n], i);
        Some(self.make(Kind::Pick(vec![Some(dim)]), &[sums], y.dtype, &sizes, i))
    }
}

/// Whether all multiples of `c` up to `n` times are numbers of the dtype, so that sums of it in any order are exact.
fn is_exact(c: Scalar, n: usize, dtype: DType) -> bool {
    let digits = match dtype {
        DType::F32 => f32::MANTISSA_DIGITS,
        DType::F64 => f64::MANTISSA_DIGITS,
        // Whole numbers wrap in a product as they do in a sum.
        DType::I64 | DType::I32 => return true,
        DType::F16 | DType::BF16 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => return false,
    };
    let most = c.to_f64() * n as f64;
    if !most.is_finite() || (dtype == DType::F32 && !(most as f32).is_finite()) {
        return false;
    }
    // The odd part of the number, times the largest count.
    let bits = c.to_f64().to_bits();
    let is_normal = c.to_f64().is_normal() && (dtype == DType::F64 || (c.to_f64() as f32).is_normal());
    let odd = (bits & ((1 << 52) - 1)) | (1 << 52);
    let odd = odd >> odd.trailing_zeros();
    c.to_f64() == 0.0 || (is_normal && u128::from(odd) * n as u128 <= 1 << digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_multiples_are_known() {
        for (c, n, dtype, want) in [
            (1.0, 1 << 24, DType::F32, true),
            (1.0, (1 << 24) + 1, DType::F32, false),
            (1.0, (1 << 24) + 1, DType::F64, true),
            (0.75, 1 << 22, DType::F32, true),
            (0.1, 2, DType::F64, true),
            (0.1, 3, DType::F64, false),
            (-0.0, 5, DType::F32, true),
            (f64::INFINITY, 5, DType::F64, false),
            (f64::from(f32::MAX), 2, DType::F32, false),
            (1e-310, 2, DType::F64, false),
        ] {
            assert_eq!(is_exact(Scalar::Float(c), n, dtype), want, "{c} {n} times as {dtype}");
        }
    }
}
