//! Whole numbers that are made of loop indices, in 32 bits.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::{Binary, Unary};

use super::flow::Point;
use super::group::{Expr, ExprOp, Group};
use crate::affine::Affine;

/// The numbers that a value may be, both included.
type Range = (i64, i64);

/// Computes the `i64` of a group as `i32` if all of them are known to fit and nothing else in it has 64 bits: vectors have twice as many lanes then.
///
/// Masks ask for it: those of triangles, diagonals and windows compare positions, whose dtype is `i64`.
pub(super) fn narrow(g: &mut Group) {
    let live = live(g);
    let mut ranges: Vec<Option<Range>> = Vec::with_capacity(g.exprs.len());
    for e in &g.exprs {
        let range = match e.dtype {
            DType::I64 => range(g, &ranges, &e.op)
                .filter(|(low, high)| i32::try_from(*low).is_ok() && i32::try_from(*high).is_ok()),
            DType::Bool | DType::U8 | DType::I8 | DType::I16 | DType::I32 => of_dtype(e.dtype),
            DType::F16 | DType::BF16 | DType::F32 | DType::F64 => None,
        };
        ranges.push(range);
    }
    let stays = |e: Expr| match g.exprs[e as usize].dtype {
        DType::I64 => ranges[e as usize].is_none(),
        DType::F64 => true,
        DType::Bool | DType::U8 | DType::I8 | DType::I16 | DType::I32 | DType::F16 | DType::BF16 | DType::F32 => false,
    };
    let handed_on = g.stores.iter().map(|s| g.exprs[s.expr as usize].dtype).chain(g.reduces.iter().map(|r| r.dtype));
    let wide = handed_on.chain(g.reduces.iter().map(|r| g.exprs[r.expr as usize].dtype)).any(|d| d.size_bytes() == 8);
    // Places that an index names have 64 bits.
    let looks_up = |e: usize| matches!(g.exprs[e].op, ExprOp::Lookup(_));
    if wide
        || (0..g.exprs.len()).any(|e| live[e] && looks_up(e))
        || (0..g.exprs.len()).any(|e| live[e] && stays(e as Expr))
    {
        return;
    }
    for (e, _) in g.exprs.iter_mut().zip(&live).filter(|(e, live)| **live && e.dtype == DType::I64) {
        e.dtype = DType::I32;
        if let ExprOp::Const(s) = &mut e.op {
            *s = s.cast(DType::I32);
        }
    }
}

/// Which expressions something is made of that is stored or reduced.
fn live(g: &Group) -> Vec<bool> {
    let mut live = vec![false; g.exprs.len()];
    for e in g.stores.iter().map(|s| s.expr).chain(g.reduces.iter().map(|r| r.expr)) {
        live[e as usize] = true;
    }
    // Operands stand before what is made of them.
    for e in (0..g.exprs.len()).rev() {
        if live[e] {
            match &g.exprs[e].op {
                ExprOp::Point(_, args) => args.iter().for_each(|a| live[*a as usize] = true),
                ExprOp::Lookup(l) => live[l.index as usize] = true,
                ExprOp::Load(..) | ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Reduced(_) => {}
            }
        }
    }
    live
}

/// What an integer of this dtype may be, where that is less than `i64`.
fn of_dtype(dtype: DType) -> Option<Range> {
    match dtype {
        DType::Bool => Some((0, 1)),
        DType::U8 => Some((0, i64::from(u8::MAX))),
        DType::I8 => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
        DType::I16 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
        DType::I32 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        DType::I64 | DType::F16 | DType::BF16 | DType::F32 | DType::F64 => None,
    }
}

/// What an expression of `i64` may be, if something is known, from what its operands may be.
fn range(g: &Group, ranges: &[Option<Range>], op: &ExprOp) -> Option<Range> {
    match op {
        ExprOp::Const(s) => {
            let Scalar::Int(x) = s.cast(DType::I64) else { return None };
            Some((x, x))
        }
        ExprOp::Index(at) => reach(g, at),
        ExprOp::Load(..) | ExprOp::Lookup(_) | ExprOp::Reduced(_) => None,
        ExprOp::Point(p, args) => {
            let of = |k: usize| ranges[args[k] as usize];
            match p {
                Point::Convert => of(0),
                Point::Select => {
                    let (a, b) = (of(1)?, of(2)?);
                    Some((a.0.min(b.0), a.1.max(b.1)))
                }
                Point::Unary(Unary::Neg) => of(0).map(|(low, high)| (-high, -low)),
                Point::Unary(Unary::Abs) => of(0).map(|(low, high)| (0.max(low).max(-high), high.max(-low))),
                Point::Unary(_) => None,
                Point::Binary(f) => binary(*f, of(0)?, of(1)?),
            }
        }
    }
}

/// What `f` of two integers may be, which are at most as large as an `i32`.
fn binary(f: Binary, a: Range, b: Range) -> Option<Range> {
    match f {
        Binary::Add => Some((a.0 + b.0, a.1 + b.1)),
        Binary::Sub => Some((a.0 - b.1, a.1 - b.0)),
        Binary::Mul => {
            let ends = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
            Some((*ends.iter().min()?, *ends.iter().max()?))
        }
        Binary::Maximum => Some((a.0.max(b.0), a.1.max(b.1))),
        Binary::Minimum => Some((a.0.min(b.0), a.1.min(b.1))),
        // Nearer to 0 than the dividend, or its own sign.
        Binary::DivTrunc | Binary::DivFloor if b.0 > 0 => Some((a.0.min(0), a.1.max(0))),
        Binary::Remainder if b.0 > 0 => Some((0, b.1 - 1)),
        Binary::Fmod if b.0 > 0 => Some((a.0.min(0), a.1.max(0))),
        _ => None, // Nothing is known: a matter of some functions, not of all.
    }
}

/// The numbers between which a sum of loop indices lies.
fn reach(g: &Group, at: &Affine) -> Option<Range> {
    let (mut low, mut high) = (at.base, at.base);
    for (v, c) in at.terms() {
        let most = i64::try_from(g.extents[v].saturating_sub(1)).ok()?.checked_mul(c)?;
        (low, high) = (low.checked_add(most.min(0))?, high.checked_add(most.max(0))?);
    }
    Some((low, high))
}
