//! Sums of windows that overlap, such as gradients of pooling and of what images are taken apart into.
//!
//! Position `q · step + r` of the result is the sum of element `r + t · step` of window `q - t` over all `t`: a sum of shifted reads of the windows
//! between borders of zeros. Nothing is written twice, and windows of which all elements are the same need the memory of one.

use cotangent_core::ir::{Aval, Scalar};
use cotangent_core::ops::{Binary, ViewForm};
use smallvec::{SmallVec, smallvec};

use super::{Flow, Id, Kind, Piece, Point};
use crate::affine::Affine;

impl Flow {
    /// Windows `x` along `dim`, whose elements are the last dim, added up where they overlap.
    pub(super) fn overlapping(&mut self, x: Id, [dim, size, step]: [usize; 3], y: &Aval, i: usize) -> Id {
        let mut sizes: SmallVec<[usize; 4]> = y.shape.dims().iter().map(|d| d.get()).collect();
        let (last, n) = (sizes.len(), sizes[dim]);
        let same = self.broadcast_dims(x);
        // What is the same along other dims is added up once.
        let (mut narrow, mut is_narrow) = (x, false);
        for d in (0..last).filter(|d| *d != dim && same[*d] && sizes[*d] > 1).collect::<Vec<_>>() {
            narrow = self.slice(narrow, d, 0, 1, i);
            (sizes[d], is_narrow) = (1, true);
        }
        let is_even = same[last];
        if is_even {
            narrow = self.slice(narrow, last, 0, 1, i);
        }
        let (parts, most) = (size.div_ceil(step), n.div_ceil(step));
        let padded = self.between_zeros(narrow, dim, [parts - 1, most - self.values[x].sizes[dim]], i);
        let (mut ids, mut pieces): (SmallVec<[Id; 2]>, Vec<Piece>) = (SmallVec::new(), Vec::new());
        for r in 0..step.min(n) {
            sizes[dim] = (n - r).div_ceil(step);
            let terms = (0..parts).filter(|t| r + t * step < size).map(|t| {
                let element = if is_even { 0 } else { r + t * step };
                let one = self.slice(padded, last, element, 1, i);
                let read = self.slice(one, dim, parts - 1 - t, sizes[dim], i);
                self.make(Kind::View(ViewForm::Reshape), &[read], y.dtype, &sizes, i)
            });
            let terms: Vec<Id> = terms.collect();
            let add = Kind::Point(Point::Binary(Binary::Add));
            let sum = terms.into_iter().reduce(|s, x| self.make(add.clone(), &[s, x], y.dtype, &sizes, i));
            ids.push(sum.expect("windows overlap: each place meets one"));
            let mut at: Vec<Affine> = (0..last).map(Affine::var).collect();
            at[dim] = Affine::var(dim).scaled(step as i64).plus(r as i64);
            pieces.push(Piece { at, over: false });
        }
        sizes[dim] = n;
        let sum = if step == 1 { ids[0] } else { self.make(Kind::Pieces(pieces), &ids, y.dtype, &sizes, i) };
        if is_narrow { self.push(Kind::View(ViewForm::Broadcast), &[sum], y, Some(i)) } else { sum }
    }

    /// Along which dims `x` is the same because it is a broadcast one.
    fn broadcast_dims(&self, x: Id) -> SmallVec<[bool; 6]> {
        let value = &self.values[x];
        if value.kind != Kind::View(ViewForm::Broadcast) {
            return smallvec![false; value.sizes.len()];
        }
        let from = &self.values[value.args[0]].sizes;
        let lead = value.sizes.len() - from.len();
        (0..value.sizes.len()).map(|d| d < lead || from[d - lead] == 1).collect()
    }

    /// `x` with zeros before and behind it along `dim`.
    fn between_zeros(&mut self, x: Id, dim: usize, [low, high]: [usize; 2], i: usize) -> Id {
        let (dtype, mut sizes) = (self.values[x].dtype, self.values[x].sizes.clone());
        let n = sizes[dim];
        let (mut ids, mut pieces): (SmallVec<[Id; 2]>, Vec<Piece>) = (SmallVec::new(), Vec::new());
        let mut place = |id: Id, offset: usize| {
            let mut at: Vec<Affine> = (0..sizes.len()).map(Affine::var).collect();
            at[dim] = Affine::var(dim).plus(offset as i64);
            ids.push(id);
            pieces.push(Piece { at, over: false });
        };
        for (len, offset) in [(low, 0), (high, low + n)] {
            let mut border = self.values[x].sizes.clone();
            border[dim] = len;
            if len > 0 {
                place(self.make(Kind::Fill(Scalar::Int(0).cast(dtype)), &[], dtype, &border, i), offset);
            }
        }
        place(x, low);
        sizes[dim] = low + n + high;
        self.make(Kind::Pieces(pieces), &ids, dtype, &sizes, i)
    }
}
