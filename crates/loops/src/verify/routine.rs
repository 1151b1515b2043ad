//! Routines: their buffers are those of their operands and results.

use cotangent_core::ir::{Aval, DType};
use cotangent_core::ops::{Access as Indexed, Gather, Indexing, LoopForm, Primitive};

use super::Verifier;
use crate::ir::{BufferId, Matrix, Routine, RoutineKind, positions};

impl Verifier<'_> {
    pub(super) fn routine(&mut self, r: &Routine) {
        for id in r.inputs.iter().chain(&r.outputs) {
            if self.buffer(*id).is_none() {
                return;
            }
        }
        for id in &r.inputs {
            self.read(*id);
        }
        for (k, id) in r.inputs.iter().enumerate() {
            if r.outputs.contains(id) && !(k == 0 && r.kind.updates()) {
                self.wrong("P4", format!("`{}` writes b{} while it reads it", r.name, id.0));
            }
        }
        for id in &r.outputs {
            self.may_write(*id);
            self.written[id.0 as usize] = self.program.buffers[id.0 as usize].len;
        }
        let own = |id: &BufferId| (self.program.buffers[id.0 as usize].dtype, self.program.buffers[id.0 as usize].len);
        match &r.kind {
            RoutineKind::MatMul { batch, m, k, n, lhs, rhs } => {
                if r.inputs.len() != 2 || r.outputs.len() != 1 {
                    return self.wrong("P1", "a product has two operands and one result".to_owned());
                }
                let (x, y, out) = (own(&r.inputs[0]), own(&r.inputs[1]), own(&r.outputs[0]));
                let is_wider = x.0 == DType::BF16 && out.0 == DType::F32;
                if x.0 != y.0 || (x.0 != out.0 && !is_wider) {
                    self.wrong("P3", format!("a product of {} and {} into {}", x.0, y.0, out.0));
                }
                if out.1 != batch * m * n {
                    self.wrong("P2", format!("a product of {} elements into {}", batch * m * n, out.1));
                }
                self.matrix(lhs, [*batch, *m, *k], x.1);
                self.matrix(rhs, [*batch, *k, *n], y.1);
            }
            RoutineKind::Places { sort, x, places } => {
                let n = x.shape.dims().get(sort.dim).map_or(0, |n| n.get());
                if places.is_empty() || places.end > n {
                    return self.wrong("P2", format!("places {} to {} of {n}", places.start, places.end));
                }
                let len = x.shape.numel() / n * places.len();
                let found: Vec<_> = r.inputs.iter().chain(&r.outputs).map(own).collect();
                if found != [(x.dtype, x.shape.numel()), (x.dtype, len), (DType::I64, len)] {
                    self.wrong("P3", "buffers are not of the operand and the places of a sort".to_owned());
                }
            }
            RoutineKind::Ranked { sort, x, index } => {
                let gather = Gather { dim: sort.dim };
                let is_own =
                    gather.infer(&[x, index]).is_ok() && x.shape.with(sort.dim, 0) == index.shape.with(sort.dim, 0);
                let len = index.shape.numel();
                let found: Vec<_> = r.inputs.iter().chain(&r.outputs).map(own).collect();
                if !is_own
                    || found != [(x.dtype, x.shape.numel()), (DType::I64, len), (x.dtype, len), (DType::I64, len)]
                {
                    self.wrong("P3", "buffers are not of the operand and the ranks of a sort".to_owned());
                }
            }
            RoutineKind::Extremes { dim, which, x } => {
                let places = positions(*which, *dim).prim().infer(&[x]);
                let lens = places.iter().flatten().map(|a| a.shape.numel());
                let expected = lens.flat_map(|len| [(x.dtype, x.shape.numel()), (x.dtype, len), (DType::I64, len)]);
                if !r.inputs.iter().chain(&r.outputs).map(own).eq(expected) {
                    self.wrong("P3", "buffers are not of the operand and its extremes".to_owned());
                }
            }
            RoutineKind::Values { of, x, results } => {
                let is_own = of.op().prim().infer(&[x]).is_ok_and(|own| own.as_slice() == results);
                let found = r.inputs.iter().chain(&r.outputs).map(own);
                let avals = [Some(x), results.get(of.result())].into_iter().flatten();
                if !is_own || !found.eq(avals.map(|a| (a.dtype, a.shape.numel()))) {
                    self.wrong("P3", "buffers are not of the operand and the values of a decomposition".to_owned());
                }
            }
            RoutineKind::Rows { op, args, results, dim } => {
                let form = op.prim().loop_form(&args.iter().collect::<Vec<_>>(), results);
                let is_own = is_of_elements(&form, *dim) && args[0].shape.with(*dim, 0) == args[1].shape.with(*dim, 0);
                let inner: usize = args.get(1).map_or(0, |a| a.shape.sizes().iter().skip(dim + 1).product());
                let lens =
                    args.iter().enumerate().map(|(i, a)| a.shape.numel() / if i == 1 { inner.max(1) } else { 1 });
                let expected =
                    args.iter().map(|a| a.dtype).zip(lens).chain(results.iter().map(|a| (a.dtype, a.shape.numel())));
                if !is_own || !r.inputs.iter().chain(&r.outputs).map(own).eq(expected) {
                    self.wrong(
                        "P3",
                        format!("`{}`: buffers are not of its avals with an index for each row", op.name()),
                    );
                }
            }
            RoutineKind::Lines { gather, x, index, first } => {
                let (dim, same) = (gather.dim, *first..gather.dim);
                let is_own = !same.is_empty()
                    && dim < index.shape.rank()
                    && x.shape.rank() == index.shape.rank()
                    && x.shape.with(dim, 0) == index.shape.with(dim, 0);
                let times: usize = index.shape.sizes().get(same).map_or(1, |sizes| sizes.iter().product());
                let expected = [
                    (x.dtype, x.shape.numel()),
                    (index.dtype, index.shape.numel() / times.max(1)),
                    (x.dtype, index.shape.numel()),
                ];
                if !is_own || index.dtype != DType::I64 || !r.inputs.iter().chain(&r.outputs).map(own).eq(expected) {
                    self.wrong("P3", "`gather`: buffers are not of its avals with an index for each line".to_owned());
                }
            }
            RoutineKind::Exchanged { op, args, y } => {
                let [x, w] = &**args;
                let is_plain = !op.transposed && matches!(y.dtype, DType::F32 | DType::F64);
                let is_own = is_plain
                    && op.infer(&[x, w]).is_ok_and(|whole| {
                        let (y, whole) = (y.shape.sizes(), whole[0].shape.sizes());
                        y.len() == whole.len() && y[..2] == whole[..2] && y.iter().zip(&whole).all(|(y, n)| y <= n)
                    });
                let avals = [x, w, y].map(|a| (a.dtype, a.shape.numel()));
                if !is_own || !r.inputs.iter().chain(&r.outputs).map(own).eq(avals) {
                    self.wrong(
                        "P3",
                        "buffers are not of the operands and the result of an exchanged convolution".to_owned(),
                    );
                }
            }
            RoutineKind::Op { op, args, results } => {
                let fits = |ids: &[BufferId], avals: &[Aval]| {
                    ids.len() == avals.len()
                        && ids.iter().zip(avals).all(|(id, a)| own(id) == (a.dtype, a.shape.numel()))
                };
                if !fits(&r.inputs, args) || !fits(&r.outputs, results) {
                    self.wrong("P3", format!("`{}`: buffers are not of its avals", op.name()));
                }
            }
        }
    }

    fn matrix(&mut self, m: &Matrix, extents: [usize; 3], len: usize) {
        if extents.contains(&0) {
            return;
        }
        let (mut low, mut high) = (m.offset, m.offset);
        for (stride, extent) in [m.batch, m.row, m.col].into_iter().zip(extents) {
            let reach = stride * (extent as i64 - 1);
            low += reach.min(0);
            high += reach.max(0);
        }
        if low < 0 || high >= len as i64 {
            self.wrong("P2", format!("a matrix reaches from {low} to {high} in {len} elements"));
        }
    }
}

/// Whether an op has an index for each element along `dim`.
fn is_of_elements(form: &LoopForm, dim: usize) -> bool {
    matches!(form, LoopForm::Access(
        Indexed::Gather { dim: d, index: Indexing::Elementwise } | Indexed::Scatter { dim: d, index: Indexing::Elementwise, .. },
    ) if *d == dim)
}
