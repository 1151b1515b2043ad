//! Typed IR text: what [`Graph`]'s `Display` writes.

use std::fmt;

use crate::ir::Graph;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = |v: &crate::ir::Value| format!("{v}: {}", self.aval(*v));
        let join = |v: Vec<String>| v.join(", ");
        writeln!(f, "graph {}({}) {{", self.name(), join(self.params().iter().map(typed).collect()))?;
        for n in self.nodes() {
            let mut operands: Vec<String> = n.args.iter().map(|v| v.to_string()).collect();
            operands.extend(n.op.prim().attrs().iter().map(|(k, a)| format!("{k}={a}")));
            writeln!(f, "  {} = {}({})", join(n.results.iter().map(typed).collect()), n.op.name(), join(operands))?;
        }
        writeln!(f, "  return {}", join(self.results().iter().map(|v| v.to_string()).collect()))?;
        f.write_str("}")
    }
}
