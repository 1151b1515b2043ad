//! Each invariant of loop programs is broken once; the text form and `explain` speak of their mistakes.

use cotangent_core::ir::Loc;
use cotangent_core::transform::build;
use cotangent_loops::text::{LoopParseError, parse};
use cotangent_loops::verify::verify;
use cotangent_loops::{explain, lower_explained};

/// A program that adds one to a row and sums the result.
const GOOD: &str = r#"loops {
  b0: f32[12] param
  b1: f32[12] result
  b2: f32[3] result
  params (b0)
  results (b1, b2)
  nest [3] scratch (f32[1]) scalars (f32) {
    at "a.rs":3 via tangent
    stage [] x 4 {
      a0 = b0[0 + 4 o0 + 1 l]
      a1 = b1[0 + 4 o0 + 1 l]
      %0 = load a0 : f32
      %1 = const 1.0 : f32
      %2 = add %0, %1 : f32
      %3 = store a1 %2 : f32
      %4 = reduce r0 sum %2 : f32
    }
    stage [] x 1 {
      a0 = s0[0]
      a1 = b2[0 + 1 o0]
      %0 = row r0 : f32
      %1 = store a0 %0 : f32
      %2 = store a1 %0 : f32
    }
  }
}
"#;

/// The violated invariants after `from` became `to`.
fn broken(from: &str, to: &str) -> Vec<&'static str> {
    assert!(GOOD.contains(from), "{from}");
    match parse(&GOOD.replace(from, to)) {
        Ok(_) => Vec::new(),
        Err(LoopParseError::Invalid(e)) => e.0.iter().map(|v| v.invariant).collect(),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn a_valid_program_reads_back() {
    let program = parse(GOOD).unwrap();
    assert_eq!(program.to_string(), GOOD);
    verify(&program).unwrap();
}

#[test]
fn p1_names_are_defined() {
    assert_eq!(broken("results (b1, b2)", "results (b1, b7)"), ["P1"]);
    assert_eq!(broken("add %0, %1", "add %0, %2"), ["P1"]);
    assert_eq!(broken("%0 = load a0 : f32\n      %1 = const", "%0 = load a9 : f32\n      %1 = const"), ["P1"]);
    assert_eq!(broken("reduce r0", "reduce r1"), ["P1", "P1"]);
    assert_eq!(broken("row r0", "column c0"), ["P1", "P1"]);
    assert_eq!(broken("a1 = b1[0", "a1 = b0[0"), ["P1", "P5"]);
    assert_eq!(broken("const 1.0 : f32", "index 0 + 1 i0 : f32"), ["P1"]);
}

#[test]
fn p2_accesses_stay_inside() {
    assert_eq!(broken("b0[0 + 4 o0 + 1 l]", "b0[1 + 4 o0 + 1 l]"), ["P2"]);
    assert_eq!(broken("b0[0 + 4 o0 + 1 l]", "b0[2 + 4 o0 + -1 l]"), ["P2"]);
    assert_eq!(broken("s0[0]", "s0[1]"), ["P2"]);
}

#[test]
fn p3_dtypes_fit() {
    assert_eq!(broken("b0: f32[12]", "b0: f64[12]"), ["P3"]);
    assert_eq!(broken("%1 = const 1.0 : f32", "%1 = const 1.0 : f64"), ["P3"]);
    assert_eq!(broken("scalars (f32)", "scalars (i64)"), ["P3", "P3"]);
}

#[test]
fn p4_outer_iterations_are_independent() {
    assert_eq!(broken("b1[0 + 4 o0 + 1 l]", "b1[0 + 3 o0 + 1 l]"), ["P4", "P5"]);
    assert_eq!(broken("b2[0 + 1 o0]", "b2[0]"), ["P4", "P5"]);
}

#[test]
fn p5_memory_is_written_before_it_is_read() {
    assert_eq!(broken("b0: f32[12] param", "b0: f32[12] temp"), ["P5"]);
    assert_eq!(broken("b1: f32[12]", "b1: f32[13]"), ["P5"]);
    assert_eq!(broken("%1 = store a0 %0 : f32", "%1 = load a0 : f32"), ["P5"]);
}

/// The program `good` reads back, and says `expected` when `from` became `to`, for each `(from, to, expected)`.
fn each_is_found(good: &str, cases: &[(&str, &str, &str)]) {
    assert_eq!(parse(good).unwrap().to_string(), good);
    for (from, to, expected) in cases {
        let found = match parse(&good.replace(from, to)) {
            Ok(program) => program.to_string(),
            Err(e) => e.to_string(),
        };
        assert!(found.contains(expected), "{found}");
    }
}

#[test]
fn what_an_index_names_is_inside() {
    let good = r#"loops {
  b0: f32[12] param
  b1: i64[6] param
  b2: f32[6] result
  params (b0, b1)
  results (b2)
  nest [2] {
    lookup gather dim 0 of 4 step 3 at "a.rs":3
    stage [] x 3 {
      a0 = b1[0 + 3 o0 + 1 l]
      a1 = b0[1]
      a2 = b2[0 + 3 o0 + 1 l]
      %0 = load a0 : i64
      %1 = index -1 + 1 l : i64
      %2 = lookup t0 a1 %1, %0 : f32
      %3 = store a2 %2 : f32
    }
  }
}
"#;
    each_is_found(
        good,
        &[
            ("of 4", "of 5", "P2: step 0: lookup t0 reaches from 0 to 14 in 12 elements"),
            ("index -1 + 1 l", "index -2 + 1 l", "P2: step 0: lookup t0 reaches from -1 to 10 in 12 elements"),
            ("a1 = b0[1]", "a1 = b0[1 + 3 o0]", "P2: step 0: the access of lookup t0 moves"),
            ("%1, %0 : f32", "%0, %1 : f32", "P2: step 0: the offset of lookup t0 is not made of loop indices"),
            ("lookup t0", "lookup t1", "P1: step 0: no lookup t1"),
            ("index -1 + 1 l : i64", "index -1 + 1 l : i32", "P3: step 0: a lookup at i32 and i64"),
            ("a1 %1", "a7 %1", "P1: step 0: no access 7"),
            ("b0: f32[12] param", "b0: f32[12] temp", "P5: step 0: b0 is read before it is wholly written"),
        ],
    );
}

#[test]
fn aimed_accesses_are_named() {
    let good = r#"loops {
  b0: f32[12] param
  b1: i64[6] param
  b2: f32[18] result
  params (b0, b1)
  results (b2)
  nest [6] {
    lookup index_select dim 0 of 4 step 3 at "a.rs":3
    stage [] x 3 {
      a0 = b1[0 + 1 o0]
      a1 = b0[0 + 1 l] through t0 a0
      a2 = b2[0 + 3 o0 + 1 l]
      %0 = load a1 : f32
      %1 = store a2 %0 : f32
    }
  }
}
"#;
    each_is_found(
        good,
        &[
            ("of 4", "of 5", "P2: step 0: an access reaches from 0 to 14 in 12 elements"),
            ("of 4", "of 0", "P2: step 0: lookup t0 has nothing to name"),
            ("b0[0 + 1 l]", "b0[1 + 1 l]", "P2: step 0: an access reaches from 1 to 12 in 12 elements"),
            ("through t0", "through t1", "P1: step 0: no lookup t1 or no access 0"),
            ("through t0 a0", "through t0 a7", "P1: step 0: no lookup t0 or no access 7"),
            ("b1[0 + 1 o0]", "b1[0 + 1 l]", "P1: step 0: the index at access 0 is not the same in all lanes"),
            ("b1: i64[6]", "b1: i32[6]", "P3: step 0: an index that is i32"),
            ("b1: i64[6] param", "b1: i64[6] temp", "P5: step 0: b1 is read before it is wholly written"),
            (
                "b2[0 + 3 o0 + 1 l]",
                "b2[0 + 3 o0 + 1 l] through t0 a0",
                "P4: step 0: an index says where access 2 writes",
            ),
        ],
    );
}

#[test]
fn places_of_a_sort_are_inside_and_its_buffers_fit() {
    let good = r#"loops {
  b0: i8[12] param
  b1: i8[6] result
  b2: i64[6] result
  params (b0)
  results (b1, b2)
  routine sort (b0) -> (b1, b2) at "a.rs":3 places 1 to 3 <<<
graph routine(%0: i8[3,4]) {
  %1: i8[3,4], %2: i64[3,4] = sort(%0, stable=true, dim=1, descending=false)
  return (%1, %2)
}
>>>
}
"#;
    each_is_found(
        good,
        &[
            ("1 to 3", "3 to 5", "P2: step 0: places 3 to 5 of 4"),
            ("1 to 3", "3 to 3", "P2: step 0: places 3 to 3 of 4"),
            ("1 to 3", "1 to 4", "P3: step 0: buffers are not of the operand and the places of a sort"),
            ("b2: i64", "b2: i32", "P3: step 0: buffers are not of the operand and the places of a sort"),
            (
                "%1: i8[3,4], %2: i64[3,4] = sort(%0, stable=true, dim=1, descending=false)\n  return (%1, %2)",
                "%1: i8[3,4] = neg(%0)\n  return (%1)",
                "expected a sort, found `neg`",
            ),
        ],
    );
}

#[test]
fn ranks_of_a_sort_are_those_of_a_gather_along_its_dim() {
    let good = r#"loops {
  b0: i8[12] param
  b1: i64[6] param
  b2: i8[6] result
  b3: i64[6] result
  params (b0, b1)
  results (b2, b3)
  routine gather (b0, b1) -> (b2, b3) at "a.rs":3 ranked <<<
graph routine(%0: i8[3,4]) {
  %1: i8[3,4], %2: i64[3,4] = sort(%0, stable=true, dim=1, descending=false)
  return (%1, %2)
}
>>> at <<<
graph routine(%0: i8[3,4], %1: i64[3,2]) {
  %2: i8[3,2] = gather(%0, %1, dim=1)
  return %2
}
>>>
}
"#;
    let unfit = "P3: step 0: buffers are not of the operand and the ranks of a sort";
    each_is_found(
        good,
        &[
            ("b3: i64[6]", "b3: i32[6]", unfit),
            ("b1: i64[6]", "b1: i64[5]", unfit),
            ("%1: i64[3,2]) {\n  %2: i8[3,2]", "%1: i64[2,3]) {\n  %2: i8[2,3]", unfit),
            ("%1, dim=1)", "%1, dim=0)", "expected a sort and a gather along its dim, found `sort` and `gather`"),
        ],
    );
}

#[test]
fn an_index_for_each_row_is_of_an_op_with_one_for_each_element() {
    let good = r#"loops {
  b0: f32[12] param
  b1: i64[2] param
  b2: f32[8] result
  params (b0, b1)
  results (b2)
  routine gather (b0, b1) -> (b2) at "a.rs":3 rows behind 0 <<<
graph routine(%0: f32[3,4], %1: i64[2,4]) {
  %2: f32[2,4] = gather(%0, %1, dim=0)
  return %2
}
>>>
}
"#;
    each_is_found(
        good,
        &[
            (
                "b1: i64[2]",
                "b1: i64[8]",
                "P3: step 0: `gather`: buffers are not of its avals with an index for each row",
            ),
            ("behind 0", "behind 1", "P3: step 0: `gather`: buffers are not of its avals with an index for each row"),
            (
                "i64[2,4]) {\n  %2: f32[2,4] = gather(%0, %1, dim=0)",
                "i64[2]) {\n  %2: f32[2,4] = index_select(%0, %1, dim=0)",
                "P3: step 0: `index_select`: buffers are not of its avals with an index for each row",
            ),
        ],
    );
}

#[test]
fn an_index_for_lines_is_of_a_gather_along_a_dim_behind_them() {
    let good = r#"loops {
  b0: f32[24] param
  b1: i64[4] param
  b2: f32[12] result
  params (b0, b1)
  results (b2)
  routine gather (b0, b1) -> (b2) at "a.rs":3 lines from 1 <<<
graph routine(%0: f32[2,3,4], %1: i64[2,3,2]) {
  %2: f32[2,3,2] = gather(%0, %1, dim=2)
  return %2
}
>>>
}
"#;
    let unfit = "P3: step 0: `gather`: buffers are not of its avals with an index for each line";
    each_is_found(
        good,
        &[
            ("b1: i64[4]", "b1: i64[12]", unfit),
            ("b2: f32[12]", "b2: f64[12]", unfit),
            ("from 1", "from 2", unfit),
            ("from 1", "from 7", unfit),
            (
                "i64[2,3,2]) {\n  %2: f32[2,3,2] = gather(%0, %1, dim=2)",
                "i64[2]) {\n  %2: f32[2,3,2] = index_select(%0, %1, dim=2)",
                "expected a gather, found `index_select`",
            ),
        ],
    );
}

#[test]
fn values_are_those_of_a_decomposition() {
    let good = r#"loops {
  b0: f64[12] param
  b1: f64[3] result
  params (b0)
  results (b1)
  routine linalg_svd (b0) -> (b1) at "a.rs":3 values <<<
graph routine(%0: f64[3,4]) {
  %1: f64[3,3], %2: f64[3], %3: f64[3,4] = linalg_svd(%0, full_matrices=false)
  return (%1, %2, %3)
}
>>>
}
"#;
    each_is_found(
        good,
        &[
            (
                "b1: f64[3]",
                "b1: f64[4]",
                "P3: step 0: buffers are not of the operand and the values of a decomposition",
            ),
            (
                "b0: f64[12]",
                "b0: f32[12]",
                "P3: step 0: buffers are not of the operand and the values of a decomposition",
            ),
            ("(b1) at", "(b1, b1) at", "P3: step 0: buffers are not of the operand and the values of a decomposition"),
            (
                "%1: f64[3,3], %2: f64[3], %3: f64[3,4] = linalg_svd(%0, full_matrices=false)\n  return (%1, %2, %3)",
                "%1: f64[3,4] = neg(%0)\n  return (%1)",
                "expected a decomposition, found `neg`",
            ),
        ],
    );
}

#[test]
fn text_errors_name_the_line() {
    let message = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(message("loop {"), "line 1: expected `loops`, found `loop`");
    assert!(message(&GOOD.replace("add %0", "odd %0")).starts_with("line 14: expected an operation, not `odd`"));
    assert!(message(&GOOD.replace("b2: f32[3]", "b2: f33[3]")).starts_with("line 4: expected f32, f64"));
    assert!(message(&GOOD.replace("1.0", "one")).contains("expected a number of f32, found `one`"));
    assert!(message(&GOOD[..GOOD.len() - 2]).contains("found ``"));
}

#[test]
fn explain_lists_nodes_by_step() {
    let g = build("f", |t| {
        let x = t.param(&cotangent_core::ir::Aval::new(cotangent_core::ir::DType::F32, [16, 32]));
        Ok(vec![(&x.exp() + &x).sum_over(&[1])])
    })
    .unwrap();
    let (program, nodes) = lower_explained(&g).unwrap();
    assert_eq!(nodes.len(), program.steps.len());
    let names: Vec<&str> = nodes[0].iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["exp", "add", "sum"]);
    assert!(nodes[0].iter().all(|(_, loc)| *loc != Loc::default()));
    let table = explain(&program, &nodes);
    assert!(table.starts_with("step 0: nest of 2 stages\n") && table.contains("exp, add, sum"), "{table}");
}

#[test]
fn exchanged_operands_are_those_of_a_convolution() {
    let good = r#"loops {
  b0: f32[120] param
  b1: f32[72] param
  b2: f32[36] result
  params (b0, b1)
  results (b2)
  routine convolution (b0, b1) -> (b2) at "a.rs":3 exchanged [2, 3] <<<
graph routine(%0: f32[2,3,4,5], %1: f32[3,3,2,4]) {
  %2: f32[2,3,3,4] = convolution(%0, %1, bias=none, stride=[1, 1], padding=[0, 1], dilation=[1, 1], transposed=false, output_padding=[0, 0], groups=1)
  return %2
}
>>>
}
"#;
    let unfit = "P3: step 0: buffers are not of the operands and the result of an exchanged convolution";
    each_is_found(
        good,
        &[
            ("b1: f32[72]", "b1: f32[71]", unfit),
            ("b2: f32[36]", "b2: f32[48]", unfit),
            ("exchanged [2, 3]", "exchanged [1, 6]", unfit),
            ("exchanged [2, 3]", "exchanged [6]", "expected a convolution and its positions, found `convolution`"),
        ],
    );
}
