//! Modules as functions of their parameters: functorch's `make_functional` and its kin.

use cotangent_aten::join::stack;
use cotangent_core::Tensor;
use cotangent_core::error::Error;

use super::error::StateError;
use super::module::Module;
use super::named::State;
use super::pass::{Forward, Pass};
use super::print::Printed;
use crate::function::Function;
use crate::random::Key;

/// `f` of `module` with the tensors of `state` in place of its own; names that are not given stay. The second result
/// are the buffers after `f`.
///
/// `state` may name parameters and buffers alike, and one name for all of a tied tensor's.
///
/// ```
/// use cotangent::nn::{BatchNorm1d, Forward, Pass, State, functional_call};
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let norm = BatchNorm1d::new(1);
/// let x = Tensor::from([[1.0f32], [3.0]]);
/// let state = State::from_iter([("bias", Tensor::from([5.0f32]))]);
/// let pass = &mut Pass::train(Key::new(0));
/// let (y, buffers) = functional_call(&norm, &state, |norm| norm.forward_in(&x, pass))?;
/// assert_eq!(y.round_decimals(3).to_vec::<f32>()?, [4.0, 6.0]);
/// assert_eq!(buffers["running_mean"].to_vec::<f32>()?, [0.2]);
/// # Ok(())
/// # }
/// ```
///
/// *Errors*: as [`Module::with`].
pub fn functional_call<M: Module + Clone, R>(
    module: &M,
    state: &State,
    f: impl FnOnce(&mut M) -> R,
) -> Result<(R, State), StateError> {
    let mut module = module.with(state)?;
    let result = f(&mut module);
    Ok((result, module.buffers()))
}

/// As [`functional_call`], but a tied tensor is replaced only under the names that `state` gives: PyTorch's `tie_weights=False`.
///
/// ```
/// use cotangent::nn::{Layer, Linear, Module, State, functional_call_untied};
/// use cotangent::prelude::*;
/// use cotangent::random::Keys;
///
/// #[derive(Clone, Module)]
/// #[module(tied("out.weight" = "input.weight"))]
/// struct Net {
///     input: Linear,
///     out: Linear,
/// }
///
/// # fn main() -> Result<(), Error> {
/// let keys = &mut Keys::new(0);
/// let input = Linear::new(2, 2, keys).without_bias();
/// let net = Net { out: input.clone(), input };
/// let state = State::from_iter([("out.weight", eye(2))]);
/// let x = Tensor::from([1.0f32, 2.0]);
/// let (y, _) = functional_call_untied(&net, &state, |net| net.out.forward(&net.input.forward(&x)))?;
/// assert_eq!(y.to_vec::<f32>()?, net.input.forward(&x).to_vec::<f32>()?);
/// # Ok(())
/// # }
/// ```
///
/// *Errors*: as [`Module::with_untied`].
pub fn functional_call_untied<M: Module + Clone, R>(
    module: &M,
    state: &State,
    f: impl FnOnce(&mut M) -> R,
) -> Result<(R, State), StateError> {
    let mut module = module.with_untied(state)?;
    let result = f(&mut module);
    Ok((result, module.buffers()))
}

/// A module as a function of its parameters, and the parameters.
///
/// ```
/// use cotangent::nn::{Linear, make_functional};
/// use cotangent::prelude::*;
/// use cotangent::random::Keys;
///
/// # fn main() -> Result<(), Error> {
/// let (func, params) = make_functional(Linear::new(3, 3, &mut Keys::new(0)))?;
/// let loss = |params, x: Tensor, target: Tensor| {
///     let y = func.call((params, x))?;
///     Ok::<_, Error>((y - target).square().mean())
/// };
/// // One gradient of all parameters for each of 64 examples.
/// let (x, targets) = (random::randn([64, 3]), random::randn([64, 3]));
/// let grads = vmap(grad(loss)).in_dims((None, Some(0), Some(0))).call((params, x, targets))?;
/// assert_eq!(grads["weight"].shape(), &Shape::from([64, 3, 3]));
/// # Ok(())
/// # }
/// ```
///
/// *Errors*: [`StateError::HasBuffers`] a module with buffers.
pub fn make_functional<M: Forward + Clone>(module: M) -> Result<(Functional<M>, State), StateError> {
    let buffers = module.buffers();
    if !buffers.is_empty() {
        let names = buffers.names().map(str::to_owned).collect();
        return Err(StateError::HasBuffers { module: module.class_name(), names });
    }
    let params = module.parameters();
    Ok((Functional { module, key: None }, params))
}

/// A module as a function of its parameters and buffers, which returns the result and the new buffers.
pub fn make_functional_with_buffers<M: Forward + Clone>(module: M) -> (FunctionalWithBuffers<M>, State, State) {
    let (params, buffers) = (module.parameters(), module.buffers());
    (FunctionalWithBuffers { module, key: None }, params, buffers)
}

/// The function that [`make_functional`] makes: `(params, x) → y`.
#[derive(Clone, Debug)]
pub struct Functional<M> {
    module: M,
    key: Option<Key>,
}

/// The function that [`make_functional_with_buffers`] makes: `(params, buffers, x) → (y, buffers)`.
#[derive(Clone, Debug)]
pub struct FunctionalWithBuffers<M> {
    module: M,
    key: Option<Key>,
}

macro_rules! passes { ($($name:ident)*) => { $(
    impl<M> $name<M> {
        /// The same function as a training pass with this key; otherwise it is an evaluation.
        pub fn train(self, key: Key) -> Self {
            $name { key: Some(key), ..self }
        }

        /// The module, whose own parameters do not count.
        pub fn module(&self) -> &M {
            &self.module
        }

        fn pass(&self) -> Pass {
            self.key.clone().map_or_else(Pass::eval, Pass::train)
        }
    }
)* } }
passes!(Functional FunctionalWithBuffers);

impl<M: Forward + Clone> Function<(State, Tensor)> for Functional<M> {
    type Output = Tensor;

    fn call(&self, (params, x): (State, Tensor)) -> Result<Tensor, Error> {
        self.module.with_all(&params)?.forward_in(&x, &mut self.pass()).ok()
    }

    fn name(&self) -> String {
        self.module.class_name()
    }
}

impl<M: Forward + Clone> Function<(State, State, Tensor)> for FunctionalWithBuffers<M> {
    type Output = (Tensor, State);

    fn call(&self, (params, buffers, x): (State, State, Tensor)) -> Result<(Tensor, State), Error> {
        let mut module = self.module.with_all(&params.merged(buffers))?;
        let y = module.forward_in(&x, &mut self.pass()).ok()?;
        Ok((y, module.buffers()))
    }

    fn name(&self) -> String {
        self.module.class_name()
    }
}

crate::function::by_reference!(Functional<M>, FunctionalWithBuffers<M>);

/// One function for several models of one class, and their parameters and buffers stacked along a new dim 0.
///
/// ```
/// use cotangent::nn::{Linear, combine_state_for_ensemble};
/// use cotangent::prelude::*;
/// use cotangent::random::Keys;
///
/// # fn main() -> Result<(), Error> {
/// let mut keys = Keys::new(0);
/// let models: Vec<Linear> = (0..5).map(|_| Linear::new(3, 2, &mut keys)).collect();
/// let (func, params, buffers) = combine_state_for_ensemble(&models)?;
/// let (y, _) = vmap(func).in_dims((Some(0), Some(0), None)).call((params, buffers, random::randn([7, 3])))?;
/// assert_eq!(y.shape(), &Shape::from([5, 7, 2]));
/// # Ok(())
/// # }
/// ```
///
/// *Errors*: as [`stack_module_state`].
pub fn combine_state_for_ensemble<M: Forward + Clone>(
    models: &[M],
) -> Result<(FunctionalWithBuffers<M>, State, State), StateError> {
    let (params, buffers) = stack_module_state(models)?;
    Ok((FunctionalWithBuffers { module: models[0].clone(), key: None }, params, buffers))
}

/// The parameters and the buffers of several models of one class, stacked along a new dim 0.
///
/// *Errors*: [`StateError::NoModels`] none; [`StateError::Unlike`] models that print differently;
/// [`StateError::Names`] models whose tensors differ in shape.
pub fn stack_module_state<M: Module>(models: &[M]) -> Result<(State, State), StateError> {
    let first = models.first().ok_or(StateError::NoModels)?;
    let expected = Printed(first).to_string();
    for (index, m) in models.iter().enumerate() {
        let found = Printed(m).to_string();
        if found != expected {
            return Err(StateError::Unlike { index, expected, found });
        }
    }
    let stacked = |states: Vec<State>| -> Result<State, StateError> {
        let of = |name: &str| -> Vec<&Tensor> { states.iter().filter_map(|s| s.get(name)).collect() };
        let unlike = |name: &str, x: &Tensor| {
            let other = of(name).into_iter().find(|y| y.shape() != x.shape())?;
            let (expected, found) = (x.shape().clone(), other.shape().clone());
            Some(super::error::Mismatch { name: name.to_owned(), expected, found })
        };
        let shapes: Vec<_> = states[0].iter().filter_map(|(name, x)| unlike(name, x)).collect();
        if !shapes.is_empty() {
            let module = first.class_name();
            return Err(StateError::Names { module, missing: Vec::new(), unexpected: Vec::new(), shapes });
        }
        Ok(states[0].names().map(|name| (name, stack(&of(name), 0))).collect())
    };
    let params = stacked(models.iter().map(Module::parameters).collect())?;
    Ok((params, stacked(models.iter().map(Module::buffers).collect())?))
}
