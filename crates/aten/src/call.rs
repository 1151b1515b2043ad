//! Recording composites: attributes in generic form, and optional operands.

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType, Scalar};
use cotangent_core::tensor::{
    Backward, composite, composite_by_result, composite_linear, composite_one, composite_with_backward,
};

/// A number or truth value.
pub(crate) fn num(x: impl Into<Scalar>) -> Attr {
    Attr::Scalar(x.into())
}

/// A number that may be absent.
pub(crate) fn opt<T: Into<Scalar>>(x: Option<T>) -> Attr {
    x.map_or(Attr::None, num)
}

/// A size.
pub(crate) fn int(n: usize) -> Attr {
    Attr::Scalar(Scalar::Int(n as i64))
}

/// Sizes.
pub(crate) fn ints(v: &[usize]) -> Attr {
    Attr::List(v.iter().map(|n| int(*n)).collect())
}

/// Integers.
pub(crate) fn list(v: &[i64]) -> Attr {
    Attr::List(v.iter().map(|n| num(*n)).collect())
}

/// A name.
pub(crate) fn text(s: &str) -> Attr {
    Attr::Str(s.to_owned())
}

/// A dtype that may be absent.
pub(crate) fn dtype(d: Option<DType>) -> Attr {
    d.map_or(Attr::None, Attr::DType)
}

/// The composite with this schema, of one result; an operand that stands for an error is the result.
#[track_caller]
pub(crate) fn one(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Tensor,
) -> Tensor {
    match args.iter().find(|a| a.error().is_some()) {
        Some(poison) => (*poison).clone(),
        None => composite_one(schema, params, args, body),
    }
}

/// As [`one`] for several results.
#[track_caller]
pub(crate) fn many<const N: usize>(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> [Tensor; N],
) -> [Tensor; N] {
    if let Some(poison) = args.iter().find(|a| a.error().is_some()) {
        return std::array::from_fn(|_| (*poison).clone());
    }
    let results = composite(schema, params, args, |args| body(args).to_vec());
    results.try_into().expect("a composite has the results of its body")
}

/// As [`many`] for a function whose derivative `rule(x, y, x_dot)` takes the results `y`.
#[track_caller]
pub(crate) fn by_result<const N: usize>(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> [Tensor; N],
    rule: impl FnOnce(&[Tensor], &[Tensor], &[Tensor]) -> Vec<Tensor>,
) -> [Tensor; N] {
    if let Some(poison) = args.iter().find(|a| a.error().is_some()) {
        return std::array::from_fn(|_| (*poison).clone());
    }
    let results = composite_by_result(schema, params, args, |args| body(args).to_vec(), rule);
    results.try_into().expect("a composite has the results of its body")
}

/// As [`one`] for a linear function, which is its own derivative.
#[track_caller]
pub(crate) fn linear(schema: &str, params: &[(&str, Attr)], x: &Tensor, body: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let [y] = by_result(schema, params, &[x], |a| [body(&a[0])], |_, _, x_dot| vec![body(&x_dot[0])]);
    y
}

/// As [`linear`] with PyTorch's operator for the transpose.
#[track_caller]
pub(crate) fn linear_with_backward(
    schema: &str,
    params: &[(&str, Attr)],
    x: &Tensor,
    body: impl FnOnce(&Tensor) -> Tensor,
    backward: Backward,
) -> Tensor {
    if x.error().is_some() { x.clone() } else { composite_linear(schema, params, x, body, backward) }
}

/// The first result of a function of floats, with PyTorch's operator for the cotangents of all operands; see
/// [`composite_with_backward`].
#[track_caller]
pub(crate) fn with_backward(
    schema: &str,
    params: &[(&str, Attr)],
    args: &[&Tensor],
    body: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    backward: Backward,
) -> Tensor {
    match args.iter().find(|a| a.error().is_some()) {
        Some(poison) => (*poison).clone(),
        None => composite_with_backward(schema, params, args, body, backward).swap_remove(0),
    }
}

/// A composite with operands that may be absent, by name; the body sees them in the same places.
#[track_caller]
pub(crate) fn optional<const N: usize, const M: usize>(
    schema: &str,
    params: &[(&str, Attr)],
    args: [(&'static str, Option<&Tensor>); N],
    body: impl FnOnce([Option<&Tensor>; N]) -> [Tensor; M],
) -> [Tensor; M] {
    let (params, present) = arguments(schema, params, &args);
    many(schema, &params, &present, |given| body(in_places(&args, given)))
}

/// As [`optional`] for a function whose derivative `rule(x, y, x_dot)` takes the results `y`.
#[track_caller]
pub(crate) fn optional_by_result<const N: usize, const M: usize>(
    schema: &str,
    params: &[(&str, Attr)],
    args: [(&'static str, Option<&Tensor>); N],
    body: impl FnOnce([Option<&Tensor>; N]) -> [Tensor; M],
    rule: impl FnOnce([Option<&Tensor>; N], &[Tensor], [Option<&Tensor>; N]) -> Vec<Tensor>,
) -> [Tensor; M] {
    let (params, present) = arguments(schema, params, &args);
    let value = |given: &[Tensor]| body(in_places(&args, given));
    by_result(schema, &params, &present, value, |x, y, x_dot| rule(in_places(&args, x), y, in_places(&args, x_dot)))
}

/// The attributes with those for absent operands, in the schema's order, and the operands that are there.
fn arguments<'a>(
    schema: &str,
    params: &[(&'a str, Attr)],
    args: &[(&'static str, Option<&'a Tensor>)],
) -> (Vec<(&'a str, Attr)>, Vec<&'a Tensor>) {
    let mut params = params.to_vec();
    params.extend(args.iter().filter(|(_, t)| t.is_none()).map(|(name, _)| (*name, Attr::None)));
    params.sort_by_key(|(name, _)| position(schema, name));
    (params, args.iter().filter_map(|(_, t)| *t).collect())
}

/// The tensors `given` for the operands that are there, in the places of all.
fn in_places<'a, const N: usize>(
    args: &[(&'static str, Option<&Tensor>); N],
    given: &'a [Tensor],
) -> [Option<&'a Tensor>; N] {
    let mut given = given.iter();
    args.map(|(_, t)| t.and_then(|_| given.next()))
}

/// Where the argument `name` stands in `schema`.
fn position(schema: &str, name: &str) -> usize {
    let words = schema.split([' ', ',', '(', ')', '=']).filter(|w| !w.is_empty());
    words.into_iter().position(|w| w == name).unwrap_or(usize::MAX)
}
