//! Resampling: interpolation, sampling on a grid, and affine grids.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Shape};

use super::adaptive::AdaptivePooling;
use crate::arg::{AsTensor, at, attempt, bad, bad_operand, bad_pair, float, live};
use crate::call::{ints, num, one, opt};
use crate::schema;

/// The sizes of an interpolation's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Resize {
    /// These sizes.
    Size(Vec<usize>),
    /// The input's sizes times these factors, rounded down.
    Scale(Vec<f64>),
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
}

/// What stands outside of an image on which a grid is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Outside {
    /// Zeros.
    #[default]
    Zeros,
    /// The pixels at the border.
    Border,
    /// The image mirrored at its border.
    Reflection,
}

/// How a grid is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sampling {
    /// Linearly along each dim.
    #[default]
    Bilinear,
    /// The nearest pixel, halves to even.
    Nearest,
}

/// Resampling under PyTorch's names.
pub trait Resampling: AsTensor {
    /// Images `[n, c, …]` of one to three spatial dims under other sizes.
    ///
    /// *Errors*: `interpolate_c1` an input of another rank, of integers or of size 0; `interpolate_c2` another number
    /// of
    /// sizes or a result of size 0; `interpolate_c3` bicubic of other than two dims.
    #[track_caller]
    fn interpolate(&self, resize: &Resize, mode: Interpolation) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("interpolate", 1), x));
        let n = x.rank().saturating_sub(2);
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
            (Interpolation::Bicubic { .. }, _) => {
                return bad_operand(at!("interpolate", 3), x, "two spatial dims for bicubic interpolation");
            }
        };
        let mut params = vec![("output_size", ints(&out))];
        match mode {
            Interpolation::Linear { align_corners } | Interpolation::Bicubic { align_corners } => {
                params.push(("align_corners", num(align_corners)));
            }
            Interpolation::Nearest | Interpolation::NearestExact | Interpolation::Area => {}
        }
        let names: &[&str] = if n == 1 { &["scales"] } else { &["scales_d", "scales_h", "scales_w"][3 - n..] };
        params.extend(names.iter().zip(&scales).map(|(name, s)| (*name, opt(*s))));
        one(name, &params, &[x], |a| {
            (0..n).fold(a[0].clone(), |y, i| resampled(&y, i + 2, &taps(mode, input[i], out[i], scales[i])))
        })
    }

    /// The image `[n, c, h, w]` (or `[n, c, d, h, w]`) at the places of a grid `[n, …, 2]` (or 3): coordinates in
    /// [-1, 1], the last dim of the image first.
    ///
    /// *Errors*: `grid_sample_c1` image and grid that do not fit.
    #[track_caller]
    fn grid_sample(&self, grid: &Tensor, mode: Sampling, outside: Outside, corners: GridCorners) -> Tensor {
        let x = self.tensor();
        attempt!(float(at!("grid_sample", 1), x));
        attempt!(live(&[grid]));
        let n = x.rank().saturating_sub(2);
        let fits = (2..=3).contains(&n)
            && grid.rank() == x.rank()
            && grid.shape()[n + 1] == n
            && grid.shape()[0] == x.shape()[0]
            && grid.dtype() == x.dtype()
            && (2..x.rank()).all(|d| x.shape()[d] != 0);
        if !fits {
            return bad_pair(
                at!("grid_sample", 1),
                x,
                grid,
                "an image [n, c, h, w] and a grid [n, h, w, 2], or with depth",
            );
        }
        let schema = if n == 2 { schema::GRID_SAMPLER_2D } else { schema::GRID_SAMPLER_3D };
        let params = [
            ("interpolation_mode", num(if mode == Sampling::Bilinear { 0i64 } else { 1i64 })),
            (
                "padding_mode",
                num(match outside {
                    Outside::Zeros => 0i64,
                    Outside::Border => 1i64,
                    Outside::Reflection => 2i64,
                }),
            ),
            ("align_corners", num(corners == GridCorners::Centres)),
        ];
        one(schema, &params, &[x, grid], |a| sampled(&a[0], &a[1], n, mode, outside, corners))
    }
}

impl Resampling for Tensor {}

/// What the coordinates -1 and 1 of a grid are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum GridCorners {
    /// The outer edges of the corner pixels: PyTorch's `align_corners=False`.
    #[default]
    Edges,
    /// The centres of the corner pixels: PyTorch's `align_corners=True`.
    Centres,
}

/// The grid of an affine map `theta`, `[n, 2, 3]` for `size` `[n, c, h, w]` or `[n, 3, 4]` for `[n, c, d, h, w]`.
///
/// *Errors*: `affine_grid_c1` a map that does not fit the size.
#[track_caller]
pub fn affine_grid(theta: &Tensor, size: &[usize], corners: GridCorners) -> Tensor {
    attempt!(float(at!("affine_grid", 1), theta));
    let n = size.len().saturating_sub(2);
    if !(2..=3).contains(&n) || theta.shape().sizes().as_slice() != [size[0], n, n + 1] {
        return bad_operand(at!("affine_grid", 1), theta, &format!("[n, 2, 3] or [n, 3, 4] for size {size:?}"));
    }
    let aligned = corners == GridCorners::Centres;
    let params = [("size", ints(size)), ("align_corners", num(aligned))];
    one(schema::AFFINE_GRID_GENERATOR, &params, &[theta], |a| {
        let spatial = &size[2..];
        let total: usize = spatial.iter().product();
        let coordinate = |i: usize, l: usize| match (aligned, l) {
            (_, 1) => 0.0,
            (true, _) => -1.0 + 2.0 * i as f64 / (l - 1) as f64,
            (false, _) => (2.0 * i as f64 + 1.0) / l as f64 - 1.0,
        };
        // Rows (x, y, 1) of all places, the last spatial dim first.
        let element = |k: usize| {
            let (place, column) = (k / (n + 1), k % (n + 1));
            if column == n {
                return 1.0;
            }
            let d = n - 1 - column;
            let stride: usize = spatial[d + 1..].iter().product();
            coordinate(place / stride % spatial[d], spatial[d])
        };
        let base = Tensor::from_array(Array::from_f64_fn(&Aval::new(a[0].dtype(), [total, n + 1]), element));
        let batch = base.expand_to(&[size[0], total, n + 1].into());
        let shape: Shape = std::iter::once(size[0]).chain(spatial.iter().copied()).chain([n]).collect();
        batch.bmm(&a[0].permute_to(&[0, 2, 1])).view_to(&shape)
    })
}

/// For each output place along one dim: input places and their weights.
struct Taps {
    places: Vec<Vec<i64>>,
    weights: Option<Vec<Vec<f64>>>,
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
        // The mean over an area is a pooling.
        Interpolation::Area => Taps { places: vec![each(&|i| (i * l / o) as i64)], weights: None },
    }
}

/// The weights of the four neighbours of a place at `t` between the middle ones, by cubic convolution with -¾.
fn cubic(t: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

#[track_caller]
fn resampled(x: &Tensor, d: usize, taps: &Taps) -> Tensor {
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

#[track_caller]
fn sampled(x: &Tensor, grid: &Tensor, n: usize, mode: Sampling, outside: Outside, corners: GridCorners) -> Tensor {
    let (batch, c) = (x.shape()[0].get(), x.shape()[1].get());
    let places = grid.shape().slice(1, n + 1);
    let count = places.numel();
    let sizes = x.shape().sizes()[2..].to_vec();
    let coordinates: Vec<Tensor> = (0..n)
        .map(|d| {
            let t = grid.slice_dim(n + 1, n - 1 - d, n - d, 1).view_to(&[batch, count].into());
            bounded(&pixels(&t, sizes[d], corners), sizes[d], outside, corners)
        })
        .collect();
    let flat = x.view_to(&[batch, c, sizes.iter().product()].into());
    // The pixels at these integer coordinates, zeros outside.
    let read = |at: &[Tensor]| {
        let (mut inside, mut index): (Option<Tensor>, Option<Tensor>) = (None, None);
        for (t, l) in at.iter().zip(&sizes) {
            let ok = t.ge(0.0).bitwise_and(t.le((*l - 1) as f64));
            let i = t.where_(&ok, 0.0).detach().convert(DType::I64);
            inside = Some(inside.map_or(ok.clone(), |all| all.bitwise_and(ok)));
            index = Some(index.map_or(i.clone(), |sum| sum * *l as i64 + i));
        }
        let (inside, index) = (inside.expect("two dims or more"), index.expect("two dims or more"));
        let wide = |t: Tensor| t.view_to(&[batch, 1, count].into()).expand_to(&[batch, c, count].into());
        flat.gather_along(2, &wide(index)).where_(&wide(inside), 0.0)
    };
    let result = match mode {
        Sampling::Nearest => read(&coordinates.iter().map(|t| t.round()).collect::<Vec<_>>()),
        Sampling::Bilinear => {
            let low: Vec<Tensor> = coordinates.iter().map(|t| t.floor()).collect();
            let high: Vec<Tensor> = coordinates.iter().zip(&low).map(|(t, f)| t - f).collect();
            let corner = |k: usize| {
                let is_high = |d: usize| k >> d & 1 == 1;
                let at: Vec<Tensor> = (0..n).map(|d| if is_high(d) { &low[d] + 1.0 } else { low[d].clone() }).collect();
                let weight = |d: usize| if is_high(d) { high[d].clone() } else { 1.0 - &high[d] };
                let weight = (1..n).fold(weight(0), |w, d| w * weight(d));
                read(&at) * weight.view_to(&[batch, 1, count].into())
            };
            (1..1 << n).fold(corner(0), |sum, k| sum + corner(k))
        }
    };
    result.view_to(&Shape::from([batch, c]).concat(&places))
}

/// Coordinates in [-1, 1] as those of pixels.
#[track_caller]
fn pixels(t: &Tensor, l: usize, corners: GridCorners) -> Tensor {
    match corners {
        GridCorners::Centres => (t + 1.0) * ((l as f64 - 1.0) / 2.0),
        GridCorners::Edges => ((t + 1.0) * l as f64 - 1.0) / 2.0,
    }
}

/// Coordinates brought into the image; the derivative is 0 where a bound decides.
#[track_caller]
fn bounded(t: &Tensor, l: usize, outside: Outside, corners: GridCorners) -> Tensor {
    let clip = |t: &Tensor| {
        let last = (l - 1) as f64;
        let inside = t.gt(0.0).bitwise_and(t.lt(last));
        t.where_(&inside, t.detach().maximum(0.0).minimum(last))
    };
    match outside {
        Outside::Zeros => t.clone(),
        Outside::Border => clip(t),
        Outside::Reflection => {
            let (low, high) = match corners {
                GridCorners::Centres => (0.0, (l - 1) as f64),
                GridCorners::Edges => (-0.5, l as f64 - 0.5),
            };
            let span = high - low;
            if span == 0.0 {
                return t.zeros_like();
            }
            let from = (t - low).abs();
            let flips = (&from.detach() / span).floor();
            let extra = from.fmod(span);
            let even = flips.fmod(2.0).eq(0.0);
            clip(&(&extra + low).where_(&even, span - &extra + low))
        }
    }
}
