//! How evidence is added to the view. Pure: the same evidence gives the same view, old evidence changes nothing.
//!
//! A list says something about its own scope at its own version, and about nothing else. So what a list does not show is
//! only *suspected* to be gone, where it was seen before at a version the list must know; a consistent read confirms it.

use super::{
    Now, Policy,
    kind::Kind,
    look::Look,
    namesake::NameTrack,
    seen::{LeaseSeen, Listed, PodSeen, Progress, Version, VolumeSeen, WorkflowSeen},
    standing::Standing,
    trouble,
    view::{LeaseTrack, OwnLease, PodTrack, RecordSeen, Tracked, View, VolumeTrack},
};
use crate::workflow::{Record, State};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

impl View {
    /// Notes that a list was asked for.
    pub fn look_begun(&mut self, look: Look, now: Now) {
        self.looks.busy.insert(look, now.mono);
    }

    /// Notes an answer. False when it is older than the last one of the same list: it comes from an API server that is
    /// behind (kubernetes/kubernetes#59848), and would take back what was seen already.
    fn look_answered(&mut self, look: Look, version: Version) -> bool {
        self.looks.failed.remove(&look);
        if let Some(begun) = self.looks.busy.remove(&look) {
            self.looks.answered.insert(look, begun);
        }
        is_newer(self.looks.listed.entry(look).or_default(), version)
    }

    /// Notes that a list could not be had; it is asked for again after a pause that grows.
    pub fn look_failed(&mut self, look: Look, after: Option<Duration>, policy: &Policy, now: Now) {
        self.news = true;
        self.looks.busy.remove(&look);
        let failures = self.looks.failed.get(&look).map_or(0, |(n, _)| *n).saturating_add(1);
        let pause = policy
            .cadence
            .attention
            .saturating_mul(1 << failures.min(5))
            .max(after.unwrap_or_default().min(trouble::MAX));
        self.looks.failed.insert(look, (failures, now.mono + pause));
    }

    /// Adds a list of workflows that are ConfigMaps.
    pub fn workflows_listed(&mut self, look: Look, list: Listed<WorkflowSeen>, now: Now) {
        if self.look_answered(look, list.version) {
            self.of_kind_listed(Kind::ConfigMap, look, list, now);
        }
    }

    /// Adds the list of workflows that are Secrets, which belongs to the same look.
    pub fn secrets_listed(&mut self, look: Look, list: Listed<WorkflowSeen>, now: Now) {
        if is_newer(self.looks.secrets_listed.entry(look).or_default(), list.version) {
            self.of_kind_listed(Kind::Secret, look, list, now);
        }
    }

    fn of_kind_listed(&mut self, kind: Kind, look: Look, list: Listed<WorkflowSeen>, now: Now) {
        self.looks.saw(kind, list.version);
        self.news |= look == Look::AuditWorkflows;
        let listed: BTreeSet<String> = list.items.iter().map(|seen| seen.name.clone()).collect();
        for seen in list.items {
            self.see_workflow(seen, now);
        }
        for (name, tracked) in self.workflows.iter_mut().filter(|(name, _)| Kind::of(name) == kind) {
            let known_then = tracked.seen.as_ref().is_some_and(|seen| seen.version <= list.version);
            let in_scope = match look {
                Look::AuditWorkflows => matches!(tracked.standing(), Standing::Running(_) | Standing::Broken(_)),
                Look::Attention => matches!(tracked.standing(), Standing::Pending | Standing::StoppedUnclaimed),
                _ => matches!(tracked.standing(), Standing::StoppedUnclaimed),
            };
            // A running workflow that a person wants to stop is labelled `stopping`, so the audit of `active` ones
            // does not show it: it is not missed there.
            // Nor is it anywhere else, so one that is being deleted is looked at each time, until it is gone.
            let elsewhere =
                look == Look::AuditWorkflows && tracked.is_labelled(State::Stopping) && !tracked.is_deleting();
            if known_then && in_scope && !elsewhere && !listed.contains(name) {
                tracked.stale = true;
                self.news = true;
            }
        }
    }

    /// Adds what is known of one workflow.
    pub fn see_workflow(&mut self, seen: WorkflowSeen, now: Now) {
        self.looks.saw(Kind::of(&seen.name), seen.version);
        let tracked = self.workflows.entry(seen.name.clone()).or_insert_with(Tracked::unknown);
        if let Some(old) = &tracked.seen {
            let known = seen.version == old.version && seen.uid == old.uid && !tracked.stale;
            if seen.version < old.version || known {
                return;
            }
            if seen.uid != old.uid {
                // Deleted and made anew: nothing known of the old one holds for the new one.
                let busy = tracked.busy;
                *tracked = Tracked { busy, ..Tracked::unknown() };
            } else if seen.version != old.version && matches!(tracked.record, RecordSeen::None) && seen.status.is_none()
            {
                // Edited before it was claimed: the document may be another.
                tracked.document = None;
            }
        } else if tracked.volume == VolumeTrack::Present {
            // Seen before its workflow was, so whose it is was not compared. Making it again, or the next audit, tells.
            tracked.volume = VolumeTrack::Unknown;
        }
        if matches!(tracked.record, RecordSeen::None) && seen.status.is_some() {
            tracked.name = NameTrack::Unknown;
        }
        tracked.record = match &seen.status {
            None => RecordSeen::None,
            Some(text) => match Record::parse(text) {
                Ok(record) => RecordSeen::Some(Box::new(record)),
                Err(error) => RecordSeen::Unreadable(error),
            },
        };
        if matches!(&tracked.record, RecordSeen::Some(record) if record.holder != self.me) {
            // Another process may have asked for its pods since this one intended them.
            tracked.pods.values_mut().for_each(|pod| pod.intended = false);
        }
        tracked.pods.retain(|_, pod| pod.seen.as_ref().is_none_or(|pod| pod.owner.as_ref() == Some(&seen.uid)));
        tracked.seen = Some(seen);
        tracked.stale = false;
        self.news = true;
        if tracked.done_since.is_none() && matches!(tracked.standing(), Standing::Done(_)) {
            tracked.done_since = Some(now.mono);
        }
    }

    /// Notes that a workflow does not exist. What it owned goes with it, by its ownerReferences.
    pub fn workflow_gone(&mut self, name: &str) {
        self.workflows.remove(name);
    }

    /// Adds a list of pods. Only the audit speaks about pods it does not show.
    pub fn pods_listed(&mut self, look: Look, list: Listed<PodSeen>, now: Now) {
        if !self.look_answered(look, list.version) {
            return;
        }
        let audit = look == Look::AuditPods;
        self.news |= audit;
        self.looks.pods = self.looks.pods.max(list.version);
        let listed: BTreeSet<String> = list.items.iter().map(|pod| pod.name.clone()).collect();
        for pod in list.items {
            if audit || self.workflows.contains_key(&pod.workflow) {
                self.see_pod(pod, now);
            }
        }
        if !audit {
            return;
        }
        for tracked in self.workflows.values_mut() {
            for (name, pod) in &mut tracked.pods {
                let known_then = pod.seen.as_ref().is_some_and(|seen| seen.version <= list.version);
                pod.missing |= known_then && !pod.gone && !listed.contains(name);
            }
            if matches!(tracked.standing(), Standing::Done(_)) {
                tracked.pods.retain(|_, pod| !pod.missing);
            }
        }
    }

    /// Adds what is known of one pod.
    pub fn see_pod(&mut self, pod: PodSeen, now: Now) {
        self.looks.pods = self.looks.pods.max(pod.version);
        let tracked = self.workflows.entry(pod.workflow.clone()).or_insert_with(Tracked::unknown);
        if tracked.uid().is_some_and(|uid| Some(uid) != pod.owner.as_ref()) {
            return; // An earlier workflow's of the same name: it goes with its owner.
        }
        let anew = || PodTrack { since: now.mono, ..PodTrack::default() };
        let track = tracked.pods.entry(pod.name.clone()).or_insert_with(|| Box::new(anew()));
        if let Some(old) = &track.seen {
            let known = pod.version == old.version && pod.uid == old.uid && !track.missing && !track.gone;
            if pod.version < old.version || known {
                return;
            }
            if pod.uid != old.uid {
                // Deleted and made anew: it waits for reasons of its own, and nobody has asked it to end.
                let PodTrack { intended, uncertain, .. } = **track;
                **track = PodTrack { intended, uncertain, ..anew() };
            }
        }
        track.waiting = match (&pod.progress, track.waiting) {
            (Progress::Waiting(waiting), Some((cause, since))) if cause == waiting.cause => Some((cause, since)),
            (Progress::Waiting(waiting), _) => Some((waiting.cause, now.mono)),
            _ => None,
        };
        track.running = matches!(pod.progress, Progress::Running).then(|| track.running.unwrap_or(now.mono));
        if pod.deleting {
            track.leaving.get_or_insert(now.mono);
        }
        track.seen = Some(pod);
        self.news = true;
        (track.missing, track.gone, track.absent) = (false, false, false);
    }

    /// Notes what a consistent read of one pod found.
    pub fn pod_read(&mut self, workflow: &str, name: &str, pod: Option<PodSeen>, now: Now) {
        match pod {
            Some(pod) => self.see_pod(pod, now),
            None => {
                if let Some(tracked) = self.workflows.get_mut(workflow) {
                    let track = tracked.pods.entry(name.to_owned()).or_default();
                    track.missing = false;
                    (track.gone, track.absent) = (track.seen.is_some(), track.seen.is_none());
                }
            }
        }
    }

    /// Adds the list of all volumes.
    pub fn volumes_listed(&mut self, list: Listed<VolumeSeen>) {
        if !self.look_answered(Look::AuditVolumes, list.version) {
            return;
        }
        self.news = true;
        let listed: BTreeSet<String> = list.items.iter().map(|volume| volume.workflow.clone()).collect();
        for volume in list.items {
            self.see_volume(&volume);
        }
        for (name, tracked) in &mut self.workflows {
            if matches!(tracked.standing(), Standing::Done(_)) && !listed.contains(name) {
                tracked.volume = VolumeTrack::Deleted;
            }
        }
    }

    /// Adds what is known of one volume.
    pub fn see_volume(&mut self, volume: &VolumeSeen) {
        let tracked = self.workflows.entry(volume.workflow.clone()).or_insert_with(Tracked::unknown);
        let foreign = tracked.uid().is_some_and(|uid| Some(uid) != volume.owner.as_ref());
        tracked.volume = if foreign { VolumeTrack::Foreign } else { VolumeTrack::Present };
    }

    /// Adds the list of all engines' Leases. Those that workflows name and that are not there are watched as absent.
    pub fn leases_listed(&mut self, list: Listed<LeaseSeen>, now: Now) {
        if !self.look_answered(Look::Leases, list.version) {
            return;
        }
        self.news = true;
        let mut listed: BTreeMap<String, LeaseSeen> =
            list.items.into_iter().map(|lease| (lease.name.clone(), lease)).collect();
        if let Some(mine) = listed.remove(&self.me.lease) {
            self.see_own_lease(mine);
        }
        let named = self.workflows.values().filter_map(|tracked| match tracked.standing() {
            Standing::Running(record) | Standing::Done(record) => Some(record.holder.lease.clone()),
            _ => None,
        });
        let names: BTreeSet<String> =
            named.chain(listed.keys().cloned()).filter(|name| *name != self.me.lease).collect();
        self.leases.retain(|name, _| names.contains(name));
        for name in names {
            let seen = listed.remove(&name);
            let version = |lease: &Option<LeaseSeen>| lease.as_ref().map(|lease| (lease.uid.clone(), lease.version));
            match self.leases.get_mut(&name) {
                Some(track) if version(&track.seen) == version(&seen) => {}
                Some(track) => *track = LeaseTrack { seen, since: now.mono },
                None => {
                    self.leases.insert(name, LeaseTrack { seen, since: now.mono });
                }
            }
        }
    }

    fn see_own_lease(&mut self, seen: LeaseSeen) {
        let newer = |old: &LeaseSeen| seen.version > old.version;
        match &self.own_lease {
            OwnLease::Held { seen: old, .. } if newer(old) && seen.holder != self.me.identity => {
                self.own_lease = OwnLease::Taken { by: seen.holder };
            }
            _ => {}
        }
    }

    /// Drops what needs nothing any more.
    pub fn forget(&mut self) {
        self.workflows.retain(|_, tracked| {
            let over = match tracked.standing() {
                Standing::Foreign => true,
                Standing::Done(_) => tracked.pods.is_empty() && tracked.volume == VolumeTrack::Deleted,
                _ => false,
            };
            !over || tracked.busy.is_some() || tracked.stale
        });
    }
}

/// Whether an answer of this version may be believed, after the last one of the same list.
fn is_newer(last: &mut Version, version: Version) -> bool {
    let newer = version >= *last;
    *last = version.max(*last);
    newer
}
