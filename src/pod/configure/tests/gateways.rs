//! `ipfs:` and `ar:` from gateways that lie, fail, or have nothing.

use super::{
    super::ipfs::made::{self, Made},
    server::{Reply, Server, Then, ok, raw, redirect},
    *,
};

/// A gateway with these blocks, which answers as the trustless gateways' specification has it.
async fn gateway(blocks: &[&Made]) -> Server {
    let blocks: BTreeMap<String, Vec<u8>> =
        blocks.iter().map(|made| (made.cid.to_string(), made.bytes.to_vec())).collect();
    Server::start(move |_, head| answer(&blocks, head)).await
}

fn answer(blocks: &BTreeMap<String, Vec<u8>>, head: &str) -> Reply {
    let cid = head.strip_prefix("GET /ipfs/").and_then(|rest| rest.split_once("?format=raw ")).map(|(cid, _)| cid);
    match cid.and_then(|cid| blocks.get(cid)) {
        Some(bytes) => block(bytes),
        None => raw("404 Not Found", &[], ""),
    }
}

fn block(bytes: &[u8]) -> Reply {
    let length = format!("content-length: {}", bytes.len());
    let (mut head, then) = raw("200 OK", &["content-type: application/vnd.ipld.raw", &length], "");
    head.extend_from_slice(bytes);
    (head, then)
}

fn case(url: &str, gateways: &[&Server]) -> Case {
    let mut case = Case::new().with_input("aa", &[url]);
    case.task.policy.ipfs_gateways = gateways.iter().map(|gateway| gateway.url("")).collect();
    case
}

/// Two levels of blocks of different kinds: leaves as raw blocks and as nodes, one of them twice, and bytes in a node.
fn tree() -> (Vec<Made>, &'static str) {
    let [a, b] = [made::raw(b"aaa"), made::raw(b"bb")];
    let c = made::file(b"c", &[], Some(1));
    let left = made::file(b"", &[&a, &b, &a], Some(8));
    let right = made::file(b"<", &[&c, &b], Some(4));
    let root = made::file(b"", &[&left, &right, &a], Some(15));
    (vec![root, left, right, a, b, c], "aaabbaaa<cbbaaa")
}

#[tokio::test]
async fn a_file_of_several_levels_is_put_together_from_its_blocks() {
    let (blocks, text) = tree();
    let server = gateway(&blocks.iter().collect::<Vec<_>>()).await;
    let case = case(&format!("ipfs://{}", blocks[0].cid), &[&server]);
    case.run().await.fine();
    assert_eq!(case.read("inputs/aa/0"), text);
    assert!(server.requests().iter().all(|head| head.contains("\r\naccept: application/vnd.ipld.raw\r\n")));
}

#[tokio::test]
async fn a_wide_file_keeps_its_order_and_few_requests_are_under_way_at_once() {
    let leaves: Vec<_> = (0..300).map(|n| made::raw(format!("{n},").as_bytes())).collect();
    let text: String = (0..300).map(|n| format!("{n},")).collect();
    let nodes: Vec<_> =
        leaves.chunks(30).map(|chunk| made::file(b"", &chunk.iter().collect::<Vec<_>>(), None)).collect();
    let root = made::file(b"", &nodes.iter().collect::<Vec<_>>(), Some(text.len() as u64));
    let server = gateway(&leaves.iter().chain(&nodes).chain([&root]).collect::<Vec<_>>()).await;
    let case = case(&format!("ipfs://{}", root.cid), &[&server]);
    case.run().await.fine();
    assert_eq!(case.read("inputs/aa/0"), text);
    assert_eq!(server.requests().len(), 311, "every block once");
}

#[tokio::test]
async fn every_spelling_of_a_content_id_names_the_same_file() {
    let leaf = made::file(b"old", &[], Some(3));
    let v0 = cid::Cid::new_v0(*leaf.cid.hash()).unwrap();
    let server = gateway(&[&leaf, &Made { cid: v0, bytes: leaf.bytes.clone() }]).await;
    let identity = cid::Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0, b"inside").unwrap());
    let base58 = leaf.cid.to_string_of_base(cid::multibase::Base::Base58Btc).unwrap();
    for (id, text) in
        [(v0.to_string(), "old"), (leaf.cid.to_string(), "old"), (base58, "old"), (identity.to_string(), "inside")]
    {
        let case = case(&format!("ipfs://{id}"), &[&server]);
        case.run().await.fine();
        assert_eq!(case.read("inputs/aa/0"), text, "{id}");
    }
}

#[tokio::test]
async fn names_lead_through_folders_plain_and_spread() {
    let leaf = made::raw(b"deep");
    let plain = made::directory(&[("other", &leaf), ("a b", &leaf)]);
    // The hash of "hello" begins with the bytes cb and d8.
    let lower = made::shard(&[("D8hello", &plain)]);
    let upper = made::shard(&[("00x", &leaf), ("CB", &lower)]);
    let root = made::directory(&[("sub", &upper)]);
    let server = gateway(&[&leaf, &plain, &lower, &upper, &root]).await;
    let root = root.cid;
    let found = case(&format!("ipfs://{root}/sub/hello/a%20b"), &[&server]);
    found.run().await.fine();
    assert_eq!(found.read("inputs/aa/0"), "deep");
    for (path, reason) in [
        ("/sub/hello/absent", "NotFound"),
        ("/sub/helloo", "NotFound"),
        ("/absent", "NotFound"),
        ("/sub/hello/a%20b/below", "NotFound"),
        ("", "ContentUnreadable"),
        ("/sub", "ContentUnreadable"),
        ("/sub/hello/", "ContentUnreadable"),
    ] {
        let done = case(&format!("ipfs://{root}{path}"), &[&server]).run().await;
        assert_eq!(done.fault(), (31, reason), "{path}: {}", done.out);
    }
}

#[tokio::test]
async fn a_gateway_that_lies_is_told_and_another_one_is_tried() {
    let (blocks, text) = tree();
    let honest = gateway(&blocks.iter().collect::<Vec<_>>()).await;
    let liar = Server::start(|_, _| block(b"something else")).await;
    let case = case(&format!("ipfs://{}", blocks[0].cid), &[&liar, &honest]);
    let done = case.run().await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), text);
    assert!(
        done.out.contains("gave other bytes than") && done.out.contains("another gateway is tried"),
        "{}",
        done.out
    );
    assert_eq!(liar.requests().len(), 1, "it is not asked again");
}

#[tokio::test]
async fn nothing_is_kept_of_a_file_when_every_gateway_lies() {
    let (mut blocks, _) = tree();
    blocks[4].bytes = bytes::Bytes::from_static(b"BB");
    let liar = gateway(&blocks.iter().collect::<Vec<_>>()).await;
    let case = case(&format!("ipfs://{}", blocks[0].cid), &[&liar]);
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "ContentMismatch"), "{}", done.out);
    assert!(!case.exists("inputs/aa/0") && !case.exists("inputs/aa/.0.part"));
}

#[tokio::test]
async fn gateways_that_have_nothing_break_off_or_are_busy_are_passed_over() {
    let (blocks, text) = tree();
    let honest = gateway(&blocks.iter().collect::<Vec<_>>()).await;
    for bad in [
        raw("404 Not Found", &[], ""),
        raw("503 Busy", &[], ""),
        raw("200 OK", &["content-length: 100"], "cut"),
        (Vec::new(), Then::Close),
        redirect("http://10.0.0.1/"),
        (raw("200 OK", &[], "").0, Then::Endless),
    ] {
        let bad = Server::start(move |_, _| bad.clone()).await;
        let case = case(&format!("ipfs://{}", blocks[0].cid), &[&bad, &honest]);
        case.run().await.fine();
        assert_eq!(case.read("inputs/aa/0"), text);
        assert_eq!(bad.requests().len(), 1, "the one that answered is asked first from then on");
    }
}

#[tokio::test]
async fn a_block_that_nobody_has_ends_the_file_and_a_busy_gateway_is_asked_again() {
    let (blocks, _) = tree();
    let incomplete = gateway(&blocks[..4].iter().collect::<Vec<_>>()).await;
    let done = case(&format!("ipfs://{}", blocks[0].cid), &[&incomplete]).run().await;
    assert_eq!(done.fault(), (31, "HttpStatus"), "{}", done.out);

    let leaf = made::raw(b"x");
    let (bytes, asked) = (leaf.bytes.to_vec(), 2);
    let busy = Server::start(move |n, _| if n < asked { raw("503 Busy", &[], "") } else { block(&bytes) }).await;
    case(&format!("ipfs://{}", leaf.cid), &[&busy]).run().await.fine();
    assert_eq!(busy.requests().len(), 3);
}

#[tokio::test]
async fn a_gateways_address_is_guarded_like_any_other() {
    let leaf = made::raw(b"x");
    let server = gateway(&[&leaf]).await;
    let mut case = case(&format!("ipfs://{}", leaf.cid), &[&server]);
    case.task.policy.arweave_gateways = vec![server.url("")];
    case.task.policy.allow_networks.clear();
    assert_eq!(case.run().await.fault(), (31, "AddressRefused"));
    case.task.document.inputs[0].source = Source::Urls(vec![file(&format!("ar://{AR}"))]);
    assert_eq!(case.run().await.fault(), (31, "AddressRefused"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn hostile_trees_end_with_a_reason() {
    let leaf = made::raw(&[b'x'; 1000]);
    let empty = made::raw(b"");
    // Without a size of its own a file can promise nothing, and what it has must still fit.
    let wide = made::file(b"", &[&leaf; 200], None);
    let bomb = made::file(b"", &[&wide; 200], None);
    let long = made::file(b"", &[&leaf], Some(u64::MAX));
    let wrong = made::file(b"", &[&leaf], Some(999));
    let folder = made::directory(&[("a", &leaf)]);
    let with_folder = made::file(b"", &[&folder], None);
    // A million times nothing: no cap of bytes ends that.
    let mut nothing = made::file(b"", &[&empty; 100], None);
    let mut levels = vec![nothing.clone()];
    for _ in 0..4 {
        nothing = made::file(b"", &[&nothing; 100], None);
        levels.push(nothing.clone());
    }
    let garbage = made::block(0x70, b"no node".to_vec());
    let cbor = made::block(0x71, b"\xa0".to_vec());
    let blocks = [&leaf, &empty, &wide, &bomb, &long, &wrong, &folder, &with_folder, &garbage, &cbor];
    let server = gateway(&blocks.into_iter().chain(&levels).collect::<Vec<_>>()).await;
    for (made, reason) in [
        (&bomb, "FileTooLarge"),
        (&long, "FileTooLarge"),
        (&wrong, "ContentUnreadable"),
        (&with_folder, "ContentUnreadable"),
        (&garbage, "ContentUnreadable"),
        (&cbor, "ContentUnreadable"),
    ] {
        let mut case = case(&format!("ipfs://{}", made.cid), &[&server]);
        case.task.policy.max_file_bytes = 100_000;
        assert_eq!(case.run().await.fault(), (31, reason));
    }
    let mut case = case(&format!("ipfs://{}", nothing.cid), &[&server]);
    case.task.policy.total_ms = 300;
    assert_eq!(case.run().await.fault(), (31, "TimedOut"), "nothing but the time ends it, and little is kept of it");
}

#[tokio::test]
async fn what_is_no_content_id_is_refused_before_anybody_is_asked() {
    let server = gateway(&[]).await;
    let sha512 = cid::Cid::new_v1(0x55, cid::multihash::Multihash::wrap(0x13, &[7; 64]).unwrap());
    for (url, reason) in [
        ("ipfs://bafy".to_owned(), "InvalidContentId"),
        ("ipfs://example.org/x".to_owned(), "InvalidContentId"),
        (format!("ipfs://{sha512}"), "InvalidContentId"),
        ("ipfs:bafy".to_owned(), "InvalidContentId"),
    ] {
        assert_eq!(case(&url, &[&server]).run().await.fault(), (31, reason), "{url}");
    }
    assert!(server.requests().is_empty());
}

const AR: &str = "bNbA3TEQVL60xlgCcqdz4ZPHFZ711cZ3hmkpGttDt_U";

fn arweave(gateways: &[&Server]) -> Case {
    let mut case = Case::new().with_input("aa", &[&format!("ar://{AR}/a%20b.csv?v=1")]);
    case.task.policy.arweave_gateways = gateways.iter().map(|gateway| gateway.url("/base/")).collect();
    case
}

#[tokio::test]
async fn a_file_of_arweave_comes_from_the_first_gateway_that_has_it() {
    let nothing = Server::start(|_, _| raw("404 Not Found", &[], "")).await;
    let busy = Server::start(|_, _| raw("503 Busy", &[], "")).await;
    let good = Server::start(|n, _| if n == 0 { raw("503 Busy", &[], "") } else { ok("data") }).await;
    let case = arweave(&[&nothing, &busy, &good]);
    let done = case.run().await;
    done.fine();
    assert_eq!(case.read("inputs/aa/0"), "data");
    assert!(good.requests()[0].starts_with(&format!("GET /base/{AR}/a%20b.csv?v=1 HTTP/1.1\r\n")));
    assert_eq!((nothing.requests().len(), busy.requests().len()), (1, 2));
    assert!(done.out.contains("no sha256 says what it must be"), "that nothing was verified is told: {}", done.out);
}

#[tokio::test]
async fn a_gateway_of_arweave_that_lies_is_found_out_by_a_digest() {
    let liar = Server::of("lies").await;
    let good = Server::of("data").await;
    let case = arweave(&[&liar, &good]).with_digest(Sha256::of("data"));
    case.run().await.fine();
    assert_eq!(case.read("inputs/aa/0"), "data");
    let case = arweave(&[&liar]).with_digest(Sha256::of("data"));
    assert_eq!(case.run().await.fault(), (31, "DigestMismatch"));
}
