//! Views as maps of indices.

use cotangent_core::ops::ViewForm;
use smallvec::smallvec;

use crate::affine::{Affine, Extents, Index, NotAffine, reshape};

/// Where the element of `view`'s operand (of `from`) stands for an element of its result at `index` (of `to`).
pub(crate) fn through(
    view: &ViewForm,
    index: &[Affine],
    to: &[usize],
    from: &[usize],
    extents: &Extents,
) -> Result<Index, NotAffine> {
    Ok(match view {
        ViewForm::Broadcast => {
            let lead = to.len() - from.len();
            from.iter()
                .enumerate()
                .map(|(d, n)| if *n == 1 { Affine::default() } else { index[lead + d].clone() })
                .collect()
        }
        ViewForm::Reshape => return reshape(index, to, from, extents),
        ViewForm::Permute(dims) => {
            let mut out: Index = smallvec![Affine::default(); from.len()];
            for (i, d) in dims.iter().enumerate() {
                out[*d] = index[i].clone();
            }
            out
        }
        ViewForm::Slice { dim, start, step } => {
            let mut out: Index = index.into();
            out[*dim] = index[*dim].scaled(*step as i64).plus(*start as i64);
            out
        }
        ViewForm::Flip(dims) => {
            let mut out: Index = index.into();
            for d in dims {
                out[*d] = index[*d].scaled(-1).plus(from[*d] as i64 - 1);
            }
            out
        }
        ViewForm::Diagonal { offset, dim1, dim2 } => {
            let last = &index[index.len() - 1];
            let mut lead = index.iter();
            (0..from.len())
                .map(|d| match d {
                    d if d == *dim1 => last.clone().plus((-offset).max(0)),
                    d if d == *dim2 => last.clone().plus((*offset).max(0)),
                    _ => lead.next().expect("a dim for each other dim").clone(),
                })
                .collect()
        }
        ViewForm::Unfold { dim, size: _, step } => {
            let mut out: Index = index[..from.len()].into();
            let mut place = index[*dim].scaled(*step as i64);
            place.add_scaled(&index[from.len()], 1);
            out[*dim] = place;
            out
        }
    })
}
