//! The eigenvectors of one matrix, as columns.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::eigenvectors::eigenvectors;
use super::reflections::{products, reflect, turn};
use super::tridiagonal::Tridiagonal;
use super::{Lane, STEP, Square};
use crate::memory::Block;
use crate::routine::axis::Shared;
use crate::routine::lanes::Kernel;
use crate::routine::linalg::large::pieces;
use crate::routine::{Onto, Target, Vectors, product};
use crate::threads;

/// An eigenvalue of a tridiagonal matrix, and the part whose it is: its vector has nothing outside.
pub struct Column {
    pub value: f64,
    pub part: Range<usize>,
}

/// Eigenvectors to be found.
pub struct Columns<'a> {
    pub t: &'a Tridiagonal,
    /// Their values, in the order of columns.
    pub found: &'a [Column],
    /// The matrix, which has the vectors of its reflections.
    pub a: Square,
    /// The columns.
    pub z: Square,
}

/// How far vectors may be from orthogonal until they are made so, …
const ORTHOGONAL: f64 = 1e-9;
/// … and to be made so in one step.
const NEARLY: f64 = 3e-8;

impl Columns<'_> {
    /// Finds them, `exact` to the last digits of `f64` or to those of `f32`; `false` if they are not found.
    ///
    /// # Safety
    /// The CPU has the vectors `V`, which are `vectors`; nobody else uses the columns, and nobody writes the matrix.
    pub unsafe fn find<V: Lane>(&self, vectors: Vectors, exact: bool) -> bool {
        let far = self.closeness();
        if far.is_nan() || far > NEARLY {
            return false;
        }
        // SAFETY: the caller's.
        unsafe {
            self.z.clear();
            if !self.of_tridiagonal::<V>() {
                return false;
            }
            if exact || far > ORTHOGONAL {
                orthonormalize(self.z, vectors);
            }
            self.reflect::<V>();
        }
        true
    }

    /// About how far from orthogonal vectors may be that are found by themselves: what rounding changes, over the least distance of eigenvalues.
    fn closeness(&self) -> f64 {
        let mut least = f64::INFINITY;
        for (i, x) in self.found.iter().enumerate() {
            // The one before it of the same part.
            if let Some(y) = self.found[..i].iter().rev().find(|y| y.part == x.part) {
                least = (x.value - y.value).abs().min(least);
            }
        }
        self.found.len() as f64 * f64::EPSILON / least
    }

    /// Finds those of the tridiagonal matrix, in columns that are zero; `false` if one is none.
    ///
    /// # Safety
    /// The CPU has the vectors; nobody else uses the columns.
    unsafe fn of_tridiagonal<V: Lane>(&self) -> bool {
        let n = self.a.n;
        let mut groups: Vec<Vec<usize>> = Vec::with_capacity(n);
        let mut by_part: Vec<usize> = (0..n).collect();
        // Stable: those of a part stay in order.
        by_part.sort_by_key(|j| self.found[*j].part.start);
        for own in by_part.chunk_by(|i, j| self.found[*i].part == self.found[*j].part) {
            groups.extend(own.chunks(V::LANES).map(<[usize]>::to_vec));
        }
        let is_fine = AtomicBool::new(true);
        threads::for_each(groups.len(), (3 * n * n) as u64, &|g| {
            let mut far = 0.0;
            // SAFETY: the caller's; each group has columns of its own.
            unsafe { V::enabled(Group::<V> { of: self, columns: &groups[g], far: &mut far, lanes: PhantomData }) };
            // What rounding leaves, and no more.
            if far.is_nan() || far > (n + 64) as f64 * 4.0 * f64::EPSILON {
                is_fine.store(false, Ordering::Relaxed);
            }
        });
        is_fine.into_inner()
    }

    /// Makes the matrix's vectors of those of the tridiagonal matrix, with the sign with which the largest element is positive.
    ///
    /// # Safety
    /// The CPU has the vectors; nobody else uses the columns, and nobody writes the matrix.
    unsafe fn reflect<V: Lane>(&self) {
        let (n, width) = (self.a.n, V::BESIDE * V::LANES);
        let mut products = vec![0.0; n.next_multiple_of(STEP) * STEP];
        // SAFETY: the caller's.
        unsafe { V::enabled(Dots { a: self.a, products: &mut products }) };
        threads::for_each(n.div_ceil(width), (n * n * n / 16) as u64, &|piece| {
            let panel = Panel::<V> { of: self, products: &products, from: piece * width, lanes: PhantomData };
            // SAFETY: the caller's; panels have columns of their own, of which rows have whole ones.
            unsafe { V::enabled(panel) };
        });
    }
}

/// A few eigenvectors of one part of a tridiagonal matrix. Safety: as [`Columns::of_tridiagonal`].
struct Group<'a, V> {
    of: &'a Columns<'a>,
    columns: &'a [usize],
    far: &'a mut f64,
    lanes: PhantomData<V>,
}

impl<V: Lane> Kernel for Group<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Columns { t, found, a: _, z } = self.of;
        let part = found[self.columns[0]].part.clone();
        let n = part.len();
        let mut values = [0.0; 8];
        for (i, value) in values.iter_mut().enumerate() {
            // Lanes without a column have that of the first.
            *value = found[*self.columns.get(i).unwrap_or(&self.columns[0])].value;
        }
        let room = Block::new(3 * n * size_of::<V>());
        let first = self.columns[0];
        let is_whole = self.columns.len() == V::LANES && self.columns[V::LANES - 1] == first + V::LANES - 1;
        // SAFETY: the block is aligned, has initialised bytes of so many vectors, and is ours; the columns are the caller's.
        unsafe {
            let words = std::slice::from_raw_parts_mut(room.as_ptr().cast::<V>(), 3 * n);
            let (low, words) = words.split_at_mut(n);
            let (high, x) = words.split_at_mut(n);
            let (d, e) = (&t.d[part.clone()], &t.e[part.clone()]);
            *self.far = eigenvectors(d, e, V::load(values.as_ptr()), [low, high, x]);
            for (i, x) in x.iter().enumerate() {
                let row = z.line(part.start + i);
                if is_whole {
                    x.store(row[first..first + V::LANES].as_mut_ptr());
                    continue;
                }
                let mut lanes = [0.0; 8];
                x.spread(&mut lanes);
                for (j, x) in self.columns.iter().zip(lanes) {
                    row[*j] = x;
                }
            }
        }
    }
}

/// Products of the vectors of reflections. Safety: nobody writes the matrix.
struct Dots<'a> {
    a: Square,
    products: &'a mut [f64],
}

impl Kernel for Dots<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's.
        unsafe { products(self.a, self.products) }
    }
}

/// Columns from `from` on. Safety: as [`Columns::reflect`].
struct Panel<'a, V> {
    of: &'a Columns<'a>,
    products: &'a [f64],
    from: usize,
    lanes: PhantomData<V>,
}

impl<V: Lane> Kernel for Panel<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Columns { t, found: _, a, z } = self.of;
        // SAFETY: the caller's.
        unsafe {
            match V::BESIDE {
                1 => reflect::<V, 1>(*a, &t.scale, self.products, *z, self.from),
                2 => reflect::<V, 2>(*a, &t.scale, self.products, *z, self.from),
                n => unreachable!("panels of {n} vectors"),
            }
            for c in 0..V::BESIDE {
                turn::<V>(Target { at: z.at, row: z.row }.from(0, self.from + c * V::LANES), z.n);
            }
        }
    }
}

/// Makes columns that are nearly orthonormal so: `Z · (3 - Zᵀ · Z) / 2`, a step of Newton's method for `Zᵀ · Z = I`.
///
/// # Safety
/// The CPU has the vectors; nobody else uses the matrix.
unsafe fn orthonormalize(z: Square, vectors: Vectors) {
    let n = z.n;
    let (from_room, by_room) = (Square::room(n), Square::room(n));
    let (from, by) = (Square::of(&from_room, n), Square::of(&by_room, n));
    let all = pieces(0..n);
    // SAFETY: the caller's; the other memory is ours, and pieces have columns of their own.
    unsafe {
        for i in 0..n.next_multiple_of(STEP) {
            from.line(i).copy_from_slice(z.line(i));
        }
        let target = |square: Square, to: &Shared<f64>, j: usize| Target { at: to.get(), row: square.row }.from(0, j);
        let [from_at, by_at, z_at] = [from, by, z].map(|square| Shared(square.at));
        threads::for_each(all.len(), (n * n * n / 8) as u64, &|piece| {
            let (columns, x) = (all[piece].clone(), target(from, &from_at, 0).operand());
            let (right, to) = (target(from, &from_at, columns.start).operand(), target(by, &by_at, columns.start));
            product(vectors, [n, n, columns.len()], x.turned(), right, to, Onto::Nothing);
            for i in 0..n {
                for (j, x) in columns.clone().zip(to.row(i, columns.len())) {
                    *x = if i == j { 1.5 } else { 0.0 } - 0.5 * *x;
                }
            }
        });
        threads::for_each(all.len(), (n * n * n / 8) as u64, &|piece| {
            let (columns, x) = (all[piece].clone(), target(from, &from_at, 0).operand());
            let (right, to) = (target(by, &by_at, columns.start).operand(), target(z, &z_at, columns.start));
            product(vectors, [n, n, columns.len()], x, right, to, Onto::Nothing);
        });
    }
}
