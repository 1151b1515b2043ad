//! What the function of a stage depends on: equal ones are made once.

use crate::kernel::{Layout, StageKernel};
use crate::lane::{Accumulator, Code};

/// What a function depends on.
#[derive(PartialEq, Eq, Hash, Debug)]
pub struct Key {
    body: Code,
    after: Code,
    wide: bool,
    rows: usize,
    neutral: Vec<u64>,
    /// Of each access the strides of lanes and serial loops, whether it streams, and how often it repeats an element.
    strides: Vec<(i64, Vec<i64>, bool, usize)>,
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
            strides: kernel.accesses.iter().map(|a| (a.lane, a.serial.clone(), a.streams, a.repeats)).collect(),
            serial: kernel.serial.clone(),
            layout: [scalars, serial, pointers, partials],
            columns: kernel.columns_in_memory.then(|| kernel.column_words()),
        }
    }
}
