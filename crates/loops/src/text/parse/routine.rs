//! Steps that are kernels, with their matrices and ops.

use std::ops::Range;

use cotangent_core::ir::Aval;
use cotangent_core::ops::{Extreme, Op, Spectral};

use super::tokens::Parser;
use super::{LoopParseError, Result};
use crate::ir::{Matrix, Routine, RoutineKind};

impl Parser<'_> {
    pub fn matrix(&mut self) -> Result<Matrix> {
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

    pub fn routine(&mut self) -> Result<Routine> {
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
        } else if self.take("ranked") {
            self.ranked()?
        } else if self.take("rows") {
            self.expect("behind")?;
            let dim = self.number()?;
            let (op, args, results) = self.op()?;
            RoutineKind::Rows { op, args, results, dim }
        } else if self.take("lines") {
            self.expect("from")?;
            let first = self.number()?;
            self.lines(first)?
        } else if self.take("extremes") {
            self.extremes()?
        } else if self.take("values") {
            self.values()?
        } else if self.take("exchanged") {
            self.exchanged()?
        } else {
            self.expect("op")?;
            let (op, args, results) = self.op()?;
            RoutineKind::Op { op, args, results }
        };
        Ok(Routine { kind, inputs, outputs, loc, name })
    }

    /// Places of a sort, whose graph follows.
    pub fn places(&mut self, places: Range<usize>) -> Result<RoutineKind> {
        let line = self.line;
        let (op, args, _) = self.op()?;
        match (op, <[Aval; 1]>::try_from(args)) {
            (Op::Sort(sort), Ok([x])) => Ok(RoutineKind::Places { sort, x, places }),
            (op, _) => Err(LoopParseError::Op { line, message: format!("expected a sort, found `{}`", op.name()) }),
        }
    }

    /// A gather, whose graph follows, with an index that is the same for lines along the dims from `first` on.
    fn lines(&mut self, first: usize) -> Result<RoutineKind> {
        let line = self.line;
        let (op, args, _) = self.op()?;
        match (op, <[Aval; 2]>::try_from(args)) {
            (Op::Gather(gather), Ok([x, index])) => Ok(RoutineKind::Lines { gather, x, index, first }),
            (op, _) => Err(LoopParseError::Op { line, message: format!("expected a gather, found `{}`", op.name()) }),
        }
    }

    /// Ranks of a sort, whose graph follows, and that of a gather along the same dim.
    fn ranked(&mut self) -> Result<RoutineKind> {
        let line = self.line;
        let (sort, _, _) = self.op()?;
        self.expect("at")?;
        let (gather, args, _) = self.op()?;
        match (sort, gather, <[Aval; 2]>::try_from(args)) {
            (Op::Sort(sort), Op::Gather(gather), Ok([x, index])) if gather.dim == sort.dim => {
                Ok(RoutineKind::Ranked { sort, x, index })
            }
            (sort, gather, _) => {
                let found = [sort.name(), gather.name()];
                let message =
                    format!("expected a sort and a gather along its dim, found `{}` and `{}`", found[0], found[1]);
                Err(LoopParseError::Op { line, message })
            }
        }
    }

    /// Extremes, and where they stand, which the graph that follows says.
    fn extremes(&mut self) -> Result<RoutineKind> {
        let line = self.line;
        let (op, args, _) = self.op()?;
        let found = if let Op::Argmax(a) = &op {
            Some((a.dim, Extreme::Max))
        } else if let Op::Argmin(a) = &op {
            Some((a.dim, Extreme::Min))
        } else {
            None
        };
        match (found, <[Aval; 1]>::try_from(args)) {
            (Some((dim, which)), Ok([x])) => Ok(RoutineKind::Extremes { dim, which, x }),
            (_, _) => {
                let message = format!("expected positions of extremes, found `{}`", op.name());
                Err(LoopParseError::Op { line, message })
            }
        }
    }

    /// The values of a decomposition, whose graph follows.
    fn values(&mut self) -> Result<RoutineKind> {
        let line = self.line;
        let (op, args, results) = self.op()?;
        match (Spectral::of(&op), <[Aval; 1]>::try_from(args)) {
            (Some(of), Ok([x])) => Ok(RoutineKind::Values { of, x, results }),
            (_, _) => {
                let message = format!("expected a decomposition, found `{}`", op.name());
                Err(LoopParseError::Op { line, message })
            }
        }
    }

    /// The positions that are computed, and a convolution, whose graph follows.
    fn exchanged(&mut self) -> Result<RoutineKind> {
        let line = self.line;
        let positions: Vec<usize> = self.list("[", "]", Self::number)?;
        let (op, args, results) = self.op()?;
        match (op, <[Aval; 2]>::try_from(args), <[Aval; 1]>::try_from(results)) {
            (Op::Convolution(op), Ok(args), Ok([y])) if positions.len() + 2 == y.shape.rank() => {
                let shape = positions.iter().enumerate().fold(y.shape.clone(), |shape, (d, n)| shape.with(d + 2, *n));
                Ok(RoutineKind::Exchanged { op, args: Box::new(args), y: y.with_shape(shape) })
            }
            (op, _, _) => {
                let message = format!("expected a convolution and its positions, found `{}`", op.name());
                Err(LoopParseError::Op { line, message })
            }
        }
    }

    /// The graph of one op between `<<<` and `>>>`, with the avals of its operands and results.
    pub fn op(&mut self) -> Result<(Op, Vec<Aval>, Vec<Aval>)> {
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
