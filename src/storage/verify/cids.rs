//! Content ids beside digests: both name the bytes, so they must say the same.

use super::{Check, Verdict};
use crate::storage::manifest::Manifest;
use cid::Cid;

/// Multicodec's `raw`: a block that is the file.
pub(super) const RAW: u64 = 0x55;
/// Multihash's SHA2-256.
pub(super) const SHA2_256: u64 = 0x12;

/// That content ids say the same as digests. A file of one block has its own digest in its id; those of larger ones are hashes of
/// hashes, and the node that holds the blocks has checked them.
pub(super) fn check(manifest: &Manifest) -> Option<Check> {
    let (mut wrong, mut same, mut blocks) = (Vec::new(), 0, 0);
    for file in &manifest.files {
        let Some(text) = &file.cid else { continue };
        match Cid::try_from(text.as_str()) {
            Err(_) => wrong.push(format!("{:?} has no content id but {text:?}", file.path)),
            Ok(cid) if cid.codec() != RAW || cid.hash().code() != SHA2_256 => blocks += 1,
            Ok(cid) if hex::encode(cid.hash().digest()) == file.sha256.to_string() => same += 1,
            Ok(_) => wrong.push(format!("{:?} has the content id {text}, which is of other bytes", file.path)),
        }
    }
    if same + blocks == 0 && wrong.is_empty() {
        return None;
    }
    let verdict = format!("{same} content ids are those of the files' digests");
    Some(match (wrong.is_empty(), same, blocks) {
        (true, _, 0) => Check::new("cids", Verdict::Passed, verdict),
        (true, _, _) => {
            Check::new("cids", Verdict::Unchecked, format!("{verdict}; {blocks} are of files of several blocks"))
        }
        (false, ..) => Check::of("cids", wrong, ""),
    })
}
