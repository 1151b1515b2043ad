//! Convolutions whose columns are images: few positions of the result and many images, as gradients of weights and small pictures have.
//!
//! Each channel is stored with its borders of zeros and with the images innermost. What a kernel element meets at one position of the result are
//! then neighbours, whatever stride and dilation are, and a position is a product of the weights with such rows.

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
use super::{Left, Onto, Operand, Real, SLIDING_STEP, Target, Vectors};
use crate::memory::Block;
use crate::threads;

/// The fewest images that fill vectors.
const FEW: usize = 8;
/// Groups from which threads share groups and not positions.
const MANY_GROUPS: usize = 8;
/// The bytes of the channels, and of their weights, that are prepared at once.
const NEAR_BYTES: usize = 1 << 20;
/// Rows of weights that are a part of their own.
const PART: usize = 32;

/// A convolution in this form.
struct Plan<'a> {
    op: &'a Convolution,
    s: &'a Sizes,
    vectors: Vectors,
    /// The sizes with borders, and the strides in elements; images are innermost.
    sizes: Vec<usize>,
    strides: Vec<usize>,
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
    fn new(op: &'a Convolution, s: &'a Sizes, vectors: Vectors, size: usize) -> Option<Self> {
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
        let mut channel = s.images;
        for d in (0..sizes.len()).rev() {
            strides[d] = channel;
            channel *= sizes[d];
        }
        let at_once = (NEAR_BYTES / size / (channel + s.co * kernel)).clamp(1, s.ci);
        let count = s.co.div_ceil(PART);
        let parts = (0..count).map(|i| i * s.co / count..(i + 1) * s.co / count).collect();
        let mut plan =
            Plan { op, s, vectors, sizes, strides, channel, kernel, plane, at_once, places: Vec::new(), parts };
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
            let (mut rest, mut at) = (l, front * s.images);
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
            // SAFETY: the caller's; `count` elements of the line exist in each image, and so many rows of images in the channel.
            unsafe { T::transpose(self.vectors, [s.images, count], from, apart, to.wrapping_add(at), s.images) };
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
        // SAFETY: the caller's; places are inside the channels, and behind them is room for whole vectors.
        unsafe {
            T::sliding(
                self.vectors,
                [rows.len(), images],
                left,
                right,
                &self.places[..width],
                to,
                Onto::Nothing.after(cs.start),
            )
        };
    }

    /// Writes the sums of group `g`.
    ///
    /// # Safety
    /// `y` is the result, and nobody else uses the group's part.
    unsafe fn finish<T: Real>(&self, g: usize, sums: *const T, y: *mut T) {
        let (s, plane) = (self.s, self.plane);
        for n in 0..s.images {
            let to = y.wrapping_add((n * s.groups + g) * s.co * plane);
            for i in 0..s.co * plane {
                let (o, q) = (i / plane, i % plane);
                // SAFETY: the caller's.
                unsafe { *to.add(i) = *sums.add((q * s.co + o) * s.images + n) };
            }
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
    let Some(plan) = Plan::new(op, s, vectors, size_of::<T>()) else { return false };
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
                plan.finish(g, room.sums.cast_const(), y);
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
            threads::for_each(cs.len() + parts, work / 16, &|i| unsafe {
                let ((x, w, _), room) = (pointers.get(), room.get());
                match i.checked_sub(cs.len()) {
                    Some(part) => plan.weights(g, &cs, part, w, room.weights),
                    None => plan.channel(g, cs.start + i, i, x, room.channels),
                }
            });
            threads::for_each(plan.plane * parts, work, &|i| unsafe {
                plan.add(&cs, i / parts, i % parts, room.get());
            });
        }
        // SAFETY: the caller's.
        unsafe { plan.finish(g, room.sums.cast_const(), y) };
    }
    true
}
