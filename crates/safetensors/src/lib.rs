//! Arrays in safetensors files. A file from outside is hostile: what is wrong in it is an error.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A file that cannot be read or written, or that holds no tensors.
#[derive(Clone, Debug, thiserror::Error, miette::Diagnostic)]
pub enum FileError {
    /// The file system refuses.
    #[error("cannot access {}: {message}", path.display())]
    #[diagnostic(code(cotangent::safetensors::access))]
    Access {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The file is not what it should be.
    #[error("{}: {message}", path.display())]
    #[diagnostic(code(cotangent::safetensors::format))]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        message: String,
    },
}

fn from_safe(d: Dtype) -> Option<DType> {
    match d {
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::F16 => Some(DType::F16),
        Dtype::I64 => Some(DType::I64),
        Dtype::I32 => Some(DType::I32),
        Dtype::I16 => Some(DType::I16),
        Dtype::I8 => Some(DType::I8),
        Dtype::U8 => Some(DType::U8),
        Dtype::BOOL => Some(DType::Bool),
        _ => None,
    }
}

const fn to_safe(d: DType) -> Dtype {
    match d {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

/// The tensors of a safetensors file, by name.
///
/// *Errors*: a file that cannot be read, is truncated or contradicts its header; a dtype that cotangent does not have.
pub fn read_safetensors(path: &Path) -> Result<BTreeMap<String, Array>, FileError> {
    let bytes = std::fs::read(path).map_err(|e| FileError::Access { path: path.to_owned(), message: e.to_string() })?;
    parse_safetensors(&bytes).map_err(|message| FileError::Format { path: path.to_owned(), message })
}

/// The tensors of the bytes of a safetensors file, by name.
///
/// *Errors*: as [`read_safetensors`], as a message.
pub fn parse_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, Array>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("not a safetensors file: {e}"))?;
    let mut out = BTreeMap::new();
    for (name, view) in file.iter() {
        let found = view.dtype();
        let dtype = from_safe(found).ok_or_else(|| format!("tensor `{name}`: unsupported dtype {found:?}"))?;
        let aval = Aval::new(dtype, view.shape());
        let array = Array::from_le_bytes(&aval, view.data())
            .ok_or_else(|| format!("tensor `{name}`: {} bytes do not fill {aval}", view.data().len()))?;
        out.insert(name.to_owned(), array);
    }
    Ok(out)
}

/// Writes tensors as a safetensors file.
///
/// *Errors*: a file that cannot be written.
pub fn write_safetensors<'a, N: AsRef<str>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'a Array)>,
) -> Result<(), FileError> {
    let fail = |message: String| FileError::Access { path: path.to_owned(), message };
    let bytes = tensors.into_iter().map(|(n, a)| (n, a.to_le_bytes(), a.shape().sizes().to_vec(), to_safe(a.dtype())));
    let bytes: Vec<(N, Vec<u8>, Vec<usize>, Dtype)> = bytes.collect();
    let views: Result<Vec<(&str, TensorView)>, _> =
        bytes.iter().map(|(n, b, s, d)| TensorView::new(*d, s.clone(), b).map(|v| (n.as_ref(), v))).collect();
    let data =
        safetensors::serialize(views.map_err(|e| fail(e.to_string()))?, None).map_err(|e| fail(e.to_string()))?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| fail(e.to_string()))?;
    }
    std::fs::write(path, data).map_err(|e| fail(e.to_string()))
}
