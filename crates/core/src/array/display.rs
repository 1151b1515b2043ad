//! Arrays as people read them: the shortest digits that tell an element from its neighbours, and rows below each other.

use std::fmt::{self, Write};

use super::{Array, dispatch};

/// Dims of more entries are shortened …
const LONG: usize = 10;

/// … to so many at both ends.
const ENDS: usize = 3;

/// `f32[2,2] [[1.0, 2.0], [3.0, 4.0]]`, on one line; long dims are shortened to their ends.
impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.aval())?;
        Shown::new(self, false).write(f, 0, 0)
    }
}

/// As [`Debug`](fmt::Debug), with each row of a matrix on a line of its own, and elements below each other.
impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.aval(), if self.shape.rank() > 1 { "\n" } else { " " })?;
        Shown::new(self, true).write(f, 0, 0)
    }
}

/// How an array is written.
struct Shown<'a> {
    array: &'a Array,
    strides: Vec<usize>,
    /// Whether each row has a line of its own.
    in_lines: bool,
    /// The width of every element.
    width: usize,
}

impl<'a> Shown<'a> {
    fn new(array: &'a Array, in_lines: bool) -> Self {
        let strides = array.shape.strides().to_vec();
        let mut shown = Shown { array, strides, in_lines, width: 0 };
        if in_lines && array.shape.rank() > 1 {
            shown.width = shown.widest(0, 0);
        }
        shown
    }

    /// The entries of a dim that are written; a gap is `None`.
    fn entries(&self, dim: usize) -> impl Iterator<Item = Option<usize>> {
        let n = self.array.shape[dim].get();
        let (first, gap, last) = if n > LONG { (0..ENDS, Some(None), n - ENDS..n) } else { (0..n, None, n..n) };
        first.map(Some).chain(gap).chain(last.map(Some))
    }

    fn widest(&self, dim: usize, at: usize) -> usize {
        if dim == self.array.shape.rank() {
            return text(self.array, at).chars().count();
        }
        self.entries(dim).flatten().map(|i| self.widest(dim + 1, at + i * self.strides[dim])).max().unwrap_or(0)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, dim: usize, at: usize) -> fmt::Result {
        let (rank, width) = (self.array.shape.rank(), self.width);
        if dim == rank {
            return write!(f, "{:>width$}", text(self.array, at));
        }
        f.write_char('[')?;
        for (k, entry) in self.entries(dim).enumerate() {
            if k > 0 {
                self.separate(f, dim)?;
            }
            match entry {
                Some(i) => self.write(f, dim + 1, at + i * self.strides[dim])?,
                None => f.write_char('…')?,
            }
        }
        f.write_char(']')
    }

    /// What stands between entries of a dim; between matrices is an empty line.
    fn separate(&self, f: &mut fmt::Formatter<'_>, dim: usize) -> fmt::Result {
        let inner = self.array.shape.rank() - dim - 1;
        if !self.in_lines || inner == 0 {
            return f.write_str(", ");
        }
        write!(f, ",{}{}", "\n".repeat(inner.min(2)), " ".repeat(dim + 1))
    }
}

/// The element at a flat place.
fn text(array: &Array, at: usize) -> String {
    let text = dispatch!(array.dtype(), T => format!("{:?}", array.elems::<T>()[at]));
    if text == "NaN" { "nan".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use crate::array::Array;

    #[test]
    fn rows_stand_below_each_other() {
        let x = Array::new([2, 2], vec![1.0f32, -0.1, f32::NAN, 1e-7]);
        assert_eq!(format!("{x:?}"), "f32[2,2] [[1.0, -0.1], [nan, 1e-7]]");
        assert_eq!(x.to_string(), "f32[2,2]\n[[ 1.0, -0.1],\n [ nan, 1e-7]]");
    }

    #[test]
    fn matrices_stand_apart_and_long_dims_are_shortened() {
        let x = Array::new([2, 1, 2], vec![true, false, false, true]);
        assert_eq!(x.to_string(), "bool[2,1,2]\n[[[ true, false]],\n\n [[false,  true]]]");
        let x = Array::new([12], (0..12i64).collect::<Vec<_>>());
        assert_eq!(x.to_string(), "i64[12] [0, 1, 2, …, 9, 10, 11]");
        let x = Array::new([11, 1], (0..11i64).collect::<Vec<_>>());
        assert_eq!(x.to_string(), "i64[11,1]\n[[ 0],\n [ 1],\n [ 2],\n …,\n [ 8],\n [ 9],\n [10]]");
        assert_eq!(Array::new([0, 2], Vec::<f64>::new()).to_string(), "f64[0,2]\n[]");
        assert_eq!(Array::new((), vec![0.5f64]).to_string(), "f64[] 0.5");
    }
}
