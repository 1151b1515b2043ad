//! Products of a long inner dim and a small result: parts of the inner dim are products of their own, and their results are added.
//!
//! Threads that divide the result would each pack or read all of an operand; so they share nothing until the end. How many parts there are, and so
//! the order of additions, depends on the sizes only. Measured with two threads, `f32`, the right operand transposed: 64 rows and columns of 16,384
//! inner elements 920 to 733 µs, 32 of 10,000 148 to 110; 256 of 4,096 2,841 to 2,704.

#[cfg(target_arch = "x86_64")]
use super::lanes::{Kernel, Lanes};
use super::{Onto, Operand, Ring, Target, Vectors};
use crate::memory::Block;
use crate::threads;

/// Inner elements of a part, at least.
const PART: usize = 1024;
/// The most parts.
const PARTS: usize = 8;
/// Bytes of a result that stay in the second-level cache beside panels of both operands.
const SMALL: usize = 256 << 10;
/// How many times as long as the sides of the result the inner dim is, at least.
const LONGER: usize = 8;
/// Elements that are added at once.
const PIECE: usize = 2048;

/// The number of parts of a product; one if it has none of its own.
fn count<T>([m, k, n]: [usize; 3]) -> usize {
    let is_small = m.saturating_mul(n).saturating_mul(size_of::<T>()) <= SMALL;
    if is_small && k / LONGER >= m.max(n) { (k / PART).clamp(1, PARTS) } else { 1 }
}

/// `c = a · b`, rows of `c` one behind the other, an estimated `cost` in ns; `false`, and nothing done, where the inner dim is not long.
///
/// # Safety
/// As [`super::product`].
pub unsafe fn product<T: Ring>(
    vectors: Vectors,
    mkn @ [m, k, n]: [usize; 3],
    [a, b]: [Operand<T>; 2],
    c: Target<T>,
    cost: u64,
) -> bool {
    let count = count::<T>(mkn);
    if count < 2 || c.row != n {
        return false;
    }
    let others = Block::new((count - 1) * m * n * size_of::<T>());
    let whole = Whole { a, b, results: [c.at, others.as_ptr().cast()], size: m * n };
    threads::for_each(count, cost, &|part| {
        let (whole, ps) = (whole.get(), part * k / count..(part + 1) * k / count);
        let (a, b, to) =
            (whole.a.from(0, ps.start), whole.b.from(ps.start, 0), Target { at: whole.part(part), row: n });
        // SAFETY: the caller's; each part has a result of its own.
        unsafe { T::product(vectors, [m, ps.len(), n], a, b, to, Onto::Nothing) };
    });
    threads::for_each((m * n).div_ceil(PIECE), (m * n * count / 8) as u64, &|piece| {
        let (whole, first) = (whole.get(), piece * PIECE);
        for part in 1..count {
            let [to, from] = [0, part].map(|part| whole.part(part).wrapping_add(first));
            // SAFETY: the caller's; each piece adds elements of its own.
            unsafe { T::add(vectors, PIECE.min(m * n - first), to, from) };
        }
    });
    true
}

/// The operands, and where the results of the first part and of the others are, each of `size` elements.
#[derive(Clone, Copy)]
struct Whole<T> {
    a: Operand<T>,
    b: Operand<T>,
    results: [*mut T; 2],
    size: usize,
}
// SAFETY: threads write the results of different parts, then different elements of the first one, and read what was written before.
unsafe impl<T> Sync for Whole<T> {}

impl<T: Copy> Whole<T> {
    /// Through which closures have the whole, that threads may share, and not its pointers.
    fn get(&self) -> Self {
        *self
    }

    /// The result of a part.
    fn part(&self, part: usize) -> *mut T {
        if part == 0 { self.results[0] } else { self.results[1].wrapping_add((part - 1) * self.size) }
    }
}

/// `to += from` for `n` elements.
///
/// # Safety
/// The CPU has the vectors; the elements exist, and nobody else uses those of `to`.
#[cfg(target_arch = "x86_64")]
pub unsafe fn add<L: Lanes>(n: usize, to: *mut L::T, from: *const L::T) {
    // SAFETY: the caller's.
    unsafe { L::enabled(Added::<L> { n, to, from }) }
}

#[cfg(target_arch = "x86_64")]
struct Added<L: Lanes> {
    n: usize,
    to: *mut L::T,
    from: *const L::T,
}

#[cfg(target_arch = "x86_64")]
impl<L: Lanes> Kernel for Added<L> {
    /// # Safety
    /// As [`add`].
    #[inline(always)]
    unsafe fn run(self) {
        let Added { n, to, from } = self;
        let whole = n / L::LANES * L::LANES;
        // SAFETY: the caller's; behind the last whole vector nothing is touched but the rest.
        unsafe {
            for i in (0..whole).step_by(L::LANES) {
                L::load(to.add(i)).add(L::load(from.add(i))).store(to.add(i));
            }
            let (to, from, rest) = (to.add(whole), from.add(whole), n - whole);
            if rest > 0 {
                L::load_first(to, rest).add(L::load_first(from, rest)).store_first(to, rest);
            }
        }
    }
}
