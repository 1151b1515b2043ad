//! Pointwise functions of pieces: they are computed piece by piece, so that what was put together needs no memory before.

use std::ops::Range;

use cotangent_core::ir::{Aval, Scalar};
use smallvec::SmallVec;

use super::nested::beside;
use super::{Flow, Id, Kind, Piece, Point};
use crate::affine::Affine;
use crate::lower::loops::{LONG, lane_dim};

/// The most pieces that come of it.
pub(super) const MAX_PIECES: usize = 32;

/// The part of all elements, one in so many, that may be in narrow pieces.
const FEW: usize = 16;

/// A part of an array: a range of each dim.
pub(super) type Part = SmallVec<[Range<usize>; 4]>;

/// A part of a result, and what each operand has there: a value whose first element stands at a place of the whole.
struct Cell {
    part: Part,
    operands: SmallVec<[(Id, SmallVec<[usize; 4]>); 3]>,
}

pub(super) fn numel(part: &Part) -> usize {
    part.iter().map(|r| r.len()).product()
}

/// Whether a part of an array of these sizes has short lanes, unless they are most of whole rows.
pub(super) fn is_narrow(part: &Part, sizes: &[usize]) -> bool {
    lane_dim(sizes).is_some_and(|lanes| part[lanes].len() * 2 < LONG.min(sizes[lanes]))
}

/// How many elements are in narrow parts.
fn narrow<'a>(parts: impl Iterator<Item = &'a Part>, sizes: &[usize]) -> usize {
    parts.filter(|part| is_narrow(part, sizes)).map(numel).sum()
}

fn common(a: &Part, b: &Part) -> Option<Part> {
    let part: Part = a.iter().zip(b).map(|(a, b)| a.start.max(b.start)..a.end.min(b.end)).collect();
    part.iter().all(|r| r.start < r.end).then_some(part)
}

impl Flow {
    /// `f` of `args`, of which `is_free` says whether nobody else reads them. `None` where no free one is of pieces, and where the result
    /// would have many or narrow ones.
    pub(super) fn sunk(
        &mut self,
        f: Point,
        args: &[Id],
        is_free: impl Fn(usize) -> bool,
        y: &Aval,
        i: usize,
    ) -> Option<Id> {
        let sizes: SmallVec<[usize; 4]> = y.shape.dims().iter().map(|d| d.get()).collect();
        let whole: Part = sizes.iter().map(|n| 0..*n).collect();
        let mut cells = vec![Cell { part: whole.clone(), operands: SmallVec::new() }];
        let mut divided: SmallVec<[Id; 3]> = SmallVec::new();
        // What is in narrow pieces already, if it is all that is read.
        let mut already = 0;
        let mut reads_others = false;
        for (k, x) in args.iter().enumerate() {
            let parts = if is_free(k) { self.parts(*x) } else { None };
            divided.extend(parts.is_some().then_some(*x));
            match &parts {
                Some(parts) => already = already.max(narrow(parts.iter().map(|(_, part)| part), &sizes)),
                None => reads_others |= !matches!(self.values[self.viewed(*x)].kind, Kind::Fill(_)),
            }
            let parts = parts.unwrap_or_else(|| vec![(*x, whole.clone())]);
            let mut next = Vec::new();
            for cell in &cells {
                for (value, part) in &parts {
                    let Some(both) = common(&cell.part, part) else { continue };
                    let mut operands = cell.operands.clone();
                    operands.push((*value, part.iter().map(|r| r.start).collect()));
                    next.push(Cell { part: both, operands });
                }
            }
            cells = next;
            if cells.len() > MAX_PIECES {
                return None;
            }
        }
        let total = y.shape.numel();
        let short =
            narrow(cells.iter().map(|c| &c.part), &sizes).saturating_sub(if reads_others { 0 } else { already });
        if divided.is_empty() || total == 0 || short * FEW > total {
            return None;
        }
        // They are not put together any more.
        for x in divided {
            self.values[x].kind = Kind::Fill(Scalar::Int(0).cast(self.values[x].dtype));
            self.values[x].args.clear();
        }
        // The largest come first: what the others need of the same values is elsewhere, and computed there.
        cells.sort_by_key(|c| std::cmp::Reverse(numel(&c.part)));
        let (mut ids, mut pieces) = (SmallVec::<[Id; 2]>::new(), Vec::with_capacity(cells.len()));
        for Cell { part, operands } in cells {
            let operands: SmallVec<[Id; 3]> =
                operands.into_iter().map(|(x, at)| self.within(x, &at, &part, i)).collect();
            let own: SmallVec<[usize; 4]> = part.iter().map(|r| r.len()).collect();
            ids.push(self.make(Kind::Point(f), &operands, y.dtype, &own, i));
            pieces.push(beside(part.iter().map(|r| r.start)));
        }
        Some(self.push(Kind::Pieces(pieces), &ids, y, Some(i)))
    }

    /// The pieces of `x`, if it is of some that lie side by side.
    pub(super) fn parts(&self, x: Id) -> Option<Vec<(Id, Part)>> {
        let value = &self.values[x];
        let Kind::Pieces(pieces) = &value.kind else { return None };
        let part = |(piece, id): (&Piece, &Id)| {
            let own = &self.values[*id].sizes;
            let is_beside = own.len() == piece.at.len()
                && !piece.over
                && piece.at.iter().enumerate().all(|(d, a)| *a == Affine::var(d).plus(a.base));
            let part = piece.at.iter().zip(own).map(|(a, n)| a.base as usize..a.base as usize + n).collect();
            is_beside.then_some((*id, part))
        };
        pieces.iter().zip(&value.args).map(part).collect()
    }

    /// What `x`, whose first element stands at `origin`, has in `part`.
    pub(super) fn within(&mut self, x: Id, origin: &[usize], part: &Part, i: usize) -> Id {
        if let Kind::Fill(_) = self.values[x].kind {
            let (kind, dtype) = (self.values[x].kind.clone(), self.values[x].dtype);
            let sizes: SmallVec<[usize; 4]> = part.iter().map(|r| r.len()).collect();
            return self.make(kind, &[], dtype, &sizes, i);
        }
        (0..part.len()).fold(x, |x, d| self.slice(x, d, part[d].start - origin[d], part[d].len(), i))
    }
}
