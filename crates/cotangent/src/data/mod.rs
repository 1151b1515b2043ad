//! What a training loop needs beside a step: shuffled batches, a progress bar, a curve of losses.

mod batches;
mod curve;
mod progress;

pub use batches::Batches;
pub use curve::Curve;
pub use progress::Progress;
