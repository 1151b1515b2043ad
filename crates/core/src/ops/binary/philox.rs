//! Philox4x32-10, the counter-based generator of random bits.

use super::Binary;
use crate::tensor::Tensor;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// 64 random bits: the first two words of the block at `(counter, 0)` under `key`, the first word low.
///
/// *Numerics*: the words of both numbers are their bits, low word first, so that negative ones are like any other.
/// *Source*: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
pub(crate) fn philox(key: i64, counter: i64) -> i64 {
    let [k0, k1] = words(key);
    let [c0, c1] = words(counter);
    let [w0, w1, _, _] = block([k0, k1], [c0, c1, 0, 0]);
    (u64::from(w0) | u64::from(w1) << 32) as i64
}

/// [`Binary::Philox`](super::Binary::Philox) as 64-bit arithmetic, for systems that have no such operation: the same bits.
pub fn philox_arithmetic(key: &Tensor, counter: &Tensor) -> Tensor {
    let shifted = |x: &Tensor, op: Binary| x.binary(op, &x.full_like(32i64));
    // Words are kept in 0 to 2^32 - 1, so that products wrap to the bits of the unsigned product.
    let low = |x: &Tensor| x.bitwise_and(i64::from(u32::MAX));
    let high = |x: &Tensor| low(&shifted(x, Binary::BitwiseRightShift));
    let mut k = [low(key), high(key)];
    let mut c = [low(counter), high(counter), counter.zeros_like(), counter.zeros_like()];
    for _ in 0..ROUNDS {
        let [p0, p1] = [&c[0] * i64::from(MULTIPLIERS[0]), &c[2] * i64::from(MULTIPLIERS[1])];
        let mixed = |p: &Tensor, c: &Tensor, k: &Tensor| high(p).bitwise_xor(c).bitwise_xor(k);
        c = [mixed(&p1, &c[1], &k[0]), low(&p1), mixed(&p0, &c[3], &k[1]), low(&p0)];
        k = [low(&(&k[0] + i64::from(WEYL[0]))), low(&(&k[1] + i64::from(WEYL[1])))];
    }
    c[0].bitwise_or(shifted(&c[1], Binary::BitwiseLeftShift))
}

/// Low and high half.
fn words(x: i64) -> [u32; 2] {
    let x = x as u64;
    [x as u32, (x >> 32) as u32]
}

/// The four words at a counter of four words.
fn block(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let (mut k, mut c) = (key, counter);
    for _ in 0..ROUNDS {
        let [lo0, hi0] = words_of_product(MULTIPLIERS[0], c[0]);
        let [lo1, hi1] = words_of_product(MULTIPLIERS[1], c[2]);
        c = [hi1 ^ c[1] ^ k[0], lo1, hi0 ^ c[3] ^ k[1], lo0];
        k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
    }
    c
}

fn words_of_product(a: u32, b: u32) -> [u32; 2] {
    let p = u64::from(a) * u64::from(b);
    [p as u32, (p >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of `kat_vectors` that Random123, the authors' library, publishes for philox4x32-10.
    #[test]
    fn known_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(block(key, counter), answer);
        }
    }

    #[test]
    fn arithmetic_gives_the_same_bits() {
        let (keys, counters) = (vec![0i64, -1, i64::MIN, 0x299f_31d0_a409_3822], vec![0i64, 7, i64::MAX, -0x1234_5678]);
        let expected: Vec<i64> = keys.iter().zip(&counters).map(|(k, c)| philox(*k, *c)).collect();
        let found = philox_arithmetic(&Tensor::from_vec(keys, [4]), &Tensor::from_vec(counters, [4]));
        assert_eq!(found.to_vec::<i64>().expect("values"), expected);
    }

    #[test]
    fn the_first_word_is_low() {
        assert_eq!(philox(0, 0) as u64, 0xe169_c58d_6627_e8d5);
        assert_eq!(words(-2), [0xffff_fffe, 0xffff_ffff]);
    }
}
