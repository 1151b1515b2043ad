//! Products of many small matrices, each without packing or blocks: a row of the result is one vector.

use super::lanes::{Kernel, Lanes};
use super::{Operand, Products};

/// The most rows of a right operand, which are copied if they do not lie in memory as rows.
const ROWS: usize = 16;
/// The most columns: the lanes of the longest vector.
const COLUMNS: usize = 16;

/// [`Products`] with vectors `L`, whose right operands have `K` rows, which stay in registers; more than fit these if `K` is 0.
struct Small<L: Lanes, const K: usize>(Products<L::T>);

impl<L: Lanes, const K: usize> Kernel for Small<L, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let Products { mkn: [m, k, n], count, operands: [a, b], steps, to } = self.0;
        let k = if K == 0 { k } else { K };
        let mut copied = [L::T::default(); ROWS * COLUMNS];
        let is_square = b.row == 1 && k == L::SQUARE && n == L::SQUARE;
        for i in 0..count {
            let next = |x: Operand<L::T>, step: isize| Operand { at: x.at.wrapping_offset(i as isize * step), ..x };
            let (a, mut b) = (next(a, steps[0]), next(b, steps[1]));
            // SAFETY: the caller's; a row of the result has `n` elements, and of the vector that is written no others but those of later rows.
            unsafe {
                if b.col != 1 {
                    if is_square {
                        L::transpose(b.at, b.col, copied.as_mut_ptr(), COLUMNS);
                    } else {
                        for (p, row) in copied.chunks_exact_mut(COLUMNS).enumerate().take(k) {
                            row.iter_mut().enumerate().take(n).for_each(|(j, x)| *x = *b.from(p, j).at);
                        }
                    }
                    b = Operand { at: copied.as_ptr(), row: COLUMNS as isize, col: 1 };
                }
                let right = |p: usize| {
                    let at = b.from(p, 0).at;
                    if n == L::LANES { L::load(at) } else { L::load_first(at, n) }
                };
                let rows: [L; K] = std::array::from_fn(right);
                for row in 0..m {
                    let mut sum = L::zero();
                    if K == 0 {
                        for p in 0..k {
                            sum = sum.fma(L::splat(a.from(row, p).at), right(p));
                        }
                    } else {
                        for (p, x) in rows.into_iter().enumerate() {
                            sum = sum.fma(L::splat(a.from(row, p).at), x);
                        }
                    }
                    let place = (i * m + row) * n;
                    // A part of a vector is dear to write: what stands behind it is written later.
                    if place + L::LANES <= count * m * n {
                        sum.store(to.add(place));
                    } else {
                        sum.store_first(to.add(place), n);
                    }
                }
            }
        }
    }
}

/// Computes the products if they are small; `false`, and nothing done, if not.
///
/// # Safety
/// The CPU has the vectors; the operands have their elements, and there is room for the results, which nobody else uses.
pub unsafe fn products<L: Lanes>(products: Products<L::T>) -> bool {
    let [_, k, n] = products.mkn;
    if n > L::LANES || k > ROWS {
        return false;
    }
    macro_rules! sized {
        ($($K:literal)*) => {
            // SAFETY: the caller's.
            unsafe {
                match k {
                    $( $K => L::enabled(Small::<L, $K>(products)), )*
                    _ => L::enabled(Small::<L, 0>(products)),
                }
            }
        };
    }
    sized!(1 2 3 4 5 6 7 8);
    true
}
