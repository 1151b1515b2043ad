//! Reading and writing through indices.

use cotangent_core::Tensor;
use cotangent_core::ir::Aval;
use cotangent_core::ops::ScatterReduction;

use crate::compose::flat_positions;
use crate::literal::ty;
use crate::reduce::Fold;
use crate::writer::{Val, Vals, Writer, array, ints};

/// The slices of `x` that a vector of indices names along `dim`.
pub(crate) fn select(w: &mut Writer, dim: usize, x: &Val, index: &Val, y: &Aval) -> Val {
    let others = ints((0..x.aval.rank()).filter(|d| *d != dim));
    let sizes = array(x.aval.shape.sizes().iter().enumerate().map(|(d, n)| if d == dim { 1 } else { *n }));
    w.value(
        y,
        format_args!(
            "\"stablehlo.gather\"({}, {}) <{{dimension_numbers = #stablehlo.gather<offset_dims = [{others}], \
             collapsed_slice_dims = [{dim}], start_index_map = [{dim}], index_vector_dim = 1>, indices_are_sorted = false, \
             slice_sizes = {sizes}}}> : ({}, {}) -> {}",
            x.name,
            index.name,
            x.ty(),
            index.ty(),
            ty(y)
        ),
    )
}

/// The operand with each slice of a source folded into the place that a vector of indices names along `dim`.
pub(crate) fn scatter(w: &mut Writer, fold: Fold, dim: usize, x: &[Val]) -> Val {
    let [x, index, src] = [&x[0], &x[1], &x[2]];
    let others = ints((0..x.aval.rank()).filter(|d| *d != dim));
    let scalar = Aval::new(x.dtype(), ());
    w.with_region(
        &format!(
            "\"stablehlo.scatter\"({}, {}, {}) <{{scatter_dimension_numbers = #stablehlo.scatter<update_window_dims = [{others}], \
             inserted_window_dims = [{dim}], scatter_dims_to_operand_dims = [{dim}], index_vector_dim = 1>, \
             indices_are_sorted = false, unique_indices = false}}>",
            x.name, index.name, src.name
        ),
        &[scalar.clone(), scalar],
        |w, v| vec![fold.emit(w, &v[0], &v[1])],
        &format!(": ({}, {}, {}) -> {}", x.ty(), index.ty(), src.ty(), x.ty()),
        std::slice::from_ref(&x.aval),
    )
    .swap_remove(0)
}

/// The same with an index for each element: on the operand as one vector.
pub(crate) fn scatter_elements(w: &mut Writer, fold: Fold, dim: usize, x: &[Val]) -> Vals {
    if x[1].aval.shape.numel() == 0 {
        return Ok(vec![x[0].clone()]);
    }
    let flat = w.compose(x, |x| {
        let vector = |t: &Tensor| t.view_to(&[t.numel()].into());
        vec![vector(&x[0]), flat_positions(x[0].shape(), dim, &x[1]), vector(&x[2])]
    })?;
    let out = scatter(w, fold, 0, &flat);
    Ok(vec![w.typed("stablehlo.reshape", &out, "", &x[0].aval)])
}

/// The fold of a reduction.
pub(crate) fn fold(reduce: ScatterReduction) -> Fold {
    match reduce {
        ScatterReduction::Prod => Fold::Product,
        ScatterReduction::Amax => Fold::Max,
        ScatterReduction::Amin => Fold::Min,
    }
}
