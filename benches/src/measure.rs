//! How a workload is measured: the first call, then repeated calls.

use std::time::{Duration, Instant};

use cotangent::prelude::*;

use crate::process::{OtherLoad, peak_resident_mb, resident_mb};
use crate::workload::Workload;

/// The least time of a sample, in seconds.
const SAMPLE: f64 = 2e-4;

/// The least number of samples.
const SAMPLES: usize = 7;

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// From the start of tracing to the first result, in ms.
    pub first_call_ms: f64,
    /// Repeated calls.
    pub steady: Steady,
    /// The highest resident memory less that before the inputs were made, in MB, where the system tells.
    pub peak_rss_mb: Option<f64>,
    /// The results of the first call.
    pub outputs: Vec<Tensor>,
}

/// Times of repeated calls.
#[derive(Debug)]
pub struct Steady {
    /// The median over samples, in µs per call.
    pub median_us: f64,
    /// The minimum over samples, in µs per call.
    pub min_us: f64,
    /// The number of calls.
    pub calls: usize,
    /// The cores used by other processes meanwhile.
    pub other_load: Option<f64>,
}

/// Measures a workload in this process, with about `seconds` of repeated calls.
///
/// It should be the first thing that a process does, because memory that was used before hides a peak.
pub fn measure(workload: &Workload, seconds: f64) -> Result<Measured, Error> {
    let before = resident_mb();
    let mut program = workload.program();
    let start = Instant::now();
    let outputs = program.results()?;
    let first_call_ms = start.elapsed().as_secs_f64() * 1e3;
    let steady = steady(seconds, || program.again())?;
    let peak_rss_mb = peak_resident_mb().zip(before).map(|(peak, before)| (peak - before).max(0.0));
    Ok(Measured { first_call_ms, steady, peak_rss_mb, outputs })
}

/// Samples of one or more calls, at least a fifth of a millisecond long, for `seconds` after a warm-up of a fifth of that.
pub fn steady<E>(seconds: f64, mut call: impl FnMut() -> Result<(), E>) -> Result<Steady, E> {
    let start = Instant::now();
    let mut warm = 0;
    while warm < 3 || start.elapsed().as_secs_f64() < seconds / 5.0 {
        call()?;
        warm += 1;
    }
    let per_call = start.elapsed().as_secs_f64() / f64::from(warm);
    let calls = (SAMPLE / per_call).ceil().max(1.0) as usize;
    let mut samples: Vec<Duration> = Vec::new();
    let load = OtherLoad::watch();
    let start = Instant::now();
    while samples.len() < SAMPLES || start.elapsed().as_secs_f64() < seconds {
        let sample = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        samples.push(sample.elapsed());
    }
    let other_load = load.cores();
    samples.sort_unstable();
    let us = |d: Duration| d.as_secs_f64() * 1e6 / calls as f64;
    let (middle, n) = (samples.len() / 2, samples.len());
    let median_us =
        if n % 2 == 1 { us(samples[middle]) } else { (us(samples[middle - 1]) + us(samples[middle])) / 2.0 };
    Ok(Steady { median_us, min_us: us(samples[0]), calls: calls * n, other_load })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_is_at_most_the_median_and_calls_are_counted() {
        let mut count = 0;
        let s = steady(0.01, || {
            count += 1;
            std::thread::sleep(Duration::from_millis(1));
            Ok::<(), ()>(())
        });
        let s = s.unwrap();
        assert!(s.min_us >= 1000.0 && s.min_us <= s.median_us, "{s:?}");
        assert!(s.calls >= SAMPLES && s.calls < count, "{s:?} of {count}");
    }
}
