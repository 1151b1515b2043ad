//! Products with their tangents, by the product rule only: exact where factors are zero, at every order.

use crate::tensor::Tensor;

/// The most factors that are multiplied as a tree: it grows with them, and scans do not.
const TREE: usize = 8;

/// A tensor and a tangent of its aval.
#[derive(Clone)]
pub(crate) struct Dual {
    /// The value.
    pub x: Tensor,
    /// The tangent.
    pub x_dot: Tensor,
}

impl Dual {
    fn size(&self, dim: usize) -> usize {
        self.x.shape()[dim].get()
    }

    fn part(&self, dim: usize, start: usize, end: usize) -> Dual {
        let part = |t: &Tensor| t.slice_dim(dim, start, end, 1);
        Dual { x: part(&self.x), x_dot: part(&self.x_dot) }
    }

    fn times(&self, other: &Dual) -> Dual {
        Dual { x: &self.x * &other.x, x_dot: &self.x_dot * &other.x + &self.x * &other.x_dot }
    }

    /// `self` where the condition holds, else `other`.
    fn select(&self, condition: &Tensor, other: &Dual) -> Dual {
        let select = |a: &Tensor, b: &Tensor| a.where_exact(condition, b);
        Dual { x: select(&self.x, &other.x), x_dot: select(&self.x_dot, &other.x_dot) }
    }

    fn before(&self, other: &Dual, dim: usize) -> Dual {
        let join = |a: &Tensor, b: &Tensor| Tensor::cat_dim(&[a.clone(), b.clone()], dim);
        Dual { x: join(&self.x, &other.x), x_dot: join(&self.x_dot, &other.x_dot) }
    }

    /// The tangent of the product along `dim`, which is not empty and stays with size 1: each tangent times the product of all others.
    pub fn product_dot(self, dim: usize) -> Tensor {
        if self.size(dim) <= TREE {
            return self.tree_dot(dim);
        }
        let others = products_before(&self.x, dim) * products_before(&self.x.flip_dims(&[dim]), dim).flip_dims(&[dim]);
        let dot = (&self.x_dot * &others).sum_over(&[dim]);
        dot.view_to(self.part(dim, 0, 1).x.shape())
    }

    /// The same by a tree of products of halves.
    fn tree_dot(mut self, dim: usize) -> Tensor {
        let mut odd: Option<Dual> = None;
        loop {
            let n = self.size(dim);
            if n == 1 {
                return match odd {
                    Some(odd) => self.times(&odd).x_dot,
                    None => self.x_dot,
                };
            }
            if n % 2 == 1 {
                let last = self.part(dim, n - 1, n);
                odd = Some(odd.map_or(last.clone(), |odd| odd.times(&last)));
            }
            let half = n / 2;
            self = self.part(dim, 0, half).times(&self.part(dim, half, 2 * half));
        }
    }

    /// The tangents of the products of all elements up to each one along `dim`, in about log2 n steps over all of
    /// them (Hillis and Steele). Where `keys` (sorted along `dim`) are given, only over elements of the same key.
    pub fn prefix_products_dot(mut self, dim: usize, keys: Option<&Tensor>) -> Tensor {
        let n = self.size(dim);
        let mut distance = 1;
        while distance < n {
            let far = self.part(dim, distance, n);
            let mut both = self.part(dim, 0, n - distance).times(&far);
            if let Some(keys) = keys {
                let key = |start: usize, end: usize| keys.slice_dim(dim, start, end, 1);
                both = both.select(&key(0, n - distance).eq(key(distance, n)), &far);
            }
            self = self.part(dim, 0, distance).before(&both, dim);
            distance *= 2;
        }
        self.x_dot
    }
}

/// The product of all elements before each one along `dim`, which is not empty.
fn products_before(x: &Tensor, dim: usize) -> Tensor {
    let n = x.shape()[dim].get();
    let none = x.slice_dim(dim, 0, 1, 1).full_like(1.0);
    Tensor::cat_dim(&[none, x.slice_dim(dim, 0, n - 1, 1).cumprod_along(dim)], dim)
}
