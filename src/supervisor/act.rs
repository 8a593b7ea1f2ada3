//! Carries out what was decided: one match, no decisions.

use crate::{
    cluster::{Cluster, Freshness, WorkflowRead},
    plan::{
        Answer, Failure, Intent, Policy, Target,
        cohort::Cohorts,
        look::Look,
        seen::{LeaseSeen, Listed, PodSeen, Version, VolumeSeen, WorkflowSeen},
        view::DocumentSeen,
    },
    workflow::{Document, record::Holder},
};
use std::sync::Arc;

/// What a list brought.
pub(super) enum Evidence {
    /// ConfigMaps; and Secrets, where they are workflows.
    Workflows(Listed<WorkflowSeen>, Option<Listed<WorkflowSeen>>),
    Pods(Listed<PodSeen>),
    Volumes(Listed<VolumeSeen>),
    Leases(Listed<LeaseSeen>),
}

/// Asks for one list.
pub(super) async fn look(
    cluster: &dyn Cluster,
    look: Look,
    cohorts: &Cohorts,
    (newest, newest_secret): (Version, Version),
) -> Result<Evidence, Failure> {
    let (cached, cached_secrets) = (Freshness::NotOlderThan(newest), Freshness::NotOlderThan(newest_secret));
    Ok(match look {
        Look::Attention | Look::Stopping | Look::Owed => workflows(cluster, look, cached, cached_secrets).await?,
        Look::AuditWorkflows => workflows(cluster, look, Freshness::Consistent, Freshness::Consistent).await?,
        Look::Finished => Evidence::Pods(cluster.list_pods(look, cohorts, cached).await?),
        Look::AuditPods => Evidence::Pods(cluster.list_pods(look, &Cohorts::All, Freshness::Consistent).await?),
        Look::AuditVolumes => Evidence::Volumes(cluster.list_volumes().await?),
        Look::Leases => Evidence::Leases(cluster.list_leases().await?),
    })
}

/// One look is both lists: what one of them does not say, nobody may think that it said.
async fn workflows(
    cluster: &dyn Cluster,
    look: Look,
    fresh: Freshness,
    fresh_secrets: Freshness,
) -> Result<Evidence, Failure> {
    let lists = (cluster.list_workflows(look, fresh), cluster.list_secrets(look, fresh_secrets));
    let (config_maps, secrets) = futures::try_join!(lists.0, lists.1)?;
    Ok(Evidence::Workflows(config_maps, secrets))
}

/// Carries out one intent.
pub(super) async fn act(
    cluster: &dyn Cluster,
    intent: &Intent,
    target: &Target,
    me: &Holder,
    policy: &Policy,
) -> Result<Answer, Failure> {
    let workflow = if let Target::Workflow(name) = target { name.as_str() } else { "" };
    Ok(match intent {
        Intent::TakeLease { from_predecessor } => {
            let lease = cluster.create_lease(&me.lease, &me.identity, policy.lease.duration).await?;
            if lease.holder != me.identity && (*from_predecessor || lease.holder.is_empty()) {
                Answer::Lease(cluster.renew_lease(&lease, &me.identity).await?)
            } else {
                Answer::Lease(lease)
            }
        }
        Intent::RenewLease(lease) => Answer::Lease(cluster.renew_lease(lease, &me.identity).await?),
        Intent::DeleteLease(lease) => {
            cluster.delete_lease(lease).await?;
            Answer::Done
        }
        Intent::ReadWorkflow => Answer::Workflow(cluster.read_workflow(workflow).await?),
        Intent::ReadDocument => Answer::Document(cluster.read_document(workflow).await?.map(parsed)),
        Intent::FindNamesake => Answer::Namesake(cluster.namesake(workflow).await?),
        Intent::Write(write) => Answer::Workflow(Some(cluster.write_workflow(workflow, write).await?)),
        Intent::CreateVolume { job, owner, kind } => Answer::Volume(cluster.create_volume(job, owner, *kind).await?),
        Intent::CreatePod(spec) => Answer::Pod(cluster.create_pod(spec).await?),
        Intent::ReadPod { name } => Answer::PodRead(cluster.read_pod(name).await?),
        Intent::EndPod { name, uid, .. } => Answer::Leaving(cluster.end_pod(name, uid).await?),
        Intent::DeletePods { stage, owners } => {
            cluster.delete_pods(*stage, owners).await?;
            Answer::Done
        }
        Intent::DeleteVolumes(owners) => {
            cluster.delete_volumes(owners).await?;
            Answer::Done
        }
    })
}

fn parsed(read: WorkflowRead) -> (WorkflowSeen, DocumentSeen) {
    let document = read.document.map_err(|fault| vec![fault]).and_then(|text| Document::parse(&text));
    (read.seen, document.map(Arc::new))
}
