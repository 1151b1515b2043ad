//! Host arrays: what concrete tensors hold, and the values of the reference evaluator.
//!
//! An [`Array`] is dense and row-major. Clarity comes before speed here; compiled programs see only its bytes.

mod display;
mod element;
mod elements;
pub(crate) mod matmul;
mod pages;

pub use element::{Data, Element, dispatch, dispatch_float, f64_to_i64};
pub use elements::{Elements, Memory};

use std::hash::{Hash, Hasher};

use crate::ir::{Aval, DType, Scalar, Shape};

/// A dense row-major array.
#[derive(Clone)]
pub struct Array {
    shape: Shape,
    data: Data,
}

impl Array {
    /// The array of `shape` with elements `data` in row-major order.
    ///
    /// # Panics
    /// If the number of elements is not that of the shape; callers with outside data use [`Array::try_new`].
    pub fn new<T: Element>(shape: impl Into<Shape>, data: Vec<T>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.numel(), data.len(), "elements of {shape}");
        Array { shape, data: T::wrap(data.into()) }
    }

    /// As [`Array::new`], or `None` where the number of elements is not that of the shape.
    pub fn try_new(shape: impl Into<Shape>, data: Data) -> Option<Self> {
        let shape = shape.into();
        (shape.checked_numel() == Some(data.len())).then_some(Array { shape, data })
    }

    /// The scalar array of one element.
    pub fn scalar<T: Element>(x: T) -> Self {
        Array::new((), vec![x])
    }

    /// An array in which every element is `value`, cast to `dtype`.
    pub fn full(aval: &Aval, value: Scalar) -> Self {
        let n = aval.shape.numel();
        dispatch!(aval.dtype, T => Array::new(&aval.shape, vec![T::from_scalar(value); n]))
    }

    /// The array of `aval` whose element `i` (row-major) is `f(i)`, cast from `f64`.
    pub fn from_f64_fn(aval: &Aval, f: impl Fn(usize) -> f64) -> Self {
        let n = aval.shape.numel();
        dispatch!(aval.dtype, T => Array::new(&aval.shape, (0..n).map(|i| T::from_f64(f(i))).collect::<Vec<T>>()))
    }

    /// The array of `aval` with these elements in row-major order, cast to its dtype.
    ///
    /// # Panics
    /// If the number of elements is not that of the shape.
    pub fn from_scalars(aval: &Aval, data: &[Scalar]) -> Self {
        dispatch!(aval.dtype, T => Array::new(&aval.shape, data.iter().map(|x| T::from_scalar(*x)).collect::<Vec<T>>()))
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// Sizes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// dtype and shape.
    pub fn aval(&self) -> Aval {
        Aval { dtype: self.dtype(), shape: self.shape.clone() }
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.data.len()
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The memory of the elements, to be overwritten with others: see [`Data::bytes_mut`].
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.data.bytes_mut()
    }

    /// The elements as `T`, if that is the dtype.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data)
    }

    /// The elements as `T`, where the dtype is known (`infer` has checked it).
    ///
    /// # Panics
    /// If the dtype is another one: a bug of the caller.
    pub fn elems<T: Element>(&self) -> &[T] {
        self.as_slice().expect("I3: dtype checked by infer")
    }

    /// The same elements under another shape of equally many elements.
    pub fn reshaped(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.numel(), self.numel(), "reshape to {shape}");
        Array { shape, data: self.data.clone() }
    }

    /// Element `i` in row-major order.
    pub fn get(&self, i: usize) -> Scalar {
        dispatch!(self.dtype(), T => self.elems::<T>()[i].to_scalar())
    }

    /// All elements as `f64`.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        dispatch!(self.dtype(), T => self.elems::<T>().iter().map(|x| x.to_f64()).collect())
    }

    /// All elements as `i64`, by the casting rules of [`Array::cast`].
    pub fn to_i64_vec(&self) -> Vec<i64> {
        dispatch!(self.dtype(), T => self.elems::<T>().iter().map(|x| x.to_scalar().to_i64()).collect())
    }

    /// The array with each element cast to `dtype`.
    ///
    /// *Numerics*: to floats, round to nearest even, to halves by way of `f32`; floats to integers go towards zero, and where
    /// the value does not fit (NaN, infinities, overflow) give what PyTorch gives on x86: the least `i64`, or for
    /// narrower types the least `i32`, wrapped; integers wrap; to `bool`, everything but zero is true.
    pub fn cast(&self, dtype: DType) -> Self {
        if dtype == self.dtype() {
            return self.clone();
        }
        dispatch!(self.dtype(), S => {
            let xs = self.elems::<S>();
            dispatch!(dtype, T => Array::new(&self.shape, xs.iter().map(|x| T::from_scalar(x.to_scalar())).collect::<Vec<T>>()))
        })
    }

    /// The array whose element at each output position is the input element at the flat index `index(i)`.
    pub fn pick(&self, shape: impl Into<Shape>, index: impl Fn(usize) -> usize) -> Self {
        let shape = shape.into();
        let n = shape.numel();
        dispatch!(self.dtype(), T => {
            let xs = self.elems::<T>();
            Array::new(shape, (0..n).map(|i| xs[index(i)]).collect::<Vec<T>>())
        })
    }

    /// As [`Array::pick`], with `fill` (cast to the dtype) where there is no input element.
    pub fn pick_or(&self, shape: impl Into<Shape>, fill: Scalar, index: impl Fn(usize) -> Option<usize>) -> Self {
        let shape = shape.into();
        let n = shape.numel();
        dispatch!(self.dtype(), T => {
            let (xs, fill) = (self.elems::<T>(), T::from_scalar(fill));
            Array::new(shape, (0..n).map(|i| index(i).map_or(fill, |i| xs[i])).collect::<Vec<T>>())
        })
    }

    /// The array with the elements of `src` written at the flat indices `index(i)`.
    pub fn put(&self, src: &Array, index: impl Fn(usize) -> usize) -> Self {
        dispatch!(self.dtype(), T => {
            let mut out = self.elems::<T>().to_vec();
            for (i, x) in src.elems::<T>().iter().enumerate() {
                out[index(i)] = *x;
            }
            Array::new(&self.shape, out)
        })
    }

    /// The raw bits of the elements, little-endian on every machine, for text and files; [`Data::bytes`] are those in memory.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        dispatch!(self.dtype(), T => {
            let mut out = Vec::with_capacity(self.numel() * self.dtype().size_bytes());
            for x in self.elems::<T>() {
                x.write_le(&mut out);
            }
            out
        })
    }

    /// The array of `aval` from little-endian bytes, or `None` if their number is wrong.
    pub fn from_le_bytes(aval: &Aval, bytes: &[u8]) -> Option<Self> {
        let n = aval.shape.checked_numel()?;
        if n.checked_mul(aval.dtype.size_bytes())? != bytes.len() {
            return None;
        }
        dispatch!(aval.dtype, T => Some(Array::new(
            &aval.shape,
            bytes.chunks_exact(aval.dtype.size_bytes()).map(T::read_le).collect::<Vec<T>>()
        )))
    }

    /// The array of `aval` whose little-endian bytes `fill` writes, where it can straight into the elements.
    ///
    /// *Errors*: those of `fill`.
    pub fn from_le_fill<E>(aval: &Aval, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let n = aval.shape.numel();
        let data = dispatch!(aval.dtype, T => T::wrap(T::zeros(n)));
        let mut array = Array { shape: aval.shape.clone(), data };
        if let Some(bytes) = array.bytes_mut().filter(|_| cfg!(target_endian = "little")) {
            fill(bytes)?;
            return Ok(array);
        }
        let mut bytes = vec![0; array.numel() * aval.dtype.size_bytes()];
        fill(&mut bytes)?;
        Ok(Array::from_le_bytes(aval, &bytes).expect("as many bytes as the elements have"))
    }
}

/// Equality of dtype, shape and bits.
impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.dtype() == other.dtype() && self.shape == other.shape && self.data.bytes() == other.data.bytes()
    }
}

impl Eq for Array {}

impl Hash for Array {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shape.hash(state);
        self.dtype().hash(state);
        self.data.bytes().hash(state);
    }
}
