//! Outputs and admin logs must lie where neither is taken for the other: whoever looks for results in a place takes all that
//! is named like a job for one.

use crate::{
    config::values::Values,
    storage::{Ipfs, IpfsCluster, S3, Target, Targets},
    workflow::JobId,
};
use std::path::Path;

/// No job has this name, for the underscore, so it can stand among jobs.
const NAME: &str = "_adminlogs";
/// The same where it need not stand among them.
const SUFFIX: &str = "-adminlogs";

/// A place for admin logs in the store of `outputs`.
pub(super) fn beside(outputs: &Target) -> Target {
    match outputs {
        Target::Directory { path } => Target::Directory { path: path.join(NAME) },
        Target::S3(s3) => {
            let prefix = if s3.prefix.is_empty() { NAME.to_owned() } else { format!("{}/{NAME}", s3.prefix) };
            Target::S3(S3 { prefix, ..s3.clone() })
        }
        Target::Ipfs(ipfs) => Target::Ipfs(Ipfs { folder: format!("{}{SUFFIX}", ipfs.folder), ..ipfs.clone() }),
        Target::IpfsCluster(cluster) => {
            Target::IpfsCluster(IpfsCluster { group: format!("{}{SUFFIX}", cluster.group), ..cluster.clone() })
        }
    }
}

/// What must hold between the two.
pub(super) fn check(targets: &Targets, values: &mut Values) {
    let Some(adminlogs) = &targets.adminlogs else { return };
    let outputs = &targets.outputs;
    values.rule(
        &[super::OUTPUTS.kind, super::ADMINLOGS.kind],
        !within(outputs, adminlogs) && !within(adminlogs, outputs),
        "admin logs would lie among outputs, or outputs among admin logs, where one is taken for the other; choose another \
         place for one of them, or adminlogs.kind = \"apart\"",
    );
    if let (Target::S3(outputs), Target::S3(adminlogs)) = (outputs, adminlogs) {
        values.rule(
            &[super::OUTPUTS.s3.endpoint, super::ADMINLOGS.s3.endpoint],
            outputs.endpoint.is_none() || adminlogs.endpoint.is_some(),
            "adminlogs.s3.endpoint must be set where s3.endpoint is, because without it admin logs go to Amazon",
        );
    }
}

/// Whether `inner` is `outer`, or lies in it where a job's result would.
fn within(outer: &Target, inner: &Target) -> bool {
    match (outer, inner) {
        (Target::Directory { path: outer }, Target::Directory { path: inner }) => path_within(outer, inner),
        (Target::S3(outer), Target::S3(inner)) => {
            (&outer.endpoint, &outer.bucket) == (&inner.endpoint, &inner.bucket)
                && path_within(outer.prefix.as_ref(), inner.prefix.as_ref())
        }
        (Target::Ipfs(outer), Target::Ipfs(inner)) => {
            outer.api == inner.api && path_within(outer.folder.as_ref(), inner.folder.as_ref())
        }
        (Target::IpfsCluster(outer), Target::IpfsCluster(inner)) => {
            (&outer.api, &outer.group) == (&inner.api, &inner.group)
        }
        _ => false,
    }
}

fn path_within(outer: &Path, inner: &Path) -> bool {
    let Ok(rest) = inner.strip_prefix(outer) else { return false };
    let next = rest.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    next.is_none_or(|name| name.parse::<JobId>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> Target {
        Target::Directory { path: path.into() }
    }

    fn s3(bucket: &str, prefix: &str) -> Target {
        let target = format!(r#"{{"kind":"s3","bucket":"{bucket}","prefix":"{prefix}","region":"x"}}"#);
        serde_json::from_str(&target).unwrap()
    }

    #[test]
    fn what_lies_apart_is_never_taken_for_a_job() {
        for outputs in [
            directory("/results"),
            s3("b", ""),
            s3("b", "a/b"),
            serde_json::from_str(r#"{"kind":"ipfs","api":"http://k","folder":"/x","urlPrefix":"ipfs://"}"#).unwrap(),
            serde_json::from_str(
                r#"{"kind":"ipfsCluster","api":"http://k","node":"http://k","group":"x","pinTimeoutSecs":1,"urlPrefix":""}"#,
            )
            .unwrap(),
        ] {
            let adminlogs = beside(&outputs);
            assert_ne!(outputs, adminlogs);
            assert!(!within(&outputs, &adminlogs) && !within(&adminlogs, &outputs), "{adminlogs:?}");
            assert!(within(&outputs, &outputs));
        }
        assert_eq!(beside(&directory("/results")), directory("/results/_adminlogs"));
        assert_eq!(beside(&s3("b", "a/b")), s3("b", "a/b/_adminlogs"));
    }

    #[test]
    fn a_place_inside_another_is_found_where_a_job_could_be() {
        assert!(within(&directory("/results"), &directory("/results/logs")));
        assert!(within(&s3("b", ""), &s3("b", "logs/deeper")));
        assert!(!within(&s3("b", ""), &s3("b", "Logs")), "no job is called that");
        assert!(!within(&s3("b", "a"), &s3("b", "ab")));
        assert!(!within(&s3("b", ""), &s3("c", "logs")));
        assert!(!within(&directory("/results/logs"), &directory("/results")));
    }
}
