//! Ten thousand at once.

use super::world::{HOUR, World, manifest, sweep};
use crate::sweep::report::MAX_LINES;
use std::sync::atomic::Ordering::SeqCst;

#[tokio::test]
async fn ten_thousand_results_go_in_one_run_a_few_at_a_time() {
    let mut world = World::new();
    world.policy.max_per_run = 20_000;
    for n in 0..10_000 {
        if n % 2 == 0 {
            world.published(&format!("wf-{n}"), Some(0));
        } else {
            world.outputs.put(&format!("wf-{n}"), None, Some(manifest(&format!("wf-{n}"), Some(0))));
        }
    }
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.found, report.deleted, report.objects), (10_000, 10_000, 40_000), "{:?}", report.skipped);
    assert_eq!((report.lines.len(), report.more_lines), (MAX_LINES, 9_000), "what is told is bounded");
    assert!(world.outputs.content.lock().unwrap().is_empty());
    assert!((0..10_000).step_by(2).all(|n| world.is_marked(&format!("wf-{n}"))));
    assert!(world.outputs.most_removing.load(SeqCst) <= 4);
    assert_eq!(sweep(&mut sweeper).await.found, 0);
}
