//! The weights of convolutions as panels.

use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes};
use super::{Operand, Real, Vectors};
use crate::memory::Block;
use crate::threads;

/// What the lanes of a vector are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Positions of the result: weights are a left operand.
    Positions,
    /// Channels of the result: weights are a right operand, in panels of two vectors.
    Channels,
}

/// Room for the channels of a panel: those of two of the longest vectors.
const PANEL: usize = 32;

impl Form {
    /// The channels of a group that its panels have room for.
    pub fn channels(self, co: usize) -> usize {
        match self {
            Form::Positions => co,
            Form::Channels => co.next_multiple_of(PANEL),
        }
    }
}

/// The weights of some elements of the kernel, `[groups, co, ci · elements]`, as panels of each group.
///
/// # Safety
/// `w` are the weights of the convolution, and the CPU has the vectors, which are some.
pub unsafe fn panels<T: Real>(
    op: &Convolution,
    s: &Sizes,
    form: Form,
    elements: &[usize],
    vectors: Vectors,
    w: *const T,
) -> Block {
    let rows = s.ci * elements.len();
    let to = Block::new(s.groups * form.channels(s.co) * rows * size_of::<T>());
    match form {
        // SAFETY: the caller's.
        Form::Positions => unsafe { left(op, s, elements, vectors, w, to.as_ptr().cast()) },
        // SAFETY: the caller's.
        Form::Channels => unsafe { right(op, s, elements, vectors, w, to.as_ptr().cast()) },
    }
    to
}

/// # Safety
/// As [`panels`], with room for them.
unsafe fn left<T: Real>(op: &Convolution, s: &Sizes, elements: &[usize], vectors: Vectors, w: *const T, to: *mut T) {
    let rows = s.ci * elements.len();
    // SAFETY: the caller's.
    let picked = op.transposed.then(|| unsafe { picked(s, elements, w) });
    let from = picked.as_ref().map_or(w, |b| b.as_ptr().cast_const().cast());
    let pointers = Pointers(from, from, to);
    threads::for_each(s.groups, (s.groups * s.co * rows) as u64 / 2, &|g| {
        let (from, _, to) = pointers.get();
        let at = g * s.co * rows;
        let left = Operand { at: from.wrapping_add(at), row: rows as isize, col: 1 };
        // SAFETY: the caller's; both have the elements of all groups, which are disjoint.
        unsafe { T::pack(vectors, [s.co, rows], left, to.wrapping_add(at)) };
    });
}

/// # Safety
/// As [`left`].
unsafe fn right<T: Real>(op: &Convolution, s: &Sizes, elements: &[usize], vectors: Vectors, w: *const T, to: *mut T) {
    let (kernel, count): (usize, usize) = (s.k.iter().product(), elements.len());
    let (rows, width) = (s.ci * count, 2 * T::lanes(vectors));
    let of_group = s.co.div_ceil(width);
    // A transposed kernel has the channels of the result inside: elements that follow one another are packed at once.
    let runs: Vec<&[usize]> = elements.chunk_by(|a, b| a + 1 == *b).collect();
    let pointers = Pointers(w, w, to);
    threads::for_each(s.groups * of_group, (s.groups * s.co * rows) as u64 / 2, &|piece| {
        let ((g, panel), (w, _, to)) = ((piece / of_group, piece % of_group), pointers.get());
        let first = panel * width;
        let n = width.min(s.co - first);
        let to = to.wrapping_add((g * Form::Channels.channels(s.co) + first) * rows);
        if !op.transposed {
            let at = w.wrapping_add((g * s.co + first) * rows);
            // SAFETY: the caller's; panels are disjoint, also where two vectors are shorter than the longest.
            return unsafe { T::pack_channels(vectors, [rows, n], Operand { at, row: 1, col: rows as isize }, to) };
        }
        for i in 0..s.ci {
            let at = w.wrapping_add(((g * s.ci + i) * s.co + first) * kernel);
            let mut row = i * count;
            for run in &runs {
                let (at, to) = (at.wrapping_add(run[0]), to.wrapping_add(row * width));
                // SAFETY: as above.
                unsafe { T::pack_channels(vectors, [run.len(), n], Operand { at, row: 1, col: kernel as isize }, to) };
                row += run.len();
            }
        }
    });
}

/// The weights of a transposed convolution, `[groups · ci, co, k…]`, as `[groups, co, ci · elements]`.
///
/// # Safety
/// `w` are the weights.
unsafe fn picked<T: Real>(s: &Sizes, elements: &[usize], w: *const T) -> Block {
    let (kernel, count): (usize, usize) = (s.k.iter().product(), elements.len());
    let block = Block::new(s.groups * s.co * s.ci * count * size_of::<T>());
    let pointers = Pointers(w, w, block.as_ptr().cast());
    threads::for_each(s.groups * s.co, (s.groups * s.co * s.ci * count) as u64, &|row| {
        let ((g, o), (w, _, to)) = ((row / s.co, row % s.co), pointers.get());
        for i in 0..s.ci {
            let channel = (g * s.ci + i) * s.co + o;
            for (e, element) in elements.iter().enumerate() {
                // SAFETY: the caller's; the block has as many elements, and rows are disjoint.
                unsafe { *to.add((row * s.ci + i) * count + e) = *w.add(channel * kernel + element) };
            }
        }
    });
    block
}
