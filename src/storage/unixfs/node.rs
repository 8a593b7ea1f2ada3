//! Blocks as nodes of a file tree: dag-pb (ipld.io/specs/codecs/dag-pb/spec) and, inside of it, UnixFS
//! (specs.ipfs.tech/unixfs).
//!
//! Both are small protocol buffers, read here by hand: what a gateway sends is hostile until its hash is checked, and what
//! its hash vouches for may still have been made by anybody. Reading is linear in the block's length and never panics.

use bytes::Bytes;
use cid::Cid;

/// Codecs of content ids (github.com/multiformats/multicodec).
pub(crate) const RAW: u64 = 0x55;
pub(crate) const DAG_PB: u64 = 0x70;

/// What a block is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Bytes of a file: its own, then those of the blocks it links to.
    File {
        /// Its own bytes.
        data: Bytes,
        /// The blocks that follow, in order.
        links: Vec<Cid>,
        /// Bytes of all of it, as it says itself.
        size: Option<u64>,
    },
    /// A folder.
    Directory(Vec<Entry>),
    /// A part of a folder that is spread over many blocks, with its fanout.
    Shard(Vec<Entry>, u64),
}

/// A link with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Any bytes.
    pub(crate) name: Bytes,
    pub(crate) cid: Cid,
}

/// Why a block cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeError {
    #[error("it is in the codec {0:#x}; files are in raw (0x55) and dag-pb (0x70)")]
    Codec(u64),
    #[error("one of its blocks is no valid {0}")]
    Malformed(&'static str),
    #[error("it is {0}, which is no file")]
    NoFile(&'static str),
}

impl Node {
    /// Reads a block whose content id has this codec.
    pub(crate) fn read(codec: u64, block: Bytes) -> Result<Self, NodeError> {
        match codec {
            RAW => {
                let size = u64::try_from(block.len()).ok();
                Ok(Self::File { data: block, links: Vec::new(), size })
            }
            DAG_PB => dag_pb(&block),
            other => Err(NodeError::Codec(other)),
        }
    }
}

const DAG: NodeError = NodeError::Malformed("dag-pb");
const UNIXFS: NodeError = NodeError::Malformed("UnixFS");

fn dag_pb(block: &Bytes) -> Result<Node, NodeError> {
    let (mut data, mut entries) = (None, Vec::new());
    for field in Fields(block.clone()) {
        match field.ok_or(DAG)? {
            (1, Value::Bytes(bytes)) => data = Some(bytes),
            (2, Value::Bytes(bytes)) => entries.push(entry(bytes)?),
            _ => return Err(DAG),
        }
    }
    unixfs(data.ok_or(UNIXFS)?, entries)
}

fn entry(bytes: Bytes) -> Result<Entry, NodeError> {
    let (mut cid, mut name) = (None, Bytes::new());
    for field in Fields(bytes) {
        match field.ok_or(DAG)? {
            (1, Value::Bytes(hash)) => cid = Cid::try_from(&*hash).ok(),
            (2, Value::Bytes(text)) => name = text,
            (3, Value::Number(_)) => {}
            _ => return Err(DAG),
        }
    }
    Ok(Entry { name, cid: cid.ok_or(DAG)? })
}

/// The `Data` message. Its types: 0 raw, 1 directory, 2 file, 3 metadata, 4 symbolic link, 5 shard of a directory.
fn unixfs(message: Bytes, entries: Vec<Entry>) -> Result<Node, NodeError> {
    let (mut kind, mut data, mut size, mut hash, mut fanout) = (None, Bytes::new(), None, None, None);
    for field in Fields(message) {
        match field.ok_or(UNIXFS)? {
            (1, Value::Number(number)) => kind = Some(number),
            (2, Value::Bytes(bytes)) => data = bytes,
            (3, Value::Number(number)) => size = Some(number),
            (5, Value::Number(number)) => hash = Some(number),
            (6, Value::Number(number)) => fanout = Some(number),
            // Sizes of the blocks, mode and time: nothing here depends on them.
            _ => {}
        }
    }
    match kind {
        Some(0 | 2) => Ok(Node::File { data, links: entries.into_iter().map(|entry| entry.cid).collect(), size }),
        Some(1) => Ok(Node::Directory(entries)),
        Some(5) if hash == Some(super::shard::MURMUR3) => Ok(Node::Shard(entries, fanout.ok_or(UNIXFS)?)),
        Some(5) => Err(NodeError::NoFile("a folder spread by a hash that is not murmur3")),
        Some(4) => Err(NodeError::NoFile("a symbolic link")),
        Some(3) => Err(NodeError::NoFile("metadata")),
        _ => Err(UNIXFS),
    }
}

enum Value {
    Number(u64),
    Bytes(Bytes),
}

/// The fields of a protocol buffer message (protobuf.dev/programming-guides/encoding). `None` is where it is none, and the
/// last one.
struct Fields(Bytes);

impl Iterator for Fields {
    type Item = Option<(u64, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0.clear();
        }
        Some(field)
    }
}

impl Fields {
    fn field(&mut self) -> Option<(u64, Value)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    /// Seven bits a byte, the lowest first; at most ten bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for place in 0..10 {
            let byte = *self.take(1)?.first()?;
            // Of the tenth byte one bit is left.
            let bits = u64::from(byte & 0x7f);
            number |= bits.checked_shl(7 * place).filter(|shifted| shifted >> (7 * place) == bits)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{super::made, *};
    use proptest::prelude::*;

    #[test]
    fn a_file_a_folder_and_a_leaf_are_what_they_are() {
        let leaf = made::raw(b"abc");
        let file = made::file(b"head", &[&leaf, &leaf], Some(10));
        let Node::File { data, links, size } = Node::read(DAG_PB, file.bytes.clone()).unwrap() else { panic!() };
        assert_eq!((&*data, links, size), (&b"head"[..], vec![leaf.cid, leaf.cid], Some(10)));
        let folder = made::directory(&[("a b", &leaf), ("ü", &file)]);
        let Node::Directory(entries) = Node::read(DAG_PB, folder.bytes).unwrap() else { panic!() };
        assert_eq!(entries[1], Entry { name: Bytes::from("ü"), cid: file.cid });
        let raw = Node::read(RAW, leaf.bytes.clone()).unwrap();
        assert_eq!(raw, Node::File { data: leaf.bytes, links: Vec::new(), size: Some(3) });
    }

    #[test]
    fn what_is_no_file_is_named() {
        let read = |kind| Node::read(DAG_PB, made::unixfs(kind, b"target", &[], None).bytes).unwrap_err();
        assert_eq!(read(4), NodeError::NoFile("a symbolic link"));
        assert_eq!(read(3), NodeError::NoFile("metadata"));
        assert_eq!(read(9), NodeError::Malformed("UnixFS"));
        assert_eq!(Node::read(0x71, Bytes::new()).unwrap_err(), NodeError::Codec(0x71));
        assert_eq!(Node::read(DAG_PB, Bytes::new()).unwrap_err(), NodeError::Malformed("UnixFS"));
    }

    #[test]
    fn numbers_beyond_64_bits_and_lengths_beyond_the_block_are_no_fields() {
        for bytes in
            [&[0x08][..], &[0x80], &[0x0a, 5, 1], &[0x0b], &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]]
        {
            let fields: Vec<_> = Fields(Bytes::copy_from_slice(bytes)).collect();
            assert!(matches!(fields[..], [None]), "{bytes:?}");
        }
        let most = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let mut fields = Fields(Bytes::copy_from_slice(&most));
        assert!(matches!(fields.next(), Some(Some((1, Value::Number(u64::MAX))))) && fields.next().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Node::read(DAG_PB, bytes.into());
        }

        #[test]
        fn a_node_with_any_byte_changed_is_read_or_refused(at in 0..200_usize, to: u8) {
            let leaf = made::raw(b"abc");
            let mut bytes = made::file(b"head", &[&leaf, &leaf, &leaf], Some(13)).bytes.to_vec();
            let at = at % bytes.len();
            bytes[at] = to;
            let _ = Node::read(DAG_PB, bytes.into());
        }
    }
}
