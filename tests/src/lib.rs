//! What the tests of cotangent share.

pub mod archive;
pub mod each;
pub mod expect;
pub mod filetest;
pub mod numeric;
pub mod oracle;
pub mod points;
pub mod random_graph;
pub mod random_program;
pub mod snapshot;
pub mod wide_graph;

use std::path::{Path, PathBuf};

/// A path of the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the repository").join(path)
}

/// Collects the files with extension `ext` below `dir`, in order of their names.
pub fn files_below(dir: &Path, ext: &str, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for p in paths {
        if p.is_dir() {
            files_below(&p, ext, out);
        } else if p.extension().is_some_and(|e| e == ext) {
            out.push(p);
        }
    }
}
