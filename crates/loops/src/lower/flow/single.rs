//! Scatters of one element into each line, such as encodings of labels and derivatives of their losses: choices, which fuse.

use cotangent_core::ir::{Aval, DType, Scalar, Shape};
use cotangent_core::ops::{Binary, Gather, Monoid, Op, ViewForm};
use smallvec::SmallVec;

use super::{Flow, Id, Kind, Point};

impl Flow {
    /// `where(position == index, source, x)`, or with `x + source`, for an index of size 1 along `dim` and of the operand's sizes on other
    /// dims; `None` for others, and for one line, which a routine writes without looking at each place.
    ///
    /// The index is checked as that of a scatter is, before or after: a gather of nothing that is needed has the same errors.
    pub(super) fn single(
        &mut self,
        dim: usize,
        combine: Option<Monoid>,
        args: &[Id],
        y: &Aval,
        i: usize,
    ) -> Option<Id> {
        let [x, index, source] = args.try_into().expect("operands of a scatter");
        let (sizes, own) = (self.values[x].sizes.clone(), self.values[index].sizes.clone());
        let lines: usize = own.iter().product();
        let is_single = own.iter().zip(&sizes).enumerate().all(|(d, (k, n))| *k == if d == dim { 1 } else { *n });
        // Positions are compared as `i32`: as many lanes as elements of `f32` have.
        let n = i32::try_from(sizes[dim]).ok()?;
        if !is_single || lines < 2 {
            return None;
        }
        let both = match combine {
            None => None,
            Some(Monoid::Sum) => Some(Binary::Add),
            Some(Monoid::Prod | Monoid::Max | Monoid::Min | Monoid::LogAddExp) => return None,
        };
        let along = |k: usize| {
            let mut line: SmallVec<[usize; 4]> = SmallVec::from_elem(1, sizes.len());
            line[dim] = k;
            line
        };
        let (table, column) = (along(n as usize), along(lines));
        let nothing = self.make(Kind::Fill(Scalar::Bool(false)), &[], DType::Bool, &table, i);
        let places = self.make(Kind::View(ViewForm::Reshape), &[index], DType::I64, &column, i);
        let aval = |dtype, sizes: &[usize]| Aval::new(dtype, sizes.iter().copied().collect::<Shape>());
        let avals = vec![aval(DType::Bool, &table), aval(DType::I64, &column)];
        let check = Op::Gather(Gather { dim });
        self.call(&check, &[nothing, places], avals, vec![aval(DType::Bool, &column)], i);

        let positions = self.make(Kind::Iota, &[], DType::I32, &[n as usize], i);
        let positions = self.make(Kind::View(ViewForm::Reshape), &[positions], DType::I32, &table, i);
        let index = self.converted(index, DType::I32, i);
        let mut everywhere = |v: Id, dtype: DType| self.make(Kind::View(ViewForm::Broadcast), &[v], dtype, &sizes, i);
        let (here, index) = (everywhere(positions, DType::I32), everywhere(index, DType::I32));
        let source = everywhere(source, y.dtype);
        let is_here = self.make(Kind::Point(Point::Binary(Binary::Eq)), &[here, index], DType::Bool, &sizes, i);
        let new = match both {
            None => source,
            Some(f) => self.push(Kind::Point(Point::Binary(f)), &[x, source], y, Some(i)),
        };
        Some(self.push(Kind::Point(Point::Select), &[is_here, new, x], y, Some(i)))
    }
}
