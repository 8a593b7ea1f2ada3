//! What came of deletions, added to the view.

use super::{
    Failure, Intent, Now, Policy,
    kind::Kind,
    seen::{Owner, is_pod_of},
    trouble::trouble,
    view::{Tracked, View, VolumeTrack},
};

impl View {
    pub(super) fn pods_deleted(&mut self, intent: &Intent) {
        let Intent::DeletePods { stage, owners } = intent else { return };
        for owner in owners {
            if let Some(tracked) = self.owned_by(owner) {
                match stage {
                    Some(stage) => tracked.pods.retain(|name, _| !is_pod_of(name, &owner.job, *stage)),
                    None => tracked.pods.clear(),
                }
                tracked.trouble = None;
            }
        }
    }

    pub(super) fn volumes_deleted(&mut self, intent: &Intent) {
        let Intent::DeleteVolumes(owners) = intent else { return };
        for owner in owners {
            if let Some(tracked) = self.owned_by(owner) {
                tracked.volume = VolumeTrack::Deleted;
                tracked.trouble = None;
            }
        }
    }

    pub(super) fn cleaning_failed(&mut self, intent: &Intent, failure: &Failure, policy: &Policy, now: Now) {
        let (Intent::DeletePods { owners, .. } | Intent::DeleteVolumes(owners)) = intent else { return };
        for owner in owners {
            if let Some(tracked) = self.owned_by(owner) {
                trouble(tracked, failure.to_string(), policy.cadence.attention, now);
            }
        }
    }

    /// The workflow that a deletion was about, if it is not another one of that name by now.
    fn owned_by(&mut self, owner: &Owner) -> Option<&mut Tracked> {
        let names = [Kind::ConfigMap, Kind::Secret].map(|kind| kind.call(owner.job.as_str()));
        let is_it = |name: &&String| self.workflows.get(*name).is_some_and(|it| it.uid() == Some(&owner.uid));
        let name = names.iter().find(is_it)?;
        self.workflows.get_mut(name)
    }
}
