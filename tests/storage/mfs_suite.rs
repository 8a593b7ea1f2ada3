//! object_store's own suite, all of it that is not of multipart stores' own, on MFS of a real IPFS node.

use crate::{ipfs::Node, object_store_functions::object_store_functions};
use operator_engine::storage::{Ipfs, IpfsCredentials, ipfs::MfsStore};
use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// One node for all: each has a folder of its own.
fn fresh() -> MfsStore {
    static NODE: OnceLock<Node> = OnceLock::new();
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let node = NODE.get_or_init(|| Node::start(&[]));
    let folder = format!("/objects {}", LAST.fetch_add(1, Ordering::Relaxed));
    MfsStore::open(&Ipfs { folder, ..node.target.clone() }, &IpfsCredentials::default()).unwrap()
}

object_store_functions!(&fresh());

#[tokio::test(flavor = "multi_thread")]
async fn put_get_delete_list() {
    object_store::integration::put_get_delete_list(&fresh()).await;
}
