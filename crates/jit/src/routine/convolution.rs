//! Convolutions as matrix products on tiles of columns.
//!
//! A column is a position of the result in one image; its rows are the input elements that the kernel meets there, one for each input channel
//! and kernel element. Tiles of columns, and chunks of rows where there are many, keep the gathered matrix in the second-level cache.

use cotangent_core::ir::Shape;
use cotangent_core::ops::Convolution;
use cotangent_loops::ir::Matrix;

use super::borders;
use super::long::Layout;
pub use super::sizes::Sizes;
use super::{Onto, Operand, Product, Real, Target, Vectors, matmul, product};
use crate::memory::Block;
use crate::threads;

/// The bytes that a gathered tile may have.
const TILE_BYTES: usize = 384 << 10;
/// Pieces from which threads have enough.
const PIECES: usize = 4;
/// As [`has_few_columns`]; and images that fill vectors.
const FEW_COLUMNS: usize = 64;
const LARGE_WEIGHTS: usize = 1 << 18;
const IMAGES: usize = 8;
/// The fewest columns worth a product.
const MIN_COLUMNS: usize = 48;

/// The weights of a transposed convolution, which are `[groups · ci, co, k…]`, as `[groups, co, ci · k]`.
///
/// # Safety
/// `w` has as many elements.
unsafe fn regrouped<T: Copy>(s: &Sizes, w: *const T) -> Block {
    let kernel: usize = s.k.iter().product();
    let block = Block::new(s.groups * s.co * s.ci * kernel * size_of::<T>());
    let to: *mut T = block.as_ptr().cast();
    for (g, o, i) in (0..s.groups).flat_map(|g| (0..s.co).flat_map(move |o| (0..s.ci).map(move |i| (g, o, i)))) {
        let (from, at) = (((g * s.ci + i) * s.co + o) * kernel, ((g * s.co + o) * s.ci + i) * kernel);
        for e in 0..kernel {
            // SAFETY: the caller's, and the block has as many elements.
            unsafe { *to.add(at + e) = *w.add(from + e) };
        }
    }
    block
}

/// Operands and result.
pub struct Pointers<T>(pub *const T, pub *const T, pub *mut T);
// SAFETY: operands are only read; each piece writes columns of its own.
unsafe impl<T> Sync for Pointers<T> {}
impl<T> Pointers<T> {
    /// The three, as a method, so that closures share the whole.
    pub fn get(&self) -> (*const T, *const T, *mut T) {
        (self.0, self.1, self.2)
    }
}

/// Computes a convolution of floats.
///
/// # Safety
/// The operands have the shapes `x` and `w`, the result has room for `y`, as inferred; nobody else writes them.
pub unsafe fn run<T: Real>(
    op: &Convolution,
    shapes: [&Shape; 3],
    vectors: Vectors,
    x: *const T,
    w: *const T,
    y: *mut T,
) {
    let (op, s) = &Sizes::of(op, shapes).merged(op);
    // SAFETY: the caller's.
    unsafe {
        compute(op, s, vectors, x, w, y);
        borders::without(op, s, (Layout::dense(s), borders::dense(op, s)), [x, w], y);
    }
}

/// Computes the first positions of the result of a convolution of floats.
///
/// # Safety
/// The operands have the sizes, the result has room for its own, and nobody else writes them.
pub unsafe fn compute<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) {
    let zero = T::ZERO;
    let kernel: usize = s.k.iter().product();
    let (rows, plane) = (s.ci * kernel, s.y.iter().product::<usize>());
    let columns = s.images * plane;
    if columns == 0 || s.co * s.groups == 0 {
        return;
    }
    if is_product(op, s) {
        // SAFETY: the caller's.
        return unsafe { as_product(s, vectors, x, w, y) };
    }
    let size = size_of::<T>();
    let few_positions = !op.transposed && kernel >= plane;
    // Groups that threads share, each with its own few images, as gradients for each example of a batch have them.
    let of_groups = few_positions && s.groups >= super::columns::MANY_GROUPS;
    // SAFETY: the caller's.
    let is_done = unsafe {
        if has_few_columns(op, s) {
            false
        } else if s.has_windows_apart(op) {
            super::slide::run(op, s, vectors, x, w, y)
        } else {
            super::spread::run(op, s, vectors, x, w, y)
                || super::correlate::run(op, s, Layout::dense(s), vectors, x, w, y)
                || (of_groups && super::columns::run(op, s, vectors, x, w, y))
                || super::long::run(op, s, Layout::dense(s), vectors, x, w, y)
                || (few_positions && super::columns::run(op, s, vectors, x, w, y))
                || super::planes::run(op, s, vectors, x, w, y)
                || super::winograd::run(op, s, vectors, x, w, y)
                || super::slide::run(op, s, vectors, x, w, y)
                || super::columns::run(op, s, vectors, x, w, y)
        }
    };
    if is_done {
        return;
    }
    // SAFETY: the caller's.
    let weights = op.transposed.then(|| unsafe { regrouped(s, w) });
    let w = weights.as_ref().map_or(w, |b| b.as_ptr().cast_const().cast());
    let channels = (TILE_BYTES / size / MIN_COLUMNS / kernel.max(1)).clamp(1, s.ci.max(1));
    let width = (TILE_BYTES / size / (channels * kernel).max(1)).clamp(FEW_COLUMNS, 1024).min(columns);
    let tiles = columns.div_ceil(width);
    let width = columns.div_ceil(tiles);
    // Chunks of rows, all about as large, are sums of their own where there are few tiles.
    let wanted = (PIECES / (tiles * s.groups)).clamp(1, s.ci.max(1));
    let channels = s.ci.div_ceil(s.ci.div_ceil(channels).next_multiple_of(wanted)).max(1);
    let chunks = s.ci.div_ceil(channels);
    let splits = if rows == 0 { 1 } else { wanted.min(chunks) };
    // The longer of the innermost lines is what is copied: that of the result, or (in gradients of weights) that of the kernel.
    let by_kernel = !op.transposed && s.k.last() > s.y.last() || s.has_windows_apart(op);
    let cost = (columns * s.groups) as u64 * (rows * s.co) as u64 / 25;
    let pointers = Pointers(x, w, y);
    let of_tile = |tile: usize| (tile * width, columns.min((tile + 1) * width));
    // The sums of all splits but those that are alone.
    let apart = s.co * width;
    let shared = (splits > 1).then(|| Block::new(tiles * s.groups * splits * apart * size));
    let partial = Partial(shared.as_ref().map_or(std::ptr::null_mut(), |b| b.as_ptr().cast::<T>()));
    threads::for_each(tiles * s.groups * splits, cost, &|piece| {
        let (g, tile, split) = (piece / splits / tiles, piece / splits % tiles, piece % splits);
        let (from, to) = of_tile(tile);
        let n = to - from;
        let (x, w, y) = pointers.get();
        let gathered = Block::new(channels * kernel * width * size);
        let own = (splits == 1).then(|| Block::new(apart * size));
        let sums: *mut T =
            own.as_ref().map_or_else(|| partial.get().wrapping_add(piece * apart), |b| b.as_ptr().cast());
        let gathered: *mut T = gathered.as_ptr().cast();
        // SAFETY: rows and columns below are inside the blocks; `gather` reads inside `x`; the products read `co · rows` weights of group `g`.
        unsafe {
            if rows == 0 {
                std::slice::from_raw_parts_mut(sums, s.co * n).fill(zero);
            }
            let chunks = if rows == 0 { 0..0 } else { split * chunks / splits..(split + 1) * chunks / splits };
            for i in chunks.clone() {
                let first = i * channels;
                let count = channels.min(s.ci - first);
                let chunk = Chunk { group: g, first, count, from, to };
                if by_kernel {
                    gather_by_kernel(op, s, &chunk, x, gathered, zero);
                } else {
                    gather_by_columns(op, s, &chunk, x, gathered, zero);
                }
                let depth = count * kernel;
                let columns = if by_kernel { (1, depth as isize) } else { (n as isize, 1) };
                product(
                    vectors,
                    [s.co, depth, n],
                    Operand { at: w.add(g * s.co * rows + first * kernel), row: rows as isize, col: 1 },
                    Operand { at: gathered.cast_const(), row: columns.0, col: columns.1 },
                    Target { at: sums, row: n },
                    Onto::Nothing.after(i - chunks.start),
                );
            }
            if splits == 1 {
                finish(s, g, from..to, sums, y);
            }
        }
    });
    if splits > 1 {
        for piece in 0..tiles * s.groups {
            let (from, to) = of_tile(piece % tiles);
            let first = partial.get().wrapping_add(piece * splits * apart);
            // SAFETY: all of these sums were written above, and are disjoint.
            unsafe {
                let sums = std::slice::from_raw_parts_mut(first, s.co * (to - from));
                for split in 1..splits {
                    let more = std::slice::from_raw_parts(first.add(split * apart).cast_const(), sums.len());
                    sums.iter_mut().zip(more).for_each(|(sum, x)| *sum += *x);
                }
                finish(s, piece / tiles, from..to, first, y);
            }
        }
    }
}

/// Sums of pieces.
struct Partial<T>(*mut T);
// SAFETY: each piece writes sums of its own.
unsafe impl<T> Sync for Partial<T> {}
impl<T> Partial<T> {
    /// The address, as a method, so that closures share the whole.
    fn get(&self) -> *mut T {
        self.0
    }
}

/// Writes the columns `of` group `g`, whose sums are row-major.
///
/// # Safety
/// `y` is the result, and nobody else uses these columns; there are as many sums.
unsafe fn finish<T: Copy>(s: &Sizes, g: usize, of: std::ops::Range<usize>, sums: *const T, y: *mut T) {
    let (plane, n) = (s.plane(), of.len());
    // Columns of one image are contiguous in the result.
    let mut at = of.start;
    while at < of.end {
        let (image, place) = (at / plane, at % plane);
        let run = (plane - place).min(of.end - at);
        for o in 0..s.co {
            let out = ((image * s.groups + g) * s.co + o) * plane + place;
            // SAFETY: the caller's.
            unsafe { std::ptr::copy_nonoverlapping(sums.add(o * n + at - of.start), y.add(out), run) };
        }
        at += run;
    }
}

/// Whether there are so few columns that what other forms do with large weights first takes as long as the products.
fn has_few_columns(op: &Convolution, s: &Sizes) -> bool {
    let kernel: usize = s.k.iter().product();
    let is_few = s.images * s.plane() <= FEW_COLUMNS && (s.images < IMAGES || kernel < s.plane());
    !op.transposed && s.groups == 1 && is_few && s.co * s.ci * kernel >= LARGE_WEIGHTS && s.co >= FEW_COLUMNS
}

/// Whether each element of the result is a product of one position's channels with weights, at the same position.
fn is_product(op: &Convolution, s: &Sizes) -> bool {
    let is = |xs: &[usize], value: usize| xs.iter().all(|x| *x == value);
    !op.transposed && is(&s.k, 1) && is(&op.stride, 1) && is(&op.padding, 0) && s.ci > 0
}

/// The products of the weights and each image, which are read as they lie.
///
/// # Safety
/// As [`run`].
unsafe fn as_product<T: Real>(s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) {
    let plane = s.plane();
    // Groups of one image follow one another, and have weights of their own: all images have the same only of one group.
    let (batch, times) = if s.groups == 1 { (s.images, 1) } else { (s.groups, s.images) };
    let weights = if s.groups == 1 { 0 } else { s.co * s.ci };
    let lhs = Matrix { offset: 0, batch: weights as i64, row: s.ci as i64, col: 1 };
    let rhs = Matrix { offset: 0, batch: (s.ci * plane) as i64, row: plane as i64, col: 1 };
    let product = Product { batch, m: s.co, k: s.ci, n: plane, lhs, rhs };
    for i in 0..times {
        let (from, to) = (x.wrapping_add(i * batch * s.ci * plane), y.wrapping_add(i * batch * s.co * plane));
        // SAFETY: the caller's: images have `groups · ci` channels, results `groups · co`.
        unsafe { product.numbers::<T>(vectors, matmul::Pointers::of(w, from, to)) };
    }
}

/// Which part of the gathered matrix is made: channels `first..first + count` of a group, columns `from..to`.
struct Chunk {
    group: usize,
    first: usize,
    count: usize,
    from: usize,
    to: usize,
}

/// Row-major rows `(channel, kernel element)`: for each line of the result, lines of the input.
///
/// # Safety
/// `x` is the input, and `out` has room for `count · k · (to − from)` elements.
unsafe fn gather_by_columns<T: Copy>(op: &Convolution, s: &Sizes, chunk: &Chunk, x: *const T, out: *mut T, zero: T) {
    let (plane, x_plane) = (s.plane(), s.x_plane());
    let kernel: usize = s.k.iter().product();
    let (last, k_last) = (s.y.last().copied().unwrap_or(1), s.k.last().copied().unwrap_or(1));
    let (n, dims) = (chunk.to - chunk.from, s.y.len());
    for element in 0..kernel {
        let mut at = chunk.from;
        while at < chunk.to {
            let (image, place) = (at / plane, at % plane);
            let begin = place % last;
            let run = (last - begin).min(chunk.to - at);
            let row = s.line(op, place / last, element / k_last);
            // The part of the line that exists: all positions with stride 1, so that first and length say everything.
            let meets = |a: usize| if dims == 0 { Some(0) } else { s.meets(op, dims - 1, begin + a, element % k_last) };
            let unit = dims == 0 || op.stride[dims - 1] == 1;
            let first = if row.is_some() { (0..run).find(|a| meets(*a).is_some()).unwrap_or(run) } else { run };
            let start = if first < run { meets(first) } else { None };
            let x_last = s.x.last().copied().unwrap_or(1);
            let length = start.map_or(0, |p| (x_last - p).min(run - first));
            for i in 0..chunk.count {
                // SAFETY: `out` has room for `count · k` rows of `n`; positions that exist are inside image and channel.
                unsafe {
                    let to = std::slice::from_raw_parts_mut(out.add((i * kernel + element) * n + at - chunk.from), run);
                    let channel = ((image * s.groups + chunk.group) * s.ci + chunk.first + i) * x_plane;
                    match row {
                        Some(row) if !unit => {
                            for (a, y) in to.iter_mut().enumerate() {
                                *y = meets(a).map_or(zero, |p| *x.add(channel + row + p));
                            }
                        }
                        Some(row) if length > 0 => {
                            to[..first].fill(zero);
                            let from = x.add(channel + row + start.unwrap_or(0));
                            std::ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(first), length);
                            to[first + length..].fill(zero);
                        }
                        Some(_) | None => to.fill(zero),
                    }
                }
            }
            at += run;
        }
    }
}

/// Column-major columns: for each line of the kernel, a line of the input.
///
/// # Safety
/// As [`gather_by_columns`].
unsafe fn gather_by_kernel<T: Copy>(op: &Convolution, s: &Sizes, chunk: &Chunk, x: *const T, out: *mut T, zero: T) {
    let (plane, x_plane) = (s.plane(), s.x_plane());
    let kernel: usize = s.k.iter().product();
    let d = s.y.len() - 1;
    let (last, k_last, x_last) = (s.y[d], s.k[d], s.x[d]);
    for at in chunk.from..chunk.to {
        let (image, place) = (at / plane, at % plane);
        // Kernel elements `low..high` of a line meet the input, the first at `p`.
        let (begin, step) = ((place % last) * op.stride[d], op.dilation[d]);
        let low = op.padding[d].saturating_sub(begin).div_ceil(step).min(k_last);
        let high = (x_last + op.padding[d]).saturating_sub(begin).div_ceil(step).clamp(low, k_last);
        let p = (begin + low * step).saturating_sub(op.padding[d]);
        for line in 0..kernel / k_last.max(1) {
            let row = s.line(op, place / last, line);
            for i in 0..chunk.count {
                let column = (at - chunk.from) * chunk.count * kernel + i * kernel + line * k_last;
                // SAFETY: as above.
                unsafe {
                    let to = std::slice::from_raw_parts_mut(out.add(column), k_last);
                    let channel = ((image * s.groups + chunk.group) * s.ci + chunk.first + i) * x_plane;
                    let Some(row) = row else {
                        to.fill(zero);
                        continue;
                    };
                    to[..low].fill(zero);
                    let from = x.wrapping_add(channel + row + p);
                    if step == 1 {
                        std::ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(low), high - low);
                    } else {
                        to[low..high].iter_mut().enumerate().for_each(|(e, y)| *y = *from.add(e * step));
                    }
                    to[high..].fill(zero);
                }
            }
        }
    }
}
