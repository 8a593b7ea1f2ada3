//! Reading and listing objects. Folders are only names that keys have in common: an empty one is not there.

use super::{MfsStore, STORE, failed, is_staged};
use crate::storage::ipfs::{
    commands::{Entry, Stat, ipfs_path},
    failure::{Complaint, Failure},
};
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::{
    Attributes, Error, GetOptions, GetResult, GetResultPayload, ListResult, ObjectMeta, Result, path::Path,
};

/// How many folders are looked into at once.
const CONCURRENCY: usize = 8;

impl MfsStore {
    pub(super) async fn read(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = meta(location.clone(), &self.stat_object(location).await?);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) if !options.head => range.as_range(meta.size).map_err(generic)?,
            _ => 0..meta.size,
        };
        let payload = if options.head || range.is_empty() {
            stream::empty().boxed()
        } else {
            // By content id: whatever becomes of the path, these bytes stay what they are.
            let path = ipfs_path(meta.e_tag.as_deref().unwrap_or_default());
            let (offset, len) = (range.start, range.end - range.start);
            let answer = self.rpc.cat(&path, offset, len).await.map_err(|failure| failed(location, failure))?;
            let location = location.clone();
            stream::try_unfold((answer, len), move |(mut answer, left)| {
                let location = location.clone();
                async move {
                    match answer.chunk().await.map_err(|failure| failed(&location, failure))? {
                        Some(chunk) if chunk.len() as u64 <= left => {
                            let left = left - chunk.len() as u64;
                            Ok(Some((chunk, (answer, left))))
                        }
                        None if left == 0 => Ok(None),
                        _ => Err(generic(Failure::Unreachable(format!("{left} bytes are missing, or there are more")))),
                    }
                }
            })
            .boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(payload),
            meta,
            range,
            attributes: Attributes::default(),
            extensions: Default::default(),
        })
    }

    /// The object at `location`.
    pub(super) async fn stat_object(&self, location: &Path) -> Result<Stat> {
        let missing = |failure: Failure| Error::NotFound { path: location.to_string(), source: failure.into() };
        let absent = || missing(Failure::Said("there is no such file".into()));
        if is_staged(location) || location.as_ref().is_empty() {
            return Err(absent());
        }
        match self.rpc.stat(&self.path(location)?).await {
            Ok(Some(stat)) if !stat.is_folder => Ok(stat),
            Ok(_) => Err(absent()),
            Err(failure) if failure.is(Complaint::WrongKind) => Err(missing(failure)),
            Err(failure) => Err(failed(location, failure)),
        }
    }

    /// Every object below `prefix`, folder by folder, as they were when it was begun.
    pub(super) fn walk(self, prefix: Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let begin = async move {
            let folder = self.folder_at(&prefix).await?;
            let folders: Vec<_> = folder.map(|cid| (cid, prefix)).into_iter().collect();
            Ok::<_, Error>(stream::try_unfold((self, folders), |(store, mut folders)| async move {
                let Some((cid, path)) = folders.pop() else { return Ok(None) };
                let (objects, below) = store.children(&cid, &path).await?;
                folders.extend(below);
                Ok::<_, Error>(Some((stream::iter(objects.into_iter().map(Ok)), (store, folders))))
            }))
        };
        stream::once(begin).try_flatten().try_flatten().boxed()
    }

    pub(super) async fn look(&self, prefix: Path) -> Result<ListResult> {
        let Some(cid) = self.folder_at(&prefix).await? else {
            return Ok(ListResult { common_prefixes: vec![], objects: vec![], extensions: Default::default() });
        };
        let (objects, folders) = self.children(&cid, &prefix).await?;
        let known = stream::iter(folders).map(|(cid, path)| async move {
            let has_any = self.has_any(&cid, &path).await?;
            Ok::<_, Error>(has_any.then_some(path))
        });
        let common_prefixes = known.buffered(CONCURRENCY).try_filter_map(|path| async { Ok(path) });
        Ok(ListResult {
            common_prefixes: common_prefixes.try_collect().await?,
            objects,
            extensions: Default::default(),
        })
    }

    /// Whether there is any object in the folder.
    async fn has_any(&self, cid: &str, path: &Path) -> Result<bool> {
        let mut folders = vec![(cid.to_owned(), path.clone())];
        while let Some((cid, path)) = folders.pop() {
            let (objects, below) = self.children(&cid, &path).await?;
            if !objects.is_empty() {
                return Ok(true);
            }
            folders.extend(below);
        }
        Ok(false)
    }

    /// The content id of the folder at `prefix`.
    async fn folder_at(&self, prefix: &Path) -> Result<Option<String>> {
        if is_staged(prefix) {
            return Ok(None);
        }
        let path = if prefix.as_ref().is_empty() { self.folder.clone() } else { self.path(prefix)? };
        match self.rpc.stat(&path).await {
            Ok(stat) => Ok(stat.filter(|stat| stat.is_folder).map(|stat| stat.cid)),
            Err(failure) if failure.is(Complaint::WrongKind) => Ok(None),
            Err(failure) => Err(failed(prefix, failure)),
        }
    }

    /// Objects and folders in the folder with this content id, which is at `path`; each ordered by name. What somebody else
    /// gave a name that no key can have is left out.
    async fn children(&self, cid: &str, path: &Path) -> Result<(Vec<ObjectMeta>, Vec<(String, Path)>)> {
        let mut entries = self.rpc.entries(cid).await.map_err(|failure| failed(path, failure))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let (mut objects, mut folders) = (Vec::new(), Vec::new());
        for Entry { name, cid, size, is_folder } in entries {
            let text = if path.as_ref().is_empty() { name } else { format!("{path}/{name}") };
            let Ok(location) = Path::parse(&text) else { continue };
            if location.as_ref() != text || is_staged(&location) {
                continue;
            }
            if is_folder {
                folders.push((cid, location));
            } else {
                objects.push(meta(location, &Stat { cid, size, is_folder }));
            }
        }
        Ok((objects, folders))
    }
}

fn meta(location: Path, stat: &Stat) -> ObjectMeta {
    // The epoch: MFS keeps no times.
    let last_modified = Default::default();
    ObjectMeta { location, last_modified, size: stat.size, e_tag: Some(stat.cid.clone()), version: None }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}
