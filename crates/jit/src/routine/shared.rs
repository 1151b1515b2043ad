//! Panels of a right operand that several blocks of rows share: packed once, by all threads.
//!
//! Elements are summed in the order of [`super::panel`], however many blocks and threads there are.

use std::marker::PhantomData;
use std::ops::Range;

use super::lanes::{Kernel, Lanes};
use super::pack::{pack_columns, parts, parts_of_width};
use super::panel::{DEPTH, HEIGHT, Rest, Right, by_panels, packing};
use super::{Onto, Operand, PanelSizes, Target};
use crate::frame::with_words;
use crate::memory::Block;
use crate::threads;

/// Bytes of panels that are made at once, unless one part of the inner dim has more.
const AT_ONCE: usize = 4 << 20;
/// Inner elements of a panel of a product of its own: so many that what a tile has summed is added seldom. A panel need not stay in the first-level
/// cache, from the second one it comes as fast as it is multiplied.
const DEEP: usize = 2 * DEPTH;
/// Columns that a piece packs.
const COLUMNS: usize = 128;
/// Tiles of rows of a piece, for which panels come from the third-level cache once: so few that the rows of the result stay in the second-level cache
/// from one part of the inner dim to the next, and that a core that is disturbed leaves much to the other. Measured with 1024³ of `f32`, two threads,
/// in C++: 4,825 µs, 5,350 with eight tiles (and half as much of the inner dim in a part as here: 4,990 and 5,150).
const TILES: usize = 2;
/// Pieces for each thread of which one more or less is little.
const MANY: usize = 4;
/// Bytes of a row of columns of a piece. All of them mostly, so that rows are packed once.
const WIDE_BYTES: usize = 16 << 10;

/// Some parts of the inner dim of `b`, which has `k` rows and `n` columns, with the memory of their panels.
#[derive(Clone, Copy)]
pub struct Panels<L: Lanes> {
    b: Operand<L::T>,
    k: usize,
    n: usize,
    /// The most inner elements of a part.
    depth: usize,
    /// The first part, and the one behind the last.
    parts: (usize, usize),
    room: *mut L::T,
    lanes: PhantomData<L>,
}

impl<L: Lanes> Panels<L> {
    /// Those of the whole inner dim; [`sizes`] says how much `room` they need.
    pub fn whole([k, n]: [usize; 2], b: Operand<L::T>, room: *mut L::T) -> Self {
        Panels { b, k, n, depth: DEPTH, parts: (0, k.div_ceil(DEPTH)), room, lanes: PhantomData }
    }

    /// The inner elements of a part.
    fn part(&self, i: usize) -> Range<usize> {
        parts(self.k, self.depth).nth(i).unwrap_or(self.k..self.k)
    }

    /// Where the panels of a part have `column`, the first of a panel.
    fn panel(&self, part: usize, column: usize) -> *mut L::T {
        let (ps, first) = (self.part(part), self.part(self.parts.0).start);
        self.room.wrapping_add((ps.start - first) * padded::<L>(self.n) + column * ps.len())
    }

    /// Packs one of the pieces of [`sizes`].
    ///
    /// # Safety
    /// The CPU has the vectors; the elements of `b` exist, `room` has those of the panels, and nobody else uses what the piece writes.
    pub unsafe fn pack(self, piece: usize) {
        // SAFETY: the caller's.
        unsafe { L::enabled(Pack { panels: self, piece }) };
    }

    /// `c (+)= a · b` for `m` rows and some columns, the first of which begins a panel, and the packed parts of the inner dim: added unless
    /// they are the first.
    ///
    /// # Safety
    /// The CPU has the vectors; the panels are packed, the elements of `a` exist, and nobody else uses those of `c`.
    pub unsafe fn multiply(self, m: usize, a: Operand<L::T>, columns: Range<usize>, c: Target<L::T>) {
        let (pack_a, _) = packing::<L>([m, self.k, columns.len()], a, self.b);
        let words = if pack_a { (self.depth.min(self.k) * HEIGHT.min(m) * size_of::<L::T>()).div_ceil(8) } else { 0 };
        with_words(words, |words| {
            let room = pack_a.then_some(words.as_mut_ptr().cast());
            // SAFETY: the caller's; the room has the rows that are packed at once.
            unsafe { L::enabled(Multiply { panels: self, m, left: Rest { a, room }, columns, c, is_new: false }) };
        });
    }

    /// As [`Panels::multiply`] for at most the rows of a tile, and packs the panels of these columns.
    ///
    /// # Safety
    /// As [`Panels::multiply`] and [`Panels::pack`].
    pub unsafe fn multiply_new(self, m: usize, a: Operand<L::T>, columns: Range<usize>, c: Target<L::T>) {
        // SAFETY: the caller's.
        unsafe { L::enabled(Multiply { panels: self, m, left: Rest { a, room: None }, columns, c, is_new: true }) };
    }
}

/// Whole panels of `n` columns.
fn padded<L: Lanes>(n: usize) -> usize {
    n.next_multiple_of(2 * L::LANES)
}

/// The panels of a right operand, unless it is read as it lies.
pub fn sizes<L: Lanes>(mkn @ [_, k, n]: [usize; 3], [a, b]: [Operand<L::T>; 2]) -> Option<PanelSizes> {
    let pieces = k.div_ceil(DEPTH) * n.div_ceil(COLUMNS);
    packing::<L>(mkn, a, b).1.then(|| PanelSizes { bytes: k * padded::<L>(n) * size_of::<L::T>(), pieces })
}

/// `c = a · b`, an estimated `cost` in ns; `false`, and nothing done, if `b` is read as it lies.
///
/// # Safety
/// As [`super::panel::product`].
pub unsafe fn product<L: Lanes>(
    mkn @ [m, k, n]: [usize; 3],
    [a, b]: [Operand<L::T>; 2],
    c: Target<L::T>,
    cost: u64,
) -> bool {
    if sizes::<L>(mkn, [a, b]).is_none() {
        return false;
    }
    let size = size_of::<L::T>();
    let widths: Vec<Range<usize>> = parts_of_width(n, WIDE_BYTES / size, 2 * L::LANES).collect();
    // As many for each thread: every element is summed in the same order however many there are.
    let head = m.min(L::ROWS);
    let rest = m - head;
    let tiles = rest.div_ceil(L::ROWS);
    let pieces = tiles.div_ceil(TILES).next_multiple_of(threads::num_threads()).min(tiles);
    // In whole tiles, unless so few of them would make threads unequal.
    let end = |i: usize| {
        if pieces < MANY * threads::num_threads() { rest * i / pieces } else { rest.min(tiles * i / pieces * L::ROWS) }
    };
    let heights: Vec<Range<usize>> = (0..pieces).map(|i| head + end(i)..head + end(i + 1)).collect();
    let chunk = COLUMNS.min((n / (2 * threads::num_threads())).next_multiple_of(2 * L::LANES));
    let chunks: Vec<Range<usize>> = parts_of_width(n, chunk, 2 * L::LANES).collect();
    let count = k.div_ceil(DEEP);
    let at_once = (AT_ONCE / (DEEP * padded::<L>(n) * size)).max(1);
    for first in (0..count).step_by(at_once) {
        let parts = (first, count.min(first + at_once));
        let all = Panels::<L> { parts, depth: DEEP, ..Panels::whole([k, n], b, std::ptr::null_mut()) };
        let inner = all.part(parts.1).start - all.part(first).start;
        let memory = Block::new(inner * padded::<L>(n) * size);
        let shared = Shared { panels: Panels { room: memory.as_ptr().cast(), ..all }, a, c };
        threads::for_each(chunks.len(), cost * head as u64 / m as u64 + (inner * n / 8) as u64, &|piece| {
            let (Shared { panels, a, c }, columns) = (shared.get(), chunks[piece].clone());
            // SAFETY: the caller's; each piece writes panels and a block of its own.
            unsafe { panels.multiply_new(head, a, columns.clone(), c.from(0, columns.start)) };
        });
        threads::for_each(heights.len() * widths.len(), cost, &|piece| {
            let (rows, columns) = (heights[piece / widths.len()].clone(), widths[piece % widths.len()].clone());
            let Shared { panels, a, c } = shared.get();
            let to = c.from(rows.start, columns.start);
            // SAFETY: the caller's; each piece writes a block of its own, and the panels have been packed.
            unsafe { panels.multiply(rows.len(), a.from(rows.start, 0), columns, to) };
        });
    }
    true
}

/// A product with panels of its right operand.
#[derive(Clone, Copy)]
struct Shared<L: Lanes> {
    panels: Panels<L>,
    a: Operand<L::T>,
    c: Target<L::T>,
}
// SAFETY: threads write disjoint panels, then disjoint blocks of the result, and read what was written before.
unsafe impl<L: Lanes> Sync for Shared<L> {}

impl<L: Lanes> Shared<L> {
    /// Through which closures have the whole, that threads may share, and not its pointers.
    fn get(&self) -> Self {
        *self
    }
}

/// A piece of the panels.
struct Pack<L: Lanes> {
    panels: Panels<L>,
    piece: usize,
}

impl<L: Lanes> Kernel for Pack<L> {
    #[inline(always)]
    unsafe fn run(self) {
        let Pack { panels, piece } = self;
        let (across, n) = (panels.n.div_ceil(COLUMNS), panels.n);
        let (part, first) = (panels.parts.0 + piece / across, piece % across * COLUMNS);
        let (ps, columns) = (panels.part(part), COLUMNS.min(n - first));
        let from = panels.b.from(ps.start, first);
        // SAFETY: the caller's; the panels have room for the columns.
        unsafe { pack_columns::<L>(ps.len(), columns, from, panels.panel(part, first)) }
    }
}

/// A block of the result.
struct Multiply<L: Lanes> {
    panels: Panels<L>,
    m: usize,
    left: Rest<L::T>,
    columns: Range<usize>,
    c: Target<L::T>,
    /// Whether the panels are still to be packed.
    is_new: bool,
}

impl<L: Lanes> Kernel for Multiply<L> {
    #[inline(always)]
    unsafe fn run(self) {
        let Multiply { panels, m, left, columns, c, is_new } = self;
        for part in panels.parts.0..panels.parts.1 {
            let ps = panels.part(part);
            let packed = panels.panel(part, columns.start);
            let direct = panels.b.from(ps.start, columns.start);
            let right = Right { depth: ps.len(), columns: columns.len(), whole: 0, direct, packed, is_new };
            let left = Rest { a: left.a.from(0, ps.start), room: left.room };
            // SAFETY: the caller's.
            unsafe { by_panels::<L>(m, left, right, c, Onto::Nothing.after(ps.start)) };
        }
    }
}
