//! Tensors put together and taken apart.

use std::borrow::Borrow;

use cotangent_core::Tensor;
use cotangent_core::ir::{DType, Shape};

use crate::arg::{AsTensor, Sizes, at, attempt, bad, bad_pair, live, real_dim, refs, sizes};
use crate::shape::place;

/// Taking tensors apart under PyTorch's names.
pub trait Pieces: AsTensor {
    /// Pieces of `size` along `dim`; the last may be smaller.
    ///
    /// *Errors*: `split_c1` no such dim; `split_c2` a size of 0 for a dim that is not empty.
    #[track_caller]
    fn split(&self, size: usize, dim: i64) -> Vec<Tensor> {
        let x = self.tensor();
        match real_dim(at!("split", 1), x, dim) {
            Err(poison) => vec![poison],
            Ok(d) => {
                let n = x.shape()[d].get();
                if size == 0 && n > 0 {
                    return vec![bad(at!("split", 2), &[x], "split_size", "at least 1", "0")];
                }
                let count = if n == 0 { 1 } else { n.div_ceil(size) };
                (0..count).map(|i| x.slice_dim(d, i * size, (i * size + size).min(n), 1)).collect()
            }
        }
    }

    /// Pieces of these sizes along `dim`.
    ///
    /// *Errors*: `split_c1` no such dim; `split_c3` sizes that are not the dim's together.
    #[track_caller]
    fn split_with_sizes(&self, split_sizes: impl Into<Sizes>, dim: i64) -> Vec<Tensor> {
        let x = self.tensor();
        let checked = real_dim(at!("split", 1), x, dim)
            .and_then(|d| Ok((d, sizes(at!("split", 3), &[x], "split_sizes", &split_sizes.into())?)));
        let (d, parts) = match checked {
            Ok(v) => v,
            Err(poison) => return vec![poison],
        };
        let n = x.shape()[d].get();
        if parts.iter().try_fold(0usize, |a, b| a.checked_add(*b)) != Some(n) {
            let expected = format!("sizes that sum to {n}");
            return vec![bad(at!("split", 3), &[x], "split_sizes", &expected, &format!("{parts:?}"))];
        }
        let mut start = 0;
        let piece = |n: usize| {
            let from = start;
            start += n;
            x.slice_dim(d, from, from + n, 1)
        };
        parts.into_iter().map(piece).collect()
    }

    /// At most `chunks` pieces of equal size along `dim`; the last may be smaller, and there may be fewer.
    ///
    /// *Errors*: `chunk_c1` no such dim; `chunk_c2` no chunks.
    #[track_caller]
    fn chunk(&self, chunks: usize, dim: i64) -> Vec<Tensor> {
        let x = self.tensor();
        match real_dim(at!("chunk", 1), x, dim) {
            Err(poison) => vec![poison],
            Ok(_) if chunks == 0 => vec![bad(at!("chunk", 2), &[x], "chunks", "at least 1", "0")],
            Ok(d) if x.shape()[d] == 0 => vec![x.clone(); chunks],
            Ok(d) => x.split(x.shape()[d].get().div_ceil(chunks), dim),
        }
    }

    /// Exactly `sections` pieces along `dim`, the first ones larger by one where they do not divide it.
    ///
    /// *Errors*: `tensor_split_c1` no such dim; `tensor_split_c2` no sections.
    #[track_caller]
    fn tensor_split(&self, sections: usize, dim: i64) -> Vec<Tensor> {
        let x = self.tensor();
        match real_dim(at!("tensor_split", 1), x, dim) {
            Err(poison) => vec![poison],
            Ok(_) if sections == 0 => vec![bad(at!("tensor_split", 2), &[x], "sections", "at least 1", "0")],
            Ok(d) => {
                let n = x.shape()[d].get();
                let start = |i: usize| i * (n / sections) + i.min(n % sections);
                (0..sections).map(|i| x.slice_dim(d, start(i), start(i + 1), 1)).collect()
            }
        }
    }

    /// Pieces along `dim` that end at these places; places beyond an end are clamped, as in PyTorch.
    ///
    /// *Errors*: `tensor_split_c1` no such dim.
    #[track_caller]
    fn tensor_split_at(&self, indices: &[i64], dim: i64) -> Vec<Tensor> {
        let x = self.tensor();
        match real_dim(at!("tensor_split", 1), x, dim) {
            Err(poison) => vec![poison],
            Ok(d) => {
                let n = x.shape()[d].get() as i64;
                let place = |i: i64| (if i < 0 { i + n } else { i }).clamp(0, n) as usize;
                let mut ends: Vec<usize> = indices.iter().map(|i| place(*i)).collect();
                ends.push(n as usize);
                let starts = std::iter::once(0).chain(ends.clone());
                starts.zip(&ends).map(|(a, b)| x.slice_dim(d, a.min(*b), *b, 1)).collect()
            }
        }
    }

    /// The slices along `dim`, without it.
    ///
    /// *Errors*: `unbind_c1` no such dim.
    #[track_caller]
    fn unbind(&self, dim: i64) -> Vec<Tensor> {
        let x = self.tensor();
        match real_dim(at!("unbind", 1), x, dim) {
            Err(poison) => vec![poison],
            Ok(d) => {
                let rest = x.shape().removed(d);
                (0..x.shape()[d].get()).map(|i| x.slice_dim(d, i, i + 1, 1).view_to(&rest)).collect()
            }
        }
    }
}

impl Pieces for Tensor {}

/// The dtype in which tensors are put together.
fn common(tensors: &[&Tensor]) -> Option<DType> {
    tensors.iter().map(|t| t.dtype()).reduce(DType::promote)
}

/// Tensors one after the other along `dim`, in their common dtype. Empty vectors are left out, as PyTorch does.
///
/// *Errors*: `cat_c1` no tensors; `cat_c2` no such dim; `cat_c3` shapes that differ elsewhere.
#[track_caller]
pub fn cat<T: Borrow<Tensor>>(tensors: &[T], dim: i64) -> Tensor {
    let tensors = &refs(tensors)[..];
    attempt!(live(tensors));
    let Some(dtype) = common(tensors) else {
        return bad(at!("cat", 1), &[], "tensors", "at least one tensor", "none");
    };
    let is_skipped = |t: &Tensor| t.rank() == 1 && t.shape()[0] == 0;
    let parts: Vec<Tensor> = tensors.iter().filter(|t| !is_skipped(t)).map(|t| t.convert(dtype)).collect();
    let Some(first) = parts.first() else { return tensors[0].convert(dtype) };
    let d = attempt!(real_dim(at!("cat", 2), first, dim));
    for t in &parts[1..] {
        if t.rank() != first.rank() || t.shape().removed(d) != first.shape().removed(d) {
            return bad_pair(at!("cat", 3), first, t, &format!("equal sizes except along dim {d}"));
        }
    }
    Tensor::cat_dim(&parts, d)
}

/// Tensors of one shape along a new dim.
///
/// *Errors*: `stack_c1` no tensors; `stack_c2` shapes that differ; `unsqueeze_c1` no such place.
#[track_caller]
pub fn stack<T: Borrow<Tensor>>(tensors: &[T], dim: i64) -> Tensor {
    let tensors = &refs(tensors)[..];
    attempt!(live(tensors));
    let Some(dtype) = common(tensors) else {
        return bad(at!("stack", 1), &[], "tensors", "at least one tensor", "none");
    };
    let d = attempt!(place(tensors[0], dim));
    let mut parts = Vec::with_capacity(tensors.len());
    for t in tensors {
        if t.shape() != tensors[0].shape() {
            return bad_pair(at!("stack", 2), tensors[0], t, "tensors of one shape");
        }
        parts.push(t.convert(dtype).view_to(&t.shape().inserted(d, 1)));
    }
    Tensor::cat_dim(&parts, d)
}

/// The tensor with dims of size 1 up to `rank`, which is at most 3, as `torch.atleast_3d` adds them.
#[track_caller]
pub fn at_least(x: &Tensor, rank: usize) -> Tensor {
    let s = x.shape().sizes();
    let shape: Shape = match (rank, s.as_slice()) {
        (1.., []) => std::iter::repeat_n(1usize, rank).collect(),
        (2, [n]) => [1, *n].into(),
        (3, [n]) => [1, *n, 1].into(),
        (3, [n, m]) => [*n, *m, 1].into(),
        (_, _) => x.shape().clone(),
    };
    x.view_to(&shape)
}

#[track_caller]
fn joined(tensors: &[&Tensor], rank: usize, dim: i64) -> Tensor {
    attempt!(live(tensors));
    let wide: Vec<Tensor> = tensors.iter().map(|t| at_least(t, rank)).collect();
    cat(&wide, dim)
}

/// Vectors end to end, others side by side (along dim 1).
#[track_caller]
pub fn hstack<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    let tensors = &refs(tensors)[..];
    attempt!(live(tensors));
    let dim = if tensors.first().is_some_and(|t| t.rank() > 1) { 1 } else { 0 };
    joined(tensors, 1, dim)
}

/// Vectors as rows, others along dim 0.
#[track_caller]
pub fn vstack<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    joined(&refs(tensors), 2, 0)
}

/// Along dim 2, where vectors are `[1, n, 1]` and matrices `[n, m, 1]`.
#[track_caller]
pub fn dstack<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    joined(&refs(tensors), 3, 2)
}

/// Vectors as columns, others along dim 1.
#[track_caller]
pub fn column_stack<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    let tensors = &refs(tensors)[..];
    attempt!(live(tensors));
    let column = |t: &&Tensor| if t.rank() < 2 { t.view_to(&[t.numel(), 1].into()) } else { (*t).clone() };
    let columns: Vec<Tensor> = tensors.iter().map(column).collect();
    cat(&columns, 1)
}

/// Matrices on the diagonal of one large matrix of zeros.
///
/// *Errors*: `block_diag_c1` more than two dims.
#[track_caller]
pub fn block_diag<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    let tensors = &refs(tensors)[..];
    attempt!(live(tensors));
    if let Some(t) = tensors.iter().find(|t| t.rank() > 2) {
        return crate::arg::bad_operand(at!("block_diag", 1), t, "at most two dims");
    }
    let blocks: Vec<Tensor> = tensors.iter().map(|t| at_least(t, 2)).collect();
    let total: usize = blocks.iter().map(|t| t.shape()[1].get()).sum();
    let mut left = 0;
    let mut rows = Vec::with_capacity(blocks.len());
    for b in &blocks {
        let width = b.shape()[1].get();
        rows.push(b.pad_dims(&[(0, 0), (left as i64, (total - left - width) as i64)], 0.0));
        left += width;
    }
    cat(&rows, 0)
}

/// The coordinates of the grid over vectors: result `i` has the value of vector `i` along its own dim.
///
/// *Errors*: `meshgrid_c1` tensors of more than one dim, or of different dtypes.
#[track_caller]
pub fn meshgrid<T: Borrow<Tensor>>(tensors: &[T]) -> Vec<Tensor> {
    let tensors = &refs(tensors)[..];
    if let Err(poison) = live(tensors) {
        return vec![poison; tensors.len()];
    }
    if let Some(t) = tensors.iter().find(|t| t.rank() > 1 || t.dtype() != tensors[0].dtype()) {
        let poison = bad_pair(at!("meshgrid", 1), tensors[0], t, "vectors of one dtype");
        return vec![poison; tensors.len()];
    }
    let shape: Shape = tensors.iter().map(|t| t.numel()).collect();
    let own = |i: usize| -> Shape { (0..tensors.len()).map(|k| if k == i { tensors[i].numel() } else { 1 }).collect() };
    tensors.iter().enumerate().map(|(i, t)| t.view_to(&own(i)).expand_to(&shape)).collect()
}

/// All tuples of elements of vectors, one a row.
#[track_caller]
pub fn cartesian_prod<T: Borrow<Tensor>>(tensors: &[T]) -> Tensor {
    let tensors = &refs(tensors)[..];
    if let [alone] = tensors {
        return (*alone).clone();
    }
    let grid = meshgrid(tensors);
    attempt!(live(&refs(&grid)));
    let columns: Vec<Tensor> = grid.iter().map(|g| g.view_to(&[g.numel()].into())).collect();
    stack(&columns, 1)
}
