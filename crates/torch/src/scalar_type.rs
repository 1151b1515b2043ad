//! PyTorch's serialized scalar types.

use cotangent_core::ir::DType;

use crate::error::TorchError;

/// Those that are dtypes of tensors here.
const OURS: [(i64, DType); 10] = [
    (1, DType::U8),
    (2, DType::I8),
    (3, DType::I16),
    (4, DType::I32),
    (5, DType::I64),
    (6, DType::F16),
    (7, DType::F32),
    (8, DType::F64),
    (12, DType::Bool),
    (13, DType::BF16),
];

/// Those that are not.
const FOREIGN: [(i64, &str); 11] = [
    (9, "complex32"),
    (10, "complex64"),
    (11, "complex128"),
    (UINT16, "uint16"),
    (29, "float8_e4m3fn"),
    (30, "float8_e5m2"),
    (31, "float8_e4m3fnuz"),
    (32, "float8_e5m2fnuz"),
    (33, "float8_e8m0fnu"),
    (UINT32, "uint32"),
    (35, "uint64"),
];

const UINT16: i64 = 28;
const UINT32: i64 = 34;

/// The dtype of a scalar type.
pub(crate) fn dtype(code: i64) -> Option<DType> {
    OURS.iter().find(|(c, _)| *c == code).map(|(_, d)| *d)
}

/// The scalar type of a dtype.
pub(crate) fn code(dtype: DType) -> i64 {
    OURS.iter().find(|(_, d)| *d == dtype).expect("the table has every dtype").0
}

/// What is said of a scalar type that no tensor here has.
pub(crate) fn unsupported(code: i64) -> String {
    match FOREIGN.iter().find(|(c, _)| *c == code) {
        Some((_, name)) => format!("unsupported dtype {name}"),
        None => format!("unsupported scalar type {code}"),
    }
}

/// The dtype that node `node` names to `target` by a scalar type.
///
/// The exporter numbers the rows of an identity matrix in the smallest unsigned type. Such numbers are made in the dtype
/// that holds them all.
///
/// *Errors*: any other scalar type that no tensor here has.
pub(crate) fn named(target: &str, node: &str, code: i64) -> Result<DType, TorchError> {
    let wider = match code {
        UINT16 => Some(DType::I32),
        UINT32 => Some(DType::I64),
        _ => None,
    };
    let made = wider.filter(|_| target.starts_with("aten.arange."));
    dtype(code).or(made).ok_or_else(|| TorchError::Refused {
        target: target.to_owned(),
        node: node.to_owned(),
        reason: unsupported(code),
    })
}
