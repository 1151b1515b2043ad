//! Whole archives: the zip format, its entries, and what they say of each other.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cotangent_fuzz::read(data));
