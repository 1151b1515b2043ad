//! What a test expects of a call: that it fails, and with which message.

use cotangent::Error;

/// The message of the error that `result` is.
///
/// # Panics
/// If it is none.
#[track_caller]
pub fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(e) => e.to_string(),
    }
}
