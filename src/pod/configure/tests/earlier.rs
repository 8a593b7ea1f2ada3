//! Outputs of an earlier stage, which a stranger wrote.

use super::*;
use nix::{sys::stat::Mode, unistd::mkfifo};
use std::os::unix::fs::symlink;

/// A second stage that takes the first one's outputs, which `fill` makes.
fn second(fill: impl FnOnce(&Path)) -> Case {
    let mut case = Case::new();
    let outputs = case.dir.path().join("outputs");
    fs::create_dir(&outputs).unwrap();
    fill(&outputs);
    case.task.earlier.insert(0, outputs);
    let input = Input { id: "stage-0".parse().unwrap(), did: "stage-0".to_owned(), source: Source::Earlier(0) };
    case.task.document.inputs.push(input);
    case
}

#[tokio::test]
async fn regular_files_come_with_their_names_and_our_modes_and_nothing_else_does() {
    let case = second(|outputs| {
        fs::write(outputs.join("a"), "A").unwrap();
        fs::write(outputs.join(".a.part"), "not ours").unwrap();
        fs::create_dir_all(outputs.join("deep/er")).unwrap();
        fs::write(outputs.join("deep/er/b"), "B").unwrap();
        fs::set_permissions(outputs.join("deep/er/b"), fs::Permissions::from_mode(0o4700)).unwrap();
        symlink("/etc/passwd", outputs.join("link")).unwrap();
        symlink("/etc", outputs.join("folder")).unwrap();
        mkfifo(&outputs.join("fifo"), Mode::S_IRWXU).unwrap();
    });
    let done = case.run().await;
    assert_eq!((done.fine().files, done.fine().bytes), (3, 10));
    let mut tree = case.tree();
    tree.retain(|path, _| path.starts_with("inputs/stage-0/"));
    let files: Vec<_> = tree.iter().map(|(path, (mode, text))| (path.as_str(), *mode, text.as_str())).collect();
    assert_eq!(
        files,
        [
            ("inputs/stage-0/.a.part", 0o644, "not ours"),
            ("inputs/stage-0/a", 0o644, "A"),
            ("inputs/stage-0/deep", 0o755, ""),
            ("inputs/stage-0/deep/er", 0o755, ""),
            ("inputs/stage-0/deep/er/b", 0o644, "B"),
        ]
    );
    for name in ["link", "folder", "fifo"] {
        assert!(done.out.contains(&format!("left out {name:?}")), "{}", done.out);
    }
    let list = fs::read_to_string(case.task.layout.provisioned()).unwrap();
    assert!(list.contains("inputs/stage-0/deep/er/b") && list.contains(&Sha256::of("B").to_string()), "{list}");
    // Another attempt gives the same.
    let before = case.tree();
    case.run().await.fine();
    assert_eq!(case.tree(), before);
}

/// Nobody looked at it when the earlier stage was published, and whoever takes it could hand it on.
#[tokio::test]
async fn what_could_not_be_stored_is_not_taken_either() {
    let deep = ["x".repeat(250).as_str(); 4].join("/");
    let case = second(|outputs| {
        for name in ["good", "a\nb", "of a folder#1", "\u{ffff}", &"x".repeat(251)] {
            fs::write(outputs.join(name), "x").unwrap();
        }
        fs::create_dir_all(outputs.join(&deep)).unwrap();
        fs::write(outputs.join(&deep).join("file"), "x").unwrap();
        fs::create_dir(outputs.join("c\nd")).unwrap();
        fs::write(outputs.join("c\nd/file"), "x").unwrap();
    });
    let done = case.run().await;
    assert_eq!(done.fine().files, 1, "{}", done.out);
    let list = fs::read_to_string(case.task.layout.provisioned()).unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let taken: Vec<_> = list.as_array().unwrap().iter().filter(|input| input["stage"] == 0).collect();
    assert_eq!(taken.iter().map(|input| &input["path"]).collect::<Vec<_>>(), ["inputs/stage-0/good"], "{list}");
    assert_eq!(done.out.matches("left out").count(), 6, "{}", done.out);
}

#[tokio::test]
async fn what_is_taken_is_a_copy() {
    let case = second(|outputs| fs::write(outputs.join("a"), "then").unwrap());
    case.run().await.fine();
    fs::write(case.dir.path().join("outputs/a"), "now").unwrap();
    assert_eq!(case.read("inputs/stage-0/a"), "then");
}

#[tokio::test]
async fn limits_hold_for_outputs_as_for_what_is_fetched() {
    let three = |outputs: &Path| (0..3).for_each(|n| fs::write(outputs.join(n.to_string()), "12345").unwrap());
    for (limit, reason) in [("files", "TooManyFiles"), ("file", "FileTooLarge"), ("total", "TotalTooLarge")] {
        let mut case = second(three);
        match limit {
            "files" => case.task.policy.max_files = 2,
            "file" => case.task.policy.max_file_bytes = 4,
            _ => case.task.policy.max_total_bytes = 14,
        }
        let done = case.run().await;
        let fault = done.report.fault.as_ref().unwrap_or_else(|| panic!("{limit}: {}", done.out));
        assert_eq!((fault.code, fault.reason.as_str()), (Code::DataProvisioningFailed, reason), "{limit}: {fault:?}");
    }
}

#[tokio::test]
async fn outputs_that_are_not_at_hand_are_a_fault() {
    let mut case = second(|_| {});
    case.task.earlier.clear();
    let fault = case.run().await.report.fault.unwrap();
    assert!(fault.message.contains("outputs of stages[0]"), "{fault:?}");
}

#[tokio::test]
async fn the_first_stage_makes_the_later_ones_folders() {
    let mut case = Case::new();
    case.task.document.later = vec![case.task.document.clone(), case.task.document.clone()];
    case.run().await.fine();
    assert!(case.exists("stage-1") && case.exists("stage-2") && !case.exists("stage-3"));
}
