//! Which pieces of a job are taken, and which are done.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number of pieces of one job, in one word: the job's number in the upper 48 bits (a job per µs for eight years), the pieces in the lower 16.
#[derive(Clone, Copy)]
pub(super) struct Tally(pub u64);

impl Tally {
    /// The most pieces that it counts.
    pub const MOST: usize = u16::MAX as usize;

    pub fn new(job: u64, pieces: usize) -> Self {
        debug_assert!(pieces <= Self::MOST && job < 1 << 48);
        Self(job << 16 | pieces as u64)
    }

    /// The pieces, if they are of `job`.
    pub fn of(self, job: u64) -> Option<usize> {
        (self.0 >> 16 == job).then_some((self.0 & 0xffff) as usize)
    }
}

/// What one thread writes while it works, in a line of its own (two: they are fetched in pairs).
#[repr(align(128))]
#[derive(Default)]
pub(super) struct Part {
    /// The pieces taken from this part, a [`Tally`].
    pub taken: AtomicU64,
    /// The pieces that this thread has done, from any part, a [`Tally`]. Not used for the caller, which knows.
    pub done: AtomicU64,
}

impl Part {
    /// Takes one of the `len` pieces of this part, of which the job `job` has taken `n` before: its place in the part.
    ///
    /// A thread that is late finds nothing: every part of a job that is over has been taken whole, under its number or a later one's.
    pub fn take(&self, job: u64, len: usize) -> Option<usize> {
        let mut found = self.taken.load(Ordering::Relaxed);
        loop {
            let n = match Tally(found).of(job) {
                Some(n) => n,
                None if found >> 16 < job => 0,
                None => return None,
            };
            if n >= len {
                return None;
            }
            match self.taken.compare_exchange_weak(found, Tally::new(job, n + 1).0, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Some(n),
                Err(now) => found = now,
            }
        }
    }
}
