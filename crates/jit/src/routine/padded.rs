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
        let along = last.residues.len();
        let inside: Vec<_> = last.residues.iter().map(|r| last.inside(*r, s.x[rank - 1])).collect();
        for p in (0..parts).step_by(along) {
            coordinates(p, dims.iter().map(|d| d.residues.len()), &mut residues);
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
                    let from = from.wrapping_add(c * x_plane + row * s.x[rank - 1]);
                    let to = to.wrapping_add((c * parts + p) * part + l * last.size);
                    // SAFETY: the caller's; the line has as many elements as the input's last dim, and those of each residue are in its part.
                    unsafe { last.split(from, to, part, &inside) };
                }
            }
        }
    }
}

impl Dim {
    /// The indices of a residue that are inside a line of `n` elements, and the element at the first of them.
    fn inside(&self, residue: usize, n: usize) -> (Range<usize>, usize) {
        let low = self.front.saturating_sub(residue).div_ceil(self.step).min(self.size);
        let high = (n + self.front).saturating_sub(residue).div_ceil(self.step).clamp(low, self.size);
        (low..high, (low * self.step + residue).saturating_sub(self.front))
    }

    /// The elements of a line go to the lines of their residues, which are `part` elements apart; `inside` is what [`Dim::inside`] says of each.
    ///
    /// # Safety
    /// `from` has the elements, and there is room for this dim's size at each residue's line, which nobody else uses.
    #[inline(always)]
    unsafe fn split<T: Copy>(&self, from: *const T, to: *mut T, part: usize, inside: &[(Range<usize>, usize)]) {
        // SAFETY: the caller's: the indices are inside the dim's size, and the elements inside the line.
        unsafe {
            if let (2, [(even, first), (odd, second)]) = (self.step, inside) {
                let (first, second) = (*first, *second);
                // An odd border leaves an element of residue 1 alone in front, and an odd end one of residue 0 behind.
                let (x, y) = (to.wrapping_add(even.start), to.wrapping_add(part + odd.start));
                if second < first && !odd.is_empty() {
                    *y = *from.add(second);
                }
                let y = to.wrapping_add(part + even.start);
                let pairs = even.len().min(odd.end.saturating_sub(even.start));
                halves(from.wrapping_add(first), x, y, pairs);
                if pairs < even.len() {
                    *x.wrapping_add(pairs) = *from.wrapping_add(first + 2 * pairs);
                }
                return;
            }
            for (r, (inside, begin)) in inside.iter().enumerate() {
                if inside.is_empty() {
                    continue;
                }
                let (from, to) = (from.wrapping_add(*begin), to.wrapping_add(r * part + inside.start));
                match self.step {
                    1 => copy(from, to, inside.len()),
                    2 => every_second(from, to, inside.len()),
                    step => every(step, from, to, inside.len()),
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

/// Elements that are moved together: as many as lines of small pictures have at least.
const EIGHT: usize = 8;

/// `x[i] = from[2 · i]` and `y[i] = from[2 · i + 1]` for `i < n`, by eights; what is left at the end is an eight that overlaps the one before.
///
/// # Safety
/// All of these elements exist, and nobody else uses those of `x` and `y`.
#[inline(always)]
unsafe fn halves<T: Copy>(from: *const T, x: *mut T, y: *mut T, n: usize) {
    let Some(last) = n.checked_sub(EIGHT) else {
        // SAFETY: the caller's.
        return unsafe {
            every(2, from, x, n);
            every(2, from.wrapping_add(1), y, n);
        };
    };
    for first in (0..last).step_by(EIGHT).chain([last]) {
        // SAFETY: `first + EIGHT ≤ n`.
        unsafe {
            let both: [T; 2 * EIGHT] = *from.add(2 * first).cast();
            *x.add(first).cast() = std::array::from_fn::<T, EIGHT, _>(|i| both[2 * i]);
            *y.add(first).cast() = std::array::from_fn::<T, EIGHT, _>(|i| both[2 * i + 1]);
        }
    }
}

/// `to[i] = from[i]` for `i < n`: lines are mostly too short for a call.
///
/// # Safety
/// All of these elements exist, and nobody else uses those of `to`.
#[inline(always)]
pub unsafe fn copy<T: Copy>(from: *const T, to: *mut T, n: usize) {
    const SHORT: usize = 64;
    // SAFETY: the caller's; `first + EIGHT ≤ n`.
    unsafe {
        match n.checked_sub(EIGHT) {
            Some(last) if n <= SHORT => {
                for first in (0..last).step_by(EIGHT).chain([last]) {
                    *to.add(first).cast::<[T; EIGHT]>() = *from.add(first).cast();
                }
            }
            Some(_) => std::ptr::copy_nonoverlapping(from, to, n),
            None => (0..n).for_each(|i| *to.add(i) = *from.add(i)),
        }
    }
}

/// As [`every`] with step 2, by eights; what is left at the end is an eight that overlaps the one before.
///
/// # Safety
/// As [`every`].
#[inline(always)]
unsafe fn every_second<T: Copy>(from: *const T, to: *mut T, n: usize) {
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
