//! Interpolation of bytes: in whole numbers, one dim after the other, the last one first.
//!
//! Each pass is rounded to bytes, and its weights are multiples of a power of two, the smallest with which the largest
//! weight fits into 16 bits.
//!
//! *Source*: `ATen/native/cpu/UpSampleKernelAVXAntialias.h`.

use cotangent_core::Tensor;
use cotangent_core::ir::DType;

use super::interpolate::{Taps, resampled};
use crate::compare::Comparisons;

/// The images of bytes `x`, whose dims behind the first two are resampled by the taps.
#[track_caller]
pub(super) fn interpolated(x: &Tensor, taps: &[Taps]) -> Tensor {
    // Products of bytes and weights are exact in `f64`, and so are their sums.
    let pass = |y: Tensor, (i, t): (usize, &Taps)| match &t.weights {
        // A dim of the same size is left alone.
        Some(weights) if weights.first().is_some_and(|w| x.shape()[i + 2] != w.len()) => {
            let (whole, unit) = whole(&t.places, weights);
            (resampled(&y, i + 2, &whole) / unit + 0.5).floor().clamp(0.0, 255.0)
        }
        Some(_) => y,
        None => resampled(&y, i + 2, t),
    };
    taps.iter().enumerate().rev().fold(x.convert(DType::F64), pass).convert(DType::U8)
}

/// The taps with weights in whole numbers, and how many of them make 1.
fn whole(places: &[Vec<i64>], weights: &[Vec<f64>]) -> (Taps, f64) {
    let weights = by_place(places, weights);
    let largest = weights.iter().flatten().fold(0.0, |a: f64, w| a.max(*w));
    let fits = |bits: &u32| (largest * f64::from(1u32 << bits) + 0.5).floor() < 32768.0;
    let bits = (1..=22).take_while(fits).last().unwrap_or(0);
    let unit = f64::from(1u32 << bits);
    let rounded = weights.into_iter().map(|w| w.into_iter().map(|w| (w * unit).round()).collect());
    (Taps { places: places.to_vec(), weights: Some(rounded.collect()) }, unit)
}

/// Taps at one and the same place, as there are at borders, are one: the first of them has the weights of all.
fn by_place(places: &[Vec<i64>], weights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; weights.first().map_or(0, Vec::len)]; weights.len()];
    for (k, row) in weights.iter().enumerate() {
        for (i, w) in row.iter().enumerate() {
            let first = (0..=k).find(|j| places[*j][i] == places[k][i]).unwrap_or(k);
            sums[first][i] += w;
        }
    }
    sums
}
