//! Operands of matrix products in panels, as register tiles read them.

use std::ops::Range;

use super::Operand;
use super::lanes::Lanes;

/// Squares whose columns make a cache line.
const LINE_SQUARES: usize = 2;
/// Elements that are read of a row before those of other rows.
const LINE: usize = 16;

/// `0..n` in the fewest nearly equal parts of at most `most`.
pub fn parts(n: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = n.div_ceil(most);
    (0..count).map(move |i| i * n / count..(i + 1) * n / count)
}

/// As [`parts`], each but the last a multiple of `width`.
pub fn parts_of_width(n: usize, most: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    parts(n.div_ceil(width), most / width).map(move |r| r.start * width..n.min(r.end * width))
}

/// Columns `0..n` of `b` as panels of two vectors, `k` rows each, padded with zeros to whole vectors.
///
/// # Safety
/// The CPU has the vectors; `b` has the elements of `[k, n]`, and `to` has room for the padded panels.
#[inline(always)]
pub unsafe fn pack_columns<L: Lanes>(k: usize, n: usize, b: Operand<L::T>, to: *mut L::T) {
    let (lanes, width) = (L::LANES, 2 * L::LANES);
    for first in (0..n).step_by(width) {
        let count = width.min(n - first);
        let from = b.from(0, first);
        // SAFETY: `to` has room for the padded panels; what is read is inside `b`.
        unsafe {
            let to = to.add(first * k);
            if b.col == 1 {
                let rest = count.saturating_sub(lanes);
                for p in 0..k {
                    let row = from.from(p, 0).at;
                    let to = to.add(p * width);
                    if count == width {
                        L::load(row).store(to);
                        L::load(row.add(lanes)).store(to.add(lanes));
                    } else {
                        L::load_first(row, count.min(lanes)).store(to);
                        L::load_first(row.wrapping_add(lanes), rest).store(to.add(lanes));
                    }
                }
                continue;
            }
            // Whole squares are transposed; the last columns and rows one element at a time.
            let squares = if b.row == 1 { [k, count].map(|n| n / L::SQUARE * L::SQUARE) } else { [0, 0] };
            // Of each column as many elements as a cache line has before the next one, whose line may be in the same set.
            for line in (0..squares[0]).step_by(LINE_SQUARES * L::SQUARE) {
                for j in (0..squares[1]).step_by(L::SQUARE) {
                    for p in (line..squares[0].min(line + LINE_SQUARES * L::SQUARE)).step_by(L::SQUARE) {
                        L::transpose(from.from(p, j).at, b.col, to.add(p * width + j), width);
                    }
                }
            }
            for p in 0..k {
                for j in if p < squares[0] { squares[1] } else { 0 }..count.next_multiple_of(lanes) {
                    *to.add(p * width + j) = if j < count { *from.from(p, j).at } else { L::T::default() };
                }
            }
        }
    }
}

/// Rows `0..m` of `a` as panels of the tiles' rows, `k` columns each.
///
/// # Safety
/// The CPU has the vectors; `a` has the elements of `[m, k]`, and `to` has room for as many.
#[inline(always)]
pub unsafe fn pack_rows<L: Lanes>(m: usize, k: usize, a: Operand<L::T>, to: *mut L::T) {
    if a.row == 1 {
        // A few columns, as they lie in memory, to all panels before the next ones.
        for ps in parts(k, 16) {
            for rows in parts(m, L::ROWS) {
                let (first, count) = (rows.start, rows.len());
                for p in ps.clone() {
                    let (from, to) = (a.from(first, p).at, to.wrapping_add(first * k + p * count));
                    for i in (0..count).step_by(L::LANES) {
                        let rest = L::LANES.min(count - i);
                        // SAFETY: `to` has room for all panels; what is read is inside `a`.
                        unsafe {
                            let x = if first + i + L::LANES <= m {
                                L::load(from.add(i))
                            } else {
                                L::load_first(from.add(i), rest)
                            };
                            // A part of a vector is dear to write: what stands behind it in the panel is written later.
                            if p * count + i + L::LANES <= k * count {
                                x.store(to.add(i));
                            } else {
                                x.store_first(to.add(i), rest);
                            }
                        }
                    }
                }
            }
        }
        return;
    }
    for rows in parts(m, L::ROWS) {
        let (from, to, count) = (a.from(rows.start, 0), to.wrapping_add(rows.start * k), rows.len());
        // SAFETY: `to` has room for all panels; what is read is inside `a`.
        unsafe {
            if a.col == 1 && count >= 4 && k >= 4 {
                // Of a few rows a cache line before those of the next ones, which may be in the same set of the cache.
                for line in (0..k).step_by(LINE) {
                    for i in squares(count) {
                        for p in (line..k.min(line + LINE)).step_by(4) {
                            let p = p.min(k - 4);
                            L::transpose_4(from.from(i, p).at, a.row, to.add(p * count + i), count);
                        }
                    }
                }
                continue;
            }
            for p in 0..k {
                for i in 0..count {
                    *to.add(p * count + i) = *from.from(i, p).at;
                }
            }
        }
    }
}

/// Where squares of 4 begin that cover `0..n`, of which the last may overlap another.
fn squares(n: usize) -> impl Iterator<Item = usize> {
    (0..n.div_ceil(4)).map(move |i| (4 * i).min(n - 4))
}
