//! A small generator of reproducible numbers, so that the suite depends on nothing.

/// xorshift64*: enough to choose test data.
pub(crate) struct Random(u64);

impl Random {
    /// The sequence that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    /// Bytes of a length up to `max`, each below `alphabet`.
    pub(crate) fn bytes(&mut self, max: usize, alphabet: usize) -> Vec<u8> {
        let len = self.below(max + 1);
        (0..len).map(|_| self.below(alphabet) as u8).collect()
    }
}
