//! The engine on a real node: its own image in its own Deployment, from the shipped manifests, under the shipped Role, in
//! namespaces that enforce Pod Security *restricted*. Every pod is a real one: kubelet, containerd, runc.
//!
//! One cluster serves all tests. Most use the engine that `kubectl apply -k manifests` brings up ([`site`]); those that need
//! an admin's particular decision (a node that does not exist, a storage class without a provisioner) bring up an engine of
//! their own in a namespace of their own. What a person would read of each failure is printed at the end.
//!
//! It needs root, and one node is all that a machine can have. `tests/run --without node` leaves it out.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cluster;
mod old_images;
mod penguins;
mod people;
mod platform;
mod probes;
mod restarts;
mod secrets;
mod site;
mod stores;
mod users;

/// Groups and order, as for the tests without a node.
#[path = "../kubernetes/runner.rs"]
#[allow(dead_code)]
mod runner;

#[path = "../servers/server.rs"]
mod server;

use runner::{Group, Test, test};
use std::process::ExitCode;

fn main() -> ExitCode {
    let tests: Vec<Test> = vec![
        test!(Group::Together, penguins::the_penguins_come_out_as_they_should),
        test!(Group::Together, penguins::the_filter_keeps_back_what_is_not_for_everybody),
        test!(Group::Together, users::an_image_that_does_not_exist),
        test!(Group::Together, users::an_image_without_a_shell),
        test!(Group::Together, users::an_image_without_a_shell_and_an_entrypoint_that_needs_one),
        test!(Group::Together, users::an_exit_code),
        test!(Group::Together, users::a_signal),
        test!(Group::Together, users::out_of_memory),
        test!(Group::Together, users::a_child_out_of_memory),
        test!(Group::Together, users::over_its_time),
        test!(Group::Together, users::more_local_disk_than_there_is),
        test!(Group::Together, old_images::a_shell_pipeline_as_its_entrypoint),
        test!(Group::Together, old_images::algo_twice_in_its_entrypoint),
        test!(Group::Together, old_images::one_that_runs_as_root_only),
        test!(Group::Together, old_images::one_that_writes_into_its_inputs),
        test!(Group::Together, old_images::one_that_never_stops),
        test!(Group::Together, old_images::one_that_forks),
        test!(Group::Together, people::a_pod_deleted_by_hand),
        test!(Group::Together, people::a_pod_evicted_by_the_api),
        test!(Group::Together, people::a_workflow_deleted_midway),
        test!(Group::Together, people::a_document_edited_midway),
        test!(Group::Together, people::stopping_while_it_configures),
        test!(Group::Together, people::stopping_while_it_waits_for_its_image),
        test!(Group::Together, people::stopping_while_it_runs),
        test!(Group::Together, people::stopping_while_the_filter_looks),
        test!(Group::Together, people::stopping_while_it_publishes),
        test!(Group::Together, secrets::the_penguins_of_a_secret_come_out_as_they_should),
        test!(Group::Together, stores::results_go_to_a_bucket_and_expire),
        test!(Group::Together, stores::results_go_to_an_ipfs_node_and_expire),
        test!(Group::Together, stores::results_go_to_an_ipfs_cluster_and_expire),
        test!(Group::Takeover, platform::more_memory_than_any_node_has),
        test!(Group::Takeover, platform::a_node_that_does_not_exist),
        test!(Group::Takeover, platform::a_volume_that_never_binds),
        test!(Group::Takeover, penguins::a_filter_s_log_and_what_it_may_not_touch),
        test!(Group::Takeover, platform::a_quota_that_stays_used_up),
        test!(Group::Takeover, platform::a_quota_that_is_freed),
        test!(Group::Takeover, old_images::one_that_runs_as_root_only_where_that_is_allowed),
        test!(Group::Takeover, people::stopping_before_it_was_claimed),
        test!(Group::Alone, probes::a_deadline_ends_a_pod_and_keeps_its_last_words),
        test!(Group::Alone, probes::a_deadline_ends_a_pod_that_waits_for_its_image),
        test!(Group::Alone, restarts::an_engine_that_is_deleted_midway),
        test!(Group::Alone, restarts::a_document_edited_while_no_engine_looks),
        test!(Group::Alone, restarts::over_its_time_without_an_engine),
        test!(Group::Last, platform::a_node_that_is_lost),
        test!(Group::Last, probes::no_engine_asked_for_what_its_role_forbids),
    ];
    if !nix::unistd::geteuid().is_root() && !std::env::args().any(|argument| argument == "--list") {
        eprintln!("tests/node: a node needs root. Run it as root, or leave it out with `tests/run --without node`.");
        return ExitCode::FAILURE;
    }
    runner::run(tests)
}
