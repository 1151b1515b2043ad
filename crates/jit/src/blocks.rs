//! The order of rows: runs along the innermost outer loop, or blocks of rows where reads are turned, in bands.
//!
//! A band is a block of rows of all parts of the lanes: a nest whose lanes are cut goes through the parts of one block before the rows of the next, so that
//! operands which lie along the lanes are read on where the part before has ended. Measured on `a · bᵀ + c` of 1200×800, on two threads: 176 to
//! 190 µs in bands, 247 to 318 when each part goes through all rows first.

use std::ops::Range;

/// The blocks of the rows of a nest, which pieces do not cut: a few rows read as many cache lines for their copies as a block does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks {
    /// Rows along the innermost outer loop, …
    run: usize,
    /// … of a block, but for the last along it, …
    rows: usize,
    /// … and the extent of the loop around it, if that goes through parts of the lanes; 1 if not.
    parts: usize,
    /// All blocks.
    count: usize,
}

impl Blocks {
    /// Blocks of at most so many rows of these outer loops, the last two of which are parts of lanes and rows if `is_cut`.
    pub fn new(outer: &[usize], rows: usize, is_cut: bool) -> Self {
        let run = outer.last().map_or(1, |n| (*n).max(1));
        let rows = rows.clamp(1, run);
        let parts = if is_cut { outer.iter().rev().nth(1).map_or(1, |n| (*n).max(1)) } else { 1 };
        Blocks { run, rows, parts, count: outer.iter().product::<usize>() / run * run.div_ceil(rows) }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// The most rows of a block.
    pub fn rows(self) -> usize {
        self.rows
    }

    /// The rows of a block.
    fn block(self, i: usize) -> Range<usize> {
        let each = self.run.div_ceil(self.rows);
        let (around, within) = (i / (self.parts * each), i % (self.parts * each));
        let from = (around * self.parts + within % self.parts) * self.run;
        let at = within / self.parts * self.rows;
        from + at..from + self.run.min(at + self.rows)
    }
}

/// Runs of rows along the innermost outer loop.
#[derive(Clone, Debug)]
pub enum Runs {
    /// These rows, in runs of so many.
    Rows(Range<usize>, usize),
    /// The rows of these blocks.
    Blocks(Range<usize>, Blocks),
}

impl Iterator for Runs {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        match self {
            Runs::Rows(rows, run) if rows.start < rows.end => {
                let from = rows.start;
                rows.start = rows.end.min(from - from % *run + *run);
                Some(from..rows.start)
            }
            Runs::Rows(..) => None,
            Runs::Blocks(range, blocks) => range.next().map(|i| blocks.block(i)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_rows_once_in_bands() {
        for outer in [&[7][..], &[1], &[3, 33], &[2, 4, 50], &[5, 1, 16], &[2, 0], &[0, 3]] {
            for (rows, is_cut) in [(16, false), (16, true), (1, true), (64, true)] {
                let blocks = Blocks::new(outer, rows, is_cut);
                let mut all: Vec<usize> = Runs::Blocks(0..blocks.count(), blocks).flatten().collect();
                all.sort_unstable();
                assert_eq!(all, (0..outer.iter().product()).collect::<Vec<_>>(), "{outer:?} {rows} {is_cut}");
            }
        }
        let bands: Vec<_> = Runs::Blocks(0..4, Blocks::new(&[2, 30], 16, true)).collect();
        assert_eq!(bands, [0..16, 30..46, 16..30, 46..60]);
    }
}
