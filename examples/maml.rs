//! Model-agnostic meta-learning on sinusoids: a start from which one step of gradient descent fits a new curve. The
//! inner step is inside `grad`, and `vmap` runs over tasks.

use std::f32::consts::PI;

use cotangent::nn::{Functional, Linear, Relu, Sequential, State, make_functional};
use cotangent::optim::{Adam, AdamState, Sgd};
use cotangent::prelude::*;
use cotangent::random::Keys;

/// The start of all tasks.
pub fn network() -> Result<(Functional<Sequential>, State), Error> {
    let keys = &mut Keys::new(0);
    let (a, b, c) = (Linear::new(1, 40, keys), Linear::new(40, 40, keys), Linear::new(40, 1, keys));
    Ok(make_functional(Sequential::new().then(a).then(Relu).then(b).then(Relu).then(c))?)
}

/// For each of `tasks` sinusoids of random height and phase, two sets of `points` `[tasks, points, 1]`: to adapt to, and
/// to judge by.
pub fn sinusoids(tasks: usize, points: usize, key: Key) -> [(Tensor, Tensor); 2] {
    let [height, phase, adapt, judge] = key.split();
    let height = height.rand([tasks, 1, 1]) * 4.9 + 0.1;
    let phase = phase.rand([tasks, 1, 1]) * PI;
    [adapt, judge].map(|key| {
        let x = key.rand([tasks, points, 1]) * 10.0 - 5.0;
        let y = (&x - &phase).sin() * &height;
        (x, y)
    })
}

/// The mean squared error.
pub fn error(net: &Functional<Sequential>, params: State, x: Tensor, y: Tensor) -> Result<Tensor, Error> {
    Ok((net.call((params, x))? - y).square().mean())
}

/// The parameters after one step of descent on a task's points.
pub fn adapt(net: &Functional<Sequential>, params: State, x: Tensor, y: Tensor) -> Result<State, Error> {
    let grads = grad(|params, x, y| error(net, params, x, y)).call((params.clone(), x, y))?;
    let sgd = Sgd::new(0.1);
    Ok(sgd.step(&params, &grads, &sgd.init(&params))?.0)
}

/// The error after adaptation, as a mean over tasks.
pub fn outer_loss(
    net: &Functional<Sequential>,
    params: State,
    [(x1, y1), (x2, y2)]: [(Tensor, Tensor); 2],
) -> Result<Tensor, Error> {
    let task = |x1, y1, x2, y2| error(net, adapt(net, params.clone(), x1, y1)?, x2, y2);
    Ok(vmap(task).call((x1, y1, x2, y2))?.mean())
}

/// Trains the start; the error after adaptation to new tasks, before training and after it.
pub fn train(steps: usize) -> Result<[f32; 2], Error> {
    let (net, mut params) = network()?;
    let adam = Adam::new(1e-3);
    let step = jit(|params: State, state: AdamState<State>, key: Key| {
        let tasks = sinusoids(25, 10, key);
        let loss = |params: State| outer_loss(&net, params, tasks.clone());
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        let (params, state) = adam.step(&params, &grads, &state)?;
        Ok::<_, Error>((params, state, loss))
    })
    .donate([0, 1]);
    let judge = jit(|params: State| outer_loss(&net, params, sinusoids(100, 10, Key::new(7))));

    let before = judge.call((params.clone(),))?.item::<f32>()?;
    let (mut state, mut keys) = (adam.init(&params), Keys::new(1));
    for i in 0..steps {
        let loss;
        (params, state, loss) = step.call((params, state, keys.next_key()))?;
        if (i + 1) % 500 == 0 {
            println!("step {}: error after adaptation {:.3}", i + 1, loss.item::<f32>()?);
        }
    }
    Ok([before, judge.call((params,))?.item::<f32>()?])
}

fn main() -> Result<(), Error> {
    let [before, after] = train(2000)?;
    println!("error after one step of adaptation to new tasks: {before:.3} before, {after:.3} after meta-training");
    Ok(())
}
