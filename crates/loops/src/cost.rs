//! What a program does, counted: operations and traffic of each step.

use std::iter::Sum;
use std::ops::Add;

use cotangent_core::ir::Aval;
use cotangent_core::ops::{Convolution, Op};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::ir::{Access, Body, BodyOp, LoopProgram, Memory, Nest, Routine, RoutineKind, Step};

/// Operations and traffic, as they follow from shapes; nothing is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cost {
    /// Arithmetic operations on elements. A function such as `exp` counts once; a product of matrices counts a multiplication and an addition
    /// for each term; other routines count one operation for each element of their results.
    pub flops: u64,
    /// Bytes that are read or written, each element of a buffer once for each step that touches it.
    pub bytes: u64,
    /// Loop nests and routines.
    pub kernels: u64,
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            flops: self.flops.saturating_add(other.flops),
            bytes: self.bytes.saturating_add(other.bytes),
            kernels: self.kernels + other.kernels,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Add::add)
    }
}

/// The cost of each step of `program`.
pub fn costs(program: &LoopProgram) -> Vec<Cost> {
    let cost = |step: &Step| {
        let (flops, bytes) = match step {
            Step::Nest(nest) => of_nest(program, nest),
            Step::Routine(routine) => of_routine(program, routine),
        };
        Cost { flops, bytes, kernels: 1 }
    };
    program.steps.iter().map(cost).collect()
}

fn product(extents: &[usize]) -> u64 {
    extents.iter().fold(1, |n, e| n.saturating_mul(*e as u64))
}

fn of_nest(program: &LoopProgram, nest: &Nest) -> (u64, u64) {
    let rows = product(&nest.outer);
    let mut flops = 0u64;
    let mut touched: FxHashMap<u32, u64> = FxHashMap::default();
    for stage in &nest.stages {
        let (serial, lanes) = (product(&stage.serial), stage.lanes as u64);
        let row = lanes.saturating_mul(serial.saturating_mul(arithmetic(&stage.body)) + arithmetic(&stage.after));
        flops = flops.saturating_add(rows.saturating_mul(row));
        let looked_up: FxHashSet<usize> = stage.looked_up().collect();
        for (i, access) in stage.accesses.iter().enumerate() {
            if let Memory::Buffer(b) = access.memory {
                // What an index names may be anywhere, once for each point.
                let elements = if looked_up.contains(&i) {
                    product(&nest.outer).saturating_mul(serial).saturating_mul(lanes)
                } else {
                    elements(access, &nest.outer, &stage.serial, stage.lanes)
                };
                let most = touched.entry(b.0).or_default();
                *most = most.saturating_add(elements).min(program.buffers[b.0 as usize].len as u64);
            }
        }
    }
    let bytes = |(b, n): (u32, u64)| n.saturating_mul(program.buffers[b as usize].dtype.size_bytes() as u64);
    (flops, touched.into_iter().map(bytes).fold(0, u64::saturating_add))
}

/// The places that an access names: indices of loops along which it does not move name the same one.
fn elements(access: &Access, outer: &[usize], serial: &[usize], lanes: usize) -> u64 {
    let strides = access.outer.iter().chain(&access.serial).chain([&access.lane]);
    let extents = outer.iter().chain(serial).chain([&lanes]);
    let moving = strides.zip(extents).map(|(stride, extent)| if *stride == 0 { extent.min(&1) } else { extent });
    moving.fold(1, |n, e| n.saturating_mul(*e as u64))
}

fn arithmetic(body: &Body) -> u64 {
    let counts = |op: &BodyOp| match op {
        BodyOp::Unary(..)
        | BodyOp::Binary(..)
        | BodyOp::Select(..)
        | BodyOp::ReduceLanes(..)
        | BodyOp::ReduceSerial(..) => 1,
        BodyOp::Load(_)
        | BodyOp::Lookup { .. }
        | BodyOp::Const(_)
        | BodyOp::Index { .. }
        | BodyOp::RowScalar(_)
        | BodyOp::Column(_)
        | BodyOp::Convert(_)
        | BodyOp::Store(..) => 0,
    };
    body.ops.iter().map(|(op, _)| counts(op)).sum()
}

fn of_routine(program: &LoopProgram, routine: &Routine) -> (u64, u64) {
    let flops = match &routine.kind {
        RoutineKind::MatMul { batch, m, k, n, .. } => product(&[2, *batch, *m, *k, *n]),
        RoutineKind::Op { op: Op::Convolution(op), args, results } => convolution(op, args, results),
        RoutineKind::Exchanged { op, args, y } => convolution(op, &args[..], std::slice::from_ref(y)),
        RoutineKind::Places { x, .. }
        | RoutineKind::Ranked { x, .. }
        | RoutineKind::Extremes { x, .. }
        | RoutineKind::Values { x, .. } => x.shape.numel() as u64,
        RoutineKind::Lines { index, .. } => index.shape.numel() as u64,
        RoutineKind::Rows { results, .. } | RoutineKind::Op { results, .. } => {
            results.iter().map(|r| r.shape.numel() as u64).sum()
        }
    };
    let bytes = |b: &crate::ir::BufferId| {
        let buffer = &program.buffers[b.0 as usize];
        buffer.len as u64 * buffer.dtype.size_bytes() as u64
    };
    (flops, routine.inputs.iter().chain(&routine.outputs).map(bytes).sum())
}

/// Each weight meets each position of the result, or of the input where the convolution is transposed.
fn convolution(op: &Convolution, args: &[Aval], results: &[Aval]) -> u64 {
    let ([input, weight], [result]) = (args, results) else { return 0 };
    let over = if op.transposed { input } else { result };
    let positions = over.shape.numel() / over.shape.sizes().get(1).map_or(1, |channels| (*channels).max(1));
    product(&[2, weight.shape.numel(), positions])
}
