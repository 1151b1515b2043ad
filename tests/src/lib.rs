//! What the tests of cotangent share.

pub mod numeric;
pub mod oracle;
