//! Executable memory: written first, executable afterwards, never both.

use crate::error::JitError;

/// Machine code that can run.
#[derive(Debug)]
pub struct CodeMemory {
    at: *mut libc::c_void,
    bytes: usize,
}

// SAFETY: the memory is only read and executed after `new`, and unmapped by its one owner.
unsafe impl Send for CodeMemory {}
// SAFETY: as above.
unsafe impl Sync for CodeMemory {}

impl CodeMemory {
    /// Maps a copy of `code` as executable.
    pub fn new(code: &[u8]) -> Result<Self, JitError> {
        let fail = || JitError::CodeMemory { bytes: code.len(), reason: std::io::Error::last_os_error().to_string() };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping touches no memory of others.
        let at =
            unsafe { libc::mmap(std::ptr::null_mut(), code.len(), libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(fail());
        }
        let memory = CodeMemory { at, bytes: code.len() };
        // SAFETY: the mapping has `code.len()` writable bytes.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), at.cast::<u8>(), code.len()) };
        // SAFETY: the mapping is ours.
        if unsafe { libc::mprotect(at, code.len(), libc::PROT_READ | libc::PROT_EXEC) } != 0 {
            return Err(fail());
        }
        memory.synchronize()?;
        Ok(memory)
    }

    /// Makes the instructions that were written those that all cores read; x86-64 does so by itself.
    fn synchronize(&self) -> Result<(), JitError> {
        #[cfg(target_arch = "aarch64")]
        {
            use wasmtime_internal_jit_icache_coherence::{clear_cache, pipeline_flush_mt};
            let fail = |reason: String| JitError::CodeMemory { bytes: self.bytes, reason };
            // SAFETY: the mapping is ours and has as many bytes.
            unsafe { clear_cache(self.at, self.bytes) }.map_err(|e| fail(e.to_string()))?;
            pipeline_flush_mt().map_err(|e| fail(e.to_string()))?;
        }
        Ok(())
    }

    /// The first byte.
    pub fn base(&self) -> usize {
        self.at as usize
    }

    /// All bytes.
    pub fn code(&self) -> &[u8] {
        // SAFETY: the mapping has as many readable bytes, which nobody writes after `new`, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.at.cast::<u8>(), self.bytes) }
    }

    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody runs it any more: functions are reached only through the program that owns it.
        unsafe { libc::munmap(self.at, self.bytes) };
    }
}
