//! Machines that tests do not run on: x86-64 without what came after SSE4.2, which runs here all the same, and AArch64, whose code is only made.

use std::sync::LazyLock;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, Unary};
use cotangent_loops::ir::*;
use cranelift_codegen::isa;
use cranelift_codegen::settings::Configurable;

use super::{Assembler, Target};
use crate::kernel::prepare;
use crate::machine;

fn target(name: &str, features: &[&str]) -> Option<Target> {
    let mut builder = isa::lookup_by_name(name).expect("Cranelift knows it");
    features.iter().for_each(|feature| builder.enable(feature).expect("a feature of the machine"));
    Target::new(builder)
}

static SSE42: LazyLock<Target> = LazyLock::new(|| {
    target("x86_64", &["has_sse3", "has_ssse3", "has_sse41", "has_sse42"]).expect("it has the vectors")
});
static ARM: LazyLock<Target> = LazyLock::new(|| target("aarch64", &[]).expect("it has the vectors"));

#[test]
fn vectors_are_needed() {
    assert!(target("x86_64", &["has_sse3", "has_ssse3"]).is_none());
    assert!(!SSE42.fused && ARM.fused);
}

fn access(b: u32, serial: &[i64], lane: i64) -> Access {
    Access { memory: Memory::Buffer(BufferId(b)), offset: 0, outer: vec![], serial: serial.to_vec(), lane, aim: None }
}

fn program(buffers: &[(DType, usize)], results: usize, stages: Vec<Stage>, scalars: &[DType]) -> LoopProgram {
    let mut p = LoopProgram::default();
    for (i, &(dtype, len)) in buffers.iter().enumerate() {
        let is_result = i + results >= buffers.len();
        let (ids, role) = if is_result { (&mut p.results, Role::Result) } else { (&mut p.params, Role::Param) };
        ids.push(BufferId(i as u32));
        p.buffers.push(Buffer { dtype, len, role });
    }
    let nest =
        Nest { outer: vec![], scratch: vec![], scalars: scalars.to_vec(), stages, lookups: vec![], locs: vec![] };
    p.steps.push(Step::Nest(nest));
    p
}

fn stage(lanes: usize, accesses: Vec<Access>, ops: Vec<(BodyOp, DType)>) -> Stage {
    Stage { serial: vec![], lanes, columns: vec![], accesses, body: Body { ops }, after: Body::default() }
}

/// The op of two operands, dense, strided and in fewer lanes than a vector has.
fn elementwise(from: DType, to: DType, op: BodyOp) -> LoopProgram {
    const N: usize = 45;
    let body = vec![(BodyOp::Load(0), from), (BodyOp::Load(1), from), (op, to), (BodyOp::Store(2, BodyValue(2)), to)];
    let accesses = vec![access(0, &[], 1), access(1, &[], 2), access(2, &[], 1)];
    program(&[(from, N), (from, 2 * N), (to, N)], 1, vec![stage(N, accesses, body)], &[])
}

/// A reduction of rows and one of columns.
fn reductions(d: DType, monoid: Monoid) -> LoopProgram {
    const N: usize = 21;
    let body = vec![
        (BodyOp::Load(0), d),
        (BodyOp::ReduceLanes(0, monoid, BodyValue(0)), d),
        (BodyOp::ReduceSerial(0, BodyValue(0)), d),
    ];
    let after = vec![(BodyOp::Column(0), d), (BodyOp::Store(1, BodyValue(0)), d)];
    let reduce = Stage {
        serial: vec![3],
        lanes: N,
        columns: vec![(monoid, d)],
        accesses: vec![access(0, &[N as i64], 1), access(1, &[0], 1)],
        body: Body { ops: body },
        after: Body { ops: after },
    };
    let scalar = vec![(BodyOp::RowScalar(0), d), (BodyOp::Store(0, BodyValue(0)), d)];
    let stages = vec![reduce, stage(1, vec![access(2, &[], 0)], scalar)];
    program(&[(d, 3 * N), (d, N), (d, 1)], 2, stages, &[d])
}

/// Every op on every dtype.
fn programs() -> Vec<LoopProgram> {
    let mut all = Vec::new();
    let (v, w) = (BodyValue(0), BodyValue(1));
    for d in DType::ALL {
        let unary = Unary::ALL.iter().filter(|f| f.domain().has(d) && !f.is_predicate());
        all.extend(unary.map(|f| elementwise(d, d, BodyOp::Unary(*f, v))));
        let binary = Binary::ALL.iter().filter(|f| f.domain().has(d));
        all.extend(binary.map(|f| {
            let to = if f.is_comparison() { DType::Bool } else { d };
            elementwise(d, to, BodyOp::Binary(*f, v, w))
        }));
        all.extend(DType::ALL.map(|to| elementwise(d, to, BodyOp::Convert(v))));
        all.push(elementwise(d, d, BodyOp::Index { of: Loop::Lane, scale: 3, offset: 1 }));
        let monoids = [Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min];
        all.extend(monoids.map(|m| reductions(d, m)));
        if d.is_float() {
            all.push(reductions(d, Monoid::LogAddExp));
        }
    }
    all
}

#[test]
fn every_op_becomes_code_for_aarch64() {
    for p in programs() {
        let mut code = machine::Assembler::Narrow(Assembler::new(&ARM));
        for step in &p.steps {
            match step {
                Step::Nest(nest) => {
                    let nest =
                        prepare(&p, nest, &vec![false; p.buffers.len()], Some(&mut code)).expect("a legal program");
                    assert!(nest.stages.iter().all(|s| s.code.is_some()));
                }
                Step::Routine(_) => unreachable!("programs of nests"),
            }
        }
    }
}

/// Without products fused by the machine, and without AVX, bits are the same.
#[cfg(all(target_arch = "x86_64", unix))]
#[test]
fn every_op_has_the_same_bits_on_a_machine_of_sse42() {
    use crate::compile::compile_on;
    use crate::memory::Block;
    use crate::routine::Vectors;

    let mut seed = 7u64;
    let mut number = |d: DType| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let unit = (seed >> 11) as f64 / (1u64 << 53) as f64;
        let special = [0.0, -0.0, 1.0, f64::INFINITY, f64::NAN, 1e-40, -3e9, 2.5, 65_520.0, 6e-8];
        let x = match seed % 8 {
            0 => special[(seed >> 3) as usize % special.len()],
            1..=3 => (unit - 0.5) * 4.0,
            4 => (unit - 0.5) * 300.0,
            5 => ((unit - 0.5) * 20.0).round(),
            _ => (unit - 0.5).signum() * (unit * 160.0 - 80.0).exp(),
        };
        // Divisors are not 0.
        if d.is_float() { x } else { (unit * 100.0).floor() + 1.0 }
    };
    for p in programs() {
        let mut argument = |id: &BufferId| {
            let b = &p.buffers[id.0 as usize];
            let aval = Aval::new(b.dtype, [b.len]);
            let numbers: Vec<Scalar> = (0..b.len).map(|_| number(b.dtype).into()).collect();
            let bytes = Array::from_scalars(&aval, &numbers).to_le_bytes();
            let mut block = Block::new(bytes.len());
            block.bytes_mut().copy_from_slice(&bytes);
            block
        };
        let args: Vec<Block> = p.params.iter().map(&mut argument).collect();
        let args: Vec<&[u8]> = args.iter().map(Block::bytes).collect();
        let run = |target| {
            let code = Some(machine::Assembler::Narrow(Assembler::new(target)));
            compile_on(&p, Vectors::Portable, code).expect("compiles").call(&args)
        };
        let host = Target::host().expect("this machine has more");
        let (Ok(got), Ok(want)) = (run(&SSE42), run(host)) else { panic!("no divisor is 0:\n{p}") };
        for ((got, want), id) in got.iter().zip(&want).zip(&p.results) {
            let d = p.buffers[id.0 as usize].dtype;
            for (x, y) in got.bytes().chunks(d.size_bytes()).zip(want.bytes().chunks(d.size_bytes())) {
                let is_nan = |x: &[u8]| match d {
                    DType::F32 => f32::from_le_bytes(x.try_into().expect("4 bytes")).is_nan(),
                    DType::F64 => f64::from_le_bytes(x.try_into().expect("8 bytes")).is_nan(),
                    DType::F16 => half::f16::from_le_bytes(x.try_into().expect("2 bytes")).is_nan(),
                    DType::BF16 => half::bf16::from_le_bytes(x.try_into().expect("2 bytes")).is_nan(),
                    DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => false,
                };
                assert!(x == y || is_nan(x) && is_nan(y), "{x:?}, not {y:?}, in\n{p}");
            }
        }
    }
}
