//! Our own small pool of threads: pieces of one loop.
//!
//! Each thread has a part of the pieces, the same of every loop of as many, so that what it writes in one loop is in its own cache in the next, and helps
//! with the parts of others when it is through with its own.
//!
//! A line of memory that goes from core to core takes 60 ns, and 330 where these have no cache in common (measured; a host moves the cores of a guest
//! from one to the other), so a job costs as few as can be. The caller announces it by plain stores into one line that helpers read and nobody else
//! writes. A helper takes pieces from a counter in a line of its own, which says for which job it counts: one of an earlier job stands for a part of
//! which nobody has taken anything, so that nobody needs to reset it. In the same line the helper says how many pieces it has done; the caller, when it
//! finds no piece any more, waits until they are all done, whoever took them.
//!
//! Helpers spin for a bounded time after a job and park then, so that the next of a series of calls finds them awake (0.5 µs against 15 to 90 µs
//! for a wake-up). The caller works as well and never waits for a helper that has taken nothing. One job runs at a time: a caller that finds
//! the pool busy does its loop alone. What pieces compute does not depend on who runs them.

mod notice;
mod part;

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use notice::{Notice, Read};
use part::{Part, Tally};

/// How long a helper looks for the next job before it parks.
const SPIN: Duration = Duration::from_micros(150);
/// Estimated work, in ns, from which the pool is worth asking while helpers are awake.
pub const WORTH: u64 = 6_000;
/// Estimated work, in ns, from which a parked helper is worth waking.
const WORTH_WAKING: u64 = 60_000;
/// Estimated work, in ns, of smaller jobs that were left to their callers, after which another one wakes a helper: they are a series, and the
/// next ones find it awake.
const WORTH_WAITING: u64 = 4 * WORTH_WAKING;

/// Estimated work, in ns, of jobs that may gain nothing by a second thread, as the machine is: see [`crate::sharing`].
const SMALL: u64 = 400_000;

type Job<'a> = dyn Fn(usize) + Sync + 'a;

/// What changes rarely, or is of callers only.
struct Pool {
    helpers: OnceLock<Vec<Thread>>,
    /// The callers' part, then that of each helper.
    parts: OnceLock<Vec<Part>>,
    /// Held by the caller whose job runs.
    busy: AtomicBool,
    parked: AtomicUsize,
    /// The work of jobs that were left to their callers while helpers were parked.
    left: AtomicU64,
    panicked: AtomicBool,
    /// What a piece panicked with, where `panicked` says so.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    limit: AtomicUsize,
}

static POOL: Pool = Pool {
    helpers: OnceLock::new(),
    parts: OnceLock::new(),
    busy: AtomicBool::new(false),
    parked: AtomicUsize::new(0),
    left: AtomicU64::new(0),
    panicked: AtomicBool::new(false),
    panic: Mutex::new(None),
    limit: AtomicUsize::new(0),
};
static NOTICE: Notice = Notice::none();
static START: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread runs a piece: loops inside pieces run alone.
    static NESTED: Cell<bool> = const { Cell::new(false) };
    /// Whether small jobs of this thread are not shared.
    static ALONE: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread had small jobs that could be shared.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, in which this thread's small jobs are not shared if `alone`. Tells as well whether there were any that could be.
pub fn small_jobs<R>(alone: bool, f: impl FnOnce() -> R) -> (R, bool) {
    let _restored = Outer { alone: ALONE.replace(alone), asked: ASKED.replace(false) };
    let result = f();
    (result, ASKED.get())
}

/// What holds outside of [`small_jobs`], again when it is over, or unwinds.
struct Outer {
    alone: bool,
    asked: bool,
}

impl Drop for Outer {
    fn drop(&mut self) {
        ALONE.set(self.alone);
        ASKED.set(self.asked);
    }
}

/// Whether a job that could be shared is small, and this thread keeps those.
fn kept(cost: u64) -> bool {
    if cost < SMALL {
        ASKED.set(true);
    }
    cost < SMALL && ALONE.get()
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
        let _one = START.lock().unwrap_or_else(PoisonError::into_inner);
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
        let read = wait(seen);
        seen = read.number;
        if i + 1 < read.parts {
            let mine = &parts()[i + 1].done;
            work(i + 1, &read, |done| mine.store(Tally::new(read.number, done).0, Ordering::Release));
        }
    }
}

/// Spins, then sleeps until there is a job that is not the one numbered `seen`.
fn wait(seen: u64) -> Read {
    let since = Instant::now();
    let mut turns = 0u32;
    loop {
        if let Some(read) = NOTICE.read(seen) {
            return read;
        }
        std::hint::spin_loop();
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(64) && since.elapsed() > SPIN {
            POOL.parked.fetch_add(1, Ordering::SeqCst);
            // Beside the one of a caller that wakes: it sees us parked, or we see its job.
            fence(Ordering::SeqCst);
            let read = loop {
                match NOTICE.read(seen) {
                    Some(read) => break read,
                    None if NOTICE.latest() == seen => std::thread::park(),
                    None => std::hint::spin_loop(),
                }
            };
            POOL.parked.fetch_sub(1, Ordering::SeqCst);
            return read;
        }
    }
}

/// Runs the pieces of part `own`, then what is left of others. Tells how many it has done whenever it is through with a part of which it had some.
fn work(own: usize, read: &Read, mut tell: impl FnMut(usize)) {
    let mut done = 0;
    for part in (own..own + read.parts).map(|p| p % read.parts) {
        let (first, end) = (begin(part, read.parts, read.pieces), begin(part + 1, read.parts, read.pieces));
        let before = done;
        while let Some(place) = parts()[part].take(read.number, end - first) {
            run(read, first + place);
            done += 1;
        }
        if done > before {
            tell(done);
        }
    }
}

/// Runs piece `i`, which the calling thread has taken.
fn run(read: &Read, i: usize) {
    // SAFETY: the caller keeps the job alive until as many pieces are done as it has, and this one is taken and not done; the fields of `read` are
    // of one job (`Notice::read`), the one whose piece was taken (`Part::take`).
    let job = unsafe { *read.job };
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(i))) {
        *POOL.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        POOL.panicked.store(true, Ordering::Relaxed);
    }
}

/// Where part `part` of `parts` begins among `total` pieces.
fn begin(part: usize, parts: usize, total: usize) -> usize {
    (part as u128 * total as u128 / parts as u128) as usize
}

/// The part of the callers, and that of each helper.
fn parts() -> &'static [Part] {
    POOL.parts.get_or_init(|| (0..=helpers(0).len()).map(|_| Part::default()).collect())
}

/// Runs `job(0)`, …, `job(pieces - 1)`, each once, in any order, on several threads where the estimated `cost` in ns is worth it.
///
/// # Panics
/// With what a piece panics with; the others have run, none still runs.
pub fn for_each(pieces: usize, cost: u64, job: &Job) {
    if pieces > Tally::MOST {
        let group = |g| (begin(g, Tally::MOST, pieces)..begin(g + 1, Tally::MOST, pieces)).for_each(job);
        return for_each(Tally::MOST, cost, &group);
    }
    let alone = pieces < 2 || cost < WORTH || num_threads() < 2 || NESTED.get() || kept(cost);
    let asleep = |helpers: &[Thread]| POOL.parked.load(Ordering::Relaxed) >= helpers.len().min(num_threads() - 1);
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
    // No part is empty: the caller's has the first piece.
    let threads = num_threads().min(parts().len()).min(pieces);
    // It is taken before anyone sees the job: to take it as the others are taken is to wait until the announcement is out.
    let number = NOTICE
        .announce(&job, pieces, threads, |number| parts()[0].taken.store(Tally::new(number, 1).0, Ordering::Relaxed));
    if waking {
        fence(Ordering::SeqCst);
        if POOL.parked.load(Ordering::Relaxed) > 0 {
            helpers(0).iter().take(threads - 1).for_each(Thread::unpark);
        }
    }
    let read = Read { number, job: std::ptr::from_ref(&job).cast(), pieces, parts: threads };
    let mut mine = 1;
    NESTED.set(true);
    run(&read, 0);
    work(0, &read, |done| mine = 1 + done);
    NESTED.set(false);
    let theirs =
        || parts()[1..threads].iter().filter_map(|p| Tally(p.done.load(Ordering::Acquire)).of(number)).sum::<usize>();
    let mut turns = 0u32;
    while mine + theirs() < pieces {
        std::hint::spin_loop();
        turns = turns.wrapping_add(1);
        // A helper that has lost its core finishes sooner if it gets this one.
        if turns.is_multiple_of(4096) {
            std::thread::yield_now();
        }
    }
    let panic = if POOL.panicked.load(Ordering::Relaxed) {
        POOL.panicked.store(false, Ordering::Relaxed);
        POOL.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    } else {
        None
    };
    POOL.busy.store(false, Ordering::Release);
    if let Some(panic) = panic {
        std::panic::resume_unwind(panic);
    }
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
    fn more_pieces_than_a_word_counts_run_once() {
        set_num_threads(4);
        for pieces in [Tally::MOST, Tally::MOST + 1, 3 * Tally::MOST + 7] {
            let hits: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
            for_each(pieces, 1 << 40, &|i| {
                hits[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn small_jobs_stay_where_their_caller_wants() {
        set_num_threads(4);
        let here = std::thread::current().id();
        let ((), asked) = small_jobs(true, || {
            for_each(64, SMALL - 1, &|_| assert!(std::thread::current().id() == here, "shared"));
            let ((), inner) = small_jobs(false, || for_each(2, WORTH - 1, &|_| ()));
            assert!(!inner, "too small to be shared");
        });
        assert!(asked);
        let unwound = std::panic::catch_unwind(|| small_jobs(true, || panic!("inside")));
        assert!(unwound.is_err() && !ALONE.get() && !ASKED.get());
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        let caught = std::panic::catch_unwind(|| for_each(64, 1 << 40, &|i| assert!(i != 63, "piece {i}")));
        assert_eq!(caught.expect_err("a panic").downcast_ref::<String>().map(String::as_str), Some("piece 63"));
        for_each(3, 1 << 40, &|_| ());
    }
}
