//! Values put together from pieces: concatenation, updates of slices, padding, diagonals and sums of windows.

use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Piecewise, ViewForm};
use smallvec::SmallVec;

use super::{Flow, Id, Kind, Piece};
use crate::affine::Affine;

/// The most parts into which overlapping windows are taken apart.
const MAX_PARTS: usize = 8;

impl Flow {
    /// Windows added into the result: windows that do not overlap are pieces, or a view where they cover everything; the others are
    /// sums of shifted ones. `None` where that would be too many.
    pub(super) fn window_add(&mut self, x: Id, [dim, size, step]: [usize; 3], y: &Aval, i: usize) -> Option<Id> {
        let sizes: SmallVec<[usize; 4]> = y.shape.dims().iter().map(|d| d.get()).collect();
        let last = sizes.len();
        let windows = self.values[x].sizes[dim];
        if size == step && windows * step == sizes[dim] {
            // `[.., windows, .., size]` to `[.., windows · size, ..]`
            let order: Vec<usize> = (0..=dim).chain([last]).chain(dim + 1..last).collect();
            let moved: SmallVec<[usize; 4]> = order.iter().map(|d| self.values[x].sizes[*d]).collect();
            let x = self.make(Kind::View(ViewForm::Permute(order)), &[x], y.dtype, &moved, i);
            return Some(self.push(Kind::View(ViewForm::Reshape), &[x], y, Some(i)));
        }
        let parts = size.div_ceil(step);
        if parts > MAX_PARTS || (parts > 1 && matches!(y.dtype, DType::F16 | DType::BF16)) {
            return None;
        }
        if parts > 1 && windows > 0 {
            return Some(self.overlapping(x, [dim, size, step], y, i));
        }
        let mut target: Vec<Affine> = (0..last).map(Affine::var).collect();
        target[dim] = Affine::var(dim).scaled(step as i64);
        target[dim].add_to(last, 1);
        let zeros = self.make(Kind::Fill(Scalar::Int(0).cast(y.dtype)), &[], y.dtype, &sizes, i);
        let everywhere = (0..last).map(Affine::var).collect();
        let pieces = vec![Piece { at: everywhere, over: false }, Piece { at: target, over: true }];
        let (ids, pieces) = self.nonempty([zeros, x].into_iter().collect(), pieces);
        Some(self.push(Kind::Pieces(pieces), &ids, y, Some(i)))
    }

    /// Without pieces that have no elements.
    fn nonempty(&self, mut ids: SmallVec<[Id; 2]>, mut pieces: Vec<Piece>) -> (SmallVec<[Id; 2]>, Vec<Piece>) {
        let kept: Vec<bool> = ids.iter().map(|x| self.values[*x].numel() > 0).collect();
        let mut k = kept.iter();
        ids.retain(|_| *k.next().expect("as many"));
        let mut k = kept.iter();
        pieces.retain(|_| *k.next().expect("as many"));
        (ids, pieces)
    }

    /// Values put together; `is_free` says which operands nobody else reads.
    pub(super) fn pieces(
        &mut self,
        p: &Piecewise,
        args: &[Id],
        is_free: impl Fn(usize) -> bool,
        y: &Aval,
        i: usize,
    ) -> Id {
        let sizes: Vec<usize> = y.shape.dims().iter().map(|d| d.get()).collect();
        let rank = sizes.len();
        let at = |offsets: &[i64]| offsets.iter().enumerate().map(|(d, o)| Affine::var(d).plus(*o)).collect::<Vec<_>>();
        let along = |dim: usize, offset: usize| {
            let mut offsets = vec![0; rank];
            offsets[dim] = offset as i64;
            at(&offsets)
        };
        let mut ids: SmallVec<[Id; 2]> = SmallVec::new();
        let mut pieces = Vec::new();
        match p {
            Piecewise::Concat { dim } => {
                let mut offset = 0;
                for x in args {
                    ids.push(*x);
                    pieces.push(Piece { at: along(*dim, offset), over: false });
                    offset += self.values[*x].sizes[*dim];
                }
            }
            Piecewise::SliceUpdate { dim, start, step } => {
                let (dim, n, len) = (*dim, sizes[*dim], self.values[args[1]].sizes[*dim]);
                if *step == 1 {
                    let end = start + len;
                    ids.push(self.slice(args[0], dim, 0, *start, i));
                    ids.push(self.slice(args[0], dim, end, n - end, i));
                    pieces.push(Piece { at: along(dim, 0), over: false });
                    pieces.push(Piece { at: along(dim, end), over: false });
                } else {
                    ids.push(args[0]);
                    pieces.push(Piece { at: along(dim, 0), over: false });
                }
                let mut target = along(dim, 0);
                target[dim] = Affine::var(dim).scaled(*step as i64).plus(*start as i64);
                ids.push(args[1]);
                pieces.push(Piece { at: target, over: *step != 1 });
            }
            Piecewise::Pad { pad, value } => {
                let mut x = args[0];
                let mut low = vec![0; rank];
                let mut high = vec![0; rank];
                for (k, pair) in pad.chunks_exact(2).enumerate() {
                    let d = rank - 1 - k;
                    let n = self.values[x].sizes[d] as i64;
                    // What is cropped is never read.
                    let (from, to) = ((-pair[0]).max(0), n - (-pair[1]).max(0));
                    x = self.slice(x, d, from as usize, (to - from) as usize, i);
                    (low[d], high[d]) = (pair[0].max(0) as usize, pair[1].max(0) as usize);
                }
                // Disjoint slabs: dims before `d` inside, `d` in a border, dims after `d` whole.
                let inner = self.values[x].sizes.clone();
                for d in 0..rank {
                    for (len, place) in [(low[d], 0), (high[d], low[d] + inner[d])] {
                        if len == 0 {
                            continue;
                        }
                        let mut slab: SmallVec<[usize; 4]> = sizes.iter().copied().collect();
                        slab[..d].copy_from_slice(&inner[..d]);
                        slab[d] = len;
                        let mut offsets: Vec<i64> = vec![0; rank];
                        for e in 0..d {
                            offsets[e] = low[e] as i64;
                        }
                        offsets[d] = place as i64;
                        ids.push(self.make(Kind::Fill(*value), &[], y.dtype, &slab, i));
                        pieces.push(Piece { at: at(&offsets), over: false });
                    }
                }
                ids.push(x);
                pieces.push(Piece { at: at(&low.iter().map(|l| *l as i64).collect::<Vec<_>>()), over: false });
            }
            Piecewise::DiagEmbed { offset, dim1, dim2 } => {
                ids.push(self.make(Kind::Fill(Scalar::Int(0).cast(y.dtype)), &[], y.dtype, &sizes, i));
                pieces.push(Piece { at: along(0, 0), over: false });
                let last = rank - 2;
                let mut lead = 0..last;
                let target = (0..rank).map(|d| match d {
                    d if d == *dim1 => Affine::var(last).plus((-offset).max(0)),
                    d if d == *dim2 => Affine::var(last).plus((*offset).max(0)),
                    _ => Affine::var(lead.next().expect("two dims more than the operand's others")),
                });
                pieces.push(Piece { at: target.collect(), over: true });
                ids.push(args[0]);
            }
        }
        let (ids, pieces) = self.nonempty(ids, pieces);
        let free: SmallVec<[Id; 2]> = (0..args.len()).filter(|k| is_free(*k)).map(|k| args[k]).collect();
        let (ids, pieces) = self.unnested(ids, pieces, &free, &sizes, i);
        self.push(Kind::Pieces(pieces), &ids, y, Some(i))
    }
}
