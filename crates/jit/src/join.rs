//! Which steps of a program become chains, and of how many units.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use cotangent_core::ir::DType;
use cotangent_loops::ir::{LoopProgram, Memory, Role, Routine, RoutineKind};

use crate::chain::{Chain, MIN_ROWS, MIN_UNITS};
use crate::place::Place;
use crate::program::Action;
use crate::routine::Vectors;

/// The largest inner size of a product that is divided within a matrix: longer rows of its left operand leave the second-level cache before they
/// are read.
const MAX_INNER: usize = 2048;

/// What a step does to a buffer, for a number of units.
#[derive(Clone, Copy, Default)]
struct Touch {
    writes: bool,
    /// Whether each unit stays within its own fraction.
    aligned: bool,
}

/// The rows into which an action can be divided; 0 for one that cannot.
fn rows(action: &Action) -> usize {
    match action {
        Action::Nest(nest) if nest.blocks.is_none() && nest.stages.iter().all(|s| s.lanes > 0) => nest.rows,
        Action::Routine(r) => match &r.kind {
            RoutineKind::MatMul { batch, m, k, n, .. } if *k > 0 && *n > 0 => batch * m,
            RoutineKind::MatMul { .. }
            | RoutineKind::Places { .. }
            | RoutineKind::Ranked { .. }
            | RoutineKind::Rows { .. }
            | RoutineKind::Lines { .. }
            | RoutineKind::Values { .. }
            | RoutineKind::Extremes { .. }
            | RoutineKind::Exchanged { .. }
            | RoutineKind::Op { .. } => 0,
        },
        Action::Nest(_) | Action::Chain(_) => 0,
    }
}

/// The numbers of units that suit an action, large ones first.
fn candidates(action: &Action) -> Vec<usize> {
    let mut out = vec![rows(action)];
    match action {
        Action::Nest(nest) => {
            let mut prefix = 1;
            for n in &nest.outer {
                prefix *= n;
                out.push(prefix);
            }
        }
        Action::Routine(Routine { kind: RoutineKind::MatMul { batch, .. }, .. }) => out.push(*batch),
        Action::Routine(_) | Action::Chain(_) => {}
    }
    out.retain(|u| *u >= MIN_UNITS);
    out.sort_unstable_by(|a, b| b.cmp(a));
    out.dedup();
    out
}

struct Joiner<'a> {
    program: &'a LoopProgram,
}

impl Joiner<'_> {
    fn bytes(&self, b: usize) -> usize {
        self.program.buffers[b].len * self.program.buffers[b].dtype.size_bytes()
    }

    /// What `action` does to each buffer if it is divided into `units`; `None` if it should not be.
    fn touches(&self, action: &Action, units: usize) -> Option<BTreeMap<usize, Touch>> {
        let p = rows(action);
        if p == 0 || !p.is_multiple_of(units) {
            return None;
        }
        let mut touches: BTreeMap<usize, Touch> = BTreeMap::new();
        let mut note = |b: usize, writes: bool, aligned: bool| {
            let t = touches.entry(b).or_insert(Touch { writes: false, aligned: true });
            t.writes |= writes;
            t.aligned &= aligned;
        };
        match action {
            Action::Nest(nest) => {
                for stage in &nest.stages {
                    for (i, a) in stage.accesses.iter().enumerate() {
                        let Memory::Buffer(b) = a.memory else { continue };
                        let b = b.0 as usize;
                        let writes = stage.stores.contains(&i);
                        let size = self.program.buffers[b].dtype.size_bytes();
                        let lanes = [(stage.lanes, a.lane), (a.repeats, size as i64)];
                        let looked_up = a.aim.map(|aim| (aim.size, aim.step));
                        let loops = stage.serial.iter().zip(&a.serial).map(|(n, s)| (*n, *s));
                        let inner = loops.chain(lanes).chain(looked_up);
                        note(b, writes, stays(a, &nest.outer, inner, units, self.bytes(b), size));
                    }
                }
            }
            Action::Routine(r) => {
                let RoutineKind::MatMul { batch, m, k, n, lhs, rhs } = &r.kind else { return None };
                let [left, right, out] = [r.inputs[0], r.inputs[1], r.outputs[0]].map(|b| b.0 as usize);
                let size = self.program.buffers[out].dtype.size_bytes();
                let is_float = matches!(self.program.buffers[out].dtype, DType::F32 | DType::F64);
                // Operands that are halves are copied for the whole, and sums of lines have a kernel for all.
                let is_copied = self.program.buffers[left].dtype != self.program.buffers[out].dtype;
                let of_lines = (*n == 1 && lhs.col == 1) || (*m == 1 && rhs.row == 1);
                if !is_float || is_copied || of_lines {
                    return None;
                }
                // Within a matrix the right operand is packed again for each piece.
                if !batch.is_multiple_of(units) && (*k > MAX_INNER || *m < 2 * MIN_ROWS || batch * m < 4 * MIN_ROWS) {
                    return None;
                }
                let place = |x: &cotangent_loops::ir::Matrix, row: i64| Place {
                    memory: Memory::Buffer(r.inputs[0]),
                    offset: x.offset * size as i64,
                    outer: vec![x.batch * size as i64, row * size as i64],
                    serial: Vec::new(),
                    lane: 0,
                    turned: None,
                    streams: false,
                    repeats: 1,
                    aim: None,
                };
                let outer = [*batch, *m];
                let inner = [(*k, lhs.col * size as i64)];
                note(
                    left,
                    false,
                    stays(&place(lhs, lhs.row), &outer, inner.into_iter(), units, self.bytes(left), size),
                );
                // Every row reads the whole right matrix.
                let whole = [(*k, rhs.row * size as i64), (*n, rhs.col * size as i64)];
                note(right, false, stays(&place(rhs, 0), &outer, whole.into_iter(), units, self.bytes(right), size));
                note(out, true, true);
            }
            Action::Chain(_) => return None,
        }
        Some(touches)
    }

    /// How many actions from `first` on a chain of `units` has, and what it does to buffers.
    fn grow(&self, actions: &[Action], units: usize) -> (usize, BTreeMap<usize, Touch>) {
        let mut all: BTreeMap<usize, Touch> = BTreeMap::new();
        for (i, action) in actions.iter().enumerate() {
            let Some(touches) = self.touches(action, units) else { return (i, all) };
            let clash = |(b, t): (&usize, &Touch)| {
                all.get(b).is_some_and(|before| (before.writes || t.writes) && !(before.aligned && t.aligned))
            };
            // A step that has nothing to do with those before ends the chain.
            let related = i == 0 || touches.iter().any(|(b, _)| all.get(b).is_some_and(|t| t.writes));
            if touches.iter().any(clash) || !related {
                return (i, all);
            }
            for (b, t) in touches {
                let before = all.entry(b).or_insert(t);
                before.writes |= t.writes;
                before.aligned &= t.aligned;
            }
        }
        (actions.len(), all)
    }
}

/// Whether units of an access stay within their fraction of a buffer of `bytes`: loops that lead from unit to unit walk evenly through the
/// whole buffer, and the others stay inside.
fn stays(
    a: &Place,
    outer: &[usize],
    inner: impl Iterator<Item = (usize, i64)>,
    units: usize,
    bytes: usize,
    size: usize,
) -> bool {
    let rows: usize = outer.iter().product();
    if a.turned.is_some() || rows == 0 || !bytes.is_multiple_of(units) || !bytes.is_multiple_of(rows.max(1)) {
        return false;
    }
    let (row_bytes, unit_rows) = ((bytes / rows) as i64, rows / units);
    let (mut low, mut high) = (a.offset, a.offset);
    let mut reach = |n: usize, s: i64| {
        let far = s * (n as i64 - 1);
        low += far.min(0);
        high += far.max(0);
    };
    let mut below = rows;
    for (n, s) in outer.iter().zip(&a.outer) {
        below /= n;
        if *n == 1 {
            continue;
        }
        if below * n <= unit_rows {
            reach(*n, *s);
        } else if *s != below as i64 * row_bytes {
            return false;
        } else if below < unit_rows {
            // Crosses from unit to unit: the part inside.
            if !unit_rows.is_multiple_of(below) {
                return false;
            }
            reach(unit_rows / below, *s);
        }
    }
    inner.for_each(|(n, s)| reach(n, s));
    low >= 0 && high + size as i64 <= (bytes / units) as i64
}

/// Joins actions to chains. The steps of each action, in order; and the buffers that exist for one piece only.
pub fn join(
    program: &LoopProgram,
    actions: Vec<Action>,
    vectors: Vectors,
) -> (Vec<Action>, Vec<Range<usize>>, BTreeSet<usize>) {
    let joiner = Joiner { program };
    // The last step that touches a buffer, and the first.
    let mut span: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (i, step) in program.steps.iter().enumerate() {
        for b in cotangent_loops::plan::touched(step) {
            let s = span.entry(b.0 as usize).or_insert((i, i));
            s.1 = i;
        }
    }
    // Decided first, moved afterwards: steps from `at` on, how many units, and what they do.
    let mut plans: Vec<(Range<usize>, usize, BTreeMap<usize, Touch>)> = Vec::new();
    let mut at = 0;
    while at < actions.len() {
        // Loops over elements that follow a product have larger rows than it.
        let next = actions.get(at + 1).filter(|_| matches!(actions[at], Action::Routine(_)));
        let mut units = candidates(&actions[at]);
        units.extend(next.into_iter().flat_map(candidates).filter(|u| rows(&actions[at]).is_multiple_of(*u)));
        let best = units
            .into_iter()
            .map(|units| (units, joiner.grow(&actions[at..], units)))
            .max_by_key(|(units, (count, _))| (*count, *units))
            .filter(|(_, (count, _))| *count > 1);
        let (units, (count, touches)) = best.unwrap_or((0, (1, BTreeMap::new())));
        plans.push((at..at + count, units, touches));
        at += count;
    }
    let (mut out, mut steps, mut local) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut rest = actions.into_iter();
    for (range, units, touches) in plans {
        if units == 0 {
            out.extend(rest.next());
            steps.push(range);
            continue;
        }
        let inside = |b: &usize| {
            let handed_out = program.results.iter().any(|r| r.0 as usize == *b);
            let temp = program.buffers[*b].role == Role::Temp && !handed_out;
            temp && touches[b].aligned && span[b].0 >= range.start && span[b].1 < range.end
        };
        let unit_bytes: usize = touches.iter().filter(|(_, t)| t.aligned).map(|(b, _)| joiner.bytes(*b) / units).sum();
        let links: Vec<Action> = rest.by_ref().take(range.len()).collect();
        let written = |b: usize| touches.get(&b).is_some_and(|t| t.writes);
        let mut chain = Chain::new(links, units, unit_bytes, program, vectors, written);
        for b in touches.keys().copied().filter(inside) {
            local.insert(b);
            chain.keep_inside(b, joiner.bytes(b) / units);
        }
        out.push(Action::Chain(chain));
        steps.push(range);
    }
    (out, steps, local)
}
