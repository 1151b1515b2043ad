//! Edges of the paths: tails, spills, mixed widths, masks, and what disassembles.

use crate::common::{Pointwise, access, check, data, nest, paths, run, stage};
use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::{Binary, Monoid, Unary};
use cotangent_jit::{CompileOptions, Path, compile_with};
use cotangent_loops::ir::*;

type Ops = Vec<(BodyOp, DType)>;

fn push(ops: &mut Ops, op: BodyOp, d: DType) -> BodyValue {
    ops.push((op, d));
    BodyValue(ops.len() as u32 - 1)
}

fn pointwise(inputs: &[DType], output: DType, n: usize, mut ops: Ops) -> LoopProgram {
    let last = BodyValue(ops.len() as u32 - 1);
    ops.push((BodyOp::Store(inputs.len() as u32, last), output));
    let accesses = (0..=inputs.len() as u32).map(|b| access(b, 0, &[], &[], 1)).collect();
    Pointwise {
        inputs: inputs.iter().map(|d| (*d, n)).collect(),
        outputs: vec![(output, n)],
        nest: nest(&[], &[], vec![stage(n, accesses, ops)]),
    }
    .program()
}

/// Many values that all live until the end: more than any path has registers.
fn crowd(d: DType, n: usize) -> LoopProgram {
    let mut ops = Ops::new();
    let x = push(&mut ops, BodyOp::Load(0), d);
    let mut values = vec![x];
    for i in 0..50 {
        let before = values[i];
        values.push(push(&mut ops, BodyOp::Binary(if i % 3 == 0 { Binary::Sub } else { Binary::Add }, x, before), d));
    }
    // Each value is compared with another one far away, and the masks live until the end too.
    let masks: Vec<BodyValue> =
        (0..25).map(|i| push(&mut ops, BodyOp::Binary(Binary::Lt, values[i], values[50 - i]), DType::Bool)).collect();
    let mut y = x;
    for (i, mask) in masks.iter().enumerate() {
        let chosen = push(&mut ops, BodyOp::Select(*mask, values[2 * i], y), d);
        y = push(&mut ops, BodyOp::Binary(Binary::Add, chosen, values[50 - i]), d);
    }
    pointwise(&[d], d, n, ops)
}

#[test]
fn values_and_masks_beyond_the_registers() {
    for d in [DType::F32, DType::F64, DType::I32, DType::I64, DType::I8, DType::F16] {
        for n in [1, 8, 15, 16, 17, 40, 64, 200] {
            check(&format!("crowd {d} {n}"), &crowd(d, n), &[data(d, n, 11)], 1e-6);
        }
    }
}

/// Every dtype at every length around one, two and three vectors.
#[test]
fn tails() {
    for d in DType::ALL {
        for n in 0..=40 {
            let mut ops = Ops::new();
            let x = push(&mut ops, BodyOp::Load(0), d);
            let y = push(&mut ops, BodyOp::Load(1), d);
            let less = push(&mut ops, BodyOp::Binary(Binary::Lt, x, y), DType::Bool);
            push(&mut ops, BodyOp::Select(less, y, x), d);
            check(&format!("tail {d} {n}"), &pointwise(&[d, d], d, n, ops), &[data(d, n, 3), data(d, n, 4)], 0.0);
        }
    }
}

/// Choices between a value and zeros or ones, which may be one operation of bits; the mask is of lanes as wide as the value's, wider, or narrower.
#[test]
fn choices_with_zeros_and_ones() {
    for compared in [DType::F32, DType::F64, DType::I64, DType::I8] {
        for d in DType::ALL.into_iter().filter(|d| *d != DType::Bool) {
            for n in [0, 1, 3, 7, 8, 9, 16, 31, 40, 100] {
                let mut ops = Ops::new();
                let x = push(&mut ops, BodyOp::Load(0), compared);
                let y = push(&mut ops, BodyOp::Load(1), d);
                let zero = push(&mut ops, BodyOp::Const(0.0.into()), compared);
                let less = push(&mut ops, BodyOp::Binary(Binary::Lt, zero, x), DType::Bool);
                let none = push(&mut ops, BodyOp::Const(0.0.into()), d);
                // All ones, of integers.
                let ones = push(&mut ops, BodyOp::Const(Scalar::Int(-1)), d);
                let minus = push(&mut ops, BodyOp::Const((-0.0).into()), d);
                let a = push(&mut ops, BodyOp::Select(less, y, none), d);
                let b = push(&mut ops, BodyOp::Select(less, none, y), d);
                let c = push(&mut ops, BodyOp::Select(less, ones, b), d);
                let e = push(&mut ops, BodyOp::Select(less, minus, c), d);
                let f = push(&mut ops, BodyOp::Binary(Binary::Maximum, a, c), d);
                push(&mut ops, BodyOp::Binary(Binary::Sub, f, e), d);
                let args = [data(compared, n, 3), data(d, n, 4)];
                check(&format!("{d} where {compared}, {n}"), &pointwise(&[compared, d], d, n, ops), &args, 0.0);
            }
        }
    }
}

/// Masks as values: loaded, combined with each other and with constants, selected, stored, reduced.
#[test]
fn truth_values() {
    let bool = DType::Bool;
    for d in [DType::F32, DType::F64] {
        for n in [0, 1, 7, 8, 9, 16, 31, 40, 100] {
            let mut ops = Ops::new();
            let x = push(&mut ops, BodyOp::Load(0), d);
            let p = push(&mut ops, BodyOp::Load(1), bool);
            let zero = push(&mut ops, BodyOp::Const(0.0.into()), d);
            let yes = push(&mut ops, BodyOp::Const(true.into()), bool);
            let no = push(&mut ops, BodyOp::Const(false.into()), bool);
            let positive = push(&mut ops, BodyOp::Binary(Binary::Lt, zero, x), bool);
            let mut q = push(&mut ops, BodyOp::Binary(Binary::BitwiseXor, positive, p), bool);
            for f in [
                Binary::BitwiseAnd,
                Binary::BitwiseOr,
                Binary::BitwiseXor,
                Binary::Eq,
                Binary::Ne,
                Binary::Lt,
                Binary::Le,
                Binary::Gt,
                Binary::Ge,
            ] {
                let a = push(&mut ops, BodyOp::Binary(f, q, p), bool);
                let b = push(&mut ops, BodyOp::Binary(f, a, yes), bool);
                let c = push(&mut ops, BodyOp::Binary(f, no, b), bool);
                let e = push(&mut ops, BodyOp::Binary(f, yes, no), bool);
                let s = push(&mut ops, BodyOp::Select(positive, c, a), bool);
                let t = push(&mut ops, BodyOp::Select(p, e, s), bool);
                q = push(&mut ops, BodyOp::Binary(Binary::BitwiseXor, t, q), bool);
            }
            push(&mut ops, BodyOp::Unary(Unary::BitwiseNot, q), bool);
            let args = [data(d, n, 5), data(bool, n, 6)];
            check(&format!("truth {d} {n}"), &pointwise(&[d, bool], bool, n, ops), &args, 0.0);
        }
    }
}

/// Reductions of truth values, also of a constant, beside so many others that accumulators are in memory.
#[test]
fn reductions_of_truth_values() {
    let (f32, bool) = (DType::F32, DType::Bool);
    for n in [0, 1, 8, 15, 16, 17, 40, 333] {
        let mut ops = vec![(BodyOp::Load(0), f32), (BodyOp::Load(1), bool), (BodyOp::Const(true.into()), bool)];
        let mut scalars = Vec::new();
        let monoids = [Monoid::Sum, Monoid::Prod, Monoid::Max, Monoid::Min];
        for (value, d) in [(0, f32), (1, bool), (2, bool)] {
            for monoid in monoids {
                ops.push((BodyOp::ReduceLanes(scalars.len() as u32, monoid, BodyValue(value)), d));
                scalars.push(d);
            }
        }
        let mut last = Ops::new();
        let mut accesses = Vec::new();
        for (i, d) in scalars.iter().enumerate() {
            let x = push(&mut last, BodyOp::RowScalar(i as u32), *d);
            last.push((BodyOp::Store(i as u32, x), *d));
            accesses.push(access(2 + i as u32, 0, &[1], &[], 0));
        }
        let rows = 2;
        let m = n as i64;
        let inputs = vec![access(0, 0, &[m], &[], 1), access(1, 0, &[m], &[], 1)];
        let p = Pointwise {
            inputs: vec![(f32, n * rows), (bool, n * rows)],
            outputs: scalars.iter().map(|d| (*d, rows)).collect(),
            nest: nest(&[rows], &scalars, vec![stage(n, inputs, ops), stage(1, accesses, last)]),
        };
        let x = Array::from_f64_fn(&Aval::new(f32, [n * rows]), |i| [1.0, -1.0, 1.0, 2.0][(i % 7) % 3]);
        check(&format!("truth sums {n}"), &p.program(), &[x, data(bool, n * rows, 8)], 0.0);
    }
}

/// Values of 32 and 64 bits in one body, with scalar calls where a mask says so.
#[test]
fn mixed_widths() {
    for n in [1, 5, 8, 9, 16, 23, 40] {
        let (f32, f64, i64) = (DType::F32, DType::F64, DType::I64);
        let mut ops = Ops::new();
        let x = push(&mut ops, BodyOp::Load(0), f32);
        let k = push(&mut ops, BodyOp::Load(1), i64);
        let p = push(&mut ops, BodyOp::Load(2), DType::Bool);
        let wide = push(&mut ops, BodyOp::Convert(x), f64);
        let exact = push(&mut ops, BodyOp::Convert(k), f32);
        let back = push(&mut ops, BodyOp::Convert(exact), f64);
        let sum = push(&mut ops, BodyOp::Binary(Binary::Add, wide, back), f64);
        let sin = push(&mut ops, BodyOp::Unary(Unary::Sin, sum), f64);
        let half = push(&mut ops, BodyOp::Convert(sin), DType::F16);
        let chosen = push(&mut ops, BodyOp::Select(p, exact, x), f32);
        let half = push(&mut ops, BodyOp::Convert(half), f32);
        push(&mut ops, BodyOp::Binary(Binary::Add, chosen, half), f32);
        let args = [data(f32, n, 5), data(i64, n, 6), data(DType::Bool, n, 7)];
        check(&format!("mixed {n}"), &pointwise(&[f32, i64, DType::Bool], f32, n, ops), &args, 1e-6);
    }
}

/// Strides so long that each lane is in a page of its own, and backwards.
#[test]
fn long_strides() {
    for d in [DType::F32, DType::F64, DType::I16, DType::Bool] {
        for n in [1, 15, 16, 17, 33] {
            let step = 5000;
            let ops = vec![(BodyOp::Load(0), d), (BodyOp::Store(1, BodyValue(0)), d)];
            let far = (step * (n - 1)) as i64;
            let accesses = vec![access(0, far, &[], &[], -(step as i64)), access(1, 0, &[], &[], 3)];
            let p = Pointwise {
                inputs: vec![(d, step * n)],
                outputs: vec![(d, 3 * n)],
                nest: nest(&[], &[], vec![stage(n, accesses, ops)]),
            };
            let (p, args) = (p.program(), [data(d, step * n, 9)]);
            // Elements between the strides are nobody's: only the written ones are compared.
            let want = cotangent_loops::interp::interpret(&p, &args).expect("interprets");
            for path in paths() {
                let got = run(&p, &args, path);
                for i in (0..3 * n).step_by(3) {
                    let (x, y) = (got[0].get(i).to_f64(), want[0].get(i).to_f64());
                    assert!(x == y || x.is_nan() && y.is_nan(), "{d} {n} on {path:?}: [{i}] is {x}, not {y}");
                }
            }
        }
    }
}

/// The same lane code gives the same bits on every path.
#[test]
fn elementwise_results_are_the_same_bits_on_every_path() {
    for d in [DType::F32, DType::F64] {
        for f in Unary::ALL.iter().filter(|f| f.domain().has(d) && !f.is_predicate()) {
            let n = 2000;
            let ops = vec![(BodyOp::Load(0), d), (BodyOp::Unary(*f, BodyValue(0)), d)];
            let (p, args) = (pointwise(&[d], d, n, ops), [data(d, n, 21)]);
            let all: Vec<Array> = paths().into_iter().map(|path| run(&p, &args, path).remove(0)).collect();
            for other in &all[1..] {
                for i in 0..n {
                    let (x, y) = (all[0].get(i).to_f64(), other.get(i).to_f64());
                    let same = x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
                    assert!(same, "{f:?} {d}: {x:e} and {y:e} at {:?}", args[0].get(i));
                }
            }
        }
    }
}

/// Reductions of 32-bit lanes that fill half of a vector, because 64-bit ones are beside them; what is in the other half does not count.
#[test]
fn reductions_beside_wider_lanes() {
    for d in [DType::F32, DType::I32, DType::Bool] {
        for (monoid, n) in
            [Monoid::Sum, Monoid::Max, Monoid::Min, Monoid::Prod].into_iter().flat_map(|m| (0..20).map(move |n| (m, n)))
        {
            let mut ops = Ops::new();
            let x = push(&mut ops, BodyOp::Load(0), DType::F32);
            let wide = push(&mut ops, BodyOp::Convert(x), DType::F64);
            let three = push(&mut ops, BodyOp::Const((-3.0).into()), DType::F64);
            let less = push(&mut ops, BodyOp::Binary(Binary::Add, wide, three), DType::F64);
            let y = push(&mut ops, BodyOp::Convert(less), d);
            push(&mut ops, BodyOp::ReduceLanes(0, monoid, y), d);
            let scalar = vec![(BodyOp::RowScalar(0), d), (BodyOp::Store(0, BodyValue(0)), d)];
            let p = Pointwise {
                inputs: vec![(DType::F32, n)],
                outputs: vec![(d, 1)],
                nest: nest(
                    &[],
                    &[d],
                    vec![
                        stage(n, vec![access(0, 0, &[], &[], 1)], ops),
                        stage(1, vec![access(1, 0, &[], &[], 0)], scalar),
                    ],
                ),
            };
            // Exact in every order: small integers, and products of powers of two.
            let whole = |i: usize| [1.0, 2.0, 4.0, 5.0, 1.0][i % 5];
            let x = Array::from_f64_fn(&Aval::new(DType::F32, [n]), whole);
            check(&format!("{monoid:?} {d} {n}"), &p.program(), &[x], 0.0);
        }
    }
}

/// Every binary16 to `f32`, and back what lies between two of them: in the middle and next to it, and what is too large or too small.
#[test]
fn halves() {
    let bits: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let all = Array::from_le_bytes(&Aval::new(DType::F16, [1 << 16]), &bits).expect("length");
    let convert =
        |from, to, n| pointwise(&[from], to, n, vec![(BodyOp::Load(0), from), (BodyOp::Convert(BodyValue(0)), to)]);
    check("halves", &convert(DType::F16, DType::F32, 1 << 16), std::slice::from_ref(&all), 0.0);
    let mut numbers = Vec::new();
    for i in 0..1 << 16 {
        let (x, next) = (all.get(i).to_f32(), all.get((i + 1) % (1 << 16)).to_f32());
        let middle = x + (next - x) / 2.0;
        numbers.extend([x, middle, middle.next_up(), middle.next_down()].map(|x| Scalar::from(f64::from(x))));
    }
    let numbers = Array::from_scalars(&Aval::new(DType::F32, [numbers.len()]), &numbers);
    check("to halves", &convert(DType::F32, DType::F16, numbers.numel()), &[numbers], 0.0);
}

/// Strides that fit no instruction: tiles run the lane code that was made for vectors.
#[test]
fn what_runs_on_tiles_has_the_same_bits() {
    let (rows, far) = (300, 9 << 20);
    for d in [DType::F32, DType::F64, DType::I64] {
        let mut ops = Ops::new();
        let mut values = vec![push(&mut ops, BodyOp::Load(0), d)];
        if d.is_float() {
            for f in [Unary::Exp, Unary::Expm1, Unary::Log, Unary::Log1p, Unary::Log10, Unary::Tanh, Unary::Sinh] {
                values.push(push(&mut ops, BodyOp::Unary(f, values[0]), d));
            }
            let whole = push(&mut ops, BodyOp::Convert(values[0]), DType::I64);
            values.push(push(&mut ops, BodyOp::Convert(whole), d));
        } else {
            for f in [Binary::Mul, Binary::Maximum, Binary::Minimum] {
                let n = push(&mut ops, BodyOp::Const(Scalar::Int(-3)), d);
                values.push(push(&mut ops, BodyOp::Binary(f, values[0], n), d));
            }
            let float = push(&mut ops, BodyOp::Convert(values[0]), DType::F32);
            values.push(push(&mut ops, BodyOp::Convert(float), d));
        }
        let stores = values.len() - 1;
        let program = |stride: usize| {
            let mut ops = ops.clone();
            let mut accesses = vec![access(0, 0, &[1], &[], stride as i64)];
            for (i, v) in values[1..].iter().enumerate() {
                ops.push((BodyOp::Store(1 + i as u32, *v), d));
                accesses.push(access(1 + i as u32, 0, &[2], &[], 1));
            }
            Pointwise {
                inputs: vec![(d, stride + rows)],
                outputs: vec![(d, 2 * rows); stores],
                nest: nest(&[rows], &[], vec![stage(2, accesses, ops)]),
            }
            .program()
        };
        let x = data(d, 2 * rows, 17);
        // The same numbers, once as neighbours and once far apart.
        let near = run(&program(rows), std::slice::from_ref(&x), Path::Tiles);
        let mut bytes = vec![0; (far + rows) * d.size_bytes()];
        let row = rows * d.size_bytes();
        bytes[..row].copy_from_slice(&x.to_le_bytes()[..row]);
        bytes[far * d.size_bytes()..].copy_from_slice(&x.to_le_bytes()[row..]);
        let apart = Array::from_le_bytes(&Aval::new(d, [far + rows]), &bytes).expect("length");
        for path in paths() {
            for (v, (a, b)) in run(&program(far), std::slice::from_ref(&apart), path).iter().zip(&near).enumerate() {
                for i in 0..2 * rows {
                    let (a, b) = (a.get(i), b.get(i));
                    let same = a == b || a.to_f64().is_nan() && b.to_f64().is_nan();
                    assert!(same, "{d} value {v} on {path:?}: {a:?}, not {b:?}, at {:?}", x.get(i / 2 + i % 2 * rows));
                }
            }
        }
    }
}

/// Every byte of instructions is one that a decoder of others knows.
#[test]
fn machine_code_decodes() {
    let mut programs: Vec<LoopProgram> = [DType::F32, DType::F64, DType::I64, DType::F16].map(|d| crowd(d, 77)).into();
    for d in DType::ALL {
        for f in Unary::ALL.iter().filter(|f| f.domain().has(d) && !f.is_predicate()) {
            let ops = vec![(BodyOp::Load(0), d), (BodyOp::Unary(*f, BodyValue(0)), d)];
            programs.push(pointwise(&[d], d, 45, ops));
        }
        for to in DType::ALL {
            programs.push(pointwise(&[d], to, 45, vec![(BodyOp::Load(0), d), (BodyOp::Convert(BodyValue(0)), to)]));
        }
    }
    let mut longest = false;
    for path in paths() {
        for p in &programs {
            let compiled = compile_with(p, CompileOptions { path }).expect("compiles");
            let (text, clif) = (compiled.disassembly(), compiled.clif());
            longest |= text.contains("zmm");
            assert!(!text.contains("(bad)"), "on {path:?}:\n{text}");
            assert!(path == Path::Tiles || text.contains("ret"), "no code on {path:?}");
            assert!(path == Path::Wide512 || !text.contains("zmm"), "vectors of another path on {path:?}");
            assert_eq!(path == Path::Narrow128, clif.contains("function u0:0(i64)"), "on {path:?}:\n{clif}");
        }
    }
    assert_eq!(longest, paths().contains(&Path::Wide512));
}

/// Quotients and remainders of integers of all sizes, by divisors that vary and by constants, also where only the low bits fit.
#[test]
fn whole_divisions() {
    for d in [DType::I64, DType::I32, DType::I16, DType::I8, DType::U8] {
        // Every size of either sign, next to powers of two.
        let mut sizes: Vec<i64> =
            vec![1, 2, 3, 5, 7, 10, 49, 100, 641, 65_537, 1_000_003, (1 << 36) + 1, (1 << 50) - 1];
        // `x` times the rounded `1 / x` is below 1 for some of these.
        sizes.extend([98, 103, 107, 161, 187, 196, 197, 206, 237, 239, 249]);
        sizes.extend((1..63).flat_map(|k| [(1i64 << k) - 1, 1 << k, (1 << k) + 1]));
        sizes.extend([i64::MAX, i64::MAX - 1, i64::MAX / 3, i64::MAX / 3 * 3 - 1]);
        let mut numbers: Vec<i64> = sizes.iter().flat_map(|x| [*x, -x]).chain([i64::MIN, i64::MIN + 1]).collect();
        numbers.retain(|x| Scalar::from(*x).cast(d).to_i64() == *x);
        let dividends = [&numbers[..], &[0]].concat();
        let array = |xs: &[i64]| {
            let xs: Vec<Scalar> = xs.iter().map(|x| (*x).into()).collect();
            Array::from_scalars(&Aval::new(d, [xs.len()]), &xs)
        };
        for f in [Binary::DivFloor, Binary::DivTrunc, Binary::Remainder, Binary::Fmod] {
            let pairs = dividends.iter().flat_map(|a| numbers.iter().map(move |b| (*a, *b)));
            let (a, b): (Vec<i64>, Vec<i64>) = pairs.unzip();
            let mut ops = Ops::new();
            let [x, y] = [0, 1].map(|i| push(&mut ops, BodyOp::Load(i), d));
            push(&mut ops, BodyOp::Binary(f, x, y), d);
            check(&format!("{f:?} {d}"), &pointwise(&[d, d], d, a.len(), ops), &[array(&a), array(&b)], 0.0);
            for divisor in numbers.iter().step_by(7) {
                let mut ops = Ops::new();
                let x = push(&mut ops, BodyOp::Load(0), d);
                let y = push(&mut ops, BodyOp::Const((*divisor).into()), d);
                push(&mut ops, BodyOp::Binary(f, x, y), d);
                let p = pointwise(&[d], d, dividends.len(), ops);
                check(&format!("{f:?} {d} by {divisor}"), &p, &[array(&dividends)], 0.0);
            }
        }
    }
}
