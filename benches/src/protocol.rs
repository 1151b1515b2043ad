//! What the runner of contenders reads: one JSON object on one line.

use cotangent::array::Array;
use serde::Serialize;

use crate::measure::Measured;

/// The exit status that says: this contender does not have this workload.
pub const UNSUPPORTED: u8 = 3;

/// The report on one workload.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The workload's name.
    pub workload: String,
    /// From the start of tracing to the first result.
    pub first_call_ms: f64,
    /// The median over samples of repeated calls.
    pub median_us: f64,
    /// The minimum over samples of repeated calls.
    pub min_us: f64,
    /// How many calls were timed.
    pub calls: usize,
    /// The highest resident memory above that before the inputs were made, `null` if the system does not tell.
    pub peak_rss_mb: Option<f64>,
    /// The cores that other processes used during repeated calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_load: Option<f64>,
    /// The flattened results.
    pub outputs: Vec<Fingerprint>,
}

/// What a result looks like, for comparison with another contender's.
#[derive(Debug, Serialize)]
pub struct Fingerprint {
    /// The shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// The mean.
    pub mean: f64,
    /// The mean of absolute values.
    pub mean_abs: f64,
    /// Up to 4 values from the start.
    pub first: Vec<f64>,
}

impl Fingerprint {
    /// The fingerprint of `array`, whose means are accumulated in `f64`.
    pub fn of(array: &Array) -> Self {
        let values = array.to_f64_vec();
        let n = values.len() as f64;
        Fingerprint {
            shape: array.shape().dims().iter().map(|d| d.get()).collect(),
            mean: values.iter().sum::<f64>() / n,
            mean_abs: values.iter().map(|x| x.abs()).sum::<f64>() / n,
            first: values.into_iter().take(4).collect(),
        }
    }

    /// Whether all numbers are finite, as those of every workload are.
    fn is_finite(&self) -> bool {
        self.mean_abs.is_finite() && self.first.iter().all(|x| x.is_finite())
    }
}

/// Why there is no report.
#[derive(Debug)]
pub enum ReportError {
    /// A result has no values.
    Read(Box<cotangent::Error>),
    /// A result has an infinity or NaN, which JSON cannot say.
    NotFinite {
        /// The number of the result.
        output: usize,
    },
}

impl std::fmt::Display for ReportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReportError::Read(e) => write!(f, "{e}"),
            ReportError::NotFinite { output } => write!(f, "output {output} is not finite"),
        }
    }
}

impl std::error::Error for ReportError {}

impl Report {
    /// The report on a measurement.
    ///
    /// *Errors*: a result that is not finite.
    pub fn new(workload: &str, measured: &Measured) -> Result<Self, ReportError> {
        let mut outputs = Vec::with_capacity(measured.outputs.len());
        for (output, tensor) in measured.outputs.iter().enumerate() {
            let fingerprint = Fingerprint::of(&tensor.to_array().map_err(|e| ReportError::Read(Box::new(e)))?);
            if !fingerprint.is_finite() {
                return Err(ReportError::NotFinite { output });
            }
            outputs.push(fingerprint);
        }
        let steady = &measured.steady;
        Ok(Report {
            workload: workload.to_owned(),
            first_call_ms: measured.first_call_ms,
            median_us: steady.median_us,
            min_us: steady.min_us,
            calls: steady.calls,
            peak_rss_mb: measured.peak_rss_mb,
            other_load: steady.other_load,
            outputs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_shape_means_and_first_values() {
        let f = Fingerprint::of(&Array::new([5], vec![1.0f32, -2.0, 3.0, -4.0, 5.0]));
        assert_eq!((f.shape, f.mean, f.mean_abs), (vec![5], 0.6, 3.0));
        assert_eq!(f.first, [1.0, -2.0, 3.0, -4.0]);
        let scalar = Fingerprint::of(&Array::scalar(7i64));
        assert_eq!((scalar.shape, scalar.mean), (vec![], 7.0));
    }
}
