//! Systems that have to be regular.

use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::Triangle;
use cotangent_core::transform::build;

use crate::{graph, targets};

/// An inverse or a solution that has to exist.
#[test]
fn checked_systems_are_found() {
    let of = |body: &str| graph(&format!("graph f(%0: f64[2,3,3], %1: f64[2,3]) {{\n{body}}}\n"));
    let checked = |system: &str, result: &str, info: &str| {
        of(&format!(
            "  {system}\n  %7: i32[2] = full(size=[2], fill_value=0, dtype=i32)\n  %8: bool[2] = ne({info}, %7)\n  \
             %9: i64[2] = convert_element_type(%8, dtype=i64)\n  %10: i64[] = sum(%9, dim=none)\n  \
             %11: i64[] = full(size=[], fill_value=0, dtype=i64)\n  %12: bool[] = eq(%10, %11)\n  \
             %13: f64[2,3,3] = _functional_assert_async(%12, {result}, assert_msg=\"singular\")\n  return %13\n"
        ))
    };
    let inverse = "%2: f64[2,3,3], %3: i32[2] = linalg_inv_ex(%0, check_errors=false)";
    assert_eq!(targets(&checked(inverse, "%2", "%3").raised()), ["linalg_inv.default"]);
    let solve = "%2: f64[2,3,3], %3: f64[2,3,3], %4: i32[2,3], %5: i32[2] = _linalg_solve_ex(%0, %0, left=false, check_errors=false)";
    let raised = checked(solve, "%2", "%5").raised();
    assert_eq!(targets(&raised), ["linalg_solve.default"]);
    assert!(raised.code().contains("left = False"), "{}", raised.code());
    // Something else is checked, or something else depends on it.
    let factors = checked(solve, "%3", "%5").raised();
    assert!(targets(&factors).contains(&"_functional_assert_async.msg".to_owned()), "{factors}");
    let other = checked(
        &format!("{inverse}\n  %5: f64[2,3,3], %6: i32[2] = linalg_inv_ex(%5, check_errors=false)")
            .replace("(%5", "(%2"),
        "%2",
        "%6",
    );
    assert!(targets(&other.raised()).contains(&"_functional_assert_async.msg".to_owned()), "{other}");
}

/// The Cholesky factor of a matrix that has to have one.
#[test]
fn checked_factors_are_found() {
    let of = |checked: fn(&Tensor, &Tensor, &Tensor) -> (Tensor, Tensor)| {
        let aval = Aval::new(DType::F64, [3, 3]);
        let g = build("f", |t| {
            let x = t.param(&aval);
            let [l, info] = x.cholesky_ex(Triangle::Lower);
            let (condition, y) = checked(&x, &l, &info);
            Ok(vec![y.assert_that(&condition, "not positive definite").ok()?])
        });
        targets(&g.unwrap().raised())
    };
    assert_eq!(of(|_, l, info| (info.eq(0i64), l.clone())), ["linalg_cholesky.default"]);
    let unchecked = "_functional_assert_async.msg".to_owned();
    // Another condition, and another value under it.
    assert!(of(|_, l, info| (info.eq(1i64), l.clone())).contains(&unchecked));
    assert!(of(|_, l, info| (info.ne(0i64), l.clone())).contains(&unchecked));
    assert!(of(|x, _, info| (info.eq(0i64), x.clone())).contains(&unchecked));
}
