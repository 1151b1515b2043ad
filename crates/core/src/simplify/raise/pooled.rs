//! Maxima of windows of an image, as a derivative by its inner values leaves them: PyTorch's operator gives them with their places.

use super::super::edit::{Editor, NodeId};
use super::pullback::{Pullback, maximum, traced};
use super::window::windows;
use super::{call, number, sizes};
use crate::array::Array;
use crate::ir::{Shape, Value};
use crate::ops::{Argmax, Gather, Op};
use crate::tensor::Tensor;

/// Lets calls stand for maxima of windows, and for their derivatives by these places; whether there were any.
pub(super) fn take(e: &mut Editor) -> bool {
    let mut taken = false;
    for id in 0..e.num_nodes() {
        if e.is_alive(id) {
            taken |= pooled(e, id).is_some();
        }
    }
    taken
}

/// Windows of an image `[n, c, h, w]`, without borders.
struct Pool {
    x: Value,
    kernel: [usize; 2],
    stride: [usize; 2],
    /// `[n, c, down, right]`.
    out: Shape,
    /// The places of the maxima in their windows, `[n, c, down, right, 1]`.
    places: Value,
}

fn as_pool(e: &Editor, id: NodeId) -> Option<Pool> {
    let Op::Gather(Gather { dim: 4 }) = e.op(id) else { return None };
    let (flat, places) = (e.arg(id, 0), e.arg(id, 1));
    let (Op::Argmax(Argmax { dim: 4 }), at) = e.def_op(e.as_view(places)?)? else { return None };
    let split = e.as_view(flat)?;
    let (width, right, rows) = windows(e, split, 3)?;
    let (height, down, x) = windows(e, rows, 2)?;
    let (kernel, stride, out) = ([height, width], [down, right], e.shape(split).slice(0, 4));
    let whole = [out.clone(), [height * width].into()];
    let same = e.arg(at, 0) == flat
        && *e.shape(flat) == whole[0].concat(&whole[1])
        && *e.shape(places) == out.concat(&[1].into());
    (same && out.numel() > 0 && e.shape(x).rank() == 4 && e.dtype(x).is_float()).then_some(Pool {
        x,
        kernel,
        stride,
        out,
        places,
    })
}

impl Pool {
    /// The maxima and their places in the windows, by the operations of the graph.
    fn maxima(&self, x: &Tensor) -> (Tensor, Tensor) {
        let rows = x.unfold_dim(2, self.kernel[0], self.stride[0]);
        let split = rows.unfold_dim(3, self.kernel[1], self.stride[1]);
        let flat = split.view_to(&self.out.concat(&[self.kernel[0] * self.kernel[1]].into()));
        let at = flat.argmax_along(4);
        let values = flat.gather_along(4, &at.view_to(&self.out.concat(&[1].into()))).view_to(&self.out);
        (values, at)
    }

    /// The places in an image of so many columns, row by row.
    fn places(&self, at: &Tensor, columns: usize) -> Tensor {
        let table = |shape: [usize; 2], step: [usize; 2]| {
            let place = |i: usize| ((i / shape[1]) * step[0] * columns + (i % shape[1]) * step[1]) as i64;
            Tensor::from_array(Array::new(shape, (0..shape[0] * shape[1]).map(place).collect()))
        };
        let corners = table([self.out[2].get(), self.out[3].get()], self.stride);
        let steps = table(self.kernel, [1, 1]).view_to(&[self.kernel[0] * self.kernel[1]].into());
        let inside = steps.index_select_along(0, &at.view_to(&[at.numel()].into())).view_to(&self.out);
        inside + corners
    }
}

fn pooled(e: &mut Editor, id: NodeId) -> Option<()> {
    let pool = as_pool(e, id)?;
    let aval = e.aval(pool.x).clone();
    let columns = aval.shape[3].get();
    // What else takes the places has to be the derivative, which goes by the call then.
    let others = e.users(pool.places).filter(|user| *user != id).count();
    if others > 0 {
        let f = traced(std::slice::from_ref(&aval), |a| vec![pool.maxima(&a[0]).0]).ok()?;
        if others != 1 || Pullback::new(&f, 0)?.standing(e, &[pool.x]).len() != 1 {
            return None;
        }
    }
    let body = traced(&[aval], |a| {
        let (values, at) = pool.maxima(&a[0]);
        vec![values, pool.places(&at, columns)]
    });
    let params = [
        ("kernel_size", sizes(&pool.kernel)),
        ("stride", sizes(&pool.stride)),
        ("padding", sizes(&[0, 0])),
        ("dilation", sizes(&[1, 1])),
        ("ceil_mode", number(false)),
    ];
    let schema = "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> (Tensor, Tensor)";
    let call = call(schema, params, body.ok()?);
    let shape = e.out(id).shape;
    e.begin(id);
    let values = e.emit(call, &[pool.x]);
    let Some((values, seen)) = values.and_then(|v| Some((v, e.view(v, &shape)?))) else {
        e.rollback();
        return None;
    };
    // Two nodes for one where the derivative's go next.
    if !e.commit(seen, others) {
        return None;
    }
    if let Some(forward) = e.def(values) {
        maximum(e, forward);
    }
    Some(())
}
