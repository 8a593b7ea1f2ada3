//! The suite bites: a cluster that breaks one promise is caught, each by the check that is about it.

use crate::{
    sandbox::Hands,
    suite::{checks, record},
};
use async_trait::async_trait;
use futures::{FutureExt, future::join_all};
use operator_engine::{
    cluster::{
        Cluster, Freshness, WorkflowRead,
        archive::{Archive, Page, Turn},
    },
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::Kind,
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, Version, VolumeSeen, WorkflowSeen},
    },
    sandbox::Sandbox,
    workflow::{JobId, Stage},
};
use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, sync::Mutex, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    WriteIgnoresVersion,
    WriteIgnoresUid,
    /// It compares, then lets others go first, then swaps.
    WriteComparesTooEarly,
    WriteFailsThoughDone,
    WriteLosesState,
    WriteTakesAnyLength,
    ListLeaksAnotherScope,
    ListMissesOne,
    ListIsStale,
    ListVersionIsOld,
    FinishedShowsTheRunning,
    CohortsAreIgnored,
    CreateReplaces,
    CreateOfTheSameFails,
    CreateReplacesAnothers,
    CreateComparesTooEarly,
    EndDeletes,
    EndIgnoresUid,
    EndDoesNothing,
    DeletionByPrefix,
    DeletionByName,
    DeletionOfAllStages,
    DeletionOfNobodyIsOfAll,
    DeletionDoesNothing,
    DeletionOfNothingFails,
    VolumeReplaces,
    VolumesByPrefix,
    VolumesByName,
    LeaseReplaces,
    RenewIgnoresVersion,
    RenewOfTheSameHolderIsSkipped,
    LeaseDeletionIgnoresVersion,
    LeaseDeletionFailsThoughDone,
    DocumentIsTheFirstFound,
    PageMissesOne,
    PageShowsOneTwice,
    ExpiryIgnoresVersion,
    ExpiryIgnoresUid,
    TurnIgnoresVersion,
    TurnForgets,
    TurnOfTheSameIsSkipped,
    ClockStandsStill,
}

impl Flaw {
    /// Every flaw, and a check that must catch it.
    const ALL: [(Self, &'static str); 42] = [
        (Self::WriteIgnoresVersion, "a_write_of_an_older_version_changes_nothing"),
        (Self::WriteIgnoresUid, "a_write_to_another_object_of_that_name_changes_nothing"),
        (Self::WriteComparesTooEarly, "of_many_writers_one_wins"),
        (Self::WriteFailsThoughDone, "of_many_writers_one_wins"),
        (Self::WriteLosesState, "a_write_sets_state_and_record_and_nothing_else"),
        (Self::WriteTakesAnyLength, "a_record_that_is_too_long_is_refused"),
        (Self::ListLeaksAnotherScope, "each_list_holds_its_scope_and_no_other"),
        (Self::ListMissesOne, "each_list_holds_its_scope_and_no_other"),
        (Self::ListIsStale, "a_list_is_no_older_than_asked_and_no_older_than_its_objects"),
        (Self::ListVersionIsOld, "a_list_is_no_older_than_asked_and_no_older_than_its_objects"),
        (Self::FinishedShowsTheRunning, "a_pod_is_followed_to_its_end"),
        (Self::CohortsAreIgnored, "ended_pods_are_listed_by_cohort"),
        (Self::CreateReplaces, "a_pod_is_created_once_whoever_asks"),
        (Self::CreateOfTheSameFails, "a_pod_is_created_once_whoever_asks"),
        (Self::CreateReplacesAnothers, "a_pod_is_created_once_whoever_asks"),
        (Self::CreateComparesTooEarly, "of_many_creators_one_creates"),
        (Self::EndDeletes, "a_pod_that_is_asked_to_end_stays_to_be_seen"),
        (Self::EndIgnoresUid, "another_pod_of_that_name_is_left_alone"),
        (Self::EndDoesNothing, "a_pod_that_is_asked_to_end_stays_to_be_seen"),
        (Self::DeletionByPrefix, "all_pods_of_the_workflows_named_go_and_no_others"),
        (Self::DeletionByName, "what_belongs_to_another_workflow_of_that_name_stays"),
        (Self::DeletionOfAllStages, "the_pods_of_one_stage_go_and_those_of_others_stay"),
        (Self::DeletionOfNobodyIsOfAll, "a_deletion_that_names_nobody_is_refused"),
        (Self::DeletionDoesNothing, "all_pods_of_the_workflows_named_go_and_no_others"),
        (Self::DeletionOfNothingFails, "what_is_not_there_is_answered_so"),
        (Self::VolumeReplaces, "a_volume_is_created_once_whoever_asks"),
        (Self::VolumesByPrefix, "the_volumes_of_the_workflows_named_go_and_no_others"),
        (Self::VolumesByName, "the_volume_of_another_workflow_of_that_name_stays"),
        (Self::LeaseReplaces, "a_lease_is_created_once_whoever_asks"),
        (Self::RenewIgnoresVersion, "a_lease_that_changed_is_not_renewed_and_not_deleted"),
        (Self::RenewOfTheSameHolderIsSkipped, "a_renewal_always_shows"),
        (Self::LeaseDeletionIgnoresVersion, "a_lease_that_changed_is_not_renewed_and_not_deleted"),
        (Self::LeaseDeletionFailsThoughDone, "of_many_renewals_and_deletions_one_wins"),
        (Self::DocumentIsTheFirstFound, "a_document_is_read_as_it_stands_or_refused_with_a_reason"),
        (Self::PageMissesOne, "pages_hold_every_workflow_once_in_order"),
        (Self::PageShowsOneTwice, "pages_hold_every_workflow_once_in_order"),
        (Self::ExpiryIgnoresVersion, "a_workflow_is_deleted_only_as_it_was_seen"),
        (Self::ExpiryIgnoresUid, "a_workflow_is_deleted_only_as_it_was_seen"),
        (Self::TurnIgnoresVersion, "a_turn_that_changed_is_not_taken"),
        (Self::TurnForgets, "a_turn_that_changed_is_not_taken"),
        (Self::TurnOfTheSameIsSkipped, "a_turn_that_changed_is_not_taken"),
        (Self::ClockStandsStill, "the_clock_is_near_ours"),
    ];
}

fn begins(other: &JobId, job: &JobId) -> bool {
    other.as_str().starts_with(job.as_str())
}

struct Flawed {
    inner: Sandbox,
    flaw: Flaw,
    cache: Mutex<Option<Listed<WorkflowSeen>>>,
}

impl Flawed {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    async fn write_now(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        let current = self.inner.read_workflow(name).await?.ok_or(Failure::NotFound)?;
        self.inner.write_workflow(name, &Write { uid: current.uid, version: current.version, ..write.clone() }).await
    }

    /// All whose names `meant` says are those of `owners`, and these.
    async fn and_others(
        &self,
        owners: &[Owner],
        meant: impl Fn(&JobId, &JobId) -> bool,
    ) -> Result<Vec<Owner>, Failure> {
        let pods = self.inner.list_pods(Look::AuditPods, &Cohorts::All, Freshness::Consistent).await?.items;
        let volumes = self.inner.list_volumes().await?.items;
        let pods = pods.into_iter().map(|pod| (pod.workflow, pod.owner));
        let all = pods.chain(volumes.into_iter().map(|volume| (volume.workflow, volume.owner)));
        let all = all.map(|(name, uid)| Owner { job: name.parse().unwrap(), uid: uid.unwrap() });
        let meant = |other: &Owner| owners.iter().any(|owner| meant(&other.job, &owner.job));
        Ok(all.filter(meant).chain(owners.iter().cloned()).collect())
    }

    async fn lease_now(&self, lease: &LeaseSeen) -> Result<LeaseSeen, Failure> {
        let leases = self.inner.list_leases().await?.items;
        leases.into_iter().find(|now| now.name == lease.name).ok_or(Failure::NotFound)
    }
}

#[async_trait]
impl Cluster for Flawed {
    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        let mut list = self.inner.list_workflows(look, freshness).await?;
        match self.flaw {
            Flaw::ListLeaksAnotherScope if look == Look::Attention => {
                list.items.extend(self.inner.list_workflows(Look::AuditWorkflows, freshness).await?.items);
            }
            Flaw::ListMissesOne => drop(list.items.pop()),
            Flaw::ListVersionIsOld => list.version = Version(list.version.0 - 1),
            Flaw::ListIsStale if freshness != Freshness::Consistent => {
                return Ok(self.cache.lock().unwrap().get_or_insert(list).clone());
            }
            _ => {}
        }
        Ok(list)
    }

    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.inner.read_workflow(name).await
    }

    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        let mut read = self.inner.read_document(name).await?;
        if let (Some(read), Flaw::DocumentIsTheFirstFound) = (&mut read, self.flaw) {
            read.document = Ok(read.document.clone().unwrap_or_default());
        }
        Ok(read)
    }

    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        let current = self.inner.read_workflow(name).await?.ok_or(Failure::NotFound)?;
        match self.flaw {
            Flaw::WriteIgnoresVersion if current.uid == write.uid => self.write_now(name, write).await,
            Flaw::WriteIgnoresUid => {
                self.inner.write_workflow(name, &Write { uid: current.uid, ..write.clone() }).await
            }
            Flaw::WriteComparesTooEarly if current.uid == write.uid && current.version == write.version => {
                tokio::task::yield_now().await;
                self.write_now(name, write).await
            }
            Flaw::WriteFailsThoughDone => match self.write_now(name, write).await {
                Ok(seen) if seen.version.0 > write.version.0 + 1 => Err(Failure::Conflict),
                answer => answer,
            },
            Flaw::WriteLosesState => {
                let state = current.state.unwrap_or(write.state);
                self.inner.write_workflow(name, &Write { state, ..write.clone() }).await
            }
            Flaw::WriteTakesAnyLength if write.record.render().len() > 10_000 => {
                self.inner.write_workflow(name, &Write { record: record(0), ..write.clone() }).await
            }
            _ => self.inner.write_workflow(name, write).await,
        }
    }

    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure> {
        let look = if self.has(Flaw::FinishedShowsTheRunning) { Look::AuditPods } else { look };
        let cohorts = if self.has(Flaw::CohortsAreIgnored) { &Cohorts::All } else { cohorts };
        self.inner.list_pods(look, cohorts, freshness).await
    }

    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        self.inner.read_pod(name).await
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        let before = self.inner.read_pod(&spec.name()).await?;
        let replace = match (&before, self.flaw) {
            (Some(_), Flaw::CreateOfTheSameFails) => return Err(Failure::Conflict),
            (Some(_), Flaw::CreateReplaces) => true,
            (Some(before), Flaw::CreateReplacesAnothers) => before.owner.as_ref() != Some(&spec.owner),
            (None, Flaw::CreateComparesTooEarly) => {
                tokio::task::yield_now().await;
                true
            }
            _ => false,
        };
        if replace {
            self.inner.delete_pod(&spec.name());
        }
        self.inner.create_pod(spec).await
    }

    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        match self.flaw {
            Flaw::EndDeletes => drop(self.inner.delete_pod(name)),
            Flaw::EndIgnoresUid => {
                let pod = self.inner.read_pod(name).await?.ok_or(Failure::NotFound)?;
                return self.inner.end_pod(name, &pod.uid).await;
            }
            Flaw::EndDoesNothing => {}
            _ => return self.inner.end_pod(name, uid).await,
        }
        Ok(Leaving::Asked)
    }

    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        match self.flaw {
            Flaw::DeletionByPrefix => self.inner.delete_pods(stage, &self.and_others(owners, begins).await?).await,
            Flaw::DeletionByName => self.inner.delete_pods(stage, &self.and_others(owners, JobId::eq).await?).await,
            Flaw::DeletionOfAllStages => self.inner.delete_pods(None, owners).await,
            Flaw::DeletionOfNobodyIsOfAll if owners.is_empty() => {
                let all = self.inner.list_pods(Look::AuditPods, &Cohorts::All, Freshness::Consistent).await?.items;
                let owner = |pod: PodSeen| Owner { job: pod.workflow.parse().unwrap(), uid: pod.owner.unwrap() };
                let all: Vec<Owner> = all.into_iter().map(owner).collect();
                self.inner.delete_pods(stage, &all).await
            }
            Flaw::DeletionDoesNothing => Ok(()),
            Flaw::DeletionOfNothingFails => {
                let pods = self.inner.list_pods(Look::AuditPods, &Cohorts::All, Freshness::Consistent).await?.items;
                let any = pods.iter().any(|pod| owners.iter().any(|owner| Some(&owner.uid) == pod.owner.as_ref()));
                if any { self.inner.delete_pods(stage, owners).await } else { Err(Failure::NotFound) }
            }
            _ => self.inner.delete_pods(stage, owners).await,
        }
    }

    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        self.inner.list_volumes().await
    }

    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure> {
        if self.has(Flaw::VolumeReplaces) {
            let volumes = self.inner.list_volumes().await?.items;
            for volume in volumes.into_iter().filter(|volume| volume.workflow == job.as_str()) {
                self.inner.delete_volumes(&[Owner { job: job.clone(), uid: volume.owner.unwrap() }]).await?;
            }
        }
        self.inner.create_volume(job, owner, kind).await
    }

    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        match self.flaw {
            Flaw::VolumesByPrefix => self.inner.delete_volumes(&self.and_others(owners, begins).await?).await,
            Flaw::VolumesByName => self.inner.delete_volumes(&self.and_others(owners, JobId::eq).await?).await,
            _ => self.inner.delete_volumes(owners).await,
        }
    }

    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        self.inner.list_leases().await
    }

    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        if self.has(Flaw::LeaseReplaces) {
            self.inner.delete_lease_by_name(name);
        }
        self.inner.create_lease(name, holder, duration).await
    }

    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        let now = self.lease_now(lease).await?;
        match self.flaw {
            Flaw::RenewIgnoresVersion if now.uid == lease.uid => self.inner.renew_lease(&now, holder).await,
            Flaw::RenewOfTheSameHolderIsSkipped if now == *lease && now.holder == holder => Ok(now),
            _ => self.inner.renew_lease(lease, holder).await,
        }
    }

    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        let now = self.lease_now(lease).await?;
        match self.flaw {
            Flaw::LeaseDeletionIgnoresVersion if now.uid == lease.uid => self.inner.delete_lease(&now).await,
            Flaw::LeaseDeletionFailsThoughDone => {
                self.inner.delete_lease(lease).await?;
                Err(Failure::Conflict)
            }
            _ => self.inner.delete_lease(lease).await,
        }
    }
}

#[async_trait]
impl Archive for Flawed {
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure> {
        let mut page = self.inner.page(limit, after).await?;
        match self.flaw {
            Flaw::PageMissesOne if after.is_some() => drop(page.workflows.pop()),
            Flaw::PageShowsOneTwice if after.is_some() => {
                let before = self.inner.page(500, None).await?.workflows;
                let last = before.into_iter().find(|seen| Some(seen.name.as_str()) == after);
                page.workflows.splice(..1, last);
            }
            _ => {}
        }
        Ok(page)
    }

    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.inner.read(name).await
    }

    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.inner.write(name, write).await
    }

    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure> {
        let now = self.inner.read(&seen.name).await?.ok_or(Failure::NotFound)?;
        let seen = match self.flaw {
            Flaw::ExpiryIgnoresVersion => WorkflowSeen { version: now.version, ..seen.clone() },
            Flaw::ExpiryIgnoresUid => WorkflowSeen { uid: now.uid, ..seen.clone() },
            _ => seen.clone(),
        };
        Archive::delete(&self.inner, &seen).await
    }

    async fn now(&self) -> Result<Option<jiff::Timestamp>, Failure> {
        let stopped = self.has(Flaw::ClockStandsStill).then_some(jiff::Timestamp::UNIX_EPOCH);
        Ok(stopped.or(self.inner.now().await?))
    }

    async fn turn(&self) -> Result<Turn, Failure> {
        self.inner.turn().await
    }

    async fn set_turn(&self, turn: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure> {
        let now = self.inner.turn().await?;
        match self.flaw {
            Flaw::TurnIgnoresVersion => self.inner.set_turn(&now, holder, memory).await,
            Flaw::TurnForgets => self.inner.set_turn(turn, holder, "").await,
            Flaw::TurnOfTheSameIsSkipped if now == *turn && now.holder == holder && now.memory == memory => Ok(now),
            _ => self.inner.set_turn(turn, holder, memory).await,
        }
    }
}

/// The names of the checks that fail on a cluster with this flaw.
async fn caught(flaw: Flaw) -> BTreeSet<&'static str> {
    let failed = checks().into_iter().map(|(name, check)| async move {
        let flawed = |inner: Sandbox| -> (Arc<dyn Cluster>, Arc<dyn Archive>) {
            let flawed = Arc::new(Flawed { inner, flaw, cache: Mutex::default() });
            (flawed.clone(), flawed)
        };
        let hands = Hands::of(flawed, 5);
        let limit = Duration::from_secs(10);
        let checked = AssertUnwindSafe(tokio::time::timeout(limit, check(&hands))).catch_unwind().await;
        (!matches!(checked, Ok(Ok(())))).then_some(name)
    });
    join_all(failed).await.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_cluster_without_a_flaw_is_not_caught() {
    assert_eq!(caught(Flaw::None).await, BTreeSet::new());
}

#[tokio::test]
async fn each_flaw_is_caught_by_the_check_that_is_about_it() {
    let missed = join_all(Flaw::ALL.map(|(flaw, check)| async move { (flaw, check, caught(flaw).await) })).await;
    let missed: Vec<_> = missed.into_iter().filter(|(_, check, caught)| !caught.contains(check)).collect();
    assert!(missed.is_empty(), "flaws that passed their check, and what caught them instead: {missed:#?}");
}

#[test]
fn the_expected_checks_exist() {
    let names: BTreeSet<_> = checks().into_iter().map(|(name, _)| name).collect();
    assert!(Flaw::ALL.iter().all(|(_, check)| names.contains(check)));
}
