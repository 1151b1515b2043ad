//! Which variables of a group are outer loops, serial loops and lanes.

use super::group::{Expr, ExprOp, Group};
use crate::affine::Affine;

/// Lanes are cut so that at least this many outer iterations can be shared by threads …
const OUTER: usize = 8;

/// … while pieces are at least this long.
const MIN_PIECE: usize = 4096;

/// The same for lanes that are columns of a reduction over serial loops.
const MIN_COLUMNS: usize = 64;

/// Reduced loops of fewer elements are short rows.
const LONG_ROW: usize = 128;

/// Rows of at most this many elements are crossed by lanes, if a transposed copy …
const ACROSS: usize = 512;
/// … of at most so many elements …
const BLOCK: usize = 1 << 17;
/// … serves so many rows.
const MANY: usize = 32;

/// Rows of at most this many elements are crossed by lanes wherever nothing but their sums is wanted: a copy costs less than to end them.
const SHORT_SUM: usize = 32;

/// What lanes along a slice that an index names count, where a read counts one: across slices they are read one by one.
const SLICE: usize = 4;

/// Lanes below this are worse than strided ones.
const SHORT: usize = 8;

/// The fewest elements that make strided lanes better than [`SHORT`] ones.
pub(crate) const LONG: usize = 64;

/// The dim along which lanes go best through an array: the last, or the longest where the last is too short and that one is [`LONG`]. Dims of one do not count.
pub(crate) fn lane_dim(sizes: &[usize]) -> Option<usize> {
    let last = sizes.iter().rposition(|n| *n != 1)?;
    let longest = (0..sizes.len()).max_by_key(|d| sizes[*d])?;
    Some(if sizes[last] < SHORT && sizes[longest] >= LONG { longest } else { last })
}

/// One loop: `scale` steps of the variable `var` and what lies inside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub extent: usize,
    pub var: usize,
    pub scale: i64,
}

impl Level {
    pub fn stride(&self, a: &Affine) -> i64 {
        a.coef(self.var) * self.scale
    }
}

/// The loops of a nest.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    pub outer: Vec<Level>,
    pub serial: Vec<Level>,
    pub lane: Option<Level>,
    /// Whether the lanes are kept, so that reductions have one accumulator for each.
    pub columns: bool,
}

impl Loops {
    pub fn lanes(&self) -> usize {
        self.lane.map_or(1, |l| l.extent)
    }

    pub fn row(&self) -> usize {
        self.serial.iter().map(|l| l.extent).product::<usize>() * self.lanes()
    }
}

/// The loop along which lanes go across short rows: a row of each of them lies in memory, which a transposed copy serves for all rows of another loop. Sums of all
/// pairs of rows are such: lanes along the rows would end each sum by adding up the lanes of a vector, which is as much as all before.
fn across(g: &Group, levels: &[Level], affines: &[(&Affine, i128)], indices: &[&Affine]) -> Option<usize> {
    let at_points = |a: &Affine| a.terms().any(|(v, _)| g.reduced[v]);
    let is_simple = g.has_reduces()
        && g.reduces.iter().all(|r| r.level == 0)
        && g.stores.iter().all(|s| !at_points(&s.at))
        && indices.is_empty();
    let mut reduced = levels.iter().filter(|l| g.reduced[l.var]);
    let (row, None) = (reduced.next()?, reduced.next()) else { return None };
    if !is_simple || !(SHORT..=ACROSS).contains(&row.extent) {
        return None;
    }
    (0..levels.len()).rev().find(|i| {
        let lanes = &levels[*i];
        let others = || levels.iter().enumerate().filter(|(j, l)| j != i && !g.reduced[l.var]).map(|(_, l)| l);
        let most = row.extent * lanes.extent <= BLOCK;
        let mut copies = 0;
        let fits = affines.iter().all(|(a, _)| match lanes.stride(a).abs() {
            0 | 1 => true,
            _ => {
                copies += 1;
                row.stride(a) == 1 && others().any(|l| l.extent >= MANY && l.stride(a) == 0)
            }
        });
        !g.reduced[lanes.var] && lanes.extent >= LONG && most && fits && copies == 1
    })
}

/// The loop along which lanes go across rows so short that it takes longer to add up the lanes of a vector than to copy them transposed: rows that lie in memory,
/// one after the other, of which only what is reduced is written.
fn across_short(g: &Group, levels: &[Level]) -> Option<usize> {
    let mut reduced = levels.iter().filter(|l| g.reduced[l.var]);
    let (row, None) = (reduced.next()?, reduced.next()) else { return None };
    if !(SHORT..=SHORT_SUM).contains(&row.extent) {
        return None;
    }
    let fits = |lanes: &Level| {
        let mut copies = false;
        let exprs = g.exprs.iter().all(|e| match &e.op {
            ExprOp::Load(_, a) if lanes.stride(a).abs() > 1 => {
                copies = true;
                row.stride(a) == 1 && lanes.stride(a) == row.extent as i64 && matches!(e.dtype.size_bytes(), 4 | 8)
            }
            ExprOp::Load(..) | ExprOp::Const(_) | ExprOp::Point(..) | ExprOp::Reduced(_) => true,
            ExprOp::Index(_) | ExprOp::Lookup(_) => false,
        });
        exprs && copies && g.stores.iter().all(|s| lanes.stride(&s.at) == 1 && row.stride(&s.at) == 0)
    };
    (0..levels.len()).rev().find(|i| !g.reduced[levels[*i].var] && levels[*i].extent >= LONG && fits(&levels[*i]))
}

/// For each expression whether it only says which slice is read.
fn names_slices(g: &Group) -> Vec<bool> {
    let mut names = vec![false; g.exprs.len()];
    for e in &g.exprs {
        if let ExprOp::Lookup(l) = &e.op {
            names[l.index as usize] |= l.slice > 1;
        }
    }
    let mut used = |e: Expr| names[e as usize] = false;
    g.stores.iter().map(|s| s.expr).chain(g.reduces.iter().map(|r| r.expr)).for_each(&mut used);
    for e in &g.exprs {
        match &e.op {
            ExprOp::Point(_, args) => args.iter().for_each(|a| used(*a)),
            ExprOp::Lookup(l) if l.slice == 1 => used(l.index),
            ExprOp::Lookup(_) | ExprOp::Load(..) | ExprOp::Const(_) | ExprOp::Index(_) | ExprOp::Reduced(_) => {}
        }
    }
    names
}

/// Chooses the loops.
pub(crate) fn arrange(g: &Group) -> Loops {
    let mut affines: Vec<(&Affine, usize)> = Vec::new();
    let mut indices: Vec<&Affine> = Vec::new();
    let names_slices = names_slices(g);
    for (e, names_slices) in g.exprs.iter().zip(names_slices) {
        match &e.op {
            // Read once for a slice.
            ExprOp::Load(_, a) if names_slices => indices.push(a),
            ExprOp::Load(_, a) => affines.push((a, 1)),
            ExprOp::Index(a) => indices.push(a),
            ExprOp::Lookup(l) if l.slice > 1 => affines.push((&l.at, SLICE)),
            ExprOp::Lookup(l) => indices.push(&l.at),
            ExprOp::Const(_) | ExprOp::Point(..) | ExprOp::Reduced(_) => {}
        }
    }
    affines.extend(g.stores.iter().map(|s| (&s.at, 2)));
    // Neighbours that every access walks through as one become one loop.
    let mut levels: Vec<Level> = Vec::new();
    for v in &g.order {
        let inner = Level { extent: g.extents[*v], var: *v, scale: 1 };
        let merges = levels.last().is_some_and(|outer: &Level| {
            let one = |a: &Affine| a.coef(outer.var) == a.coef(*v) * inner.extent as i64;
            g.reduced[outer.var] == g.reduced[*v]
                && affines.iter().all(|(a, _)| one(a))
                && indices.iter().all(|a| one(a))
        });
        if merges {
            let outer = levels.pop().expect("just seen");
            levels.push(Level { extent: outer.extent * inner.extent, ..inner });
        } else {
            levels.push(inner);
        }
    }
    // How often an access happens: what depends on no reduced variable happens once for each row. Rows that are short cost
    // more to begin than to read, and what is kept should be the lanes.
    let long_rows = levels.iter().any(|l| g.reduced[l.var] && l.extent >= LONG_ROW);
    let count = |a: &Affine| {
        if !long_rows {
            return 1;
        }
        let per_row = g.has_reduces() && !a.terms().any(|(v, _)| g.reduced[v]);
        (if per_row { g.kept() } else { g.total() }) as i128
    };
    let affines: Vec<(&Affine, i128)> = affines.into_iter().map(|(a, w)| (a, w as i128 * count(a))).collect();
    // The lanes are the loop along which most accesses are contiguous, the innermost of equals, and not a short one.
    let score = |l: &Level| -> i128 {
        let along = affines.iter().map(|(a, w)| match l.stride(a).abs() {
            1 => 2 * w,
            0 => *w,
            _ => 0,
        });
        along.sum::<i128>()
    };
    let is_slice = |l: &Level, e: &ExprOp| matches!(e, ExprOp::Lookup(r) if r.slice > 1 && l.stride(&r.at) == 1);
    let is_written = |l: &Level| g.stores.iter().all(|s| l.stride(&s.at) == 1);
    let long = |l: &Level| l.extent >= SHORT || (is_written(l) && g.exprs.iter().any(|e| is_slice(l, &e.op)));
    let best = across(g, &levels, &affines, &indices)
        .or_else(|| across_short(g, &levels))
        .or_else(|| (0..levels.len()).max_by_key(|i| (long(&levels[*i]), score(&levels[*i]), *i)));
    let mut loops = Loops::default();
    for (i, l) in levels.iter().enumerate() {
        if Some(i) == best {
            loops.lane = Some(*l);
        } else if g.reduced[l.var] {
            loops.serial.push(*l);
        } else {
            loops.outer.push(*l);
        }
    }
    let Some(mut lane) = loops.lane else { return loops };
    loops.columns = g.has_reduces() && !g.reduced[lane.var];
    // Enough outer iterations for threads; reductions over lanes are never cut, so that their order is one.
    let outer: usize = loops.outer.iter().map(|l| l.extent).product();
    if !g.reduced[lane.var] && outer < OUTER {
        let (shortest, most) = if loops.columns { (MIN_COLUMNS, OUTER) } else { (MIN_PIECE, 64) };
        let pieces = (2..=(lane.extent / shortest).min(most)).rev().find(|c| lane.extent % c == 0);
        if let Some(c) = pieces {
            let extent = lane.extent / c;
            loops.outer.push(Level { extent: c, var: lane.var, scale: lane.scale * extent as i64 });
            lane.extent = extent;
            loops.lane = Some(lane);
        }
    }
    loops
}
