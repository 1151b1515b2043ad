//! Matrix products: blocks that our own threads take.

use std::ptr;

use cotangent_core::array::{Element, dispatch};
use cotangent_core::ir::DType;
use cotangent_loops::ir::{Matrix, RoutineKind};

use super::{
    FAR_ROWS, Onto, Operand, PanelSizes, Products, Ring, Target, Vectors, WIDTH_BYTES, by_lines, deep, product,
};
use crate::threads;

/// Multiplications up to which a product may be too small for tiles.
const SMALL: usize = 8 * 8 * 8;
/// Multiplications from which a product is cut in blocks.
const CUT: usize = 64 * 64 * 64;
/// Multiplications from which there are more blocks than threads need, for those that are disturbed.
const LARGE: usize = 512 * 512 * 512;
/// Rows from which blocks share panels, and bytes of a row of the result up to which they do: blocks of all rows of others are few, and pack panels of
/// their own. Measured with 512 and 200 rows, 1024 inner elements and 4096 columns of `f32`: 10,270 to 9,600 µs, 4,920 to 3,960.
const SHARED_ROWS: usize = 192;
const SHARED_WIDTH: usize = 4 * WIDTH_BYTES;
/// Products that threads share one by one if they have few rows.
const FEW: usize = 8;

/// A batch of products.
#[derive(Clone, Debug)]
pub struct Product {
    /// Number.
    pub batch: usize,
    /// Rows.
    pub m: usize,
    /// Inner size.
    pub k: usize,
    /// Columns.
    pub n: usize,
    /// The left operand.
    pub lhs: Matrix,
    /// The right operand.
    pub rhs: Matrix,
}

/// Both operands and the result.
#[derive(Clone, Copy)]
pub struct Pointers(*const u8, *const u8, *mut u8);
// SAFETY: blocks of the result are disjoint, operands are only read.
unsafe impl Sync for Pointers {}

impl Product {
    /// Computes the products of elements of a dtype, of which the result is, or is `f32` where they are of `bf16`.
    ///
    /// # Safety
    /// The matrices lie inside the operands, and `out` has room for `batch · m · n` elements.
    pub unsafe fn run(
        &self,
        vectors: Vectors,
        [operands, dtype]: [DType; 2],
        lhs: *const u8,
        rhs: *const u8,
        out: *mut u8,
    ) {
        let pointers = Pointers(lhs, rhs, out);
        // SAFETY: the caller's.
        unsafe {
            match dtype {
                DType::F32 if operands == DType::BF16 => self.halves(vectors, pointers),
                DType::F32 => self.numbers::<f32>(vectors, pointers),
                DType::F64 => self.numbers::<f64>(vectors, pointers),
                DType::I32 if vectors != Vectors::Portable => self.numbers::<i32>(vectors, pointers),
                DType::I64 if vectors != Vectors::Portable => self.numbers::<i64>(vectors, pointers),
                DType::BF16 | DType::F16 => dispatch!(dtype, T => self.each::<T, f64>(
                    vectors, pointers, 0.0, |s, x, y| s + x.to_f64() * y.to_f64(), T::from_f64)),
                // What is cut to 32 bits or fewer in the end may be cut at once: lanes are twice as many.
                DType::I32 | DType::I16 | DType::I8 | DType::U8 => dispatch!(dtype, T => self.each::<T, i32>(
                    vectors,
                    pointers,
                    0,
                    |s, x, y| {
                        let [x, y] = [x, y].map(|x: T| x.to_scalar().to_i64() as i32);
                        s.wrapping_add(x.wrapping_mul(y))
                    },
                    |s| T::from_scalar(cotangent_core::ir::Scalar::Int(i64::from(s)))
                )),
                DType::I64 | DType::Bool => {
                    dispatch!(dtype, T => self.each::<T, i64>(
                        vectors,
                        pointers,
                        0,
                        |s, x, y| s.wrapping_add(x.to_scalar().to_i64().wrapping_mul(y.to_scalar().to_i64())),
                        |s| T::from_scalar(cotangent_core::ir::Scalar::Int(s))
                    ))
                }
            }
        }
    }

    /// The sizes and layouts of a routine that is a product.
    pub fn of(kind: &RoutineKind) -> Self {
        match *kind {
            RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => Product { batch, m, k, n, lhs, rhs },
            RoutineKind::Places { .. }
            | RoutineKind::Ranked { .. }
            | RoutineKind::Rows { .. }
            | RoutineKind::Lines { .. }
            | RoutineKind::Values { .. }
            | RoutineKind::Extremes { .. }
            | RoutineKind::Exchanged { .. }
            | RoutineKind::Op { .. } => {
                unreachable!("the caller has seen a product")
            }
        }
    }

    /// Estimated time on one thread, in ns: about 40 multiplications in a ns, of small products one row of the right operand, and four where each
    /// element of a matrix is used once.
    pub fn cost(&self) -> u64 {
        let work = self.m * self.k * self.n;
        if self.m == 1 || self.n == 1 {
            // As long as it takes to read the matrix.
            return (self.batch as u64).saturating_mul(work as u64 / 4);
        }
        (self.batch as u64).saturating_mul(if work <= SMALL { self.m * self.k } else { work / 40 } as u64)
    }

    /// The panels that blocks of `rows` rows can share of a right matrix that all products have; floats only.
    pub fn panels(&self, vectors: Vectors, dtype: DType, rows: usize) -> Option<PanelSizes> {
        let (mkn, none) = ([rows.min(self.m), self.k, self.n], Pointers(ptr::null(), ptr::null(), ptr::null_mut()));
        if self.batch > 1 && self.rhs.batch != 0 {
            None
        } else if dtype == DType::F32 {
            f32::panels(vectors, mkn, [self.lhs(none, 0), self.rhs(none, 0)])
        } else {
            f64::panels(vectors, mkn, [self.lhs(none, 0), self.rhs(none, 0)])
        }
    }

    /// Packs a piece of the [panels](Self::panels) of the right operand.
    ///
    /// # Safety
    /// As [`Product::run`] of the right operand; there are such panels, which have room at `to`, and nobody else uses the piece's.
    pub unsafe fn pack(&self, vectors: Vectors, dtype: DType, rhs: *const u8, to: *mut u8, piece: usize) {
        let p = Pointers(ptr::null(), rhs, ptr::null_mut());
        // SAFETY: the caller's.
        unsafe {
            if dtype == DType::F32 {
                f32::pack_right(vectors, [self.k, self.n], self.rhs(p, 0), to.cast(), piece);
            } else {
                f64::pack_right(vectors, [self.k, self.n], self.rhs(p, 0), to.cast(), piece);
            }
        }
    }

    /// Rows of all matrices, one below the other, on this thread, with the [panels](Self::panels) if they are packed; floats only.
    ///
    /// # Safety
    /// As [`Product::run`], for the rows.
    pub unsafe fn rows(
        &self,
        vectors: Vectors,
        dtype: DType,
        [lhs, rhs, out]: [*mut u8; 3],
        panels: Option<*const u8>,
        rows: std::ops::Range<usize>,
    ) {
        let p = Pointers(lhs.cast_const(), rhs.cast_const(), out);
        let mut at = rows.start;
        while at < rows.end {
            let (b, i) = (at / self.m, at % self.m);
            let count = (self.m - i).min(rows.end - at);
            // SAFETY: the caller's.
            unsafe {
                if dtype == DType::F32 {
                    self.some_rows::<f32>(vectors, p, panels, b, i..i + count);
                } else {
                    self.some_rows::<f64>(vectors, p, panels, b, i..i + count);
                }
            }
            at += count;
        }
    }

    /// Rows of product `b`.
    ///
    /// # Safety
    /// As [`Product::rows`].
    unsafe fn some_rows<T: Ring>(
        &self,
        vectors: Vectors,
        p: Pointers,
        panels: Option<*const u8>,
        b: usize,
        rows: std::ops::Range<usize>,
    ) {
        let Some(panels) = panels else {
            // SAFETY: the caller's.
            return unsafe { self.block::<T>(vectors, p, b, [rows, 0..self.n]) };
        };
        let operands = [self.lhs(p, b).from(rows.start, 0), self.rhs(p, b)];
        let to: Target<T> = self.target(p, b).from(rows.start, 0);
        // SAFETY: the caller's.
        unsafe { T::with_panels(vectors, [rows.len(), self.k, self.n], operands, panels.cast(), to) };
    }

    /// Whether rows of elements of this size are packed, by each block of columns again: those that are far apart, or whose elements are.
    fn packs_rows(&self, size: usize) -> bool {
        let bytes = |stride: i64| stride.unsigned_abs() as usize * size;
        bytes(self.lhs.row) >= FAR_ROWS || (self.lhs.col != 1 && bytes(self.lhs.col) >= 64)
    }

    /// Whether blocks of rows share panels of the right operand, if it has some. By sizes only: parts of the inner dim are longer then.
    fn shares(&self, size: usize) -> bool {
        let is_wide = self.n * size > SHARED_WIDTH;
        let repays = self.m * self.k * self.n >= LARGE && self.m >= SHARED_ROWS && !is_wide && self.batch <= FEW;
        repays && self.packs_rows(size)
    }

    /// Into how many pieces rows and columns are cut. Every element is summed in the same order however that is,
    /// so the number of threads may decide; not so in the portable library, whose order is its own.
    fn blocks<T: Ring>(&self, vectors: Vectors) -> (usize, usize) {
        let size = size_of::<T>();
        let work = self.m * self.k * self.n;
        let each = if work < LARGE { 2 } else { 4 };
        let threads = if vectors == Vectors::Portable { 2 } else { threads::num_threads() };
        // Batches are divided anyway.
        let wanted = (each * threads).div_ceil(self.batch.max(1)).min(work * T::SLOWNESS / CUT);
        let packs_rows = self.packs_rows(size);
        let (mut rows, mut cols) = (1, 1);
        while rows * cols < wanted {
            let (h, w) = (self.m / rows, self.n / cols);
            // At least 64 columns; of few rows so many columns that they may be the rows of the transposed product.
            let wide = w >= 128 && (h > 96 || w >= 4 * h);
            // Columns beyond those that are packed at once have their rows packed again anyway.
            if wide && (w * size > WIDTH_BYTES || !packs_rows || h < 192) {
                cols *= 2;
            } else if h >= 96 {
                rows *= 2;
            } else if rows * cols * self.batch >= threads {
                break;
            } else if h >= 24 {
                rows *= 2; // A small result of a long inner dim: better small blocks than idle threads.
            } else if w >= 64 {
                cols *= 2;
            } else {
                break;
            }
        }
        (rows, cols)
    }

    /// As [`Product::run`], of numbers that have kernels.
    ///
    /// # Safety
    /// As [`Product::run`].
    pub unsafe fn numbers<T: Ring>(&self, vectors: Vectors, p: Pointers) {
        let (work, cost) = (self.m * self.k * self.n, self.cost() * T::SLOWNESS as u64);
        if let Some(lines) = self.lines(p) {
            // SAFETY: the caller's.
            return unsafe { T::by_lines(vectors, lines, cost) };
        }
        let (rows, cols) = self.blocks::<T>(vectors);
        let blocks = rows * cols;
        let shared = |b| {
            let (operands, to) = ([self.lhs(p, b), self.rhs(p, b)], self.target(p, b));
            // SAFETY: the caller's.
            unsafe { T::shared(vectors, [self.m, self.k, self.n], operands, to, cost / self.batch as u64) }
        };
        let few = |b| {
            let (operands, to) = ([self.lhs(p, b), self.rhs(p, b)], self.target(p, b));
            // SAFETY: the caller's.
            unsafe { T::skinny(vectors, [self.m, self.k, self.n], operands, to, cost / self.batch as u64) }
        };
        if (1..=FEW).contains(&self.batch) && (0..self.batch).all(few) {
            return;
        }
        if self.batch == 1 {
            let (operands, to, mkn) = ([self.lhs(p, 0), self.rhs(p, 0)], self.target(p, 0), [self.m, self.k, self.n]);
            // SAFETY: the caller's.
            if unsafe { deep::product::<T>(vectors, mkn, operands, to, cost) } {
                return;
            }
        }
        // One does it if all do.
        if self.shares(size_of::<T>()) && (0..self.batch).all(shared) {
            return;
        }
        // Small products go in groups.
        let group = if blocks > 1 { 1 } else { (CUT / 2 / work.max(1)).clamp(1, self.batch.max(1)) };
        threads::for_each((self.batch * blocks).div_ceil(group), cost, &|piece| {
            let first = piece * group;
            let (count, mkn) = (group.min(self.batch * blocks - first), [self.m, self.k, self.n]);
            if blocks == 1 && work <= SMALL {
                let operands = [self.lhs(p, first), self.rhs(p, first)];
                let steps = [self.lhs.batch as isize, self.rhs.batch as isize];
                let products = Products { mkn, count, operands, steps, to: self.target(p, first).at };
                // SAFETY: the caller's.
                if unsafe { T::small(vectors, products) } {
                    return;
                }
            }
            for i in first..first + count {
                let (b, block) = (i / blocks, i % blocks);
                let cut = |size: usize, parts: usize, at: usize, step: usize| {
                    let end = |i: usize| (size.div_ceil(step) * i / parts * step).min(size);
                    end(at)..end(at + 1)
                };
                let of = [cut(self.m, rows, block / cols, 12), cut(self.n, cols, block % cols, 32)];
                // SAFETY: the caller's; blocks are disjoint.
                unsafe { self.block::<T>(vectors, p, b, of) };
            }
        });
    }

    /// The lines of a product with vectors, if they lie side by side along the inner dim.
    fn lines<T: Copy>(&self, p: Pointers) -> Option<by_lines::Lines<T>> {
        let turned = |x: Operand<T>| Operand { row: x.col, col: x.row, ..x };
        let [lhs, rhs] = [self.lhs(p, 0), self.rhs(p, 0)];
        let (m, matrices, vectors) = match (self.m, self.n) {
            (m, 1) => (m, (lhs, self.lhs.batch), (turned(rhs), self.rhs.batch)),
            (1, n) => (n, (turned(rhs), self.rhs.batch), (lhs, self.lhs.batch)),
            (..) => return None,
        };
        let lines = by_lines::Lines { batch: self.batch, m, k: self.k, matrices, vectors, to: self.target(p, 0).at };
        (matrices.0.col == 1 || self.k == 1).then_some(lines)
    }

    /// The left operand of product `b`.
    fn lhs<T>(&self, p: Pointers, b: usize) -> Operand<T> {
        operand(p.0.cast(), &self.lhs, b)
    }

    /// The right operand of product `b`.
    fn rhs<T>(&self, p: Pointers, b: usize) -> Operand<T> {
        operand(p.1.cast(), &self.rhs, b)
    }

    /// The result of product `b`.
    fn target<T>(&self, p: Pointers, b: usize) -> Target<T> {
        Target { at: p.out::<T>().wrapping_add(b * self.m * self.n), row: self.n }
    }

    /// Rows and columns `of` product `b`.
    unsafe fn block<T: Ring>(
        &self,
        vectors: Vectors,
        p: Pointers,
        b: usize,
        [rows, columns]: [std::ops::Range<usize>; 2],
    ) {
        let (lhs, rhs) = (self.lhs(p, b).from(rows.start, 0), self.rhs(p, b).from(0, columns.start));
        let to: Target<T> = self.target(p, b).from(rows.start, columns.start);
        // SAFETY: the caller's; the block lies inside the matrices.
        unsafe { product(vectors, [rows.len(), self.k, columns.len()], lhs, rhs, to, Onto::Nothing) };
    }
}

fn operand<T>(at: *const T, m: &Matrix, b: usize) -> Operand<T> {
    Operand {
        at: at.wrapping_offset((m.offset + b as i64 * m.batch) as isize),
        row: m.row as isize,
        col: m.col as isize,
    }
}

impl Pointers {
    /// Those of operands and a result.
    pub fn of<T>(lhs: *const T, rhs: *const T, out: *mut T) -> Self {
        Pointers(lhs.cast(), rhs.cast(), out.cast())
    }
    /// Its elements.
    pub fn lhs<T>(&self) -> *const T {
        self.0.cast()
    }
    /// Its elements.
    pub fn rhs<T>(&self) -> *const T {
        self.1.cast()
    }
    /// Its elements.
    pub fn out<T>(&self) -> *mut T {
        self.2.cast()
    }
}
