//! Convolutions and linear maps.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use super::gradient::masked_pullback;
use super::{Answer, one};
use crate::args::{Call, Read};

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let bias = || c.opt_tensor("bias");
    match c.target {
        "aten.convolution.default"
        | "aten._convolution.default"
        | "aten._convolution.deprecated"
        | "aten.convolution_overrideable.default" => {
            let g = Geometry::read(c)?;
            one(g.apply(&c.tensor("input")?, &c.tensor("weight")?, bias()?.as_ref()))
        }
        "aten.convolution_backward.default" => {
            let (g, y_bar) = (Geometry::read(c)?, c.tensor("grad_output")?);
            let (x, w) = (c.tensor("input")?, c.tensor("weight")?);
            // The bias itself is not given; its cotangent does not depend on it.
            let mask = c.flags::<3>("output_mask")?;
            let channels = y_bar.shape()[1].get();
            let b = mask[2].then(|| w.full_of(&w.aval().with_shape([channels]), 0.0));
            let outs = masked_pullback(&x, [Some(w.clone()), b], &mask, &y_bar, |x, [w, b]| match w {
                Some(w) => g.apply(x, &w, b.as_ref()),
                None => x.clone(),
            })?;
            Ok(Some(outs))
        }
        "aten.conv1d.default" | "aten.conv2d.default" | "aten.conv3d.default" => {
            forward(c, "input", padding(c)?.into())
        }
        "aten.conv1d.padding" | "aten.conv2d.padding" | "aten.conv3d.padding" | "aten._convolution_mode.default" => {
            let mode = match c.str_or("padding", "valid")? {
                "valid" => Padding::Valid,
                "same" => Padding::Same,
                _ => return Err(c.wrong("padding", "\"same\" or \"valid\"")),
            };
            forward(c, "input", mode)
        }
        "aten.conv_depthwise3d.default" | "aten._conv_depthwise2d.default" => {
            let (x, w) = (c.tensor("self")?, c.tensor("weight")?);
            let groups = if x.rank() == w.rank() { x.size(1) } else { x.size(0) };
            let options = Conv { groups, ..options(c, padding(c)?.into())? };
            one(applied(&x, &w, bias()?.as_ref(), &options))
        }
        "aten.mkldnn_convolution.default"
        | "aten.slow_conv_dilated2d.default"
        | "aten.thnn_conv2d.default"
        | "aten.slow_conv3d.default" => forward(c, "self", padding(c)?.into()),
        "aten.conv_transpose1d.default" | "aten.conv_transpose2d.input" | "aten.conv_transpose3d.input" => {
            let (x, w) = (c.tensor("input")?, c.tensor("weight")?);
            let options = ConvTranspose {
                stride: per_dim(c, "stride", 1)?,
                padding: padding(c)?,
                output_padding: per_dim(c, "output_padding", 0)?,
                dilation: per_dim(c, "dilation", 1)?,
                groups: groups(c)?,
            };
            one(transposed(&x, &w, bias()?.as_ref(), &options))
        }
        // Time, batch and channels stand in this order, the weight's as [k, in, out].
        "aten.conv_tbc.default" => {
            let (x, w) = (c.tensor("self")?.permute([1, 2, 0]), c.tensor("weight")?.permute([2, 1, 0]));
            let pad = usize::try_from(c.int_or("pad", 0)?).map_err(|_| c.wrong("pad", "a size"))?;
            let y = x.conv1d(&w, &c.tensor("bias")?, &Conv { padding: pad.into(), ..Conv::default() });
            one(y.permute([2, 0, 1]))
        }
        "aten.linear.default" => one(c.tensor("input")?.linear(&c.tensor("weight")?, bias()?.as_ref())),
        "aten.bilinear.default" => {
            let (x, y, w) = (c.tensor("input1")?, c.tensor("input2")?, c.tensor("weight")?);
            one(x.bilinear(&y, &w, bias()?.as_ref()))
        }
        "aten._trilinear.default" => trilinear(c),
        _ => Ok(None),
    }
}

/// The arguments of `convolution`.
struct Geometry {
    stride: PerDim,
    padding: PerDim,
    dilation: PerDim,
    output_padding: PerDim,
    transposed: bool,
    groups: usize,
}

impl Geometry {
    fn read(c: &Call) -> Read<Self> {
        Ok(Geometry {
            stride: per_dim(c, "stride", 1)?,
            padding: padding(c)?,
            dilation: per_dim(c, "dilation", 1)?,
            output_padding: per_dim(c, "output_padding", 0)?,
            transposed: c.bool_or("transposed", false)?,
            groups: groups(c)?,
        })
    }

    fn apply(&self, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (stride, dilation, groups) = (self.stride.clone(), self.dilation.clone(), self.groups);
        if self.transposed {
            let (padding, output_padding) = (self.padding.clone(), self.output_padding.clone());
            transposed(x, w, bias, &ConvTranspose { stride, padding, output_padding, dilation, groups })
        } else {
            let padding = Padding::Explicit(self.padding.clone());
            applied(x, w, bias, &Conv { stride, padding, dilation, groups })
        }
    }
}

/// A list with one number for each spatial dim, or one for all.
fn per_dim(c: &Call, name: &str, default: usize) -> Read<PerDim> {
    Ok(c.opt_sizes(name)?.filter(|v| !v.is_empty()).map_or(default.into(), PerDim::from))
}

fn padding(c: &Call) -> Read<PerDim> {
    per_dim(c, "padding", 0)
}

fn groups(c: &Call) -> Read<usize> {
    usize::try_from(c.int_or("groups", 1)?).map_err(|_| c.wrong("groups", "a number of groups"))
}

fn options(c: &Call, padding: Padding) -> Read<Conv> {
    Ok(Conv { stride: per_dim(c, "stride", 1)?, padding, dilation: per_dim(c, "dilation", 1)?, groups: groups(c)? })
}

fn forward(c: &Call, input: &str, padding: Padding) -> Answer {
    let options = options(c, padding)?;
    one(applied(&c.tensor(input)?, &c.tensor("weight")?, c.opt_tensor("bias")?.as_ref(), &options))
}

/// The convolution over as many dims as the weight has spatial ones.
fn applied(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, options: &Conv) -> Tensor {
    match w.rank() {
        3 => x.conv1d(w, bias, options),
        5 => x.conv3d(w, bias, options),
        // Other ranks are an error of the weight.
        _ => x.conv2d(w, bias, options),
    }
}

fn transposed(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, options: &ConvTranspose) -> Tensor {
    match w.rank() {
        3 => x.conv_transpose1d(w, bias, options),
        5 => x.conv_transpose3d(w, bias, options),
        _ => x.conv_transpose2d(w, bias, options),
    }
}

/// The product of three tensors, each with new dims at `expand`, summed over `sumdim`.
fn trilinear(c: &Call) -> Answer {
    let expanded = |name: &str, expand: &str| -> Read<Tensor> {
        let mut dims = c.ints(expand)?;
        dims.sort_unstable();
        Ok(dims.iter().fold(c.tensor(name)?, |t, d| t.unsqueeze(*d)))
    };
    let (a, b, d) = (expanded("i1", "expand1")?, expanded("i2", "expand2")?, expanded("i3", "expand3")?);
    let rank = a.rank().max(b.rank()).max(d.rank());
    let Some(letters) = ('a'..='z').collect::<String>().get(..rank).map(str::to_owned) else {
        return Err(c.wrong("i1", "at most 26 dims"));
    };
    let summed = c.ints("sumdim")?;
    let kept: String =
        letters.chars().enumerate().filter(|(i, _)| !summed.contains(&(*i as i64))).map(|(_, l)| l).collect();
    one(einsum(&format!("{letters},{letters},{letters}->{kept}"), &[&a, &b, &d]))
}
