//! Folders too large for one block: a hash array mapped trie (specs.ipfs.tech/unixfs, "HAMTDirectory").
//!
//! At each level the next byte of the name's hash, as two upper-case hex digits, begins the names of links. A link named by
//! these alone leads one level down, one with the entry's name behind them is the entry.

use super::node::Entry;
use cid::Cid;

/// What UnixFS calls murmur3-x64-64.
pub(crate) const MURMUR3: u64 = 0x22;
/// Links of one block: one byte of hash a level. All implementations write this.
pub(crate) const FANOUT: u64 = 256;

/// Where a name leads from a shard.
pub(crate) enum Step {
    /// The entry of that name.
    Found(Cid),
    /// One level down.
    Down(Cid),
    /// It is not in the folder.
    Absent,
}

/// Looks for `name` in a shard at `level`, counted from 0. A hash has eight bytes, so that is as deep as it goes.
pub(crate) fn step(entries: &[Entry], name: &[u8], level: usize) -> Step {
    let Some(byte) = murmur3(name).to_be_bytes().get(level).copied() else { return Step::Absent };
    let prefix = format!("{byte:02X}");
    let mut of_byte = entries.iter().filter_map(|entry| Some((entry.name.strip_prefix(prefix.as_bytes())?, entry.cid)));
    match of_byte.find(|(rest, _)| rest.is_empty() || *rest == name) {
        Some(([], cid)) => Step::Down(cid),
        Some((_, cid)) => Step::Found(cid),
        None => Step::Absent,
    }
}

/// The first half of MurmurHash3_x64_128 with seed 0 (Austin Appleby, public domain).
fn murmur3(bytes: &[u8]) -> u64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let mix1 = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let mix2 = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let blocks = bytes.chunks_exact(16);
    let tail = blocks.remainder();
    for block in blocks {
        let (low, high) = block.split_at(8);
        h1 = (h1 ^ mix1(number(low))).rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 = (h2 ^ mix2(number(high))).rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    h2 ^= mix2(number(high));
    h1 ^= mix1(number(low));
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finish(h1).wrapping_add(finish(h2))
}

fn finish(mut k: u64) -> u64 {
    k = (k ^ (k >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    k = (k ^ (k >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

#[cfg(test)]
mod tests {
    use super::{super::made, *};
    use bytes::Bytes;

    #[test]
    fn the_hash_is_the_one_that_everybody_has() {
        // From the reference implementation (smhasher, MurmurHash3_x64_128, the first 64 bits).
        for (text, hash) in [
            ("", 0),
            ("hello", 0xcbd8_a7b3_41bd_9b02),
            ("hello, world", 0x342f_ac62_3a5e_bc8e),
            ("19 Jan 2038 at 3:14:07 AM", 0xb89e_5988_b737_affc),
            ("The quick brown fox jumps over the lazy dog.", 0xcd99_481f_9ee9_02c9),
        ] {
            assert_eq!(murmur3(text.as_bytes()), hash, "{text:?}");
        }
    }

    #[test]
    fn a_name_is_found_by_its_hash_and_by_nothing_else() {
        let (leaf, down) = (made::raw(b"x"), made::raw(b"y"));
        let entry = |name: &str, made: &made::Made| Entry { name: Bytes::from(name.to_owned()), cid: made.cid };
        // The hash of "hello" begins with the bytes cb and d8.
        let entries = [entry("CBhello", &leaf), entry("D8", &down), entry("00hello", &down)];
        assert!(matches!(step(&entries, b"hello", 0), Step::Found(cid) if cid == leaf.cid));
        assert!(matches!(step(&entries, b"hello", 1), Step::Down(cid) if cid == down.cid));
        assert!(matches!(step(&entries, b"hello", 2), Step::Absent));
        assert!(matches!(step(&entries, b"hello", 8), Step::Absent));
        assert!(matches!(step(&[entry("CBhell", &leaf)], b"hello", 0), Step::Absent));
    }
}
