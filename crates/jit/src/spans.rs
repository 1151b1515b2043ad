//! Blocks of middle size, carved from spans of pages that they share.
//!
//! A block that is carved is the size of several small pages, and less than a huge one or not much more: alone it would be cleared small page by
//! small page. A span is used from its start to its end once, and goes back to the system when its last block does.

use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::pages::{HUGE_PAGE, SMALL_PAGE, map, unmap};

/// The bytes of the first span, of small pages: a process that needs no more shall not clear a huge one.
const FIRST: usize = 1 << 20;
/// The bytes of every other span, of huge pages.
const SPAN: usize = 16 << 20;
/// Blocks are smaller than this.
pub const LARGEST: usize = 4 << 20;

static SPANS: Mutex<Spans> = Mutex::new(Spans { spans: Vec::new(), small: true });

/// The spans of the process; the last is the one that is carved.
struct Spans {
    spans: Vec<Span>,
    /// Whether the next span is the first.
    small: bool,
}

/// Some pages of which blocks are carved.
struct Span {
    start: NonNull<u8>,
    capacity: usize,
    /// Bytes carved so far, from the start on.
    carved: usize,
    /// Bytes of blocks that have not been given back.
    live: usize,
}

// SAFETY: a span is the only owner of its memory but for the blocks, which others own; it has no tie to a thread.
unsafe impl Send for Span {}

impl Span {
    fn new(capacity: usize, align: usize) -> Option<Self> {
        Some(Span { start: map(capacity, align)?, capacity, carved: 0, live: 0 })
    }

    /// The next block of the span, where it has room.
    fn carve(&mut self, capacity: usize) -> Option<NonNull<u8>> {
        if self.capacity - self.carved < capacity {
            return None;
        }
        let block = self.start.as_ptr().wrapping_add(self.carved);
        self.carved += capacity;
        self.live += capacity;
        NonNull::new(block)
    }

    fn contains(&self, block: NonNull<u8>) -> bool {
        (self.start.as_ptr() as usize..self.start.as_ptr() as usize + self.capacity)
            .contains(&(block.as_ptr() as usize))
    }
}

/// A block of zeros, aligned to a small page; nothing where the system has no memory.
///
/// `capacity` is a multiple of a small page and less than [`LARGEST`].
pub fn carve(capacity: usize) -> Option<NonNull<u8>> {
    debug_assert!(capacity.is_multiple_of(SMALL_PAGE) && capacity < LARGEST);
    let mut all = SPANS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(block) = all.spans.last_mut().and_then(|span| span.carve(capacity)) {
        return Some(block);
    }
    let mut span = match all.small && capacity <= FIRST {
        true => Span::new(FIRST, SMALL_PAGE)?,
        false => Span::new(SPAN, HUGE_PAGE)?,
    };
    all.small = false;
    let block = span.carve(capacity);
    all.spans.push(span);
    block
}

/// Gives a block back; its span goes back to the system with the last one.
///
/// # Safety
/// The block was [carved](carve) with this capacity, and nobody uses it.
pub unsafe fn give_back(block: NonNull<u8>, capacity: usize) {
    let mut all = SPANS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(at) = all.spans.iter().position(|span| span.contains(block)) else { return };
    let span = &mut all.spans[at];
    span.live -= capacity;
    if span.live == 0 {
        let span = all.spans.remove(at);
        // SAFETY: `map` has mapped the span; no block of it is left.
        unsafe { unmap(span.start.as_ptr(), span.capacity) };
    } else {
        // SAFETY: the block's pages are of no other block. They are not used again: the span is carved once.
        unsafe { libc::madvise(block.as_ptr().cast(), capacity, libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_span_do_not_overlap_and_the_last_takes_it_along() {
        let sizes = [32 << 10, 3 << 20, 40 << 10, 3584 << 10, 3584 << 10, 3584 << 10, 3584 << 10];
        let blocks = sizes.map(|size| carve(size).expect("memory"));
        for (k, (block, size)) in blocks.iter().zip(sizes).enumerate() {
            // SAFETY: `size` bytes are ours until they are given back, once.
            unsafe {
                assert_eq!((block.read(), block.add(size - 1).read()), (0, 0), "{k}");
                block.write_bytes(k as u8 + 1, size);
            }
        }
        for (k, (block, size)) in blocks.iter().zip(sizes).enumerate() {
            // SAFETY: as above.
            unsafe {
                assert_eq!((block.read(), block.add(size - 1).read()), (k as u8 + 1, k as u8 + 1));
                give_back(*block, size);
            }
        }
        // Other tests of this process carve too: only what was given back is known.
        let all = SPANS.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(all.spans.iter().all(|span| span.live > 0 && span.live <= span.carved && span.carved <= span.capacity));
    }
}
