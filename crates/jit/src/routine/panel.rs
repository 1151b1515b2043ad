//! Matrix products of one block on one thread: register tiles over packed or direct operands.
//!
//! A [`tile`] holds a few rows of two vectors in registers. Operands are packed into panels only where their layout or their size demands it, so
//! that small products cost no set-up: measured against the `gemm` crate, 64³ of `f32` 91 to 82 GFLOP/s, 16³ 44 to 30 (12 where the right operand
//! is transposed), large ones the same. Whatever does not divide evenly is cut into nearly equal parts. The inner dim is cut by its size
//! only: the order of additions does not depend on how a product is divided among threads.

use std::marker::PhantomData;
use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use super::tile::{Even, Places, tile};
use super::{FAR_ROWS, Left, Operand, Target, transpose};
use crate::frame::with_words;

/// Inner elements of a packed panel.
const DEPTH: usize = 256;
/// Rows that are packed at once: their panels stay in the second-level cache.
const HEIGHT: usize = 192;
/// Bytes of a row of columns that are packed at once.
const WIDTH_BYTES: usize = 2048;
/// Bytes of an operand that stay in the first-level cache.
const NEAR: usize = 24 << 10;

/// `0..n` in the fewest nearly equal parts of at most `most`.
fn parts(n: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = n.div_ceil(most);
    (0..count).map(move |i| i * n / count..(i + 1) * n / count)
}

/// `c (+)= a · b`.
///
/// # Safety
/// The CPU has the vectors; the operands have the elements of `[m, k]` and `[k, n]`, and `c` those of `[m, n]`, which nobody else uses.
pub unsafe fn product<L: Lanes>(mkn: [usize; 3], a: Operand<L::T>, b: Operand<L::T>, c: Target<L::T>, add: bool) {
    // SAFETY: the caller's.
    unsafe { if !add && is_turned::<L>(mkn, b) { turned::<L>(mkn, a, b, c) } else { straight::<L>(mkn, a, b, c, add) } }
}

/// As [`product`], of the operands as they are.
///
/// # Safety
/// As [`product`].
unsafe fn straight<L: Lanes>(
    mkn @ [m, k, n]: [usize; 3],
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
    add: bool,
) {
    let size = size_of::<L::T>();
    let depth = k.min(DEPTH);
    let columns = n.min(WIDTH_BYTES / size).next_multiple_of(2 * L::LANES);
    // A cache line more, so that panels can begin at one.
    let bytes = depth * (columns + m.min(HEIGHT)) * size + 64;
    with_words(bytes.div_ceil(8), |words| {
        let at = words.as_mut_ptr().cast::<u8>();
        let room = at.wrapping_add(at.align_offset(64)).cast();
        // SAFETY: the caller's; `room` has the elements that packing needs.
        unsafe { L::enabled(Block::<L> { mkn, a, b, c, add, room, lanes: PhantomData }) }
    });
}

/// Whether the transposed product is cheaper: its right operand is packed, which has fewer elements, its left one is read as it lies, and
/// its result, which is copied, is small beside them. Measured with 64 rows, 784 inner elements and 512 columns: 108 to 102 GFLOP/s.
fn is_turned<L: Lanes>([m, k, n]: [usize; 3], b: Operand<L::T>) -> bool {
    b.col != 1 && b.row == 1 && m >= L::LANES && 2 * m <= n && 4 * m <= k
}

/// `cᵀ = bᵀ · aᵀ`, block by block through memory of its own.
///
/// # Safety
/// As [`product`].
unsafe fn turned<L: Lanes>([m, k, n]: [usize; 3], a: Operand<L::T>, b: Operand<L::T>, c: Target<L::T>) {
    let height = n.min(HEIGHT);
    with_words((height * m * size_of::<L::T>()).div_ceil(8), |words| {
        let room: *mut L::T = words.as_mut_ptr().cast();
        for js in parts_of_width(n, HEIGHT, L::ROWS) {
            let left = Operand { at: b.from(0, js.start).at, row: b.col, col: b.row };
            let right = Operand { at: a.at, row: a.col, col: a.row };
            // SAFETY: the caller's; `room` has as many elements as the block.
            unsafe {
                straight::<L>([js.len(), k, m], left, right, Target { at: room, row: m }, false);
                let to = c.from(0, js.start);
                transpose::in_squares::<L>([js.len(), m], room.cast_const(), m as isize, to.at, to.row);
            }
        }
    });
}

/// Whether the left and the right operand are packed.
fn packing<L: Lanes>([m, k, n]: [usize; 3], a: Operand<L::T>, b: Operand<L::T>) -> (bool, bool) {
    let (size, width, depth) = (size_of::<L::T>(), 2 * L::LANES, k.min(DEPTH));
    let is_far = |stride: isize| stride.unsigned_abs() * depth * size > NEAR;
    let strided = a.col != 1 && is_far(a.col) && n > 2 * width;
    let shared_sets = a.row.unsigned_abs() * size >= FAR_ROWS && n > 8 * width;
    (strided || shared_sets, b.col != 1 || (m > 2 * L::ROWS && is_far(b.row)))
}

/// A product with memory for its panels.
struct Block<L: Lanes> {
    mkn: [usize; 3],
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
    add: bool,
    room: *mut L::T,
    lanes: PhantomData<L>,
}

impl<L: Lanes> Kernel for Block<L> {
    /// # Safety
    /// As [`product`]; `room` holds `DEPTH` rows of the columns, in whole pairs of vectors, and of `HEIGHT` rows.
    #[inline(always)]
    unsafe fn run(self) {
        let Block { mkn: [m, k, n], a, b, c, add, room, lanes: _ } = self;
        let width = 2 * L::LANES;
        let (pack_a, pack_b) = packing::<L>([m, k, n], a, b);
        for js in parts_of_width(n, WIDTH_BYTES / size_of::<L::T>(), width) {
            let columns = js.len();
            for ps in parts(k, DEPTH) {
                let depth = ps.len();
                let packed_a = room.wrapping_add(depth * columns.next_multiple_of(width));
                // What is read in place; never the last columns, where a vector would reach beyond the matrix.
                let whole = if pack_b { 0 } else { columns / L::LANES * L::LANES };
                // SAFETY: `room` holds the panels of both operands.
                unsafe { pack_columns::<L>(depth, columns - whole, b.from(ps.start, js.start + whole), room) };
                for is in parts_of_width(m, HEIGHT, L::ROWS) {
                    if pack_a {
                        // SAFETY: as above.
                        unsafe { pack_rows::<L>(is.len(), depth, a.from(is.start, ps.start), packed_a) };
                    }
                    let mut j = 0;
                    while j < columns {
                        let (count, panel) = if j < whole {
                            (width.min(whole - j), Even { at: b.from(ps.start, js.start + j).at, row: b.row })
                        } else {
                            let at = room.wrapping_add((j - whole) * depth);
                            (width.min(columns - j), Even { at: at.cast_const(), row: width as isize })
                        };
                        for rows in parts(is.len(), L::ROWS) {
                            let height = rows.len();
                            let left = if pack_a {
                                let at = packed_a.wrapping_add(rows.start * depth).cast_const();
                                Operand { at, row: 1, col: height as isize }
                            } else {
                                a.from(is.start + rows.start, ps.start)
                            };
                            let to = c.from(is.start + rows.start, js.start + j);
                            let add = add || ps.start > 0;
                            // SAFETY: the tile lies inside the operands or the packed panels, which are padded to whole vectors.
                            unsafe { tile::<L, _>([height, depth, count], left, panel, to, add) };
                        }
                        j += count;
                    }
                }
            }
        }
        if k == 0 && !add {
            for i in 0..m {
                // SAFETY: the row is `c`'s.
                unsafe { std::slice::from_raw_parts_mut(c.from(i, 0).at, n) }.fill(L::T::default());
            }
        }
    }
}

/// As [`parts`], each but the last a multiple of `width`.
fn parts_of_width(n: usize, most: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    parts(n.div_ceil(width), most / width).map(move |r| r.start * width..n.min(r.end * width))
}

/// `c (+)= a · b` where `a` is in panels and row `p` of `b` begins at `b + places[p]`: windows that slide over memory, for instance.
///
/// # Safety
/// The CPU has the vectors; all of these elements exist, those of `b` up to whole vectors, and nobody else uses those of `c`.
pub unsafe fn sliding<L: Lanes>(
    mn: [usize; 2],
    a: Left<L::T>,
    b: *const L::T,
    places: &[usize],
    c: Target<L::T>,
    add: bool,
) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Sliding::<L> { mn, a, b: Places { at: b, places }, c, add }) }
}

struct Sliding<'a, L: Lanes> {
    mn: [usize; 2],
    a: Left<L::T>,
    b: Places<'a, L::T>,
    c: Target<L::T>,
    add: bool,
}

impl<L: Lanes> Kernel for Sliding<'_, L> {
    /// # Safety
    /// As [`sliding`].
    #[inline(always)]
    unsafe fn run(self) {
        let Sliding { mn: [m, n], a, b, c, add } = self;
        let k = b.places.len();
        for j in (0..n).step_by(2 * L::LANES) {
            let right = Places { at: b.at.wrapping_add(j), ..b };
            for rows in parts(m, L::ROWS) {
                let mkn = [rows.len(), k, (2 * L::LANES).min(n - j)];
                let left = Operand { at: a.0.wrapping_add(rows.start * k), row: 1, col: rows.len() as isize };
                // SAFETY: the caller's.
                unsafe { tile::<L, _>(mkn, left, right, c.from(rows.start, j), add) };
            }
        }
    }
}

/// The panels of all rows of `a`, which has `m` rows and `k` columns.
///
/// # Safety
/// The CPU has the vectors; the elements exist, `to` has room for as many, and nobody else uses it.
pub unsafe fn pack<L: Lanes>(mk: [usize; 2], a: Operand<L::T>, to: *mut L::T) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Pack::<L> { mk, a, to }) }
}

struct Pack<L: Lanes> {
    mk: [usize; 2],
    a: Operand<L::T>,
    to: *mut L::T,
}

impl<L: Lanes> Kernel for Pack<L> {
    /// # Safety
    /// As [`pack`].
    #[inline(always)]
    unsafe fn run(self) {
        let Pack { mk: [m, k], a, to } = self;
        // SAFETY: the caller's.
        unsafe { pack_rows::<L>(m, k, a, to) }
    }
}

/// Columns `0..n` of `b` as panels of two vectors, `k` rows each, padded with zeros.
///
/// # Safety
/// The CPU has the vectors; `b` has the elements of `[k, n]`, and `to` has room for the padded panels.
#[inline(always)]
unsafe fn pack_columns<L: Lanes>(k: usize, n: usize, b: Operand<L::T>, to: *mut L::T) {
    let (lanes, width) = (L::LANES, 2 * L::LANES);
    for first in (0..n).step_by(width) {
        let count = width.min(n - first);
        let from = b.from(0, first);
        // SAFETY: `to` has room for the padded panels; what is read is inside `b`.
        unsafe {
            let to = to.add(first * k);
            if b.col == 1 {
                let rest = count.saturating_sub(lanes);
                for p in 0..k {
                    let row = from.from(p, 0).at;
                    let to = to.add(p * width);
                    if count == width {
                        L::load(row).store(to);
                        L::load(row.add(lanes)).store(to.add(lanes));
                    } else {
                        L::load_first(row, count.min(lanes)).store(to);
                        L::load_first(row.wrapping_add(lanes), rest).store(to.add(lanes));
                    }
                }
                continue;
            }
            let mut p = 0;
            if count == width && b.row == 1 {
                while p + L::SQUARE <= k {
                    for j in (0..width).step_by(L::SQUARE) {
                        L::transpose(from.from(p, j).at, b.col, to.add(p * width + j), width);
                    }
                    p += L::SQUARE;
                }
            }
            while p < k {
                for j in 0..width {
                    *to.add(p * width + j) = if j < count { *from.from(p, j).at } else { L::T::default() };
                }
                p += 1;
            }
        }
    }
}

/// Rows `0..m` of `a` as panels of the tiles' rows, `k` columns each.
///
/// # Safety
/// The CPU has the vectors; `a` has the elements of `[m, k]`, and `to` has room for as many.
#[inline(always)]
unsafe fn pack_rows<L: Lanes>(m: usize, k: usize, a: Operand<L::T>, to: *mut L::T) {
    for rows in parts(m, L::ROWS) {
        let (from, to, count) = (a.from(rows.start, 0), to.wrapping_add(rows.start * k), rows.len());
        // SAFETY: `to` has room for all panels; what is read is inside `a`.
        unsafe {
            if a.col == 1 && count >= 4 && k >= 4 {
                for p in squares(k) {
                    for i in squares(count) {
                        L::transpose_4(from.from(i, p).at, a.row, to.add(p * count + i), count);
                    }
                }
                continue;
            }
            for p in 0..k {
                for i in 0..count {
                    *to.add(p * count + i) = *from.from(i, p).at;
                }
            }
        }
    }
}

/// Where squares of 4 begin that cover `0..n`, of which the last may overlap another.
fn squares(n: usize) -> impl Iterator<Item = usize> {
    (0..n.div_ceil(4)).map(move |i| (4 * i).min(n - 4))
}
