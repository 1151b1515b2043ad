//! Double precision.

use cotangent::prelude::*;

use super::derivatives::lennard_jones;
use super::networks::product;
use super::pointwise::heavy_chain;
use crate::inputs::f64s;
use crate::workload::{Workload, compiled};

/// The workloads of this group.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::new("heavy_1m_f64", [f64s("x", [1 << 20]).scale(4.0)], |[x]| compiled(heavy_chain, (x,))),
        Workload::new("mm_256_f64", ["a", "b"].map(|name| f64s(name, [256, 256])), |[a, b]| compiled(product, (a, b))),
        Workload::new("lj_hessian_f64", [f64s("x", [32, 3]).scale(0.2).lattice(1.2)], |[x]| {
            compiled(hessian(lennard_jones), (x,))
        }),
    ]
}
