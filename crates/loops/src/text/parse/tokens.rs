//! The reader of tokens, and what stands in one or in a list.

use cotangent_core::ir::{DType, Scalar};
use cotangent_core::ops::Monoid;
use cotangent_core::text::number::parse_float;
use rustc_hash::FxHashMap;

use super::body::Function;
use super::{LoopParseError, Result};
use crate::ir::BufferId;
use crate::text::MONOIDS;
use crate::text::print::dtype_words;

/// A reader one token ahead: words with their digits, numbers, strings, and single other characters.
pub struct Parser<'a> {
    pub rest: &'a str,
    pub line: usize,
    pub token: &'a str,
    pub names: FxHashMap<String, Function>,
}

impl<'a> Parser<'a> {
    pub fn advance(&mut self) -> &'a str {
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

    pub fn wrong<T>(&self, expected: impl Into<String>) -> Result<T> {
        let found = self.token.chars().take(40).collect();
        Err(LoopParseError::Syntax { line: self.line, expected: expected.into(), found })
    }

    pub fn take(&mut self, token: &str) -> bool {
        let is = self.token == token;
        if is {
            self.advance();
        }
        is
    }

    pub fn expect(&mut self, token: &str) -> Result<()> {
        if self.take(token) { Ok(()) } else { self.wrong(format!("`{token}`")) }
    }

    pub fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        match self.token.parse() {
            Ok(n) => {
                self.advance();
                Ok(n)
            }
            Err(_) => self.wrong("a number"),
        }
    }

    /// `b3`: the number after a letter.
    pub fn numbered(&mut self, letter: char) -> Result<u32> {
        match self.token.strip_prefix(letter).and_then(|n| n.parse().ok()) {
            Some(n) => {
                self.advance();
                Ok(n)
            }
            None => self.wrong(format!("`{letter}` and a number")),
        }
    }

    pub fn dtype(&mut self) -> Result<DType> {
        match self.token.parse() {
            Ok(d) => {
                self.advance();
                Ok(d)
            }
            Err(_) => self.wrong(dtype_words()),
        }
    }

    pub fn monoid(&mut self) -> Result<Monoid> {
        match MONOIDS.iter().find(|(_, name)| *name == self.token) {
            Some((m, _)) => {
                self.advance();
                Ok(*m)
            }
            None => self.wrong("a monoid"),
        }
    }

    /// Items between brackets, with commas between them.
    pub fn list<T>(&mut self, open: &str, close: &str, item: impl Fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
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

    pub fn buffer_id(&mut self) -> Result<BufferId> {
        self.numbered('b').map(BufferId)
    }

    pub fn scalar(&mut self, dtype: DType) -> Result<Scalar> {
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
pub fn unquoted(token: &str) -> Option<String> {
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
