//! The loops of a nest as machine code wants them: joined where they continue each other, moved inside where rows are short, and without those that only
//! say the same again.

use cotangent_core::ir::DType;
use cotangent_loops::ir::{BodyOp, Loop, Memory, Nest, Stage};

/// The most elements side by side that are the same.
const MOST_REPEATS: usize = 8;

/// Rows of at most this many lanes are short …
const SHORT_ROW: usize = 64;
/// … and are joined to about this many points, …
const ROW_POINTS: usize = 2048;
/// … of which this many stay for threads.
const MANY_ROWS: usize = 32;

/// Removes the outer loop of the one stage that does no more than to store the element of each lane several times side by side, as where elements are
/// repeated; how often. Vectors hold them together then, where each row would store lanes that lie apart.
pub fn side_by_side(nest: &mut Nest, size: &dyn Fn(&Nest, &Memory) -> usize) -> usize {
    let [stage] = &nest.stages[..] else { return 1 };
    let plain = nest.scalars.is_empty() && nest.scratch.is_empty() && stage.columns.is_empty();
    let stores = crate::chain::stores(stage);
    if !plain || !stage.serial.is_empty() || !stage.after.ops.is_empty() || stores.is_empty() {
        return 1;
    }
    let indexed = |d: usize| {
        let is = |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Index { of: Loop::Outer(i), .. } if *i as usize == d);
        stage.body.ops.iter().any(is)
    };
    let side = |d: usize, (i, a): (usize, &cotangent_loops::ir::Access)| {
        if stores.contains(&i) {
            a.outer[d] == 1 && a.lane == nest.outer[d] as i64 && size(nest, &a.memory) >= 4
        } else {
            a.outer[d] == 0
        }
    };
    let found = (0..nest.outer.len()).find(|d| {
        let accesses = stage.accesses.iter().enumerate();
        (2..=MOST_REPEATS).contains(&nest.outer[*d]) && !indexed(*d) && accesses.clone().all(|a| side(*d, a))
    });
    let Some(d) = found else { return 1 };
    let stage = &mut nest.stages[0];
    stage.accesses.iter_mut().for_each(|a| {
        a.outer.remove(d);
    });
    for (op, _) in &mut stage.body.ops {
        if let BodyOp::Index { of: Loop::Outer(i), .. } = op
            && *i as usize > d
        {
            *i -= 1;
        }
    }
    nest.outer.remove(d)
}

/// The accesses that are turned along a serial loop, as stage, number and loop.
pub fn turn_serial(nest: &Nest, size: &dyn Fn(&Nest, &Memory) -> usize) -> Vec<(usize, usize, usize)> {
    let accesses = nest.stages.iter().enumerate().flat_map(|(s, stage)| (0..stage.accesses.len()).map(move |i| (s, i)));
    let turned = accesses.filter_map(|(s, i)| {
        let bytes = size(nest, &nest.stages[s].accesses[i].memory);
        Some((s, i, crate::turned::along_serial(nest, s, i, bytes)?))
    });
    turned.collect()
}

/// Makes a loop that moves none of these accesses, which are turned along serial loops, the innermost outer one; whether there is one. Outer loops run in any
/// order (P4), but if they have to stay as they are.
pub fn still_innermost(nest: &mut Nest, stay: bool, lying: &[(usize, usize, usize)]) -> bool {
    let moves = |d: usize| lying.iter().any(|(s, i, _)| nest.stages[*s].accesses[*i].outer[d] != 0);
    let still = (0..nest.outer.len()).rev().find(|d| nest.outer[*d] > 1 && !moves(*d));
    let Some(still) = still.filter(|_| !lying.is_empty()) else { return false };
    let order: Vec<usize> = (0..nest.outer.len()).filter(|d| *d != still).chain([still]).collect();
    if stay && !order.is_sorted() {
        return false;
    }
    crate::across::reorder(nest, &order);
    true
}

/// The accesses that are turned, as stage and number. The loop along which they are contiguous becomes the innermost outer one; it has to be if loops `stay`.
pub fn turn(nest: &mut Nest, stay: bool, size: &dyn Fn(&Nest, &Memory) -> usize) -> Vec<(usize, usize)> {
    let all: Vec<(usize, usize, usize)> = (0..nest.stages.len())
        .flat_map(|s| (0..nest.stages[s].accesses.len()).map(move |i| (s, i)))
        .filter_map(|(s, i)| {
            let bytes = size(nest, &nest.stages[s].accesses[i].memory);
            Some((s, i, crate::turned::along(nest, s, i, bytes, stay)?))
        })
        .collect();
    let last = nest.outer.len().wrapping_sub(1);
    let other = all.first().map(|t| t.2).filter(|_| !stay);
    let Some(d) = all.iter().map(|t| t.2).find(|d| *d == last).or(other) else {
        return Vec::new();
    };
    // Outer loops run in any order (P4).
    let order: Vec<usize> = (0..=last).filter(|e| *e != d).chain([d]).collect();
    crate::across::reorder(nest, &order);
    all.into_iter().filter(|t| t.2 == d).map(|(s, i, _)| (s, i)).collect()
}

/// Short rows of points cost more to begin than to compute: outer loops that nothing else needs become serial loops of the one stage.
pub fn rows_inside(nest: &mut Nest) {
    let [stage] = &mut nest.stages[..] else { return };
    let plain = nest.scalars.is_empty() && nest.scratch.is_empty() && stage.columns.is_empty();
    if !plain || !stage.after.ops.is_empty() || stage.lanes > SHORT_ROW {
        return;
    }
    while let Some(&n) = nest.outer.last() {
        let (rest, inside) =
            (nest.outer[..nest.outer.len() - 1].iter().product::<usize>(), stage.serial.iter().product::<usize>());
        if inside * stage.lanes >= ROW_POINTS || n < 2 {
            return;
        }
        let d = nest.outer.len() - 1;
        // Enough rows stay for threads: the loop moves inside, or a part of it.
        let part = if rest >= MANY_ROWS || rest * n * inside * stage.lanes <= ROW_POINTS {
            n
        } else {
            let most = (n * rest / MANY_ROWS).min(ROW_POINTS / (inside * stage.lanes).max(1));
            (2..=most).rev().find(|p| n.is_multiple_of(*p)).unwrap_or(1)
        };
        let indexed =
            |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Index { of: Loop::Outer(i), .. } if *i as usize == d);
        if part == 1 || (part < n && stage.body.ops.iter().any(indexed)) {
            return;
        }
        stage.serial.insert(0, part);
        for a in &mut stage.accesses {
            a.serial.insert(0, a.outer[d]);
            a.outer[d] *= part as i64;
        }
        for (op, _) in &mut stage.body.ops {
            if let BodyOp::Index { of, .. } = op {
                *of = match *of {
                    Loop::Serial(i) => Loop::Serial(i + 1),
                    Loop::Outer(i) if i as usize == d => Loop::Serial(0),
                    Loop::Outer(i) => Loop::Outer(i),
                    Loop::Lane => Loop::Lane,
                };
            }
        }
        nest.outer[d] = n / part;
        if part < n {
            return;
        }
        nest.outer.pop();
        stage.accesses.iter_mut().for_each(|a| {
            a.outer.pop();
        });
    }
}

/// The nest with loops that continue each other in memory made one.
pub fn merged(nest: &Nest) -> Nest {
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
