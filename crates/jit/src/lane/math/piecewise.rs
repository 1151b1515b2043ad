//! Polynomials whose coefficients are looked up: one for each of sixteen intervals.

use super::super::{Bin, Builder, Op, OpSet, Shift, Table, Ty, V};

impl Builder {
    /// The low four bits of an `I32` as the index of tables.
    pub(super) fn table_index(&mut self, low: V) -> V {
        if self.ops == OpSet::Extended {
            return low;
        }
        let high = self.shift(Shift::Left, low, 28);
        self.or(low, high)
    }

    /// In which quarter of a binade a positive `z` is: the index has two bits of the mantissa and the two lowest of the exponent.
    pub(super) fn quarter_of_binade(&mut self, z: V) -> V {
        let low = self.shift(Shift::Logical, z.bits(Ty::I32), 21);
        self.table_index(low)
    }

    /// The distance of `a ≥ 0` from the centre of its interval, which is the quarter of a binade in which `a + 1` is, and the number of that.
    pub(super) fn off_centre(&mut self, a: V, centres: &'static Table) -> (V, V) {
        let one = self.f(1.0, a.ty);
        let z = self.add(a, one);
        let index = self.quarter_of_binade(z);
        let centre = self.entry(centres, index);
        (self.sub(a, centre), index)
    }

    /// The entries of a table.
    pub(super) fn entry(&mut self, table: &'static Table, index: V) -> V {
        self.push(Op::Table(table, index), Ty::F32)
    }

    /// The polynomial in `r` with these coefficients, highest power first.
    pub(super) fn poly_by_table(&mut self, r: V, index: V, coefficients: &'static [Table]) -> V {
        let mut p = self.entry(&coefficients[0], index);
        for c in &coefficients[1..] {
            let c = self.entry(c, index);
            p = self.fma(p, r, c);
        }
        p
    }

    /// The same for an odd function that begins as `r`: in the interval around 0, whose constant is 0, the polynomial is what is added to `r`; in the
    /// others `r` is below the constant.
    pub(super) fn poly_of_odd(&mut self, r: V, index: V, coefficients: &'static [Table]) -> V {
        let (q, c) = self.poly_and_constant(r, index, coefficients);
        let c = self.bin(Bin::Max, c, r);
        self.fma(q, r, c)
    }

    /// `q`, `c` with `q r + c` the polynomial in `r` with these coefficients.
    pub(super) fn poly_and_constant(&mut self, r: V, index: V, coefficients: &'static [Table]) -> (V, V) {
        let (constant, higher) = coefficients.split_last().expect("a polynomial has a constant");
        (self.poly_by_table(r, index, higher), self.entry(constant, index))
    }
}
