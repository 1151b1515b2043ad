//! What the tests of cotangent share.

pub mod numeric;
pub mod oracle;
pub mod random_graph;
pub mod snapshot;
