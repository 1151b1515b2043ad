//! Factors of matrices so small that all their numbers are at hand at once: loops over constant sizes, which the compiler writes out.

use cotangent_core::array::Element;

use super::Lu;
use crate::routine::linalg::Number;

impl<T: Element> Lu<T> {
    /// As [`group`](crate::routine::linalg::Matrices::group), for square matrices of `K` rows of which there is one for each lane. Each
    /// number goes through the same operations in the same order.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    #[expect(
        clippy::needless_range_loop,
        reason = "iterators over arrays of vectors are not written out, and two rows change at once"
    )]
    pub(super) unsafe fn small<N: Number, const K: usize>(&self, first: usize) -> bool {
        debug_assert!([self.a.rows, self.a.cols] == [K, K] && first + N::W <= self.a.count);
        let pivots = self.pivots.get().wrapping_add(first * K);
        // SAFETY: the caller's.
        unsafe {
            let (zero, one) = (N::splat(0.0), N::splat(1.0));
            let (from, to) =
                (self.a.at.get().wrapping_add(first * K * K), self.lu.at.get().wrapping_add(first * K * K));
            let mut a = [[zero; K]; K];
            for i in 0..K {
                for j in 0..K {
                    a[i][j] = N::of(|w| (*from.add((w * K + i) * K + j)).to_f64());
                }
            }
            let mut info = zero;
            for j in 0..K {
                let (mut place, mut largest) = (N::splat(j as f64), a[j][j].magnitude());
                for i in j + 1..K {
                    let x = a[i][j].magnitude();
                    place = N::if_greater(x, largest, N::splat(i as f64), place);
                    largest = N::if_greater(x, largest, x, largest);
                }
                let mut rows = [0.0; 8];
                place.spread(&mut rows);
                for w in 0..N::W {
                    *pivots.add(w * K + j) = rows[w] as i32 + 1;
                }
                for i in j + 1..K {
                    let here = N::splat(i as f64);
                    for c in 0..K {
                        let (x, y) = (a[j][c], a[i][c]);
                        a[j][c] = N::if_equal(place, here, y, x);
                        a[i][c] = N::if_equal(place, here, x, y);
                    }
                }
                // Below a zero pivot everything is zero, and stays.
                let top = a[j][j];
                let first_zero = N::if_equal(info, zero, N::splat((j + 1) as f64), info);
                info = N::if_equal(top, zero, first_zero, info);
                let divisor = N::if_equal(top, zero, one, top);
                for i in j + 1..K {
                    a[i][j] = a[i][j].over(divisor);
                    for c in j + 1..K {
                        a[i][c] = a[i][c].less_product(a[j][c], a[i][j]);
                    }
                }
            }
            for i in 0..K {
                for j in 0..K {
                    let mut numbers = [0.0; 8];
                    a[i][j].spread(&mut numbers);
                    for w in 0..N::W {
                        *to.add((w * K + i) * K + j) = T::from_f64(numbers[w]);
                    }
                }
            }
            self.end(first, info, N::W, a.as_flattened())
        }
    }
}
