//! What simplification did: which rules fired, how often, on which source lines.

use std::collections::BTreeMap;
use std::fmt;

use super::{Rule, rules};
use crate::ir::Loc;

/// One application of a rule.
#[derive(Clone, Debug)]
pub struct Step {
    /// The rule.
    pub rule: &'static str,
    /// The location of the node that it replaced.
    pub loc: Loc,
    /// That node and what stands for it, if the options asked for a trace.
    pub change: Option<(String, String)>,
}

/// What [`super::simplify_with`] did to a graph.
#[derive(Clone, Debug)]
pub struct Report {
    /// The graph's name.
    pub graph: String,
    /// The number of nodes before.
    pub before: usize,
    /// The number of nodes after.
    pub after: usize,
    /// The applications of rules in their order, those in the bodies of calls included.
    pub steps: Vec<Step>,
}

impl Report {
    /// How often the rule `name` fired.
    pub fn count(&self, name: &str) -> usize {
        self.steps.iter().filter(|s| s.rule == name).count()
    }

    /// The rules that fired, in the order of the list of rules, each with the number of times.
    pub fn fired(&self) -> Vec<(&'static Rule, usize)> {
        rules().map(|r| (r, self.count(r.name))).filter(|(_, n)| *n > 0).collect()
    }

    /// The report as text: one line for each rule, with the source lines on which it fired.
    pub fn explain(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Report {
    /// ```text
    /// grad: 7 nodes -> 1
    ///   mul-one (exact) x2: src/main.rs:12 x2
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} nodes -> {}", self.graph, self.before, self.after)?;
        let mut lines: BTreeMap<&str, BTreeMap<(&str, u32), usize>> = BTreeMap::new();
        for s in &self.steps {
            *lines.entry(s.rule).or_default().entry((s.loc.file.as_ref(), s.loc.line)).or_default() += 1;
        }
        for rule in rules() {
            let Some(lines) = lines.get(rule.name) else { continue };
            let total: usize = lines.values().sum();
            write!(f, "\n  {} ({}) x{total}:", rule.name, rule.class)?;
            for (i, ((file, line), n)) in lines.iter().enumerate() {
                f.write_str(if i == 0 { " " } else { ", " })?;
                if file.is_empty() {
                    f.write_str("unknown source")?;
                } else {
                    write!(f, "{file}:{line}")?;
                }
                if *n > 1 {
                    write!(f, " x{n}")?;
                }
            }
        }
        for (rule, loc, (old, new)) in self.steps.iter().filter_map(|s| Some((s.rule, &s.loc, s.change.as_ref()?))) {
            write!(f, "\n  {rule} at {loc}: {old} -> {new}")?;
        }
        Ok(())
    }
}
