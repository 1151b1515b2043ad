//! Pooling over windows.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Attr, Aval, DType, Scalar};

use super::conv::PerDim;
use crate::arg::{AsTensor, at, attempt, attempt_pair, bad, bad_operand, live};
use crate::call::{ints, linear, many, num, opt};
use crate::pointwise::sqrt_flat_at_zero;
use crate::schema;
use crate::special::{Rounding, Specials};

/// The options of pooling.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Distance of windows; the window's size by default.
    pub stride: Option<PerDim>,
    /// Places around the input that do not count (maxima) or count as zeros (means); at most half a window.
    pub padding: PerDim,
    /// Distance of a window's elements; maxima only.
    pub dilation: PerDim,
    /// Whether windows may reach over the end.
    pub ceil_mode: bool,
    /// Whether means count zeros of the padding.
    pub count_include_pad: bool,
    /// What means divide by instead; not 0.
    pub divisor_override: Option<i64>,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            stride: None,
            padding: 0.into(),
            dilation: 1.into(),
            ceil_mode: false,
            count_include_pad: true,
            divisor_override: None,
        }
    }
}

impl Pool {
    /// The default with this distance of windows.
    pub fn stride(stride: impl Into<PerDim>) -> Self {
        Pool { stride: Some(stride.into()), ..Pool::default() }
    }
}

/// The checked geometry of windows over the last `n` dims.
#[derive(Clone)]
pub(super) struct Windows {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub padding: Vec<usize>,
    pub dilation: Vec<usize>,
    pub out: Vec<usize>,
    pub input: Vec<usize>,
}

impl Windows {
    #[track_caller]
    pub fn new(x: &Tensor, kernel: &PerDim, options: &Pool, n: usize) -> Result<Windows, Tensor> {
        live(&[x])?;
        if x.dtype() == DType::Bool {
            return Err(bad_operand(at!("pool", 1), x, "numbers (convert with `.float()`)"));
        }
        if x.rank() != n + 1 && x.rank() != n + 2 {
            return Err(bad_operand(
                at!("pool", 1),
                x,
                &format!("an input of {} dims, or {} without batch", n + 2, n + 1),
            ));
        }
        let wrong =
            |attr, p: &PerDim| bad(at!("pool", 2), &[x], attr, &format!("one number, or {n}"), &format!("{:?}", p.0));
        let kernel = kernel.of(n).ok_or_else(|| wrong("kernel_size", kernel))?;
        let stride = match &options.stride {
            Some(s) => s.of(n).ok_or_else(|| wrong("stride", s))?,
            None => kernel.clone(),
        };
        let padding = options.padding.of(n).ok_or_else(|| wrong("padding", &options.padding))?;
        let dilation = options.dilation.of(n).ok_or_else(|| wrong("dilation", &options.dilation))?;
        let input = x.shape().sizes()[x.rank() - n..].to_vec();
        let mut out = Vec::with_capacity(n);
        for i in 0..n {
            let (k, s, p, d, l) = (kernel[i], stride[i], padding[i], dilation[i], input[i]);
            let positive = k > 0 && s > 0 && d > 0 && p <= k / 2;
            let reach = d.checked_mul(k.saturating_sub(1)).and_then(|r| r.checked_add(1));
            let room = reach.and_then(|r| (l + 2 * p).checked_sub(r));
            let Some(room) = room.filter(|_| positive) else {
                let found = format!("kernel {k}, stride {s}, padding {p}, dilation {d}");
                let expected = format!("a window that fits into size {l}, with padding at most half of it");
                return Err(bad(at!("pool", 3), &[x], "kernel_size", &expected, &found));
            };
            let mut o = if options.ceil_mode { room.div_ceil(s) } else { room / s } + 1;
            // No window starts in the padding at the end.
            if options.ceil_mode && (o - 1) * s >= l + p {
                o -= 1;
            }
            out.push(o);
        }
        Ok(Windows { kernel, stride, padding, dilation, out, input })
    }

    fn n(&self) -> usize {
        self.kernel.len()
    }

    pub fn size(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The windows: `[…, o…, k…]`, with `fill` around the input.
    #[track_caller]
    pub fn of(&self, x: &Tensor, fill: impl Into<Scalar>) -> Tensor {
        let lead = x.rank() - self.n();
        let mut amounts = vec![(0, 0); x.rank()];
        for i in 0..self.n() {
            let end = (self.out[i] - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1;
            let (low, size) = (self.padding[i] as i64, self.input[i] as i64);
            amounts[lead + i] = (low, end as i64 - size - low);
        }
        let mut y = x.pad_dims(&amounts, fill);
        for i in 0..self.n() {
            let reach = self.dilation[i] * (self.kernel[i] - 1) + 1;
            y = y.unfold_dim(lead + i, reach, self.stride[i]);
            y = y.slice_dim(y.rank() - 1, 0, reach, self.dilation[i]);
        }
        y
    }

    /// The windows with their elements as one dim: `[…, o…, k]`.
    #[track_caller]
    fn flat(&self, x: &Tensor, fill: impl Into<Scalar>) -> Tensor {
        let y = self.of(x, fill);
        y.view_to(&y.shape().slice(0, y.rank() - self.n()).concat(&[self.size()].into()))
    }

    /// The largest element of each window, the first of several, and its place in the input in row-major order.
    #[track_caller]
    fn max(&self, x: &Tensor) -> [Tensor; 2] {
        let flat = self.flat(x, lowest(x.dtype()));
        let strides: Vec<usize> = (0..self.n()).map(|i| self.input[i + 1..].iter().product()).collect();
        let corner = |o: &[usize]| -> i64 {
            let at = |i: usize| (o[i] * self.stride[i]) as i64 - self.padding[i] as i64;
            (0..self.n()).map(|i| at(i) * strides[i] as i64).sum()
        };
        let within = |k: &[usize]| (0..self.n()).map(|i| (k[i] * self.dilation[i] * strides[i]) as i64).sum();
        let corners = table(&self.out, corner);
        let steps = table(&self.kernel, within).view_to(&[self.size()].into());
        chosen(&flat, |at| {
            // What is around the input is chosen only at the start of a window without any number above it.
            let first = self.padding.iter().any(|p| *p > 0).then(|| table(&self.out, |o| self.first_inside(o)));
            let at = first.map_or(at.clone(), |f| at.maximum(f));
            let offset = steps.index_select_along(0, &at.view_to(&[at.numel()].into())).view_to(at.shape());
            offset + &corners
        })
    }

    /// The number of the first element of window `o` that lies in the input.
    fn first_inside(&self, o: &[usize]) -> i64 {
        let along = |i: usize| self.padding[i].saturating_sub(o[i] * self.stride[i]).div_ceil(self.dilation[i]);
        (0..self.n()).fold(0, |n, i| n * self.kernel[i] + along(i)) as i64
    }

    /// What the mean of each window divides by.
    fn divisors(&self, options: &Pool) -> Tensor {
        let count = |o: &[usize]| {
            let along = |i: usize| {
                let (start, pad) = (o[i] * self.stride[i], self.padding[i]);
                let end = (start + self.kernel[i]).min(self.input[i] + 2 * pad);
                if options.count_include_pad {
                    end - start
                } else {
                    end.min(self.input[i] + pad).saturating_sub(start.max(pad))
                }
            };
            (0..self.n()).map(along).product::<usize>() as i64
        };
        table(&self.out, count)
    }

    fn attrs(&self, options: &Pool) -> Vec<(&'static str, Attr)> {
        vec![
            ("kernel_size", ints(&self.kernel)),
            ("stride", ints(&self.stride)),
            ("padding", ints(&self.padding)),
            ("dilation", ints(&self.dilation)),
            ("ceil_mode", num(options.ceil_mode)),
        ]
    }
}

/// The first largest element along the last dim, and its place as `place` gives it.
#[track_caller]
pub(super) fn chosen(flat: &Tensor, place: impl FnOnce(&Tensor) -> Tensor) -> [Tensor; 2] {
    let last = flat.rank() - 1;
    if flat.shape().removed(last).numel() == 0 {
        let shape = flat.shape().removed(last);
        return [flat.sum_over(&[last]), flat.full_of(&Aval::new(DType::I64, shape), 0i64)];
    }
    let at = flat.argmax_along(last);
    let values = flat.gather_along(last, &at.view_to(&at.shape().inserted(last, 1))).view_to(at.shape());
    [values, place(&at)]
}

/// What is not above any number of the dtype.
const fn lowest(dtype: DType) -> Scalar {
    match dtype {
        DType::F32 | DType::F64 | DType::BF16 | DType::F16 => Scalar::Float(f64::NEG_INFINITY),
        DType::I64 => Scalar::Int(i64::MIN),
        DType::I32 => Scalar::Int(i32::MIN as i64),
        DType::I16 => Scalar::Int(i16::MIN as i64),
        DType::I8 => Scalar::Int(i8::MIN as i64),
        DType::U8 | DType::Bool => Scalar::Int(0),
    }
}

/// The stored array of `shape` with elements by their indices.
pub(super) fn table(shape: &[usize], f: impl Fn(&[usize]) -> i64) -> Tensor {
    let n: usize = shape.iter().product();
    let element = |mut i: usize| {
        let mut at = vec![0; shape.len()];
        for d in (0..shape.len()).rev() {
            at[d] = i % shape[d];
            i /= shape[d];
        }
        f(&at)
    };
    Tensor::from_array(Array::new(shape, (0..n).map(element).collect()))
}

/// Pooling under PyTorch's names, over the last dims of `[n, c, …]` or `[c, …]`.
///
/// Means of integers are cut off towards zero.
///
/// *Errors*: `pool_c1` an input of another rank or of truth values; `pool_c2` another number of sizes; `pool_c3` a window
/// that
/// does not fit.
pub trait Pooling: AsTensor {
    /// The largest elements of windows of one dim; the first of several gets the derivative.
    #[track_caller]
    fn max_pool1d(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        max_pool(self.tensor(), &kernel_size.into(), options, 1).0
    }

    /// The largest elements of windows of two dims; the first of several gets the derivative.
    #[track_caller]
    fn max_pool2d(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        max_pool(self.tensor(), &kernel_size.into(), options, 2).0
    }

    /// The largest elements of windows of three dims; the first of several gets the derivative.
    #[track_caller]
    fn max_pool3d(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        max_pool(self.tensor(), &kernel_size.into(), options, 3).0
    }

    /// As [`Pooling::max_pool1d`] with the places in the input.
    #[track_caller]
    fn max_pool1d_with_indices(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> (Tensor, Tensor) {
        max_pool(self.tensor(), &kernel_size.into(), options, 1)
    }

    /// As [`Pooling::max_pool2d`] with the places in the input, in row-major order.
    #[track_caller]
    fn max_pool2d_with_indices(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> (Tensor, Tensor) {
        max_pool(self.tensor(), &kernel_size.into(), options, 2)
    }

    /// As [`Pooling::max_pool3d`] with the places in the input, in row-major order.
    #[track_caller]
    fn max_pool3d_with_indices(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> (Tensor, Tensor) {
        max_pool(self.tensor(), &kernel_size.into(), options, 3)
    }

    /// The means of windows of one dim.
    #[track_caller]
    fn avg_pool1d(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        avg_pool(self.tensor(), &kernel_size.into(), options, 1)
    }

    /// The means of windows of two dims.
    #[track_caller]
    fn avg_pool2d(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        avg_pool(self.tensor(), &kernel_size.into(), options, 2)
    }

    /// The means of windows of three dims.
    #[track_caller]
    fn avg_pool3d(&self, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        avg_pool(self.tensor(), &kernel_size.into(), options, 3)
    }

    /// The `p`-norms of windows of as many dims as `kernel_size` has; derivative 0 at 0.
    #[track_caller]
    fn lp_pool(&self, norm_type: f64, kernel_size: impl Into<PerDim>, options: &Pool) -> Tensor {
        let (x, kernel) = (self.tensor(), kernel_size.into());
        let n = kernel.0.len();
        let w = attempt!(Windows::new(x, &kernel, options, n));
        let last = x.rank();
        let sum =
            if norm_type == 2.0 { w.flat(&(x * x), 0.0) } else { w.flat(&x.pow(norm_type), 0.0) }.sum_over(&[last]);
        if norm_type == 2.0 {
            return sqrt_flat_at_zero(&sum);
        }
        // As PyTorch: the sign goes around the root, and negative sums give 0.
        let magnitude = sum.zeros_like().where_(&sum.le(0.0), &sum);
        magnitude.pow(1.0 / norm_type)
    }

    /// The inverse of a maximum pooling: elements at their `indices` among the last `output_size.len()` dims, and
    /// zeros.
    ///
    /// *Errors*: `max_unpool_c1` indices of another shape, or of other than `i64`; an index out of range when
    /// evaluated.
    #[track_caller]
    fn max_unpool(&self, indices: &Tensor, output_size: &[usize]) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x, indices]));
        let Some(lead) = x.rank().checked_sub(output_size.len()).filter(|_| x.shape() == indices.shape()) else {
            return crate::arg::bad_pair(at!("max_unpool", 1), x, indices, "an index for each element");
        };
        let batch = x.shape().slice(0, lead);
        let (n, total) = (x.shape().slice(lead, x.rank()).numel(), output_size.iter().product::<usize>());
        let (flat, at) = (x.view_to(&batch.concat(&[n].into())), indices.view_to(&batch.concat(&[n].into())));
        let zeros = x.full_of(&Aval::new(x.dtype(), batch.concat(&[total].into())), 0.0);
        zeros.scatter_along(lead, &at, &flat).view_to(&batch.concat(&output_size.into()))
    }
}

impl Pooling for Tensor {}

#[track_caller]
fn max_pool(x: &Tensor, kernel: &PerDim, options: &Pool, n: usize) -> (Tensor, Tensor) {
    let w = attempt_pair!(Windows::new(x, kernel, options, n));
    if n == 1 {
        return as_two_dims(x, |x| max_pool_of(x, &w.with_unit_dim(), options));
    }
    max_pool_of(x, &w, options)
}

#[track_caller]
fn max_pool_of(x: &Tensor, w: &Windows, options: &Pool) -> (Tensor, Tensor) {
    let schema = if w.n() == 2 { schema::MAX_POOL2D_WITH_INDICES } else { schema::MAX_POOL3D_WITH_INDICES };
    // By its windows, which are transposed window by window: elements put at places of the whole input take several times as long
    // as the choice inside a window.
    let [values, indices] = many(schema, &w.attrs(options), &[x], |a| w.max(&a[0]));
    (values, indices)
}

#[track_caller]
fn avg_pool(x: &Tensor, kernel: &PerDim, options: &Pool, n: usize) -> Tensor {
    let w = attempt!(Windows::new(x, kernel, &Pool { dilation: 1.into(), ..options.clone() }, n));
    if n == 1 {
        return as_two_dims(x, |x| (avg_pool_of(x, &w.with_unit_dim(), options), x.clone())).0;
    }
    avg_pool_of(x, &w, options)
}

#[track_caller]
fn avg_pool_of(x: &Tensor, w: &Windows, options: &Pool) -> Tensor {
    let schema = if w.n() == 2 { schema::AVG_POOL2D } else { schema::AVG_POOL3D };
    let mut params = w.attrs(options);
    params.retain(|(name, _)| *name != "dilation");
    params.push(("count_include_pad", num(options.count_include_pad)));
    params.push(("divisor_override", opt(options.divisor_override)));
    linear(schema, &params, x, |x| {
        let sum = w.flat(x, 0.0).sum_over(&[x.rank()]);
        let divisors = match options.divisor_override {
            Some(d) => sum.full_of(&Aval::new(sum.dtype(), ()), d),
            None => w.divisors(options).convert(sum.dtype()),
        };
        if sum.dtype().is_float() { sum / divisors } else { sum.div_rounded(divisors, Rounding::Trunc) }
    })
}

impl Windows {
    /// The same windows with a leading dim of size 1.
    fn with_unit_dim(&self) -> Windows {
        let with = |v: &[usize], n: usize| [&[n], v].concat();
        Windows {
            kernel: with(&self.kernel, 1),
            stride: with(&self.stride, 1),
            padding: with(&self.padding, 0),
            dilation: with(&self.dilation, 1),
            out: with(&self.out, 1),
            input: with(&self.input, 1),
        }
    }
}

/// A pooling of one dim as one of two, as PyTorch has it.
#[track_caller]
pub(super) fn as_two_dims(x: &Tensor, f: impl FnOnce(&Tensor) -> (Tensor, Tensor)) -> (Tensor, Tensor) {
    let wide = x.view_to(&x.shape().inserted(x.rank() - 1, 1));
    let (a, b) = f(&wide);
    let narrow = |y: &Tensor| y.view_to(&y.shape().removed(y.rank() - 2));
    (narrow(&a), narrow(&b))
}
