//! Operators that no functional program of static shapes can express: refused by name, with the reason.

use super::{Answer, parts};
use crate::args::Call;

const DATA: &str = "the number of elements of its result depends on data, and sizes are part of the graph";
const SPLIT: &str =
    "the sizes of its results depend on data, and sizes are part of the graph; give the indices as numbers";
const HOST: &str = "it takes a number out of a tensor, so that the program would depend on data";
const STRIDES: &str = "tensors have no strides and no storage here; export the program with contiguous tensors";
const COMPLEX: &str = "complex numbers are not supported; use their real and imaginary parts";

/// Operators and why they are refused.
const REFUSED: &[(&str, &str)] = &[
    ("nonzero", DATA),
    ("nonzero_numpy", DATA),
    ("argwhere", DATA),
    ("masked_select", DATA),
    ("unique_consecutive", DATA),
    ("unique_dim", DATA),
    ("unique_dim_consecutive", DATA),
    ("_unique", DATA),
    ("_unique2", DATA),
    ("bincount", DATA),
    ("tensor_split", SPLIT),
    ("equal", HOST),
    ("allclose", HOST),
    ("is_nonzero", HOST),
    ("resize_", STRIDES),
    ("sym_stride", STRIDES),
    ("sym_storage_offset", STRIDES),
    ("complex", COMPLEX),
    ("polar", COMPLEX),
    ("view_as_complex", COMPLEX),
    ("view_as_real", COMPLEX),
    ("imag", COMPLEX),
    ("_fft_c2c", COMPLEX),
    ("_fft_c2r", COMPLEX),
    ("_fft_r2c", COMPLEX),
];

/// The overloads of this theme.
pub(super) fn call(c: &Call) -> Answer {
    let Some((name, _)) = parts(c) else { return Ok(None) };
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some((_, reason)) => Err(c.refused(&helped(name, reason))),
        None => Ok(None),
    }
}

/// The reason with what to use instead, where there is something.
fn helped(name: &str, reason: &str) -> String {
    match name {
        "nonzero" | "nonzero_numpy" | "argwhere" => format!("{reason}; use nonzero_static(size=…)"),
        "masked_select" => format!("{reason}; use where or masked_fill"),
        _ => reason.to_owned(),
    }
}
