//! Reads through an index inside of nests.

use cotangent::prelude::*;
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::transform::eval::eval;
use cotangent_loops::interp::interpret;
use cotangent_loops::ir::{LoopProgram, Step};
use cotangent_loops::lower;

use crate::{check, f32s, fused};

fn places(n: usize, below: i64) -> Array {
    Array::new([n], (0..n as i64).map(|i| (i * i + 3 * i) % below).collect())
}

fn args(g: &Graph, index: &Array) -> Vec<Array> {
    let arg = |(i, a): (usize, &Aval)| match a.dtype {
        DType::I64 => index.clone(),
        _ => Array::from_f64_fn(a, |k| ((k * 37 + i * 11) % 101) as f64 / 50.0 - 1.0),
    };
    g.param_avals().iter().enumerate().map(arg).collect()
}

fn count(program: &LoopProgram) -> [usize; 2] {
    let lookups = |s: &Step| match s {
        Step::Nest(n) => n.lookups.len(),
        Step::Routine(_) => 0,
    };
    let routines = program.steps.iter().filter(|s| matches!(s, Step::Routine(_))).count();
    [program.steps.iter().map(lookups).sum(), routines]
}

/// A table between whose entries is interpolated: both reads stand in the nest that computes their index.
#[test]
fn interpolation_is_one_nest() {
    let f = |t: Tensor, x: Tensor| {
        let k = x.floor();
        let part = &x - &k;
        let k = k.convert(DType::I64);
        let next = &k + 1;
        t.index_select_along(0, &k) * (1.0 - &part) + t.index_select_along(0, &next) * part
    };
    let g = make_fx(f, (f32s(&[64]), f32s(&[1000]))).unwrap();
    fused("interpolation", &g, 1, 0);
}

/// Short slices, tables that are views, several dims, places made of loop indices.
#[test]
fn lookups_read_views_at_every_dim() {
    type Read = fn(Tensor, Tensor) -> Tensor;
    let cases: [(&str, Read); 5] = [
        ("short slices", |x, i| x.index_select_along(0, &i).square()),
        ("a transposed table", |x, i| x.slice_dim(1, 0, 3, 1).permute_to(&[1, 0]).index_select_along(1, &i) * 2.0),
        ("every other row", |x, i| x.slice_dim(0, 1, 20, 2).index_select_along(0, &(i * 2 + 1)) + 1.0),
        ("rows and columns", |x, i| {
            x.index_select_along(0, &i).slice_dim(0, 1, 3, 1).index_select_along(1, &(3 - i)).exp()
        }),
        ("an index for each element", |x, _| x.gather_along(1, &(x.square() * 3.0).convert(DType::I64)) - 1.0),
    ];
    for (name, f) in cases {
        let x = f32s(&[20, 4]);
        let g = make_fx(f, (x, Tensor::from_array(places(4, 4)))).unwrap();
        check(&g, &args(&g, &places(4, 4))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let [lookups, _] = count(&lower(&g).unwrap());
        assert!(lookups > 0, "{name}:\n{}", lower(&g).unwrap());
    }
}

/// What lies in many rows is copied by a routine, and so is what no vector unit gathers; much arithmetic has lanes of 32 bits.
#[test]
fn elements_of_many_rows_and_much_work_stay_apart() {
    let of = |shape: &[usize], f: fn(Tensor, Tensor) -> Tensor| {
        let g = make_fx(f, (f32s(shape), Tensor::from_array(places(30, 4)))).unwrap();
        check(&g, &args(&g, &places(30, 4))).unwrap();
        lower(&g).unwrap()
    };
    assert_eq!(count(&of(&[4, 5], |x, i| x.index_select_along(1, &i) + 1.0)), [0, 1]);
    assert_eq!(count(&of(&[5], |x, i| x.convert(DType::F16).index_select_along(0, &i) + 1.0)), [0, 1]);
    let program = of(&[5], |x, i| (x.index_select_along(0, &i).sin().exp().tanh().cos().log() * 2.0).sin());
    assert_eq!((count(&program), program.steps.len()), ([1, 0], 2));
    // Rows of a sum have lanes of 32 bits, too.
    let program = of(&[5], |x, i| x.index_select_along(0, &i).view_to(&[3, 10].into()).sum_over(&[1]));
    assert_eq!((count(&program), program.steps.len()), ([1, 0], 2));
}

/// Slices are read in the nest that computes with them: their place moves with the row, also where rows are summed, along them or over them.
#[test]
fn slices_are_aimed_at() {
    type Read = fn(Tensor, Tensor) -> Tensor;
    let cases: [(&str, Read); 5] = [
        ("alone", |x, i| x.index_select_along(0, &i) + 1.0),
        ("in the middle", |x, i| x.view_to(&[2, 10, 12].into()).index_select_along(1, &i) * 2.0),
        ("products", |x, i| (x.index_select_along(0, &i) * x.index_select_along(0, &(&i + 1))).sum_over(&[1])),
        ("means", |x, i| x.index_select_along(0, &i).view_to(&[10, 3, 12].into()).sum_over(&[1]) * 0.25),
        ("normed", |x, i| {
            let y = x.index_select_along(0, &i);
            let mean = y.sum_over(&[1]).view_to(&[30, 1].into()).expand_to(&[30, 12].into()) * 0.125;
            y - mean
        }),
    ];
    for (name, f) in cases {
        let g = make_fx(f, (f32s(&[20, 12]), Tensor::from_array(places(30, 4)))).unwrap();
        check(&g, &args(&g, &places(30, 4))).unwrap_or_else(|e| panic!("{name}: {e}"));
        let program = lower(&g).unwrap();
        let stages = program.steps.iter().flat_map(|s| match s {
            Step::Nest(n) => &n.stages[..],
            Step::Routine(_) => &[],
        });
        let (mut aimed, mut gathered) = (0, 0);
        for stage in stages {
            aimed += stage.accesses.iter().filter(|a| a.aim.is_some() && a.lane == 1).count();
            gathered += stage.looked_up().filter(|i| stage.accesses[*i].aim.is_none()).count();
        }
        assert!(aimed > 0 && gathered == 0 && count(&program)[1] == 0, "{name}:\n{program}");
    }
}

/// An index that the dim does not have, and one of a dim without elements.
#[test]
fn indices_outside_are_refused() {
    let g = make_fx(
        |x: Tensor, i: Tensor| x.index_select_along(0, &i) * 2.0,
        (f32s(&[5]), Tensor::from_array(places(9, 5))),
    )
    .unwrap();
    for bad in [-1, 5, i64::MAX, i64::MIN] {
        let mut index = places(9, 5).to_i64_vec();
        index[7] = bad;
        let args = args(&g, &Array::new([9], index));
        let (want, got) = (eval(&g, &args).unwrap_err(), interpret(&lower(&g).unwrap(), &args).unwrap_err());
        assert!(want.to_string().contains(&got.to_string()), "{want}\n{got}");
    }
}
