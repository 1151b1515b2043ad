//! Matrix products of one block on one thread: register tiles over packed or direct operands.
//!
//! A tile holds up to [`ROWS`] rows of two vectors in registers. Operands are packed into panels only where their layout or their size demands it, so
//! that small products cost no set-up: measured against the `gemm` crate, 64³ of `f32` 91 to 82 GFLOP/s, 16³ 44 to 30 (12 where the right operand
//! is transposed), large ones the same. The inner dim is cut at multiples of [`DEPTH`]: the order of additions depends on sizes only, and
//! not on how a product is divided among threads.

use super::lanes::Lanes;
use super::{Operand, Target};
use crate::frame::with_words;

/// Rows of a register tile.
const ROWS: usize = 6;
/// Inner elements of a packed panel.
const DEPTH: usize = 256;
/// Rows that are packed at once: their panels stay in the second-level cache.
const HEIGHT: usize = 16 * ROWS;
/// Bytes of a row of columns that are packed at once.
const WIDTH_BYTES: usize = 2048;
/// Bytes of an operand that stay in the first-level cache.
const NEAR: usize = 24 << 10;
/// Bytes between rows from which they share few sets of the cache.
const FAR_ROWS: usize = 2048;

/// `c (+)= a · b`.
///
/// # Safety
/// The CPU has AVX2 and FMA; the operands have the elements of `[m, k]` and `[k, n]`, and `c` those of `[m, n]`, which nobody else uses.
pub unsafe fn product<T: Lanes>([m, k, n]: [usize; 3], a: Operand<T>, b: Operand<T>, c: Target<T>, add: bool) {
    let depth = k.min(DEPTH);
    let columns = n.min(WIDTH_BYTES / size_of::<T>()).next_multiple_of(2 * T::LANES);
    // A cache line more, so that panels can begin at one.
    let bytes = depth * (columns + m.min(HEIGHT).next_multiple_of(ROWS)) * size_of::<T>() + 64;
    with_words(bytes.div_ceil(8), |words| {
        let at = words.as_mut_ptr().cast::<u8>();
        let room: *mut T = at.wrapping_add(at.align_offset(64)).cast();
        // SAFETY: the caller's; `room` has the elements that packing needs.
        unsafe { cut([m, k, n], a, b, c, add, room) }
    });
}

/// Whether the left and the right operand are packed.
fn packing<T: Lanes>([m, k, n]: [usize; 3], a: Operand<T>, b: Operand<T>) -> (bool, bool) {
    let (size, width, depth) = (size_of::<T>(), 2 * T::LANES, k.min(DEPTH));
    let is_far = |stride: isize| stride.unsigned_abs() * depth * size > NEAR;
    let strided = a.col != 1 && is_far(a.col) && n > 2 * width;
    let shared_sets = a.row.unsigned_abs() * size >= FAR_ROWS && n > 8 * width;
    (strided || shared_sets, b.col != 1 || (m > 2 * ROWS && is_far(b.row)))
}

#[target_feature(enable = "avx2,fma")]
unsafe fn cut<T: Lanes>([m, k, n]: [usize; 3], a: Operand<T>, b: Operand<T>, c: Target<T>, add: bool, room: *mut T) {
    let (width, wide) = (2 * T::LANES, WIDTH_BYTES / size_of::<T>());
    let (pack_a, pack_b) = packing([m, k, n], a, b);
    for j0 in (0..n).step_by(wide) {
        let columns = wide.min(n - j0);
        for p0 in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - p0);
            let (packed_b, packed_a) = (room, room.wrapping_add(depth * columns.next_multiple_of(width)));
            // What is read in place; never the last columns, where a vector would reach beyond the matrix.
            let whole = if pack_b { 0 } else { columns / T::LANES * T::LANES };
            // SAFETY: `room` holds `depth` rows of the columns and of `HEIGHT` rows, all padded.
            unsafe { pack_columns(depth, columns - whole, b.from(p0, j0 + whole), packed_b) };
            for i0 in (0..m).step_by(HEIGHT) {
                let rows = HEIGHT.min(m - i0);
                if pack_a {
                    // SAFETY: as above.
                    unsafe { pack_rows(rows, depth, a.from(i0, p0), packed_a) };
                }
                let mut j = 0;
                while j < columns {
                    let (count, panel) = if j < whole {
                        (width.min(whole - j), b.from(p0, j0 + j))
                    } else {
                        let at = packed_b.wrapping_add((j - whole) * depth);
                        (width.min(columns - j), Operand { at, row: width as isize, col: 1 })
                    };
                    for i in (0..rows).step_by(ROWS) {
                        let height = ROWS.min(rows - i);
                        let left = if pack_a {
                            let at = packed_a.wrapping_add(i * depth).cast_const();
                            Operand { at, row: 1, col: height as isize }
                        } else {
                            a.from(i0 + i, p0)
                        };
                        let to = c.from(i0 + i, j0 + j);
                        // SAFETY: the tile lies inside the operands or the packed panels, which are padded to whole vectors.
                        unsafe { sized([height, depth, count], left, panel, to, add || p0 > 0) };
                    }
                    j += count;
                }
            }
        }
    }
    if k == 0 && !add {
        for i in 0..m {
            // SAFETY: the row is `c`'s.
            unsafe { std::slice::from_raw_parts_mut(c.from(i, 0).at, n) }.fill(T::default());
        }
    }
}

/// A tile of `m` rows and `n` columns.
///
/// # Safety
/// The operands have the rows and columns, those of `b` in whole vectors.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn sized<T: Lanes>([m, k, n]: [usize; 3], a: Operand<T>, b: Operand<T>, c: Target<T>, add: bool) {
    let whole = n.is_multiple_of(T::LANES);
    let mut sums = std::mem::MaybeUninit::<[T; 16 * ROWS]>::uninit();
    let (to, again) =
        if whole { (c, add) } else { (Target { at: sums.as_mut_ptr().cast(), row: 2 * T::LANES }, false) };
    // SAFETY: the caller's; columns that are not whole vectors go to `sums` first.
    unsafe {
        match (m, n.div_ceil(T::LANES)) {
            // Strides that are constants save registers.
            (6, 2) if a.row == 1 && a.col == 6 => {
                tile::<T, 6, 2>(k, Operand { at: a.at, row: 1, col: 6 }, b, to, again);
            }
            (6, 2) => tile::<T, 6, 2>(k, a, b, to, again),
            (5, 2) => tile::<T, 5, 2>(k, a, b, to, again),
            (4, 2) => tile::<T, 4, 2>(k, a, b, to, again),
            (3, 2) => tile::<T, 3, 2>(k, a, b, to, again),
            (2, 2) => tile::<T, 2, 2>(k, a, b, to, again),
            (1, 2) => tile::<T, 1, 2>(k, a, b, to, again),
            (6, _) => tile::<T, 6, 1>(k, a, b, to, again),
            (5, _) => tile::<T, 5, 1>(k, a, b, to, again),
            (4, _) => tile::<T, 4, 1>(k, a, b, to, again),
            (3, _) => tile::<T, 3, 1>(k, a, b, to, again),
            (2, _) => tile::<T, 2, 1>(k, a, b, to, again),
            (_, _) => tile::<T, 1, 1>(k, a, b, to, again),
        }
        if whole {
            return;
        }
        for i in 0..m {
            for j in 0..n {
                let (x, y) = (*to.from(i, j).at, c.from(i, j).at);
                *y = if add { T::plus(*y, x) } else { x };
            }
        }
    }
}

/// `c (+)= a · b` for `M` rows and `N` vectors.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<T: Lanes, const M: usize, const N: usize>(
    k: usize,
    a: Operand<T>,
    b: Operand<T>,
    c: Target<T>,
    add: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[T::zero(); N]; M];
        let (mut x, mut y) = (a.at, b.at);
        for _ in 0..k {
            let ys: [T::V; N] = std::array::from_fn(|j| T::load(y.add(j * T::LANES)));
            for (i, sums) in sums.iter_mut().enumerate() {
                let s = T::splat(x.wrapping_offset(i as isize * a.row));
                for (sum, y) in sums.iter_mut().zip(ys) {
                    *sum = T::fma(s, y, *sum);
                }
            }
            x = x.wrapping_offset(a.col);
            y = y.wrapping_offset(b.row);
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                let to = c.from(i, j * T::LANES).at;
                T::store(to, if add { T::add(T::load(to), sum) } else { sum });
            }
        }
    }
}

/// `c = a · b` where row `p` of `b` begins at `b + places[p]`: windows that slide over memory, for instance. `n` is a multiple of two
/// vectors.
///
/// # Safety
/// The CPU has AVX2 and FMA; all of these elements exist, and nobody else uses those of `c`.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn sliding<T: Lanes>([m, n]: [usize; 2], a: Operand<T>, b: *const T, places: &[usize], c: Target<T>) {
    for i in (0..m).step_by(ROWS) {
        let a = a.from(i, 0);
        for j in (0..n).step_by(2 * T::LANES) {
            let (b, to) = (b.wrapping_add(j), c.from(i, j));
            // SAFETY: the caller's.
            unsafe {
                match m - i {
                    1 => slide::<T, 1>(a, b, places, to),
                    2 => slide::<T, 2>(a, b, places, to),
                    3 => slide::<T, 3>(a, b, places, to),
                    4 => slide::<T, 4>(a, b, places, to),
                    5 => slide::<T, 5>(a, b, places, to),
                    _ => slide::<T, 6>(a, b, places, to),
                }
            }
        }
    }
}

/// A tile of `M` rows and two vectors of [`sliding`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn slide<T: Lanes, const M: usize>(a: Operand<T>, b: *const T, places: &[usize], c: Target<T>) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[T::zero(); 2]; M];
        let mut x = a.at;
        for place in places {
            let y = b.add(*place);
            let ys = [T::load(y), T::load(y.add(T::LANES))];
            for (i, sums) in sums.iter_mut().enumerate() {
                let s = T::splat(x.wrapping_offset(i as isize * a.row));
                for (sum, y) in sums.iter_mut().zip(ys) {
                    *sum = T::fma(s, y, *sum);
                }
            }
            x = x.wrapping_offset(a.col);
        }
        for (i, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                T::store(c.from(i, j * T::LANES).at, sum);
            }
        }
    }
}

/// Columns `0..n` of `b` as panels of two vectors, `k` rows each, padded with zeros.
#[target_feature(enable = "avx2,fma")]
unsafe fn pack_columns<T: Lanes>(k: usize, n: usize, b: Operand<T>, to: *mut T) {
    let (lanes, width) = (T::LANES, 2 * T::LANES);
    for first in (0..n).step_by(width) {
        let count = width.min(n - first);
        let from = b.from(0, first);
        // SAFETY: `to` has room for the padded panels; what is read is inside `b`.
        unsafe {
            let to = to.add(first * k);
            let mut p = 0;
            if b.col == 1 {
                // Whole vectors, one that is cut, or none.
                let vector = |at: *const T, n: usize| match n {
                    0 => T::zero(),
                    n if n < lanes => T::load_first(at, n),
                    _ => T::load(at),
                };
                while p < k {
                    let row = from.from(p, 0).at;
                    T::store(to.add(p * width), vector(row, count));
                    T::store(to.add(p * width + lanes), vector(row.wrapping_add(lanes), count.saturating_sub(lanes)));
                    p += 1;
                }
                continue;
            }
            if count == width && b.row == 1 {
                while p + lanes <= k {
                    for half in [0, lanes] {
                        T::transpose(from.from(p, half).at, b.col, to.add(p * width + half), width);
                    }
                    p += lanes;
                }
            }
            while p < k {
                for j in 0..width {
                    *to.add(p * width + j) = if j < count { *from.from(p, j).at } else { T::default() };
                }
                p += 1;
            }
        }
    }
}

/// Rows `0..m` of `a` as panels of [`ROWS`], `k` columns each; the last panel may have fewer rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn pack_rows<T: Lanes>(m: usize, k: usize, a: Operand<T>, to: *mut T) {
    for first in (0..m).step_by(ROWS) {
        let (from, to) = (a.from(first, 0), to.wrapping_add(first * k));
        // SAFETY: `to` has room for all panels; what is read is inside `a`.
        let copy = |count: usize| unsafe {
            for p in 0..k {
                for i in 0..count {
                    *to.add(p * count + i) = *from.from(i, p).at;
                }
            }
        };
        // A count that is constant unrolls the loop.
        if m - first >= ROWS { copy(ROWS) } else { copy(m - first) }
    }
}
