//! Content ids beside digests: both name the bytes, so they must say the same.

use super::{
    CONCURRENCY, Check, Verdict,
    blocks::{Blocks, Problem},
};
use crate::{
    storage::{
        Keys, ResultStore, StorageError, Stored,
        manifest::{File, Manifest},
        unixfs::{RAW, SHA2_256},
    },
    workflow::digest::Sha256,
};
use cid::Cid;
use futures::{StreamExt as _, TryStreamExt as _, stream};

/// That content ids say the same as digests: those of the manifest's files, and the one of the whole, which has to stand for
/// this manifest and these files. Where the store has blocks, all are recomputed from them.
pub(super) async fn check(
    store: &dyn ResultStore,
    stored: &Stored,
    manifest: &Manifest,
    bytes: &[u8],
    watch: &(dyn Fn(u64) + Sync),
) -> Result<Option<Check>, StorageError> {
    let Some(root) = store.content_id(stored).await? else { return Ok(told(manifest)) };
    let checked = match root.parse() {
        Ok(cid) => recomputed(&Blocks { store, watch }, stored, cid, manifest, bytes).await,
        Err(_) => Err(Problem::Wrong(format!("the content id of the whole is none: {root:?}"))),
    };
    let unchecked = |why: String| Ok(Some(Check::new("cids", Verdict::Unchecked, why)));
    match checked {
        Ok(wrong) => {
            let good = format!("{root} stands for this manifest and its files: every block has the hash that names it");
            Ok(Some(Check::of("cids", wrong, good)))
        }
        Err(Problem::Wrong(what)) => Ok(Some(Check::new("cids", Verdict::Failed, what))),
        Err(Problem::Unknown(why)) => unchecked(why),
        Err(Problem::Store(error @ StorageError::Denied { .. })) => unchecked(format!(
            "blocks cannot be read, so content ids are not recomputed: {error} (of IPFS: /api/v0/block)"
        )),
        Err(Problem::Store(error)) => Err(error),
    }
}

/// What is wrong with what `root` stands for.
async fn recomputed(
    blocks: &Blocks<'_>,
    stored: &Stored,
    root: Cid,
    manifest: &Manifest,
    bytes: &[u8],
) -> Result<Vec<String>, Problem> {
    let mut tree = blocks.files(root).await?;
    let (mut wrong, mut pairs) = (Vec::new(), Vec::new());
    let prefix = format!("{}/", stored.job);
    for file in &manifest.files {
        match file.key.strip_prefix(&prefix).and_then(|path| tree.remove(path)) {
            None => wrong.push(format!("{:?} is not in the tree of {root}", file.path)),
            Some(cid) => {
                if file.cid.as_ref().is_some_and(|told| told.parse::<Cid>().ok() != Some(cid)) {
                    wrong.push(format!(
                        "{:?} has the content id {cid} in the tree, and another in the manifest",
                        file.path
                    ));
                }
                pairs.push((file, cid));
            }
        }
    }
    let checks = stream::iter(pairs).map(async |(file, cid)| {
        let differs = differs(blocks, cid, file.sha256, file.size).await?;
        Ok::<_, Problem>(differs.map(|how| format!("{:?} {how}", file.path)))
    });
    let differing: Vec<Option<String>> = checks.buffered(CONCURRENCY).try_collect().await?;
    wrong.extend(differing.into_iter().flatten());
    match tree.remove(Keys::MANIFEST) {
        None => wrong.push(format!("the manifest is not in the tree of {root}")),
        Some(cid) => {
            let differs = differs(blocks, cid, Sha256::of(bytes), bytes.len() as u64).await?;
            wrong.extend(differs.map(|how| format!("the manifest {how}")));
        }
    }
    tree.remove(Keys::RESULTS);
    wrong.extend(
        tree.keys().map(|path| format!("{path:?} is in the tree of {root}, and the manifest does not name it")),
    );
    Ok(wrong)
}

/// How what `cid` stands for differs from that; none if it does not.
async fn differs(blocks: &Blocks<'_>, cid: Cid, sha256: Sha256, size: u64) -> Result<Option<String>, Problem> {
    let of_others = || Some(format!("has the content id {cid}, which is of other bytes"));
    if let Some(digest) = digest_in(&cid) {
        return Ok(if digest == sha256.as_bytes() { None } else { of_others() });
    }
    match blocks.digest(cid, size).await {
        Ok(found) => Ok(if found == (sha256, size) { None } else { of_others() }),
        Err(Problem::Wrong(how)) => Ok(Some(format!("has a content id that does not hold: {how}"))),
        Err(problem) => Err(problem),
    }
}

/// The digest of the file in its own content id: of a file of one block.
fn digest_in(cid: &Cid) -> Option<&[u8]> {
    (cid.codec() == RAW && cid.hash().code() == SHA2_256).then(|| cid.hash().digest())
}

/// What content ids tell by themselves, in a copy of a result without its blocks.
fn told(manifest: &Manifest) -> Option<Check> {
    let (mut wrong, mut same, mut blocks) = (Vec::new(), 0, 0);
    for File { path, cid, sha256, .. } in &manifest.files {
        let Some(text) = cid else { continue };
        match Cid::try_from(text.as_str()) {
            Err(_) => wrong.push(format!("{path:?} has no content id but {text:?}")),
            Ok(cid) => match digest_in(&cid) {
                None => blocks += 1,
                Some(digest) if digest == sha256.as_bytes() => same += 1,
                Some(_) => wrong.push(format!("{path:?} has the content id {text}, which is of other bytes")),
            },
        }
    }
    if same + blocks == 0 && wrong.is_empty() {
        return None;
    }
    let verdict = format!("{same} content ids are those of the files' digests");
    Some(match (wrong.is_empty(), blocks) {
        (true, 0) => Check::new("cids", Verdict::Passed, verdict),
        (true, _) => {
            let more = format!("{blocks} are of files of several blocks, which are not here");
            Check::new("cids", Verdict::Unchecked, format!("{verdict}; {more}"))
        }
        (false, _) => Check::of("cids", wrong, ""),
    })
}
