//! A store that denies, or is not what the settings say, is waited for: an admin can renew keys and make buckets.

use crate::world::{Act, SECOND, World, exits, publish_fault, scripted};
use operator_engine::{
    plan::{Plan, View},
    sandbox::{
        faults::Fault,
        history::{Event, History},
    },
    workflow::{Outcome, Phase, Record, Stage},
};
use std::time::Duration;

const DENIED: &str = "s3://b does not allow us to write wf-1; check the storage credentials and their rights";

/// Publishing is denied for the first `denied` attempts; `algorithm` is how the workflow itself ends.
fn denied_for(denied: u32, algorithm: Act) -> World {
    let mut world = scripted(move |_, stage, attempt| match stage {
        Stage::Publish if attempt < denied => Act::End(SECOND, publish_fault("StorageDenied", DENIED, true)),
        Stage::Algorithm => algorithm.clone(),
        _ => Act::Succeed(SECOND),
    });
    // A day costs a minute.
    world.policy.retries.publish_for = Duration::from_hours(3);
    world
}

/// Every record that was written while it published, in order.
fn while_publishing(history: &History) -> Vec<Record> {
    let records = history.events().iter().filter_map(|(_, event)| match event {
        Event::Recorded { record, .. } if record.phase == Phase::Publish => Some(record.as_ref().clone()),
        _ => None,
    });
    records.collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_denies_is_waited_for_with_the_volume_kept_until_an_admin_renews_the_keys() {
    let world = denied_for(20, Act::Succeed(SECOND));
    world.submit("wf-1");
    let mut volumes = Vec::new();
    let mut watch = |_: &View, _: &Plan| {
        if world.record("wf-1").is_some_and(|record| record.phase == Phase::Publish && record.attempt > 0) {
            volumes.push(world.sandbox.inventory().volumes.len());
        }
    };
    assert!(world.live_watching(world.life("engine", "engine-1", |_| Fault::None), &mut watch).await);
    world.check();
    assert!(volumes.len() > 20 && volumes.iter().all(|count| *count == 1), "the volume is kept: {volumes:?}");
    let waited: Vec<_> =
        while_publishing(&world.sandbox.history()).into_iter().filter(|record| record.attempt > 0).collect();
    assert_eq!(waited.len(), 20);
    for record in waited {
        assert_eq!((record.outcome, record.reason.as_deref()), (None, Some("PublishFailed")));
        let message = record.message.unwrap();
        let start = record.times[&Stage::Publish].started.unwrap();
        let until = start + world.policy.retries.publish_for;
        assert!(
            message.starts_with("StorageDenied: s3://b does not allow us") && message.contains("credentials"),
            "{message}"
        );
        assert!(message.ends_with(&format!("it is tried again until {until:.0}")), "{message}");
    }
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.reason, record.message), (Some(Outcome::Succeeded), None, None));
    assert!(record.results.is_some());
    let waited =
        record.times[&Stage::Publish].ended.unwrap().duration_since(record.times[&Stage::Publish].started.unwrap());
    assert!(waited.as_hours() >= 1, "pauses grow: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_denies_for_too_long_fails_the_workflow_with_what_to_do() {
    let world = denied_for(u32::MAX, Act::Succeed(SECOND));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some("PublishFailed")));
    assert_eq!(record.message.unwrap(), format!("StorageDenied: {DENIED}"), "nothing is tried any more");
    let waited =
        record.times[&Stage::Publish].ended.unwrap().duration_since(record.times[&Stage::Publish].started.unwrap());
    assert!(waited.unsigned_abs() >= world.policy.retries.publish_for, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_publishing_waits_for_stands_beside_how_the_algorithm_ended_and_goes_with_the_wait() {
    let ends = [(2, "the algorithm ended with"), (u32::MAX, "publish: StorageDenied")];
    for (denied, last) in ends {
        let world = denied_for(denied, Act::End(SECOND, exits(3)));
        world.submit("wf-1");
        world.run().await;
        for record in while_publishing(&world.sandbox.history()).iter().filter(|record| record.attempt > 0) {
            assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some("AlgorithmFailed")));
            let message = record.message.as_deref().unwrap();
            let parts =
                ["the algorithm ended with exit code 3", "; publish waits: StorageDenied: ", "tried again until"];
            assert!(parts.iter().all(|part| message.matches(part).count() == 1), "{message}");
        }
        let record = world.record("wf-1").unwrap();
        let message = record.message.unwrap();
        assert_eq!(
            (record.reason.as_deref(), message.contains("waits")),
            (Some("AlgorithmFailed"), false),
            "{message}"
        );
        assert!(message.starts_with("the algorithm ended with") && message.contains(last), "{message}");
    }
}
