//! Transposed convolutions of few positions with large weights, as the gradients of the input of a network's last layers are.
//!
//! What other forms do with the weights first takes as long as the products. So each position's channels are multiplied with all weights as they lie, one product
//! whose columns are the channels and kernel elements of the result; what kernel elements put at one position of the result is then added up.

use cotangent_core::ops::Convolution;
use cotangent_loops::ir::Matrix;

use super::convolution::{Pointers, Sizes};
use super::{Product, Real, Vectors, matmul};
use crate::memory::Block;
use crate::threads;

/// The most positions, and the fewest weights.
const POSITIONS: usize = 64;
const LARGE_WEIGHTS: usize = 1 << 18;
/// Channels of the result whose products are put in rows at once.
const CHANNELS: usize = 16;

/// Computes a convolution if this form is worth it; `false`, and nothing done, otherwise.
///
/// # Safety
/// The operands have the sizes `s`, none of the result's is 0, and nobody else uses the result.
pub unsafe fn run<T: Real>(op: &Convolution, s: &Sizes, vectors: Vectors, x: *const T, w: *const T, y: *mut T) -> bool {
    let [plane, kernel, y_plane]: [usize; 3] = [&s.x, &s.k, &s.y].map(|sizes| sizes.iter().product());
    let (columns, rows) = (s.images * plane, s.co * kernel);
    let is_few = !s.x.is_empty() && columns > 0 && columns <= POSITIONS && rows * s.ci >= LARGE_WEIGHTS;
    if !op.transposed || s.groups > 1 || !is_few || vectors == Vectors::Portable {
        return false;
    }
    // The channels of all positions, images side by side.
    let beside = (s.images > 1).then(|| Block::new(s.ci * columns * size_of::<T>()));
    if let Some(block) = &beside {
        let to: *mut T = block.as_ptr().cast();
        for (n, i) in (0..s.images).flat_map(|n| (0..s.ci).map(move |i| (n, i))) {
            // SAFETY: the caller's; the block has as many elements.
            unsafe {
                std::ptr::copy_nonoverlapping(x.add((n * s.ci + i) * plane), to.add(i * columns + n * plane), plane);
            }
        }
    }
    let x = beside.as_ref().map_or(x, |b| b.as_ptr().cast_const().cast());
    let products = Block::new(columns * rows * size_of::<T>());
    let lhs = Matrix { offset: 0, batch: 0, row: 1, col: columns as i64 };
    let rhs = Matrix { offset: 0, batch: 0, row: rows as i64, col: 1 };
    let product = Product { batch: 1, m: columns, k: s.ci, n: rows, lhs, rhs };
    let of = matmul::Pointers::of(x, w, products.as_ptr().cast::<T>());
    // SAFETY: the caller's; the block has as many elements.
    unsafe { product.numbers::<T>(vectors, of) };
    let x_line = s.x[s.x.len() - 1];
    let meets = meetings(op, s);
    let pointers = Pointers(products.as_ptr().cast_const().cast::<T>(), x, y);
    let cost = (columns * rows) as u64 / 2;
    threads::for_each(s.co.div_ceil(CHANNELS), cost, &|piece| {
        let (products, _, y) = pointers.get();
        let (first, count) = (piece * CHANNELS, CHANNELS.min(s.co - piece * CHANNELS));
        let turned = Block::new(count * kernel * columns * size_of::<T>());
        let turned: *mut T = turned.as_ptr().cast();
        // SAFETY: the caller's; the products of these channels are the piece's columns; lines of the input, and what of them is inside of the result, are those that
        // `meetings` has found, and these channels of the result are the piece's.
        unsafe {
            let from = products.add(first * kernel);
            T::transpose(vectors, [columns, count * kernel], from, rows as isize, turned, columns);
            for (n, o) in (0..s.images).flat_map(|n| (0..count).map(move |o| (n, o))) {
                let to = std::slice::from_raw_parts_mut(y.add((n * s.co + first + o) * y_plane), y_plane);
                to.fill(T::ZERO);
                for m in &meets {
                    let row = turned.add((o * kernel + m.element) * columns + n * plane + m.line * x_line);
                    let from = std::slice::from_raw_parts(row.cast_const().add(m.first), m.count);
                    let to = &mut to[m.to..];
                    to.iter_mut().step_by(m.step).zip(from).for_each(|(y, x)| *y += *x);
                }
            }
        }
    });
    true
}

/// What a kernel element puts of a line of the input: `count` elements from `first` on are added `step` apart from place `to` of a channel on.
struct Meeting {
    element: usize,
    line: usize,
    first: usize,
    count: usize,
    to: usize,
    step: usize,
}

/// All that is inside of the result.
fn meetings(op: &Convolution, s: &Sizes) -> Vec<Meeting> {
    let last = s.x.len() - 1;
    let (lines, kernel): (usize, usize) = (s.x[..last].iter().product(), s.k.iter().product());
    // The position of the result of an element of the input and of the kernel along a dim.
    let put = |d: usize, x: usize, k: usize| {
        (x * op.stride[d] + k * op.dilation[d]).checked_sub(op.padding[d]).filter(|y| *y < s.y[d])
    };
    let row = |mut line: usize, mut element: usize| {
        let (mut row, mut stride) = (0, s.y[last]);
        element /= s.k[last];
        for d in (0..last).rev() {
            row += put(d, line % s.x[d], element % s.k[d])? * stride;
            (line, element, stride) = (line / s.x[d], element / s.k[d], stride * s.y[d]);
        }
        Some(row)
    };
    let mut all = Vec::new();
    for (element, line) in (0..kernel).flat_map(|e| (0..lines).map(move |l| (e, l))) {
        let Some(row) = row(line, element) else { continue };
        let inside = |x: &usize| put(last, *x, element % s.k[last]);
        let Some(first) = (0..s.x[last]).find(|x| inside(x).is_some()) else { continue };
        let count = (first..s.x[last]).take_while(|x| inside(x).is_some()).count();
        let to = row + inside(&first).expect("found above");
        all.push(Meeting { element, line, first, count, to, step: op.stride[last] });
    }
    all
}
