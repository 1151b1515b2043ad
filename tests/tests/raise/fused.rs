//! Sums with their last product, and what is almost so.

use crate::neighbours;

#[test]
fn fused_sums_and_their_neighbours() {
    neighbours(&[
        ("pow", |x, _| x * x * x, |x, y| x * x * y),
        ("lerp", |x, y| x + (y - x) * 0.3, |x, y| y + (y - x) * 0.3),
        ("addcmul", |x, y| x + x * y * 0.5, |x, y| x + x / y),
    ]);
}
