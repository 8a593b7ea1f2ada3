//! What may not leave, end to end: into memory, with the admin's logs apart and beside.

use super::*;

/// A result, and the input it was made from, with the list that configure leaves of it.
fn bench(rules: LeakRules, inputs: &[(&str, &[u8])]) -> Bench {
    let mut bench = Bench::usual();
    let list: Vec<Input> = inputs
        .iter()
        .map(|(path, bytes)| {
            bench.write(path, bytes);
            Input { path: (*path).to_owned(), size: bytes.len() as u64, sha256: Sha256::of(bytes), stage: None }
        })
        .collect();
    bench.write(Layout::PROVISIONED, serde_json::to_vec(&list).unwrap());
    bench.leaks = LeakRules { shortest_copy: 64, max_time_ms: 600_000, ..rules };
    bench
}

fn no_copies() -> LeakRules {
    LeakRules { refuse_copies: true, ..LeakRules::default() }
}

/// Bytes that nothing else has.
fn data(seed: u8, len: usize) -> Vec<u8> {
    let blocks =
        (0..len.div_ceil(32)).flat_map(|block| *Sha256::of([&[seed][..], &block.to_le_bytes()].concat()).as_bytes());
    blocks.take(len).collect()
}

async fn refusal(bench: &Bench) -> PublishFault {
    let storage = Storage::memory();
    let fault = bench.fault(&storage).await;
    assert!(fault.withheld && !fault.retry, "{fault:?}");
    assert_eq!(whole_or_absent(&storage).await, None);
    assert!(storage.list(&Path::default()).await.unwrap().is_empty(), "nothing was sent");
    fault
}

#[tokio::test]
async fn each_rule_refuses_what_breaks_it_and_nothing_else() {
    let types = |types: &[&str]| LeakRules {
        allowed_types: types.iter().map(|text| text.parse().unwrap()).collect(),
        ..LeakRules::default()
    };
    let count = |most| LeakRules { max_files: Some(most), ..LeakRules::default() };
    let size = |most| LeakRules { max_bytes: Some(most), ..LeakRules::default() };
    let inputs: [(&str, &[u8]); 1] = [("inputs/x/0", b"input")];
    for (rules, refused) in [
        (count(5), None),
        (count(4), Some("TooManyFiles")),
        (size(16), None),
        (size(15), Some("TooMuchOutput")),
        (types(&[".csv", "application/json", "application/octet-stream", "text/*"]), None),
        (types(&[".CSV", "application/json", "application/*", ".txt"]), None),
        (types(&[".json", ".csv", ".txt"]), Some("TypeNotAllowed")),
        (no_copies(), None),
    ] {
        let bench = bench(rules.clone(), &inputs);
        let fault = bench.publish(&Storage::memory()).await.fault;
        assert_eq!(fault.as_ref().map(|fault| fault.reason.as_str()), refused, "{rules:?} {fault:?}");
    }
}

#[tokio::test]
async fn a_copy_is_refused_wherever_it_lies_and_its_name_reaches_only_the_admin() {
    let input = data(1, 5000);
    for (path, before, after) in [
        ("outputs/sub/c4nary.bin", 0, 0),
        ("outputs/c4nary.bin", 1, 300_000),
        ("logs/c4nary.bin", 300_000, 0),
        ("logs/algorithm.log", 4095, 4097),
    ] {
        let bench = bench(no_copies(), &[("inputs/did/0", &data(2, 70)), ("inputs/did/1", &input)]);
        bench.write(path, [data(3, before), input.clone(), data(4, after)].concat());
        let fault = refusal(&bench).await;
        assert_eq!(fault.reason, "InputCopied");
        assert!(fault.message.contains("has all of inputs/did/1 in it"), "{fault:?}");
        assert!(!fault.message.contains("c4nary"), "a name can hold data: {fault:?}");
        let (folder, _) = path.split_once('/').unwrap();
        assert!(fault.message.contains(&format!(" in {folder} ")), "{fault:?}");
        assert!(fs::read_to_string(bench.path("adminlogs/leaks.log")).unwrap().contains(path));
    }
}

#[tokio::test]
async fn what_an_earlier_stage_put_out_was_let_out_already_and_may_be_handed_on() {
    let (handed, fetched) = (data(1, 500), data(2, 500));
    let bench = bench(no_copies(), &[("inputs/stage-0/a", &handed), ("inputs/x/0", &fetched)]);
    bench.write("outputs/a", &handed);
    assert_eq!(refusal(&bench).await.reason, "InputCopied", "nothing says where it is from");
    let path = r#""path":"inputs/stage-0/a""#;
    let list = fs::read_to_string(bench.path(Layout::PROVISIONED)).unwrap();
    bench.write(Layout::PROVISIONED, list.replace(path, &format!("{path},\"stage\":0")));
    assert_eq!(bench.publish(&Storage::memory()).await.fault, None);
    bench.write("outputs/b", [handed, fetched].concat());
    let fault = refusal(&bench).await;
    assert!(fault.message.contains("has all of inputs/x/0 in it"), "{fault:?}");
}

#[tokio::test]
async fn what_cannot_be_stored_counts_as_well_since_the_manifest_names_it() {
    let rules = LeakRules { max_files: Some(5), ..LeakRules::default() };
    let bench = bench(rules, &[]);
    assert_eq!(bench.publish(&Storage::memory()).await.fault, None);
    symlink("adminlog", bench.path("adminlogs/link")).unwrap();
    assert_eq!(bench.publish(&Storage::memory()).await.fault, None, "the admin's are nothing of the algorithm's");
    symlink("nowhere", bench.path("outputs/c4nary")).unwrap();
    let fault = refusal(&bench).await;
    assert_eq!(fault.reason, "TooManyFiles");
    assert!(!fault.message.contains("c4nary"), "{fault:?}");
}

#[tokio::test]
async fn an_input_that_is_short_counts_as_a_whole_file_and_one_that_is_empty_never() {
    let inputs: [(&str, &[u8]); 3] = [("inputs/x/0", b"1\n"), ("inputs/x/1", b""), ("inputs/y", &data(1, 63))];
    let bench = bench(no_copies(), &inputs);
    bench.write("outputs/list", "0\n1\n2\n");
    bench.write("outputs/more", [data(2, 9), data(1, 63), data(3, 9)].concat());
    assert_eq!(bench.publish(&Storage::memory()).await.fault, None);
    bench.write("outputs/list", "1\n");
    assert_eq!(refusal(&bench).await.reason, "InputCopied");
}

#[tokio::test]
async fn the_algorithm_may_print_itself_and_what_came_with_it() {
    let (script, options) = (data(1, 4000), data(2, 2000));
    let came: [(&str, &[u8]); 2] = [("transformations/algorithm", &script), ("inputs/algoCustomData.json", &options)];
    let bench = bench(no_copies(), &came);
    bench.write("outputs/itself", [script, options].concat());
    assert_eq!(bench.publish(&Storage::memory()).await.fault, None);
}

#[tokio::test]
async fn what_cannot_be_compared_stays_inside() {
    let input = data(1, 500);
    let lost = bench(no_copies(), &[("inputs/x/0", &input)]);
    lost.write("outputs/big", data(2, 1000));
    fs::remove_file(lost.path("inputs/x/0")).unwrap();
    assert_eq!(refusal(&lost).await.reason, "InputsUnknown");
    let altered = bench(no_copies(), &[("inputs/x/0", &input)]);
    altered.write("outputs/big", data(2, 1000));
    altered.write("inputs/x/0", data(3, 500));
    assert_eq!(refusal(&altered).await.reason, "InputsUnknown");
    let unlisted = bench(no_copies(), &[]);
    fs::remove_file(unlisted.path(Layout::PROVISIONED)).unwrap();
    assert_eq!(refusal(&unlisted).await.reason, "InputsUnknown");
    let mut late = bench(no_copies(), &[("inputs/x/0", &input)]);
    late.write("outputs/big", data(2, 1000));
    late.leaks.max_time_ms = 0;
    assert_eq!(refusal(&late).await.reason, "CheckTimedOut");
}

#[tokio::test]
async fn a_file_of_a_terabyte_that_is_all_beginning_is_given_up_in_time() {
    // Wherever one looks, the input may begin.
    let mut bench = bench(no_copies(), &[("inputs/x/0", &[&[0; 4096][..], b"and more"].concat())]);
    bench.write_big("outputs/sparse", 1 << 40);
    bench.max_bytes = u64::MAX;
    bench.leaks.max_time_ms = 100;
    assert_eq!(refusal(&bench).await.reason, "CheckTimedOut");
}

#[tokio::test]
async fn a_search_that_is_told_to_end_says_nothing_of_the_files() {
    let bench = bench(no_copies(), &[("inputs/x/0", &data(1, 500))]);
    bench.write("outputs/copy", data(1, 500));
    let task = bench.task();
    task.stop.cancel();
    let fault = run(task, &Storage::memory().into()).await.fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry, fault.withheld), ("Interrupted", true, false));
}

#[tokio::test]
async fn nothing_of_an_algorithm_leaves_nothing_to_refuse() {
    let mut bench = bench(no_copies(), &[("inputs/x/0", &data(1, 500))]);
    bench.leaks.max_files = Some(0);
    bench.write("outputs/c4nary", data(1, 500));
    let first = refusal(&bench).await;
    // As the record says it to the next attempt.
    (bench.facts.release, bench.facts.outcome) = (false, Outcome::Withheld);
    (bench.facts.reason, bench.facts.message) = (Some(first.reason), Some(first.message));
    let manifest = bench.manifest().await;
    assert_eq!(manifest, bench.manifest().await, "publishing twice gives the same");
    let paths: Vec<_> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["adminlogs/configure.log", "adminlogs/filter.log", "adminlogs/publish.log"]);
    let text = String::from_utf8(manifest.render()).unwrap();
    assert!(!text.contains("c4nary"), "{text}");
}

#[tokio::test]
async fn the_admin_alone_gets_the_file_s_name_and_the_log_that_the_filter_rewrote() {
    let mut bench = bench(no_copies(), &[("inputs/x/0", &data(1, 500))]);
    bench.write("filter/filter.log", "I agree\n");
    bench.write("filter/algorithm.log", "as it was\n");
    bench.write("filter/anything.else", "x");
    bench.write("outputs/copy", data(1, 500));
    refusal(&bench).await;
    bench.facts.release = false;
    let (outputs, adminlogs) = (Storage::memory(), Storage::memory());
    let places = Places { outputs: outputs.clone().into(), adminlogs: Some(adminlogs.clone().into()) };
    assert_eq!(run(bench.task(), &places).await.fault, None);
    let names =
        |manifest: Manifest| manifest.files.into_iter().map(|file| (file.path.clone(), file.kind)).collect::<Vec<_>>();
    assert_eq!(names(whole_or_absent(&outputs).await.unwrap()), []);
    let kept = names(whole_or_absent(&adminlogs).await.unwrap());
    let expected = [
        ("adminlogs/algorithm.log", Kind::AlgorithmLog),
        ("adminlogs/configure.log", Kind::ConfigurationLog),
        ("adminlogs/filter.log", Kind::FilteringLog),
        ("adminlogs/leaks.log", Kind::Output),
        ("adminlogs/publish.log", Kind::PublishLog),
    ];
    assert_eq!(kept, expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(fs::read_to_string(bench.path("adminlogs/filter.log")).unwrap(), "I agree\n");
    // Beside the outputs they would be the consumer's.
    let together = bench.manifest().await;
    assert!(!names(together).iter().any(|(path, _)| path.ends_with("algorithm.log") || path.ends_with("leaks.log")));
}

#[tokio::test]
async fn a_link_that_lies_where_the_filter_s_log_should_be_is_not_followed() {
    let bench = bench(LeakRules::default(), &[("inputs/x/0", b"secret")]);
    fs::remove_file(bench.path("adminlogs/filter.log")).unwrap();
    symlink("../inputs/x/0", bench.path("filter/filter.log")).unwrap();
    let manifest = bench.manifest().await;
    assert!(manifest.files.iter().all(|file| file.path != "adminlogs/filter.log"));
}

#[tokio::test]
async fn more_than_a_walk_takes_is_withheld_where_there_is_a_rule_about_it() {
    let mut bench = bench(LeakRules { max_files: Some(3), max_bytes: Some(4), ..LeakRules::default() }, &[]);
    bench.max_files = 4;
    assert_eq!(refusal(&bench).await.reason, "TooManyFiles");
    (bench.max_files, bench.max_bytes) = (1000, 5);
    bench.leaks.max_files = None;
    assert_eq!(refusal(&bench).await.reason, "TooMuchOutput");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_planted_copy_is_found_and_one_with_a_byte_changed_is_not(
        // Few different bytes, so that beginnings of inputs are everywhere.
        alphabet in 1u8..4,
        inputs in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 64..300), 1..4),
        noise in proptest::collection::vec(any::<u8>(), 0..2000),
        (which, at, changed) in (any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), any::<proptest::sample::Index>()),
    ) {
        let small = |bytes: &[u8]| bytes.iter().map(|byte| byte % alphabet).collect::<Vec<_>>();
        let inputs: Vec<Vec<u8>> = inputs.iter().map(|input| small(input)).collect();
        let planted = &inputs[which.index(inputs.len())];
        let mut output = small(&noise);
        let at = at.index(output.len() + 1);
        output.splice(at..at, planted.iter().copied());
        let named: Vec<_> = inputs.iter().enumerate().map(|(n, input)| (format!("inputs/x/{n}"), input)).collect();
        let named: Vec<(&str, &[u8])> = named.iter().map(|(path, input)| (path.as_str(), input.as_slice())).collect();
        let bench = bench(no_copies(), &named);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let refused = |output: &[u8]| {
            bench.write("outputs/x", output);
            runtime.block_on(bench.publish(&Storage::memory())).fault.map(|fault| fault.reason)
        };
        prop_assert_eq!(refused(&output), Some("InputCopied".to_owned()));
        // A byte that no input has, inside of every copy that there is.
        let copies = |output: &[u8]| inputs.iter().any(|input| output.windows(input.len()).any(|part| part == input));
        output[at + changed.index(planted.len())] = 255;
        prop_assert_eq!(refused(&output).is_some(), copies(&output));
    }
}
