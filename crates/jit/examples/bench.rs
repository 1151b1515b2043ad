//! Figures of the code generator: ns per element of pointwise bodies, time to compile, time of a call.
//!
//! `cargo run --release -p cotangent-jit --example bench`, with `paths` behind `--` for the comparison of paths only.

use std::hint::black_box;
use std::time::Instant;

use cotangent_core::ir::{Aval, DType, Loc, Shape};
use cotangent_core::ops::{Argmax, Binary, Convolution, Cumsum, Monoid, Op, Unary};
use cotangent_jit::{Block, CompileOptions, Compiled, Path, compile_with, threads};
use cotangent_loops::ir::*;

type Ops = Vec<(BodyOp, DType)>;

fn push(ops: &mut Ops, op: BodyOp, d: DType) -> BodyValue {
    ops.push((op, d));
    BodyValue(ops.len() as u32 - 1)
}

fn constant(ops: &mut Ops, x: f64, d: DType) -> BodyValue {
    push(ops, BodyOp::Const(x.into()), d)
}

fn program(d: DType, n: usize, inputs: usize, body: impl Fn(&mut Ops, &[BodyValue]) -> BodyValue) -> LoopProgram {
    let mut p = LoopProgram::default();
    let mut ops = Ops::new();
    let mut accesses = Vec::new();
    let xs: Vec<BodyValue> = (0..inputs).map(|i| push(&mut ops, BodyOp::Load(i as u32), d)).collect();
    let y = body(&mut ops, &xs);
    push(&mut ops, BodyOp::Store(inputs as u32, y), d);
    for i in 0..=inputs {
        let id = BufferId(i as u32);
        let role = if i < inputs { Role::Param } else { Role::Result };
        if i < inputs {
            p.params.push(id)
        } else {
            p.results.push(id)
        }
        p.buffers.push(Buffer { dtype: d, len: n, role });
        accesses.push(Access {
            memory: Memory::Buffer(id),
            offset: 0,
            outer: vec![],
            serial: vec![],
            lane: 1,
            aim: None,
        });
    }
    let stage =
        Stage { serial: vec![], lanes: n, columns: vec![], accesses, body: Body { ops }, after: Body::default() };
    p.steps.push(Step::Nest(Nest {
        outer: vec![],
        scratch: vec![],
        scalars: vec![],
        stages: vec![stage],
        lookups: vec![],
        locs: vec![],
    }));
    p
}

/// `y = x − relu(y · a + b)`, five times.
fn chain(ops: &mut Ops, xs: &[BodyValue], d: DType) -> BodyValue {
    let (x, mut y) = (xs[0], xs[0]);
    let zero = constant(ops, 0.0, d);
    for i in 1..=5 {
        let (a, b) = (constant(ops, 0.9 + 0.02 * f64::from(i), d), constant(ops, 0.1 * f64::from(i), d));
        let t = push(ops, BodyOp::Binary(Binary::Mul, y, a), d);
        let t = push(ops, BodyOp::Binary(Binary::Add, t, b), d);
        let t = push(ops, BodyOp::Binary(Binary::Maximum, t, zero), d);
        y = push(ops, BodyOp::Binary(Binary::Sub, x, t), d);
    }
    y
}

/// Ten transcendental functions: the workload `heavy`.
fn heavy(ops: &mut Ops, xs: &[BodyValue], d: DType) -> BodyValue {
    let (x, mut y) = (xs[0], xs[0]);
    let (half, shift) = (constant(ops, 0.5, d), constant(ops, 1.5, d));
    for i in 1..=2 {
        let t = push(ops, BodyOp::Unary(Unary::Sin, y), d);
        let t = push(ops, BodyOp::Binary(Binary::Mul, t, half), d);
        y = push(ops, BodyOp::Unary(Unary::Exp, t), d);
        let t = push(ops, BodyOp::Binary(Binary::Add, y, shift), d);
        let t = push(ops, BodyOp::Unary(Unary::Log, t), d);
        y = push(ops, BodyOp::Unary(Unary::Tanh, t), d);
        let k = constant(ops, f64::from(i), d);
        let t = push(ops, BodyOp::Binary(Binary::Mul, k, x), d);
        let t = push(ops, BodyOp::Binary(Binary::Add, y, t), d);
        y = push(ops, BodyOp::Unary(Unary::Cos, t), d);
    }
    y
}

/// The four functions of jit.md §1 in a row.
fn four(ops: &mut Ops, xs: &[BodyValue], d: DType) -> BodyValue {
    let mut y = xs[0];
    for f in [Unary::Sin, Unary::Exp, Unary::Log, Unary::Tanh] {
        y = push(ops, BodyOp::Unary(f, y), d);
    }
    y
}

fn input(d: DType, n: usize, k: u64) -> Block {
    let mut block = Block::new(n * d.size_bytes());
    for (i, c) in block.bytes_mut().chunks_exact_mut(d.size_bytes()).enumerate() {
        let raw = (i as u64).wrapping_mul(2_654_435_761).wrapping_add(k * 40_503 + 12_345) as u32;
        let x = (f64::from(raw) / 4_294_967_296.0 - 0.5) * 4.0;
        if d == DType::F64 { c.copy_from_slice(&x.to_le_bytes()) } else { c.copy_from_slice(&(x as f32).to_le_bytes()) }
    }
    block
}

/// The best of several rounds, in ns a call.
fn time(compiled: &Compiled, inputs: &[Block]) -> f64 {
    let args: Vec<&[u8]> = inputs.iter().map(Block::bytes).collect();
    let mut out = Vec::new();
    let mut once = || compiled.call_into(black_box(&args), &mut out).expect("runs");
    once();
    let start = Instant::now();
    once();
    let calls = (2e7 / start.elapsed().as_nanos().max(50) as f64).clamp(1.0, 100_000.0) as u32;
    let round = |_| {
        let start = Instant::now();
        (0..calls).for_each(|_| once());
        start.elapsed().as_nanos() as f64 / f64::from(calls)
    };
    (0..9).map(round).fold(f64::INFINITY, f64::min)
}

fn row(name: &str, p: &LoopProgram, d: DType, path: Path) {
    let compile = || {
        let start = Instant::now();
        let c = compile_with(p, CompileOptions { path }).expect("compiles");
        (start.elapsed().as_nanos() as f64 / 1e3, c)
    };
    let best = (0..20).map(|_| compile().0).fold(f64::INFINITY, f64::min);
    let compiled = compile().1;
    let n = p.buffers[0].len;
    let inputs: Vec<Block> =
        p.params.iter().enumerate().map(|(k, b)| input(d, p.buffers[b.0 as usize].len, 7919 * k as u64)).collect();
    let ns = time(&compiled, &inputs);
    println!(
        "{name:<22} {n:>9} {path:?}: {:>9.3} ns/element {:>12.1} ns/call, compiled in {best:.1} µs, {} bytes",
        ns / n.max(1) as f64,
        ns,
        compiled.code_bytes()
    );
}

fn main() {
    if std::env::args().any(|arg| arg == "paths") {
        threads::set_num_threads(1);
        return paths(1 << 12);
    }
    let (f32, f64) = (DType::F32, DType::F64);
    for threads in [1, 2] {
        threads::set_num_threads(threads);
        println!("-- {threads} threads");
        for n in [4, 1 << 10, 1 << 16, 1 << 20] {
            row("chain20", &program(f32, n, 1, |o, x| chain(o, x, f32)), f32, Path::Auto);
            row("four", &program(f32, n, 1, |o, x| four(o, x, f32)), f32, Path::Auto);
            row("heavy", &program(f32, n, 1, |o, x| heavy(o, x, f32)), f32, Path::Auto);
        }
        row("chain20 f64", &program(f64, 1 << 16, 1, |o, x| chain(o, x, f64)), f64, Path::Auto);
        row("heavy f64", &program(f64, 1 << 16, 1, |o, x| heavy(o, x, f64)), f64, Path::Auto);
        let add = |n| program(f32, n, 2, |o, x| push(o, BodyOp::Binary(Binary::Add, x[0], x[1]), f32));
        row("add", &add(1 << 20), f32, Path::Auto);
        row("add", &add(1 << 24), f32, Path::Auto);
        row("sum_sq", &sum_sq(1 << 24), f32, Path::Auto);
        for f in [Unary::Exp, Unary::Log, Unary::Sin, Unary::Tanh, Unary::Erf, Unary::Sigmoid] {
            row(
                &format!("{f:?}"),
                &program(f32, 1 << 12, 1, |o, x| push(o, BodyOp::Unary(f, x[0]), f32)),
                f32,
                Path::Auto,
            );
        }
        row("softmax", &softmax(4096, 1024), f32, Path::Auto);
        row("softmax", &softmax(64, 1024), f32, Path::Auto);
        row("softmax", &softmax(1024, 64), f32, Path::Auto);
        for n in [8, 16, 64, 256, 1024] {
            row(&format!("mm {n}"), &product(1, n, n, n), f32, Path::Auto);
        }
        row("bmm 64 x 64", &product(64, 64, 64, 64), f32, Path::Auto);
        row("mv 4096", &product(1, 4096, 4096, 1), f32, Path::Auto);
        row("cumsum", &op(Cumsum { dim: 1 }.into(), &[&[4096, 1024]]), f32, Path::Auto);
        row("argmax", &op(Argmax { dim: 1 }.into(), &[&[4096, 1024]]), f32, Path::Auto);
        let conv = Convolution { padding: vec![1, 1], ..Convolution::plain(2) };
        row("conv2d", &op(conv.clone().into(), &[&[32, 64, 32, 32], &[64, 64, 3, 3]]), f32, Path::Auto);
        row("conv2d of weight", &op(conv.into(), &[&[64, 32, 32, 32], &[64, 32, 32, 32]]), f32, Path::Auto);
    }
    threads::set_num_threads(1);
    paths(1 << 12);
}

/// What the paths of the machine make of the same programs of `n` elements, side by side.
fn paths(n: usize) {
    let (f32, f64) = (DType::F32, DType::F64);
    let programs = [
        ("chain20", f32, program(f32, n, 1, |o, x| chain(o, x, f32))),
        ("four", f32, program(f32, n, 1, |o, x| four(o, x, f32))),
        ("heavy", f32, program(f32, n, 1, |o, x| heavy(o, x, f32))),
        ("chain20 f64", f64, program(f64, n, 1, |o, x| chain(o, x, f64))),
        ("four f64", f64, program(f64, n, 1, |o, x| four(o, x, f64))),
        ("sum_sq", f32, sum_sq(n)),
        ("softmax", f32, softmax(n / 64, 64)),
    ];
    for (name, d, p) in &programs {
        for path in Path::ALL {
            if compile_with(p, CompileOptions { path }).is_ok() {
                row(name, p, *d, path);
            }
        }
    }
}

fn sum_sq(n: usize) -> LoopProgram {
    let d = DType::F32;
    let v = BodyValue;
    let access = |id, lane| Access {
        memory: Memory::Buffer(BufferId(id)),
        offset: 0,
        outer: vec![],
        serial: vec![],
        lane,
        aim: None,
    };
    let stage = |lanes, accesses, ops| Stage {
        serial: vec![],
        lanes,
        columns: vec![],
        accesses,
        body: Body { ops },
        after: Body::default(),
    };
    let stages = vec![
        stage(
            n,
            vec![access(0, 1)],
            vec![
                (BodyOp::Load(0), d),
                (BodyOp::Binary(Binary::Mul, v(0), v(0)), d),
                (BodyOp::ReduceLanes(0, Monoid::Sum, v(1)), d),
            ],
        ),
        stage(1, vec![access(1, 0)], vec![(BodyOp::RowScalar(0), d), (BodyOp::Store(0, v(0)), d)]),
    ];
    LoopProgram {
        buffers: vec![Buffer { dtype: d, len: n, role: Role::Param }, Buffer { dtype: d, len: 1, role: Role::Result }],
        params: vec![BufferId(0)],
        results: vec![BufferId(1)],
        steps: vec![Step::Nest(Nest {
            outer: vec![],
            scratch: vec![],
            scalars: vec![d],
            stages,
            lookups: vec![],
            locs: vec![],
        })],
    }
}

fn softmax(rows: usize, n: usize) -> LoopProgram {
    let d = DType::F32;
    let buffer = |id, m: i64| Access {
        memory: Memory::Buffer(BufferId(id)),
        offset: 0,
        outer: vec![m],
        serial: vec![],
        lane: 1,
        aim: None,
    };
    let scratch =
        || Access { memory: Memory::Scratch(0), offset: 0, outer: vec![0], serial: vec![], lane: 1, aim: None };
    let stage = |accesses, ops| Stage {
        serial: vec![],
        lanes: n,
        columns: vec![],
        accesses,
        body: Body { ops },
        after: Body::default(),
    };
    let v = BodyValue;
    let stages = vec![
        stage(vec![buffer(0, n as i64)], vec![(BodyOp::Load(0), d), (BodyOp::ReduceLanes(0, Monoid::Max, v(0)), d)]),
        stage(
            vec![buffer(0, n as i64), scratch()],
            vec![
                (BodyOp::Load(0), d),
                (BodyOp::RowScalar(0), d),
                (BodyOp::Binary(Binary::Sub, v(0), v(1)), d),
                (BodyOp::Unary(Unary::Exp, v(2)), d),
                (BodyOp::Store(1, v(3)), d),
                (BodyOp::ReduceLanes(1, Monoid::Sum, v(3)), d),
            ],
        ),
        stage(
            vec![scratch(), buffer(1, n as i64)],
            vec![
                (BodyOp::Load(0), d),
                (BodyOp::RowScalar(1), d),
                (BodyOp::Binary(Binary::Div, v(0), v(1)), d),
                (BodyOp::Store(1, v(2)), d),
            ],
        ),
    ];
    let len = rows * n;
    LoopProgram {
        buffers: vec![Buffer { dtype: d, len, role: Role::Param }, Buffer { dtype: d, len, role: Role::Result }],
        params: vec![BufferId(0)],
        results: vec![BufferId(1)],
        steps: vec![Step::Nest(Nest {
            outer: vec![rows],
            scratch: vec![(d, n)],
            scalars: vec![d, d],
            stages,
            lookups: vec![],
            locs: vec![],
        })],
    }
}

fn routine(lens: &[(DType, usize)], kind: RoutineKind) -> LoopProgram {
    let last = lens.len() - 1;
    let role = |i| if i == last { Role::Result } else { Role::Param };
    let inputs: Vec<BufferId> = (0..last as u32).map(BufferId).collect();
    let outputs = vec![BufferId(last as u32)];
    LoopProgram {
        buffers: lens
            .iter()
            .enumerate()
            .map(|(i, (dtype, len))| Buffer { dtype: *dtype, len: *len, role: role(i) })
            .collect(),
        params: inputs.clone(),
        results: outputs.clone(),
        steps: vec![Step::Routine(Routine { kind, inputs, outputs, loc: Loc::default(), name: String::new() })],
    }
}

fn product(batch: usize, m: usize, k: usize, n: usize) -> LoopProgram {
    let dense = |rows: usize, cols: usize| Matrix { offset: 0, batch: (rows * cols) as i64, row: cols as i64, col: 1 };
    let d = DType::F32;
    let kind = RoutineKind::MatMul { batch, m, k, n, lhs: dense(m, k), rhs: dense(k, n) };
    routine(&[(d, batch * m * k), (d, batch * k * n), (d, batch * m * n)], kind)
}

fn op(op: Op, shapes: &[&[usize]]) -> LoopProgram {
    let args: Vec<Aval> = shapes.iter().map(|s| Aval::new(DType::F32, s.iter().copied().collect::<Shape>())).collect();
    let results = op.prim().infer(&args.iter().collect::<Vec<_>>()).expect("a legal op").to_vec();
    let lens: Vec<(DType, usize)> = args.iter().chain(&results).map(|a| (a.dtype, a.shape.numel())).collect();
    routine(&lens, RoutineKind::Op { op, args, results })
}
