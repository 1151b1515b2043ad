//! Ten networks trained at once: `vmap` over their stacked parameters.

use std::f32::consts::TAU;

use cotangent::nn::{Linear, Sequential, State, Tanh, combine_state_for_ensemble};
use cotangent::optim::{Adam, AdamState};
use cotangent::prelude::*;
use cotangent::random::Keys;

/// Points on two spirals, `[2 n, 2]`, and on which one each is.
pub fn spirals(n: usize, keys: &mut Keys) -> (Tensor, Tensor) {
    let along = keys.next_key().rand([n]);
    let angle = &along * TAU;
    let arm = stack(&[&(&along * angle.cos()), &(&along * angle.sin())], 1);
    let points = cat(&[&arm, &-&arm], 0) + keys.next_key().randn([2 * n, 2]) * 0.02;
    (points, Tensor::from([0i64, 1]).repeat_interleave(n, 0))
}

/// Losses and accuracies of each model after training.
pub struct Trained {
    /// The loss of each model before each step, `[steps][models]`.
    pub losses: Vec<Vec<f32>>,
    /// The share of new points that each model puts on the right spiral.
    pub accuracies: Vec<f32>,
    /// The same of all models' mean score.
    pub together: f32,
}

/// Trains `models` networks of one class, each from its own start.
pub fn train(models: usize, steps: usize) -> Result<Trained, Error> {
    let mut keys = Keys::new(0);
    let mut model = || {
        let (a, b, c) = (Linear::new(2, 32, &mut keys), Linear::new(32, 32, &mut keys), Linear::new(32, 2, &mut keys));
        Sequential::new().then(a).then(Tanh).then(b).then(Tanh).then(c)
    };
    let models: Vec<Sequential> = (0..models).map(|_| model()).collect();
    let (points, labels) = spirals(200, &mut keys);
    let (new_points, new_labels) = spirals(200, &mut keys);

    let (func, params, buffers) = combine_state_for_ensemble(&models)?;
    let adam = Adam::new(0.03);
    let one_step = |params: State, state: AdamState<State>, buffers: State, points: Tensor, labels: Tensor| {
        let loss = |params: State| {
            let (scores, _) = func.call((params, buffers.clone(), points.clone()))?;
            Ok::<_, Error>(scores.cross_entropy(&labels))
        };
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        let (params, state) = adam.step(&params, &grads, &state)?;
        Ok::<_, Error>((params, state, loss))
    };
    // The state of one model is that of all, but for the count of steps.
    let step = jit(vmap(one_step).in_dims((Some(0), Some(0), Some(0), None, None))).donate([0, 1]);

    let mut state = vmap(|params: State| adam.init(&params)).call((params.clone(),))?;
    let (mut params, mut losses) = (params, Vec::new());
    for _ in 0..steps {
        let loss;
        (params, state, loss) = step.call((params, state, buffers.clone(), points.clone(), labels.clone()))?;
        losses.push(loss.to_vec::<f32>()?);
    }

    let predict = vmap(func).in_dims((Some(0), Some(0), None));
    let (scores, _) = predict.call((params, buffers, new_points))?;
    let share = |scores: &Tensor| scores.argmax(-1).eq(&new_labels).convert(DType::F32).mean_dim(-1);
    let together = share(&scores.softmax(-1).mean_dim(0)).item::<f32>()?;
    Ok(Trained { losses, accuracies: share(&scores).to_vec::<f32>()?, together })
}

fn main() -> Result<(), Error> {
    let trained = train(10, 300)?;
    for (i, accuracy) in trained.accuracies.iter().enumerate() {
        let (first, last) = (&trained.losses[0][i], &trained.losses[trained.losses.len() - 1][i]);
        println!("model {i}: loss {first:.3} to {last:.3}, accuracy {accuracy:.3}");
    }
    println!("all together: accuracy {:.3}", trained.together);
    Ok(())
}
