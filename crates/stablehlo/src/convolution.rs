//! Convolutions.

use cotangent_core::ir::{Aval, Dim, Shape};
use cotangent_core::ops::Convolution;

use crate::literal::ty;
use crate::writer::{Val, Vals, Writer, array, ints};

/// The convolution. The adjoint is one over an operand with holes, with the weight turned around.
pub(crate) fn convolution(w: &mut Writer, c: &Convolution, x: &Val, weight: &Val, y: &Aval) -> Vals {
    let n = c.stride.len();
    let ones = vec![1; n];
    let (weight, strides, holes, padding) = if c.transposed {
        let groups = c.groups;
        let turned = w.compose(std::slice::from_ref(weight), |w| {
            let sizes = w[0].shape().sizes();
            let (inner, outer) = (sizes[0] / groups, sizes[1]);
            let spatial = || sizes[2..].iter().copied();
            let parted: Shape = [groups, inner, outer].into_iter().chain(spatial()).map(Dim::new).collect();
            let merged: Shape = [groups * outer, inner].into_iter().chain(spatial()).map(Dim::new).collect();
            let order: Vec<usize> = [0, 2, 1].into_iter().chain(3..3 + n).collect();
            let dims: Vec<usize> = (2..2 + n).collect();
            vec![w[0].view_to(&parted).permute_to(&order).view_to(&merged).flip_dims(&dims)]
        })?;
        let padding: Vec<[i64; 2]> = (0..n)
            .map(|d| {
                let reach = (c.dilation[d] * (weight.aval.shape[d + 2].get() - 1)) as i64 - c.padding[d] as i64;
                [reach, reach + c.output_padding[d] as i64]
            })
            .collect();
        (turned[0].clone(), &ones, &c.stride, padding)
    } else {
        (weight.clone(), &c.stride, &ones, c.padding.iter().map(|p| [*p as i64; 2]).collect())
    };
    let dims = ints(0..n);
    let padding = padding.iter().map(|[low, high]| format!("[{low}, {high}]"));
    Ok(vec![w.value(
        y,
        format_args!(
            "\"stablehlo.convolution\"({}, {}) <{{window_strides = {}, padding = dense<[{}]> : tensor<{n}x2xi64>, \
             lhs_dilation = {}, rhs_dilation = {}, dimension_numbers = #stablehlo.conv<[b, f, {dims}]x[o, i, {dims}]->[b, f, {dims}]>, \
             feature_group_count = {} : i64, batch_group_count = 1 : i64}}> : ({}, {}) -> {}",
            x.name,
            weight.name,
            array(strides),
            ints(padding),
            array(holes),
            array(&c.dilation),
            c.groups,
            x.ty(),
            weight.ty(),
            ty(y)
        ),
    )])
}
