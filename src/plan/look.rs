//! The lists there are, and what was asked when. There is no watch: what is asked seldom is asked completely, what is asked
//! often is cheap.

use super::{kind::Kind, seen::Version};
use std::{collections::BTreeMap, time::Duration};

/// The lists there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Look {
    /// Workflows that want something: `state in (pending,stopping)`, from the watch cache.
    Attention,
    /// The same while no further workflow may start: `state = stopping`.
    Stopping,
    /// Pods that ended, from the watch cache.
    Finished,
    /// Workflows that owe somebody a notification, from the watch cache. Asked for by the outbox, not by the loop.
    Owed,
    /// All active workflows, consistently.
    AuditWorkflows,
    /// All our pods, consistently.
    AuditPods,
    /// All our volumes, consistently.
    AuditVolumes,
    /// All engines' Leases, consistently.
    Leases,
}

impl Look {
    /// The list's name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Attention => "attention",
            Self::Stopping => "stopping",
            Self::Finished => "finished",
            Self::Owed => "owed",
            Self::AuditWorkflows => "audit-workflows",
            Self::AuditPods => "audit-pods",
            Self::AuditVolumes => "audit-volumes",
            Self::Leases => "leases",
        }
    }

    const AUDIT: [Self; 4] = [Self::AuditWorkflows, Self::AuditPods, Self::AuditVolumes, Self::Leases];
}

/// What was asked, when.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    /// Lists under way.
    pub busy: BTreeMap<Look, Duration>,
    /// When each was last *begun* and answered: monotonic.
    pub answered: BTreeMap<Look, Duration>,
    /// Lists that failed: not before this, monotonic, after so many failures in a row.
    pub failed: BTreeMap<Look, (u32, Duration)>,
    /// The version of the last answer of each list.
    pub listed: BTreeMap<Look, Version>,
    /// The same of Secrets, where they are workflows. Versions of two kinds are not compared: each has a cache of its own.
    pub secrets_listed: BTreeMap<Look, Version>,
    /// The newest version of workflows that are ConfigMaps that any answer carried: a list must not be older.
    pub workflows: Version,
    /// The newest version of workflows that are Secrets.
    pub secrets: Version,
    /// The newest version of pods.
    pub pods: Version,
}

impl Looks {
    /// Notes the version of an answer about workflows.
    pub fn saw(&mut self, kind: Kind, version: Version) {
        let newest = match kind {
            Kind::ConfigMap => &mut self.workflows,
            Kind::Secret => &mut self.secrets,
        };
        *newest = version.max(*newest);
    }

    /// The versions that lists must not be older than: of pods, or of workflows that are ConfigMaps; and of those that are
    /// Secrets.
    pub fn newest(&self, look: Look) -> (Version, Version) {
        let pods = matches!(look, Look::Finished | Look::AuditPods);
        (if pods { self.pods } else { self.workflows }, self.secrets)
    }

    /// Whether everything was seen once.
    pub fn audited(&self) -> bool {
        Look::AUDIT.iter().all(|look| self.answered.contains_key(look))
    }
}
