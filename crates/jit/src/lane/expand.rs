//! From the bodies of a stage to lane code.
//!
//! `x·y + c` of `f32` or `f64` becomes one fused operation where the product has no other use, also where `c` is an accumulator: it rounds once instead of twice.

use cotangent_core::ir::DType;
use cotangent_core::ops::{Binary, Monoid};
use cotangent_loops::ir::{Body, BodyOp, BodyValue, Loop, Nest, Stage};

use super::order::ordered;
use super::scalar::bits;
use super::{Accumulator, Bin, Builder, Code, Conv, Fused, Mem, Op, OpSet, Shift, Ty, V};

/// A stage in lane code.
#[derive(Clone, PartialEq, Debug)]
pub struct Expanded {
    /// What happens at each point.
    pub body: Code,
    /// What happens for each lane after the serial loops.
    pub after: Code,
    /// Row reductions first, then columns.
    pub accumulators: Vec<Accumulator>,
    /// The number of row reductions.
    pub rows: usize,
    /// Whether some value has 64 bits.
    pub wide: bool,
}

struct Places<'a> {
    nest: &'a Nest,
    stage: &'a Stage,
    rows: usize,
    dtypes: &'a dyn Fn(u32) -> DType,
    ops: OpSet,
}

/// Expands the bodies of `stage`; `dtypes` gives the dtype of each access's memory.
pub fn expand(nest: &Nest, stage: &Stage, dtypes: &dyn Fn(u32) -> DType, ops: OpSet) -> Expanded {
    let mut accumulators = Vec::new();
    for (op, dtype) in &stage.body.ops {
        if let BodyOp::ReduceLanes(i, monoid, _) = op {
            accumulators.push(Accumulator { monoid: *monoid, dtype: *dtype, scalar: Some(*i) });
        }
    }
    let rows = accumulators.len();
    accumulators.extend(stage.columns.iter().map(|(monoid, dtype)| Accumulator {
        monoid: *monoid,
        dtype: *dtype,
        scalar: None,
    }));
    let places = Places { nest, stage, rows, dtypes, ops };
    let body = code(&stage.body, &places);
    let after = code(&stage.after, &places);
    let is_wide = |c: &Code| {
        c.insts.iter().any(|i| {
            let mut wide = i.ty.is_wide();
            i.op.operands(|v| wide |= v.ty.is_wide());
            wide
        })
    };
    let wide = is_wide(&body) || is_wide(&after) || accumulators.iter().any(|a| Ty::of(a.dtype).is_wide());
    Expanded { body, after, accumulators, rows, wide }
}

fn code(body: &Body, places: &Places) -> Code {
    let mut b = Builder::new(places.ops);
    let mut uses = vec![0u32; body.ops.len()];
    for (op, _) in &body.ops {
        operands(op, |v| uses[v.0 as usize] += 1);
    }
    let mut values: Vec<V> = Vec::with_capacity(body.ops.len());
    let mut row = 0;
    for (op, dtype) in &body.ops {
        let v = |x: &BodyValue| values[x.0 as usize];
        let dtype_of = |x: &BodyValue| body.ops[x.0 as usize].1;
        let value = match op {
            BodyOp::Load(i) => b.load(*i, (places.dtypes)(*i)),
            BodyOp::Lookup { of, access, offset, index } => {
                let lookup = &places.nest.lookups[*of as usize];
                let place = b.place(*of, lookup, v(offset), v(index));
                let dtype = (places.dtypes)(*access);
                b.push(Op::Gather(*access, Mem::of(dtype), place), Ty::of(dtype))
            }
            BodyOp::Const(s) => b.constant(bits(s.cast(*dtype), Ty::of(*dtype)), Ty::of(*dtype)),
            BodyOp::Index { of, scale, offset } => b.index(*of, *scale, *offset, *dtype, places),
            BodyOp::RowScalar(i) => {
                let x = b.push(Op::Scalar(*i), Ty::of(*dtype));
                b.round_to(x, *dtype)
            }
            BodyOp::Column(i) => {
                let x = b.push(Op::Acc(places.rows as u32 + i), Ty::of(*dtype));
                b.round_to(x, *dtype)
            }
            BodyOp::Unary(f, x) => b.unary(*f, v(x), *dtype),
            BodyOp::Binary(f, x, y) => match contraction(*f, *x, *y, *dtype, body, &uses) {
                Some((kind, [p, q, c])) => {
                    let (p, q, c) = (v(&p), v(&q), v(&c));
                    b.push(Op::Fused(kind, p, q, c), c.ty)
                }
                None => b.binary(*f, v(x), v(y), dtype_of(x)),
            },
            BodyOp::Select(c, x, y) => {
                let (c, x, y) = (v(c), v(x), v(y));
                b.select(c, x, y)
            }
            BodyOp::Convert(x) => b.convert(v(x), dtype_of(x), *dtype),
            BodyOp::Store(i, x) => b.store(*i, v(x), (places.dtypes)(*i)),
            BodyOp::ReduceLanes(_, monoid, x) => {
                row += 1;
                b.reduce(row - 1, *monoid, *dtype, v(x), product(*x, *dtype, body, &uses).map(|p| p.map(|x| v(&x))))
            }
            BodyOp::ReduceSerial(i, x) => {
                let (monoid, dtype) = places.stage.columns[*i as usize];
                let product = product(*x, dtype, body, &uses).map(|p| p.map(|x| v(&x)));
                b.reduce(places.rows as u32 + i, monoid, dtype, v(x), product)
            }
        };
        values.push(value);
    }
    ordered(prune(&b.code))
}

/// Calls `f` with each operand of a body op.
pub fn operands(op: &BodyOp, mut f: impl FnMut(BodyValue)) {
    match op {
        BodyOp::Load(_) | BodyOp::Const(_) | BodyOp::Index { .. } | BodyOp::RowScalar(_) | BodyOp::Column(_) => {}
        BodyOp::Unary(_, a)
        | BodyOp::Convert(a)
        | BodyOp::Store(_, a)
        | BodyOp::ReduceLanes(_, _, a)
        | BodyOp::ReduceSerial(_, a) => f(*a),
        BodyOp::Binary(_, a, b) | BodyOp::Lookup { offset: a, index: b, .. } => {
            f(*a);
            f(*b);
        }
        BodyOp::Select(a, b, c) => {
            f(*a);
            f(*b);
            f(*c);
        }
    }
}

/// The factors of a product of this dtype, of `f32` or `f64`, that is used only once.
fn product(x: BodyValue, dtype: DType, body: &Body, uses: &[u32]) -> Option<[BodyValue; 2]> {
    let (BodyOp::Binary(Binary::Mul, p, q), own) = body.ops[x.0 as usize] else { return None };
    let is_float = own == dtype && matches!(dtype, DType::F32 | DType::F64);
    (is_float && uses[x.0 as usize] == 1).then_some([p, q])
}

/// The fused form of a sum whose one operand is a product used only here.
fn contraction(
    f: Binary,
    x: BodyValue,
    y: BodyValue,
    dtype: DType,
    body: &Body,
    uses: &[u32],
) -> Option<(Fused, [BodyValue; 3])> {
    let product = |v: BodyValue| product(v, dtype, body, uses);
    match f {
        Binary::Add => product(x)
            .map(|[p, q]| (Fused::Add, [p, q, y]))
            .or_else(|| product(y).map(|[p, q]| (Fused::Add, [p, q, x]))),
        Binary::Sub => product(x)
            .map(|[p, q]| (Fused::Sub, [p, q, y]))
            .or_else(|| product(y).map(|[p, q]| (Fused::NegAdd, [p, q, x]))),
        _ => None,
    }
}

impl Builder {
    fn load(&mut self, access: u32, dtype: DType) -> V {
        let x = self.push(Op::Load(access, Mem::of(dtype)), if dtype == DType::BF16 { Ty::I32 } else { Ty::of(dtype) });
        if dtype == DType::BF16 { self.shift(Shift::Left, x, 16).bits(Ty::F32) } else { x }
    }

    fn store(&mut self, access: u32, x: V, dtype: DType) -> V {
        let y = match self.code.insts[x.id as usize].op {
            // The store rounds, too.
            Op::Conv(Conv::RoundF16, before) if dtype == DType::F16 => before,
            _ if dtype == DType::BF16 => self.shift(Shift::Logical, x.bits(Ty::I32), 16),
            _ => x,
        };
        self.push(Op::Store(access, Mem::of(dtype), y), y.ty)
    }

    fn index(&mut self, of: Loop, scale: i64, offset: i64, dtype: DType, places: &Places) -> V {
        let (op, extent) = match of {
            Loop::Outer(i) => (Op::Outer(i), places.nest.outer[i as usize]),
            Loop::Serial(i) => (Op::Serial(i), places.stage.serial[i as usize]),
            Loop::Lane => (Op::Lane, places.stage.lanes),
        };
        let end = scale.checked_mul(extent as i64).and_then(|e| e.checked_add(offset));
        let small = |x: i64| i32::try_from(x).is_ok();
        let narrow =
            !Ty::of(dtype).is_wide() && small(scale) && small(offset) && end.is_some_and(small) && small(extent as i64);
        let (ty, from) = if narrow { (Ty::I32, DType::I32) } else { (Ty::I64, DType::I64) };
        let mut x = self.push(op, ty);
        if scale != 1 {
            let scale = self.i(scale, ty);
            x = self.integer_mul(x, scale);
        }
        if offset != 0 {
            let offset = self.i(offset, ty);
            x = self.add(x, offset);
        }
        self.convert(x, from, dtype)
    }

    /// What a dtype keeps of an accumulated value.
    fn round_to(&mut self, x: V, dtype: DType) -> V {
        match x.ty {
            Ty::F32 => self.narrow(x, dtype),
            Ty::I32 => self.wrap(x, dtype),
            Ty::F64 | Ty::I64 | Ty::Mask => x,
        }
    }

    fn unary(&mut self, f: cotangent_core::ops::Unary, x: V, dtype: DType) -> V {
        match x.ty {
            _ if f.is_predicate() => self.predicate(f, x),
            Ty::F32 | Ty::F64 => self.float_unary(f, x, dtype),
            Ty::I32 | Ty::I64 => self.integer_unary(f, x, dtype),
            Ty::Mask if f == cotangent_core::ops::Unary::BitwiseNot => self.not(x),
            Ty::Mask => x,
        }
    }

    /// A truth about a value.
    fn predicate(&mut self, f: cotangent_core::ops::Unary, x: V) -> V {
        match (f, x.ty) {
            (_, Ty::Mask) => self.constant(0, Ty::Mask),
            (cotangent_core::ops::Unary::Signbit, ty) => {
                let int = if ty.is_wide() { Ty::I64 } else { Ty::I32 };
                let zero = self.i(0, int);
                self.lt(x.bits(int), zero)
            }
            (_, ty) => {
                let float = if ty.is_wide() { DType::F64 } else { DType::F32 };
                let y = self.call(super::ScalarCall::Unary(f, Ty::of(float)), x, x, None);
                self.convert(y, float, DType::Bool)
            }
        }
    }

    /// A function of two values of `dtype`.
    fn binary(&mut self, f: Binary, a: V, b: V, dtype: DType) -> V {
        match a.ty {
            Ty::Mask => self.bool_binary(f, a, b),
            Ty::F32 | Ty::F64 | Ty::I32 | Ty::I64 if f.is_comparison() => self.comparison(f, a, b),
            Ty::F32 | Ty::F64 => self.float_binary(f, a, b, dtype),
            Ty::I32 | Ty::I64 => self.integer_binary(f, a, b, dtype),
        }
    }

    /// A step of an accumulator by `x`, which may be a product of two that is not needed itself.
    fn reduce(&mut self, acc: u32, monoid: Monoid, dtype: DType, x: V, product: Option<[V; 2]>) -> V {
        let old = self.push(Op::Acc(acc), x.ty);
        if let (Monoid::Sum, Some([p, q])) = (monoid, product) {
            let new = self.push(Op::Fused(Fused::Add, p, q, old), x.ty);
            return self.push(Op::SetAcc(acc, new), new.ty);
        }
        let new = match (x.ty, monoid) {
            (Ty::F32 | Ty::F64 | Ty::I32 | Ty::I64, Monoid::Sum) => self.add(old, x),
            (Ty::F32 | Ty::F64, Monoid::Prod) => self.mul(old, x),
            (Ty::I32 | Ty::I64, Monoid::Prod) => self.integer_mul(old, x),
            (Ty::F32 | Ty::F64, Monoid::Max) => self.running_extreme(x, old, Bin::Max),
            (Ty::F32 | Ty::F64, Monoid::Min) => self.running_extreme(x, old, Bin::Min),
            (Ty::I32 | Ty::I64, Monoid::Max) => self.integer_extreme(old, x, true),
            (Ty::I32 | Ty::I64, Monoid::Min) => self.integer_extreme(old, x, false),
            (Ty::Mask, Monoid::Sum | Monoid::Max | Monoid::LogAddExp) => self.or(old, x),
            (Ty::Mask, Monoid::Prod | Monoid::Min) => self.and(old, x),
            (Ty::F32 | Ty::F64, Monoid::LogAddExp) => self.log_add_exp(old, x),
            (Ty::I32 | Ty::I64, Monoid::LogAddExp) => {
                let float = if x.ty == Ty::I32 { (DType::I32, DType::F64) } else { (DType::I64, DType::F64) };
                let (a, b) = (self.convert(old, float.0, float.1), self.convert(x, float.0, float.1));
                let y = self.log_add_exp(a, b);
                self.convert(y, float.1, dtype)
            }
        };
        self.push(Op::SetAcc(acc, new), new.ty)
    }

    /// The larger or smaller of `x` and `old`, NaN if either is. A NaN in `old` stays: the instruction gives its second operand. One in `x` becomes the
    /// NaN of all ones, of which bits are made without `x`, so that its register is free.
    fn running_extreme(&mut self, x: V, old: V, op: Bin) -> V {
        let (nan, ones) = (self.is_nan(x), self.constant(if x.ty == Ty::F32 { 0xffff_ffff } else { u64::MAX }, x.ty));
        let y = self.bin(op, x, old);
        self.select(nan, ones, y)
    }

    /// `log(e^a + e^b)` by way of the larger one; an infinite larger one is the result.
    fn log_add_exp(&mut self, a: V, b: V) -> V {
        let max = self.float_extreme(a, b, Bin::Max);
        let min = self.float_extreme(a, b, Bin::Min);
        let d = self.sub(min, max);
        let e = self.exp(d);
        let l = self.log1p(e);
        let y = self.add(max, l);
        let (size, inf) = (self.fabs(max), self.f(f64::INFINITY, a.ty));
        let infinite = self.cmp(super::Pred::Eq, size, inf);
        self.select(infinite, max, y)
    }
}

/// Drops what nothing uses.
fn prune(code: &Code) -> Code {
    let n = code.insts.len();
    let mut used = vec![false; n];
    for i in (0..n).rev() {
        let op = &code.insts[i].op;
        used[i] |= op.has_effect();
        if used[i] {
            op.operands(|v| used[v.id as usize] = true);
        }
    }
    code.rebuilt(&(0..n).filter(|i| used[*i]).collect::<Vec<_>>())
}
