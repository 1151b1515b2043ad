//! IR as JSON: what is read is written as JSON that reads back as the same text.

#![no_main]

use cotangent_core::text::json::{from_json, to_json};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(graph) = from_json("fuzz.json", text) {
        let written = to_json(&graph);
        assert_eq!(to_json(&from_json("written.json", &written).expect("what is written is read")), written);
    }
});
