//! Chains: consecutive steps that a piece of the rows runs through before the next piece begins.
//!
//! Where each step of a chain touches, for a part of its rows, only the same part of what the other steps write, the parts are
//! independent: threads take one each and walk through all steps, so that what a step writes is read by the next from the second-level cache, there is
//! one meeting of threads instead of one for each step, and what nobody reads outside the chain needs memory for one part only. The
//! scores of an attention, say, never exist as a whole.
//!
//! A chain has `units`; unit `u` of a step with `p` rows are the rows `u·p/units..(u+1)·p/units`, and of a buffer the same fraction of its bytes.
//! Rows and buffers are divided evenly, so results do not depend on the size of pieces.

use std::ops::Range;
use std::sync::Mutex;

use cotangent_core::ir::DType;
use cotangent_loops::ir::{BodyOp, LoopProgram, Routine};

use crate::error::CallError;
use crate::frame::with_words;
use crate::kernel::NestKernel;
use crate::memory::Block;
use crate::pages::ALIGN;
use crate::program::Action;
use crate::routine::{Product, Vectors};
use crate::run::Buffers;
use crate::threads;

/// The fewest units of a chain.
pub const MIN_UNITS: usize = 8;
/// What the steps of a piece touch together, in bytes: most of a second-level cache.
const PIECE_BYTES: usize = 320 << 10;
/// Rows of a product that is divided within a matrix: fewer do not repay packing the right operand again.
pub const MIN_ROWS: usize = 96;
/// Elements that pieces would pack again, from which packing once repays a meeting of threads.
const MIN_PACKED: usize = 1 << 18;
/// Bytes of panels that pieces share.
const MAX_PANELS: usize = 4 << 20;

/// A step of a chain.
#[derive(Debug)]
pub enum Link {
    /// A nest of loops.
    Nest(Box<NestKernel>),
    /// A product of matrices of floats.
    Product(Box<ProductLink>),
}

/// A product of matrices of floats, the routine that it comes from, and its dtype.
#[derive(Debug)]
pub struct ProductLink {
    product: Product,
    routine: Routine,
    dtype: DType,
    /// Where the panels begin that all pieces share, if they do.
    panels: Option<usize>,
}

/// The panels of a right operand, which are packed before the pieces begin.
#[derive(Debug)]
struct Packing {
    product: Product,
    dtype: DType,
    /// The right operand's buffer.
    right: usize,
    /// Where the panels begin.
    at: usize,
    /// Into how many pieces packing is cut.
    pieces: usize,
}

/// Steps that run piece by piece.
#[derive(Debug)]
pub struct Chain {
    /// The steps in order.
    pub links: Vec<Link>,
    units: usize,
    /// The units of a piece.
    each: usize,
    /// Buffers that exist for one piece only, with the bytes of a unit and the offset in the memory of a piece.
    locals: Vec<(usize, usize, usize)>,
    /// The memory of a piece.
    pub local_bytes: usize,
    packings: Vec<Packing>,
    /// The memory of all panels.
    pub panel_bytes: usize,
    cost: u64,
    vectors: Vectors,
}

impl Chain {
    /// A chain of these actions; `written` says what it writes, and a unit touches so many bytes.
    pub fn new(
        actions: Vec<Action>,
        units: usize,
        unit_bytes: usize,
        program: &LoopProgram,
        vectors: Vectors,
        written: impl Fn(usize) -> bool,
    ) -> Self {
        let mut each = (PIECE_BYTES / unit_bytes.max(1)).clamp(1, units);
        let mut cost = 0;
        let mut links = Vec::with_capacity(actions.len());
        for action in actions {
            links.push(match action {
                Action::Nest(nest) => {
                    cost += nest.cost * nest.rows as u64;
                    Link::Nest(Box::new(nest))
                }
                Action::Routine(r) => {
                    let product = Product::of(&r.kind);
                    cost += product.cost();
                    let dtype = program.buffers[r.outputs[0].0 as usize].dtype;
                    let unit_rows = product.batch * product.m / units;
                    // A piece has whole matrices, or enough rows of one.
                    if unit_rows < product.m {
                        let whole = product.m / unit_rows.max(1);
                        let least = each.max(MIN_ROWS.div_ceil(unit_rows));
                        each = if each >= whole { each / whole * whole } else { divisor(whole, least) };
                    }
                    Link::Product(Box::new(ProductLink { product, routine: r, dtype, panels: None }))
                }
                Action::Chain(_) => unreachable!("chains are not joined again"),
            });
        }
        // Enough pieces for threads to share, where there is enough to do.
        if cost > threads::WORTH {
            each = each.min(units.div_ceil(MIN_UNITS)).max(1);
        }
        let (locals, packings) = (Vec::new(), Vec::new());
        let mut chain = Chain { links, units, each, locals, local_bytes: 0, packings, panel_bytes: 0, cost, vectors };
        chain.share_panels(written);
        chain
    }

    /// Gives each piece a buffer of its own, of which a unit has so many bytes.
    pub fn keep_inside(&mut self, buffer: usize, bytes: usize) {
        self.locals.push((buffer, bytes, self.local_bytes));
        self.local_bytes += (bytes * self.each).next_multiple_of(ALIGN);
    }

    /// Decides which right operands are packed once for all pieces: those that `written` is false of.
    fn share_panels(&mut self, written: impl Fn(usize) -> bool) {
        let pieces = self.units.div_ceil(self.each);
        for link in &mut self.links {
            let Link::Product(link) = link else { continue };
            let ProductLink { product, routine, dtype, panels } = &mut **link;
            let rows = self.each * (product.batch * product.m / self.units);
            let Some(sizes) = product.panels(self.vectors, *dtype, rows) else { continue };
            let again = (pieces - 1) * product.k * product.n;
            let right = routine.inputs[1].0 as usize;
            if again < MIN_PACKED || sizes.bytes > MAX_PANELS || written(right) {
                continue;
            }
            let (at, product) = (self.panel_bytes, product.clone());
            *panels = Some(at);
            self.panel_bytes += sizes.bytes.next_multiple_of(ALIGN);
            self.packings.push(Packing { product, dtype: *dtype, right, at, pieces: sizes.pieces });
        }
    }

    /// Packs the panels that all pieces share into `memory`.
    ///
    /// # Safety
    /// As [`Chain::run`]; `memory` has room for them.
    unsafe fn pack(&self, buffers: Buffers, memory: &Block) {
        let all = self.packings.iter().map(|p| p.pieces).sum();
        // About 8 elements in a ns.
        threads::for_each(all, (self.panel_bytes / 32) as u64, &|mut piece| {
            for Packing { product, dtype, right, at, pieces } in &self.packings {
                if piece < *pieces {
                    let from = buffers.addresses()[*right].cast_const();
                    // SAFETY: the caller's; each piece writes panels of its own.
                    return unsafe {
                        product.pack(self.vectors, *dtype, from, memory.as_ptr().wrapping_add(*at), piece)
                    };
                }
                piece -= pieces;
            }
        });
    }

    /// Runs all steps.
    ///
    /// # Safety
    /// The buffers have the lengths of the program's, except those that exist for one piece only, and nobody else writes them
    /// during the call.
    pub unsafe fn run(&self, buffers: Buffers) -> Result<(), CallError> {
        let failure: Mutex<Option<(usize, CallError)>> = Mutex::new(None);
        let pieces = self.units.div_ceil(self.each);
        let panels = (self.panel_bytes > 0).then(|| Block::new(self.panel_bytes));
        if let Some(panels) = &panels {
            // SAFETY: the caller's.
            unsafe { self.pack(buffers, panels) };
        }
        threads::for_each(pieces, self.cost, &|piece| {
            let (from, to) = (piece * self.each, self.units.min((piece + 1) * self.each));
            let memory = (self.local_bytes > 0).then(|| Block::new(self.local_bytes));
            with_words(buffers.addresses().len(), |words| {
                for (word, b) in words.iter_mut().zip(buffers.addresses()) {
                    *word = *b as u64;
                }
                for (b, bytes, at) in &self.locals {
                    // As if the whole buffer were there: only the fraction of this piece is touched.
                    let base = memory.as_ref().map_or(std::ptr::null_mut(), |m| m.as_ptr().wrapping_add(*at));
                    words[*b] = base.wrapping_sub(bytes * from) as u64;
                }
                // SAFETY: pointers and words have the same size and all bit patterns are valid for both.
                let pointers = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<*mut u8>(), words.len()) };
                for (i, link) in self.links.iter().enumerate() {
                    // SAFETY: the caller's; units touch their own fractions of what the chain writes (`stays`).
                    let result = unsafe { self.link(link, Buffers(pointers), panels.as_ref(), from..to) };
                    if let Err(e) = result {
                        let mut first = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        if first.as_ref().is_none_or(|(j, _)| i < *j) {
                            *first = Some((i, e));
                        }
                        return;
                    }
                }
            });
        });
        match failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some((_, e)) => Err(e),
            None => Ok(()),
        }
    }

    /// Some units of a step, with the panels that all pieces share.
    ///
    /// # Safety
    /// As [`Chain::run`].
    unsafe fn link(
        &self,
        link: &Link,
        buffers: Buffers,
        panels: Option<&Block>,
        units: Range<usize>,
    ) -> Result<(), CallError> {
        // SAFETY: the caller's.
        unsafe {
            match link {
                Link::Nest(nest) => {
                    let each = nest.rows / self.units;
                    crate::run::part(nest, buffers, units.start * each..units.end * each)
                }
                Link::Product(link) => {
                    let ProductLink { product, routine: r, dtype, panels: at_panels } = &**link;
                    let each = product.batch * product.m / self.units;
                    let at = |b: cotangent_loops::ir::BufferId| buffers.0[b.0 as usize];
                    product.rows(
                        self.vectors,
                        *dtype,
                        [at(r.inputs[0]), at(r.inputs[1]), at(r.outputs[0])],
                        panels.zip(*at_panels).map(|(all, at)| all.as_ptr().wrapping_add(at).cast_const()),
                        units.start * each..units.end * each,
                    );
                    Ok(())
                }
            }
        }
    }
}

/// The least divisor of `n` that is at least `least`.
fn divisor(n: usize, least: usize) -> usize {
    (least.min(n)..=n).find(|d| n.is_multiple_of(*d)).unwrap_or(n)
}

/// The accesses that a stage writes.
pub fn stores(stage: &cotangent_loops::ir::Stage) -> Vec<usize> {
    let store = |(op, _): &(BodyOp, DType)| if let BodyOp::Store(i, _) = op { Some(*i as usize) } else { None };
    stage.body.ops.iter().chain(&stage.after.ops).filter_map(store).collect()
}
