//! Attributes of operations in one generic form, from which text, JSON and code printing are made.

use std::fmt;
use std::sync::Arc;

use super::{DType, Dim, Graph, Scalar, Shape};
use crate::array::Array;

/// One attribute value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Attr {
    /// Absent.
    None,
    /// A number or truth value.
    Scalar(Scalar),
    /// An element type.
    DType(DType),
    /// A name.
    Str(String),
    /// A list.
    List(Vec<Attr>),
    /// A constant array.
    Array(Arc<Array>),
    /// The body of a call.
    Graph(Arc<Graph>),
}

impl Attr {
    /// What kind of value this is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Attr::None => "none",
            Attr::Scalar(Scalar::Bool(_)) => "a truth value",
            Attr::Scalar(Scalar::Int(_)) => "an integer",
            Attr::Scalar(Scalar::Float(_)) => "a float",
            Attr::DType(_) => "a dtype",
            Attr::Str(_) => "a string",
            Attr::List(_) => "a list",
            Attr::Array(_) => "an array",
            Attr::Graph(_) => "a graph",
        }
    }
}

/// What is wrong with the attributes of a node that comes from text or JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AttrError {
    /// An attribute that the op needs is not there.
    #[error("attribute `{name}` is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// An attribute has another kind of value.
    #[error("attribute `{name}` should be {expected}, found {found}")]
    Kind {
        /// Its name.
        name: &'static str,
        /// The kind that the op takes.
        expected: &'static str,
        /// The kind that stands there.
        found: &'static str,
    },
    /// An attribute that the op does not have.
    #[error("`{op}` has no attribute `{name}`")]
    Unknown {
        /// The op.
        op: String,
        /// The attribute.
        name: String,
    },
    /// An op that does not exist.
    #[error("there is no operation `{op}`")]
    UnknownOp {
        /// The name that stands there.
        op: String,
    },
}

/// A typed attribute field.
pub trait AttrField: Sized {
    /// The kind of value, for messages.
    const KIND: &'static str;
    /// The kind of a list of such values, for messages.
    const LIST: &'static str = "a list";
    /// The generic form.
    fn to_attr(&self) -> Attr;
    /// From the generic form; `None` if it is of another kind.
    fn from_attr(attr: &Attr) -> Option<Self>;
}

macro_rules! attr_field {
    ($t:ty, $kind:literal, $list:literal, |$x:ident| $to:expr, $pat:pat => $from:expr) => {
        impl AttrField for $t {
            const KIND: &'static str = $kind;
            const LIST: &'static str = $list;
            fn to_attr(&self) -> Attr {
                let $x = self;
                $to
            }
            fn from_attr(attr: &Attr) -> Option<Self> {
                match attr {
                    $pat => $from,
                    _ => None,
                }
            }
        }
    };
}

attr_field!(bool, "a truth value", "a list of truth values", |x| Attr::Scalar(Scalar::Bool(*x)), Attr::Scalar(Scalar::Bool(b)) => Some(*b));
attr_field!(i64, "an integer", "a list of integers", |x| Attr::Scalar(Scalar::Int(*x)), Attr::Scalar(Scalar::Int(i)) => Some(*i));
attr_field!(usize, "a size", "a list of sizes", |x| Attr::Scalar(Scalar::Int(*x as i64)), Attr::Scalar(Scalar::Int(i)) => usize::try_from(*i).ok());
attr_field!(Dim, "a size", "a list of sizes", |x| Attr::Scalar(Scalar::Int(x.get() as i64)), Attr::Scalar(Scalar::Int(i)) => usize::try_from(*i).ok().map(Dim::new));
attr_field!(Scalar, "a number", "a list of numbers", |x| Attr::Scalar(*x), Attr::Scalar(s) => Some(*s));
attr_field!(DType, "a dtype", "a list of dtypes", |x| Attr::DType(*x), Attr::DType(d) => Some(*d));
attr_field!(String, "a string", "a list of strings", |x| Attr::Str(x.clone()), Attr::Str(s) => Some(s.clone()));
attr_field!(Arc<Array>, "an array", "a list of arrays", |x| Attr::Array(x.clone()), Attr::Array(a) => Some(a.clone()));
attr_field!(Arc<Graph>, "a graph", "a list of graphs", |x| Attr::Graph(x.clone()), Attr::Graph(g) => Some(g.clone()));

impl AttrField for Attr {
    const KIND: &'static str = "a value";
    fn to_attr(&self) -> Attr {
        self.clone()
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        Some(attr.clone())
    }
}

impl AttrField for Shape {
    const KIND: &'static str = "a list of sizes";
    fn to_attr(&self) -> Attr {
        Attr::List(self.dims().iter().map(AttrField::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        Vec::<usize>::from_attr(attr).map(Shape::from)
    }
}

impl<T: AttrField> AttrField for Vec<T> {
    const KIND: &'static str = T::LIST;
    fn to_attr(&self) -> Attr {
        Attr::List(self.iter().map(AttrField::to_attr).collect())
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::List(v) => v.iter().map(T::from_attr).collect(),
            Attr::None | Attr::Scalar(_) | Attr::DType(_) | Attr::Str(_) | Attr::Array(_) | Attr::Graph(_) => None,
        }
    }
}

impl<T: AttrField> AttrField for Option<T> {
    const KIND: &'static str = T::KIND;
    const LIST: &'static str = T::LIST;
    fn to_attr(&self) -> Attr {
        self.as_ref().map_or(Attr::None, AttrField::to_attr)
    }
    fn from_attr(attr: &Attr) -> Option<Self> {
        match attr {
            Attr::None => Some(None),
            a => T::from_attr(a).map(Some),
        }
    }
}

/// Named attributes in schema order.
pub type Attrs = Vec<(&'static str, Attr)>;

/// Reads an op's attributes by name and reports what is missing or left over.
#[derive(Debug)]
pub struct AttrReader {
    attrs: Vec<(String, Attr)>,
}

impl AttrReader {
    /// A reader of `attrs`.
    pub fn new(attrs: Vec<(String, Attr)>) -> Self {
        AttrReader { attrs }
    }

    /// Whether the attribute `name` is there and not taken.
    pub fn has(&self, name: &str) -> bool {
        self.attrs.iter().any(|(n, _)| n == name)
    }

    /// Takes the attribute `name`.
    pub fn take<T: AttrField>(&mut self, name: &'static str) -> Result<T, AttrError> {
        let at = self.attrs.iter().position(|(n, _)| n == name).ok_or(AttrError::Missing { name })?;
        let (_, attr) = self.attrs.remove(at);
        T::from_attr(&attr).ok_or(AttrError::Kind { name, expected: T::KIND, found: attr.kind() })
    }

    /// An error if an attribute was not taken.
    pub fn finish(self, op: &str) -> Result<(), AttrError> {
        match self.attrs.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(AttrError::Unknown { op: op.to_owned(), name }),
        }
    }
}

/// Declares an op's struct of typed attributes with its generic form; the field names are those of the ATen schema.
#[macro_export]
#[doc(hidden)]
macro_rules! __attr_struct {
    ($(#[$m:meta])* pub struct $Name:ident { $($(#[$fm:meta])* pub $f:ident: $t:ty),* $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $Name { $($(#[$fm])* pub $f: $t),* }

        impl $Name {
            /// The attributes in generic form.
            #[allow(clippy::vec_init_then_push, unused_mut)]
            pub(crate) fn generic_attrs(&self) -> $crate::ir::Attrs {
                let Self { $($f),* } = self;
                vec![$((stringify!($f), $crate::ir::AttrField::to_attr($f))),*]
            }
            /// From the generic form.
            pub(crate) fn from_generic(_reader: &mut $crate::ir::AttrReader) -> Result<Self, $crate::ir::AttrError> {
                Ok(Self { $($f: _reader.take(stringify!($f))?),* })
            }
        }
    };
}
pub use crate::__attr_struct as attr_struct;

impl fmt::Display for Attr {
    /// A short form for messages; [`crate::text::ir`] writes the exact one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::None => f.write_str("none"),
            Attr::Scalar(s) => s.fmt(f),
            Attr::DType(d) => d.fmt(f),
            Attr::Str(s) => write!(f, "{s:?}"),
            Attr::List(v) => {
                f.write_str("[")?;
                for (i, a) in v.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    a.fmt(f)?;
                }
                f.write_str("]")
            }
            Attr::Array(a) => a.fmt(f),
            Attr::Graph(g) => write!(f, "@{}", g.name()),
        }
    }
}
