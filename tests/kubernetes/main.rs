//! The engine on a real API server: kube-apiserver, etcd and kube-controller-manager, no root, no nodes. The tests play the
//! kubelet by patching pod status, and the engine is the program that users start.
//!
//! One control plane serves all tests; each has a namespace of its own with the shipped Role. This binary runs its tests
//! itself ([`runner`]), because some judge what all the others left behind: the rights that were used, and the secret that
//! must appear nowhere. `cargo test --test kubernetes -- WORD…` runs those whose names contain a word.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod as_secrets;
mod audit;
mod budget;
mod canary;
mod cluster;
mod commands;
mod contract;
mod ends;
mod engine;
mod expiry;
mod faults;
mod kills;
mod kubelet;
mod namespace;
mod notifications;
mod proxy;
#[path = "../servers/python.rs"]
mod python;
mod rights;
mod rounds;
mod runner;
mod secrets;
mod takeover;

/// The contract's checks, which know nothing of Kubernetes.
#[path = "../contract"]
mod contract_home {
    // It can make its checks tests of libtest; here they are made tests of this runner.
    #[allow(unused_macros)]
    pub(crate) mod suite;
}

use runner::{Group, Test, test};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut tests: Vec<Test> = contract::tests();
    tests.push(test!(Group::Together, contract::a_secret_without_the_label_is_never_read));
    tests.push(test!(Group::Together, ends::each_end_is_told_apart));
    tests.push(test!(Group::Together, ends::a_stop_is_honoured_in_every_phase));
    tests.push(test!(Group::Together, ends::a_workflow_deleted_midway_leaves_nothing));
    tests.push(test!(Group::Together, ends::a_workflow_made_anew_under_its_name_starts_anew));
    tests.push(test!(Group::Together, ends::a_pod_deleted_by_hand_is_made_again_under_another_name));
    tests.push(test!(Group::Together, ends::what_waits_too_long_ends_with_its_reason));
    tests.push(test!(Group::Together, ends::a_pod_over_its_deadline_is_over_time));
    tests.push(test!(Group::Together, ends::a_quota_that_is_used_up_is_waited_for_and_then_told));
    tests.push(test!(Group::Together, ends::a_document_edited_midway_is_not_run));
    tests.push(test!(Group::Together, commands::a_file_or_folder_becomes_a_workflow_that_an_engine_would_see));
    tests.push(test!(Group::Together, commands::a_person_follows_stops_and_deletes_workflows));
    tests.push(test!(Group::Together, commands::what_is_no_workflow_or_not_allowed_is_left_alone_and_told));
    tests.push(test!(Group::Together, commands::results_and_logs_are_found_by_the_record));
    tests.push(test!(Group::Together, notifications::all_is_told_whatever_receivers_do_and_whoever_dies));
    tests.push(test!(
        Group::Together,
        rounds::two_stages_run_one_after_another_and_a_late_deletion_meets_only_the_first
    ));
    tests.push(test!(Group::Together, faults::each_failure_is_taken_for_what_it_is));
    tests.extend(faults::runs());
    tests.push(test!(Group::Together, secrets::one_name_is_one_job_whoever_comes_second));
    tests.push(test!(Group::Together, secrets::results_of_a_secret_expire_and_its_record_goes));
    tests.push(test!(Group::Together, secrets::what_a_secret_holds_appears_nowhere_else));
    tests.push(test!(Group::Together, secrets::a_secret_costs_what_a_config_map_does_and_two_lists));
    tests.push(test!(Group::Takeover, secrets::a_killed_engine_loses_no_secret));
    tests.push(test!(Group::Together, commands::a_submitter_with_the_right_to_do_so_uses_secrets));
    tests.push(test!(Group::Alone, budget::a_four_stage_workflow_costs_eleven_requests));
    tests.push(test!(Group::Alone, kills::killed_engines_lose_nothing_and_do_nothing_twice));
    tests.push(test!(Group::Alone, takeover::a_restarted_container_goes_on_within_a_second));
    tests.push(test!(Group::Takeover, takeover::a_new_engine_takes_over_within_a_lease_and_two_ticks));
    tests.push(test!(Group::Takeover, takeover::an_engine_that_runs_already_takes_over_within_a_lease_and_two_ticks));
    tests.push(test!(Group::Takeover, takeover::an_engine_that_is_told_to_stop_hands_over_at_once));
    tests.push(test!(Group::Takeover, takeover::an_engine_that_was_paused_past_its_lease_does_no_harm));
    tests.push(test!(Group::Takeover, takeover::two_engines_share_the_work_and_never_meet));
    tests.push(test!(Group::Together, rights::events_are_told_where_they_are_allowed_and_never_needed));
    tests.push(test!(Group::Together, expiry::expired_results_go_by_the_schedule_under_the_shipped_role));
    tests.push(test!(Group::Together, expiry::sweep_deletes_once_and_records_where_that_is_allowed));
    tests.push(test!(Group::Last, canary::a_secret_of_the_engine_appears_nowhere));
    tests.push(test!(Group::Last, rights::the_rights_used_are_the_shipped_role));
    runner::run(tests)
}
