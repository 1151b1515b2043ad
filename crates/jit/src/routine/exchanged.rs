//! Convolutions whose operands and result have images and channels exchanged, as gradients of the weights of layers have them.

use cotangent_core::ir::Shape;
use cotangent_core::ops::Convolution;

use super::convolution::{Pointers, Sizes, compute};
use super::long::{self, Layout};
use super::{Real, Vectors, borders, correlate};
use crate::memory::Block;
use crate::threads;

/// Computes the first positions of such a convolution, of floats; the shapes are those of the convolution, of operands that are not exchanged.
///
/// # Safety
/// The operands have the shapes, the result has room for its own, and nobody else uses it.
pub unsafe fn run<T: Real>(
    op: &Convolution,
    shapes: [&Shape; 3],
    vectors: Vectors,
    x: *const T,
    w: *const T,
    y: *mut T,
) {
    let (op, s) = &Sizes::of(op, shapes).merged(op);
    if s.images * s.co * s.y.iter().product::<usize>() == 0 {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        let layout = Layout::exchanged(s);
        let is_done = correlate::run(op, s, layout, vectors, x, w, y) || long::run(op, s, layout, vectors, x, w, y);
        if !is_done {
            through_copies(op, s, vectors, x, w, y);
        }
        borders::without(op, s, (layout, [s.co * layout.w[0], layout.w[0], layout.w[1]]), [x, w], y);
    }
}

/// Computes such a convolution of copies that are not exchanged.
///
/// # Safety
/// As [`run`], with these sizes.
unsafe fn through_copies<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) {
    // SAFETY: the caller's; both copies have the elements of their operands, and the result's all of its own.
    unsafe {
        let [x_plane, kernel, plane] = [&s.x, &s.k, &s.y].map(|sizes| sizes.iter().product::<usize>());
        // Groups of images are neighbours there, and channels here.
        let channels = s.groups * s.co;
        let (input, weights) = (grouped(s, x_plane, x), exchanged([s.ci, channels, kernel], w));
        let result = Block::new(s.images * channels * plane * size_of::<T>());
        let (input, weights) = (input.as_ptr().cast_const().cast(), weights.as_ptr().cast_const().cast());
        compute::<T>(op, s, vectors, input, weights, result.as_ptr().cast());
        exchange([s.images, channels, plane], result.as_ptr().cast_const().cast(), y);
    }
}

/// A copy of the input, which is an array of `[ci, groups, images, plane]`, as one of `[images, groups, ci, plane]`.
///
/// # Safety
/// There are so many elements.
unsafe fn grouped<T: Real>(s: &Sizes, plane: usize, from: *const T) -> Block {
    let block = Block::new(s.ci * s.groups * s.images * plane * size_of::<T>());
    let pointers = Pointers(from, from, block.as_ptr().cast::<T>());
    threads::for_each(s.images * s.groups, (s.ci * s.groups * s.images * plane) as u64 / 4, &|piece| {
        let ((from, _, to), (i, g)) = (pointers.get(), (piece / s.groups, piece % s.groups));
        for c in 0..s.ci {
            let from = from.wrapping_add(((c * s.groups + g) * s.images + i) * plane);
            // SAFETY: the caller's; planes are disjoint.
            unsafe { std::ptr::copy_nonoverlapping(from, to.wrapping_add((piece * s.ci + c) * plane), plane) };
        }
    });
    block
}

/// A copy of an array of `[a, b, plane]` with its first two dims exchanged.
///
/// # Safety
/// There are so many elements.
unsafe fn exchanged<T: Real>(sizes: [usize; 3], from: *const T) -> Block {
    let block = Block::new(sizes.iter().product::<usize>() * size_of::<T>());
    // SAFETY: the caller's; the block has as many elements.
    unsafe { exchange(sizes, from, block.as_ptr().cast()) };
    block
}

/// As [`exchanged`], into memory.
///
/// # Safety
/// As there, and nobody else uses that memory.
unsafe fn exchange<T: Real>([a, b, plane]: [usize; 3], from: *const T, to: *mut T) {
    let pointers = Pointers(from, from, to);
    threads::for_each(b, (a * b * plane) as u64 / 4, &|j| {
        let (from, _, to) = pointers.get();
        for i in 0..a {
            // SAFETY: the caller's; planes are disjoint.
            unsafe { std::ptr::copy_nonoverlapping(from.add((i * b + j) * plane), to.add((j * a + i) * plane), plane) };
        }
    });
}
