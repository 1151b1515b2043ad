//! Losses and triangles, and what is almost so.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;

use crate::neighbours;

fn huber(x: &Tensor, y: &Tensor, inside: f64) -> Tensor {
    let d = (x - y).abs();
    (&d * &d * 0.5).where_(&d.lt(inside), (&d - 0.25) * 0.5)
}

fn smooth(x: &Tensor, y: &Tensor, half: f64) -> Tensor {
    let d = (x - y).abs();
    (&d * &d * 0.5).where_(&d.lt(1.0), &d - half).sum_over(&[0, 1]) / 4.0
}

pub fn log_sigmoid(x: &Tensor, y: &Tensor) -> Tensor {
    x.minimum(0.0) - (-y.abs()).exp().log1p()
}

fn log_sum_exp(x: &Tensor, guard: f64) -> Tensor {
    let m = x.amax_over(&[1]);
    let m = m.zeros_like().where_(&m.abs().eq(guard), &m);
    (x - m.view_to(&[2, 1].into())).exp().sum_over(&[1]).log() + m
}

fn bounded_losses(x: &Tensor, t: &Tensor, least: f64) -> Tensor {
    (t - 1.0) * (-x).log1p().maximum(least) - t * x.log().maximum(-100.0)
}

/// The cross entropy that is a line near 0 and 1, where `x (1 - x)` is below `room`.
fn line_losses(x: &Tensor, t: &Tensor, room: f64, slope: &Tensor) -> Tensor {
    let fixed = x.detach();
    let edge = (&fixed * (1.0 - &fixed)).lt(room);
    let inside = x.full_like(0.5).where_(&edge, x);
    let smooth = -(t * inside.log() + (1.0 - t) * (-&inside).log1p());
    let bounded = t * fixed.log().maximum(-100.0) + (1.0 - t) * (-&fixed).log1p().maximum(-100.0);
    ((x - &fixed) * ((&fixed - slope) / room) - bounded).where_(&edge, smooth)
}

#[test]
fn losses_and_triangles_and_their_neighbours() {
    neighbours(&[
        ("mse_loss", |x, y| ((x - y) * (x - y)).sum_over(&[0, 1]), |x, y| ((x - y) * (y - x)).sum_over(&[0, 1])),
        (
            "binary_cross_entropy_with_logits",
            |x, t| (1.0 - t) * x - log_sigmoid(x, x),
            |x, t| (2.0 - t) * x - log_sigmoid(x, x),
        ),
        (
            "binary_cross_entropy_with_logits",
            |x, t| (1.0 - t) * x - ((t.sum_over(&[0]) - 1.0) * t + 1.0) * log_sigmoid(x, x),
            |x, t| (1.0 - t) * x - ((t.sum_over(&[0]) - 2.0) * t + 1.0) * log_sigmoid(x, x),
        ),
        ("huber_loss", |x, y| huber(x, y, 0.5), |x, y| huber(x, y, 0.75)),
        ("smooth_l1_loss", |x, y| smooth(x, y, 0.5), |x, y| smooth(x, y, 0.25)),
        // Operands are broadcast by the loss itself.
        (
            "huber_loss",
            |x, y| huber(x, &y.sum_over(&[0]).expand_to(x.shape()), 0.5),
            |x, y| huber(x, &y.sum_over(&[0]).expand_to(x.shape()), 0.75),
        ),
        ("logsumexp", |x, _| log_sum_exp(x, f64::INFINITY), |x, _| log_sum_exp(x, 1.0)),
        ("tril", |x, _| x.tril(-1), |x, _| x.triu(-1)),
        ("triu", |x, _| x.triu(1), |x, _| x.tril(1)),
        ("binary_cross_entropy", |x, t| bounded_losses(x, t, -100.0).mean(), |x, t| bounded_losses(x, t, -50.0).mean()),
        ("binary_cross_entropy", |x, t| line_losses(x, t, 1e-12, t), |x, t| line_losses(x, t, 1e-11, t)),
        ("binary_cross_entropy", |x, t| line_losses(x, t, 1e-12, t), |x, t| line_losses(x, t, 1e-12, x)),
        ("soft_margin_loss", |x, y| (-(x * y)).exp().log1p().sum_over(&[0, 1]), |x, y| (x * y).exp().log1p()),
    ]);
}
