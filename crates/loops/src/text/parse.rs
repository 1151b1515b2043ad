//! Parsing. A parsed program is verified before it is handed out.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Derivation, Loc, Scalar, Shape};
use cotangent_core::ops::{Binary, Monoid, Op, Unary};
use cotangent_core::text::number::parse_float;
use rustc_hash::FxHashMap;

use super::print::dtype_words;
use super::{MONOIDS, word};
use crate::ir::{
    Access, Body, BodyOp, BodyValue, Buffer, BufferId, Loop, LoopProgram, Matrix, Memory, Nest, Role, Routine,
    RoutineKind, Stage, Step,
};
use crate::verify::{VerifyError, verify};

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

fn function_names() -> FxHashMap<String, Function> {
    let unary = Unary::ALL.iter().map(|f| (word(&Op::from(*f)), Function::Unary(*f)));
    let binary = Binary::ALL.iter().map(|f| (word(&Op::from(*f)), Function::Binary(*f)));
    unary.chain(binary).collect()
}

#[derive(Clone, Copy)]
enum Function {
    Unary(Unary),
    Binary(Binary),
}

/// A reader one token ahead: words with their digits, numbers, strings, and single other characters.
struct Parser<'a> {
    rest: &'a str,
    line: usize,
    token: &'a str,
    names: FxHashMap<String, Function>,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> &'a str {
        let before = self.token;
        let blank = self.rest.len() - self.rest.trim_start().len();
        self.line += self.rest[..blank].matches('\n').count();
        self.rest = &self.rest[blank..];
        let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
        let len = match self.rest.chars().next() {
            None => 0,
            Some('"') => string_len(self.rest),
            Some('n') if self.rest.starts_with("nan(") => self.rest.find(')').map_or(self.rest.len(), |i| i + 1),
            Some(c) if self.rest.starts_with("->") || !in_word(c) => {
                if self.rest.starts_with("->") {
                    2
                } else {
                    c.len_utf8()
                }
            }
            Some(_) => self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len()),
        };
        (self.token, self.rest) = self.rest.split_at(len);
        before
    }

    fn wrong<T>(&self, expected: impl Into<String>) -> Result<T> {
        let found = self.token.chars().take(40).collect();
        Err(LoopParseError::Syntax { line: self.line, expected: expected.into(), found })
    }

    fn take(&mut self, token: &str) -> bool {
        let is = self.token == token;
        if is {
            self.advance();
        }
        is
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.take(token) { Ok(()) } else { self.wrong(format!("`{token}`")) }
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        match self.token.parse() {
            Ok(n) => {
                self.advance();
                Ok(n)
            }
            Err(_) => self.wrong("a number"),
        }
    }

    /// `b3`: the number after a letter.
    fn numbered(&mut self, letter: char) -> Result<u32> {
        match self.token.strip_prefix(letter).and_then(|n| n.parse().ok()) {
            Some(n) => {
                self.advance();
                Ok(n)
            }
            None => self.wrong(format!("`{letter}` and a number")),
        }
    }

    fn dtype(&mut self) -> Result<DType> {
        match self.token.parse() {
            Ok(d) => {
                self.advance();
                Ok(d)
            }
            Err(_) => self.wrong(dtype_words()),
        }
    }

    fn monoid(&mut self) -> Result<Monoid> {
        match MONOIDS.iter().find(|(_, name)| *name == self.token) {
            Some((m, _)) => {
                self.advance();
                Ok(*m)
            }
            None => self.wrong("a monoid"),
        }
    }

    /// Items between brackets, with commas between them.
    fn list<T>(&mut self, open: &str, close: &str, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.take(close) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn buffer_id(&mut self) -> Result<BufferId> {
        self.numbered('b').map(BufferId)
    }

    fn scalar(&mut self, dtype: DType) -> Result<Scalar> {
        let scalar = match self.token {
            "true" => Some(Scalar::Bool(true)),
            "false" => Some(Scalar::Bool(false)),
            t if dtype.is_float() => parse_float(t).map(Scalar::Float),
            t => t.parse().ok().map(Scalar::Int),
        };
        match scalar.filter(|s| *s == s.cast(dtype)) {
            Some(s) => {
                self.advance();
                Ok(s)
            }
            None => self.wrong(format!("a number of {dtype}")),
        }
    }

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
        let mut nest = Nest { outer, scratch, scalars, stages: Vec::new(), locs: Vec::new() };
        while self.token == "at" {
            nest.locs.push(self.loc()?);
        }
        while !self.take("}") {
            nest.stages.push(self.stage(nest.outer.len())?);
        }
        Ok(nest)
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
        let mut a = Access { memory, offset: self.number()?, outer: vec![0; outer], serial: vec![0; serial], lane: 0 };
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

    fn value(&mut self) -> Result<BodyValue> {
        self.expect("%")?;
        self.number().map(BodyValue)
    }

    fn body(&mut self) -> Result<Body> {
        let mut body = Body::default();
        while self.take("%") {
            let i: usize = self.number()?;
            if i != body.ops.len() {
                return self.wrong(format!("%{} before this", body.ops.len()));
            }
            self.expect("=")?;
            let line = self.line;
            let (name, constant) = (self.advance(), self.token);
            // The dtype of a number follows it.
            let op = if name == "const" {
                self.advance();
                None
            } else {
                Some(self.body_op(name)?)
            };
            self.expect(":")?;
            let dtype = self.dtype()?;
            let op = match op {
                Some(op) => op,
                None => {
                    let inner =
                        Parser { rest: "", line, token: constant, names: FxHashMap::default() }.scalar(dtype)?;
                    BodyOp::Const(inner)
                }
            };
            body.ops.push((op, dtype));
        }
        Ok(body)
    }

    fn body_op(&mut self, name: &str) -> Result<BodyOp> {
        Ok(match name {
            "load" => BodyOp::Load(self.numbered('a')?),
            "index" => {
                let offset = self.number()?;
                self.expect("+")?;
                let scale = self.number()?;
                BodyOp::Index { of: self.loop_()?, scale, offset }
            }
            "row" => BodyOp::RowScalar(self.numbered('r')?),
            "column" => BodyOp::Column(self.numbered('c')?),
            "convert" => BodyOp::Convert(self.value()?),
            "store" => BodyOp::Store(self.numbered('a')?, self.value()?),
            "reduce" => BodyOp::ReduceLanes(self.numbered('r')?, self.monoid()?, self.value()?),
            "accumulate" => BodyOp::ReduceSerial(self.numbered('c')?, self.value()?),
            "select" => {
                let p = self.value()?;
                self.expect(",")?;
                let a = self.value()?;
                self.expect(",")?;
                BodyOp::Select(p, a, self.value()?)
            }
            _ => match self.names.get(name).copied() {
                Some(Function::Unary(f)) => BodyOp::Unary(f, self.value()?),
                Some(Function::Binary(f)) => {
                    let a = self.value()?;
                    self.expect(",")?;
                    BodyOp::Binary(f, a, self.value()?)
                }
                None => return self.wrong(format!("an operation, not `{name}`, before this")),
            },
        })
    }

    fn matrix(&mut self) -> Result<Matrix> {
        self.expect("[")?;
        let offset = self.number()?;
        let mut strides = [0; 3];
        for (slot, letter) in strides.iter_mut().zip(["b", "i", "j"]) {
            self.expect("+")?;
            *slot = self.number()?;
            self.expect(letter)?;
        }
        self.expect("]")?;
        let [batch, row, col] = strides;
        Ok(Matrix { offset, batch, row, col })
    }

    fn routine(&mut self) -> Result<Routine> {
        self.expect("routine")?;
        let name = self.advance().to_owned();
        let inputs = self.list("(", ")", Self::buffer_id)?;
        self.expect("->")?;
        let outputs = self.list("(", ")", Self::buffer_id)?;
        let loc = self.loc()?;
        let kind = if self.take("matmul") {
            let mut sizes = [0; 4];
            for (i, slot) in sizes.iter_mut().enumerate() {
                if i > 0 {
                    self.expect("x")?;
                }
                *slot = self.number()?;
            }
            let [batch, m, k, n] = sizes;
            RoutineKind::MatMul { batch, m, k, n, lhs: self.matrix()?, rhs: self.matrix()? }
        } else if self.take("places") {
            let start = self.number()?;
            self.expect("to")?;
            let end = self.number()?;
            self.places(start..end)?
        } else {
            self.expect("op")?;
            let (op, args, results) = self.op()?;
            RoutineKind::Op { op, args, results }
        };
        Ok(Routine { kind, inputs, outputs, loc, name })
    }

    /// Places of a sort, whose graph follows.
    fn places(&mut self, places: Range<usize>) -> Result<RoutineKind> {
        let line = self.line;
        let (op, args, _) = self.op()?;
        match (op, <[Aval; 1]>::try_from(args)) {
            (Op::Sort(sort), Ok([x])) => Ok(RoutineKind::Places { sort, x, places }),
            (op, _) => Err(LoopParseError::Op { line, message: format!("expected a sort, found `{}`", op.name()) }),
        }
    }

    /// The graph of one op between `<<<` and `>>>`, with the avals of its operands and results.
    fn op(&mut self) -> Result<(Op, Vec<Aval>, Vec<Aval>)> {
        let line = self.line;
        let wrong = |message: &str| LoopParseError::Op { line, message: message.to_owned() };
        let text = self.rest.strip_prefix("<<").filter(|_| self.token == "<");
        let Some((graph, rest)) = text.and_then(|t| t.split_once("\n>>>")) else {
            return self.wrong("`<<<`, a graph and `>>>`");
        };
        let parsed = cotangent_core::text::ir::parse("routine", graph).map_err(|e| wrong(&e.to_string()))?;
        self.line += graph.matches('\n').count() + 1;
        self.rest = rest;
        self.advance();
        let [node] = parsed.nodes() else { return Err(wrong("expected one node")) };
        if *node.args != *parsed.params() || *node.results != *parsed.results() {
            return Err(wrong("expected the parameters as operands and the results as results"));
        }
        Ok((node.op.clone(), parsed.param_avals(), parsed.result_avals()))
    }
}

/// The length of the string literal at the start of `text`, with its quotes.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return i + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The content of a string literal as `{:?}` writes it, for the escapes that file names have.
fn unquoted(token: &str) -> Option<String> {
    let inner = token.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            '0' => '\0',
            'u' => {
                let hex: String = chars.by_ref().skip_while(|c| *c == '{').take_while(|c| *c != '}').collect();
                char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?
            }
            c @ ('"' | '\\' | '\'') => c,
            _ => return None,
        });
    }
    Some(out)
}
