//! Eigenvalues of symmetric tridiagonal matrices.
//!
//! The QL algorithm without square roots: Pal, Walker and Kahan's, as Parlett, "The Symmetric Eigenvalue Problem" (1980), section 8.14, has it. What one
//! step hands to the next is a fraction here, so that a division is on the way from one to the next instead of two, one behind the other.

/// Steps for each eigenvalue after which it is given up.
const STEPS: usize = 40;
/// The square of an element beside the diagonal that changes no eigenvalue.
const NEGLIGIBLE: f64 = f64::EPSILON * f64::EPSILON / 4.0;

/// The eigenvalues of the matrix with diagonal `d` and, beside it, elements of squares `squares[1..]`, none of which is negligible, replace `d`, in
/// no order; `false` if they are not found. The elements are of size 1.
pub fn values(d: &mut [f64], squares: &mut [f64]) -> bool {
    let n = d.len();
    let mut first = 0;
    let mut left = STEPS * n;
    while first < n {
        // Elements beside the diagonal that vanish as the others are found cut the matrix.
        let mut last = first;
        while last + 1 < n && squares[last + 1] > NEGLIGIBLE {
            last += 1;
        }
        match last - first {
            0 => first += 1,
            1 => {
                (d[first], d[last]) = of_two(d[first], squares[last], d[last]);
                first += 2;
            }
            _ => {
                if left == 0 {
                    return false;
                }
                left -= 1;
                step(&mut d[first..=last], &mut squares[first..=last]);
            }
        }
    }
    true
}

/// The eigenvalues of two rows.
fn of_two(a: f64, square: f64, b: f64) -> (f64, f64) {
    let (middle, half) = (0.5 * (a + b), 0.5 * (a - b));
    let root = (half * half + square).sqrt();
    // The one far from zero loses no digits; the other is what the determinant leaves, where that is more exact.
    let far = middle + root.copysign(middle);
    if far == 0.0 { (0.0, 0.0) } else { (far, (a / far) * b - square / far) }
}

/// One implicit step, with Wilkinson's shift from the first two rows.
fn step(d: &mut [f64], squares: &mut [f64]) {
    let n = d.len();
    let root = squares[1].sqrt();
    let half = (d[1] - d[0]) / (2.0 * root);
    let shift = d[0] - root / (half + (half * half + 1.0).sqrt().copysign(half));
    let (mut gamma, mut c, mut s) = (d[n - 1] - shift, 1.0, 0.0);
    let mut p = gamma * gamma;
    for i in (0..n - 1).rev() {
        let square = squares[i + 1];
        let r = p + square;
        if i + 2 < n {
            squares[i + 2] = s * r;
        }
        let (old_c, old_gamma, inverse) = (c, gamma, 1.0 / r);
        let ahead = d[i] - shift;
        let next = p * ahead - square * old_gamma;
        (c, s) = (p * inverse, square * inverse);
        gamma = next * inverse;
        d[i + 1] = old_gamma + (d[i] - gamma);
        // `gamma² / c`, without waiting for either.
        let below = p * r;
        p = if below > 1e-280 {
            next * next / below
        } else if c != 0.0 {
            gamma * gamma / c
        } else {
            old_c * square
        };
    }
    squares[1] = s * p;
    d[0] = shift + gamma;
}
