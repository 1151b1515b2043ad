//! Each class of kernel beside a loop written by hand, which is what it could be at best: one thread, data in the cache.
//!
//! `RUSTFLAGS="-C target-cpu=native" cargo bench -p cotangent-benches --bench kernels`, so that the loops by hand may use the machine's
//! vectors, as compiled programs do in any case. The hand-written loop writes to a buffer that exists; a compiled program makes its result.

use cotangent::prelude::*;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    // A loop by hand has one thread.
    cotangent_jit::threads::set_num_threads(1);
    divan::main();
}

const ROWS: usize = 128;
const COLUMNS: usize = 256;
const N: usize = ROWS * COLUMNS;
/// The size of matrix products.
const M: usize = 128;
/// How many partial results a reduction by hand has: enough for several vector registers.
const LANES: usize = 64;

fn data(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37) % 101) as f32 / 101.0 - 0.5).collect()
}

fn matrix(rows: usize, columns: usize) -> Tensor {
    Tensor::from_vec(data(rows * columns), [rows, columns])
}

fn compiled<F: Function<(Tensor, Tensor)>>(bencher: Bencher, f: F, a: Tensor, b: Tensor) {
    let items = ItemsCount::new(a.numel());
    let f = jit(f);
    f.call((a.clone(), b.clone())).expect("compiles");
    bencher.counter(items).bench_local(|| f.call((black_box(&a).clone(), black_box(&b).clone())));
}

fn by_hand(bencher: Bencher, results: usize, f: impl Fn(&[f32], &[f32], &mut [f32])) {
    let (a, b) = (data(N), data(N));
    let mut y = vec![0.0f32; results];
    bencher.counter(ItemsCount::new(N)).bench_local(|| f(black_box(&a), black_box(&b), black_box(&mut y)));
}

/// `y = a − relu(y · c + d)`, five times.
mod pointwise {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        let chain = |a: Tensor, _: Tensor| {
            let step = |y: Tensor, i: i32| &a - (y * (0.9 + 0.02 * f64::from(i)) + 0.1 * f64::from(i)).relu();
            (1..=5).fold(a.clone(), step)
        };
        super::compiled(bencher, chain, matrix(ROWS, COLUMNS), matrix(ROWS, COLUMNS));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        super::by_hand(bencher, N, |a, _, y| {
            for (y, a) in y.iter_mut().zip(a) {
                let step = |y: f32, i: i32| a - (y * (0.9 + 0.02 * i as f32) + 0.1 * i as f32).max(0.0);
                *y = (1..=5).fold(*a, step);
            }
        });
    }
}

/// A row added to each row.
mod broadcast {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        super::compiled(bencher, |a: Tensor, b: Tensor| a + b, matrix(ROWS, COLUMNS), Tensor::from(data(COLUMNS)));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        super::by_hand(bencher, N, |a, b, y| {
            for (y, a) in y.chunks_exact_mut(COLUMNS).zip(a.chunks_exact(COLUMNS)) {
                for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
                    *y = a + b;
                }
            }
        });
    }
}

/// The sum of squares of each row.
mod reduce_rows {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        let f = |a: Tensor, _: Tensor| (&a * &a).sum_dim(1);
        super::compiled(bencher, f, matrix(ROWS, COLUMNS), matrix(ROWS, COLUMNS));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        super::by_hand(bencher, ROWS, |a, _, y| {
            for (y, row) in y.iter_mut().zip(a.chunks_exact(COLUMNS)) {
                *y = sum_of_squares(row);
            }
        });
    }
}

/// The sum of squares of each column.
mod reduce_columns {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        let f = |a: Tensor, _: Tensor| (&a * &a).sum_dim(0);
        super::compiled(bencher, f, matrix(ROWS, COLUMNS), matrix(ROWS, COLUMNS));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        super::by_hand(bencher, COLUMNS, |a, _, y| {
            y.fill(0.0);
            for row in a.chunks_exact(COLUMNS) {
                for (y, a) in y.iter_mut().zip(row) {
                    *y += a * a;
                }
            }
        });
    }
}

/// The sum of squares of all elements.
mod reduce_all {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        let f = |a: Tensor, _: Tensor| (&a * &a).sum();
        super::compiled(bencher, f, matrix(ROWS, COLUMNS), matrix(ROWS, COLUMNS));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        super::by_hand(bencher, 1, |a, _, y| y[0] = sum_of_squares(a));
    }
}

/// A matrix plus the transpose of another.
mod transpose {
    use super::*;

    const SIDE: usize = 256;
    /// The side of blocks, whose rows and columns stay in the cache.
    const BLOCK: usize = 16;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        super::compiled(bencher, |a: Tensor, b: Tensor| a + b.t(), matrix(SIDE, SIDE), matrix(SIDE, SIDE));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        let (a, b) = (data(SIDE * SIDE), data(SIDE * SIDE));
        let mut y = vec![0.0f32; SIDE * SIDE];
        bencher.counter(ItemsCount::new(SIDE * SIDE)).bench_local(|| {
            let (a, b, y) = (black_box(&a), black_box(&b), black_box(&mut y));
            for rows in (0..SIDE).step_by(BLOCK) {
                for columns in (0..SIDE).step_by(BLOCK) {
                    for i in rows..rows + BLOCK {
                        for j in columns..columns + BLOCK {
                            y[i * SIDE + j] = a[i * SIDE + j] + b[j * SIDE + i];
                        }
                    }
                }
            }
        });
    }
}

/// The running sums of each row.
mod scan {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        super::compiled(bencher, |a: Tensor, _: Tensor| a.cumsum(1), matrix(ROWS, COLUMNS), matrix(ROWS, COLUMNS));
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        super::by_hand(bencher, N, |a, _, y| {
            for (y, a) in y.chunks_exact_mut(COLUMNS).zip(a.chunks_exact(COLUMNS)) {
                let mut sum = 0.0;
                for (y, a) in y.iter_mut().zip(a) {
                    sum += a;
                    *y = sum;
                }
            }
        });
    }
}

/// A matrix product, beside the library's own call. Throughput is in elements of an operand.
mod product {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        super::compiled(bencher, |a: Tensor, b: Tensor| a.matmul(&b), matrix(M, M), matrix(M, M));
    }

    #[divan::bench]
    fn library(bencher: Bencher) {
        let (a, b) = (data(M * M), data(M * M));
        let mut y = vec![0.0f32; M * M];
        let (side, one) = (M as isize, 1);
        bencher.counter(ItemsCount::new(M * M)).bench_local(|| {
            let (y, a, b) = (y.as_mut_ptr(), black_box(&a).as_ptr(), black_box(&b).as_ptr());
            // SAFETY: the three are row-major matrices of M × M elements, and `y` is no part of the others.
            unsafe {
                gemm::gemm(
                    M,
                    M,
                    M,
                    y,
                    one,
                    side,
                    false,
                    a,
                    one,
                    side,
                    b,
                    one,
                    side,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            }
        });
    }
}

/// Row numbers in no order.
fn rows() -> Vec<i64> {
    (0..ROWS as i64).map(|i| i * 37 % ROWS as i64).collect()
}

/// `y[i, j] = a[k[i], j]`.
mod gather {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        let rows = Tensor::from_vec(rows(), [ROWS]);
        super::compiled(bencher, |a: Tensor, k: Tensor| a.index_select(0, &k), matrix(ROWS, COLUMNS), rows);
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        let rows = rows();
        super::by_hand(bencher, N, |a, _, y| {
            for (y, k) in y.chunks_exact_mut(COLUMNS).zip(&rows) {
                y.copy_from_slice(&a[*k as usize * COLUMNS..][..COLUMNS]);
            }
        });
    }
}

/// `y = 0`, then `y[k[i], j] += a[i, j]`.
mod scatter {
    use super::*;

    #[divan::bench]
    fn compiled(bencher: Bencher) {
        let rows = Tensor::from_vec(rows(), [ROWS]);
        let add = |a: Tensor, k: Tensor| a.zeros_like().index_add(0, &k, &a, 1.0);
        super::compiled(bencher, add, matrix(ROWS, COLUMNS), rows);
    }

    #[divan::bench]
    fn by_hand(bencher: Bencher) {
        let rows = rows();
        super::by_hand(bencher, N, |a, _, y| {
            y.fill(0.0);
            for (a, k) in a.chunks_exact(COLUMNS).zip(&rows) {
                for (y, a) in y[*k as usize * COLUMNS..][..COLUMNS].iter_mut().zip(a) {
                    *y += a;
                }
            }
        });
    }
}

fn sum_of_squares(a: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    for chunk in a.chunks_exact(LANES) {
        for (sum, a) in sums.iter_mut().zip(chunk) {
            *sum += a * a;
        }
    }
    sums.iter().sum()
}
