//! Memory from the system, and back to it.
//!
//! Blocks of some size are mapped, and the system is asked at once for the pages of what will be written: it clears them in a row, where each first write
//! would interrupt a kernel (16 MB of small pages, measured in a virtual machine: 6.2 to 6.8 ms instead of 8.0 to 8.9). Threads ask for parts of what is
//! large: 4.4 ms on one, 2.4 on two.
//!
//! Large blocks want huge pages, which save translations of addresses at each use, and are cleared in a thirteenth of the time of as many small
//! ones where memory is at hand. The host of a virtual machine, however, takes free memory back in pieces of that size, and a first write there
//! waits for the host (2 MiB, measured: 90 µs at hand, 4,400 away; in small pages, which are made of pieces that the host leaves alone, 600 to
//! 1,000 always). So large blocks begin with small pages, and move to huge ones when they have been used a few times. Vast ones begin with huge
//! pages as long as the first write to each, which is timed, does not have to wait.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::threads;

/// The alignment of every block: a cache line, and the widest vector.
pub const ALIGN: usize = 64;
/// From this size on, blocks are mapped where the system is Linux. All sizes of blocks from here on are multiples of a small page.
#[cfg(target_os = "linux")]
const MAPPED: usize = 32 << 10;
/// From this size on, blocks move to huge pages in time. Smaller ones gain nothing (measured): the processor keeps the translations of about so
/// many addresses.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;
/// From this size on, blocks begin with huge pages where they are at hand. What a smaller one saves is less than what it may have to wait.
#[cfg(target_os = "linux")]
const VAST: usize = 8 << 20;
/// The size and alignment of a huge page.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;
/// The time in which as many small pages are cleared at best: a huge page that takes longer was not at hand.
#[cfg(target_os = "linux")]
const AT_HAND: Duration = Duration::from_micros(600);
/// The bytes of small pages that a thread asks for at once.
#[cfg(target_os = "linux")]
const PIECE: usize = 256 << 10;
/// From so many bytes on, several threads do, …
#[cfg(target_os = "linux")]
const SHARED: usize = 2 << 20;
/// … and so many are cleared in a ns.
#[cfg(target_os = "linux")]
const CLEARED: usize = 4;
/// Whether a huge page was waited for.
#[cfg(target_os = "linux")]
static AWAY: AtomicBool = AtomicBool::new(false);

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, ALIGN).expect("the sizes of buffers are checked when the graph is built")
}

/// Zeroed memory, aligned to [`ALIGN`], of which the first `len` bytes will be written.
///
/// *Errors*: aborts as every allocation does where the system has no memory.
pub fn obtain(capacity: usize, len: usize) -> NonNull<u8> {
    #[cfg(target_os = "linux")]
    if capacity >= MAPPED {
        return map(capacity, len).unwrap_or_else(|| handle_alloc_error(layout(capacity)));
    }
    let _ = len;
    // SAFETY: the capacity is not zero.
    NonNull::new(unsafe { alloc_zeroed(layout(capacity)) }).unwrap_or_else(|| handle_alloc_error(layout(capacity)))
}

/// Gives memory back.
///
/// # Safety
/// The memory was [obtained](obtain) with this capacity, and nobody uses it.
pub unsafe fn release(memory: NonNull<u8>, capacity: usize) {
    #[cfg(target_os = "linux")]
    if capacity >= MAPPED {
        // SAFETY: the caller's: `obtain` has mapped it.
        unsafe { unmap(memory.as_ptr(), capacity) };
        return;
    }
    // SAFETY: the caller's: `obtain` has allocated it with this layout.
    unsafe { dealloc(memory.as_ptr(), layout(capacity)) };
}

/// Moves memory that is used again and again to huge pages, where it is large; its contents stay.
///
/// # Safety
/// The memory was [obtained](obtain) with this capacity.
pub unsafe fn settle(memory: NonNull<u8>, capacity: usize) {
    #[cfg(target_os = "linux")]
    if capacity >= LARGE {
        // SAFETY: the caller's: `obtain` has mapped it. The advices change no contents.
        unsafe {
            // Linux before 6.1 knows the first only, and moves the memory in time.
            libc::madvise(memory.as_ptr().cast(), capacity, libc::MADV_HUGEPAGE);
            libc::madvise(memory.as_ptr().cast(), capacity, libc::MADV_COLLAPSE);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, capacity);
}

/// Maps pages of zeros, those of the first `len` bytes at once; large blocks begin where a huge page can.
///
/// *Errors*: nothing where the system has no memory.
#[cfg(target_os = "linux")]
fn map(capacity: usize, len: usize) -> Option<NonNull<u8>> {
    // The system aligns to small pages only.
    let slack = if capacity >= LARGE { HUGE_PAGE } else { 0 };
    let bytes = capacity.checked_add(slack)?;
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping touches no memory that is in use.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let start = start.cast::<u8>();
    let before = if slack > 0 { start.align_offset(HUGE_PAGE) } else { 0 };
    let block = start.wrapping_add(before);
    // SAFETY: both ends and the block are ours, and nobody knows them yet.
    unsafe {
        unmap(start, before);
        unmap(block.wrapping_add(capacity), slack - before);
        if capacity >= VAST && !AWAY.load(Ordering::Relaxed) {
            populate_huge(block, len);
        } else {
            populate(block, len);
        }
    }
    NonNull::new(block)
}

/// Asks for the small pages of so many bytes. Linux before 5.14 does not know how, and makes each page when it is written.
///
/// # Safety
/// [`map`] has mapped them, and nobody uses them yet.
#[cfg(target_os = "linux")]
unsafe fn populate(from: *mut u8, bytes: usize) {
    let pieces = if bytes < SHARED { 1 } else { bytes.div_ceil(PIECE) };
    let (from, each) = (AtomicPtr::new(from), if pieces == 1 { bytes } else { PIECE });
    threads::for_each(pieces, (bytes / CLEARED) as u64, &|i| {
        let (at, n) = (from.load(Ordering::Relaxed).wrapping_add(i * each), each.min(bytes - i * each));
        // SAFETY: the caller's. The advice changes no contents.
        unsafe { libc::madvise(at.cast(), n, libc::MADV_POPULATE_WRITE) };
    });
}

/// Makes huge pages of so many bytes as long as they are at hand, and small ones once one had to be waited for: the host takes memory back in no order that
/// is known here, so that any page may be away (first calls with 16 MB of results on a machine where most are: 11.2 to 5.8 ms).
///
/// # Safety
/// [`map`] has mapped these first bytes of a block of at least [`VAST`], from where a huge page can begin, and nobody uses them yet.
#[cfg(target_os = "linux")]
unsafe fn populate_huge(from: *mut u8, bytes: usize) {
    // SAFETY: the caller's. The advice changes no contents.
    unsafe { libc::madvise(from.cast(), bytes, libc::MADV_HUGEPAGE) };
    let from = AtomicPtr::new(from);
    threads::for_each(bytes.div_ceil(HUGE_PAGE), (bytes / CLEARED) as u64, &|i| {
        let page = from.load(Ordering::Relaxed).wrapping_add(i * HUGE_PAGE);
        let n = HUGE_PAGE.min(bytes - i * HUGE_PAGE);
        // SAFETY: the caller's. The advices change no contents; a fresh byte is zero, and written to make its page.
        unsafe {
            if n == HUGE_PAGE && !AWAY.load(Ordering::Relaxed) {
                let start = Instant::now();
                page.write_volatile(0);
                AWAY.fetch_or(start.elapsed() > AT_HAND, Ordering::Relaxed);
            } else {
                libc::madvise(page.cast(), n, libc::MADV_NOHUGEPAGE);
                libc::madvise(page.cast(), n, libc::MADV_POPULATE_WRITE);
            }
        }
    });
}

/// Unmaps pages, or nothing.
///
/// # Safety
/// [`map`] has mapped them, and nobody uses them.
#[cfg(target_os = "linux")]
unsafe fn unmap(start: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: the caller's. It fails only where the system cannot split a mapping: the memory stays mapped then.
        unsafe { libc::munmap(start.cast(), bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_memory_is_zero_at_both_ends_and_aligned() {
        for capacity in [320, 40 << 10, 1 << 20, 5 << 20, 7 << 20, 9 << 20, 32 << 20] {
            let memory = obtain(capacity, capacity / 2);
            assert_eq!(memory.as_ptr() as usize % ALIGN, 0);
            // SAFETY: `capacity` zeroed bytes are ours until they are released, once.
            unsafe {
                assert_eq!((memory.read(), memory.add(capacity - 1).read()), (0, 0));
                memory.add(capacity - 1).write(1);
                release(memory, capacity);
            }
        }
    }

    #[test]
    fn memory_that_settles_keeps_its_contents() {
        for capacity in [320, 40 << 10, 5 << 20, 9 << 20] {
            let memory = obtain(capacity, capacity / 2);
            // SAFETY: `capacity` bytes are ours until they are released, once.
            unsafe {
                (0..capacity).step_by(997).for_each(|at| memory.add(at).write(at as u8));
                settle(memory, capacity);
                assert!((0..capacity).step_by(997).all(|at| memory.add(at).read() == at as u8), "{capacity}");
                release(memory, capacity);
            }
        }
    }
}
