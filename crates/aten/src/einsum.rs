//! Sums of products by an equation.

use std::borrow::Borrow;

use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::{Dim, Shape};
use cotangent_core::tensor::reject;

use crate::arg::{attempt, live, refs};

/// An operand and the label of each of its dims; all labels are different.
struct Term {
    x: Tensor,
    labels: Vec<Label>,
}

/// A letter of the equation, or a dim of the ellipsis counted from its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Label {
    Dots(usize),
    Letter(char),
}

/// Sums of products: `einsum("bij,bjk->bik", &[&x, &y])`.
///
/// *Shape*: a letter twice in one operand takes its diagonal; `...` stands for any dims, which broadcast; without an
/// arrow the letters that occur once are the result's, in order of the alphabet, after the dims of the ellipsis.
/// *Numerics*: operands are multiplied from the left to the right, each product as one (batched) matrix product.
/// *Errors*: `einsum_c1` an equation that cannot be read; `einsum_c2` another number of operands or dims; `einsum_c3`
/// sizes that differ.
#[track_caller]
pub fn einsum<T: Borrow<Tensor>>(equation: &str, operands: &[T]) -> Tensor {
    let operands = &refs(operands)[..];
    attempt!(live(operands));
    match plan(equation, operands) {
        Ok((terms, output, sizes)) => evaluate(terms, &output, &sizes),
        Err(e) => {
            reject("einsum", operands, e, Some("write it as \"ij,jk->ik\", with `...` for batch dims".to_owned()))
        }
    }
}

type Sizes = Vec<(Label, Dim)>;

fn plan(equation: &str, operands: &[&Tensor]) -> Result<(Vec<Term>, Vec<Label>, Sizes), InferError> {
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match text.split_once("->") {
        Some((i, o)) => (i.to_owned(), Some(o.to_owned())),
        None => (text, None),
    };
    let inputs: Vec<&str> = inputs.split(',').collect();
    if inputs.len() != operands.len() {
        return Err(InferError::Arity { expected: inputs.len(), found: operands.len() });
    }
    let mut terms = Vec::new();
    for (term, x) in inputs.iter().zip(operands) {
        let letters = term.chars().filter(|c| *c != '.').count();
        let dots = x.rank().checked_sub(letters).filter(|d| *d == 0 || term.contains("..."));
        let Some(dots) = dots else {
            let expected = format!("as many dims as `{term}` has labels");
            return Err(InferError::Operand { label: "einsum_c2", expected, found: x.aval() });
        };
        terms.push(((*x).clone(), labels(term, dots)?));
    }
    let mut sizes: Sizes = Vec::new();
    for (x, labels) in &terms {
        for (l, n) in labels.iter().zip(x.shape().dims()) {
            match sizes.iter_mut().find(|(k, _)| k == l) {
                None => sizes.push((*l, *n)),
                Some((_, m)) if *m == 1 => *m = *n,
                Some((_, m)) if *m == *n || *n == 1 => {}
                Some((_, m)) => {
                    let expected = format!("size {m} for each dim of {l:?}");
                    return Err(InferError::Operand { label: "einsum_c3", expected, found: x.aval() });
                }
            }
        }
    }
    let output = match output {
        Some(o) => {
            let dots = sizes.iter().filter(|(l, _)| matches!(l, Label::Dots(_))).count();
            let out = labels(&o, if o.contains("...") { dots } else { 0 })?;
            let repeated = out.iter().enumerate().any(|(i, l)| out[..i].contains(l));
            if repeated || out.iter().any(|l| !sizes.iter().any(|(k, _)| k == l)) {
                return Err(unreadable(equation, "different labels of the operands after the arrow"));
            }
            out
        }
        None => implicit(&terms),
    };
    let terms = terms.into_iter().map(|(x, labels)| Term { x, labels }).collect();
    Ok((terms, output, sizes))
}

/// The labels of one side; the dims of the ellipsis are counted from its end, so that shorter ones broadcast.
fn labels(term: &str, dots: usize) -> Result<Vec<Label>, InferError> {
    let mut out = Vec::new();
    let (before, after) = match term.split_once("...") {
        Some((b, a)) => (b, Some(a)),
        None => (term, None),
    };
    let letters = |s: &str, out: &mut Vec<Label>| {
        for c in s.chars() {
            if !c.is_ascii_alphabetic() {
                return Err(unreadable(term, "letters, commas, one `...` in a term, and an arrow"));
            }
            out.push(Label::Letter(c));
        }
        Ok(())
    };
    letters(before, &mut out)?;
    if let Some(after) = after {
        out.extend((0..dots).rev().map(Label::Dots));
        letters(after, &mut out)?;
    }
    Ok(out)
}

fn unreadable(found: &str, expected: &str) -> InferError {
    let (expected, found) = (expected.to_owned(), format!("{found:?}"));
    InferError::Attribute { label: "einsum_c1", attr: "equation", expected, found }
}

fn implicit(terms: &[(Tensor, Vec<Label>)]) -> Vec<Label> {
    let all: Vec<Label> = terms.iter().flat_map(|(_, l)| l.iter().copied()).collect();
    let is_dots = |l: &Label| matches!(l, Label::Dots(_));
    let mut dots: Vec<Label> = all.iter().copied().filter(is_dots).collect();
    dots.sort_unstable();
    dots.dedup();
    dots.reverse();
    let mut letters: Vec<Label> =
        all.iter().copied().filter(|l| !is_dots(l) && all.iter().filter(|k| *k == l).count() == 1).collect();
    letters.sort_unstable();
    dots.extend(letters);
    dots
}

#[track_caller]
fn evaluate(terms: Vec<Term>, output: &[Label], sizes: &Sizes) -> Tensor {
    let size = |l: &Label| sizes.iter().find(|(k, _)| k == l).map_or(Dim::new(1), |(_, n)| *n);
    let mut rest: Vec<Term> = Vec::new();
    for t in terms {
        rest.push(without_repeats(t, &size));
    }
    let mut rest = rest.into_iter();
    let mut acc = rest.next().expect("einsum_c2: at least one operand");
    let mut rest: Vec<Term> = rest.collect();
    while !rest.is_empty() {
        let next = rest.remove(0);
        let wanted = |l: &Label| output.contains(l) || rest.iter().any(|t| t.labels.contains(l));
        let (a, b) = (summed(acc, |l| wanted(l) || next.labels.contains(l)), next);
        let b = summed(b, |l| wanted(l) || a.labels.contains(l));
        acc = product(&a, &b, wanted);
    }
    let acc = summed(acc, |l| output.contains(l));
    // Labels that only stood for broadcast dims come back by expansion.
    let present: Vec<usize> = output.iter().filter_map(|l| acc.labels.iter().position(|k| k == l)).collect();
    let ordered = acc.x.permute_to(&present);
    let ones = output.iter().map(|l| if acc.labels.contains(l) { size(l) } else { Dim::new(1) });
    ordered.view_to(&ones.collect()).expand_to(&output.iter().map(size).collect())
}

/// Diagonals for repeated labels; dims of size 1 that broadcast disappear.
#[track_caller]
fn without_repeats(t: Term, size: &dyn Fn(&Label) -> Dim) -> Term {
    let Term { mut x, mut labels } = t;
    let broadcast = |l: &Label, n: &Dim| *n == 1 && size(l) != 1;
    let kept: Vec<bool> = labels.iter().zip(x.shape().dims()).map(|(l, n)| !broadcast(l, n)).collect();
    let shape: Shape = x.shape().dims().iter().zip(&kept).filter(|(_, k)| **k).map(|(n, _)| *n).collect();
    x = x.view_to(&shape);
    let mut keep = kept.iter();
    labels.retain(|_| *keep.next().expect("one for each label"));
    while let Some((i, j)) = repeat(&labels) {
        x = x.diagonal_of(0, i, j);
        let l = labels.remove(j);
        labels.remove(i);
        labels.push(l);
    }
    Term { x, labels }
}

fn repeat(labels: &[Label]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|i| (i + 1..labels.len()).find(|j| labels[*j] == labels[i]).map(|j| (i, j)))
}

/// Summed over the labels that nothing else needs.
#[track_caller]
fn summed(t: Term, wanted: impl Fn(&Label) -> bool) -> Term {
    let dims: Vec<usize> = (0..t.labels.len()).filter(|i| !wanted(&t.labels[*i])).collect();
    let x = t.x.convert(if dims.is_empty() { t.x.dtype() } else { crate::reduce::sum_dtype(t.x.dtype()) });
    Term { x: x.sum_over(&dims), labels: t.labels.into_iter().filter(|l| wanted(l)).collect() }
}

/// The product over the labels that both have and nothing else needs.
#[track_caller]
fn product(a: &Term, b: &Term, wanted: impl Fn(&Label) -> bool) -> Term {
    let shared = |l: &&Label| b.labels.contains(l);
    let batch: Vec<Label> = a.labels.iter().filter(shared).filter(|l| wanted(l)).copied().collect();
    let inner: Vec<Label> = a.labels.iter().filter(shared).filter(|l| !wanted(l)).copied().collect();
    let left: Vec<Label> = a.labels.iter().filter(|l| !b.labels.contains(l)).copied().collect();
    let right: Vec<Label> = b.labels.iter().filter(|l| !a.labels.contains(l)).copied().collect();
    let labels = [batch.as_slice(), left.as_slice(), right.as_slice()].concat();
    let sizes = |t: &Term, ls: &[Label]| -> Shape { ls.iter().map(|l| t.x.shape()[at(t, l)]).collect() };
    let ordered = |t: &Term, groups: [&[Label]; 3]| {
        let order: Vec<usize> = groups.concat().iter().map(|l| at(t, l)).collect();
        t.x.permute_to(&order)
    };
    let (m, n) = (sizes(a, &left), sizes(b, &right));
    let out = sizes(a, &batch).concat(&m).concat(&n);
    if inner.is_empty() {
        let ones = |s: &Shape| -> Shape { s.dims().iter().map(|_| Dim::new(1)).collect() };
        let x = ordered(a, [&batch, &left, &[]]).view_to(&sizes(a, &batch).concat(&m).concat(&ones(&n)));
        let y = ordered(b, [&batch, &right, &[]]).view_to(&sizes(b, &batch).concat(&ones(&m)).concat(&n));
        return Term { x: x * y, labels };
    }
    let (groups, k) = (sizes(a, &batch).numel(), sizes(a, &inner).numel());
    let (x, y) = (ordered(a, [&batch, &left, &inner]), ordered(b, [&batch, &inner, &right]));
    let product = if batch.is_empty() {
        x.view_to(&[m.numel(), k].into()).mm(&y.view_to(&[k, n.numel()].into()))
    } else {
        x.view_to(&[groups, m.numel(), k].into()).bmm(&y.view_to(&[groups, k, n.numel()].into()))
    };
    Term { x: product.view_to(&out), labels }
}

fn at(t: &Term, l: &Label) -> usize {
    t.labels.iter().position(|k| k == l).expect("a label of the term")
}
