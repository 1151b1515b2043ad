//! A compiled program: its memory plan and its calls.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use cotangent_loops::ir::{LoopProgram, Role, Routine, Step};
use cotangent_loops::plan::{Plan, plan_joined};

use crate::chain::{Chain, Link, join};
use crate::disassembly::disassembly;
use crate::error::{CallError, JitError};
use crate::frame::with_words;
use crate::kernel::{NestKernel, prepare};
use crate::memory::{ALIGN, Block};
use crate::routine::Vectors;
use crate::run::Buffers;
use crate::wide::{Assembler, Isa};

/// Which executor runs bodies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Path {
    /// The one that the environment variable `COTANGENT_PATH` names (`wide512`, `wide256` or `tiles`), else the best one that the machine has.
    #[default]
    Auto,
    /// Vectors of 512 bits: x86-64 with AVX-512 (F, BW, DQ and VL).
    Wide512,
    /// Vectors of 256 bits: x86-64 with AVX2 and FMA.
    Wide256,
    /// The portable interpreter of tiles.
    Tiles,
}

impl Path {
    /// What the environment says; anything else than a path's name leaves the choice to us.
    fn configured() -> Path {
        static PATH: OnceLock<Path> = OnceLock::new();
        *PATH.get_or_init(|| match std::env::var("COTANGENT_PATH").as_deref() {
            Ok("wide512") => Path::Wide512,
            Ok("wide256") => Path::Wide256,
            Ok("tiles") => Path::Tiles,
            Ok(_) | Err(_) => Path::Auto,
        })
    }

    /// The vector instructions of the path; none for tiles.
    fn isa(self) -> Result<Option<Isa>, JitError> {
        let needed = |isa: Isa, path| if isa.available() { Ok(Some(isa)) } else { Err(JitError::NoSuchPath { path }) };
        match self {
            Path::Auto => match Path::configured() {
                Path::Auto => Ok([Isa::Avx512, Isa::Avx2].into_iter().find(|isa| isa.available())),
                path => path.isa(),
            },
            Path::Wide512 => needed(Isa::Avx512, "Wide512"),
            Path::Wide256 => needed(Isa::Avx2, "Wide256"),
            Path::Tiles => Ok(None),
        }
    }
}

/// How to compile.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CompileOptions {
    /// Which executor runs bodies.
    pub path: Path,
}

/// Where a buffer is during a call.
#[derive(Debug)]
enum Place {
    Param(usize),
    Constant(Block),
    Result(usize),
    /// An offset in the arena of temporaries.
    Temp(usize),
}

/// What one or several steps do.
#[derive(Debug)]
pub enum Action {
    /// A nest of loops.
    Nest(NestKernel),
    /// A routine.
    Routine(Routine),
    /// Several steps, piece by piece.
    Chain(Chain),
}

/// When steps of a call ran; those that run together, piece by piece, have one time. The first includes the allocation of results.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timed {
    /// The steps of the program.
    pub steps: Range<usize>,
    /// From the begin of the call.
    pub start: Duration,
    /// How long they took.
    pub time: Duration,
}

/// A loop program ready to be called, by many threads at once.
#[derive(Debug)]
pub struct Compiled {
    program: LoopProgram,
    places: Vec<Place>,
    actions: Vec<Action>,
    /// The steps of each action.
    steps: Vec<Range<usize>>,
    arena_bytes: usize,
    peak_bytes: usize,
    vectors: Vectors,
    /// None on the portable path.
    code: Option<Assembler>,
}

/// Compiles a program for this machine.
///
/// *Errors*: see [`JitError`].
pub fn compile(program: &LoopProgram) -> Result<Compiled, JitError> {
    compile_with(program, CompileOptions::default())
}

/// As [`compile`], with options.
pub fn compile_with(program: &LoopProgram, options: CompileOptions) -> Result<Compiled, JitError> {
    let isa = options.path.isa()?;
    let vectors = Vectors::of(isa);
    let mut code = isa.map(Assembler::new);
    let mut actions = Vec::with_capacity(program.steps.len());
    for step in &program.steps {
        actions.push(match step {
            Step::Nest(nest) => Action::Nest(prepare(program, nest, code.as_mut())?),
            Step::Routine(r) => Action::Routine(r.clone()),
        });
    }
    let base = match &mut code {
        Some(code) => code.finish()?,
        None => 0,
    };
    for action in &mut actions {
        if let Action::Nest(nest) = action {
            for wide in nest.stages.iter_mut().filter_map(|s| s.wide.as_mut()) {
                wide.entry = base + wide.offset;
            }
            if let Some(walk) = &mut nest.walk {
                walk.entry = base + walk.offset;
            }
        }
    }
    let (actions, steps, local) = join(program, actions, vectors);
    let plan = plan_joined(program, &steps, &local);
    let places = places(program, &plan);
    let local = actions.iter().map(|a| match a {
        Action::Chain(chain) => chain.local_bytes,
        Action::Nest(_) | Action::Routine(_) => 0,
    });
    let (arena_bytes, peak_bytes) = (plan.arena, plan.peak_bytes() + local.max().unwrap_or(0));
    Ok(Compiled { program: program.clone(), places, actions, steps, arena_bytes, peak_bytes, vectors, code })
}

/// Where each buffer is, by the plan of temporaries.
fn places(program: &LoopProgram, plan: &Plan) -> Vec<Place> {
    let mut results = 0;
    let places = program.buffers.iter().enumerate().map(|(i, b)| match &b.role {
        Role::Param => Place::Param(program.params.iter().position(|p| p.0 as usize == i).unwrap_or(usize::MAX)),
        Role::Constant(a) => Place::Constant(copy(a.data().bytes())),
        Role::Result => {
            results += 1;
            Place::Result(results - 1)
        }
        Role::Temp => Place::Temp(plan.offsets[i].unwrap_or(0)),
    });
    places.collect()
}

impl Compiled {
    /// The results at `inputs`, each a dense row-major buffer of the parameter's dtype.
    ///
    /// *Errors*: [`CallError`]; data that an op cannot compute with name the op and the source line.
    pub fn call(&self, inputs: &[&[u8]]) -> Result<Vec<Block>, CallError> {
        let mut outputs = Vec::with_capacity(self.program.results.len());
        self.call_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// As [`Compiled::call`], with the results in `outputs`, whose former contents are dropped.
    pub fn call_into(&self, inputs: &[&[u8]], outputs: &mut Vec<Block>) -> Result<(), CallError> {
        self.run(inputs, outputs, |_| ())
    }

    /// As [`Compiled::call`], with the time of each step.
    pub fn call_timed(&self, inputs: &[&[u8]]) -> Result<(Vec<Block>, Vec<Timed>), CallError> {
        let (mut outputs, mut timed) = (Vec::new(), Vec::with_capacity(self.actions.len()));
        let (begin, mut last) = (Instant::now(), Duration::ZERO);
        self.run(inputs, &mut outputs, |action| {
            let now = begin.elapsed();
            timed.push(Timed { steps: self.steps[action].clone(), start: last, time: now - last });
            last = now;
        })?;
        Ok((outputs, timed))
    }

    /// A call; `done` hears of each action after it has run.
    fn run(&self, inputs: &[&[u8]], outputs: &mut Vec<Block>, mut done: impl FnMut(usize)) -> Result<(), CallError> {
        self.check(inputs)?;
        outputs.clear();
        let size = |b: usize| self.program.buffers[b].len * self.program.buffers[b].dtype.size_bytes();
        let mut owned: smallvec::SmallVec<[Option<Block>; 8]> = smallvec::SmallVec::new();
        for (b, place) in self.places.iter().enumerate() {
            if matches!(place, Place::Result(_)) {
                owned.push(Some(Block::new(size(b))));
            }
        }
        let arena = (self.arena_bytes > 0).then(|| Block::new(self.arena_bytes));
        with_words(self.places.len(), |words| {
            for (word, place) in words.iter_mut().zip(&self.places) {
                *word = match place {
                    // An empty slice may have any address; an aligned one that nobody reads is as good.
                    Place::Param(i) if inputs[*i].is_empty() => ALIGN as u64,
                    Place::Param(i) => inputs[*i].as_ptr() as u64,
                    Place::Constant(block) => block.as_ptr() as u64,
                    Place::Result(i) => owned[*i].as_ref().map_or(ALIGN as u64, |b| b.as_ptr() as u64),
                    // Without an arena all temporaries are empty.
                    Place::Temp(at) => arena.as_ref().map_or(ALIGN as u64, |a| a.as_ptr().wrapping_add(*at) as u64),
                };
            }
            // SAFETY: pointers and words have the same size and all bit patterns are valid for both.
            let pointers = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<*mut u8>(), words.len()) };
            for (step, action) in self.actions.iter().enumerate() {
                // SAFETY: every buffer has its length (`check`, and `Block::new` above); parameters and constants are only read (P1).
                unsafe {
                    match action {
                        Action::Nest(nest) => crate::run::nest(nest, Buffers(pointers))?,
                        Action::Routine(r) => crate::routine::run(r, &self.program, self.vectors, Buffers(pointers))?,
                        Action::Chain(chain) => chain.run(Buffers(pointers))?,
                    }
                }
                done(step);
            }
            Ok(())
        })?;
        for (i, id) in self.program.results.iter().enumerate() {
            let again = self.program.results[..i].iter().position(|r| r == id);
            let block = match (&self.places[id.0 as usize], again) {
                (_, Some(first)) => outputs[first].clone(),
                (Place::Result(r), None) => owned[*r].take().expect("P1: each result buffer is handed out once"),
                (Place::Param(p), None) => copy(inputs[*p]),
                (Place::Constant(c), None) => c.clone(),
                (Place::Temp(at), None) => {
                    let arena = arena.as_ref().map_or(&[][..], Block::bytes);
                    copy(&arena[*at..][..size(id.0 as usize)])
                }
            };
            outputs.push(block);
        }
        Ok(())
    }

    fn check(&self, inputs: &[&[u8]]) -> Result<(), CallError> {
        if inputs.len() != self.program.params.len() {
            return Err(CallError::Arity { expected: self.program.params.len(), found: inputs.len() });
        }
        for (arg, (bytes, id)) in inputs.iter().zip(&self.program.params).enumerate() {
            let buffer = &self.program.buffers[id.0 as usize];
            let align = buffer.dtype.size_bytes();
            if bytes.len() != buffer.len * align {
                return Err(CallError::Length { arg, expected: buffer.len * align, found: bytes.len() });
            }
            if !bytes.is_empty() && !(bytes.as_ptr() as usize).is_multiple_of(align) {
                return Err(CallError::Alignment { arg, align });
            }
        }
        Ok(())
    }

    /// The program that was compiled.
    pub fn program(&self) -> &LoopProgram {
        &self.program
    }

    /// What one call allocates at most beside its arguments, in bytes: results, temporaries, and one thread's scratch rows
    /// and parts of temporaries.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes
    }

    /// The machine code of the nests' bodies as assembly, by step and stage; bodies that run on tiles and routines have none of their own.
    pub fn disassembly(&self) -> String {
        let wide = |nest: &NestKernel| match &nest.walk {
            Some(walk) => walk.stages.iter().map(|at| Some(*at)).collect(),
            None => nest.stages.iter().map(|s| s.wide.as_ref().map(|w| w.offset)).collect(),
        };
        let entries: Vec<Vec<Option<usize>>> = self
            .actions
            .iter()
            .flat_map(|action| match action {
                Action::Nest(nest) => vec![wide(nest)],
                Action::Routine(_) => vec![Vec::new()],
                Action::Chain(chain) => chain
                    .links
                    .iter()
                    .map(|link| match link {
                        Link::Nest(nest) => wide(nest),
                        Link::Product(..) => Vec::new(),
                    })
                    .collect(),
            })
            .collect();
        disassembly(self.code.as_ref().map_or(&[], Assembler::instructions), &entries)
    }

    /// The bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.as_ref().map_or(0, Assembler::code_bytes)
    }
}

fn copy(bytes: &[u8]) -> Block {
    let mut block = Block::new(bytes.len());
    block.bytes_mut().copy_from_slice(bytes);
    block
}
