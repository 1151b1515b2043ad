//! Norms that may keep running statistics: batch norms and instance norms.

use cotangent_aten::nn::native_norm::running_statistics;
use cotangent_aten::prelude::*;
use cotangent_core::Tensor;
use cotangent_core::error::InferError;
use cotangent_core::tensor::reject;

use super::Module;
use super::init;
use super::module::PartMut;
use super::pass::{Forward, Pass};
use super::python::{float, truth};

/// Running statistics of channels.
struct Statistics {
    mean: Tensor,
    var: Tensor,
    batches: Tensor,
}

/// What a norm is made of, apart from its rank.
struct Norm<'a> {
    weight: Option<&'a Tensor>,
    bias: Option<&'a Tensor>,
    eps: f64,
    momentum: Option<f64>,
    /// The rank of a batch.
    batched: usize,
}

impl Norm<'_> {
    /// `x` normalised by the batch, or in an evaluation by the running statistics, and the statistics after the pass.
    #[track_caller]
    fn batch(&self, x: &Tensor, old: Option<Statistics>, pass: &Pass) -> (Tensor, Option<Statistics>) {
        let Some(old) = old else { return (x.batch_norm_of_batch(self.weight, self.bias, self.eps), None) };
        if !pass.is_training() {
            return self.by_statistics(x, old);
        }
        let batches = &old.batches + 1;
        match self.momentum {
            Some(m) => {
                let (y, mean, var) = x.batch_norm_train(&old.mean, &old.var, self.weight, self.bias, m, self.eps);
                (y, Some(Statistics { mean, var, batches }))
            }
            None => {
                // The average over all batches so far: with momentum 1 the new statistics are those of the batch.
                let (y, mean, var) = x.batch_norm_train(&old.mean, &old.var, self.weight, self.bias, 1.0, self.eps);
                let share = 1.0 / batches.convert(mean.dtype());
                let mix = |old: &Tensor, new: Tensor| old + (new - old) * &share;
                (y, Some(Statistics { mean: mix(&old.mean, mean), var: mix(&old.var, var), batches }))
            }
        }
    }

    /// Each example of `x` normalised by itself, or in an evaluation by the running statistics, and the statistics after the pass:
    /// those of the examples' means. PyTorch counts no batches here, and without momentum keeps the old statistics.
    #[track_caller]
    fn instance(&self, x: &Tensor, old: Option<Statistics>, pass: &Pass) -> (Tensor, Option<Statistics>) {
        if x.rank() < self.batched {
            let (y, stats) = self.instance(&x.unsqueeze(0), old, pass);
            return (y.squeeze(0), stats);
        }
        match old {
            Some(old) if !pass.is_training() => self.by_statistics(x, old),
            None => (x.instance_norm(self.weight, self.bias, self.eps), None),
            Some(old) => {
                let y = x.instance_norm(self.weight, self.bias, self.eps);
                let (n, c) = (x.size(0), x.size(1));
                let [mean, var] = [&old.mean, &old.var].map(|s| s.repeat([n]));
                let channels = x.flatten(0, 1).unsqueeze(0);
                match running_statistics(&channels, &mean, &var, self.momentum.unwrap_or(0.0)) {
                    Err(poison) => (poison, Some(old)),
                    Ok(all) => {
                        let [mean, var] = all.map(|s| s.unflatten(0, [n, c]).mean_dim(0));
                        (y, Some(Statistics { mean, var, ..old }))
                    }
                }
            }
        }
    }

    #[track_caller]
    fn by_statistics(&self, x: &Tensor, old: Statistics) -> (Tensor, Option<Statistics>) {
        let y = x.batch_norm(&old.mean, &old.var, self.weight, self.bias, self.eps);
        (y, Some(old))
    }
}

macro_rules! running_norm {
    (
        $(#[$doc:meta])*
        $name:ident, $method:ident, $op:literal, $label:literal, $batched:literal $(or $other:literal)?, $expected:literal
    ) => {
        $(#[$doc])*
        ///
        #[doc = concat!("*Errors*: `", $label, "` an input that is not ", $expected, "; as")]
        /// [`batch_norm`](cotangent_aten::nn::norm::Normalizations::batch_norm).
        #[derive(Clone, Debug, Module)]
        #[module(extra_repr)]
        pub struct $name {
            /// `[num_features]`; starts as ones.
            pub weight: Option<Tensor>,
            /// `[num_features]`; starts as zeros.
            pub bias: Option<Tensor>,
            /// `[num_features]`; starts as zeros.
            #[module(buffer)]
            pub running_mean: Option<Tensor>,
            /// `[num_features]`, unbiased; starts as ones.
            #[module(buffer)]
            pub running_var: Option<Tensor>,
            /// An `i64` scalar.
            #[module(buffer)]
            pub num_batches_tracked: Option<Tensor>,
            /// The number of channels.
            #[module(config)]
            pub num_features: usize,
            /// What is added to variances.
            #[module(config)]
            pub eps: f64,
            /// The weight of a new batch in the running statistics; `None` for the average over all batches.
            #[module(config)]
            pub momentum: Option<f64>,
        }

        impl $name {
            /// Neither weight and bias nor running statistics.
            fn bare(num_features: usize) -> Self {
                $name {
                    weight: None,
                    bias: None,
                    running_mean: None,
                    running_var: None,
                    num_batches_tracked: None,
                    num_features,
                    eps: 1e-5,
                    momentum: Some(0.1),
                }
            }

            /// The same layer with a weight of ones and a bias of zeros.
            #[track_caller]
            pub fn with_affine(self) -> Self {
                let shape = [self.num_features];
                $name { weight: Some(init::ones(shape)), bias: Some(init::zeros(shape)), ..self }
            }

            /// The same layer without weight and bias.
            pub fn without_affine(self) -> Self {
                $name { weight: None, bias: None, ..self }
            }

            /// The same layer with another momentum.
            pub fn with_momentum(self, momentum: impl Into<Option<f64>>) -> Self {
                $name { momentum: momentum.into(), ..self }
            }

            /// The same layer with running statistics, by which it normalises in an evaluation.
            #[track_caller]
            pub fn with_running_stats(self) -> Self {
                let shape = [self.num_features];
                $name {
                    running_mean: Some(init::zeros(shape)),
                    running_var: Some(init::ones(shape)),
                    num_batches_tracked: Some(Tensor::from(0i64)),
                    ..self
                }
            }

            /// The same layer without running statistics: it always normalises by its input.
            pub fn without_running_stats(self) -> Self {
                $name { running_mean: None, running_var: None, num_batches_tracked: None, ..self }
            }

            fn extra_repr(&self) -> String {
                format!(
                    "{}, eps={}, momentum={}, affine={}, bias={}, track_running_stats={}",
                    self.num_features,
                    float(self.eps),
                    self.momentum.map_or("None".to_owned(), float),
                    truth(self.weight.is_some()),
                    truth(self.bias.is_some()),
                    truth(self.running_mean.is_some()),
                )
            }
        }

        impl Forward for $name {
            #[track_caller]
            fn forward_in(&mut self, x: &Tensor, pass: &mut Pass) -> Tensor {
                if ![$batched $(, $other)?].contains(&x.rank()) && x.error().is_none() {
                    let expected = $expected.to_owned();
                    let e = InferError::Operand { label: $label, expected, found: x.aval() };
                    return reject($op, &[x], e, None);
                }
                let norm = Norm {
                    weight: self.weight.as_ref(),
                    bias: self.bias.as_ref(),
                    eps: self.eps,
                    momentum: self.momentum,
                    batched: $batched,
                };
                let stats = self.running_mean.clone().zip(self.running_var.clone()).map(|(mean, var)| {
                    let batches = self.num_batches_tracked.clone().unwrap_or_else(|| Tensor::from(0i64));
                    Statistics { mean, var, batches }
                });
                let (y, stats) = norm.$method(x, stats, pass);
                if let Some(Statistics { mean, var, batches }) = stats {
                    (self.running_mean, self.running_var) = (Some(mean), Some(var));
                    if self.num_batches_tracked.is_some() {
                        self.num_batches_tracked = Some(batches);
                    }
                }
                y
            }
        }
    };
}

macro_rules! batch_norm {
    ($name:ident, $batched:literal $(or $other:literal)?, $expected:literal) => {
        running_norm! {
            #[doc = concat!("A batch norm for ", $expected, ".")]
            ///
            /// A training pass normalises by the statistics of the batch, and puts the new running statistics into the
            /// layer's buffers; an evaluation normalises by the running statistics, if there are any.
            $name, batch, "batch_norm", "batch_norm_layer_c1", $batched $(or $other)?, $expected
        }

        impl $name {
            /// A batch norm with weight, bias and running statistics.
            #[track_caller]
            pub fn new(num_features: usize) -> Self {
                Self::bare(num_features).with_affine().with_running_stats()
            }
        }
    };
}
batch_norm!(BatchNorm1d, 2 or 3, "a tensor [n, c] or [n, c, l]");
batch_norm!(BatchNorm2d, 4, "a tensor [n, c, h, w]");
batch_norm!(BatchNorm3d, 5, "a tensor [n, c, d, h, w]");

macro_rules! instance_norm {
    ($name:ident, $batched:literal or $other:literal, $expected:literal) => {
        running_norm! {
            #[doc = concat!("Zero mean and unit variance over each channel of each example, for ", $expected, ".")]
            ///
            /// With running statistics a training pass still normalises by each example and puts the mean of the examples'
            /// statistics into the layer's buffers; an evaluation normalises by the running ones.
            $name, instance, "instance_norm", "instance_norm_layer_c1", $batched or $other, $expected
        }

        impl $name {
            /// A norm without weight, bias and running statistics, as by default in PyTorch.
            pub fn new(num_features: usize) -> Self {
                Self::bare(num_features)
            }
        }
    };
}
instance_norm!(InstanceNorm1d, 3 or 2, "a tensor [n, c, l] or [c, l]");
instance_norm!(InstanceNorm2d, 4 or 3, "a tensor [n, c, h, w] or [c, h, w]");
instance_norm!(InstanceNorm3d, 5 or 4, "a tensor [n, c, d, h, w] or [c, d, h, w]");

/// `module` with batch norms that keep no running statistics and always normalise by the batch, at any depth: so that
/// it can be mapped by `vmap` in training. PyTorch's `replace_all_batch_norm_modules_`, as a value.
///
/// ```
/// use cotangent::nn::{BatchNorm1d, Module, batch_norm_without_running_stats};
///
/// let norms = vec![BatchNorm1d::new(3), BatchNorm1d::new(4)];
/// assert_eq!(norms.buffers().len(), 6);
/// assert!(batch_norm_without_running_stats(norms).buffers().is_empty());
/// ```
pub fn batch_norm_without_running_stats<M: Module>(mut module: M) -> M {
    strip(&mut module);
    module
}

fn strip(module: &mut dyn Module) {
    macro_rules! stripped { ($($norm:ident)*) => { $(
        if let Some(norm) = (module as &mut dyn std::any::Any).downcast_mut::<$norm>() {
            (norm.running_mean, norm.running_var, norm.num_batches_tracked) = (None, None, None);
            return;
        }
    )* } }
    stripped!(BatchNorm1d BatchNorm2d BatchNorm3d);
    for (_, part) in module.members_mut() {
        if let PartMut::Module(m) = part {
            strip(m);
        }
    }
}
