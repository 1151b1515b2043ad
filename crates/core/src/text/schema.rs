//! PyTorch's operator schemas, from which printed code takes the order of arguments and their defaults.

use crate::ir::{Attr, Scalar};

/// An operator's schema: `aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False) -> Tensor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema<'a> {
    /// `aten`.
    pub namespace: &'a str,
    /// `sum`.
    pub name: &'a str,
    /// `dim_IntList`, or `default`.
    pub overload: &'a str,
    /// The arguments in order.
    pub args: Vec<SchemaArg<'a>>,
    /// Whether it returns a tuple or list.
    pub many: bool,
}

/// An argument of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaArg<'a> {
    /// `dim`.
    pub name: &'a str,
    /// The type without marks of aliasing: `Tensor`, `int[1]?`.
    pub ty: String,
    /// The text of the default.
    pub default: Option<&'a str>,
    /// Whether it stands after the `*`.
    pub keyword_only: bool,
}

/// How many operands an argument takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None: its value is an attribute.
    Nothing,
    /// One.
    One,
    /// One or none.
    Optional,
    /// A list, whose members may be absent.
    List,
}

impl SchemaArg<'_> {
    /// How many operands it takes.
    pub fn takes(&self) -> Takes {
        match self.ty.as_str() {
            "Tensor" => Takes::One,
            "Tensor?" => Takes::Optional,
            t if t.starts_with("Tensor[") || t.starts_with("Tensor?[") => Takes::List,
            _ => Takes::Nothing,
        }
    }

    /// Whether `value` is the default, so that it need not be said.
    pub fn is_default(&self, value: &Attr) -> bool {
        let Some(text) = self.default else { return false };
        match value {
            // A number as the default of a list stands for a list of it.
            Attr::List(items) if !text.starts_with('[') => {
                !items.is_empty() && items.iter().all(|v| default_is(text, v))
            }
            v => default_is(text, v),
        }
    }
}

fn default_is(text: &str, value: &Attr) -> bool {
    match value {
        Attr::None => text == "None",
        Attr::Scalar(Scalar::Bool(b)) => text == if *b { "True" } else { "False" },
        Attr::Scalar(Scalar::Int(i)) => text.parse() == Ok(*i),
        // `1` is the default of a number that is an integer there; the float 1.0 is said.
        Attr::Scalar(Scalar::Float(x)) => text.contains(['.', 'e']) && text.parse() == Ok(*x),
        Attr::Str(s) => text.trim_matches(['"', '\'']) == s,
        Attr::List(items) => {
            let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
            let texts: Vec<&str> = inner.unwrap_or("?").split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
            texts.len() == items.len() && texts.iter().zip(items).all(|(t, v)| default_is(t, v))
        }
        Attr::DType(_) | Attr::Array(_) | Attr::Graph(_) => false,
    }
}

/// Reads a schema, or `None` if the text has no namespace or no closed list of arguments.
pub(crate) fn parse(text: &str) -> Option<Schema<'_>> {
    let (head, rest) = text.split_once('(')?;
    let (namespace, name) = head.split_once("::")?;
    let (name, overload) = name.split_once('.').unwrap_or((name, "default"));
    let close = closing(rest)?;
    let mut keyword_only = false;
    let mut args = Vec::new();
    for part in split_top(&rest[..close]) {
        if part == "*" {
            keyword_only = true;
        } else {
            args.push(arg(part, keyword_only)?);
        }
    }
    let returns = rest[close + 1..].trim_start().strip_prefix("->")?.trim();
    let many = returns.starts_with('(') || returns.contains('[');
    Some(Schema { namespace, name, overload, args, many })
}

fn arg(text: &str, keyword_only: bool) -> Option<SchemaArg<'_>> {
    let (declared, default) = match text.split_once('=') {
        Some((d, v)) => (d, Some(v)),
        None => (text, None),
    };
    let (ty, name) = declared.rsplit_once(' ')?;
    // Marks of aliasing stand in parentheses: `Tensor(a!)`.
    let ty = match (ty.find('('), ty.find(')')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &ty[..open], &ty[close + 1..]),
        _ => ty.to_owned(),
    };
    Some(SchemaArg { name, ty, default, keyword_only })
}

/// Where the parenthesis closes that is open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(i),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts between commas that stand in no bracket.
fn split_top(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|p| !p.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_read() {
        let s = parse("aten::avg_pool2d(Tensor(a!) self, int[2] kernel_size, int[2] stride=[], *, int[2] padding=0, float? p=2.) -> (Tensor, Tensor)")
            .expect("a schema");
        assert_eq!((s.namespace, s.name, s.overload, s.many), ("aten", "avg_pool2d", "default", true));
        let types: Vec<&str> = s.args.iter().map(|a| a.ty.as_str()).collect();
        assert_eq!(types, ["Tensor", "int[2]", "int[2]", "int[2]", "float?"]);
        assert!(s.args[3].keyword_only && !s.args[2].keyword_only);
        let ints = |v: &[i64]| Attr::List(v.iter().map(|i| Attr::Scalar(Scalar::Int(*i))).collect());
        assert!(s.args[2].is_default(&ints(&[])) && !s.args[2].is_default(&ints(&[2])));
        assert!(s.args[3].is_default(&ints(&[0, 0])) && !s.args[3].is_default(&ints(&[0, 1])));
        assert!(s.args[4].is_default(&Attr::Scalar(Scalar::Float(2.0))));
        assert_eq!(parse("cotangent::f(...)"), None);
        assert_eq!(parse("nonsense"), None);
    }
}
