//! Images of which an index repeats places, with any dims in front, and what is almost so.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::simplify::simplify;
use cotangent_core::transform::build;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::replay::replay;

use crate::pullback::{found, function};

fn at(x: &Tensor, dim: usize, places: &[i64]) -> Tensor {
    x.index_select_along(dim, &Tensor::from_array(Array::new([places.len()], places.to_vec())))
}

type F = fn(&Tensor) -> Tensor;

#[test]
fn repeated_places_are_borders_and_neighbours() {
    let table: [(&str, &[usize], F); 9] = [
        ("reflection_pad1d", &[1, 2, 4], |x| at(x, 2, &[2, 1, 0, 1, 2, 3, 2])),
        ("reflection_pad1d", &[2, 4], |x| at(x, 1, &[0, 1, 2, 3, 2])),
        ("reflection_pad2d", &[1, 2, 3, 3], |x| at(&at(x, 2, &[1, 0, 1, 2, 1]), 3, &[0, 1, 2, 1])),
        // The rows only.
        ("reflection_pad2d", &[1, 2, 3, 3], |x| at(x, 2, &[1, 0, 1, 2, 1])),
        ("replication_pad1d", &[1, 2, 3], |x| at(x, 2, &[0, 0, 0, 1, 2, 2])),
        ("replication_pad2d", &[2, 3, 2], |x| at(&at(x, 1, &[0, 0, 1, 2]), 2, &[0, 1, 1])),
        ("replication_pad3d", &[1, 1, 2, 2, 2], |x| at(&at(&at(x, 2, &[0, 0, 1]), 3, &[0, 1, 1]), 4, &[0, 0, 1, 1])),
        ("upsample_nearest1d", &[1, 2, 3], |x| at(x, 2, &[0, 0, 1, 1, 2])),
        ("upsample_nearest2d", &[1, 2, 3, 2], |x| at(&at(x, 2, &[0, 0, 1, 1, 2]), 3, &[0, 0, 1])),
    ];
    for (name, shape, f) in table {
        let f = function(&[shape], |a| f(&a[0]));
        assert_eq!(found(&f, &format!("{name}.default")), 1, "{}", f.raised().code());
        let all = vjp(&f, &[0]).unwrap();
        let built = build("cotangent", |t| {
            let args: Vec<Tensor> = all.param_avals().iter().map(|a| t.param(a)).collect();
            Ok(replay(&all, &args).split_off(1))
        });
        let back = simplify(&built.unwrap());
        assert_eq!(found(&back, &format!("{name}_backward.default")), 1, "{}", back.raised().code());
    }
    // A border mirrored with its edge, one larger than what is inside, and rows in front that PyTorch does not pad.
    let near: [(&[usize], F); 3] = [
        (&[1, 2, 3], |x| at(x, 2, &[1, 0, 0, 1, 2])),
        (&[1, 2, 2], |x| at(x, 2, &[1, 0, 1, 0, 1])),
        (&[2, 3, 2, 2, 2, 2], |x| at(x, 1, &[0, 0, 1, 2])),
    ];
    for (shape, f) in near {
        let g = function(&[shape], |a| f(&a[0]));
        let code = g.raised().code();
        assert!(!code.contains("_pad") && !code.contains("upsample"), "{code}");
    }
}
