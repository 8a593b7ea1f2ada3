//! The commands of a node that are used, each with what can be relied on.
//!
//! Kubo's acknowledgements differ: `add` with a pin, `pin/add`, `pin/rm` and `files/cp` survive a crash of the node at once,
//! `files/mkdir` and `files/rm` do not before the root is flushed. And while it is not, the garbage collector takes the
//! blocks of the root that is on disk, after which a crash leaves a node that does not start. So whatever leaves something
//! unflushed flushes it before it returns. `files/mv`, `files/write` and `files/ls` with details are never used: the first
//! leaves its source behind, the second shows half-written files, the third makes the next write take minutes.

use super::{
    failure::{Complaint, Failure},
    rpc::{Answer, Rpc, json, within},
};
use bytes::Bytes;
use cid::Cid;
use serde::Deserialize;

/// The oldest Kubo that is used. Before it, collecting garbage could take files that were just being written.
pub(super) const OLDEST: (u64, u64) = (0, 43);

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    pub cid: String,
    /// Bytes of a file; of a folder 0.
    pub size: u64,
    pub is_folder: bool,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub name: String,
    pub cid: String,
    /// Bytes of a file.
    pub size: u64,
    pub is_folder: bool,
}

/// A recursive pin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pin {
    pub cid: String,
    #[serde(default)]
    pub name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawStat {
    hash: String,
    size: u64,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Object {
    links: Option<Vec<Link>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Link {
    name: String,
    hash: String,
    size: u64,
    r#type: u8,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

/// `text` if it is a content id. Others end up in paths, so nothing else may.
pub(super) fn checked_cid(text: String) -> Result<String, Failure> {
    match Cid::try_from(text.as_str()) {
        // Base 64 may have a slash.
        Ok(_) if text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => Ok(text),
        _ => Err(Failure::Foreign("its answer has something that is no content id".into())),
    }
}

/// Where the content of this id lies for commands that take paths.
pub(super) fn ipfs_path(cid: &str) -> String {
    format!("/ipfs/{cid}")
}

impl Rpc {
    /// The node's version, as it says it.
    pub(super) async fn version(&self) -> Result<String, Failure> {
        Ok(json::<Version>(&self.ask("version", &[]).await?)?.version)
    }

    /// What stands at `path`, which is one of MFS or begins with `/ipfs/`; none if there is nothing.
    pub(super) async fn stat(&self, path: &str) -> Result<Option<Stat>, Failure> {
        let stat = match self.ask("files/stat", &[("arg", path)]).await {
            Err(failure) if failure.is(Complaint::Absent) => return Ok(None),
            stat => json::<RawStat>(&stat?)?,
        };
        let is_folder = stat.r#type == "directory";
        let size = if is_folder { 0 } else { stat.size };
        Ok(Some(Stat { cid: checked_cid(stat.hash)?, size, is_folder }))
    }

    /// The entries of the folder with this content id: a consistent picture, in no order. A file has none.
    pub(super) async fn entries(&self, cid: &str) -> Result<Vec<Entry>, Failure> {
        let mut answer = self.ask_for_stream("ls", &[("arg", &ipfs_path(cid)), ("stream", "true")]).await?;
        let mut entries = Vec::new();
        while let Some(line) = answer.line().await? {
            for link in json::<Listing>(&line)?.objects.into_iter().filter_map(|object| object.links).flatten() {
                let is_folder = match link.r#type {
                    1 => true,
                    2 => false,
                    other => return Err(Failure::Foreign(format!("{} is of type {other}", link.name))),
                };
                let size = if is_folder { 0 } else { link.size };
                entries.push(Entry { cid: checked_cid(link.hash)?, name: link.name, size, is_folder });
            }
        }
        Ok(entries)
    }

    /// The bytes of the file at `path` (`/ipfs/…`), from `offset` on and so many. To be counted.
    pub(super) async fn cat(&self, path: &str, offset: u64, len: u64) -> Result<Answer, Failure> {
        let (offset, len) = (offset.to_string(), len.to_string());
        self.ask_for_stream("cat", &[("arg", path), ("offset", &offset), ("length", &len)]).await
    }

    /// The file at `path` (`/ipfs/…`) as a whole, if it has at most `max_len` bytes; none if it is not there.
    pub(super) async fn file(&self, path: &str, max_len: u64) -> Result<Option<Bytes>, Failure> {
        let Some(stat) = self.stat(path).await?.filter(|stat| !stat.is_folder) else { return Ok(None) };
        if stat.size > max_len {
            return Err(Failure::Foreign(format!("it has {} bytes where at most {max_len} are read", stat.size)));
        }
        if stat.size == 0 {
            return Ok(Some(Bytes::new()));
        }
        let answer = self.cat(&ipfs_path(&stat.cid), 0, stat.size).await?;
        let bytes = answer.whole(usize::try_from(max_len).unwrap_or(usize::MAX)).await?;
        if bytes.len() as u64 != stat.size {
            return Err(Failure::Unreachable(format!("it ended after {} of {} bytes", bytes.len(), stat.size)));
        }
        Ok(Some(bytes))
    }

    /// Makes a folder and those above it, if they are not there yet. Survives a crash.
    pub(super) async fn make_folder(&self, path: &str) -> Result<(), Failure> {
        self.change("files/mkdir", &[("arg", path), ("parents", "true"), ("cid-version", "1")]).await?;
        self.flush(path).await
    }

    /// Enters what `source` (`/ipfs/…` or a path of MFS) has at `target`. Without `overwrite` at most one of many succeeds,
    /// and the others find that it [exists](Complaint::Exists). Survives a crash.
    pub(super) async fn copy(&self, source: &str, target: &str, overwrite: bool) -> Result<(), Failure> {
        let mut query = vec![("arg", source), ("arg", target), ("parents", "true")];
        if overwrite {
            query.push(("force", "true"));
        }
        self.change("files/cp", &query).await.map(drop)
    }

    /// Removes what is at `path`, folders and all; nothing there is fine. Survives a crash.
    pub(super) async fn remove_path(&self, path: &str) -> Result<(), Failure> {
        self.change("files/rm", &[("arg", path), ("force", "true")]).await?;
        self.flush("/").await
    }

    /// Makes changes at `path` survive a crash.
    pub(super) async fn flush(&self, path: &str) -> Result<(), Failure> {
        self.change("files/flush", &[("arg", path)]).await.map(drop)
    }

    /// Keeps all that `cid` leads to, under this name; false if the node does not have all of it. A second time replaces the
    /// name. Survives a crash.
    pub(super) async fn pin(&self, cid: &str, name: &str) -> Result<bool, Failure> {
        match self.change("pin/add", &[("arg", cid), ("name", name)]).await {
            Err(failure) if failure.is(Complaint::NoContent) => Ok(false),
            pinned => pinned.map(|_| true),
        }
    }

    /// Stops keeping it; false if it was not kept. Survives a crash.
    pub(super) async fn unpin(&self, cid: &str) -> Result<bool, Failure> {
        match self.change("pin/rm", &[("arg", cid)]).await {
            Err(failure) if failure.is(Complaint::NotPinned) => Ok(false),
            unpinned => unpinned.map(|_| true),
        }
    }

    /// The name that it is kept under; none if it is not kept by itself.
    pub(super) async fn pin_name(&self, cid: &str) -> Result<Option<String>, Failure> {
        let query = [("arg", cid), ("type", "recursive"), ("names", "true"), ("stream", "true")];
        match self.pins_by(&query).await {
            Err(failure) if failure.is(Complaint::NotPinned) => Ok(None),
            pins => Ok(pins?.into_iter().find(|pin| pin.cid == cid).map(|pin| pin.name)),
        }
    }

    /// All that is kept under a name that begins with `prefix`.
    pub(super) async fn pins(&self, prefix: &str) -> Result<Vec<Pin>, Failure> {
        // The node looks for the text anywhere in a name.
        let query = [("type", "recursive"), ("names", "true"), ("stream", "true"), ("name", prefix)];
        let mut pins = self.pins_by(&query).await?;
        pins.retain(|pin| pin.name.starts_with(prefix));
        Ok(pins)
    }

    async fn pins_by(&self, query: &[(&str, &str)]) -> Result<Vec<Pin>, Failure> {
        let mut answer = self.ask_for_stream("pin/ls", query).await?;
        let mut pins = Vec::new();
        while let Some(line) = answer.line().await? {
            let pin: Pin = json(&line)?;
            pins.push(Pin { cid: checked_cid(pin.cid)?, name: pin.name });
        }
        Ok(pins)
    }

    /// Frees what nothing keeps. This can take long, and other changes wait for it.
    pub(super) async fn collect_garbage(&self) -> Result<(), Failure> {
        self.flush("/").await?;
        let patience = self.patience.write;
        let mut answer = within(patience, self.command("repo/gc", &[])).await?.patient(patience);
        while answer.chunk().await?.is_some() {}
        Ok(())
    }
}
