//! Leases: created once, renewed and deleted by compare-and-swap.

use super::Subject;
use operator_engine::plan::{Failure, seen::LeaseSeen};
use std::time::Duration;

const DURATION: Duration = Duration::from_secs(15);

async fn lease(subject: &dyn Subject, name: &str) -> Option<LeaseSeen> {
    let list = subject.cluster().list_leases().await.unwrap();
    assert!(list.items.iter().all(|lease| lease.version <= list.version), "{list:?}");
    let mut found: Vec<_> = list.items.into_iter().filter(|lease| lease.name == name).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

pub(crate) async fn a_lease_is_created_once_whoever_asks(subject: &dyn Subject) {
    assert_eq!(lease(subject, "lease-once").await, None);
    let first = subject.cluster().create_lease("lease-once", "one", DURATION).await.unwrap();
    assert_eq!((first.name.as_str(), first.holder.as_str(), first.duration), ("lease-once", "one", DURATION));
    for holder in ["one", "two", ""] {
        let again = subject.cluster().create_lease("lease-once", holder, DURATION * 2).await.unwrap();
        assert_eq!(again, first, "the one that has the name is returned as it is");
    }
    assert_eq!(lease(subject, "lease-once").await, Some(first));
}

pub(crate) async fn a_renewal_always_shows(subject: &dyn Subject) {
    let mut seen = subject.cluster().create_lease("lease-renewed", "one", DURATION).await.unwrap();
    // The same holder again and again, another, and none: a release.
    for holder in ["one", "one", "one", "two", ""] {
        let renewed = subject.cluster().renew_lease(&seen, holder).await.unwrap();
        assert!(renewed.version > seen.version, "others see that its holder lives");
        let expected = LeaseSeen { version: renewed.version, holder: holder.to_owned(), ..seen.clone() };
        assert_eq!(renewed, expected);
        assert_eq!(lease(subject, "lease-renewed").await, Some(renewed.clone()));
        seen = renewed;
    }
}

pub(crate) async fn a_lease_that_changed_is_not_renewed_and_not_deleted(subject: &dyn Subject) {
    let old = subject.cluster().create_lease("lease-changed", "one", DURATION).await.unwrap();
    let now = subject.cluster().renew_lease(&old, "two").await.unwrap();
    assert_eq!(subject.cluster().renew_lease(&old, "one").await, Err(Failure::Conflict));
    assert_eq!(subject.cluster().delete_lease(&old).await, Err(Failure::Conflict));
    assert_eq!(lease(subject, "lease-changed").await, Some(now.clone()));
    subject.cluster().delete_lease(&now).await.unwrap();
    assert_eq!(lease(subject, "lease-changed").await, None);
}

pub(crate) async fn a_lease_that_is_gone_is_not_renewed(subject: &dyn Subject) {
    let first = subject.cluster().create_lease("lease-gone", "one", DURATION).await.unwrap();
    subject.cluster().delete_lease(&first).await.unwrap();
    assert_eq!(subject.cluster().renew_lease(&first, "one").await, Err(Failure::NotFound));
    assert_eq!(subject.cluster().delete_lease(&first).await, Err(Failure::NotFound));
    assert_eq!(lease(subject, "lease-gone").await, None);
    let second = subject.cluster().create_lease("lease-gone", "two", DURATION).await.unwrap();
    assert_ne!(first.uid, second.uid);
    for impostor in [first.clone(), LeaseSeen { uid: first.uid.clone(), ..second.clone() }] {
        assert_eq!(subject.cluster().renew_lease(&impostor, "one").await, Err(Failure::Conflict));
        assert_eq!(subject.cluster().delete_lease(&impostor).await, Err(Failure::Conflict));
    }
    assert_eq!(lease(subject, "lease-gone").await, Some(second));
}
