//! All tests of machine code that need no process of their own.

mod across;
mod agree;
mod calls;
#[path = "../common/mod.rs"]
mod common;
mod convolutions;
mod edges;
mod lines;
mod matrices;
mod products;
mod repeats;
mod routines;
mod symmetric;
mod turned;
mod winograd;
