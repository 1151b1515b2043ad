//! A loop nest ready to run: places in bytes, lane code, and how its work is divided.

use std::ops::Range;

use cotangent_core::ir::Loc;
use cotangent_loops::ir::{Access, Lookup, LoopProgram, Memory, Nest, Stage};

use crate::across::Across;
use crate::blocks::{Blocks, Runs};
use crate::error::JitError;
use crate::failure::{fallible, may_divide_by_zero, may_fail};
use crate::frame::{HEADER, PARTIAL_WORDS};
use crate::lane::{Bin, Expanded, Op, OpSet, expand};
use crate::loops::{merged, rows_inside, side_by_side, turn, turn_serial};
use crate::machine::{Assembler, RowsCode, StageCode};
use crate::place::{Aimed, Place};
use crate::tile::Slots;
use crate::turned::{Copied, Rows, Turned};
use crate::turning::Turning;

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

/// A stage ready to run.
#[derive(Debug)]
pub struct StageKernel {
    /// Its bodies.
    pub lane: Expanded,
    /// The places that they read and write.
    pub accesses: Vec<Place>,
    /// Those that are written.
    pub stores: Vec<usize>,
    /// The extents of the serial loops.
    pub serial: Vec<usize>,
    /// The number of lanes.
    pub lanes: usize,
    /// Whether the machine code keeps column accumulators in the frame, behind the partials, and walks whole rows.
    pub columns_in_memory: bool,
    /// Its words.
    pub layout: Layout,
    /// The slots of body and `after` for the tile interpreter.
    pub tile_slots: (Slots, Slots),
    /// Machine code, where there is some.
    pub code: Option<StageCode>,
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
    /// The bytes of all scratch rows of one row.
    pub row_scratch: usize,
    /// The bytes of scratch memory of a piece: scratch rows of all rows that run together, then blocks of turned accesses.
    pub scratch_bytes: usize,
    /// The stages.
    pub stages: Vec<StageKernel>,
    /// Machine code that runs all stages, a few rows at a time, where there is some; the stages have none of their own then.
    pub walk: Option<RowsCode>,
    /// The rows that machine code takes through a stage before the next one, each with a frame of its own.
    pub together: usize,
    /// The words of a frame without partial reductions, which is how far frames are apart.
    pub frame: usize,
    /// The words of all frames and of the partial reductions behind them.
    pub words: usize,
    /// The blocks of the rows, where accesses are turned.
    pub blocks: Option<Blocks>,
    /// The fewest rows of a piece, which repay the copies that it makes.
    pub least: usize,
    /// How a nest copies that does nothing else.
    pub copies: Option<Copied>,
    /// How rows and lanes are cut, where a part of the lanes goes through several rows.
    pub across: Option<Across>,
    /// Estimated time of one row in ns.
    pub cost: u64,
    /// What is read through an index, for errors.
    pub lookups: Vec<Lookup>,
    /// The source.
    pub loc: Loc,
}

/// Rows of columns that are at least this many bytes apart …
const FAR: i64 = 1024;
/// … are read whole, if all accumulators of a row take at most so many words.
const COLUMN_WORDS: usize = 4096;

/// What is copied for all rows of a piece takes at most this fraction of their time, at an element in a ns.
const COPY_SHARE: usize = 16;

/// The most rows that run together …
const MOST_TOGETHER: usize = 8;
/// … and the bytes that they may touch in a stage, which the next one finds in the first-level cache.
const TOGETHER_BYTES: usize = 8192;

/// How many rows go through a stage of machine code before the next stage: a stage waits for the one before, at the end of its reduction above
/// all, and short rows have nothing else to do meanwhile.
fn together(nest: &Nest, size: &dyn Fn(&Memory) -> usize) -> usize {
    let touched = |s: &Stage| -> usize {
        let points = s.serial.iter().product::<usize>().saturating_mul(s.lanes);
        s.accesses.iter().map(|a| points.saturating_mul(size(&a.memory))).fold(0, usize::saturating_add)
    };
    let most = nest.stages.iter().map(touched).max().unwrap_or(0);
    // Frames are made for each run along the innermost outer loop, which has to be long enough for that.
    let long = nest.outer.last().map_or(1, |n| n / 4);
    if nest.stages.len() < 2 { 1 } else { (TOGETHER_BYTES / most.max(1)).min(long).clamp(1, MOST_TOGETHER) }
}

impl NestKernel {
    /// Its blocks, or rows.
    pub fn count(&self) -> usize {
        self.blocks.map_or(self.rows, Blocks::count)
    }

    /// These of them.
    pub fn runs(&self, these: Range<usize>) -> Runs {
        match self.blocks {
            Some(blocks) => Runs::Blocks(these, blocks),
            None => Runs::Rows(these, self.outer.last().map_or(1, |n| (*n).max(1))),
        }
    }
}

impl StageKernel {
    /// The word of the pointer of an access, moved by its index if it has one.
    pub fn home(&self, i: usize) -> usize {
        self.accesses[i]
            .aim
            .map_or(self.layout.pointers + i, |aim| self.layout.pointers + self.accesses.len() + aim.home)
    }

    /// The accesses that indices move: those that change in serial loops, or the others.
    pub fn aimed(&self, moves: bool) -> Vec<(usize, Aimed)> {
        let aims = self.accesses.iter().enumerate().filter_map(|(i, a)| Some((i, a.aim?)));
        aims.filter(|(_, aim)| aim.moves == moves).collect()
    }

    /// The words of one column accumulator in memory: whole vectors of any path, also in the masked rest.
    pub fn column_words(&self) -> usize {
        column_words(self.lanes, &self.lane)
    }
}

fn column_words(lanes: usize, lane: &Expanded) -> usize {
    if lane.wide { lanes.next_multiple_of(8) } else { lanes.next_multiple_of(16) / 2 }
}

/// Whether column accumulators are better in first-level cache than in registers: lanes in blocks would walk down the rows
/// with a stride of theirs, each step in another page, and reread what lies between.
fn columns_in_memory(stage: &Stage, lane: &Expanded, size: &dyn Fn(&Memory) -> usize) -> bool {
    let words = (lane.accumulators.len() - lane.rows) * column_words(stage.lanes, lane);
    let far = |a: &Access| {
        a.lane == 1 && a.serial.last().is_some_and(|s| s.abs().saturating_mul(size(&a.memory) as i64) >= FAR)
    };
    (1..=COLUMN_WORDS).contains(&words) && stage.lanes as i64 * 4 >= FAR && stage.accesses.iter().any(far)
}

/// Makes a nest ready; machine code goes to `asm`, where there is one. `streamed` says which buffers are written past the caches.
pub fn prepare(
    program: &LoopProgram,
    nest: &Nest,
    streamed: &[bool],
    asm: Option<&mut Assembler>,
) -> Result<NestKernel, JitError> {
    let mut nest = merged(nest);
    let dtypes = |m: &Memory, nest: &Nest| match m {
        Memory::Buffer(b) => program.buffers[b.0 as usize].dtype,
        Memory::Scratch(s) => nest.scratch[*s as usize].0,
    };
    let sizes = |nest: &Nest, m: &Memory| dtypes(m, nest).size_bytes();
    // The first point that fails is looked for in the order of rows.
    let fails = may_fail(&nest);
    let turned = turn(&mut nest, fails, &sizes);
    let lying = if turned.is_empty() { turn_serial(&nest, &sizes) } else { Vec::new() };
    // Copies serve all rows along a loop that does not move them.
    let stays = crate::loops::still_innermost(&mut nest, fails, &lying);
    let (mut between, mut repeats) = (0, 1);
    if turned.is_empty() && lying.is_empty() && asm.as_ref().is_some_and(|asm| asm.repeats()) {
        repeats = side_by_side(&mut nest, &sizes);
    }
    if turned.is_empty() && lying.is_empty() {
        // Serial loops are no part of a failed point.
        if !may_divide_by_zero(&nest) {
            rows_inside(&mut nest);
        }
        between = crate::across::between_innermost(&mut nest, fails);
    }
    let turning = Turning::of(&mut nest, turned, fails, &sizes);
    let blocks = turning.blocks.or((!lying.is_empty() && !stays).then(|| Blocks::new(&nest.outer, 1, false)));
    let nest = &nest;
    let dtype = |m: &Memory| dtypes(m, nest);
    let mut scratch = Vec::with_capacity(nest.scratch.len());
    let mut row_scratch = 0;
    for (d, n) in &nest.scratch {
        scratch.push(row_scratch);
        row_scratch += (n * d.size_bytes()).next_multiple_of(64);
    }
    let walks = asm.as_ref().is_some_and(|asm| asm.walks_rows());
    let scalars = HEADER + nest.outer.len();
    let serial = scalars + nest.scalars.len();
    let first_pointer = serial + nest.stages.iter().map(|s| s.serial.len()).max().unwrap_or(0);
    // Each access has a pointer, and those that indices move another one.
    let pointers_of = |s: &Stage| s.accesses.len() + s.accesses.iter().filter(|a| a.aim.is_some()).count();
    let partials = first_pointer + nest.stages.iter().map(pointers_of).sum::<usize>();
    let ops = asm.as_ref().map_or(OpSet::Common, |asm| asm.op_set());
    let expanded: Vec<Expanded> =
        nest.stages.iter().map(|s| expand(nest, s, &|a| dtype(&s.accesses[a as usize].memory), ops)).collect();
    let mut together = if walks && !fails { together(nest, &|m| dtype(m).size_bytes()) } else { 1 };
    let mut scratch_bytes = row_scratch * together;
    let part = crate::across::part(nest, &lying, stays, &sizes);
    // Copies of all lanes may have no room, and those that serve no other rows are for parts of the lanes anyway.
    let in_parts = part.is_some() && (!stays || nest.stages[0].lanes > crate::across::MOST);
    let in_memory = |(s, e)| !in_parts && columns_in_memory(s, e, &|m| dtype(m).size_bytes());
    let in_memory: Vec<bool> = nest.stages.iter().zip(&expanded).map(in_memory).collect();
    let part = part.filter(|_| !in_memory.contains(&true));
    let own = |((s, e), in_memory): ((&Stage, &Expanded), &bool)| {
        let columns = if *in_memory { (e.accumulators.len() - e.rows) * column_words(s.lanes, e) } else { 0 };
        PARTIAL_WORDS * e.rows + columns
    };
    let words = partials + nest.stages.iter().zip(&expanded).zip(&in_memory).map(own).max().unwrap_or(0);
    let mut pointers = first_pointer;
    // What is copied, in so many bytes, and where to.
    let mut copies_made: Vec<(&Access, usize, usize)> = Vec::new();
    let mut stages = Vec::with_capacity(nest.stages.len());
    for (s, (stage, lane)) in nest.stages.iter().zip(expanded).enumerate() {
        let layout = Layout { scalars, serial, pointers, partials, words };
        pointers += pointers_of(stage);
        let mut homes = 0..;
        let mut place = |a: &Access| {
            let size = dtype(&a.memory).size_bytes() as i64;
            let bytes = |s: &[i64]| s.iter().map(|s| s * size).collect();
            Place {
                memory: a.memory,
                offset: a.offset * size,
                outer: bytes(&a.outer),
                serial: bytes(&a.serial),
                lane: a.lane * size,
                turned: None,
                streams: false,
                repeats: 1,
                aim: a.aim.map(|aim| Aimed {
                    of: aim.of,
                    index: aim.index as usize,
                    size: nest.lookups[aim.of as usize].size,
                    step: nest.lookups[aim.of as usize].step * size,
                    moves: stage.accesses[aim.index as usize].serial.iter().any(|s| *s != 0),
                    home: homes.next().expect("as many as there are"),
                }),
            }
        };
        let mut accesses: Vec<Place> = stage.accesses.iter().map(&mut place).collect();
        let mut room = |i: usize, bytes: usize| {
            let a = &stage.accesses[i];
            if let Some((_, _, at)) = copies_made.iter().find(|(of, b, _)| *of == a && *b == bytes) {
                return (*at, true);
            }
            let at = scratch_bytes;
            copies_made.push((a, bytes, at));
            scratch_bytes += bytes;
            (at, false)
        };
        for (_, i) in turning.accesses.iter().filter(|t| t.0 == s) {
            let a = &mut accesses[*i];
            let size = dtype(&a.memory).size_bytes();
            let copy = turning.copy(stage.lanes, size, a.outer.last().copied().unwrap_or(0));
            let (at, again) = room(*i, copy.bytes);
            a.turned = Some(Turned { at, pitch: copy.pitch, stride: a.lane, size, rows: copy.rows, again });
            a.lane = size as i64;
        }
        for (_, i, d) in lying.iter().filter(|t| t.0 == s) {
            let (size, extent) = (dtype(&stage.accesses[*i].memory).size_bytes(), stage.serial[*d]);
            let pitch = crate::turned::pitch(part.unwrap_or(stage.lanes) * size);
            let (at, again) = room(*i, pitch * extent);
            let a = &mut accesses[*i];
            a.turned = Some(Turned { at, pitch, stride: a.lane, size, rows: Rows::Serial(extent), again });
            (a.lane, a.serial[*d]) = (size as i64, pitch as i64);
        }
        let stores = crate::chain::stores(stage);
        for i in &stores {
            let a = &mut accesses[*i];
            a.repeats = repeats;
            a.streams = match a.memory {
                Memory::Buffer(b) => {
                    streamed[b.0 as usize] && crate::stream::is_aligned(a, dtype(&a.memory).size_bytes())
                }
                Memory::Scratch(_) => false,
            };
        }
        let kernel = StageKernel {
            accesses,
            stores,
            serial: stage.serial.clone(),
            lanes: stage.lanes,
            columns_in_memory: in_memory[s],
            layout,
            tile_slots: (Slots::new(&lane.body), Slots::new(&lane.after)),
            code: None,
            cost: cost(stage, &lane),
            fallible: fallible(stage),
            lane,
        };
        stages.push(kernel);
    }
    let rows = nest.outer.iter().product();
    let cost: u64 = stages.iter().map(|s| s.cost).sum();
    // Of parts of the lanes both are as much less.
    let copied: usize = lying.iter().map(|(s, _, d)| nest.stages[*s].lanes * nest.stages[*s].serial[*d]).sum();
    let least = if stays { COPY_SHARE * copied / (cost as usize).max(1) } else { 1 }.max(1);
    let across = match part {
        Some(chunk) => Some(Across::serving(least, rows, nest.stages[0].lanes, chunk)),
        None => crate::across::across(&nest.outer, between, &stages),
    };
    let mut walk = None;
    if let Some(asm) = asm {
        let whole = across.is_none() && !crate::run::divides(rows, &stages);
        walk = if whole { asm.rows(&stages, together, partials) } else { None };
        if walk.is_none() {
            together = 1;
            stages.iter_mut().for_each(|s| s.code = asm.stage(s));
        }
    }
    Ok(NestKernel {
        rows,
        outer: nest.outer.clone(),
        scratch,
        row_scratch,
        scratch_bytes,
        cost,
        stages,
        walk,
        together,
        frame: partials,
        words: partials * (together - 1) + words,
        blocks,
        least,
        copies: turning.straight,
        across,
        lookups: nest.lookups.clone(),
        loc: nest.locs.first().cloned().unwrap_or_default(),
    })
}

/// Rough, in ns: 16 vector operations or one scalar call take about as long as reading a few elements from the second-level cache.
fn cost(stage: &Stage, lane: &Expanded) -> u64 {
    let is_dense = |a: u32| (-1..=1).contains(&stage.accesses[a as usize].lane);
    let weigh = |code: &crate::lane::Code| -> f64 {
        code.insts
            .iter()
            .map(|i| match i.op {
                Op::Const(_) => 0.0,
                Op::Load(a, _) | Op::Store(a, ..) if is_dense(a) => 0.15,
                // Element by element.
                Op::Load(..) | Op::Gather(..) | Op::Store(..) => 0.4,
                Op::Call(_, _, _, None) => 15.0,
                // One at a time, while others overlap.
                Op::Bin(Bin::Div, ..) | Op::Sqrt(_) => 0.25,
                _ => 0.05,
            })
            .sum()
    };
    let serial: usize = stage.serial.iter().product();
    let per_lane = serial as f64 * weigh(&lane.body) + weigh(&lane.after);
    let width = if lane.wide { 2.0 } else { 1.0 };
    (stage.lanes as f64 * per_lane * width) as u64 + 4
}
