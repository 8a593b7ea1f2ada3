//! operator-engine runs compute-to-data workflows on Kubernetes: it brings a published algorithm to data that its owner does
//! not give away. It needs no CRD, no watch, and no right outside its namespaces.
//!
//! ```text
//!   every turn:   look ──────────▶ merge ────────▶ plan ────────▶ apply ────────────▶ report
//!                 partial lists    into the view   pure           bounded, guarded    edges, not levels
//! ```
//!
//! # The map
//!
//! From top to bottom; a module names only what stands below it, and a test in `tests/house` holds it to that.
//!
//! - [`cli`]: one file per command; turns arguments and configuration into calls, and ends into exit codes.
//! - [`supervisor`]: the loop. It decides nothing and keeps nothing that a successor could not read again.
//! - [`sweep`]: expiry. Deletes results whose time is up, and in the end their records.
//! - [`sandbox`]: a cluster in memory, whose pods are child processes (`local`) or scripts (simulations). It keeps a history,
//!   and the history judges the engine.
//! - [`notify`]: who is told of starts and ends; the outbox is in the records.
//! - [`announce`]: what is said of this environment to those who choose among several.
//! - [`http`]: the pages: alive, ready, metrics, what is thought of each workflow.
//! - [`config`]: layers of configuration to checked values; the only reader of the environment.
//! - [`telemetry`]: where logs go.
//! - [`cluster`]: the trait that stands for Kubernetes, with its contract; [`cluster::kube`] keeps it with the real one and alone
//!   names that library.
//! - [`pod`]: what this same program does inside pods: fetch, run, publish. It never talks to a cluster.
//! - [`storage`]: where results go.
//! - [`clock`], [`exit`]: the time, and how the program ends.
//! - [`ethereum`]: the operator's key, whose address others know, and signatures with it.
//! - [`plan`]: the decision core: `plan(view, policy, now)`. No I/O, no clock, no randomness.
//! - [`workflow`]: the nouns, and how a stranger's document becomes one.
//!
//! To find your way: a workflow's document is read in [`workflow::document`], claimed by [`plan::admission`], driven stage by
//! stage by [`plan::drive`], its record rewritten by [`plan::transition`], its pods worded by [`cluster::command`] and cleared away by
//! [`plan::cleaning`]; inside them [`pod::configure`], [`pod::exec`] and [`pod::publish`] do the work.
//!
//! # What always holds
//!
//! Whatever crashes, hangs, is paused or is told twice:
//!
//! - **I1** A stage's attempt runs in one pod at most. The pod's name is made of job, round, stage and attempt, and names are taken
//!   once. (One exception, on purpose: a pod that somebody deletes while no engine looks is made again under its name. Another
//!   name would be worse, since a late request of an engine thought dead would then run a second one beside it.)
//! - **I2** A stage begins only after the end of the one before it is recorded. The record is written before the act it
//!   speaks of, by compare-and-swap.
//! - **I3** The end is final: once a workflow is `done`, nothing is started for it any more.
//! - **I4** `succeeded` means that the manifest is stored, and that every file it names is there, byte for byte. The manifest is
//!   written last; what has none does not exist.
//! - **I5** Publishing twice changes nothing: what is stored is a function of the record and the files alone.
//! - **I6** Only what is past its recorded time is deleted from storage, by every clock that was asked and at an earlier run
//!   too, and only below the workflow's own prefix; what a crash left without a manifest, only when it is old and its
//!   workflow over. The record stays until the data is gone.
//!
//! And once the faults stop:
//!
//! - **L1** Every workflow comes to its end. Each kind of waiting has a deadline and a reason.
//! - **L2** Nothing is left over: pods, volumes and Leases of what is finished go.
//! - **L3** What a dead engine had in work, another one takes over: at most a lease's duration, and a few looks, later.
//!
//! The simulations in `tests/simulation` look for ways to break these; those in [`sweep`] for ways to break I6.

pub mod announce;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod ethereum;
pub mod exit;
pub mod http;
pub mod notify;
pub mod plan;
pub mod pod;
pub mod sandbox;
pub mod storage;
pub mod supervisor;
pub mod sweep;
pub mod telemetry;
pub mod workflow;
