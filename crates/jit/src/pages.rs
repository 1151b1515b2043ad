//! Memory from the system, and back to it.
//!
//! Blocks of some size are mapped and left untouched: the system clears each page when a kernel first writes there, on all threads that write,
//! and only where there is something to write. Clearing a huge page costs a thirteenth of clearing as many small ones (2 MiB: 90 µs against
//! 600 µs, measured), so large blocks ask for huge pages and those of middle size share them.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

#[cfg(target_os = "linux")]
use crate::spans;

/// The alignment of every block: a cache line, and the widest vector.
pub const ALIGN: usize = 64;
/// From this size on, blocks are carved from spans where the system is Linux. All sizes of blocks from here on are multiples of a small page.
#[cfg(target_os = "linux")]
const CARVED: usize = 32 << 10;
/// From this size on, blocks are mapped one by one.
#[cfg(target_os = "linux")]
const MAPPED: usize = spans::LARGEST;
/// The size and alignment of a small page.
#[cfg(target_os = "linux")]
pub const SMALL_PAGE: usize = 4 << 10;
/// The size and alignment of a huge page.
#[cfg(target_os = "linux")]
pub const HUGE_PAGE: usize = 2 << 20;

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, ALIGN).expect("the sizes of buffers are checked when the graph is built")
}

/// Zeroed memory, aligned to [`ALIGN`].
///
/// *Errors*: aborts as every allocation does where the system has no memory.
pub fn obtain(capacity: usize) -> NonNull<u8> {
    #[cfg(target_os = "linux")]
    if capacity >= CARVED {
        let memory = if capacity >= MAPPED { map(capacity, HUGE_PAGE) } else { spans::carve(capacity) };
        return memory.unwrap_or_else(|| handle_alloc_error(layout(capacity)));
    }
    // SAFETY: the capacity is not zero.
    NonNull::new(unsafe { alloc_zeroed(layout(capacity)) }).unwrap_or_else(|| handle_alloc_error(layout(capacity)))
}

/// Gives memory back.
///
/// # Safety
/// The memory was [obtained](obtain) with this capacity, and nobody uses it.
pub unsafe fn release(memory: NonNull<u8>, capacity: usize) {
    #[cfg(target_os = "linux")]
    if capacity >= CARVED {
        // SAFETY: the caller's: `obtain` has mapped it, or carved it from a span.
        unsafe {
            if capacity >= MAPPED { unmap(memory.as_ptr(), capacity) } else { spans::give_back(memory, capacity) }
        };
        return;
    }
    // SAFETY: the caller's: `obtain` has allocated it with this layout.
    unsafe { dealloc(memory.as_ptr(), layout(capacity)) };
}

/// Maps pages of size `align` ([`SMALL_PAGE`] or [`HUGE_PAGE`]), which read as zeros until they are written.
///
/// *Errors*: nothing where the system has no memory.
#[cfg(target_os = "linux")]
pub fn map(capacity: usize, align: usize) -> Option<NonNull<u8>> {
    // The system aligns to small pages only.
    let slack = if align == HUGE_PAGE { HUGE_PAGE } else { 0 };
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
    // SAFETY: both ends are ours, and nobody knows them yet; the advice changes no contents.
    unsafe {
        unmap(start, before);
        unmap(block.wrapping_add(capacity), slack - before);
        if slack > 0 {
            libc::madvise(block.cast(), capacity, libc::MADV_HUGEPAGE);
        }
    }
    NonNull::new(block)
}

/// Unmaps pages, or nothing.
///
/// # Safety
/// [`map`] has mapped them, and nobody uses them.
#[cfg(target_os = "linux")]
pub unsafe fn unmap(start: *mut u8, bytes: usize) {
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
        for capacity in [320, 40 << 10, 1 << 20, 5 << 20, 7 << 20] {
            let memory = obtain(capacity);
            assert_eq!(memory.as_ptr() as usize % ALIGN, 0);
            // SAFETY: `capacity` zeroed bytes are ours until they are released, once.
            unsafe {
                assert_eq!((memory.read(), memory.add(capacity - 1).read()), (0, 0));
                memory.add(capacity - 1).write(1);
                release(memory, capacity);
            }
        }
    }
}
