//! Convolutions whose columns are images: few positions of the result and many images, as gradients of weights and small pictures have.
//!
//! Each channel is stored with its borders of zeros and with the images innermost, some of them at a time. What a kernel element meets at one position
//! of the result are then neighbours, whatever stride and dilation are, and a position is a product of the weights with such rows. Of many images so
//! many are neighbours as a tile has columns, so that it reads memory from end to end: of 256 images, whose rows are often in one set of a cache,
//! 2.87 ms instead of 3.26.

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
use super::{Left, Onto, Operand, Real, SLIDING_STEP, Target, Vectors};
use crate::memory::Block;
use crate::threads;

/// The fewest images that fill vectors.
const FEW: usize = 8;
/// Groups from which threads share groups and not positions.
pub const MANY_GROUPS: usize = 8;
/// The bytes of the channels, and of their weights, that are prepared at once.
const NEAR_BYTES: usize = 1 << 20;
/// The most rows of weights that are a part of their own, and the fewest where there would be fewer than so many pieces.
const PART: usize = 32;
const SMALL_PART: usize = 16;
const PIECES: usize = 16;

/// A convolution in this form.
struct Plan<'a> {
    op: &'a Convolution,
    s: &'a Sizes,
    vectors: Vectors,
    /// The sizes with borders, and the strides in elements; images of a block are innermost.
    sizes: Vec<usize>,
    strides: Vec<usize>,
    /// The images of a block, and the elements of a channel of one of them with borders.
    block: usize,
    plane_of_block: usize,
    /// The elements of a channel with borders.
    channel: usize,
    /// The elements of a kernel and of the result's plane.
    kernel: usize,
    plane: usize,
    /// Channels that are prepared at once.
    at_once: usize,
    /// Where the row of each of these channels and each kernel element begins.
    places: Vec<usize>,
    /// The rows of weights, in parts.
    parts: Vec<Range<usize>>,
}

/// Memory for channels and their weights.
#[derive(Clone, Copy)]
struct Room<T> {
    channels: *mut T,
    weights: *mut T,
    /// Results, `[plane, co, images]`.
    sums: *mut T,
}
// SAFETY: pieces write disjoint parts, and read what was written before they began.
unsafe impl<T> Sync for Room<T> {}
impl<T: Copy> Room<T> {
    /// The whole, as a method, so that closures share it.
    fn get(&self) -> Room<T> {
        *self
    }
}

impl<'a> Plan<'a> {
    /// The plan, where this form is worth it.
    fn new(op: &'a Convolution, s: &'a Sizes, vectors: Vectors, [size, lanes]: [usize; 2]) -> Option<Self> {
        let (kernel, plane): (usize, usize) = (s.k.iter().product(), s.y.iter().product());
        if op.transposed || s.images < FEW || s.ci == 0 || kernel == 0 || s.x.contains(&0) {
            return None;
        }
        let reach = |d: usize| (s.y[d] - 1) * op.stride[d] + (s.k[d] - 1) * op.dilation[d] + 1;
        let sizes: Vec<usize> = (0..s.y.len()).map(reach).collect();
        if !s.is_near(sizes.iter().copied()) {
            return None;
        }
        let mut strides = vec![0; sizes.len()];
        let block = s.images.min(2 * lanes);
        let mut plane_of_block = block;
        for d in (0..sizes.len()).rev() {
            strides[d] = plane_of_block;
            plane_of_block *= sizes[d];
        }
        let channel = plane_of_block * s.images.div_ceil(block);
        let at_once = (NEAR_BYTES / size / (channel + s.co * kernel)).clamp(1, s.ci);
        let mut count = s.co.div_ceil(PART);
        if count * plane < PIECES && s.co >= SMALL_PART * 2 * count {
            count *= 2;
        }
        let parts = (0..count).map(|i| i * s.co / count..(i + 1) * s.co / count).collect();
        let places = Vec::new();
        let mut plan = Plan {
            op,
            s,
            vectors,
            sizes,
            strides,
            block,
            plane_of_block,
            channel,
            kernel,
            plane,
            at_once,
            places,
            parts,
        };
        let place = |e: usize| plan.place(e, &s.k, &op.dilation);
        plan.places = (0..at_once).flat_map(|c| (0..kernel).map(move |e| c * channel + place(e))).collect();
        Some(plan)
    }

    /// The place in a channel of point `i` of a box of `sizes`, whose points are `step` apart.
    fn place(&self, mut i: usize, sizes: &[usize], step: &[usize]) -> usize {
        let mut at = 0;
        for d in (0..sizes.len()).rev() {
            at += i % sizes[d] * step[d] * self.strides[d];
            i /= sizes[d];
        }
        at
    }

    /// Stores channel `c` of group `g` with its borders, in place `slot`.
    ///
    /// # Safety
    /// `x` is the input, and `to` has room for `at_once` channels.
    unsafe fn channel<T: Real>(&self, g: usize, c: usize, slot: usize, x: *const T, to: *mut T) {
        let (s, rank) = (self.s, self.sizes.len());
        let to = to.wrapping_add(slot * self.channel);
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(to, self.channel) }.fill(T::ZERO);
        let x_plane: usize = s.x.iter().product();
        let line = s.x.last().copied().unwrap_or(1);
        let front = self.op.padding.last().copied().unwrap_or(0);
        let count = line.min(self.sizes.last().copied().unwrap_or(1).saturating_sub(front));
        'line: for l in 0..x_plane / line {
            let (mut rest, mut at) = (l, front * self.block);
            for d in (0..rank.saturating_sub(1)).rev() {
                let p = rest % s.x[d] + self.op.padding[d];
                if p >= self.sizes[d] {
                    continue 'line;
                }
                at += p * self.strides[d];
                rest /= s.x[d];
            }
            let from = x.wrapping_add((g * s.ci + c) * x_plane + l * line);
            let apart = (s.groups * s.ci * x_plane) as isize;
            for (block, first) in (0..s.images).step_by(self.block).enumerate() {
                let (from, to) =
                    (from.wrapping_offset(first as isize * apart), to.wrapping_add(block * self.plane_of_block));
                let images = self.block.min(s.images - first);
                // SAFETY: the caller's; `count` elements of the line exist in each image, and so many rows of images in the block.
                unsafe { T::transpose(self.vectors, [images, count], from, apart, to.wrapping_add(at), self.block) };
            }
        }
    }

    /// The weights of channels `cs` of group `g` as panels of part `part`.
    ///
    /// # Safety
    /// `w` are the weights, and `to` has room for `co` rows of `at_once` channels.
    unsafe fn weights<T: Real>(&self, g: usize, cs: &Range<usize>, part: usize, w: *const T, to: *mut T) {
        let (rows, width, all) = (&self.parts[part], cs.len() * self.kernel, self.s.ci * self.kernel);
        let at = w.wrapping_add((g * self.s.co + rows.start) * all + cs.start * self.kernel);
        let left = Operand { at, row: all as isize, col: 1 };
        // SAFETY: the caller's.
        unsafe { T::pack(self.vectors, [rows.len(), width], left, to.wrapping_add(rows.start * width)) };
    }

    /// Adds channels `cs`, which stand in the room, to part `part` of position `q`.
    ///
    /// # Safety
    /// Channels and weights are there, and nobody else uses this part of the sums.
    unsafe fn add<T: Real>(&self, cs: &Range<usize>, q: usize, part: usize, room: Room<T>) {
        let (rows, width, images) = (&self.parts[part], cs.len() * self.kernel, self.s.images);
        let left = Left(room.weights.wrapping_add(rows.start * width).cast_const());
        let right = room.channels.wrapping_add(self.place(q, &self.s.y, &self.op.stride)).cast_const();
        let to = Target { at: room.sums.wrapping_add((q * self.s.co + rows.start) * images), row: images };
        for (block, first) in (0..images).step_by(self.block).enumerate() {
            let right = right.wrapping_add(block * self.plane_of_block);
            let (to, onto) = (to.from(0, first), Onto::Nothing.after(cs.start));
            let mn = [rows.len(), self.block.min(images - first)];
            // SAFETY: the caller's; places are inside the channels, and behind them is room for whole vectors.
            unsafe { T::sliding(self.vectors, mn, left, right, &self.places[..width], to, onto) };
        }
    }

    /// Writes the sums of some images of group `g`.
    ///
    /// # Safety
    /// `y` is the result, and nobody else uses the group's part.
    unsafe fn finish<T: Real>(&self, g: usize, images: Range<usize>, sums: *const T, y: *mut T) {
        let (s, plane) = (self.s, self.plane);
        let to = y.wrapping_add((images.start * s.groups + g) * s.co * plane);
        let (apart, step) = ((s.co * s.images) as isize, s.groups * s.co * plane);
        for o in 0..s.co {
            let (from, to) = (sums.wrapping_add(o * s.images + images.start), to.wrapping_add(o * plane));
            // SAFETY: the caller's: positions are `apart` in the sums, and images `step` in the result.
            unsafe { T::transpose(self.vectors, [plane, images.len()], from, apart, to, step) };
        }
    }

    /// Parts of the memory of a group.
    fn room<T: Real>(&self) -> (Block, Room<T>) {
        let (channels, weights) = (self.at_once * self.channel + SLIDING_STEP, self.s.co * self.at_once * self.kernel);
        let block = Block::new((channels + weights + self.plane * self.s.co * self.s.images) * size_of::<T>());
        let channels_at: *mut T = block.as_ptr().cast();
        let weights_at = channels_at.wrapping_add(channels);
        let room = Room { channels: channels_at, weights: weights_at, sums: weights_at.wrapping_add(weights) };
        (block, room)
    }

    fn chunks(&self) -> impl Iterator<Item = Range<usize>> {
        (0..self.s.ci).step_by(self.at_once).map(|c| c..self.s.ci.min(c + self.at_once))
    }
}

/// Computes a convolution if this form is worth it; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of the result's is 0, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    if vectors == Vectors::Portable {
        return false;
    }
    let Some(plan) = Plan::new(op, s, vectors, [size_of::<T>(), T::lanes(vectors)]) else { return false };
    let work = (plan.plane * s.co * plan.kernel) as u64 * s.images as u64 / 30;
    let pointers = Pointers(x, w, y);
    let parts = plan.parts.len();
    if s.groups >= MANY_GROUPS {
        threads::for_each(s.groups, work * (s.groups * s.ci) as u64, &|g| {
            let (x, w, y) = pointers.get();
            let (_memory, room) = plan.room::<T>();
            // SAFETY: the caller's; the room is this piece's, and so is the group.
            unsafe {
                for cs in plan.chunks() {
                    cs.clone().for_each(|c| plan.channel(g, c, c - cs.start, x, room.channels));
                    (0..parts).for_each(|part| plan.weights(g, &cs, part, w, room.weights));
                    (0..plan.plane * parts).for_each(|i| plan.add(&cs, i / parts, i % parts, room));
                }
                plan.finish(g, 0..s.images, room.sums.cast_const(), y);
            }
        });
        return true;
    }
    let (_memory, room) = plan.room::<T>();
    for g in 0..s.groups {
        for cs in plan.chunks() {
            let work = work * cs.len() as u64;
            // SAFETY (both loops): the caller's; pieces have channels, parts of weights, and parts of sums of their own, and the second loop
            // begins when the first has ended.
            // Weights first: a part of them takes longest.
            threads::for_each(parts + cs.len(), work / 16, &|i| unsafe {
                let ((x, w, _), room) = (pointers.get(), room.get());
                match i.checked_sub(parts) {
                    Some(c) => plan.channel(g, cs.start + c, c, x, room.channels),
                    None => plan.weights(g, &cs, i, w, room.weights),
                }
            });
            threads::for_each(plan.plane * parts, work, &|i| unsafe {
                plan.add(&cs, i / parts, i % parts, room.get());
            });
        }
        let several = s.images.div_ceil(PIECES);
        threads::for_each(s.images.div_ceil(several), (s.images * s.co * plan.plane) as u64, &|i| {
            let images = i * several..s.images.min((i + 1) * several);
            // SAFETY: the caller's; images are disjoint.
            unsafe { plan.finish(g, images, room.get().sums.cast_const(), pointers.get().2) };
        });
    }
    true
}
