//! Products of vectors, matrices and batches.

use std::borrow::Borrow;

use cotangent_core::Tensor;
use cotangent_core::ir::{Scalar, Shape};
use cotangent_core::tensor::broadcast_shapes;

use crate::arg::{AsTensor, At, at, attempt, bad_operand, bad_pair, keepdim, live, real_dim, refs};
use crate::call::{num, one};
use crate::pointwise::{meeting, pair, scaled};
use crate::reduce::Reductions;
use crate::schema;

/// Products under PyTorch's names. Inner sizes of 0 give zeros.
pub trait Products: AsTensor {
    /// The product of vectors, matrices and broadcast batches of matrices.
    ///
    /// *Shape*: a vector stands for a row on the left and a column on the right, whose dim disappears.
    /// *Errors*: `matmul_c1` a scalar; `matmul_c2` inner sizes that differ; `matmul_c3` dtypes that differ;
    /// `matmul_c4`
    /// batches that do not broadcast.
    #[track_caller]
    fn matmul(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.tensor(), other);
        attempt!(live(&[a, b]));
        if a.rank() == 0 || b.rank() == 0 {
            return bad_pair(at!("matmul", 1), a, b, "tensors with at least one dim (use `*` for scalars)");
        }
        attempt!(inner(at!("matmul", 2), at!("matmul", 3), a, b, b.rank().saturating_sub(2)));
        let k = a.shape()[a.rank() - 1];
        match (a.rank(), b.rank()) {
            (1, 1) => a.dot(b),
            (2, 2) => a.mm(b),
            (2, 1) => a.mv(b),
            (1, 2) => a.view_to(&Shape::scalar().inserted(0, k).inserted(0, 1)).mm(b).view_to(&b.shape().removed(0)),
            // One product for the whole batch.
            (_, 1 | 2) => {
                let rows = if k == 0 { a.shape().removed(a.rank() - 1).numel() } else { a.numel() / k.get() };
                let flat = a.view_to(&[rows, k.get()].into());
                let lead = a.shape().removed(a.rank() - 1);
                if b.rank() == 1 {
                    flat.mv(b).view_to(&lead)
                } else {
                    let product = flat.mm(b);
                    product.view_to(&lead.inserted(lead.rank(), b.shape()[1]))
                }
            }
            (_, _) => batched(a, b),
        }
    }

    /// The product of two vectors.
    ///
    /// *Errors*: `dot_c1` no vectors of one length; `dot_c2` dtypes that differ.
    #[track_caller]
    fn dot(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.tensor(), other);
        attempt!(live(&[a, b]));
        if a.rank() != 1 || a.shape() != b.shape() {
            return bad_pair(at!("dot", 1), a, b, "vectors of one length");
        }
        attempt!(same_dtype(at!("dot", 2), a, b));
        one(schema::DOT, &[], &[a, b], |t| {
            // Integers are summed in `i64` and wrap afterwards.
            let product = &t[0] * &t[1];
            product.sum_dim(0).convert(product.dtype())
        })
    }

    /// The product of a matrix and a vector.
    ///
    /// *Errors*: `mv_c1` no matrix and vector; `mv_c2` sizes or dtypes that differ.
    #[track_caller]
    fn mv(&self, vec: &Tensor) -> Tensor {
        let (a, v) = (self.tensor(), vec);
        attempt!(live(&[a, v]));
        if a.rank() != 2 || v.rank() != 1 {
            return bad_pair(at!("mv", 1), a, v, "a matrix and a vector");
        }
        attempt!(inner(at!("mv", 2), at!("mv", 2), a, v, 0));
        one(schema::MV, &[], &[a, v], |t| {
            let column = t[1].view_to(&t[1].shape().inserted(1, 1));
            t[0].mm(&column).view_to(&t[0].shape().removed(1))
        })
    }

    /// All products of elements of two vectors.
    ///
    /// *Errors*: `outer_c1` no vectors.
    #[track_caller]
    fn outer(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.tensor(), other);
        attempt!(live(&[a, b]));
        if a.rank() != 1 || b.rank() != 1 {
            return bad_pair(at!("outer", 1), a, b, "vectors");
        }
        a.view_to(&a.shape().inserted(1, 1)) * b
    }

    /// The sums of products over the last dims.
    ///
    /// *Errors*: `inner_c1` last sizes that differ; `inner_c2` dtypes that differ.
    #[track_caller]
    fn inner(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.tensor(), other);
        attempt!(live(&[a, b]));
        if a.rank() == 0 || b.rank() == 0 {
            return a * b;
        }
        let (i, j) = (a.rank() - 1, b.rank() - 1);
        if a.shape()[i] != b.shape()[j] {
            return bad_pair(at!("inner", 1), a, b, "equal last sizes");
        }
        attempt!(same_dtype(at!("inner", 2), a, b));
        contract(a, b, &[i], &[j])
    }

    /// The sums of products over pairs of dims; a dim of size 1 meets one of any size.
    ///
    /// *Errors*: `tensordot_c1` no such dim; `tensordot_c2` sizes that differ; `tensordot_c3` dtypes that differ.
    #[track_caller]
    fn tensordot(&self, other: &Tensor, dims_self: &[i64], dims_other: &[i64]) -> Tensor {
        let (a, b) = (self.tensor(), other);
        attempt!(live(&[a, b]));
        let i = attempt!(crate::arg::dims_in_order(at!("tensordot", 1), a, &dims_self.into()));
        let j = attempt!(crate::arg::dims_in_order(at!("tensordot", 1), b, &dims_other.into()));
        let sizes = |(i, j): (&usize, &usize)| Some((a.shape().dims().get(*i)?.get(), b.shape().dims().get(*j)?.get()));
        let meet = |n: (usize, usize)| n.0 == n.1 || n.0 == 1 || n.1 == 1;
        if i.len() != j.len() || !i.iter().zip(&j).all(|pair| sizes(pair).is_some_and(meet)) {
            return bad_pair(at!("tensordot", 2), a, b, "as many dims of equal sizes, or of size 1, on both sides");
        }
        attempt!(same_dtype(at!("tensordot", 3), a, b));
        let (mut summed_a, mut summed_b) = (a.clone(), b.clone());
        for (i, j) in i.iter().zip(&j) {
            match (a.shape()[*i].get(), b.shape()[*j].get()) {
                (n, m) if n == m => {}
                (1, _) => summed_b = summed_b.sum_dim(keepdim(*j as i64)).convert(b.dtype()),
                _ => summed_a = summed_a.sum_dim(keepdim(*i as i64)).convert(a.dtype()),
            }
        }
        contract(&summed_a, &summed_b, &i, &j)
    }

    /// `beta · x + alpha · (mat1 mat2)`; with `beta` 0 the tensor is not read.
    ///
    /// *Errors*: `addmm_c1` no matrices; `addmm_c2` inner sizes or dtypes that differ; `addmm_c3` a shape that does
    /// not
    /// expand to the product's.
    #[track_caller]
    fn addmm(&self, mat1: &Tensor, mat2: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Tensor {
        let (x, beta, alpha) = (self.tensor(), beta.into(), alpha.into());
        attempt!(live(&[x, mat1, mat2]));
        if mat1.rank() != 2 || mat2.rank() != 2 {
            return bad_pair(at!("addmm", 1), mat1, mat2, "matrices");
        }
        attempt!(inner(at!("addmm", 2), at!("addmm", 2), mat1, mat2, 0));
        let shape = Shape::scalar().inserted(0, mat2.shape()[1]).inserted(0, mat1.shape()[0]);
        attempt!(expands(at!("addmm", 3), x, &shape));
        let params = [("beta", num(beta)), ("alpha", num(alpha))];
        one(schema::ADDMM, &params, &[x, mat1, mat2], |t| plus(&t[0], &t[1].mm(&t[2]), beta, alpha))
    }

    /// As [`Products::addmm`] for batches of matrices.
    ///
    /// *Errors*: `baddbmm_c1` no batches of matrices; `baddbmm_c2` sizes or dtypes that differ; `baddbmm_c3` a shape
    /// that
    /// does not expand to the product's.
    #[track_caller]
    fn baddbmm(&self, batch1: &Tensor, batch2: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Tensor {
        let (x, beta, alpha) = (self.tensor(), beta.into(), alpha.into());
        attempt!(live(&[x, batch1, batch2]));
        if batch1.rank() != 3 || batch2.rank() != 3 || batch1.shape()[0] != batch2.shape()[0] {
            return bad_pair(at!("baddbmm", 1), batch1, batch2, "equally many matrices");
        }
        attempt!(inner(at!("baddbmm", 2), at!("baddbmm", 2), batch1, batch2, 1));
        attempt!(expands(at!("baddbmm", 3), x, &batch1.shape().with(2, batch2.shape()[2])));
        let params = [("beta", num(beta)), ("alpha", num(alpha))];
        one(schema::BADDBMM, &params, &[x, batch1, batch2], |t| plus(&t[0], &t[1].bmm(&t[2]), beta, alpha))
    }

    /// `x Wᵀ + b`, with `x` `[…, in]`, `W` `[out, in]` or `[in]`, `b` `[out]`.
    ///
    /// *Errors*: `linear_c1` a scalar, or a weight of more than two dims; `linear_c2` input sizes that differ;
    /// `linear_c3` dtypes that differ; `linear_c4` a bias that does not fit.
    #[track_caller]
    fn linear<'a>(&self, weight: &Tensor, bias: impl Into<Option<&'a Tensor>>) -> Tensor {
        let (x, bias) = (self.tensor(), bias.into());
        attempt!(live(&[x, weight]));
        if x.rank() == 0 || !(1..=2).contains(&weight.rank()) {
            return bad_pair(at!("linear", 1), x, weight, "an input with a dim, and a weight [out, in] or [in]");
        }
        let (n, m) = (x.shape()[x.rank() - 1], weight.shape()[weight.rank() - 1]);
        if n != m {
            return bad_pair(at!("linear", 2), x, weight, "an input […, in] and a weight [out, in]");
        }
        attempt!(same_dtype(at!("linear", 3), x, weight));
        let w = if weight.rank() == 2 { weight.permute_to(&[1, 0]) } else { weight.clone() };
        let Some(b) = bias else { return x.matmul(&w) };
        attempt!(live(&[b]));
        let out = x.shape().removed(x.rank() - 1).concat(&w.shape().removed(0));
        attempt!(expands(at!("linear", 4), b, &out));
        if b.rank() > 1 || weight.rank() == 1 {
            return x.matmul(&w) + b;
        }
        let rows = x.shape().removed(x.rank() - 1).numel();
        b.addmm(&x.view_to(&[rows, n.get()].into()), &w, 1.0, 1.0).view_to(&out)
    }

    /// `y[…, o] = Σ x1[…, i] W[o, i, j] x2[…, j] + b[o]`.
    ///
    /// *Errors*: `bilinear_c1` shapes that do not fit.
    #[track_caller]
    fn bilinear<'a>(&self, input2: &Tensor, weight: &Tensor, bias: impl Into<Option<&'a Tensor>>) -> Tensor {
        let (x, y, bias) = (self.tensor(), input2, bias.into());
        attempt!(live(&[x, y, weight]));
        let (r, s) = (x.rank(), weight.shape());
        let fits = r > 0
            && r == y.rank()
            && s.rank() == 3
            && x.shape().removed(r - 1) == y.shape().removed(r - 1)
            && (s[1], s[2]) == (x.shape()[r - 1], y.shape()[r - 1]);
        if !fits {
            return bad_pair(at!("bilinear", 1), x, y, "inputs […, i] and […, j] for a weight [o, i, j]");
        }
        let left = contract(x, weight, &[r - 1], &[1]);
        let products = left * y.view_to(&y.shape().inserted(r - 1, 1));
        let product = products.sum_dim(r as i64).convert(x.dtype());
        match bias {
            Some(b) => product + b,
            None => product,
        }
    }

    /// The Kronecker product.
    #[track_caller]
    fn kron(&self, other: &Tensor) -> Tensor {
        let (a, b) = (self.tensor(), other);
        attempt!(live(&[a, b]));
        let rank = a.rank().max(b.rank());
        let padded = |x: &Tensor| {
            let lead: Shape = std::iter::repeat_n(1usize, rank - x.rank()).collect();
            lead.concat(x.shape()).sizes()
        };
        let (sa, sb) = (padded(a), padded(b));
        let (mut left, mut right, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for (m, n) in sa.iter().zip(&sb) {
            left.extend([*m, 1]);
            right.extend([1, *n]);
            out.push(m.saturating_mul(*n));
        }
        (a.view_to(&left.into()) * b.view_to(&right.into())).view_to(&out.into())
    }

    /// The vector product along `dim`, of size 3.
    ///
    /// *Errors*: `cross_c1` shapes that do not broadcast; `cross_c2` no such dim; `cross_c3` a size that is not 3.
    #[track_caller]
    fn cross(&self, other: &Tensor, dim: i64) -> Tensor {
        let (a, b) = attempt!(pair(at!("cross", 1), self.tensor(), other));
        let shape = broadcast_shapes(a.shape(), b.shape()).expect("checked above");
        let d = meeting(&a, &b);
        let (a, b) = (a.convert(d).expand_to(&shape), b.convert(d).expand_to(&shape));
        let axis = attempt!(real_dim(at!("cross", 2), &a, dim));
        if shape[axis] != 3 {
            return bad_operand(at!("cross", 3), &a, "size 3 along the dim");
        }
        one(schema::LINALG_CROSS, &[("dim", num(dim))], &[&a, &b], |t| {
            let turned = |x: &Tensor, by: usize| {
                let parts = [x.slice_dim(axis, by, 3, 1), x.slice_dim(axis, 0, by, 1)];
                Tensor::cat_dim(&parts, axis)
            };
            turned(&t[0], 1) * turned(&t[1], 2) - turned(&t[0], 2) * turned(&t[1], 1)
        })
    }
}

impl Products for Tensor {}

/// The product of several matrices in the order that needs the fewest multiplications.
///
/// *Errors*: `chain_matmul_c1` no matrices; `mm_c…` sizes that do not fit.
#[track_caller]
pub fn chain_matmul<T: Borrow<Tensor>>(matrices: &[T]) -> Tensor {
    let matrices = &refs(matrices)[..];
    attempt!(live(matrices));
    for m in matrices {
        if m.rank() != 2 {
            return bad_operand(at!("chain_matmul", 1), m, "a matrix");
        }
    }
    if matrices.is_empty() {
        return crate::arg::bad(at!("chain_matmul", 1), &[], "matrices", "at least one matrix", "none");
    }
    let n = matrices.len();
    let p: Vec<u128> = std::iter::once(matrices[0].shape()[0])
        .chain(matrices.iter().map(|m| m.shape()[1]))
        .map(|d| d.get() as u128)
        .collect();
    let (mut cost, mut split) = (vec![vec![0u128; n]; n], vec![vec![0; n]; n]);
    for len in 1..n {
        for i in 0..n - len {
            let j = i + len;
            let of = |k: usize| cost[i][k] + cost[k + 1][j] + p[i] * p[k + 1] * p[j + 1];
            let best = (i..j).min_by_key(|k| of(*k)).expect("a split");
            (cost[i][j], split[i][j]) = (of(best), best);
        }
    }
    chain(matrices, &split, 0, n - 1)
}

#[track_caller]
fn chain(m: &[&Tensor], split: &[Vec<usize>], i: usize, j: usize) -> Tensor {
    if i == j {
        return m[i].clone();
    }
    let k = split[i][j];
    chain(m, split, i, k).mm(&chain(m, split, k + 1, j))
}

/// The sums of products over the dims `i` of `a` and `j` of `b`; the others stay in order, `a`'s first.
#[track_caller]
pub(crate) fn contract(a: &Tensor, b: &Tensor, i: &[usize], j: &[usize]) -> Tensor {
    let (free_a, free_b) = (others(a, i), others(b, j));
    let size = |x: &Tensor, dims: &[usize]| dims.iter().map(|d| x.shape()[*d].get()).product::<usize>();
    let k = size(a, i);
    let left = a.permute_to(&[free_a.as_slice(), i].concat()).view_to(&[size(a, &free_a), k].into());
    let right = b.permute_to(&[j, free_b.as_slice()].concat()).view_to(&[k, size(b, &free_b)].into());
    let sizes = free_a.iter().map(|d| a.shape()[*d]).chain(free_b.iter().map(|d| b.shape()[*d]));
    left.mm(&right).view_to(&sizes.collect())
}

fn others(x: &Tensor, dims: &[usize]) -> Vec<usize> {
    (0..x.rank()).filter(|d| !dims.contains(d)).collect()
}

/// Matrices in broadcast batches.
#[track_caller]
fn batched(a: &Tensor, b: &Tensor) -> Tensor {
    let lead = |x: &Tensor| x.shape().slice(0, x.rank().saturating_sub(2));
    let Some(batch) = broadcast_shapes(&lead(a), &lead(b)) else {
        return bad_pair(at!("matmul", 4), a, b, "batches that broadcast");
    };
    let vector = a.rank() == 1;
    let a = if vector { a.view_to(&a.shape().inserted(0, 1)) } else { a.clone() };
    let Some(n) = batch.checked_numel() else {
        return bad_pair(at!("matmul", 4), &a, b, "batches of at most 2^47 matrices");
    };
    let flat = |x: &Tensor| {
        let matrix = x.shape().slice(x.rank() - 2, x.rank());
        x.expand_to(&batch.concat(&matrix)).view_to(&matrix.inserted(0, n))
    };
    let product = flat(&a).bmm(&flat(b));
    let matrix = if vector { product.shape().slice(2, 3) } else { product.shape().slice(1, 3) };
    product.view_to(&batch.concat(&matrix))
}

/// Checks the last dim of `a` against dim `k` of `b`, and the dtypes.
#[track_caller]
fn inner(sizes: At, dtypes: At, a: &Tensor, b: &Tensor, k: usize) -> Result<(), Tensor> {
    let (n, m) = (a.shape()[a.rank() - 1], b.shape()[k]);
    if n != m {
        return Err(bad_pair(sizes, a, b, &format!("equal inner sizes, not {n} and {m}")));
    }
    same_dtype(dtypes, a, b)
}

#[track_caller]
pub(crate) fn same_dtype(at: At, a: &Tensor, b: &Tensor) -> Result<(), Tensor> {
    if a.dtype() == b.dtype() { Ok(()) } else { Err(bad_pair(at, a, b, "operands of one dtype")) }
}

#[track_caller]
fn expands(at: At, x: &Tensor, shape: &Shape) -> Result<(), Tensor> {
    if cotangent_core::ops::Expand::fits(x.shape(), shape) {
        return Ok(());
    }
    Err(bad_operand(at, x, &format!("a shape that expands to {shape}")))
}

#[track_caller]
fn plus(x: &Tensor, product: &Tensor, beta: Scalar, alpha: Scalar) -> Tensor {
    let product = scaled(product, alpha);
    if beta.to_f64() == 0.0 { product } else { scaled(x, beta) + product }
}
