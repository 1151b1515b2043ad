//! Systems that have to be regular.

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
