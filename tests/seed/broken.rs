//! Everything that was odd or broken in the old engine and its two companion images, line by line, with what became of it.
//!
//! E is the engine, C the configuring image, P the publishing image. A line that says `Fixed` names the tests that would
//! fail if it came back; they are looked up, so a renamed test is noticed here.

use std::{collections::BTreeSet, fs, path::Path};

enum Fate {
    /// It cannot happen any more; these tests hold it.
    Fixed(&'static [&'static str]),
    /// It is kept, since somebody relies on it; why, and the tests that hold it.
    Kept(&'static str, &'static [&'static str]),
    /// There is nothing of the kind any more; why.
    Gone(&'static str),
}
use Fate::{Fixed, Gone, Kept};

/// The old behaviour, and its fate.
const ROWS: &[(&str, &str, Fate)] = &[
    (
        "E1",
        "a start notification that hung held everything up and started the job again every five seconds",
        Fixed(&[
            "a_receiver_that_fails_hangs_or_is_elsewhere_is_told_until_it_answers",
            "all_is_told_whatever_receivers_do_and_whoever_dies",
        ]),
    ),
    (
        "E2",
        "two engines at once ran every job twice",
        Fixed(&["two_engines_at_once_share_the_work_and_never_collide", "two_engines_share_the_work_and_never_meet"]),
    ),
    (
        "E3",
        "a restart forgot the jobs in work and left their pods, volumes and ConfigMaps",
        Fixed(&["killed_engines_lose_nothing_and_do_nothing_twice", "an_engine_that_is_deleted_midway"]),
    ),
    (
        "E4",
        "every job that died took a slot with it for ever",
        Fixed(&["at_most_max_jobs_run_and_the_oldest_come_first", "several_engines_together_keep_to_max_jobs"]),
    ),
    ("E5", "a database that was down killed the job's thread", Gone("there is no database")),
    (
        "E6",
        "a stage was finished when its pod had failed or was gone",
        Fixed(&[
            "a_failed_algorithm_is_told_apart_from_success",
            "a_pod_deleted_by_hand_is_made_again_under_another_name",
            "a_stage_ends_without_its_pod_only_once_a_consistent_read_found_none",
        ]),
    ),
    (
        "E7",
        "a pod that could not be created counted as finished",
        Fixed(&["a_quota_that_is_used_up_is_waited_for_and_then_told", "each_failure_is_taken_for_what_it_is"]),
    ),
    (
        "E8",
        "a failing algorithm ended as success, since the exit status was that of `tee`",
        Fixed(&["the_exit_status_is_the_algorithms_own", "a_failing_algorithm_is_exit_ten_and_its_status_is_recorded"]),
    ),
    (
        "E9",
        "configure, filter and publish were waited for without end",
        Fixed(&["each_waiting_state_has_its_deadline_and_its_reason", "what_waits_too_long_ends_with_its_reason"]),
    ),
    (
        "E10",
        "a wish to stop counted only while the algorithm ran",
        Fixed(&["a_stop_is_honoured_at_any_moment", "a_stop_is_honoured_in_every_phase"]),
    ),
    (
        "E11",
        "stopped and timed-out jobs end with code 70, like finished ones",
        Kept(
            "clients know 70 as the only end; the outcome beside it tells them apart",
            &[
                "over_time_is_an_outcome_of_its_own_and_partial_results_are_published",
                "the_codes_pass_in_the_old_order_with_their_old_texts",
            ],
        ),
    ),
    (
        "E12",
        "the filter ran after a failed configure, overwrote 31 and 32, and its verdict was not looked at",
        Fixed(&["the_filter_is_a_gate", "a_failed_configure_publishes_its_log_and_its_code_stays"]),
    ),
    (
        "E13",
        "a maxJobDuration that is no number switched the limit off, and waiting for the image was charged to the algorithm",
        Fixed(&[
            "a_job_duration_is_understood_or_refused_but_never_dropped",
            "waiting_for_its_image_is_not_charged_to_an_algorithm",
        ]),
    ),
    (
        "E14",
        "publishing began while a stopped algorithm still wrote, and SIGTERM did not reach it",
        Fixed(&["sigterm_reaches_the_algorithm_which_may_finish_within_its_grace", "the_whole_group_is_asked_to_stop"]),
    ),
    (
        "E15",
        "an algorithm out of memory was started again over its own half-written output, or counted as success",
        Fixed(&["out_of_memory", "a_child_out_of_memory", "a_later_attempt_begins_with_empty_folders"]),
    ),
    (
        "E16",
        "volumes and ConfigMaps that could not be created were only logged, and pods hung for ever",
        Fixed(&["a_volume_that_never_binds", "each_waiting_state_has_its_deadline_and_its_reason"]),
    ),
    (
        "E17",
        "the document was stored twice, which halved the limit, unchecked",
        Fixed(&["a_text_beyond_the_limit_is_not_even_parsed", "files_may_fill_a_config_map_to_its_last_byte"]),
    ),
    (
        "E18",
        "a quotation mark in NODE_SELECTOR made pods run anywhere",
        Fixed(&["a_selector_that_would_break_out_of_its_place_is_refused"]),
    ),
    (
        "E19",
        "GPUs were announced and never requested; gpuRam was configured and never announced",
        Fixed(&["gpus_are_requested_by_the_algorithm_alone", "the_announcement_has_the_old_keys_and_what_they_lacked"]),
    ),
    ("E20", "three of the four pods had neither requests nor limits", Fixed(&["every_pod_is_bounded"])),
    (
        "E21",
        "the document, with the URLs of the data sets, was mounted into the algorithm and the filter",
        Fixed(&["only_configure_sees_the_document"]),
    ),
    (
        "E22",
        "the algorithm could change inputs, DDOs and its own log",
        Fixed(&["each_stage_mounts_what_it_is_for", "one_that_writes_into_its_inputs"]),
    ),
    (
        "E23",
        "passwords and keys stood in pod specs",
        Fixed(&["a_secret_of_the_engine_appears_nowhere", "credentials_reach_pods_by_reference_only"]),
    ),
    (
        "E24",
        "job specs with those secrets, workflows and notification secrets were logged",
        Fixed(&["a_secret_of_the_engine_appears_nowhere"]),
    ),
    ("E25", "the engine was given cluster-admin", Fixed(&["the_rights_used_are_the_shipped_role"])),
    (
        "E26",
        "the image had a private key in it, which every default deployment signed with",
        Fixed(&["no_key_is_part_of_the_program"]),
    ),
    (
        "E27",
        "the optional network policy blocked one address and allowed the rest, the cluster included",
        Fixed(&[
            "algorithm_and_filter_are_cut_off_in_both_directions",
            "configure_reaches_no_network_that_the_program_itself_would_refuse",
        ]),
    ),
    ("E28", "nothing had an owner, so nothing went with its job", Fixed(&["a_workflow_deleted_midway_leaves_nothing"])),
    (
        "E29",
        "characters outside of LATIN9 failed",
        Fixed(&["odd_names_are_kept_as_they_are", "texts_are_escaped_as_python_escapes_them"]),
    ),
    (
        "E30",
        "settings that did nothing",
        Fixed(&["every_variable_of_the_old_engine_has_an_answer", "every_key_reaches_the_checked_configuration"]),
    ),
    (
        "E31",
        "an exception in the main loop ended announcing, while the process seemed alive",
        Fixed(&[
            "a_workflow_over_which_the_engine_panics_is_quarantined_and_the_others_finish",
            "a_panic_over_a_list_does_not_end_the_engine",
        ]),
    ),
    (
        "E32",
        "dependencies were not pinned, so that a rebuilt image failed at its first notification",
        Fixed(&[
            "every_package_comes_from_the_public_registry",
            "notifications_are_signed_as_the_old_engine_signed_them",
        ]),
    ),
    (
        "E33",
        "the image ran as root on an old base with compilers in it, and its program got no SIGTERM",
        Fixed(&[
            "an_engine_that_is_told_to_stop_hands_over_at_once",
            "both_replicas_of_the_engine_are_admitted_where_restricted_is_enforced",
        ]),
    ),
    (
        "E34",
        "two volumes of one job could be bound in different zones",
        Fixed(&["a_four_stage_workflow_costs_eleven_requests"]),
    ),
    ("E35", "DEBUG_NO_CLEANUP=false still switched cleaning off", Fixed(&["false_does_not_turn_cleaning_off"])),
    (
        "E36",
        "an input or algorithm without an id killed the job's thread",
        Fixed(&["each_fault_names_its_path", "raw_code_as_providers_send_it_wins_over_an_empty_url_and_id"]),
    ),
    (
        "E37",
        "each job cost twice its disk, the second volume for a few kilobytes of logs",
        Fixed(&["a_four_stage_workflow_costs_eleven_requests"]),
    ),
    (
        "C1",
        "folders had modes that kept algorithms which are not root from writing outputs",
        Fixed(&["any_user_can_write_outputs_and_logs_and_nobody_else_the_rest"]),
    ),
    (
        "C2",
        "an answer that a provider should not give ended configuring without a word",
        Fixed(&["a_provider_that_answers_nonsense_is_told"]),
    ),
    (
        "C3",
        "an asset with neither a url nor a remote was skipped as success",
        Fixed(&["an_asset_that_brings_nothing_is_no_success"]),
    ),
    (
        "C4",
        "names had 100 ms and connections one second, nothing was tried again, resumed or checked",
        Fixed(&[
            "a_broken_transfer_goes_on_where_it_ended",
            "a_busy_server_is_asked_again_and_a_clear_no_is_taken",
            "another_content_than_the_document_says_is_refused_and_not_asked_for_again",
            "the_time_of_all_files_together_is_bounded",
        ]),
    ),
    (
        "C5",
        "redirects were followed anywhere, into the cluster too",
        Fixed(&["every_redirect_is_judged_like_a_first_url", "a_name_is_judged_by_its_addresses"]),
    ),
    ("C6", "raw code of ten characters or fewer was ignored", Fixed(&["raw_code_of_one_character_counts"])),
    (
        "C7",
        "user data arrived under a spelling that nobody read",
        Fixed(&["the_first_spelling_of_user_data_that_is_there_counts"]),
    ),
    (
        "C8",
        "two slashes in the provider's fileinfo URL",
        Kept("some providers only know that spelling; a switch says which", &["the_old_double_slash_is_a_switch"]),
    ),
    ("C9", "`algocustomdata: null` wrote a file that says null", Fixed(&["custom_data_is_kept_unless_it_is_null"])),
    (
        "C10",
        "the inputs of all stages were thrown together, and only the first algorithm ran",
        Fixed(&["the_second_stage_reads_what_the_first_put_out_and_both_are_stored"]),
    ),
    (
        "C11",
        "an id that stands twice overwrote its own files; original names are lost",
        Kept(
            "files are named by position, which algorithms rely on; an id that stands twice is numbered on",
            &[
                "files_are_named_by_position_and_an_asset_named_twice_goes_on",
                "one_did_may_stand_twice_for_two_of_its_services",
            ],
        ),
    ),
    ("C12", "`..` in an id left the folder", Fixed(&["nothing_that_leaves_its_folder_is_an_id"])),
    (
        "C13",
        "signed URLs were printed into a log that the consumer gets",
        Fixed(&["a_query_a_fragment_and_credentials_appear_in_no_log_and_no_report"]),
    ),
    (
        "C14",
        "an outcome that could not be written to the database looked like another one",
        Fixed(&["a_configure_that_says_nothing_has_failed", "termination_messages_of_strangers_prove_nothing"]),
    ),
    (
        "P1",
        "subfolders were dropped without a word",
        Fixed(&["any_tree_is_published_whole_and_twice_the_same", "what_is_no_plain_file_is_refused_by_name"]),
    ),
    (
        "P2",
        "a file whose upload failed was dropped, and the job succeeded",
        Fixed(&["whichever_call_fails_the_result_is_whole_or_absent_and_another_attempt_completes_it"]),
    ),
    (
        "P3",
        "the filter's log could never be published",
        Fixed(&[
            "a_filter_s_words_are_kept_and_so_is_the_algorithm_s_log_as_it_was",
            "a_filter_s_log_and_what_it_may_not_touch",
        ]),
    ),
    (
        "P4",
        "an index was computed and not stored",
        Kept("consumers go by the position in the array", &["the_array_is_the_old_engines_to_the_byte"]),
    ),
    (
        "P5",
        "the log of publishing was uploaded while it was written",
        Fixed(&["the_array_is_the_old_engines_to_the_byte", "publishing_twice_writes_nothing_the_second_time"]),
    ),
    (
        "P6",
        "files went one after another, and a crash left them with no record of any",
        Fixed(&["killed_at_any_time_the_result_is_whole_or_absent"]),
    ),
    (
        "P7",
        "results could be read only if the whole bucket was public",
        Fixed(&["a_signed_link_reads_one_file_for_a_while", "content_types_are_kept_and_links_are_downloads"]),
    ),
    (
        "P8",
        "URLs on IPFS had two slashes, and every file a content id of its own",
        Fixed(&["urls_are_encoded_and_have_one_slash_unless_asked_otherwise"]),
    ),
    (
        "P9",
        "results never expired, and three places read the number in three units",
        Fixed(&[
            "a_bare_expiry_is_hours_and_the_three_readings_are_named",
            "expired_results_go_by_the_schedule_under_the_shipped_role",
        ]),
    ),
    (
        "P10",
        "the settings for admin logs were ignored, and consumers got them",
        Fixed(&[
            "admin_logs_are_kept_from_the_consumer_unless_it_is_said_otherwise",
            "the_consumer_gets_outputs_and_logs_and_learns_nothing_of_the_admins",
        ]),
    ),
    ("P11", "content types were computed and not sent", Fixed(&["content_types_are_kept_and_links_are_downloads"])),
    (
        "P12",
        "errors were printed, and the exit status said success",
        Fixed(&[
            "a_task_that_cannot_be_understood_is_reported",
            "publishing_waits_for_a_store_that_is_down_and_gives_up_in_time",
        ]),
    ),
    (
        "P13",
        "the kind of a file was told by a literal path",
        Fixed(&["kinds_go_by_exact_place_and_keep_their_old_spelling"]),
    ),
];

/// How many lines each letter has.
const LETTERS: [(char, usize); 3] = [('E', 37), ('C', 14), ('P', 13)];

#[test]
fn no_line_is_missing_and_none_stands_twice() {
    let expected: Vec<String> =
        LETTERS.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}"))).collect();
    assert_eq!(ROWS.iter().map(|(id, ..)| (*id).to_owned()).collect::<Vec<_>>(), expected);
    for (id, what, fate) in ROWS {
        assert!(what.len() > 20, "{id} says what was broken");
        match fate {
            Fixed(tests) => assert!(!tests.is_empty(), "{id} names a test"),
            Kept(why, tests) => assert!(why.len() > 20 && !tests.is_empty(), "{id} says why and names a test"),
            Gone(why) => assert!(why.len() > 10, "{id} says why"),
        }
    }
}

#[test]
fn every_test_that_a_line_names_is_there() {
    let tests = tests();
    let named = |fate: &Fate| match fate {
        Fixed(tests) | Kept(_, tests) => *tests,
        Gone(_) => &[],
    };
    let missing: Vec<String> = ROWS
        .iter()
        .flat_map(|(id, _, fate)| named(fate).iter().map(move |test| (id, test)))
        .filter(|(_, test)| !tests.contains(**test))
        .map(|(id, test)| format!("{id}: {test}"))
        .collect();
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

/// The names of all tests: those with an attribute that says so, and those that a runner of ours is given.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    let mut folders = vec![root.join("src"), root.join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_in(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    names
}

fn tests_in(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let attribute = line.strip_prefix("#[").and_then(|rest| rest.split([']', '(']).next());
        is_test |= matches!(attribute, Some("test" | "tokio::test"));
        if let Some((_, after)) = line.split_once("fn ").filter(|_| is_test) {
            names.extend(after.split(['(', '<']).next().map(str::to_owned));
            is_test = false;
        }
        let given = line.split_once("test!(").and_then(|(_, given)| given.rsplit("::").next()?.split(')').next());
        names.extend(given.map(str::to_owned));
    }
    names
}

#[test]
fn only_what_runs_is_a_test() {
    let text = "fn helper() {}\n#[test]\nfn one() {}\n    #[tokio::test(flavor = \"multi_thread\")]\n    async fn two() {}\n\
                tests.push(test!(Group::Alone, kills::three));\nasync fn three() {}\n#[cfg(test)]\nmod x {}\nfn four() {}\n";
    assert_eq!(tests_in(text), ["one", "two", "three"]);
}
