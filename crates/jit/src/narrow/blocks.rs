//! Loops: serial ones, and those that walk lanes.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types};

use super::BYTES;
use super::stage::Emit;
use crate::kernel::StageKernel;
use crate::lane::{Inst, Op, Ty};
use crate::run::CHUNK_LANES;

/// How the lanes of a stage are walked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Blocks {
    /// Lanes of a vector.
    pub width: usize,
    /// Interleaved copies of the body.
    pub copies: usize,
    /// Whether there are blocks of so many copies …
    many: bool,
    /// … and then single vectors …
    single: bool,
    /// … and then fewer lanes than a vector has.
    rest: bool,
    /// Whether so many values live so long that registers are allocated in one pass.
    pub crowded: bool,
}

/// The most copies of a body.
const MOST: usize = 4;
/// The instructions of all copies that are worth their compilation.
const LENGTH: usize = 400;
/// The values of all copies: more than the 16 registers of x86-64, because to wait costs more than some places on the stack.
const VALUES: usize = 20;
/// Instructions times values that live at once, from which registers are allocated in one pass: Cranelift's better allocation takes longer
/// than linear then, 5 ms for 1,000 instructions of 500 values instead of 0.6.
const CROWD: usize = 100_000;

// Chunks of lanes are whole blocks but for the last one, whose rest is that of all lanes.
const _: () = assert!(CHUNK_LANES.is_multiple_of(MOST * BYTES / 4));

impl Blocks {
    /// How the lanes of `kernel` are walked: what does not happen has no code.
    pub fn of(kernel: &StageKernel) -> Self {
        let width = BYTES / if kernel.lane.wide { 8 } else { 4 };
        let codes = [&kernel.lane.body, &kernel.lane.after];
        let [(length, alive), after] = codes.map(|code| {
            let computes = |inst: &&Inst| !matches!(inst.op, Op::Const(_) | Op::Acc(_));
            (code.insts.iter().filter(computes).count(), code.most_alive(|_| true))
        });
        let calls = kernel.lane.body.insts.iter().any(|i| matches!(i.op, Op::Call(_, _, _, None)));
        let accumulators = kernel.lane.accumulators.len();
        let fits = |c: &usize| {
            !calls && c * width <= kernel.lanes && c * length <= LENGTH && c * (alive + accumulators) <= VALUES
        };
        let copies = [MOST, MOST / 2].into_iter().find(fits).unwrap_or(1);
        let is_crowd = |length: usize, alive: usize, copies: usize| length * alive * copies * copies > CROWD;
        let crowded = is_crowd(length, alive, copies) || is_crowd(after.0, after.1, 1);
        let rest = kernel.lanes % (copies * width);
        Blocks {
            width,
            copies,
            many: kernel.lanes >= copies * width,
            single: rest >= width,
            rest: !rest.is_multiple_of(width),
            crowded,
        }
    }
}

/// The last lanes of a stage, fewer than a vector has: the lanes beyond them repeat the last one.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    /// The distance of each lane of the vector from the first.
    pub(super) distances: Vec<Value>,
    /// Which lanes of the vector there are.
    pub(super) mask: Value,
}

/// Which lanes a block has.
#[derive(Clone, Debug)]
pub(super) enum Lanes {
    /// This many full vectors.
    Full(usize),
    /// One vector with fewer lanes.
    Rest(Rest),
}

impl Lanes {
    pub(super) fn copies(&self) -> usize {
        match self {
            Lanes::Full(n) => *n,
            Lanes::Rest(_) => 1,
        }
    }
}

impl Emit<'_> {
    /// The lanes in blocks of `copies` vectors, single vectors and the rest.
    pub(super) fn blocks(&mut self, copies: usize, block: &dyn Fn(&mut Emit, &Lanes)) {
        let walk = self.walk;
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.def_var(self.lane, zero);
        let all = self.lanes;
        for (happens, copies) in [(walk.many && copies > 1, copies), (walk.single || walk.many && copies == 1, 1)] {
            if !happens {
                continue;
            }
            let step = (copies * walk.width) as i64;
            let left = |e: &mut Emit| {
                let lane = e.b.use_var(e.lane);
                let next = e.b.ins().iadd_imm(lane, step);
                e.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, next, all)
            };
            let first = left(self);
            self.repeat(Some(first), &mut |e| {
                block(e, &Lanes::Full(copies));
                let lane = e.b.use_var(e.lane);
                let next = e.b.ins().iadd_imm(lane, step);
                e.b.def_var(e.lane, next);
                left(e)
            });
        }
        if walk.rest {
            let lane = self.b.use_var(self.lane);
            let count = self.b.ins().isub(all, lane);
            let end = self.when(count);
            let rest = self.rest(count);
            block(self, &Lanes::Rest(rest));
            self.join(end);
        }
    }

    fn rest(&mut self, count: Value) -> Rest {
        let last = self.b.ins().iadd_imm(count, -1);
        let lanes = (0..self.walk.width).map(|j| {
            let j = self.b.ins().iconst(types::I64, j as i64);
            self.b.ins().umin(j, last)
        });
        let distances: Vec<Value> = lanes.collect();
        let ty = if self.kernel.lane.wide { Ty::I64 } else { Ty::I32 };
        let (counts, places) = (self.spread_word(count, ty), self.iota(ty));
        let mask = self.b.ins().icmp(IntCC::SignedLessThan, places, counts);
        Rest { distances, mask }
    }

    /// Code that happens if `condition` is not 0, up to [`Emit::join`].
    pub(super) fn when(&mut self, condition: Value) -> Block {
        let (inside, end) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, inside, &[], end, &[]);
        self.b.switch_to_block(inside);
        self.b.seal_block(inside);
        end
    }

    /// Where code goes on.
    pub(super) fn join(&mut self, end: Block) {
        self.b.ins().jump(end, &[]);
        self.b.switch_to_block(end);
        self.b.seal_block(end);
    }

    /// Code that happens once, if `first` is given and 0 not at all, and again while the condition that it gives is not 0.
    fn repeat(&mut self, first: Option<Value>, body: &mut dyn FnMut(&mut Emit) -> Value) {
        let (top, end) = (self.b.create_block(), self.b.create_block());
        match first {
            Some(first) => self.b.ins().brif(first, top, &[], end, &[]),
            None => self.b.ins().jump(top, &[]),
        };
        self.b.switch_to_block(top);
        let again = body(self);
        self.b.ins().brif(again, top, &[], end, &[]);
        self.b.seal_block(top);
        self.b.switch_to_block(end);
        self.b.seal_block(end);
    }

    /// The serial loops from depth `d` inwards around `inner`.
    pub(super) fn serial(&mut self, d: usize, inner: &mut dyn FnMut(&mut Emit)) {
        let Some(&extent) = self.kernel.serial.get(d) else { return inner(self) };
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.def_var(self.serial[d], zero);
        if extent == 1 {
            return self.serial(d + 1, inner);
        }
        self.repeat(None, &mut |e| {
            e.serial(d + 1, inner);
            e.advance(d, 1);
            let at = e.b.use_var(e.serial[d]);
            let next = e.b.ins().iadd_imm(at, 1);
            e.b.def_var(e.serial[d], next);
            e.b.ins().icmp_imm(IntCC::UnsignedLessThan, next, extent as i64)
        });
        self.advance(d, -(extent as i64));
    }

    /// Moves all pointers by `steps` of serial loop `d`.
    fn advance(&mut self, d: usize, steps: i64) {
        for i in 0..self.kernel.accesses.len() {
            // Wrapping: places between loops need not exist.
            let bytes = self.kernel.accesses[i].serial[d].wrapping_mul(steps);
            if bytes != 0 {
                let pointer = self.bases[i].unwrap_or(self.pointers[i]);
                let at = self.b.use_var(pointer);
                let next = self.b.ins().iadd_imm(at, bytes);
                self.b.def_var(pointer, next);
            }
        }
    }
}
