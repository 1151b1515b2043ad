//! Where an access of a kernel is.

use cotangent_loops::ir::Memory;

use crate::turned::{Rows, Turned};

/// A place in memory, in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// The memory.
    pub memory: Memory,
    /// The first point.
    pub offset: i64,
    /// The stride of each outer loop.
    pub outer: Vec<i64>,
    /// The stride of each serial loop.
    pub serial: Vec<i64>,
    /// The stride of the lanes.
    pub lane: i64,
    /// How a block of rows is copied first, so that the lanes are dense.
    pub turned: Option<Turned>,
    /// Whether whole vectors are stored past the caches.
    pub streams: bool,
    /// How often the element of a lane is stored, side by side.
    pub repeats: usize,
    /// The index that moves it, if one does.
    pub aim: Option<Aimed>,
}

/// What moves an access beside loops: an index that is the same in all lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Aimed {
    /// Which of the nest's lookups, for errors.
    pub of: u32,
    /// The access of the stage where the index stands, an `i64`.
    pub index: usize,
    /// The indices that there are: those below it.
    pub size: usize,
    /// The bytes from an index to the next.
    pub step: i64,
    /// Whether serial loops move to other indices.
    pub moves: bool,
    /// The word of the frame, of those behind the stage's pointers, that has its pointer at the index.
    pub home: usize,
}

impl Place {
    /// How far it moves from a row to the next.
    pub fn step(&self) -> i64 {
        match self.turned {
            Some(Turned { rows: Rows::Block, pitch, .. }) => pitch as i64,
            Some(Turned { rows: Rows::Matrices(matrix, _), size, .. }) => matrix.bytes(size) as i64,
            // A block that is what one row reads; one that serves several rows stays.
            Some(Turned { rows: Rows::Serial(_), .. }) => 0,
            None => self.outer.last().copied().unwrap_or(0),
        }
    }
}
