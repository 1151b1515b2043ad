//! The three transforms of [`super`], which are sums and differences of a few vectors: the lanes are kernels of neighbouring channels, or
//! neighbouring windows.

#[cfg(target_arch = "x86_64")]
use crate::routine::lanes::Kernel;
#[cfg(target_arch = "x86_64")]
use crate::routine::spans::Spans;
#[cfg(target_arch = "x86_64")]
use crate::routine::transpose;

/// The elements of a window, and the matrices that they become parts of.
pub const PLACES: usize = SIDE * SIDE;
/// The side of a window.
pub const SIDE: usize = 4;
/// The elements of a kernel.
pub const TAPS: usize = 9;

/// Kernels of one channel of the result.
pub struct Kernels<T> {
    /// The first one, how many, and how far they are apart; whether the elements of each go from the last to the first.
    pub from: *const T,
    pub count: usize,
    pub apart: usize,
    pub is_flipped: bool,
    /// Room for them.
    pub sorted: *mut T,
    pub half: T,
    /// The row of the first matrix, and how far matrices are apart.
    pub to: *mut T,
    pub plane: usize,
}

/// Neighbouring windows of one image.
#[derive(Clone, Copy)]
pub struct Segment {
    /// Their row of windows, the first of its windows, and how many.
    pub row: usize,
    pub first: usize,
    pub count: usize,
    /// The column of the matrices that the first one becomes.
    pub at: usize,
}

/// Windows of all channels of one image.
pub struct Windows<'a, T> {
    pub segments: &'a [Segment],
    /// The image's first channel, how many, their sizes, and how many zeros are in front of each line and column.
    pub from: *const T,
    pub channels: usize,
    pub size: [usize; 2],
    pub front: [usize; 2],
    /// Room for a channel's part with its borders, in lines of so many elements.
    pub padded: *mut T,
    pub line: usize,
    /// The first matrix, how far its rows are apart, and how far matrices are.
    pub to: *mut T,
    pub row: usize,
    pub plane: usize,
}

impl<T> Windows<'_, T> {
    /// The first line of the image with its borders that the segments read, and how many.
    fn lines(&self) -> (usize, usize) {
        let (first, last) = (self.segments[0].row, self.segments[self.segments.len() - 1].row);
        (2 * first, 2 * (last - first) + SIDE)
    }
}

/// Parts of one image of the result, all channels.
pub struct Results<'a, T> {
    pub segments: &'a [Segment],
    /// The first matrix of the products, how far its rows are apart, and how far matrices are.
    pub from: *const T,
    pub row: usize,
    pub plane: usize,
    /// The image's first channel, how many, and their sizes.
    pub to: *mut T,
    pub channels: usize,
    pub size: [usize; 2],
}

/// Writes column `o` of each matrix, which are the rows of the kernels of one channel.
///
/// # Safety
/// The CPU has the vectors; all kernels exist, there is room for `TAPS` times as many elements, and nobody else uses it and the result.
#[cfg(target_arch = "x86_64")]
pub unsafe fn kernels<L: Spans>(kernels: Kernels<L::T>) {
    // SAFETY: the caller's.
    unsafe { L::enabled(OfKernels::<L>(kernels)) }
}

#[cfg(target_arch = "x86_64")]
struct OfKernels<L: Spans>(Kernels<L::T>);

#[cfg(target_arch = "x86_64")]
impl<L: Spans> Kernel for OfKernels<L> {
    /// # Safety
    /// As [`kernels`].
    #[inline(always)]
    unsafe fn run(self) {
        let Kernels { from, count, apart, is_flipped, sorted, half, to, plane } = self.0;
        // SAFETY: the caller's; behind the last kernel nothing is written.
        unsafe {
            transpose::in_squares::<L>([count, TAPS], from, apart as isize, sorted, count);
            let half = L::splat(&raw const half);
            for i in (0..count).step_by(L::LANES) {
                let rest = L::LANES.min(count - i);
                let mut columns = [[L::zero(); SIDE]; 3];
                for (c, column) in columns.iter_mut().enumerate() {
                    let mut taps = [L::zero(); 3];
                    for (r, tap) in taps.iter_mut().enumerate() {
                        let e = 3 * r + c;
                        let e = if is_flipped { TAPS - 1 - e } else { e };
                        *tap = L::load_first(sorted.add(e * count + i), rest);
                    }
                    *column = of_taps(taps, half);
                }
                let [left, middle, right] = columns;
                for (r, ((a, b), c)) in left.into_iter().zip(middle).zip(right).enumerate() {
                    let turned = of_taps([a, b, c], half);
                    for (c, x) in turned.into_iter().enumerate() {
                        x.store_first(to.add((SIDE * r + c) * plane + i), rest);
                    }
                }
            }
        }
    }
}

/// Three elements of a kernel as four factors.
///
/// # Safety
/// The CPU has the vectors.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn of_taps<L: Spans>([a, b, c]: [L; 3], half: L) -> [L; SIDE] {
    // SAFETY: the caller's.
    unsafe {
        let (outer, inner) = (L::zero().fma(a.add(c), half), L::zero().fma(b, half));
        [a, outer.add(inner), outer.sub(inner), c]
    }
}

/// Writes columns of each matrix, which are elements of all windows; up to a vector's behind the last one are overwritten.
///
/// # Safety
/// The CPU has the vectors; the image exists, there is room for its part with borders and two vectors more, the matrices have
/// the columns and a vector's more, and nobody else uses any of these. The segments are in order, and not none.
#[cfg(target_arch = "x86_64")]
pub unsafe fn windows<L: Spans>(windows: Windows<L::T>) {
    // SAFETY: the caller's.
    unsafe { L::enabled(OfWindows::<L>(windows)) }
}

#[cfg(target_arch = "x86_64")]
struct OfWindows<'a, L: Spans>(Windows<'a, L::T>);

#[cfg(target_arch = "x86_64")]
impl<L: Spans> Kernel for OfWindows<'_, L> {
    /// # Safety
    /// As [`windows`].
    #[inline(always)]
    unsafe fn run(self) {
        let (top, count) = self.0.lines();
        let Windows { segments, from, channels, size: [height, width], front, padded, line, to, row, plane } = self.0;
        // Lines of the image that are among them.
        let (low, high) = (top.saturating_sub(front[0]), (top + count).saturating_sub(front[0]).min(height));
        // SAFETY: the caller's; borders are the same for all channels.
        unsafe {
            std::slice::from_raw_parts_mut(padded, count * line + 2 * L::LANES).fill(L::T::default());
            for channel in 0..channels {
                for y in low..high {
                    let from = from.add((channel * height + y) * width);
                    let to = padded.add((y + front[0] - top) * line + front[1]);
                    for x in (0..width).step_by(L::LANES) {
                        let rest = width - x;
                        if rest >= L::LANES {
                            L::load(from.add(x)).store(to.add(x));
                        } else {
                            L::load_first(from.add(x), rest).store_first(to.add(x), rest);
                        }
                    }
                }
                for s in segments {
                    let from = padded.add((2 * s.row - top) * line + 2 * s.first).cast_const();
                    let to = to.add(channel * row + s.at);
                    for i in (0..s.count).step_by(L::LANES) {
                        some_windows::<L>(from.add(2 * i), line, to.add(i), plane);
                    }
                }
            }
        }
    }
}

/// A vector of windows.
///
/// # Safety
/// As [`windows`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn some_windows<L: Spans>(from: *const L::T, line: usize, to: *mut L::T, plane: usize) {
    // SAFETY: the caller's.
    unsafe {
        let mut lines = [[L::zero(); SIDE]; SIDE];
        for (y, vectors) in lines.iter_mut().enumerate() {
            let from = from.add(y * line);
            *vectors =
                [L::load(from), L::load(from.add(L::LANES)), L::load(from.add(2)), L::load(from.add(2 + L::LANES))];
        }
        let mut rows = [[L::zero(); SIDE]; SIDE];
        for v in 0..SIDE {
            let turned = of_line([lines[0][v], lines[1][v], lines[2][v], lines[3][v]]);
            for y in 0..SIDE {
                rows[y][v] = turned[y];
            }
        }
        for (y, [a, b, c, d]) in rows.into_iter().enumerate() {
            let ([first, second], [third, fourth]) = (L::split(a, b), L::split(c, d));
            for (x, turned) in of_line([first, second, third, fourth]).into_iter().enumerate() {
                turned.store(to.add((SIDE * y + x) * plane));
            }
        }
    }
}

/// Four elements of a window, turned.
///
/// # Safety
/// The CPU has the vectors.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn of_line<L: Spans>([a, b, c, d]: [L; SIDE]) -> [L; SIDE] {
    // SAFETY: the caller's.
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// Writes two by two elements for each window. Whether all are finite.
///
/// # Safety
/// The CPU has the vectors; the matrices have the columns and can be read a vector beyond them, the image exists, and nobody else uses it.
#[cfg(target_arch = "x86_64")]
pub unsafe fn results<L: Spans>(results: Results<L::T>) -> bool
where
    L::T: PartialEq,
{
    let mut is_finite = false;
    // SAFETY: the caller's.
    unsafe { L::enabled(OfResults::<L> { results, is_finite: &mut is_finite }) };
    is_finite
}

#[cfg(target_arch = "x86_64")]
struct OfResults<'a, L: Spans> {
    results: Results<'a, L::T>,
    is_finite: &'a mut bool,
}

#[cfg(target_arch = "x86_64")]
impl<L: Spans> Kernel for OfResults<'_, L>
where
    L::T: PartialEq,
{
    /// # Safety
    /// As [`results`].
    #[inline(always)]
    unsafe fn run(self) {
        let Results { segments, from, row, plane, to, channels, size: [height, width] } = self.results;
        // SAFETY: the caller's; lines and columns behind the last are not written.
        unsafe {
            // Zero times what is not finite is NaN.
            let mut nothing = L::zero();
            for channel in 0..channels {
                for s in segments {
                    let from = from.add(channel * row + s.at);
                    let to = to.add((channel * height + 2 * s.row) * width + 2 * s.first);
                    for i in (0..s.count).step_by(L::LANES) {
                        let rest = (2 * (s.count - i)).min(width - 2 * (s.first + i));
                        let [upper, lower] = some_results::<L>(from.add(i), plane);
                        let to = to.add(2 * i);
                        nothing = written(upper, to, rest, nothing);
                        if 2 * s.row + 1 < height {
                            nothing = written(lower, to.add(width), rest, nothing);
                        }
                    }
                }
            }
            let mut lanes = [L::T::default(); super::LONGEST];
            nothing.store(lanes.as_mut_ptr());
            *self.is_finite = lanes == [L::T::default(); super::LONGEST];
        }
    }
}

/// The first `n` elements of two vectors to memory, and `nothing` with zero times these.
///
/// # Safety
/// The CPU has the vectors, and the elements exist.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn written<L: Spans>([low, high]: [L; 2], to: *mut L::T, n: usize, nothing: L) -> L {
    // SAFETY: the caller's.
    unsafe {
        if n >= 2 * L::LANES {
            low.store(to);
            high.store(to.add(L::LANES));
            return nothing.fma(low, L::zero()).fma(high, L::zero());
        }
        let (first, second) = (n.min(L::LANES), n.saturating_sub(L::LANES));
        low.store_first(to, first);
        high.store_first(to.wrapping_add(L::LANES), second);
        nothing.fma(low.first(first), L::zero()).fma(high.first(second), L::zero())
    }
}

/// The upper and the lower elements of a vector of windows.
///
/// # Safety
/// As [`results`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn some_results<L: Spans>(from: *const L::T, plane: usize) -> [[L; 2]; 2] {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[L::zero(); 2]; SIDE];
        for (x, sum) in sums.iter_mut().enumerate() {
            let mut column = [L::zero(); SIDE];
            for (y, part) in column.iter_mut().enumerate() {
                *part = L::load(from.add((SIDE * y + x) * plane));
            }
            *sum = of_products(column);
        }
        let [first, second, third, fourth] = sums;
        let [a, b] = of_products([first[0], second[0], third[0], fourth[0]]);
        let [c, d] = of_products([first[1], second[1], third[1], fourth[1]]);
        [L::joined(a, b), L::joined(c, d)]
    }
}

/// Two elements of a result from four products.
///
/// # Safety
/// The CPU has the vectors.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn of_products<L: Spans>([a, b, c, d]: [L; SIDE]) -> [L; 2] {
    // SAFETY: the caller's.
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}
