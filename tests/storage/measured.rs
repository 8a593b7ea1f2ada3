//! The benchmark still works: a small run of `tests/bench/publish`.

use std::process::Command;

/// Runs it on so little that the figures mean nothing; it counts itself what each client has stored.
fn bench(arguments: &[&str]) -> String {
    let ended = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/publish"))
        .args(["--engine", env!("CARGO_BIN_EXE_operator-engine"), "--scale", "0.0005", "--rounds", "1"])
        .args(arguments)
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{said}\n{complained}");
    said
}

/// The first three columns of each line of the table.
fn rows(table: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
    table.lines().skip(1).map(words).collect()
}

#[test]
fn the_benchmark_measures_every_client_of_s3() {
    let clients = ["engine", "rclone", "boto3-threads", "boto3-crt", "old"];
    assert_eq!(rows(&bench(&["--store", "s3", "--work", "small"])), clients.map(|client| format!("small s3 {client}")));
}

#[test]
fn the_benchmark_measures_large_and_huge_files() {
    let table =
        bench(&["--store", "s3", "--work", "large", "--work", "huge", "--client", "engine", "--client", "rclone"]);
    assert_eq!(rows(&table), ["large s3 engine", "large s3 rclone", "huge s3 engine", "huge s3 rclone"]);
}

#[test]
fn the_benchmark_measures_over_a_longer_way() {
    let far =
        bench(&["--store", "ipfs", "--work", "small", "--client", "ipfs-add", "--client", "old", "--delay", "20"]);
    assert_eq!(rows(&far), ["small ipfs ipfs-add", "small ipfs old"]);
}
