//! Reductions, scans and sorting.

use cotangent_core::ir::{Aval, DType, Scalar};
use cotangent_core::ops::Sort;

use crate::literal::ty;
use crate::writer::{Val, Writer, array, ints, list};

/// How two elements become one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    Sum,
    Product,
    Max,
    Min,
    /// `log(e^a + e^b)`.
    LogSumExp,
    /// The second one.
    Last,
}

impl Fold {
    /// What changes nothing.
    fn identity(self, dtype: DType) -> Scalar {
        let extreme = |float: f64, [low, high]: [i64; 2]| match dtype {
            DType::F32 | DType::F64 | DType::BF16 | DType::F16 => Scalar::Float(float),
            DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => {
                Scalar::Int(if float < 0.0 { low } else { high })
            }
        };
        let bounds = match dtype {
            DType::I64 => [i64::MIN, i64::MAX],
            DType::I32 => [i32::MIN.into(), i32::MAX.into()],
            DType::I16 => [i16::MIN.into(), i16::MAX.into()],
            DType::I8 => [i8::MIN.into(), i8::MAX.into()],
            DType::U8 => [0, u8::MAX.into()],
            DType::Bool | DType::F32 | DType::F64 | DType::BF16 | DType::F16 => [0, 1],
        };
        match self {
            Fold::Sum | Fold::Last => Scalar::Int(0),
            Fold::Product => Scalar::Int(1),
            Fold::Max | Fold::LogSumExp => extreme(f64::NEG_INFINITY, bounds),
            Fold::Min => extreme(f64::INFINITY, bounds),
        }
    }

    /// Writes the fold of two values.
    pub fn emit(self, w: &mut Writer, a: &Val, b: &Val) -> Val {
        let truth = a.dtype() == DType::Bool;
        match self {
            Fold::Sum | Fold::Max if truth => w.elementwise("stablehlo.or", &[a, b]),
            Fold::Product | Fold::Min if truth => w.elementwise("stablehlo.and", &[a, b]),
            Fold::Sum => w.elementwise("stablehlo.add", &[a, b]),
            Fold::Product => w.elementwise("stablehlo.multiply", &[a, b]),
            Fold::Max => w.elementwise("stablehlo.maximum", &[a, b]),
            Fold::Min => w.elementwise("stablehlo.minimum", &[a, b]),
            Fold::Last => b.clone(),
            Fold::LogSumExp => {
                // Equal ones have no distance, infinite ones too.
                let larger = w.elementwise("stablehlo.maximum", &[a, b]);
                let difference = w.elementwise("stablehlo.subtract", &[a, b]);
                let distance = w.elementwise("stablehlo.abs", &[&difference]);
                let below = w.elementwise("stablehlo.negate", &[&distance]);
                let (equal, zero) = (w.compare("EQ", a, b), w.full(&a.aval, Scalar::Int(0)));
                let below = w.select(&equal, &zero, &below);
                let ratio = w.elementwise("stablehlo.exponential", &[&below]);
                let more = w.elementwise("stablehlo.log_plus_one", &[&ratio]);
                w.elementwise("stablehlo.add", &[&larger, &more])
            }
        }
    }
}

/// The dtype in which a fold of `dtype` is exact enough.
fn wide(dtype: DType) -> DType {
    match dtype {
        DType::BF16 | DType::F16 => DType::F32,
        DType::F32 | DType::F64 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => dtype,
    }
}

/// The fold over `dims`.
pub(crate) fn reduce(w: &mut Writer, fold: Fold, x: &Val, dims: &[usize], y: &Aval) -> Val {
    let x = w.convert(x, wide(y.dtype));
    let scalar = Aval::new(x.dtype(), ());
    let init = w.full(&scalar, fold.identity(x.dtype()));
    let to = y.with_dtype(x.dtype());
    let results = w.with_region(
        &format!("\"stablehlo.reduce\"({}, {}) <{{dimensions = {}}}>", x.name, init.name, array(dims)),
        &[scalar.clone(), scalar],
        |w, v| vec![fold.emit(w, &v[0], &v[1])],
        &format!(": ({}, {}) -> {}", x.ty(), init.ty(), ty(&to)),
        &[to],
    );
    w.convert(&results[0], y.dtype)
}

/// Which of equal elements is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tie {
    First,
    Latest,
}

/// The more extreme of two elements with its place; NaN is more extreme than any number.
fn extreme(w: &mut Writer, fold: Fold, tie: Tie, [a, a_at, b, b_at]: [&Val; 4]) -> Vec<Val> {
    let wins = w.compare(if fold == Fold::Max { "GT" } else { "LT" }, a, b);
    let equal = w.compare("EQ", a, b);
    let (wins, equal) = if a.dtype().is_float() {
        let (a_nan, b_nan) = (w.compare("NE", a, a), w.compare("NE", b, b));
        let both = w.elementwise("stablehlo.and", &[&a_nan, &b_nan]);
        (w.elementwise("stablehlo.or", &[&wins, &a_nan]), w.elementwise("stablehlo.or", &[&equal, &both]))
    } else {
        (wins, equal)
    };
    let before = w.compare(if tie == Tie::First { "LT" } else { "GT" }, a_at, b_at);
    let takes_a = w.select(&equal, &before, &wins);
    vec![w.select(&takes_a, a, b), w.select(&takes_a, a_at, b_at)]
}

/// A tensor with the places of its elements along `dim`, and what changes nothing beside them.
fn places(w: &mut Writer, fold: Fold, x: &Val, dim: usize, none: i64) -> ([Val; 4], [Aval; 4]) {
    let index = w.iota(&x.aval.with_dtype(DType::I64), dim);
    let (scalar, place) = (Aval::new(x.dtype(), ()), Aval::new(DType::I64, ()));
    let (init, no_place) = (w.full(&scalar, fold.identity(x.dtype())), w.full(&place, Scalar::Int(none)));
    ([x.clone(), index, init, no_place], [scalar.clone(), place.clone(), scalar, place])
}

/// The place of the first extreme element along `dim`.
pub(crate) fn arg(w: &mut Writer, fold: Fold, x: &Val, dim: usize, y: &Aval) -> Val {
    let (operands, params) = places(w, fold, x, dim, i64::MAX);
    let (names, types) = list(&operands);
    let results = [y.with_dtype(x.dtype()), y.clone()];
    w.with_region(
        &format!("\"stablehlo.reduce\"({names}) <{{dimensions = {}}}>", array([dim])),
        &params,
        |w, v| extreme(w, fold, Tie::First, [&v[0], &v[1], &v[2], &v[3]]),
        &format!(": ({types}) -> ({}, {})", ty(&results[0]), ty(&results[1])),
        &results,
    )
    .swap_remove(1)
}

/// The attributes of windows that reach from the first element along `dim` to each one.
fn prefixes(x: &Aval, dim: usize) -> String {
    let n = x.shape[dim].get();
    let ones = || array((0..x.rank()).map(|_| 1));
    let window = array((0..x.rank()).map(|d| if d == dim { n } else { 1 }));
    let padding = (0..x.rank()).map(|d| format!("[{}, 0]", if d == dim { n - 1 } else { 0 }));
    format!(
        "<{{window_dimensions = {window}, window_strides = {}, base_dilations = {}, window_dilations = {}, \
         padding = dense<[{}]> : tensor<{}x2xi64>}}>",
        ones(),
        ones(),
        ones(),
        ints(padding),
        x.rank()
    )
}

/// The fold of all elements up to each one.
pub(crate) fn scan(w: &mut Writer, fold: Fold, x: &Val, dim: usize) -> Val {
    if x.aval.rank() == 0 {
        return x.clone();
    }
    let wide_x = w.convert(x, wide(x.dtype()));
    let scalar = Aval::new(wide_x.dtype(), ());
    let init = w.full(&scalar, fold.identity(wide_x.dtype()));
    let results = w.with_region(
        &format!("\"stablehlo.reduce_window\"({}, {}) {}", wide_x.name, init.name, prefixes(&x.aval, dim)),
        &[scalar.clone(), scalar],
        |w, v| vec![fold.emit(w, &v[0], &v[1])],
        &format!(": ({}, {}) -> {}", wide_x.ty(), init.ty(), wide_x.ty()),
        std::slice::from_ref(&wide_x.aval),
    );
    w.convert(&results[0], x.dtype())
}

/// The extreme of all elements up to each one, and its place.
pub(crate) fn arg_scan(w: &mut Writer, fold: Fold, x: &Val, dim: usize) -> Vec<Val> {
    let index = x.aval.with_dtype(DType::I64);
    if x.aval.rank() == 0 {
        return vec![x.clone(), w.full(&index, Scalar::Int(0))];
    }
    let (operands, params) = places(w, fold, x, dim, -1);
    let (names, types) = list(&operands);
    let results = [x.aval.clone(), index];
    w.with_region(
        &format!("\"stablehlo.reduce_window\"({names}) {}", prefixes(&x.aval, dim)),
        &params,
        |w, v| extreme(w, fold, Tie::Latest, [&v[0], &v[1], &v[2], &v[3]]),
        &format!(": ({types}) -> ({}, {})", ty(&results[0]), ty(&results[1])),
        &results,
    )
}

/// The elements in order, and their places; NaN is larger than any number.
pub(crate) fn sort(w: &mut Writer, sort: &Sort, x: &Val) -> Vec<Val> {
    let index = x.aval.with_dtype(DType::I64);
    if x.aval.rank() == 0 {
        return vec![x.clone(), w.full(&index, Scalar::Int(0))];
    }
    let at = w.iota(&index, sort.dim);
    let (scalar, place) = (Aval::new(x.dtype(), ()), Aval::new(DType::I64, ()));
    let (names, types) = list(&[x.clone(), at]);
    w.with_region(
        &format!("\"stablehlo.sort\"({names}) <{{dimension = {} : i64, is_stable = true}}>", sort.dim),
        &[scalar.clone(), scalar, place.clone(), place],
        |w, v| {
            let (a, b) = if sort.descending { (&v[1], &v[0]) } else { (&v[0], &v[1]) };
            let less = w.compare("LT", a, b);
            if !a.dtype().is_float() {
                return vec![less];
            }
            let (number, nan) = (w.compare("EQ", a, a), w.compare("NE", b, b));
            let last = w.elementwise("stablehlo.and", &[&number, &nan]);
            vec![w.elementwise("stablehlo.or", &[&less, &last])]
        },
        &format!(": ({types}) -> ({types})"),
        &[x.aval.clone(), index],
    )
}
