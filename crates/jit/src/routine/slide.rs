//! Convolutions without a gathered matrix.
//!
//! In an image whose borders are filled with zeros, the elements that one kernel element meets along a line of the result are a line, too. So the
//! rows of the matrix that [`super::convolution`] gathers stand in the padded image already, each at its own place, and products read them there.
//! Several lines of the result are computed as one, with the few positions between them that belong to none.
//!
//! With a stride, the padded image is stored by residues of its positions: those that one kernel element meets have one residue and are
//! neighbours. A transposed convolution is one for each residue of the result's positions, with the kernel elements that meet it.
//!
//! Where channels are lanes, each position is read alone, and may be anywhere: the image stays in order then, and where it lies if it has no borders.

use std::ops::Range;

use cotangent_core::ops::Convolution;

use super::channels::{Line, Meets, Turned};
use super::convolution::{Pointers, Sizes};
use super::padded::{Dim, Fill, coordinates, strides};
use super::weights::{Form, panels};
use super::{Left, Onto, Real, SLIDING_STEP, Target, Vectors};
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
/// Positions of a line, and elements of the inner dim, from which channels may be lanes: fewer sums wait for one another, and shorter ones cost
/// less than putting them in place.
const POSITIONS: usize = 4;
const DEEP: usize = 64;

/// How an image is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// By residues of positions, so that those that one kernel element meets are neighbours.
    Residues,
    /// As it lies, which [`Form::Channels`] may read.
    Lying,
}

/// The positions `first + b · step`, `b < count`, of a dim of the result: for each kernel element that meets them its residue's number in the
/// image and the index that it meets at `b = 0`; and how far neighbours are apart there.
struct Along {
    first: usize,
    count: usize,
    meets: Vec<(usize, usize, usize)>,
    apart: usize,
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
fn along(op: &Convolution, s: &Sizes, order: Order, d: usize) -> (Dim, Vec<Along>) {
    let (stride, dilation, padding) = (op.stride[d], op.dilation[d], op.padding[d]);
    if order == Order::Lying {
        let meets = (0..s.k[d]).map(|k| (k, 0, k * dilation)).collect();
        // Without borders the input itself is read.
        let reach = (s.y[d] - 1) * stride + (s.k[d] - 1) * dilation + 1;
        let size = if has_borders(op) { reach } else { s.x[d] };
        let all = vec![Along { first: 0, count: s.y[d], meets, apart: stride }];
        return (Dim { step: 1, residues: vec![0], front: padding, size }, all);
    }
    if !op.transposed {
        let mut residues: Vec<usize> = (0..s.k[d]).map(|k| k * dilation % stride).collect();
        residues.sort_unstable();
        residues.dedup();
        let number = |k: usize| residues.iter().position(|r| *r == k * dilation % stride).expect("listed above");
        let meets = (0..s.k[d]).map(|k| (k, number(k), k * dilation / stride)).collect();
        let size = s.y[d] + (s.k[d] - 1) * dilation / stride;
        let all = vec![Along { first: 0, count: s.y[d], meets, apart: 1 }];
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
        Along { first: r, count, meets, apart: 1 }
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

    /// How many lanes are computed for all channels, where positions are lanes, and where channels are.
    fn computed(&self, co: usize, lanes: usize) -> [usize; 2] {
        let spans: usize = self.lines.iter().map(|l| l.span.next_multiple_of(lanes)).sum();
        let positions: usize = self.lines.iter().flat_map(|l| &l.parts).map(|part| part.2.max(POSITIONS)).sum();
        [spans * co, positions * co.next_multiple_of(lanes)]
    }

    fn lines(s: &Sizes, dims: &[Dim], along: &[&Along], step: &[usize], strides: &[usize]) -> Vec<Lines> {
        let last = dims.len() - 1;
        let line = along[last].count;
        // Joined where positions between lines cost less than the rest of each line's last vector.
        let apart = along[last].apart;
        let joined = apart == 1 && is_dense(dims, along) && dims[last].size < line.next_multiple_of(VECTOR);
        let mut at = vec![0; last];
        let mut out: Vec<Lines> = Vec::new();
        for l in 0..along[..last].iter().map(|a| a.count).product() {
            coordinates(l, along[..last].iter().map(|a| a.count), &mut at);
            let start: usize = at.iter().zip(along).zip(strides).map(|((b, a), stride)| b * a.apart * stride).sum();
            let row = (0..last).fold(0, |y, d| y * s.y[d] + along[d].first + at[d] * step[d]);
            let y = row * s.y[last] + along[last].first;
            for first in (0..line).step_by(SPAN) {
                let (at, n) = (start + first * apart, SPAN.min(line - first));
                let to = y + first * step[last];
                match out.last_mut() {
                    Some(last) if joined && at + n - last.at <= SPAN => {
                        last.span = at + n - last.at;
                        last.parts.push((at - last.at, to, n));
                    }
                    _ => out.push(Lines { at, span: (n - 1) * apart + 1, parts: vec![(0, to, n)] }),
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

fn has_borders(op: &Convolution) -> bool {
    op.padding.iter().any(|p| *p > 0)
}

/// The padded image and the phases of the result, where a convolution can slide.
fn phases(op: &Convolution, s: &Sizes, order: Order) -> Option<(Vec<Dim>, Vec<Phase>)> {
    let rank = s.y.len();
    if rank == 0 || s.ci == 0 || s.k.contains(&0) || s.x.contains(&0) {
        return None;
    }
    let (dims, all): (Vec<Dim>, Vec<Vec<Along>>) = (0..rank).map(|d| along(op, s, order, d)).unzip();
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
    if order == Order::Residues && !choices.iter().all(worth) {
        return None;
    }
    let step: Vec<usize> = if op.transposed { op.stride.clone() } else { vec![1; rank] };
    let phases = choices.iter().map(|along| Phase::new(s, &dims, along, &step)).collect();
    Some((dims, phases))
}

/// Which form computes less in vain. Where they are equal channels are lanes if rows of the image can be beside it, for which nothing is computed then,
/// and the inner dim is long: to put what a vector holds in place costs more than to copy lines.
fn form(s: &Sizes, phases: &[Phase], lanes: usize) -> Form {
    let each = phases.iter().map(|p| p.computed(s.co, lanes));
    let [positions, channels] = each.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    let is_deep = |depth: usize| phases.iter().all(|p| p.places.len() >= depth);
    let is_less = is_deep(DEEP) && channels < positions;
    let is_equal = is_deep(4 * DEEP) && channels == positions && s.y.len() > 1;
    if is_less || is_equal { Form::Channels } else { Form::Positions }
}

/// The padded image and the phases, in the form and order that are best.
fn plan(op: &Convolution, s: &Sizes, lanes: usize) -> Option<(Form, Order, Vec<Dim>, Vec<Phase>)> {
    let lying = || phases(op, s, Order::Lying).filter(|_| !op.transposed);
    if s.has_windows_apart(op) {
        // The other way is to gather windows. Here weights are packed, there what they meet is, twice.
        let (dims, phases) = lying()?;
        let [_, computed] = phases[0].computed(s.co, lanes);
        let is_little = computed * 2 <= s.plane() * s.co * 3 && s.co <= 2 * s.images * s.plane();
        return is_little.then_some((Form::Channels, Order::Lying, dims, phases));
    }
    let (dims, sorted) = phases(op, s, Order::Residues)?;
    let form = form(s, &sorted, lanes);
    // An image that is copied is read faster by residues.
    if form == Form::Channels
        && !has_borders(op)
        && let Some((dims, phases)) = lying()
    {
        return Some((form, Order::Lying, dims, phases));
    }
    Some((form, Order::Residues, dims, sorted))
}

/// What lines meet, and which of it those of each row of the result do, along its first dim; of a result that is one line they meet everything.
/// Weights are `width` elements apart.
fn meets(op: &Convolution, s: &Sizes, phase: &Phase, width: usize) -> (Vec<Meets>, Vec<usize>) {
    let count = phase.elements.len();
    let of_row: usize = s.k[1..].iter().product();
    let mut kinds: Vec<(Vec<bool>, Meets)> = Vec::new();
    let is_line = s.y.len() == 1;
    let kind = |y: usize| {
        let inside: Vec<bool> = (0..s.k[0]).map(|k| is_line || s.meets(op, 0, y, k).is_some()).collect();
        if let Some(i) = kinds.iter().position(|(of, _)| *of == inside) {
            return i;
        }
        let mut meets = Meets::default();
        for (row, place) in phase.places.iter().enumerate() {
            if inside[phase.elements[row % count] / of_row] {
                meets.places.push(*place);
                meets.weights.push(row * width);
            }
        }
        kinds.push((inside, meets));
        kinds.len() - 1
    };
    let of_rows = (0..s.y[0]).map(kind).collect();
    (kinds.into_iter().map(|(_, meets)| meets).collect(), of_rows)
}

/// Computes a convolution if it can slide; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of them 0 except `ci`, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    if vectors == Vectors::Portable {
        return false;
    }
    let Some((form, order, dims, phases)) = plan(op, s, T::lanes(vectors)) else { return false };
    let plane = strides(&dims).1 * dims.iter().map(|d| d.residues.len()).product::<usize>();
    let (x_plane, y_plane): (usize, usize) = (s.x.iter().product(), s.y.iter().product());
    // SAFETY: the caller's.
    let panels: Vec<Block> = phases.iter().map(|p| unsafe { panels(op, s, form, &p.elements, vectors, w) }).collect();
    let is_turned = form == Form::Channels;
    let meets: Vec<_> = phases.iter().map(|p| is_turned.then(|| meets(op, s, p, 2 * T::lanes(vectors)))).collect();
    let [step, apart] = match (op.transposed, order) {
        (true, _) => [op.stride[dims.len() - 1], 1],
        (false, Order::Residues) => [1, 1],
        (false, Order::Lying) => [1, op.stride[dims.len() - 1]],
    };
    let is_copied = order == Order::Residues || has_borders(op);
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
        let image_elements = if is_copied { s.ci * plane + SLIDING_STEP } else { 0 };
        let memory = Block::new((image_elements + form.channels(s.co) * SPAN) * size_of::<T>());
        let padded: *mut T = memory.as_ptr().cast();
        let sums = padded.wrapping_add(image_elements);
        let from = x.wrapping_add(image * s.ci * x_plane);
        if is_copied {
            let lines = read(&phases, (part, parts), size);
            // SAFETY: image and group are inside the input.
            unsafe { Fill { s, dims: &dims, lines, from, to: padded, zero: T::ZERO }.run(vectors) };
        }
        for ((phase, panels), meets) in phases.iter().zip(&panels).zip(&meets) {
            let rows = phase.places.len();
            let panels: *const T = panels.as_ptr().cast();
            let panels = panels.wrapping_add(image % s.groups * form.channels(s.co) * rows);
            let to = y.wrapping_add(image * s.co * y_plane);
            if let Some((meets, of_rows)) = &meets {
                let image = if is_copied { padded.cast_const() } else { from };
                let row = y_plane / s.y[0];
                let line = |(image, to, count)| Line { image, to, count, meets: of_rows[to / row] };
                let parts = phase.part(part, parts).iter();
                let lines: Vec<_> = parts
                    .flat_map(|l| l.parts.iter().map(move |(from, to, n)| (l.at + from, *to, *n)))
                    .map(line)
                    .collect();
                let (co, lines, inner) = (s.co, &lines[..], rows);
                let turned = Turned { co, panels, inner, image, apart, meets, lines, sums, to, plane: y_plane, step };
                // SAFETY: `group` has such panels; each row of the window ends inside the padded image; `sums` has two vectors for each of `SPAN`
                // positions; lines of the result are this piece's.
                unsafe { T::turned(vectors, turned) };
                continue;
            }
            let left = Left(panels);
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
