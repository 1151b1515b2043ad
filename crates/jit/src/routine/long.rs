//! Convolutions with large kernels and few positions, as gradients of weights are: products whose inner dim, of channels and kernel elements, is long.
//!
//! There the images of the convolution are the channels of a layer's input, its channels are the layer's images, and its kernel is the cotangent of the
//! layer's result. Images are stored with their borders of zeros and some of them innermost: what a kernel element meets at positions that follow one another
//! is then one piece of memory, whatever the distance of kernel elements is. Either these pieces are vectors and each element of the kernel is multiplied with
//! them, or channels of the result are vectors: [`Form`] says which computes less in vain.
//!
//! The inner dim is cut in rounds that caches hold, each in depths of a tile. What each element adds up, in which order, depends on sizes only.

mod bands;
mod layout;
pub mod steps;

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
use super::weights::Form;
use super::{Operand, Real, SLIDING_STEP, Vectors};
use crate::memory::Block;
use crate::threads;
pub use bands::Chunk;
use bands::{Band, Bands};
pub use layout::Layout;
use steps::Sums;

/// The bytes of windows and kernels that are prepared at once.
const AT_ONCE: usize = 2 << 20;
/// The bytes of windows that a tile meets.
const NEAR: usize = 24 << 10;
/// Pieces from which threads have enough.
const PIECES: usize = 8;
/// Parts in which the lines of an image are stored.
const PARTS: usize = 4;
/// So few images of so few channels are not worth it, as [`super::correlate`] has them.
const NARROW: usize = 8;
const FEW: usize = 4;
/// Rows of windows from which lines of the result are computed one by one: of fewer they are computed at once.
const GATHERED: usize = 8;
/// The shortest inner dim.
const LONG: usize = 16;

/// A convolution in this form.
struct Plan<'a> {
    op: &'a Convolution,
    s: &'a Sizes,
    layout: Layout,
    vectors: Vectors,
    form: Form,
    bands: Bands,
    /// Images of a block, and channels of the result in a unit: rows of a tile, or two vectors.
    width: usize,
    unit: usize,
    /// The positions of the result, and those along its last dim.
    taps: usize,
    along: usize,
    /// Kernel elements of a tile.
    depth: usize,
    /// Parts of a round's kernel elements that have sums of their own.
    splits: usize,
}

/// Memory for windows, kernels and sums.
#[derive(Clone, Copy)]
struct Room<T> {
    windows: *mut T,
    kernels: *mut T,
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
    fn new<T: Real>(op: &'a Convolution, s: &'a Sizes, layout: Layout, vectors: Vectors) -> Option<Self> {
        let lanes = T::lanes(vectors);
        let (kernel, taps): (usize, usize) = (s.k.iter().product(), s.y.iter().product());
        let is_some = s.images * s.x.iter().product::<usize>() * taps * s.co > 0;
        let is_long = kernel >= taps && s.ci * kernel >= LONG;
        // Of few images and channels lines of the kernel are better vectors.
        let is_narrow = s.images < NARROW && s.co <= FEW && s.k.last().is_some_and(|k| *k >= lanes);
        if op.transposed || s.y.is_empty() || !is_some || !is_long || is_narrow {
            return None;
        }
        let (along, width) = (s.y[s.y.len() - 1], s.images.min(2 * lanes));
        let leads = taps / along;
        let is_gathered = leads > 1 && s.images * along < GATHERED && s.images * leads <= 2 * lanes;
        let inner = if is_gathered { leads } else { 1 };
        // Vectors of windows, where these are lanes, and of channels.
        let is_merged = op.stride[s.y.len() - 1] == 1;
        let vectors_of = |images: usize| {
            let images = images * inner;
            if is_merged { (along * images).div_ceil(lanes) } else { along * images.div_ceil(lanes) }
        };
        let windows = s.images / width * vectors_of(width) + vectors_of(s.images % width);
        let channels = along * s.images * inner * s.co.div_ceil(lanes);
        let form = if windows * s.co <= channels { Form::Positions } else { Form::Channels };
        let unit = match form {
            Form::Positions => s.co.div_ceil(s.co.div_ceil(T::rows(vectors))),
            Form::Channels => 2 * lanes,
        };
        let depth = (NEAR / size_of::<T>() / (2 * lanes)).max(1);
        let bands = Bands::new(op, s, is_gathered, AT_ONCE / size_of::<T>(), depth)?;
        let plan = Plan { op, s, layout, vectors, form, bands, width, unit, taps, along, depth, splits: 1 };
        let splits = PIECES.div_ceil(plan.pieces()).min(plan.bands.positions().div_ceil(depth));
        Some(Plan { splits, ..plan })
    }

    /// The blocks of images of a group.
    fn blocks(&self) -> usize {
        self.s.images.div_ceil(self.width)
    }

    /// The images of block `i`.
    fn block(&self, i: usize) -> Range<usize> {
        i * self.width..self.s.images.min((i + 1) * self.width)
    }

    /// The units of channels of a group's result.
    fn units(&self) -> usize {
        self.s.co.div_ceil(self.unit)
    }

    /// The channels of unit `i`.
    fn channels(&self, i: usize) -> Range<usize> {
        match self.form {
            // Nearly equal parts.
            Form::Positions => i * self.s.co / self.units()..(i + 1) * self.s.co / self.units(),
            Form::Channels => i * self.unit..self.s.co.min((i + 1) * self.unit),
        }
    }

    /// Blocks times units of all groups: sums that belong together.
    fn pieces(&self) -> usize {
        self.s.groups * self.blocks() * self.units()
    }

    /// The group, block and unit of a piece.
    fn piece(&self, i: usize) -> [usize; 3] {
        let (units, blocks) = (self.units(), self.blocks());
        [i / units / blocks, i / units % blocks, i % units]
    }

    /// The sums of a piece.
    fn sums(&self) -> usize {
        self.unit * self.taps * self.width
    }

    /// Stores part `part` of the lines of block `i` of group `g` of a band, which is number `slot` of a round.
    ///
    /// # Safety
    /// `x` is the input, `to` has room for a round, and nobody else uses this part.
    unsafe fn store<T: Real>(&self, [g, i, slot, part]: [usize; 4], band: &Band, x: *const T, to: *mut T) {
        let images = self.block(i);
        let [of_image, of_group, of_channel] = self.layout.x;
        let from = x.wrapping_add(images.start * of_image + g * of_group + band.channel * of_channel);
        let to = self.windows([g, i], to).wrapping_add(slot * self.bands.size() * self.inner(images.len()));
        let (what, images) = ((self.op, self.s, self.vectors), (from, images.len(), of_image));
        // SAFETY: the caller's.
        unsafe { self.bands.store(what, band, [part, PARTS], images, to) };
    }

    /// The elements beside one another of a block of so many images.
    fn inner(&self, images: usize) -> usize {
        images * self.bands.group(self.s)
    }

    /// Where the windows of block `i` of group `g` begin.
    fn windows<T>(&self, [g, i]: [usize; 2], at: *mut T) -> *mut T {
        at.wrapping_add(self.inner(g * self.s.images + i * self.width) * self.bands.size() * self.bands.most())
    }

    /// Where the kernels of unit `i` of group `g` begin, and how many channels they have room for.
    fn kernels<T>(&self, [g, i]: [usize; 2], at: *mut T) -> (*mut T, usize) {
        let (first, room) = match self.form {
            Form::Positions => (g * self.s.co + self.channels(i).start, self.channels(i).len()),
            Form::Channels => ((g * self.units() + i) * self.unit, self.unit),
        };
        (at.wrapping_add(first * self.bands.positions()), room)
    }

    /// Packs the kernels of unit `i` of group `g` of a band, whose first element is number `first` of a round.
    ///
    /// # Safety
    /// `w` are the weights, `to` has room for a round, and nobody else uses this part.
    unsafe fn pack<T: Real>(&self, [g, i, first]: [usize; 3], band: &Band, w: *const T, to: *mut T) {
        let (channels, [of_result, of_channel]) = (self.channels(i), self.layout.w);
        let elements = self.bands.elements(band);
        let (to, room) = self.kernels([g, i], to);
        let to = to.wrapping_add(first * room);
        let at =
            w.wrapping_add((g * self.s.co + channels.start) * of_result + band.channel * of_channel + elements.start);
        // SAFETY (both): the caller's.
        match self.form {
            Form::Positions => unsafe {
                let left = Operand { at, row: of_result as isize, col: 1 };
                T::pack(self.vectors, [channels.len(), elements.len()], left, to);
            },
            Form::Channels => unsafe {
                // Lanes behind the last channel are read, and nothing else.
                T::transpose(self.vectors, [channels.len(), elements.len()], at, of_result as isize, to, self.unit);
            },
        }
    }

    /// Adds chunks of a round to the sums of a piece.
    ///
    /// # Safety
    /// Windows and kernels of the round are in the room, and nobody else uses these sums.
    unsafe fn add<T: Real>(&self, piece: usize, chunks: &[Chunk], places: &Places, is_first: bool, room: Room<T>) {
        let [g, block, unit] = self.piece(piece);
        let (images, channels) = (self.inner(self.block(block).len()), self.channels(unit).len());
        let (kernels, step) = self.kernels([g, unit], room.kernels);
        let all = Sums {
            form: self.form,
            images,
            channels,
            along: self.along,
            apart: self.op.stride[self.s.y.len() - 1],
            leads: &places.leads,
            windows: self.windows([g, block], room.windows).cast_const(),
            slot: self.bands.size() * images,
            places: if self.block(block).len() == self.width { &places.whole } else { &places.rest },
            kernels: kernels.cast_const(),
            step,
            to: room.sums,
            is_first,
        };
        if is_first && (chunks.is_empty() || images * channels * self.taps < self.sums()) {
            // SAFETY: the caller's.
            unsafe { std::slice::from_raw_parts_mut(room.sums, self.sums()) }.fill(T::ZERO);
        }
        // SAFETY: the caller's: places are inside of the windows, and behind them is room for whole vectors.
        unsafe { T::long(self.vectors, all, chunks) };
    }

    /// Adds up the splits of a piece and writes them.
    ///
    /// # Safety
    /// All sums are there; `y` is the result, and nobody else uses the piece's part.
    unsafe fn finish<T: Real>(&self, piece: usize, sums: *mut T, y: *mut T) {
        let ([g, block, unit], size) = (self.piece(piece), self.sums());
        let (images, channels) = (self.block(block), self.channels(unit));
        let [of_image, of_channel] = self.layout.y;
        let to = y.wrapping_add(images.start * of_image + (g * self.s.co + channels.start) * of_channel);
        let (taps, width) = (self.taps, images.len());
        // SAFETY: the caller's; those of splits are behind one another.
        unsafe {
            let (all, own) = (std::slice::from_raw_parts_mut(sums, self.splits * size), size);
            let (first, more) = all.split_at_mut(own);
            for split in more.chunks_exact(size) {
                first.iter_mut().zip(split).for_each(|(sum, x)| *sum += *x);
            }
            if self.bands.group(self.s) > 1 {
                return self.scatter(channels.len(), width, sums, to);
            }
            match self.form {
                Form::Positions => {
                    for o in 0..channels.len() {
                        let (from, to) = (sums.wrapping_add(o * taps * width), to.wrapping_add(o * of_channel));
                        T::transpose(self.vectors, [taps, width], from, width as isize, to, of_image);
                    }
                }
                Form::Channels => {
                    for i in 0..width {
                        let (from, to) = (sums.wrapping_add(i * self.unit), to.wrapping_add(i * of_image));
                        let apart = (width * self.unit) as isize;
                        T::transpose(self.vectors, [taps, channels.len()], from, apart, to, of_channel);
                    }
                }
            }
        }
    }

    /// Writes the sums of a piece whose lines of the result were computed at once.
    ///
    /// # Safety
    /// As [`Plan::finish`].
    unsafe fn scatter<T: Real>(&self, channels: usize, images: usize, sums: *const T, to: *mut T) {
        let ([of_image, of_channel], inner) = (self.layout.y, self.inner(images));
        let [of_sum, apart] = match self.form {
            Form::Positions => [self.along * inner, 1],
            Form::Channels => [1, self.unit],
        };
        for (o, tap, i) in
            (0..channels).flat_map(|o| (0..self.taps).flat_map(move |tap| (0..images).map(move |i| (o, tap, i))))
        {
            let (lead, a) = (tap / self.along, tap % self.along);
            let from = o * of_sum + (a * inner + lead * images + i) * apart;
            // SAFETY: the caller's.
            unsafe { *to.add(i * of_image + o * of_channel + tap) = *sums.add(from) };
        }
    }
}

/// Where the windows of the kernel elements of a group of bands begin, of blocks of two widths, and those of the lines of the result.
struct Places {
    whole: Vec<usize>,
    rest: Vec<usize>,
    leads: Vec<usize>,
}

/// Computes a convolution if this form is worth it; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s` and lie as the layout says, and nobody else uses the result.
pub unsafe fn run<T: Real>(
    op: &Convolution,
    s: &Sizes,
    layout: Layout,
    vectors: Vectors,
    x: *const T,
    w: *const T,
    y: *mut T,
) -> bool {
    if vectors == Vectors::Portable {
        return false;
    }
    let Some(plan) = Plan::new::<T>(op, s, layout, vectors) else { return false };
    let (bands, pieces) = (&plan.bands, plan.pieces());
    let rounds = bands.rounds(s);
    // What is complete after one round is written at once, and needs no memory that lasts.
    let is_one = rounds.len() == 1 && plan.splits == 1;
    let (windows, kernels, sums) = (
        plan.inner(s.groups * s.images) * bands.size() * bands.most() + SLIDING_STEP,
        s.groups * plan.units() * plan.unit * bands.positions(),
        if is_one { 0 } else { pieces * plan.splits * plan.sums() },
    );
    let memory = Block::new((windows + kernels + sums) * size_of::<T>());
    let at: *mut T = memory.as_ptr().cast();
    let room = Room { windows: at, kernels: at.wrapping_add(windows), sums: at.wrapping_add(windows + kernels) };
    let rest = s.images % plan.width;
    let of = |images: usize| bands.places(op, s, plan.inner(images));
    let rest = if rest > 0 { of(rest) } else { Vec::new() };
    let places = Places { whole: of(plan.width), rest, leads: bands.leads(op, s) };
    let pointers = Pointers(x, w, y);
    for (i, round) in rounds.iter().enumerate() {
        let chunks = bands.chunks(round, plan.depth);
        let (stores, packs) = (s.groups * plan.blocks() * PARTS, s.groups * plan.units());
        let of_band = bands.elements(&round[0]).len();
        let moved = round.len() * s.groups * (plan.inner(s.images) * bands.size() + s.co * of_band);
        // SAFETY (both loops): the caller's; pieces have parts of windows, of kernels, and of sums of their own, and the second loop begins when
        // the first has ended.
        threads::for_each(round.len() * (stores + packs), moved as u64 / 4, &|piece| unsafe {
            let (slot, piece) = (piece / (stores + packs), piece % (stores + packs));
            let ((x, w, _), room) = (pointers.get(), room.get());
            match piece.checked_sub(stores) {
                Some(i) => {
                    let (g, unit) = (i / plan.units(), i % plan.units());
                    plan.pack([g, unit, slot * of_band], &round[slot], w, room.kernels);
                }
                None => {
                    let (block, part) = (piece / PARTS, piece % PARTS);
                    let (g, block) = (block / plan.blocks(), block % plan.blocks());
                    plan.store([g, block, slot, part], &round[slot], x, room.windows);
                }
            }
        });
        let cost = (round.len() * of_band * s.groups * plan.taps) as u64 * (s.images * s.co) as u64 / 30;
        threads::for_each(pieces * plan.splits, cost, &|piece| unsafe {
            let (split, room, size) = (piece % plan.splits, room.get(), plan.sums());
            let end = |split: usize| split * chunks.len() / plan.splits;
            let (piece, chunks) = (piece / plan.splits, &chunks[end(split)..end(split + 1)]);
            if is_one {
                let sums = Block::new(size * size_of::<T>());
                let sums = sums.as_ptr().cast();
                plan.add(piece, chunks, &places, true, Room { sums, ..room });
                plan.finish(piece, sums, pointers.get().2);
            } else {
                let sums = room.sums.wrapping_add((piece * plan.splits + split) * size);
                plan.add(piece, chunks, &places, i == 0, Room { sums, ..room });
            }
        });
    }
    if !is_one {
        threads::for_each(pieces, sums as u64 / 2, &|piece| {
            let sums = room.get().sums.wrapping_add(piece * plan.splits * plan.sums());
            // SAFETY: the caller's; pieces are disjoint parts of the result.
            unsafe { plan.finish(piece, sums, pointers.get().2) };
        });
    }
    true
}
