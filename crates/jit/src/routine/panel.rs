//! Matrix products of one block on one thread: register tiles over packed or direct operands.
//!
//! A [`tile`] holds a few rows of two vectors in registers. Operands are packed into panels only where their layout or their size demands it, so
//! that small products cost no set-up: measured against the `gemm` crate, 64³ of `f32` 91 to 82 GFLOP/s, 16³ 44 to 30 (12 where the right operand
//! is transposed), large ones the same. Whatever does not divide evenly is cut into nearly equal parts. The inner dim is cut by its size
//! only: the order of additions does not depend on how a product is divided among threads.

use std::marker::PhantomData;

use super::lanes::{Kernel, Lanes};
use super::pack::{pack_columns, pack_rows, parts, parts_of_width};
use super::tile::{Copied, Even, tile};
use super::vector::{across, is_across};
use super::{FAR_ROWS, Onto, Operand, Target, WIDTH_BYTES, transpose};
use crate::frame::with_words;

/// Inner elements of a packed panel.
pub const DEPTH: usize = 256;
/// Rows that are packed at once: their panels stay in the second-level cache.
pub const HEIGHT: usize = 192;
/// Bytes of an operand that stay in the first-level cache.
const NEAR: usize = 24 << 10;

/// The product of `a` and `b` goes `onto` `c`.
///
/// # Safety
/// The CPU has the vectors; the operands have the elements of `[m, k]` and `[k, n]`, and `c` those of `[m, n]`, which nobody else uses.
pub unsafe fn product<L: Lanes>(mkn: [usize; 3], a: Operand<L::T>, b: Operand<L::T>, c: Target<L::T>, onto: Onto) {
    // SAFETY: the caller's.
    unsafe {
        let ([m, k, n], of_rows) = (mkn, Operand { at: a.at, row: a.col, col: a.row });
        if onto == Onto::Nothing && is_across(mkn, b) {
            across::<L>([k, n], a, b, c);
        } else if onto == Onto::Nothing && c.row == 1 && is_across([n, k, m], of_rows) {
            // The transposed product of a column, whose elements follow one another in the result too.
            across::<L>([k, m], Operand { at: b.at, row: b.col, col: b.row }, of_rows, c);
        } else if onto == Onto::Nothing && is_turned::<L>(mkn, b) {
            turned::<L>(mkn, a, b, c);
        } else {
            straight::<L>(mkn, a, b, c, onto);
        }
    }
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
    onto: Onto,
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
        unsafe { L::enabled(Block::<L> { mkn, a, b, c, onto, room, lanes: PhantomData }) }
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
                straight::<L>([js.len(), k, m], left, right, Target { at: room, row: m }, Onto::Nothing);
                let to = c.from(0, js.start);
                transpose::in_squares::<L>([js.len(), m], room.cast_const(), m as isize, to.at, to.row);
            }
        }
    });
}

/// Whether the left and the right operand are packed.
pub fn packing<L: Lanes>([m, k, n]: [usize; 3], a: Operand<L::T>, b: Operand<L::T>) -> (bool, bool) {
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
    onto: Onto,
    room: *mut L::T,
    lanes: PhantomData<L>,
}

impl<L: Lanes> Kernel for Block<L> {
    /// # Safety
    /// As [`product`]; `room` holds `DEPTH` rows of the columns, in whole pairs of vectors, and of `HEIGHT` rows.
    #[inline(always)]
    unsafe fn run(self) {
        let Block { mkn: [m, k, n], a, b, c, onto, room, lanes: _ } = self;
        let width = 2 * L::LANES;
        let (pack_a, pack_b) = packing::<L>([m, k, n], a, b);
        for js in parts_of_width(n, WIDTH_BYTES / size_of::<L::T>(), width) {
            let columns = js.len();
            for ps in parts(k, DEPTH) {
                let depth = ps.len();
                // What is read in place; never the last columns, where a vector would reach beyond the matrix.
                let whole = if pack_b { 0 } else { columns / L::LANES * L::LANES };
                let direct = b.from(ps.start, js.start);
                let right = Right { depth, columns, whole, direct, packed: room, is_new: true };
                let left = Rest {
                    a: a.from(0, ps.start),
                    room: pack_a.then_some(room.wrapping_add(depth * columns.next_multiple_of(width))),
                };
                // SAFETY: `room` holds the panels of both operands.
                unsafe {
                    by_panels::<L>(m, left, right, c.from(0, js.start), onto.after(ps.start));
                }
            }
        }
        if k == 0 && onto == Onto::Nothing {
            for i in 0..m {
                // SAFETY: the row is `c`'s.
                unsafe { std::slice::from_raw_parts_mut(c.from(i, 0).at, n) }.fill(L::T::default());
            }
        }
    }
}

/// `depth` rows of a right operand: the first `whole` columns in place, the others in panels of two vectors.
#[derive(Clone, Copy)]
pub struct Right<T> {
    pub depth: usize,
    pub columns: usize,
    pub whole: usize,
    pub direct: Operand<T>,
    pub packed: *mut T,
    /// Whether the panels are still to be packed.
    pub is_new: bool,
}

/// A left operand, with memory for `HEIGHT` rows of it if they are packed.
#[derive(Clone, Copy)]
pub struct Rest<T> {
    pub a: Operand<T>,
    pub room: Option<*mut T>,
}

/// The product of `m` rows of a left operand and `b` goes `onto` `c`.
///
/// # Safety
/// The CPU has the vectors; the elements exist, panels are padded to whole vectors, and nobody else uses `c` and the memory of the left one.
#[inline(always)]
pub unsafe fn by_panels<L: Lanes>(m: usize, left: Rest<L::T>, b: Right<L::T>, c: Target<L::T>, onto: Onto) {
    let (width, depth) = (2 * L::LANES, b.depth);
    for is in parts_of_width(m, HEIGHT, L::ROWS) {
        let a = left.a.from(is.start, 0);
        if let Some(room) = left.room {
            // SAFETY: the caller's.
            unsafe { pack_rows::<L>(is.len(), depth, a, room) };
        }
        let mut j = 0;
        while j < b.columns {
            let (direct, packed) = (b.direct.from(0, j), b.packed.wrapping_add(j.saturating_sub(b.whole) * depth));
            let (count, panel) = if j < b.whole {
                (width.min(b.whole - j), Even::apart(direct.at, direct.row))
            } else {
                (width.min(b.columns - j), Even::panel(packed.cast_const(), width as isize))
            };
            // The first tile packs what is read as vectors anyway.
            let is_new = b.is_new && j >= b.whole && is.start == 0;
            let copied =
                (is_new && direct.col == 1 && count == width).then_some(Copied { from: direct, to: packed, width });
            if is_new && copied.is_none() {
                // SAFETY: the caller's.
                unsafe { pack_columns::<L>(depth, count, direct, packed) };
            }
            for rows in parts(is.len(), L::ROWS) {
                let height = rows.len();
                let left = match left.room {
                    Some(room) => {
                        let at = room.wrapping_add(rows.start * depth).cast_const();
                        Operand { at, row: 1, col: height as isize }
                    }
                    None => a.from(rows.start, 0),
                };
                let (mkn, to) = ([height, depth, count], c.from(is.start + rows.start, j));
                // SAFETY: the tile lies inside the operands or the packed panels.
                unsafe {
                    match copied {
                        Some(copied) if rows.start == 0 => tile::<L, _, _>(mkn, left, copied, to, onto),
                        Some(_) | None => tile::<L, _, _>(mkn, left, panel, to, onto),
                    }
                }
            }
            j += count;
        }
    }
}
