//! The pickles of older archives, with a program and storages that are always there.

#![no_main]

use cotangent_fuzz::{archive, read};

const PROGRAM: &[u8] = br#"{"graph_module": {"graph": {"inputs": [], "outputs": [], "nodes": []},
    "signature": {"input_specs": [], "output_specs": []}}, "schema_version": {"major": 8, "minor": 1}}"#;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let tensors = archive(&[("archive/data.pkl", data), ("archive/data/0", &[0; 64]), ("archive/data/1", &[1; 8])]);
    read(&archive(&[("serialized_exported_program.json", PROGRAM), ("serialized_state_dict.pt", &tensors)]));
});
