//! `[storage]`, `[s3]`, `[ipfs]`, `[ipfs_cluster]` and `[adminlogs]`: where results and the admin's logs go, for how long.
//!
//! No key holds a credential, and no URL may: what is read here travels to publish pods on their command lines.

mod ipfs;
mod places;
mod s3;

use super::{
    duration,
    pods::object_name,
    values::{Values, optional},
};
use crate::storage::{Target, Targets};
use std::{path::PathBuf, time::Duration};

/// What these sections say.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// Where results go; none: nowhere.
    pub targets: Option<Targets>,
    /// The claim that publish pods mount at the directory of the outputs; none: it is there without one.
    pub claim: Option<String>,
    /// The same for the directory of admin logs that has a claim of its own.
    pub adminlogs_claim: Option<String>,
    /// The Secret in the jobs' namespace with the stores' credentials.
    pub secret: String,
    /// How long results are kept; none: for ever.
    pub expiry: Option<Duration>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    None,
    Directory,
    S3,
    Ipfs,
    IpfsCluster,
}

#[derive(Clone, Copy, PartialEq)]
enum Adminlogs {
    Apart,
    WithOutputs,
    Own(Kind),
}

impl Default for Adminlogs {
    fn default() -> Self {
        Self::Own(Kind::None)
    }
}

/// The keys of a place: which store, and what each kind of it needs.
struct Keys {
    kind: &'static str,
    directory: &'static str,
    s3: s3::Keys,
    ipfs: ipfs::Keys,
    cluster: ipfs::ClusterKeys,
}

const OUTPUTS: Keys = Keys {
    kind: "storage.kind",
    directory: "storage.directory",
    s3: s3::keys!("s3"),
    ipfs: ipfs::keys!("ipfs"),
    cluster: ipfs::cluster_keys!("ipfs_cluster"),
};

const ADMINLOGS: Keys = Keys {
    kind: "adminlogs.kind",
    directory: "adminlogs.directory",
    s3: s3::keys!("adminlogs.s3"),
    ipfs: ipfs::keys!("adminlogs.ipfs"),
    cluster: ipfs::cluster_keys!("adminlogs.ipfs_cluster"),
};

impl Storage {
    pub(super) fn read(values: &mut Values) -> Self {
        let kinds = [
            ("none", Kind::None),
            ("directory", Kind::Directory),
            ("s3", Kind::S3),
            ("ipfs", Kind::Ipfs),
            ("ipfs-cluster", Kind::IpfsCluster),
        ];
        let kind = values.choice(OUTPUTS.kind, &kinds);
        let path = directory(values, OUTPUTS.directory);
        let claim = claim(values, "storage.claim");
        let secret = values.checked_text("storage.secret", object_name);
        let expiry = values.optional_duration("storage.expiry", Duration::from_secs(1)..=duration::MAX);
        let outputs = OUTPUTS.target(values, kind, path);

        let own = kinds.into_iter().skip(1).map(|(word, kind)| (word, Adminlogs::Own(kind)));
        let words: Vec<_> =
            [("apart", Adminlogs::Apart), ("with-outputs", Adminlogs::WithOutputs)].into_iter().chain(own).collect();
        let adminlogs = values.choice(ADMINLOGS.kind, &words);
        let path = directory(values, ADMINLOGS.directory);
        let adminlogs_claim = self::claim(values, "adminlogs.claim");
        values.rule(
            &["storage.claim", "adminlogs.claim"],
            claim.is_none() || claim != adminlogs_claim,
            "adminlogs.claim must not be storage.claim, because both would be mounted with the same files in them; for admin \
             logs on the volume of outputs leave it empty",
        );
        let of_its_own = if let Adminlogs::Own(kind) = adminlogs { kind } else { Kind::None };
        let own = ADMINLOGS.target(values, of_its_own, path);

        let targets = outputs.map(|outputs| Targets {
            adminlogs: match adminlogs {
                Adminlogs::Apart => Some(places::beside(&outputs)),
                Adminlogs::WithOutputs => None,
                Adminlogs::Own(_) => own,
            },
            outputs,
        });
        if let Some(targets) = &targets {
            places::check(targets, values);
        }
        Self { targets, claim, adminlogs_claim, secret, expiry }
    }
}

impl Keys {
    /// Reads all sections of a place, in the order of `default.toml`, and answers with the one that `kind` names.
    fn target(&self, values: &mut Values, kind: Kind, path: PathBuf) -> Option<Target> {
        let s3 = self.s3.read(values, kind == Kind::S3);
        let ipfs = self.ipfs.read(values);
        let cluster = self.cluster.read(values, kind == Kind::IpfsCluster);
        for (word, of, key, named) in [
            ("directory", Kind::Directory, self.directory, !path.as_os_str().is_empty()),
            ("s3", Kind::S3, self.s3.bucket, !s3.bucket.is_empty()),
            ("ipfs", Kind::Ipfs, self.ipfs.api, !ipfs.api.is_empty()),
            ("ipfs-cluster", Kind::IpfsCluster, self.cluster.api, !cluster.api.is_empty()),
        ] {
            let keys = [self.kind, key];
            let sentence = format!("{} = \"{word}\" needs {key}", self.kind);
            values.rule(&keys, named || kind != of, &sentence);
            let sentence = format!("{key} needs {} = \"{word}\"", self.kind);
            values.rule(&keys, !named || kind == of, &sentence);
        }
        match kind {
            Kind::None => None,
            Kind::Directory => Some(Target::Directory { path }),
            Kind::S3 => Some(Target::S3(s3)),
            Kind::Ipfs => Some(Target::Ipfs(ipfs)),
            Kind::IpfsCluster => Some(Target::IpfsCluster(cluster)),
        }
    }
}

fn directory(values: &mut Values, key: &'static str) -> PathBuf {
    values.checked_text(key, |text| {
        let path = PathBuf::from(text);
        if text.is_empty() || path.is_absolute() {
            Ok(path)
        } else {
            Err("must be an absolute path: processes have different working folders".to_owned())
        }
    })
}

fn claim(values: &mut Values, key: &'static str) -> Option<String> {
    values.checked_text(key, |text| optional(text, object_name))
}
