//! Kernels by hand: a function of scalars as one loop nest over operands of any strides.

use std::sync::Arc;

use cotangent_aten::prelude::broadcast_tensors;
use cotangent_core::Tensor;
use cotangent_core::array::Element;
use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::{Aval, DType, Shape, TreeSpec};
use cotangent_core::tensor::trace::Level;
use cotangent_jit::Input;
use cotangent_loops::pointwise::Layout;

use crate::capture::capture_leaves;
use crate::function::{Arguments, ByRef, Function, by_reference};
use crate::jit::{Executable, failed};
use crate::programs::Programs;
use crate::tree::{Tree, assemble, checked_leaves};
use crate::vmap::vmap;

/// The kernel of `f`, a function of scalars, for operands of any shapes that broadcast together.
///
/// It is traced at scalars of the operands' dtypes, so that it computes with one element of each; type promotion is that of
/// tensors. `pointwise(grad(f))` is the kernel of its derivative. As a function of tensors it nests with all transforms; at
/// [`Strided`] operands it reads memory where it lies.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let softplus = |x: Tensor, beta: Tensor| (&beta * x).exp().log1p() / beta;
/// let (x, beta) = (Tensor::from([[0.0f32, 1.0, 2.0]]), Tensor::from([[1.0f32], [2.0]]));
/// let y = pointwise(softplus).call((x.clone(), beta.clone()))?;
/// assert_eq!(y.shape().sizes()[..], [2, 3]);
/// let dx = pointwise(grad(softplus)).call((x, beta))?;
/// assert_eq!(dx.to_vec::<f32>()?[0], 0.5);
///
/// // Every second element, from the last one backwards.
/// let memory = [0.0f32, 1.0, 2.0, 3.0, 4.0];
/// let strided = Strided::new(&memory, 4, &[3], &[-2])?;
/// assert_eq!(pointwise(|x: Tensor| x.square()).at(&[strided])?.to_vec::<f32>()?, [16.0, 4.0, 0.0]);
/// # Ok(())
/// # }
/// ```
pub fn pointwise<F>(f: F) -> Pointwise<F> {
    Pointwise { f, kernels: Programs::default() }
}

/// The function that [`pointwise`] makes. Many threads may call it at once.
#[derive(Debug)]
pub struct Pointwise<F> {
    f: F,
    kernels: Programs<Key, Kernel>,
}

/// What a kernel depends on.
#[derive(Clone, PartialEq, Debug)]
struct Key {
    shape: Vec<usize>,
    dtypes: Vec<DType>,
    layouts: Vec<Layout>,
}

#[derive(Debug)]
struct Kernel {
    key: Key,
    executable: Executable,
    out: TreeSpec,
}

/// Elements in memory of any strides: an operand of [`Pointwise::at`].
#[derive(Clone, Debug)]
pub struct Strided<'a> {
    bytes: &'a [u8],
    dtype: DType,
    shape: Vec<usize>,
    layout: Layout,
}

impl<'a> Strided<'a> {
    /// The elements `memory[offset + Σ index[d] · strides[d]]` for all indices below `shape`; strides may be negative or 0.
    ///
    /// *Errors*: an index that leaves the memory, another number of strides than of dims.
    pub fn new<T: Element>(memory: &'a [T], offset: usize, shape: &[usize], strides: &[isize]) -> Result<Self, Error> {
        let strides: Vec<i64> = strides.iter().map(|s| *s as i64).collect();
        let layout = Layout { offset, strides, len: memory.len() };
        if layout.strides.len() != shape.len() || !layout.is_inside(shape) {
            let found = format!("offset {offset}, shape {shape:?}, strides {:?}", layout.strides);
            let expected = format!("a stride for each dim, inside {} elements", memory.len());
            return Err(
                TransformError::Unlike { transform: "pointwise", what: "layout", index: 0, expected, found }.into()
            );
        }
        Ok(Strided { bytes: bytemuck::cast_slice(memory), dtype: T::DTYPE, shape: shape.to_vec(), layout })
    }

    /// The elements of a tensor; `None` if it has no values.
    fn of(x: &'a Tensor) -> Option<Self> {
        let array = x.as_array()?;
        let strides = x.shape().strides().iter().map(|s| *s as i64).collect();
        let layout = Layout { offset: 0, strides, len: array.numel() };
        Some(Strided { bytes: array.data().bytes(), dtype: x.dtype(), shape: x.shape().sizes().to_vec(), layout })
    }

    /// The layout as an operand of a result of `shape`: dims that are missing or of size 1 are walked on the spot.
    fn broadcast(&self, shape: &[usize]) -> Layout {
        let new = shape.len() - self.shape.len();
        let old = self.shape.iter().zip(&self.layout.strides).map(|(n, s)| if *n == 1 { 0 } else { *s });
        Layout { strides: std::iter::repeat_n(0, new).chain(old).collect(), ..self.layout.clone() }
    }
}

impl<F> Pointwise<F> {
    /// The result at operands of any strides, one for each argument.
    ///
    /// *Errors*: shapes that do not broadcast; a function that computes with more than single elements, with the op and its line.
    pub fn at<Args: Arguments>(&self, operands: &[Strided]) -> Result<F::Output, Error>
    where
        F: Function<Args>,
    {
        let mut shape = Shape::scalar();
        for (index, x) in operands.iter().enumerate() {
            let other = Shape::from(&x.shape);
            shape = cotangent_core::tensor::broadcast_shapes(&shape, &other).ok_or_else(|| {
                let (expected, found) = (format!("a shape that broadcasts with {shape}"), other.to_string());
                TransformError::Unlike { transform: "pointwise", what: "operand", index, expected, found }
            })?;
        }
        if shape.checked_numel().is_none() {
            let (expected, found) = ("at most 2^47 elements".to_owned(), shape.to_string());
            return Err(
                TransformError::Unlike { transform: "pointwise", what: "result", index: 0, expected, found }.into()
            );
        }
        let key = Key {
            shape: shape.sizes().to_vec(),
            dtypes: operands.iter().map(|x| x.dtype).collect(),
            layouts: operands.iter().map(|x| x.broadcast(&shape.sizes())).collect(),
        };
        let kernel = self.kernel(key)?;
        let mut inputs: Vec<Input> = operands.iter().map(|x| Input::Shared(x.bytes)).collect();
        Ok(assemble(&kernel.out, kernel.executable.call_bytes(&mut inputs)?))
    }

    fn kernel<Args: Arguments>(&self, key: Key) -> Result<Arc<Kernel>, Error>
    where
        F: Function<Args>,
    {
        if let Some(known) = self.kernels.find_map(|k| (k.key == key).then(|| k.clone())) {
            return Ok(known);
        }
        if key.dtypes.len() != Args::COUNT {
            let (expected, found) = (Args::COUNT.to_string(), key.dtypes.len().to_string());
            let what = "number of operands";
            return Err(TransformError::Unlike { transform: "pointwise", what, index: 0, expected, found }.into());
        }
        let make = || Ok::<_, Error>(Some(self.compile(key.clone())?));
        Ok(self.kernels.or_make(key.clone(), |k| k.key == key, make)?.expect("a kernel is made"))
    }

    fn compile<Args: Arguments>(&self, key: Key) -> Result<Kernel, Error>
    where
        F: Function<Args>,
    {
        let avals: Vec<Aval> = key.dtypes.iter().map(|d| Aval::new(*d, ())).collect();
        let scalars = avals.iter().map(|a| Tensor::abstract_(a.dtype, &a.shape)).collect();
        let spec = TreeSpec::Tuple(vec![TreeSpec::Leaf; avals.len()]);
        let captured = capture_leaves("pointwise", Level::Capture, &self.f, scalars, &spec, &avals, &[])?;
        let captured = captured.closed("pointwise")?;
        let name = self.f.name();
        let loops = cotangent_loops::pointwise::pointwise(&captured.graph, &key.shape, &key.layouts);
        let results = captured.graph.result_avals().iter().map(|a| a.with_shape(key.shape.as_slice())).collect();
        let executable = Executable::of_loops(&name, &loops.map_err(|e| failed(&name, e))?, results)?;
        Ok(Kernel { key, executable, out: captured.out_spec })
    }
}

impl<Args: Arguments, F: Function<Args>> Function<Args> for Pointwise<F> {
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let (leaves, spec) = checked_leaves(&args)?;
        let operands: Option<Vec<Strided>> = leaves.iter().map(Strided::of).collect();
        match operands {
            Some(operands) if operands.len() == Args::COUNT => self.at(&operands),
            // Traced or abstract: the function itself, for each element of operands of one shape.
            _ => {
                let leaves = broadcast_tensors(&leaves);
                let Some(shape) = leaves.first().map(|x| x.shape().clone()) else { return self.f.call(args) };
                let flat: Vec<Tensor> = leaves.iter().map(|x| x.view_to(&[shape.numel()].into())).collect();
                let out = vmap(ByRef(&self.f)).call(assemble(&spec, flat))?;
                Ok(out.map_leaves(|x| x.view_to(&shape)))
            }
        }
    }

    fn name(&self) -> String {
        format!("pointwise({})", self.f.name())
    }
}

by_reference!(Pointwise<F>);
