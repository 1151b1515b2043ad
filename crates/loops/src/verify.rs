//! The verifier of loop programs: checks P1–P5 (see [`crate::ir`]) and reports all violations.

mod lookup;
mod routine;

use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::Op;

use crate::ir::{Access, Body, BodyOp, BodyValue, BufferId, Loop, LoopProgram, Memory, Nest, Role, Stage, Step};

/// One violated invariant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{invariant}: step {step}: {what}")]
pub struct Violation {
    /// `P1` to `P5`.
    pub invariant: &'static str,
    /// The step; the number of steps for what concerns the whole program.
    pub step: usize,
    /// What is wrong.
    pub what: String,
}

/// All violations in a program.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, miette::Diagnostic)]
#[error("invalid loop program:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
#[diagnostic(code(cotangent::loops::verify))]
pub struct VerifyError(pub Vec<Violation>);

/// Checks the invariants of `program`.
///
/// P2 is decided by interval arithmetic on the accesses, P4 and P5 by a sufficient condition on strides: writes of one nest
/// may not meet, and together they cover what is read later.
///
/// *Errors*: every violation that was found.
pub fn verify(program: &LoopProgram) -> Result<(), VerifyError> {
    let mut v = Verifier { program, step: 0, found: Vec::new(), written: vec![0; program.buffers.len()] };
    v.program();
    if v.found.is_empty() { Ok(()) } else { Err(VerifyError(v.found)) }
}

struct Verifier<'a> {
    program: &'a LoopProgram,
    step: usize,
    found: Vec<Violation>,
    /// How many elements of each buffer have been written, counted with repetitions.
    written: Vec<usize>,
}

/// What stages have defined so far in a nest.
struct Defined {
    scalars: Vec<bool>,
    scratch: Vec<bool>,
}

impl Verifier<'_> {
    fn wrong(&mut self, invariant: &'static str, what: String) {
        self.found.push(Violation { invariant, step: self.step, what });
    }

    fn program(&mut self) {
        for id in self.program.params.iter().chain(&self.program.results) {
            if id.0 as usize >= self.program.buffers.len() {
                self.wrong("P1", format!("no buffer b{}", id.0));
            }
        }
        for (i, b) in self.program.buffers.iter().enumerate() {
            let is_given = match &b.role {
                Role::Param => true,
                Role::Constant(a) => {
                    if a.numel() != b.len || a.dtype() != b.dtype {
                        self.found.push(Violation {
                            invariant: "P3",
                            step: self.program.steps.len(),
                            what: format!("constant b{i} is {}, not {}[{}]", a.aval(), b.dtype, b.len),
                        });
                    }
                    true
                }
                Role::Result | Role::Temp => false,
            };
            if is_given {
                self.written[i] = b.len;
            }
        }
        for (i, step) in self.program.steps.iter().enumerate() {
            self.step = i;
            match step {
                Step::Nest(n) => self.nest(n),
                Step::Routine(r) => self.routine(r),
            }
        }
        self.step = self.program.steps.len();
        for id in &self.program.results {
            if self.written.get(id.0 as usize).is_some_and(|w| *w < self.program.buffers[id.0 as usize].len) {
                self.wrong("P5", format!("result b{} is not wholly written", id.0));
            }
        }
    }

    fn buffer(&mut self, id: BufferId) -> Option<(DType, usize)> {
        let found = self.program.buffers.get(id.0 as usize).map(|b| (b.dtype, b.len));
        if found.is_none() {
            self.wrong("P1", format!("no buffer b{}", id.0));
        }
        found
    }

    fn read(&mut self, id: BufferId) {
        let b = &self.program.buffers[id.0 as usize];
        if self.written[id.0 as usize] < b.len {
            self.wrong("P5", format!("b{} is read before it is wholly written", id.0));
        }
    }

    fn may_write(&mut self, id: BufferId) {
        if matches!(self.program.buffers[id.0 as usize].role, Role::Param | Role::Constant(_)) {
            self.wrong("P1", format!("b{} is read only", id.0));
        }
    }

    fn nest(&mut self, n: &Nest) {
        let mut defined = Defined { scalars: vec![false; n.scalars.len()], scratch: vec![false; n.scratch.len()] };
        let before = self.written.clone();
        let runs = n.outer.iter().all(|e| *e > 0);
        for s in &n.stages {
            self.stage(n, s, &mut defined, &before, runs);
        }
    }

    fn stage(&mut self, n: &Nest, s: &Stage, defined: &mut Defined, before: &[usize], runs: bool) {
        for a in &s.accesses {
            self.access(n, s, a, runs);
        }
        self.body(n, s, &s.body, false, defined, before);
        self.body(n, s, &s.after, true, defined, before);
        for (op, _) in &s.body.ops {
            if let BodyOp::ReduceLanes(i, ..) = op
                && let Some(d) = defined.scalars.get_mut(*i as usize)
            {
                *d = true;
            }
        }
    }

    fn access(&mut self, n: &Nest, s: &Stage, a: &Access, runs: bool) {
        if a.outer.len() != n.outer.len() || a.serial.len() != s.serial.len() {
            self.wrong("P1", "an access has strides for other loops".to_owned());
            return;
        }
        let len = match a.memory {
            Memory::Buffer(b) => match self.buffer(b) {
                Some((_, len)) => len,
                None => return,
            },
            Memory::Scratch(r) => match n.scratch.get(r as usize) {
                Some((_, len)) => *len,
                None => return self.wrong("P1", format!("no scratch s{r}")),
            },
        };
        if !runs || s.lanes == 0 || s.serial.contains(&0) {
            return;
        }
        let loops = a.outer.iter().zip(&n.outer).chain(a.serial.iter().zip(&s.serial)).chain([(&a.lane, &s.lanes)]);
        let (mut low, mut high) = (i128::from(a.offset), i128::from(a.offset));
        for (stride, extent) in loops {
            let reach = i128::from(*stride) * (*extent as i128 - 1);
            low += reach.min(0);
            high += reach.max(0);
        }
        if let Some(aim) = &a.aim {
            let Some((below, above)) = self.aim(n, s, aim) else { return };
            (low, high) = (low + below, high + above);
        }
        if low < 0 || high >= len as i128 {
            self.wrong("P2", format!("an access reaches from {low} to {high} in {len} elements"));
        }
    }

    fn body(&mut self, n: &Nest, s: &Stage, body: &Body, after: bool, defined: &mut Defined, before: &[usize]) {
        for (i, (op, dtype)) in body.ops.iter().enumerate() {
            let value = |v: &BodyValue| ((v.0 as usize) < i).then(|| body.ops[v.0 as usize].1);
            let args: Vec<&BodyValue> = match op {
                BodyOp::Load(_)
                | BodyOp::Const(_)
                | BodyOp::Index { .. }
                | BodyOp::RowScalar(_)
                | BodyOp::Column(_) => vec![],
                BodyOp::Unary(_, a)
                | BodyOp::Convert(a)
                | BodyOp::Store(_, a)
                | BodyOp::ReduceLanes(_, _, a)
                | BodyOp::ReduceSerial(_, a) => vec![a],
                BodyOp::Binary(_, a, b) => vec![a, b],
                BodyOp::Select(a, b, c) => vec![a, b, c],
                BodyOp::Lookup { offset, index, .. } => vec![offset, index],
            };
            let mut dtypes = Vec::with_capacity(args.len());
            for a in &args {
                match value(a) {
                    Some(d) => dtypes.push(d),
                    None => self.wrong("P1", format!("value {} of a body is used at {i}", a.0)),
                }
            }
            if dtypes.len() < args.len() {
                continue;
            }
            if let Some(expected) = self.dtype(n, s, op, *dtype, &dtypes)
                && expected != *dtype
            {
                self.wrong("P3", format!("op {i} of a body gives {expected}, not {dtype}"));
            }
            if let BodyOp::Lookup { of, access, offset, .. } = op {
                self.lookup(n, s, body, [*of, *access], *offset);
            }
            self.effects(n, s, op, after, defined, before);
        }
    }

    fn of_op(&mut self, op: &Op, args: &[DType]) -> Option<DType> {
        let avals: Vec<Aval> = args.iter().map(|d| Aval::new(*d, ())).collect();
        match op.checked_infer(&avals.iter().collect::<Vec<_>>()) {
            Ok(r) => Some(r[0].dtype),
            Err(e) => {
                self.wrong("P3", format!("`{}`: {e}", op.name()));
                None
            }
        }
    }

    fn of_access(&mut self, n: &Nest, s: &Stage, i: u32) -> Option<DType> {
        match s.accesses.get(i as usize).map(|a| a.memory) {
            Some(Memory::Buffer(b)) => self.program.buffers.get(b.0 as usize).map(|b| b.dtype),
            Some(Memory::Scratch(r)) => n.scratch.get(r as usize).map(|r| r.0),
            None => {
                self.wrong("P1", format!("no access {i}"));
                None
            }
        }
    }

    /// The dtype that an op has, if its operands are what it takes.
    fn dtype(&mut self, n: &Nest, s: &Stage, op: &BodyOp, own: DType, args: &[DType]) -> Option<DType> {
        match op {
            BodyOp::Load(i) => self.of_access(n, s, *i),
            BodyOp::Lookup { access, .. } => {
                if *args != [DType::I64; 2] {
                    self.wrong("P3", format!("a lookup at {} and {}", args[0], args[1]));
                }
                self.of_access(n, s, *access)
            }
            BodyOp::Store(i, _) => {
                let memory = self.of_access(n, s, *i)?;
                if memory != args[0] {
                    self.wrong("P3", format!("{} is stored into {memory}", args[0]));
                }
                Some(memory)
            }
            BodyOp::Const(c) if *c != c.cast(own) => {
                self.wrong("P3", format!("{c} is no {own}"));
                None
            }
            BodyOp::Const(_) | BodyOp::Index { .. } | BodyOp::Convert(_) => Some(own),
            BodyOp::RowScalar(i) => match n.scalars.get(*i as usize) {
                Some(d) => Some(*d),
                None => {
                    self.wrong("P1", format!("no row scalar {i}"));
                    None
                }
            },
            BodyOp::Column(i) | BodyOp::ReduceSerial(i, _) => match s.columns.get(*i as usize) {
                Some((_, d)) if args.first().is_none_or(|a| a == d) => Some(*d),
                Some((_, d)) => {
                    self.wrong("P3", format!("{} is combined into {d}", args[0]));
                    None
                }
                None => {
                    self.wrong("P1", format!("no column {i}"));
                    None
                }
            },
            BodyOp::Unary(f, _) => self.of_op(&(*f).into(), args),
            BodyOp::Binary(f, ..) => self.of_op(&(*f).into(), args),
            BodyOp::Select(..) => {
                if args[0] != DType::Bool || args[1] != args[2] {
                    self.wrong("P3", format!("select of {}, {}, {}", args[0], args[1], args[2]));
                }
                Some(args[1])
            }
            BodyOp::ReduceLanes(i, ..) => match n.scalars.get(*i as usize) {
                Some(d) if *d == args[0] => Some(*d),
                Some(d) => {
                    self.wrong("P3", format!("{} is combined into {d}", args[0]));
                    None
                }
                None => {
                    self.wrong("P1", format!("no row scalar {i}"));
                    None
                }
            },
        }
    }

    /// Where ops may stand, and what they read and write.
    fn effects(&mut self, n: &Nest, s: &Stage, op: &BodyOp, after: bool, defined: &mut Defined, before: &[usize]) {
        match op {
            BodyOp::Load(i) | BodyOp::Lookup { access: i, .. } => {
                self.aimed(s, *i, after, defined, before);
                self.reads(s, *i, defined, before);
            }
            BodyOp::Store(i, _) => self.write(n, s, *i, after, defined),
            BodyOp::RowScalar(i) => {
                if defined.scalars.get(*i as usize) == Some(&false) {
                    self.wrong("P1", format!("row scalar {i} is read before it is reduced"));
                }
            }
            BodyOp::Index { of, .. } => {
                let exists = match of {
                    Loop::Outer(i) => (*i as usize) < n.outer.len(),
                    Loop::Serial(i) => (*i as usize) < s.serial.len() && !after,
                    Loop::Lane => true,
                };
                if !exists {
                    self.wrong("P1", format!("no loop {of:?}"));
                }
            }
            BodyOp::Column(i) if !after => self.wrong("P1", format!("column {i} is read before its loops end")),
            BodyOp::ReduceLanes(i, ..) | BodyOp::ReduceSerial(i, _) if after => {
                self.wrong("P1", format!("reduction {i} after its loops"));
            }
            BodyOp::Column(_)
            | BodyOp::ReduceLanes(..)
            | BodyOp::ReduceSerial(..)
            | BodyOp::Const(_)
            | BodyOp::Unary(..)
            | BodyOp::Binary(..)
            | BodyOp::Select(..)
            | BodyOp::Convert(_) => {}
        }
    }

    /// That what access `i` reads has been written.
    fn reads(&mut self, s: &Stage, i: u32, defined: &Defined, before: &[usize]) {
        match s.accesses.get(i as usize).map(|a| a.memory) {
            Some(Memory::Buffer(b)) if (b.0 as usize) < before.len() => {
                if before[b.0 as usize] < self.program.buffers[b.0 as usize].len {
                    self.read(b);
                }
            }
            Some(Memory::Scratch(r)) if defined.scratch.get(r as usize) == Some(&false) => {
                self.wrong("P5", format!("scratch s{r} is read before it is written"));
            }
            Some(Memory::Buffer(_) | Memory::Scratch(_)) | None => {}
        }
    }

    fn write(&mut self, n: &Nest, s: &Stage, i: u32, after: bool, defined: &mut Defined) {
        let Some(a) = s.accesses.get(i as usize) else { return };
        if a.aim.is_some() {
            return self.wrong("P4", format!("an index says where access {i} writes"));
        }
        if a.outer.len() != n.outer.len() || a.serial.len() != s.serial.len() {
            return;
        }
        let b = match a.memory {
            Memory::Scratch(r) => {
                if let Some(d) = defined.scratch.get_mut(r as usize) {
                    *d = true;
                }
                return;
            }
            Memory::Buffer(b) if (b.0 as usize) < self.program.buffers.len() => b,
            Memory::Buffer(_) => return,
        };
        self.may_write(b);
        // Strides sorted by size, each beyond what the smaller ones reach: no two points meet.
        let serial = a.serial.iter().zip(&s.serial).filter(|_| !after);
        let loops = a.outer.iter().zip(&n.outer).chain(serial).chain([(&a.lane, &s.lanes)]);
        let mut loops: Vec<(i64, usize)> = loops.filter(|(_, e)| **e > 1).map(|(s, e)| (s.abs(), *e)).collect();
        loops.sort_unstable();
        let mut reach = 0;
        for (stride, extent) in &loops {
            if *stride <= reach {
                self.wrong("P4", format!("points of a nest write the same element of b{}", b.0));
                return;
            }
            reach += stride * (*extent as i64 - 1);
        }
        let points = |e: &[usize]| e.iter().product::<usize>();
        let times = if after { 1 } else { points(&s.serial) };
        self.written[b.0 as usize] += points(&n.outer) * times * s.lanes;
    }
}
