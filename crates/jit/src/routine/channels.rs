//! Products of windows that slide over memory, turned: the lanes of a vector are channels of the result, the rows of a tile are positions.
//!
//! As many positions as a line has are computed, where [`super::sliding`] computes whole vectors of them, and those between lines that it joins.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Kernel, Lanes};
#[cfg(target_arch = "x86_64")]
use super::pack::{pack_columns, parts};
#[cfg(target_arch = "x86_64")]
use super::tile::{Apart, Places, tile};
#[cfg(target_arch = "x86_64")]
use super::{Onto, Operand, Target, transpose};

/// The channels and elements of the kernel that a line meets inside of the image: beside it are zeros, and nothing is added for them.
#[derive(Default)]
pub struct Meets {
    /// Where what each of them meets begins, relative to the line's place.
    pub places: Vec<usize>,
    /// Where their weights are in a panel.
    pub weights: Vec<usize>,
}

/// A line of the result.
#[derive(Clone, Copy)]
pub struct Line {
    /// Its place in the image and in the result's plane.
    pub image: usize,
    pub to: usize,
    /// Its positions.
    pub count: usize,
    /// Which of [`Turned::meets`] it meets.
    pub meets: usize,
}

/// Lines of the result of a convolution, all their channels.
pub struct Turned<'a, T> {
    /// The channels of the result.
    pub co: usize,
    /// The weights as [`pack`] makes them, and the rows of each channel's.
    pub panels: *const T,
    pub inner: usize,
    pub image: *const T,
    /// How far positions of a line are apart there.
    pub apart: usize,
    /// What lines meet.
    pub meets: &'a [Meets],
    pub lines: &'a [Line],
    /// Room for the longest line, of two vectors each position.
    pub sums: *mut T,
    /// The result's first channel, how far channels are apart, and positions.
    pub to: *mut T,
    pub plane: usize,
    pub step: usize,
}

/// The weights of `co` channels, which have `k` rows each, as panels of two vectors of channels.
///
/// # Safety
/// The CPU has the vectors; `w` has as many elements, and `to` has room for them and for whole pairs of vectors, which nobody else uses.
#[cfg(target_arch = "x86_64")]
pub unsafe fn pack<L: Lanes>([k, co]: [usize; 2], w: Operand<L::T>, to: *mut L::T) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Pack::<L> { k, co, w, to }) }
}

#[cfg(target_arch = "x86_64")]
struct Pack<L: Lanes> {
    k: usize,
    co: usize,
    w: Operand<L::T>,
    to: *mut L::T,
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> Kernel for Pack<L> {
    /// # Safety
    /// As [`pack`].
    #[inline(always)]
    unsafe fn run(self) {
        let Pack { k, co, w, to } = self;
        // SAFETY: the caller's.
        unsafe { pack_columns::<L>(k, co, w, to) }
    }
}

/// Computes the lines: of all of them the channels of one panel, which stays in a cache, before those of the next.
///
/// # Safety
/// The CPU has the vectors; all elements of the lines and of the image that they meet exist, and nobody else uses the result's and the sums.
#[cfg(target_arch = "x86_64")]
pub unsafe fn turned<L: Lanes>(turned: &Turned<L::T>) {
    let Turned { co, panels, inner, image, apart, meets, lines, sums, to, plane, step } = *turned;
    let width = 2 * L::LANES;
    for first in (0..co).step_by(width) {
        let (count, panel) = (width.min(co - first), panels.wrapping_add(first * inner));
        for line in lines {
            let Meets { places, weights } = &meets[line.meets];
            let right = Places { at: panel, places: weights };
            for rows in parts(line.count, L::ROWS) {
                let left = Places { at: image.wrapping_add(line.image + rows.start * apart), places };
                let target = Target { at: sums.wrapping_add(rows.start * width), row: width };
                let mkn = [rows.len(), places.len(), count];
                // SAFETY: the caller's.
                unsafe {
                    if apart == 1 {
                        tile::<L, _, _>(mkn, left, right, target, Onto::Nothing);
                    } else {
                        let left = Apart { of: left, apart: apart as isize };
                        tile::<L, _, _>(mkn, left, right, target, Onto::Nothing);
                    }
                }
            }
            let to = to.wrapping_add(first * plane + line.to);
            // SAFETY: the caller's; what is read was written above.
            unsafe {
                if step == 1 {
                    transpose::in_squares::<L>([line.count, count], sums.cast_const(), width as isize, to, plane);
                } else {
                    for (o, i) in (0..count).flat_map(|o| (0..line.count).map(move |i| (o, i))) {
                        *to.add(o * plane + i * step) = *sums.add(i * width + o);
                    }
                }
            }
        }
    }
}
