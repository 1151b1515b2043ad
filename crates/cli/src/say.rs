//! Lines on standard output, which its reader may close at any time.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _, stdout};
use std::process::exit;

/// Writes a line; where nobody reads any more, the command ends.
pub(crate) fn line(text: Arguments) {
    if let Err(e) = writeln!(stdout().lock(), "{text}") {
        if e.kind() == ErrorKind::BrokenPipe {
            exit(0);
        }
        eprintln!("cannot write to standard output: {e}");
        exit(1);
    }
}

/// As `println!`, without a panic where nobody reads.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::say::line(format_args!($($text)*))
    };
}
pub(crate) use say;
