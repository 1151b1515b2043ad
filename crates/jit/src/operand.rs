//! What a call gets and where its results go.

use crate::memory::Block;

/// The elements of an argument.
#[derive(Debug)]
pub enum Input<'a> {
    /// They are only read.
    Shared(&'a [u8]),
    /// They may be overwritten: with the result that [`Compiled::reused`](crate::Compiled::reused) puts there, or with anything if the call fails.
    Donated(&'a mut [u8]),
}

impl Input<'_> {
    /// The elements.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Input::Shared(bytes) => bytes,
            Input::Donated(bytes) => bytes,
        }
    }

    /// The address; written through only if the argument is donated.
    pub(crate) fn address(&mut self) -> *mut u8 {
        match self {
            Input::Shared(bytes) => bytes.as_ptr().cast_mut(),
            Input::Donated(bytes) => bytes.as_mut_ptr(),
        }
    }
}

/// Where a result of a call goes.
#[derive(Debug)]
pub enum Output<'a> {
    /// To a block, which the call puts here.
    Made(Option<Block>),
    /// To this memory, which has the result's length and is aligned to its elements.
    Given(&'a mut [u8]),
    /// To the memory of the donated argument that [`Compiled::reused`](crate::Compiled::reused) names.
    InPlace,
}

impl Output<'_> {
    /// The block of a result that a call has made.
    pub fn take_made(&mut self) -> Option<Block> {
        match self {
            Output::Made(block) => block.take(),
            Output::Given(_) | Output::InPlace => None,
        }
    }
}
