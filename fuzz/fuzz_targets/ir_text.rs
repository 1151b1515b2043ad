//! IR text: what parses prints as text that parses to the same graph.

#![no_main]

use cotangent_core::text::ir::{parse, parse_all};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for graph in parse_all("fuzz.ir", text).unwrap_or_default() {
        let printed = graph.to_string();
        assert_eq!(parse("printed.ir", &printed).expect("what is printed parses").to_string(), printed);
    }
});
