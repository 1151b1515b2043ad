//! Which of equal elements PyTorch's order statistics give, on the CPU, of one line of elements.

use super::introselect::{Less, nth_element, partial_sort, sort};
use crate::array::Element;
use crate::ops::indexing::is_nan;

/// An element beside its place: the steps read them in any order.
type Placed<T> = (T, usize);

fn placed<T: Element>(line: &[T]) -> impl Iterator<Item = Placed<T>> {
    line.iter().copied().zip(0..)
}

/// So many times fewer places than elements are sorted by a heap.
pub(super) const FEW: usize = 64;

/// The places of the `k` largest elements of a line in descending order, NaN first, or of the smallest in ascending order,
/// NaN last; in the order in which they are found unless `sorted`.
///
/// *Source*: `topk_impl_loop` of ATen.
pub fn top<T: Element>(line: &[T], k: usize, largest: bool, sorted: bool) -> Vec<usize> {
    if largest {
        top_by(line, k, sorted, &|a: Placed<T>, b: Placed<T>| below(b.0, a.0))
    } else {
        top_by(line, k, sorted, &|a: Placed<T>, b: Placed<T>| below(a.0, b.0))
    }
}

/// The first `k` places in this order.
fn top_by<T: Element>(line: &[T], k: usize, sorted: bool, less: &impl Less<Placed<T>>) -> Vec<usize> {
    if k == 0 {
        return Vec::new();
    }
    let mut elements = placed(line);
    let found: Vec<Placed<T>> = if k.saturating_mul(FEW) <= line.len() {
        let mut first: Vec<Placed<T>> = elements.by_ref().take(k).collect();
        partial_sort(&mut first, elements, less);
        first
    } else {
        let mut all: Vec<Placed<T>> = elements.collect();
        nth_element(&mut all, k - 1, less);
        if sorted {
            sort(&mut all[..k - 1], less);
        }
        all.truncate(k);
        all
    };
    found.into_iter().map(|(_, place)| place).collect()
}

/// The place of the element of rank `k` (from 0), NaN last.
///
/// *Source*: `quick_select_template` of ATen, Hoare's algorithm with the median of three.
pub fn kth<T: Element>(line: &[T], k: usize) -> usize {
    let mut v: Vec<Placed<T>> = placed(line).collect();
    let above = |a: Placed<T>, b: Placed<T>| below(b.0, a.0);
    let (mut left, mut right) = (0, line.len() - 1);
    while left + 1 < right {
        v.swap(usize::midpoint(left, right), left + 1);
        for (low, high) in [(left + 1, right), (left, right), (left + 1, left)] {
            if above(v[low], v[high]) {
                v.swap(low, high);
            }
        }
        let (mut i, mut j, pivot) = (left + 1, right, v[left]);
        loop {
            i += 1;
            while above(pivot, v[i]) {
                i += 1;
            }
            j -= 1;
            while above(v[j], pivot) {
                j -= 1;
            }
            if j < i {
                break;
            }
            v.swap(i, j);
        }
        v.swap(left, j);
        if j <= k {
            left = i;
        }
        if j >= k {
            right = j.saturating_sub(1);
        }
    }
    if left + 1 == right && above(v[left], v[right]) {
        v.swap(left, right);
    }
    v[k].1
}

/// The place of the most frequent element, of the smallest of several.
///
/// *Source*: `mode_kernel_impl` of ATen; NaN, which equals nothing there, is last here.
pub fn mode<T: Element>(line: &[T]) -> usize {
    let mut all: Vec<Placed<T>> = placed(line).collect();
    sort(&mut all, &|a: Placed<T>, b: Placed<T>| below(a.0, b.0));
    let (mut best, mut most, mut count) = (0, 0, 0);
    for (i, (x, at)) in all.iter().enumerate() {
        count += 1;
        if all.get(i + 1).is_some_and(|(next, _)| next == x) {
            continue;
        }
        if count > most {
            (best, most) = (*at, count);
        }
        count = 0;
    }
    best
}

/// The order in which NaN is larger than any number.
fn below<T: Element>(a: T, b: T) -> bool {
    a < b || (!is_nan(a) && is_nan(b))
}
