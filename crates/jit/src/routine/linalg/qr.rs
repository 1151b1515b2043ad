//! Orthonormal factors by Householder's reflections, with the signs of LAPACK.

use cotangent_core::array::Element;

use super::{Batch, Matrices, Number, divide, subtract};

/// Squares of lengths that neither overflow nor lose digits.
pub(super) const USUAL: std::ops::Range<f64> = 1e-250..1e250;

/// `A = Q · R`.
pub(super) struct Qr<T> {
    /// The matrices.
    pub(super) a: Batch<T>,
    /// As many, with as many rows.
    pub(super) q: Batch<T>,
    /// As many, with a row for each column of `q`.
    pub(super) r: Batch<T>,
}

impl<T: Element> Matrices for Qr<T> {
    const SMALL: usize = 3 * 32 * 32;

    fn memory(&self) -> usize {
        let (m, n) = (self.a.rows, self.a.cols);
        self.a.len() + self.q.len() + m + m.min(n) + n.max(self.q.cols)
    }

    fn cost(&self) -> u64 {
        let (m, n) = (self.a.rows as u64, self.a.cols as u64);
        8 + m * n + m * n * (n + self.q.cols as u64) / 4
    }

    #[inline(always)]
    unsafe fn group<N: Number>(&self, first: usize, memory: &mut [N]) -> bool {
        let (m, n, side) = (self.a.rows, self.a.cols, self.q.cols);
        let k = m.min(n);
        let (a, memory) = memory.split_at_mut(m * n);
        let (q, memory) = memory.split_at_mut(m * side);
        let (v, memory) = memory.split_at_mut(m);
        let (factors, row) = memory.split_at_mut(k);
        // SAFETY: the caller's.
        unsafe {
            let (zero, one) = (N::splat(0.0), N::splat(1.0));
            self.a.load(first, a, |i, j| i * n + j);
            for (j, factor) in factors.iter_mut().enumerate() {
                (j..m).for_each(|i| v[i] = a[i * n + j]);
                let Some(of) = reflection(&mut v[j..]) else { return false };
                (j + 1..m).for_each(|i| a[i * n + j] = v[i]);
                (a[j * n + j], *factor) = (of.image, of.factor);
                v[j] = one;
                reflect(&v[j..], of.factor, &mut a[j * n + j..], n, 1, &mut row[..n - j - 1]);
            }
            q.fill(zero);
            (0..side).for_each(|i| q[i * side + i] = one);
            for (j, factor) in factors.iter().enumerate().rev() {
                v[j] = one;
                (j + 1..m).for_each(|i| v[i] = a[i * n + j]);
                reflect(&v[j..], *factor, &mut q[j * side + j..], side, 0, &mut row[..side - j]);
            }
            self.q.store(first, |i, j| q[i * side + j]);
            self.r.store(first, |i, j| if i <= j { a[i * n + j] } else { zero });
        }
        true
    }
}

/// `I - factor · v · vᵀ`, which takes a vector to a multiple of the first unit vector.
struct Reflection<N> {
    /// That multiple.
    image: N,
    factor: N,
}

/// The reflection of `x`, which becomes `v` behind its first number, which would be 1; none for lengths that are not [`USUAL`].
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn reflection<N: Number>(x: &mut [N]) -> Option<Reflection<N>> {
    let (top, below) = x.split_first_mut()?;
    let top = *top;
    // SAFETY: the caller's.
    unsafe {
        let (zero, one) = (N::splat(0.0), N::splat(1.0));
        // What `less_product` gives are negative sums.
        let (mut rest, mut largest) = (zero, zero);
        for x in below.iter() {
            rest = rest.less_product(*x, *x);
            largest = N::if_greater(x.magnitude(), largest, x.magnitude(), largest);
        }
        let square = zero.less_product(one, rest.less_product(top, top));
        let (mut squares, mut most) = ([0.0; 8], [0.0; 8]);
        square.spread(&mut squares);
        largest.spread(&mut most);
        if !squares.iter().zip(most).take(N::W).all(|(s, most)| USUAL.contains(s) || (most == 0.0 && s.is_finite())) {
            return None;
        }
        // What stands alone already stays.
        let length = square.root();
        let opposite = N::if_greater(zero, top, length, zero.less_product(one, length));
        let image = N::if_equal(rest, zero, top, opposite);
        let divisor = N::if_equal(rest, zero, one, top.less_product(one, image));
        divide(below, divisor);
        let factor = image.less_product(one, top).over(N::if_equal(image, zero, one, image));
        Some(Reflection { image, factor })
    }
}

/// Reflects columns: the rows of `x` are `stride` apart, and its columns `skipped` and following as many as `row`, which is memory, has.
///
/// # Safety
/// The CPU has the vectors.
#[inline(always)]
unsafe fn reflect<N: Number>(v: &[N], factor: N, x: &mut [N], stride: usize, skipped: usize, row: &mut [N]) {
    if row.is_empty() {
        return;
    }
    // SAFETY: the caller's.
    unsafe {
        let zero = N::splat(0.0);
        row.fill(zero);
        subtract(v, &x[skipped..], stride, row);
        row.iter_mut().for_each(|w| *w = zero.less_product(factor, *w));
        for (v, x) in v.iter().zip(x[skipped..].chunks_mut(stride)) {
            subtract(&[*v], row, row.len(), &mut x[..row.len()]);
        }
    }
}
