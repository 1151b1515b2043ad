//! Reading the values of concrete tensors, and making tensors of Rust values.

use std::panic::Location;

use super::trace::{here, stack};
use super::{Repr, Tensor};
use crate::array::{Array, Element};
use crate::error::Error;
use crate::ir::{Loc, Shape};

impl Tensor {
    /// The tensor of `shape` with these elements in row-major order; poisoned if their number is wrong. Four megabytes and more are copied once,
    /// into huge pages, which compiled programs read faster.
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let found = data.len();
        match Array::try_new(shape.clone(), T::wrap(T::keep(data))) {
            Some(a) => Tensor::from_array(a),
            None => Tensor::poison(Error::Length {
                loc: here(Location::caller()),
                expected: shape.checked_numel().map_or("at most 2^47".to_owned(), |n| n.to_string()),
                shape,
                found,
            }),
        }
    }

    /// The vector of these elements.
    pub fn from_slice<T: Element>(data: &[T]) -> Tensor {
        Tensor::from_vec(data.to_vec(), [data.len()])
    }

    /// The scalar `x`, of 0 dims.
    pub fn scalar<T: Element>(x: T) -> Tensor {
        Tensor::from_array(Array::scalar(x))
    }

    /// The elements in row-major order.
    ///
    /// *Errors*: the tensor is traced or abstract, stands for an error, or has another dtype.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>, Error> {
        let loc = here(Location::caller());
        let a = self.concrete("`.to_vec()` needs values", &loc)?;
        a.as_slice::<T>().map(<[T]>::to_vec).ok_or_else(|| Error::Read {
            loc,
            expected: format!("dtype {} (convert with `.to({0})`)", T::DTYPE),
            found: self.aval(),
        })
    }

    /// The only element.
    ///
    /// *Errors*: as [`Tensor::to_vec`], or there is not exactly one element.
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T, Error> {
        let loc = here(Location::caller());
        let a =
            self.concrete("calling `.item()` on it while it is traced would make the program depend on data", &loc)?;
        match a.as_slice::<T>() {
            Some([x]) => Ok(*x),
            Some(_) | None => {
                Err(Error::Read { loc, expected: format!("one element of {}", T::DTYPE), found: self.aval() })
            }
        }
    }

    /// Whether the only element is not zero: for a Rust `if`.
    ///
    /// *Errors*: as [`Tensor::item`]; on a traced tensor the message says that this is data-dependent control flow.
    #[track_caller]
    pub fn is_true(&self) -> Result<bool, Error> {
        let loc = here(Location::caller());
        let a =
            self.concrete("it looks like you're attempting to use a tensor in some data-dependent control flow", &loc)?;
        if a.numel() == 1 {
            return Ok(a.get(0).to_bool());
        }
        Err(Error::Read { loc, expected: "one element".to_owned(), found: self.aval() })
    }

    /// The host array.
    ///
    /// *Errors*: the tensor is traced or abstract, or stands for an error.
    #[track_caller]
    pub fn to_array(&self) -> Result<Array, Error> {
        let loc = here(Location::caller());
        self.concrete("it has no array", &loc).cloned()
    }

    /// The tensor itself, or the error that it stands for.
    pub fn ok(self) -> Result<Tensor, Error> {
        match self.0 {
            Repr::Poison(e, _) => Err(e.as_ref().clone()),
            Repr::Concrete(_) | Repr::Abstract(_) | Repr::Traced(..) => Ok(self),
        }
    }

    fn concrete(&self, what: &'static str, loc: &Loc) -> Result<&Array, Error> {
        match &self.0 {
            Repr::Concrete(a) => Ok(a),
            Repr::Poison(e, _) => Err(e.as_ref().clone()),
            Repr::Abstract(aval) | Repr::Traced(_, _, aval) => {
                let e = Error::TracedValue { loc: loc.clone(), stack: stack(), aval: aval.clone(), what };
                if let Repr::Traced(trace, _, _) = &self.0 {
                    trace.record(&e);
                }
                Err(e)
            }
        }
    }
}

macro_rules! from_number { ($($t:ty),*) => { $(
    impl From<$t> for Tensor {
        fn from(x: $t) -> Tensor {
            Tensor::scalar(x)
        }
    }
)* } }
from_number!(f32, f64, i64, i32, i16, i8, u8, bool);

impl<T: Element> From<Vec<T>> for Tensor {
    fn from(x: Vec<T>) -> Tensor {
        let n = x.len();
        Tensor::from_vec(x, [n])
    }
}

impl<T: Element> From<&[T]> for Tensor {
    fn from(x: &[T]) -> Tensor {
        Tensor::from_slice(x)
    }
}

impl<T: Element, const N: usize> From<[T; N]> for Tensor {
    fn from(x: [T; N]) -> Tensor {
        Tensor::from_slice(&x)
    }
}

impl<T: Element, const N: usize, const M: usize> From<[[T; M]; N]> for Tensor {
    fn from(x: [[T; M]; N]) -> Tensor {
        Tensor::from_array(Array::new([N, M], x.into_iter().flatten().collect()))
    }
}
