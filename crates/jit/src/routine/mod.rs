//! Routines on whole buffers.

mod axis;
mod columns;
mod combined;
mod convolution;
mod copied;
mod correlate;
mod digits;
mod element;
mod indexed;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod linalg;
mod lines;
mod map;
mod matmul;
mod op;
#[cfg(target_arch = "x86_64")]
mod pack;
mod padded;
#[cfg(target_arch = "x86_64")]
mod panel;
mod prefix;
mod rank;
mod reference;
mod scatter;
mod search;
mod select;
#[cfg(target_arch = "x86_64")]
mod shared;
#[cfg(target_arch = "x86_64")]
mod skinny;
mod slide;
#[cfg(target_arch = "x86_64")]
mod sliding;
#[cfg(target_arch = "x86_64")]
mod small;
mod sort;
mod statistic;
#[cfg(target_arch = "x86_64")]
mod tile;
mod transpose;
#[cfg(target_arch = "x86_64")]
mod vector;
mod vectors;

pub use matmul::Product;
pub use vectors::Vectors;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cotangent_core::array::dispatch;
use cotangent_loops::ir::{LoopProgram, Routine, RoutineKind};

use crate::error::CallError;
use crate::run::Buffers;

/// Runs a routine; a panic inside becomes an error.
///
/// # Safety
/// The buffers have the lengths of the program's, and nobody else writes them during the call.
pub unsafe fn run(
    routine: &Routine,
    program: &LoopProgram,
    vectors: Vectors,
    buffers: Buffers,
) -> Result<(), CallError> {
    let result = catch_unwind(AssertUnwindSafe(|| match &routine.kind {
        RoutineKind::MatMul { .. } => {
            let dtype = program.buffers[routine.outputs[0].0 as usize].dtype;
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let product = Product::of(&routine.kind);
            // SAFETY: the caller's; the matrices lie inside their buffers (P2).
            unsafe {
                product.run(vectors, dtype, at(routine.inputs[0]), at(routine.inputs[1]), at(routine.outputs[0]))
            };
            Ok(())
        }
        RoutineKind::Places { sort, x, places } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, from) = (axis::Axis::of(&x.shape, sort.dim), at(routine.inputs[0]));
            let [values, positions] = [routine.outputs[0], routine.outputs[1]].map(at);
            // SAFETY: the caller's; the buffers have the elements of the operand and of the places (P3).
            dispatch!(x.dtype, T => unsafe {
                select::places::<T>(axis, sort.descending, places.clone(), from.cast(), values.cast(), positions.cast())
            })
        }
        RoutineKind::Ranked { sort, x, index } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, [from, places]) = (axis::Axis::of(&x.shape, sort.dim), [0, 1].map(|i| at(routine.inputs[i])));
            let [values, positions] = [routine.outputs[0], routine.outputs[1]].map(at);
            // SAFETY: the caller's; the buffers have the elements of the operand, the index and the results (P3).
            dispatch!(x.dtype, T => unsafe {
                let index = std::slice::from_raw_parts(places.cast_const().cast(), index.shape.numel());
                let ranks = rank::Ranks::Data { index, dim: sort.dim };
                rank::ranked::<T>(axis, sort.descending, &ranks, from.cast(), values.cast(), positions.cast())
            })
        }
        // SAFETY: the caller's.
        RoutineKind::Values { of, x, results } => unsafe {
            reference::run(routine, std::slice::from_ref(x), &results[of.result()..][..1], buffers, |x| {
                Ok(vec![of.values(x[0])?])
            })
        },
        // SAFETY: the caller's.
        RoutineKind::Rows { op, args, results, dim } => unsafe {
            op::rows(routine, op, [args, results], *dim, vectors, buffers)
        },
        RoutineKind::Lines { gather, x, index, first } => {
            let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
            let (axis, count) = (axis::Axis::of(&x.shape, gather.dim), index.shape[gather.dim].get());
            let times: usize = (*first..gather.dim).map(|d| index.shape[d].get()).product();
            let [from, places] = [0, 1].map(|i| at(routine.inputs[i]));
            let to = at(routine.outputs[0]);
            // SAFETY: the caller's; the buffers have the elements of the operand, an index for each of some lines, and the result (P3).
            dispatch!(x.dtype, T => unsafe {
                let index = std::slice::from_raw_parts(places.cast_const().cast(), index.shape.numel() / times.max(1));
                lines::gather_lines::<T>(axis, gather.dim, [count, times], from.cast(), index, to.cast())
            })
        }
        // SAFETY: the caller's.
        RoutineKind::Op { op, args, results } => unsafe { op::run(routine, op, args, results, vectors, buffers) },
    }));
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(source)) => Err(CallError::Data { loc: routine.loc.clone(), op: routine.name.clone(), source }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(CallError::Panic {
                loc: routine.loc.clone(),
                op: routine.name.clone(),
                message: text.unwrap_or_default(),
            })
        }
    }
}

/// A matrix that is read: element `(i, j)` at `at + i · row + j · col`.
#[derive(Clone, Copy)]
pub struct Operand<T> {
    at: *const T,
    row: isize,
    col: isize,
}

impl<T> Operand<T> {
    /// The matrix from row `i` and column `j` on.
    #[inline(always)]
    fn from(self, i: usize, j: usize) -> Self {
        Operand { at: self.at.wrapping_offset(i as isize * self.row + j as isize * self.col), ..self }
    }
}

/// A row-major matrix that is written, with rows `row` elements apart.
#[derive(Clone, Copy)]
pub struct Target<T> {
    at: *mut T,
    row: usize,
}

impl<T> Target<T> {
    /// The matrix from row `i` and column `j` on.
    #[inline(always)]
    fn from(self, i: usize, j: usize) -> Self {
        Target { at: self.at.wrapping_add(i * self.row + j), ..self }
    }
}

/// A left matrix in panels, as [`Real::pack`] makes them.
#[derive(Clone, Copy)]
pub struct Left<T>(*const T);

/// What a product is written onto.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// It stands alone.
    Nothing,
    /// It is added to what is there.
    Sum,
    /// It is subtracted from what is there.
    Difference,
}

impl Onto {
    /// What a part of the product is written onto whose inner elements begin with number `first`.
    #[inline(always)]
    fn after(self, first: usize) -> Self {
        match self {
            Onto::Nothing if first > 0 => Onto::Sum,
            Onto::Nothing | Onto::Sum | Onto::Difference => self,
        }
    }
}

/// Products of matrices of `[m, k]` and `[k, n]`.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "portable code leaves them to the library"))]
pub struct Products<T> {
    /// The sizes.
    pub mkn: [usize; 3],
    /// How many.
    pub count: usize,
    /// The first left and right operands.
    pub operands: [Operand<T>; 2],
    /// How far the next ones are.
    pub steps: [isize; 2],
    /// The results, one behind the other.
    pub to: *mut T,
}

/// Panels of a right operand that blocks of rows share.
#[derive(Clone, Copy, Debug)]
pub struct PanelSizes {
    /// Their bytes.
    pub bytes: usize,
    /// Into how many pieces packing them is cut.
    pub pieces: usize,
}

/// The floats of matrix products.
pub trait Real: Copy + Send + Sync + 'static {
    const ZERO: Self;
    /// As [`product`].
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn product(
        vectors: Vectors,
        mkn: [usize; 3],
        a: Operand<Self>,
        b: Operand<Self>,
        c: Target<Self>,
        onto: Onto,
    );
    /// `c = a · b` for a few rows of `a` and a large matrix `b`, on several threads, an estimated `cost` in ns; `false`, and nothing done, for others.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn skinny(
        vectors: Vectors,
        mkn: [usize; 3],
        operands: [Operand<Self>; 2],
        c: Target<Self>,
        cost: u64,
    ) -> bool;
    /// Computes sums over lines.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; all lines have their elements, and nobody else uses the results.
    unsafe fn dots(vectors: Vectors, dots: correlate::Dots<Self>);
    /// Computes these products if they are small; `false`, and nothing done, if not.
    ///
    /// # Safety
    /// As [`product`], for all of them.
    unsafe fn small(vectors: Vectors, products: Products<Self>) -> bool;
    /// `c = a · b` in about as many `blocks` that share the panels of `b`, on several threads, an estimated `cost` in ns; `false`, and nothing
    /// done, if `b` needs no panels.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn shared(
        vectors: Vectors,
        mkn: [usize; 3],
        operands: [Operand<Self>; 2],
        c: Target<Self>,
        blocks: usize,
        cost: u64,
    ) -> bool;
    /// The panels of the right operand that blocks of `m` rows can share; `None` if they need none.
    fn panels(vectors: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2]) -> Option<PanelSizes>;
    /// Packs one of the pieces of `b`, which has `k` rows and `n` columns.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; the elements exist, `to` has room for the panels, and nobody else uses those of the piece.
    unsafe fn pack_right(vectors: Vectors, kn: [usize; 2], b: Operand<Self>, to: *mut Self, piece: usize);
    /// As [`product`], with the packed panels of `b`.
    ///
    /// # Safety
    /// As [`product`], and the vectors are some; all pieces are packed.
    unsafe fn with_panels(
        vectors: Vectors,
        mkn: [usize; 3],
        operands: [Operand<Self>; 2],
        panels: *const Self,
        c: Target<Self>,
    );
    /// The panels of `a`, which has `m` rows and `k` columns, for [`Real::sliding`].
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; the elements exist, `to` has room for as many, and nobody else uses it.
    unsafe fn pack(vectors: Vectors, mk: [usize; 2], a: Operand<Self>, to: *mut Self);
    /// The product of `a` and `b` goes `onto` `c`, where row `p` of `b` begins at `b + places[p]`.
    ///
    /// # Safety
    /// The CPU has the vectors, which are some; all of these elements exist, those of `b` up to [`SLIDING_STEP`] columns, and nobody else
    /// uses those of `c`.
    unsafe fn sliding(
        vectors: Vectors,
        mn: [usize; 2],
        a: Left<Self>,
        b: *const Self,
        places: &[usize],
        c: Target<Self>,
        onto: Onto,
    );
    /// `to[i + j · step] = from[j + i · stride]` for `i < m` and `j < n`.
    ///
    /// # Safety
    /// The CPU has the vectors; all of these elements exist, and nobody else uses those of `to`.
    unsafe fn transpose(vectors: Vectors, mn: [usize; 2], from: *const Self, stride: isize, to: *mut Self, step: usize);
}

/// Bytes of a row of columns that are packed at once.
const WIDTH_BYTES: usize = 2048;

/// Bytes between rows from which they share few sets of the first-level cache.
const FAR_ROWS: usize = 2048;

/// The most columns of a tile: what is read of a right operand are at most so many columns at once.
const SLIDING_STEP: usize = 64;

/// `$f` for the lanes `L` of `vectors`, or `$portable`.
macro_rules! by_vectors {
    ($vectors:expr, $V256:ident $V512:ident, $L:ident => $f:expr, else => $portable:expr) => {
        match $vectors {
            #[cfg(target_arch = "x86_64")]
            Vectors::V256 => {
                type $L = lanes::$V256;
                $f
            }
            #[cfg(target_arch = "x86_64")]
            Vectors::V512 => {
                type $L = lanes::$V512;
                $f
            }
            Vectors::Portable => $portable,
        }
    };
}

macro_rules! real {
    ($($T:ty: $V256:ident $V512:ident),*) => { $(
        impl Real for $T {
            const ZERO: Self = 0.0;
            unsafe fn product(
                vectors: Vectors,
                [m, k, n]: [usize; 3],
                a: Operand<Self>,
                b: Operand<Self>,
                c: Target<Self>,
                onto: Onto,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    by_vectors!(vectors, $V256 $V512, L => panel::product::<L>([m, k, n], a, b, c, onto), else => gemm::gemm(
                        m, n, k, c.at, 1, c.row as isize, onto != Onto::Nothing, a.at, a.col, a.row, b.at, b.col, b.row, 1.0,
                        if onto == Onto::Difference { -1.0 } else { 1.0 },
                        false, false, false, gemm::Parallelism::None,
                    ))
                }
            }
            unsafe fn skinny(
                vectors: Vectors,
                mkn: [usize; 3],
                operands: [Operand<Self>; 2],
                c: Target<Self>,
                cost: u64,
            ) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { skinny::product::<L>(mkn, operands, c, cost) }, else => {
                    let _ = (mkn, operands, c, cost);
                    false
                })
            }
            unsafe fn dots(vectors: Vectors, dots: correlate::Dots<Self>) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { correlate::dots::<L>(&dots) }, else => {
                    let _ = dots;
                    unreachable!("portable code gathers")
                })
            }
            unsafe fn small(vectors: Vectors, products: Products<Self>) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { small::products::<L>(products) }, else => {
                    let _ = products;
                    false
                })
            }
            unsafe fn shared(
                vectors: Vectors,
                mkn: [usize; 3],
                operands: [Operand<Self>; 2],
                c: Target<Self>,
                blocks: usize,
                cost: u64,
            ) -> bool {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { shared::product::<L>(mkn, operands, c, blocks, cost) }, else => {
                    let _ = (mkn, operands, c, blocks, cost);
                    false
                })
            }
            fn panels(vectors: Vectors, mkn: [usize; 3], operands: [Operand<Self>; 2]) -> Option<PanelSizes> {
                by_vectors!(vectors, $V256 $V512, L => shared::sizes::<L>(mkn, operands), else => {
                    let _ = (mkn, operands);
                    None
                })
            }
            unsafe fn pack_right(vectors: Vectors, kn: [usize; 2], b: Operand<Self>, to: *mut Self, piece: usize) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { shared::Panels::<L>::whole(kn, b, to).pack(piece) }, else => {
                    let _ = (kn, b, to, piece);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn with_panels(
                vectors: Vectors,
                [m, k, n]: [usize; 3],
                [a, b]: [Operand<Self>; 2],
                panels: *const Self,
                c: Target<Self>,
            ) {
                // SAFETY: the caller's; the panels are only read.
                by_vectors!(vectors, $V256 $V512, L => unsafe {
                    shared::Panels::<L>::whole([k, n], b, panels.cast_mut()).multiply(m, a, 0..n, c)
                }, else => {
                    let _ = (m, k, n, a, b, panels, c);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn pack(vectors: Vectors, mk: [usize; 2], a: Operand<Self>, to: *mut Self) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { sliding::pack::<L>(mk, a, to) }, else => {
                    let _ = (mk, a, to);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn sliding(
                vectors: Vectors,
                mn: [usize; 2],
                a: Left<Self>,
                b: *const Self,
                places: &[usize],
                c: Target<Self>,
                onto: Onto,
            ) {
                // SAFETY: the caller's.
                by_vectors!(vectors, $V256 $V512, L => unsafe { sliding::sliding::<L>(mn, a, b, places, c, onto) }, else => {
                    let _ = (mn, a.0, b, places, c, onto);
                    unreachable!("portable code has no panels")
                })
            }
            unsafe fn transpose(
                vectors: Vectors,
                [m, n]: [usize; 2],
                from: *const Self,
                stride: isize,
                to: *mut Self,
                step: usize,
            ) {
                // SAFETY: the caller's.
                unsafe {
                    by_vectors!(vectors, $V256 $V512, L => transpose::in_squares::<L>([m, n], from, stride, to, step), else => {
                        transpose::plain([0..m, 0..n], from, stride, to, step);
                    })
                }
            }
        }
    )* };
}
real!(f32: F32x8 F32x16, f64: F64x4 F64x8);

/// The product of `a` and `b` goes `onto` `c`, on this thread.
///
/// # Safety
/// The CPU has the vectors; the operands have the elements of `[m, k]` and `[k, n]`, and `c` those of `[m, n]`, which nobody else uses.
unsafe fn product<T: Real>(vectors: Vectors, mkn: [usize; 3], a: Operand<T>, b: Operand<T>, c: Target<T>, onto: Onto) {
    // SAFETY: the caller's.
    unsafe { T::product(vectors, mkn, a, b, c, onto) }
}
