//! A bar that shows how far a training is.

use indicatif::{ProgressBar, ProgressStyle};

use super::curve::Curve;

/// A progress bar with loss and rate on the terminal, and the losses so far. Silent if there is no terminal.
///
/// ```
/// use cotangent::data::Progress;
///
/// let mut progress = Progress::new(100);
/// for i in 0..100 {
///     progress.step(1.0 / (i + 1) as f64);
/// }
/// let curve = progress.finish();
/// assert_eq!(curve.losses().len(), 100);
/// ```
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    curve: Curve,
}

impl Progress {
    /// A bar for this many steps.
    pub fn new(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} eta {eta} {msg}");
        bar.set_style(style.expect("the template is well-formed"));
        Progress { bar, curve: Curve::new() }
    }

    /// One more step, with this loss.
    pub fn step(&mut self, loss: f64) {
        self.curve.push(loss);
        self.bar.set_message(format!("loss {loss:.4}"));
        self.bar.inc(1);
    }

    /// Takes the bar away; the losses remain.
    pub fn finish(self) -> Curve {
        self.bar.finish_and_clear();
        self.curve
    }
}
