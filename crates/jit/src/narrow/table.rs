//! Lookups in tables of sixteen numbers, four vectors long.

use cranelift_codegen::ir::{InstBuilder, Value, types};

use super::BYTES;
use super::stage::Emit;
use crate::lane::{Table, Ty};

impl Emit<'_> {
    /// The entries that the low four bits of lanes name.
    ///
    /// Bytes are picked from each quarter of the table: those of the other quarters are outside of it, for which machines give zeros.
    pub(super) fn table(&mut self, table: &Table, index: Value) -> Value {
        let (low, bytes, within) =
            (self.constant(15, Ty::I32), self.constant(0x0404_0404, Ty::I32), self.constant(0x0302_0100, Ty::I32));
        let entry = self.b.ins().band(index, low);
        let first = self.b.ins().imul(entry, bytes);
        let first = self.b.ins().iadd(first, within);
        let first = self.cast(first, types::I8X16);
        let mut found = None;
        for (i, quarter) in table.bytes().chunks_exact(BYTES).enumerate() {
            let begin = self.bytes(&[(i * BYTES) as u8; BYTES], types::I8X16);
            let at = self.b.ins().isub(first, begin);
            let quarter = self.bytes(quarter, types::I8X16);
            let picked = self.b.ins().swizzle(quarter, at);
            found = Some(found.map_or(picked, |f| self.b.ins().bor(f, picked)));
        }
        let found = found.expect("a table is not empty");
        self.cast(found, types::F32X4)
    }
}
