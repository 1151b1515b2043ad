//! Parts of tensors, and tensors with parts replaced, moved or added around them.

use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};

use crate::arg::{AsTensor, At, Over, at, attempt, bad, bad_operand, bad_pair, dims_in_order, live, real_dim};
use crate::call::{list, num, one};
use crate::schema;

/// Slices, diagonals, triangles and rotations under PyTorch's names.
pub trait Parts: AsTensor {
    /// `length` elements of `dim` from `start` on, which is counted from the end if negative.
    ///
    /// *Errors*: `narrow_c1` no such dim; `narrow_c2` elements that are not there.
    #[track_caller]
    fn narrow(&self, dim: i64, start: i64, length: usize) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("narrow", 1), x, dim));
        let n = x.shape()[d].get();
        let from = if start < 0 { start + n as i64 } else { start };
        match usize::try_from(from).ok().and_then(|a| Some((a, a.checked_add(length)?))) {
            Some((a, b)) if b <= n => x.slice_dim(d, a, b, 1),
            Some(_) | None => {
                let expected = format!("elements of a dim of size {n}");
                bad(at!("narrow", 2), &[x], "start", &expected, &format!("{length} from {start} on"))
            }
        }
    }

    /// The slice at `index` of `dim`, without the dim.
    ///
    /// *Errors*: `select_c1` no such dim; `select_c2` an index out of range.
    #[track_caller]
    fn select(&self, dim: i64, index: i64) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("select", 1), x, dim));
        let i = attempt!(element(at!("select", 2), x, d, index));
        x.slice_dim(d, i, i + 1, 1).view_to(&x.shape().removed(d))
    }

    /// The elements `start`, `start + step`, … before `end` of `dim`; both count from the end if negative and are
    /// clamped to the dim.
    ///
    /// *Errors*: `slice_c1` no such dim; `slice_c2` a step of 0.
    #[track_caller]
    fn slice(&self, dim: i64, start: impl Into<Option<i64>>, end: impl Into<Option<i64>>, step: usize) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("slice", 1), x, dim));
        if step == 0 {
            return bad(at!("slice", 2), &[x], "step", "at least 1", "0");
        }
        let (a, b) = bounds(x, d, start.into(), end.into());
        x.slice_dim(d, a, b, step)
    }

    /// The tensor with `src` in place of the slice at `index` of `dim`.
    ///
    /// *Errors*: `select_c1` no such dim; `select_c2` an index out of range; `select_scatter_c1` another shape or
    /// dtype.
    #[track_caller]
    fn select_scatter(&self, src: &Tensor, dim: i64, index: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[src]));
        let d = attempt!(real_dim(at!("select", 1), x, dim));
        let i = attempt!(element(at!("select", 2), x, d, index));
        if *src.shape() != x.shape().removed(d) || src.dtype() != x.dtype() {
            return bad_pair(at!("select_scatter", 1), x, src, "a source like the slice");
        }
        x.slice_scatter_dim(&src.view_to(&x.shape().with(d, 1)), d, i, i + 1, 1)
    }

    /// The tensor with `src` in place of what [`Parts::slice`] gives.
    ///
    /// *Errors*: as [`Parts::slice`]; `slice_scatter_c…` another shape or dtype.
    #[track_caller]
    fn slice_scatter(
        &self,
        src: &Tensor,
        dim: i64,
        start: impl Into<Option<i64>>,
        end: impl Into<Option<i64>>,
        step: usize,
    ) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("slice", 1), x, dim));
        if step == 0 {
            return bad(at!("slice", 2), &[x], "step", "at least 1", "0");
        }
        let (a, b) = bounds(x, d, start.into(), end.into());
        x.slice_scatter_dim(src, d, a, b, step)
    }

    /// The order of elements reversed along dims.
    ///
    /// *Errors*: `flip_c1` no such dim, or twice the same.
    #[track_caller]
    fn flip(&self, over: impl Into<Over>) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let mut dims = attempt!(dims_in_order(at!("flip", 1), x, &over.into().dims.unwrap_or_default()));
        dims.retain(|d| *d < x.rank());
        dims.sort_unstable();
        x.flip_dims(&dims)
    }

    /// Columns (dim 1) in reverse order.
    #[track_caller]
    fn fliplr(&self) -> Tensor {
        self.flip(1)
    }

    /// Rows (dim 0) in reverse order.
    #[track_caller]
    fn flipud(&self) -> Tensor {
        self.flip(0)
    }

    /// The elements moved cyclically along each dim; in row-major order where no dims are given.
    ///
    /// *Errors*: `roll_c1` no such dim; `roll_c2` another number of shifts than dims.
    #[track_caller]
    fn roll(&self, shifts: &[i64], dims: &[i64]) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let whole = dims.is_empty() && shifts.len() == 1;
        if !whole && dims.len() != shifts.len() {
            let found = format!("{} and {}", shifts.len(), dims.len());
            return bad(at!("roll", 2), &[x], "shifts", "one for each dim", &found);
        }
        let mut along = Vec::with_capacity(dims.len());
        for d in dims {
            along.push(attempt!(real_dim(at!("roll", 1), x, *d)));
        }
        one(schema::ROLL, &[("shifts", list(shifts)), ("dims", list(dims))], &[x], |a| {
            if whole {
                let flat = a[0].view_to(&[a[0].numel()].into());
                return rolled(&flat, shifts[0], 0).view_to(a[0].shape());
            }
            shifts.iter().zip(&along).fold(a[0].clone(), |y, (s, d)| rolled(&y, *s, *d))
        })
    }

    /// Turned `k` quarters from the first of two dims towards the second.
    ///
    /// *Errors*: `rot90_c1` no such dim, or twice the same.
    #[track_caller]
    fn rot90(&self, k: i64, dims: [i64; 2]) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let d = attempt!(dims_in_order(at!("rot90", 1), x, &dims.into()));
        if x.rank() < 2 {
            return bad_operand(at!("rot90", 1), x, "at least two dims");
        }
        one(schema::ROT90, &[("k", num(k)), ("dims", list(&dims))], &[x], |a| {
            let mut order: Vec<usize> = (0..a[0].rank()).collect();
            order.swap(d[0], d[1]);
            let mut both = d.clone();
            both.sort_unstable();
            match k.rem_euclid(4) {
                1 => a[0].flip_dims(&[d[1]]).permute_to(&order),
                2 => a[0].flip_dims(&both),
                3 => a[0].flip_dims(&[d[0]]).permute_to(&order),
                _ => a[0].clone(),
            }
        })
    }

    /// Zeros above diagonal `diagonal` of the last two dims.
    ///
    /// *Errors*: `tril_c1` fewer than two dims.
    #[track_caller]
    fn tril(&self, diagonal: i64) -> Tensor {
        let x = self.tensor();
        attempt!(matrices(at!("tril", 1), x));
        one(schema::TRIL, &[("diagonal", num(diagonal))], &[x], |a| a[0].lower(diagonal))
    }

    /// Zeros below diagonal `diagonal` of the last two dims.
    ///
    /// *Errors*: `triu_c1` fewer than two dims.
    #[track_caller]
    fn triu(&self, diagonal: i64) -> Tensor {
        let x = self.tensor();
        attempt!(matrices(at!("triu", 1), x));
        one(schema::TRIU, &[("diagonal", num(diagonal))], &[x], |a| a[0].upper(diagonal))
    }

    /// The diagonal of a matrix, or the square matrix with a vector on its diagonal.
    ///
    /// *Errors*: `diag_c1` no matrix and no vector.
    #[track_caller]
    fn diag(&self, diagonal: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        match x.rank() {
            1 => x.diag_embed_at(diagonal, 0, 1),
            2 => x.diagonal_of(diagonal, 0, 1),
            0 | 3.. => bad_operand(at!("diag", 1), x, "a vector or a matrix"),
        }
    }

    /// The square matrix with all elements on its diagonal.
    #[track_caller]
    fn diagflat(&self, offset: i64) -> Tensor {
        let x = self.tensor();
        x.view_to(&[x.numel()].into()).diag_embed_at(offset, 0, 1)
    }

    /// The elements with `column = row + offset` in two dims, as new last dim.
    ///
    /// *Errors*: `diagonal_c1` no such dim, or twice the same.
    #[track_caller]
    fn diagonal(&self, offset: i64, dim1: i64, dim2: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let d = attempt!(dims_in_order(at!("diagonal", 1), x, &[dim1, dim2].into()));
        x.diagonal_of(offset, d[0], d[1])
    }

    /// Square matrices in two dims of the result, with the last dim on a diagonal and zeros elsewhere.
    ///
    /// *Errors*: `diag_embed_c1` no such dim of the result, or twice the same.
    #[track_caller]
    fn diag_embed(&self, offset: i64, dim1: i64, dim2: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        let rank = x.rank() + 1;
        match (crate::arg::normal(dim1, rank), crate::arg::normal(dim2, rank)) {
            (Some(a), Some(b)) if a != b && x.rank() > 0 => x.diag_embed_at(offset, a, b),
            (_, _) => bad(at!("diag_embed", 1), &[x], "dim1", "two different dims", &format!("{dim1} and {dim2}")),
        }
    }

    /// The tensor with `src` in place of what [`Parts::diagonal`] gives.
    ///
    /// *Errors*: `diagonal_c1` no such dim; `diagonal_scatter_c1` another shape or dtype.
    #[track_caller]
    fn diagonal_scatter(&self, src: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x, src]));
        let d = attempt!(dims_in_order(at!("diagonal", 1), x, &[dim1, dim2].into()));
        let place = x.diagonal_of(offset, d[0], d[1]);
        attempt!(live(&[&place]));
        if place.shape() != src.shape() || place.dtype() != src.dtype() {
            return bad_pair(at!("diagonal_scatter", 1), x, src, "a source like the diagonal");
        }
        let params = [("offset", num(offset)), ("dim1", num(dim1)), ("dim2", num(dim2))];
        one(schema::DIAGONAL_SCATTER, &params, &[x, src], |a| on_diagonal(&a[0], &a[1], offset, d[0], d[1]))
    }

    /// Windows of `size` elements, `step` apart, of `dim`; places in a window are the new last dim.
    ///
    /// *Errors*: `unfold_c1` no such dim; `unfold_c…` a window that does not fit, or a step of 0.
    #[track_caller]
    fn unfold(&self, dim: i64, size: usize, step: usize) -> Tensor {
        let x = self.tensor();
        let d = attempt!(real_dim(at!("unfold", 1), x, dim));
        x.unfold_dim(d, size, step)
    }

    /// The tensor with borders; `pad` lists `low, high` for the last dim, then for the one before, and so on.
    /// Negative
    /// amounts crop.
    ///
    /// *Errors*: `pad_c1` an odd number of amounts, or more than two for each dim; `pad_c2` a reflection or copy
    /// longer
    /// than the dim allows.
    #[track_caller]
    fn pad(&self, pad: &[i64], mode: PadMode) -> Tensor {
        let x = self.tensor();
        attempt!(live(&[x]));
        if !pad.len().is_multiple_of(2) || pad.len() / 2 > x.rank() {
            let expected = format!("pairs for at most {} dims", x.rank());
            return bad(at!("pad", 1), &[x], "pad", &expected, &format!("{} amounts", pad.len()));
        }
        let mut amounts = vec![(0, 0); x.rank()];
        for (k, pair) in pad.chunks(2).enumerate() {
            amounts[x.rank() - 1 - k] = (pair[0], pair[1]);
        }
        if let PadMode::Constant(value) = mode {
            return x.pad_dims(&amounts, value);
        }
        for (d, (low, high)) in amounts.iter().enumerate() {
            let n = x.shape()[d].get() as i64;
            let most = match mode {
                PadMode::Reflect => n - 1,
                PadMode::Circular => n,
                PadMode::Replicate if n == 0 => 0,
                PadMode::Replicate | PadMode::Constant(_) => i64::MAX,
            };
            if (*low > most || *high > most) && (*low > 0 || *high > 0)
                || low.saturating_add(*high).saturating_add(n) < 0
            {
                let expected = format!("at most {} for dim {d} of size {n} in this mode", most.max(0));
                return bad(at!("pad", 2), &[x], "pad", &expected, &format!("{low}, {high}"));
            }
        }
        let name = match (mode, pad.len() / 2) {
            (PadMode::Reflect, 1) => schema::REFLECTION_PAD1D,
            (PadMode::Reflect, 2) => schema::REFLECTION_PAD2D,
            (PadMode::Reflect, 3) => schema::REFLECTION_PAD3D,
            (PadMode::Replicate, 1) => schema::REPLICATION_PAD1D,
            (PadMode::Replicate, 2) => schema::REPLICATION_PAD2D,
            (PadMode::Replicate, 3) => schema::REPLICATION_PAD3D,
            (PadMode::Reflect | PadMode::Replicate | PadMode::Circular | PadMode::Constant(_), _) => {
                return bordered(x, &amounts, mode);
            }
        };
        one(name, &[("padding", list(pad))], &[x], |a| bordered(&a[0], &amounts, mode))
    }
}

impl Parts for Tensor {}

/// What borders are made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum PadMode {
    /// One number.
    Constant(f64),
    /// The elements mirrored at the border, which is not repeated.
    Reflect,
    /// The element at the border.
    Replicate,
    /// The elements from the other end.
    Circular,
}

/// An index as a position.
#[track_caller]
fn element(at: At, x: &Tensor, d: usize, index: i64) -> Result<usize, Tensor> {
    let n = x.shape()[d].get() as i64;
    let i = if index < 0 { index + n } else { index };
    if (0..n).contains(&i) {
        return Ok(i as usize);
    }
    Err(bad(at, &[x], "index", &format!("in [-{n}, {n}) for dim {d}"), &index.to_string()))
}

/// The ends of a slice, clamped as Python does.
pub(crate) fn bounds(x: &Tensor, d: usize, start: Option<i64>, end: Option<i64>) -> (usize, usize) {
    let n = x.shape()[d].get() as i64;
    let place = |i: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(0, n) as usize;
    let b = place(end.unwrap_or(n));
    (place(start.unwrap_or(0)).min(b), b)
}

#[track_caller]
fn matrices(at: At, x: &Tensor) -> Result<(), Tensor> {
    live(&[x])?;
    if x.rank() >= 2 { Ok(()) } else { Err(bad_operand(at, x, "at least two dims")) }
}

#[track_caller]
fn rolled(x: &Tensor, shift: i64, d: usize) -> Tensor {
    let n = x.shape()[d].get();
    if n == 0 {
        return x.clone();
    }
    let k = n - shift.rem_euclid(n as i64) as usize;
    if k == n {
        return x.clone();
    }
    Tensor::cat_dim(&[x.slice_dim(d, k, n, 1), x.slice_dim(d, 0, k, 1)], d)
}

/// The borders of one dim after the other. What is cropped on one side is still reflected or copied on the other; but as in
/// PyTorch, it is gone before a circular border is made.
#[track_caller]
fn bordered(x: &Tensor, amounts: &[(i64, i64)], mode: PadMode) -> Tensor {
    let crop: Vec<(i64, i64)> = amounts.iter().map(|(l, h)| ((*l).min(0), (*h).min(0))).collect();
    let (first, last) = match mode {
        PadMode::Circular => (crop.as_slice(), &[][..]),
        PadMode::Reflect | PadMode::Replicate | PadMode::Constant(_) => (&[][..], crop.as_slice()),
    };
    let cropped = |y: Tensor, crop: &[(i64, i64)]| if crop.is_empty() { y } else { y.pad_dims(crop, 0.0) };
    let mut y = cropped(x.clone(), first);
    for (d, (low, high)) in amounts.iter().enumerate() {
        let (l, h) = ((*low).max(0) as usize, (*high).max(0) as usize);
        if l == 0 && h == 0 {
            continue;
        }
        let n = y.shape()[d].get();
        let copies = |from: usize, k: usize| y.slice_dim(d, from, from + 1, 1).expand_to(&y.shape().with(d, k));
        let (before, after) = match mode {
            PadMode::Reflect => (
                (l > 0).then(|| y.slice_dim(d, 1, l + 1, 1).flip_dims(&[d])),
                (h > 0).then(|| y.slice_dim(d, n - 1 - h, n - 1, 1).flip_dims(&[d])),
            ),
            PadMode::Replicate => ((l > 0).then(|| copies(0, l)), (h > 0).then(|| copies(n - 1, h))),
            PadMode::Circular => {
                ((l > 0).then(|| y.slice_dim(d, n - l, n, 1)), (h > 0).then(|| y.slice_dim(d, 0, h, 1)))
            }
            PadMode::Constant(_) => (None, None),
        };
        let parts: Vec<Tensor> = [before, Some(y), after].into_iter().flatten().collect();
        y = Tensor::cat_dim(&parts, d);
    }
    cropped(y, last)
}

#[track_caller]
fn on_diagonal(x: &Tensor, src: &Tensor, offset: i64, d1: usize, d2: usize) -> Tensor {
    let r = x.rank();
    let mut order: Vec<usize> = (0..r).filter(|d| *d != d1 && *d != d2).collect();
    order.extend([d1, d2]);
    let back: Vec<usize> = (0..r).map(|d| order.iter().position(|o| *o == d).expect("a permutation")).collect();
    let x = x.permute_to(&order);
    let fitted = |square: Tensor| {
        let mut amounts = vec![(0, 0); r];
        for d in [r - 2, r - 1] {
            amounts[d].1 = x.shape()[d].get() as i64 - square.shape()[d].get() as i64;
        }
        square.pad_dims(&amounts, 0.0)
    };
    let mask = fitted(src.full_of(&Aval::new(DType::Bool, src.shape()), true).diag_embed_at(offset, r - 2, r - 1));
    fitted(src.diag_embed_at(offset, r - 2, r - 1)).where_exact(&mask, &x).permute_to(&back)
}
