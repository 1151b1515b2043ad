//! Which of equal elements PyTorch's order statistics give, on the CPU, of one line of elements.

use super::introselect::{nth_element, partial_sort, sort};
use crate::array::Element;
use crate::ops::indexing::is_nan;

/// So many times fewer places than elements are sorted by a heap.
const FEW: usize = 64;

/// The places of the `k` largest elements of a line in descending order, NaN first, or of the smallest in ascending order,
/// NaN last; in the order in which they are found unless `sorted`.
///
/// *Source*: `topk_impl_loop` of ATen.
pub fn top<T: Element>(line: &[T], k: usize, largest: bool, sorted: bool) -> Vec<usize> {
    let order = |a: usize, b: usize| {
        let (a, b) = if largest { (b, a) } else { (a, b) };
        below(line[a], line[b])
    };
    let mut places: Vec<usize> = (0..line.len()).collect();
    if k == 0 {
        return Vec::new();
    }
    if k.saturating_mul(FEW) <= line.len() {
        partial_sort(&mut places, k, &order);
    } else {
        nth_element(&mut places, k - 1, &order);
        if sorted {
            sort(&mut places[..k - 1], &order);
        }
    }
    places.truncate(k);
    places
}

/// The place of the element of rank `k` (from 0), NaN last.
///
/// *Source*: `quick_select_template` of ATen, Hoare's algorithm with the median of three.
pub fn kth<T: Element>(line: &[T], k: usize) -> usize {
    let mut v: Vec<usize> = (0..line.len()).collect();
    let above = |a: usize, b: usize| below(line[b], line[a]);
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
    v[k]
}

/// The place of the most frequent element, of the smallest of several.
///
/// *Source*: `mode_kernel_impl` of ATen; NaN, which equals nothing there, is last here.
pub fn mode<T: Element>(line: &[T]) -> usize {
    let mut places: Vec<usize> = (0..line.len()).collect();
    sort(&mut places, &|a, b| below(line[a], line[b]));
    let (mut best, mut most, mut count) = (0, 0, 0);
    for (i, at) in places.iter().enumerate() {
        count += 1;
        if places.get(i + 1).is_some_and(|next| line[*next] == line[*at]) {
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
