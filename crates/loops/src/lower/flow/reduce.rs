//! Reductions in a normal form: in a dtype wide enough, split where threads or caches want it.

use cotangent_core::ir::Aval;
use cotangent_core::ops::{Monoid, ViewForm};
use smallvec::SmallVec;

use super::{Flow, Id, Kind, Piece, wide};
use crate::affine::Affine;

/// Reductions of at most this many elements are written out as expressions.
const UNROLLED: usize = 8;

/// Kept dims of at most this many elements, where they are the last, are too short for lanes: reductions around them are done one by
/// one.
const NARROW: usize = 4;

/// Reductions of at least this many elements into few results are done in two steps, so that threads share them.
const SPLIT: usize = 1 << 16;

/// Columns of at least this many elements are reduced in two steps.
const TALL: usize = 1024;

impl Flow {
    /// A reduction: of halves in `f32`, of few elements written out, of very many into few in two steps.
    pub(super) fn reduce(&mut self, x: Id, dims: &[usize], monoid: Monoid, y: &Aval, i: usize) -> Id {
        let x = if monoid == Monoid::Sum { self.without_padding(x, dims) } else { x };
        let sizes = self.values[x].sizes.clone();
        let kept: SmallVec<[usize; 4]> = (0..sizes.len()).filter(|d| !dims.contains(d)).map(|d| sizes[d]).collect();
        let n: usize = dims.iter().map(|d| sizes[*d]).product();
        if n == 0 {
            return self.push(Kind::Fill(crate::interp::neutral(monoid, y.dtype)), &[], y, Some(i));
        }
        let narrow = |last: usize| !dims.contains(&last) && (2..=NARROW).contains(&sizes[last]);
        if n > 2 * UNROLLED && sizes.len().checked_sub(1).is_some_and(narrow) {
            return self.reduce_narrow(x, dims, monoid, y, i);
        }
        let wide = wide(y.dtype);
        let x = self.converted(x, wide, i);
        let (outer, inner): (usize, usize) = (kept.iter().product(), n);
        let chunks = dims.first().and_then(|d| (2..=64).rev().find(|c| sizes[*d].is_multiple_of(*c)));
        // Sums down long columns: a chunk of rows at a time, so that neighbours in memory are read together.
        let last_kept = sizes.len().checked_sub(1).is_some_and(|last| !dims.contains(&last));
        let tall = |c: usize| last_kept && n >= TALL && n * outer >= SPLIT && sizes[dims[0]] / c >= 16;
        let r = match chunks {
            _ if n == 1 => {
                let mut result = 0..;
                let pick = (0..sizes.len()).map(|d| if dims.contains(&d) { None } else { result.next() }).collect();
                self.make(Kind::Pick(pick), &[x], wide, &kept, i)
            }
            _ if n <= UNROLLED => self.make(Kind::Unrolled(dims.to_vec(), monoid), &[x], wide, &kept, i),
            Some(c) if (inner >= SPLIT && outer < 16) || tall(c) => {
                // The first reduced dim in `c` pieces, which stay for a second reduction.
                let d0 = dims[0];
                let mut split: SmallVec<[usize; 6]> = sizes.iter().copied().collect();
                split[d0] /= c;
                split.insert(d0, c);
                let parts = self.make(Kind::View(ViewForm::Reshape), &[x], wide, &split, i);
                let first: Vec<usize> = dims.iter().map(|d| d + 1).collect();
                let sums: SmallVec<[usize; 6]> =
                    (0..split.len()).filter(|d| !first.contains(d)).map(|d| split[d]).collect();
                let partial = self.make(Kind::Reduce(first, monoid), &[parts], wide, &sums, i);
                let at = (0..d0).filter(|d| !dims.contains(d)).count();
                let kind =
                    if c <= UNROLLED { Kind::Unrolled(vec![at], monoid) } else { Kind::Reduce(vec![at], monoid) };
                self.make(kind, &[partial], wide, &kept, i)
            }
            Some(_) | None => self.make(Kind::Reduce(dims.to_vec(), monoid), &[x], wide, &kept, i),
        };
        self.converted(r, y.dtype, i)
    }

    /// What a sum of `x` over `dims` adds up: `x`, or what stands in it between zeros, if these are along the dims only.
    fn without_padding(&self, x: Id, dims: &[usize]) -> Id {
        let Kind::Pieces(pieces) = &self.values[x].kind else { return x };
        let is_zero = |v: &&Id| matches!(self.values[**v].kind, Kind::Fill(s) if s.to_f64() == 0.0);
        let mut others = self.values[x].args.iter().filter(|v| !is_zero(v));
        let (Some(inner), None) = (others.next(), others.next()) else { return x };
        let (all, part) = (&self.values[x].sizes, &self.values[*inner].sizes);
        let is_padded = all.len() == part.len()
            && pieces.iter().all(|p| !p.over)
            && (0..all.len()).all(|d| dims.contains(&d) || all[d] == part[d]);
        if is_padded { *inner } else { x }
    }

    /// A reduction of which the last dim is kept and narrow: one for each of its elements, so that the lanes are others.
    fn reduce_narrow(&mut self, x: Id, dims: &[usize], monoid: Monoid, y: &Aval, i: usize) -> Id {
        let last = self.values[x].sizes.len() - 1;
        let rank = y.rank();
        let part = y.with_shape(y.shape.with(rank - 1, 1usize));
        let (mut ids, mut pieces): (SmallVec<[Id; 2]>, Vec<Piece>) = (SmallVec::new(), Vec::new());
        for k in 0..self.values[x].sizes[last] {
            let slice = self.slice(x, last, k, 1, i);
            ids.push(self.reduce(slice, dims, monoid, &part, i));
            let mut at: Vec<Affine> = (0..rank).map(Affine::var).collect();
            at[rank - 1] = Affine::constant(k as i64);
            pieces.push(Piece { at, over: false });
        }
        self.push(Kind::Pieces(pieces), &ids, y, Some(i))
    }
}
