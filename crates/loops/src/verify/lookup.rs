//! Reads through an index.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::Binary;

use super::{Defined, Verifier};
use crate::ir::{Aim, Body, BodyOp, BodyValue, Loop, Memory, Nest, Stage};

impl Verifier<'_> {
    /// How far an aimed access goes below its place and above it; `None` if it cannot be aimed so (P1).
    pub(super) fn aim(&mut self, n: &Nest, s: &Stage, aim: &Aim) -> Option<(i128, i128)> {
        let (Some(lookup), Some(index)) = (n.lookups.get(aim.of as usize), s.accesses.get(aim.index as usize)) else {
            self.wrong("P1", format!("no lookup t{} or no access {}", aim.of, aim.index));
            return None;
        };
        let Memory::Buffer(b) = index.memory else {
            self.wrong("P1", format!("an index in scratch memory, at access {}", aim.index));
            return None;
        };
        if index.aim.is_some() || index.lane != 0 {
            self.wrong("P1", format!("the index at access {} is not the same in all lanes", aim.index));
        }
        if lookup.size == 0 {
            self.wrong("P2", format!("lookup t{} has nothing to name", aim.of));
        }
        match self.program.buffers.get(b.0 as usize).map(|b| b.dtype) {
            Some(DType::I64) => {}
            Some(found) => self.wrong("P3", format!("an index that is {found}")),
            None => {}
        }
        let across = i128::from(lookup.step) * (lookup.size as i128 - 1);
        Some((across.min(0), across.max(0)))
    }

    /// That the index is there that moves access `i`, if one does: before the nest, and at the point.
    pub(super) fn aimed(&mut self, s: &Stage, i: u32, after: bool, defined: &Defined, before: &[usize]) {
        let Some(aim) = s.accesses.get(i as usize).and_then(|a| a.aim) else { return };
        let Some(index) = s.accesses.get(aim.index as usize) else { return };
        if after && index.serial.iter().any(|stride| *stride != 0) {
            self.wrong("P1", format!("the index at access {} moves in loops that have ended", aim.index));
        }
        self.reads(s, aim.index, defined, before);
    }

    /// Whether a lookup of this nest reads inside its memory for all indices of loops and of the dim (P2).
    pub(super) fn lookup(&mut self, n: &Nest, s: &Stage, body: &Body, [of, access]: [u32; 2], offset: BodyValue) {
        let Some(lookup) = n.lookups.get(of as usize) else {
            return self.wrong("P1", format!("no lookup t{of}"));
        };
        let Some(a) = s.accesses.get(access as usize) else { return };
        if a.aim.is_some() || a.outer.iter().chain(&a.serial).chain([&a.lane]).any(|stride| *stride != 0) {
            self.wrong("P2", format!("the access of lookup t{of} moves"));
        }
        let len = match a.memory {
            Memory::Buffer(b) => self.program.buffers.get(b.0 as usize).map(|b| b.len),
            Memory::Scratch(r) => n.scratch.get(r as usize).map(|r| r.1),
        };
        let Some(len) = len else { return };
        if lookup.size == 0 || n.outer.contains(&0) || s.serial.contains(&0) || s.lanes == 0 {
            return;
        }
        let Some((low, high)) = reach(n, s, body, offset) else {
            return self.wrong("P2", format!("the offset of lookup t{of} is not made of loop indices"));
        };
        let across = i128::from(lookup.step) * (lookup.size as i128 - 1);
        let (low, high) = (i128::from(a.offset) + low + across.min(0), i128::from(a.offset) + high + across.max(0));
        if low < 0 || high >= len as i128 {
            self.wrong("P2", format!("lookup t{of} reaches from {low} to {high} in {len} elements"));
        }
    }
}

/// The numbers between which a sum of loop indices lies. A body defines values before their use, so that this ends.
fn reach(n: &Nest, s: &Stage, body: &Body, v: BodyValue) -> Option<(i128, i128)> {
    let (mut low, mut high, mut rest) = (0, 0, vec![v]);
    // A sum has one term for each loop; what has more is none of lowering.
    let most = n.outer.len() + s.serial.len() + 2;
    let mut terms = 0;
    while let Some(v) = rest.pop() {
        let (a, b) = match body.ops.get(v.0 as usize)?.0 {
            BodyOp::Const(Scalar::Int(c)) => (i128::from(c), i128::from(c)),
            BodyOp::Index { of, scale, offset } => {
                let extent = match of {
                    Loop::Outer(i) => *n.outer.get(i as usize)?,
                    Loop::Serial(i) => *s.serial.get(i as usize)?,
                    Loop::Lane => s.lanes,
                };
                let reach = i128::from(scale) * (extent as i128 - 1);
                (i128::from(offset) + reach.min(0), i128::from(offset) + reach.max(0))
            }
            BodyOp::Binary(Binary::Add, x, y) if x.0 < v.0 && y.0 < v.0 => {
                rest.extend([x, y]);
                continue;
            }
            _ => return None,
        };
        terms += 1;
        if terms > most {
            return None;
        }
        (low, high) = (low + a, high + b);
    }
    Some((low, high))
}
