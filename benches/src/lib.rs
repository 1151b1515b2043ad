//! The workloads that cotangent and its peers are timed on, and how they are measured.
//!
//! A [`Workload`](workload::Workload) has inputs that any language can make again and a function written as a user writes it.
//! The program `cotangent-bench` runs one of them in a fresh process and prints what it measured; the README says how it runs
//! beside other contenders.

#![forbid(unsafe_code)]

pub mod inputs;
pub mod measure;
pub mod process;
pub mod protocol;
pub mod steps;
pub mod workload;
pub mod workloads;
