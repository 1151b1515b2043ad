//! Blocks of memory, aligned and recycled.
//!
//! Fresh memory costs 2 ns per element in page faults, more than most kernels: a block that is dropped goes to a free list of its size
//! class and comes back at the next call. The lists are sharded by size class, so that threads rarely meet at a lock; each thread keeps a
//! few small blocks for itself, which costs neither lock nor atomic operation.

use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pages::{ALIGN, obtain, release, settle};

/// Memory that the free lists keep at most, in bytes.
const KEEP: usize = 1 << 30;
/// Four classes for each power of two.
const CLASSES: usize = 4 * 48;

static FREE: [Mutex<Vec<Free>>; CLASSES] = [const { Mutex::new(Vec::new()) }; CLASSES];
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Classes of which a thread keeps blocks for itself: up to 256 KiB. Memory of its own is in the caches of its own core: a piece of a loop that is given
/// what another core has just written waits for each line of it. Sums of the columns of 1000×1000, on two threads: 33 µs before, 30 since.
const NEAR_CLASSES: usize = 4 * 11;
/// Blocks of each such class that a thread keeps, up to 16 KiB, …
const NEAR: usize = 4;
/// … which are the first so many classes, and of the others.
const NEAR_SMALL: usize = 4 * 7;
const NEAR_LARGE: usize = 1;

/// The small blocks of one thread.
struct Near([[Option<Free>; NEAR]; NEAR_CLASSES]);

impl Near {
    fn take(&mut self, class: usize) -> Option<Free> {
        self.0.get_mut(class)?.iter_mut().find_map(Option::take)
    }

    /// Keeps a block, or gives it back where there is no room.
    fn keep(&mut self, class: usize, block: Free) -> Option<Free> {
        let most = if class < NEAR_SMALL { NEAR } else { NEAR_LARGE };
        match self.0.get_mut(class).and_then(|list| list.iter_mut().take(most).find(|place| place.is_none())) {
            Some(place) => {
                *place = Some(block);
                None
            }
            None => Some(block),
        }
    }
}

/// The blocks of a thread that ends go to all.
impl Drop for Near {
    fn drop(&mut self) {
        for (class, list) in self.0.iter_mut().enumerate() {
            list.iter_mut().filter_map(Option::take).for_each(|block| share(class, block));
        }
    }
}

thread_local! {
    static NEAREST: RefCell<Near> = const { RefCell::new(Near([const { [const { None }; NEAR] }; NEAR_CLASSES])) };
}

/// The capacity of a class.
fn capacity(class: usize) -> usize {
    (5 + class % 4) << (class / 4 + 5)
}

/// A block for every thread, or for the system where enough are kept.
fn share(class: usize, block: Free) {
    let bytes = capacity(class);
    if KEPT.fetch_add(bytes, Ordering::Relaxed) + bytes <= KEEP {
        FREE[class].lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(block);
    } else {
        KEPT.fetch_sub(bytes, Ordering::Relaxed);
        // SAFETY: the block was obtained with this capacity (a class has one) and is not used any more.
        unsafe { release(block.0, bytes) };
    }
}

/// How often a block comes back until its memory [settles](settle). Moving it costs what some hundred uses save: a block that is used twice
/// shall not pay for it, and one of a loop shall not wait for long.
const SETTLES: u8 = 3;

/// A block that nobody uses, and how often it has come back, up to [`SETTLES`].
struct Free(NonNull<u8>, u8);
// SAFETY: a `Free` is the only owner of its memory, which has no tie to a thread.
unsafe impl Send for Free {}

/// An aligned block of memory, owned; its capacity is at least its length.
pub struct Block {
    ptr: NonNull<u8>,
    len: usize,
    class: usize,
    /// How often it has come back, up to [`SETTLES`].
    reused: u8,
}

// SAFETY: a block owns its memory as a `Vec<u8>` does; shared references only read.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// The class of `len` bytes and its capacity: multiples of a quarter of a power of two.
fn class(len: usize) -> (usize, usize) {
    let len = len.max(4 * ALIGN);
    let quarter = (usize::BITS - (len - 1).leading_zeros()) as usize - 3;
    let steps = len.div_ceil(1 << quarter);
    // 5 to 8 quarters of `2^(quarter + 2)`.
    (4 * (quarter - 5) + (steps - 5).min(3), steps << quarter)
}

impl Block {
    /// A block of `len` bytes whose contents are unspecified but initialised (zeros, or what a former owner left).
    ///
    /// *Errors*: aborts as every allocation does where the system has no memory.
    pub fn new(len: usize) -> Self {
        let (class, capacity) = class(len);
        // A thread that is ending has no list any more.
        if let Some(Free(ptr, reused)) = NEAREST.try_with(|near| near.borrow_mut().take(class)).ok().flatten() {
            return Block { ptr, len, class, reused };
        }
        let recycled = FREE[class].lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let Some(Free(ptr, mut reused)) = recycled else {
            return Block { ptr: obtain(capacity, len), len, class, reused: 0 };
        };
        KEPT.fetch_sub(capacity, Ordering::Relaxed);
        if reused < SETTLES {
            reused += 1;
            if reused == SETTLES {
                // SAFETY: every block of a class was obtained with its capacity.
                unsafe { settle(ptr, capacity) };
            }
        }
        Block { ptr, len, class, reused }
    }

    /// The address of the first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes are ours while `self` lives.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }

    /// The bytes, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Clone for Block {
    fn clone(&self) -> Self {
        let mut copy = Block::new(self.len);
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({} bytes)", self.len)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let block = Free(self.ptr, self.reused);
        let mut left = Some(block);
        // A thread that is ending has no list any more.
        let _ = NEAREST.try_with(|near| left = left.take().and_then(|block| near.borrow_mut().keep(self.class, block)));
        if let Some(block) = left {
            share(self.class, block);
        }
    }
}

/// Gives the memory of all free blocks back to the system, but for the few small ones that each thread keeps for itself.
pub fn trim() {
    for (i, list) in FREE.iter().enumerate() {
        let blocks = std::mem::take(&mut *list.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let capacity = capacity(i);
        for Free(ptr, _) in blocks {
            KEPT.fetch_sub(capacity, Ordering::Relaxed);
            // SAFETY: every block of a class has its capacity, and a free block has no user.
            unsafe { release(ptr, capacity) };
        }
    }
}

/// The bytes that free blocks hold, but for the few small ones that each thread keeps for itself.
pub fn kept_bytes() -> usize {
    KEPT.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_lengths() {
        for len in (0..5000).chain([65_535, 65_536, 65_537, 1 << 30, (1 << 40) + 1]) {
            let (c, capacity) = class(len);
            assert!(capacity >= len && c < CLASSES, "{len}");
            assert!(len < 256 || capacity <= len + len / 4 + 64, "{len} {capacity}");
            assert_eq!(capacity, super::capacity(c), "{len}");
        }
    }

    #[test]
    fn dropped_blocks_come_back() {
        let len = 123_457;
        let first = Block::new(len);
        let at = first.as_ptr() as usize;
        assert_eq!(at % ALIGN, 0);
        drop(first);
        assert_eq!(Block::new(len).as_ptr() as usize, at);
    }

    #[test]
    fn small_blocks_come_back_to_their_thread_and_pass_from_one_that_ends() {
        let len = 7_777;
        assert!(class(len).0 < NEAR_CLASSES);
        let address = std::thread::spawn(move || {
            let blocks: Vec<Block> = (0..NEAR + 2).map(|_| Block::new(len)).collect();
            let all: Vec<usize> = blocks.iter().map(|b| b.as_ptr() as usize).collect();
            drop(blocks);
            let again = Block::new(len).as_ptr() as usize;
            assert!(all[..NEAR].contains(&again), "a block of this thread");
            again
        });
        let address = address.join().expect("no panic");
        // Nothing of this size class is used elsewhere in this test binary.
        let blocks: Vec<Block> = (0..NEAR + 2).map(|_| Block::new(len)).collect();
        assert!(blocks.iter().any(|b| b.as_ptr() as usize == address));
    }
}
