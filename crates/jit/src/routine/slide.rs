//! Convolutions without a gathered matrix.
//!
//! In an image whose borders are filled with zeros, the elements that one kernel element meets along a line of the result are a line, too. So the
//! rows of the matrix that [`super::convolution`] gathers stand in the padded image already, each at its own place, and products read them there.
//! Several lines of the result are computed as one, with the few positions between them that belong to none.
//!
//! With a stride, the padded image is stored by residues of its positions: those that one kernel element meets have one residue and are
//! neighbours. A transposed convolution is one for each residue of the result's positions, with the kernel elements that meet it.

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
use super::padded::{Dim, Fill, coordinates, strides};
use super::{Left, Onto, Operand, Real, SLIDING_STEP, Target, Vectors};
use crate::memory::Block;
use crate::threads;

/// Positions that are computed at once.
const SPAN: usize = 256;
/// Lines of so many positions are computed one by one where much would be computed in vain.
const LONG: usize = 32;
/// The positions of a vector.
const VECTOR: usize = 16;
/// Pieces that threads share.
const PIECES: usize = 16;

/// The positions `first + b · step`, `b < count`, of a dim of the result: for each kernel element that meets them its residue's number in the
/// image and the index that it meets at `b = 0`.
struct Along {
    first: usize,
    count: usize,
    meets: Vec<(usize, usize, usize)>,
}

/// Lines of the result that lie near one another in the padded image.
struct Lines {
    /// The place of the first position, and the number of positions up to the end of the last line.
    at: usize,
    span: usize,
    /// For each line: from where in the span, from where in the result's plane, and how long.
    parts: Vec<(usize, usize, usize)>,
}

/// Positions of the result that meet the same kernel elements.
struct Phase {
    /// The kernel elements.
    elements: Vec<usize>,
    /// Where the row of each channel and element begins, relative to a line's place.
    places: Vec<usize>,
    /// How far the last of them is from the first of its part of the image.
    reach: usize,
    lines: Vec<Lines>,
}

/// Dim `d` of the padded image, and the positions of the result along it.
fn along(op: &Convolution, s: &Sizes, d: usize) -> (Dim, Vec<Along>) {
    let (stride, dilation, padding) = (op.stride[d], op.dilation[d], op.padding[d]);
    if !op.transposed {
        let mut residues: Vec<usize> = (0..s.k[d]).map(|k| k * dilation % stride).collect();
        residues.sort_unstable();
        residues.dedup();
        let number = |k: usize| residues.iter().position(|r| *r == k * dilation % stride).expect("listed above");
        let meets = (0..s.k[d]).map(|k| (k, number(k), k * dilation / stride)).collect();
        let size = s.y[d] + (s.k[d] - 1) * dilation / stride;
        let all = vec![Along { first: 0, count: s.y[d], meets }];
        return (Dim { step: stride, residues, front: padding, size }, all);
    }
    // Position `b · stride + r` meets element `k` at `b + (r + padding - k · dilation) / stride`, if that divides.
    let front = ((s.k[d] - 1) * dilation).saturating_sub(padding).div_ceil(stride);
    let mut size = 0;
    let phases = (0..stride.min(s.y[d])).map(|r| {
        let count = (s.y[d] - r).div_ceil(stride);
        let at = |k: usize| {
            let ahead = r + padding + front * stride - k * dilation;
            ahead.is_multiple_of(stride).then_some((k, 0, ahead / stride))
        };
        let meets: Vec<_> = (0..s.k[d]).filter_map(at).collect();
        size = size.max(meets.iter().map(|m| m.2 + count).max().unwrap_or(0));
        Along { first: r, count, meets }
    });
    let phases = phases.collect();
    (Dim { step: 1, residues: vec![0], front, size }, phases)
}

impl Phase {
    /// The positions `along` of the result, whose strides are `step`.
    fn new(s: &Sizes, dims: &[Dim], along: &[&Along], step: &[usize]) -> Self {
        let (strides, part) = strides(dims);
        let plane = part * dims.iter().map(|d| d.residues.len()).product::<usize>();
        let count: usize = along.iter().map(|a| a.meets.len()).product();
        let mut at = vec![0; dims.len()];
        let (mut elements, mut places) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut reach = 0;
        for i in 0..count {
            coordinates(i, along.iter().map(|a| a.meets.len()), &mut at);
            let (mut element, mut residue, mut place) = (0, 0, 0);
            for (d, a) in along.iter().enumerate() {
                let (k, r, index) = a.meets[at[d]];
                element = element * s.k[d] + k;
                residue = residue * dims[d].residues.len() + r;
                place += index * strides[d];
            }
            elements.push(element);
            places.push(residue * part + place);
            reach = reach.max(place);
        }
        let places = (0..s.ci).flat_map(|c| places.iter().map(move |p| c * plane + p)).collect();
        Phase { elements, places, reach, lines: Self::lines(s, dims, along, step, &strides) }
    }

    /// The lines of part `i` of `parts`.
    fn part(&self, i: usize, parts: usize) -> &[Lines] {
        &self.lines[i * self.lines.len() / parts..(i + 1) * self.lines.len() / parts]
    }

    fn lines(s: &Sizes, dims: &[Dim], along: &[&Along], step: &[usize], strides: &[usize]) -> Vec<Lines> {
        let last = dims.len() - 1;
        let line = along[last].count;
        // Joined where positions between lines cost less than the rest of each line's last vector.
        let joined = is_dense(dims, along) && dims[last].size < line.next_multiple_of(VECTOR);
        let mut at = vec![0; last];
        let mut out: Vec<Lines> = Vec::new();
        for l in 0..along[..last].iter().map(|a| a.count).product() {
            coordinates(l, along[..last].iter().map(|a| a.count), &mut at);
            let start: usize = at.iter().zip(strides).map(|(b, stride)| b * stride).sum();
            let row = (0..last).fold(0, |y, d| y * s.y[d] + along[d].first + at[d] * step[d]);
            let y = row * s.y[last] + along[last].first;
            for first in (0..line).step_by(SPAN) {
                let (at, n) = (start + first, SPAN.min(line - first));
                let to = y + first * step[last];
                match out.last_mut() {
                    Some(last) if joined && at + n - last.at <= SPAN => {
                        last.span = at + n - last.at;
                        last.parts.push((at - last.at, to, n));
                    }
                    _ => out.push(Lines { at, span: n, parts: vec![(0, to, n)] }),
                }
            }
        }
        out
    }
}

/// The lines of the padded image, of `size` elements each, that a part of the phases reads.
fn read(phases: &[Phase], (part, parts): (usize, usize), size: usize) -> Range<usize> {
    let ranges = phases.iter().filter_map(|p| {
        let lines = p.part(part, parts);
        let (first, last) = (lines.first()?, lines.last()?);
        Some((first.at / size, (last.at + last.span + p.reach).div_ceil(size)))
    });
    ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).map_or(0..0, |(first, end)| first..end)
}

/// Whether few positions between lines are computed in vain.
fn is_dense(dims: &[Dim], along: &[&Along]) -> bool {
    let last = dims.len() - 1;
    dims[last].size * 3 <= along[last].count * 4
}

/// The padded image and the phases of the result, where a convolution can slide.
fn phases(op: &Convolution, s: &Sizes) -> Option<(Vec<Dim>, Vec<Phase>)> {
    let rank = s.y.len();
    if rank == 0 || s.ci == 0 || s.k.contains(&0) || s.x.contains(&0) {
        return None;
    }
    let (dims, all): (Vec<Dim>, Vec<Vec<Along>>) = (0..rank).map(|d| along(op, s, d)).unzip();
    if !s.is_near(dims.iter().map(|d| d.size.saturating_mul(d.residues.len()))) {
        return None;
    }
    let count: usize = all.iter().map(Vec::len).product();
    let mut at = vec![0; rank];
    let choices: Vec<Vec<&Along>> = (0..count)
        .map(|i| {
            coordinates(i, all.iter().map(Vec::len), &mut at);
            all.iter().zip(&at).map(|(a, i)| &a[*i]).collect()
        })
        .collect();
    let worth = |along: &Vec<&Along>| is_dense(&dims, along) || along[rank - 1].count >= LONG;
    if !choices.iter().all(worth) {
        return None;
    }
    let step: Vec<usize> = if op.transposed { op.stride.clone() } else { vec![1; rank] };
    let phases = choices.iter().map(|along| Phase::new(s, &dims, along, &step)).collect();
    Some((dims, phases))
}

/// The weights of a phase, `[groups, co, ci · elements]`, as panels of each group.
///
/// # Safety
/// `w` are the weights of the convolution, and the CPU has the vectors.
unsafe fn weights<T: Real>(op: &Convolution, s: &Sizes, phase: &Phase, vectors: Vectors, w: *const T) -> Block {
    let rows = s.ci * phase.elements.len();
    let size = s.groups * s.co * rows * size_of::<T>();
    // SAFETY: the caller's.
    let picked = op.transposed.then(|| unsafe { picked(s, phase, w) });
    let from = picked.as_ref().map_or(w, |b| b.as_ptr().cast_const().cast());
    let panels = Block::new(size);
    let pointers = Pointers(from, from, panels.as_ptr().cast());
    threads::for_each(s.groups, (s.groups * s.co * rows) as u64 / 2, &|g| {
        let (from, _, to) = pointers.get();
        let at = g * s.co * rows;
        let left = Operand { at: from.wrapping_add(at), row: rows as isize, col: 1 };
        // SAFETY: the caller's; both have `groups · co · rows` elements, and groups are disjoint.
        unsafe { T::pack(vectors, [s.co, rows], left, to.wrapping_add(at)) };
    });
    panels
}

/// The weights of a transposed convolution, `[groups · ci, co, k…]`, as `[groups, co, ci · elements]`.
///
/// # Safety
/// `w` are the weights.
unsafe fn picked<T: Real>(s: &Sizes, phase: &Phase, w: *const T) -> Block {
    let (kernel, count): (usize, usize) = (s.k.iter().product(), phase.elements.len());
    let block = Block::new(s.groups * s.co * s.ci * count * size_of::<T>());
    let pointers = Pointers(w, w, block.as_ptr().cast());
    threads::for_each(s.groups * s.co, (s.groups * s.co * s.ci * count) as u64, &|row| {
        let ((g, o), (w, _, to)) = ((row / s.co, row % s.co), pointers.get());
        for i in 0..s.ci {
            let channel = (g * s.ci + i) * s.co + o;
            for (e, element) in phase.elements.iter().enumerate() {
                // SAFETY: the caller's; the block has as many elements, and rows are disjoint.
                unsafe { *to.add((row * s.ci + i) * count + e) = *w.add(channel * kernel + element) };
            }
        }
    });
    block
}

/// Computes a convolution if it can slide; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of them 0 except `ci`, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    if vectors == Vectors::Portable {
        return false;
    }
    let Some((dims, phases)) = phases(op, s) else { return false };
    let plane = strides(&dims).1 * dims.iter().map(|d| d.residues.len()).product::<usize>();
    let (x_plane, y_plane): (usize, usize) = (s.x.iter().product(), s.y.iter().product());
    // SAFETY: the caller's.
    let panels: Vec<Block> = phases.iter().map(|p| unsafe { weights(op, s, p, vectors, w) }).collect();
    let step = if op.transposed { op.stride[dims.len() - 1] } else { 1 };
    let size = dims.last().map_or(1, |d| d.size);
    let images = s.images * s.groups;
    let most = phases.iter().map(|p| p.lines.len()).max().unwrap_or(1);
    let parts = PIECES.div_ceil(images).min(most);
    let work: usize = phases.iter().map(|p| p.places.len() * p.lines.iter().map(|l| l.span).sum::<usize>()).sum();
    let cost = (images * s.co) as u64 * work as u64 / 30;
    let pointers = Pointers(x, w, y);
    threads::for_each(images * parts, cost, &|piece| {
        let (image, part) = (piece / parts, piece % parts);
        let (x, _, y) = pointers.get();
        // The last vectors of the last line may reach beyond.
        let image_elements = s.ci * plane + SLIDING_STEP;
        let memory = Block::new((image_elements + s.co * SPAN) * size_of::<T>());
        let padded: *mut T = memory.as_ptr().cast();
        let sums = padded.wrapping_add(image_elements);
        // SAFETY: image and group are inside the input.
        unsafe {
            let lines = read(&phases, (part, parts), size);
            let from = x.add(image * s.ci * x_plane);
            Fill { s, dims: &dims, lines, from, to: padded, zero: T::ZERO }.run(vectors);
        }
        for (phase, panels) in phases.iter().zip(&panels) {
            let rows = phase.places.len();
            let panels: *const T = panels.as_ptr().cast();
            let left = Left(panels.wrapping_add(image % s.groups * s.co * rows));
            for l in phase.part(part, parts) {
                let n = l.span;
                // SAFETY: `group` has `co` rows of weights; each row of the window ends inside the padded image or the room behind it; `sums`
                // has `co` rows of at most `SPAN`; lines of the result are this piece's.
                unsafe {
                    let right = padded.add(l.at).cast_const();
                    T::sliding(
                        vectors,
                        [s.co, n],
                        left,
                        right,
                        &phase.places,
                        Target { at: sums, row: n },
                        Onto::Nothing,
                    );
                    for o in 0..s.co {
                        for (from, to, count) in &l.parts {
                            let (from, to) = (sums.add(o * n + from), y.add((image * s.co + o) * y_plane + to));
                            if step == 1 {
                                std::ptr::copy_nonoverlapping(from, to, *count);
                            } else {
                                (0..*count).for_each(|i| *to.add(i * step) = *from.add(i));
                            }
                        }
                    }
                }
            }
        }
    });
    true
}
