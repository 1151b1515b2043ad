//! Parsing. A parsed program is verified before it is handed out.

mod body;
mod routine;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Derivation, Loc, Shape};

use crate::ir::{Access, Aim, Body, Buffer, Lookup, Loop, LoopProgram, Memory, Nest, Role, Stage, Step};
use crate::verify::{VerifyError, verify};
use body::function_names;
use tokens::{Parser, unquoted};

/// Why a text is no loop program.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoopParseError {
    /// A token that does not fit.
    #[error("line {line}: expected {expected}, found `{found}`")]
    #[diagnostic(code(cotangent::loops::parse))]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The graph of a routine's op.
    #[error("line {line}: the op of a routine: {message}")]
    #[diagnostic(code(cotangent::loops::parse_op))]
    Op {
        /// The line, counted from 1.
        line: usize,
        /// What the graph's parser says.
        message: String,
    },
    /// A program that breaks an invariant.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] VerifyError),
}

type Result<T> = std::result::Result<T, LoopParseError>;

/// The program that `text` says, verified.
///
/// *Errors*: what is not in the grammar, with its line; broken invariants.
pub fn parse(text: &str) -> Result<LoopProgram> {
    let mut p = Parser { rest: text, line: 1, token: "", names: function_names() };
    p.advance();
    let program = p.program()?;
    verify(&program)?;
    Ok(program)
}

impl Parser<'_> {
    fn program(&mut self) -> Result<LoopProgram> {
        let mut program = LoopProgram::default();
        self.expect("loops")?;
        self.expect("{")?;
        while self.token.starts_with('b') {
            let i = self.numbered('b')?;
            if i as usize != program.buffers.len() {
                return self.wrong(format!("b{}", program.buffers.len()));
            }
            program.buffers.push(self.buffer()?);
        }
        self.expect("params")?;
        program.params = self.list("(", ")", Self::buffer_id)?;
        self.expect("results")?;
        program.results = self.list("(", ")", Self::buffer_id)?;
        while !self.take("}") {
            let step = match self.token {
                "nest" => Step::Nest(self.nest()?),
                "routine" => Step::Routine(self.routine()?),
                _ => return self.wrong("`nest`, `routine` or `}`"),
            };
            program.steps.push(step);
        }
        if self.token.is_empty() { Ok(program) } else { self.wrong("the end") }
    }

    fn sized(&mut self) -> Result<(DType, usize)> {
        let dtype = self.dtype()?;
        self.expect("[")?;
        let len = self.number()?;
        self.expect("]")?;
        Ok((dtype, len))
    }

    fn buffer(&mut self) -> Result<Buffer> {
        self.expect(":")?;
        let (dtype, len) = self.sized()?;
        let role = match self.advance() {
            "param" => Role::Param,
            "result" => Role::Result,
            "temp" => Role::Temp,
            "constant" => {
                let shape: Shape = self.list("[", "]", Self::number::<usize>)?.into();
                let elements = self.list("{", "}", |p| p.scalar(dtype))?;
                if shape.checked_numel() != Some(elements.len()) {
                    return self.wrong(format!("the elements of {shape} before this"));
                }
                Role::Constant(Arc::new(Array::from_scalars(&Aval::new(dtype, shape), &elements)))
            }
            _ => return self.wrong("`param`, `result`, `temp` or `constant` before this"),
        };
        Ok(Buffer { dtype, len, role })
    }

    fn loc(&mut self) -> Result<Loc> {
        self.expect("at")?;
        let file: String = match unquoted(self.token) {
            Some(file) => file,
            None => return self.wrong("a file in quotes"),
        };
        self.advance();
        self.expect(":")?;
        let mut loc = Loc { file: Cow::Owned(file), line: self.number()?, ..Loc::default() };
        let mut more = self.take("via");
        while more {
            match Derivation::ALL.into_iter().find(|d| d.name() == self.token) {
                Some(d) => loc.chain.push(d),
                None => return self.wrong("a transform"),
            }
            self.advance();
            more = self.take(",");
        }
        Ok(loc)
    }

    fn nest(&mut self) -> Result<Nest> {
        self.expect("nest")?;
        let outer = self.list("[", "]", Self::number)?;
        let scratch = if self.take("scratch") { self.list("(", ")", Self::sized)? } else { Vec::new() };
        let scalars = if self.take("scalars") { self.list("(", ")", Self::dtype)? } else { Vec::new() };
        self.expect("{")?;
        let mut nest = Nest { outer, scratch, scalars, stages: Vec::new(), lookups: Vec::new(), locs: Vec::new() };
        while self.token == "at" {
            nest.locs.push(self.loc()?);
        }
        while self.take("lookup") {
            nest.lookups.push(self.lookup()?);
        }
        while !self.take("}") {
            nest.stages.push(self.stage(nest.outer.len())?);
        }
        Ok(nest)
    }

    fn lookup(&mut self) -> Result<Lookup> {
        let name = self.advance().to_owned();
        self.expect("dim")?;
        let dim = self.number()?;
        self.expect("of")?;
        let size = self.number()?;
        self.expect("step")?;
        let step = self.number()?;
        Ok(Lookup { name, dim, size, step, loc: self.loc()? })
    }

    fn stage(&mut self, outer: usize) -> Result<Stage> {
        self.expect("stage")?;
        let serial: Vec<usize> = self.list("[", "]", Self::number)?;
        self.expect("x")?;
        let lanes = self.number()?;
        let column = |p: &mut Self| Ok((p.monoid()?, p.dtype()?));
        let columns = if self.take("columns") { self.list("(", ")", column)? } else { Vec::new() };
        self.expect("{")?;
        let mut accesses = Vec::new();
        while self.token.starts_with('a') {
            let i = self.numbered('a')?;
            if i as usize != accesses.len() {
                return self.wrong(format!("a{} before this", accesses.len()));
            }
            self.expect("=")?;
            accesses.push(self.access(outer, serial.len())?);
        }
        let body = self.body()?;
        self.expect("}")?;
        let mut after = Body::default();
        if self.take("after") {
            self.expect("{")?;
            after = self.body()?;
            self.expect("}")?;
        }
        Ok(Stage { serial, lanes, columns, accesses, body, after })
    }

    fn access(&mut self, outer: usize, serial: usize) -> Result<Access> {
        let memory = if self.token.starts_with('s') {
            Memory::Scratch(self.numbered('s')?)
        } else {
            Memory::Buffer(self.buffer_id()?)
        };
        self.expect("[")?;
        let offset = self.number()?;
        let mut a = Access { memory, offset, outer: vec![0; outer], serial: vec![0; serial], lane: 0, aim: None };
        while self.take("+") {
            let stride = self.number()?;
            let slot = match self.loop_()? {
                Loop::Outer(i) => a.outer.get_mut(i as usize),
                Loop::Serial(i) => a.serial.get_mut(i as usize),
                Loop::Lane => Some(&mut a.lane),
            };
            match slot {
                Some(slot) => *slot = stride,
                None => return self.wrong("a loop of this stage before this"),
            }
        }
        self.expect("]")?;
        if self.take("through") {
            a.aim = Some(Aim { of: self.numbered('t')?, index: self.numbered('a')? });
        }
        Ok(a)
    }

    fn loop_(&mut self) -> Result<Loop> {
        match self.token.chars().next() {
            Some('o') => self.numbered('o').map(Loop::Outer),
            Some('i') => self.numbered('i').map(Loop::Serial),
            Some('l') if self.take("l") => Ok(Loop::Lane),
            Some(_) | None => self.wrong("a loop: `o0`, `i0` or `l`"),
        }
    }
}
