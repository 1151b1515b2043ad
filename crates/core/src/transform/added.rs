//! Sums at places that are known beforehand, as sums of pieces: the derivatives of what [`places`](super::places) reads by views.

use super::places::Steps;
use crate::ir::Shape;
use crate::simplify::Class;
use crate::tensor::Tensor;

/// Where the elements of a source are added.
pub(super) enum Added {
    /// Runs of neighbours, or of one place, one after the other.
    Runs(Vec<Run>),
    /// Each of `len` places from `start` on several times: `rows · row` elements, which are summed along the rows or within them.
    Repeated { start: usize, rows: usize, row: usize, within: bool },
}

/// `start`, `start + step`, … of `len` places, with a step of 1, 0 or -1.
#[derive(Clone, Copy)]
pub(super) struct Run {
    start: usize,
    step: isize,
    len: usize,
}

impl Added {
    /// The sum at these places, if it is one of pieces.
    ///
    /// *Numerics*: equal bits below [`Class::Rounding`]; from there on, what is added to one place may be summed before.
    pub fn of(runs: &[Steps], class: Class) -> Option<Self> {
        let run = |s: &Steps| match s.levels[..] {
            [] => Some(Run { start: s.start, step: 1, len: 1 }),
            [(1, _)] => Some(Run { start: s.start, step: 1, len: 1 }),
            [(len, step)] if step.abs() == 1 || step == 0 && class >= Class::Rounding => {
                Some(Run { start: s.start, step, len })
            }
            _ => None,
        };
        if let Some(runs) = runs.iter().map(run).collect() {
            return Some(Added::Runs(runs));
        }
        let [Steps { start, levels }] = runs else { return None };
        let (start, summed) = (*start, class >= Class::Rounding);
        match levels[..] {
            [(rows, 1), (row, 0)] if summed => Some(Added::Repeated { start, rows, row, within: true }),
            [(rows, 0), (row, 1)] if summed => Some(Added::Repeated { start, rows, row, within: false }),
            _ => None,
        }
    }

    /// `x` with the elements of `source` added along `dim`.
    pub fn sum(&self, x: &Tensor, dim: usize, source: &Tensor) -> Tensor {
        match self {
            Added::Repeated { start, rows, row, within } => {
                let sizes = source.shape().sizes();
                let apart: Vec<usize> =
                    sizes[..dim].iter().chain(&[*rows, *row]).chain(&sizes[dim + 1..]).copied().collect();
                let (summed, len) = if *within { (dim + 1, *rows) } else { (dim, *row) };
                let source = source.view_to(&Shape::from(apart)).sum_over(&[summed]);
                segments(x, dim, &[Run { start: *start, step: 1, len }], &source)
            }
            Added::Runs(runs) => segments(x, dim, runs, source),
        }
    }
}

/// `x` with the elements of `source` added at `runs`: between two bounds, the same runs add to all places, in their order.
fn segments(x: &Tensor, dim: usize, runs: &[Run], source: &Tensor) -> Tensor {
    let mut bounds = vec![0, x.shape()[dim].get()];
    bounds.extend(runs.iter().flat_map(|r| <[usize; 2]>::from(r.bounds())));
    bounds.sort_unstable();
    bounds.dedup();
    let segment = |pair: &[usize]| {
        let (low, high) = (pair[0], pair[1]);
        let (mut sum, mut at) = (x.slice_dim(dim, low, high, 1), 0);
        for run in runs {
            let (first, end) = run.bounds();
            if first <= low && high <= end {
                sum = sum + run.part(source, dim, at, [low, high]);
            }
            at += run.len;
        }
        sum
    };
    let pieces: Vec<Tensor> = bounds.windows(2).map(segment).collect();
    if pieces.len() == 1 { pieces[0].clone() } else { Tensor::cat_dim(&pieces, dim) }
}

impl Run {
    /// The first place, and the one behind the last.
    fn bounds(self) -> (usize, usize) {
        match self.step {
            0 => (self.start, self.start + 1),
            1.. => (self.start, self.start + self.len),
            ..0 => (self.start + 1 - self.len, self.start + 1),
        }
    }

    /// What is added to the places from `low` to `high`, where the run's elements begin at `at` of the source.
    fn part(self, source: &Tensor, dim: usize, at: usize, [low, high]: [usize; 2]) -> Tensor {
        match self.step {
            0 => {
                let sum = source.slice_dim(dim, at, at + self.len, 1).sum_over(&[dim]);
                sum.view_to(&source.shape().with(dim, 1))
            }
            1.. => source.slice_dim(dim, at + low - self.start, at + high - self.start, 1),
            ..0 => {
                let last = at + self.start + 1;
                source.slice_dim(dim, last - high, last - low, 1).flip_dims(&[dim])
            }
        }
    }
}
