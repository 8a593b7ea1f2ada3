//! A tree of content ids, recomputed: from the root down, every block against the id that names it.
//!
//! A content id is the hash of a block, and a block names further ones by theirs. So whoever follows all of them from the root
//! knows what the root stands for, whatever the store says: names, and every byte. How the files were cut into blocks does
//! not matter.

use crate::{
    storage::{
        ResultStore, StorageError, manifest,
        unixfs::{self, Node, UnknownHash},
    },
    workflow::digest::{Hasher, Sha256},
};
use bytes::Bytes;
use cid::Cid;
use std::collections::BTreeMap;

/// The most entries of all folders together, and blocks of folders.
const MAX_ENTRIES: usize = 2_000_000;
/// The most bytes of a path: more than any that is published.
const MAX_PATH_LEN: usize = 64 * 1024;
/// The most bytes of all paths that are known at once. Those of what is published fit a manifest, so this is ample; but a small
/// block that is below a long name makes many long paths.
const MAX_PATHS_LEN: usize = 4 * manifest::MAX_LEN as usize;
/// The most blocks of one file. With Kubo's smallest default of 256 KiB, that is 256 GiB.
const MAX_BLOCKS: usize = 1 << 20;

/// Why a tree is not what its root says, or why that cannot be known.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is not; a sentence.
    Wrong(String),
    /// It cannot be known; a sentence.
    Unknown(String),
    /// The store cannot be asked.
    Store(StorageError),
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::Wrong(what.into())
}

/// The blocks of a store.
pub(super) struct Blocks<'a> {
    pub(super) store: &'a dyn ResultStore,
    /// Told of the bytes as they are read.
    pub(super) watch: &'a (dyn Fn(u64) + Sync),
}

impl Blocks<'_> {
    /// Every file below `root`, by its path.
    pub(super) async fn files(&self, root: Cid) -> Result<BTreeMap<String, Cid>, Problem> {
        let (mut files, mut left, mut seen) = (BTreeMap::new(), vec![(root, String::new())], 0_usize);
        let mut paths_len = 0_usize;
        while let Some((cid, path)) = left.pop() {
            // Its id says that it is a file, and what of: its bytes are not needed.
            if cid.codec() == unixfs::RAW && !path.is_empty() && !path.ends_with('/') {
                if files.insert(path.clone(), cid).is_some() {
                    return Err(wrong(format!("{path:?} is twice in the tree")));
                }
                continue;
            }
            // The path of a folder ends in a slash, but for the root's, which is empty.
            let folder = if path.is_empty() || path.ends_with('/') { path.clone() } else { format!("{path}/") };
            let (entries, fanned) = match self.node(&cid).await? {
                Node::File { .. } if path.is_empty() || path.ends_with('/') => {
                    return Err(wrong(format!("{cid} is to be a folder and is a file")));
                }
                Node::File { .. } => {
                    if files.insert(path.clone(), cid).is_some() {
                        return Err(wrong(format!("{path:?} is twice in the tree")));
                    }
                    continue;
                }
                Node::Directory(entries) => (entries, false),
                Node::Shard(entries, unixfs::shard::FANOUT) => (entries, true),
                Node::Shard(..) => {
                    return Err(Problem::Unknown(format!("{cid} is part of a folder of another fanout")));
                }
            };
            // From here on it is known by what is below it.
            paths_len = paths_len.saturating_sub(path.len());
            seen += entries.len() + 1;
            if seen > MAX_ENTRIES {
                return Err(wrong(format!("it has more than {MAX_ENTRIES} entries")));
            }
            for entry in entries {
                let name = if fanned { entry.name.get(2..).unwrap_or_default() } else { &entry.name[..] };
                match std::str::from_utf8(name) {
                    // Of a folder in parts, a part.
                    Ok("") if fanned => left.push((entry.cid, folder.clone())),
                    Ok("" | "." | "..") | Err(_) => {
                        return Err(wrong(format!("{cid} has an entry with an impossible name")));
                    }
                    Ok(name) if name.contains('/') => {
                        return Err(wrong(format!("{cid} has an entry with a slash in it")));
                    }
                    Ok(name) if folder.len() + name.len() > MAX_PATH_LEN => {
                        return Err(wrong(format!(
                            "{cid} has an entry whose path is longer than {MAX_PATH_LEN} bytes"
                        )));
                    }
                    Ok(name) => left.push((entry.cid, format!("{folder}{name}"))),
                }
                paths_len += left.last().map_or(0, |(_, path)| path.len());
                if paths_len > MAX_PATHS_LEN {
                    return Err(wrong(format!("it has more than {MAX_PATHS_LEN} bytes of paths")));
                }
            }
        }
        Ok(files)
    }

    /// The digest and the bytes of the file that `cid` stands for, of which it may have so many at most.
    pub(super) async fn digest(&self, cid: Cid, most: u64) -> Result<(Sha256, u64), Problem> {
        let (mut hasher, mut len, mut left, mut said) = (Hasher::default(), 0_u64, vec![cid], None);
        for blocks in 0.. {
            let Some(next) = left.pop() else { break };
            let Node::File { data, links, size } = self.node(&next).await? else {
                return Err(wrong(format!("{next} is to be a part of a file and is a folder")));
            };
            if next == cid && blocks == 0 {
                said = size;
            }
            len = len.saturating_add(data.len() as u64);
            if len > most {
                return Err(wrong(format!("{cid} stands for more than {most} bytes")));
            }
            hasher.update(&data);
            if blocks + left.len() + links.len() > MAX_BLOCKS {
                return Err(wrong(format!("{cid} has more than {MAX_BLOCKS} blocks")));
            }
            left.extend(links.into_iter().rev());
        }
        match said {
            Some(said) if said != len => Err(wrong(format!("{cid} says that it has {said} bytes and has {len}"))),
            _ => Ok((hasher.finish(), len)),
        }
    }

    async fn node(&self, cid: &Cid) -> Result<Node, Problem> {
        let block = self.block(cid).await?;
        Node::read(cid.codec(), block).map_err(|error| wrong(format!("{cid} cannot be read: {error}")))
    }

    /// The block, checked.
    async fn block(&self, cid: &Cid) -> Result<Bytes, Problem> {
        match unixfs::inline(cid) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(UnknownHash(code)) => {
                return Err(Problem::Unknown(format!(
                    "{cid} is a hash by a function that is not known here ({code:#x})"
                )));
            }
        }
        let block = self.store.block(cid).await.map_err(Problem::Store)?;
        let block = block.ok_or_else(|| wrong(format!("the store does not have the block {cid}")))?;
        (self.watch)(block.len() as u64);
        if unixfs::is_of(cid, &block) { Ok(block) } else { Err(wrong(format!("the block {cid} has other bytes"))) }
    }
}
