//! Any op: a kernel of ours where one is worth it, else the reference evaluator.

use cotangent_core::array::{Element, dispatch, dispatch_float};
use cotangent_core::error::EvalError;
use cotangent_core::ir::{Aval, DType, Scalar, Shape};
use cotangent_core::ops::{Extreme, Indexing, Op, ScatterReduction, Spectral, Statistic, log_add_exp};
use cotangent_loops::ir::Routine;

use super::axis::Axis;
use super::indexed::Combine;
use super::{
    Vectors, arg_extreme, axis, convolution, copied, indexed, map, prefix, reference, scatter, search, sort, statistic,
};
use crate::run::Buffers;

/// Runs `op` on its operands.
///
/// # Safety
/// The buffers hold the operands and have room for the results; nobody else writes them.
pub unsafe fn run(
    routine: &Routine,
    op: &Op,
    args: &[Aval],
    results: &[Aval],
    vectors: Vectors,
    buffers: Buffers,
) -> Result<(), EvalError> {
    let call = Call { routine, args, results, buffers, each: Each::Element };
    if let Some(of) = Spectral::of(op) {
        // SAFETY: the caller's.
        return unsafe { call.decomposed(&of, vectors, |x| op.prim().eval(&[x])) };
    }
    // SAFETY: the caller's.
    match unsafe { call.kernel(op, vectors) } {
        Some(result) => result,
        // SAFETY: the caller's.
        None => unsafe { reference::run(routine, args, results, buffers, |args| op.prim().eval(args)) },
    }
}

/// As [`run`], of an op with an index for each row behind `dim`.
///
/// # Safety
/// As [`run`].
pub unsafe fn rows(
    routine: &Routine,
    op: &Op,
    [args, results]: [&[Aval]; 2],
    dim: usize,
    vectors: Vectors,
    buffers: Buffers,
) -> Result<(), EvalError> {
    let inner = Axis::of(&args[1].shape, dim).inner;
    let call = Call { routine, args, results, buffers, each: Each::Row };
    // SAFETY: the caller's.
    let result = unsafe { call.kernel(op, vectors) };
    match result.expect("P3: reads and writes through an index have kernels") {
        // The place is one in an index for each element.
        Err(EvalError::Index { dim, index, size, at }) => Err(EvalError::Index { dim, index, size, at: at * inner }),
        result => result,
    }
}

/// The values alone of a decomposition of `x`.
///
/// # Safety
/// As [`run`].
pub unsafe fn values(
    routine: &Routine,
    of: &Spectral,
    [x, found]: [&Aval; 2],
    vectors: Vectors,
    buffers: Buffers,
) -> Result<(), EvalError> {
    let [args, results] = [x, found].map(std::slice::from_ref);
    let call = Call { routine, args, results, buffers, each: Each::Element };
    // SAFETY: the caller's.
    unsafe { call.decomposed(of, vectors, |x| Ok(vec![of.values(x)?])) }
}

/// What an element of a polygamma function costs, in additions.
const POLYGAMMA: u64 = 64;

/// What has an index of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Each {
    Element,
    /// All elements behind the indexed dim.
    Row,
}

/// A call of a routine.
pub struct Call<'a> {
    pub(super) routine: &'a Routine,
    pub(super) args: &'a [Aval],
    pub(super) results: &'a [Aval],
    pub(super) buffers: Buffers<'a>,
    each: Each,
}

impl Call<'_> {
    pub(super) fn input<T>(&self, i: usize) -> *const T {
        self.buffers.0[self.routine.inputs[i].0 as usize].cast_const().cast()
    }

    pub(super) fn output<T>(&self, i: usize) -> *mut T {
        self.buffers.0[self.routine.outputs[i].0 as usize].cast()
    }

    /// Operand 1, an index.
    ///
    /// # Safety
    /// It is of `i64`, and its buffer has as many elements as its aval says.
    unsafe fn index(&self) -> &[i64] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts(self.input(1), self.args[1].shape.numel()) }
    }

    /// Operand 1, an index for each row behind `dim`.
    ///
    /// # Safety
    /// It is of `i64`, and its buffer has as many elements as there are rows.
    unsafe fn index_of_rows(&self, dim: usize) -> &[i64] {
        let Axis { outer, n, inner: _ } = Axis::of(&self.args[1].shape, dim);
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts(self.input(1), outer * n) }
    }

    /// The kernel for these operands; `None`, and nothing done, where there is none.
    ///
    /// # Safety
    /// As [`run`]: operands and results have the shapes that `infer` has checked.
    unsafe fn kernel(&self, op: &Op, vectors: Vectors) -> Option<Result<(), EvalError>> {
        let (x, y) = (self.args.first()?, self.results.first()?);
        let around = |dim: usize| Axis::of(&x.shape, dim);
        // SAFETY: the caller's.
        unsafe {
            match op {
                Op::Convolution(c) => dispatch_float!(x.dtype, T => {
                    let shapes = [&x.shape, &self.args[1].shape, &y.shape];
                    convolution::run::<T>(c, shapes, vectors, self.input(0), self.input(1), self.output(0));
                }, else => return None),
                Op::Cumsum(c) if x.dtype == DType::F32 && around(c.dim).inner == 1 => {
                    let axis = around(c.dim);
                    prefix::prefix_sums(vectors, axis.outer, axis.n, self.input(0), self.output(0));
                }
                Op::Cumsum(c) if x.dtype == DType::I64 => self.scan_integers(c.dim, vectors, 0, i64::wrapping_add),
                Op::Cumprod(c) if x.dtype == DType::I64 => self.scan_integers(c.dim, vectors, 1, i64::wrapping_mul),
                Op::Cumsum(c) => self.scan(c.dim, vectors, 0.0, |s, x| s + x),
                Op::Cumprod(c) => self.scan(c.dim, vectors, 1.0, |s, x| s * x),
                Op::Logcumsumexp(c) => self.scan(c.dim, vectors, f64::NEG_INFINITY, log_add_exp),
                Op::Cummax(c) => self.cumulative(c.dim, Extreme::Max),
                Op::Cummin(c) => self.cumulative(c.dim, Extreme::Min),
                Op::Argmax(a) => self.position(a.dim, true, vectors),
                Op::Argmin(a) => self.position(a.dim, false, vectors),
                Op::Polygamma(p) => dispatch!(x.dtype, T => {
                    let each = |v: T| T::from_f64(p.at(v.to_f64(), x.dtype));
                    map::map::<T>(x.shape.numel(), POLYGAMMA, self.input(0), self.output(0), each);
                }),
                Op::Sort(s) => dispatch!(x.dtype, T => {
                    sort::sort::<T>(around(s.dim), s.descending, self.input(0), self.output(0), self.output(1));
                }),
                Op::Topk(t) => return Some(self.statistic(t.dim, t.statistic())),
                Op::Kthvalue(k) => return Some(self.statistic(k.dim, k.statistic())),
                Op::Mode(m) => return Some(self.statistic(m.dim, m.statistic())),
                Op::Searchsorted(s) => {
                    let (n, k) = (last(&x.shape), last(&self.args[1].shape));
                    let lines = search::Lines { lines: y.shape.numel() / k.max(1), n, k, right: s.right };
                    dispatch!(x.dtype, T => if s.out_int32 {
                        search::positions::<T, i32>(&lines, self.input(0), self.input(1), self.output(0), |p| p as i32);
                    } else {
                        search::positions::<T, i64>(&lines, self.input(0), self.input(1), self.output(0), |p| p as i64);
                    });
                }
                Op::IndexSelect(s) => {
                    let (axis, size) = (around(s.dim), x.dtype.size_bytes());
                    return Some(copied::select(axis, s.dim, self.input(0), self.index(), self.output(0), size));
                }
                Op::Gather(g) if self.each == Each::Row => {
                    let (axis, size) = (around(g.dim), x.dtype.size_bytes());
                    let index = self.index_of_rows(g.dim);
                    return Some(copied::gather_rows(axis, g.dim, self.input(0), index, self.output(0), size));
                }
                Op::Gather(g) => {
                    let own = &self.args[1].shape;
                    return Some(dispatch!(x.dtype, T => {
                        indexed::gather::<T>([own, &x.shape], g.dim, self.input(0), self.index(), self.output(0))
                    }));
                }
                Op::IndexAdd(s) => return Some(self.add(s.dim, Indexing::Vector)),
                Op::ScatterAdd(s) => return Some(self.add(s.dim, Indexing::Elementwise)),
                Op::Scatter(s) if self.each == Each::Row => {
                    let axis = around(s.dim);
                    let (from, bytes) = ([self.input(0), self.input(2)], axis.inner * x.dtype.size_bytes());
                    let index = self.index_of_rows(s.dim);
                    return Some(copied::replace_rows(axis, s.dim, from, index, self.output(0), bytes));
                }
                Op::Scatter(s) => {
                    return Some(dispatch!(x.dtype, T => {
                        let last = Combine { widen: |x: T| x, both: |_, x| x, end: |x| x };
                        self.combine(s.dim, Indexing::Elementwise, &last)
                    }));
                }
                Op::ScatterReduce(s) => return Some(self.reduce(s.dim, s.reduce)),
                Op::AssertAsync(_) if *self.input::<bool>(0) => {
                    let bytes = y.shape.numel() * y.dtype.size_bytes();
                    std::ptr::copy_nonoverlapping(self.input::<u8>(1), self.output(0), bytes);
                }
                Op::Cholesky(c) => return self.cholesky(c.upper, vectors).then_some(Ok(())),
                Op::LuFactor(_) => return self.lu_factor(vectors).then_some(Ok(())),
                Op::LuUnpack(_) => return self.lu_unpack().then_some(Ok(())),
                Op::Qr(_) => return self.qr(vectors).then_some(Ok(())),
                Op::SolveTriangular(s) => return self.solve_triangular(s, vectors).then_some(Ok(())),
                // Those for which lowering has factors, …
                Op::Solve(_) | Op::Inverse(_) => return None,
                // … those of which the reference's time is its algorithm's, …
                Op::Eigh(_) | Op::Svd(_) | Op::LdlFactor(_) | Op::LdlSolve(_) => return None,
                // … those that lowering leaves over in rare cases, …
                Op::Convert(_) | Op::UnfoldBackward(_) | Op::AssertAsync(_) | Op::Call(_) => return None,
                // … and those of which it makes loops.
                Op::Constant(_)
                | Op::Full(_)
                | Op::Arange(_)
                | Op::Eye(_)
                | Op::Unary(_)
                | Op::Binary(_)
                | Op::Where(_)
                | Op::Expand(_)
                | Op::View(_)
                | Op::Permute(_)
                | Op::Slice(_)
                | Op::SliceScatter(_)
                | Op::Cat(_)
                | Op::Pad(_)
                | Op::Flip(_)
                | Op::Sum(_)
                | Op::Mm(_)
                | Op::Bmm(_)
                | Op::Amax(_)
                | Op::Amin(_)
                | Op::Prod(_)
                | Op::Diagonal(_)
                | Op::DiagEmbed(_)
                | Op::Unfold(_) => return None,
            }
        }
        Some(Ok(()))
    }

    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn scan(&self, dim: usize, vectors: Vectors, neutral: f64, f: impl Fn(f64, f64) -> f64 + Sync) {
        let x = &self.args[0];
        // SAFETY: the caller's.
        unsafe { axis::scan_of(x.dtype, Axis::of(&x.shape, dim), vectors, self.input(0), self.output(0), neutral, f) };
    }

    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn statistic(&self, dim: usize, which: Statistic) -> Result<(), EvalError> {
        let x = &self.args[0];
        let axis = Axis::of(&x.shape, dim);
        // SAFETY: the caller's.
        dispatch!(x.dtype, T => unsafe {
            statistic::run::<T>(axis, which, self.input(0), self.output(0), self.output(1))
        })
    }

    /// # Safety
    /// As [`Call::kernel`], with elements of `i64`.
    unsafe fn scan_integers(&self, dim: usize, vectors: Vectors, neutral: i64, f: impl Fn(i64, i64) -> i64 + Sync) {
        // SAFETY: the caller's.
        unsafe {
            axis::scan(
                Axis::of(&self.args[0].shape, dim),
                vectors,
                self.input(0),
                self.output::<i64>(0),
                neutral,
                f,
                |s| s,
            );
        }
    }

    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn cumulative(&self, dim: usize, which: Extreme) {
        let x = &self.args[0];
        // SAFETY: the caller's.
        dispatch!(x.dtype, T => unsafe {
            let axis = Axis::of(&x.shape, dim);
            axis::cumulative_extremes::<T>(axis, which, self.input(0), self.output(0), self.output(1));
        });
    }

    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn position(&self, dim: usize, largest: bool, vectors: Vectors) {
        let x = &self.args[0];
        // SAFETY: the caller's.
        dispatch!(x.dtype, T => unsafe {
            let axis = Axis::of(&x.shape, dim);
            arg_extreme::arg_extreme::<T>(axis, self.input(0), self.output(0), None, largest, vectors);
        });
    }

    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn add(&self, dim: usize, indexing: Indexing) -> Result<(), EvalError> {
        // SAFETY: the caller's.
        unsafe { self.numbers(dim, indexing, |s, x| s + x, i64::wrapping_add) }
    }

    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn reduce(&self, dim: usize, how: ScatterReduction) -> Result<(), EvalError> {
        let which = match how {
            // SAFETY: the caller's.
            ScatterReduction::Prod => {
                return unsafe { self.numbers(dim, Indexing::Elementwise, |s, x| s * x, i64::wrapping_mul) };
            }
            ScatterReduction::Amax => Extreme::Max,
            ScatterReduction::Amin => Extreme::Min,
        };
        // SAFETY: the caller's.
        dispatch!(self.args[0].dtype, T => unsafe {
            let both = |s: T, x: T| if beats(which, x, s) { x } else { s };
            self.combine(dim, Indexing::Elementwise, &Combine { widen: |x: T| x, both, end: |s| s })
        })
    }

    /// Floats are combined in `f64` and rounded once, integers in `i64`, wrapping, and cut to the dtype at the end.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn numbers(
        &self,
        dim: usize,
        indexing: Indexing,
        floats: impl Fn(f64, f64) -> f64 + Sync,
        integers: impl Fn(i64, i64) -> i64 + Sync,
    ) -> Result<(), EvalError> {
        dispatch!(self.args[0].dtype, T => {
            // SAFETY: the caller's.
            if T::DTYPE.is_float() {
                let both = Combine { widen: |x: T| x.to_f64(), both: floats, end: |s| T::from_f64(s) };
                unsafe { self.combine(dim, indexing, &both) }
            } else {
                let end = |s| T::from_scalar(Scalar::Int(s));
                unsafe { self.combine(dim, indexing, &Combine { widen: |x: T| x.to_scalar().to_i64(), both: integers, end }) }
            }
        })
    }

    /// Operand 2 combined into operand 0 at the places of operand 1.
    ///
    /// # Safety
    /// As [`Call::kernel`].
    unsafe fn combine<T: Element, S: Copy + Send>(
        &self,
        dim: usize,
        indexing: Indexing,
        combine: &Combine<impl Fn(T) -> S + Sync, impl Fn(S, S) -> S + Sync, impl Fn(S) -> T + Sync>,
    ) -> Result<(), EvalError> {
        let (own, shape) = (&self.args[1].shape, &self.args[0].shape);
        let (axis, from, to) = (Axis::of(shape, dim), [self.input(0), self.input(2)], self.output(0));
        // SAFETY: the caller's.
        unsafe {
            match indexing {
                Indexing::Vector => indexed::index_rows(axis, dim, from, self.index(), to, combine),
                Indexing::Elementwise if self.each == Each::Row => {
                    indexed::combine_rows(axis, dim, from, self.index_of_rows(dim), to, combine)
                }
                Indexing::Elementwise if indexed::is_aligned(own, shape, dim) => {
                    scatter::scatter(axis, dim, own[dim].get(), from, self.index(), to, combine)
                }
                Indexing::Elementwise => scatter::scatter_within([own, shape], dim, from, self.index(), to, combine),
            }
        }
    }
}

/// As [`Extreme::beats`], without branches, which data would send either way.
#[inline(always)]
fn beats<T: Element>(which: Extreme, a: T, b: T) -> bool {
    let is_nan = |x: T| x.partial_cmp(&x).is_none();
    let is_more = match which {
        Extreme::Max => a > b,
        Extreme::Min => a < b,
    };
    (is_more | is_nan(a)) & !is_nan(b)
}

fn last(shape: &Shape) -> usize {
    shape[shape.rank() - 1].get()
}
