//! Calls with a place for each result, donated arguments, and the C function.

use crate::common::{Pointwise, access, data, nest, stage};
use cotangent_core::ir::DType;
use cotangent_core::ops::Binary;
use cotangent_jit::{Block, CallError, CompileOptions, Compiled, Input, Output, RawStatus, compile, compile_with};
use cotangent_loops::ir::*;

const D: DType = DType::F32;
const N: usize = 1000;

/// `z = x - y`, and then `x` twice more if `later`, so that `x` is read after `z` is written.
fn difference() -> Compiled {
    let v = BodyValue;
    let ops = vec![
        (BodyOp::Load(0), D),
        (BodyOp::Load(1), D),
        (BodyOp::Binary(Binary::Sub, v(0), v(1)), D),
        (BodyOp::Store(2, v(2)), D),
    ];
    let each = |b| access(b, 0, &[], &[], 1);
    let program = Pointwise {
        inputs: vec![(D, N), (D, N)],
        outputs: vec![(D, N)],
        nest: nest(&[], &[], vec![stage(N, vec![each(0), each(1), each(2)], ops)]),
    }
    .program();
    compile(&program).expect("compiles")
}

fn block(n: usize, seed: u64) -> Block {
    let mut block = Block::new(4 * n);
    block.bytes_mut().copy_from_slice(&data(D, n, seed).to_le_bytes());
    block
}

#[test]
fn results_go_where_they_are_told() {
    let program = difference().donating(|p, _| p == 0);
    assert_eq!(program.reused(0), Some(0));
    let (mut x, y) = (block(N, 1), block(N, 2));
    let expected = program.call(&[x.bytes(), y.bytes()]).expect("runs").remove(0);

    let mut given = Block::new(4 * N);
    let mut outputs = [Output::Given(given.bytes_mut())];
    program.call_at(&mut [Input::Shared(x.bytes()), Input::Shared(y.bytes())], &mut outputs).expect("runs");
    assert_eq!(given.bytes(), expected.bytes());

    let mut inputs = [Input::Donated(x.bytes_mut()), Input::Shared(y.bytes())];
    program.call_at(&mut inputs, &mut [Output::InPlace]).expect("runs");
    assert_eq!(x.bytes(), expected.bytes());
}

#[test]
fn places_that_do_not_fit_are_errors() {
    let program = difference().donating(|p, _| p == 1);
    let (x, y) = (block(N, 1), block(N, 2));
    let call = |outputs: &mut [Output]| {
        program.call_at(&mut [Input::Shared(x.bytes()), Input::Shared(y.bytes())], outputs).unwrap_err()
    };
    assert_eq!(call(&mut []), CallError::Results { expected: 1, found: 0 });
    let short = &mut [0u8; 7][..];
    assert!(matches!(call(&mut [Output::Given(short)]), CallError::Output { result: 0, expected: 4000, .. }));
    let mut memory = Block::new(4 * N + 1);
    let crooked = &mut memory.bytes_mut()[1..];
    assert_eq!(call(&mut [Output::Given(crooked)]), CallError::Output { result: 0, expected: 4000, found: 0 });
    // The argument is not donated in this call.
    assert_eq!(call(&mut [Output::InPlace]), CallError::Output { result: 0, expected: 4000, found: 0 });
}

/// `y[i, j] = x[i, j] − i` of so large a `y` that it is written past the caches, where rows are whole cache lines or not.
#[test]
fn large_results_stand_in_memory_of_any_alignment() {
    let (rows, row) = (129i64, 32 * 1024 + 16);
    for lanes in [row, row - 5] {
        let n = (rows * row) as usize;
        let v = BodyValue;
        let index = BodyOp::Index { of: Loop::Outer(0), scale: 1, offset: 0 };
        let ops = vec![
            (BodyOp::Load(0), D),
            (index, D),
            (BodyOp::Binary(Binary::Sub, v(0), v(1)), D),
            (BodyOp::Store(1, v(2)), D),
        ];
        let each = |b| access(b, 0, &[row], &[], 1);
        let nest = nest(&[rows as usize], &[], vec![stage(lanes as usize, vec![each(0), each(1)], ops)]);
        let program = Pointwise { inputs: vec![(D, n)], outputs: vec![(D, n)], nest }.program();
        let x: Vec<f32> = (0..n).map(|i| (i % 4099) as f32).collect();
        let right = |y: &[u8]| {
            let y: &[f32] = bytemuck::cast_slice(y);
            let rows = x.chunks(row as usize).zip(y.chunks(row as usize)).enumerate();
            let mut points = rows.flat_map(|(i, (x, y))| x.iter().zip(y).take(lanes as usize).map(move |p| (i, p)));
            points.all(|(i, (x, y))| *y == x - i as f32)
        };
        for path in crate::common::paths() {
            let program = compile_with(&program, CompileOptions { path }).expect("compiles").donating(|_, _| true);
            let input = || Input::Shared(bytemuck::cast_slice(&x));
            let mut made = [Output::Made(None)];
            program.call_at(&mut [input()], &mut made).expect("runs");
            assert!(right(made[0].take_made().expect("a block").bytes()), "{path:?}");
            for off in [0, 4] {
                let mut memory = Block::new(4 * n + off);
                program.call_at(&mut [input()], &mut [Output::Given(&mut memory.bytes_mut()[off..])]).expect("runs");
                assert!(right(&memory.bytes()[off..]), "{path:?} at {off}");
                memory.bytes_mut()[off..].copy_from_slice(bytemuck::cast_slice(&x));
                let donated = Input::Donated(&mut memory.bytes_mut()[off..]);
                program.call_at(&mut [donated], &mut [Output::InPlace]).expect("runs");
                assert!(right(&memory.bytes()[off..]), "{path:?} in place at {off}");
            }
        }
    }
}

#[test]
fn the_c_function_calls_the_program() {
    let program = difference().donating(|p, _| p == 0);
    let (mut x, y, z) = (block(N, 1), block(N, 2), Block::new(4 * N));
    let expected = program.call(&[x.bytes(), y.bytes()]).expect("runs").remove(0);
    let raw = program.raw();
    let call = |inputs: [*const u8; 2], output: *mut u8| {
        // SAFETY: the addresses are null, or of buffers of the program's sizes, of which the output is one that may be the first input.
        unsafe { (raw.entry)(raw.program, inputs.as_ptr(), [output].as_ptr()) }
    };
    let (at_x, at_y): (*mut u8, *const u8) = (x.bytes_mut().as_mut_ptr(), y.as_ptr());
    assert_eq!(call([at_x, at_y], z.as_ptr()), RawStatus::Done as i32);
    assert_eq!(z.bytes(), expected.bytes());
    assert_eq!(call([at_x, std::ptr::null()], z.as_ptr()), RawStatus::Address as i32);
    assert_eq!(call([at_x, at_y], std::ptr::null_mut()), RawStatus::Address as i32);
    assert_eq!(call([at_x, at_y], z.as_ptr().wrapping_add(1)), RawStatus::Address as i32);
    assert_eq!(call([at_x, at_y], at_x), RawStatus::Done as i32);
    assert_eq!(x.bytes(), expected.bytes());
}
