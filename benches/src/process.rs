//! What the system tells about this process and the others: memory in use, and who else was computing.
//!
//! Everything is read from Linux's `/proc`; elsewhere it is unknown, and reported as such.

use std::fs;
use std::time::Instant;

/// Ticks per second of the times in `/proc`: `USER_HZ`, which is part of Linux's interface on the machines that Rust's standard
/// library and the code generator support.
const TICKS: f64 = 100.0;

/// Resident memory now, in MB.
pub fn resident_mb() -> Option<f64> {
    status_mb("VmRSS:")
}

/// The highest resident memory so far, in MB.
pub fn peak_resident_mb() -> Option<f64> {
    status_mb("VmHWM:")
}

fn status_mb(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(key))?;
    let kb: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kb / 1024.0)
}

/// The time that other processes compute, from construction on.
#[derive(Debug)]
pub struct OtherLoad {
    start: Instant,
    busy: Option<f64>,
}

impl OtherLoad {
    /// Starts to watch.
    pub fn watch() -> Self {
        OtherLoad { start: Instant::now(), busy: busy_seconds() }
    }

    /// The number of cores that other processes kept busy, on average.
    pub fn cores(&self) -> Option<f64> {
        let seconds = self.start.elapsed().as_secs_f64();
        Some(((busy_seconds()? - self.busy?) / seconds).max(0.0))
    }
}

/// The CPU time of all processes but this one, in seconds.
fn busy_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let all: Vec<f64> = stat.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, (idle, waiting,) interrupts twice, stolen
    let ticks: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| all.get(*i)).sum();
    let own = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in parentheses, may itself have spaces; user and system time are 14 and 15.
    let after_name = &own[own.rfind(')')? + 1..];
    let own: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    Some((ticks - own) / TICKS)
}
