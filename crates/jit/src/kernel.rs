//! A loop nest ready to run: places in bytes, lane code, and how its work is divided.

use cotangent_core::ir::{DType, Loc};
use cotangent_loops::ir::{BodyOp, Loop, LoopProgram, Memory, Nest, Stage};

use crate::Path;
use crate::error::JitError;
use crate::frame::{HEADER, PARTIAL_WORDS};
use crate::lane::{Expanded, Op, ScalarCall, expand};
use crate::tile::Slots;
use crate::wide::{Assembler, WideStage};

/// Where the words of a frame are; header first, see [`crate::frame`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Layout {
    /// The first row scalar.
    pub scalars: usize,
    /// The first serial index.
    pub serial: usize,
    /// The first pointer of this stage.
    pub pointers: usize,
    /// The first word of partial results.
    pub partials: usize,
    /// All words.
    pub words: usize,
}

/// A place in memory, in bytes.
#[derive(Clone, PartialEq, Debug)]
pub struct Place {
    /// The memory.
    pub memory: Memory,
    /// The first point.
    pub offset: i64,
    /// The stride of each outer loop.
    pub outer: Vec<i64>,
    /// The stride of each serial loop.
    pub serial: Vec<i64>,
    /// The stride of the lanes.
    pub lane: i64,
}

/// A stage ready to run.
#[derive(Debug)]
pub struct StageKernel {
    /// Its bodies.
    pub lane: Expanded,
    /// The places that they read and write.
    pub accesses: Vec<Place>,
    /// The extents of the serial loops.
    pub serial: Vec<usize>,
    /// The number of lanes.
    pub lanes: usize,
    /// Its words.
    pub layout: Layout,
    /// The slots of body and `after` for the tile interpreter.
    pub tile_slots: (Slots, Slots),
    /// Machine code, where there is some.
    pub wide: Option<WideStage>,
    /// Estimated time of one row in ns.
    pub cost: u64,
    /// The scalar function that may fail, for errors.
    pub fallible: Option<&'static str>,
}

/// A nest ready to run.
#[derive(Debug)]
pub struct NestKernel {
    /// The extents of the outer loops.
    pub outer: Vec<usize>,
    /// Their product.
    pub rows: usize,
    /// The offset of each scratch row.
    pub scratch: Vec<usize>,
    /// The bytes of all scratch rows.
    pub scratch_bytes: usize,
    /// The stages.
    pub stages: Vec<StageKernel>,
    /// The words of a frame.
    pub words: usize,
    /// Estimated time of one row in ns.
    pub cost: u64,
    /// The source.
    pub loc: Loc,
}

/// Makes a nest ready; machine code goes to `asm` unless the path is the portable one.
pub fn prepare(program: &LoopProgram, nest: &Nest, path: Path, asm: &mut Assembler) -> Result<NestKernel, JitError> {
    let nest = &merged(nest);
    let dtype = |m: &Memory| match m {
        Memory::Buffer(b) => program.buffers[b.0 as usize].dtype,
        Memory::Scratch(s) => nest.scratch[*s as usize].0,
    };
    let mut scratch = Vec::with_capacity(nest.scratch.len());
    let mut scratch_bytes = 0;
    for (d, n) in &nest.scratch {
        scratch.push(scratch_bytes);
        scratch_bytes += (n * d.size_bytes()).next_multiple_of(64);
    }
    let scalars = HEADER + nest.outer.len();
    let serial = scalars + nest.scalars.len();
    let first_pointer = serial + nest.stages.iter().map(|s| s.serial.len()).max().unwrap_or(0);
    let partials = first_pointer + nest.stages.iter().map(|s| s.accesses.len()).sum::<usize>();
    let expanded: Vec<Expanded> =
        nest.stages.iter().map(|s| expand(nest, s, &|a| dtype(&s.accesses[a as usize].memory))).collect();
    let words = partials + PARTIAL_WORDS * expanded.iter().map(|e| e.rows).max().unwrap_or(0);
    let mut pointers = first_pointer;
    let mut stages = Vec::with_capacity(nest.stages.len());
    for (stage, lane) in nest.stages.iter().zip(expanded) {
        let layout = Layout { scalars, serial, pointers, partials, words };
        pointers += stage.accesses.len();
        let place = |a: &cotangent_loops::ir::Access| {
            let size = dtype(&a.memory).size_bytes() as i64;
            let bytes = |s: &[i64]| s.iter().map(|s| s * size).collect();
            Place {
                memory: a.memory,
                offset: a.offset * size,
                outer: bytes(&a.outer),
                serial: bytes(&a.serial),
                lane: a.lane * size,
            }
        };
        let mut kernel = StageKernel {
            accesses: stage.accesses.iter().map(place).collect(),
            serial: stage.serial.clone(),
            lanes: stage.lanes,
            layout,
            tile_slots: (Slots::new(&lane.body), Slots::new(&lane.after)),
            wide: None,
            cost: cost(stage, &lane),
            fallible: fallible(&lane),
            lane,
        };
        if path != Path::Tiles {
            kernel.wide = asm.stage(&kernel);
        }
        stages.push(kernel);
    }
    Ok(NestKernel {
        rows: nest.outer.iter().product(),
        outer: nest.outer.clone(),
        scratch,
        scratch_bytes,
        cost: stages.iter().map(|s| s.cost).sum(),
        stages,
        words,
        loc: nest.locs.first().cloned().unwrap_or_default(),
    })
}

fn fallible(lane: &Expanded) -> Option<&'static str> {
    lane.body.insts.iter().chain(&lane.after.insts).find_map(|i| match i.op {
        Op::Call(ScalarCall::Binary(f, d), ..) if ScalarCall::Binary(f, d).can_fail() => {
            Some(cotangent_core::ops::Op::from(f).name())
        }
        _ => None,
    })
}

/// Rough, in ns: 16 vector operations or one scalar call take about as long as reading a few elements from the second-level cache.
fn cost(stage: &Stage, lane: &Expanded) -> u64 {
    let weigh = |code: &crate::lane::Code| -> f64 {
        code.insts
            .iter()
            .map(|i| match i.op {
                Op::Const(_) => 0.0,
                Op::Load(..) | Op::Store(..) => 0.15,
                Op::Call(_, _, _, None) => 15.0,
                _ => 0.05,
            })
            .sum()
    };
    let serial: usize = stage.serial.iter().product();
    let per_lane = serial as f64 * weigh(&lane.body) + weigh(&lane.after);
    let width = if lane.wide { 2.0 } else { 1.0 };
    (stage.lanes as f64 * per_lane * width) as u64 + 4
}

/// The nest with loops that continue each other in memory made one.
fn merged(nest: &Nest) -> Nest {
    let mut nest = nest.clone();
    let uses = |stage: &Stage, of: Loop| {
        let is = |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Index { of: l, .. } if *l == of);
        stage.body.ops.iter().chain(&stage.after.ops).any(is)
    };
    for stage in &mut nest.stages {
        while let Some((&n, depth)) = stage.serial.last().zip(stage.serial.len().checked_sub(1)) {
            let joins = |a: &cotangent_loops::ir::Access| a.serial[depth] == a.lane * stage.lanes as i64;
            let plain = stage.columns.is_empty() && stage.after.ops.is_empty();
            let indexed = uses(stage, Loop::Lane) || uses(stage, Loop::Serial(depth as u32));
            if !plain || indexed || !stage.accesses.iter().all(joins) {
                break;
            }
            stage.lanes *= n;
            stage.serial.pop();
            stage.accesses.iter_mut().for_each(|a| {
                a.serial.pop();
            });
        }
    }
    if let [stage] = &mut nest.stages[..] {
        while let Some((&n, depth)) = nest.outer.last().zip(nest.outer.len().checked_sub(1)) {
            let joins = |a: &cotangent_loops::ir::Access| a.outer[depth] == a.lane * stage.lanes as i64;
            let indexed = uses(stage, Loop::Lane) || uses(stage, Loop::Outer(depth as u32));
            if !nest.scalars.is_empty() || !nest.scratch.is_empty() || indexed || !stage.accesses.iter().all(joins) {
                break;
            }
            stage.lanes *= n;
            nest.outer.pop();
            stage.accesses.iter_mut().for_each(|a| {
                a.outer.pop();
            });
        }
    }
    let outer_used = nest.stages.iter().any(|s| (0..nest.outer.len()).any(|i| uses(s, Loop::Outer(i as u32))));
    let mut d = nest.outer.len();
    while d >= 2 && !outer_used {
        d -= 1;
        let n = nest.outer[d];
        let joins = |a: &cotangent_loops::ir::Access| {
            n == 1 || nest.outer[d - 1] == 1 || a.outer[d - 1] == a.outer[d] * n as i64
        };
        if nest.stages.iter().all(|s| s.accesses.iter().all(joins)) {
            let keep_last = n != 1;
            nest.outer[d - 1] *= n;
            nest.outer.remove(d);
            for a in nest.stages.iter_mut().flat_map(|s| &mut s.accesses) {
                let removed = a.outer.remove(d);
                if keep_last {
                    a.outer[d - 1] = removed;
                }
            }
        }
    }
    nest
}
