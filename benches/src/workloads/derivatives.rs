//! Jacobians, Hessians, and derivatives of programs that have derivatives inside.

use cotangent::prelude::*;

use super::model::{Linear, Mlp, descend, linear_params, on_mlp};
use super::networks::{SIZES, digits};
use crate::inputs::{Input, f32s};
use crate::workload::{Workload, compiled};

/// The mean of squares of what `mlp` predicts wrongly.
fn mse(mlp: &Mlp, x: &Tensor, y: &Tensor, activation: fn(&Tensor) -> Tensor) -> Tensor {
    let e = mlp.forward(x, activation) - y;
    (&e * &e).mean()
}

/// The network of these sizes whose parameters are consecutive slices of a vector.
fn unflatten(p: &Tensor, sizes: &[usize]) -> Mlp {
    let mut at = 0;
    let mut take = |n: usize| {
        at += n;
        p.narrow(0, (at - n) as i64, n)
    };
    let layer =
        |pair: &[usize]| Linear { weight: take(pair[0] * pair[1]).reshape([pair[1], pair[0]]), bias: take(pair[1]) };
    Mlp { layers: sizes.windows(2).map(layer).collect() }
}

/// The mean over tasks of the loss after one step of gradient descent on the task's first examples.
fn maml(mlp: Mlp, x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor) -> Result<Tensor, Error> {
    let task = |x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor| -> Result<Tensor, Error> {
        let inner = |mlp: Mlp| mse(&mlp, &x1, &y1, Tensor::relu);
        let gradients = grad(inner).call((mlp.clone(),))?;
        Ok(mse(&descend(&mlp, &gradients, 0.1), &x2, &y2, Tensor::relu))
    };
    Ok(vmap(task).call((x1, y1, x2, y2))?.mean())
}

/// The Lennard-Jones energy of atoms `[n, 3]`, over all pairs.
pub(super) fn lennard_jones(x: Tensor) -> Tensor {
    let n = x.size(0);
    let eye = eye_of(n, n, x.dtype());
    let d = x.unsqueeze(1) - x.unsqueeze(0);
    let inv2 = 1.0 / ((&d * &d).sum_dim(-1) + &eye);
    let inv6 = &inv2 * &inv2 * &inv2;
    2.0 * ((&inv6 * &inv6 - &inv6) * (1.0 - eye)).sum()
}

/// The force on each atom.
fn forces(x: Tensor) -> Result<Tensor, Error> {
    Ok(-grad(lennard_jones).call((x,))?)
}

/// The error of a network of distances in energies `e`, and, by its derivative, in forces `f`.
fn force_matching(mlp: Mlp, d: Tensor, e: Tensor, f: Tensor) -> Result<Tensor, Error> {
    let r = (&d * &d).sum_dim(keepdim(1)).sqrt();
    let net = |r: Tensor| mlp.forward(&r, Tensor::tanh);
    let slopes = vmap(jacrev(net)).call((r.clone(),))?.reshape([-1, 1]);
    let de = e - net(r.clone());
    let df = f + slopes * d / r;
    Ok((&de * &de).mean() + 0.01 * (&df * &df).mean() / 3.0)
}

/// The tangent kernel of two batches by products of Jacobians.
fn ntk_contract(mlp: Mlp, x1: Tensor, x2: Tensor) -> Result<Tensor, Error> {
    let jacobians = vmap(jacrev(|mlp: Mlp, x: Tensor| mlp.forward(&x, Tensor::tanh))).in_dims((None, Some(0)));
    let j1 = jacobians.call((mlp.clone(), x1))?.to_leaves().0;
    let j2 = jacobians.call((mlp, x2))?.to_leaves().0;
    let terms = j1.iter().zip(&j2).map(|(a, b)| einsum("naf,mbf->nmab", &[&a.flatten(2, -1), &b.flatten(2, -1)]));
    Ok(terms.reduce(|a, b| a + b).expect("a term for each parameter"))
}

/// The tangent kernel of two batches by Jacobian-vector products of vector-Jacobian products.
fn ntk_vps(mlp: Mlp, x1: Tensor, x2: Tensor) -> Result<Tensor, Error> {
    let kernel = |x1: Tensor, x2: Tensor| -> Result<Tensor, Error> {
        let at = |x: Tensor| move |mlp: Mlp| mlp.forward(&x, Tensor::tanh);
        let (y, pullback) = vjp(at(x1), (mlp.clone(),))?;
        let row = |e: Tensor| Ok::<_, Error>(jvp(at(x2.clone()), (mlp.clone(),), pullback.call((e,))?)?.1);
        vmap(row).call((eye(y.size(0)),))
    };
    vmap(vmap(kernel).in_dims((None, Some(0)))).in_dims((Some(0), None)).call((x1, x2))
}

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    let jacobian = || (linear_params(&[128, 256, 256, 128], &[]), [f32s("x", [128])]);
    let (params, x) = jacobian();
    let jacrev_mlp = on_mlp("jacrev_mlp", params, x, |mlp, [x]| {
        let f = |mlp: Mlp, x: Tensor| mlp.forward(&x, Tensor::tanh);
        compiled(jacrev(f).argnums::<At<1>>(), (mlp, x))
    });
    let (params, x) = jacobian();
    let jacfwd_mlp = on_mlp("jacfwd_mlp", params, x, |mlp, [x]| {
        let f = |mlp: Mlp, x: Tensor| mlp.forward(&x, Tensor::tanh);
        compiled(jacfwd(f).argnums::<At<1>>(), (mlp, x))
    });
    vec![
        jacrev_mlp,
        jacfwd_mlp,
        on_mlp("batch_jacobian", linear_params(&[32, 64, 64, 32], &[]), [f32s("x", [64, 32])], |mlp, [x]| {
            let f = |mlp: Mlp, x: Tensor| mlp.forward(&x, Tensor::tanh);
            compiled(vmap(jacrev(f).argnums::<At<1>>()).in_dims((None, Some(0))), (mlp, x))
        }),
        on_mlp("batch_hessian", linear_params(&[16, 32, 1], &[]), [f32s("x", [64, 16]).scale(0.5)], |mlp, [x]| {
            let f = |mlp: Mlp, x: Tensor| mlp.forward(&x, Tensor::tanh).sum();
            compiled(vmap(hessian(f).argnums::<At<1>>()).in_dims((None, Some(0))), (mlp, x))
        }),
        Workload::new(
            "hessian_mlp",
            [f32s("p", [369]).scale(1.5), f32s("x", [32, 4]), f32s("t", [32, 1])],
            |[p, x, t]| {
                let loss = |p: Tensor, x: Tensor, t: Tensor| mse(&unflatten(&p, &[4, 16, 16, 1]), &x, &t, Tensor::tanh);
                compiled(hessian(loss), (p, x, t))
            },
        ),
        hvp_mlp(),
        Workload::after("maml", maml_params(), maml_data(), |params, [x1, y1, x2, y2]| {
            compiled(value_and_grad(maml), (Mlp::of(params), x1, y1, x2, y2))
        }),
        Workload::new("lj_forces", [atoms([256, 3])], |[x]| compiled(forces, (x,))),
        Workload::new("lj_forces_batch", [atoms([256, 16, 3])], |[x]| compiled(vmap(forces), (x,))),
        Workload::new("lj_hessian", [atoms([32, 3])], |[x]| compiled(hessian(lennard_jones), (x,))),
        on_mlp(
            "lj_net_grad",
            linear_params(&[1, 16, 16, 16, 16, 1], &[]),
            [f32s("d", [1000, 3]).scale(0.5).offset(0.75), f32s("e", [1000, 1]), f32s("f", [1000, 3])],
            |mlp, [d, e, f]| compiled(grad(force_matching), (mlp, d, e, f)),
        ),
        on_mlp("ntk_contract", linear_params(&[32, 64, 64, 10], &[]), batches(), |mlp, [x1, x2]| {
            compiled(ntk_contract, (mlp, x1, x2))
        }),
        on_mlp("ntk_vps", linear_params(&[32, 64, 64, 10], &[]), batches(), |mlp, [x1, x2]| {
            compiled(ntk_vps, (mlp, x1, x2))
        }),
    ]
}

/// The product of a Hessian, in all parameters, with a tangent.
fn hvp_mlp() -> Workload {
    let [x, y] = digits();
    let mut inputs = linear_params(&SIZES, &[]);
    inputs.extend([x, y]);
    let v = [
        f32s("vW1", [512, 784]),
        f32s("vb1", [512]),
        f32s("vW2", [512, 512]),
        f32s("vb2", [512]),
        f32s("vW3", [10, 512]),
        f32s("vb3", [10]),
    ];
    Workload::after("hvp_mlp", inputs, v, |tensors, v| {
        let (mlp, v, x, y) = (Mlp::of(&tensors[..6]), Mlp::of(v), tensors[6].clone(), tensors[7].clone());
        let product = |mlp: Mlp, v: Mlp, x: Tensor, y: Tensor| {
            let gradient = grad(|mlp: Mlp| mlp.loss(&x, &y, Tensor::tanh));
            Ok::<_, Error>(jvp(gradient, (mlp,), (v,))?.1)
        };
        compiled(product, (mlp, v, x, y))
    })
}

/// Parameters with scales of their own.
fn maml_params() -> Vec<Input> {
    vec![
        f32s("W1", [40, 1]).scale(2.0),
        f32s("b1", [40]).scale(0.2),
        f32s("W2", [40, 40]).scale(0.3),
        f32s("b2", [40]).scale(0.2),
        f32s("W3", [1, 40]).scale(0.3),
        f32s("b3", [1]).scale(0.2),
    ]
}

fn maml_data() -> [Input; 4] {
    [("x1", 10.0), ("y1", 1.0), ("x2", 10.0), ("y2", 1.0)].map(|(name, scale)| f32s(name, [25, 20, 1]).scale(scale))
}

fn batches() -> [Input; 2] {
    ["x1", "x2"].map(|name| f32s(name, [16, 32]))
}

fn atoms(shape: impl Into<Vec<usize>>) -> Input {
    f32s("x", shape).scale(0.2).lattice(1.2)
}
