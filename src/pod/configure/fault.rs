//! Why one file could not be fetched, whether another attempt may help, and what the submitter is told.
//!
//! Every message may end in a log that the consumer receives: none holds a URL's query, fragment or credentials, nor an
//! address that a resolver gave.

use super::{guard::Refused, ipfs::NodeError};
use crate::workflow::digest::Sha256;
use std::{error::Error as StdError, io, time::Duration};

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the URL cannot be parsed ({0}); write it as scheme://host/path")]
    InvalidUrl(String),
    #[error(
        "the scheme '{0}' is not supported; use https:, http:, s3:, ipfs:, ar: or inline: (and file: in the local mode)"
    )]
    SchemeNotSupported(String),
    #[error("file: is read only in the local mode; put small files into the workflow's ConfigMap and use inline:")]
    FileNotAllowed,
    #[error("the URL has a user name or password in it; use a URL that is signed in its query instead")]
    CredentialsInUrl,
    #[error("'{0}' is no key of a ConfigMap: letters, digits, '-', '.' and '_', not beginning with '..'")]
    InvalidKey(String),
    #[error("there is no such file ('{0}')")]
    NotFound(String),
    #[error("'{0}' leads out of its folder")]
    OutsideFolder(String),
    #[error("'{0}' is not a regular file")]
    NotRegular(String),

    #[error(transparent)]
    AddressRefused(#[from] Refused),
    #[error("more than {0} redirects")]
    TooManyRedirects(u32),
    #[error("a redirect from https to http is not followed")]
    InsecureRedirect,
    #[error("a redirect without a usable Location")]
    BadRedirect,
    #[error("the server answered {status}")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("the server's answer to a request for the rest of the file does not fit what came before")]
    RangeMismatch,
    #[error("the connection ended after {got} of {expected} bytes")]
    Truncated { got: u64, expected: u64 },
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    #[error("{0}")]
    Transport(String),
    #[error("the request cannot be made: {0}")]
    Request(String),
    #[error("no HTTPS client can be made ({0}); does the image have CA certificates?")]
    Client(String),

    #[error("no gateway for {scheme}: is configured; the admin names some in {key}")]
    NoGateway { scheme: &'static str, key: &'static str },
    #[error("it does not begin with a content id ({0}): write ipfs://CID/path")]
    InvalidCid(String),
    #[error("the hash {0:#x} of its content id is not supported; SHA-256 (0x12) is")]
    UnknownHash(u64),
    #[error("the gateway gave other bytes than {0} stands for")]
    WrongBlock(String),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("it has too many blocks")]
    TooManyBlocks,
    #[error("an Arweave id has 43 characters of A-Z a-z 0-9 _ -: write ar://ID")]
    InvalidArweaveId,

    #[error(
        "the bucket '{0}' is not one that may be read here, and nothing is read without keys; the admin lists buckets in fetch.s3_buckets"
    )]
    BucketNotAllowed(String),
    #[error("there are no keys for this bucket; the admin puts them into the Secret that fetch.secret names")]
    NoS3Keys,
    #[error("it names no object: write s3://BUCKET/KEY, without query and empty parts, and %3F for a question mark")]
    InvalidS3Key,
    #[error("{0}")]
    S3(String),

    #[error(
        "files of a provider are asked for with the operator's key, and there is none; the admin puts it as OPERATOR_PRIVATE_KEY into the Secret that fetch.secret names"
    )]
    NoOperatorKey,
    #[error("the operator's key cannot be used: {0}")]
    InvalidOperatorKey(crate::ethereum::InvalidKey),
    #[error("without the asset's DDO its provider is not known; it is looked for at the document's output.metadataUri")]
    NoDdo,
    #[error("the asset's DDO {0}")]
    Ddo(&'static str),
    #[error("the provider cannot be used: {0}")]
    Provider(&'static str),

    #[error("the workflow has more than {0} files, the most that it may have here (fetch.max_files)")]
    TooManyFiles(u64),
    #[error("the server's answer has more than {0} bytes, which is too long for what was asked")]
    AnswerTooLong(usize),
    #[error("the file has more than {0} bytes, the most that one file may have here (fetch.max_file)")]
    TooLarge(u64),
    #[error("with this file the workflow has more than {0} bytes, the most that it may have here (fetch.max_total)")]
    TotalTooLarge(u64),
    #[error("its SHA-256 is {actual}, the document says {expected}")]
    DigestMismatch { expected: Sha256, actual: Sha256, resumed: bool },
    #[error("everything together took longer than {0} seconds (fetch.total_timeout)")]
    TimedOut(u64),
    #[error("gave up after {attempts} attempts: {last}")]
    GaveUp { attempts: u32, last: Box<FetchError> },

    #[error("{0}")]
    Disk(#[from] DiskError),
}

/// What the volume did not let us do.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {source}")]
pub(super) struct DiskError {
    /// The act and the path.
    pub(super) doing: String,
    /// The system's answer.
    pub(super) source: io::Error,
}

impl DiskError {
    pub(super) fn while_doing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |source| Self { doing: doing.into(), source }
    }

    pub(super) fn reason(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "VolumeFull",
            _ => "VolumeFailed",
        }
    }
}

impl FetchError {
    /// Whether another attempt may succeed: only where the world may change, not where the answer was clear.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500..=599),
            // The bytes of two attempts were put together; one whole transfer may still be right.
            Self::DigestMismatch { resumed, .. } => *resumed,
            Self::Transport(_) | Self::Truncated { .. } | Self::RangeMismatch => true,
            _ => false,
        }
    }

    /// Whether the same would happen wherever the file came from.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::TooLarge(_) | Self::TotalTooLarge(_) | Self::Disk(_))
    }

    /// How long the server asks us to stay away.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }

    /// One CamelCase word.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::InvalidUrl(_) => "InvalidUrl",
            Self::SchemeNotSupported(_) => "SchemeNotSupported",
            Self::FileNotAllowed => "FileNotAllowed",
            Self::CredentialsInUrl => "CredentialsInUrl",
            Self::InvalidKey(_) => "InvalidKey",
            Self::NotFound(_) => "NotFound",
            Self::OutsideFolder(_) => "OutsideFolder",
            Self::NotRegular(_) => "NotRegular",
            Self::AddressRefused(_) => "AddressRefused",
            Self::TooManyRedirects(_) => "TooManyRedirects",
            Self::InsecureRedirect => "InsecureRedirect",
            Self::BadRedirect => "BadRedirect",
            Self::Status { .. } => "HttpStatus",
            Self::RangeMismatch => "RangeMismatch",
            Self::Truncated { .. } => "Truncated",
            Self::Certificate(_) => "CertificateNotTrusted",
            Self::Transport(_) => "ConnectionFailed",
            Self::Request(_) => "RequestFailed",
            Self::Client(_) => "ClientUnavailable",
            Self::NoGateway { .. } => "NoGateway",
            Self::InvalidCid(_) | Self::UnknownHash(_) => "InvalidContentId",
            Self::WrongBlock(_) => "ContentMismatch",
            Self::Node(_) | Self::TooManyBlocks => "ContentUnreadable",
            Self::InvalidArweaveId => "InvalidArweaveId",
            Self::BucketNotAllowed(_) => "BucketNotAllowed",
            Self::NoS3Keys => "NoS3Keys",
            Self::InvalidS3Key => "InvalidS3Key",
            Self::S3(_) => "S3Failed",
            Self::NoOperatorKey | Self::InvalidOperatorKey(_) => "NoOperatorKey",
            Self::NoDdo | Self::Ddo(_) => "DdoUnusable",
            Self::Provider(_) => "ProviderUnusable",
            Self::TooManyFiles(_) => "TooManyFiles",
            Self::AnswerTooLong(_) => "AnswerTooLong",
            Self::TooLarge(_) => "FileTooLarge",
            Self::TotalTooLarge(_) => "TotalTooLarge",
            Self::DigestMismatch { .. } => "DigestMismatch",
            Self::TimedOut(_) => "TimedOut",
            Self::GaveUp { last, .. } => last.reason(),
            Self::Disk(error) => error.reason(),
        }
    }
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // The client's errors print the URL, signature and all.
        let error = error.without_url();
        if let Some(&refused) = causes(&error).find_map(|cause| cause.downcast_ref::<Refused>()) {
            return Self::AddressRefused(refused);
        }
        if let Some(rustls::Error::InvalidCertificate(why)) = causes(&error).find_map(tls_error) {
            return Self::Certificate(why.to_string());
        }
        let text = told(&error);
        if error.is_builder() { Self::Request(text) } else { Self::Transport(text) }
    }
}

/// The text of an error and its causes. Some repeat their cause; saying it once is enough.
pub(super) fn told(error: &(dyn StdError + 'static)) -> String {
    causes(error).map(ToString::to_string).fold(String::new(), |text, line| match text.as_str() {
        "" => line,
        before if before.contains(&line) => text,
        before => format!("{before}: {line}"),
    })
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An `io::Error` does not give out what it wraps as its source, only that thing's source; and TLS errors come wrapped
/// in two of them.
fn tls_error<'a>(mut error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    while let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        error = inner;
    }
    error.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_error_is_found_however_often_it_is_wrapped() {
        let tls = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let once = io::Error::new(io::ErrorKind::InvalidData, tls());
        assert!(tls_error(&once).is_some());
        assert!(tls_error(&io::Error::other(once)).is_some());
        assert!(tls_error(&tls()).is_some());
        assert!(tls_error(&io::Error::other("something else")).is_none());
    }
}
