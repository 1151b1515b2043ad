//! The inner dim of a [convolution with long sums](super) in parts that caches hold: bands of the kernel's elements that are neighbours along its first dim, and
//! the images with borders that they meet.

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::super::convolution::Sizes;
use super::super::{Real, Vectors};
use crate::memory::Block;

/// Lines of the kernel of one channel, along its first dim.
pub struct Band {
    pub channel: usize,
    rows: Range<usize>,
}

/// Kernel elements of a tile: of a group of bands that are neighbours.
pub struct Chunk {
    /// The first band of the group, in a round.
    pub slot: usize,
    /// Which they are in the group.
    pub of: Range<usize>,
    /// The number of the first in the round.
    pub first: usize,
}

/// How the inner dim is cut.
pub struct Bands {
    /// The sizes of a stored image of the longest band.
    sizes: Vec<usize>,
    /// Whether there is a stored line for each line of the kernel, which has what all lines of the result meet there, instead of one for each line of the image.
    is_gathered: bool,
    /// The kernel's elements of a step along its first dim.
    of_row: usize,
    /// The rows of the longest band.
    rows: usize,
    /// Bands that are prepared at once: several only where each is a whole kernel.
    most: usize,
    /// Bands of which a tile may have elements.
    together: usize,
}

impl Bands {
    /// Bands of a convolution of which a round has about `at_once` elements, and a tile `depth`; `None` if borders are most of an image.
    pub fn new(op: &Convolution, s: &Sizes, is_gathered: bool, at_once: usize, depth: usize) -> Option<Self> {
        let reach = |d: usize, k: usize| (k - 1) * op.dilation[d] + (s.y[d] - 1) * op.stride[d] + 1;
        let mut sizes: Vec<usize> = (0..s.k.len()).map(|d| reach(d, s.k[d])).collect();
        if !s.is_near(sizes.iter().copied()) {
            return None;
        }
        let last = s.k.len() - 1;
        if is_gathered {
            sizes[..last].copy_from_slice(&s.k[..last]);
        }
        let of_row: usize = s.k[1..].iter().product();
        let mut bands = Bands { sizes, is_gathered, of_row, rows: s.k[0], most: 1, together: 1 };
        let elements: usize = s.groups * (s.images * bands.group(s) * bands.size() + s.co * of_row * s.k[0]);
        let parts = (elements / at_once).clamp(1, s.k[0]);
        bands.rows = s.k[0].div_ceil(parts);
        bands.sizes[0] = if is_gathered { bands.rows } else { reach(0, bands.rows) };
        if bands.rows == s.k[0] {
            // What is little more is prepared at once: a second round adds to all sums.
            bands.most = if elements * s.ci <= 2 * at_once { s.ci } else { (at_once / elements).clamp(1, s.ci) };
            bands.together = depth.div_ceil(of_row * s.k[0]).min(bands.most);
        }
        Some(bands)
    }

    /// The stored elements of an image at each position of a line.
    pub fn group(&self, s: &Sizes) -> usize {
        if self.is_gathered { s.y[..s.y.len() - 1].iter().product() } else { 1 }
    }

    /// The elements of a stored image.
    pub fn size(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The elements of a stored line.
    pub fn line(&self) -> usize {
        self.sizes.last().copied().unwrap_or(1)
    }

    /// The most bands of a round.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The most kernel elements of a round.
    pub fn positions(&self) -> usize {
        self.most * self.rows * self.of_row
    }

    /// The bands that are prepared at once, in order.
    pub fn rounds(&self, s: &Sizes) -> Vec<Vec<Band>> {
        let rows = |first: usize| first..s.k[0].min(first + self.rows);
        let of = |channel: usize| (0..s.k[0]).step_by(self.rows).map(move |first| Band { channel, rows: rows(first) });
        let mut all: Vec<Vec<Band>> = Vec::new();
        for band in (0..s.ci).flat_map(of) {
            match all.last_mut() {
                Some(round) if round.len() < self.most => round.push(band),
                Some(_) | None => all.push(vec![band]),
            }
        }
        all
    }

    /// The elements of a band in the kernel of its channel.
    pub fn elements(&self, band: &Band) -> Range<usize> {
        band.rows.start * self.of_row..band.rows.end * self.of_row
    }

    /// The kernel elements of a round of `count` bands in chunks of about `depth`.
    pub fn chunks(&self, round: &[Band], depth: usize) -> Vec<Chunk> {
        let (mut chunks, mut first) = (Vec::new(), 0);
        for (i, group) in round.chunks(self.together).enumerate() {
            let count: usize = group.iter().map(|band| self.elements(band).len()).sum();
            let parts = count.div_ceil(depth);
            for part in 0..parts {
                let of = part * count / parts..(part + 1) * count / parts;
                chunks.push(Chunk { slot: i * self.together, first: first + of.start, of });
            }
            first += count;
        }
        chunks
    }

    /// Where the windows of a group's kernel elements begin, where a stored element has so many others beside it.
    pub fn places(&self, op: &Convolution, s: &Sizes, width: usize) -> Vec<usize> {
        let (mut k, mut step) = (s.k.clone(), op.dilation.clone());
        k[0] = self.rows;
        if self.is_gathered {
            step[..s.k.len() - 1].fill(1);
        }
        let one = self.points(&k, &step);
        let size = self.size();
        let mut all = Vec::with_capacity(self.together * one.len());
        for slot in 0..self.together {
            all.extend(one.iter().map(|at| (slot * size + at) * width));
        }
        all
    }

    /// Where windows of the lines of the result begin, relative to the first.
    pub fn leads(&self, op: &Convolution, s: &Sizes) -> Vec<usize> {
        let mut y = s.y.clone();
        let last = if self.is_gathered { 0 } else { s.y.len() - 1 };
        y[last..].fill(1);
        self.points(&y, &op.stride)
    }

    /// The places of the points of a box of `sizes` that are `step` apart, in row-major order.
    fn points(&self, sizes: &[usize], step: &[usize]) -> Vec<usize> {
        let mut out = vec![0];
        for (d, (size, step)) in sizes.iter().zip(step).enumerate() {
            let stored = self.sizes[d];
            out = out.into_iter().flat_map(|at| (0..*size).map(move |i| at * stored + i * step)).collect();
        }
        out
    }

    /// The input's line, if there is one, that a stored line of a band has: of a gathered one for line `lead` of the result.
    fn row(&self, op: &Convolution, s: &Sizes, band: &Band, mut line: usize, mut lead: usize) -> Option<usize> {
        let last = s.x.len() - 1;
        let (mut row, mut stride) = (0, s.x[last]);
        for d in (0..last).rev() {
            let at = line % self.sizes[d] + if d == 0 && self.is_gathered { band.rows.start } else { 0 };
            let at = if self.is_gathered {
                at * op.dilation[d] + lead % s.y[d] * op.stride[d]
            } else {
                at + if d == 0 { band.rows.start * op.dilation[0] } else { 0 }
            };
            let at = at.checked_sub(op.padding[d]).filter(|at| *at < s.x[d])?;
            row += at * stride;
            (line, lead, stride) = (line / self.sizes[d], lead / s.y[d], stride * s.x[d]);
        }
        Some(row)
    }

    /// Whether some kernel element of a band meets an image's stored line.
    fn is_met(&self, op: &Convolution, s: &Sizes, band: &Band, mut line: usize) -> bool {
        self.is_gathered
            || (0..s.x.len() - 1).rev().all(|d| {
                let at = line % self.sizes[d];
                line /= self.sizes[d];
                let rows = if d == 0 { band.rows.len() } else { s.k[d] };
                (0..s.y[d]).any(|y| {
                    let ahead = at.checked_sub(y * op.stride[d]);
                    ahead.is_some_and(|n| n % op.dilation[d] == 0 && n / op.dilation[d] < rows)
                })
            })
    }

    /// What of a stored line is inside of the image, and where the input has the first of it.
    fn inside(&self, op: &Convolution, s: &Sizes, band: &Band) -> (Range<usize>, usize) {
        let last = s.x.len() - 1;
        let shift = if last == 0 { band.rows.start * op.dilation[0] } else { 0 };
        let front = op.padding[last];
        let low = front.saturating_sub(shift).min(self.line());
        let high = (s.x[last] + front).saturating_sub(shift).clamp(low, self.line());
        (low..high, (low + shift).saturating_sub(front))
    }

    /// Stores part `part` of `parts` of the lines of a band, of `images` images that are `apart`.
    ///
    /// # Safety
    /// `from` is the first image of the band's channel, `to` has room for the stored images, and nobody else uses the part.
    pub unsafe fn store<T: Real>(
        &self,
        (op, s, vectors): (&Convolution, &Sizes, Vectors),
        band: &Band,
        [part, parts]: [usize; 2],
        (from, images, apart): (*const T, usize, usize),
        to: *mut T,
    ) {
        let (last, line) = (s.x.len() - 1, self.line());
        let count: usize = self.sizes[..last].iter().product();
        let (inside, first) = self.inside(op, s, band);
        let (group, from) = (self.group(s), from.wrapping_add(first));
        let width = group * images;
        // Lines of several lines of the result are put side by side first.
        let gathered = Block::new(if self.is_gathered { width * line * size_of::<T>() } else { 0 });
        let gathered: *mut T = gathered.as_ptr().cast();
        for stored in (part * count / parts..(part + 1) * count / parts).filter(|l| self.is_met(op, s, band, *l)) {
            let at = to.wrapping_add(stored * line * width);
            // SAFETY: the caller's; the lines of the input have so many elements from `first` on, and the gathered ones and the stored one have room for them.
            unsafe {
                let (from, apart, range) = if self.is_gathered {
                    for lead in 0..group {
                        let row = self.row(op, s, band, stored, lead).filter(|_| !inside.is_empty());
                        for i in 0..images {
                            let to = std::slice::from_raw_parts_mut(gathered.add((lead * images + i) * line), line);
                            let Some(row) = row else {
                                to.fill(T::ZERO);
                                continue;
                            };
                            to[..inside.start].fill(T::ZERO);
                            to[inside.end..].fill(T::ZERO);
                            let (from, to) = (from.add(i * apart + row), to[inside.clone()].as_mut_ptr());
                            std::ptr::copy_nonoverlapping(from, to, inside.len());
                        }
                    }
                    (gathered.cast_const(), line, 0..line)
                } else if let Some(row) = self.row(op, s, band, stored, 0) {
                    (from.wrapping_add(row), apart, inside.clone())
                } else {
                    (from, apart, 0..0)
                };
                let all = std::slice::from_raw_parts_mut(at, line * width);
                all[..range.start * width].fill(T::ZERO);
                all[range.end * width..].fill(T::ZERO);
                let at = at.add(range.start * width);
                T::transpose(vectors, [width, range.len()], from, apart as isize, at, width);
            }
        }
    }
}
