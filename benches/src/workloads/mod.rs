//! The workloads, in the groups of their definition.

pub mod convolution;
pub mod derivatives;
pub mod double;
pub mod model;
pub mod networks;
pub mod pointwise;
pub mod reductions;
pub mod scaling;
pub mod sequence;

use crate::workload::Workload;

/// All workloads, in the order of their definition.
pub fn all() -> Vec<Workload> {
    [
        pointwise::workloads(),
        reductions::workloads(),
        networks::workloads(),
        sequence::workloads(),
        convolution::workloads(),
        derivatives::workloads(),
        scaling::workloads(),
        double::workloads(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::all;

    #[test]
    fn names_are_different() {
        let mut names: Vec<String> = all().into_iter().map(|w| w.name).collect();
        assert_eq!(names.len(), 65);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 65);
    }
}
