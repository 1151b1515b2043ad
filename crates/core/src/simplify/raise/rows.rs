//! Elements of each row of a batch at indices of its own, where other dims stand between or behind: what a batch makes of an index.
//!
//! PyTorch's index takes the rows' numbers beside the indices, and wraps negative ones itself. Dims that it finds between two indices
//! come last.

use super::super::edit::{Editor, NodeId};
use super::super::pattern::aligned;
use super::index::{INDEX, unwrapped};
use super::pullback::traced;
use super::{call, number};
use crate::ir::{Attr, Shape, Value};
use crate::ops::{Arange, Gather, Op};
use crate::tensor::Tensor;

/// Lets calls stand for these; whether there were any.
pub(super) fn take(e: &mut Editor) {
    for id in 0..e.num_nodes() {
        if e.is_alive(id) {
            let _ = indexed(e, id);
        }
    }
}

/// A read of `x` along `dim` at the places `at`, of which the first dim is that of the batch.
struct Read {
    x: Value,
    at: Value,
    dim: usize,
}

fn read(e: &Editor, id: NodeId) -> Option<Read> {
    let Op::Gather(Gather { dim }) = e.op(id) else { return None };
    let (x, places) = (e.arg(id, 0), e.arg(id, 1));
    let (whole, shape) = (e.shape(x), e.shape(places));
    let wide = e.as_expand(places).unwrap_or(places);
    let wrapped = [Some(wide), e.as_view(wide)].into_iter().flatten().find(|v| e.as_where(*v).is_some())?;
    let made_positive = unwrapped(e, wrapped, whole[*dim].get())?;
    // Without the dims that an index got to meet another one.
    let rows = e.as_view(made_positive).filter(|v| e.shape(*v).rank() == 2 && e.shape(*v)[1] == shape[*dim]);
    let at = rows.filter(|v| e.shape(*v)[0] == whole[0]).unwrap_or(made_positive);
    // One index for each row, for all that stands beside it.
    let own = aligned(e.shape(wide), shape);
    let others = (1..whole.rank()).filter(|d| d != dim);
    let fits = *dim > 0
        && e.shape(at).rank() > 1
        && [e.shape(at)[0], own[0], shape[0]].iter().all(|n| *n == whole[0])
        && own[*dim] == shape[*dim]
        && others.clone().all(|d| own[d] == 1 && shape[d] == whole[d]);
    // Where nothing stands behind a vector of indices for each row, the shorter form is another one.
    let plain = *dim == 1 && e.shape(at).rank() == 2 && at == made_positive;
    (fits && !plain && e.count(wrapped) == 1).then_some(Read { x, at, dim: *dim })
}

fn indexed(e: &mut Editor, id: NodeId) -> Option<()> {
    let Read { x, at, dim } = read(e, id)?;
    let (whole, indices) = (e.shape(x).clone(), e.shape(at).clone());
    let (between, behind) = (whole.slice(1, dim), whole.slice(dim + 1, whole.rank()));
    let rows = whole.slice(0, 1);
    let lead = indices.rank();
    // As the index is written, and as PyTorch has it.
    let written = rows.concat(&between).concat(&indices.slice(1, lead)).concat(&behind);
    // The view that follows where the indices have dims of their own.
    let result = e.results(id)[0];
    let viewed = || {
        let user = e.users(result).next().filter(|_| e.count(result) == 1)?;
        (matches!(e.op(user), Op::View(_)) && e.out(user).shape == written).then_some(user)
    };
    let root = if lead == 2 { id } else { viewed()? };
    let order: Vec<usize> = if between.rank() == 0 {
        (0..written.rank()).collect()
    } else {
        let moved = between.rank();
        std::iter::once(0).chain(lead..lead + moved).chain(1..lead).chain(lead + moved..written.rank()).collect()
    };
    e.begin(root);
    let made = |e: &mut Editor| {
        let numbers = e.emit(Arange { end: rows[0], dtype: e.dtype(at) }, &[])?;
        let column: Vec<usize> = (0..lead).map(|d| if d == 0 { rows[0].get() } else { 1 }).collect();
        let args = [x, e.view(numbers, &column.as_slice().into())?, at];
        let body = traced(&args.map(|v| e.aval(v).clone()), |a| vec![elements(a, dim, &written, &order)]);
        let none = std::iter::repeat_n(Attr::None, dim - 1);
        let places = Attr::List(std::iter::once(number(true)).chain(none).chain([number(true)]).collect());
        let found = e.emit(call(INDEX, [("indices", places)], body.ok()?), &args)?;
        e.permute(found, &order)
    };
    match made(e) {
        Some(v) => e.commit(v, 0).then_some(()),
        None => {
            e.rollback();
            None
        }
    }
}

/// The elements of `a[0]` along `dim` at `a[2]`, in PyTorch's order of dims, of which `order` makes the written one.
fn elements(a: &[Tensor], dim: usize, written: &Shape, order: &[usize]) -> Tensor {
    let (x, at) = (&a[0], &a[2]);
    let n = x.shape()[dim].get() as i64;
    let wrapped = (at + n).where_(&at.lt(0), at);
    let rows = x.shape()[0];
    let count = at.numel() / rows.get().max(1);
    let alone: Shape = (0..x.rank())
        .map(|d| {
            if d == 0 {
                rows.get()
            } else if d == dim {
                count
            } else {
                1
            }
        })
        .collect::<Vec<_>>()
        .as_slice()
        .into();
    let index = wrapped.view_to(&alone).expand_to(&x.shape().with(dim, count));
    let mut back = vec![0; order.len()];
    order.iter().enumerate().for_each(|(to, from)| back[*from] = to);
    x.gather_along(dim, &index).view_to(written).permute_to(&back)
}
