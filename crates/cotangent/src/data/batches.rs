//! Batches of examples in random order.

use cotangent_core::Tensor;
use cotangent_core::array::Array;
use cotangent_core::error::{Error, TransformError};

use crate::random::Key;
use crate::tree::{Tree, assemble, checked_leaves};

/// A data set of examples along dim 0 of each tensor, in batches. Each epoch has its own order, which follows from the
/// seed.
///
/// ```
/// use cotangent::data::Batches;
/// use cotangent::prelude::*;
///
/// # fn main() -> Result<(), Error> {
/// let data = (Tensor::from([[0.0f32], [1.0], [2.0], [3.0], [4.0]]), Tensor::from([0i64, 1, 2, 3, 4]));
/// let batches = Batches::new(data, 2)?.shuffled(0);
/// let sizes: Vec<usize> = batches.epoch(0).map(|(x, y)| x.size(0).min(y.size(0))).collect();
/// assert_eq!(sizes, [2, 2, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Batches<T> {
    data: T,
    examples: usize,
    size: usize,
    seed: Option<i64>,
    whole: bool,
}

impl<T: Tree> Batches<T> {
    /// Batches of `size` examples in the order of the data; the last one may have fewer.
    ///
    /// *Errors*: a size of 0; tensors without values, or with different numbers of examples.
    pub fn new(data: T, size: usize) -> Result<Self, Error> {
        const NAME: &str = "Batches";
        if size == 0 {
            return Err(TransformError::ChunkSize { transform: NAME }.into());
        }
        let (leaves, _) = checked_leaves(&data)?;
        let mut examples = None;
        for (index, x) in leaves.iter().enumerate() {
            x.to_array()?;
            let n = x.shape().dims().first().map(|n| n.get());
            if n.is_none() || examples.is_some_and(|e| Some(e) != n) {
                let expected = examples.map_or("at least one dim".to_owned(), |n| format!("{n} examples in dim 0"));
                let found = x.aval().to_string();
                return Err(TransformError::Unlike { transform: NAME, what: "tensor", index, expected, found }.into());
            }
            examples = n;
        }
        let examples = examples.ok_or(TransformError::Empty { transform: NAME, what: "the data" })?;
        Ok(Batches { data, examples, size, seed: None, whole: false })
    }

    /// The same batches in an order that is random in each epoch.
    pub fn shuffled(self, seed: i64) -> Self {
        Batches { seed: Some(seed), ..self }
    }

    /// The same without a last batch of fewer examples, so that all have one shape and a step is compiled once.
    pub fn drop_last(self) -> Self {
        Batches { whole: true, ..self }
    }

    /// The number of examples.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        if self.whole { self.examples / self.size } else { self.examples.div_ceil(self.size) }
    }

    /// Whether an epoch has no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of an epoch.
    pub fn epoch(&self, epoch: usize) -> impl Iterator<Item = T> {
        let (leaves, spec) = self.data.to_leaves();
        let order = self.order(epoch);
        (0..self.len()).map(move |b| {
            let rows = &order[b * self.size..(b * self.size + self.size).min(self.examples)];
            assemble(&spec, leaves.iter().map(|x| chosen(x, rows)))
        })
    }

    fn order(&self, epoch: usize) -> Vec<usize> {
        let Some(seed) = self.seed else { return (0..self.examples).collect() };
        let order = Key::new(seed).fold_in(Tensor::from(epoch as i64)).randperm(self.examples);
        let order = order.to_vec::<i64>().expect("a permutation of numbers");
        order.into_iter().map(|i| i as usize).collect()
    }
}

/// The rows of `x` in this order.
fn chosen(x: &Tensor, rows: &[usize]) -> Tensor {
    let array = x.as_array().expect("checked when the batches were made");
    let row: usize = array.shape().sizes().iter().skip(1).product();
    let shape = array.shape().with(0, rows.len());
    let picked: Array = array.pick(shape, |i| rows[i / row.max(1)] * row + i % row.max(1));
    Tensor::from_array(picked)
}
