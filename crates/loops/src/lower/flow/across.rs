//! Products of a vector and a matrix whose rows lie across the sums: a nest would read a few neighbours of each row at a time, from far apart.

use cotangent_core::ir::DType;

use super::{Flow, Id, Kind, through};
use crate::affine::{Affine, Index, flatten};

/// The elements of a matrix from which on it is worth a routine. In smaller ones rows are near each other, and the product fuses with its neighbours.
const LARGE: usize = 1 << 15;

impl Flow {
    /// Whether a product of `[m, k]` and `[k, n]` behind `b` batch dims is that of a vector and a large matrix in memory, whose elements lie side by side
    /// along the dim that is kept.
    pub(super) fn goes_across(&self, b: usize, args: &[Id], [m, k, n]: [usize; 3], dtype: DType) -> bool {
        let is_one = self.values[args[0]].sizes[..b].iter().all(|n| *n == 1);
        if !is_one || k * m * n < LARGE || !matches!(dtype, DType::F32 | DType::F64) {
            return false;
        }
        let strides = |arg: usize| self.strides_in_memory(args[arg]);
        let neighbours = |kept: i64, summed: i64| kept == 1 && summed != 1;
        match (m, k, n) {
            (1, 2.., 2..) => strides(1).is_some_and(|s| neighbours(s[b + 1], s[b])),
            (2.., 2.., 1) => strides(0).is_some_and(|s| neighbours(s[b], s[b + 1])),
            (..) => false,
        }
    }

    /// How far neighbours along each dim are apart, if `v` is a view of what is in memory anyway.
    fn strides_in_memory(&self, v: Id) -> Option<Vec<i64>> {
        let extents = self.values[v].sizes.to_vec();
        let mut index: Index = (0..extents.len()).map(Affine::var).collect();
        let mut x = v;
        loop {
            let value = &self.values[x];
            match &value.kind {
                Kind::View(form) => {
                    let arg = value.args[0];
                    index = through(form, &index, &value.sizes, &self.values[arg].sizes, &extents).ok()?;
                    x = arg;
                }
                Kind::Param | Kind::Stored(_) | Kind::Pieces(_) | Kind::Product | Kind::Output(_) => {
                    let at = flatten(&index, &value.sizes);
                    return Some((0..extents.len()).map(|d| at.coef(d)).collect());
                }
                Kind::Fill(_)
                | Kind::Iota
                | Kind::Eye
                | Kind::Point(_)
                | Kind::Pick(_)
                | Kind::Unrolled(..)
                | Kind::Reduce(..) => return None,
            }
        }
    }
}
