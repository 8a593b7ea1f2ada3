//! The files beside a bare document that its `inline:` urls name: what `kubectl apply -k` of the folder would put into the
//! ConfigMap: a file that is no text as `binaryData`.

use super::{LoadError, MAX_DATA_BYTES, read_bytes, size};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Adds the file of each key to `data`. A key is one name without a path, so it can leave the folder only as a link, and
/// links out of it are not followed. A key that is there already names the document itself.
pub(super) fn gather(
    folder: &Path,
    keys: BTreeSet<&str>,
    data: &mut BTreeMap<String, Vec<u8>>,
) -> Result<(), LoadError> {
    for key in keys {
        if data.contains_key(key) {
            continue;
        }
        let path = folder.join(key);
        let refuse = |reason| LoadError::Inline { key: key.to_owned(), path: path.clone(), reason };
        let real = path.canonicalize().map_err(|_| refuse("there is no such file beside the document"))?;
        if !real.starts_with(folder) {
            return Err(refuse("it is a link that leads out of the folder"));
        }
        if !real.is_file() {
            return Err(refuse("it is no regular file"));
        }
        let before = size(data);
        let room = MAX_DATA_BYTES.saturating_sub(before);
        let too_large = || LoadError::DataTooLarge { bytes: before.saturating_add(room).saturating_add(1) };
        data.insert(key.to_owned(), read_bytes(&real, room, too_large)?);
    }
    Ok(())
}
