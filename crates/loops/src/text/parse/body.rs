//! Bodies of stages: one value a line.

use cotangent_core::ops::{Binary, Op, Unary};
use rustc_hash::FxHashMap;

use super::Result;
use super::tokens::Parser;
use crate::ir::{Body, BodyOp, BodyValue};
use crate::text::word;

pub fn function_names() -> FxHashMap<String, Function> {
    let unary = Unary::ALL.iter().map(|f| (word(&Op::from(*f)), Function::Unary(*f)));
    let binary = Binary::ALL.iter().map(|f| (word(&Op::from(*f)), Function::Binary(*f)));
    unary.chain(binary).collect()
}

#[derive(Clone, Copy)]
pub enum Function {
    Unary(Unary),
    Binary(Binary),
}

impl Parser<'_> {
    pub fn value(&mut self) -> Result<BodyValue> {
        self.expect("%")?;
        self.number().map(BodyValue)
    }

    pub fn body(&mut self) -> Result<Body> {
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

    pub fn body_op(&mut self, name: &str) -> Result<BodyOp> {
        Ok(match name {
            "load" => BodyOp::Load(self.numbered('a')?),
            "lookup" => {
                let (of, access, offset) = (self.numbered('t')?, self.numbered('a')?, self.value()?);
                self.expect(",")?;
                BodyOp::Lookup { of, access, offset, index: self.value()? }
            }
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
}
