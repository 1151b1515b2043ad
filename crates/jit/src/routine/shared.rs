//! Large products whose rows are cut: threads pack the right operand together, and all blocks share its panels.
//!
//! Elements are summed in the order of [`super::panel`], however many threads there are.

use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use super::pack::{pack_columns, parts, parts_of_width};
use super::panel::{DEPTH, HEIGHT, Rest, Right, by_panels, packing};
use super::{Operand, Target, WIDTH_BYTES};
use crate::frame::with_words;
use crate::memory::Block;
use crate::threads;

/// Bytes of panels that are made at once, unless one part of the inner dim has more.
const AT_ONCE: usize = 4 << 20;
/// Columns that a piece packs.
const COLUMNS: usize = 128;

/// `c = a · b` in about as many `blocks`, an estimated `cost` in ns; `false`, and nothing done, if `b` is read as it lies.
///
/// # Safety
/// As [`super::panel::product`].
pub unsafe fn product<L: Lanes>(
    mkn @ [m, k, n]: [usize; 3],
    [a, b]: [Operand<L::T>; 2],
    c: Target<L::T>,
    blocks: usize,
    cost: u64,
) -> bool {
    let (pack_a, pack_b) = packing::<L>(mkn, a, b);
    if !pack_b {
        return false;
    }
    let (width, size) = (2 * L::LANES, size_of::<L::T>());
    let padded = n.next_multiple_of(width);
    let widths: Vec<Range<usize>> = parts_of_width(n, WIDTH_BYTES / size, width).collect();
    let height = m.div_ceil(blocks.div_ceil(widths.len().max(1))).next_multiple_of(L::ROWS);
    let heights: Vec<Range<usize>> = parts_of_width(m, height, L::ROWS).collect();
    let depths: Vec<Range<usize>> = parts(k, DEPTH).collect();
    for depths in depths.chunks((AT_ONCE / (DEPTH * padded * size)).max(1)) {
        let inner: usize = depths.iter().map(Range::len).sum();
        let memory = Block::new(inner * padded * size);
        let shared = Shared::<L> { a, b, c, pack_a, padded, depths, room: memory.as_ptr().cast() };
        let pieces = n.div_ceil(COLUMNS);
        threads::for_each(depths.len() * pieces, (inner * n / 8) as u64, &|piece| {
            let first = piece % pieces * COLUMNS;
            let (depth, columns) = (piece / pieces, first..n.min(first + COLUMNS));
            // SAFETY: the caller's; each piece writes panels of its own.
            unsafe { L::enabled(Pack { shared: &shared, depth, columns }) };
        });
        threads::for_each(heights.len() * widths.len(), cost, &|piece| {
            let (rows, columns) = (heights[piece / widths.len()].clone(), widths[piece % widths.len()].clone());
            let words = if pack_a { (DEPTH.min(k) * HEIGHT.min(m) * size).div_ceil(8) } else { 0 };
            with_words(words, |words| {
                let room = words.as_mut_ptr().cast();
                // SAFETY: the caller's; each piece writes a block of its own, and the panels have been packed.
                unsafe { L::enabled(Multiply { shared: &shared, rows, columns, room }) };
            });
        });
    }
    true
}

/// A product with the panels of some parts of its inner dim.
struct Shared<'a, L: Lanes> {
    a: Operand<L::T>,
    b: Operand<L::T>,
    c: Target<L::T>,
    pack_a: bool,
    /// The columns of `b`, in whole panels.
    padded: usize,
    depths: &'a [Range<usize>],
    room: *mut L::T,
}
// SAFETY: threads write disjoint panels, then disjoint blocks of the result, and read what was written before.
unsafe impl<L: Lanes> Sync for Shared<'_, L> {}

impl<L: Lanes> Shared<'_, L> {
    /// Where the panels of one of the `depths` have `column`, the first of a panel.
    fn panel(&self, depth: usize, column: usize) -> *mut L::T {
        let ps = &self.depths[depth];
        self.room.wrapping_add((ps.start - self.depths[0].start) * self.padded + column * ps.len())
    }
}

/// Columns of one of the depths, to their panels.
struct Pack<'a, L: Lanes> {
    shared: &'a Shared<'a, L>,
    depth: usize,
    columns: Range<usize>,
}

impl<L: Lanes> Kernel for Pack<'_, L> {
    #[inline(always)]
    unsafe fn run(self) {
        let Pack { shared, depth, columns } = self;
        let ps = &shared.depths[depth];
        let from = shared.b.from(ps.start, columns.start);
        // SAFETY: the caller's; the panels have room for the columns.
        unsafe { pack_columns::<L>(ps.len(), columns.len(), from, shared.panel(depth, columns.start)) }
    }
}

/// A block of the result; `room` is for rows of the left operand, if they are packed.
struct Multiply<'a, L: Lanes> {
    shared: &'a Shared<'a, L>,
    rows: Range<usize>,
    columns: Range<usize>,
    room: *mut L::T,
}

impl<L: Lanes> Kernel for Multiply<'_, L> {
    #[inline(always)]
    unsafe fn run(self) {
        let Multiply { shared, rows, columns, room } = self;
        for (depth, ps) in shared.depths.iter().enumerate() {
            let packed = shared.panel(depth, columns.start).cast_const();
            let direct = shared.b.from(ps.start, columns.start);
            let right = Right { depth: ps.len(), columns: columns.len(), whole: 0, direct, packed };
            let left = Rest { a: shared.a.from(rows.start, ps.start), room: shared.pack_a.then_some(room) };
            // SAFETY: the caller's.
            unsafe { by_panels::<L>(rows.len(), left, right, shared.c.from(rows.start, columns.start), ps.start > 0) };
        }
    }
}
