//! The operands of matrix products.

/// A matrix that is read: element `(i, j)` at `at + i · row + j · col`.
#[derive(Clone, Copy)]
pub struct Operand<T> {
    pub(super) at: *const T,
    pub(super) row: isize,
    pub(super) col: isize,
}

impl<T> Operand<T> {
    /// The matrix from row `i` and column `j` on.
    #[inline(always)]
    pub(super) fn from(self, i: usize, j: usize) -> Self {
        Operand { at: self.at.wrapping_offset(i as isize * self.row + j as isize * self.col), ..self }
    }
}

/// A row-major matrix that is written, with rows `row` elements apart.
#[derive(Clone, Copy)]
pub struct Target<T> {
    pub(super) at: *mut T,
    pub(super) row: usize,
}

impl<T> Target<T> {
    /// The matrix from row `i` and column `j` on.
    #[inline(always)]
    pub(super) fn from(self, i: usize, j: usize) -> Self {
        Target { at: self.at.wrapping_add(i * self.row + j), ..self }
    }
}

/// A left matrix in panels, as [`super::Real::pack`] makes them.
#[derive(Clone, Copy)]
pub struct Left<T>(pub(super) *const T);

/// What a product is written onto.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Onto {
    /// It stands alone.
    Nothing,
    /// It is added to what is there.
    Sum,
    /// It is subtracted from what is there.
    Difference,
}

impl Onto {
    /// What a part of the product is written onto whose inner elements begin with number `first`.
    #[inline(always)]
    pub(super) fn after(self, first: usize) -> Self {
        match self {
            Onto::Nothing if first > 0 => Onto::Sum,
            Onto::Nothing | Onto::Sum | Onto::Difference => self,
        }
    }
}

/// Products of matrices of `[m, k]` and `[k, n]`.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "portable code leaves them to the library"))]
pub struct Products<T> {
    /// The sizes.
    pub mkn: [usize; 3],
    /// How many.
    pub count: usize,
    /// The first left and right operands.
    pub operands: [Operand<T>; 2],
    /// How far the next ones are.
    pub steps: [isize; 2],
    /// The results, one behind the other.
    pub to: *mut T,
}

/// Panels of a right operand that blocks of rows share.
#[derive(Clone, Copy, Debug)]
pub struct PanelSizes {
    /// Their bytes.
    pub bytes: usize,
    /// Into how many pieces packing them is cut.
    pub pieces: usize,
}
