//! The tiles of [convolutions with long sums](super).

#[cfg(target_arch = "x86_64")]
use super::super::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use super::super::pack::parts;
#[cfg(target_arch = "x86_64")]
use super::super::tile::{Even, Places, tile};
use super::super::weights::Form;
#[cfg(target_arch = "x86_64")]
use super::super::{Onto, Operand, Target};
#[cfg(target_arch = "x86_64")]
use super::bands::Chunk;

/// Sums for images of a block and some channels of the result.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "portable code has another form"))]
pub struct Sums<'a, T> {
    pub form: Form,
    pub images: usize,
    pub channels: usize,
    /// The positions of a line of the result, and how far their windows are apart, in images.
    pub along: usize,
    pub apart: usize,
    /// Where the windows of the lines begin, in images.
    pub leads: &'a [usize],
    /// The block, and where the windows of kernel elements begin.
    pub windows: *const T,
    /// How far bands are apart in it.
    pub slot: usize,
    pub places: &'a [usize],
    /// The kernel's elements, `step` apart, for each all channels.
    pub kernels: *const T,
    pub step: usize,
    /// The sums: `[channels, positions, images]`, or where channels are lanes `[positions, images, step]`.
    pub to: *mut T,
    /// Whether nothing has been added yet.
    pub is_first: bool,
}

/// Adds the products of some kernel elements.
///
/// # Safety
/// The CPU has the vectors; windows and kernels of these elements exist, windows up to whole vectors, and nobody else uses the sums.
#[cfg(target_arch = "x86_64")]
pub unsafe fn long<L: Lanes>(all: &Sums<L::T>, chunks: &[Chunk]) {
    let Sums { form, images, channels, along, apart, leads, windows, slot, places, kernels, step, to, is_first } = *all;
    // Windows of neighbouring positions are one piece where nothing is between them.
    let (segments, len) = if apart == 1 { (1, along * images) } else { (along, images) };
    let (width, taps) = (2 * L::LANES, leads.len() * along);
    for (i, chunk) in chunks.iter().enumerate() {
        let count = chunk.of.len();
        let onto = if is_first && i == 0 { Onto::Nothing } else { Onto::Sum };
        let (places, kernels) = (&places[chunk.of.clone()], kernels.wrapping_add(chunk.first * step));
        let windows = windows.wrapping_add(chunk.slot * slot);
        for (i, segment) in leads.iter().flat_map(|lead| (0..segments).map(move |s| lead + s * apart)).enumerate() {
            let (from, sums) = (windows.wrapping_add(segment * images), i * len);
            match form {
                Form::Positions => {
                    let left = Operand { at: kernels, row: 1, col: step as isize };
                    for j in (0..len).step_by(width) {
                        let right = Places { at: from.wrapping_add(j), places };
                        let target = Target { at: to.wrapping_add(sums + j), row: taps * images };
                        // SAFETY: the caller's.
                        unsafe { tile::<L, _, _>([channels, count, width.min(len - j)], left, right, target, onto) };
                    }
                }
                Form::Channels => {
                    let right = Even::panel(kernels, step as isize);
                    for rows in parts(len, L::ROWS) {
                        let left = Places { at: from.wrapping_add(rows.start), places };
                        let target = Target { at: to.wrapping_add((sums + rows.start) * step), row: step };
                        // SAFETY: the caller's.
                        unsafe { tile::<L, _, _>([rows.len(), count, channels], left, right, target, onto) };
                    }
                }
            }
        }
    }
}
