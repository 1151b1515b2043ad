//! Types and values of attributes.

use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Parsed, Parser};
use crate::array::Array;
use crate::ir::{Attr, Aval, DType, Dim, Scalar, Shape};
use crate::text::lex::{Token, shortened};
use crate::text::literal::read_elements;
use crate::text::number::parse_float;

impl<'a> Parser<'a> {
    fn dtype(&mut self) -> Parsed<DType> {
        let Token::Word(w) = self.token else { return self.unexpected("a type such as `f32[3,4]`") };
        match w.parse() {
            Ok(dtype) => {
                self.advance()?;
                Ok(dtype)
            }
            Err(_) => {
                let expected = "expected a dtype (f32, f64, bf16, f16, i64, i32, i16, i8, u8, bool)";
                self.fail(self.span.clone(), format!("{expected}, found `{}`", shortened(w)))
            }
        }
    }

    pub(super) fn aval(&mut self) -> Parsed<Aval> {
        let start = self.span.start;
        let dtype = self.dtype()?;
        self.expect('[', "before the sizes")?;
        self.sizes(dtype, start)
    }

    /// The rest of an aval after its `[`.
    fn sizes(&mut self, dtype: DType, start: usize) -> Parsed<Aval> {
        let mut sizes: Vec<Dim> = Vec::new();
        self.list(']', |p| {
            sizes.push(Dim::new(p.int("a size")?));
            Ok(())
        })?;
        let shape: Shape = sizes.into_iter().collect();
        if shape.checked_numel().is_none() {
            let found = shortened(&self.text[start..self.last_end]);
            return self.fail(start..self.last_end, format!("expected at most 2^47 elements, found {found}"));
        }
        Ok(Aval { dtype, shape })
    }

    pub(super) fn attr(&mut self) -> Parsed<Attr> {
        let start = self.span.start;
        match self.token {
            Token::Word("graph") => Ok(Attr::Graph(Arc::new(self.graph()?))),
            Token::Word("none") => {
                self.advance()?;
                Ok(Attr::None)
            }
            Token::Word(word @ ("true" | "false")) => {
                self.advance()?;
                Ok(Attr::Scalar(Scalar::Bool(word == "true")))
            }
            Token::Word("nan" | "inf") => Ok(Attr::Scalar(self.scalar()?)),
            Token::Number(_) => Ok(Attr::Scalar(self.scalar()?)),
            Token::Word(_) => {
                let dtype = self.dtype()?;
                if !self.eat('[')? {
                    return Ok(Attr::DType(dtype));
                }
                let aval = self.sizes(dtype, start)?;
                Ok(Attr::Array(Arc::new(self.array(aval, start)?)))
            }
            Token::Str(_) => Ok(Attr::Str(self.name("a string")?)),
            Token::Punct('[') => {
                self.advance()?;
                self.nested(|p| {
                    let mut items = Vec::new();
                    p.list(']', |p| {
                        items.push(p.attr()?);
                        Ok(())
                    })?;
                    Ok(Attr::List(items))
                })
            }
            Token::Value(_) | Token::Punct(_) | Token::End => {
                self.unexpected("the value of an attribute (a number, string, dtype, array, list, graph or `none`)")
            }
        }
    }

    /// The text of one number or truth value, for instance `nan(0x7fc00001)`.
    fn element(&mut self) -> Parsed<(&'a str, Range<usize>)> {
        let start = self.span.start;
        match self.token {
            Token::Word("nan") => {
                self.advance()?;
                if self.eat('(')? {
                    let Token::Number(_) = self.token else { return self.unexpected("the bits of a NaN (`0x…`)") };
                    self.advance()?;
                    self.expect(')', "after the bits of a NaN")?;
                }
            }
            Token::Word("inf" | "true" | "false") | Token::Number(_) => self.advance()?,
            Token::Word(_) | Token::Value(_) | Token::Str(_) | Token::Punct(_) | Token::End => {
                return self.unexpected("a number");
            }
        }
        let span = start..self.last_end;
        Ok((&self.text[span.clone()], span))
    }

    fn scalar(&mut self) -> Parsed<Scalar> {
        let (text, span) = self.element()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let scalar = if digits.bytes().all(|b| b.is_ascii_digit()) {
            text.parse().ok().map(Scalar::Int)
        } else {
            parse_float(text).map(Scalar::Float)
        };
        match scalar {
            Some(s) => Ok(s),
            None => self.fail(span, format!("expected a 64-bit integer or a float, found `{}`", shortened(text))),
        }
    }

    /// The elements of an array: `{1.0, 2.0}` or `base64"AAAA"`.
    fn array(&mut self, aval: Aval, start: usize) -> Parsed<Array> {
        let numel = aval.shape.numel();
        if self.eat_word("base64")? {
            let Token::Str(quoted) = self.token else { return self.unexpected("base64 in quotes") };
            let span = self.span.clone();
            self.advance()?;
            let digits = &quoted[1..quoted.len() - 1];
            // Checked before decoding: the sizes are believed only if the text is long enough.
            let expected = numel.checked_mul(aval.dtype.size_bytes());
            let array = match STANDARD.decode(digits) {
                Ok(bytes) if Some(bytes.len()) == expected => Array::from_le_bytes(&aval, &bytes),
                Ok(bytes) => {
                    let message =
                        format!("expected {} bytes for {aval}, found {}", numel * aval.dtype.size_bytes(), bytes.len());
                    return self.fail(span, message);
                }
                Err(e) => return self.fail(span, format!("expected base64: {e}")),
            };
            return Ok(array.expect("the number of bytes is that of the aval"));
        }
        self.expect('{', "or `base64` before the elements")?;
        let (mut texts, mut spans) = (Vec::new(), Vec::new());
        self.list('}', |p| {
            let (text, span) = p.element()?;
            texts.push(text);
            spans.push(span);
            Ok(())
        })?;
        if texts.len() != numel {
            let message = format!("expected {numel} elements for {aval}, found {}", texts.len());
            return self.fail(start..self.last_end, message);
        }
        match read_elements(&aval, &texts) {
            Ok(data) => Ok(Array::try_new(&aval.shape, data).expect("the number of elements is that of the aval")),
            Err(i) => {
                let message = format!("expected an element of {}, found `{}`", aval.dtype, shortened(texts[i]));
                self.fail(spans[i].clone(), message)
            }
        }
    }
}
