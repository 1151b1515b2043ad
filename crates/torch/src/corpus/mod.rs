//! A corpus of cases: programs under transforms with the values that PyTorch gives.
//!
//! A folder with a `cases.json` is a suite: its programs, their cases, and the tensors in `data.safetensors`.

mod case;
mod compare;
mod run;

pub use case::{Case, Suite, find_suites};
pub use compare::difference;
pub use run::{Engine, Outcome, Status, case_graph, run_case};
