//! Reads through an index that nests do themselves, so that what is read is computed with at once.

use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{Indexing, ViewForm};

use super::{Flow, Id, Kind};

/// Slices of at least so many elements are read by vectors, with one index for all lanes, and shorter ones element by element.
pub const LONG_SLICE: usize = 8;
/// An index that names the same places in more rows than these is read once for all of them, by a routine.
const MOST_ROWS: usize = 3;

impl Flow {
    /// A gather along `dim` as a read of nests: of single elements, or of slices. `None` where a routine is better.
    pub(super) fn lookup(&mut self, dim: usize, index: Indexing, args: &[Id], y: &Aval, i: usize) -> Option<Id> {
        let (x, places) = (&self.values[args[0]], &self.values[args[1]]);
        let has_vectors = match x.dtype {
            DType::F32 | DType::F64 | DType::I64 | DType::I32 => true,
            // Vector units gather no elements of 8 or 16 bits.
            DType::F16 | DType::BF16 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => false,
        };
        // What has one index for all elements of a line is copied by lines, and an index that is outside of nothing is an error of the routine.
        let is_repeated = matches!(places.kind, Kind::View(ViewForm::Broadcast));
        let product = |sizes: &[usize]| sizes.iter().product::<usize>();
        let is_short = match index {
            Indexing::Vector => product(&x.sizes[dim + 1..]) < LONG_SLICE && product(&x.sizes[..dim]) <= MOST_ROWS,
            Indexing::Elementwise => !is_repeated,
        };
        let is_read = has_vectors
            && (is_short || self.has_long_slices(args[0], dim, index))
            && places.dtype == DType::I64
            && x.numel() > 0;
        is_read.then(|| self.push(Kind::Lookup(dim, index), args, y, Some(i)))
    }

    /// Whether an index along `dim` names many elements of `x` that lie side by side.
    fn has_long_slices(&self, x: Id, dim: usize, index: Indexing) -> bool {
        match index {
            Indexing::Vector => self.values[x].sizes[dim + 1..].iter().product::<usize>() >= LONG_SLICE,
            Indexing::Elementwise => false,
        }
    }

    /// Whether `v`, a lookup, reads long slices.
    pub fn is_of_slices(&self, v: Id) -> bool {
        let Kind::Lookup(dim, index) = self.values[v].kind else { unreachable!("a lookup") };
        self.has_long_slices(self.values[v].args[0], dim, index)
    }

    /// The dim that a lookup indexes, and its size.
    pub fn looked_up(&self, v: Id) -> (usize, usize) {
        let Kind::Lookup(dim, _) = self.values[v].kind else { unreachable!("a lookup") };
        (dim, self.values[self.values[v].args[0]].sizes[dim])
    }
}
