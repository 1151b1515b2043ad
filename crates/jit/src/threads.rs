//! Our own small pool of threads: pieces of one loop.
//!
//! Each thread has a part of the pieces, the same of every loop of as many, so that what it writes in one loop is in its own cache in the next, and helps
//! with the parts of others when it is through with its own. A counter that all took pieces from would go from core to core at each piece (60 ns, and 330
//! where these have no cache in common; measured).
//!
//! Helpers spin for a bounded time after a job and park then, so that the next of a series of calls finds them awake (0.5 µs against 15 to 90 µs
//! for a wake-up). The caller works as well and never waits for a sleeping helper. One job runs at a time: a caller that finds
//! the pool busy does its loop alone. What pieces compute does not depend on who runs them.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a helper looks for the next job before it parks.
const SPIN: Duration = Duration::from_micros(150);
/// Estimated work, in ns, from which the pool is worth asking while helpers are awake.
pub const WORTH: u64 = 6_000;
/// Estimated work, in ns, from which a parked helper is worth waking.
const WORTH_WAKING: u64 = 60_000;
/// Estimated work, in ns, of smaller jobs that were left to their callers, after which another one wakes a helper: they are a series, and the
/// next ones find it awake.
const WORTH_WAITING: u64 = 4 * WORTH_WAKING;

type Job<'a> = dyn Fn(usize) + Sync + 'a;

/// A counter in cache lines of its own.
#[repr(align(128))]
struct Line(AtomicUsize);

struct Pool {
    helpers: OnceLock<Vec<Thread>>,
    /// Held by the caller whose job runs.
    busy: AtomicBool,
    /// Counts jobs; helpers look here.
    epoch: AtomicU64,
    /// Whether helpers may enter the job.
    open: AtomicBool,
    /// Helpers inside.
    inside: AtomicUsize,
    /// The next piece of the part of each thread, the callers' first.
    next: OnceLock<Vec<Line>>,
    /// The number of parts.
    parts: AtomicUsize,
    total: AtomicUsize,
    /// The caller's `&Job`, behind one more reference so that the pointer is thin.
    job: AtomicPtr<()>,
    parked: AtomicUsize,
    /// The work of jobs that were left to their callers while helpers were parked.
    left: AtomicU64,
    panicked: AtomicBool,
    limit: AtomicUsize,
}

static POOL: Pool = Pool {
    helpers: OnceLock::new(),
    busy: AtomicBool::new(false),
    epoch: AtomicU64::new(0),
    open: AtomicBool::new(false),
    inside: AtomicUsize::new(0),
    next: OnceLock::new(),
    parts: AtomicUsize::new(1),
    total: AtomicUsize::new(0),
    job: AtomicPtr::new(std::ptr::null_mut()),
    parked: AtomicUsize::new(0),
    left: AtomicU64::new(0),
    panicked: AtomicBool::new(false),
    limit: AtomicUsize::new(0),
};
static START: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread runs a piece: loops inside pieces run alone.
    static NESTED: Cell<bool> = const { Cell::new(false) };
}

fn configured() -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::env::var("COTANGENT_NUM_THREADS")
        .ok()
        .and_then(|s| s.trim().parse().ok())
        .filter(|n| *n > 0)
        .unwrap_or_else(cores)
}

/// The number of threads that a loop may use, the caller's included: `COTANGENT_NUM_THREADS`, or the number of cores.
pub fn num_threads() -> usize {
    match POOL.limit.load(Ordering::Relaxed) {
        0 => {
            let n = configured();
            POOL.limit.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

/// Sets the number of threads for later calls. Helpers that are not needed any more sleep.
pub fn set_num_threads(n: usize) {
    POOL.limit.store(n.max(1), Ordering::Relaxed);
}

fn helpers(wanted: usize) -> &'static [Thread] {
    POOL.helpers.get_or_init(|| {
        let _one = START.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let start = |i| std::thread::Builder::new().name(format!("cotangent-{i}")).spawn(move || help(i));
        // A system that refuses threads gets a smaller pool.
        (0..wanted.max(configured()).saturating_sub(1))
            .filter_map(|i| start(i).ok())
            .map(|h| h.thread().clone())
            .collect()
    })
}

/// The life of helper `i`.
fn help(i: usize) {
    NESTED.set(true);
    let mut seen = 0;
    loop {
        let mut since = Instant::now();
        let mut turns = 0u32;
        while POOL.epoch.load(Ordering::SeqCst) == seen {
            std::hint::spin_loop();
            turns += 1;
            if turns.is_multiple_of(64) && since.elapsed() > SPIN {
                POOL.parked.fetch_add(1, Ordering::SeqCst);
                while POOL.epoch.load(Ordering::SeqCst) == seen {
                    std::thread::park();
                }
                POOL.parked.fetch_sub(1, Ordering::SeqCst);
                since = Instant::now();
            }
        }
        seen = POOL.epoch.load(Ordering::SeqCst);
        if i + 1 >= num_threads() {
            continue;
        }
        POOL.inside.fetch_add(1, Ordering::SeqCst);
        if POOL.open.load(Ordering::SeqCst) {
            let job = POOL.job.load(Ordering::SeqCst).cast::<&Job<'static>>();
            // SAFETY: the caller keeps the job alive until `inside` is 0 after it has closed the job; both sides use sequentially
            // consistent operations, so that a helper that saw it open has been counted before the caller looks.
            let job = unsafe { *job };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(i + 1, job))).is_err() {
                POOL.panicked.store(true, Ordering::SeqCst);
            }
        }
        POOL.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs the pieces of part `own`, then what is left of others.
fn work(own: usize, job: &Job) {
    let (total, parts) = (POOL.total.load(Ordering::SeqCst), POOL.parts.load(Ordering::SeqCst));
    for part in (own..own + parts).map(|p| p % parts) {
        let end = begin(part + 1, parts, total);
        loop {
            let i = next()[part].0.fetch_add(1, Ordering::SeqCst);
            if i >= end {
                break;
            }
            job(i);
        }
    }
}

/// Where part `part` of `parts` begins among `total` pieces.
fn begin(part: usize, parts: usize, total: usize) -> usize {
    (part as u128 * total as u128 / parts as u128) as usize
}

/// A counter for each helper, and the caller's.
fn next() -> &'static [Line] {
    POOL.next.get_or_init(|| (0..=helpers(0).len()).map(|_| Line(AtomicUsize::new(0))).collect())
}

/// Runs `job(0)`, …, `job(pieces - 1)`, each once, in any order, on several threads where the estimated `cost` in ns is worth it.
///
/// # Panics
/// If a piece panics; the others have run or are abandoned, none still runs.
pub fn for_each(pieces: usize, cost: u64, job: &Job) {
    let alone = pieces < 2 || cost < WORTH || num_threads() < 2 || NESTED.get();
    let asleep = |helpers: &[Thread]| POOL.parked.load(Ordering::SeqCst) >= helpers.len().min(num_threads() - 1);
    let wakes = || cost >= WORTH_WAKING || POOL.left.fetch_add(cost, Ordering::Relaxed) + cost >= WORTH_WAITING;
    if alone
        || helpers(num_threads()).is_empty()
        || (asleep(helpers(0)) && !wakes())
        || POOL.busy.swap(true, Ordering::Acquire)
    {
        (0..pieces).for_each(job);
        return;
    }
    let waking = cost >= WORTH_WAKING || POOL.left.swap(0, Ordering::Relaxed) >= WORTH_WAITING;
    POOL.panicked.store(false, Ordering::SeqCst);
    let parts = num_threads().min(next().len());
    for (part, line) in next()[..parts].iter().enumerate() {
        line.0.store(begin(part, parts, pieces), Ordering::SeqCst);
    }
    POOL.parts.store(parts, Ordering::SeqCst);
    POOL.total.store(pieces, Ordering::SeqCst);
    POOL.job.store(std::ptr::from_ref(&job).cast_mut().cast(), Ordering::SeqCst);
    POOL.open.store(true, Ordering::SeqCst);
    POOL.epoch.fetch_add(1, Ordering::SeqCst);
    if waking && POOL.parked.load(Ordering::SeqCst) > 0 {
        helpers(0).iter().take(num_threads() - 1).for_each(Thread::unpark);
    }
    NESTED.set(true);
    let mine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(0, job)));
    NESTED.set(false);
    POOL.open.store(false, Ordering::SeqCst);
    let mut turns = 0u32;
    while POOL.inside.load(Ordering::SeqCst) != 0 {
        std::hint::spin_loop();
        turns = turns.wrapping_add(1);
        // A helper that has lost its core finishes sooner if it gets this one.
        if turns.is_multiple_of(4096) {
            std::thread::yield_now();
        }
    }
    let theirs = POOL.panicked.load(Ordering::SeqCst);
    POOL.busy.store(false, Ordering::Release);
    if let Err(panic) = mine {
        std::panic::resume_unwind(panic);
    }
    assert!(!theirs, "a piece of a parallel loop panicked on a helper");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_runs_once_from_many_callers() {
        set_num_threads(4);
        std::thread::scope(|s| {
            for _ in 0..6 {
                s.spawn(|| {
                    for round in 1..200 {
                        let hits: Vec<AtomicUsize> = (0..round).map(|_| AtomicUsize::new(0)).collect();
                        for_each(round, 1 << 40, &|i| {
                            hits[i].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1));
                    }
                });
            }
        });
    }

    #[test]
    fn a_series_of_small_jobs_wakes_a_helper() {
        set_num_threads(4);
        let here = std::thread::current().id();
        let helped = AtomicBool::new(false);
        let since = Instant::now();
        // As many as it takes: a busy machine runs helpers when it will.
        while !helped.load(Ordering::Relaxed) && since.elapsed() < Duration::from_secs(60) {
            for_each(4, WORTH, &|_| {
                helped.fetch_or(std::thread::current().id() != here, Ordering::Relaxed);
                (0..1000).for_each(|_| std::hint::spin_loop());
            });
        }
        assert!(helped.load(Ordering::Relaxed), "no helper took part");
    }

    #[test]
    fn who_is_through_helps_others() {
        set_num_threads(4);
        let since = Instant::now();
        let mut helped = false;
        // As many as it takes: a busy machine runs helpers when it will.
        while !helped && since.elapsed() < Duration::from_secs(60) {
            let others = AtomicUsize::new(0);
            let seen = AtomicUsize::new(0);
            for_each(16, 1 << 40, &|i| {
                let entered = Instant::now();
                match i {
                    // Those behind it in its part are done by others, or never while it waits.
                    0 => {
                        while others.load(Ordering::SeqCst) < 15 && entered.elapsed() < Duration::from_millis(20) {
                            std::thread::yield_now();
                        }
                        seen.store(others.load(Ordering::SeqCst), Ordering::SeqCst);
                    }
                    _ => {
                        others.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
            helped = seen.load(Ordering::SeqCst) == 15;
        }
        assert!(helped, "pieces behind the one that waits were left to its thread");
    }

    #[test]
    fn parts_are_side_by_side_and_of_nearly_one_size() {
        for (parts, total) in [(1, 0), (3, 2), (2, 7), (4, 256), (5, usize::MAX)] {
            let sizes: Vec<usize> = (0..parts).map(|p| begin(p + 1, parts, total) - begin(p, parts, total)).collect();
            assert_eq!((begin(0, parts, total), sizes.iter().sum::<usize>()), (0, total));
            assert!(sizes.iter().max().expect("parts") - sizes.iter().min().expect("parts") <= 1);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| for_each(64, 1 << 40, &|i| assert!(i != 63, "piece 63")));
        assert!(caught.is_err());
        for_each(3, 1 << 40, &|_| ());
    }
}
