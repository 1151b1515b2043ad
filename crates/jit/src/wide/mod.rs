//! placeholder
use crate::frame::Frame;
use crate::kernel::StageKernel;
/// Makes machine code.
#[derive(Debug, Default)]
pub struct Assembler {}
/// Machine code of a stage.
#[derive(Debug)]
pub struct WideStage {}
impl Assembler {
    /// Code for a stage.
    pub fn stage(&mut self, _: &StageKernel) -> Option<WideStage> {
        None
    }
}
impl WideStage {
    /// Runs it.
    ///
    /// # Safety
    /// The frame is complete.
    pub unsafe fn run(&self, _: Frame) {}
}
/// Whether the CPU has what the code needs.
pub fn available() -> bool {
    false
}
impl Assembler {
    /// Makes the code executable.
    pub fn finish(&mut self) -> Result<(), crate::error::JitError> {
        Ok(())
    }
    /// Bytes.
    pub fn code_bytes(&self) -> usize {
        0
    }
}
