//! Who may start: whatever arrives, whoever sends it and however long it runs, the budget is kept, nobody is passed for ever,
//! and priorities count.

use crate::evidence::{at, me};
use operator_engine::{
    plan::{
        Intent, Policy, Target, View,
        action::WriteStep,
        look::Look,
        plan,
        seen::{LeaseSeen, Listed, Uid, Version, WorkflowSeen},
        view::OwnLease,
    },
    workflow::{Budget, Document, Order, Outcome, Phase, Record, Resources, State},
};
use proptest::{collection::vec, prelude::*};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A workflow of the simulation: second of arrival, owner, priority, cores in thousandths, gigabytes, seconds to run.
#[derive(Debug, Clone)]
struct Job {
    arrives: u64,
    owner: &'static str,
    priority: i32,
    cpus: u64,
    memory: u64,
    runs: u64,
}

const CAPS: Resources = Resources { cpu_millis: 4000, memory: 4 << 30, gpus: 0 };

fn job() -> impl Strategy<Value = Job> {
    let owner = prop_oneof![4 => Just("loud"), 1 => Just("quiet"), 1 => Just("third"), 1 => Just("")];
    (0..200_u64, owner, 0..3_i32, 1..=8_u64, 1..=8_u64, 1..40_u64).prop_map(
        |(arrives, owner, priority, cpus, memory, runs)| Job {
            arrives,
            owner,
            priority,
            cpus: cpus * 500,
            memory,
            runs,
        },
    )
}

/// What became of each: started and ended at which second.
struct World<'a> {
    jobs: &'a [Job],
    documents: Vec<Arc<Document>>,
    policy: Policy,
    started: BTreeMap<usize, u64>,
    records: BTreeMap<usize, Record>,
}

fn document(job: &Job) -> Arc<Document> {
    let text = serde_json::json!({"stages": [{
        "compute": {"resources": {"requests_cpu": format!("{}m", job.cpus), "limits_memory": format!("{}Gi", job.memory)}},
        "algorithm": {"rawcode": "x", "container": {"image": "busybox", "entrypoint": "sh $ALGO"}}}]});
    Arc::new(Document::parse(&text.to_string()).unwrap())
}

impl<'a> World<'a> {
    fn new(jobs: &'a [Job], policy: Policy) -> Self {
        let documents = jobs.iter().map(document).collect();
        Self { jobs, documents, policy, started: BTreeMap::new(), records: BTreeMap::new() }
    }

    fn is_over(&self, index: usize, second: u64) -> bool {
        self.started.get(&index).is_some_and(|started| started + self.jobs[index].runs <= second)
    }

    /// The view of an engine that has seen everything there is at this second, and knows nothing else.
    fn view(&self, second: u64) -> View {
        let now = at(Duration::from_secs(second));
        let mut view = View::new(me());
        let (name, holder) = (me().lease, me().identity);
        let duration = Duration::from_secs(15);
        let seen = LeaseSeen { name, uid: Uid("lease".to_owned()), version: Version(1), holder, duration };
        view.own_lease = OwnLease::Held { seen, since: now.mono };
        for (index, job) in self.jobs.iter().enumerate().filter(|(_, job)| job.arrives <= second) {
            let record = self.records.get(&index);
            let over = self.is_over(index, second);
            let status = record.map(|record| {
                let mut record = record.clone();
                if over {
                    (record.phase, record.outcome) = (Phase::Done, Some(Outcome::Succeeded));
                }
                record.render()
            });
            let state = if over { State::Done } else { record.map_or(State::Pending, |_| State::Active) };
            let seen = WorkflowSeen {
                name: format!("wf-{index:03}"),
                uid: Uid(format!("uid-{index}")),
                version: Version(2),
                created: at(Duration::from_secs(job.arrives)).wall,
                state: Some(state),
                status,
                deleting: false,
                order: Order { owner: job.owner.to_owned(), priority: job.priority, valid_until: None },
            };
            view.see_workflow(seen, now);
            view.workflows.get_mut(&format!("wf-{index:03}")).unwrap().document =
                Some(Ok(self.documents[index].clone()));
        }
        let nothing = || Listed { items: Vec::new(), version: Version(1) };
        view.look_begun(Look::AuditWorkflows, now);
        view.workflows_listed(Look::AuditWorkflows, nothing(), now);
        view.look_begun(Look::AuditPods, now);
        view.pods_listed(Look::AuditPods, Listed { items: Vec::new(), version: Version(1) }, now);
        view.look_begun(Look::AuditVolumes, now);
        view.volumes_listed(Listed { items: Vec::new(), version: Version(1) });
        view.look_begun(Look::Leases, now);
        view.leases_listed(Listed { items: Vec::new(), version: Version(1) }, now);
        view
    }

    /// What one plan claims.
    fn step(&mut self, second: u64) -> Vec<usize> {
        let view = self.view(second);
        let mut claimed = Vec::new();
        for action in plan(&view, &self.policy, at(Duration::from_secs(second))).actions {
            let (Target::Workflow(name), Intent::Write(write)) = (&action.target, &action.intent) else { continue };
            if write.step == WriteStep::Claim {
                let index: usize = name.trim_start_matches("wf-").parse().unwrap();
                self.started.insert(index, second);
                self.records.insert(index, write.record.clone());
                claimed.push(index);
            }
        }
        claimed
    }

    fn in_use(&self, second: u64) -> (usize, Resources) {
        let running: Vec<_> = self.records.iter().filter(|(index, _)| !self.is_over(**index, second)).collect();
        let used = running.iter().map(|(_, record)| record.resources.unwrap());
        (running.len(), used.fold(Resources::default(), Resources::plus))
    }
}

fn policy() -> Policy {
    let budget = Budget { cpu_millis: Some(6000), memory: Some(7 << 30), gpus: None };
    Policy { max_jobs: 3, resources: CAPS, budget, ..Policy::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_budget_is_kept_and_everybody_gets_there(jobs in vec(job(), 1..40)) {
        let mut world = World::new(&jobs, policy());
        for second in 0..3000 {
            for index in world.step(second) {
                let job = &jobs[index];
                let resources = world.records[&index].resources.unwrap();
                prop_assert_eq!(resources.cpu_millis, job.cpus.min(CAPS.cpu_millis), "no more than the cap, no less than asked");
                // Whoever could have gone first has no higher priority.
                let waiting = jobs.iter().enumerate().filter(|(other, job)| {
                    job.arrives <= second && !world.started.contains_key(other)
                });
                for (_, other) in waiting {
                    prop_assert!(other.priority <= job.priority, "{job:?} was started before {other:?}");
                }
            }
            let (running, used) = world.in_use(second);
            prop_assert!(running <= 3 && used.fits(world.policy.budget), "{running} run with {used:?}");
            if world.started.len() == jobs.len() {
                return Ok(());
            }
        }
        prop_assert!(false, "{} of {} were never started", jobs.len() - world.started.len(), jobs.len());
    }

    #[test]
    fn nobody_waits_for_more_than_one_turn_of_each_of_the_others(flood in 5..60_u64, runs in 1..20_u64) {
        // One owner sends a flood and goes on sending; another sends two.
        let loud = |arrives| Job { arrives, owner: "loud", priority: 0, cpus: 500, memory: 1, runs };
        let mut jobs: Vec<Job> = (0..flood).map(|_| loud(0)).collect();
        jobs.extend((0..200).map(loud));
        let quiet = Job { owner: "quiet", ..loud(3) };
        let first = jobs.len();
        jobs.extend([quiet.clone(), quiet]);
        let mut world = World::new(&jobs, Policy { max_jobs: 1, ..policy() });
        let mut order = Vec::new();
        for second in 0..(runs + 1) * 8 {
            order.extend(world.step(second).into_iter().map(|index| jobs[index].owner).filter(|_| second >= 3));
        }
        prop_assert!(world.started.contains_key(&first) && world.started.contains_key(&(first + 1)));
        let before_last = order.iter().take(order.iter().rposition(|owner| *owner == "quiet").unwrap());
        prop_assert!(before_last.filter(|owner| **owner == "loud").count() <= 3, "they take turns: {order:?}");
    }
}

#[test]
fn a_large_one_is_not_passed_by_small_ones_for_ever() {
    let small = |arrives| Job { arrives, owner: "", priority: 0, cpus: 3000, memory: 1, runs: 10 };
    let mut jobs: Vec<Job> = (0..100).map(|second| small(second * 4)).collect();
    jobs.push(Job { arrives: 9, cpus: 4000, ..small(9) });
    let mut world = World::new(&jobs, policy());
    for second in 0..100 {
        world.step(second);
    }
    assert!(world.started[&100] <= 40, "it was started at {}", world.started[&100]);
}

#[test]
fn an_order_whose_time_is_up_is_refused_with_that_reason() {
    let job = Job { arrives: 0, owner: "", priority: 0, cpus: 500, memory: 1, runs: 10 };
    let jobs = [job];
    let world = World::new(&jobs, Policy { max_jobs: 0, ..policy() });
    let mut view = world.view(100);
    let tracked = view.workflows.get_mut("wf-000").unwrap();
    tracked.seen.as_mut().unwrap().order.valid_until = Some(at(Duration::from_secs(99)).wall);
    let plan = plan(&view, &world.policy, at(Duration::from_secs(100)));
    let written = plan.actions.iter().find_map(|action| match &action.intent {
        Intent::Write(write) => Some(write),
        _ => None,
    });
    let write = written.expect("it is refused although no slot is free");
    assert_eq!((write.state, write.record.outcome), (State::Done, Some(Outcome::Refused)));
    assert_eq!(write.record.reason.as_deref(), Some("OrderExpired"));
}
