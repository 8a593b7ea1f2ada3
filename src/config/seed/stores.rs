//! The old variables that say where results go. What one of them means depends on the others: IPFS goes before S3.

use crate::config::layers::Layer;

/// The variables and the keys of one place.
struct Place {
    ipfs: &'static str,
    ipfs_prefix: &'static str,
    bucket: &'static str,
    kind: &'static str,
    ipfs_api: &'static str,
    ipfs_url_prefix: &'static str,
    s3_bucket: &'static str,
}

const OUTPUTS: Place = Place {
    ipfs: "IPFS_OUTPUT",
    ipfs_prefix: "IPFS_OUTPUT_PREFIX",
    bucket: "AWS_BUCKET_OUTPUT",
    kind: "storage.kind",
    ipfs_api: "ipfs.api",
    ipfs_url_prefix: "ipfs.url_prefix",
    s3_bucket: "s3.bucket",
};

const ADMINLOGS: Place = Place {
    ipfs: "IPFS_ADMINLOGS",
    ipfs_prefix: "IPFS_ADMINLOGS_PREFIX",
    bucket: "AWS_BUCKET_ADMINLOGS",
    kind: "adminlogs.kind",
    ipfs_api: "adminlogs.ipfs.api",
    ipfs_url_prefix: "adminlogs.ipfs.url_prefix",
    s3_bucket: "adminlogs.s3.bucket",
};

const REGION: &str = "AWS_REGION";
/// The keys that it sets: the old engine had one region for both buckets.
const REGIONS: [&str; 2] = ["s3.region", "adminlogs.s3.region"];

/// Sets what they mean together.
pub(super) fn set(environment: &[(String, String)], layer: &mut Layer, warnings: &mut Vec<String>) {
    let value = |name: &str| {
        let found = environment.iter().rfind(|(given, _)| given == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    };
    if let Some(region) = value(REGION) {
        REGIONS.into_iter().for_each(|key| layer.set_variable(key, region.to_owned(), REGION));
    }
    for place in [OUTPUTS, ADMINLOGS] {
        let mut set = |key, value: String, name| layer.set_variable(key, value, name);
        if let Some(api) = value(place.ipfs) {
            set(place.kind, "ipfs".to_owned(), place.ipfs);
            set(place.ipfs_api, api.to_owned(), place.ipfs);
            match value(place.ipfs_prefix) {
                Some(prefix) => set(place.ipfs_url_prefix, prefix.to_owned(), place.ipfs_prefix),
                None => set(place.ipfs_url_prefix, format!("{}/ipfs/", api.trim_end_matches('/')), place.ipfs),
            }
            if value(place.bucket).is_some() {
                warnings.push(format!(
                    "{} is passed over: {} is set, and IPFS goes before S3, as in the old engine",
                    place.bucket, place.ipfs
                ));
            }
            continue;
        }
        if let Some(prefix) = value(place.ipfs_prefix) {
            set(place.ipfs_url_prefix, prefix.to_owned(), place.ipfs_prefix);
        }
        if let Some(bucket) = value(place.bucket) {
            let with_outputs = place.bucket == ADMINLOGS.bucket && value(OUTPUTS.bucket) == Some(bucket);
            if with_outputs && value(OUTPUTS.ipfs).is_none() {
                // In one bucket, but not among one another.
                set(place.kind, "apart".to_owned(), place.bucket);
            } else {
                set(place.kind, "s3".to_owned(), place.bucket);
                set(place.s3_bucket, bucket.to_owned(), place.bucket);
            }
        }
    }
}
