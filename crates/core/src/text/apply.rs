//! The application of one of PyTorch's operators: which operand or attribute each argument of its schema takes.

use super::code::CodeStyle;
use super::fx::Id;
use super::pyrepr::repr;
use super::schema::{self, Schema, Takes};
use crate::ir::Attr;
use crate::ops::Call;

/// An operator with its arguments.
pub struct Application<'g> {
    /// The operator's schema.
    pub schema: Schema<'g>,
    /// What is said for each argument of the schema, in its order.
    pub said: Vec<Said>,
    /// How many attributes are absent for which the overload has no argument: `dim` of `sum`.
    absent: usize,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Nothing: the default, or `None`.
    Nothing,
    /// An operand.
    Operand(Id),
    /// Operands, of which some are absent.
    Operands(Vec<Option<Id>>),
    /// A value known when the graph was made.
    Attr(Attr),
}

impl<'g> Application<'g> {
    /// The application of the operator of `schema`, or `None` if the operands do not fit it.
    pub fn new<'a>(
        schema: Schema<'g>,
        attrs: impl IntoIterator<Item = (&'a str, Attr)>,
        operands: &[Id],
    ) -> Option<Self> {
        let mut attrs: Vec<(&str, Option<Attr>)> = attrs.into_iter().map(|(k, a)| (k, Some(a))).collect();
        let mut operands = operands.iter().copied();
        // The operands that arguments after this one need.
        let mut needed = schema.args.iter().filter(|a| a.takes() == Takes::One).count();
        let mut said = Vec::with_capacity(schema.args.len());
        for arg in &schema.args {
            let attr = attrs.iter_mut().find(|(k, _)| *k == arg.name).and_then(|(_, a)| a.take());
            said.push(match (arg.takes(), attr) {
                (Takes::One, _) => {
                    needed -= 1;
                    Said::Operand(operands.next()?)
                }
                (Takes::Optional, None) if operands.len() > needed => Said::Operand(operands.next()?),
                (Takes::Optional, _) | (Takes::Nothing, None) => Said::Nothing,
                (Takes::List, Some(Attr::List(members))) => {
                    let mut items = Vec::with_capacity(members.len());
                    for m in members {
                        items.push(if m == Attr::None { None } else { Some(operands.next()?) });
                    }
                    Said::Operands(items)
                }
                (Takes::List, _) => {
                    let free = operands.len().checked_sub(needed)?;
                    Said::Operands(operands.by_ref().take(free).map(Some).collect())
                }
                (Takes::Nothing, Some(a)) => Said::Attr(a),
            });
        }
        if operands.next().is_some() {
            return None;
        }
        let absent = attrs.iter().filter(|(_, a)| *a == Some(Attr::None)).count();
        Some(Application { schema, said, absent })
    }

    /// A composite as the operator that it is; `None` if PyTorch has none of its name, or if it takes other operands than that (values
    /// that its body captured).
    pub fn of_call(call: &'g Call, operands: &[Id]) -> Option<Self> {
        let schema = schema::parse(&call.target)?;
        if (schema.namespace != "aten" && schema.namespace != "prims")
            || schema.many != (call.body.results().len() != 1)
        {
            return None;
        }
        let mut attrs = Vec::with_capacity(call.params.len());
        for p in &call.params {
            let Attr::List(pair) = p else { return None };
            let [Attr::Str(k), a] = pair.as_slice() else { return None };
            attrs.push((k.as_str(), a.clone()));
        }
        Application::new(schema, attrs, operands)
    }

    /// Whether a call is printed as an operator of PyTorch's, not as a sub-module.
    pub fn is_operator(call: &Call) -> bool {
        let operands: Vec<Id> = (0..call.body.params().len()).collect();
        Application::of_call(call, &operands).is_some()
    }

    /// The call in Python, with defaults left out.
    pub(crate) fn code(&self, names: &[String], style: CodeStyle) -> String {
        // Each argument as its text and whether that is the default.
        let texts = self.schema.args.iter().zip(&self.said).map(|(arg, said)| match said {
            Said::Operand(id) => (names[*id].clone(), false),
            Said::Operands(ids) => {
                let items: Vec<&str> = ids.iter().map(|id| id.map_or("None", |id| names[id].as_str())).collect();
                (format!("[{}]", items.join(", ")), false)
            }
            Said::Attr(a) => (repr(a), arg.is_default(a)),
            Said::Nothing if arg.takes() == Takes::Optional => ("None".to_owned(), arg.default.is_some()),
            Said::Nothing => (python_default(arg.default), true),
        });
        let texts: Vec<(String, bool)> = texts.collect();
        let said = self.schema.args.iter().zip(&texts);
        let positional: Vec<&(String, bool)> = said.clone().filter(|(a, _)| !a.keyword_only).map(|(_, t)| t).collect();
        let keywords = said.filter(|(a, t)| a.keyword_only && !t.1).map(|(a, t)| format!("{} = {}", a.name, t.0));
        let Schema { namespace, name, overload, .. } = &self.schema;
        let (kept, target) = match style {
            CodeStyle::Today => {
                let kept = positional.iter().rposition(|t| !t.1).map_or(0, |i| i + 1);
                (kept, format!("torch.ops.{namespace}.{name}.{overload}"))
            }
            CodeStyle::Functorch2021 => (positional.len(), format!("torch.ops.{namespace}.{name}")),
        };
        let mut parts: Vec<String> = positional[..kept].iter().map(|t| t.0.clone()).collect();
        if style == CodeStyle::Functorch2021 {
            // An overload without this argument is the one where it is absent: `sum(sin, None)`.
            parts.extend((0..self.absent).map(|_| "None".to_owned()));
        }
        parts.extend(keywords);
        format!("{target}({})", parts.join(", "))
    }
}

/// A default as Python writes it.
fn python_default(text: Option<&str>) -> String {
    match text {
        None => "None".to_owned(),
        Some(t) if t.ends_with('.') => format!("{t}0"),
        Some(t) => t.replace('"', "'"),
    }
}
