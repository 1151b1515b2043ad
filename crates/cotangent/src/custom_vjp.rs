//! `custom_vjp`: a function with a reverse rule of its own.

use std::sync::Arc;

use cotangent_core::error::{Error, TransformError};
use cotangent_core::ir::TreeSpec;
use cotangent_core::ops::Rule;

use crate::call::{emit_call, show, trace_body, trace_rule};
use crate::function::{Arguments, Function, by_reference};
use crate::tree::{Tree, checked_leaves};

/// The function `f`, differentiated in reverse by `fwd` and `bwd`.
///
/// `fwd` takes the arguments and returns `(result, residuals)`; `bwd` takes the residuals and the cotangent of the result
/// and returns a tuple with a cotangent for each argument. Forward mode through the function is an error.
///
/// *Errors*, from the calls: rules that do not fit the function; functions that use traced tensors which are not
/// their arguments.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// // The identity, with a gradient clipped to [-1, 1].
/// let clip = custom_vjp(
///     |x: Tensor| x,
///     |x: Tensor| (x, ()),
///     |(): (), x_bar: Tensor| (x_bar.minimum(1.0).maximum(-1.0),),
/// );
/// let g = grad(|x: Tensor| Ok::<_, Error>(clip.call((x,))? * 5.0)).call((Tensor::from(3.0f32),))?;
/// assert_eq!(g.item::<f32>()?, 1.0);
/// # Ok(())
/// # }
/// ```
pub fn custom_vjp<F, Fwd, Bwd>(f: F, fwd: Fwd, bwd: Bwd) -> CustomVjp<F, Fwd, Bwd> {
    CustomVjp { f, fwd, bwd }
}

/// The function that [`custom_vjp`] makes.
#[derive(Clone, Debug)]
pub struct CustomVjp<F, Fwd, Bwd> {
    f: F,
    fwd: Fwd,
    bwd: Bwd,
}

impl<Args, F, Fwd, Bwd, Res> Function<Args> for CustomVjp<F, Fwd, Bwd>
where
    Args: Arguments,
    F: Function<Args>,
    Fwd: Function<Args, Output = (F::Output, Res)>,
    Res: Tree,
    Bwd: Function<(Res, F::Output), Output = Args>,
{
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let (leaves, spec) = checked_leaves(&args)?;
        let Some(body) = trace_body(&self.f, &leaves, &spec)? else { return self.f.call(args) };
        let wrong = |problem| Err(TransformError::CustomRule { name: self.f.name(), problem }.into());
        let avals = body.closed.param_avals();
        let y_avals = body.closed.result_avals();

        let specs: Vec<&TreeSpec> = match &spec {
            TreeSpec::Tuple(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        let (fwd, fwd_spec) = trace_rule::<Args, Fwd>(&self.f.name(), &self.fwd, &specs, &avals)?;
        let TreeSpec::Tuple(parts) = &fwd_spec else { unreachable!("the structure comes from a pair") };
        let mut fwd_avals = fwd.result_avals();
        let n = parts[0].num_leaves();
        let residual_avals = fwd_avals.split_off(n);
        if parts[0] != body.out_spec || fwd_avals != y_avals {
            let found = show(&parts[0], &fwd_avals);
            return wrong(format!(
                "the forward rule should return (result, residuals) with the result like {}, but it returns {found}",
                body.result()
            ));
        }

        let bwd_avals: Vec<_> = residual_avals.into_iter().chain(y_avals).collect();
        let bwd_specs = [&parts[1], &body.out_spec];
        let (bwd, x_bar) = trace_rule::<(Res, F::Output), Bwd>(&self.f.name(), &self.bwd, &bwd_specs, &bwd_avals)?;
        if x_bar != spec || bwd.result_avals() != avals {
            return wrong(format!(
                "the backward rule should return a cotangent like each argument, {}, but it returns {}",
                show(&spec, &avals),
                show(&x_bar, &bwd.result_avals()),
            ));
        }
        emit_call(body, Rule::Vjp { fwd: Arc::new(fwd), bwd: Arc::new(bwd) }, &leaves)
    }

    fn name(&self) -> String {
        self.f.name()
    }
}

by_reference!(CustomVjp<F, G, H>);
