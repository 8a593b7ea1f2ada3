//! Files of S3: `s3://bucket/key`, from buckets that the admin lists, with his keys.
//!
//! A URL is signed for each attempt, and the file is then fetched like any other ([`super::http`]): same guard, same caps,
//! resumed likewise. So no credential but a signature that ends within minutes ever leaves this process, and the server of
//! the configuration is reached under the same rules as anybody's.

use super::{
    fault::FetchError,
    http::{Ask, choose_tls},
    percent,
    policy::S3Policy,
};
use crate::storage::{Credentials, S3, S3Credentials, Storage, StorageError, Target};
use async_trait::async_trait;
use object_store::path::Path;
use reqwest::Url;
use std::time::Duration;

/// How long a signed URL is good for: an attempt begins at once, and goes on however long it takes.
const VALID: Duration = Duration::from_secs(300);

/// A file of a bucket.
#[derive(Debug)]
pub(super) struct Object {
    bucket: Storage,
    key: Path,
}

impl Object {
    /// The file that `url` names. Fails unless its bucket is on the admin's list and there are keys for it.
    pub(super) fn new(url: &Url, policy: &S3Policy, keys: Option<&S3Credentials>) -> Result<Self, FetchError> {
        let bucket = url.host_str().unwrap_or_default();
        if !policy.buckets.iter().any(|allowed| allowed == bucket) {
            return Err(FetchError::BucketNotAllowed(bucket.to_owned()));
        }
        let keys = keys.ok_or(FetchError::NoS3Keys)?;
        let key = url.path().strip_prefix('/').unwrap_or_default();
        let key = String::from_utf8(percent::decoded(key)).ok().and_then(|key| Path::parse(key).ok());
        let bare = url.query().is_none() && url.fragment().is_none();
        let key = key.filter(|key| bare && !key.as_ref().is_empty()).ok_or(FetchError::InvalidS3Key)?;
        let target = Target::S3(S3 {
            bucket: bucket.to_owned(),
            prefix: String::new(),
            region: policy.region.clone(),
            endpoint: policy.endpoint.clone(),
            path_style: policy.path_style,
            allow_http: policy.allow_http,
            ca: None,
            role_arn: None,
            sts_endpoint: None,
        });
        let credentials = Credentials { s3: Some(keys.clone()), ..Credentials::default() };
        choose_tls();
        Ok(Self { bucket: Storage::open(&target, &credentials).map_err(unusable)?, key })
    }
}

#[async_trait]
impl Ask for Object {
    async fn url(&mut self) -> Result<Url, FetchError> {
        let signed = self.bucket.link_to(&self.key, VALID).await.map_err(unusable)?;
        let url = signed.and_then(|url| url.parse().ok());
        url.ok_or_else(|| FetchError::S3("the request cannot be signed".to_owned()))
    }
}

/// Its cause says what is wrong; neither has a credential.
fn unusable(error: StorageError) -> FetchError {
    FetchError::S3(super::fault::told(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Secret;

    fn policy() -> S3Policy {
        S3Policy { buckets: vec!["data".to_owned()], region: "eu-west-1".to_owned(), ..S3Policy::default() }
    }

    fn keys() -> S3Credentials {
        S3Credentials {
            access_key_id: "AK".to_owned(),
            secret_access_key: Secret::new("c4nary"),
            session_token: Some(Secret::new("tok")),
        }
    }

    async fn signed(url: &str, policy: &S3Policy) -> Result<Url, &'static str> {
        let object = Object::new(&url.parse().unwrap(), policy, Some(&keys()));
        object.map_err(|error| error.reason())?.url().await.map_err(|error| error.reason())
    }

    #[tokio::test]
    async fn a_signed_url_names_the_bucket_the_key_and_no_secret() {
        let url = signed("s3://data/a%20b/%C3%BC.csv", &S3Policy { path_style: true, ..policy() }).await.unwrap();
        assert!(url.as_str().starts_with("https://s3.eu-west-1.amazonaws.com/data/a%20b/%C3%BC.csv?"), "{url}");
        assert!(!url.as_str().contains("c4nary") && url.as_str().contains("X-Amz-Security-Token=tok"), "{url}");
        let url = signed("s3://data/a", &policy()).await.unwrap();
        assert_eq!(url.host_str(), Some("data.s3.eu-west-1.amazonaws.com"));
        let elsewhere = S3Policy { endpoint: Some("https://minio.example:9000".to_owned()), ..policy() };
        let url = signed("s3://data/a", &elsewhere).await.unwrap();
        assert!(url.as_str().starts_with("https://data.minio.example:9000/a?"), "{url}");
        let url = signed("s3://data/a", &S3Policy { path_style: true, ..elsewhere }).await.unwrap();
        assert!(url.as_str().starts_with("https://minio.example:9000/data/a?"), "{url}");
        let plain = S3Policy { endpoint: Some("http://minio.example".to_owned()), ..policy() };
        assert_eq!(signed("s3://data/a", &plain).await, Err("S3Failed"));
    }

    #[tokio::test]
    async fn what_is_not_the_admins_to_give_is_refused() {
        for (url, reason) in [
            ("s3://other/a", "BucketNotAllowed"),
            ("s3://Data/a", "BucketNotAllowed"),
            ("s3://data", "InvalidS3Key"),
            ("s3://data/", "InvalidS3Key"),
            ("s3://data/a//b", "InvalidS3Key"),
            ("s3://data/%ff", "InvalidS3Key"),
            ("s3://data/a?versionId=1", "InvalidS3Key"),
            ("s3://data/a#b", "InvalidS3Key"),
        ] {
            assert_eq!(signed(url, &policy()).await, Err(reason), "{url}");
        }
        let anonymous = Object::new(&"s3://data/a".parse().unwrap(), &policy(), None);
        assert_eq!(anonymous.map_err(|error| error.reason()).err(), Some("NoS3Keys"));
    }
}
