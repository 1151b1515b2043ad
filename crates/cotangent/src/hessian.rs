//! `hessian`: second derivatives.

use std::marker::PhantomData;

use cotangent_core::error::Error;

use crate::argnums::{At, Select};
use crate::auxiliary::{HasAux, NoAux};
use crate::function::{Arguments, ByRef, Function, by_reference};
use crate::jacobian::{JacFwd, JacRev};
use crate::tree::Tree;

/// The second derivatives in argument 0: `jacfwd(jacrev(f))`.
///
/// Each leaf has the shape of the result's leaf, then that of the argument's, twice; several arguments give a tuple of
/// tuples.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let h = hessian(|x: Tensor| (&x * &x * &x).sum()).call((Tensor::from([1.0f32, 2.0]),))?;
/// assert_eq!(h.to_vec::<f32>()?, [6.0, 0.0, 0.0, 12.0]);
/// # Ok(())
/// # }
/// ```
pub fn hessian<F>(f: F) -> Hessian<F> {
    Hessian { f, chunk_size: None, mode: PhantomData }
}

/// The function that [`hessian`] makes.
#[derive(Debug)]
pub struct Hessian<F, W = At<0>, A = NoAux> {
    f: F,
    chunk_size: Option<usize>,
    mode: PhantomData<fn() -> (W, A)>,
}

impl<F: Clone, W, A> Clone for Hessian<F, W, A> {
    fn clone(&self) -> Self {
        Hessian { f: self.f.clone(), chunk_size: self.chunk_size, mode: PhantomData }
    }
}

impl<F, W, A> Hessian<F, W, A> {
    /// Selects the arguments: one for its own type, several for a tuple.
    pub fn argnums<W2>(self) -> Hessian<F, W2, A> {
        Hessian { f: self.f, chunk_size: self.chunk_size, mode: PhantomData }
    }

    /// For a function that returns `(output, aux)`: the result is `(hessian, aux)`.
    pub fn has_aux(self) -> Hessian<F, W, HasAux> {
        Hessian { f: self.f, chunk_size: self.chunk_size, mode: PhantomData }
    }

    /// Pulls back so many rows at a time in the inner Jacobian, for less memory.
    pub fn chunk_size(mut self, rows: usize) -> Self {
        self.chunk_size = Some(rows);
        self
    }
}

impl<F, W, A> Hessian<F, W, A> {
    fn inner(&self) -> JacRev<ByRef<'_, F>, W, A> {
        JacRev::new(ByRef(&self.f), self.chunk_size)
    }
}

type Second<Y, X> = <<Y as Tree>::Map<X> as Tree>::Map<X>;

impl<Args, F, W> Function<Args> for Hessian<F, W, NoAux>
where
    Args: Arguments,
    F: Function<Args>,
    W: Select<Args>,
{
    type Output = Second<F::Output, W::Selected>;

    fn call(&self, args: Args) -> Result<Self::Output, Error> {
        JacFwd::<_, W, NoAux>::new(self.inner()).call(args)
    }

    fn name(&self) -> String {
        format!("hessian({})", self.f.name())
    }
}

impl<Args, F, W, Y, Aux> Function<Args> for Hessian<F, W, HasAux>
where
    Args: Arguments,
    F: Function<Args, Output = (Y, Aux)>,
    W: Select<Args>,
    Y: Tree,
    Aux: Tree,
{
    type Output = (Second<Y, W::Selected>, Aux);

    fn call(&self, args: Args) -> Result<Self::Output, Error> {
        JacFwd::<_, W, HasAux>::new(self.inner()).call(args)
    }

    fn name(&self) -> String {
        format!("hessian({})", self.f.name())
    }
}

by_reference!(Hessian<F, W, A>);
