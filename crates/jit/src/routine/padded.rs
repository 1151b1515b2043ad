//! Images with borders of zeros, stored by residues of their positions, as [`super::slide`] reads them.

use std::ops::Range;

use super::Vectors;
use super::convolution::Sizes;
#[cfg(target_arch = "x86_64")]
use super::lanes::{F64x4, Kernel, Lanes};

/// A dim of the padded image: index `i` of residue `r` is position `i · step + residues[r] - front` of the input.
pub struct Dim {
    pub step: usize,
    pub residues: Vec<usize>,
    pub front: usize,
    pub size: usize,
}

/// The strides of the image's dims within the part of one combination of residues, and that part's size.
pub fn strides(dims: &[Dim]) -> (Vec<usize>, usize) {
    let mut strides = vec![0; dims.len()];
    let mut stride = 1;
    for d in (0..dims.len()).rev() {
        strides[d] = stride;
        stride *= dims[d].size;
    }
    (strides, stride)
}

/// The coordinates of `index` in row-major order.
pub fn coordinates(mut index: usize, sizes: impl DoubleEndedIterator<Item = usize>, out: &mut [usize]) {
    for (d, n) in sizes.rev().enumerate() {
        let last = out.len() - 1 - d;
        out[last] = index % n;
        index /= n;
    }
}

/// A copy of one group of channels of an image into its padded form.
pub struct Fill<'a, T> {
    pub s: &'a Sizes,
    pub dims: &'a [Dim],
    /// The lines that are made of the part of each combination of residues.
    pub lines: Range<usize>,
    pub from: *const T,
    pub to: *mut T,
    pub zero: T,
}

impl<T: Copy> Fill<'_, T> {
    /// Makes the lines.
    ///
    /// # Safety
    /// The CPU has the vectors; `from` has `ci` planes of the input, `to` has `ci` padded planes, which nobody else uses.
    pub unsafe fn run(self, vectors: Vectors) {
        // SAFETY: the caller's.
        unsafe {
            match vectors {
                #[cfg(target_arch = "x86_64")]
                Vectors::V256 | Vectors::V512 => F64x4::enabled(self),
                Vectors::Portable => self.of_any_vectors(),
            }
        }
    }

    /// # Safety
    /// As [`Fill::run`].
    #[inline(always)]
    unsafe fn of_any_vectors(self) {
        let Fill { s, dims, lines, from, to, zero } = self;
        let rank = dims.len();
        let (_, part) = strides(dims);
        let parts: usize = dims.iter().map(|d| d.residues.len()).product();
        let x_plane: usize = s.x.iter().product();
        let Some((last, lead)) = dims.split_last() else { return };
        let (mut residues, mut at) = (vec![0; rank], vec![0; rank - 1]);
        for p in 0..s.ci * parts {
            // SAFETY: the caller's.
            unsafe {
                std::slice::from_raw_parts_mut(to.add(p * part + lines.start * last.size), lines.len() * last.size)
            }
            .fill(zero);
        }
        for p in 0..parts {
            coordinates(p, dims.iter().map(|d| d.residues.len()), &mut residues);
            // Indices `low..high` of a line are inside the input.
            let residue = last.residues[residues[rank - 1]];
            let low = last.front.saturating_sub(residue).div_ceil(last.step);
            let high =
                (s.x[rank - 1] + last.front).saturating_sub(residue).div_ceil(last.step).clamp(low, last.size.max(low));
            let begin = low * last.step + residue - last.front;
            if low >= last.size {
                continue;
            }
            coordinates(lines.start, lead.iter().map(|d| d.size), &mut at);
            'line: for l in lines.clone() {
                if l > lines.start {
                    advance(lead, &mut at);
                }
                let mut row = 0;
                for (d, dim) in lead.iter().enumerate() {
                    let u = at[d] * dim.step + dim.residues[residues[d]];
                    match u.checked_sub(dim.front) {
                        Some(x) if x < s.x[d] => row = row * s.x[d] + x,
                        Some(_) | None => continue 'line,
                    }
                }
                for c in 0..s.ci {
                    // SAFETY: the caller's; elements `low..high` stay inside both lines.
                    unsafe {
                        let from = from.add(c * x_plane + row * s.x[rank - 1] + begin);
                        let to = to.add((c * parts + p) * part + l * last.size + low);
                        match last.step {
                            1 => std::ptr::copy_nonoverlapping(from, to, high - low),
                            2 => every_second(from, to, high - low),
                            step => every(step, from, to, high - low),
                        }
                    }
                }
            }
        }
    }
}

/// The next coordinates in row-major order.
fn advance(dims: &[Dim], at: &mut [usize]) {
    for (d, dim) in dims.iter().enumerate().rev() {
        at[d] += 1;
        if at[d] < dim.size {
            return;
        }
        at[d] = 0;
    }
}

/// `to[i] = from[i · step]` for `i < n`.
///
/// # Safety
/// All of these elements exist, and nobody else uses those of `to`.
#[inline(always)]
unsafe fn every<T: Copy>(step: usize, from: *const T, to: *mut T, n: usize) {
    for i in 0..n {
        // SAFETY: the caller's.
        unsafe { *to.add(i) = *from.add(i * step) };
    }
}

/// As [`every`] with step 2, by eights; what is left at the end is an eight that overlaps the one before.
///
/// # Safety
/// As [`every`].
#[inline(always)]
unsafe fn every_second<T: Copy>(from: *const T, to: *mut T, n: usize) {
    const EIGHT: usize = 8;
    let Some(last) = n.checked_sub(EIGHT) else {
        // SAFETY: the caller's.
        return unsafe { every(2, from, to, n) };
    };
    for first in (0..last).step_by(EIGHT).chain([last]) {
        // SAFETY: `first + EIGHT ≤ n`; the second half is read together with the element before it, not with the one behind, which
        // need not exist.
        unsafe {
            let low: [T; EIGHT] = *from.add(2 * first).cast();
            let high: [T; EIGHT] = *from.add(2 * first + EIGHT - 1).cast();
            let picked: [T; EIGHT] =
                std::array::from_fn(|i| if 2 * i < EIGHT { low[2 * i] } else { high[2 * i + 1 - EIGHT] });
            *to.add(first).cast() = picked;
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<T: Copy> Kernel for Fill<'_, T> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { self.of_any_vectors() }
    }
}
