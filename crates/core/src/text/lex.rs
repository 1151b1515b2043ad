//! Tokens of IR text.

use std::fmt;
use std::ops::Range;

use super::Problem;

/// A token; borrowed from the text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Token<'a> {
    /// `sin`, `f32`, `none`, `torch.nn`: a letter or `_`, then letters, digits, `_` and `.`.
    Word(&'a str),
    /// `%3`.
    Value(u32),
    /// `1`, `-2.5e-3`, `-inf`, `0x7fc0`: not yet judged.
    Number(&'a str),
    /// A string with its quotes.
    Str(&'a str),
    /// Any other visible character.
    Punct(char),
    /// The end of the text.
    End,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(w) => write!(f, "`{}`", shortened(w)),
            Token::Value(v) => write!(f, "`%{v}`"),
            Token::Number(n) => write!(f, "`{}`", shortened(n)),
            Token::Str(_) => f.write_str("a string"),
            Token::Punct(c) => write!(f, "`{}`", c.escape_debug()),
            Token::End => f.write_str("the end of the text"),
        }
    }
}

/// At most the first 40 characters: a message is not the place for a hostile megabyte.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Whether `c` may stand in a word after its first character.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '.'
}

/// Whether `text` is one word, so that it needs no quotes as a name.
pub(crate) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(in_word)
}

/// A reader of tokens, one ahead.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    /// Where the next token starts, before blanks and comments.
    at: usize,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Lexer { text, at: 0 }
    }

    /// The next token and its span.
    pub fn next(&mut self) -> Result<(Token<'a>, Range<usize>), Problem> {
        self.skip_blanks();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(c) = rest.chars().next() else { return Ok((Token::End, start..start)) };
        let token = match c {
            '%' => {
                let digits = self.run(1, |c| c.is_ascii_digit());
                let index = digits[1..].parse().map_err(|_| {
                    Problem::new(
                        start..self.at,
                        format!("expected the number of a value, found `{}`", shortened(digits)),
                    )
                    .with_help("values are written as `%0`, `%1`, …, below 2^32")
                })?;
                Token::Value(index)
            }
            '"' => Token::Str(self.string()?),
            c if c.is_ascii_digit() => Token::Number(self.number(0)),
            '-' if rest[1..].starts_with(|c: char| c.is_ascii_alphanumeric()) => Token::Number(self.number(1)),
            c if c.is_ascii_alphabetic() || c == '_' => Token::Word(self.run(0, in_word)),
            c => {
                self.at += c.len_utf8();
                Token::Punct(c)
            }
        };
        Ok((token, start..self.at))
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.trim_start();
            self.at += rest.len() - blank.len();
            if !blank.starts_with("//") {
                return;
            }
            self.at += blank.find('\n').unwrap_or(blank.len());
        }
    }

    /// Takes `skip` bytes and all characters after them for which `p` holds.
    fn run(&mut self, skip: usize, p: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest[skip..].find(|c| !p(c)).map_or(rest.len(), |i| skip + i);
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self, skip: usize) -> &'a str {
        let start = self.at;
        let hex = self.text[start + skip..].starts_with("0x");
        let mut number = self.run(skip, in_word);
        // The sign of an exponent.
        if !hex && number.ends_with(['e', 'E']) && self.text[self.at..].starts_with(['-', '+']) {
            self.run(1, |c| c.is_ascii_digit());
            number = &self.text[start..self.at];
        }
        number
    }

    fn string(&mut self) -> Result<&'a str, Problem> {
        let start = self.at;
        let mut escaped = false;
        for (i, c) in self.text[start + 1..].char_indices() {
            match c {
                '"' if !escaped => {
                    self.at = start + 1 + i + 1;
                    return Ok(&self.text[start..self.at]);
                }
                '\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        Err(Problem::new(start..start + 1, "expected a closing `\"`, found the end of the text"))
    }
}

/// The text between quotes with escapes for what cannot stand there.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What [`quoted`] wrote, read at `span`.
pub(crate) fn unquoted(token: &str, span: &Range<usize>) -> Result<String, Problem> {
    let inner = &token[1..token.len() - 1];
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let bad = |end: usize| {
            let at = span.start + 1 + at;
            Problem::new(at..span.start + 1 + end, "expected an escape `\\\"`, `\\\\`, `\\n`, `\\r`, `\\t` or `\\u{…}`")
        };
        match chars.next() {
            Some((_, '"')) => out.push('"'),
            Some((_, '\\')) => out.push('\\'),
            Some((_, 'n')) => out.push('\n'),
            Some((_, 'r')) => out.push('\r'),
            Some((_, 't')) => out.push('\t'),
            Some((u, 'u')) => {
                let code = inner[u + 1..].strip_prefix('{').and_then(|t| t.split_once('}'));
                let c = code.and_then(|(hex, _)| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
                let (Some(c), Some((hex, _))) = (c, code) else { return Err(bad(u + 1)) };
                out.push(c);
                let end = u + 1 + hex.len() + 2;
                while chars.clone().next().is_some_and(|(i, _)| i < end) {
                    chars.next();
                }
            }
            other => return Err(bad(other.map_or(inner.len(), |(i, c)| i + c.len_utf8()))),
        }
    }
    Ok(out)
}
