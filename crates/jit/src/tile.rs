//! The portable executor: lane code interpreted on tiles of lanes, each operation one loop that rustc vectorises.

use half::f16;

use crate::arithmetic::{
    compare, float_bin32, float_bin64, fused32, fused64, int_bin32, int_bin64, map, part_of, select, zip,
};
use crate::failure::Failure;
use crate::frame::Frame;
use crate::kernel::StageKernel;
use crate::lane::scalar::combine;
use crate::lane::{Accumulator, Code, Conv, Fused, Inst, Mem, Op, RoundTo, Shift, Ty, V};

/// Lanes of a tile.
pub const TILE: usize = 128;

/// Where the values of lane code live: instruction `i` in slot `slot[i]`, shared by values that never live at once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Slots {
    slot: Vec<u32>,
    /// The number of slots.
    pub count: usize,
}

impl Slots {
    /// Assigns slots in one pass.
    pub fn new(code: &Code) -> Self {
        let n = code.insts.len();
        let mut last = vec![0; n];
        for (i, inst) in code.insts.iter().enumerate() {
            last[i] = i;
            inst.op.operands(|v| last[v.id as usize] = i);
        }
        let (mut free, mut count, mut slot) = (Vec::new(), 0u32, Vec::with_capacity(n));
        let mut ends: Vec<Vec<u32>> = vec![Vec::new(); n];
        for i in 0..n {
            // A slot is free only after the instruction that reads it last: results never overlap operands.
            let s = free.pop().unwrap_or_else(|| {
                count += 1;
                count - 1
            });
            slot.push(s);
            ends[last[i]].push(s);
            free.append(&mut ends[i]);
        }
        Slots { slot, count: count as usize }
    }
}

/// One stage on the tile that starts at lane `from`.
struct Tile<'a> {
    frame: Frame,
    kernel: &'a StageKernel,
    values: *mut u64,
    accumulators: *mut u64,
    from: usize,
    lanes: usize,
}

/// Runs a stage at the places that the frame names.
///
/// # Safety
/// The frame is one of the kernel's nest, and its pointers reach every element that the stage's accesses name (P2).
pub unsafe fn run(kernel: &StageKernel, frame: Frame) {
    let slots = kernel.tile_slots.0.count.max(kernel.tile_slots.1.count);
    let accumulators = kernel.lane.accumulators.len();
    crate::frame::with_words((slots + accumulators) * TILE, |words| {
        let values = words.as_mut_ptr();
        // SAFETY: the accumulators follow the values in the same memory.
        let acc = unsafe { values.add(slots * TILE) };
        let n = frame.lanes();
        let mut tile = Tile { frame, kernel, values, accumulators: acc, from: 0, lanes: 0 };
        for (k, a) in kernel.lane.accumulators.iter().enumerate() {
            tile.fill(k, a.neutral());
        }
        let rows = kernel.lane.rows;
        loop {
            tile.lanes = TILE.min(n - tile.from);
            if tile.lanes == 0 {
                break;
            }
            for (k, a) in kernel.lane.accumulators.iter().enumerate().skip(rows) {
                tile.fill(k, a.neutral());
            }
            tile.serial(0);
            let after = &kernel.lane.after;
            if !after.insts.is_empty() {
                tile.code(after, &kernel.tile_slots.1);
            }
            tile.from += tile.lanes;
        }
        for (k, a) in kernel.lane.accumulators.iter().enumerate().take(rows) {
            let total = tile.total(k, a);
            // SAFETY: the frame has one word of partials for each accumulator.
            unsafe { frame.partials().add(k * crate::frame::PARTIAL_WORDS).write(total) };
        }
    });
}

impl Tile<'_> {
    fn fill(&mut self, k: usize, neutral: u64) {
        let wide = Ty::of(self.kernel.lane.accumulators[k].dtype).is_wide();
        for j in 0..TILE {
            // SAFETY: each accumulator has `TILE` words.
            unsafe {
                let at = self.accumulators.add(k * TILE);
                if wide { at.add(j).write(neutral) } else { at.cast::<u32>().add(j).write(neutral as u32) }
            }
        }
    }

    /// The lanes of accumulator `k` combined in a fixed tree.
    fn total(&self, k: usize, a: &Accumulator) -> u64 {
        // SAFETY: each accumulator has `TILE` words.
        let at = unsafe { self.accumulators.add(k * TILE) };
        let mut xs: [u64; TILE] = std::array::from_fn(|j| unsafe {
            if Ty::of(a.dtype).is_wide() { at.add(j).read() } else { u64::from(at.cast::<u32>().add(j).read()) }
        });
        let mut n = TILE / 2;
        while n > 0 {
            for j in 0..n {
                xs[j] = combine(a.monoid, a.dtype, xs[j], xs[j + n]);
            }
            n /= 2;
        }
        xs[0]
    }

    /// The serial loops from depth `d` inwards.
    fn serial(&mut self, d: usize) {
        if d == self.kernel.serial.len() {
            self.code(&self.kernel.lane.body, &self.kernel.tile_slots.0);
            return;
        }
        for i in 0..self.kernel.serial[d] {
            self.frame.set_serial(self.kernel, d, i as u64);
            self.serial(d + 1);
        }
    }

    fn place(&self, access: u32) -> (*mut u8, isize) {
        let a = &self.kernel.accesses[access as usize];
        let mut at = a.lane as isize * self.from as isize;
        for (d, s) in a.serial.iter().enumerate() {
            at += *s as isize * self.frame.serial(self.kernel, d) as isize;
        }
        if let Some(aim) = &a.aim {
            let (from, _) = self.place(aim.index as u32);
            // SAFETY: the access of the index reaches an `i64` (P2).
            let index = unsafe { from.cast::<i64>().read() };
            if index < 0 || index as u64 >= aim.size as u64 {
                self.frame.fail(self.from, Failure::Index { of: aim.of, index });
            } else {
                at += (index * aim.step) as isize;
            }
        }
        // `wrapping`: places between rows need not exist, those that are read do (P2).
        (self.frame.pointer(self.kernel, access as usize).wrapping_offset(at), a.lane as isize)
    }

    fn code(&mut self, code: &Code, slots: &Slots) {
        for (i, inst) in code.insts.iter().enumerate() {
            self.inst(inst, i, slots);
        }
    }

    fn inst(&mut self, inst: &Inst, i: usize, slots: &Slots) {
        let n = self.lanes;
        let at = |id: u32| unsafe { self.values.add(slots.slot[id as usize] as usize * TILE) };
        let dst = at(i as u32);
        // SAFETY (all views below): a slot has `TILE` words, `n ≤ TILE`, and the slot of a result is none of its operands'.
        let u32s = |v: V| unsafe { std::slice::from_raw_parts(at(v.id).cast::<u32>(), n) };
        let u64s = |v: V| unsafe { std::slice::from_raw_parts(at(v.id), n) };
        let f32s = |v: V| unsafe { std::slice::from_raw_parts(at(v.id).cast::<f32>(), n) };
        let f64s = |v: V| unsafe { std::slice::from_raw_parts(at(v.id).cast::<f64>(), n) };
        let i32s = |v: V| unsafe { std::slice::from_raw_parts(at(v.id).cast::<i32>(), n) };
        let i64s = |v: V| unsafe { std::slice::from_raw_parts(at(v.id).cast::<i64>(), n) };
        let to_u32 = || unsafe { std::slice::from_raw_parts_mut(dst.cast::<u32>(), n) };
        let to_u64 = || unsafe { std::slice::from_raw_parts_mut(dst, n) };
        let to_f32 = || unsafe { std::slice::from_raw_parts_mut(dst.cast::<f32>(), n) };
        let to_f64 = || unsafe { std::slice::from_raw_parts_mut(dst.cast::<f64>(), n) };
        let get = |v: V, j: usize| if v.ty.is_wide() { u64s(v)[j] } else { u64::from(u32s(v)[j]) };
        let wide = inst.ty.is_wide();
        let spread = |bits: u64| if wide { to_u64().fill(bits) } else { to_u32().fill(bits as u32) };
        match inst.op {
            Op::Const(bits) => spread(bits),
            Op::Scalar(k) => spread(self.frame.scalar(self.kernel, k)),
            Op::Outer(k) => spread(self.frame.outer(k)),
            Op::Serial(k) => spread(self.frame.serial(self.kernel, k as usize)),
            Op::Lane => {
                let base = self.frame.base() + self.from as u64;
                for j in 0..n {
                    if wide { to_u64()[j] = base + j as u64 } else { to_u32()[j] = (base + j as u64) as u32 }
                }
            }
            Op::Load(a, mem) => {
                let (p, stride) = self.place(a);
                // SAFETY: every lane's place is inside its buffer (P2).
                unsafe { load(p, stride, mem, dst, n) }
            }
            Op::Gather(a, mem, v) => {
                let (p, _) = self.place(a);
                let size = mem.size() as isize;
                for (j, i) in i64s(v).iter().enumerate() {
                    // SAFETY: the index was looked at, so that the place is inside its buffer (P2); a slot has room for each lane.
                    unsafe {
                        let to = if wide { dst.add(j) } else { dst.cast::<u32>().add(j).cast::<u64>() };
                        load(p.offset(*i as isize * size), size, mem, to, 1);
                    }
                }
            }
            Op::Store(a, mem, v) => {
                let (p, stride) = self.place(a);
                for again in 0..self.kernel.accesses[a as usize].repeats {
                    // SAFETY: as above, and no other row writes there (P4).
                    unsafe { store(p.add(again * mem.size()), stride, mem, at(v.id), n) }
                }
            }
            Op::Acc(k) => unsafe {
                // SAFETY: accumulators and slots have `TILE` words each and do not overlap.
                std::ptr::copy_nonoverlapping(
                    self.accumulators.add(k as usize * TILE),
                    dst,
                    if wide { n } else { n.div_ceil(2) },
                );
            },
            Op::SetAcc(k, v) => unsafe {
                // SAFETY: as above; only the lanes of this tile are written.
                let to = self.accumulators.add(k as usize * TILE);
                if wide {
                    std::ptr::copy_nonoverlapping(at(v.id), to, n);
                } else {
                    std::ptr::copy_nonoverlapping(at(v.id).cast::<u32>(), to.cast::<u32>(), n);
                }
            },
            Op::Bin(op, a, b) => match inst.ty {
                Ty::F32 => zip(to_f32(), f32s(a), f32s(b), op, float_bin32),
                Ty::F64 => zip(to_f64(), f64s(a), f64s(b), op, float_bin64),
                Ty::I32 | Ty::Mask => zip(to_u32(), u32s(a), u32s(b), op, int_bin32),
                Ty::I64 => zip(to_u64(), u64s(a), u64s(b), op, int_bin64),
            },
            Op::Fused(kind, a, b, c) => {
                let (p, q) = match kind {
                    Fused::Add => (1.0, 1.0),
                    Fused::Sub => (1.0, -1.0),
                    Fused::NegAdd => (-1.0, 1.0),
                };
                if wide {
                    fused64(to_f64(), f64s(a), f64s(b), f64s(c), p, q);
                } else {
                    fused32(to_f32(), f32s(a), f32s(b), f32s(c), p as f32, q as f32);
                }
            }
            Op::Cmp(p, a, b) => match a.ty {
                Ty::F32 => compare(to_u32(), f32s(a), f32s(b), p),
                Ty::F64 => compare(to_u32(), f64s(a), f64s(b), p),
                Ty::I32 | Ty::Mask => compare(to_u32(), i32s(a), i32s(b), p),
                Ty::I64 => compare(to_u32(), i64s(a), i64s(b), p),
            },
            Op::Select(m, a, b) => {
                if wide {
                    select(to_u64(), u32s(m), u64s(a), u64s(b));
                } else {
                    select(to_u32(), u32s(m), u32s(a), u32s(b));
                }
            }
            Op::Sqrt(a) if wide => map(to_f64(), f64s(a), f64::sqrt),
            Op::Sqrt(a) => map(to_f32(), f32s(a), f32::sqrt),
            Op::Round(to, a) => match (to, wide) {
                (RoundTo::Even, true) => map(to_f64(), f64s(a), f64::round_ties_even),
                (RoundTo::Down, true) => map(to_f64(), f64s(a), f64::floor),
                (RoundTo::Up, true) => map(to_f64(), f64s(a), f64::ceil),
                (RoundTo::Zero, true) => map(to_f64(), f64s(a), f64::trunc),
                (RoundTo::Even, false) => map(to_f32(), f32s(a), f32::round_ties_even),
                (RoundTo::Down, false) => map(to_f32(), f32s(a), f32::floor),
                (RoundTo::Up, false) => map(to_f32(), f32s(a), f32::ceil),
                (RoundTo::Zero, false) => map(to_f32(), f32s(a), f32::trunc),
            },
            Op::Part(part, a) if wide => map(to_f64(), f64s(a), |x| part_of(x, part)),
            Op::Part(part, a) => map(to_f32(), f32s(a), |x| part_of(f64::from(x), part) as f32),
            Op::Shift(s, a, by) => match (s, wide) {
                (Shift::Left, true) => map(to_u64(), u64s(a), |x| x << by),
                (Shift::Logical, true) => map(to_u64(), u64s(a), |x| x >> by),
                (Shift::Arithmetic, true) => map(to_u64(), i64s(a), |x| (x >> by).cast_unsigned()),
                (Shift::Left, false) => map(to_u32(), u32s(a), |x| x << by),
                (Shift::Logical, false) => map(to_u32(), u32s(a), |x| x >> by),
                (Shift::Arithmetic, false) => map(to_u32(), i32s(a), |x| (x >> by).cast_unsigned()),
            },
            Op::Conv(c, a) => match c {
                Conv::F32ToF64 => map(to_f64(), f32s(a), f64::from),
                Conv::F64ToF32 => map(to_f32(), f64s(a), |x| x as f32),
                Conv::I32ToF32 => map(to_f32(), i32s(a), |x| x as f32),
                Conv::I32ToF64 => map(to_f64(), i32s(a), f64::from),
                Conv::F32ToI32 => map(to_u32(), f32s(a), |x| {
                    if (-2_147_483_648.0..2_147_483_648.0).contains(&x) {
                        (x as i32).cast_unsigned()
                    } else {
                        0x8000_0000
                    }
                }),
                Conv::F64ToI32 => map(to_u32(), f64s(a), |x| {
                    if x > -2_147_483_649.0 && x < 2_147_483_648.0 { (x as i32).cast_unsigned() } else { 0x8000_0000 }
                }),
                Conv::I32ToI64 => map(to_u64(), i32s(a), |x| i64::from(x).cast_unsigned()),
                Conv::I64ToI32 => map(to_u32(), u64s(a), |x| x as u32),
                Conv::I64ToF64 => map(to_f64(), i64s(a), |x| x as f64),
                Conv::I64ToF32 => map(to_f32(), i64s(a), |x| x as f32),
                Conv::F64ToI64 => map(to_u64(), f64s(a), |x| {
                    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x);
                    (if fits { x as i64 } else { i64::MIN }).cast_unsigned()
                }),
                Conv::RoundF16 => map(to_f32(), f32s(a), |x| f16::from_f32(x).to_f32()),
            },
            Op::Table(table, a) => map(to_u32(), u32s(a), |i| table.entry(i)),
            Op::Call(f, a, b, guard) => {
                for j in 0..n {
                    let y = match guard {
                        Some((mask, fast)) if u32s(mask)[j] == 0 => get(fast, j),
                        Some(_) | None => f.apply(get(a, j), get(b, j)).unwrap_or_else(|failure| {
                            self.frame.fail(self.from + j, failure);
                            0
                        }),
                    };
                    if wide { to_u64()[j] = y } else { to_u32()[j] = y as u32 }
                }
            }
        }
    }
}

/// Reads `n` elements at a distance of `stride` bytes into a slot.
///
/// # Safety
/// All `n` places are readable, and `to` has room for `n` words.
unsafe fn load(p: *const u8, stride: isize, mem: Mem, to: *mut u64, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        let (t32, t64) = (to.cast::<u32>(), to);
        let at = |j: usize| p.offset(stride * j as isize);
        match mem {
            Mem::B32 if stride == 4 => std::ptr::copy_nonoverlapping(p, to.cast::<u8>(), 4 * n),
            Mem::B64 if stride == 8 => std::ptr::copy_nonoverlapping(p, to.cast::<u8>(), 8 * n),
            Mem::B32 => (0..n).for_each(|j| t32.add(j).write(at(j).cast::<u32>().read_unaligned())),
            Mem::B64 => (0..n).for_each(|j| t64.add(j).write(at(j).cast::<u64>().read_unaligned())),
            Mem::Bool => (0..n).for_each(|j| t32.add(j).write(if at(j).read() != 0 { u32::MAX } else { 0 })),
            Mem::I8 => (0..n).for_each(|j| t32.add(j).cast::<i32>().write(i32::from(at(j).cast::<i8>().read()))),
            Mem::U8 => (0..n).for_each(|j| t32.add(j).write(u32::from(at(j).read()))),
            Mem::I16 => {
                (0..n).for_each(|j| t32.add(j).cast::<i32>().write(i32::from(at(j).cast::<i16>().read_unaligned())))
            }
            Mem::U16 => (0..n).for_each(|j| t32.add(j).write(u32::from(at(j).cast::<u16>().read_unaligned()))),
            Mem::F16 => (0..n).for_each(|j| {
                let x = f16::from_bits(at(j).cast::<u16>().read_unaligned()).to_f32();
                t32.add(j).write(x.to_bits());
            }),
        }
    }
}

/// Writes `n` elements of a slot at a distance of `stride` bytes.
///
/// # Safety
/// All `n` places are writable, and `from` holds `n` values.
unsafe fn store(p: *mut u8, stride: isize, mem: Mem, from: *const u64, n: usize) {
    // SAFETY: the caller's.
    unsafe {
        let (f32s, f64s) = (from.cast::<u32>(), from);
        let at = |j: usize| p.offset(stride * j as isize);
        match mem {
            Mem::B32 if stride == 4 => std::ptr::copy_nonoverlapping(from.cast::<u8>(), p, 4 * n),
            Mem::B64 if stride == 8 => std::ptr::copy_nonoverlapping(from.cast::<u8>(), p, 8 * n),
            Mem::B32 => (0..n).for_each(|j| at(j).cast::<u32>().write_unaligned(f32s.add(j).read())),
            Mem::B64 => (0..n).for_each(|j| at(j).cast::<u64>().write_unaligned(f64s.add(j).read())),
            Mem::Bool => (0..n).for_each(|j| at(j).write(u8::from(f32s.add(j).read() != 0))),
            Mem::I8 | Mem::U8 => (0..n).for_each(|j| at(j).write(f32s.add(j).read() as u8)),
            Mem::I16 | Mem::U16 => (0..n).for_each(|j| at(j).cast::<u16>().write_unaligned(f32s.add(j).read() as u16)),
            Mem::F16 => (0..n).for_each(|j| {
                let x = f16::from_f32(f32::from_bits(f32s.add(j).read()));
                at(j).cast::<u16>().write_unaligned(x.to_bits());
            }),
        }
    }
}
