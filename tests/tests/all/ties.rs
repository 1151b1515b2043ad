//! Which of equal elements order statistics give: those of PyTorch, by the evaluator and in machine code, of all dtypes alike.

use cotangent::aten::order::Orders;
use cotangent::jit::Executable;
use cotangent::transform::build;
use cotangent::{Error, Tensor};
use cotangent_core::array::Array;
use cotangent_core::ir::DType;
use cotangent_core::transform::eval::eval;
use cotangent_core::transform::grad::vjp;
use cotangent_core::transform::vmap::vmap;
use cotangent_tests::oracle::traced;

/// `name n kinds k hash`, as `fixtures/make_ties_fixture.py` says.
const RECORDED: &str = include_str!("../../fixtures/ties.txt");

fn hashed(places: &[i64]) -> i64 {
    places.iter().fold(7, |h, place| (h * 31 + place + 1) % 1_000_000_007)
}

fn statistic(x: &Tensor, name: &str, k: usize) -> (Tensor, Tensor) {
    match name {
        "topk" => x.topk(k, 0),
        "topk_unsorted" => x.topk_unsorted(k, 0),
        "topk_smallest" => x.topk_smallest(k, 0),
        "topk_smallest_unsorted" => x.topk_smallest_unsorted(k, 0),
        "kthvalue" => x.kthvalue(k, 0),
        "median" => x.median_dim(0),
        "mode" => x.mode(0),
        name => panic!("no statistic {name}"),
    }
}

fn check(places: impl Fn(&Array, &str, usize) -> Result<[Array; 2], Error>) {
    let mut wrong = Vec::new();
    for (i, line) in RECORDED.lines().enumerate() {
        let [name, n, kinds, k, hash] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let [n, kinds, k]: [usize; 3] = [n, kinds, k].map(|s| s.parse().expect("a number"));
        let elements: Vec<i64> = (0..n).map(|i| ((7919 * i + 31 * i * i) % kinds) as i64).collect();
        // Only numbers that all dtypes tell apart.
        let dtypes = [DType::I64, DType::F32, DType::I16, DType::F64];
        let x = Array::new([n], elements.clone()).cast(dtypes[i % dtypes.len()]);
        let [values, at] = places(&x, name, k).unwrap_or_else(|e| panic!("{line}: {e}"));
        let at = at.to_i64_vec();
        let taken: Vec<i64> = at.iter().map(|at| elements[*at as usize]).collect();
        if hashed(&at).to_string() != hash || values.cast(DType::I64).to_i64_vec() != taken {
            wrong.push(format!("{line}: {at:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

#[test]
fn evaluated() {
    check(|x, name, k| {
        let (values, at) = statistic(&Tensor::from_array(x.clone()), name, k);
        Ok([values.to_array()?, at.to_array()?])
    });
}

#[test]
fn compiled() {
    check(|x, name, k| {
        let graph = build("statistic", |t| {
            let (values, at) = statistic(&t.param(&x.aval()), name, k);
            Ok(vec![values, at])
        })?;
        let results = Executable::new(&graph)?.call(&[Tensor::from_array(x.clone())])?;
        Ok([results[0].to_array()?, results[1].to_array()?])
    });
}

/// Equal elements share the derivative of a median also where the batch came first.
#[test]
fn medians_of_a_batch_share_their_derivatives() {
    let x = Array::new([4], vec![1.0, 1.0, 1.0, 3.0]);
    let g = traced(|a| vec![a[0].median()], std::slice::from_ref(&x)).expect("a graph");
    let batch = vmap(&g, &[Some(0)], &[0], 2.into()).expect("a batch");
    let gradient = vjp(&batch, &[0]).expect("reverse mode");
    let x = Array::new([2, 4], vec![1.0, 1.0, 1.0, 3.0, 2.0, 0.0, 2.0, 5.0]);
    let x_bar = &eval(&gradient, &[x, Array::new([2], vec![3.0, 2.0])]).expect("values")[1];
    assert_eq!(x_bar.to_f64_vec(), [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
}
