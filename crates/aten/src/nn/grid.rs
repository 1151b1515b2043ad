//! Sampling on a grid, and affine grids.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Attr, Aval, DType, Shape};

use crate::arg::{AsTensor, at, attempt, bad_operand, bad_pair, float, live, widen};
use crate::call::{ints, linear_with_backward, num, with_backward};
use crate::schema;

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
    /// By cubic convolution with -¾ along each of two dims; each of the 16 pixels is brought into the image by itself.
    Bicubic,
}

/// Sampling on a grid under PyTorch's name.
pub trait GridSampling: AsTensor {
    /// The image `[n, c, h, w]` (or `[n, c, d, h, w]`) at the places of a grid `[n, …, 2]` (or 3): coordinates in
    /// [-1, 1], the last dim of the image first.
    ///
    /// *Numerics*: half formats are computed in `f32` and rounded once.
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
            (
                "interpolation_mode",
                num(match mode {
                    Sampling::Bilinear => 0i64,
                    Sampling::Nearest => 1i64,
                    Sampling::Bicubic => 2i64,
                }),
            ),
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
        let body =
            |a: &[Tensor]| vec![sampled(&widen(&a[0]), &widen(&a[1]), n, mode, outside, corners).convert(a[0].dtype())];
        let back = if n == 2 { schema::GRID_SAMPLER_2D_BACKWARD } else { schema::GRID_SAMPLER_3D_BACKWARD };
        let mut of_backward = params.to_vec();
        of_backward.push(("output_mask", Attr::List(vec![num(true), num(true)])));
        with_backward(schema, &params, &[x, grid], body, (back, &of_backward))
    }
}

impl GridSampling for Tensor {}

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
    let back = (schema::AFFINE_GRID_GENERATOR_BACKWARD, &params[..]);
    let body = |theta: &Tensor| {
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
        let base = Tensor::from_array(Array::from_f64_fn(&Aval::new(theta.dtype(), [total, n + 1]), element));
        let batch = base.expand_to(&[size[0], total, n + 1].into());
        let shape: Shape = std::iter::once(size[0]).chain(spatial.iter().copied()).chain([n]).collect();
        batch.bmm(&theta.permute_to(&[0, 2, 1])).view_to(&shape)
    };
    linear_with_backward(schema::AFFINE_GRID_GENERATOR, &params, theta, body, back)
}

#[track_caller]
fn sampled(x: &Tensor, grid: &Tensor, n: usize, mode: Sampling, outside: Outside, corners: GridCorners) -> Tensor {
    let (batch, c) = (x.shape()[0].get(), x.shape()[1].get());
    let places = grid.shape().slice(1, n + 1);
    let count = places.numel();
    let sizes = x.shape().sizes()[2..].to_vec();
    let places_of: Vec<Tensor> = (0..n)
        .map(|d| {
            let t = grid.slice_dim(n + 1, n - 1 - d, n - d, 1).view_to(&[batch, count].into());
            pixels(&t, sizes[d], corners)
        })
        .collect();
    let inside = |t: &Tensor, d: usize| bounded(t, sizes[d], outside, corners);
    let coordinates = || (0..n).map(|d| inside(&places_of[d], d));
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
        Sampling::Nearest => read(&coordinates().map(|t| t.round()).collect::<Vec<_>>()),
        Sampling::Bilinear => {
            let at: Vec<Tensor> = coordinates().collect();
            let low: Vec<Tensor> = at.iter().map(|t| t.floor()).collect();
            let high: Vec<Tensor> = at.iter().zip(&low).map(|(t, f)| t - f).collect();
            let corner = |k: usize| {
                let is_high = |d: usize| k >> d & 1 == 1;
                let at: Vec<Tensor> = (0..n).map(|d| if is_high(d) { &low[d] + 1.0 } else { low[d].clone() }).collect();
                let weight = |d: usize| if is_high(d) { high[d].clone() } else { 1.0 - &high[d] };
                let weight = (1..n).fold(weight(0), |w, d| w * weight(d));
                read(&at) * weight.view_to(&[batch, 1, count].into())
            };
            (1..1 << n).fold(corner(0), |sum, k| sum + corner(k))
        }
        Sampling::Bicubic => {
            let low: Vec<Tensor> = places_of.iter().map(|t| t.floor()).collect();
            let weights: Vec<[Tensor; 4]> = places_of.iter().zip(&low).map(|(t, f)| cubic(&(t - f))).collect();
            // The neighbours are counted in base 4, the last dim first.
            let term = |k: usize| {
                let which = |d: usize| k >> (2 * (n - 1 - d)) & 3;
                let at: Vec<Tensor> = (0..n).map(|d| inside(&(&low[d] + (which(d) as f64 - 1.0)), d)).collect();
                let weight = |d: usize| &weights[d][which(d)];
                let weight = (1..n).fold(weight(0).clone(), |w, d| w * weight(d));
                read(&at) * weight.view_to(&[batch, 1, count].into())
            };
            (1..1 << (2 * n)).fold(term(0), |sum, k| sum + term(k))
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

/// The weights of the four neighbours of a place at `t` between the middle ones, by cubic convolution with -¾.
#[track_caller]
fn cubic(t: &Tensor) -> [Tensor; 4] {
    const A: f64 = -0.75;
    let near = |x: &Tensor| (x * (A + 2.0) - (A + 3.0)) * x * x + 1.0;
    let far = |x: &Tensor| ((x * A - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(&(t + 1.0)), near(t), near(&(1.0 - t)), far(&(2.0 - t))]
}
