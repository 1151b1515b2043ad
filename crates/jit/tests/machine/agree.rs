//! Every op on every dtype and path against the interpreter.

use crate::common::{Pointwise, access, check, data, nest, stage};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{Binary, Monoid, Unary};
use cotangent_loops::ir::*;

const LENGTHS: [usize; 9] = [0, 1, 3, 7, 8, 9, 31, 33, 70];

fn unary(f: Unary, d: DType, n: usize) -> LoopProgram {
    let ops = vec![(BodyOp::Load(0), d), (BodyOp::Unary(f, BodyValue(0)), d), (BodyOp::Store(1, BodyValue(1)), d)];
    let accesses = vec![access(0, 0, &[], &[], 1), access(1, 0, &[], &[], 1)];
    Pointwise { inputs: vec![(d, n)], outputs: vec![(d, n)], nest: nest(&[], &[], vec![stage(n, accesses, ops)]) }
        .program()
}

fn tolerance(d: DType) -> f64 {
    match d {
        DType::F64 => 1e-15,
        DType::F32 => 4.8e-7,
        DType::F16 => 1e-3,
        DType::BF16 => 8e-3,
        DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => 0.0,
    }
}

#[test]
fn unary_functions() {
    for d in DType::ALL {
        for f in Unary::ALL.iter().filter(|f| f.domain().has(d) && !f.is_predicate()) {
            let n = 1000;
            // The reference's own rows of these are off by more.
            let loose = match f {
                Unary::Acosh | Unary::Asinh | Unary::Atanh | Unary::Digamma => 4.0,
                Unary::I0 | Unary::I0e | Unary::ModifiedBesselI0 => 4.0,
                Unary::I1 | Unary::I1e | Unary::ModifiedBesselI1 => 4.0,
                _ => 1.0,
            };
            check(&format!("{f:?} {d}"), &unary(*f, d, n), &[data(d, n, 7)], loose * tolerance(d));
        }
        for n in LENGTHS {
            let f = if d == DType::Bool { Unary::BitwiseNot } else { Unary::Neg };
            check(&format!("{f:?} {d} of {n}"), &unary(f, d, n), &[data(d, n, 3)], tolerance(d));
        }
    }
}

#[test]
fn binary_functions() {
    for d in DType::ALL {
        for f in Binary::ALL.iter().filter(|f| f.domain().has(d)) {
            let n = 777;
            let out = if f.is_comparison() { DType::Bool } else { d };
            let ops = vec![
                (BodyOp::Load(0), d),
                (BodyOp::Load(1), d),
                (BodyOp::Binary(*f, BodyValue(0), BodyValue(1)), out),
                (BodyOp::Store(2, BodyValue(2)), out),
            ];
            let accesses = (0..3).map(|b| access(b, 0, &[], &[], 1)).collect();
            let p = Pointwise {
                inputs: vec![(d, n), (d, n)],
                outputs: vec![(out, n)],
                nest: nest(&[], &[], vec![stage(n, accesses, ops)]),
            };
            let mut y = data(d, n, 13);
            if !d.is_float() && matches!(f, Binary::Fmod | Binary::Remainder | Binary::DivTrunc | Binary::DivFloor) {
                let nonzero: Vec<_> =
                    (0..n).map(|i| y.get(i)).map(|s| if s.to_i64() == 0 { 3.into() } else { s }).collect();
                y = cotangent_core::array::Array::from_scalars(&y.aval(), &nonzero);
            }
            if cotangent_core::ops::Op::from(*f).name().contains("polynomial") {
                // Each degree is a step of a recurrence.
                y = cotangent_core::array::Array::from_f64_fn(&y.aval(), |i| (i % 9) as f64 - 1.0);
            }
            check(&format!("{f:?} {d}"), &p.program(), &[data(d, n, 5), y], tolerance(d));
        }
    }
}

#[test]
fn conversions_and_selects() {
    for from in DType::ALL {
        for to in DType::ALL {
            for n in [69, 500] {
                let ops = vec![
                    (BodyOp::Load(0), from),
                    (BodyOp::Convert(BodyValue(0)), to),
                    (BodyOp::Load(1), DType::Bool),
                    (BodyOp::Index { of: Loop::Lane, scale: 3, offset: -5 }, to),
                    (BodyOp::Select(BodyValue(2), BodyValue(1), BodyValue(3)), to),
                    (BodyOp::Store(2, BodyValue(4)), to),
                ];
                let accesses = (0..3).map(|b| access(b, 0, &[], &[], 1)).collect();
                let p = Pointwise {
                    inputs: vec![(from, n), (DType::Bool, n)],
                    outputs: vec![(to, n)],
                    nest: nest(&[], &[], vec![stage(n, accesses, ops)]),
                };
                check(&format!("{from} to {to}"), &p.program(), &[data(from, n, 5), data(DType::Bool, n, 9)], 0.0);
            }
        }
    }
}

/// out[o, l] = a[o, 2l] · b[o] + c[−l] with rows and every kind of stride.
#[test]
fn strides() {
    for d in [DType::F32, DType::F64, DType::I64, DType::I32, DType::I8, DType::Bool, DType::F16] {
        for n in 0..40 {
            let rows = 3;
            let ops = vec![
                (BodyOp::Load(0), d),
                (BodyOp::Load(1), d),
                (BodyOp::Load(2), d),
                (BodyOp::Binary(Binary::Mul, BodyValue(0), BodyValue(1)), d),
                (BodyOp::Binary(Binary::Maximum, BodyValue(3), BodyValue(2)), d),
                (BodyOp::Store(3, BodyValue(4)), d),
                (BodyOp::Store(4, BodyValue(4)), d),
            ];
            let m = n as i64;
            let accesses = vec![
                access(0, 0, &[2 * m], &[], 2),
                access(1, 0, &[1], &[], 0),
                access(2, m.max(1) - 1, &[0], &[], -1),
                access(3, 0, &[m], &[], 1),
                access(4, 0, &[1], &[], rows as i64),
            ];
            let p = Pointwise {
                inputs: vec![(d, 2 * n * rows), (d, rows), (d, n.max(1))],
                outputs: vec![(d, n * rows), (d, n * rows)],
                nest: nest(&[rows], &[], vec![stage(n, accesses, ops)]),
            };
            let args = [data(d, 2 * n * rows, 1), data(d, rows, 2), data(d, n.max(1), 3)];
            check(&format!("strides {d} {n}"), &p.program(), &args, 1e-7);
        }
    }
}

/// Row reductions, then a second pass that reads the row scalar and a scratch row.
#[test]
fn rows() {
    for d in [DType::F32, DType::F64, DType::I64, DType::I32, DType::I16, DType::Bool] {
        for monoid in [Monoid::Sum, Monoid::Max, Monoid::Min, Monoid::Prod] {
            for n in (0..40).chain([70, 300, 5000]) {
                let rows = 3;
                let first = vec![
                    (BodyOp::Load(0), d),
                    (BodyOp::ReduceLanes(0, monoid, BodyValue(0)), d),
                    (BodyOp::Store(1, BodyValue(0)), d),
                ];
                let second = vec![
                    (BodyOp::Load(0), d),
                    (BodyOp::RowScalar(0), d),
                    (BodyOp::Binary(Binary::Maximum, BodyValue(0), BodyValue(1)), d),
                    (BodyOp::Store(1, BodyValue(2)), d),
                ];
                let m = n as i64;
                let scratch = || Access {
                    memory: Memory::Scratch(0),
                    offset: 0,
                    outer: vec![0],
                    serial: vec![],
                    lane: 1,
                    aim: None,
                };
                let mut nest = nest(
                    &[rows],
                    &[d],
                    vec![
                        stage(n, vec![access(0, 0, &[m], &[], 1), scratch()], first),
                        stage(n, vec![scratch(), access(1, 0, &[m], &[], 1)], second),
                        stage(
                            1,
                            vec![access(2, 0, &[1], &[], 0)],
                            vec![(BodyOp::RowScalar(0), d), (BodyOp::Store(0, BodyValue(0)), d)],
                        ),
                    ],
                );
                nest.scratch = vec![(d, n)];
                let p = Pointwise { inputs: vec![(d, n * rows)], outputs: vec![(d, n * rows), (d, rows)], nest };
                // Exact in floats: small integers, and products of ±1 and 2.
                let x = data(d, n * rows, 4);
                let small: Vec<_> = (0..n * rows)
                    .map(|i| {
                        let k = x.get(i).to_i64();
                        let v = if monoid == Monoid::Prod {
                            [1, -1, 1, 1][k.rem_euclid(4) as usize]
                        } else {
                            k.rem_euclid(17) - 8
                        };
                        if monoid != Monoid::Prod && d.is_float() && x.get(i).to_f64().is_nan() && i % 3 == 0 {
                            f64::NAN.into()
                        } else {
                            v.into()
                        }
                    })
                    .collect();
                let x = cotangent_core::array::Array::from_scalars(&x.aval(), &small);
                check(&format!("rows {d} {monoid:?} {n}"), &p.program(), &[x], 0.0);
            }
        }
    }
}

/// More rows than run together, in two loops that do not continue each other, with the indices of both, two reductions and two scratch rows.
#[test]
fn rows_together() {
    let index = |i: u32, scale| BodyOp::Index { of: Loop::Outer(i), scale, offset: 1 };
    let v = BodyValue;
    for d in [DType::F32, DType::F64, DType::I32, DType::I64] {
        for (n, rows) in [(1, 1), (1, 40), (5, 8), (7, 9), (16, 7), (33, 19), (70, 17), (300, 5), (2000, 3)] {
            let (m, k) = (n as i64, rows as i64);
            let [first, second] = [0, 1].map(|scratch| Access {
                memory: Memory::Scratch(scratch),
                offset: 0,
                outer: vec![0, 0],
                serial: vec![],
                lane: 1,
                aim: None,
            });
            let input = access(0, 2, &[k * m + 3, m], &[], 1);
            let stages = vec![
                stage(
                    n,
                    vec![input.clone(), first.clone()],
                    vec![
                        (BodyOp::Load(0), d),
                        (index(1, 3), d),
                        (BodyOp::Binary(Binary::Mul, v(0), v(1)), d),
                        (BodyOp::Store(1, v(2)), d),
                        (BodyOp::ReduceLanes(0, Monoid::Max, v(2)), d),
                    ],
                ),
                stage(
                    n,
                    vec![first, second.clone()],
                    vec![
                        (BodyOp::Load(0), d),
                        (BodyOp::RowScalar(0), d),
                        (BodyOp::Binary(Binary::Sub, v(0), v(1)), d),
                        (BodyOp::Store(1, v(2)), d),
                        (BodyOp::ReduceLanes(1, Monoid::Sum, v(2)), d),
                    ],
                ),
                stage(
                    1,
                    vec![access(2, 0, &[k, 1], &[], 0)],
                    vec![
                        (BodyOp::RowScalar(1), d),
                        (index(0, 5), d),
                        (BodyOp::Binary(Binary::Sub, v(0), v(1)), d),
                        (BodyOp::Store(0, v(2)), d),
                    ],
                ),
                stage(
                    n,
                    vec![second, input, access(1, 0, &[k * m, m], &[], 1), access(2, 0, &[k, 1], &[], 0)],
                    vec![
                        (BodyOp::Load(0), d),
                        (BodyOp::Load(1), d),
                        (BodyOp::Load(3), d),
                        (BodyOp::Binary(Binary::Add, v(0), v(1)), d),
                        (BodyOp::Binary(Binary::Add, v(3), v(2)), d),
                        (BodyOp::Store(2, v(4)), d),
                    ],
                ),
            ];
            let mut nest = nest(&[2, rows], &[d, d], stages);
            nest.scratch = vec![(d, n), (d, n)];
            let inputs = vec![(d, 2 * n * rows + 5)];
            let p = Pointwise { inputs, outputs: vec![(d, 2 * n * rows), (d, 2 * rows)], nest };
            // Exact in floats: small integers.
            let x =
                cotangent_core::array::Array::from_f64_fn(&cotangent_core::ir::Aval::new(d, [2 * n * rows + 5]), |i| {
                    (i * 7 % 23) as f64 - 11.0
                });
            check(&format!("{rows} rows of {n} {d}"), &p.program(), &[x], 0.0);
        }
    }
}

/// Column reductions over two serial loops, with an epilogue and serial indices.
#[test]
fn columns() {
    for d in [DType::F32, DType::F64, DType::I64, DType::I32] {
        // From 256 on accumulators stand in memory, and of the longest row in registers again.
        for n in [0, 1, 5, 8, 13, 16, 33, 64, 200, 256, 300, 1025, 5000] {
            let (s0, s1, rows) = (3usize, 4usize, 2usize);
            let m = n as i64;
            let body = vec![
                (BodyOp::Load(0), d),
                (BodyOp::Index { of: Loop::Serial(1), scale: 2, offset: 1 }, d),
                (BodyOp::Index { of: Loop::Outer(0), scale: 1, offset: 0 }, d),
                (BodyOp::Binary(Binary::Mul, BodyValue(0), BodyValue(1)), d),
                (BodyOp::Binary(Binary::Add, BodyValue(3), BodyValue(2)), d),
                (BodyOp::ReduceSerial(0, BodyValue(4)), d),
                (BodyOp::ReduceSerial(1, BodyValue(0)), d),
                (BodyOp::ReduceLanes(0, Monoid::Sum, BodyValue(0)), d),
            ];
            let after = vec![
                (BodyOp::Column(0), d),
                (BodyOp::Column(1), d),
                (BodyOp::Binary(Binary::Sub, BodyValue(0), BodyValue(1)), d),
                (BodyOp::Store(1, BodyValue(2)), d),
            ];
            let sum = Stage {
                serial: vec![s0, s1],
                lanes: n,
                columns: vec![(Monoid::Sum, d), (Monoid::Max, d)],
                accesses: vec![access(0, 0, &[m * 12], &[m * 4, m], 1), access(1, 0, &[m], &[0, 0], 1)],
                body: Body { ops: body },
                after: Body { ops: after },
            };
            let scalar = stage(
                1,
                vec![access(2, 0, &[1], &[], 0)],
                vec![(BodyOp::RowScalar(0), d), (BodyOp::Store(0, BodyValue(0)), d)],
            );
            let p = Pointwise {
                inputs: vec![(d, n * 12 * rows)],
                outputs: vec![(d, n * rows), (d, rows)],
                nest: nest(&[rows], &[d], vec![sum, scalar]),
            };
            let x = Array::from_f64_fn(&Aval::new(d, [n * 12 * rows]), |i| ((i * 37) % 19) as f64 - 9.0);
            check(&format!("columns {d} {n}"), &p.program(), &[x], 0.0);
        }
    }
}

/// Rows that go to accumulators in memory several at a time, and those that are left over; in the second form the body is longer and fewer go together.
#[test]
fn columns_of_rows_together() {
    for d in [DType::F32, DType::I64] {
        for (n, serial) in [256, 301].into_iter().flat_map(|n| {
            [vec![1], vec![3], vec![4], vec![5], vec![7], vec![2, 6], vec![3, 1]].map(move |serial| (n, serial))
        }) {
            for long in [false, true] {
                let rows: usize = serial.iter().product();
                let m = n as i64;
                let mut body = vec![(BodyOp::Load(0), d)];
                for i in 0..if long { 16 } else { 0 } {
                    body.push((BodyOp::Binary(Binary::Add, BodyValue(i), BodyValue(0)), d));
                }
                let last = BodyValue(body.len() as u32 - 1);
                body.extend([(BodyOp::ReduceSerial(0, last), d), (BodyOp::ReduceSerial(1, last), d)]);
                let after = vec![
                    (BodyOp::Column(0), d),
                    (BodyOp::Store(1, BodyValue(0)), d),
                    (BodyOp::Column(1), d),
                    (BodyOp::Store(2, BodyValue(2)), d),
                ];
                let strides: Vec<i64> =
                    (0..serial.len()).map(|k| m * serial[k + 1..].iter().product::<usize>() as i64).collect();
                let none = vec![0; serial.len()];
                let accesses = vec![
                    access(0, 0, &[m * rows as i64], &strides, 1),
                    access(1, 0, &[m], &none, 1),
                    access(2, 0, &[m], &none, 1),
                ];
                let stage = Stage {
                    serial: serial.clone(),
                    lanes: n,
                    columns: vec![(Monoid::Sum, d), (Monoid::Max, d)],
                    accesses,
                    body: Body { ops: body },
                    after: Body { ops: after },
                };
                let p = Pointwise {
                    inputs: vec![(d, n * rows * 2)],
                    outputs: vec![(d, n * 2), (d, n * 2)],
                    nest: nest(&[2], &[], vec![stage]),
                };
                let x = Array::from_f64_fn(&Aval::new(d, [n * rows * 2]), |i| ((i * 37) % 19) as f64 - 9.0);
                check(&format!("{serial:?} rows of {n} {d}, long: {long}"), &p.program(), &[x], 0.0);
            }
        }
    }
}

/// A NaN anywhere is the largest and the smallest: along lanes and down columns.
#[test]
fn extremes_of_nan() {
    for d in [DType::F32, DType::F64] {
        let (n, rows) = (301, 6);
        for at in [0, 1, 7, 8, 31, 32, 299, 300, n * 3 + 5, n * rows - 1] {
            let nan = |i: usize| if i == at { f64::NAN } else { (i % 23) as f64 - 11.0 };
            let x = Array::from_f64_fn(&Aval::new(d, [n * rows]), nan);
            let m = n as i64;
            let body = vec![
                (BodyOp::Load(0), d),
                (BodyOp::ReduceSerial(0, BodyValue(0)), d),
                (BodyOp::ReduceSerial(1, BodyValue(0)), d),
                (BodyOp::ReduceLanes(0, Monoid::Max, BodyValue(0)), d),
                (BodyOp::ReduceLanes(1, Monoid::Min, BodyValue(0)), d),
            ];
            let after = vec![
                (BodyOp::Column(0), d),
                (BodyOp::Store(1, BodyValue(0)), d),
                (BodyOp::Column(1), d),
                (BodyOp::Store(2, BodyValue(2)), d),
            ];
            let all = Stage {
                serial: vec![rows],
                lanes: n,
                columns: vec![(Monoid::Max, d), (Monoid::Min, d)],
                accesses: vec![access(0, 0, &[], &[m], 1), access(1, 0, &[], &[0], 1), access(2, 0, &[], &[0], 1)],
                body: Body { ops: body },
                after: Body { ops: after },
            };
            let scalars = stage(
                1,
                vec![access(3, 0, &[], &[], 0), access(4, 0, &[], &[], 0)],
                vec![
                    (BodyOp::RowScalar(0), d),
                    (BodyOp::Store(0, BodyValue(0)), d),
                    (BodyOp::RowScalar(1), d),
                    (BodyOp::Store(1, BodyValue(2)), d),
                ],
            );
            let p = Pointwise {
                inputs: vec![(d, n * rows)],
                outputs: vec![(d, n), (d, n), (d, 1), (d, 1)],
                nest: nest(&[], &[d, d], vec![all, scalars]),
            };
            check(&format!("{d}, NaN at {at}"), &p.program(), &[x], 0.0);
        }
    }
}
