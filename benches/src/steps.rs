//! Training steps written twice: with modules and optimisers, and with plain tensors. The programs are those on which cotangent is timed.
//!
//! `tests/tests/nn_cost.rs` compares their graphs, the bench `modules` their times.

use cotangent::function::{Arguments, Function};
use cotangent::nn::*;
use cotangent::optim::Sgd;
use cotangent::prelude::*;
use cotangent::random::Keys;

/// What is done with each pair of programs.
pub trait Visit {
    /// An `f32` argument of this shape.
    fn f32s(&self, shape: &[usize]) -> Tensor;

    /// `n` labels below `classes`.
    fn labels(&self, n: usize, classes: i64) -> Tensor;

    /// The two programs with their arguments.
    fn pair<A, B, F, G>(&self, name: &str, with_modules: (F, A), with_tensors: (G, B))
    where
        A: Arguments + Clone,
        B: Arguments + Clone,
        F: Function<A>,
        G: Function<B>;
}

/// Linear layers of these sizes with an activation between them.
fn mlp(sizes: &[usize], activation: impl Step + Clone) -> Sequential {
    let keys = &mut Keys::new(0);
    let last = sizes.len() - 2;
    sizes.windows(2).enumerate().fold(Sequential::new(), |net, (i, pair)| {
        let net = net.then(Linear::new(pair[0], pair[1], keys));
        if i < last { net.then(activation.clone()) } else { net }
    })
}

/// The same function of plain tensors: weights and biases in turn.
fn plain(params: &[Tensor], x: &Tensor, activation: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let layers: Vec<&[Tensor]> = params.chunks(2).collect();
    let (last, hidden) = layers.split_last().expect("at least one layer");
    let h = hidden.iter().fold(x.clone(), |x, wb| activation(&x.linear(&wb[0], Some(&wb[1]))));
    h.linear(&last[0], Some(&last[1]))
}

/// Parameters, as a state and as a list.
fn both(v: &impl Visit, net: &Sequential, lead: &[usize]) -> (State, Vec<Tensor>) {
    let shaped = |x: &Tensor| v.f32s(&[lead, x.shape().sizes().as_slice()].concat());
    let state = net.parameters().map_leaves(shaped);
    let list = state.values().cloned().collect();
    (state, list)
}

/// `mlp_train_step`.
pub fn mlp_train_step(v: &impl Visit) {
    let net = mlp(&[784, 512, 512, 10], Relu);
    let (state, list) = both(v, &net, &[]);
    let (x, y) = (v.f32s(&[64, 784]), v.labels(64, 10));
    let (func, _) = make_functional(net).expect("no buffers");
    let sgd = Sgd::new(0.01);
    let with_modules = |params: State, x: Tensor, y: Tensor| {
        let loss = |params: State| Ok::<_, Error>(func.call((params, x.clone()))?.cross_entropy(&y));
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        Ok::<_, Error>((loss, sgd.step(&params, &grads, &sgd.init(&params))?.0))
    };
    let with_tensors = |params: Vec<Tensor>, x: Tensor, y: Tensor| {
        let loss = |params: Vec<Tensor>| plain(&params, &x, |h| h.relu()).cross_entropy(&y);
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        let new: Vec<Tensor> = params.iter().zip(&grads).map(|(p, g)| p - g * 0.01).collect();
        Ok::<_, Error>((loss, new))
    };
    v.pair("mlp_train_step", (with_modules, (state, x.clone(), y.clone())), (with_tensors, (list, x, y)));
}

/// `ensemble_train`.
pub fn ensemble_train(v: &impl Visit) {
    let net = mlp(&[2, 32, 2], Relu);
    let (state, list) = both(v, &net, &[10]);
    let (x, y) = (v.f32s(&[100, 2]), v.labels(100, 2));
    let (func, _) = make_functional(net).expect("no buffers");
    let sgd = Sgd::new(0.2);
    let with_modules = vmap(|params: State, x: Tensor, y: Tensor| {
        let loss = |params: State| Ok::<_, Error>(func.call((params, x.clone()))?.cross_entropy(&y));
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        Ok::<_, Error>((loss, sgd.step(&params, &grads, &sgd.init(&params))?.0))
    });
    let with_tensors = vmap(|params: Vec<Tensor>, x: Tensor, y: Tensor| {
        let loss = |params: Vec<Tensor>| plain(&params, &x, |h| h.relu()).cross_entropy(&y);
        let (grads, loss) = grad_and_value(loss).call((params.clone(),))?;
        let new: Vec<Tensor> = params.iter().zip(&grads).map(|(p, g)| p - g * 0.2).collect();
        Ok::<_, Error>((loss, new))
    });
    let dims = (Some(0), None, None);
    v.pair(
        "ensemble_train",
        (with_modules.in_dims(dims), (state, x.clone(), y.clone())),
        (with_tensors.in_dims(dims), (list, x, y)),
    );
}

/// `per_sample_grad_mlp`.
pub fn per_sample_grad_mlp(v: &impl Visit) {
    let net = mlp(&[64, 128, 128, 10], Relu);
    let (state, list) = both(v, &net, &[]);
    let (x, y) = (v.f32s(&[256, 64]), v.labels(256, 10));
    let (func, _) = make_functional(net).expect("no buffers");
    let with_modules = |params: State, x: Tensor, y: Tensor| Ok::<_, Error>(func.call((params, x))?.cross_entropy(&y));
    let with_tensors = |params: Vec<Tensor>, x: Tensor, y: Tensor| plain(&params, &x, |h| h.relu()).cross_entropy(&y);
    let dims = (None, Some(0), Some(0));
    v.pair(
        "per_sample_grad_mlp",
        (vmap(grad(with_modules)).in_dims(dims), (state, x.clone(), y.clone())),
        (vmap(grad(with_tensors)).in_dims(dims), (list, x, y)),
    );
}

/// `per_sample_grad_cnn`.
pub fn per_sample_grad_cnn(v: &impl Visit) {
    let keys = &mut Keys::new(0);
    let net = Sequential::new()
        .then(Conv2d::new(1, 16, 3, keys))
        .then(Relu)
        .then(Conv2d::new(16, 32, 3, keys))
        .then(Relu)
        .then(MaxPool2d::new(2))
        .then(Flatten { start_dim: 0, end_dim: -1 })
        .then(Linear::new(4608, 10, keys));
    let (state, list) = both(v, &net, &[]);
    let (x, y) = (v.f32s(&[64, 1, 28, 28]), v.labels(64, 10));
    let (func, _) = make_functional(net).expect("no buffers");
    let with_modules = |params: State, x: Tensor, y: Tensor| Ok::<_, Error>(func.call((params, x))?.cross_entropy(&y));
    let with_tensors = |p: Vec<Tensor>, x: Tensor, y: Tensor| {
        let options = cotangent::aten::nn::conv::Conv::default();
        let h = x.conv2d(&p[0], Some(&p[1]), &options).relu();
        let h = h.conv2d(&p[2], Some(&p[3]), &options).relu().max_pool2d(2, &Pool::default());
        h.flatten(0, -1).linear(&p[4], Some(&p[5])).cross_entropy(&y)
    };
    let dims = (None, Some(0), Some(0));
    v.pair(
        "per_sample_grad_cnn",
        (vmap(grad(with_modules)).in_dims(dims), (state, x.clone(), y.clone())),
        (vmap(grad(with_tensors)).in_dims(dims), (list, x, y)),
    );
}

/// `maml`.
pub fn maml(v: &impl Visit) {
    let net = mlp(&[1, 40, 40, 1], Relu);
    let (state, list) = both(v, &net, &[]);
    let tasks = || v.f32s(&[25, 20, 1]);
    let (func, _) = make_functional(net).expect("no buffers");
    let sgd = Sgd::new(0.1);
    let with_modules = |params: State, x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor| {
        let mse = |p: State, x: Tensor, y: Tensor| Ok::<_, Error>((func.call((p, x))? - y).square().mean());
        let task = |x1, y1, x2, y2| {
            let grads = grad(mse).call((params.clone(), x1, y1))?;
            mse(sgd.step(&params, &grads, &sgd.init(&params))?.0, x2, y2)
        };
        Ok::<_, Error>(vmap(task).call((x1, y1, x2, y2))?.mean())
    };
    let with_tensors = |params: Vec<Tensor>, x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor| {
        let mse = |p: Vec<Tensor>, x: Tensor, y: Tensor| (plain(&p, &x, |h| h.relu()) - y).square().mean();
        let task = |x1, y1, x2, y2| {
            let grads = grad(mse).call((params.clone(), x1, y1))?;
            let new = params.iter().zip(&grads).map(|(p, g)| p - g * 0.1).collect();
            Ok::<_, Error>(mse(new, x2, y2))
        };
        Ok::<_, Error>(vmap(task).call((x1, y1, x2, y2))?.mean())
    };
    v.pair(
        "maml",
        (value_and_grad(with_modules), (state, tasks(), tasks(), tasks(), tasks())),
        (value_and_grad(with_tensors), (list, tasks(), tasks(), tasks(), tasks())),
    );
}

/// `lj_net_grad`.
pub fn lj_net_grad(v: &impl Visit) {
    let net = mlp(&[1, 16, 16, 16, 16, 1], Tanh);
    let (state, list) = both(v, &net, &[]);
    let data = || (v.f32s(&[1000, 3]), v.f32s(&[1000, 1]), v.f32s(&[1000, 3]));
    let (func, _) = make_functional(net).expect("no buffers");
    fn matching(
        net: impl Fn(Tensor) -> Result<Tensor, Error> + Copy,
        (d, e, f): (Tensor, Tensor, Tensor),
    ) -> Result<Tensor, Error> {
        let r = d.square().sum_dim(keepdim(-1)).sqrt();
        let slope = vmap(jacrev(net)).call((r.clone(),))?.squeeze(-1);
        let forces = -slope * &d / &r;
        Ok((e - net(r)?).square().mean() + (f - forces).square().mean() * (0.01 / 3.0))
    }
    let with_modules = |params: State, d, e, f| matching(|r| func.call((params.clone(), r)), (d, e, f));
    let with_tensors = |params: Vec<Tensor>, d, e, f| matching(|r| Ok(plain(&params, &r, |h| h.tanh())), (d, e, f));
    let (d, e, f) = data();
    v.pair(
        "lj_net_grad",
        (grad(with_modules), (state, d.clone(), e.clone(), f.clone())),
        (grad(with_tensors), (list, d, e, f)),
    );
}

/// `ntk_contract_and_ntk_vps`.
pub fn ntk_contract_and_ntk_vps(v: &impl Visit) {
    let net = mlp(&[32, 64, 64, 10], Tanh);
    let (state, list) = both(v, &net, &[]);
    let x = || v.f32s(&[16, 32]);
    let (func, _) = make_functional(net).expect("no buffers");
    fn contract<P: Tree + Clone>(
        net: impl Fn(P, Tensor) -> Result<Tensor, Error>,
        params: P,
        [x1, x2]: [Tensor; 2],
    ) -> Result<Tensor, Error> {
        let jacobian = |x| vmap(jacrev(&net)).in_dims((None, Some(0))).call((params.clone(), x));
        let (j1, j2) = (jacobian(x1)?.to_leaves().0, jacobian(x2)?.to_leaves().0);
        let product = |(a, b): (&Tensor, &Tensor)| einsum("naf,mbf->nmab", &[&a.flatten(2, -1), &b.flatten(2, -1)]);
        Ok(j1.iter().zip(&j2).map(product).reduce(|a, b| a + b).expect("six parameters"))
    }
    fn products<P: Tree + Clone>(
        net: impl Fn(P, Tensor) -> Result<Tensor, Error>,
        params: P,
        [x1, x2]: [Tensor; 2],
    ) -> Result<Tensor, Error> {
        let kernel = |x1: Tensor, x2: Tensor| {
            let (y, pullback) = vjp(|p: P| net(p, x1.clone()), (params.clone(),))?;
            let row =
                |e: Tensor| Ok::<_, Error>(jvp(|p: P| net(p, x2.clone()), (params.clone(),), pullback.call((e,))?)?.1);
            vmap(row).call((eye(y.size(0)),))
        };
        vmap(vmap(kernel).in_dims((None, Some(0)))).in_dims((Some(0), None)).call((x1, x2))
    }
    let modules = |p: State, x: Tensor| func.call((p, x));
    let tensors = |p: Vec<Tensor>, x: Tensor| Ok(plain(&p, &x, |h| h.tanh()));
    v.pair(
        "ntk_contract",
        (|p: State, a, b| contract(modules, p, [a, b]), (state.clone(), x(), x())),
        (|p: Vec<Tensor>, a, b| contract(tensors, p, [a, b]), (list.clone(), x(), x())),
    );
    v.pair(
        "ntk_vps",
        (|p: State, a, b| products(modules, p, [a, b]), (state, x(), x())),
        (|p: Vec<Tensor>, a, b| products(tensors, p, [a, b]), (list, x(), x())),
    );
}
