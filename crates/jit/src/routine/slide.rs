//! Convolutions of stride 1 without a gathered matrix.
//!
//! In an image whose borders are filled with zeros, the elements that one kernel element meets along a line of the result are a line, too. So the
//! rows of the matrix that [`super::convolution`] gathers stand in the padded image already, each at its own place, and products read them there.
//! Several lines of the result are computed as one, with the few positions between them that belong to none. A transposed convolution of stride 1 is
//! one with the kernel reversed.

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes, regrouped};
use super::{Operand, Real, SLIDING_STEP, Target, Vectors};
use crate::memory::Block;
use crate::threads;

/// Positions that are computed at once.
const SPAN: usize = 256;
/// Lines of so many positions are computed one by one where much would be computed in vain.
const LONG: usize = 32;
/// Pieces that threads share.
const PIECES: usize = 16;

/// Lines of the result that lie near one another in the padded image.
struct Lines {
    /// The place of the first position, and the number of positions up to the end of the last line.
    at: usize,
    span: usize,
    /// For each line: from where in the span, from where in the result's plane, and how long.
    parts: Vec<(usize, usize, usize)>,
}

/// The padded sizes and the padding in front, where a convolution can slide.
fn padded(op: &Convolution, s: &Sizes) -> Option<(Vec<usize>, Vec<usize>)> {
    let dims = s.y.len();
    if dims == 0 || op.stride.iter().any(|n| *n != 1) || s.k.contains(&0) {
        return None;
    }
    let (mut sizes, mut front) = (Vec::new(), Vec::new());
    for d in 0..dims {
        let reach = (s.k[d] - 1) * op.dilation[d];
        front.push(if op.transposed { reach.checked_sub(op.padding[d])? } else { op.padding[d] });
        sizes.push(s.y[d] + reach);
        // The padded image holds the input, or what is cut off behind is never met.
        if front[d] >= sizes[d] {
            return None;
        }
    }
    let (line, whole) = (s.y[dims - 1], sizes[dims - 1]);
    // Positions between lines are computed in vain.
    (whole * 3 <= line * 4 || line >= LONG).then_some((sizes, front))
}

fn lines(s: &Sizes, sizes: &[usize]) -> Vec<Lines> {
    let dims = s.y.len();
    let (line, whole) = (s.y[dims - 1], sizes[dims - 1]);
    let dense = whole * 3 <= line * 4;
    let count: usize = s.y[..dims - 1].iter().product();
    let mut out: Vec<Lines> = Vec::new();
    for l in 0..count {
        let (mut rest, mut stride, mut start) = (l, whole, 0);
        for d in (0..dims - 1).rev() {
            start += rest % s.y[d] * stride;
            rest /= s.y[d];
            stride *= sizes[d];
        }
        for first in (0..line).step_by(SPAN) {
            let (at, n) = (start + first, SPAN.min(line - first));
            match out.last_mut() {
                Some(last) if dense && at + n - last.at <= SPAN => {
                    last.span = at + n - last.at;
                    last.parts.push((at - last.at, l * line + first, n));
                }
                _ => out.push(Lines { at, span: n, parts: vec![(0, l * line + first, n)] }),
            }
        }
    }
    out
}

/// Copies one group of channels of an image into its padded form.
///
/// # Safety
/// `from` has `ci` planes of the input, `to` has `ci` padded planes.
unsafe fn fill<T: Real>(s: &Sizes, sizes: &[usize], front: &[usize], from: *const T, to: *mut T) {
    let dims = s.x.len();
    let (plane, x_plane): (usize, usize) = (sizes.iter().product(), s.x.iter().product());
    let x_line = s.x[dims - 1];
    let n = x_line.min(sizes[dims - 1] - front[dims - 1]);
    for c in 0..s.ci {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(to.add(c * plane), plane) }.fill(T::ZERO);
        'line: for l in 0..x_plane / x_line.max(1) {
            let (mut rest, mut stride, mut at) = (l, sizes[dims - 1], front[dims - 1]);
            for d in (0..dims - 1).rev() {
                let p = rest % s.x[d] + front[d];
                if p >= sizes[d] {
                    continue 'line;
                }
                at += p * stride;
                rest /= s.x[d];
                stride *= sizes[d];
            }
            // SAFETY: the caller's; `n` elements stay inside both lines.
            unsafe { std::ptr::copy_nonoverlapping(from.add(c * x_plane + l * x_line), to.add(c * plane + at), n) };
        }
    }
}

/// Computes a convolution if it can slide; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of them 0 except `ci`, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    if vectors == Vectors::Portable || s.ci == 0 || s.x.contains(&0) {
        return false;
    }
    let Some((sizes, front)) = padded(op, s) else { return false };
    let lines = lines(s, &sizes);
    let kernel: usize = s.k.iter().product();
    let (plane, y_plane): (usize, usize) = (sizes.iter().product(), s.y.iter().product());
    let x_plane: usize = s.x.iter().product();
    let rows = s.ci * kernel;
    // Where each row of the gathered matrix would begin.
    let mut places = Vec::with_capacity(rows);
    for c in 0..s.ci {
        for element in 0..kernel {
            let (mut rest, mut stride, mut at) = (element, 1, c * plane);
            for d in (0..sizes.len()).rev() {
                at += rest % s.k[d] * op.dilation[d] * stride;
                rest /= s.k[d];
                stride *= sizes[d];
            }
            places.push(at);
        }
    }
    // SAFETY: the caller's.
    let own = op.transposed.then(|| unsafe { regrouped(s, w, |e| kernel - 1 - e) });
    let w = own.as_ref().map_or(w, |b| b.as_ptr().cast_const().cast());
    let images = s.images * s.groups;
    let parts = PIECES.div_ceil(images).min(lines.len());
    let cost = (images * y_plane) as u64 * (rows * s.co) as u64 / 30;
    let pointers = Pointers(x, w, y);
    threads::for_each(images * parts, cost, &|piece| {
        let (image, part) = (piece / parts, piece % parts);
        let (x, w, y) = pointers.get();
        // The last vectors of the last line may reach beyond.
        let image_elements = s.ci * plane + SLIDING_STEP;
        let memory = Block::new((image_elements + s.co * SPAN) * size_of::<T>());
        let padded: *mut T = memory.as_ptr().cast();
        let sums = padded.wrapping_add(image_elements);
        let group = image % s.groups;
        // SAFETY: image and group are inside the input.
        unsafe { fill(s, &sizes, &front, x.add(image * s.ci * x_plane), padded) };
        for l in &lines[part * lines.len() / parts..(part + 1) * lines.len() / parts] {
            let n = l.span;
            // SAFETY: `group` has `co` rows of weights; each row of the window ends inside the padded image or the room behind it; `sums`
            // has `co` rows of at most `SPAN`; lines of the result are this piece's.
            unsafe {
                let a = Operand { at: w.add(group * s.co * rows), row: rows as isize, col: 1 };
                T::sliding(vectors, [s.co, n], a, padded.add(l.at), &places, Target { at: sums, row: n });
                for o in 0..s.co {
                    for (from, to, n_part) in &l.parts {
                        let out = y.add((image * s.co + o) * y_plane + to);
                        std::ptr::copy_nonoverlapping(sums.add(o * n + from), out, *n_part);
                    }
                }
            }
        }
    });
    true
}
