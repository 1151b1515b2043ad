//! Windows as columns, and their sums.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, Aval, Shape};

use super::conv::PerDim;
use super::pool::{Pool, Windows};
use crate::arg::{AsTensor, at, attempt, bad_operand, live};
use crate::call::{ints, one};
use crate::schema;

/// `unfold` and `fold` of `torch.nn.functional`, under the names of their ATen ops. The options are those of a
/// pooling,
/// whose stride is 1 by default; padding may be of any size.
pub trait Columns: AsTensor {
    /// Windows of two dims as columns: `[n, c k₁ k₂, windows]`.
    #[track_caller]
    fn im2col(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        let (x, kernel) = (self.tensor(), kernel_size.into());
        let options = Pool { stride: Some(options.stride.clone().unwrap_or(1.into())), ..options.clone() };
        let w = attempt!(columns(x, &kernel, &options));
        one(schema::IM2COL, &column_attrs(&w), &[x], |a| {
            let batched = if a[0].rank() == 3 { a[0].view_to(&a[0].shape().inserted(0, 1)) } else { a[0].clone() };
            let y = w.of(&batched, 0.0).permute_to(&[0, 1, 4, 5, 2, 3]);
            let (n, c) = (y.shape()[0].get(), y.shape()[1].get());
            let rows = y.view_to(&[n, c * w.size(), w.out.iter().product()].into());
            if a[0].rank() == 3 { rows.view_to(&rows.shape().removed(0)) } else { rows }
        })
    }

    /// The transpose of `im2col`: columns added up to images of `output_size`.
    ///
    /// *Errors*: `col2im_c1` columns that are not those of such windows.
    #[track_caller]
    fn col2im(&self, output_size: [usize; 2], kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        let (x, kernel) = (self.tensor(), kernel_size.into());
        attempt!(live(&[x]));
        let options = Pool { stride: Some(options.stride.clone().unwrap_or(1.into())), ..options.clone() };
        let k = kernel.of(2).map_or(0, |k| k.iter().product::<usize>());
        let shape = x.shape().sizes();
        let (n, rows, cols) = match shape.as_slice() {
            [r, l] => (1, *r, *l),
            [n, r, l] => (*n, *r, *l),
            _ => return bad_operand(at!("col2im", 1), x, "columns [n, c k, windows] or [c k, windows]"),
        };
        if k == 0 || rows % k != 0 {
            return bad_operand(at!("col2im", 1), x, &format!("rows that {k}, the size of a window, divides"));
        }
        let image = Aval::new(x.dtype(), [n, rows / k, output_size[0], output_size[1]]);
        let like = x.full_of(&image, 0.0);
        let w = attempt!(columns(&like, &kernel, &options));
        if w.out.iter().product::<usize>() != cols {
            return bad_operand(at!("col2im", 1), x, &format!("{} windows", w.out.iter().product::<usize>()));
        }
        let mut params = vec![("output_size", ints(&output_size))];
        params.extend(column_attrs(&w));
        one(schema::COL2IM, &params, &[x], |a| {
            let split = [n, rows / k, w.kernel[0], w.kernel[1], w.out[0], w.out[1]];
            let y = folded(&a[0].view_to(&split.into()).permute_to(&[0, 1, 4, 5, 2, 3]), &w, &image.shape);
            if a[0].rank() == 2 { y.view_to(&y.shape().removed(0)) } else { y }
        })
    }
}

impl Columns for Tensor {}

#[track_caller]
fn columns(x: &Tensor, kernel: &PerDim, options: &Pool) -> Result<Windows, Tensor> {
    // Padding beyond half a window is legal here, unlike in pooling.
    live(&[x])?;
    let padding = options.padding.of(2).unwrap_or_default();
    let zero = Pool { padding: 0.into(), ceil_mode: false, ..options.clone() };
    if padding.len() != 2 || x.rank() < 3 {
        return Err(bad_operand(at!("pool", 1), x, "[n, c, h, w] or [c, h, w], and two numbers of padding"));
    }
    let mut amounts = vec![(0, 0); x.rank()];
    for i in 0..2 {
        amounts[x.rank() - 2 + i] = (padding[i] as i64, padding[i] as i64);
    }
    let padded = Windows::new(&x.pad_dims(&amounts, 0.0), kernel, &zero, 2)?;
    let input = x.shape().sizes()[x.rank() - 2..].to_vec();
    Ok(Windows { padding, input, ..padded })
}

fn column_attrs(w: &Windows) -> Vec<(&'static str, Attr)> {
    vec![
        ("kernel_size", ints(&w.kernel)),
        ("dilation", ints(&w.dilation)),
        ("padding", ints(&w.padding)),
        ("stride", ints(&w.stride)),
    ]
}

/// The transpose of [`Windows::of`] for two dims.
#[track_caller]
fn folded(y: &Tensor, w: &Windows, shape: &Shape) -> Tensor {
    let lead = shape.rank() - 2;
    let end = |i: usize| (w.out[i] - 1) * w.stride[i] + w.dilation[i] * (w.kernel[i] - 1) + 1;
    let mut y = y.clone();
    for i in (0..2).rev() {
        let reach = w.dilation[i] * (w.kernel[i] - 1) + 1;
        let last = y.rank() - 1;
        if w.dilation[i] > 1 {
            let zeros = y.full_of(&Aval::new(y.dtype(), y.shape().with(last, reach)), 0.0);
            y = zeros.slice_scatter_dim(&y, last, 0, reach, w.dilation[i]);
        }
        let target = y.shape().removed(last).with(lead + i, end(i));
        y = y.fold_dim(&target, lead + i, reach, w.stride[i]);
    }
    let mut amounts = vec![(0, 0); shape.rank()];
    for i in 0..2 {
        let low = -(w.padding[i] as i64);
        amounts[lead + i] = (low, w.input[i] as i64 - (end(i) as i64 + low));
    }
    y.pad_dims(&amounts, 0.0)
}
