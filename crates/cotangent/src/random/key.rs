//! Draws with an explicit key.

use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::ir::{Aval, DType, Dim, Shape, TreeSpec};
use cotangent_core::ops::Binary;
use cotangent_core::tensor::reject;

use crate::tree::Tree;

/// Where random numbers come from: an `i64` scalar; several of them stacked, to be mapped by `vmap`.
///
/// Use each key once: two draws with the same key are the same numbers.
#[derive(Clone, Debug)]
pub struct Key(Tensor);

// Counters of draws are below 2^47, so that these bits keep apart what one key is used for.
const FOLD: i64 = 1 << 62;
const SPLIT: i64 = 1 << 61;
const ANGLE: i64 = 1 << 60;

impl Key {
    /// The key of a seed.
    pub fn new(seed: i64) -> Self {
        Key(Tensor::from(seed))
    }

    /// The key in a tensor, for instance one that is traced.
    pub fn from_tensor(key: Tensor) -> Self {
        Key(key)
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// `N` independent keys.
    #[track_caller]
    pub fn split<const N: usize>(&self) -> [Key; N] {
        std::array::from_fn(|i| self.derived("split", SPLIT + i as i64))
    }

    /// The same `n` keys as [`Key::split`] gives, stacked along dim 0.
    #[track_caller]
    pub fn split_stacked(&self, n: usize) -> Key {
        let counters = |like: &Tensor| like.arange_like(Dim::new(n), DType::I64) + SPLIT;
        Key(self.bits("split", &Shape::from(vec![n]), counters))
    }

    /// The key that belongs to `data` (the number of a step, layer or example), an integer or an `i64` scalar tensor.
    #[track_caller]
    pub fn fold_in(&self, data: impl Into<Tensor>) -> Key {
        let data: Tensor = data.into();
        match self.scalar("fold_in") {
            Ok(key) => Key(philox(key, &data.convert(DType::I64).bitwise_xor(FOLD))),
            Err(poison) => Key(poison),
        }
    }

    /// Uniform `f32` numbers in [0, 1).
    #[track_caller]
    pub fn rand(&self, shape: impl Into<Shape>) -> Tensor {
        self.rand_of(shape, DType::F32)
    }

    /// Uniform numbers in [0, 1), multiples of 2^-24 (`f32`), 2^-53 (`f64`), 2^-11 (`f16`), 2^-8 (`bf16`).
    #[track_caller]
    pub fn rand_of(&self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let shape = shape.into();
        if !dtype.is_float() {
            return self.refuse("rand", "a float dtype", Aval::new(dtype, shape));
        }
        uniform(&self.bits("rand", &shape, |like| counters(like, &shape)), dtype)
    }

    /// Standard normal `f32` numbers.
    #[track_caller]
    pub fn randn(&self, shape: impl Into<Shape>) -> Tensor {
        self.randn_of(shape, DType::F32)
    }

    /// Standard normal numbers, by the method of Box and Muller; computed in `f32` at least.
    #[track_caller]
    pub fn randn_of(&self, shape: impl Into<Shape>, dtype: DType) -> Tensor {
        let shape = shape.into();
        if !dtype.is_float() {
            return self.refuse("randn", "a float dtype", Aval::new(dtype, shape));
        }
        let wide = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let radius = uniform(&self.bits("randn", &shape, |like| counters(like, &shape)), wide);
        let turn = uniform(&self.bits("randn", &shape, |like| counters(like, &shape) + ANGLE), wide);
        // 1 - u is in (0, 1], where the logarithm is finite.
        let normal = ((1.0 - radius).log() * -2.0).sqrt() * (turn * std::f64::consts::TAU).cos();
        normal.convert(dtype)
    }

    /// Uniform integers in [low, high).
    ///
    /// *Errors*: `randint_c1` an empty range.
    #[track_caller]
    pub fn randint(&self, low: i64, high: i64, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        let Some(range) = high.checked_sub(low).filter(|n| *n > 0) else {
            let found = format!("[{low}, {high})");
            let expected = "a range that is not empty and shorter than 2^63".to_owned();
            let e = InferError::Attribute { label: "randint_c1", attr: "high", expected, found };
            return reject("randint", &[&self.0], e, None);
        };
        let bits = self.bits("randint", &shape, |like| counters(like, &shape));
        bits.bitwise_and(i64::MAX).remainder(range) + low
    }

    /// 1 with the probability that `p` has at that place, else 0; in the dtype of `p`.
    #[track_caller]
    pub fn bernoulli(&self, p: &Tensor) -> Tensor {
        if !p.dtype().is_float() {
            return self.refuse("bernoulli", "probabilities of a float dtype", p.aval());
        }
        self.rand_of(p.shape(), p.dtype()).lt(p.detach()).convert(p.dtype())
    }

    /// The numbers 0, 1, …, `n` - 1 in random order.
    #[track_caller]
    pub fn randperm(&self, n: usize) -> Tensor {
        let shape = Shape::from(vec![n]);
        self.bits("randperm", &shape, |like| counters(like, &shape)).sort_along(0, false).1
    }

    /// `x` with each element set to zero with probability `p`, and the others divided by `1 - p`.
    ///
    /// *Errors*: `dropout_c1` a probability outside [0, 1].
    #[track_caller]
    pub fn dropout(&self, x: &Tensor, p: f64) -> Tensor {
        if !(0.0..=1.0).contains(&p) {
            let expected = "a probability in [0, 1]".to_owned();
            let e = InferError::Attribute { label: "dropout_c1", attr: "p", expected, found: p.to_string() };
            return reject("dropout", &[x], e, None);
        }
        if p == 1.0 {
            return x * 0.0;
        }
        let kept = self.rand_of(x.shape(), x.dtype()).ge(p);
        x * kept.convert(x.dtype()) * (1.0 / (1.0 - p))
    }

    #[track_caller]
    fn derived(&self, op: &str, counter: i64) -> Key {
        match self.scalar(op) {
            Ok(key) => Key(philox(key, &key.full_like(counter))),
            Err(poison) => Key(poison),
        }
    }

    /// 64 random bits for each counter.
    #[track_caller]
    fn bits(&self, op: &str, shape: &Shape, counters: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        match self.scalar(op) {
            Ok(key) => philox(&key.expand_to(shape), &counters(key)),
            Err(poison) => poison,
        }
    }

    /// The key's tensor, or the error that it is none.
    #[track_caller]
    fn scalar(&self, op: &str) -> Result<&Tensor, Tensor> {
        if self.0.dtype() == DType::I64 && self.0.rank() == 0 {
            return Ok(&self.0);
        }
        Err(self.refuse(op, "a key, an i64 scalar (stacked keys are mapped by vmap)", self.0.aval()))
    }

    #[track_caller]
    fn refuse(&self, op: &str, expected: &str, found: Aval) -> Tensor {
        let e = InferError::Operand { label: "key_c1", expected: expected.to_owned(), found };
        reject(op, &[&self.0], e, None)
    }
}

impl Tree for Key {
    type Map<T: Tree> = T;

    fn push_leaves(&self, leaves: &mut Vec<Tensor>) -> TreeSpec {
        self.0.push_leaves(leaves)
    }

    fn visit_leaves<'a>(&'a self, spec: &TreeSpec, visit: &mut impl FnMut(&'a Tensor)) -> bool {
        self.0.visit_leaves(spec, visit)
    }

    fn visit_leaves_mut<'a>(&'a mut self, spec: &TreeSpec, visit: &mut impl FnMut(&'a mut Tensor)) -> bool {
        self.0.visit_leaves_mut(spec, visit)
    }

    fn from_leaves(spec: &TreeSpec, leaves: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Tensor::from_leaves(spec, leaves).map(Key)
    }
}

#[track_caller]
fn philox(key: &Tensor, counter: &Tensor) -> Tensor {
    key.binary(Binary::Philox, counter)
}

/// 0, 1, 2, … in `shape`.
#[track_caller]
fn counters(like: &Tensor, shape: &Shape) -> Tensor {
    let n = shape.sizes().iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
    like.arange_like(Dim::new(n), DType::I64).view_to(shape)
}

/// Numbers in [0, 1) of the low bits, as many as the dtype holds exactly.
#[track_caller]
fn uniform(bits: &Tensor, dtype: DType) -> Tensor {
    let digits = match dtype {
        DType::F64 => 53,
        DType::F16 => 11,
        DType::BF16 => 8,
        DType::F32 | DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool => 24,
    };
    bits.bitwise_and((1i64 << digits) - 1).convert(dtype) * 0.5f64.powi(digits)
}
