//! Derivatives, tangents and batches that stand without a call of their function.

use cotangent_aten::nn::pool::Pool;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::Graph;
use cotangent_core::ops::Convolution;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::inline::inline_composites;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::replay::replay;
use cotangent_core::transform::vmap::vmap;

use crate::pullback::{found, function};

type F = fn(&Tensor) -> Tensor;

fn pool(stride: usize, padding: usize) -> Pool {
    Pool { padding: padding.into(), ..Pool::stride(stride) }
}

/// Averages of what is inside the image only.
fn inside(pool: Pool) -> Pool {
    Pool { count_include_pad: false, ..pool }
}

/// The cotangents alone, as a function whose value nobody asks for leaves them.
fn cotangents(f: &Graph, wrt: &[usize]) -> Graph {
    let all = vjp(f, wrt).unwrap();
    let built = build("cotangents", |t| {
        let args: Vec<Tensor> = all.param_avals().iter().map(|a| t.param(a)).collect();
        Ok(replay(&all, &args).split_off(f.results().len()))
    });
    simplify(&built.unwrap())
}

fn batch(f: &Graph) -> Graph {
    simplify(&vmap(f, &[Some(0)], &[0], 3.into()).unwrap())
}

fn tangent(f: &Graph) -> Graph {
    simplify(&jvp(f, &[0]).unwrap())
}

#[test]
fn convolutions_say_what_they_were() {
    let plain = Convolution::plain;
    let table: [(Convolution, [&[usize]; 2]); 5] = [
        (plain(1), [&[2, 3, 5], &[4, 3, 2]]),
        (Convolution { stride: vec![2, 1], padding: vec![1, 1], ..plain(2) }, [&[2, 2, 6, 5], &[3, 2, 3, 3]]),
        (Convolution { groups: 2, padding: vec![1], ..plain(1) }, [&[2, 4, 5], &[6, 2, 3]]),
        (Convolution { dilation: vec![2, 1], ..plain(2) }, [&[1, 2, 6, 5], &[3, 2, 3, 3]]),
        (Convolution { transposed: true, ..plain(1) }, [&[2, 3, 5], &[3, 4, 2]]),
    ];
    for (op, shapes) in table {
        let f = function(&shapes, |a| a[0].conv(&a[1], op.clone()));
        let g = cotangents(&f, &[0, 1]);
        assert_eq!(found(&g, "convolution_backward.default"), 1, "{op:?}: {}", g.raised().code());
        // The derivative in one operand is shorter by itself.
        assert_eq!(found(&cotangents(&f, &[0]), "convolution_backward.default"), 0, "{op:?}");
        assert_eq!(found(&cotangents(&f, &[1]), "convolution_backward.default"), 0, "{op:?}");
        // Two convolutions of one operand are not a derivative.
        assert_eq!(found(&simplify(&jvp(&f, &[0, 1]).unwrap()), "convolution_backward.default"), 0, "{op:?}");
    }
    // One channel: an adjoint and a tangent are of one form, but not of the shapes.
    let f = function(&[&[1, 1, 2, 3, 3], &[1, 1, 2, 2, 2]], |a| {
        a[0].conv(&a[1], Convolution { padding: vec![1; 3], ..plain(3) })
    });
    let g = simplify(&jvp(&f, &[0, 1]).unwrap());
    assert_eq!(found(&g, "convolution_backward.default"), 0, "{}", g.raised().code());
}

#[test]
fn averages_of_batches_and_their_derivatives() {
    let table: [(&str, &[usize], F); 8] = [
        ("avg_pool2d", &[1, 2, 6, 6], |x| x.avg_pool2d(3, &pool(1, 0))),
        ("avg_pool2d", &[2, 7, 6], |x| x.avg_pool2d(3, &pool(2, 1))),
        ("avg_pool2d", &[1, 2, 7, 6], |x| x.avg_pool2d(3, &inside(pool(2, 1)))),
        ("avg_pool2d", &[1, 2, 6, 5], |x| x.avg_pool2d(3, &Pool { ceil_mode: true, ..inside(pool(2, 1)) })),
        ("avg_pool2d", &[1, 2, 5, 5], |x| x.avg_pool2d(3, &Pool { divisor_override: Some(4), ..pool(1, 1) })),
        ("avg_pool3d", &[1, 1, 4, 4, 4], |x| x.avg_pool3d(3, &pool(1, 1))),
        ("avg_pool2d", &[1, 2, 4, 6], |x| x.avg_pool2d(2, &Pool::default())),
        ("avg_pool3d", &[1, 2, 4, 4, 2], |x| x.avg_pool3d(2, &Pool::default())),
    ];
    for (i, (name, shape, f)) in table.iter().enumerate() {
        let f = function(&[shape], |a| f(&a[0]));
        let back = cotangents(&f, &[0]);
        let target = format!("{name}_backward.default");
        assert_eq!(found(&back, &target), 1, "{i}: {}", back.raised().code());
        let all = batch(&f);
        assert_eq!(found(&all, &format!("{name}.default")), 1, "{i}: {}", all.raised().code());
        let both = tangent(&f);
        assert_eq!(found(&both, &format!("{name}.default")), 2, "{i}: {}", both.raised().code());
    }
    // Sums are averages that are divided by 1; along dims that are no windows they are none.
    let sums = |d: usize| function(&[&[1, 2, 4, 4]], |a| a[0].unfold(2, 2, 1).unfold(3, 2, 1).sum_over(&[d, 5]));
    assert_eq!(found(&sums(4), "avg_pool2d.default"), 1);
    assert_eq!(found(&sums(3), "avg_pool2d.default"), 0);
    // Another number for each window is no count.
    let near = function(&[&[1, 1, 4, 4]], |a| {
        let x = a[0].pad_dims(&[(0, 0), (0, 0), (1, 1), (1, 1)], 0.0).unfold(2, 3, 1).unfold(3, 3, 1).sum_over(&[4, 5]);
        x / Tensor::from_slice(&[4.0, 6.0, 6.0, 5.0])
    });
    assert!(!near.raised().code().contains("False, False"), "{}", near.raised().code());
}

#[test]
fn maxima_go_by_their_places() {
    let table: [(&str, &[usize], F); 5] = [
        ("max_pool2d_with_indices", &[1, 2, 6, 6], |x| x.max_pool2d(2, &Pool::default())),
        ("max_pool2d_with_indices", &[2, 7, 7], |x| x.max_pool2d(3, &pool(2, 1))),
        ("max_pool2d_with_indices", &[1, 2, 6, 5], |x| x.max_pool2d(3, &Pool { ceil_mode: true, ..pool(2, 0) })),
        ("max_pool2d_with_indices", &[1, 2, 5, 5], |x| x.max_pool2d(3, &pool(1, 1))),
        ("max_pool3d_with_indices", &[1, 2, 4, 4, 4], |x| x.max_pool3d(2, &Pool::default())),
    ];
    for (name, shape, f) in table {
        let f = function(&[shape], |a| f(&a[0]));
        let forward = format!("{name}.default");
        let back = cotangents(&f, &[0]);
        assert_eq!(found(&back, &format!("{name}_backward.default")), 1, "{}", back.raised().code());
        assert_eq!(found(&back, "argmax.default"), 0, "{}", back.raised().code());
        for g in [batch(&f), tangent(&f), batch(&inline_composites(&f).unwrap())] {
            assert_eq!(found(&g, &forward), 1, "{}", g.raised().code());
            assert_eq!(found(&g, "unfold.default"), 0, "{}", g.raised().code());
        }
    }
    // The tangent of another image, by other windows, is no element at a place.
    let other = function(&[&[1, 1, 4, 4], &[1, 1, 6, 6]], |a| {
        let rows = |x: &Tensor, step: usize| x.unfold(2, 2, step).unfold(3, 2, step).view_to(&[1, 1, 3, 3, 4].into());
        rows(&a[1], 2).gather_along(4, &rows(&a[0], 1).argmax_along(4).view_to(&[1, 1, 3, 3, 1].into()))
    });
    assert_eq!(found(&other, "max_pool2d_with_indices.default"), 0, "{}", other.raised().code());
}

/// A linear function that the graph names is named for the tangent, too.
#[test]
fn tangents_of_linear_functions_are_calls() {
    let table: [(&str, &[usize], F); 2] = [
        ("_adaptive_avg_pool2d.default", &[1, 2, 5, 4], |x| x.adaptive_avg_pool2d([3, 3])),
        ("avg_pool2d.default", &[1, 2, 5, 5], |x| x.avg_pool2d(3, &pool(2, 1))),
    ];
    for (target, shape, f) in table {
        let g = tangent(&function(&[shape], |a| f(&a[0])));
        assert_eq!(found(&g, target), 2, "{}", g.raised().code());
    }
}
