//! Arrays put together of parts of what was put together.

use cotangent::prelude::*;
use cotangent_loops::ir::Role;
use cotangent_loops::lower;

use crate::{args_of, check, f32s};

/// Whether `f` of one array needs memory between, and has the values of the graph.
fn temporaries(f: impl Fn(Tensor) -> Tensor, sizes: &[usize]) -> usize {
    let g = make_fx(f, (f32s(sizes),)).unwrap();
    check(&g, &args_of(&g, 7)).unwrap();
    lower(&g).unwrap().buffers.iter().filter(|b| b.role == Role::Temp).count()
}

#[test]
fn paddings_along_several_dims_copy_once() {
    for mode in [PadMode::Reflect, PadMode::Replicate, PadMode::Circular] {
        for pad in [[2, 3, 1, 2], [1, 0, 0, 2], [4, 4, 4, 4]] {
            let padded = move |x: Tensor| x.pad(&pad, mode) * 2.0;
            assert_eq!(temporaries(padded, &[2, 3, 20, 41]), 0, "{mode:?} {pad:?}");
        }
    }
    let three = |x: Tensor| x.pad(&[1, 2, 3, 1, 1, 1], PadMode::Replicate);
    assert_eq!(temporaries(three, &[1, 2, 7, 9, 33]), 0);
}

#[test]
fn views_of_pieces_are_followed_to_what_these_are_of() {
    let around = |x: &Tensor, d: i64| cat(&[&x.narrow(d, 5, 2), x, &x.flip(d), &x.narrow(d, 0, 1).expand([4, 40])], 0);
    let once = move |x: Tensor| {
        let y = around(&x, 0);
        // Reversed and cut, across the borders of its pieces.
        cat(&[&y.flip(0).narrow(0, 3, 9), &y.narrow(0, 1, 6).flip(0), &y.narrow(0, 6, 1).expand([3, 40])], 0)
    };
    assert_eq!(temporaries(once, &[7, 40]), 0);
    // Results of functions are not computed again by each reader, but by the only one.
    let twice = |x: Tensor| {
        let y = cat(&[&x.sin(), &x.cos()], 0);
        cat(&[&y.narrow(0, 1, 9), &y.narrow(0, 0, 3)], 0)
    };
    assert_eq!(temporaries(twice, &[7, 40]), 1);
    assert_eq!(temporaries(|x| cat(&[&cat(&[&x.sin(), &x.cos()], 1), &cat(&[&x, &x], 1)], 0), &[7, 40]), 0);
    // Most of the columns would be copied element by element, for each reader.
    let narrow = |x: Tensor| {
        let y = cat(&[&x.narrow(1, 0, 3), &x.narrow(1, 15, 3), &x.narrow(1, 5, 3), &x.narrow(1, 10, 3)], 1);
        cat(&[&y, &y.flip(0), &y], 0)
    };
    assert_eq!(temporaries(narrow, &[50, 30]), 1);
}

/// The derivative of a sum of neighbours along two dims has 25 parts.
#[test]
fn a_stencil_is_one_pass_backwards() {
    let stencil = |x: Tensor| {
        let at = |i: i64, j: i64| x.narrow(0, i, 30).narrow(1, j, 60);
        ((at(0, 1) + at(2, 1) + at(1, 0) + at(1, 2) - at(1, 1) * 4.0).square()).sum()
    };
    let g = make_fx(grad(stencil), (f32s(&[32, 62]),)).unwrap();
    check(&g, &args_of(&g, 7)).unwrap();
    // What is added up is memory, and nothing else.
    assert!(lower(&g).unwrap().buffers.iter().filter(|b| b.role == Role::Temp).count() <= 1);
}

/// Zeros around what is summed are not written, nor read; other borders, and zeros along dims that stay, are there.
#[test]
fn sums_do_not_read_zeros_around() {
    let sum = |pad: &'static [(i64, i64)], value: f64| move |x: Tensor| x.pad_dims(pad, value).sum_over(&[1]) * 2.0;
    assert_eq!(temporaries(sum(&[(0, 0), (3, 20)], 0.0), &[30, 12]), 0);
    assert_eq!(temporaries(sum(&[(0, 0), (0, 31)], 0.0), &[30, 1]), 0);
    assert_eq!(temporaries(sum(&[(1, 0), (3, 20)], 0.0), &[30, 12]), 1);
    assert_eq!(temporaries(sum(&[(0, 0), (3, 20)], 1.0), &[30, 12]), 1);
    assert_eq!(temporaries(sum(&[(0, 0), (-3, 20)], 0.0), &[30, 12]), 0);
}
