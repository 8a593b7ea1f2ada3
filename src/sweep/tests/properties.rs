//! Whatever records, clocks, stores and processes do: nothing unexpired and nothing of others is ever deleted.
//!
//! The oracle is written anew here, from the rules as people are told them, and looks at what the stores hold before and after
//! each run. What random worlds do beside it: clocks that jump together or one by one, processes that restart, ConfigMaps
//! that go, records that are edited.

use super::world::{DAY, HOUR, Shop, World, at, manifest, results, sweep};
use crate::{storage::Stored, workflow::State};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::SeqCst},
};

/// Names that begin with one another, as prefixes of keys do.
const NAMES: [&str; 6] = ["a", "a-b", "a.b", "ab", "b", "b-a"];

#[derive(Debug, Clone)]
struct Job {
    name: &'static str,
    /// None: there is no ConfigMap.
    state: Option<(State, bool)>,
    /// Whether its record has results, and when they expire.
    record: Option<Option<i64>>,
    /// What is wrong with the record.
    edit: Edit,
    outputs: Stock,
    admin: Stock,
}

#[derive(Debug, Clone, PartialEq)]
enum Edit {
    None,
    Prefix(&'static str),
    Root(&'static str),
    Store,
    Garbage,
}

#[derive(Debug, Clone)]
enum Stock {
    Nothing,
    /// With whose manifest, that expires when.
    Manifest(&'static str, Option<i64>),
    NoManifest,
    Garbage,
}

#[derive(Debug, Clone)]
enum Step {
    Pass(i64),
    /// All clocks, or one of them.
    Jump(Option<usize>, i64),
    Run,
    Restart,
    DeleteConfigMap(&'static str),
    Expire(&'static str, i64),
}

fn name() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..])
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![-DAY..0, 0..6 * HOUR, 6 * HOUR..4 * DAY]
}

fn stock(own: &'static str) -> impl Strategy<Value = Stock> {
    let whose = prop_oneof![8 => Just(own), 1 => name()];
    prop_oneof![
        2 => Just(Stock::Nothing),
        6 => (whose, proptest::option::weighted(0.8, time())).prop_map(|(whose, at)| Stock::Manifest(whose, at)),
        1 => Just(Stock::NoManifest),
        1 => Just(Stock::Garbage),
    ]
}

fn job(own: &'static str) -> impl Strategy<Value = Job> {
    let state = select(vec![State::Pending, State::Active, State::Stopping, State::Done, State::Done, State::Done]);
    let edit = prop_oneof![
        8 => Just(Edit::None),
        1 => name().prop_map(Edit::Prefix),
        1 => name().prop_map(Edit::Root),
        1 => Just(Edit::Store),
        1 => Just(Edit::Garbage),
    ];
    let record = proptest::option::weighted(0.8, proptest::option::weighted(0.8, time()));
    let state = proptest::option::weighted(0.7, (state, proptest::bool::weighted(0.9)));
    (state, record, edit, stock(own).boxed(), stock(own).boxed())
        .prop_map(move |(state, record, edit, outputs, admin)| Job { name: own, state, record, edit, outputs, admin })
}

fn step() -> impl Strategy<Value = Step> {
    let jump = (proptest::option::of(0..3_usize), prop_oneof![-2 * DAY..0, 0..2 * DAY, -200..200_i64]);
    prop_oneof![
        4 => prop_oneof![0..600_i64, 0..2 * HOUR, 0..2 * DAY].prop_map(Step::Pass),
        1 => jump.prop_map(|(which, by)| Step::Jump(which, by)),
        8 => Just(Step::Run),
        1 => Just(Step::Restart),
        1 => name().prop_map(Step::DeleteConfigMap),
        1 => (name(), time()).prop_map(|(name, at)| Step::Expire(name, at)),
    ]
}

fn put(shop: &Shop, job: &Job, stock: &Stock) {
    match stock {
        Stock::Nothing => {}
        Stock::Manifest(whose, expires) => shop.put(job.name, None, Some(manifest(whose, *expires))),
        Stock::NoManifest => shop.put(job.name, None, None),
        Stock::Garbage => shop.put(job.name, None, Some(json!(["garbage"]))),
    }
}

fn set_up(world: &World, job: &Job) {
    put(&world.outputs, job, &job.outputs);
    put(&world.admin, job, &job.admin);
    let Some((state, is_done)) = job.state else { return };
    let results = job.record.map(|expires| {
        let mut results = results(job.name, "s3://outputs", expires);
        results["adminlogs"] = json!({"store": "s3://admin", "prefix": job.name, "manifest": "m",
            "manifestSha256": results["manifestSha256"]});
        match job.edit {
            Edit::Prefix(other) => results["prefix"] = json!(other),
            Edit::Root(other) => results["root"] = json!(format!("root-of-{other}")),
            Edit::Store => results["store"] = json!("s3://another"),
            Edit::None | Edit::Garbage => {}
        }
        results
    });
    world.workflow(job.name, state, if is_done { "done" } else { "algorithm" }, results);
    if job.edit == Edit::Garbage {
        world.sandbox.annotate(job.name, Some("garbage".to_owned()));
    }
}

/// What people are told: why this may be gone after a run at `now` that an earlier one, at `agreed`, has to agree with.
fn judge(
    world: &World,
    before: &BTreeMap<String, Option<Value>>,
    stored: &Stored,
    held: &Held,
    run: &Times,
) -> Result<(), String> {
    let past = |time: Timestamp| {
        // Each clock says so that has a say (one store has none), and an earlier run found it so.
        let clocks = world.clocks();
        let clocks = clocks.iter().take(if held.store == "s3://admin" { 2 } else { 3 });
        let by_all = clocks.into_iter().all(|clock| time <= clock.wall());
        by_all && run.earlier.iter().any(|earlier| time <= *earlier)
    };
    let name = stored.job.as_str();
    let by_record = match before.get(name) {
        None => None,
        Some(None) => return Err("it was not at its end".to_owned()),
        Some(Some(results)) if results.is_null() => None,
        Some(Some(results)) => {
            let time = results["expiresAt"].as_str().ok_or("its record says never")?;
            let foreign = results["prefix"] != name || results["adminlogs"]["prefix"] != name;
            if !past(time.parse().unwrap()) || foreign {
                return Err("its record says otherwise, or speaks of another".to_owned());
            }
            Some(results["store"] == held.store || results["adminlogs"]["store"] == held.store)
        }
    };
    let manifest: Option<Value> = held.manifest.as_deref().map(|bytes| serde_json::from_slice(bytes).unwrap());
    match manifest {
        Some(manifest) if manifest["job"] != name => Err("it is another's".to_owned()),
        Some(manifest) => match manifest["expiresAt"].as_str() {
            Some(time) if past(time.parse().unwrap()) => Ok(()),
            _ => Err("its manifest says otherwise".to_owned()),
        },
        None if by_record == Some(true) => Ok(()),
        None if past(held.written.unwrap() + jiff::SignedDuration::from_hours(24)) => Ok(()),
        None => Err("it is no orphan".to_owned()),
    }
}

struct Held {
    store: String,
    manifest: Option<Vec<u8>>,
    written: Option<Timestamp>,
}

/// When runs looked, by the earliest clock of each: those long enough ago.
struct Times {
    earlier: Vec<Timestamp>,
}

fn stock_of(shops: &[&Arc<Shop>]) -> BTreeMap<(String, Stored), Held> {
    let mut all = BTreeMap::new();
    for shop in shops {
        for (stored, content) in shop.content.lock().unwrap().iter() {
            let manifest = content.manifest.as_ref().map(|bytes| bytes.to_vec());
            let held = Held { store: shop.name.clone(), manifest, written: content.written };
            all.insert((shop.name.clone(), stored.clone()), held);
        }
    }
    all
}

/// Each ConfigMap: its results if it is at its end, and none if it is not.
fn workflows(world: &World) -> BTreeMap<String, Option<Value>> {
    let names = world.sandbox.inventory().workflows;
    let record = |name: &String| {
        let seen = world.sandbox.workflow(name).unwrap();
        let record: Value = serde_json::from_str(&seen.status.unwrap_or_default()).ok()?;
        let done = seen.state == Some(State::Done) && record["phase"] == "done";
        done.then(|| record["results"].clone())
    };
    names
        .into_iter()
        .map(|name| {
            let record = record(&name);
            (name, record)
        })
        .collect()
}

async fn live(jobs: Vec<Job>, steps: Vec<Step>) -> Result<u64, TestCaseError> {
    let mut world = World::new();
    world.policy.orphans_after = Some(std::time::Duration::from_hours(24));
    jobs.iter().for_each(|job| set_up(&world, job));
    let mut sweeper = world.sweeper("one");
    let (mut looked, mut deleted): (Vec<Timestamp>, u64) = (Vec::new(), 0);
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Pass(seconds) => world.pass(seconds),
            Step::Jump(None, by) => world.jump(by),
            Step::Jump(Some(one), by) => drop(world.clocks()[one].wall.fetch_add(by, SeqCst)),
            Step::Restart => sweeper = world.sweeper(&format!("{number}")),
            Step::DeleteConfigMap(name) => drop(world.sandbox.delete(name)),
            Step::Expire(name, time) => {
                for shop in [&world.outputs, &world.admin] {
                    if shop.has(name) {
                        shop.put(name, None, Some(manifest(name, Some(time))));
                    }
                }
            }
            Step::Run => {
                let shops = [&world.outputs, &world.admin];
                let (stock, before) = (stock_of(&shops), workflows(&world));
                // The store's clock has no say in what a run confirms; it has in what one deletes.
                let now = world.own.wall().min(world.api.wall());
                let old_enough = now - jiff::SignedDuration::from_mins(10);
                let earlier: Vec<_> = looked.iter().copied().filter(|time| *time <= old_enough).collect();
                let report = sweep(&mut sweeper).await;
                let after = stock_of(&shops);
                for ((store, stored), held) in stock.iter().filter(|(key, _)| !after.contains_key(*key)) {
                    deleted += 1;
                    let times = Times { earlier: earlier.clone() };
                    judge(&world, &before, stored, held, &times)
                        .map_err(|why| TestCaseError::fail(format!("{store} {stored:?}: {why}: {report:?}")))?;
                }
                let gone = stock.len() - after.len();
                prop_assert_eq!(u64::try_from(gone).unwrap(), report.deleted);
                // Records change by the mark alone, and only where nothing is left.
                for (name, now) in workflows(&world) {
                    if before[&name] == now {
                        continue;
                    }
                    let (mut then, now) = (before[&name].clone().unwrap(), now.unwrap());
                    then["deletedAt"] = now["deletedAt"].clone();
                    prop_assert_eq!(&then, &now);
                    let left = after.keys().any(|(store, stored)| {
                        stored.job.as_str() == name && (now["store"] == *store || now["adminlogs"]["store"] == *store)
                    });
                    prop_assert!(!left, "{} is marked, and still there", name);
                }
                looked.push(now);
            }
        }
    }
    Ok(deleted)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_unexpired_and_nothing_of_others_is_ever_deleted(
        jobs in NAMES.map(|name| job(name).boxed()).to_vec(),
        steps in vec(step().boxed(), 1..40),
    ) {

        runtime().block_on(Box::pin(live(jobs, steps)))?;
    }
}

/// The same worlds, with clocks that are right: there deletions happen, or the property would prove nothing.
#[test]
fn the_worlds_of_the_property_do_delete() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let deleted: u64 = (0..100)
        .map(|_| {
            let jobs = NAMES.map(|name| job(name).new_tree(&mut runner).unwrap().current()).to_vec();
            let steps = [Step::Pass(DAY), Step::Run, Step::Pass(HOUR), Step::Run].to_vec();
            runtime().block_on(Box::pin(live(jobs, steps))).unwrap()
        })
        .sum();
    assert!(deleted > 100, "{deleted}");
    assert_eq!(at(0).as_second(), 1_800_000_000);
}
