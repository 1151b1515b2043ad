//! Matrices transposed in memory.

#[cfg(target_arch = "x86_64")]
use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
use super::lanes::{Kernel, Lanes};

/// The bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE: usize = 64;

/// `to[i + j · step] = from[j + i · stride]` for `i` and `j` in the ranges, element by element.
///
/// # Safety
/// All of these elements exist, and nobody else uses those of `to`.
pub unsafe fn plain<T: Copy>(
    [is, js]: [std::ops::Range<usize>; 2],
    from: *const T,
    stride: isize,
    to: *mut T,
    step: usize,
) {
    for j in js {
        for i in is.clone() {
            // SAFETY: the caller's.
            unsafe { *to.add(i + j * step) = *from.offset(j as isize + i as isize * stride) };
        }
    }
}

/// As [`plain`] for `i < m` and `j < n`, in squares of vectors.
///
/// # Safety
/// As [`plain`], and the CPU has the vectors.
#[cfg(target_arch = "x86_64")]
pub unsafe fn in_squares<L: Lanes>(mn: [usize; 2], from: *const L::T, stride: isize, to: *mut L::T, step: usize) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Squares::<L> { mn, from, stride, to, step, lanes: PhantomData }) }
}

/// As [`in_squares`], `count` matrices: those of the operand `apart`, those of the result `n · m` elements from one another, without gaps between rows.
///
/// # Safety
/// As [`in_squares`], for all of them.
#[cfg(target_arch = "x86_64")]
pub unsafe fn each_in_squares<L: Lanes>(
    count: usize,
    mn: [usize; 2],
    [from, to]: [*mut L::T; 2],
    stride: isize,
    apart: isize,
) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Each::<L> { count, mn, from, stride, apart, to, lanes: PhantomData }) }
}

#[cfg(target_arch = "x86_64")]
struct Squares<L: Lanes> {
    mn: [usize; 2],
    from: *const L::T,
    stride: isize,
    to: *mut L::T,
    step: usize,
    lanes: PhantomData<L>,
}

#[cfg(target_arch = "x86_64")]
struct Each<L: Lanes> {
    count: usize,
    mn: [usize; 2],
    from: *mut L::T,
    stride: isize,
    apart: isize,
    to: *mut L::T,
    lanes: PhantomData<L>,
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> Kernel for Each<L> {
    /// # Safety
    /// As [`each_in_squares`].
    #[inline(always)]
    unsafe fn run(self) {
        let Each { count, mn, from, stride, apart, to, lanes } = self;
        for i in 0..count {
            let from = from.wrapping_offset(apart * i as isize).cast_const();
            let to = to.wrapping_add(mn[0] * mn[1] * i);
            // SAFETY: the caller's.
            unsafe { Squares::<L> { mn, from, stride, to, step: mn[0], lanes }.run() };
        }
    }
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> Kernel for Squares<L> {
    /// # Safety
    /// As [`in_squares`].
    #[inline(always)]
    unsafe fn run(self) {
        let Squares { mn: [m, n], from, stride, to, step, lanes: _ } = self;
        // Squares beside one another write whole cache lines, which may not stay until the next are written where rows of the result are far apart,
        // often in one set of a cache; where those of the operand are farther, it is they that have to stay. Squares of whole lines need not stay.
        let is_far = step as isize >= stride.abs();
        let side = if is_far { L::LINE.max(CACHE_LINE / size_of::<L::T>()) } else { L::LINE };
        let fits = m >= L::LINE && n >= L::LINE;
        // SAFETY: the caller's; squares cover everything.
        unsafe {
            for i in (0..m).step_by(side) {
                for j in (0..n).step_by(L::LINE) {
                    for i in (i..m.min(i + side)).step_by(L::LINE) {
                        // What is left of whole squares lies in one that overlaps those before it: processors write through masks slowly.
                        let (i, j) = if fits { (i.min(m - L::LINE), j.min(n - L::LINE)) } else { (i, j) };
                        let (from, to) = (from.offset(j as isize + i as isize * stride), to.add(i + j * step));
                        if fits {
                            L::transpose_line(from, stride, to, step);
                        } else {
                            L::transpose_edge(from, stride, to, step, [L::LINE.min(m - i), L::LINE.min(n - j)]);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Real, Vectors};
    use crate::wide::Isa;

    /// What [`Real::transpose`] makes of an `m` by `n` part of larger matrices, whose other elements stay.
    fn check<T: Real + Copy + Default + PartialEq + std::fmt::Debug>(vectors: Vectors, number: impl Fn(usize) -> T) {
        for m in 0..37 {
            for n in [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 48] {
                let (stride, step) = (n + 3, m + 5);
                let from: Vec<T> = (0..m * stride).map(&number).collect();
                let mut to = vec![T::default(); n * step];
                // SAFETY: the CPU has the vectors; rows are as long as the strides say.
                unsafe { T::transpose(vectors, [m, n], from.as_ptr(), stride as isize, to.as_mut_ptr(), step) };
                for (at, x) in to.iter().enumerate() {
                    let (j, i) = (at / step, at % step);
                    let expected = if i < m { from[i * stride + j] } else { T::default() };
                    assert_eq!(*x, expected, "{vectors:?}: {m} by {n}, row {j}, column {i}");
                }
            }
        }
    }

    #[test]
    fn squares_and_what_is_left_of_them_are_transposed() {
        let wide = [Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| isa.available()).map(|isa| Vectors::of(Some(isa)));
        for vectors in wide.chain([Vectors::Portable]) {
            check(vectors, |i| i as f32 + 1.0);
            check(vectors, |i| i as f64 + 1.0);
        }
    }
}
