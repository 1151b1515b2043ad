//! Small programs and the comparison with the interpreter.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::{Mutex, PoisonError};

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Loc, Scalar};
use cotangent_core::ops::Op;
use cotangent_jit::{Block, CompileOptions, Path, compile_with};
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::*;

/// What `f` gives on so many threads. The number belongs to the process, of which other tests run beside this one.
pub fn on_threads<T>(n: usize, f: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    cotangent_jit::threads::set_num_threads(n);
    f()
}

pub fn paths() -> Vec<Path> {
    Path::ALL
        .into_iter()
        .filter(|p| compile_with(&LoopProgram::default(), CompileOptions { path: *p }).is_ok())
        .collect()
}

/// A nest with accesses to buffers, one parameter for each of `inputs`, one result for each of `outputs`.
pub struct Pointwise {
    pub inputs: Vec<(DType, usize)>,
    pub outputs: Vec<(DType, usize)>,
    pub nest: Nest,
}

impl Pointwise {
    pub fn program(self) -> LoopProgram {
        let mut p = LoopProgram::default();
        for (dtype, len) in self.inputs {
            p.params.push(BufferId(p.buffers.len() as u32));
            p.buffers.push(Buffer { dtype, len, role: Role::Param });
        }
        for (dtype, len) in self.outputs {
            p.results.push(BufferId(p.buffers.len() as u32));
            p.buffers.push(Buffer { dtype, len, role: Role::Result });
        }
        p.steps.push(Step::Nest(self.nest));
        p
    }
}

/// Buffer `b` from `offset` with these strides.
pub fn access(b: u32, offset: i64, outer: &[i64], serial: &[i64], lane: i64) -> Access {
    Access {
        memory: Memory::Buffer(BufferId(b)),
        offset,
        outer: outer.to_vec(),
        serial: serial.to_vec(),
        lane,
        aim: None,
    }
}

pub fn stage(lanes: usize, accesses: Vec<Access>, ops: Vec<(BodyOp, DType)>) -> Stage {
    Stage { serial: vec![], lanes, columns: vec![], accesses, body: Body { ops }, after: Body::default() }
}

pub fn nest(outer: &[usize], scalars: &[DType], stages: Vec<Stage>) -> Nest {
    Nest { outer: outer.to_vec(), scratch: vec![], scalars: scalars.to_vec(), stages, lookups: vec![], locs: vec![] }
}

/// The program of one op.
pub fn routine(op: Op, args: &[Aval]) -> LoopProgram {
    let results = op.prim().infer(&args.iter().collect::<Vec<_>>()).expect("a legal op").to_vec();
    let buffer = |a: &Aval, role| Buffer { dtype: a.dtype, len: a.shape.numel(), role };
    let mut p = LoopProgram::default();
    for a in args {
        p.params.push(BufferId(p.buffers.len() as u32));
        p.buffers.push(buffer(a, Role::Param));
    }
    for a in &results {
        p.results.push(BufferId(p.buffers.len() as u32));
        p.buffers.push(buffer(a, Role::Result));
    }
    let kind = RoutineKind::Op { op, args: args.to_vec(), results };
    let (inputs, outputs) = (p.params.clone(), p.results.clone());
    p.steps.push(Step::Routine(Routine { kind, inputs, outputs, loc: Loc::default(), name: String::new() }));
    p
}

/// The bytes of arrays as programs take them.
pub fn blocks(args: &[Array]) -> Vec<Block> {
    let block = |a: &Array| {
        let bytes = a.to_le_bytes();
        let mut b = Block::new(bytes.len());
        b.bytes_mut().copy_from_slice(&bytes);
        b
    };
    args.iter().map(block).collect()
}

pub fn run(p: &LoopProgram, args: &[Array], path: Path) -> Vec<Array> {
    let compiled = compile_with(p, CompileOptions { path }).expect("compiles");
    let bytes = blocks(args);
    let outs = compiled.call(&bytes.iter().map(Block::bytes).collect::<Vec<_>>()).expect("runs");
    let aval = |id: &BufferId| Aval::new(p.buffers[id.0 as usize].dtype, [p.buffers[id.0 as usize].len]);
    p.results.iter().zip(outs).map(|(id, b)| Array::from_le_bytes(&aval(id), b.bytes()).expect("length")).collect()
}

/// All paths against the interpreter; floats within `rtol` of the value plus of the largest one where sums are.
pub fn check(what: &str, p: &LoopProgram, args: &[Array], rtol: f64) {
    let want = interpret(p, args).expect("interprets");
    for path in paths() {
        let got = run(p, args, path);
        for (r, (g, w)) in got.iter().zip(&want).enumerate() {
            for i in 0..w.numel() {
                let (x, y) = (g.get(i), w.get(i));
                let same = if w.dtype().is_float() {
                    let (x, y) = (x.to_f64(), y.to_f64());
                    x == y
                        || x.is_nan() && y.is_nan()
                        || (x - y).abs() <= rtol * y.abs()
                        || w.dtype() != DType::F64 && rtol > 0.0 && (x - y).abs() < f64::from(f32::MIN_POSITIVE)
                } else {
                    x == y
                };
                assert!(
                    same,
                    "{what} on {path:?}: result {r}[{i}] is {x}, the interpreter gives {y}; args {:?}",
                    args.iter().map(|a| a.get(i.min(a.numel().max(1) - 1))).collect::<Vec<_>>()
                );
            }
        }
    }
}

/// Numbers of a dtype, with special ones, from a small generator.
pub fn data(dtype: DType, n: usize, seed: u64) -> Array {
    let mut s = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        s
    };
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1e-40,
        -1e-40,
        3e9,
        -3e9,
        100.25,
        2.5,
        -2.5,
    ];
    let number = move |_| {
        let r = next();
        let unit = (r >> 11) as f64 / (1u64 << 53) as f64;
        Scalar::Float(match r % 8 {
            0 => special[(r >> 3) as usize % special.len()],
            1..=3 => (unit - 0.5) * 4.0,
            4 => (unit - 0.5) * 200.0,
            5 => ((unit - 0.5) * 20.0).round(),
            6 => (unit - 0.5).signum() * (unit * 60.0 - 30.0).exp(),
            _ => unit,
        })
    };
    Array::from_scalars(&Aval::new(dtype, [n]), &(0..n).map(number).collect::<Vec<_>>())
}
