//! A compiled program: its memory plan and its calls.

use std::ops::Range;
use std::time::{Duration, Instant};

use cotangent_loops::ir::{BufferId, LoopProgram, Routine};
use smallvec::SmallVec;

use crate::chain::{Chain, Link};
use crate::error::CallError;
use crate::frame::with_words;
use crate::kernel::NestKernel;
use crate::machine::Assembler;
use crate::memory::Block;
use crate::operand::{Input, Output};
use crate::pages::ALIGN;
use crate::routine::Vectors;
use crate::run::Buffers;
use crate::sharing::Sharing;

/// Where a buffer is during a call.
#[derive(Debug)]
pub(crate) enum Place {
    Param(usize),
    Constant(Block),
    /// The memory of a result.
    Result(usize),
    /// An offset in the arena of temporaries.
    Temp(usize),
}

/// Where a result comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// Written where it belongs.
    Own,
    /// A copy of an earlier result.
    Again(usize),
    /// A copy of an argument.
    Param(usize),
    /// A copy of the constant in a buffer.
    Constant(usize),
    /// A copy from the arena.
    Temp(usize),
}

/// A result of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handed {
    pub source: Source,
    pub bytes: usize,
    pub align: usize,
    /// The donated parameter in whose memory it may stand.
    pub reused: Option<usize>,
    /// Whether it is written in whole vectors, to memory aligned to [`ALIGN`].
    pub streamed: bool,
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

impl Action {
    /// Whether it has jobs that several threads may share.
    pub fn is_shared(&self) -> bool {
        match self {
            Action::Nest(nest) => !crate::run::is_short(nest),
            Action::Routine(_) | Action::Chain(_) => true,
        }
    }
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
    pub(crate) program: LoopProgram,
    pub(crate) places: Vec<Place>,
    pub(crate) results: Vec<Handed>,
    pub(crate) actions: Vec<Action>,
    /// The steps of each action.
    pub(crate) steps: Vec<Range<usize>>,
    /// Whether some result is streamed.
    pub(crate) streams: bool,
    pub(crate) arena_bytes: usize,
    pub(crate) peak_bytes: usize,
    pub(crate) vectors: Vectors,
    /// None on the portable path.
    pub(crate) code: Option<Assembler>,
    /// None if no job of the program is worth a second thread.
    pub(crate) sharing: Option<Sharing>,
}

impl Compiled {
    /// The same program, where argument `p` may give its memory to result `k` if `may(p, k)`: [`Compiled::reused`] says which do.
    pub fn donating(mut self, may: impl Fn(usize, usize) -> bool) -> Self {
        let reused = cotangent_loops::plan::donations(&self.program, &self.steps, may);
        for (result, reused) in self.results.iter_mut().zip(reused) {
            result.reused = reused;
        }
        self
    }

    /// The donated argument in whose memory result `k` may stand, if there is one.
    pub fn reused(&self, k: usize) -> Option<usize> {
        self.results.get(k)?.reused
    }

    /// The results at `inputs`, each a dense row-major buffer of the parameter's dtype.
    ///
    /// *Errors*: [`CallError`]; data that an op cannot compute with name the op and the source line.
    pub fn call(&self, inputs: &[&[u8]]) -> Result<Vec<Block>, CallError> {
        let mut outputs = Vec::with_capacity(self.results.len());
        self.call_into(inputs, &mut outputs)?;
        Ok(outputs)
    }

    /// As [`Compiled::call`], with the results in `outputs`, whose former contents are dropped.
    pub fn call_into(&self, inputs: &[&[u8]], outputs: &mut Vec<Block>) -> Result<(), CallError> {
        self.call_made(inputs, outputs, |_| ())
    }

    /// As [`Compiled::call`], with the time of each step.
    pub fn call_timed(&self, inputs: &[&[u8]]) -> Result<(Vec<Block>, Vec<Timed>), CallError> {
        let (mut outputs, mut timed) = (Vec::new(), Vec::with_capacity(self.actions.len()));
        let (begin, mut last) = (Instant::now(), Duration::ZERO);
        self.call_made(inputs, &mut outputs, |action| {
            let now = begin.elapsed();
            timed.push(Timed { steps: self.steps[action].clone(), start: last, time: now - last });
            last = now;
        })?;
        Ok((outputs, timed))
    }

    fn call_made(&self, inputs: &[&[u8]], outputs: &mut Vec<Block>, done: impl FnMut(usize)) -> Result<(), CallError> {
        outputs.clear();
        let mut inputs: SmallVec<[Input; 8]> = inputs.iter().map(|bytes| Input::Shared(bytes)).collect();
        let mut made: SmallVec<[Output; 8]> = self.results.iter().map(|_| Output::Made(None)).collect();
        self.run(&mut inputs, &mut made, done)?;
        outputs.extend(made.iter_mut().map(|output| output.take_made().expect("each result was to be made")));
        Ok(())
    }

    /// A call with a place for each result; it allocates nothing but the blocks that are asked for, and temporaries.
    ///
    /// *Errors*: as [`Compiled::call`]; places that do not fit their results.
    pub fn call_at(&self, inputs: &mut [Input], outputs: &mut [Output]) -> Result<(), CallError> {
        self.run(inputs, outputs, |_| ())
    }

    /// A call; `done` hears of each action after it has run.
    fn run(&self, inputs: &mut [Input], outputs: &mut [Output], mut done: impl FnMut(usize)) -> Result<(), CallError> {
        self.check(inputs)?;
        self.check_outputs(inputs, outputs)?;
        for (output, result) in outputs.iter_mut().zip(&self.results) {
            if let Output::Made(block) = output {
                *block = Some(Block::new(result.bytes));
            }
        }
        let arena = (self.arena_bytes > 0).then(|| Block::new(self.arena_bytes));
        let mut aside = if self.streams { self.aside(inputs, outputs) } else { SmallVec::new() };
        with_words(self.places.len(), |words| {
            for (word, place) in words.iter_mut().zip(&self.places) {
                let at = match place {
                    // Empty memory may have any address; an aligned one that nobody reads is as good.
                    Place::Param(i) if inputs[*i].bytes().is_empty() => EMPTY,
                    Place::Param(i) => inputs[*i].address(),
                    Place::Constant(block) => block.as_ptr(),
                    Place::Result(k) if self.results[*k].bytes == 0 => EMPTY,
                    Place::Result(k) => match aside.iter().find(|(aside, _)| aside == k) {
                        Some((_, block)) => block.as_ptr(),
                        None => self.address(*k, inputs, outputs),
                    },
                    // Without an arena all temporaries are empty.
                    Place::Temp(at) => arena.as_ref().map_or(EMPTY, |a| a.as_ptr().wrapping_add(*at)),
                };
                *word = at as u64;
            }
            match &self.sharing {
                Some(sharing) => sharing.run(|| self.steps_at(words, &mut done)),
                None => self.steps_at(words, &mut done),
            }
        })?;
        for (k, block) in aside.drain(..) {
            match &mut outputs[k] {
                Output::Given(bytes) => bytes.copy_from_slice(block.bytes()),
                Output::InPlace => match &mut inputs[self.donated(k)] {
                    Input::Donated(bytes) => bytes.copy_from_slice(block.bytes()),
                    Input::Shared(_) => unreachable!("checked: the argument is donated"),
                },
                Output::Made(_) => unreachable!("blocks are aligned"),
            }
        }
        for k in 0..outputs.len() {
            let (before, rest) = outputs.split_at_mut(k);
            let from = match self.results[k].source {
                Source::Own => continue,
                Source::Again(first) => match &before[first] {
                    Output::Made(block) => block.as_ref().map_or(&[][..], Block::bytes),
                    Output::Given(bytes) => bytes,
                    Output::InPlace => inputs[self.donated(first)].bytes(),
                },
                Source::Param(p) => inputs[p].bytes(),
                Source::Constant(b) => match &self.places[b] {
                    Place::Constant(block) => block.bytes(),
                    Place::Param(_) | Place::Result(_) | Place::Temp(_) => unreachable!("P1: a constant's buffer"),
                },
                Source::Temp(at) => &arena.as_ref().map_or(&[][..], Block::bytes)[at..][..self.results[k].bytes],
            };
            match &mut rest[0] {
                Output::Made(Some(block)) => block.bytes_mut().copy_from_slice(from),
                Output::Given(bytes) => bytes.copy_from_slice(from),
                Output::Made(None) | Output::InPlace => unreachable!("only results of their own stand in place"),
            }
        }
        Ok(())
    }

    /// The argument in whose memory result `k` stands.
    fn donated(&self, k: usize) -> usize {
        self.results[k].reused.expect("checked: the plan names an argument")
    }

    /// Where result `k` goes.
    fn address(&self, k: usize, inputs: &mut [Input], outputs: &mut [Output]) -> *mut u8 {
        match &mut outputs[k] {
            Output::Made(block) => block.as_ref().map_or(EMPTY, Block::as_ptr),
            Output::Given(bytes) => bytes.as_mut_ptr(),
            Output::InPlace => inputs[self.donated(k)].address(),
        }
    }

    /// Blocks for streamed results that would go to memory which is not aligned for them; from there they are copied.
    fn aside(&self, inputs: &mut [Input], outputs: &mut [Output]) -> SmallVec<[(usize, Block); 1]> {
        let streamed = self.results.iter().enumerate().filter(|(_, r)| r.streamed);
        let astray = streamed.filter(|(k, _)| !(self.address(*k, inputs, outputs) as usize).is_multiple_of(ALIGN));
        astray.map(|(k, r)| (k, Block::new(r.bytes))).collect()
    }

    /// Runs all actions on buffers at these addresses.
    fn steps_at(&self, words: &[u64], done: &mut impl FnMut(usize)) -> Result<(), CallError> {
        // SAFETY: pointers and words have the same size and all bit patterns are valid for both.
        let pointers = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<*mut u8>(), words.len()) };
        for (step, action) in self.actions.iter().enumerate() {
            // SAFETY: every buffer has its length (`check`, `check_outputs`, and `Block::new`); parameters and constants are only
            // read (P1), but for a donated one that a result may overwrite by the plan: all that is read of it is read before.
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
    }

    /// Checks that each result has a place that holds it.
    fn check_outputs(&self, inputs: &[Input], outputs: &[Output]) -> Result<(), CallError> {
        if outputs.len() != self.results.len() {
            return Err(CallError::Results { expected: self.results.len(), found: outputs.len() });
        }
        for (k, (output, result)) in outputs.iter().zip(&self.results).enumerate() {
            let donated = |p: &usize| matches!(inputs[*p], Input::Donated(_));
            let found = match output {
                Output::Made(_) => continue,
                Output::Given(bytes) if !(bytes.as_ptr() as usize).is_multiple_of(result.align) => 0,
                Output::Given(bytes) => bytes.len(),
                Output::InPlace if result.reused.as_ref().is_some_and(donated) => continue,
                Output::InPlace => 0,
            };
            if found != result.bytes || matches!(output, Output::InPlace) {
                return Err(CallError::Output { result: k, expected: result.bytes, found });
            }
        }
        Ok(())
    }

    fn check(&self, inputs: &[Input]) -> Result<(), CallError> {
        if inputs.len() != self.program.params.len() {
            return Err(CallError::Arity { expected: self.program.params.len(), found: inputs.len() });
        }
        for (arg, (input, id)) in inputs.iter().zip(&self.program.params).enumerate() {
            let bytes = input.bytes();
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

    /// The bytes of each parameter.
    pub fn param_bytes(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        let bytes = |id: &BufferId| {
            let b = &self.program.buffers[id.0 as usize];
            b.len * b.dtype.size_bytes()
        };
        self.program.params.iter().map(bytes)
    }

    /// The bytes of each result.
    pub fn result_bytes(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        self.results.iter().map(|r| r.bytes)
    }

    /// The program that was compiled.
    pub fn program(&self) -> &LoopProgram {
        &self.program
    }

    /// What one call allocates at most beside its arguments, in bytes: results that do not stand in donated memory, temporaries, and
    /// one thread's scratch rows and parts of temporaries.
    pub fn peak_bytes(&self) -> usize {
        let donated = self.results.iter().filter(|r| r.reused.is_some());
        self.peak_bytes - donated.map(|r| r.bytes.next_multiple_of(ALIGN)).sum::<usize>()
    }

    /// The nest of each step that is one.
    pub(crate) fn nests(&self) -> Vec<Option<&NestKernel>> {
        let nests = self.actions.iter().flat_map(|action| match action {
            Action::Nest(nest) => vec![Some(nest)],
            Action::Routine(_) => vec![None],
            Action::Chain(chain) => {
                let nests = chain.links.iter().map(|link| match link {
                    Link::Nest(nest) => Some(&**nest),
                    Link::Product(..) => None,
                });
                nests.collect()
            }
        });
        nests.collect()
    }

    /// The machine code; none on tiles.
    pub(crate) fn code(&self) -> Option<&Assembler> {
        self.code.as_ref()
    }

    /// The bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.as_ref().map_or(0, Assembler::code_bytes)
    }
}

/// Where empty memory is.
const EMPTY: *mut u8 = std::ptr::without_provenance_mut(ALIGN);
