//! Indexing as in Python: `x.i((.., 1, 2..5, NEW_AXIS, &rows))`. Writing is in [`assign`](crate::assign).

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

use cotangent_core::Tensor;
use cotangent_core::ir::{Attr, DType, Dim, Shape};

use crate::arg::{AsTensor, at, attempt, bad, bad_operand, bad_pair, live};
use crate::call::{num, one};
use crate::gather::wrapped;
use crate::piece::{Parts, bounds};
use crate::schema;
use crate::shape::{Shapes, broadcast_tensors};

/// What stands in one place of an index.
#[derive(Clone, Debug)]
pub enum Index {
    /// `:`, a whole dim; written `..`.
    All,
    /// `...`, as many whole dims as are left.
    Ellipsis,
    /// `None`, a new dim of size 1.
    NewAxis,
    /// One element, from the end if negative; the dim disappears.
    At(i64),
    /// The elements from the first number before the second, by steps.
    Range(Option<i64>, Option<i64>, usize),
    /// Positions; several such tensors broadcast together.
    Tensor(Tensor),
}

/// As many whole dims as are left: Python's `...`.
pub const ELLIPSIS: Index = Index::Ellipsis;
/// A new dim of size 1: Python's `None`.
pub const NEW_AXIS: Index = Index::NewAxis;

impl From<RangeFull> for Index {
    fn from(_: RangeFull) -> Self {
        Index::All
    }
}

impl From<&Tensor> for Index {
    fn from(t: &Tensor) -> Self {
        Index::Tensor(t.clone())
    }
}

impl From<Tensor> for Index {
    fn from(t: Tensor) -> Self {
        Index::Tensor(t)
    }
}

macro_rules! index_from { ($($t:ty),*) => { $(
    impl From<$t> for Index {
        fn from(i: $t) -> Self {
            Index::At(i as i64)
        }
    }
    impl From<Range<$t>> for Index {
        fn from(r: Range<$t>) -> Self {
            Index::Range(Some(r.start as i64), Some(r.end as i64), 1)
        }
    }
    impl From<RangeFrom<$t>> for Index {
        fn from(r: RangeFrom<$t>) -> Self {
            Index::Range(Some(r.start as i64), None, 1)
        }
    }
    impl From<RangeTo<$t>> for Index {
        fn from(r: RangeTo<$t>) -> Self {
            Index::Range(None, Some(r.end as i64), 1)
        }
    }
)* } }
index_from!(i64, i32, usize);

/// One index or a tuple of up to six.
pub trait IntoIndices {
    /// The indices in order.
    fn into_indices(self) -> Vec<Index>;
}

impl<T: Into<Index>> IntoIndices for T {
    fn into_indices(self) -> Vec<Index> {
        vec![self.into()]
    }
}

impl IntoIndices for Vec<Index> {
    fn into_indices(self) -> Vec<Index> {
        self
    }
}

macro_rules! tuples { ($(($($T:ident $i:tt),*)),*) => { $(
    impl<$($T: Into<Index>),*> IntoIndices for ($($T,)*) {
        fn into_indices(self) -> Vec<Index> {
            vec![$(self.$i.into()),*]
        }
    }
)* } }
tuples!((A 0), (A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3), (A 0, B 1, C 2, D 3, E 4), (A 0, B 1, C 2, D 3, E 4, F 5));

/// Reading through indices as in Python, and writing at positions.
pub trait Indexing: AsTensor {
    /// `x[…]`: numbers, ranges, [`ELLIPSIS`], [`NEW_AXIS`] and tensors of positions.
    ///
    /// *Errors*: `index_c1` more indices than dims, or two ellipses; `select_c2` a number out of range; `index_c2` a
    /// mask, whose result would depend on data; `index_c3` tensors that do not broadcast; a position out of range
    /// when
    /// evaluated.
    #[track_caller]
    fn i(&self, index: impl IntoIndices) -> Tensor {
        let part = attempt!(Part::of(self.tensor(), index.into_indices()));
        if part.positions.is_empty() {
            return part.value;
        }
        part.value.index(&part.given())
    }

    /// The elements at tensors of positions, one for each dim or `None` for a whole dim: `x[:, rows]`.
    ///
    /// *Shape*: the tensors broadcast together; their dims stand where they are, or in front where whole dims are in
    /// between.
    /// *Errors*: see [`Indexing::i`].
    #[track_caller]
    fn index(&self, indices: &[Option<&Tensor>]) -> Tensor {
        let x = self.tensor();
        let plan = attempt!(Plan::new(x, indices));
        let mut args = vec![x];
        args.extend(indices.iter().flatten());
        one(schema::INDEX_TENSOR, &[("indices", plan.attr.clone())], &args, |a| plan.read(&a[0], &a[1..]))
    }

    /// The tensor with `values`, which broadcast to what [`Indexing::index`] gives, written there. Of several writes
    /// to
    /// one place the last stays; every one of them gets the derivative.
    ///
    /// *Errors*: see [`Indexing::i`]; `index_put_c1` values of another dtype or a shape that does not expand.
    #[track_caller]
    fn index_put(&self, indices: &[Option<&Tensor>], values: &Tensor) -> Tensor {
        put(self.tensor(), indices, values, false)
    }

    /// As [`Indexing::index_put`], adding.
    #[track_caller]
    fn index_put_accumulate(&self, indices: &[Option<&Tensor>], values: &Tensor) -> Tensor {
        put(self.tensor(), indices, values, true)
    }
}

impl Indexing for Tensor {}

/// What an index names: a part of an array by numbers and ranges, and positions in that.
pub(crate) struct Part {
    /// The part by numbers and ranges.
    pub value: Tensor,
    /// For each of its dims the positions, if there are some, up to the last.
    pub positions: Vec<Option<Tensor>>,
    /// Each step from the whole to the part, with the tensor before it.
    steps: Vec<(Tensor, Step)>,
}

/// A step from an array to a part of it.
enum Step {
    NewAxis,
    At(usize, i64),
    Range { dim: usize, start: usize, end: usize, step: usize },
}

impl Part {
    /// The part of `x` that `indices` name.
    ///
    /// *Errors*: the tensor that stands for an index that `x` does not have; see [`Indexing::i`].
    #[track_caller]
    pub fn of(x: &Tensor, indices: Vec<Index>) -> Result<Part, Tensor> {
        live(&[x])?;
        let dims = |i: &Index| match i {
            Index::NewAxis | Index::Ellipsis => 0,
            Index::Tensor(t) => covered(t),
            Index::All | Index::At(_) | Index::Range(..) => 1,
        };
        let taken: usize = indices.iter().map(dims).sum();
        let dots = indices.iter().filter(|i| matches!(i, Index::Ellipsis)).count();
        if taken > x.rank() || dots > 1 {
            let expected = format!("at most {} indices and one ellipsis", x.rank());
            return Err(bad(at!("index", 1), &[x], "indices", &expected, &format!("{taken} and {dots}")));
        }
        let mut part = Part { value: x.clone(), positions: Vec::new(), steps: Vec::new() };
        let mut d = 0;
        for index in indices {
            match index {
                Index::All => d += 1,
                Index::Ellipsis => d += x.rank() - taken,
                Index::NewAxis => {
                    let value = part.value.unsqueeze(d as i64);
                    part.take(Step::NewAxis, value)?;
                    d += 1;
                }
                Index::At(i) => {
                    let value = part.value.select(d as i64, i);
                    part.take(Step::At(d, i), value)?;
                }
                Index::Range(_, _, 0) => return Err(bad(at!("slice", 2), &[x], "step", "at least 1", "0")),
                Index::Range(a, b, step) => {
                    let (start, end) = bounds(&part.value, d, a, b);
                    let value = part.value.slice_dim(d, start, end, step);
                    part.take(Step::Range { dim: d, start, end, step }, value)?;
                    d += 1;
                }
                Index::Tensor(t) => {
                    part.positions.resize(d, None);
                    d += covered(&t);
                    part.positions.push(Some(t));
                }
            }
        }
        Ok(part)
    }

    fn take(&mut self, step: Step, value: Tensor) -> Result<(), Tensor> {
        live(&[&value])?;
        self.steps.push((std::mem::replace(&mut self.value, value), step));
        Ok(())
    }

    /// The positions by reference.
    pub fn given(&self) -> Vec<Option<&Tensor>> {
        self.positions.iter().map(Option::as_ref).collect()
    }

    /// The whole with `value` in place of the part.
    #[track_caller]
    pub fn replaced(&self, value: Tensor) -> Tensor {
        self.steps.iter().rev().fold(value, |value, (before, step)| match step {
            Step::NewAxis => value.view_to(before.shape()),
            Step::At(dim, i) => before.select_scatter(&value, *dim as i64, *i),
            Step::Range { dim, start, end, step } => before.slice_scatter_dim(&value, *dim, *start, *end, *step),
        })
    }
}

/// The number of dims that a tensor of positions, or a mask, stands for.
fn covered(t: &Tensor) -> usize {
    if is_mask(t) { t.rank() } else { 1 }
}

/// Whether a tensor selects by truth values.
pub(crate) fn is_mask(t: &Tensor) -> bool {
    t.dtype() == DType::Bool
}

/// `x` with `values` written, or added, at positions.
#[track_caller]
pub(crate) fn put(x: &Tensor, indices: &[Option<&Tensor>], values: &Tensor, accumulate: bool) -> Tensor {
    attempt!(live(&[values]));
    let plan = attempt!(Plan::new(x, indices));
    if values.dtype() != x.dtype() || !cotangent_core::ops::Expand::fits(values.shape(), &plan.shape) {
        return bad_pair(
            at!("index_put", 1),
            x,
            values,
            &format!("values of the same dtype that expand to {}", plan.shape),
        );
    }
    let mut args = vec![x];
    args.extend(indices.iter().flatten());
    args.push(values);
    let params = [("indices", plan.attr.clone()), ("accumulate", num(accumulate))];
    one(schema::INDEX_PUT, &params, &args, |a| {
        let (last, given) = a[1..].split_last().expect("values are an operand");
        plan.write(&a[0], given, last, accumulate)
    })
}

/// How a read or write through tensors of positions goes: the indexed dims as one dim in front, the others as one behind.
struct Plan {
    /// The indexed dims, then the others.
    order: Vec<usize>,
    /// The sizes of the indexed dims.
    sizes: Vec<usize>,
    /// The shape to which the tensors broadcast.
    positions: Shape,
    /// The sizes of the other dims.
    rest: Shape,
    /// Where the positions' dims stand in the result.
    front: usize,
    /// The shape of the result.
    shape: Shape,
    attr: Attr,
}

impl Plan {
    #[track_caller]
    fn new(x: &Tensor, indices: &[Option<&Tensor>]) -> Result<Plan, Tensor> {
        live(&[x])?;
        let given: Vec<&Tensor> = indices.iter().flatten().copied().collect();
        live(&given)?;
        if indices.len() > x.rank() || given.is_empty() {
            let expected = format!("at least one tensor for at most {} dims", x.rank());
            return Err(bad(at!("index", 1), &[x], "indices", &expected, &indices.len().to_string()));
        }
        if let Some(t) = given.iter().find(|t| !matches!(t.dtype(), DType::I64 | DType::I32)) {
            let what = "positions of i64 or i32 (a mask selects a number of elements that depends on data: use `where_` or `masked_fill`)";
            return Err(bad_operand(at!("index", 2), t, what));
        }
        let mut positions = Shape::scalar();
        for t in &given {
            match cotangent_core::tensor::broadcast_shapes(&positions, t.shape()) {
                Some(s) => positions = s,
                None => return Err(bad_pair(at!("index", 3), given[0], t, "tensors that broadcast")),
            }
        }
        let dims: Vec<usize> = (0..indices.len()).filter(|d| indices[*d].is_some()).collect();
        let others: Vec<usize> = (0..x.rank()).filter(|d| !dims.contains(d)).collect();
        let adjacent = dims.windows(2).all(|w| w[1] == w[0] + 1);
        let front = if adjacent { dims[0] } else { 0 };
        let rest: Shape = others.iter().map(|d| x.shape()[*d]).collect();
        let shape = rest.slice(0, front).concat(&positions).concat(&rest.slice(front, rest.rank()));
        let sizes = dims.iter().map(|d| x.shape()[*d].get()).collect();
        let mark = |t: &Option<&Tensor>| t.map_or(Attr::None, |_| num(true));
        let attr = Attr::List(indices.iter().map(mark).collect());
        let order = [dims, others].concat();
        Ok(Plan { order, sizes, positions, rest, front, shape, attr })
    }

    /// One position for each place, in row-major order of the indexed dims; out of range if any of them is.
    #[track_caller]
    fn flat(&self, given: &[Tensor]) -> Tensor {
        let wide = broadcast_tensors(given);
        let total: usize = self.sizes.iter().product();
        let (mut flat, mut outside): (Option<Tensor>, Option<Tensor>) = (None, None);
        for (t, n) in wide.iter().zip(&self.sizes) {
            let at = wrapped(&t.convert(DType::I64), *n);
            if self.sizes.len() > 1 {
                let bad = at.lt(0i64).bitwise_or(at.ge(*n as i64));
                outside = Some(outside.map_or(bad.clone(), |o| o.bitwise_or(bad)));
            }
            flat = Some(flat.map_or(at.clone(), |f| f * *n as i64 + at));
        }
        let flat = flat.expect("index_c1: at least one tensor");
        let flat = match outside {
            Some(outside) => flat.full_like(total as i64).where_(&outside, flat),
            None => flat,
        };
        flat.view_to(&[self.positions.numel()].into())
    }

    /// The operand with the indexed dims as dim 0 and the others as they are.
    #[track_caller]
    fn gathered(&self, x: &Tensor) -> Tensor {
        let n: usize = self.sizes.iter().product();
        x.permute_to(&self.order).view_to(&self.rest.inserted(0, Dim::new(n)))
    }

    /// For each tensor of positions the dims of the result's positions along which it varies, if no two share one: the read is then one of rows of columns,
    /// one dim after the other.
    fn outer(&self, given: &[Tensor]) -> Option<Vec<Vec<usize>>> {
        let rank = self.positions.rank();
        let own = |t: &Tensor| -> Vec<usize> {
            (0..t.rank()).filter(|d| t.shape()[*d] != 1).map(|d| rank - t.rank() + d).collect()
        };
        let dims: Vec<Vec<usize>> = given.iter().map(own).collect();
        let all: Vec<usize> = dims.concat();
        let apart = (1..all.len()).all(|i| !all[..i].contains(&all[i]));
        // What stands in between must not be much larger than the result.
        let mut len = self.sizes.iter().product::<usize>() as f64;
        let mut most = 0.0f64;
        for i in self.shortening(given) {
            len *= given[i].numel() as f64 / self.sizes[i] as f64;
            most = most.max(len);
        }
        (apart && most <= 4.0 * self.positions.numel() as f64).then_some(dims)
    }

    /// The tensors of positions in the order in which they are read through: first those that leave least.
    fn shortening(&self, given: &[Tensor]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..given.len()).collect();
        let left = |i: &usize| given[*i].numel() as f64 / self.sizes[*i] as f64;
        order.sort_by(|i, j| left(i).total_cmp(&left(j)));
        order
    }

    /// As [`Plan::read`], through one tensor of positions after the other, which vary along `dims`.
    #[track_caller]
    fn read_outer(&self, x: &Tensor, given: &[Tensor], dims: &[Vec<usize>]) -> Tensor {
        let mut y = x.clone();
        for i in self.shortening(given) {
            let at = wrapped(&given[i].convert(DType::I64), self.sizes[i]);
            y = y.index_select_along(self.order[i], &at.view_to(&[at.numel()].into()));
        }
        // In the place of each indexed dim now stand those of its positions; those of size 1 take no part.
        let (mut found, mut labels) = (Shape::scalar(), Vec::new());
        let mut rest = 0;
        for d in 0..x.rank() {
            match self.order[..given.len()].iter().position(|o| *o == d) {
                Some(i) => {
                    found = found.concat(&dims[i].iter().map(|p| self.positions[*p]).collect());
                    labels.extend(dims[i].iter().map(|p| self.front + p));
                }
                None => {
                    found = found.concat(&[y.shape()[d]].into_iter().collect());
                    // The other dims stand before and behind the positions.
                    labels.push(if rest < self.front { rest } else { rest + self.positions.rank() });
                    rest += 1;
                }
            }
        }
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|i| labels[*i]);
        y.view_to(&found).permute_to(&order).view_to(&self.shape)
    }

    #[track_caller]
    fn read(&self, x: &Tensor, given: &[Tensor]) -> Tensor {
        if let Some(dims) = self.outer(given) {
            return self.read_outer(x, given, &dims);
        }
        let rows = self.gathered(x).index_select_along(0, &self.flat(given));
        let y = rows.view_to(&self.positions.concat(&self.rest));
        y.permute_to(&self.behind())
    }

    #[track_caller]
    fn write(&self, x: &Tensor, given: &[Tensor], values: &Tensor, accumulate: bool) -> Tensor {
        let flat = self.flat(given);
        let m = flat.numel();
        if accumulate && given.len() == 1 {
            // One indexed dim stays where it is.
            let merged = self.rest.inserted(self.front, Dim::new(m));
            return x.index_add_along(self.order[0], &flat, &values.expand_to(&self.shape).view_to(&merged));
        }
        let rows = self.gathered(x);
        let back = inverse(&self.behind());
        let source = values.expand_to(&self.shape).permute_to(&back).view_to(&self.rest.inserted(0, Dim::new(m)));
        let written = if accumulate {
            rows.index_add_along(0, &flat, &source)
        } else if self.rest.rank() == 0 {
            rows.scatter_along(0, &flat, &source)
        } else {
            let k = self.rest.numel();
            let index = flat.view_to(&[m, 1].into()).expand_to(&[m, k].into());
            let n: usize = self.sizes.iter().product();
            let table = rows.view_to(&[n, k].into()).scatter_along(0, &index, &source.view_to(&[m, k].into()));
            table.view_to(rows.shape())
        };
        let sizes: Shape = self.sizes.iter().copied().collect();
        written.view_to(&sizes.concat(&self.rest)).permute_to(&inverse(&self.order))
    }

    /// The permutation that moves the positions' dims from the front to their place.
    fn behind(&self) -> Vec<usize> {
        let p = self.positions.rank();
        let rest = |i: usize| p + i;
        (0..self.front).map(rest).chain(0..p).chain((self.front..self.rest.rank()).map(rest)).collect()
    }
}

fn inverse(order: &[usize]) -> Vec<usize> {
    let mut out = vec![0; order.len()];
    for (i, d) in order.iter().enumerate() {
        out[*d] = i;
    }
    out
}
