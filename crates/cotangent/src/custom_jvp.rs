//! `custom_jvp`: a function with a forward rule of its own.

use std::sync::Arc;

use cotangent_core::error::{Error, TransformError};
use cotangent_core::ops::Rule;

use crate::call::{Body, emit_call, trace_body, trace_rule};
use crate::function::{Arguments, Function, by_reference};
use crate::tree::checked_leaves;

/// The function `f`, differentiated by `rule`: from the arguments and their tangents, each as one tuple, to the tangent
/// of the result.
///
/// The rule has to be linear in the tangents; then reverse mode follows from it. It is traced once for each call; what
/// it computes can be differentiated again. Integer arguments have tangents of zeros.
///
/// *Errors*, from the calls: a rule whose result is unlike the function's; a function or rule that uses traced tensors
/// which are not its arguments.
///
/// ```
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// // A sine whose derivative is twice too large.
/// let f = custom_jvp(|x: Tensor| x.sin(), |(x,): (Tensor,), (x_dot,): (Tensor,)| x_dot * x.cos() * 2.0);
/// assert_eq!(grad(f).call((Tensor::from(0.0f32),))?.item::<f32>()?, 2.0);
/// # Ok(())
/// # }
/// ```
pub fn custom_jvp<F, R>(f: F, rule: R) -> CustomJvp<F, R> {
    CustomJvp { f, rule }
}

/// The function that [`custom_jvp`] makes.
#[derive(Clone, Debug)]
pub struct CustomJvp<F, R> {
    f: F,
    rule: R,
}

impl<Args, F, R> Function<Args> for CustomJvp<F, R>
where
    Args: Arguments,
    F: Function<Args>,
    R: Function<(Args, Args), Output = F::Output>,
{
    type Output = F::Output;

    fn call(&self, args: Args) -> Result<F::Output, Error> {
        let (leaves, spec) = checked_leaves(&args)?;
        let Some(body) = trace_body(&self.f, &leaves, &spec)? else { return self.f.call(args) };
        let Body { closed, .. } = &body;
        let avals = closed.param_avals();
        let twice: Vec<_> = avals.iter().chain(&avals).cloned().collect();
        let specs = [&spec, &spec];
        let (rule, out) = trace_rule::<(Args, Args), R>(&self.f.name(), &self.rule, &specs, &twice)?;
        if out != body.out_spec || rule.result_avals() != closed.result_avals() {
            let problem = format!(
                "the rule should return a tangent like the result, {}, but it returns {}",
                body.result(),
                crate::call::show(&out, &rule.result_avals()),
            );
            return Err(TransformError::CustomRule { name: self.f.name(), problem }.into());
        }
        emit_call(body, Rule::Jvp(Arc::new(rule)), &leaves)
    }

    fn name(&self) -> String {
        self.f.name()
    }
}

by_reference!(CustomJvp<F, R>);
