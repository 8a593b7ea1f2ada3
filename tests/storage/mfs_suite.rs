//! object_store's own suite, all of it that is not of multipart stores' own, on MFS of a real IPFS node.

use crate::ipfs::Node;
use object_store::integration;
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

macro_rules! passes {
    ($($name:ident($($argument:expr),*);)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            integration::$name(&fresh() $(, $argument)*).await;
        }
    )*};
}

passes! {
    put_get_delete_list();
    get_opts();
    put_opts(true);
    stream_get();
    list_uses_directories_correctly();
    list_with_delimiter();
    rename_and_copy();
    copy_if_not_exists();
    copy_rename_nonexistent_object();
    put_get_attributes();
    multipart_race_condition(true);
    multipart_out_of_order();
    list_with_offset_exclusivity();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let error = integration::get_nonexistent_object(&fresh(), None).await.unwrap_err();
    assert!(matches!(error, object_store::Error::NotFound { .. }), "{error}");
}
