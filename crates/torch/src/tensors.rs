//! Tensors in files: safetensors, and the raw weights of an archive.

use std::collections::BTreeMap;
use std::path::Path;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::error::TorchError;

/// The most bytes to which the elements of a smaller storage may be repeated.
const MAX_REPEATED: usize = 1 << 30;

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
pub fn read_safetensors(path: &Path) -> Result<BTreeMap<String, Array>, TorchError> {
    let bytes = std::fs::read(path).map_err(|e| TorchError::Read { path: path.to_owned(), message: e.to_string() })?;
    parse_safetensors(&bytes).map_err(|message| TorchError::Format { path: path.to_owned(), message })
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
pub fn write_safetensors(path: &Path, tensors: &BTreeMap<String, Array>) -> Result<(), TorchError> {
    let fail = |message: String| TorchError::Read { path: path.to_owned(), message };
    let bytes: Vec<(&String, Vec<u8>, Vec<usize>, Dtype)> =
        tensors.iter().map(|(n, a)| (n, a.to_le_bytes(), a.shape().sizes().to_vec(), to_safe(a.dtype()))).collect();
    let views: Result<Vec<(&String, TensorView)>, _> =
        bytes.iter().map(|(n, b, s, d)| TensorView::new(*d, s.clone(), b).map(|v| (*n, v))).collect();
    let data =
        safetensors::serialize(views.map_err(|e| fail(e.to_string()))?, None).map_err(|e| fail(e.to_string()))?;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| fail(e.to_string()))?;
    }
    std::fs::write(path, data).map_err(|e| fail(e.to_string()))
}

/// The array of `aval` whose element at index `i` stands at `offset + Σ i[d] · strides[d]` (in elements) of `bytes`.
///
/// `None` if some element lies outside.
pub(crate) fn strided(aval: &Aval, bytes: &[u8], strides: &[i64], offset: i64) -> Option<Array> {
    let n = aval.shape.checked_numel()?;
    let sizes = aval.shape.sizes();
    if sizes.len() != strides.len() {
        return None;
    }
    let width = aval.dtype.size_bytes();
    let row_major: Vec<i64> = aval.shape.strides().iter().map(|s| *s as i64).collect();
    let contiguous = sizes.iter().zip(strides.iter().zip(&row_major)).all(|(n, (s, r))| *n <= 1 || s == r);
    let start = usize::try_from(offset).ok()?.checked_mul(width)?;
    // A file may say that one element fills any shape.
    if n.checked_mul(width)? > bytes.len().max(MAX_REPEATED) {
        return None;
    }
    if contiguous {
        return Array::from_le_bytes(aval, bytes.get(start..start.checked_add(n.checked_mul(width)?)?)?);
    }
    let mut out = Vec::new();
    for i in 0..n {
        let mut at = offset;
        for d in 0..sizes.len() {
            let index = (i / row_major[d].max(1) as usize % sizes[d]) as i64;
            at = at.checked_add(index.checked_mul(strides[d])?)?;
        }
        let at = usize::try_from(at).ok()?.checked_mul(width)?;
        out.extend_from_slice(bytes.get(at..at.checked_add(width)?)?);
    }
    Array::from_le_bytes(aval, &out)
}
