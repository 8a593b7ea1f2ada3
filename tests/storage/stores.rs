//! The stores that tests run on.

use crate::server::Server;
use operator_engine::storage::{Credentials, S3, S3Credentials, Secret, Storage, Target};
use std::sync::{
    Once, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// The S3 server of this run: started by the first who asks, ended with this process.
pub(crate) fn s3_server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start("s3", &[]))
}

/// A part of the server's bucket that nobody else uses, and who may use it.
pub(crate) fn s3() -> (S3, Credentials) {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    use_ring();
    let server = s3_server();
    let target = S3 {
        bucket: server.text("bucket").to_owned(),
        prefix: format!("test {}/ü", LAST.fetch_add(1, Ordering::Relaxed)),
        region: server.text("region").to_owned(),
        endpoint: Some(server.text("endpoint").to_owned()),
        path_style: true,
        allow_http: true,
        ca: None,
        role_arn: None,
        sts_endpoint: None,
    };
    let credentials = keys(server.text("accessKey"), server.text("secretKey"));
    (target, credentials)
}

pub(crate) fn keys(id: &str, secret: &str) -> Credentials {
    let (access_key_id, secret_access_key) = (id.to_owned(), Secret::new(secret));
    Credentials {
        s3: Some(S3Credentials { access_key_id, secret_access_key, session_token: None }),
        ..Credentials::default()
    }
}

pub(crate) fn open(target: &S3, credentials: &Credentials) -> Storage {
    Storage::open(&Target::S3(target.clone()), credentials).unwrap()
}

/// A store of each kind that holds objects, and what keeps it there.
pub(crate) fn all() -> (tempfile::TempDir, [Storage; 3]) {
    let (dir, directory) = directory();
    let (target, credentials) = s3();
    (dir, [Storage::memory(), directory, open(&target, &credentials)])
}

pub(crate) fn directory() -> (tempfile::TempDir, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::Directory { path: dir.path().join("results") };
    let directory = Storage::open(&target, &Credentials::default()).unwrap();
    (dir, directory)
}

/// TLS needs to be told whose it is, also where there is none.
pub(crate) fn use_ring() {
    static ONCE: Once = Once::new();
    // An error means that it was told already.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
