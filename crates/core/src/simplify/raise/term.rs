//! Terms: what a value is computed by, in one line of text.
//!
//! `where(gt(x, ?t), x, log1p(exp(x)))`: functions have their names in the IR, words are operands (the same word is the
//! same value), `?t` is a number that is looked for, `?1-t` what is left of 1 without one that was found, digits a number that has to be there.

use smallvec::SmallVec;

use super::super::edit::Editor;
use super::Found;
use super::elementwise::smaller;
use crate::ir::{Attr, Scalar, Value};
use crate::ops::{Binary, Op, Unary};

/// A pattern of a value.
pub(super) enum Term {
    Operand(&'static str),
    /// A number to be found.
    Hole(&'static str),
    Number(f64),
    Unary(Unary, Box<Term>),
    Binary(Binary, Box<[Term; 2]>),
    Where(Box<[Term; 3]>),
    /// An operator that is a call already: its operands, then its numbers.
    Call(&'static str, Vec<Term>),
}

/// What the words and holes of a term stand for.
#[derive(Clone, Default)]
pub(super) struct Bindings {
    operands: SmallVec<[(&'static str, Value); 4]>,
    numbers: SmallVec<[(&'static str, f64); 4]>,
    /// Whether the operator broadcasts its operands, so that what is computed before a broadcast counts too.
    broadcasts: bool,
}

impl Bindings {
    /// Nothing found yet, for an operator that broadcasts its operands.
    pub fn broadcasting() -> Self {
        Self { broadcasts: true, ..Self::default() }
    }

    /// What `v` is a broadcast of, if the operator broadcasts.
    fn before(&self, e: &Editor, v: Value) -> Value {
        if self.broadcasts { smaller(e, v) } else { v }
    }

    /// The value of an operand.
    pub fn operand(&self, name: &str) -> Option<Value> {
        self.operands.iter().find(|(n, _)| *n == name).map(|(_, v)| *v)
    }

    /// The number of a hole.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|(n, _)| *n == name).map(|(_, x)| *x)
    }
}

/// The number that every element of `v` is, broadcasts of numbers included.
pub(super) fn uniform(e: &Editor, v: Value) -> Option<Scalar> {
    e.as_full(v).or_else(|| e.as_full(e.as_expand(v)?))
}

/// The condition and the branches of a choice; of one between numbers the exporter converts the result.
fn choice(e: &Editor, v: Value) -> Option<(Value, Value, Value)> {
    e.as_where(v).or_else(|| {
        let (p, a, b) = e.as_where(e.as_convert(v)?)?;
        (uniform(e, a).is_some() && uniform(e, b).is_some()).then_some((p, a, b))
    })
}

/// Whether two numbers differ by no more than rounding to single precision does.
pub(super) fn close(a: f64, b: f64) -> bool {
    a == b || (b.is_finite() && (a - b).abs() <= 2.0 * f64::from(f32::EPSILON) * b.abs())
}

impl Term {
    /// Reads a term of this project's own tables.
    pub fn parse(text: &'static str) -> Self {
        let mut reader = Reader { text, at: 0 };
        let term = reader.term();
        assert_eq!(reader.at, text.len(), "`{text}` ends after its term");
        term
    }

    /// Whether `v` is computed so; `found` is filled as far as it goes.
    pub fn matches(&self, e: &Editor, v: Value, found: &mut Bindings) -> bool {
        match self {
            Term::Operand(name) => match found.operand(name) {
                Some(known) => found.before(e, known) == found.before(e, v),
                None => {
                    found.operands.push((name, v));
                    true
                }
            },
            Term::Hole(_) | Term::Number(_) => uniform(e, v).is_some_and(|c| self.is_number(c, found)),
            Term::Unary(..) | Term::Binary(..) | Term::Where(_) | Term::Call(..) => {
                self.is_made(e, found.before(e, v), found)
            }
        }
    }

    /// Whether `v` is the result of this function of these operands.
    fn is_made(&self, e: &Editor, v: Value, found: &mut Bindings) -> bool {
        match self {
            Term::Operand(_) | Term::Hole(_) | Term::Number(_) => false,
            Term::Unary(op, x) => e.as_unary(v, *op).is_some_and(|a| x.matches(e, a, found)),
            Term::Binary(op, args) => e.as_binary(v, *op).is_some_and(|(a, b)| {
                let commutes = matches!(
                    op,
                    Binary::Add | Binary::Mul | Binary::Minimum | Binary::Maximum | Binary::BitwiseAnd | Binary::Eq
                );
                let mut turned = found.clone();
                if args[0].matches(e, a, found) && args[1].matches(e, b, found) {
                    return true;
                }
                let other = commutes && args[0].matches(e, b, &mut turned) && args[1].matches(e, a, &mut turned);
                *found = turned;
                other
            }),
            Term::Where(args) => choice(e, v).is_some_and(|(p, a, b)| {
                args[0].matches(e, p, found) && args[1].matches(e, a, found) && args[2].matches(e, b, found)
            }),
            Term::Call(name, args) => {
                // Where the question has been taken apart, it is whether the value differs from itself.
                if *name == "isnan"
                    && let Some((a, b)) = e.as_binary(v, Binary::Ne)
                {
                    return a == b && args[0].matches(e, a, found);
                }
                let Some((Op::Call(call), at)) = e.def_op(v) else { return false };
                let numbers = call.params.iter().filter_map(|p| match p {
                    Attr::List(pair) => match pair.as_slice() {
                        [_, Attr::Scalar(x)] => Some(*x),
                        _ => None,
                    },
                    _ => None,
                });
                let (operands, rest) = args.split_at(e.args(at).len().min(args.len()));
                call.function() == *name
                    && operands.iter().zip(e.args(at)).all(|(t, v)| t.matches(e, *v, found))
                    && rest.len() == call.params.len()
                    && rest.iter().zip(numbers).all(|(t, x)| t.is_number(x, found))
            }
        }
    }

    /// Whether this is the number `x`.
    fn is_number(&self, x: Scalar, found: &mut Bindings) -> bool {
        let x = x.to_f64();
        match self {
            Term::Hole(name) if let Some(of) = name.strip_prefix("1-") => {
                found.number(of).is_some_and(|known| close(x, 1.0 - known))
            }
            Term::Hole(name) => match found.number(name) {
                Some(known) => close(x, known),
                None => {
                    found.numbers.push((name, x));
                    true
                }
            },
            Term::Number(known) => close(x, *known) || (x.is_nan() && known.is_nan()),
            Term::Operand(_) | Term::Unary(..) | Term::Binary(..) | Term::Where(_) | Term::Call(..) => false,
        }
    }

    /// Whether `v` is `along` times this, the factor outside or in the branches of its choices.
    pub fn matches_along(&self, e: &Editor, v: Value, along: &mut Along, found: &mut Bindings) -> bool {
        let (before, known) = (*along, found.clone());
        let inside = match self {
            Term::Where(args) => e.as_where(v).is_some_and(|(p, a, b)| {
                args[0].matches(e, p, found)
                    && args[1].matches_along(e, a, along, found)
                    && args[2].matches_along(e, b, along, found)
            }),
            Term::Number(x) if *x == 0.0 => e.is_zero(v),
            Term::Number(x) => match (e.as_full(v), e.as_scaled(v), e.as_binary(v, Binary::Div)) {
                (Some(c), _, _) => along.is(Along::Uniform(c.to_f64() / x)),
                (None, _, _) if *x == 1.0 => along.is(Along::Value(v)),
                (None, Some((g, c)), _) => close(c.to_f64(), *x) && along.is(Along::Value(g)),
                (None, None, Some((g, c))) => {
                    e.as_full(c).is_some_and(|c| close(c.to_f64().recip(), *x)) && along.is(Along::Value(g))
                }
                (None, None, None) => false,
            },
            Term::Operand(_) | Term::Hole(_) | Term::Unary(..) | Term::Binary(..) | Term::Call(..) => false,
        };
        if inside {
            return true;
        }
        (*along, *found) = (before, known.clone());
        if self.matches(e, v, found) && along.is(Along::Uniform(1.0)) {
            return true;
        }
        let Some((a, b)) = e.as_binary(v, Binary::Mul) else { return false };
        [(a, b), (b, a)].into_iter().any(|(g, slope)| {
            (*along, *found) = (before, known.clone());
            let g = e.as_full(g).map_or(Along::Value(g), |c| Along::Uniform(c.to_f64()));
            self.matches(e, slope, found) && along.is(g)
        })
    }
}

/// What a derivative is along.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Along {
    Unknown,
    Value(Value),
    /// The same number everywhere.
    Uniform(f64),
}

impl Along {
    /// Lets it be `other`, if it may.
    fn is(&mut self, other: Along) -> bool {
        match (*self, other) {
            (Along::Unknown, _) => {
                *self = other;
                true
            }
            (Along::Uniform(a), Along::Uniform(b)) => close(a, b),
            (known @ (Along::Value(_) | Along::Uniform(_)), other) => known == other,
        }
    }
}

struct Reader {
    text: &'static str,
    at: usize,
}

impl Reader {
    fn word(&mut self) -> &'static str {
        let rest = &self.text[self.at..];
        let n = rest.find(['(', ')', ',', ' ']).unwrap_or(rest.len());
        self.at += n;
        &rest[..n]
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.text[self.at..].starts_with(c);
        self.at += usize::from(there);
        there
    }

    fn term(&mut self) -> Term {
        let word = self.word();
        if let Some(hole) = word.strip_prefix('?') {
            return Term::Hole(hole);
        }
        if let Ok(x) = word.parse() {
            return Term::Number(x);
        }
        if !self.eat('(') {
            return Term::Operand(word);
        }
        let mut args = Vec::new();
        loop {
            args.push(self.term());
            if !self.eat(',') {
                break;
            }
            self.eat(' ');
        }
        assert!(self.eat(')'), "`{}` closes its parentheses", self.text);
        let unary = Unary::ALL.iter().find(|u| Op::from(**u).name() == word);
        let binary = Binary::ALL.iter().find(|b| Op::from(**b).name() == word);
        match (args.len(), unary, binary) {
            (1, Some(u), _) => Term::Unary(*u, Box::new(args.remove(0))),
            (2, _, Some(b)) => {
                Term::Binary(*b, Box::new(args.try_into().unwrap_or_else(|_| unreachable!("two operands"))))
            }
            (3, ..) if word == "where" => {
                Term::Where(Box::new(args.try_into().unwrap_or_else(|_| unreachable!("three operands"))))
            }
            _ => Term::Call(word, args),
        }
    }
}

/// The operands and attributes of an operator in terms of what was found: `x, beta=1, threshold=?t, alpha=?c/?s, input_scale=1/?a`.
pub(super) fn said(schema: &'static str, text: &'static str, found: &Bindings) -> Option<Found> {
    let mut out = Found::new(schema, [], [])?;
    for item in text.split(", ") {
        match item.split_once('=') {
            None => out.args.push(found.operand(item)?),
            Some((name, value)) => out.params.push((name, attribute(value, found)?)),
        }
    }
    Some(out)
}

fn attribute(text: &'static str, found: &Bindings) -> Option<Attr> {
    let scalar = |s: Scalar| Some(Attr::Scalar(s));
    match text {
        "none" => return Some(Attr::None),
        "true" => return scalar(true.into()),
        "false" => return scalar(false.into()),
        "tanh" => return Some(Attr::Str(text.to_owned())),
        _ => {}
    }
    if let Some(hole) = text.strip_prefix("1/?") {
        return scalar(found.number(hole)?.recip().into());
    }
    if let Some(hole) = text.strip_prefix('?') {
        let x = match hole.split_once("/?") {
            Some((a, b)) => found.number(a)? / found.number(b)?,
            None => found.number(hole)?,
        };
        return scalar(x.into());
    }
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(n), _) => scalar(n.into()),
        (Err(_), Ok(x)) => scalar(x.into()),
        (Err(_), Err(_)) => None,
    }
}
