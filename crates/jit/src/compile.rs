//! From a loop program to one that can be called.

use cotangent_loops::ir::{BufferId, LoopProgram, Role, Step};
use cotangent_loops::plan::{Plan, plan_joined};

use crate::error::JitError;
use crate::join::join;
use crate::kernel::prepare;
use crate::machine::Assembler;
use crate::memory::Block;
use crate::path::Path;
use crate::program::{Action, Compiled, Handed, Place, Source};
use crate::routine::Vectors;
use crate::sharing::Sharing;

/// How to compile.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CompileOptions {
    /// Which executor runs bodies.
    pub path: Path,
}

/// Compiles a program for this machine.
///
/// *Errors*: see [`JitError`].
pub fn compile(program: &LoopProgram) -> Result<Compiled, JitError> {
    compile_with(program, CompileOptions::default())
}

/// As [`compile`], with options.
pub fn compile_with(program: &LoopProgram, options: CompileOptions) -> Result<Compiled, JitError> {
    let executor = options.path.executor()?;
    compile_on(program, executor.vectors(), executor.assembler(program))
}

/// Compiles a program for these vectors of routines, with machine code from `code`, or without any on tiles.
pub(crate) fn compile_on(
    program: &LoopProgram,
    vectors: Vectors,
    mut code: Option<Assembler>,
) -> Result<Compiled, JitError> {
    let streamed = match &code {
        Some(code) if code.streams() => crate::stream::streamed(program),
        Some(_) | None => vec![false; program.buffers.len()],
    };
    let mut actions = Vec::with_capacity(program.steps.len());
    for step in &program.steps {
        actions.push(match step {
            Step::Nest(nest) => Action::Nest(prepare(program, nest, &streamed, code.as_mut())?),
            Step::Routine(r) => Action::Routine(r.clone()),
        });
    }
    let base = match &mut code {
        Some(code) => code.finish()?,
        None => 0,
    };
    for action in &mut actions {
        if let Action::Nest(nest) = action {
            for code in nest.stages.iter_mut().filter_map(|s| s.code.as_mut()) {
                code.entry = base + code.offset;
            }
            if let Some(walk) = &mut nest.walk {
                walk.entry = base + walk.offset;
            }
        }
    }
    let (actions, steps, local) = join(program, actions, vectors);
    let plan = plan_joined(program, &steps, &local);
    let places = places(program, &plan)?;
    let results = handed(program, &places, &streamed);
    let local = actions.iter().map(|a| match a {
        Action::Chain(chain) => chain.local_bytes + chain.panel_bytes,
        Action::Nest(_) | Action::Routine(_) => 0,
    });
    let (arena_bytes, peak_bytes) = (plan.arena, plan.peak_bytes() + local.max().unwrap_or(0));
    let (program, streams) = (program.clone(), results.iter().any(|r| r.streamed));
    let sharing = actions.iter().any(Action::is_shared).then(Sharing::default);
    Ok(Compiled { program, places, results, actions, steps, streams, arena_bytes, peak_bytes, vectors, code, sharing })
}

/// Where each buffer is, by the plan of temporaries.
fn places(program: &LoopProgram, plan: &Plan) -> Result<Vec<Place>, JitError> {
    let [params, results] = [&program.params, &program.results].map(|ids| first_places(program, ids));
    let places = program.buffers.iter().enumerate().map(|(i, b)| {
        let listed = |at: &[Option<usize>]| {
            let what = || format!("buffer {i} is not in the list of its role");
            at[i].ok_or_else(|| JitError::Invariant { invariant: "P1", what: what() })
        };
        Ok(match &b.role {
            Role::Param => Place::Param(listed(&params)?),
            Role::Constant(a) => Place::Constant(copy(a.data().bytes())),
            Role::Result => Place::Result(listed(&results)?),
            Role::Temp => Place::Temp(plan.offsets[i].unwrap_or(0)),
        })
    });
    places.collect()
}

/// For each buffer, where it stands first in a list.
fn first_places(program: &LoopProgram, ids: &[BufferId]) -> Vec<Option<usize>> {
    let mut places = vec![None; program.buffers.len()];
    for (k, id) in ids.iter().enumerate().rev() {
        places[id.0 as usize] = Some(k);
    }
    places
}

/// Where each result comes from.
fn handed(program: &LoopProgram, places: &[Place], streamed: &[bool]) -> Vec<Handed> {
    let first = first_places(program, &program.results);
    let results = program.results.iter().enumerate().map(|(k, r)| {
        let b = &program.buffers[r.0 as usize];
        let again = first[r.0 as usize].filter(|first| *first < k);
        let source = match (&places[r.0 as usize], again) {
            (_, Some(first)) => Source::Again(first),
            (Place::Result(_), None) => Source::Own,
            (Place::Param(p), None) => Source::Param(*p),
            (Place::Constant(_), None) => Source::Constant(r.0 as usize),
            (Place::Temp(at), None) => Source::Temp(*at),
        };
        let (bytes, align) = (b.len * b.dtype.size_bytes(), b.dtype.size_bytes());
        Handed { source, bytes, align, reused: None, streamed: streamed[r.0 as usize] }
    });
    results.collect()
}

fn copy(bytes: &[u8]) -> Block {
    let mut block = Block::new(bytes.len());
    block.bytes_mut().copy_from_slice(bytes);
    block
}
