//! Programs that were compiled lately, by what they are for.
//!
//! A look-up compares keys where they lie: it builds none, takes no lock and, as long as one program is called, writes to no memory that
//! other threads read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use arc_swap::ArcSwap;

/// Programs that are kept.
const KEPT: usize = 64;

/// At most [`KEPT`] programs: of more, one goes that was not used since the last time that room was needed.
#[derive(Debug)]
pub(crate) struct Programs<K, P> {
    kept: ArcSwap<Vec<Kept<P>>>,
    /// Where the program of the last call is, probably.
    last: AtomicUsize,
    made: AtomicUsize,
    /// What is being compiled, and by whom.
    making: Mutex<Vec<(ThreadId, K)>>,
    finished: Condvar,
}

#[derive(Debug)]
struct Kept<P> {
    program: Arc<P>,
    used: Arc<AtomicBool>,
}

impl<P> Clone for Kept<P> {
    fn clone(&self) -> Self {
        Kept { program: self.program.clone(), used: self.used.clone() }
    }
}

impl<K, P> Default for Programs<K, P> {
    fn default() -> Self {
        Programs {
            kept: ArcSwap::default(),
            last: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            making: Mutex::new(Vec::new()),
            finished: Condvar::new(),
        }
    }
}

impl<K: PartialEq, P> Programs<K, P> {
    /// What `f` gives for the first program for which it gives something, the one that was used last before others.
    pub fn find_map<R>(&self, mut f: impl FnMut(&Arc<P>) -> Option<R>) -> Option<R> {
        let kept = self.kept.load();
        let last = self.last.load(Ordering::Relaxed);
        if let Some(result) = kept.get(last).and_then(|k| f(&k.program)) {
            return Some(result);
        }
        kept.iter().enumerate().filter(|(i, _)| *i != last).find_map(|(i, k)| {
            let result = f(&k.program)?;
            k.used.store(true, Ordering::Relaxed);
            self.last.store(i, Ordering::Relaxed);
            Some(result)
        })
    }

    /// The program that `find` knows, or that `make` makes; `None` if that makes none.
    ///
    /// Of several threads that ask for `key` at once, one makes the program and the others wait for it. A program that needs
    /// itself to be made is made again, as a function that calls itself would run again.
    pub fn or_make<E>(
        &self,
        key: K,
        find: impl Fn(&P) -> bool,
        make: impl FnOnce() -> Result<Option<P>, E>,
    ) -> Result<Option<Arc<P>>, E> {
        let me = std::thread::current().id();
        let mut making = self.making();
        while making.iter().any(|(who, what)| *who != me && *what == key) {
            making = self.finished.wait(making).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(known) = self.find_map(|p| find(p).then(|| p.clone())) {
            return Ok(Some(known));
        }
        making.push((me, key));
        drop(making);
        let _finish = Finish(self);
        Ok(make()?.map(|program| self.keep(Arc::new(program))))
    }

    /// The program that was kept last.
    pub fn newest(&self) -> Option<Arc<P>> {
        self.kept.load().last().map(|k| k.program.clone())
    }

    /// How many programs were made so far.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    fn making(&self) -> MutexGuard<'_, Vec<(ThreadId, K)>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, program: Arc<P>) -> Arc<P> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let new = Kept { program: program.clone(), used: Arc::new(AtomicBool::new(true)) };
        self.kept.rcu(|kept| {
            let mut kept = kept.as_ref().clone();
            if kept.len() == KEPT {
                let unused = kept.iter().position(|k| !k.used.swap(false, Ordering::Relaxed));
                kept.remove(unused.unwrap_or(0));
            }
            kept.push(new.clone());
            kept
        });
        self.last.store(self.kept.load().len() - 1, Ordering::Relaxed);
        program
    }
}

/// Ends the latest making of this thread, also where it fails or panics.
struct Finish<'a, K, P>(&'a Programs<K, P>);

impl<K, P> Drop for Finish<'_, K, P> {
    fn drop(&mut self) {
        let me = std::thread::current().id();
        let mut making = self.0.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = making.iter().rposition(|(who, _)| *who == me) {
            making.remove(at);
        }
        drop(making);
        self.0.finished.notify_all();
    }
}
