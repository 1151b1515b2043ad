//! Suites and cases as `cases.json` has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cotangent_core::array::Array;
use serde::Deserialize;

use crate::error::TorchError;
use cotangent_safetensors::read_safetensors;

/// One folder of the corpus.
#[derive(Debug)]
pub struct Suite {
    /// The folder.
    pub dir: PathBuf,
    /// The operator, function or model.
    pub op: String,
    /// The family, for statistics.
    pub family: String,
    /// The cases.
    pub cases: Vec<Case>,
    /// Every tensor of the suite.
    pub data: BTreeMap<String, Array>,
}

/// A program, a transform, inputs and expected outputs.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Unique in the corpus.
    pub name: String,
    /// The program's file in the suite's folder.
    pub program: String,
    /// `forward`, `vjp`, `vmap_grad`, ….
    pub transform: String,
    /// The names of the arguments' tensors.
    pub args: Vec<String>,
    /// Positions of the differentiated arguments.
    #[serde(default)]
    pub argnums: Vec<usize>,
    /// Positions of the differentiated outputs.
    #[serde(default)]
    pub outnums: Vec<usize>,
    /// Tangents, one for each of `argnums`.
    #[serde(default)]
    pub tangents: Vec<String>,
    /// Cotangents, one for each of `outnums`.
    #[serde(default)]
    pub cotangents: Vec<String>,
    /// Second cotangents, one for each of `argnums`.
    #[serde(default)]
    pub cotangents2: Vec<String>,
    /// The batched dim of each argument.
    #[serde(default)]
    pub in_dims: Vec<Option<i64>>,
    /// The same for cotangents and tangents.
    #[serde(default)]
    pub extra_in_dims: Vec<Option<i64>>,
    /// Where the batch dim goes in each output.
    #[serde(default)]
    pub out_dims: Vec<i64>,
    /// The number of examples.
    #[serde(default)]
    pub batch_size: usize,
    /// The inner level of `vmap_vmap`.
    #[serde(default)]
    pub inner_in_dims: Vec<Option<i64>>,
    /// The number of examples of the inner level.
    #[serde(default)]
    pub inner_batch_size: usize,
    /// The names of the expected tensors.
    pub expected: Vec<String>,
    /// Expected new values of updated buffers.
    #[serde(default)]
    pub mutated: BTreeMap<String, String>,
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
}

#[derive(Deserialize)]
struct File {
    op: String,
    family: String,
    cases: Vec<Case>,
}

impl Suite {
    /// Reads the suite in `dir`.
    ///
    /// *Errors*: files that cannot be read or are not what they should be.
    pub fn read(dir: &Path) -> Result<Self, TorchError> {
        let path = dir.join("cases.json");
        let text = std::fs::read_to_string(&path)
            .map_err(|e| TorchError::Read { path: path.clone(), message: e.to_string() })?;
        let file: File =
            serde_json::from_str(&text).map_err(|e| TorchError::Format { path, message: e.to_string() })?;
        let data = read_safetensors(&dir.join("data.safetensors"))?;
        Ok(Suite { dir: dir.to_owned(), op: file.op, family: file.family, cases: file.cases, data })
    }
}

/// The folders below `dir` that hold a `cases.json`, in order of their names.
pub fn find_suites(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut stack = vec![dir.to_owned()];
    while let Some(d) = stack.pop() {
        if d.join("cases.json").is_file() {
            out.push(d);
            continue;
        }
        let entries = std::fs::read_dir(&d).into_iter().flatten().filter_map(Result::ok);
        stack.extend(entries.map(|e| e.path()).filter(|p| p.is_dir()));
    }
    out.sort();
    out
}
