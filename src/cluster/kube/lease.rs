//! A Lease as it is to be: new, renewed, or released.

use super::{LeaseSeen, MANAGED_BY};
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use std::{collections::BTreeMap, time::Duration};

/// The Lease `name`, held by `holder`; an empty one releases it. It takes the place of `seen`, and of no other.
pub(super) fn lease(name: &str, holder: &str, duration: Duration, seen: Option<&LeaseSeen>) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])),
            uid: seen.map(|seen| seen.uid.0.clone()),
            resource_version: seen.map(|seen| seen.version.0.to_string()),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: (!holder.is_empty()).then(|| holder.to_owned()),
            lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX).max(1)),
            // For people: no engine compares it with its own clock.
            renew_time: Some(MicroTime(jiff::Timestamp::now())),
            ..Default::default()
        }),
    }
}
