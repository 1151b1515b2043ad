//! The primitives: a closed list, each with all its rules.
//!
//! They are a subset of ATen, restricted and never altered in meaning: operands are already broadcast and of one
//! dtype, dims are non-negative, everything is functional. Everything else is a composite over them.

mod assert_async;
mod axis;
mod binary;
mod call;
mod cat;
mod constant;
mod convert;
mod convolution;
mod cum_extreme;
mod diagonal;
mod domain;
mod expand;
mod extreme;
mod flip;
mod gather;
mod index_select;
mod indexing;
mod linalg;
mod loop_form;
mod matmul;
mod pad;
mod permute;
mod polygamma;
mod primitive;
mod prod;
mod products;
mod scan;
mod scatter;
mod scatter_reduce;
mod select;
mod slice;
mod sort;
mod special;
mod sum;
mod unary;
mod unfold;
mod view;
mod where_;

pub use assert_async::AssertAsync;
pub use binary::{Binary, philox_arithmetic};
pub use call::{Call, Rule};
pub use cat::Cat;
pub use constant::{Arange, Constant, Eye, Full};
pub use convert::Convert;
pub use convolution::Convolution;
pub use cum_extreme::{Cummax, Cummin};
pub use diagonal::{DiagEmbed, Diagonal};
pub use domain::Domain;
pub use expand::Expand;
pub use extreme::{Amax, Amin, Argmax, Argmin, Extreme};
pub use flip::Flip;
pub use gather::{Gather, ScatterAdd};
pub use index_select::{IndexAdd, IndexSelect};
pub use linalg::{
    Cholesky, Eigh, Inverse, LdlFactor, LdlSolve, LuFactor, LuUnpack, Qr, QrMode, Solve, SolveTriangular, Spectral,
    Svd, Triangle,
};
pub use loop_form::{
    Access, Generate, Indexing, Kernel, LoopForm, Monoid, Piecewise, ScalarFn, View as ViewForm, Windows,
};
pub use matmul::{Bmm, Mm};
pub use pad::Pad;
pub use permute::Permute;
pub use polygamma::Polygamma;
pub use primitive::{Avals, Batched, Cotangent, LinArg, Primitive, Sample, Samples, Tangent, nonlinear};
pub(crate) use primitive::{arity, no_derivative, one, transpose_unary};
pub use prod::Prod;
pub use scan::{Cumprod, Cumsum, Logcumsumexp, log_add_exp};
pub use scatter::Scatter;
pub use scatter_reduce::{ScatterReduce, ScatterReduction};
pub use select::{Kthvalue, Mode, Statistic, Topk};
pub use slice::{Slice, SliceScatter};
pub use sort::{Searchsorted, Sort, insertion_point};
pub use special::series;
pub use sum::Sum;
pub use unary::Unary;
pub use unfold::{Unfold, UnfoldBackward};
pub use view::View;
pub use where_::Where;

use crate::error::InferError;
use crate::ir::{AttrError, AttrReader, Aval};

/// How an op is read back from its name and attributes.
pub(crate) trait FromText: Sized {
    /// The op called `name`, or `None` if this type has no such op.
    fn from_text(name: &str, attrs: &mut AttrReader) -> Option<Result<Self, AttrError>>;
}

macro_rules! define_ops {
    ($($Op:ident),* $(,)?) => {
        /// An operation with its static attributes; operands are never inside.
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs)]
        pub enum Op { $($Op($Op)),* }

        impl Op {
            /// The op's rules.
            pub fn prim(&self) -> &dyn Primitive {
                match self { $(Op::$Op(p) => p),* }
            }

            /// The op called `name` in text, with `attrs`.
            pub fn from_text(name: &str, attrs: Vec<(String, crate::ir::Attr)>) -> Result<Op, AttrError> {
                let mut reader = AttrReader::new(attrs);
                $(if let Some(op) = <$Op as FromText>::from_text(name, &mut reader) {
                    let op = Op::from(op?);
                    reader.finish(name)?;
                    return Ok(op);
                })*
                Err(AttrError::UnknownOp { op: name.to_owned() })
            }

            /// The argument sets on which the tests run every op.
            pub fn all_samples() -> Vec<Sample> {
                let mut out = Vec::new();
                $(out.extend(<$Op as Samples>::samples());)*
                out
            }
        }

        $(impl From<$Op> for Op {
            fn from(op: $Op) -> Op {
                Op::$Op(op)
            }
        })*
    };
}

define_ops! {
    Constant, Full, Arange, Eye,
    Unary, Binary, Polygamma, Where, Convert,
    Expand, View, Permute,
    Slice, SliceScatter, Cat, Pad, Flip,
    Sum, Mm, Bmm,
    Amax, Amin, Argmax, Argmin, Prod, Cumsum, Cumprod, Cummax, Cummin, Logcumsumexp,
    Sort, Searchsorted, Topk, Kthvalue, Mode,
    Gather, Scatter, ScatterAdd, ScatterReduce, IndexSelect, IndexAdd,
    Diagonal, DiagEmbed, Unfold, UnfoldBackward,
    Convolution,
    Cholesky, Solve, Inverse, SolveTriangular, LuFactor, LuUnpack, LdlFactor, LdlSolve, Qr, Eigh, Svd, AssertAsync,
    Call,
}

impl Op {
    /// The name in IR text.
    pub fn name(&self) -> &'static str {
        self.prim().name()
    }

    /// The number of results.
    pub fn num_results(&self) -> usize {
        match self {
            Op::Call(call) => call.body.results().len(),
            op => op.prim().schema().rsplit("->").next().map_or(1, |r| r.matches("Tensor").count().max(1)),
        }
    }

    /// The avals of the results, with the bound on sizes that holds for every op.
    pub fn checked_infer(&self, args: &[&Aval]) -> Result<Avals, InferError> {
        let results = self.prim().infer(args)?;
        match results.iter().find(|a| a.shape.checked_numel().is_none()) {
            Some(a) => Err(InferError::TooLarge { shape: a.shape.clone() }),
            None => Ok(results),
        }
    }
}

/// Reads a struct op by its one name.
macro_rules! from_text {
    ($Op:ident, $name:literal) => {
        impl $crate::ops::FromText for $Op {
            fn from_text(
                name: &str,
                attrs: &mut $crate::ir::AttrReader,
            ) -> Option<Result<Self, $crate::ir::AttrError>> {
                (name == $name).then(|| $Op::from_generic(attrs))
            }
        }
    };
}
pub(crate) use from_text;
