//! The static buffer plan: where temporaries stand in one arena.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use cotangent_core::ir::DType;

use crate::ir::{Access, BodyOp, BufferId, LoopProgram, Memory, Nest, Role, Step};

/// Offsets are multiples of this: a cache line, and the widest vector.
pub const ALIGN: usize = 64;

/// Where temporaries stand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// For each buffer its offset in the arena, in bytes; `None` for what is no temporary.
    pub offsets: Vec<Option<usize>>,
    /// The size of the arena, in bytes.
    pub arena: usize,
    /// What results take, in bytes.
    pub results: usize,
    /// The most that scratch rows of one outer iteration take, in bytes.
    pub scratch: usize,
}

impl Plan {
    /// What one call allocates at most beside its arguments on one thread, in bytes.
    pub fn peak_bytes(&self) -> usize {
        self.arena + self.results + self.scratch
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

/// The plan of `program`: a temporary has its place from the step that first writes it to the step that last reads it. The smallest
/// free block that is large enough is taken, the lowest of equals; a nest that reads a dead temporary at the very points
/// where it writes another of the same size writes in place. Deterministic, and `n log n` in the number of buffers.
pub fn plan(program: &LoopProgram) -> Plan {
    let single: Vec<Range<usize>> = (0..program.steps.len()).map(|i| i..i + 1).collect();
    plan_joined(program, &single, &BTreeSet::new())
}

/// As [`plan`], where the steps of each of `joined`, which follow one another, run at the same time, and the temporaries `elsewhere` have
/// memory of their own.
pub fn plan_joined(program: &LoopProgram, joined: &[Range<usize>], elsewhere: &BTreeSet<usize>) -> Plan {
    let n = program.buffers.len();
    let mut last = vec![0; n];
    let mut first = vec![usize::MAX; n];
    for (i, steps) in joined.iter().enumerate() {
        for b in program.steps[steps.clone()].iter().flat_map(touched) {
            first[b.0 as usize] = first[b.0 as usize].min(i);
            last[b.0 as usize] = i;
        }
    }
    let mut ends: Vec<Vec<usize>> = vec![Vec::new(); joined.len()];
    let is_temp = |b: usize| program.buffers[b].role == Role::Temp && !elsewhere.contains(&b);
    for b in (0..n).filter(|b| is_temp(*b) && first[*b] != usize::MAX) {
        ends[last[b]].push(b);
    }
    let bytes = |b: usize| padded(program.buffers[b].len * program.buffers[b].dtype.size_bytes());
    let mut arena = Arena::default();
    let mut offsets: Vec<Option<usize>> = vec![None; n];
    let mut passed_on = vec![false; n];
    for (i, steps) in joined.iter().enumerate() {
        let steps = &program.steps[steps.clone()];
        let mut begins: Vec<usize> = steps.iter().flat_map(touched).map(|b| b.0 as usize).collect();
        begins.retain(|b| is_temp(*b) && first[*b] == i);
        begins.sort_unstable();
        begins.dedup();
        for b in begins {
            let reused = match steps {
                [Step::Nest(nest)] => ends[i].iter().copied().find(|dead| {
                    !passed_on[*dead]
                        && first[*dead] < i
                        && bytes(*dead) == bytes(b)
                        && in_place(nest, BufferId(*dead as u32), BufferId(b as u32))
                        && program.buffers[*dead].dtype.size_bytes() == program.buffers[b].dtype.size_bytes()
                }),
                _ => None,
            };
            offsets[b] = Some(match reused {
                Some(dead) => {
                    passed_on[dead] = true;
                    offsets[dead].expect("begun before")
                }
                None => arena.take(bytes(b)),
            });
        }
        for b in &ends[i] {
            if !passed_on[*b] {
                arena.give(offsets[*b].expect("begun before"), bytes(*b));
            }
        }
    }
    let of_role = |role: &Role| (0..n).filter(|b| program.buffers[*b].role == *role).map(bytes).sum();
    let scratch = program.steps.iter().map(|s| match s {
        Step::Nest(nest) => nest.scratch.iter().map(|(d, len)| padded(len * d.size_bytes())).sum(),
        Step::Routine(_) => 0,
    });
    Plan { offsets, arena: arena.end, results: of_role(&Role::Result), scratch: scratch.max().unwrap_or(0) }
}

/// The buffers that a step reads or writes.
pub fn touched(step: &Step) -> Vec<BufferId> {
    match step {
        Step::Nest(n) => n
            .stages
            .iter()
            .flat_map(|s| &s.accesses)
            .filter_map(|a| match a.memory {
                Memory::Buffer(b) => Some(b),
                Memory::Scratch(_) => None,
            })
            .collect(),
        Step::Routine(r) => r.inputs.iter().chain(&r.outputs).copied().collect(),
    }
}

/// Which results of `program` can stand in the memory of donated parameters: for each result, in order, the parameter. `may` says of a
/// parameter and a result, by their numbers, whether they are alike enough and the parameter is donated.
///
/// Steps run as in [`plan_joined`]. Every read of the parameter is before the first write of the result, or the step that writes
/// the result reads the parameter at the very points where it writes. Each parameter serves one result, of its dtype and length; of dead ones the
/// one that died first. `n log n` in the number of buffers, if `may` is true of most that are alike.
pub fn donations(
    program: &LoopProgram,
    joined: &[Range<usize>],
    may: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let n = program.buffers.len();
    // The first and the last group of steps that touch a buffer.
    let mut span: Vec<Option<(usize, usize)>> = vec![None; n];
    for (i, steps) in joined.iter().enumerate() {
        for b in program.steps[steps.clone()].iter().flat_map(touched) {
            let (first, _) = span[b.0 as usize].unwrap_or((i, i));
            span[b.0 as usize] = Some((first, i));
        }
    }
    let last = |p: usize| span[program.params[p].0 as usize].map(|(_, last)| last);
    let mut kept = vec![false; n];
    program.results.iter().for_each(|r| kept[r.0 as usize] = true);
    // The parameters that are left, by dtype and length, those first that are dead first.
    let mut left: BTreeMap<(DType, usize), VecDeque<usize>> = BTreeMap::new();
    let mut number: Vec<Option<usize>> = vec![None; n];
    for (p, id) in program.params.iter().enumerate().filter(|(_, id)| !kept[id.0 as usize]) {
        let buffer = &program.buffers[id.0 as usize];
        left.entry((buffer.dtype, buffer.len)).or_default().push_back(p);
        number[id.0 as usize] = Some(p);
    }
    left.values_mut().for_each(|list| list.make_contiguous().sort_by_key(|p| last(*p)));
    let mut taken = vec![false; program.params.len()];
    let mut out = vec![None; program.results.len()];
    for (k, r) in program.results.iter().enumerate() {
        let result = &program.buffers[r.0 as usize];
        let Some((written, _)) = span[r.0 as usize].filter(|_| result.role == Role::Result) else { continue };
        // A result that is listed again is a copy of itself.
        if !std::mem::take(&mut kept[r.0 as usize]) {
            continue;
        }
        let Some(list) = left.get_mut(&(result.dtype, result.len)) else { continue };
        while list.front().is_some_and(|p| taken[*p]) {
            list.pop_front();
        }
        let group = &program.steps[joined[written].clone()];
        let fits = |p: &usize| !taken[*p] && may(*p, k);
        let alike = |p: &usize| {
            let b = &program.buffers[program.params[*p].0 as usize];
            (b.dtype, b.len) == (result.dtype, result.len) && fits(p)
        };
        let updated = match group.iter().find(|s| touched(s).contains(r)) {
            Some(writer @ Step::Nest(nest)) => {
                let reads = |b: &BufferId| group.iter().filter(|s| touched(s).contains(b)).count();
                let here = touched(writer).into_iter().filter_map(|b| Some((number[b.0 as usize]?, b)));
                let updated = here
                    .filter(|(p, b)| alike(p) && last(*p) == Some(written) && reads(b) == 1 && in_place(nest, *b, *r));
                updated.map(|(p, _)| p).min()
            }
            Some(Step::Routine(_)) | None => None,
        };
        let mut dead = list.iter().copied().take_while(|p| last(*p).is_none_or(|last| last < written));
        out[k] = updated.or_else(|| dead.find(fits));
        out[k].into_iter().for_each(|p| taken[p] = true);
    }
    out
}

/// Whether a nest may write `to` over `from`: one stage has all accesses to them, at one place, and reads it before it writes.
/// Points are written once (P4), so that no other point reads what was overwritten.
fn in_place(nest: &Nest, from: BufferId, to: BufferId) -> bool {
    let of = |b: BufferId| {
        let stages = nest.stages.iter().enumerate();
        stages.flat_map(move |(s, stage)| {
            let here = stage.accesses.iter().enumerate().filter(move |(_, a)| a.memory == Memory::Buffer(b));
            here.map(move |(i, a)| (s, i, a))
        })
    };
    let (reads, writes): (Vec<_>, Vec<_>) = (of(from).collect(), of(to).collect());
    let [(writer, write, b)] = &writes[..] else { return false };
    let same = |(stage, _, a): &(usize, usize, &Access)| {
        let still = a.serial.iter().all(|stride| *stride == 0);
        stage == writer && a.offset == b.offset && a.outer == b.outer && a.lane == b.lane && still
    };
    let stage = &nest.stages[*writer];
    // What is read through an index is read at other points, too.
    if reads.iter().any(|(stage, i, _)| nest.stages[*stage].looked_up().any(|read| read == *i)) {
        return false;
    }
    if !reads.iter().all(same) || (b.lane == 0 && stage.lanes > 1) {
        return false;
    }
    let loads = |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Load(i) if reads.iter().any(|(_, read, _)| *read == *i as usize));
    let stores = |(op, _): &(BodyOp, DType)| matches!(op, BodyOp::Store(i, _) if *i as usize == *write);
    let [body, after] =
        [&stage.body, &stage.after].map(|b| (b.ops.iter().rposition(loads), b.ops.iter().position(stores)));
    match (body, after) {
        // Each point of the body is a place of its own where nothing is serial.
        ((load, Some(store)), (None, None)) => stage.serial.is_empty() && load < Some(store),
        // The body is done with a lane before what comes after.
        ((_, None), (load, Some(store))) => load < Some(store),
        _ => false,
    }
}

/// Free blocks by place, and by size and place.
#[derive(Default)]
struct Arena {
    end: usize,
    by_place: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
}

impl Arena {
    fn take(&mut self, bytes: usize) -> usize {
        if bytes == 0 {
            return 0;
        }
        let found = self.by_size.range((bytes, 0)..).next().copied();
        match found {
            Some((size, at)) => {
                self.forget(at, size);
                if size > bytes {
                    self.keep(at + bytes, size - bytes);
                }
                at
            }
            None => {
                // A free block at the end grows.
                let tail = self.by_place.last_key_value().map(|(at, size)| (*at, *size));
                let at = match tail.filter(|(at, size)| at + size == self.end) {
                    Some((at, size)) => {
                        self.forget(at, size);
                        at
                    }
                    None => self.end,
                };
                self.end = at + bytes;
                at
            }
        }
    }

    fn give(&mut self, mut at: usize, mut bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some((before, size)) = self.by_place.range(..at).next_back().map(|(a, s)| (*a, *s))
            && before + size == at
        {
            self.forget(before, size);
            (at, bytes) = (before, bytes + size);
        }
        if let Some(size) = self.by_place.get(&(at + bytes)).copied() {
            self.forget(at + bytes, size);
            bytes += size;
        }
        self.keep(at, bytes);
    }

    fn keep(&mut self, at: usize, size: usize) {
        self.by_place.insert(at, size);
        self.by_size.insert((size, at));
    }

    fn forget(&mut self, at: usize, size: usize) {
        self.by_place.remove(&at);
        self.by_size.remove(&(size, at));
    }
}
