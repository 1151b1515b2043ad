//! Small results of earlier calls, whose tensors are used again.
//!
//! A scalar function computes for a few nanoseconds; to allocate the tensor of its result and to free that of the last one takes longer. Each
//! thread therefore keeps the last small results of its calls: one that everybody else has dropped is the next call's. Meanwhile nobody can
//! tell but by [`Tensor::bytes_mut`], which finds a small result shared.

use std::cell::RefCell;
use std::sync::Arc;

use cotangent_core::array::Array;
use cotangent_core::ir::{Aval, DType};

/// The size of a small result in bytes: a cache line.
const SMALL: usize = 64;
/// Results that a thread keeps.
const KEPT: usize = 8;

/// The latest small results of one thread.
struct Spares {
    kept: [Option<Arc<Array>>; KEPT],
    /// Which of them goes when there is no room.
    oldest: usize,
}

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares { kept: [const { None }; KEPT], oldest: 0 }) };
}

/// Whether results of `aval` are kept: small ones that can be overwritten.
pub(super) fn is_small(aval: &Aval) -> bool {
    aval.dtype != DType::Bool && aval.shape.numel() * aval.dtype.size_bytes() <= SMALL
}

/// An array of the small `aval` that nobody else has, with any elements.
pub(super) fn take(aval: &Aval) -> Option<Arc<Array>> {
    let fits = |x: &mut Arc<Array>| Arc::strong_count(x) == 1 && x.dtype() == aval.dtype && *x.shape() == aval.shape;
    // A thread that is ending has none any more.
    let taken = SPARES.try_with(|s| s.borrow_mut().kept.iter_mut().find_map(|x| x.take_if(fits)));
    taken.ok().flatten()
}

/// Keeps `x`, a small result of a call, for later ones.
pub(super) fn keep(x: &Arc<Array>) {
    let forgotten = SPARES.try_with(|s| {
        let Spares { kept, oldest } = &mut *s.borrow_mut();
        let place = kept.iter().position(Option::is_none).unwrap_or_else(|| {
            *oldest = (*oldest + 1) % KEPT;
            *oldest
        });
        kept[place].replace(x.clone())
    });
    drop(forgotten);
}
