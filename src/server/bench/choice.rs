//! Which record an operation takes. Everything is a function of a seed.

/// A small fast generator (xorshift64*), one a thread.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// Spreads a number over all 64 bits (the finalizer of SplitMix64); a bijection.
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Random {
    /// A generator; every seed will do.
    pub fn new(seed: u64) -> Random {
        Random(mix(seed) | 1)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.0 = x;
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Uniform in `0..bound`; 0 if there is nothing to choose from.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Each number of `0..len` once, in an order that looks random: a Feistel network over the next power of four, walked
/// on until it lands inside.
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    seed: u64,
}

impl Permutation {
    /// A permutation of `0..len`.
    pub fn new(len: u64, seed: u64) -> Permutation {
        let bits = 64 - len.saturating_sub(1).leading_zeros();
        Permutation { len, half_bits: bits.div_ceil(2).max(1), seed }
    }

    /// The number at place `i`, for `i` in `0..len`.
    pub fn at(&self, i: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let mut x = i;
        loop {
            let (mut left, mut right) = (x >> self.half_bits, x & mask);
            for round in 0..4 {
                (left, right) = (right, left ^ (mix(right ^ self.seed.rotate_left(round * 16 + 7)) & mask));
            }
            x = (left << self.half_bits) | right;
            if x < self.len {
                return x;
            }
        }
    }
}

/// Zipfian numbers as YCSB makes them (after Gray et al., "Quickly generating billion-record synthetic databases"):
/// 0 is the most frequent, number `i` comes up in proportion to 1 / (i + 1)^0.99.
#[derive(Clone, Debug)]
pub struct Zipfian {
    len: u64,
    zeta: f64,
    eta: f64,
    alpha: f64,
    half_power: f64,
}

const THETA: f64 = 0.99;
/// Terms of zeta that are summed one by one; what follows is an integral, exact to more digits than matter.
const EXACT_TERMS: u64 = 1 << 16;

fn zeta(len: u64) -> f64 {
    let exact = len.min(EXACT_TERMS);
    let sum: f64 = (1..=exact).rev().map(|i| (i as f64).powf(-THETA)).sum();
    let power = 1.0 - THETA;
    // The terms above, as the integral of x^-theta between the middles of the steps.
    let tail = ((len as f64 + 0.5).powf(power) - (exact as f64 + 0.5).powf(power)) / power;
    if len > exact { sum + tail } else { sum }
}

impl Zipfian {
    /// Numbers in `0..len`; `len` must not be 0.
    pub fn new(len: u64) -> Zipfian {
        let zeta_len = zeta(len);
        Zipfian {
            len,
            zeta: zeta_len,
            eta: (1.0 - (2.0 / len as f64).powf(1.0 - THETA)) / (1.0 - zeta(2) / zeta_len),
            alpha: 1.0 / (1.0 - THETA),
            half_power: 1.0 + 0.5f64.powf(THETA),
        }
    }

    /// The next number.
    pub fn next(&self, random: &mut Random) -> u64 {
        let u = random.unit();
        let scaled = u * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < self.half_power {
            return 1.min(self.len - 1);
        }
        let x = self.len as f64 * (self.eta * u - self.eta + 1.0).powf(self.alpha);
        (x as u64).min(self.len - 1)
    }

    /// The next number, with the frequent ones scattered over `0..len`.
    pub fn scrambled(&self, random: &mut Random) -> u64 {
        mix(self.next(random)) % self.len
    }

    /// The next number below `len`, where the last ones are the frequent ones; `len` may have grown since this generator
    /// was made.
    pub fn latest(&self, random: &mut Random, len: u64) -> u64 {
        len.saturating_sub(1).saturating_sub(self.next(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_takes_each_number_once() {
        for len in [1, 2, 3, 4, 5, 63, 64, 65, 1000, 4097] {
            for seed in [0, 7] {
                let permutation = Permutation::new(len, seed);
                let mut seen: Vec<u64> = (0..len).map(|i| permutation.at(i)).collect();
                if len > 60 {
                    assert!(seen.windows(2).filter(|w| w[0] < w[1]).count() < len as usize * 2 / 3);
                }
                seen.sort_unstable();
                assert_eq!(seen, (0..len).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn uniform_is_uniform() {
        let mut random = Random::new(1);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10) as usize] += 1;
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit));
        }
        assert!(counts.iter().all(|c| (9_400..10_600).contains(c)), "{counts:?}");
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn zipfian_follows_its_law() {
        for len in [2u64, 100, 1_000_000] {
            let zipfian = Zipfian::new(len);
            let mut random = Random::new(2);
            let draws = 200_000;
            let mut counts = [0u64; 2];
            for _ in 0..draws {
                let n = zipfian.next(&mut random);
                assert!(n < len);
                if n < 2 {
                    counts[n as usize] += 1;
                }
                assert!(zipfian.scrambled(&mut random) < len);
            }
            for (i, count) in counts.iter().enumerate() {
                let expected = draws as f64 / ((i + 1) as f64).powf(THETA) / zeta(len);
                let ratio = *count as f64 / expected;
                assert!((0.9..1.1).contains(&ratio), "len {len}, number {i}: {count} against {expected}");
            }
        }
        assert_eq!(Zipfian::new(1).next(&mut Random::new(3)), 0);
    }

    #[test]
    fn zeta_by_integral_agrees_with_the_sum() {
        let len = EXACT_TERMS * 4;
        let sum: f64 = (1..=len).rev().map(|i| (i as f64).powf(-THETA)).sum();
        assert!((zeta(len) - sum).abs() < 1e-9 * sum);
    }

    #[test]
    fn latest_prefers_the_end() {
        let zipfian = Zipfian::new(1000);
        let mut random = Random::new(4);
        let late = (0..10_000).filter(|_| zipfian.latest(&mut random, 1000) >= 900).count();
        assert!(late > 5_000, "{late}");
        assert_eq!(zipfian.latest(&mut random, 0), 0);
    }
}
