//! Raw elements in an archive.

use cotangent_core::array::Array;
use cotangent_core::ir::Aval;

/// The most bytes to which the elements of a smaller storage may be repeated.
const MAX_REPEATED: usize = 1 << 30;

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
    let start = usize::try_from(offset).ok()?.checked_mul(width)?;
    // A file may say that one element fills any shape.
    if n.checked_mul(width)? > bytes.len().max(MAX_REPEATED) {
        return None;
    }
    if is_dense(aval, strides) {
        return Array::from_le_bytes(aval, bytes.get(start..start.checked_add(n.checked_mul(width)?)?)?);
    }
    let row_major: Vec<i64> = aval.shape.strides().iter().map(|s| *s as i64).collect();
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

/// Whether these are the strides of a dense row-major array.
pub(crate) fn is_dense(aval: &Aval, strides: &[i64]) -> bool {
    let dense = aval.shape.strides();
    let sizes = aval.shape.sizes();
    sizes.len() == strides.len()
        && sizes.iter().zip(strides.iter().zip(dense.iter())).all(|(n, (s, d))| *n <= 1 || *s == *d as i64)
}
