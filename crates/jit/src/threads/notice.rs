//! The announcement of a job.

use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use super::Job;

/// The announcement of a job: helpers look here.
#[repr(align(128))]
pub(super) struct Notice {
    /// Twice the number of the job, odd while the caller writes the other fields (a sequence lock).
    version: AtomicU64,
    /// The caller's `&Job`, behind one more reference so that the pointer is thin.
    job: AtomicPtr<()>,
    pieces: AtomicUsize,
    parts: AtomicUsize,
}

/// A job as a helper has read it.
pub(super) struct Read {
    pub number: u64,
    pub job: *const &'static Job<'static>,
    pub pieces: usize,
    pub parts: usize,
}

impl Notice {
    /// Nothing is announced yet.
    pub const fn none() -> Notice {
        Notice {
            version: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            pieces: AtomicUsize::new(0),
            parts: AtomicUsize::new(0),
        }
    }

    /// The number of the last job, also of one that is being announced.
    pub fn latest(&self) -> u64 {
        self.version.load(Ordering::Relaxed) / 2
    }

    /// Announces the next job and tells its number; `prepare` is called with it before others can see the job. One caller at a time.
    pub fn announce(&self, job: &&Job, pieces: usize, parts: usize, prepare: impl FnOnce(u64)) -> u64 {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.job.store(std::ptr::from_ref(job).cast_mut().cast(), Ordering::Relaxed);
        self.pieces.store(pieces, Ordering::Relaxed);
        self.parts.store(parts, Ordering::Relaxed);
        let number = version / 2 + 1;
        prepare(number);
        self.version.store(version + 2, Ordering::Release);
        number
    }

    /// The job that stands here, unless it is the one numbered `seen` or is being written.
    pub fn read(&self, seen: u64) -> Option<Read> {
        let version = self.version.load(Ordering::Acquire);
        if version / 2 == seen || !version.is_multiple_of(2) {
            return None;
        }
        let read = Read {
            number: version / 2,
            job: self.job.load(Ordering::Relaxed).cast(),
            pieces: self.pieces.load(Ordering::Relaxed),
            parts: self.parts.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        (self.version.load(Ordering::Relaxed) == version).then_some(read)
    }
}
