//! Files that are already here: `inline:KEY`, another key of the workflow's ConfigMap, and `file:`, below the
//! workflow's own folder, in the local mode only.

use super::{
    fault::{DiskError, FetchError},
    sink::Sink,
};
use nix::fcntl::OFlag;
use reqwest::Url;
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tokio::io::AsyncReadExt;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// The file that `inline:key` names.
pub(super) fn inline(documents: &Path, key: &str) -> Result<fs::File, FetchError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    // Kubernetes allows no key that begins with "..": the kubelet keeps its own links under such names.
    if key.is_empty() || key == "." || key.starts_with("..") || !key.bytes().all(allowed) {
        return Err(FetchError::InvalidKey(key.to_owned()));
    }
    open_below(documents, &documents.join(key), key)
}

/// The file that a `file:` URL names; relative ones are relative to `folder`.
pub(super) fn file(folder: Option<&Path>, url: &str) -> Result<fs::File, FetchError> {
    let folder = folder.ok_or(FetchError::FileNotAllowed)?;
    let name = url.get("file:".len()..).unwrap_or_default();
    // Whatever a query is good for here, errors do not repeat it.
    let name = name.split(['?', '#']).next().unwrap_or_default();
    let root = canonical(folder, name)?;
    let url = Url::from_directory_path(&root).ok().and_then(|base| base.join(url).ok());
    let path = url.and_then(|url| url.to_file_path().ok());
    let path = path.ok_or_else(|| FetchError::InvalidUrl("not the path of a file on this machine".to_owned()))?;
    open_below(&root, &path, name)
}

/// Opens a regular file that lies below `root` after all links are followed. The kubelet's volumes consist of links, so
/// they cannot simply be refused.
fn open_below(root: &Path, path: &Path, name: &str) -> Result<fs::File, FetchError> {
    let (root, path) = (canonical(root, name)?, canonical(path, name)?);
    if path == root || !path.starts_with(&root) {
        return Err(FetchError::OutsideFolder(name.to_owned()));
    }
    // No link is left in the path, so a link found now was put there a moment ago; and opening a pipe must not wait.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(path);
    let file = file.map_err(|error| not_found(error, name))?;
    let is_file = file.metadata().map_err(|error| not_found(error, name))?.is_file();
    if is_file { Ok(file) } else { Err(FetchError::NotRegular(name.to_owned())) }
}

fn canonical(path: &Path, name: &str) -> Result<PathBuf, FetchError> {
    path.canonicalize().map_err(|error| not_found(error, name))
}

fn not_found(source: io::Error, name: &str) -> FetchError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => {
            FetchError::NotFound(name.to_owned())
        }
        _ => DiskError { doing: format!("reading {name}"), source }.into(),
    }
}

/// Copies a file into the sink.
pub(super) async fn copy(file: fs::File, sink: &mut Sink) -> Result<(), FetchError> {
    let reading = |source| FetchError::from(DiskError { doing: "reading the file".to_owned(), source });
    sink.admit(file.metadata().map_err(reading)?.len())?;
    let mut file = tokio::fs::File::from_std(file);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = file.read(&mut buffer).await.map_err(reading)?;
        match buffer.get(..count) {
            Some(bytes) if !bytes.is_empty() => sink.write(bytes).await?,
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read, os::unix::fs::symlink};

    fn reason(result: Result<fs::File, FetchError>) -> &'static str {
        result.map_or_else(|error| error.reason(), |_| "opened")
    }

    #[test]
    fn keys_of_a_mounted_config_map_are_read_through_the_kubelets_links() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("..2026_01_01");
        fs::create_dir(&real).unwrap();
        fs::write(real.join("a.csv"), "x").unwrap();
        symlink("..2026_01_01", dir.path().join("..data")).unwrap();
        symlink("..data/a.csv", dir.path().join("a.csv")).unwrap();
        let mut text = String::new();
        inline(dir.path(), "a.csv").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert_eq!(reason(inline(dir.path(), "b.csv")), "NotFound");
        for key in ["", ".", "..", "..data", "../a.csv", "/etc/passwd", "a/b", "a.csv\0", "a%2fb", "ä"] {
            assert_eq!(reason(inline(dir.path(), key)), "InvalidKey", "{key:?}");
        }
    }

    #[test]
    fn only_regular_files_below_the_folder_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("workflow");
        fs::create_dir_all(folder.join("sub dir")).unwrap();
        fs::write(folder.join("sub dir/a.csv"), "x").unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        symlink("../secret", folder.join("link")).unwrap();
        symlink("sub dir/a.csv", folder.join("inner")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let open = |url: &str| reason(file(Some(&folder), url));

        assert_eq!(open("file:sub%20dir/a.csv"), "opened");
        assert_eq!(open("file:./sub dir/../inner"), "opened");
        assert_eq!(open(&format!("file://{}/inner", folder.canonicalize().unwrap().display())), "opened");
        assert_eq!(open("file:absent"), "NotFound");
        for url in [
            "file:../secret",
            "file:%2e%2e/secret",
            "file:link",
            "file:///etc/passwd",
            "file:/etc/passwd",
            "file:",
            "file:.",
        ] {
            assert_eq!(open(url), "OutsideFolder", "{url}");
        }
        for url in ["file:sub%20dir", "file:pipe"] {
            assert_eq!(open(url), "NotRegular", "{url}");
        }
        // An encoded slash is part of a name here and a separator nowhere.
        assert!(matches!(open("file:..%2fsecret"), "OutsideFolder" | "NotFound"));
        assert_eq!(open("file://elsewhere/etc/passwd"), "InvalidUrl");
        assert_eq!(reason(file(None, "file:a")), "FileNotAllowed");
    }
}
