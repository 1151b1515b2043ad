//! What the function of a stage depends on: equal ones are made once.

use crate::kernel::{Layout, StageKernel};
use crate::lane::{Accumulator, Code};
use crate::place::{Aimed, Place};

/// What code depends on of an access.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Access {
    lane: i64,
    serial: Vec<i64>,
    streams: bool,
    repeats: usize,
    aim: Option<Aimed>,
}

impl Access {
    fn new(a: &Place) -> Self {
        Access { lane: a.lane, serial: a.serial.clone(), streams: a.streams, repeats: a.repeats, aim: a.aim }
    }
}

/// What a function depends on.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Key {
    body: Code,
    after: Code,
    wide: bool,
    rows: usize,
    neutral: Vec<u64>,
    accesses: Vec<Access>,
    serial: Vec<usize>,
    layout: [usize; 4],
    /// The words of each column accumulator, if they are in memory.
    columns: Option<usize>,
}

impl Key {
    /// That of a stage.
    pub fn new(kernel: &StageKernel) -> Self {
        let Layout { scalars, serial, pointers, partials, .. } = kernel.layout;
        Key {
            body: kernel.lane.body.clone(),
            after: kernel.lane.after.clone(),
            wide: kernel.lane.wide,
            rows: kernel.lane.rows,
            neutral: kernel.lane.accumulators.iter().map(Accumulator::neutral).collect(),
            accesses: kernel.accesses.iter().map(Access::new).collect(),
            serial: kernel.serial.clone(),
            layout: [scalars, serial, pointers, partials],
            columns: kernel.columns_in_memory.then(|| kernel.column_words()),
        }
    }
}
