//! What must not depend on threads, and what must not be left behind.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Pointwise, access, data, nest, paths, stage};
use cotangent_core::ir::{Aval, DType, Loc};
use cotangent_core::ops::{Binary, Convolution, Monoid, Unary};
use cotangent_jit::{Block, CallError, CompileOptions, compile, compile_with, threads};
use cotangent_loops::ir::*;

const D: DType = DType::F32;

/// Counts what the allocator gives out.
struct Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all the work.
unsafe impl std::alloc::GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { std::alloc::System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: std::alloc::Layout) {
        // SAFETY: the caller's.
        unsafe { std::alloc::System.dealloc(p, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The tests of this file count allocations and set threads: one at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// `y = tanh(x)`, and the sum of `y` in rows of `n`.
fn rows(rows: usize, n: usize) -> LoopProgram {
    let v = BodyValue;
    let ops = vec![
        (BodyOp::Load(0), D),
        (BodyOp::Unary(Unary::Tanh, v(0)), D),
        (BodyOp::Store(1, v(1)), D),
        (BodyOp::ReduceLanes(0, Monoid::Sum, v(1)), D),
    ];
    let m = n as i64;
    let first = stage(n, vec![access(0, 0, &[m], &[], 1), access(1, 0, &[m], &[], 1)], ops);
    let last = stage(1, vec![access(2, 0, &[1], &[], 0)], vec![(BodyOp::RowScalar(0), D), (BodyOp::Store(0, v(0)), D)]);
    Pointwise {
        inputs: vec![(D, rows * n)],
        outputs: vec![(D, rows * n), (D, rows)],
        nest: nest(&[rows], &[D], vec![first, last]),
    }
    .program()
}

fn block(n: usize, seed: u64) -> Block {
    let bytes = data(D, n, seed).to_le_bytes();
    let mut b = Block::new(bytes.len());
    b.bytes_mut().copy_from_slice(&bytes);
    // NaN and infinities would hide differences of sums.
    for c in b.bytes_mut().chunks_exact_mut(4) {
        let x = f32::from_le_bytes(c.try_into().expect("four bytes"));
        c.copy_from_slice(&(if x.is_finite() { x.clamp(-3.0, 3.0) } else { 0.1 }).to_le_bytes());
    }
    b
}

/// The sums down the columns of `rows` matrices of `[height, n]`.
fn columns(rows: usize, height: usize, n: usize) -> LoopProgram {
    let m = n as i64;
    let sum = Stage {
        serial: vec![height],
        lanes: n,
        columns: vec![(Monoid::Sum, D)],
        accesses: vec![access(0, 0, &[m * height as i64], &[m], 1), access(1, 0, &[m], &[0], 1)],
        body: Body { ops: vec![(BodyOp::Load(0), D), (BodyOp::ReduceSerial(0, BodyValue(0)), D)] },
        after: Body { ops: vec![(BodyOp::Column(0), D), (BodyOp::Store(1, BodyValue(0)), D)] },
    };
    let inputs = vec![(D, rows * height * n)];
    Pointwise { inputs, outputs: vec![(D, rows * n)], nest: nest(&[rows], &[], vec![sum]) }.program()
}

#[test]
fn bits_do_not_depend_on_threads() {
    let _alone = alone();
    let of_rows = [(1, 1_000_003), (3, 300_001), (500, 1000), (100_000, 7)].map(|(r, n)| (rows(r, n), r, n));
    let of_columns = [(1, 64, 8000), (64, 64, 1024), (9, 50, 1030)].map(|(r, h, n)| (columns(r, h, n), r * h, n));
    let programs: Vec<_> = of_rows.into_iter().chain(of_columns).collect();
    for (path, (program, r, n)) in paths().into_iter().flat_map(|path| programs.iter().map(move |p| (path, p))) {
        let compiled = compile_with(program, CompileOptions { path }).expect("compiles");
        let x = block(r * n, 1);
        let mut first: Option<Vec<Block>> = None;
        for t in [1, 2, 4] {
            threads::set_num_threads(t);
            let out = compiled.call(&[x.bytes()]).expect("runs");
            match &first {
                None => first = Some(out),
                Some(f) => {
                    assert!(
                        f.iter().zip(&out).all(|(a, b)| a.bytes() == b.bytes()),
                        "[{r}, {n}] on {path:?} and {t} threads"
                    )
                }
            }
        }
    }
}

#[test]
fn products_do_not_depend_on_threads() {
    let _alone = alone();
    let (m, k, n) = (200, 333, 177);
    let mut p = LoopProgram::default();
    for (len, role) in [(m * k, Role::Param), (k * n, Role::Param), (m * n, Role::Result)] {
        p.buffers.push(Buffer { dtype: D, len, role });
    }
    p.params = vec![BufferId(0), BufferId(1)];
    p.results = vec![BufferId(2)];
    let dense = |cols: usize| Matrix { offset: 0, batch: 0, row: cols as i64, col: 1 };
    p.steps.push(Step::Routine(Routine {
        kind: RoutineKind::MatMul { batch: 1, m, k, n, lhs: dense(k), rhs: dense(n) },
        inputs: vec![BufferId(0), BufferId(1)],
        outputs: vec![BufferId(2)],
        loc: Loc::default(),
        name: "mm".to_owned(),
    }));
    let compiled = compile(&p).expect("compiles");
    let (a, b) = (block(m * k, 1), block(k * n, 2));
    let run = |t| {
        threads::set_num_threads(t);
        compiled.call(&[a.bytes(), b.bytes()]).expect("runs").remove(0)
    };
    let one = run(1);
    assert!([2, 4].into_iter().all(|t| run(t).bytes() == one.bytes()));
}

/// Of each form of a convolution: planes, channels as lanes, positions as lanes, images as lanes, squares, gathered, also in several sums.
#[test]
fn convolutions_do_not_depend_on_threads() {
    let _alone = alone();
    let cases = [
        ([2, 9, 31, 33], [9, 1, 5, 5], 9, 2),
        ([1, 1, 61, 40], [2, 1, 3, 3], 1, 1),
        ([3, 24, 13, 14], [40, 24, 3, 3], 1, 1),
        ([2, 5, 30, 64], [12, 5, 3, 3], 1, 1),
        ([45, 7, 13, 12], [70, 7, 12, 11], 1, 0),
        ([3, 11, 6, 5], [9, 11, 3, 3], 1, 0),
        ([3, 32, 16, 17], [40, 32, 3, 3], 1, 1),
        ([1, 30, 20, 20], [6, 30, 18, 18], 1, 1),
        ([3, 3, 32, 32], [40, 3, 4, 4], 1, 0),
    ];
    for (x, w, groups, padding) in cases {
        let op = Convolution { padding: vec![padding; 2], groups, ..Convolution::plain(2) };
        let program = common::routine(op.into(), &[Aval::new(D, x), Aval::new(D, w)]);
        let (a, b) = (block(x.iter().product(), 1), block(w.iter().product(), 2));
        for path in paths() {
            let compiled = compile_with(&program, CompileOptions { path }).expect("compiles");
            let run = |t| {
                threads::set_num_threads(t);
                compiled.call(&[a.bytes(), b.bytes()]).expect("runs").remove(0)
            };
            let one = run(1);
            let same = [2, 4].into_iter().all(|t| run(t).bytes() == one.bytes());
            assert!(same, "{x:?} and {w:?} on {path:?}");
        }
    }
}

#[test]
fn many_callers_at_once() {
    let _alone = alone();
    threads::set_num_threads(4);
    let compiled = compile(&rows(64, 4096)).expect("compiles");
    let x = block(64 * 4096, 3);
    let expected = compiled.call(&[x.bytes()]).expect("runs");
    std::thread::scope(|s| {
        for t in 0..8 {
            let (compiled, x, expected) = (&compiled, &x, &expected);
            s.spawn(move || {
                for i in 0..50 {
                    if i % 10 == t {
                        drop(compile(&rows(8, 100 + i)).expect("compiles"));
                    }
                    let out = compiled.call(&[x.bytes()]).expect("runs");
                    assert!(out.iter().zip(expected).all(|(a, b)| a.bytes() == b.bytes()));
                }
            });
        }
    });
}

#[test]
fn warm_calls_allocate_nothing() {
    let _alone = alone();
    threads::set_num_threads(2);
    for (r, n) in [(1, 4), (16, 1000), (1, 100_000)] {
        let compiled = compile(&rows(r, n)).expect("compiles");
        let x = block(r * n, 5);
        let mut out = Vec::new();
        let args = [x.bytes()];
        for _ in 0..20 {
            compiled.call_into(&args, &mut out).expect("runs");
        }
        // Helpers warm up their own memory at their own time.
        let best = (0..50).map(|_| {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            compiled.call_into(&args, &mut out).expect("runs");
            ALLOCATIONS.load(Ordering::Relaxed) - before
        });
        assert_eq!(best.min(), Some(0), "[{r}, {n}]");
    }
}

#[test]
fn code_of_dropped_programs_is_freed() {
    let _alone = alone();
    let mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        (maps.lines().filter(|l| l.contains("r-xp")).count(), maps.lines().filter(|l| l.contains("rwx")).count())
    };
    let (before, writable) = mapped();
    assert_eq!(writable, 0);
    let kept: Vec<_> = (1..50).map(|n| compile(&rows(2, n)).expect("compiles")).collect();
    assert_eq!(mapped().1, 0, "code is never writable and executable");
    drop(kept);
    assert!(mapped().0 <= before + 1);
}

#[test]
fn wrong_arguments_and_data_are_errors() {
    let _alone = alone();
    let compiled = compile(&rows(1, 4)).expect("compiles");
    assert_eq!(compiled.call(&[]).unwrap_err(), CallError::Arity { expected: 1, found: 0 });
    assert_eq!(compiled.call(&[&[0; 3]]).unwrap_err(), CallError::Length { arg: 0, expected: 16, found: 3 });
    let d = DType::I64;
    let n = 9;
    let v = BodyValue;
    let ops = vec![
        (BodyOp::Load(0), d),
        (BodyOp::Load(1), d),
        (BodyOp::Binary(Binary::DivFloor, v(0), v(1)), d),
        (BodyOp::Store(2, v(2)), d),
    ];
    let accesses = (0..3).map(|b| access(b, 0, &[], &[], 1)).collect();
    let p = Pointwise {
        inputs: vec![(d, n), (d, n)],
        outputs: vec![(d, n)],
        nest: nest(&[], &[], vec![stage(n, accesses, ops)]),
    };
    let mut divisor = Block::new(8 * n);
    divisor.bytes_mut().fill(1);
    divisor.bytes_mut()[8 * 6..8 * 7].fill(0);
    let error = compile(&p.program()).expect("compiles").call(&[divisor.bytes(), divisor.bytes()]).unwrap_err();
    let CallError::Data { op, source, .. } = error else { panic!("{error}") };
    assert_eq!((op.as_str(), source), ("div", cotangent_core::error::EvalError::ZeroDivision { at: 6 }));
}
