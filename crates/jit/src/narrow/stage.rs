//! Stages to Cranelift's IR.

use std::sync::Arc;

use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::{
    AbiParam, ConstantData, Endianness, Function, InstBuilder, MemFlags, Signature, StackSlot, Type, Value, types,
};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};

use super::blocks::{Blocks, Lanes};
use super::target::Target;
use crate::kernel::StageKernel;
use crate::lane::{Code, Op, Ty, V};
use crate::machine::thunk::Call;

/// Memory that is there (P2), of any alignment.
pub(super) fn plain() -> MemFlags {
    MemFlags::new().with_notrap()
}

/// The function of one stage on its way.
pub(super) struct Emit<'a> {
    pub(super) b: FunctionBuilder<'a>,
    pub(super) kernel: &'a StageKernel,
    pub(super) target: &'a Target,
    pub(super) calls: &'a mut Vec<Arc<Call>>,
    pub(super) walk: Blocks,
    /// The address of the frame.
    pub(super) frame: Value,
    /// The number of lanes.
    pub(super) lanes: Value,
    /// The first lane of a block.
    pub(super) lane: Variable,
    /// The pointer of each access, at its index if it has one.
    pub(super) pointers: Vec<Variable>,
    /// The place without the index of each access that changes it in serial loops.
    pub(super) bases: Vec<Option<Variable>>,
    /// The index of each serial loop.
    pub(super) serial: Vec<Variable>,
    /// The copies of each accumulator.
    pub(super) accumulators: Vec<Vec<Variable>>,
    /// Where operands of calls go.
    pub(super) area: Option<StackSlot>,
    /// The values of each copy of the code that is being emitted.
    values: Vec<Vec<Option<Value>>>,
}

/// Builds the function of a stage.
pub(super) fn build(
    func: &mut Function,
    context: &mut FunctionBuilderContext,
    target: &Target,
    kernel: &StageKernel,
    calls: &mut Vec<Arc<Call>>,
) {
    let pointer = AbiParam::new(types::I64);
    func.signature = Signature { params: vec![pointer], returns: vec![], call_conv: target.isa().default_call_conv() };
    let mut b = FunctionBuilder::new(func, context);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let frame = b.block_params(entry)[0];
    let walk = Blocks::of(kernel);
    let mut words = |n: usize| (0..n).map(|_| b.declare_var(types::I64)).collect::<Vec<_>>();
    let (pointers, serial, lane) = (words(kernel.accesses.len()), words(kernel.serial.len()), words(1)[0]);
    let moves = |a: &crate::place::Place| a.aim.is_some_and(|aim| aim.moves);
    let bases = kernel.accesses.iter().map(|a| moves(a).then(|| words(1)[0])).collect();
    let accumulators = kernel.lane.accumulators.iter().map(|a| {
        let ty = vector(Ty::of(a.dtype), kernel.lane.wide);
        (0..walk.copies).map(|_| b.declare_var(ty)).collect()
    });
    let accumulators = accumulators.collect();
    let lanes = b.ins().load(types::I64, plain(), frame, 0);
    let (area, values) = (None, Vec::new());
    let mut e = Emit {
        b,
        kernel,
        target,
        calls,
        walk,
        frame,
        lanes,
        lane,
        pointers,
        bases,
        serial,
        accumulators,
        area,
        values,
    };
    e.stage();
    e.b.ins().return_(&[]);
    e.b.finalize();
}

/// The vectors of a type; masks are as wide as the widest lanes, and beside 64-bit lanes those of 32 bits fill half of a vector.
fn vector(ty: Ty, wide: bool) -> Type {
    match ty {
        Ty::F32 => types::F32X4,
        Ty::F64 => types::F64X2,
        Ty::I32 => types::I32X4,
        Ty::I64 => types::I64X2,
        Ty::Mask if wide => types::I64X2,
        Ty::Mask => types::I32X4,
    }
}

impl Emit<'_> {
    fn stage(&mut self) {
        for i in 0..self.pointers.len() {
            let at = self.word(self.kernel.layout.pointers + i);
            self.b.def_var(self.bases[i].unwrap_or(self.pointers[i]), at);
        }
        self.aim(false);
        let (rows, all, copies) = (self.kernel.lane.rows, self.accumulators.len(), self.walk.copies);
        (0..rows).for_each(|k| self.neutral(k, copies));
        let points: usize = self.kernel.serial.iter().product();
        let (body, after) = (&self.kernel.lane.body, &self.kernel.lane.after);
        if all > rows && self.kernel.columns_in_memory {
            // Whole rows, one after the other, as they stand in memory.
            self.blocks(copies, &|e, lanes| {
                (rows..all).for_each(|k| e.neutral(k, lanes.copies()));
                e.store_columns(lanes);
            });
            if points > 0 {
                self.serial(0, &mut |e| {
                    e.aim(true);
                    e.blocks(copies, &|e, lanes| {
                        e.load_columns(lanes);
                        e.code(body, lanes);
                        e.store_columns(lanes);
                    });
                });
            }
            self.blocks(copies, &|e, lanes| {
                e.load_columns(lanes);
                e.code(after, lanes);
            });
        } else if all > rows {
            self.blocks(copies, &|e, lanes| {
                (rows..all).for_each(|k| e.neutral(k, lanes.copies()));
                if points > 0 {
                    e.serial(0, &mut |e| {
                        e.aim(true);
                        e.code(body, lanes);
                    });
                }
                e.code(after, lanes);
            });
        } else {
            if points > 0 && !body.insts.is_empty() {
                self.serial(0, &mut |e| {
                    e.aim(true);
                    e.blocks(copies, &|e, lanes| e.code(body, lanes));
                });
            }
            if !after.insts.is_empty() {
                self.blocks(1, &|e, lanes| e.code(after, lanes));
            }
        }
        (0..rows).for_each(|k| self.fold(k));
    }

    /// Straight-line code for the lanes of a block.
    fn code(&mut self, code: &Code, lanes: &Lanes) {
        self.values = vec![vec![None; code.insts.len()]; lanes.copies()];
        for i in 0..code.insts.len() {
            for c in 0..lanes.copies() {
                let value = self.inst(code, i, c, lanes);
                self.values[c][i] = value;
            }
        }
    }

    /// The vectors of a type.
    pub(super) fn vector(&self, ty: Ty) -> Type {
        vector(ty, self.kernel.lane.wide)
    }

    /// An operand of copy `c`, as vector of the type under which it is read.
    pub(super) fn value(&mut self, code: &Code, v: V, c: usize) -> Value {
        if let Op::Const(bits) = code.insts[v.id as usize].op {
            // Where it is read: one that lives long costs a register, and then a place on the stack.
            return self.constant(bits, v.ty);
        }
        let x = self.values[c][v.id as usize].expect("lane code: values are defined before they are read");
        self.cast(x, self.vector(v.ty))
    }

    /// The same bits as another vector.
    pub(super) fn cast(&mut self, x: Value, ty: Type) -> Value {
        if self.b.func.dfg.value_type(x) == ty {
            return x;
        }
        self.b.ins().bitcast(ty, MemFlags::new().with_endianness(Endianness::Little), x)
    }

    /// The bits of a constant in all lanes.
    pub(super) fn constant(&mut self, bits: u64, ty: Ty) -> Value {
        let ty = self.vector(ty);
        let lane = &bits.to_le_bytes()[..ty.lane_type().bytes() as usize];
        self.bytes(&lane.repeat(ty.lane_count() as usize), ty)
    }

    /// A constant vector of these bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8], ty: Type) -> Value {
        let handle = self.b.func.dfg.constants.insert(ConstantData::from(bytes));
        self.b.ins().vconst(ty, handle)
    }

    /// 0, 1, 2 …
    pub(super) fn iota(&mut self, ty: Ty) -> Value {
        let ty = self.vector(ty);
        let size = ty.lane_type().bytes() as usize;
        let lanes: Vec<u8> =
            (0..u64::from(ty.lane_count())).flat_map(|j| j.to_le_bytes().into_iter().take(size)).collect();
        self.bytes(&lanes, ty)
    }

    /// A word of the frame.
    pub(super) fn word(&mut self, i: usize) -> Value {
        self.b.ins().load(types::I64, plain(), self.frame, Offset32::new(8 * i as i32))
    }

    /// A word as an integer in all lanes.
    pub(super) fn spread_word(&mut self, x: Value, ty: Ty) -> Value {
        let ty = self.vector(ty);
        let x = if ty.lane_type() == types::I64 { x } else { self.b.ins().ireduce(types::I32, x) };
        self.b.ins().splat(ty, x)
    }

    /// Scalars as lanes.
    pub(super) fn lanes_of(&mut self, scalars: &[Value], ty: Type) -> Value {
        let first = self.b.ins().scalar_to_vector(ty, scalars[0]);
        scalars.iter().enumerate().skip(1).fold(first, |v, (j, x)| self.b.ins().insertlane(v, *x, j as u8))
    }

    /// Which bytes of `x`, as a vector of `ty`; those behind are the first.
    pub(super) fn shuffle(&mut self, x: Value, which: &[u8], ty: Type) -> Value {
        let mut mask = [0; 16];
        mask[..which.len()].copy_from_slice(which);
        self.shuffle_two(x, x, mask, ty)
    }

    /// Which bytes of `x`, and behind them of `y`, as a vector of `ty`.
    pub(super) fn shuffle_two(&mut self, x: Value, y: Value, which: [u8; 16], ty: Type) -> Value {
        let (x, y) = (self.cast(x, types::I8X16), self.cast(y, types::I8X16));
        let which = self.b.func.dfg.immediates.push(ConstantData::from(&which[..]));
        let z = self.b.ins().shuffle(x, y, which);
        self.cast(z, ty)
    }

    /// The low halves of 64-bit lanes, in the first lanes of a vector of 32-bit ones.
    pub(super) fn low_halves(&mut self, x: Value) -> Value {
        // The other lanes too, so that it is the shuffle of words that machines have.
        self.shuffle(x, &[0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11], types::I32X4)
    }
}
