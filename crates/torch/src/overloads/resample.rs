//! Resampling: interpolation, sampling on a grid, and shuffles of channels and pixels.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Aval;

use super::gradient::{masked_pullback, pullback};
use super::{Answer, many, one, parts};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, overload)) = parts(c) else { return Ok(None) };
    if let Some(forward) = name.strip_suffix("_backward")
        && overload == "default"
    {
        return backward(c, forward);
    }
    match (name, overload) {
        ("grid_sampler" | "grid_sampler_2d" | "grid_sampler_3d", "default") => {
            one(grid(c, &c.tensor("input")?, &c.tensor("grid")?)?)
        }
        ("affine_grid_generator", "default") => one(affine_grid(&c.tensor("theta")?, &c.sizes("size")?, corners(c)?)),
        ("pixel_shuffle", "default") => one(c.tensor("self")?.pixel_shuffle(c.size("upscale_factor")?)),
        ("pixel_unshuffle", "default") => one(c.tensor("self")?.pixel_unshuffle(c.size("downscale_factor")?)),
        ("channel_shuffle" | "native_channel_shuffle", "default") => {
            one(c.tensor("self")?.channel_shuffle(c.size("groups")?))
        }
        (_, "vec") => {
            let Some(mode) = mode(c, name)? else { return Ok(None) };
            let x = c.tensor("input")?;
            let resize = match (c.opt_sizes("output_size")?, c.opt_floats("scale_factors")?) {
                (Some(size), _) => Resize::Size(size),
                (None, Some(factors)) => Resize::Scale(factors),
                (None, None) => return Err(c.wrong("output_size", "sizes, or factors")),
            };
            one(x.interpolate(&resize, mode))
        }
        (_, "default") => {
            let Some(mode) = mode(c, name)? else { return Ok(None) };
            one(c.tensor("self")?.interpolate(&resize(c)?, mode))
        }
        (_, _) => Ok(None),
    }
}

/// What an `upsample` of this name does.
fn mode(c: &Call, name: &str) -> Read<Option<Interpolation>> {
    let align_corners = c.bool_or("align_corners", false)?;
    Ok(Some(match name {
        "upsample_nearest1d" | "upsample_nearest2d" | "upsample_nearest3d" => Interpolation::Nearest,
        "_upsample_nearest_exact1d" | "_upsample_nearest_exact2d" | "_upsample_nearest_exact3d" => {
            Interpolation::NearestExact
        }
        "upsample_linear1d" | "upsample_bilinear2d" | "upsample_trilinear3d" => Interpolation::Linear { align_corners },
        "upsample_bicubic2d" => Interpolation::Bicubic { align_corners },
        "_upsample_bilinear2d_aa" => Interpolation::Antialiased { kernel: Kernel::Triangle, align_corners },
        "_upsample_bicubic2d_aa" => Interpolation::Antialiased { kernel: Kernel::Cubic, align_corners },
        "_upsample_lanczos2d_aa" => Interpolation::Antialiased { kernel: Kernel::Lanczos, align_corners },
        _ => return Ok(None),
    }))
}

/// Sizes, and the factors by which places are computed where they are given.
fn resize(c: &Call) -> Read<Resize> {
    let size = c.sizes("output_size")?;
    let names: &[&str] = if size.len() == 1 { &["scales"] } else { &["scales_d", "scales_h", "scales_w"] };
    let names = &names[names.len().saturating_sub(size.len())..];
    let scales = names.iter().map(|n| c.opt_float(n)).collect::<Read<Vec<_>>>()?;
    Ok(Resize::SizeAndScale(size, scales))
}

fn grid(c: &Call, x: &Tensor, grid: &Tensor) -> Read<Tensor> {
    let sampling = match c.int_or("interpolation_mode", 0)? {
        0 => Sampling::Bilinear,
        1 => Sampling::Nearest,
        2 => Sampling::Bicubic,
        _ => return Err(c.wrong("interpolation_mode", "0 (bilinear), 1 (nearest) or 2 (bicubic)")),
    };
    let outside = match c.int_or("padding_mode", 0)? {
        0 => Outside::Zeros,
        1 => Outside::Border,
        2 => Outside::Reflection,
        _ => return Err(c.wrong("padding_mode", "0 (zeros), 1 (border) or 2 (reflection)")),
    };
    Ok(x.grid_sample(grid, sampling, outside, corners(c)?))
}

fn corners(c: &Call) -> Read<GridCorners> {
    Ok(if c.bool_or("align_corners", false)? { GridCorners::Centres } else { GridCorners::Edges })
}

/// The transposes of resampling, and the cotangents of image and grid.
fn backward(c: &Call, forward: &str) -> Answer {
    match forward {
        "grid_sampler_2d" | "grid_sampler_3d" => {
            let (x, places, y_bar) = (c.tensor("input")?, c.tensor("grid")?, c.tensor("grad_output")?);
            let mask = c.flags::<2>("output_mask")?;
            // Bad modes are an error before anything is differentiated.
            grid(c, &x, &places)?;
            Ok(Some(masked_pullback(&x, [Some(places)], &mask, &y_bar, |x, [places]| {
                let sampled = places.map(|p| grid(c, x, &p));
                sampled.and_then(Result::ok).unwrap_or_else(|| x.clone())
            })?))
        }
        "affine_grid_generator" => {
            let (y_bar, size) = (c.tensor("grad")?, c.sizes("size")?);
            let n = size.len().saturating_sub(2);
            let theta = Aval::new(y_bar.dtype(), [size.first().copied().unwrap_or(0), n, n + 1]);
            let corners = corners(c)?;
            many(pullback(&[y_bar.full_of(&theta, 0.0)], &[0], &y_bar, |x| affine_grid(&x[0], &size, corners))?)
        }
        _ => {
            let Some(mode) = mode(c, forward)? else { return Ok(None) };
            let (y_bar, resize) = (c.tensor("grad_output")?, resize(c)?);
            let x = Aval::new(y_bar.dtype(), c.sizes("input_size")?);
            many(pullback(&[y_bar.full_of(&x, 0.0)], &[0], &y_bar, |x| x[0].interpolate(&resize, mode))?)
        }
    }
}
