//! Files of IPFS: `ipfs://CID[/path]`, from gateways that need not be trusted.
//!
//! ```text
//! CID ── block ── path? → the link of that name, block by block ── a file?
//!                                                                   │
//!        queue: the file's blocks in order ◀── links of a node ─────┤
//!          └ the next few are fetched at once; each is checked before its bytes are written
//! ```
//!
//! A content id is the hash of a block, and a block names further blocks by theirs, so every byte is vouched for by the id
//! in the document: a gateway can keep a file back, but not change it. Memory does not depend on the file's length.

mod gateways;

use super::{fault::FetchError, journal::Journal, sink::Sink};
pub(super) use crate::storage::unixfs::NodeError;
#[cfg(test)]
pub(super) use crate::storage::unixfs::made;
use crate::storage::unixfs::{Node, shard};
use bytes::Bytes;
use cid::Cid;
pub(super) use gateways::Gateways;
use reqwest::Url;
use std::collections::VecDeque;
use tokio_util::task::AbortOnDropHandle;

/// How many blocks of the file are fetched at once.
const AHEAD: usize = 8;
/// The most blocks that are in memory or under way: of the largest, 64 MiB. More than [`AHEAD`], since a node puts what it
/// links to in front of what was fetched ahead.
const HELD: usize = 2 * AHEAD;
/// The most blocks that are known and not written yet. A file of 10 GiB has some hundred at once; one whose nodes only ever
/// link to more nodes ends here.
const MAX_QUEUE: usize = 100_000;
/// The most blocks of one file. With Kubo's smallest default of 256 KiB, that is 256 GiB.
const MAX_BLOCKS: u64 = 1 << 20;

/// Fills `sink` with the file that `url` names.
pub(super) async fn fetch(
    url: &Url,
    gateways: &Gateways,
    sink: &mut Sink,
    journal: &mut Journal<'_>,
) -> Result<(), FetchError> {
    let written = write(url, gateways, sink, journal).await;
    gateways.notes().iter().for_each(|note| journal.line(note));
    written
}

async fn write(url: &Url, gateways: &Gateways, sink: &mut Sink, journal: &mut Journal<'_>) -> Result<(), FetchError> {
    let (root, names) = parse(url)?;
    let mut node = resolve(root, &names, gateways).await?;
    let size = match &node {
        Node::File { size, .. } => *size,
        Node::Directory(_) | Node::Shard(..) => return Err(NodeError::NoFile("a folder; name a file in it").into()),
    };
    if let Some(size) = size {
        sink.admit(size)?;
    }
    let mut queue = Queue { slots: VecDeque::new(), held: 0, gateways };
    for _ in 0..MAX_BLOCKS {
        let Node::File { data, links, .. } = node else {
            return Err(NodeError::Malformed("part of a file").into());
        };
        sink.write(&data).await?;
        queue.put(links)?;
        let Some(block) = queue.next().await else {
            let whole = size.is_none_or(|size| size == sink.len());
            return if whole { Ok(()) } else { Err(NodeError::Malformed("file, since its length is another").into()) };
        };
        node = block?;
        gateways.notes().iter().for_each(|note| journal.line(note));
    }
    Err(FetchError::TooManyBlocks)
}

/// The blocks of the file that are not written yet, in order.
struct Queue<'a> {
    slots: VecDeque<Slot>,
    /// Slots that are being fetched, or are.
    held: usize,
    gateways: &'a Gateways,
}

struct Slot {
    cid: Cid,
    fetch: Option<AbortOnDropHandle<Result<Bytes, FetchError>>>,
}

impl Queue<'_> {
    /// What a node links to comes before what stands behind the node.
    fn put(&mut self, links: Vec<Cid>) -> Result<(), FetchError> {
        if links.len() > MAX_QUEUE.saturating_sub(self.slots.len()) {
            return Err(FetchError::TooManyBlocks);
        }
        links.into_iter().rev().for_each(|cid| self.slots.push_front(Slot { cid, fetch: None }));
        Ok(())
    }

    /// The next block. Some of those behind it are fetched meanwhile.
    async fn next(&mut self) -> Option<Result<Node, FetchError>> {
        for (place, slot) in self.slots.iter_mut().take(AHEAD).enumerate() {
            if slot.fetch.is_none() && (place == 0 || self.held < HELD) {
                let (gateways, cid) = (self.gateways.clone(), slot.cid);
                slot.fetch = Some(AbortOnDropHandle::new(tokio::spawn(async move { gateways.block(&cid).await })));
                self.held += 1;
            }
        }
        let Slot { cid, fetch } = self.slots.pop_front()?;
        self.held = self.held.saturating_sub(1);
        let block = fetch?.await.unwrap_or_else(|error| Err(FetchError::Request(error.to_string())));
        Some(block.and_then(|bytes| Ok(Node::read(cid.codec(), bytes)?)))
    }
}

/// The content id and the names behind it.
fn parse(url: &Url) -> Result<(Cid, Vec<Vec<u8>>), FetchError> {
    let root = url.host_str().unwrap_or_default();
    let root = root.parse().map_err(|error: cid::Error| FetchError::InvalidCid(error.to_string()))?;
    let names = url.path().split('/').filter(|name| !name.is_empty()).map(super::percent::decoded).collect();
    Ok((root, names))
}

/// The node that the names lead to.
async fn resolve(root: Cid, names: &[Vec<u8>], gateways: &Gateways) -> Result<Node, FetchError> {
    let read =
        async |cid: Cid| -> Result<Node, FetchError> { Ok(Node::read(cid.codec(), gateways.block(&cid).await?)?) };
    let mut node = read(root).await?;
    for name in names {
        let absent = || FetchError::NotFound(String::from_utf8_lossy(name).into_owned());
        let cid = match node {
            Node::Directory(entries) => {
                entries.iter().find(|entry| entry.name == *name).map(|entry| entry.cid).ok_or_else(absent)?
            }
            Node::Shard(..) => in_shard(node, name, &read).await?.ok_or_else(absent)?,
            Node::File { .. } => return Err(absent()),
        };
        node = read(cid).await?;
    }
    Ok(node)
}

/// Follows a name's hash from shard to shard.
async fn in_shard(
    mut node: Node,
    name: &[u8],
    read: &impl AsyncFn(Cid) -> Result<Node, FetchError>,
) -> Result<Option<Cid>, FetchError> {
    for level in 0.. {
        let Node::Shard(entries, shard::FANOUT) = &node else {
            return Err(NodeError::Malformed("folder of 256 parts").into());
        };
        match shard::step(entries, name, level) {
            shard::Step::Found(cid) => return Ok(Some(cid)),
            shard::Step::Down(cid) => node = read(cid).await?,
            shard::Step::Absent => break,
        }
    }
    Ok(None)
}
