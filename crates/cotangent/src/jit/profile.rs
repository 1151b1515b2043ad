//! Where the time of a call went.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use cotangent_core::ir::Loc;
use cotangent_jit::Timed;
use cotangent_loops::cost::{Cost, costs};
use cotangent_loops::ir::{LoopProgram, Step};

/// The time of each kernel in one call, with the source lines that it is for.
///
/// Displayed, it is a table with the slowest kernel first.
#[derive(Clone, Debug)]
pub struct Profile {
    kernels: Vec<Kernel>,
}

/// One kernel of a [`Profile`]: a step of the program, or several that run together, piece by piece.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The steps of the program.
    pub steps: Range<usize>,
    /// For each step `nest` or the routine's op.
    pub name: String,
    /// When it began, from the begin of the call.
    pub start: Duration,
    /// How long it took.
    pub time: Duration,
    /// What it does, from shapes.
    pub cost: Cost,
    /// The nodes that were fused into it, each with its source line.
    pub nodes: Vec<(&'static str, Loc)>,
}

impl Profile {
    pub(super) fn new(program: &LoopProgram, nodes: &[Vec<(&'static str, Loc)>], timed: Vec<Timed>) -> Self {
        let name = |step: &Step| match step {
            Step::Nest(_) => "nest".to_owned(),
            Step::Routine(r) => r.name.clone(),
        };
        let costs = costs(program);
        let kernels = timed.into_iter().map(|Timed { steps, start, time }| Kernel {
            name: program.steps[steps.clone()].iter().map(name).collect::<Vec<_>>().join(" + "),
            cost: costs[steps.clone()].iter().copied().sum(),
            nodes: nodes[steps.clone()].concat(),
            steps,
            start,
            time,
        });
        Profile { kernels: kernels.collect() }
    }

    /// The kernels in the order in which they ran.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The time of all kernels.
    pub fn total(&self) -> Duration {
        self.kernels.iter().map(|k| k.time).sum()
    }

    /// The call as a Chrome trace: JSON for `chrome://tracing` or Perfetto.
    pub fn chrome_trace(&self) -> String {
        let micros = |t: Duration| t.as_secs_f64() * 1e6;
        let events: Vec<serde_json::Value> = self
            .kernels
            .iter()
            .map(|k| {
                serde_json::json!({
                    "name": k.name, "ph": "X", "pid": 0, "tid": 0, "ts": micros(k.start), "dur": micros(k.time),
                    "args": {
                        "steps": [k.steps.start, k.steps.end], "flops": k.cost.flops, "bytes": k.cost.bytes,
                        "nodes": k.nodes.iter().map(|(op, loc)| format!("{op} at {loc}")).collect::<Vec<_>>(),
                    },
                })
            })
            .collect();
        serde_json::json!({ "traceEvents": events, "displayTimeUnit": "ns" }).to_string()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total().as_secs_f64().max(f64::MIN_POSITIVE);
        let mut slowest: Vec<&Kernel> = self.kernels.iter().collect();
        slowest.sort_by_key(|k| std::cmp::Reverse(k.time));
        writeln!(f, "{:>10} {:>6} {:>9} {:>9}  step  kernel", "time us", "share", "GFLOP/s", "GB/s")?;
        for k in slowest {
            let seconds = k.time.as_secs_f64();
            let rate = |n: u64| n as f64 / seconds.max(1e-9) / 1e9;
            let (flops, bytes) = (rate(k.cost.flops), rate(k.cost.bytes));
            let share = 100.0 * seconds / total;
            let step = k.steps.start;
            write!(f, "{:>10.2} {share:>5.1}% {flops:>9.2} {bytes:>9.2}  {step:>4}  {}", seconds * 1e6, k.name)?;
            for nodes in k.nodes.chunk_by(|a, b| a.1 == b.1) {
                let names: Vec<&str> = nodes.iter().map(|n| n.0).collect();
                write!(f, "\n{:45}{}: {}", "", nodes[0].1, names.join(", "))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
