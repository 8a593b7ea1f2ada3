//! What publishing can rely on of a store that holds objects.

use crate::{
    contract::{is_an_error_throughout, read},
    stores,
};
use bytes::Bytes;
use futures::StreamExt as _;
use object_store::{Attribute, GetOptions, path::Path};
use operator_engine::storage::{ResultStore as _, Storage, StorageError, Stored, Target, open_results};
use std::time::Duration;

fn key(text: &str) -> Path {
    Path::parse(text).unwrap()
}

async fn keys_below(storage: &Storage, prefix: &str) -> Vec<String> {
    storage.list(&key(prefix)).await.unwrap().iter().map(|meta| meta.location.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_kept_as_they_are_and_listed_byte_by_byte() {
    let (_dir, stores) = stores::all();
    for storage in stores {
        // A folder takes no more; others take 255.
        let longest = format!("wf/{}", "n".repeat(if storage.name().starts_with("file:") { 250 } else { 255 }));
        let mut names = [
            "wf/ü %#?.csv",
            "wf/%41",
            "wf/a",
            "wf/a-b/c",
            "wf/a b/c",
            "wf/a.b",
            "wf/b ",
            "wf/ b",
            "wf/<&>\"'",
            "wf/~+=:@$,;",
            "wf/\u{202e}txt",
            "wf/😀",
            "wf/...",
            "wf/e\u{301}",
            "wf/\u{e9}",
        ]
        .to_vec();
        names.push(&longest);
        for name in &names {
            storage.put(&key(name), (*name).to_owned().into(), "text/plain").await.unwrap();
        }
        storage.put(&key("wf-2/x"), Bytes::new(), "text/plain").await.unwrap();
        names.sort_unstable();
        assert_eq!(keys_below(&storage, "wf").await, names, "{}", storage.name());
        for name in &names {
            assert_eq!(storage.get(&key(name), 1000).await.unwrap(), name);
            storage.delete(&key(name)).await.unwrap();
        }
        assert!(keys_below(&storage, "wf").await.is_empty());
        assert_eq!(keys_below(&storage, "wf-2").await, ["wf-2/x"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_longer_than_a_page_is_whole() {
    let (_dir, stores) = stores::all();
    for storage in stores {
        let names: Vec<String> = (0..1100).map(|n| format!("wf/{n:04}")).collect();
        let puts = names.iter().map(|name| {
            let storage = storage.clone();
            async move { storage.put(&key(name), Bytes::new(), "text/plain").await.unwrap() }
        });
        futures::stream::iter(puts).buffer_unordered(16).collect::<Vec<_>>().await;
        assert_eq!(keys_below(&storage, "wf").await, names, "{}", storage.name());
        let stored = Stored { job: "wf".parse().unwrap(), root: None };
        assert_eq!(storage.remove(&stored).await.unwrap().objects, 1100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overwriting_deleting_twice_and_reading_nothing_are_as_told() {
    let (_dir, stores) = stores::all();
    for storage in stores {
        let key = key("wf/x");
        for text in ["longer than the next", "short", ""] {
            storage.put(&key, text.into(), "text/plain").await.unwrap();
            assert_eq!(storage.get(&key, 100).await.unwrap(), text);
        }
        storage.delete(&key).await.unwrap();
        storage.delete(&key).await.unwrap();
        let missing = storage.get(&key, 100).await.unwrap_err();
        assert!(matches!(missing, StorageError::Missing { .. }), "{missing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_is_invisible_until_its_end_and_gone_after_its_abort() {
    let (_dir, stores) = stores::all();
    for storage in stores {
        let part = Bytes::from(vec![7; usize::try_from(storage.part_len()).unwrap()]);
        for ends in [true, false] {
            let mut upload = storage.put_in_parts(&key("wf/big"), "text/csv").await.unwrap();
            upload.put_part(part.clone().into()).await.unwrap();
            upload.put_part(Bytes::from_static(b"end").into()).await.unwrap();
            assert!(keys_below(&storage, "wf").await.is_empty());
            if ends {
                upload.complete().await.map(drop).unwrap()
            } else {
                upload.abort().await.unwrap()
            }
            let size: Vec<_> = storage.list(&key("wf")).await.unwrap().iter().map(|meta| meta.size).collect();
            assert_eq!(size, if ends { vec![storage.part_len() + 3] } else { vec![] }, "{}", storage.name());
            storage.delete(&key("wf/big")).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_left_open_is_found_and_removed_and_a_neighbours_is_not() {
    let (target, credentials) = stores::s3();
    let storage = stores::open(&target, &credentials);
    let mut kept = storage.put_in_parts(&key("wf-10/a"), "text/csv").await.unwrap();
    let mut uploads = Vec::new();
    for name in ["wf-1/data/outputs/a & b", "wf-1/data/outputs/ü", "wf-1/data/outputs/ü"] {
        let mut upload = storage.put_in_parts(&key(name), "text/csv").await.unwrap();
        upload.put_part(Bytes::from(vec![7; 5 << 20]).into()).await.unwrap();
        uploads.push(upload);
    }
    let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
    let jobs: Vec<_> = storage.jobs().await.unwrap().iter().map(|stored| stored.job.to_string()).collect();
    assert_eq!(jobs, ["wf-1", "wf-10"], "what has only unfinished uploads is found all the same");
    assert!(storage.last_written(&stored).await.unwrap().is_some());
    storage.remove(&stored).await.unwrap();
    assert_eq!(storage.last_written(&stored).await.unwrap(), None);
    for mut upload in uploads {
        assert!(upload.put_part(Bytes::from_static(b"late").into()).await.is_err(), "it was aborted");
    }
    kept.put_part(Bytes::from_static(b"x").into()).await.unwrap();
    kept.complete().await.unwrap();
    assert_eq!(keys_below(&storage, "wf-10").await, ["wf-10/a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_types_are_kept_and_links_are_downloads() {
    let (target, credentials) = stores::s3();
    let storage = stores::open(&target, &credentials);
    let text = "wf-1/data/outputs/page ü#1.html";
    storage.put(&key(text), "<script>".into(), "text/html").await.unwrap();
    let mut upload = storage.put_in_parts(&key("wf-1/data/outputs/b.csv"), "text/csv").await.unwrap();
    upload.put_part(Bytes::from_static(b"x").into()).await.unwrap();
    upload.complete().await.unwrap();
    for (name, expected) in [(text, "text/html"), ("wf-1/data/outputs/b.csv", "text/csv")] {
        let got = storage.object_store().get_opts(&key(name), GetOptions::default()).await.unwrap();
        assert_eq!(got.attributes.get(&Attribute::ContentType).unwrap().as_ref(), expected);
    }

    let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
    let link = storage.link(&stored, text, Duration::from_secs(60)).await.unwrap().unwrap();
    let answer = reqwest::get(&link).await.unwrap();
    assert_eq!(answer.headers()["content-disposition"], "attachment");
    assert_eq!(answer.text().await.unwrap(), "<script>");
    let without = reqwest::get(storage.url(text)).await.unwrap();
    assert_eq!(without.status(), 403, "the bucket is private");
    let other = reqwest::get(link.replace("page", "other")).await.unwrap();
    assert_eq!(other.status(), 403, "a link is for one file");
    let too_long = storage.link(&stored, text, Duration::from_secs(8 * 24 * 60 * 60)).await.unwrap_err();
    assert!(matches!(too_long, StorageError::Misconfigured { .. }), "{too_long:?}");
    assert!(storage.link(&stored, "wf-10/x", Duration::from_secs(1)).await.is_err(), "no neighbour's");
    let (_dir, directory) = stores::directory();
    assert_eq!(directory.link(&stored, text, Duration::from_secs(1)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_link_reads_one_file_for_a_while() {
    let (target, credentials) = stores::s3();
    let storage = stores::open(&target, &credentials);
    storage.put(&key("wf-2/data/outputs/a"), "a".into(), "text/plain").await.unwrap();
    storage.put(&key("wf-2/data/outputs/b"), "b".into(), "text/plain").await.unwrap();
    let stored = Stored { job: "wf-2".parse().unwrap(), root: None };
    let link = async |secs| {
        let link = storage.link(&stored, "wf-2/data/outputs/a", Duration::from_secs(secs)).await;
        link.unwrap().unwrap()
    };
    let long = link(3600).await;
    let status = async |url: &str| reqwest::get(url).await.unwrap().status().as_u16();
    assert_eq!(status(&long).await, 200);
    assert_eq!(status(&long.replace("outputs/a", "outputs/b")).await, 403, "one file");
    let answer = reqwest::Client::new().delete(&long).send().await.unwrap();
    assert_eq!(answer.status(), 403, "reading is all");
    let short = link(1).await;
    let over = async {
        while status(&short).await != 403 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), over).await.expect("a link ends with its time");
    assert_eq!(status(&long).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_or_a_folder_that_is_not_there_never_reads_as_empty() {
    let (mut target, credentials) = stores::s3();
    target.bucket = "no-such-bucket".into();
    let storage = stores::open(&target, &credentials);
    is_an_error_throughout(&storage).await;
    assert!(storage.now().await.is_err());
    for error in [
        storage.put(&key("wf/x"), "x".into(), "text/plain").await.unwrap_err(),
        storage.get(&key("wf/x"), 1).await.unwrap_err(),
        storage.delete(&key("wf/x")).await.unwrap_err(),
        storage.drop_unfinished(&key("wf")).await.unwrap_err(),
        storage.list(&key("wf")).await.unwrap_err(),
        storage.put_in_parts(&key("wf/x"), "text/plain").await.unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::Misconfigured { .. }), "{error:?}");
    }

    let (dir, directory) = stores::directory();
    std::fs::remove_dir(dir.path().join("results")).unwrap();
    is_an_error_throughout(&directory).await;
    let target = Target::Directory { path: dir.path().join("results") };
    assert!(open_results(&target, &credentials).is_err());
    assert!(!dir.path().join("results").exists(), "reading makes nothing");
    std::fs::create_dir(dir.path().join("results")).unwrap();
    assert_eq!(open_results(&target, &credentials).unwrap().jobs().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_missing_are_denied_and_not_missing_things() {
    let (target, _) = stores::s3();
    let server = stores::s3_server();
    let reader = &server.said()["readOnly"];
    let id = reader["accessKey"].as_str().unwrap();
    let storage = stores::open(&target, &stores::keys(id, reader["secretKey"].as_str().unwrap()));
    assert_eq!(storage.jobs().await.unwrap(), []);
    let denied = storage.put(&key("wf/x"), "x".into(), "text/plain").await.unwrap_err();
    assert!(matches!(denied, StorageError::Denied { .. }), "{denied:?}");
    let unknown = stores::open(&target, &stores::keys("NOBODY", "secret"));
    is_an_error_throughout(&unknown).await;
    let denied = unknown.jobs().await.unwrap_err();
    assert!(matches!(denied, StorageError::Denied { .. }), "{denied:?}");
    let wrong = stores::open(&target, &stores::keys(id, "wrong"));
    let denied = wrong.jobs().await.unwrap_err();
    assert!(matches!(denied, StorageError::Denied { .. }), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_may_be_empty_and_others_have_their_own() {
    let (target, credentials) = stores::s3();
    let with = stores::open(&target, &credentials);
    let deeper = stores::open(
        &operator_engine::storage::S3 { prefix: format!("{}/deeper", target.prefix), ..target.clone() },
        &credentials,
    );
    let without = stores::open(&operator_engine::storage::S3 { prefix: String::new(), ..target.clone() }, &credentials);
    deeper.put(&key("wf-of-prefixes/x"), "deep".into(), "text/plain").await.unwrap();
    assert_eq!(keys_below(&with, "wf-of-prefixes").await, [""; 0]);
    assert_eq!(keys_below(&with, "deeper").await, ["deeper/wf-of-prefixes/x"]);
    without.put(&key("wf-of-prefixes/x"), "top".into(), "text/plain").await.unwrap();
    let stored = Stored { job: "wf-of-prefixes".parse().unwrap(), root: None };
    assert!(without.jobs().await.unwrap().contains(&stored));
    assert_eq!(read(&without, &stored, "wf-of-prefixes/x").await, b"top");
    assert_eq!(without.remove(&stored).await.unwrap().objects, 1);
    assert_eq!(read(&deeper, &stored, "wf-of-prefixes/x").await, b"deep");
    assert_ne!(with.name(), without.name(), "they are two stores");
    let answer = reqwest::get(deeper.link(&stored, "wf-of-prefixes/x", Duration::from_secs(9)).await.unwrap().unwrap());
    assert_eq!(answer.await.unwrap().text().await.unwrap(), "deep");
    deeper.remove(&stored).await.unwrap();
}
