//! `[s3]` and `[adminlogs.s3]`.

use crate::{
    config::values::{Values, optional},
    storage::S3,
};

/// The keys of such a section.
pub(super) struct Keys {
    pub(super) bucket: &'static str,
    pub(super) prefix: &'static str,
    pub(super) region: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) path_style: &'static str,
    pub(super) allow_http: &'static str,
    pub(super) ca_file: &'static str,
    pub(super) role_arn: &'static str,
    pub(super) sts_endpoint: &'static str,
}

/// The keys of the section of this name.
macro_rules! keys {
    ($section:literal) => {
        s3::Keys {
            bucket: concat!($section, ".bucket"),
            prefix: concat!($section, ".prefix"),
            region: concat!($section, ".region"),
            endpoint: concat!($section, ".endpoint"),
            path_style: concat!($section, ".path_style"),
            allow_http: concat!($section, ".allow_http"),
            ca_file: concat!($section, ".ca_file"),
            role_arn: concat!($section, ".role_arn"),
            sts_endpoint: concat!($section, ".sts_endpoint"),
        }
    };
}
pub(super) use keys;

impl Keys {
    /// Reads the section. Rules between its keys hold only where it is `used`.
    pub(super) fn read(&self, values: &mut Values, used: bool) -> S3 {
        let s3 = S3 {
            bucket: values.checked_text(self.bucket, |text| optional(text, bucket).map(Option::unwrap_or_default)),
            prefix: values.checked_text(self.prefix, prefix),
            region: values.checked_text(self.region, region),
            endpoint: values.server(self.endpoint),
            path_style: values.switch(self.path_style),
            allow_http: values.switch(self.allow_http),
            ca: values.certificates(self.ca_file),
            role_arn: values.checked_text(self.role_arn, |text| optional(text, role)),
            sts_endpoint: values.server(self.sts_endpoint),
        };
        let plain = |url: &Option<String>| url.as_ref().is_some_and(|url| url.starts_with("http:"));
        let sentence = format!(
            "{} is plain http, where everybody on the way reads the results; set {} if that is meant",
            self.endpoint, self.allow_http
        );
        let holds = !plain(&s3.endpoint) || s3.allow_http;
        values.rule(&[self.endpoint, self.allow_http], !used || holds, &sentence);
        let sentence = format!("{} must be https, because credentials come from there", self.sts_endpoint);
        values.rule(&[self.sts_endpoint], !used || !plain(&s3.sts_endpoint), &sentence);
        s3
    }
}

/// Wider than Amazon's rules for new buckets, since old ones and other servers have capital letters and underscores.
fn bucket(text: &str) -> Result<String, String> {
    let end = |c: char| c.is_ascii_alphanumeric();
    let inside = |c: char| end(c) || "-_.".contains(c);
    if !(3..=255).contains(&text.len()) || !text.starts_with(end) || !text.ends_with(end) || !text.chars().all(inside) {
        return Err(
            "not the name of a bucket: at least 3 of a-z, 0-9, -, . and _, without a slash; see prefix".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// With a slash at either end or without.
fn prefix(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    // Keys have 1024 bytes at most, and the files below are to have names too.
    if path.len() > 256 || object_store::path::Path::parse(path).is_err() {
        return Err("not a prefix: at most 256 bytes, parts between single slashes, none of them . or ..".to_owned());
    }
    Ok(path.to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(inside) {
        return Err("not a region: write it as \"eu-central-1\"".to_owned());
    }
    Ok(text.to_owned())
}

fn role(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_graphic();
    if !text.starts_with("arn:") || !text.contains(":role/") || text.len() > 2048 || !text.chars().all(inside) {
        return Err("not a role: write it as \"arn:aws:iam::123456789012:role/name\"".to_owned());
    }
    Ok(text.to_owned())
}
