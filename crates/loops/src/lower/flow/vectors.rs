//! Products of vectors and matrices in memory that routines read better than a nest: of large matrices whose rows lie across the sums, of which a nest would
//! read a few neighbours at a time, from far apart, and of matrices of short lines, for each of which it would sum the lanes of a vector.

use std::ops::RangeInclusive;

use cotangent_core::ir::DType;

use super::{Flow, Id, Kind, through};
use crate::affine::{Affine, Index, flatten};

/// The elements of a matrix from which on it is worth a routine. In smaller ones rows are near each other, and the product fuses with its neighbours.
const LARGE: usize = 1 << 15;
/// The elements of lines for whose sums a routine is worth it: nests sum shorter ones without vectors, and of longer ones adding up the lanes is a small part.
const SHORT: RangeInclusive<usize> = 9..=128;

impl Flow {
    /// Whether a product of `[m, k]` and `[k, n]` behind `b` batch dims is that of a vector and a matrix in memory that a routine reads better.
    pub(super) fn is_of_vectors(&self, b: usize, args: &[Id], [m, k, n]: [usize; 3], dtype: DType) -> bool {
        if !matches!(dtype, DType::F32 | DType::F64) {
            return false;
        }
        let strides = |arg: usize| self.strides_in_memory(args[arg]);
        let side_by_side = |arg: usize, dim: usize| match self.strides_in_memory(args[arg]) {
            Some(strides) => strides[b + dim] == 1,
            // It will be stored so.
            None => true,
        };
        let all = self.values[args[0]].sizes[..b].iter().product::<usize>() * k * m * n;
        let is_better = |kept: i64, summed: i64, is_lined: bool| {
            (kept == 1 && summed != 1 && k * m * n >= LARGE)
                || (summed == 1 && is_lined && SHORT.contains(&k) && all > LARGE)
        };
        match (m, k, n) {
            (1, 2.., 2..) => strides(1).is_some_and(|s| is_better(s[b + 1], s[b], side_by_side(0, 1))),
            (2.., 2.., 1) => strides(0).is_some_and(|s| is_better(s[b], s[b + 1], side_by_side(1, 0))),
            (..) => false,
        }
    }

    /// How far neighbours along each dim are apart, if `v` is a view of what is in memory anyway.
    fn strides_in_memory(&self, v: Id) -> Option<Vec<i64>> {
        let extents = self.values[v].sizes.to_vec();
        let mut index: Index = (0..extents.len()).map(Affine::var).collect();
        let mut x = v;
        while let Kind::View(form) = &self.values[x].kind {
            let (value, arg) = (&self.values[x], self.values[x].args[0]);
            index = through(form, &index, &value.sizes, &self.values[arg].sizes, &extents).ok()?;
            x = arg;
        }
        let value = &self.values[x];
        let at = value.kind.is_memory().then(|| flatten(&index, &value.sizes))?;
        Some((0..extents.len()).map(|d| at.coef(d)).collect())
    }
}
