//! Affine index maps: where an element stands as a function of loop variables.

use smallvec::SmallVec;

/// `base + Σ coef[v] · v` over the variables of one iteration space; trailing zero coefficients are dropped, so that
/// equal maps are equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Affine {
    pub base: i64,
    coefs: SmallVec<[i64; 4]>,
}

impl Affine {
    pub fn constant(base: i64) -> Self {
        Affine { base, coefs: SmallVec::new() }
    }

    pub fn var(v: usize) -> Self {
        let mut a = Affine::default();
        a.add_to(v, 1);
        a
    }

    pub fn coef(&self, v: usize) -> i64 {
        self.coefs.get(v).copied().unwrap_or(0)
    }

    /// The variables that occur, with their coefficients.
    pub fn terms(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.coefs.iter().copied().enumerate().filter(|(_, c)| *c != 0)
    }

    /// Adds `c` to the coefficient of `v`.
    pub fn add_to(&mut self, v: usize, c: i64) {
        if self.coefs.len() <= v {
            self.coefs.resize(v + 1, 0);
        }
        self.coefs[v] += c;
        while self.coefs.last() == Some(&0) {
            self.coefs.pop();
        }
    }

    /// Adds `k · other`.
    pub fn add_scaled(&mut self, other: &Affine, k: i64) {
        self.base += other.base * k;
        for (v, c) in other.terms() {
            self.add_to(v, c * k);
        }
    }

    pub fn scaled(&self, k: i64) -> Self {
        let mut a = Affine::default();
        a.add_scaled(self, k);
        a
    }

    pub fn plus(mut self, base: i64) -> Self {
        self.base += base;
        self
    }

    /// This map after variable `v` became `v · factor + low`.
    pub fn split(&mut self, v: usize, low: usize, factor: i64) {
        let c = self.coef(v);
        if c != 0 {
            self.add_to(v, c * factor - c);
            self.add_to(low, c);
        }
    }
}

/// One map for each dim of an array.
pub(crate) type Index = SmallVec<[Affine; 4]>;

/// The extents of the variables.
pub(crate) type Extents = Vec<usize>;

/// Why a flat position is not affine in the dims of a shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotAffine {
    /// It would be, if variable `var` were split so that its inner part counts to `factor`.
    Split { var: usize, factor: usize },
    /// No splitting helps.
    Never,
}

/// The position in the row-major array of `sizes`.
pub(crate) fn flatten(index: &[Affine], sizes: &[usize]) -> Affine {
    let mut flat = Affine::default();
    let mut stride = 1;
    for (i, n) in index.iter().zip(sizes).rev() {
        flat.add_scaled(i, stride);
        stride *= *n as i64;
    }
    flat
}

/// The index in `sizes` of the flat position `flat`, which lies inside for all values of the variables.
pub(crate) fn delinearize(flat: &Affine, sizes: &[usize], extents: &Extents) -> Result<Index, NotAffine> {
    let mut rest = flat.clone();
    let mut out: Index = SmallVec::from_elem(Affine::default(), sizes.len());
    let first = sizes.iter().position(|n| *n != 1).unwrap_or(sizes.len());
    for d in (first..sizes.len()).rev() {
        if d == first {
            // The outermost dim takes what is left.
            out[d] = rest;
            return Ok(out);
        }
        let n = sizes[d] as i64;
        if n == 1 {
            continue;
        }
        let (mut high, mut low) =
            (Affine::constant(rest.base.div_euclid(n)), Affine::constant(rest.base.rem_euclid(n)));
        let (mut min, mut max) = (low.base, low.base);
        for (v, c) in rest.terms() {
            if c % n == 0 {
                high.add_to(v, c / n);
            } else {
                low.add_to(v, c);
                let reach = c * (extents[v] as i64 - 1);
                min += reach.min(0);
                max += reach.max(0);
            }
        }
        // A flip walks downwards: its base belongs to the low part as far as that brings the minimum to zero.
        let borrow = (-min).max(0).div_euclid(n) + i64::from((-min).max(0).rem_euclid(n) != 0);
        if borrow > 0 {
            low.base += borrow * n;
            high.base -= borrow;
            min += borrow * n;
            max += borrow * n;
        }
        if min < 0 || max >= n {
            return Err(splitting(&low, n, extents));
        }
        out[d] = low;
        rest = high;
    }
    Ok(out)
}

/// The variable whose splitting at a multiple of `n` takes its outer part out of `low`.
fn splitting(low: &Affine, n: i64, extents: &Extents) -> NotAffine {
    for (v, c) in low.terms() {
        let (c, extent) = (c.abs(), extents[v] as i64);
        if c < n && n % c == 0 && c * extent > n && extent % (n / c) == 0 {
            return NotAffine::Split { var: v, factor: (n / c) as usize };
        }
    }
    NotAffine::Never
}

/// The index into an array of `from` where the array of `to` with the same elements in row-major order has `index`.
///
/// Dims that both shapes share stay as they are; only groups of dims with equal products are flattened and divided.
pub(crate) fn reshape(index: &[Affine], to: &[usize], from: &[usize], extents: &Extents) -> Result<Index, NotAffine> {
    let mut out = Index::new();
    let (mut t, mut f) = (0, 0);
    while t < to.len() || f < from.len() {
        let (t0, f0) = (t, f);
        let (mut a, mut b) = (1, 1);
        loop {
            if t > t0 && f > f0 && a == b {
                break;
            }
            if (a <= b || f == from.len()) && t < to.len() {
                a *= to[t];
                t += 1;
            } else if f < from.len() {
                b *= from[f];
                f += 1;
            } else {
                break;
            }
        }
        let flat = flatten(&index[t0..t], &to[t0..t]);
        if f - f0 == 1 {
            out.push(flat);
        } else {
            out.extend(delinearize(&flat, &from[f0..f], extents)?);
        }
    }
    Ok(out)
}
