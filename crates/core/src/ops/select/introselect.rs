//! Selection and sorting in the steps of the C++ library that PyTorch is built with.
//!
//! None of them is stable: among equal elements, which one comes to a place depends on each exchange. PyTorch hands these
//! places on, so that they are part of what `topk`, `median` and `mode` compute.
//!
//! *Source*: Musser, "Introspective sorting and selection algorithms" (1997), with the median of three, the thresholds and
//! the heap of libstdc++.

/// A strict weak order of what is sorted.
pub(super) trait Less<E>: Fn(E, E) -> bool {}
impl<E, F: Fn(E, E) -> bool> Less<E> for F {}

/// Ranges up to this length are left to one insertion sort at the end of a sort.
const SORTED_BY_INSERTION: usize = 16;
/// Ranges up to this length are sorted by insertion at the end of a selection.
const SELECTED_BY_INSERTION: usize = 3;

/// Brings the element of rank `nth` to its place, smaller ones before it.
pub(super) fn nth_element<E: Copy>(v: &mut [E], nth: usize, less: &impl Less<E>) {
    if nth >= v.len() {
        return;
    }
    let (mut first, mut last, mut depth) = (0, v.len(), depth_limit(v.len()));
    while last - first > SELECTED_BY_INSERTION {
        if depth == 0 {
            heap_select(&mut v[first..last], nth + 1 - first, less);
            v.swap(first, nth);
            return;
        }
        depth -= 1;
        let cut = first + partition_around_pivot(&mut v[first..last], less);
        if cut <= nth {
            first = cut;
        } else {
            last = cut;
        }
    }
    insertion_sort(&mut v[first..last], less);
}

/// Sorts.
pub(super) fn sort<E: Copy>(v: &mut [E], less: &impl Less<E>) {
    introsort(v, depth_limit(v.len()), less);
    let head = v.len().min(SORTED_BY_INSERTION);
    insertion_sort(&mut v[..head], less);
    for i in head..v.len() {
        insert(v, i, less);
    }
}

/// Sorts all elements by a heap.
fn heap_sort<E: Copy>(v: &mut [E], less: &impl Less<E>) {
    make_heap(v, less);
    sort_heap(v, less);
}

/// The smallest of `first` and `rest`, sorted: as many as `first` has, in its place. `rest` is gone through once.
pub(super) fn partial_sort<E: Copy>(first: &mut [E], rest: impl Iterator<Item = E>, less: &impl Less<E>) {
    make_heap(first, less);
    for x in rest {
        if less(x, first[0]) {
            sift(first, 0, x, less);
        }
    }
    sort_heap(first, less);
}

fn make_heap<E: Copy>(heap: &mut [E], less: &impl Less<E>) {
    for parent in (0..heap.len() / 2).rev() {
        sift(heap, parent, heap[parent], less);
    }
}

/// Sorts what is a heap.
fn sort_heap<E: Copy>(v: &mut [E], less: &impl Less<E>) {
    for end in (1..v.len()).rev() {
        let (heap, rest) = v.split_at_mut(end);
        exchange_top(heap, &mut rest[0], less);
    }
}

/// Twice the logarithm of the length.
fn depth_limit(n: usize) -> u32 {
    n.checked_ilog2().unwrap_or(0) * 2
}

/// The larger part by recursion first, as deep as `depth`; then the front.
fn introsort<E: Copy>(v: &mut [E], mut depth: u32, less: &impl Less<E>) {
    let mut last = v.len();
    while last > SORTED_BY_INSERTION {
        if depth == 0 {
            heap_sort(&mut v[..last], less);
            return;
        }
        depth -= 1;
        let cut = partition_around_pivot(&mut v[..last], less);
        introsort(&mut v[cut..last], depth, less);
        last = cut;
    }
}

/// Moves the median of three elements to the front and divides the others by it; where the second part begins.
fn partition_around_pivot<E: Copy>(v: &mut [E], less: &impl Less<E>) -> usize {
    let (a, b, c) = (1, v.len() / 2, v.len() - 1);
    let below = |i: usize, k: usize| less(v[i], v[k]);
    let median = match (below(a, b), below(b, c), below(a, c)) {
        (true, true, _) => b,
        (true, false, true) => c,
        (true, false, false) => a,
        (false, _, true) => a,
        (false, true, false) => c,
        (false, false, false) => b,
    };
    v.swap(0, median);
    let (pivot, mut first, mut last) = (v[0], 1, v.len());
    loop {
        while less(v[first], pivot) {
            first += 1;
        }
        last -= 1;
        while less(pivot, v[last]) {
            last -= 1;
        }
        if first >= last {
            return first;
        }
        v.swap(first, last);
        first += 1;
    }
}

fn insertion_sort<E: Copy>(v: &mut [E], less: &impl Less<E>) {
    for i in 1..v.len() {
        if less(v[i], v[0]) {
            v[..=i].rotate_right(1);
        } else {
            insert(v, i, less);
        }
    }
}

/// Moves element `i` before those that are larger; one before it is not.
fn insert<E: Copy>(v: &mut [E], i: usize, less: &impl Less<E>) {
    let (x, mut at) = (v[i], i);
    while at > 0 && less(x, v[at - 1]) {
        v[at] = v[at - 1];
        at -= 1;
    }
    v[at] = x;
}

/// The smallest `k` elements to the front, as a heap with the largest of them on top.
fn heap_select<E: Copy>(v: &mut [E], k: usize, less: &impl Less<E>) {
    let (heap, rest) = v.split_at_mut(k);
    make_heap(heap, less);
    for x in rest {
        if less(*x, heap[0]) {
            exchange_top(heap, x, less);
        }
    }
}

/// The top of the heap goes to `x`, which goes into the heap.
fn exchange_top<E: Copy>(heap: &mut [E], x: &mut E, less: &impl Less<E>) {
    let new = *x;
    *x = heap[0];
    sift(heap, 0, new, less);
}

/// Fills the hole at `top` by its larger children, down to a leaf, and lets `x` rise from there.
fn sift<E: Copy>(heap: &mut [E], top: usize, x: E, less: &impl Less<E>) {
    let n = heap.len();
    let mut hole = top;
    while 2 * hole + 2 < n {
        let right = 2 * hole + 2;
        let child = if less(heap[right], heap[right - 1]) { right - 1 } else { right };
        heap[hole] = heap[child];
        hole = child;
    }
    if 2 * hole + 2 == n {
        heap[hole] = heap[n - 1];
        hole = n - 1;
    }
    while hole > top && less(heap[(hole - 1) / 2], x) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = x;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(n: usize, kinds: usize) -> Vec<usize> {
        (0..n).map(|i| (i * 7919 + i / 3) % kinds).collect()
    }

    #[test]
    fn each_finds_what_a_sort_finds() {
        for (n, kinds) in [(1, 1), (2, 2), (3, 2), (5, 9), (17, 3), (33, 100), (300, 4), (300, 5000)] {
            let xs = mixed(n, kinds);
            let less = |a: usize, b: usize| xs[a] < xs[b];
            let mut expected = xs.clone();
            expected.sort_unstable();
            let values = |v: &[usize]| v.iter().map(|i| xs[*i]).collect::<Vec<_>>();
            let mut v: Vec<usize> = (0..n).collect();
            sort(&mut v, &less);
            assert_eq!(values(&v), expected);
            for k in [1, n / 2 + 1, n] {
                let mut v: Vec<usize> = (0..n).collect();
                let (first, rest) = v.split_at_mut(k);
                partial_sort(first, rest.iter().copied(), &less);
                assert_eq!(values(&v[..k]), expected[..k]);
                let mut v: Vec<usize> = (0..n).collect();
                nth_element(&mut v, k - 1, &less);
                assert_eq!(xs[v[k - 1]], expected[k - 1]);
            }
        }
    }

    /// Rising and falling runs by which the median of three is always a bad pivot drive both to their heaps.
    #[test]
    fn bad_pivots_end_in_heaps() {
        let n = 4096;
        let xs: Vec<usize> = (0..n).map(|i| if i % 2 == 0 { i } else { n + i / 2 }).collect();
        let less = |a: usize, b: usize| xs[a] < xs[b];
        let mut v: Vec<usize> = (0..n).collect();
        introsort(&mut v, 1, &less);
        let mut w: Vec<usize> = (0..n).collect();
        sort(&mut w, &less);
        assert!(w.is_sorted_by_key(|i| xs[*i]));
        insertion_sort(&mut v, &less);
        assert_eq!(v, w);
    }
}
