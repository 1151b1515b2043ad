//! Tables of sixteen numbers, from which lanes pick.
//!
//! A function that is a polynomial on each of sixteen intervals looks its coefficients up: with AVX-512 a table is one register, so that a lookup is one
//! instruction, and a polynomial of a short interval has a few terms only.

/// Sixteen numbers of `F32`, as bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Table([u32; 16]);

impl Table {
    /// A table of these numbers.
    pub const fn new(entries: [f32; 16]) -> Table {
        let mut bits = [0; 16];
        let mut i = 0;
        while i < 16 {
            bits[i] = entries[i].to_bits();
            i += 1;
        }
        Table(bits)
    }

    /// The bits of the entry that the low four bits of `index` name.
    pub fn entry(&self, index: u32) -> u32 {
        self.0[index as usize % 16]
    }

    /// The entries as they stand in memory.
    pub fn bytes(&self) -> [u8; 64] {
        std::array::from_fn(|i| self.0[i / 4].to_le_bytes()[i % 4])
    }
}
