//! The way from machine code to scalar functions.

use crate::frame::Frame;
use crate::lane::ScalarCall;

/// A call in the code.
#[derive(Debug)]
pub struct Call {
    /// Which function.
    pub function: ScalarCall,
    /// Whether operands have 64 bits, and the result.
    pub wide: (bool, bool),
    /// Whether a mask says which lanes are computed.
    pub guarded: bool,
    /// Whether the mask's lanes have 64 bits.
    pub wide_mask: bool,
}

/// Operands and result on the stack of the machine code, each with room for the longest vector.
#[repr(C)]
pub struct Area {
    a: [u64; 8],
    b: [u64; 8],
    mask: [u64; 8],
    /// The values of lanes that are not computed on entry, the result on return.
    result: [u64; 8],
}

impl Area {
    /// The bytes from a vector to the next: `a`, `b`, `mask`, `result`.
    pub const VECTOR: usize = 64;
}

fn read(x: &[u64; 8], wide: bool, lane: usize) -> u64 {
    if wide { x[lane] } else { x[lane / 2] >> (32 * (lane % 2)) & 0xffff_ffff }
}

fn write(x: &mut [u64; 8], wide: bool, lane: usize, y: u64) {
    if wide {
        x[lane] = y;
    } else {
        let shift = 32 * (lane % 2);
        x[lane / 2] = x[lane / 2] & !(0xffff_ffff << shift) | (y & 0xffff_ffff) << shift;
    }
}

/// Computes the lanes of a call. A panic inside would abort: it cannot unwind through machine code.
///
/// # Safety
/// The pointers are those of the running program; `lanes` is at most the lanes of a vector.
pub unsafe extern "C" fn call(call: *const Call, area: *mut Area, lanes: u64, first: u64, frame: *mut u64) {
    // SAFETY: machine code passes on the address with which it was called.
    let frame = unsafe { Frame::running(frame) };
    // SAFETY: the program that runs keeps the call alive, and the area is on its stack.
    let (call, area) = unsafe { (&*call, &mut *area) };
    for lane in 0..lanes as usize {
        if call.guarded && read(&area.mask, call.wide_mask, lane) == 0 {
            continue;
        }
        let (a, b) = (read(&area.a, call.wide.0, lane), read(&area.b, call.wide.0, lane));
        let y = call.function.apply(a, b).unwrap_or_else(|failure| {
            frame.fail(first as usize + lane, failure);
            0
        });
        write(&mut area.result, call.wide.1, lane, y);
    }
}
