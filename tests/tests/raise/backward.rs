//! Operators with a backward operator of PyTorch's: derivatives and batches name these, and mean what the bodies say.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Dim, Graph};
use cotangent_core::transform::build;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::inline::inline_composites;
use cotangent_core::transform::jvp::jvp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::random_graph::random_args;

use crate::targets;

type F = fn(&[Tensor]) -> Tensor;

const LINEAR: Interpolation = Interpolation::Linear { align_corners: false };
const FLASH: &str = "_scaled_dot_product_flash_attention_for_cpu";

/// The name of an operator, its function, the shapes of its operands.
fn table() -> Vec<(&'static str, F, Vec<Vec<usize>>)> {
    let image = |sizes: &[usize]| vec![[&[2, 3], sizes].concat()];
    vec![
        ("upsample_nearest1d", |a| a[0].interpolate(&Resize::Size(vec![5]), Interpolation::Nearest), image(&[3])),
        (
            "upsample_nearest2d",
            |a| a[0].interpolate(&Resize::Scale(vec![2.0; 2]), Interpolation::Nearest),
            image(&[3, 2]),
        ),
        ("upsample_linear1d", |a| a[0].interpolate(&Resize::Size(vec![5]), LINEAR), image(&[3])),
        ("upsample_bilinear2d", |a| a[0].interpolate(&Resize::Size(vec![4, 5]), LINEAR), image(&[3, 2])),
        (
            "upsample_bicubic2d",
            |a| a[0].interpolate(&Resize::Size(vec![4, 5]), Interpolation::Bicubic { align_corners: true }),
            image(&[3, 2]),
        ),
        (
            "_upsample_bilinear2d_aa",
            |a| {
                let mode = Interpolation::Antialiased { kernel: Kernel::Triangle, align_corners: false };
                a[0].interpolate(&Resize::Size(vec![2, 3]), mode)
            },
            image(&[4, 5]),
        ),
        (
            "grid_sampler_2d",
            |a| a[0].grid_sample(&a[1], Sampling::Bilinear, Outside::Border, GridCorners::Edges),
            vec![vec![2, 3, 4, 3], vec![2, 2, 3, 2]],
        ),
        ("affine_grid_generator", |a| affine_grid(&a[0], &[2, 3, 2, 4], GridCorners::Centres), vec![vec![2, 2, 3]]),
        (
            FLASH,
            |a| {
                let options = Attention { is_causal: true, scale: Some(0.3), ..Attention::default() };
                a[0].scaled_dot_product_attention(&a[1], &a[2], options)
            },
            vec![vec![2, 2, 3, 4], vec![2, 2, 5, 4], vec![2, 2, 5, 4]],
        ),
    ]
}

fn function(f: F, shapes: &[Vec<usize>]) -> Graph {
    let params: Vec<Aval> = shapes.iter().map(|s| Aval::new(DType::F64, s.as_slice())).collect();
    build("f", |t| Ok(vec![f(&params.iter().map(|a| t.param(a)).collect::<Vec<_>>()).ok()?])).unwrap()
}

fn alike(a: &[Array], b: &[Array]) -> bool {
    let near = |(x, y): (f64, f64)| (x - y).abs() <= 1e-12 * (1.0 + y.abs());
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.aval() == b.aval() && a.to_f64_vec().into_iter().zip(b.to_f64_vec()).all(near))
}

/// `g` names `name` so many times, and has the values of `plain`, which is made of bodies.
fn check(g: &Graph, plain: &Graph, name: &str, times: usize) {
    let raised = g.raised();
    let found = targets(&raised).iter().filter(|t| t.split('.').next() == Some(name)).count();
    assert_eq!(found, times, "{name}: {}", raised.code());
    let args = random_args(7, g);
    assert!(alike(&eval(&raised, &args).unwrap(), &eval(plain, &args).unwrap()), "{name}: {}", raised.code());
}

#[test]
fn derivatives_name_the_backward_operator() {
    for (name, f, shapes) in table() {
        let g = function(f, &shapes);
        let plain = inline_composites(&g).unwrap();
        let wrt: Vec<usize> = (0..shapes.len()).collect();
        let backward = format!("{name}_backward");
        let (pulled, of_plain) = (vjp(&g, &wrt).unwrap(), vjp(&plain, &wrt).unwrap());
        check(&pulled, &of_plain, &backward, 1);
        // Over a batch of all operands, both are the same operators of more examples.
        let dims = |g: &Graph| (vec![Some(0); g.params().len()], vec![0; g.results().len()]);
        let batched = |g: &Graph| {
            let (ins, outs) = dims(g);
            vmap(g, &ins, &outs, Dim::new(3)).unwrap()
        };
        check(&batched(&g), &batched(&plain), name, 1);
        check(&batched(&pulled), &batched(&of_plain), &backward, 1);
        // Where only one operand is mapped, too, and where there is no example.
        let ins: Vec<Option<usize>> = (0..shapes.len()).map(|i| (i == 0).then_some(1)).collect();
        let one = |g: &Graph| vmap(g, &ins, &[1], Dim::new(3)).unwrap();
        check(&one(&g), &one(&plain), name, 1);
        let none = |g: &Graph| vmap(g, &dims(g).0, &dims(g).1, Dim::new(0)).unwrap();
        let args = random_args(7, &none(&pulled));
        assert!(alike(&eval(&none(&pulled), &args).unwrap(), &eval(&none(&of_plain), &args).unwrap()), "{name}");
        // Forward mode, and forward over reverse.
        let pushed = |g: &Graph| jvp(g, &(0..g.params().len()).collect::<Vec<_>>()).unwrap();
        for (g, plain) in [(&g, &plain), (&pulled, &of_plain)] {
            let args = random_args(8, &pushed(g));
            let (got, want) = (eval(&pushed(g), &args).unwrap(), eval(&pushed(plain), &args).unwrap());
            assert!(alike(&got, &want), "jvp of {name}");
        }
    }
}

/// A linear operator's tangent is the operator itself, and the transpose of its transpose is, too.
#[test]
fn linear_operators_are_their_own_tangents() {
    for (name, f, shapes) in table().into_iter().filter(|(_, _, shapes)| shapes.len() == 1) {
        let g = function(f, &shapes);
        let plain = inline_composites(&g).unwrap();
        check(&jvp(&g, &[0]).unwrap(), &jvp(&plain, &[0]).unwrap(), name, 2);
        let twice = |g: &Graph| vjp(&vjp(g, &[0]).unwrap(), &[1]).unwrap();
        check(&twice(&g), &twice(&plain), name, 2);
    }
}
