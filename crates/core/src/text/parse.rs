//! The parser of IR text: recursive descent with bounded depth.
//!
//! Nothing is allocated that the text is not long enough to pay for: sizes in the text are checked against what
//! stands there before they are believed.

mod datum;

use std::ops::Range;

use super::lex::{Lexer, Token, shortened, unquoted};
use super::parts::{Parts, RawNode};
use super::{ParseError, Problem};
use crate::ir::{Attr, AttrError, Aval, Derivation, Graph, Loc, TreeSpec, default_names};
use crate::ops::Op;

/// The most graphs, lists and trees that may stand inside each other.
pub(crate) const MAX_DEPTH: usize = 96;

/// The graph in `text`, which comes from the file `name`.
///
/// *Errors*: the first place where the text leaves the grammar, or all the invariants that the graph breaks, at their
/// nodes.
pub fn parse(name: &str, text: &str) -> Result<Graph, ParseError> {
    run(name, text, |p| {
        let g = p.graph()?;
        p.end()?;
        Ok(g)
    })
}

/// All graphs in `text`, one after the other; there may be none.
///
/// *Errors*: as [`parse`].
pub fn parse_all(name: &str, text: &str) -> Result<Vec<Graph>, ParseError> {
    run(name, text, |p| {
        let mut out = Vec::new();
        while p.token != Token::End {
            out.push(p.graph()?);
        }
        Ok(out)
    })
}

fn run<R>(name: &str, text: &str, read: impl FnOnce(&mut Parser) -> Parsed<R>) -> Result<R, ParseError> {
    let read_all = || {
        let mut parser = Parser::new(text)?;
        let out = read(&mut parser)?;
        if parser.problems.is_empty() { Ok(out) } else { Err(parser.problems) }
    };
    read_all().map_err(|problems| ParseError::of(name, text, problems))
}

/// Reading stops at the first problem with the text itself, and reports all values of a graph that do not exist.
type Parsed<T> = Result<T, Vec<Problem>>;

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    token: Token<'a>,
    span: Range<usize>,
    /// Where the last taken token ends.
    last_end: usize,
    depth: usize,
    /// The broken invariants of the graphs read so far.
    problems: Vec<Problem>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        let mut parser = Parser {
            text,
            lexer: Lexer::new(text),
            token: Token::End,
            span: 0..0,
            last_end: 0,
            depth: 0,
            problems: Vec::new(),
        };
        parser.advance()?;
        Ok(parser)
    }

    // Tokens.

    fn advance(&mut self) -> Parsed<()> {
        self.last_end = self.span.end;
        (self.token, self.span) = self.lexer.next().map_err(|p| vec![p])?;
        Ok(())
    }

    fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        self.fail(self.span.clone(), format!("expected {expected}, found {}", self.token))
    }

    fn fail<T>(&self, span: Range<usize>, message: String) -> Parsed<T> {
        Err(vec![Problem::new(span, message)])
    }

    fn is(&self, c: char) -> bool {
        self.token == Token::Punct(c)
    }

    fn eat(&mut self, c: char) -> Parsed<bool> {
        let found = self.is(c);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, c: char, place: &str) -> Parsed<()> {
        if self.eat(c)? { Ok(()) } else { self.unexpected(&format!("`{c}` {place}")) }
    }

    fn eat_word(&mut self, word: &str) -> Parsed<bool> {
        let found = self.token == Token::Word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Goes one level deeper for `f`.
    fn nested<T>(&mut self, f: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("expected at most {MAX_DEPTH} graphs, lists and trees inside each other");
            return self.fail(self.span.clone(), message);
        }
        self.depth += 1;
        let out = f(self)?;
        self.depth -= 1;
        Ok(out)
    }

    /// Items up to `close`, separated by commas. Tells whether a comma stands after the last one.
    fn list(&mut self, close: char, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<bool> {
        let mut trailing = false;
        while !self.eat(close)? {
            item(self)?;
            trailing = self.eat(',')?;
            if !trailing && !self.is(close) {
                return self.unexpected(&format!("`,` or `{close}`"));
            }
        }
        Ok(trailing)
    }

    fn name(&mut self, what: &str) -> Parsed<String> {
        let name = match self.token {
            Token::Word(w) => w.to_owned(),
            Token::Str(s) => unquoted(s, &self.span).map_err(|p| vec![p])?,
            Token::Value(_) | Token::Number(_) | Token::Punct(_) | Token::End => return self.unexpected(what),
        };
        self.advance()?;
        Ok(name)
    }

    fn value(&mut self) -> Parsed<(u32, Range<usize>)> {
        let Token::Value(v) = self.token else { return self.unexpected("a value such as `%0`") };
        let span = self.span.clone();
        self.advance()?;
        Ok((v, span))
    }

    fn int<T: std::str::FromStr>(&mut self, what: &str) -> Parsed<T> {
        let Token::Number(n) = self.token else { return self.unexpected(what) };
        match n.parse() {
            Ok(i) => {
                self.advance()?;
                Ok(i)
            }
            Err(_) => self.unexpected(what),
        }
    }

    // Graphs.

    fn end(&mut self) -> Parsed<()> {
        if self.token == Token::End { Ok(()) } else { self.unexpected("the end of the text") }
    }

    fn graph(&mut self) -> Parsed<Graph> {
        self.nested(Self::graph_inside)
    }

    fn graph_inside(&mut self) -> Parsed<Graph> {
        let start = self.span.start;
        if !self.eat_word("graph")? {
            return self.unexpected("`graph`");
        }
        let mut parts = Parts { name: self.name("the graph's name")?, ..Parts::default() };
        self.expect('(', "before the parameters")?;
        let mut names: Vec<Option<String>> = Vec::new();
        self.list(')', |p| {
            let (name, tree) = p.param(&mut parts)?;
            names.push(name);
            parts.signature.params.push(tree);
            Ok(())
        })?;
        parts.header = start..self.last_end;
        let defaults = default_names(names.len());
        parts.signature.names = names.into_iter().zip(defaults).map(|(n, d)| n.unwrap_or(d)).collect();
        self.expect('{', "before the nodes")?;
        while self.token != Token::Word("return") {
            let node = self.node()?;
            parts.nodes.push(node);
        }
        self.advance()?;
        parts.signature.result = self.tree(&mut |p| {
            let result = p.value()?;
            parts.results.push(result);
            Ok(())
        })?;
        self.expect('}', "after the results")?;
        let (graph, violations) = parts.assemble()?;
        self.problems.extend(violations);
        Ok(graph)
    }

    /// `x = (%0: f32[3], %1: i64[])`, with or without the name.
    fn param(&mut self, parts: &mut Parts) -> Parsed<(Option<String>, TreeSpec)> {
        let mut leaf = |p: &mut Self| {
            let param = p.typed_value()?;
            parts.params.push(param);
            Ok(())
        };
        match self.token {
            Token::Word(_) | Token::Str(_) => {
                let none = self.token == Token::Word("none");
                let name = self.name("a name")?;
                if self.eat('=')? {
                    Ok((Some(name), self.tree(&mut leaf)?))
                } else if none {
                    Ok((None, TreeSpec::None))
                } else {
                    Ok((None, self.struct_tree(name, &mut leaf)?))
                }
            }
            Token::Value(_) | Token::Number(_) | Token::Punct(_) | Token::End => Ok((None, self.tree(&mut leaf)?)),
        }
    }

    fn typed_value(&mut self) -> Parsed<(u32, Aval, Range<usize>)> {
        let (v, span) = self.value()?;
        self.expect(':', "and the type of the value")?;
        let aval = self.aval()?;
        Ok((v, aval, span.start..self.last_end))
    }

    fn node(&mut self) -> Parsed<RawNode> {
        let start = self.span.start;
        let mut results = Vec::new();
        if let Token::Value(_) = self.token {
            loop {
                results.push(self.typed_value()?);
                if !self.eat(',')? {
                    break;
                }
            }
            self.expect('=', "before the operation")?;
        }
        let name_span = self.span.clone();
        let Token::Word(name) = self.token else { return self.unexpected("a node, or `return`") };
        self.advance()?;
        self.expect('(', "before the operands")?;
        let (mut args, mut attrs) = (Vec::new(), Vec::<(String, Attr)>::new());
        self.list(')', |p| match p.token {
            Token::Value(_) if attrs.is_empty() => {
                args.push(p.value()?);
                Ok(())
            }
            Token::Word(key) => {
                if attrs.iter().any(|(k, _)| k == key) {
                    return p.fail(p.span.clone(), format!("expected each attribute once, found `{key}` again"));
                }
                p.advance()?;
                p.expect('=', "and the value of the attribute")?;
                attrs.push((key.to_owned(), p.attr()?));
                Ok(())
            }
            _ => p.unexpected(if attrs.is_empty() { "an operand or an attribute" } else { "an attribute" }),
        })?;
        let span = start..self.last_end;
        let op = match Op::from_text(name, attrs) {
            Ok(op) => op,
            Err(e @ AttrError::UnknownOp { .. }) => return self.fail(name_span, e.to_string()),
            Err(e) => return self.fail(name_span.start..span.end, format!("`{}`: {e}", shortened(name))),
        };
        let loc = if self.token == Token::Word("loc") { self.loc()? } else { Loc::default() };
        Ok(RawNode { op, args, results, loc, span })
    }

    /// `loc("src/main.rs":12 via tangent, vmap)`.
    fn loc(&mut self) -> Parsed<Loc> {
        self.advance()?;
        self.expect('(', "before the location")?;
        let mut loc = Loc::default();
        if !self.eat_word("unknown")? {
            let Token::Str(_) = self.token else { return self.unexpected("a file name in quotes, or `unknown`") };
            loc.file = self.name("a file name")?.into();
            self.expect(':', "and the line")?;
            loc.line = self.int("a line number")?;
        }
        if self.eat_word("via")? {
            loop {
                let step = Derivation::ALL.into_iter().find(|d| self.token == Token::Word(d.name()));
                let Some(step) = step else {
                    return self.unexpected("a derivation (vmap, tangent, cotangent, simplify)");
                };
                loc.chain.push(step);
                self.advance()?;
                if !self.eat(',')? {
                    break;
                }
            }
        }
        self.expect(')', "after the location")?;
        Ok(loc)
    }

    // Trees.

    fn tree(&mut self, leaf: &mut dyn FnMut(&mut Self) -> Parsed<()>) -> Parsed<TreeSpec> {
        match self.token {
            Token::Value(_) => {
                leaf(self)?;
                Ok(TreeSpec::Leaf)
            }
            Token::Word("none") => {
                self.advance()?;
                Ok(TreeSpec::None)
            }
            Token::Punct('(') => {
                self.advance()?;
                let (items, trailing) = self.trees(')', leaf)?;
                // One tree in parentheses is that tree: a tuple of one has a comma.
                Ok(match <[TreeSpec; 1]>::try_from(items) {
                    Ok([only]) if !trailing => only,
                    Ok(one) => TreeSpec::Tuple(one.into()),
                    Err(items) => TreeSpec::Tuple(items),
                })
            }
            Token::Punct('[') => {
                self.advance()?;
                Ok(TreeSpec::List(self.trees(']', leaf)?.0))
            }
            Token::Punct('{') => Ok(TreeSpec::Dict(self.fields(leaf)?)),
            Token::Word(_) | Token::Str(_) => {
                let name = self.name("a name")?;
                self.struct_tree(name, leaf)
            }
            Token::Number(_) | Token::Punct(_) | Token::End => {
                self.unexpected("a value, `none`, or a tree `(…)`, `[…]`, `{…}`, `Name{…}`")
            }
        }
    }

    fn struct_tree(&mut self, name: String, leaf: &mut dyn FnMut(&mut Self) -> Parsed<()>) -> Parsed<TreeSpec> {
        if !self.is('{') {
            return self.unexpected("`{` before the fields");
        }
        Ok(TreeSpec::Struct(name, self.fields(leaf)?))
    }

    fn trees(&mut self, close: char, leaf: &mut dyn FnMut(&mut Self) -> Parsed<()>) -> Parsed<(Vec<TreeSpec>, bool)> {
        self.nested(|p| {
            let mut items = Vec::new();
            let trailing = p.list(close, |p| {
                items.push(p.tree(leaf)?);
                Ok(())
            })?;
            Ok((items, trailing))
        })
    }

    fn fields(&mut self, leaf: &mut dyn FnMut(&mut Self) -> Parsed<()>) -> Parsed<Vec<(String, TreeSpec)>> {
        self.nested(|p| {
            p.expect('{', "before the fields")?;
            let mut fields = Vec::new();
            p.list('}', |p| {
                let key = p.name("a field's name")?;
                p.expect('=', "and the field")?;
                fields.push((key, p.tree(leaf)?));
                Ok(())
            })?;
            Ok(fields)
        })
    }
}
