//! Operands of binary methods: tensors and Rust numbers, with PyTorch's promotion.

use crate::ir::{Category, DType, Scalar};

use super::Tensor;

/// A tensor or a number beside a tensor.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A tensor.
    Tensor(Tensor),
    /// A number; takes part in promotion only across categories.
    Scalar(Scalar),
}

/// What may stand as the second operand of a binary method: `Tensor`, `&Tensor`, or a number.
pub trait IntoOperand {
    /// The operand.
    fn into_operand(self) -> Operand;
}

impl IntoOperand for Operand {
    fn into_operand(self) -> Operand {
        self
    }
}

impl IntoOperand for Tensor {
    fn into_operand(self) -> Operand {
        Operand::Tensor(self)
    }
}

impl IntoOperand for &Tensor {
    fn into_operand(self) -> Operand {
        Operand::Tensor(self.clone())
    }
}

macro_rules! scalar_operand { ($($t:ty),*) => { $(
    impl IntoOperand for $t {
        fn into_operand(self) -> Operand {
            Operand::Scalar(self.into())
        }
    }
)* } }
scalar_operand!(f64, f32, i64, i32, bool, Scalar);

/// The dtype in which operands meet: dimensioned tensors come first, 0-dim tensors and then numbers only
/// raise the category.
///
/// *Source*: `torch.result_type`.
pub fn result_type(operands: &[&Operand]) -> DType {
    let mut dims: Option<DType> = None;
    let mut zeros: Option<DType> = None;
    let mut numbers: Option<DType> = None;
    let join = |slot: &mut Option<DType>, d: DType| *slot = Some(slot.map_or(d, |s| s.promote(d)));
    for o in operands {
        match o {
            Operand::Tensor(t) if t.rank() > 0 => join(&mut dims, t.dtype()),
            Operand::Tensor(t) => join(&mut zeros, t.dtype()),
            Operand::Scalar(s) => join(&mut numbers, s.default_dtype()),
        }
    }
    let raise = |higher: Option<DType>, lower: Option<DType>| match (higher, lower) {
        (None, x) | (x, None) => x,
        (Some(h), Some(l)) if h.category() >= l.category() => Some(h),
        (Some(h), Some(l)) => Some(match l.category() {
            // A category is raised to the lower operand's dtype; bool raised by a number takes its default.
            Category::Float | Category::Int | Category::Bool => {
                if h.category() == Category::Bool {
                    l
                } else {
                    h.promote(l)
                }
            }
        }),
    };
    raise(raise(dims, zeros), numbers).unwrap_or(DType::F32)
}
