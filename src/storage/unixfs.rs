//! What lies behind a content id of IPFS: blocks, each vouched for by the id that names it, and the trees of files that they
//! make. Nothing here asks anybody: blocks are handed in.

#[cfg(test)]
pub(crate) mod made;
mod node;
pub(crate) mod shard;

pub(crate) use node::{Node, NodeError, RAW};

use crate::workflow::digest::Sha256;
use bytes::Bytes;
use cid::Cid;

/// The largest block, in bytes. IPFS nodes exchange none of more than 2 MiB; some tools write larger ones.
pub(crate) const MAX_BLOCK: usize = 4 << 20;
/// Multihash codes: SHA-256, and no hash at all, the bytes themselves.
pub(crate) const SHA2_256: u64 = 0x12;
const IDENTITY: u64 = 0;

/// A content id's hash is of a kind that is not known here: the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownHash(pub(crate) u64);

/// The bytes of a block whose id holds them itself; none if they have to be fetched.
pub(crate) fn inline(cid: &Cid) -> Result<Option<Bytes>, UnknownHash> {
    match cid.hash().code() {
        IDENTITY => Ok(Some(Bytes::copy_from_slice(cid.hash().digest()))),
        SHA2_256 => Ok(None),
        other => Err(UnknownHash(other)),
    }
}

/// Whether these are the bytes that `cid` stands for, by SHA-256.
pub(crate) fn is_of(cid: &Cid, bytes: &[u8]) -> bool {
    cid.hash().code() == SHA2_256 && Sha256::of(bytes).as_bytes() == cid.hash().digest()
}
