//! Interpolation: images under other sizes.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Dim, Shape};

use super::adaptive::AdaptivePooling;
use super::bytes;
use crate::arg::{AsTensor, at, attempt, bad, bad_operand, float, widen};
use crate::call::{ints, linear_with_backward, num, opt};
use crate::schema;

/// The sizes of an interpolation's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Resize {
    /// These sizes.
    Size(Vec<usize>),
    /// The input's sizes times these factors, rounded down.
    Scale(Vec<f64>),
    /// These sizes, with places computed from the factors that are given.
    SizeAndScale(Vec<usize>, Vec<Option<f64>>),
}

/// How values between pixels are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interpolation {
    /// The pixel at `floor(i · scale)`.
    Nearest,
    /// The pixel whose centre is nearest.
    NearestExact,
    /// Linearly along each dim; with `align_corners` the corner pixels' centres stay.
    Linear {
        /// Whether the grid goes from corner to corner.
        align_corners: bool,
    },
    /// By cubic convolution along each of two dims.
    Bicubic {
        /// Whether the grid goes from corner to corner.
        align_corners: bool,
    },
    /// The mean over the area.
    Area,
    /// The weighted mean over as much of the input as an output covers, along each of two dims.
    Antialiased {
        /// How pixels are weighted.
        kernel: Kernel,
        /// Whether the grid goes from corner to corner.
        align_corners: bool,
    },
}

/// The weights of an antialiased interpolation by the distance from the centre.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// Falling linearly to 0 at 1.
    Triangle,
    /// Cubic convolution with -½, 0 at 2.
    Cubic,
    /// Lanczos' product of two cardinal sines, 0 at 3.
    Lanczos,
}

impl Kernel {
    const fn radius(self) -> f64 {
        match self {
            Kernel::Triangle => 1.0,
            Kernel::Cubic => 2.0,
            Kernel::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        if x >= self.radius() {
            return 0.0;
        }
        match self {
            Kernel::Triangle => 1.0 - x,
            Kernel::Cubic => convolved(-0.5, x),
            Kernel::Lanczos => sinc(x) * sinc(x / 3.0),
        }
    }
}

fn sinc(x: f64) -> f64 {
    let t = x * std::f64::consts::PI;
    if t == 0.0 { 1.0 } else { t.sin() / t }
}

/// Resampling under PyTorch's names.
pub trait Resampling: AsTensor {
    /// Images `[n, c, …]` of one to three spatial dims under other sizes.
    ///
    /// Bytes are images, too: pixels of the nearest place, and along two dims means in whole numbers. Half formats are
    /// computed in `f32` and rounded once.
    ///
    /// *Errors*: `interpolate_c1` an input of another rank, of integers other than bytes, or of size 0;
    /// `interpolate_c2` another number of sizes or a result of size 0; `interpolate_c3` bicubic or antialiased of other
    /// than two dims.
    #[track_caller]
    fn interpolate(&self, resize: &Resize, mode: Interpolation) -> Tensor {
        let x = self.tensor();
        let n = x.rank().saturating_sub(2);
        let of_bytes = match mode {
            Interpolation::Nearest | Interpolation::NearestExact => true,
            Interpolation::Linear { .. } | Interpolation::Bicubic { .. } | Interpolation::Antialiased { .. } => n == 2,
            Interpolation::Area => false,
        };
        if x.dtype() != DType::U8 || !of_bytes {
            attempt!(float(at!("interpolate", 1), x));
        }
        if !(1..=3).contains(&n) || (2..x.rank()).any(|d| x.shape()[d] == 0) {
            return bad_operand(at!("interpolate", 1), x, "[n, c, …] with one to three spatial dims that are not 0");
        }
        let input = x.shape().sizes()[2..].to_vec();
        let (out, scales): (Vec<usize>, Vec<Option<f64>>) = match resize {
            Resize::Size(s) => (s.clone(), vec![None; s.len()]),
            Resize::Scale(f) => {
                let size = |(l, f): (&usize, &f64)| (*l as f64 * f).floor().clamp(0.0, 1e15) as usize;
                (input.iter().zip(f).map(size).collect(), f.iter().map(|f| Some(*f)).collect())
            }
            Resize::SizeAndScale(s, f) => (s.clone(), f.clone()),
        };
        if out.len() != n || scales.len() != n || out.contains(&0) {
            return bad(at!("interpolate", 2), &[x], "size", &format!("{n} sizes above 0"), &format!("{resize:?}"));
        }
        let name = match (mode, n) {
            (Interpolation::Area, 1) => return x.adaptive_avg_pool1d(out[0]),
            (Interpolation::Area, 2) => return x.adaptive_avg_pool2d([out[0], out[1]]),
            (Interpolation::Area, _) => return x.adaptive_avg_pool3d([out[0], out[1], out[2]]),
            (Interpolation::Nearest, 1) => schema::UPSAMPLE_NEAREST1D,
            (Interpolation::Nearest, 2) => schema::UPSAMPLE_NEAREST2D,
            (Interpolation::Nearest, _) => schema::UPSAMPLE_NEAREST3D,
            (Interpolation::NearestExact, 1) => schema::_UPSAMPLE_NEAREST_EXACT1D,
            (Interpolation::NearestExact, 2) => schema::_UPSAMPLE_NEAREST_EXACT2D,
            (Interpolation::NearestExact, _) => schema::_UPSAMPLE_NEAREST_EXACT3D,
            (Interpolation::Linear { .. }, 1) => schema::UPSAMPLE_LINEAR1D,
            (Interpolation::Linear { .. }, 2) => schema::UPSAMPLE_BILINEAR2D,
            (Interpolation::Linear { .. }, _) => schema::UPSAMPLE_TRILINEAR3D,
            (Interpolation::Bicubic { .. }, 2) => schema::UPSAMPLE_BICUBIC2D,
            (Interpolation::Antialiased { kernel: Kernel::Triangle, .. }, 2) => schema::_UPSAMPLE_BILINEAR2D_AA,
            (Interpolation::Antialiased { kernel: Kernel::Cubic, .. }, 2) => schema::_UPSAMPLE_BICUBIC2D_AA,
            (Interpolation::Antialiased { kernel: Kernel::Lanczos, .. }, 2) => schema::_UPSAMPLE_LANCZOS2D_AA,
            (Interpolation::Bicubic { .. } | Interpolation::Antialiased { .. }, _) => {
                return bad_operand(at!("interpolate", 3), x, "two spatial dims for this interpolation");
            }
        };
        let mut params = vec![("output_size", ints(&out))];
        match mode {
            Interpolation::Linear { align_corners }
            | Interpolation::Bicubic { align_corners }
            | Interpolation::Antialiased { align_corners, .. } => {
                params.push(("align_corners", num(align_corners)));
            }
            Interpolation::Nearest | Interpolation::NearestExact | Interpolation::Area => {}
        }
        let names: &[&str] = if n == 1 { &["scales"] } else { &["scales_d", "scales_h", "scales_w"][3 - n..] };
        params.extend(names.iter().zip(&scales).map(|(name, s)| (*name, opt(*s))));
        let taps: Vec<Taps> = (0..n).map(|i| taps(mode, input[i], out[i], scales[i])).collect();
        let times = taps.iter().zip(&input).map(|(t, l)| t.repeats(*l)).collect::<Option<Vec<usize>>>();
        let body = |x: &Tensor| match &times {
            Some(times) => repeated(x, times),
            None if x.dtype() == DType::U8 => bytes::interpolated(x, &taps),
            None => {
                let y = taps.iter().enumerate().fold(widen(x), |y, (i, t)| resampled(&y, i + 2, t));
                y.convert(x.dtype())
            }
        };
        let mut of_backward = params.clone();
        of_backward.insert(1, ("input_size", ints(&x.shape().sizes())));
        linear_with_backward(name, &params, x, body, (&backward(name, n), &of_backward))
    }
}

impl Resampling for Tensor {}

/// The schema of the transpose of an `upsample` of `n` spatial dims, which takes the sizes of the images as well.
fn backward(schema: &str, n: usize) -> String {
    let (head, tail) = schema.split_once("(Tensor self, ").expect("a schema of this module");
    let tail = tail.replacen(" output_size", &format!(" output_size, SymInt[{}] input_size", n + 2), 1);
    format!("{head}_backward(Tensor grad_output, {tail}")
}

/// For each output place along one dim: input places and their weights.
pub(super) struct Taps {
    pub(super) places: Vec<Vec<i64>>,
    pub(super) weights: Option<Vec<Vec<f64>>>,
}

impl Taps {
    /// How many times each of `n` places is repeated, if nothing else is done.
    fn repeats(&self, n: usize) -> Option<usize> {
        let ([places], None) = (self.places.as_slice(), &self.weights) else { return None };
        let times = places.len().checked_div(n).filter(|times| *times > 0 && times * n == places.len())?;
        places.iter().enumerate().all(|(i, p)| *p == (i / times) as i64).then_some(times)
    }
}

fn taps(mode: Interpolation, l: usize, o: usize, scale: Option<f64>) -> Taps {
    let last = (l - 1) as i64;
    let ratio = scale.filter(|s| *s > 0.0).map_or(l as f64 / o as f64, |s| 1.0 / s);
    let centre = |i: usize, align: bool| match (align, o) {
        (true, 1) => 0.0,
        (true, _) => i as f64 * (l - 1) as f64 / (o - 1) as f64,
        (false, _) => (i as f64 + 0.5) * ratio - 0.5,
    };
    let each = |f: &dyn Fn(usize) -> i64| -> Vec<i64> { (0..o).map(|i| f(i).clamp(0, last)).collect() };
    match mode {
        // PyTorch computes these places in single precision, which decides at exact halves.
        Interpolation::Nearest => {
            Taps { places: vec![each(&|i| (i as f32 * ratio as f32).floor() as i64)], weights: None }
        }
        Interpolation::NearestExact => {
            Taps { places: vec![each(&|i| ((i as f32 + 0.5) * ratio as f32).floor() as i64)], weights: None }
        }
        Interpolation::Linear { align_corners } => {
            let at = |i: usize| centre(i, align_corners).max(0.0);
            let low = |i: usize| (at(i).floor() as i64).min(last);
            let high = (0..o).map(|i| (at(i) - low(i) as f64).min(1.0)).collect::<Vec<f64>>();
            Taps {
                places: vec![each(&low), each(&|i| low(i) + 1)],
                weights: Some(vec![high.iter().map(|w| 1.0 - w).collect(), high]),
            }
        }
        Interpolation::Bicubic { align_corners } => {
            let at = |i: usize| centre(i, align_corners);
            let places = (-1..3).map(|k| each(&|i| at(i).floor() as i64 + k)).collect();
            let weights = (0..4).map(|k| (0..o).map(|i| cubic(at(i) - at(i).floor())[k]).collect()).collect();
            Taps { places, weights: Some(weights) }
        }
        Interpolation::Antialiased { kernel, align_corners } => {
            let step = match (align_corners, o) {
                (true, 1) => 0.0,
                (true, _) => (l - 1) as f64 / (o - 1) as f64,
                (false, _) => ratio,
            };
            antialiased(kernel, l, o, step)
        }
        // The mean over an area is a pooling.
        Interpolation::Area => Taps { places: vec![each(&|i| (i * l / o) as i64)], weights: None },
    }
}

/// Taps that cover `step` input places around each output's centre, which is half a place after its start, whether or
/// not corners are aligned.
fn antialiased(kernel: Kernel, l: usize, o: usize, step: f64) -> Taps {
    let shift = 0.5;
    let support = kernel.radius() * step.max(1.0);
    let narrow = if step >= 1.0 { 1.0 / step } else { 1.0 };
    let rows: Vec<(i64, Vec<f64>)> = (0..o)
        .map(|i| {
            let centre = step * (i as f64 + shift);
            let start = ((centre - support + shift) as i64).max(0);
            let end = ((centre + support + shift) as i64).min(l as i64);
            let weight = |j: i64| kernel.weight((j as f64 - centre + shift) * narrow);
            let weights: Vec<f64> = (start..end).map(weight).collect();
            let total: f64 = weights.iter().sum();
            let divisor = if total == 0.0 { 1.0 } else { total };
            (start, weights.into_iter().map(|w| w / divisor).collect())
        })
        .collect();
    let most = rows.iter().map(|(_, w)| w.len()).max().unwrap_or(0).max(1);
    let place = |k: usize| rows.iter().map(|(start, _)| (start + k as i64).clamp(0, l as i64 - 1)).collect();
    let weight = |k: usize| rows.iter().map(|(_, w)| w.get(k).copied().unwrap_or(0.0)).collect();
    Taps { places: (0..most).map(place).collect(), weights: Some((0..most).map(weight).collect()) }
}

/// The weights of the four neighbours of a place at `t` between the middle ones, by cubic convolution with -¾.
fn cubic(t: f64) -> [f64; 4] {
    [t + 1.0, t, 1.0 - t, 2.0 - t].map(|x| convolved(-0.75, x))
}

/// The kernel of cubic convolution with the slope `a` at 1, for `x` from 0 to 2.
fn convolved(a: f64, x: f64) -> f64 {
    if x <= 1.0 { ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0 } else { ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a }
}

/// Each pixel so many times along the dims behind the first two: a broadcast, without indices.
#[track_caller]
fn repeated(x: &Tensor, times: &[usize]) -> Tensor {
    let [mut apart, mut wide, mut out] = [(); 3].map(|()| x.shape().slice(0, 2));
    for (i, t) in times.iter().enumerate() {
        let n = x.shape()[i + 2];
        apart = apart.concat(&[n, Dim::new(1)].into_iter().collect());
        wide = wide.concat(&[n, Dim::new(*t)].into_iter().collect());
        out = out.concat(&[n.get() * t].into());
    }
    x.view_to(&apart).expand_to(&wide).view_to(&out)
}

/// The sum of the taps along the dim `d`.
#[track_caller]
pub(super) fn resampled(x: &Tensor, d: usize, taps: &Taps) -> Tensor {
    let beside: Shape = (0..x.rank() - d).map(|i| if i == 0 { taps.places[0].len() } else { 1 }).collect();
    let term = |k: usize| {
        let at = Tensor::from_array(Array::new([taps.places[k].len()], taps.places[k].clone()));
        let y = x.index_select_along(d, &at);
        match &taps.weights {
            None => y,
            Some(w) => {
                let aval = Aval::new(x.dtype(), beside.clone());
                y * Tensor::from_array(Array::from_f64_fn(&aval, |i| w[k][i]))
            }
        }
    };
    (1..taps.places.len()).fold(term(0), |sum, k| sum + term(k))
}
