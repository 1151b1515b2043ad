//! Products whose right operand has rows that begin anywhere.

use super::lanes::{Kernel, Lanes};
use super::pack::{pack_rows, parts};
use super::tile::{Places, tile, vectors};
use super::{Left, Onto, Operand, Target};

/// The product of `a` and `b` goes `onto` `c`, where `a` is in panels and row `p` of `b` begins at `b + places[p]`: windows that slide over memory, for instance.
///
/// # Safety
/// The CPU has the vectors; all of these elements exist, those of `b` up to whole vectors, and nobody else uses those of `c`.
pub unsafe fn sliding<L: Lanes>(
    mn: [usize; 2],
    a: Left<L::T>,
    b: *const L::T,
    places: &[usize],
    c: Target<L::T>,
    onto: Onto,
) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Sliding::<L> { mn, a, b: Places { at: b, places }, c, onto }) }
}

struct Sliding<'a, L: Lanes> {
    mn: [usize; 2],
    a: Left<L::T>,
    b: Places<'a, L::T>,
    c: Target<L::T>,
    onto: Onto,
}

impl<L: Lanes> Kernel for Sliding<'_, L> {
    /// # Safety
    /// As [`sliding`].
    #[inline(always)]
    unsafe fn run(self) {
        let Sliding { mn: [m, n], a, b, c, onto } = self;
        let k = b.places.len();
        let width = vectors(m) * L::LANES;
        for j in (0..n).step_by(width) {
            let right = Places { at: b.at.wrapping_add(j), ..b };
            for rows in parts(m, L::ROWS) {
                let mkn = [rows.len(), k, width.min(n - j)];
                let left = Operand { at: a.0.wrapping_add(rows.start * k), row: 1, col: rows.len() as isize };
                // SAFETY: the caller's.
                unsafe { tile::<L, _, _>(mkn, left, right, c.from(rows.start, j), onto) };
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
