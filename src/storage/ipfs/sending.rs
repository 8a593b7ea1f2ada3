//! A whole result in one request, whose last files name the content ids of those before them.

use super::{
    failure::Failure,
    rpc::Rpc,
    upload::{Begun, Upload, added, begin, together},
};
use crate::{
    storage::{TreeFile, TreeSource},
    workflow::ResultId,
};
use bytes::Bytes;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Sends all of `source` as one folder that has the job's name. Returns its content id; what becomes of it, `query` says.
pub(super) async fn send_tree(
    rpc: &Rpc,
    query: &[(&str, &str)],
    job: &ResultId,
    source: &dyn TreeSource,
    files: &[TreeFile],
) -> Result<String, Failure> {
    let Begun { upload, body, content_type, alive } = begin()?;
    let (known, all_known) = oneshot::channel();
    let reading = async {
        let mut answer = rpc.add(query, body, content_type).await?;
        let mut ids = Ids::new(job, files, known);
        while let Some(line) = added(&mut answer).await? {
            alive.notify_one();
            ids.take(line.name, line.hash);
        }
        ids.root(job)
    };
    let writing = write(upload, job, files, source, all_known);
    let (root, ()) = together(&alive, rpc.patience.write, reading, writing).await?;
    Ok(root)
}

/// Writes all parts; the last wait until the content ids of all others are known.
async fn write(
    mut upload: Upload,
    job: &ResultId,
    files: &[TreeFile],
    source: &dyn TreeSource,
    all_known: oneshot::Receiver<Vec<String>>,
) -> Result<(), Failure> {
    for (index, file) in files.iter().enumerate() {
        upload.file(&format!("{job}/{}", file.path)).await?;
        upload.stream(source.bytes(index), file.size).await?;
    }
    let mut all_known = Some(all_known);
    let mut last: Vec<Bytes> = Vec::new();
    for (index, path) in source.last_paths().iter().enumerate() {
        // The node tells of a file when the next one begins.
        upload.file(&format!("{job}/{path}")).await?;
        if let Some(all_known) = all_known.take() {
            let cids = all_known.await.map_err(|_| Failure::Unreachable("the node stopped answering".into()))?;
            last = source.last(cids).map_err(|_| Failure::Broken)?;
        }
        upload.bytes(last.get(index).cloned().ok_or(Failure::Broken)?).await?;
    }
    upload.end().await
}

/// The content ids that the node tells, in the files' order.
struct Ids {
    /// By full name, of those that are awaited.
    places: HashMap<String, usize>,
    ids: Vec<String>,
    known: Option<oneshot::Sender<Vec<String>>>,
    last: Option<(String, String)>,
}

impl Ids {
    fn new(job: &ResultId, files: &[TreeFile], known: oneshot::Sender<Vec<String>>) -> Self {
        let names = files.iter().enumerate().map(|(index, file)| (format!("{job}/{}", file.path), index));
        let mut ids =
            Self { places: names.collect(), ids: vec![String::new(); files.len()], known: Some(known), last: None };
        ids.tell();
        ids
    }

    fn take(&mut self, name: String, id: String) {
        if let Some(index) = self.places.remove(&name) {
            if let Some(place) = self.ids.get_mut(index) {
                place.clone_from(&id);
            }
            self.tell();
        }
        self.last = Some((name, id));
    }

    fn tell(&mut self) {
        if self.places.is_empty()
            && let Some(known) = self.known.take()
        {
            // Nobody waits any more only if the upload failed, which is told by that.
            let _ = known.send(std::mem::take(&mut self.ids));
        }
    }

    /// The last line is the root's.
    fn root(self, job: &ResultId) -> Result<String, Failure> {
        match self.last {
            Some((name, id)) if name == job.as_str() && self.known.is_none() => Ok(id),
            _ => Err(Failure::Unreachable("its answer ended before it was complete".into())),
        }
    }
}
