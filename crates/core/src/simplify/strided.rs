//! Every so manieth element: what is written into zeros at one distance, added up.

use super::edit::{Editor, NodeId};
use super::{Apply, Class, Rule};
use crate::ir::Value;
use crate::ops::{Binary, Cat, Op, SliceScatter};

pub(super) static RULES: &[Rule] = &[Rule {
    name: "add-strided",
    class: Class::Finite,
    law: "slice_scatter(0, x, step=k) + slice_scatter(0, y, step=k) at other places -> stack(x, y, …) as rows of k if these are all, else one in the other",
    apply: Apply::Node(add_strided),
}];

/// Tensors that stand between zeros, `step` apart along `dim`, each from another place below `step` on to the end.
struct Strided {
    zeros: Value,
    dim: usize,
    step: usize,
    parts: Vec<(usize, Value)>,
}

/// The parts of which `v` consists, if nothing else uses it.
fn strided(e: &Editor, v: Value) -> Option<Strided> {
    let mut found: Option<Strided> = None;
    let mut at = v;
    loop {
        if e.is_zero(at) {
            return found.map(|s| Strided { zeros: at, ..s });
        }
        let (Op::SliceScatter(SliceScatter { dim, start, end, step }), id) = e.def_op(at)? else { return None };
        let (whole, part) = (e.shape(at)[*dim].get(), e.arg(id, 1));
        let reaches = start < step && whole.is_multiple_of(*step) && end + step > whole + start;
        if !reaches || e.count(at) != 1 {
            return None;
        }
        let s = found.get_or_insert(Strided { zeros: at, dim: *dim, step: *step, parts: Vec::new() });
        if (s.dim, s.step) != (*dim, *step) || s.parts.iter().any(|(other, _)| other == start) {
            return None;
        }
        s.parts.push((*start, part));
        at = e.arg(id, 0);
    }
}

fn add_strided(e: &mut Editor, id: NodeId) -> Option<Value> {
    let v = e.results(id)[0];
    let (a, b) = e.as_binary(v, Binary::Add)?;
    let (mut s, t) = (strided(e, a)?, strided(e, b)?);
    let apart = t.parts.iter().all(|(start, _)| s.parts.iter().all(|(other, _)| other != start));
    if (s.dim, s.step) != (t.dim, t.step) || !apart {
        return None;
    }
    s.parts.extend(t.parts);
    s.parts.sort_unstable_by_key(|(start, _)| *start);
    let whole = e.shape(v).clone();
    if s.parts.len() < s.step {
        let end = whole[s.dim].get();
        return s.parts.iter().try_fold(s.zeros, |into, (start, part)| {
            e.emit(SliceScatter { dim: s.dim, start: *start, end, step: s.step }, &[into, *part])
        });
    }
    let column = e.shape(s.parts[0].1).inserted(s.dim + 1, 1);
    let columns: Vec<Value> = s.parts.iter().map(|(_, part)| e.view(*part, &column)).collect::<Option<_>>()?;
    let rows = e.emit(Cat { dim: s.dim + 1 }, &columns)?;
    e.view(rows, &whole)
}
