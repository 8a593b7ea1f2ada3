//! Blocks made by hand, for tests: the other half of what `node` reads.

use super::node::{DAG_PB, RAW};
use crate::workflow::digest::Sha256;
use bytes::Bytes;
use cid::{Cid, multihash::Multihash};

/// A block and its id.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) cid: Cid,
    pub(crate) bytes: Bytes,
}

pub(crate) fn block(codec: u64, bytes: impl Into<Bytes>) -> Made {
    let bytes = bytes.into();
    let digest = hex::decode(Sha256::of(&bytes).to_string()).unwrap();
    Made { cid: Cid::new_v1(codec, Multihash::wrap(0x12, &digest).unwrap()), bytes }
}

pub(crate) fn raw(bytes: &[u8]) -> Made {
    block(RAW, bytes.to_vec())
}

pub(crate) fn file(data: &[u8], links: &[&Made], size: Option<u64>) -> Made {
    let links: Vec<_> = links.iter().map(|link| ("", link.cid)).collect();
    unixfs(2, data, &links, size)
}

pub(crate) fn directory(entries: &[(&str, &Made)]) -> Made {
    let links: Vec<_> = entries.iter().map(|(name, made)| (*name, made.cid)).collect();
    unixfs(1, b"", &links, None)
}

/// A part of a folder spread by murmur3 over 256 links.
pub(crate) fn shard(entries: &[(&str, &Made)]) -> Made {
    let links: Vec<_> = entries.iter().map(|(name, made)| (*name, made.cid)).collect();
    let mut message = vec![0x08, 5];
    number(&mut message, 5, 0x22);
    number(&mut message, 6, 256);
    node(&message, &links)
}

pub(crate) fn unixfs(kind: u64, data: &[u8], links: &[(&str, Cid)], size: Option<u64>) -> Made {
    let mut message = Vec::new();
    number(&mut message, 1, kind);
    bytes(&mut message, 2, data);
    if let Some(size) = size {
        number(&mut message, 3, size);
    }
    node(&message, links)
}

fn node(message: &[u8], links: &[(&str, Cid)]) -> Made {
    let mut out = Vec::new();
    for (name, cid) in links {
        let mut link = Vec::new();
        bytes(&mut link, 1, &cid.to_bytes());
        bytes(&mut link, 2, name.as_bytes());
        number(&mut link, 3, 1);
        bytes(&mut out, 2, &link);
    }
    bytes(&mut out, 1, message);
    block(DAG_PB, out)
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, (field << 3) | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
