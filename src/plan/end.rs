//! How a pod ended, and whose doing it was.

use crate::workflow::report;

/// A pod's end, as the kubelet reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The container's exit status; none when no container of it ever ran to an exit.
    pub exit_code: Option<i32>,
    /// The reason, of the pod if it has one (`Evicted`, `DeadlineExceeded`), else of the container (`OOMKilled`, `Error`).
    pub reason: Option<String>,
    /// Whether the pod carries the condition `DisruptionTarget` (KEP-3329): preempted, evicted, drained.
    pub disrupted: bool,
    /// The termination message, as written in the pod: a report, or anything.
    pub message: String,
    /// The image that ran, by the id that the node has for it.
    pub image_id: Option<String>,
}

/// Whose doing an end was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It exited with 0.
    Success,
    /// It exited with another status, was killed, or ran out of memory: the workflow's own doing.
    Workflow,
    /// Its `activeDeadlineSeconds` were over, or it was asked to end.
    Deadline,
    /// The platform's doing: evicted, preempted, node gone.
    Platform,
}

impl End {
    /// Reasons by which kubelet, scheduler and node lifecycle say that the pod is not to blame (kubernetes/kubernetes:
    /// pkg/kubelet/eviction, pkg/kubelet/nodeshutdown, pkg/kubelet/preemption, pkg/util/node).
    const PLATFORM_REASONS: [&str; 7] =
        ["Evicted", "Preempting", "NodeLost", "NodeShutdown", "Terminated", "NodeAffinity", "UnexpectedAdmissionError"];

    /// Whose doing this end was.
    pub fn cause(&self) -> Cause {
        let reason = self.reason.as_deref().unwrap_or_default();
        if reason == "DeadlineExceeded" {
            return Cause::Deadline;
        }
        // A pod that was ended may answer the signal with 0, and is not done for that.
        let was_ended = Self::PLATFORM_REASONS.contains(&reason) || reason.starts_with("OutOf");
        if self.exit_code == Some(0) && !was_ended {
            return Cause::Success;
        }
        let platform = self.disrupted || was_ended;
        match (platform && !self.is_out_of_disk(), self.exit_code) {
            (true, _) => Cause::Platform,
            // A pod that failed without any container status never ran: nothing of the workflow's can have caused it.
            (false, None) if reason.is_empty() => Cause::Platform,
            (false, _) => Cause::Workflow,
        }
    }

    /// Whether it used more local storage than it may. That is reported as an eviction too, and is the workflow's doing
    /// (the three messages of kubernetes/kubernetes: pkg/kubelet/eviction/eviction_manager.go).
    pub fn is_out_of_disk(&self) -> bool {
        self.reason.as_deref() == Some("Evicted")
            && [
                "exceeded its local ephemeral storage limit",
                "exceeds the total limit of containers",
                "Usage of EmptyDir",
            ]
            .iter()
            .any(|words| self.message.contains(words))
    }

    /// The end in a few words, for messages.
    pub fn describe(&self) -> String {
        let reason = self.reason.as_deref().filter(|reason| !matches!(*reason, "Error" | "Completed"));
        match (self.exit_code, reason) {
            (Some(code), Some(reason)) => format!("{}, exit code {code}", report::clip(reason, 64)),
            (Some(code), None) => format!("exit code {code}"),
            (None, Some(reason)) => report::clip(reason, 64),
            (None, None) => "without an exit code".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(exit_code: Option<i32>, reason: &str, disrupted: bool, message: &str) -> Cause {
        let reason = (!reason.is_empty()).then(|| reason.to_owned());
        End { exit_code, reason, disrupted, message: message.to_owned(), image_id: None }.cause()
    }

    #[test]
    fn each_end_is_charged_to_whoever_caused_it() {
        assert_eq!(end(Some(0), "Completed", false, ""), Cause::Success);
        assert_eq!(end(Some(3), "Error", false, ""), Cause::Workflow);
        assert_eq!(end(Some(137), "OOMKilled", false, ""), Cause::Workflow);
        assert_eq!(end(Some(143), "DeadlineExceeded", false, ""), Cause::Deadline);
        assert_eq!(end(Some(0), "DeadlineExceeded", false, ""), Cause::Deadline);
        assert_eq!(end(None, "Evicted", false, "The node was low on resource: memory."), Cause::Platform);
        assert_eq!(end(Some(137), "Error", true, ""), Cause::Platform);
        assert_eq!(end(None, "OutOfcpu", false, ""), Cause::Platform);
        assert_eq!(end(Some(0), "Evicted", true, "The node was low on resource: memory."), Cause::Platform);
        assert_eq!(end(Some(0), "OOMKilled", false, ""), Cause::Success, "a child was killed, and it coped");
        assert_eq!(end(None, "", false, ""), Cause::Platform);
        let over = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ";
        assert_eq!(end(Some(137), "Evicted", false, over), Cause::Workflow);
        let over = "Usage of EmptyDir volume \"tmp\" exceeds the limit \"64Mi\". ";
        assert_eq!(end(Some(137), "Evicted", false, over), Cause::Workflow);
        assert_eq!(end(Some(3), "Error", true, "Usage of EmptyDir"), Cause::Platform, "an algorithm's own words");
    }
}
