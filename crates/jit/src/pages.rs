//! Memory from the system, and back to it.
//!
//! Large blocks are mapped and left untouched: the system clears each page when a kernel first writes there, on all threads that write, and
//! only where there is something to write.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// The alignment of every block: a cache line, and the widest vector.
pub const ALIGN: usize = 64;
/// From this size on, blocks are mapped where the system is Linux.
#[cfg(target_os = "linux")]
const MAPPED: usize = 1 << 20;
/// From this size on, blocks ask for huge pages: they are kept, so that the cost of the first touch is paid once.
#[cfg(target_os = "linux")]
const HUGE: usize = 4 << 20;
/// The size and alignment of a huge page.
#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, ALIGN).expect("the sizes of buffers are checked when the graph is built")
}

/// Zeroed memory, aligned to [`ALIGN`].
///
/// *Errors*: aborts as every allocation does where the system has no memory.
pub fn obtain(capacity: usize) -> NonNull<u8> {
    #[cfg(target_os = "linux")]
    if capacity >= MAPPED {
        return map(capacity).unwrap_or_else(|| handle_alloc_error(layout(capacity)));
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
    if capacity >= MAPPED {
        // SAFETY: the caller's: `obtain` has mapped it.
        unsafe { unmap(memory.as_ptr(), capacity) };
        return;
    }
    // SAFETY: the caller's: `obtain` has allocated it with this layout.
    unsafe { dealloc(memory.as_ptr(), layout(capacity)) };
}

/// Maps pages, which read as zeros until they are written; huge ones where that is worth it.
#[cfg(target_os = "linux")]
fn map(capacity: usize) -> Option<NonNull<u8>> {
    // The system aligns to small pages only: up to a huge one has to be skipped.
    let slack = if capacity >= HUGE { HUGE_PAGE } else { 0 };
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
        for capacity in [320, 1 << 20, 5 << 20, 7 << 20] {
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
