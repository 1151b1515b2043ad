//! The verifier of loop programs: checks P1–P5 (see [`crate::ir`]) and reports all violations.

use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{Access as Indexed, Gather, Indexing, LoopForm, Op, Primitive};

use crate::ir::{
    Access, Body, BodyOp, BodyValue, BufferId, Loop, LoopProgram, Matrix, Memory, Nest, Role, Routine, RoutineKind,
    Stage, Step, positions,
};

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
            BodyOp::Load(i) => match s.accesses.get(*i as usize).map(|a| a.memory) {
                Some(Memory::Buffer(b)) if (b.0 as usize) < before.len() => {
                    if before[b.0 as usize] < self.program.buffers[b.0 as usize].len {
                        self.read(b);
                    }
                }
                Some(Memory::Scratch(r)) if defined.scratch.get(r as usize) == Some(&false) => {
                    self.wrong("P5", format!("scratch s{r} is read before it is written"));
                }
                Some(Memory::Buffer(_) | Memory::Scratch(_)) | None => {}
            },
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

    fn write(&mut self, n: &Nest, s: &Stage, i: u32, after: bool, defined: &mut Defined) {
        let Some(a) = s.accesses.get(i as usize) else { return };
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

    fn routine(&mut self, r: &Routine) {
        for id in r.inputs.iter().chain(&r.outputs) {
            if self.buffer(*id).is_none() {
                return;
            }
        }
        for id in &r.inputs {
            self.read(*id);
        }
        for (k, id) in r.inputs.iter().enumerate() {
            if r.outputs.contains(id) && !(k == 0 && r.kind.updates()) {
                self.wrong("P4", format!("`{}` writes b{} while it reads it", r.name, id.0));
            }
        }
        for id in &r.outputs {
            self.may_write(*id);
            self.written[id.0 as usize] = self.program.buffers[id.0 as usize].len;
        }
        let own = |id: &BufferId| (self.program.buffers[id.0 as usize].dtype, self.program.buffers[id.0 as usize].len);
        match &r.kind {
            RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => {
                if r.inputs.len() != 2 || r.outputs.len() != 1 {
                    return self.wrong("P1", "a product has two operands and one result".to_owned());
                }
                let (x, y, out) = (own(&r.inputs[0]), own(&r.inputs[1]), own(&r.outputs[0]));
                let is_wider = x.0 == DType::BF16 && out.0 == DType::F32;
                if x.0 != y.0 || (x.0 != out.0 && !is_wider) {
                    self.wrong("P3", format!("a product of {} and {} into {}", x.0, y.0, out.0));
                }
                if out.1 != batch * m * n {
                    self.wrong("P2", format!("a product of {} elements into {}", batch * m * n, out.1));
                }
                self.matrix(lhs, [*batch, *m, *k], x.1);
                self.matrix(rhs, [*batch, *k, *n], y.1);
            }
            RoutineKind::Places { sort, x, places } => {
                let n = x.shape.dims().get(sort.dim).map_or(0, |n| n.get());
                if places.is_empty() || places.end > n {
                    return self.wrong("P2", format!("places {} to {} of {n}", places.start, places.end));
                }
                let len = x.shape.numel() / n * places.len();
                let found: Vec<_> = r.inputs.iter().chain(&r.outputs).map(own).collect();
                if found != [(x.dtype, x.shape.numel()), (x.dtype, len), (DType::I64, len)] {
                    self.wrong("P3", "buffers are not of the operand and the places of a sort".to_owned());
                }
            }
            RoutineKind::Ranked { sort, x, index } => {
                let gather = Gather { dim: sort.dim };
                let is_own =
                    gather.infer(&[x, index]).is_ok() && x.shape.with(sort.dim, 0) == index.shape.with(sort.dim, 0);
                let len = index.shape.numel();
                let found: Vec<_> = r.inputs.iter().chain(&r.outputs).map(own).collect();
                if !is_own
                    || found != [(x.dtype, x.shape.numel()), (DType::I64, len), (x.dtype, len), (DType::I64, len)]
                {
                    self.wrong("P3", "buffers are not of the operand and the ranks of a sort".to_owned());
                }
            }
            RoutineKind::Extremes { dim, which, x } => {
                let places = positions(*which, *dim).prim().infer(&[x]);
                let lens = places.iter().flatten().map(|a| a.shape.numel());
                let expected = lens.flat_map(|len| [(x.dtype, x.shape.numel()), (x.dtype, len), (DType::I64, len)]);
                if !r.inputs.iter().chain(&r.outputs).map(own).eq(expected) {
                    self.wrong("P3", "buffers are not of the operand and its extremes".to_owned());
                }
            }
            RoutineKind::Values { of, x, results } => {
                let is_own = of.op().prim().infer(&[x]).is_ok_and(|own| own.as_slice() == results);
                let found = r.inputs.iter().chain(&r.outputs).map(own);
                let avals = [Some(x), results.get(of.result())].into_iter().flatten();
                if !is_own || !found.eq(avals.map(|a| (a.dtype, a.shape.numel()))) {
                    self.wrong("P3", "buffers are not of the operand and the values of a decomposition".to_owned());
                }
            }
            RoutineKind::Rows { op, args, results, dim } => {
                let form = op.prim().loop_form(&args.iter().collect::<Vec<_>>(), results);
                let is_own = is_of_elements(&form, *dim) && args[0].shape.with(*dim, 0) == args[1].shape.with(*dim, 0);
                let inner: usize = args.get(1).map_or(0, |a| a.shape.sizes().iter().skip(dim + 1).product());
                let lens =
                    args.iter().enumerate().map(|(i, a)| a.shape.numel() / if i == 1 { inner.max(1) } else { 1 });
                let expected =
                    args.iter().map(|a| a.dtype).zip(lens).chain(results.iter().map(|a| (a.dtype, a.shape.numel())));
                if !is_own || !r.inputs.iter().chain(&r.outputs).map(own).eq(expected) {
                    self.wrong(
                        "P3",
                        format!("`{}`: buffers are not of its avals with an index for each row", op.name()),
                    );
                }
            }
            RoutineKind::Lines { gather, x, index, first } => {
                let (dim, same) = (gather.dim, *first..gather.dim);
                let is_own = !same.is_empty()
                    && dim < index.shape.rank()
                    && x.shape.rank() == index.shape.rank()
                    && x.shape.with(dim, 0) == index.shape.with(dim, 0);
                let times: usize = index.shape.sizes().get(same).map_or(1, |sizes| sizes.iter().product());
                let expected = [
                    (x.dtype, x.shape.numel()),
                    (index.dtype, index.shape.numel() / times.max(1)),
                    (x.dtype, index.shape.numel()),
                ];
                if !is_own || index.dtype != DType::I64 || !r.inputs.iter().chain(&r.outputs).map(own).eq(expected) {
                    self.wrong("P3", "`gather`: buffers are not of its avals with an index for each line".to_owned());
                }
            }
            RoutineKind::Exchanged { op, args, y } => {
                let [x, w] = &**args;
                let is_plain = !op.transposed && op.groups == 1 && matches!(y.dtype, DType::F32 | DType::F64);
                let is_own = is_plain
                    && op.infer(&[x, w]).is_ok_and(|whole| {
                        let (y, whole) = (y.shape.sizes(), whole[0].shape.sizes());
                        y.len() == whole.len() && y[..2] == whole[..2] && y.iter().zip(&whole).all(|(y, n)| y <= n)
                    });
                let avals = [x, w, y].map(|a| (a.dtype, a.shape.numel()));
                if !is_own || !r.inputs.iter().chain(&r.outputs).map(own).eq(avals) {
                    self.wrong(
                        "P3",
                        "buffers are not of the operands and the result of an exchanged convolution".to_owned(),
                    );
                }
            }
            RoutineKind::Op { op, args, results } => {
                let fits = |ids: &[BufferId], avals: &[Aval]| {
                    ids.len() == avals.len()
                        && ids.iter().zip(avals).all(|(id, a)| own(id) == (a.dtype, a.shape.numel()))
                };
                if !fits(&r.inputs, args) || !fits(&r.outputs, results) {
                    self.wrong("P3", format!("`{}`: buffers are not of its avals", op.name()));
                }
            }
        }
    }

    fn matrix(&mut self, m: &Matrix, extents: [usize; 3], len: usize) {
        if extents.contains(&0) {
            return;
        }
        let (mut low, mut high) = (m.offset, m.offset);
        for (stride, extent) in [m.batch, m.row, m.col].into_iter().zip(extents) {
            let reach = stride * (extent as i64 - 1);
            low += reach.min(0);
            high += reach.max(0);
        }
        if low < 0 || high >= len as i64 {
            self.wrong("P2", format!("a matrix reaches from {low} to {high} in {len} elements"));
        }
    }
}

/// Whether an op has an index for each element along `dim`.
fn is_of_elements(form: &LoopForm, dim: usize) -> bool {
    matches!(form, LoopForm::Access(
        Indexed::Gather { dim: d, index: Indexing::Elementwise } | Indexed::Scatter { dim: d, index: Indexing::Elementwise, .. },
    ) if *d == dim)
}
