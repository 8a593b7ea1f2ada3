//! What no list of objects shows: uploads that were begun and not ended. They are stored, and paid for.

use super::{
    Bucket,
    signed::{Answer, generic},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use object_store::{Error, Result, multipart::MultipartStore as _, path::Path};
use reqwest::StatusCode;
use serde::Deserialize;

/// How many are aborted at once.
const CONCURRENCY: usize = 8;
/// How often uploads are looked for and aborted: a part that was on its way may bring one back.
const ROUNDS: usize = 4;

/// An upload that was begun and not ended.
#[derive(Debug)]
pub(in crate::storage) struct Unfinished {
    /// The key that the object would have, below our prefix.
    pub key: Path,
    /// When it was begun, if the store says so.
    pub begun: Option<Timestamp>,
    id: String,
}

impl Bucket {
    /// All of them below `prefix` (whole segments).
    ///
    /// A server that has no such list has nothing in it, as far as we can know.
    pub(in crate::storage) async fn unfinished(&self, prefix: &Path) -> Result<Vec<Unfinished>> {
        let whole = self.whole_key(prefix);
        let begins = if whole.as_ref().is_empty() { String::new() } else { format!("{whole}/") };
        let (mut found, mut after) = (Vec::new(), (String::new(), String::new()));
        loop {
            let mut query = vec![("uploads", ""), ("prefix", begins.as_str())];
            if !after.0.is_empty() {
                query.extend([("key-marker", after.0.as_str()), ("upload-id-marker", after.1.as_str())]);
            }
            let answer = self.ask(&query).await?;
            if matches!(answer.status, StatusCode::NOT_IMPLEMENTED | StatusCode::METHOD_NOT_ALLOWED) {
                return Ok(found);
            }
            let page = page(answer)?;
            found.extend(page.uploads.into_iter().filter_map(|upload| self.ours(upload, &begins)));
            let next = (page.next_key_marker.unwrap_or_default(), page.next_upload_id_marker.unwrap_or_default());
            if !page.is_truncated {
                return Ok(found);
            }
            if next.0.is_empty() || next == after {
                return Err(generic("its list of uploads does not get on"));
            }
            after = next;
        }
    }

    /// Aborts all of them below `prefix`; a write that is in progress there fails.
    pub(in crate::storage) async fn abort_unfinished(&self, prefix: &Path) -> Result<()> {
        for _ in 0..ROUNDS {
            let found = self.unfinished(prefix).await?;
            if found.is_empty() {
                return Ok(());
            }
            stream::iter(found)
                .map(|upload| async move {
                    match self.store.abort_multipart(&self.whole_key(&upload.key), &upload.id).await {
                        // Somebody ended it.
                        Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                        Err(error) => Err(error),
                    }
                })
                .buffer_unordered(CONCURRENCY)
                .try_collect::<()>()
                .await?;
        }
        match self.unfinished(prefix).await?.first() {
            None => Ok(()),
            Some(left) => Err(generic(format!("the upload of {} is still open after it was aborted", left.key))),
        }
    }

    /// None for a key that cannot be one of ours.
    fn ours(&self, upload: Upload, begins: &str) -> Option<Unfinished> {
        if !upload.key.starts_with(begins) {
            return None;
        }
        let whole = Path::parse(&upload.key).ok()?;
        let key = whole.prefix_match(&self.prefix)?.collect();
        Some(Unfinished { key, begun: upload.initiated.and_then(|text| text.parse().ok()), id: upload.upload_id })
    }
}

fn page(answer: Answer) -> Result<Page> {
    if !answer.status.is_success() {
        return Err(answer.into_error());
    }
    quick_xml::de::from_reader(answer.body.as_ref()).map_err(generic)
}

/// `ListMultipartUploadsResult` of the S3 API.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_page_is_read_as_servers_write_it() {
        let body = Bytes::from_static(
            br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>
            <KeyMarker></KeyMarker><NextKeyMarker>k2</NextKeyMarker><NextUploadIdMarker/><IsTruncated>true</IsTruncated>
            <Upload><Key>wf/a &amp; b</Key><UploadId>1</UploadId><Initiated>2026-01-02T03:04:05.000Z</Initiated></Upload>
            <CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes>
            <Upload><UploadId>2</UploadId><Key>wf/c</Key><Owner><ID>o</ID></Owner></Upload>
            </ListMultipartUploadsResult>"#,
        );
        let page = page(Answer { status: StatusCode::OK, date: None, body }).unwrap();
        let keys: Vec<_> = page.uploads.iter().map(|upload| (upload.key.as_str(), upload.upload_id.as_str())).collect();
        assert_eq!(keys, [("wf/a & b", "1"), ("wf/c", "2")]);
        assert!(page.is_truncated && page.next_key_marker.as_deref() == Some("k2"));
    }
}
