//! A compiled program as a C function.

use std::panic::{AssertUnwindSafe, catch_unwind};

use smallvec::SmallVec;

use crate::error::CallError;
use crate::operand::{Input, Output};
use crate::program::Compiled;

/// A call of a program through addresses: 0, or why it failed.
///
/// # Safety
/// `program` is a [`Compiled`] that lives for the whole call. `inputs` are the addresses of as many dense row-major buffers as the program
/// has parameters, `outputs` of as many as it has results, each of its length. Nobody else writes them during the call, and an
/// output overlaps no other memory of the call, but for one: it may be the very input that [`Compiled::reused`] names.
pub type RawEntry =
    unsafe extern "C" fn(program: *const Compiled, inputs: *const *const u8, outputs: *const *mut u8) -> i32;

/// What a [`RawEntry`] returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum RawStatus {
    /// The outputs hold the results.
    Done = 0,
    /// Data that an op cannot compute with, such as an index out of range.
    Data = 1,
    /// An address that is null where there are elements, or not aligned to them.
    Address = 2,
    /// A bug of ours.
    Bug = 3,
}

/// A program and the C function that calls it.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The function.
    pub entry: RawEntry,
    /// Its first argument; the address is that of the program, which has to outlive the calls.
    pub program: &'a Compiled,
}

impl Compiled {
    /// The program as a C function, for callers that have addresses.
    pub fn raw(&self) -> Raw<'_> {
        Raw { entry, program: self }
    }
}

/// # Safety
/// See [`RawEntry`].
unsafe extern "C" fn entry(program: *const Compiled, inputs: *const *const u8, outputs: *const *mut u8) -> i32 {
    // SAFETY: the caller's.
    let called = catch_unwind(AssertUnwindSafe(|| unsafe { call(&*program, inputs, outputs) }));
    called.unwrap_or(RawStatus::Bug) as i32
}

/// # Safety
/// See [`RawEntry`].
unsafe fn call(program: &Compiled, inputs: *const *const u8, outputs: *const *mut u8) -> RawStatus {
    let (params, results) = (program.param_bytes(), program.result_bytes());
    // SAFETY: the caller's: so many addresses, also where there are none.
    let (given, places): (SmallVec<[*const u8; 8]>, SmallVec<[*mut u8; 8]>) = unsafe {
        (
            (0..params.len()).map(|i| inputs.add(i).read()).collect(),
            (0..results.len()).map(|k| outputs.add(k).read()).collect(),
        )
    };
    let null = |bytes: usize, at: *const u8| bytes > 0 && at.is_null();
    let lost = params.clone().zip(&given).any(|(n, at)| null(n, *at));
    if lost || results.clone().zip(&places).any(|(n, at)| null(n, *at)) {
        return RawStatus::Address;
    }
    let in_place = |k: usize| program.reused(k).filter(|p| given[*p] == places[k].cast_const() && !given[*p].is_null());
    let donated = |p: usize| (0..places.len()).any(|k| in_place(k) == Some(p));
    let mut inputs: SmallVec<[Input; 8]> = params
        .enumerate()
        .map(|(i, n)| match n {
            0 => Input::Shared(&[]),
            // SAFETY: the caller's; the memory is also an output, so it may be written.
            _ if donated(i) => Input::Donated(unsafe { std::slice::from_raw_parts_mut(given[i].cast_mut(), n) }),
            // SAFETY: the caller's.
            _ => Input::Shared(unsafe { std::slice::from_raw_parts(given[i], n) }),
        })
        .collect();
    let mut outputs: SmallVec<[Output; 8]> = results
        .enumerate()
        .map(|(k, n)| match n {
            0 => Output::Given(&mut []),
            _ if in_place(k).is_some() => Output::InPlace,
            // SAFETY: the caller's; what is unspecified there is written before it is read.
            _ => Output::Given(unsafe { std::slice::from_raw_parts_mut(places[k], n) }),
        })
        .collect();
    match program.call_at(&mut inputs, &mut outputs) {
        Ok(()) => RawStatus::Done,
        Err(CallError::Data { .. }) => RawStatus::Data,
        Err(CallError::Alignment { .. } | CallError::Output { .. }) => RawStatus::Address,
        Err(
            CallError::Arity { .. } | CallError::Length { .. } | CallError::Results { .. } | CallError::Panic { .. },
        ) => RawStatus::Bug,
    }
}
