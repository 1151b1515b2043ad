//! Convolutions with large kernels and few positions of few images, as gradients of the weights of depthwise layers and of the first layer of a network are: each
//! element of the result is a sum over lines of the kernel and of the input, which vectors run along.
//!
//! What other forms gather or put in order has the input once for each position. Here both operands are read where they lie: a vector of a line of the kernel, and
//! the vectors of the input that it meets at some positions, of which masks keep what is inside of the line. With a dilation of two, two vectors are split.

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
#[cfg(target_arch = "x86_64")]
use super::lanes::Kernel;
use super::long::Layout;
#[cfg(target_arch = "x86_64")]
use super::spans::Spans;
use super::{Real, Vectors};
use crate::memory::Block;
use crate::threads;

/// Images of which more fill vectors, and so few that no other form does.
const IMAGES: usize = 8;
const FEW: usize = 3;
/// Channels of a group's result from which a product is better, unless images are few.
const CHANNELS: usize = 4;
/// Pieces that threads share.
const PIECES: usize = 8;
/// Bytes of the kernel that stay near while all positions meet them.
const NEAR: usize = 16 << 10;
/// The most positions, and channels of the result, whose sums stay in registers, and of the latter where there are few registers.
const POSITIONS: usize = 5;
const AT_ONCE: usize = 4;
const FEW_REGISTERS: usize = 2;
/// How far positions may be beside a line.
const FAR: usize = 1 << 16;

/// Lines of a kernel and of an input whose products are added up: for some positions of a line of the result, and some of its channels.
pub struct Dots<'a, T> {
    /// Where the lines of each pair begin.
    pub pairs: &'a [(usize, usize)],
    /// How many channels have such pairs, and how far these are apart in kernel and input.
    pub channels: [usize; 3],
    pub kernel: *const T,
    pub input: *const T,
    /// The elements of a line of each.
    pub len: usize,
    pub line: usize,
    /// The distance of the elements of the input that a line of the kernel meets: 1 or 2.
    pub dilation: usize,
    /// How far before a line the first element of the kernel meets the input, at the first position, and how far positions are apart.
    pub before: isize,
    pub step: usize,
    /// The channels of the result and how far their kernels are apart, and the positions.
    pub results: usize,
    pub apart: usize,
    pub positions: usize,
    /// Whether vectors are half as long.
    pub is_narrow: bool,
    /// Vectors that are added to: `[positions, results]`.
    pub sums: *mut T,
}

/// A convolution in this form.
struct Plan<'a> {
    s: &'a Sizes,
    layout: Layout,
    /// For each line of the result the lines that meet there.
    meets: Vec<Vec<(usize, usize)>>,
    /// The channels of the result that are computed at once.
    blocks: Vec<std::ops::Range<usize>>,
    /// Lines of a kernel and of the input, and positions of a line of the result.
    line: [usize; 3],
    lanes: usize,
    is_narrow: bool,
    padding: usize,
    step: usize,
    dilation: usize,
}

impl<'a> Plan<'a> {
    /// The plan, where this form is worth it.
    fn new<T: Real>(op: &Convolution, s: &'a Sizes, layout: Layout, vectors: Vectors) -> Option<Self> {
        let last = s.k.len().checked_sub(1)?;
        let line @ [len, _, positions] = [s.k[last], s.x[last], s.y[last]];
        let [kernel, x_plane, plane]: [usize; 3] = [&s.k, &s.x, &s.y].map(|sizes| sizes.iter().product());
        let (step, dilation, padding, lanes) =
            (op.stride[last], op.dilation[last], op.padding[last], T::lanes(vectors));
        let is_one = !op.transposed && (dilation == 1 || (dilation == 2 && step == 1)) && kernel >= plane;
        let is_near = padding.max(step.saturating_mul(positions)) <= FAR;
        // Lines fill half of the vectors.
        let is_full = 4 * len >= lanes;
        // Images side by side with positions do not fill vectors, nor does one image.
        let is_apart = s.images == 1 || (dilation == 1 && s.images <= FEW && 4 * s.images * positions <= 3 * lanes);
        let is_few = s.images < IMAGES && s.co <= CHANNELS || is_apart && is_full;
        if vectors == Vectors::Portable || !is_one || !is_near || !is_few || kernel * s.ci * x_plane * plane == 0 {
            return None;
        }
        let meets = |y: usize| (0..kernel / len).filter_map(|l| s.line(op, y, l).map(|at| (l * len, at))).collect();
        let meets = (0..plane / positions).map(meets).collect();
        // There are fewer registers of half the length.
        let is_narrow = 4 * len.next_multiple_of(lanes / 2) <= 3 * len.next_multiple_of(lanes);
        let most = if !is_narrow && T::rows(vectors) > 2 * AT_ONCE { AT_ONCE } else { FEW_REGISTERS };
        let mut blocks = Vec::new();
        let mut first = 0;
        while first < s.co {
            // Powers of two.
            let count = most.min(1 << (s.co - first).ilog2());
            blocks.push(first..first + count);
            first += count;
        }
        Some(Plan { s, layout, meets, blocks, line, lanes, is_narrow, padding, step, dilation })
    }

    /// The sums of a block of channels of one group.
    fn sums(&self, block: usize) -> usize {
        self.s.images * self.s.plane() * self.blocks[block].len() * self.lanes
    }

    /// Adds the products of channels `of` of the input to the sums of a block of channels of group `g`.
    ///
    /// # Safety
    /// `x` and `w` are the operands, and nobody else uses the sums.
    unsafe fn add<T: Real>(
        &self,
        vectors: Vectors,
        [g, block]: [usize; 2],
        of: std::ops::Range<usize>,
        (x, w): (*const T, *const T),
        sums: *mut T,
    ) {
        let (channels, kernel): (_, usize) = (&self.blocks[block], self.s.k.iter().product());
        let [of_image, of_group, of_channel] = self.layout.x;
        let [of_result, of_kernel] = self.layout.w;
        let [len, line, all] = self.line;
        let at_once = (NEAR / (channels.len() * kernel * size_of::<T>())).max(1);
        let parts = all.div_ceil(POSITIONS);
        for first in of.clone().step_by(at_once) {
            let count = at_once.min(of.end - first);
            let kernel = w.wrapping_add((g * self.s.co + channels.start) * of_result + first * of_kernel);
            for i in 0..self.s.images {
                let input = x.wrapping_add(i * of_image + g * of_group + first * of_channel);
                for (y, pairs) in self.meets.iter().enumerate() {
                    for part in 0..parts {
                        let (from, to) = (part * all / parts, (part + 1) * all / parts);
                        let at = ((i * self.meets.len() + y) * all + from) * channels.len() * self.lanes;
                        let dots = Dots {
                            pairs,
                            channels: [count, of_kernel, of_channel],
                            kernel,
                            input,
                            len,
                            line,
                            dilation: self.dilation,
                            before: self.padding as isize - (from * self.step) as isize,
                            step: self.step,
                            results: channels.len(),
                            apart: of_result,
                            positions: to - from,
                            is_narrow: self.is_narrow,
                            sums: sums.wrapping_add(at),
                        };
                        // SAFETY: the caller's: lines that meet are inside of both operands.
                        unsafe { T::dots(vectors, dots) };
                    }
                }
            }
        }
    }

    /// Writes what the sums of a block of channels of group `g` add up to, `splits` of them.
    ///
    /// # Safety
    /// `y` is the result, and nobody else uses this part of it; there are so many sums.
    unsafe fn finish<T: Real>(&self, [g, block]: [usize; 2], splits: usize, sums: *const T, y: *mut T) {
        let (channels, plane, size) = (&self.blocks[block], self.s.plane(), self.sums(block));
        let [of_image, of_channel] = self.layout.y;
        // SAFETY: the caller's.
        let sums = unsafe { std::slice::from_raw_parts(sums, splits * size) };
        for (at, _) in sums[..size].chunks_exact(self.lanes).enumerate() {
            let mut lanes = [T::ZERO; LONGEST];
            for split in sums.chunks_exact(size) {
                let own = &split[at * self.lanes..][..self.lanes];
                lanes.iter_mut().zip(own).for_each(|(lane, x)| *lane += *x);
            }
            let mut half = LONGEST / 2;
            while half > 0 {
                let (low, high) = lanes.split_at_mut(half);
                low.iter_mut().zip(high).for_each(|(a, b)| *a += *b);
                half /= 2;
            }
            let (c, place, i) = (at % channels.len(), at / channels.len() % plane, at / channels.len() / plane);
            let channel = g * self.s.co + channels.start + c;
            // SAFETY: the caller's.
            unsafe { *y.add(i * of_image + channel * of_channel + place) = lanes[0] };
        }
    }
}

/// The most lanes of a vector.
const LONGEST: usize = 16;

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
    let Some(plan) = Plan::new::<T>(op, s, layout, vectors) else { return false };
    let (plan, blocks) = (&plan, plan.blocks.len());
    let pieces = s.groups * blocks;
    // Channels of the input in parts with sums of their own: how many says the size only.
    let splits = PIECES.div_ceil(pieces.max(1)).min(s.ci);
    let kernel: usize = s.k.iter().product();
    let cost = (s.groups * s.images * s.co * s.plane()) as u64 * (s.ci * kernel) as u64 / 16;
    let most = plan.sums(0);
    let shared = (splits > 1).then(|| Block::new(pieces * splits * most * size_of::<T>()));
    let shared = Pointers(x, w, shared.as_ref().map_or(std::ptr::null_mut(), |b| b.as_ptr().cast::<T>()));
    let pointers = Pointers(x, w, y);
    threads::for_each(pieces * splits, cost, &|i| {
        let ((x, w, y), (piece, split)) = (pointers.get(), (i / splits, i % splits));
        let (of, size) = ([piece / blocks, piece % blocks], plan.sums(piece % blocks));
        let own = (splits == 1).then(|| Block::new(size * size_of::<T>()));
        let first = shared.get().2.wrapping_add(piece * splits * most + split * size);
        let sums = own.as_ref().map_or(first, |b| b.as_ptr().cast::<T>());
        let channels = split * s.ci / splits..(split + 1) * s.ci / splits;
        // SAFETY: the caller's; each piece has sums and channels of the result of its own.
        unsafe {
            std::slice::from_raw_parts_mut(sums, size).fill(T::ZERO);
            plan.add(vectors, of, channels, (x, w), sums);
            if splits == 1 {
                plan.finish(of, 1, sums, y);
            }
        }
    });
    if splits > 1 {
        for piece in 0..pieces {
            let sums = shared.get().2.wrapping_add(piece * splits * most).cast_const();
            // SAFETY: the caller's; all sums were written above, those of a piece's splits behind one another.
            unsafe { plan.finish([piece / blocks, piece % blocks], splits, sums, y) };
        }
    }
    true
}

/// Adds the products, with vectors `L`, or with `N`, which are half as long.
///
/// # Safety
/// The CPU has both vectors; all lines have their elements, and nobody else uses the sums.
#[cfg(target_arch = "x86_64")]
pub unsafe fn dots<N: Spans, L: Spans<T = N::T>>(dots: &Dots<L::T>) {
    // SAFETY: the caller's.
    unsafe {
        if dots.is_narrow {
            several::<N, L>(dots);
        } else {
            several::<L, L>(dots);
        }
    }
}

/// As [`dots`], with vectors `L`; there is room for vectors `R`.
///
/// # Safety
/// As [`dots`].
#[cfg(target_arch = "x86_64")]
unsafe fn several<L: Spans, R: Spans>(dots: &Dots<L::T>) {
    macro_rules! sized {
        ($($C:literal: $($N:literal)*),*) => {
            // SAFETY: the caller's.
            unsafe {
                match (dots.results, dots.positions, dots.dilation) {
                    $( $(
                        ($C, $N, 1) => L::enabled(Several::<L, $C, $N, 1> { dots, room: R::LANES }),
                        ($C, $N, 2) => L::enabled(Several::<L, $C, $N, 2> { dots, room: R::LANES }),
                    )* )*
                    (c, n, d) => unreachable!("{c} channels and {n} positions at once, {d} apart"),
                }
            }
        };
    }
    sized!(1: 1 2 3 4 5, 2: 1 2 3 4 5, 4: 1 2 3 4 5);
}

/// The sums of `C` channels at `N` positions, of elements that are `D` apart.
#[cfg(target_arch = "x86_64")]
struct Several<'a, L: Spans, const C: usize, const N: usize, const D: usize> {
    dots: &'a Dots<'a, L::T>,
    room: usize,
}

#[cfg(target_arch = "x86_64")]
impl<L: Spans, const C: usize, const N: usize, const D: usize> Kernel for Several<'_, L, C, N, D> {
    /// # Safety
    /// As [`dots`].
    #[inline(always)]
    unsafe fn run(self) {
        let Dots { pairs, channels: [count, of_kernel, of_input], kernel, input, len, line, .. } = *self.dots;
        let Dots { before, step, apart, sums: to, .. } = *self.dots;
        // Which lanes of a vector are inside of a line, that begins so far from its first element.
        let inside = |first: isize| {
            let clamp = |n: isize| n.clamp(0, L::LANES as isize) as usize;
            clamp(-first)..clamp(line as isize - first)
        };
        // SAFETY: the caller's; lanes outside of a line are not touched.
        unsafe {
            let mut sums = [[L::zero(); C]; N];
            for p in (0..len).step_by(L::LANES) {
                let own = L::mask(0..L::LANES.min(len - p));
                let first = (p * D) as isize - before;
                // Of each position, or of each vector of a pair of them.
                let mut masks = [[own; 2]; N];
                for (j, masks) in masks.iter_mut().enumerate() {
                    let first = first + (j * step) as isize;
                    *masks = [L::mask(inside(first)), L::mask(inside(first + L::LANES as isize))];
                }
                for n in 0..count {
                    let (kernel, input) = (kernel.wrapping_add(n * of_kernel + p), input.wrapping_add(n * of_input));
                    for (k, x) in pairs {
                        let (k, x) = (kernel.wrapping_add(*k), input.wrapping_add(*x).wrapping_offset(first));
                        let mut weights = [L::zero(); C];
                        for (c, weight) in weights.iter_mut().enumerate() {
                            *weight = L::load_inside(k.wrapping_add(c * apart), own);
                        }
                        let mut j = 0;
                        while j < N {
                            let x = x.wrapping_add(j * step);
                            let low = L::load_inside(x, masks[j][0]);
                            if D == 1 {
                                for (sum, weight) in sums[j].iter_mut().zip(weights) {
                                    *sum = sum.fma(weight, low);
                                }
                                j += 1;
                                continue;
                            }
                            let xs = L::split(low, L::load_inside(x.wrapping_add(L::LANES), masks[j][1]));
                            for (sums, x) in sums[j..].iter_mut().zip(xs) {
                                for (sum, weight) in sums.iter_mut().zip(weights) {
                                    *sum = sum.fma(weight, x);
                                }
                            }
                            j += 2;
                        }
                    }
                }
            }
            for (i, sum) in sums.as_flattened().iter().enumerate() {
                let to = to.wrapping_add(i * self.room);
                L::load(to).add(*sum).store(to);
            }
        }
    }
}
