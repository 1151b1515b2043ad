//! What the targets share: archives around the part that is tested, and what is done with a program that was read.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use cotangent_torch::Program;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// A zip archive of these entries, as they are.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(*name, stored).expect("entries have different names");
        zip.write_all(bytes).expect("memory takes every byte");
    }
    zip.finish().expect("memory takes every byte").into_inner()
}

/// Reads the program, and makes its graph for the sizes that it was exported with.
pub fn read(bytes: &[u8]) {
    if let Ok(program) = Program::parse(Path::new("fuzz.pt2"), bytes)
        && let Ok(avals) = program.avals(&BTreeMap::new())
    {
        // Whatever is wrong is an error; that there is one is not of interest.
        drop(program.graph(&avals));
    }
}
