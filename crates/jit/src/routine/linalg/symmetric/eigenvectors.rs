//! Eigenvectors of symmetric tridiagonal matrices whose eigenvalues are known and apart.
//!
//! `T - λ` is eliminated from both ends; where the two meet with the smallest pivot, the vector has a one, and the eliminations give the
//! rest: Dhillon and Parlett, "Orthogonal eigenvectors and relative gaps", SIAM J. Matrix Anal. Appl. 25 (2004), section 3.

use super::Lane;

/// What a pivot is at least.
const TINY: f64 = 1e-60;

/// Eigenvectors of a tridiagonal matrix, one in each lane: element `i` goes to `z[i]`. `d` is the diagonal, `e[1..]` is beside it.
/// Gives the largest pivot of those chosen, over the vector's length: how far a vector is from one.
///
/// # Safety
/// The CPU has the vectors; `low`, `high` and `z` have as many numbers as `d`.
#[inline(always)]
pub unsafe fn eigenvectors<V: Lane>(d: &[f64], e: &[f64], values: V, [low, high, z]: [&mut [V]; 3]) -> f64 {
    let n = d.len();
    assert!(n > 0 && e.len() == n && low.len() == n && high.len() == n && z.len() == n);
    // SAFETY: the caller's.
    unsafe {
        let (one, zero, tiny) = (V::all(1.0), V::zero(), V::all(TINY));
        let ahead = |i: usize| V::all(d[i]).less_product(one, values);
        let safe = |x: V| V::if_greater(tiny, x.magnitude(), tiny, x);
        // From the end, pivots first and factors later: `high[i]` is the pivot of row `i`.
        let mut pivot = safe(ahead(n - 1));
        high[n - 1] = pivot;
        for i in (0..n - 1).rev() {
            let beside = V::all(e[i + 1]);
            let factor = beside.over(pivot);
            pivot = safe(ahead(i).less_product(beside, factor));
            z[i + 1] = factor;
            high[i] = pivot;
        }
        // From the beginning; what both leave of row `i` is the sum of pivots less the element.
        let (mut least, mut place) = (high[0], zero);
        let mut pivot = safe(ahead(0));
        for i in 1..n {
            let beside = V::all(e[i]);
            let factor = beside.over(pivot);
            low[i - 1] = factor;
            let change = zero.less_product(beside, factor);
            pivot = safe(ahead(i).add(change));
            let both = high[i].add(change);
            let (x, y) = (least.magnitude(), both.magnitude());
            place = V::if_greater(x, y, V::all(i as f64), place);
            least = V::if_greater(x, y, both, least);
        }
        // Up from the place, then down; `high` becomes the factors, which were in `z`.
        high[1..].copy_from_slice(&z[1..]);
        let mut x = V::if_equal(place, V::all((n - 1) as f64), one, zero);
        z[n - 1] = x;
        for i in (0..n - 1).rev() {
            x = V::if_equal(place, V::all(i as f64), one, zero.less_product(low[i], x));
            z[i] = x;
        }
        let mut squares = zero.fma(x, x);
        for i in 1..n {
            x = V::if_greater(V::all(i as f64), place, zero.less_product(high[i], x), z[i]);
            z[i] = x;
            squares = squares.fma(x, x);
        }
        let length = squares.root();
        for x in z.iter_mut() {
            *x = x.over(length);
        }
        let mut far = [0.0; 8];
        least.over(length).magnitude().spread(&mut far);
        far.iter().fold(0.0, |a, b| if *b > a || b.is_nan() { *b } else { a })
    }
}
