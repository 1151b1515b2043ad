//! Errors of the elementary functions in units of the last place: on dense samples, or on all `f32`.
//!
//! `COTANGENT_ULPS=all`, or the name of a function such as `Atan`, asks for all 2³² numbers (and many pairs), on each path that has machine
//! code; the tables are Markdown:
//! `COTANGENT_ULPS=all cargo test --release -p cotangent-jit --test ulp -- --nocapture --test-threads 1`.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use common::{Pointwise, access, nest, paths, stage};
use cotangent_core::ir::DType;
use cotangent_core::ops::{Binary, Unary};
use cotangent_jit::{Block, CompileOptions, Compiled, Path, compile_with};
use cotangent_loops::ir::*;

/// The most that a vector function may be off.
const LIMIT: f64 = 2.0;
/// Numbers that are computed and compared at once.
const PIECE: usize = 1 << 16;

/// Functions that are the reference's own rows, rounded from `f64`: rare ones have no vector form.
const SCALAR: [Unary; 13] = [
    Unary::Erfcx,
    Unary::Ndtri,
    Unary::LogNdtr,
    Unary::BesselJ0,
    Unary::BesselJ1,
    Unary::BesselY0,
    Unary::BesselY1,
    Unary::ModifiedBesselK0,
    Unary::ModifiedBesselK1,
    Unary::ScaledModifiedBesselK0,
    Unary::ScaledModifiedBesselK1,
    Unary::SphericalBesselJ0,
    Unary::AiryAi,
];

/// The distance of `got` from the exact value, in spacings of `f32` there; 0 for the nearest number.
fn ulps(got: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if got.is_nan() && exact.is_nan() || !differs(got, exact) {
        return 0.0;
    }
    if !got.is_finite() || !rounded.is_finite() || got.is_nan() != exact.is_nan() {
        return f64::INFINITY;
    }
    let magnitude = rounded.abs().max(f32::MIN_POSITIVE);
    let spacing = f64::from(f32::from_bits(magnitude.to_bits() + 1)) - f64::from(magnitude);
    let sign_lost = got == 0.0 && rounded == 0.0;
    if sign_lost { f64::INFINITY } else { (f64::from(got) - exact).abs() / spacing }
}

/// Whether a result is another than the nearest number.
fn differs(got: f32, exact: f64) -> bool {
    got.to_bits() != (exact as f32).to_bits()
}

/// Whether two numbers are the same to a thousandth of the last place of an `f32`.
fn same(x: f64, y: f64) -> bool {
    let spacing = (f64::from(f32::EPSILON) / 2.0 * y.abs()).max(f64::from(f32::from_bits(1)));
    let equal = x == y && x.is_sign_negative() == y.is_sign_negative();
    equal || x.is_nan() && y.is_nan() || x != y && (x - y).abs() <= 1e-3 * spacing
}

/// A function of one or two numbers.
#[derive(Clone, Copy, Debug)]
enum Function {
    One(Unary),
    Two(Binary),
}

impl Function {
    /// As `COTANGENT_ULPS` calls it.
    fn name(self) -> String {
        match self {
            Function::One(f) => format!("{f:?}"),
            Function::Two(f) => format!("{f:?}"),
        }
    }

    fn operands(self) -> usize {
        match self {
            Function::One(_) => 1,
            Function::Two(_) => 2,
        }
    }

    /// The reference.
    fn eval(self, x: [f32; 2]) -> f64 {
        let [a, b] = x.map(f64::from);
        match self {
            Function::One(f) => f.eval_f64(a),
            Function::Two(f) => f.eval_f64(a, b),
        }
    }

    /// `z[i] = f(x[i], …)` of `PIECE` numbers, converted from `f32` to `dtype` before.
    fn compile(self, dtype: DType, path: Path) -> Compiled {
        let (mut ops, mut values) = (Vec::new(), Vec::new());
        let n = self.operands() as u32;
        for i in 0..n {
            ops.push((BodyOp::Load(i), DType::F32));
            if dtype != DType::F32 {
                ops.push((BodyOp::Convert(BodyValue(ops.len() as u32 - 1)), dtype));
            }
            values.push(BodyValue(ops.len() as u32 - 1));
        }
        let op = match self {
            Function::One(f) => BodyOp::Unary(f, values[0]),
            Function::Two(f) => BodyOp::Binary(f, values[0], values[1]),
        };
        ops.push((op, dtype));
        ops.push((BodyOp::Store(n, BodyValue(ops.len() as u32 - 1)), dtype));
        let accesses = (0..=n).map(|i| access(i, 0, &[], &[], 1)).collect();
        let nest = nest(&[], &[], vec![stage(PIECE, accesses, ops)]);
        let inputs = vec![(DType::F32, PIECE); n as usize];
        let program = Pointwise { inputs, outputs: vec![(dtype, PIECE)], nest }.program();
        compile_with(&program, CompileOptions { path }).expect("compiles")
    }
}

/// The operands of a run, in pieces of `PIECE`.
enum Numbers {
    /// These.
    Listed(Vec<f32>),
    /// All that there are.
    All,
    /// So many pieces of pairs.
    Pairs(usize),
}

impl Numbers {
    /// Every 8192nd number, such that zeros and infinities are hit, and all neighbours of the usual range.
    fn dense() -> Numbers {
        let mut xs: Vec<f32> = (0..1u64 << 19).map(|i| f32::from_bits((i * 8192) as u32)).collect();
        xs.extend((0..100_000).map(|i| (f64::from(i) * 4e-4 - 20.0) as f32));
        xs.extend((0..100_000).map(|i| (f64::from(i) * 2e-5) as f32));
        // Next to multiples of π/2.
        xs.extend((-20_000..20_000).map(|k| (f64::from(k) * std::f64::consts::FRAC_PI_2) as f32));
        xs.extend([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45]);
        // Where runs over all numbers found errors above the limit: of tan, and of atan.
        xs.extend([252.898_21, 5_971.382_3, 17_545.01, 0.431_146_95]);
        Numbers::Listed(xs)
    }

    /// Some of each sign and exponent.
    fn sparse() -> Numbers {
        Numbers::Listed(
            (0..1u32 << 13).map(|i| f32::from_bits((i << 19) | (i.wrapping_mul(40_503) % (1 << 19)))).collect(),
        )
    }

    fn pieces(&self) -> usize {
        match self {
            Numbers::Listed(xs) => xs.len().div_ceil(PIECE),
            Numbers::All => 1 << 32 >> PIECE.trailing_zeros(),
            Numbers::Pairs(n) => *n,
        }
    }

    /// Fills both operands with a piece; a list ends with copies of its last number.
    fn fill(&self, piece: usize, x: &mut [f32], y: &mut [f32]) {
        match self {
            Numbers::Listed(all) => {
                let rest = &all[piece * PIECE..];
                x.iter_mut().enumerate().for_each(|(i, x)| *x = rest[i.min(rest.len() - 1)]);
            }
            Numbers::All => {
                x.iter_mut().enumerate().for_each(|(i, x)| *x = f32::from_bits((piece * PIECE + i) as u32));
            }
            Numbers::Pairs(_) => {
                for (i, (x, y)) in x.iter_mut().zip(y).enumerate() {
                    // SplitMix64.
                    let mut z = (piece * PIECE + i + 1) as u64;
                    z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
                    z ^= z >> 31;
                    let bits = [z as u32, (z >> 32) as u32];
                    // All that there are, or from ⅟₁₆ to 32 of either sign.
                    let usual = |b: u32| (b & 0x8000_0000) | ((123 << 23) + (b >> 3) % (9 << 23));
                    [*x, *y] = bits.map(|b| f32::from_bits(if i % 2 == 0 { b } else { usual(b) }));
                }
            }
        }
    }
}

/// An error and where it is.
#[derive(Clone, Copy, Default)]
struct Worst {
    ulps: f64,
    at: [f32; 2],
}

impl Worst {
    /// The larger one; of equal ones that whose bits come first, whatever the order of threads.
    fn or(self, other: Worst) -> Worst {
        let bits = |w: &Worst| w.at.map(f32::to_bits);
        let later = other.ulps == self.ulps && bits(&other) < bits(&self);
        if other.ulps > self.ulps || later { other } else { self }
    }
}

/// The largest error of `f` on each path. The exact values are those of `f64` in machine code, which are themselves compared with the reference
/// where numbers are listed.
///
/// *Panics*: where they differ.
fn measure(f: Function, numbers: &Numbers, paths: &[Path]) -> Vec<Worst> {
    let reference = f.compile(DType::F64, Path::Auto);
    let programs: Vec<Compiled> = paths.iter().map(|path| f.compile(DType::F32, *path)).collect();
    let (next, all) = (AtomicUsize::new(0), Mutex::new(vec![Worst::default(); paths.len()]));
    let work = || {
        let [mut x, mut y] = [Block::new(4 * PIECE), Block::new(4 * PIECE)];
        let mut mine = vec![Worst::default(); paths.len()];
        let next = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|piece| *piece < numbers.pieces());
        while let Some(piece) = next() {
            numbers.fill(piece, bytemuck::cast_slice_mut(x.bytes_mut()), bytemuck::cast_slice_mut(y.bytes_mut()));
            let args = &[x.bytes(), y.bytes()][..f.operands()];
            let call = |program: &Compiled| program.call(args).expect("runs").remove(0);
            let exact = call(&reference);
            let exact: &[f64] = bytemuck::cast_slice(exact.bytes());
            let [x, y]: [&[f32]; 2] = [bytemuck::cast_slice(x.bytes()), bytemuck::cast_slice(y.bytes())];
            let at = |i: usize| [x[i], if f.operands() == 2 { y[i] } else { 0.0 }];
            if !matches!(numbers, Numbers::All) {
                for (i, exact) in exact.iter().enumerate() {
                    let wanted = f.eval(at(i));
                    assert!(same(*exact, wanted), "{f:?} in f64 at {:?}: {exact}, expected {wanted}", at(i));
                }
            }
            let mut last: Option<(Block, Worst)> = None;
            for (program, mine) in programs.iter().zip(&mut mine) {
                let got = call(program);
                // Paths that agree, as nearly all do, are compared once.
                let worst = match &last {
                    Some((other, worst)) if other.bytes() == got.bytes() => *worst,
                    Some(_) | None => {
                        let got: &[f32] = bytemuck::cast_slice(got.bytes());
                        let errors = got.iter().zip(exact).enumerate().filter(|(_, (g, e))| differs(**g, **e));
                        errors
                            .map(|(i, (g, e))| Worst { ulps: ulps(*g, *e), at: at(i) })
                            .fold(Worst::default(), Worst::or)
                    }
                };
                *mine = mine.or(worst);
                last = Some((got, worst));
            }
        }
        let mut all = all.lock().expect("no panic");
        all.iter_mut().zip(mine).for_each(|(a, b)| *a = a.or(b));
    };
    std::thread::scope(|scope| {
        let n = available_parallelism().map_or(1, usize::from).min(numbers.pieces());
        let threads: Vec<_> = (0..n).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    });
    all.into_inner().expect("no panic")
}

/// Prints the heading of a table with a column for each path.
fn heading(paths: &[Path]) {
    let columns: Vec<String> = paths.iter().map(|p| format!("{p:?}")).collect();
    println!("| function | numbers | {} |\n|---|---|{}", columns.join(" | "), "---|".repeat(paths.len()));
}

/// Prints a row of the table; the paths with larger errors than the limit.
fn row(f: Function, what: &str, paths: &[Path], worst: &[Worst]) -> Vec<String> {
    let cell = |w: &Worst| match f {
        Function::One(_) => format!("{:.3} at {:e}", w.ulps, w.at[0]),
        Function::Two(_) => format!("{:.3} at {:e}, {:e}", w.ulps, w.at[0], w.at[1]),
    };
    let cells: Vec<String> = worst.iter().map(cell).collect();
    println!("| {} | {what} | {} |", f.name().to_lowercase(), cells.join(" | "));
    let bad = paths.iter().zip(worst).zip(&cells).filter(|((_, w), _)| w.ulps > LIMIT);
    bad.map(|((path, _), cell)| format!("{f:?} on {path:?}: {cell}")).collect()
}

/// The functions that a run asks for, all numbers of them if it names any.
fn asked(f: Function, name: Option<&str>) -> bool {
    name.is_none_or(|name| name == "all" || name == f.name())
}

/// Paths with machine code execute the same lane code as tiles do, which would take hours.
fn paths_of(name: Option<&str>) -> Vec<Path> {
    let all = paths();
    let fast: Vec<Path> = all.iter().copied().filter(|p| *p != Path::Tiles).collect();
    if name.is_some() && !fast.is_empty() { fast } else { all }
}

#[test]
fn unary() {
    let name = std::env::var("COTANGENT_ULPS").ok();
    let paths = paths_of(name.as_deref());
    let mut bad = Vec::new();
    heading(&paths);
    let (dense, sparse) = (Numbers::dense(), Numbers::sparse());
    for f in Unary::ALL.iter().filter(|f| f.domain().has(DType::F32) && !f.is_predicate()) {
        let (scalar, f) = (SCALAR.contains(f), Function::One(*f));
        if !asked(f, name.as_deref()) {
            continue;
        }
        let (what, numbers) = if scalar { ("scalar, sparse", &sparse) } else { ("dense", &dense) };
        let mut worst = (what, measure(f, numbers, &paths));
        if name.is_some() && !scalar {
            worst = ("all", measure(f, &Numbers::All, &paths));
        }
        bad.extend(row(f, worst.0, &paths, &worst.1));
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

/// The distance of two `f64` in the last place, as far apart as their bits count; zeros of either sign differ.
fn places(got: f64, wanted: f64) -> u64 {
    let key = |x: f64| {
        let bits = x.to_bits().cast_signed();
        if bits < 0 { i64::MIN.wrapping_sub(bits).wrapping_sub(1) } else { bits }
    };
    if got.is_nan() && wanted.is_nan() { 0 } else { key(got).abs_diff(key(wanted)) }
}

/// Numbers of every exponent and sign, all neighbours of the usual range, and special ones, between which nothing of `f32` is.
fn doubles() -> Vec<f64> {
    let spread = |i: u64| f64::from_bits((i << 49) | (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15));
    let mut xs: Vec<f64> = (0..1 << 15).map(spread).collect();
    xs.extend((0..60_000).map(|i| f64::from(i) * 1.033e-3 - 31.0));
    xs.extend((0..40_000).map(|i| f64::from(i) * 5.000_000_1e-5 - 1.0));
    xs.extend((0..60).flat_map(|k| [1.0 - 0.5f64.powi(k), 0.5f64.powi(k) - 1.0]));
    xs.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, f64::MAX, 5e-324, -5e-324]);
    xs
}

/// Functions of `f64` that are vector code stay next to the reference's rows, which are off by a few places themselves: rarely by more than one, but
/// `erfinv` by three and `digamma` by twenty.
#[test]
fn of_f64() {
    let measured = |f: &&Unary| f.domain().has(DType::F64) && !f.is_predicate() && !SCALAR.contains(f);
    let xs = doubles();
    for f in Unary::ALL.iter().filter(measured).copied() {
        let limit = match f {
            // The reference is a sum of up to eleven terms that cancel.
            Unary::Digamma => 24,
            Unary::Erfc | Unary::Erfinv | Unary::Lgamma => 5,
            // The reference multiplies by a power in two steps.
            Unary::I0 | Unary::I1 | Unary::ModifiedBesselI0 | Unary::ModifiedBesselI1 => 5,
            Unary::Atanh | Unary::Sigmoid | Unary::Tanh => 3,
            _ => 2,
        };
        for path in paths() {
            let program = of_doubles(1, xs.len(), path, BodyOp::Unary(f, BodyValue(0)));
            let out = program.call(&[bytemuck::cast_slice(&xs)]).expect("runs").remove(0);
            let got: &[f64] = bytemuck::cast_slice(out.bytes());
            let worst = xs.iter().zip(got).map(|(x, got)| (places(*got, f.eval_f64(*x)), *x)).max_by_key(|w| w.0);
            let (places, x) = worst.expect("some numbers");

            assert!(places <= limit, "{f:?} of f64 on {path:?}: {places} places off at {x:e}");
        }
    }
}

/// Powers of `f64` stay next to the reference's, for bases and exponents of all sizes, and such that results are of all sizes.
#[test]
fn powers_of_f64() {
    let spread = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ i.wrapping_mul(0xD1B5_4A32_D192_ED03).rotate_left(31);
    let unit = |i: u64| (spread(i) >> 11) as f64 / (1u64 << 53) as f64;
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 0..20_000 {
        let base = f64::from_bits(spread(2 * i)).abs();
        // Up to what a result can be, and with bases next to 1 where exponents are large.
        let near = 1.0 + (unit(2 * i) - 0.5) * 0.5f64.powi((i % 50) as i32);
        for base in [base, near, 10.0 * unit(3 * i)] {
            x.push(base);
            y.push((unit(5 * i) - 0.5) * 1480.0 / base.ln());
        }
        x.push(-10.0 * unit(7 * i));
        y.push((i % 40) as f64 - 20.0);
    }
    let special = doubles().into_iter().rev().take(400).chain([0.5, 2.0, 3.0, -2.0, -0.5, 1e300, -1e-300]);
    let special: Vec<f64> = special.collect();
    for base in &special {
        x.extend(special.iter().map(|_| *base));
        y.extend(&special);
    }
    for path in paths() {
        let program = of_doubles(2, x.len(), path, BodyOp::Binary(Binary::Pow, BodyValue(0), BodyValue(1)));
        let out = program.call(&[bytemuck::cast_slice(&x), bytemuck::cast_slice(&y)]);
        let out = out.expect("runs").remove(0);
        let got: &[f64] = bytemuck::cast_slice(out.bytes());
        let off = |i: usize| places(got[i], Binary::Pow.eval_f64(x[i], y[i]));
        let worst = (0..x.len()).max_by_key(|i| off(*i)).expect("some numbers");
        assert!(off(worst) <= 1, "{path:?}: {:e} to the {:e} is {} places off", x[worst], y[worst], off(worst));
    }
}

/// Powers whose exponent is known and whole, or a half beside it: products and roots, which are the same on every path. Of `f64` a few places are lost.
#[test]
fn powers_known() {
    let wide = doubles();
    let narrow: Vec<f32> = match Numbers::dense() {
        Numbers::Listed(xs) => xs.into_iter().step_by(7).collect(),
        Numbers::All | Numbers::Pairs(_) => unreachable!("a list"),
    };
    let whole = [-64.0, -12.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 12.0, 33.0, 64.0];
    let halves = [0.5, 1.5, 2.5, 3.5, 4.5, -0.5, -1.5, -2.5, -3.5, -4.5];
    for y in whole.into_iter().chain(halves) {
        for path in paths() {
            let got = known_power(DType::F32, narrow.len(), path, y, bytemuck::cast_slice(&narrow));
            let got: &[f32] = bytemuck::cast_slice(got.bytes());
            for (x, got) in narrow.iter().zip(got) {
                let exact = Binary::Pow.eval_f64(f64::from(*x), y);
                assert!(ulps(*got, exact) <= LIMIT, "{path:?}: {x:e} to the {y} is {exact:e}, not {got:e}");
            }
            let got = known_power(DType::F64, wide.len(), path, y, bytemuck::cast_slice(&wide));
            let got: &[f64] = bytemuck::cast_slice(got.bytes());
            let most = (y.abs().ceil().max(1.0) + f64::from(u8::from(y < 0.0)) + f64::from(u8::from(y.fract() != 0.0)))
                .min(9.0);
            for (x, got) in wide.iter().zip(got) {
                let exact = Binary::Pow.eval_f64(*x, y);
                // Powers next to the least and the largest number go by way of what has fewer digits.
                let near = places(*got, exact) <= most as u64
                    // A signalling NaN is one that libraries do not make 1 of.
                    || y == 0.0 && x.is_nan()
                    || exact.abs() < f64::MIN_POSITIVE && got.abs() < f64::MIN_POSITIVE
                    || exact.abs() > 1.0 / f64::MIN_POSITIVE && (got - exact).abs() <= 1e-3 * exact.abs();
                assert!(near, "{path:?}: {x:e} to the {y} is {exact:e}, not {got:e}");
            }
        }
    }
}

/// The numbers of `dtype` in `x` to the power of `y`, which the program knows.
fn known_power(dtype: DType, n: usize, path: Path, y: f64, x: &[u8]) -> Block {
    let ops = vec![
        (BodyOp::Load(0), dtype),
        (BodyOp::Const(y.into()), dtype),
        (BodyOp::Binary(Binary::Pow, BodyValue(0), BodyValue(1)), dtype),
        (BodyOp::Store(1, BodyValue(2)), dtype),
    ];
    let accesses = (0..2).map(|i| access(i, 0, &[], &[], 1)).collect();
    let nest = nest(&[], &[], vec![stage(n, accesses, ops)]);
    let program = Pointwise { inputs: vec![(dtype, n)], outputs: vec![(dtype, n)], nest }.program();
    compile_with(&program, CompileOptions { path }).expect("compiles").call(&[x]).expect("runs").remove(0)
}

/// An operation on so many operands of `n` numbers of `f64`.
fn of_doubles(operands: u32, n: usize, path: Path, op: BodyOp) -> Compiled {
    let d = DType::F64;
    let mut ops: Vec<(BodyOp, DType)> = (0..operands).map(|i| (BodyOp::Load(i), d)).collect();
    ops.extend([(op, d), (BodyOp::Store(operands, BodyValue(operands)), d)]);
    let accesses = (0..=operands).map(|i| access(i, 0, &[], &[], 1)).collect();
    let nest = nest(&[], &[], vec![stage(n, accesses, ops)]);
    let program = Pointwise { inputs: vec![(d, n); operands as usize], outputs: vec![(d, n)], nest }.program();
    compile_with(&program, CompileOptions { path }).expect("compiles")
}

#[test]
fn binary() {
    let name = std::env::var("COTANGENT_ULPS").ok();
    let paths = paths_of(name.as_deref());
    let mut bad = Vec::new();
    heading(&paths);
    for f in [Binary::Pow, Binary::Atan2, Binary::Fmod, Binary::Remainder] {
        let f = Function::Two(f);
        if asked(f, name.as_deref()) {
            let pieces = if name.is_some() { 1 << 12 } else { 1 << 2 };
            let worst = measure(f, &Numbers::Pairs(pieces), &paths);
            bad.extend(row(f, &format!("{} pairs", pieces * PIECE), &paths, &worst));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
