//! From graphs to loops: fusion, lowering, and an interpreter of loop programs.

#![forbid(unsafe_code)]

pub mod interp;
pub mod ir;
