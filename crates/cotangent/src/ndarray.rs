//! Conversions from and to [`ndarray`] arrays, in any layout.

use cotangent_core::Tensor;
use cotangent_core::array::Element;
use cotangent_core::error::Error;
use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};

/// Tensors from and to `ndarray` arrays.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let a = ndarray::array![[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
/// let t = Tensor::from_ndarray(&a.t());
/// assert_eq!(t.to_vec::<f32>()?, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// assert_eq!(t.to_ndarray::<f32>()?, a.t().into_dyn());
/// # Ok(())
/// # }
/// ```
pub trait Ndarray: Sized {
    /// The tensor with the elements of an array or view, whatever its strides.
    fn from_ndarray<T, S, D>(array: &ArrayBase<S, D>) -> Self
    where
        T: Element,
        S: Data<Elem = T>,
        D: Dimension;

    /// The elements as an array.
    ///
    /// *Errors*: the tensor is traced, abstract, stands for an error, or has another dtype.
    fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>, Error>;
}

impl Ndarray for Tensor {
    fn from_ndarray<T, S, D>(array: &ArrayBase<S, D>) -> Tensor
    where
        T: Element,
        S: Data<Elem = T>,
        D: Dimension,
    {
        // The iterator goes in logical order, which is row-major.
        Tensor::from_vec(array.iter().copied().collect(), array.shape())
    }

    #[track_caller]
    fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>, Error> {
        let data = self.to_vec::<T>()?;
        let shape = IxDyn(&self.shape().sizes());
        Ok(ArrayD::from_shape_vec(shape, data).expect("as many elements as the shape says"))
    }
}
