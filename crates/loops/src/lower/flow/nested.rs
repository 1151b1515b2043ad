//! Pieces of pieces: what is put together of parts of what had been put together is put together at once, so that nothing is copied
//! twice. Padding by reflection or around, along several dims, is of this kind.

use std::ops::Range;

use cotangent_core::ir::Scalar;
use cotangent_core::ops::ViewForm;
use smallvec::{SmallVec, smallvec};

use super::sunk::{MAX_PIECES, Part, is_narrow, numel};
use super::{Flow, Id, Kind, Piece};
use crate::affine::Affine;

/// The most views through which pieces are sought.
const MAX_VIEWS: usize = 8;

/// The part of all elements, one in so many, that may become narrow pieces where others read what they are of, too.
const FEW: usize = 8;

/// A part of an array that is a part of `value`.
struct Source {
    value: Id,
    part: Part,
    /// Where it begins in `value`, and how it goes on, along each dim.
    from: SmallVec<[(usize, Way); 4]>,
}

/// How a source goes through its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Backward,
    /// One element everywhere.
    Nowhere,
}

/// A view along one dim.
enum Step {
    Slice(Range<usize>),
    Flip,
    Repeat(usize),
}

impl Source {
    /// What of it lies between the places `range` along `dim`, which become the first ones.
    fn cut(&mut self, dim: usize, range: &Range<usize>) -> bool {
        let old = self.part[dim].clone();
        let (start, end) = (old.start.max(range.start), old.end.min(range.end));
        if start >= end {
            return false;
        }
        self.from[dim].0 += match self.from[dim].1 {
            Way::Forward => start - old.start,
            Way::Backward => old.end - end,
            Way::Nowhere => 0,
        };
        self.part[dim] = start - range.start..end - range.start;
        true
    }

    /// Turns the array, of this size along `dim`, around.
    fn flip(&mut self, dim: usize, size: usize) {
        let part = &self.part[dim];
        self.part[dim] = size - part.end..size - part.start;
        self.from[dim].1 = match self.from[dim].1 {
            Way::Forward => Way::Backward,
            Way::Backward => Way::Forward,
            Way::Nowhere => Way::Nowhere,
        };
    }

    /// Makes the one place along `dim` `n` of them.
    fn repeat(&mut self, dim: usize, n: usize) {
        self.part[dim] = 0..n;
        self.from[dim].1 = Way::Nowhere;
    }
}

impl Flow {
    /// The pieces `ids` of an array of these `sizes`, where those that are of pieces themselves are replaced by these. `free` are the values that
    /// nobody else reads: their pieces may be computed, those of others only moved.
    pub(super) fn unnested(
        &mut self,
        ids: SmallVec<[Id; 2]>,
        pieces: Vec<Piece>,
        free: &[Id],
        sizes: &[usize],
        i: usize,
    ) -> (SmallVec<[Id; 2]>, Vec<Piece>) {
        let mut count = ids.len();
        let (mut all, mut places) = (SmallVec::new(), Vec::with_capacity(count));
        for (id, piece) in ids.into_iter().zip(pieces) {
            let origin = (!piece.over).then(|| offsets(&piece)).flatten();
            let found = origin.and_then(|origin| Some((self.sources(id, free, sizes)?, origin)));
            match found {
                Some((sources, origin)) if count + sources.len() <= MAX_PIECES + 1 => {
                    count += sources.len() - 1;
                    for source in sources {
                        let place = |(r, o): (&Range<usize>, &usize)| r.start + o;
                        places.push(beside(source.part.iter().zip(&origin).map(place)));
                        all.push(self.source(&source, i));
                    }
                }
                Some(_) | None => {
                    all.push(id);
                    places.push(piece);
                }
            }
        }
        (all, places)
    }

    /// The parts of which `x` is, a piece of an array of these `sizes`, if it is of some through a few views.
    fn sources(&self, x: Id, free: &[Id], sizes: &[usize]) -> Option<Vec<Source>> {
        // From `x` to what it is of.
        let mut steps: SmallVec<[(usize, Step); MAX_VIEWS]> = SmallVec::new();
        let mut base = x;
        while steps.len() < MAX_VIEWS {
            let value = &self.values[base];
            if let Kind::View(ViewForm::Slice { dim, start, step: 1 }) = &value.kind {
                steps.push((*dim, Step::Slice(*start..start + value.sizes[*dim])));
            } else if let Kind::View(ViewForm::Flip(dims)) = &value.kind {
                steps.extend(dims.iter().map(|d| (*d, Step::Flip)));
            } else if let Some(own) = self.repeated_within(base) {
                let repeated = (0..own.len()).filter(|d| own[*d] != value.sizes[*d]);
                steps.extend(repeated.map(|d| (d, Step::Repeat(value.sizes[d]))));
            } else {
                break;
            }
            base = value.args[0];
        }
        let (parts, is_free) = (self.parts(base)?, free.contains(&base));
        let mut whole = self.values[base].sizes.clone();
        let source = |(value, part): (Id, Part)| Source { value, from: smallvec![(0, Way::Forward); part.len()], part };
        let mut sources: Vec<Source> = parts.into_iter().map(source).collect();
        for (dim, step) in steps.into_iter().rev() {
            match step {
                Step::Slice(range) => {
                    sources.retain_mut(|source| source.cut(dim, &range));
                    whole[dim] = range.len();
                }
                Step::Flip => sources.iter_mut().for_each(|source| source.flip(dim, whole[dim])),
                Step::Repeat(n) => {
                    sources.iter_mut().for_each(|source| source.repeat(dim, n));
                    whole[dim] = n;
                }
            }
        }
        let narrow: usize = sources.iter().map(|s| &s.part).filter(|p| is_narrow(p, sizes)).map(numel).sum();
        let was_narrow = is_narrow(&whole.iter().map(|n| 0..*n).collect(), sizes);
        let is_cheap = || was_narrow || narrow * FEW <= sizes.iter().product();
        let is_moved = || sources.iter().all(|s| self.is_moved(s.value));
        (is_free || is_moved() && is_cheap()).then_some(sources)
    }

    /// Whether `x` is memory, one number, or a few views of it.
    fn is_moved(&self, x: Id) -> bool {
        let kind = &self.values[self.viewed(x)].kind;
        kind.is_memory() || matches!(kind, Kind::Fill(_))
    }

    /// What `x` is views of, if these are few.
    pub(super) fn viewed(&self, mut x: Id) -> Id {
        for _ in 0..MAX_VIEWS {
            let (Kind::View(_) | Kind::Pick(_)) = self.values[x].kind else { break };
            x = self.values[x].args[0];
        }
        x
    }

    /// The sizes of what `x` repeats along dims of one element, if that is what it does.
    fn repeated_within(&self, x: Id) -> Option<&[usize]> {
        let value = &self.values[x];
        let Kind::View(ViewForm::Broadcast) = value.kind else { return None };
        let own = &self.values[value.args[0]].sizes;
        (own.len() == value.sizes.len()).then_some(own)
    }

    /// A source as a value.
    fn source(&mut self, s: &Source, i: usize) -> Id {
        let range = |((from, way), part): (&(usize, Way), &Range<usize>)| match way {
            Way::Forward | Way::Backward => *from..from + part.len(),
            Way::Nowhere => *from..from + 1,
        };
        let ranges: Part = s.from.iter().zip(&s.part).map(range).collect();
        let mut read = self.within(s.value, &vec![0; ranges.len()], &ranges, i);
        let dtype = self.values[read].dtype;
        let back = |d: &usize| s.from[*d].1 == Way::Backward && ranges[*d].len() > 1;
        let dims: Vec<usize> = (0..ranges.len()).filter(back).collect();
        if !dims.is_empty() {
            let sizes = self.values[read].sizes.clone();
            read = self.make(Kind::View(ViewForm::Flip(dims)), &[read], dtype, &sizes, i);
        }
        let sizes: SmallVec<[usize; 4]> = s.part.iter().map(|r| r.len()).collect();
        if self.values[read].sizes == sizes {
            return read;
        }
        self.make(Kind::View(ViewForm::Broadcast), &[read], dtype, &sizes, i)
    }

    /// Takes away what no result and no routine depends on any more.
    pub(super) fn without_dead(&mut self) {
        let mut live = vec![false; self.values.len()];
        let calls = self.calls.iter().flat_map(|call| call.args.iter().chain(&call.results));
        for v in self.results.iter().chain(&self.params).chain(calls) {
            live[*v] = true;
        }
        for (v, value) in self.values.iter_mut().enumerate().rev() {
            if live[v] {
                value.args.iter().for_each(|x| live[*x] = true);
            } else {
                value.kind = Kind::Fill(Scalar::Int(0).cast(value.dtype));
                value.args.clear();
            }
        }
    }
}

/// Where a piece stands whose elements lie in the order of the whole.
fn offsets(piece: &Piece) -> Option<SmallVec<[usize; 4]>> {
    let offset = |(d, a): (usize, &Affine)| (*a == Affine::var(d).plus(a.base)).then_some(a.base as usize);
    piece.at.iter().enumerate().map(offset).collect()
}

/// A piece that stands at these places.
pub(super) fn beside(at: impl Iterator<Item = usize>) -> Piece {
    Piece { at: at.enumerate().map(|(d, place)| Affine::var(d).plus(place as i64)).collect(), over: false }
}
