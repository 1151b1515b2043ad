//! Whether the small jobs of a program are shared between threads.
//!
//! What a job of some ten µs gains by a second thread depends on what the machine does at the moment: whether the two cores have a cache in common (a
//! host moves the cores of a guest, so that this changes within seconds), whether others use one of them, and where the operands lie. Measured, the same
//! program took 510 µs with cores that share a cache and 1,400 with cores that do not, and 940 alone. No model says which of them is the case, so a
//! program that has such jobs finds out: now and then a few calls run the other way, and the faster way is kept. The results are the same bits.

use crate::threads;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Calls and time between two comparisons: the few calls that run the slower way cost some percent at most.
const CALLS: u32 = 100;
const TIME: Duration = Duration::from_millis(100);
/// Calls before the first comparison: memory is warm then.
const FIRST_CALLS: u32 = 12;
/// Calls of each way that count in a comparison.
const TRIED: u32 = 3;
/// How long a way is gone before they count: operands are where the other way has left them, and helpers sleep.
const WARM: Duration = Duration::from_micros(400);

/// What one program knows, which many threads may call.
#[derive(Debug, Default)]
pub struct Sharing {
    /// Whether the program has small jobs: known after a call. Others never touch the state.
    asked: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whether small jobs stay on the calling thread.
    alone: bool,
    phase: Phase,
}

impl Default for State {
    fn default() -> Self {
        Self { alone: false, phase: Phase::Kept { calls: FIRST_CALLS, until: None } }
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The way is kept for so many calls, and until then.
    Kept { calls: u32, until: Option<Instant> },
    /// A way is timed, first the kept one, then the other: since when, the calls that counted, and the shortest of these, and of the kept way.
    Tried { other: bool, since: Instant, calls: u32, best: Duration, kept: Duration },
}

impl State {
    /// Whether the next call runs small jobs alone.
    fn next(&self) -> bool {
        match self.phase {
            Phase::Tried { other, .. } => self.alone ^ other,
            Phase::Kept { .. } => self.alone,
        }
    }

    /// Hears what a call took, which ended at `now`.
    fn hear(&mut self, now: Instant, took: Duration) {
        let tried = |other, kept| Phase::Tried { other, since: now, calls: 0, best: Duration::MAX, kept };
        self.phase = match self.phase {
            Phase::Kept { calls, until } if calls > 1 || until.is_some_and(|t| now < t) => {
                Phase::Kept { calls: calls.saturating_sub(1), until }
            }
            Phase::Kept { .. } => tried(false, Duration::MAX),
            Phase::Tried { since, .. } if now - since < WARM + took => return,
            Phase::Tried { other, since, calls, best, kept } => {
                let (calls, best) = (calls + 1, best.min(took));
                match (calls < TRIED, other) {
                    (true, _) => Phase::Tried { other, since, calls, best, kept },
                    (false, false) => tried(true, best),
                    (false, true) => {
                        // A little better is noise.
                        self.alone ^= best < kept - kept / 16;
                        Phase::Kept { calls: CALLS, until: now.checked_add(TIME) }
                    }
                }
            }
        };
    }
}

impl Sharing {
    /// Runs a call of the program.
    pub fn run<R>(&self, call: impl FnOnce() -> R) -> R {
        if !self.asked.load(Ordering::Relaxed) {
            let (result, asked) = threads::small_jobs(false, call);
            if asked {
                self.asked.store(true, Ordering::Relaxed);
            }
            return result;
        }
        // While another thread looks, jobs are shared, as a program begins.
        let alone = self.state.try_lock().is_ok_and(|state| state.next());
        let begin = Instant::now();
        let (result, _) = threads::small_jobs(alone, call);
        let now = Instant::now();
        // A call that ran as another thread's comparison wanted says nothing of what is asked for now.
        if let Ok(mut state) = self.state.try_lock()
            && state.next() == alone
        {
            state.hear(now, now - begin);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls for `time` that take so long `shared` and `alone`, from `now` on; how many of them ran alone.
    fn calls(state: &mut State, now: &mut Instant, time: Duration, shared: u64, alone: u64) -> (u32, u32) {
        let (begin, mut counts) = (*now, (0, 0));
        while *now - begin < time {
            let took = Duration::from_micros(if state.next() { alone } else { shared });
            if state.next() {
                counts.1 += 1;
            } else {
                counts.0 += 1;
            }
            *now += took;
            state.hear(*now, took);
        }
        counts
    }

    #[test]
    fn the_faster_way_is_kept_and_follows_the_machine() {
        let (mut state, mut now) = (State::default(), Instant::now());
        let second = Duration::from_secs(1);
        let (shared, alone) = calls(&mut state, &mut now, second, 500, 900);
        assert!(!state.alone && alone * 20 < shared, "{alone} of {shared} calls the slower way");
        let (shared, alone) = calls(&mut state, &mut now, second, 1400, 900);
        assert!(state.alone && shared * 4 < alone, "{shared} of {alone} calls the slower way");
        let (shared, alone) = calls(&mut state, &mut now, second, 500, 900);
        assert!(!state.alone && alone * 4 < shared, "{alone} of {shared} calls the slower way");
        let (_, alone) = calls(&mut state, &mut now, second, 900, 880);
        assert!(!state.alone && alone < 100, "a little better is noise");
    }

    #[test]
    fn helpers_that_sleep_at_first_decide_nothing() {
        let (mut state, mut now) = (State { alone: true, ..State::default() }, Instant::now());
        let (begin, mut alone_at) = (now, now);
        while now - begin < Duration::from_secs(1) {
            let awake = now - alone_at > Duration::from_micros(350);
            let took = Duration::from_micros(if awake { 10 } else { 16 });
            now += took;
            if state.next() {
                alone_at = now;
            }
            state.hear(now, took);
        }
        assert!(!state.alone);
    }

    #[test]
    fn programs_without_small_jobs_are_not_timed() {
        let sharing = Sharing::default();
        for _ in 0..1000 {
            sharing.run(|| threads::for_each(8, 10, &|_| ()));
        }
        let state = sharing.state.lock().expect("no panic");
        let untouched = matches!(state.phase, Phase::Kept { calls: FIRST_CALLS, until: None });
        assert!(untouched && !sharing.asked.load(Ordering::Relaxed));
    }
}
