//! Results as trees of blocks, changed in every way that a store, or whoever wrote to it, could change them.

use super::*;
use crate::storage::unixfs::made::{self, Made};
use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

/// A store whose files are as they should be, and whose blocks are what a test makes of them.
#[derive(Debug)]
struct Grove {
    storage: Storage,
    root: Cid,
    blocks: BTreeMap<Cid, Bytes>,
    denies: AtomicBool,
}

#[async_trait]
impl ResultStore for Grove {
    fn name(&self) -> &str {
        self.storage.name()
    }
    async fn jobs(&self) -> Result<Vec<Stored>, StorageError> {
        self.storage.jobs().await
    }
    async fn manifest(&self, stored: &Stored) -> Result<Option<Bytes>, StorageError> {
        ResultStore::manifest(&self.storage, stored).await
    }
    async fn read(
        &self,
        stored: &Stored,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        ResultStore::read(&self.storage, stored, key).await
    }
    async fn link(&self, _: &Stored, _: &str, _: Duration) -> Result<Option<String>, StorageError> {
        Ok(None)
    }
    async fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, StorageError> {
        ResultStore::keys(&self.storage, stored).await
    }
    async fn last_written(&self, _: &Stored) -> Result<Option<Timestamp>, StorageError> {
        Ok(None)
    }
    async fn remove(&self, stored: &Stored) -> Result<super::super::super::Removed, StorageError> {
        self.storage.remove(stored).await
    }
    async fn now(&self) -> Result<Option<Timestamp>, StorageError> {
        Ok(None)
    }
    async fn content_id(&self, _: &Stored) -> Result<Option<String>, StorageError> {
        Ok(Some(self.root.to_string()))
    }
    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StorageError> {
        if self.denies.load(SeqCst) {
            let meaning = super::super::super::error::Meaning::Denied;
            return Err(StorageError::new(meaning, "read a block", self.name(), "status 403"));
        }
        Ok(self.blocks.get(cid).cloned())
    }
}

const LOG: &str = "done\n";
const BIG: &str = "one,two,three,four";

/// The blocks of the usual result, before they are one.
struct Parts {
    leaves: Vec<Made>,
    /// The file of several blocks, on two levels.
    big: Made,
    inner: Made,
    small: Made,
    log: Made,
}

impl Parts {
    fn new() -> Self {
        let leaves: Vec<_> = ["one,", "two,", "three,", "four"].map(|text| made::raw(text.as_bytes())).into();
        let inner = made::file(b"", &[&leaves[1], &leaves[2]], Some(10));
        let big = made::file(b"", &[&leaves[0], &inner, &leaves[3]], Some(18));
        Self { leaves, big, inner, small: made::raw(b"1,2\n"), log: made::raw(LOG.as_bytes()) }
    }
}

/// What a test does to a tree. The folders above are made afterwards, so all of it has a root that is in order.
struct Shape {
    outputs: Vec<(&'static str, Made)>,
    spread: bool,
    /// What the manifest says of the big file.
    told: Option<String>,
    with_manifest: bool,
    extra: Option<&'static str>,
}

async fn grove(shape: impl FnOnce(&Parts, &mut Shape)) -> (Grove, Bench) {
    let (parts, mut bench) = (Parts::new(), Bench::new().await);
    let told = Some(parts.big.cid.to_string());
    let outputs = vec![("big", parts.big.clone()), ("small", parts.small.clone())];
    let mut said = Shape { outputs, spread: false, told, with_manifest: true, extra: None };
    shape(&parts, &mut said);
    for key in ["wf-1/data/outputs/a/b.csv", "wf-1/data/outputs/ü #?"] {
        bench.storage.delete(&Path::parse(key).unwrap()).await.unwrap();
    }
    bench.put("wf-1/data/outputs/big", BIG).await;
    bench.put("wf-1/data/outputs/small", "1,2\n").await;
    let mut files = vec![file("outputs/big", BIG), file("outputs/small", "1,2\n"), file("logs/algorithm.log", LOG)];
    files[0].cid = said.told;
    files[1].cid = Some(parts.small.cid.to_string());
    bench.manifest.files = files;
    bench.seal().await;
    let entries: Vec<_> = said.outputs.iter().map(|(name, made)| (*name, made)).collect();
    let mut blocks = vec![];
    let outputs = if said.spread {
        // The hashes of "big" and "small" do not matter here: who lists goes through all.
        let prefixed: Vec<_> = entries.iter().map(|(name, made)| (format!("0A{name}"), *made)).collect();
        let lower = made::shard(&prefixed.iter().map(|(name, made)| (name.as_str(), *made)).collect::<Vec<_>>());
        let upper = made::shard(&[("FF", &lower)]);
        blocks.push(lower);
        upper
    } else {
        made::directory(&entries)
    };
    let logs = made::directory(&[("algorithm.log", &parts.log)]);
    let data = made::directory(&[("logs", &logs), ("outputs", &outputs)]);
    let (manifest, array) = (made::raw(&bench.manifest.render()), made::raw(b"[]"));
    let mut top = vec![("data", &data), ("results.json", &array)];
    if said.with_manifest {
        top.push(("manifest.json", &manifest));
    }
    if let Some(name) = said.extra {
        top.push((name, &array));
    }
    let root = made::directory(&top);
    blocks.extend([parts.big, parts.inner, parts.small, parts.log, logs, data.clone(), root.clone(), manifest, array]);
    blocks.extend(parts.leaves);
    blocks.extend(said.outputs.into_iter().map(|(_, made)| made));
    blocks.push(outputs);
    let blocks = blocks.into_iter().map(|made| (made.cid, made.bytes)).collect();
    let storage = bench.storage.clone();
    (Grove { storage, root: root.cid, blocks, denies: AtomicBool::new(false) }, bench)
}

async fn cids((grove, bench): &(Grove, Bench)) -> Check {
    let checks = verify(grove, &bench.stored, &bench.expected, &|_| {}).await.unwrap();
    let others = checks.iter().filter(|check| check.name != "cids");
    others.for_each(|check| assert_eq!(check.verdict, Verdict::Passed, "{check:?}"));
    checks.into_iter().find(|check| check.name == "cids").unwrap()
}

#[tokio::test]
async fn every_block_of_folders_and_files_is_recomputed_from_the_root() {
    for spread in [false, true] {
        let check = cids(&grove(|_, shape| shape.spread = spread).await).await;
        assert_eq!(check.verdict, Verdict::Passed, "{check:?}");
        assert!(check.notes[0].contains("stands for this manifest and its files"), "{check:?}");
    }
    // What the manifest does not tell is looked at as well.
    let check = cids(&grove(|_, shape| shape.told = None).await).await;
    assert_eq!(check.verdict, Verdict::Passed, "{check:?}");
}

#[tokio::test]
async fn a_block_that_the_store_changed_or_lost_is_found_wherever_it_is() {
    let mut pair = grove(|_, shape| shape.spread = true).await;
    let sound = pair.0.blocks.clone();
    // Of a file of one block the digest says it all, and another check reads its bytes.
    let files =
        [b"1,2\n".as_slice(), LOG.as_bytes(), b"[]", &pair.1.manifest.render()].map(|bytes| made::raw(bytes).cid);
    let others: Vec<_> = sound.keys().filter(|cid| !files.contains(cid)).copied().collect();
    assert_eq!(others.len(), 11, "root, data, logs, three of outputs' shard and its file's two nodes, four leaves");
    for cid in others {
        for at in [0, sound[&cid].len() / 2, sound[&cid].len() - 1] {
            let mut changed = sound[&cid].to_vec();
            changed[at] ^= 1;
            pair.0.blocks.insert(cid, changed.into());
            let check = cids(&pair).await;
            assert_eq!(check.verdict, Verdict::Failed, "{cid} {at}");
            assert!(check.notes[0].contains(&format!("the block {cid} has other bytes")), "{check:?}");
        }
        pair.0.blocks.remove(&cid);
        let check = cids(&pair).await;
        assert_eq!(check.verdict, Verdict::Failed, "{cid}");
        assert!(check.notes[0].contains(&format!("does not have the block {cid}")), "{check:?}");
        pair.0.blocks.clone_from(&sound);
    }
    assert_eq!(cids(&pair).await.verdict, Verdict::Passed);
}

/// Every block has its hash, but the tree is another than the manifest says.
#[tokio::test]
async fn a_tree_in_order_that_is_not_this_result_is_found() {
    type Change = fn(&Parts, &mut Shape);
    let changes: [(Change, &str); 13] = [
        (|_, shape| drop(shape.outputs.remove(0)), "\"outputs/big\" is not in the tree"),
        (|_, shape| shape.with_manifest = false, "the manifest is not in the tree"),
        (|_, shape| shape.extra = Some("more"), "\"more\" is in the tree"),
        (|_, shape| shape.extra = Some("data"), "\"data\" is in the tree"),
        (|_, shape| shape.extra = Some(".."), "impossible name"),
        (|_, shape| shape.extra = Some("data/outputs/small"), "a slash"),
        (|parts, shape| shape.outputs[1].1 = parts.log.clone(), "\"outputs/small\" has the content id"),
        // Other bytes in a file of several blocks: in order, of a part, one too many.
        (
            |parts, shape| shape.outputs[0].1 = made::file(b"", &[&parts.leaves[1], &parts.leaves[0]], Some(8)),
            "another in the manifest",
        ),
        (
            |parts, shape| {
                let leaves = &parts.leaves;
                let swapped = made::file(b"", &[&leaves[1], &leaves[0], &leaves[2], &leaves[3]], Some(18));
                (shape.told, shape.outputs[0].1) = (Some(swapped.cid.to_string()), swapped);
            },
            "of other bytes",
        ),
        (
            |parts, shape| {
                let longer = made::file(b"", &[&parts.big, &parts.leaves[0]], Some(22));
                (shape.told, shape.outputs[0].1) = (None, longer);
            },
            "more than 18 bytes",
        ),
        (
            |parts, shape| {
                let said = made::file(b"", &[&parts.big], Some(17));
                (shape.told, shape.outputs[0].1) = (None, said);
            },
            "says that it has 17 bytes and has 18",
        ),
        (
            |parts, shape| {
                let folder = made::directory(&[("x", &parts.log)]);
                (shape.told, shape.outputs[0].1) = (None, made::file(b"", &[&folder], Some(18)));
            },
            "does not have the block",
        ),
        (|_, shape| shape.told = Some("no cid".to_owned()), "another in the manifest"),
    ];
    for (number, (change, says)) in changes.into_iter().enumerate() {
        let check = cids(&grove(change).await).await;
        assert_eq!(check.verdict, Verdict::Failed, "{number}");
        assert!(check.notes.iter().any(|note| note.contains(says)), "{number}: {check:?}");
    }
}

#[tokio::test]
async fn another_root_than_this_manifests_is_found() {
    let (other, _) = grove(|_, shape| shape.told = None).await;
    let (mut grove, bench) = grove(|_, _| ()).await;
    grove.blocks.extend(other.blocks);
    grove.root = other.root;
    let check = cids(&(grove, bench)).await;
    assert_eq!(check.verdict, Verdict::Failed);
    assert!(check.notes[0].contains("the manifest has the content id"), "{check:?}");
}

#[tokio::test]
async fn what_cannot_be_recomputed_is_said_to_be_unchecked() {
    let pair = grove(|_, _| ()).await;
    pair.0.denies.store(true, SeqCst);
    let check = cids(&pair).await;
    assert_eq!(check.verdict, Verdict::Unchecked);
    assert!(check.notes[0].contains("/api/v0/block"), "{check:?}");
    // A hash by a function that is not known here: blake2b-256.
    let strange = |parts: &Parts, shape: &mut Shape| {
        let digest = parts.big.cid.hash().digest().to_vec();
        let cid = Cid::new_v1(0x70, cid::multihash::Multihash::wrap(0xb220, &digest).unwrap());
        shape.told = None;
        shape.outputs[0].1 = Made { cid, bytes: parts.big.bytes.clone() };
    };
    let check = cids(&grove(strange).await).await;
    assert_eq!(check.verdict, Verdict::Unchecked);
    assert!(check.notes[0].contains("0xb220"), "{check:?}");
}

#[tokio::test]
async fn blocks_that_multiply_without_end_are_given_up() {
    let bomb = |_: &Parts, shape: &mut Shape| {
        let mut nothing = made::raw(b"");
        let mut all = Vec::new();
        for _ in 0..5 {
            let next = made::file(b"", &[&nothing; 100], None);
            all.push(std::mem::replace(&mut nothing, next));
        }
        // All blocks of it have to be there.
        shape.told = None;
        shape.outputs[0].1 = nothing;
        BOMB.with_borrow_mut(|blocks| *blocks = all);
    };
    let mut pair = grove(bomb).await;
    let blocks = BOMB.take();
    pair.0.blocks.extend(blocks.into_iter().map(|made| (made.cid, made.bytes)));
    let check = cids(&pair).await;
    assert_eq!(check.verdict, Verdict::Failed);
    assert!(check.notes[0].contains("blocks"), "{check:?}");
}

#[tokio::test]
async fn paths_that_are_more_than_any_manifest_could_tell_are_given_up() {
    // A long name above many short ones: small blocks, and each entry's path is long.
    let bomb = |_: &Parts, shape: &mut Shape| {
        let nothing = made::raw(b"");
        let names: Vec<_> = (0..6000).map(|n| n.to_string()).collect();
        let many = made::directory(&names.iter().map(|name| (name.as_str(), &nothing)).collect::<Vec<_>>());
        let long = made::directory(&[("x".repeat(60_000).as_str(), &many)]);
        BOMB.with_borrow_mut(|blocks| *blocks = vec![nothing, many]);
        shape.told = None;
        shape.outputs[0].1 = long;
    };
    let mut pair = grove(bomb).await;
    let blocks = BOMB.take();
    pair.0.blocks.extend(blocks.into_iter().map(|made| (made.cid, made.bytes)));
    let check = cids(&pair).await;
    assert_eq!(check.verdict, Verdict::Failed);
    assert!(check.notes[0].contains("bytes of paths"), "{check:?}");
}

thread_local! {
    static BOMB: std::cell::RefCell<Vec<Made>> = const { std::cell::RefCell::new(Vec::new()) };
}
