//! The gradient of all parameters of a model for each example by itself: `make_functional`, `grad`, `vmap`.

use cotangent::nn::{Functional, Linear, State, make_functional};
use cotangent::prelude::*;
use cotangent::random::Keys;

/// The squared error of the model for one example.
pub fn compute_loss(
    func_model: &Functional<Linear>,
    params: State,
    data: Tensor,
    targets: Tensor,
) -> Result<Tensor, Error> {
    let preds = func_model.call((params, data))?;
    Ok((preds - targets).square().mean())
}

/// One gradient of all parameters for each of 64 examples, and the same one after the other.
pub fn both_ways() -> Result<(State, Vec<State>), Error> {
    let mut keys = Keys::new(0);
    let model = Linear::new(3, 3, &mut keys);
    let (data, targets) = (keys.next_key().randn([64, 3]), keys.next_key().randn([64, 3]));

    let (func_model, params) = make_functional(model)?;
    let gradient = grad(|params, data, targets| compute_loss(&func_model, params, data, targets));
    let per_sample_grads =
        jit(vmap(&gradient).in_dims((None, Some(0), Some(0)))).call((params.clone(), data.clone(), targets.clone()))?;

    let one = jit(&gradient);
    let singles = (0..64).map(|i| one.call((params.clone(), data.select(0, i), targets.select(0, i))));
    Ok((per_sample_grads, singles.collect::<Result<_, _>>()?))
}

fn main() -> Result<(), Error> {
    let (together, singles) = both_ways()?;
    println!("{together}");
    println!("of the first example: {}", together["weight"].select(0, 0));
    println!("by itself:            {}", singles[0]["weight"]);
    Ok(())
}
