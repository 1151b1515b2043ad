//! Safetensors: headers, and the bytes that they speak of.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(cotangent_safetensors::parse_safetensors(data)));
