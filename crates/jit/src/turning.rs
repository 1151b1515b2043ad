//! How a nest is arranged for its turned reads: whole matrices for rows, lanes in parts, blocks of rows, or nothing but copies.

use cotangent_loops::ir::{Memory, Nest};

use crate::blocks::Blocks;
use crate::matrices::{Matrix, whole};
use crate::turned::{Copied, Cut, Rows, balanced, copied, cut_lanes, pitch, rows};

/// The turned reads of a nest.
#[derive(Debug)]
pub struct Turning {
    /// Which accesses they are, as stage and number.
    pub accesses: Vec<(usize, usize)>,
    /// The blocks of rows that are copied at once.
    pub blocks: Option<Blocks>,
    /// How the nest copies, if it does nothing else.
    pub straight: Option<Copied>,
    matrix: Option<Matrix>,
}

/// One copy.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Copy {
    /// The bytes from one row of it to the next.
    pub pitch: usize,
    /// The bytes for a block.
    pub bytes: usize,
    /// What it copies at once.
    pub rows: Rows,
}

impl Turning {
    /// Arranges a nest for these accesses, which lie along its innermost outer loop. Lanes stay whole if it `may_fail`: the first point that does is
    /// looked for in the order of rows.
    pub fn of(
        nest: &mut Nest,
        accesses: Vec<(usize, usize)>,
        may_fail: bool,
        size: &dyn Fn(&Nest, &Memory) -> usize,
    ) -> Turning {
        if accesses.is_empty() {
            return Turning { accesses, blocks: None, straight: None, matrix: None };
        }
        let bytes_of = |nest: &Nest, (s, i): (usize, usize)| size(nest, &nest.stages[s].accesses[i].memory);
        let straight = |nest: &Nest| match accesses[..] {
            [(0, load)] => copied(nest, load, size),
            _ => None,
        };
        let copied = straight(nest);
        let each = accesses.iter().map(|at| bytes_of(nest, *at)).sum();
        if let Some(matrix) = whole(nest, &accesses, each) {
            let blocks = Blocks::new(&nest.outer, Matrix::of_block(matrix.bytes(each)), false);
            return Turning { accesses, blocks: Some(blocks), straight: copied, matrix: Some(matrix) };
        }
        let cut = if may_fail { Cut::Whole } else { cut_lanes(nest, &accesses, size) };
        let straight = straight(nest);
        let each = match straight {
            Some(copied) => copied.rows(nest.outer.iter().product()),
            None => rows(accesses.iter().map(|at| pitch(nest.stages[at.0].lanes * bytes_of(nest, *at))).sum(), cut),
        };
        let blocks = Blocks::new(&nest.outer, balanced(each, &nest.outer), cut != Cut::Whole);
        Turning { accesses, blocks: Some(blocks), straight, matrix: None }
    }

    /// The copy of an access of elements of so many bytes, in a stage of so many lanes; from a row to the next it moves by `apart` bytes.
    pub fn copy(&self, lanes: usize, size: usize, apart: i64) -> Copy {
        let (pitch, each, rows) = match self.matrix {
            Some(matrix) => (matrix.lanes * size, matrix.bytes(size), Rows::Matrices(matrix, apart)),
            None => (pitch(lanes * size), pitch(lanes * size), Rows::Block),
        };
        Copy { pitch, bytes: (each * self.blocks.map_or(1, Blocks::rows)).next_multiple_of(64), rows }
    }
}
