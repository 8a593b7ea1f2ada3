//! A hash of the last `len` bytes of a stream, moved on by one byte in constant time (Rabin and Karp, IBM J. Res. Dev. 31,
//! 1987): the bytes as a polynomial at a random point, modulo the prime 2^61 - 1.
//!
//! Two different windows have one hash with a chance below `len` / 2^61, whoever made them, as long as the point is not known;
//! and whoever acts on a hit compares the bytes first.

use std::hash::{BuildHasher as _, RandomState};

const PRIME: u64 = (1 << 61) - 1;

/// The random point. All windows that are compared share it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point(u64);

impl Point {
    /// From the operating system's randomness, by way of the keys of the standard library's hash maps.
    pub(super) fn random() -> Self {
        // Small ones would make short windows collide.
        Self((RandomState::new().hash_one(0) % (PRIME - (1 << 32))) + (1 << 32))
    }
}

/// A window of fixed length.
#[derive(Debug, Clone)]
pub(super) struct Window {
    point: u64,
    hash: u64,
    /// For each byte, what its leaving adds to the hash.
    leaving: [u64; 256],
}

impl Window {
    /// An empty window, to be filled with `len` bytes by [`Window::fill`].
    pub(super) fn new(Point(point): Point, len: u64) -> Self {
        let weight = power(point, len);
        let mut leaving = [0; 256];
        for (byte, term) in (0..).zip(&mut leaving) {
            *term = reduce(PRIME - multiply(byte, weight));
        }
        Self { point, hash: 0, leaving }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Takes bytes, with none leaving.
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = reduce(multiply(self.hash, self.point) + u64::from(byte));
        }
    }

    /// Takes a byte at the front while one leaves at the back.
    pub(super) fn roll(&mut self, entering: u8, leaving: u8) {
        let term = self.leaving.get(usize::from(leaving)).copied().unwrap_or_default();
        self.hash = reduce(multiply(self.hash, self.point) + u64::from(entering) + term);
    }
}

/// Below 2 × the prime, for factors below 2^61.
fn multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "the low 61 bits, and the rest, which has 61 bits as well")]
    let (low, high) = (product as u64 & PRIME, (product >> 61) as u64);
    low + high
}

fn reduce(number: u64) -> u64 {
    let number = (number & PRIME) + (number >> 61);
    if number >= PRIME { number - PRIME } else { number }
}

fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut power, mut square) = (1, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = reduce(multiply(power, square));
        }
        square = reduce(multiply(square, square));
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_window_that_moved_there_is_one_that_was_filled_there(
            bytes in proptest::collection::vec(any::<u8>(), 1..200), len in 1usize..50,
        ) {
            let len = len.min(bytes.len());
            let point = Point::random();
            let mut moving = Window::new(point, len as u64);
            moving.fill(&bytes[..len]);
            for at in 0..=bytes.len() - len {
                if at > 0 {
                    moving.roll(bytes[at + len - 1], bytes[at - 1]);
                }
                let mut there = Window::new(point, len as u64);
                there.fill(&bytes[at..at + len]);
                prop_assert_eq!(moving.hash(), there.hash());
            }
        }
    }

    #[test]
    fn the_prime_s_edges_are_reduced() {
        assert_eq!(reduce(PRIME), 0);
        assert_eq!(reduce(multiply(PRIME - 1, PRIME - 1)), 1, "(-1)² = 1");
        assert_eq!(power(3, 5), 243);
        let point = Point::random();
        assert!(point.0 >= 1 << 32 && point.0 < PRIME);
    }
}
