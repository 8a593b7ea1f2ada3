//! A file of certificates, read while the configuration is.

use super::values::{Values, string};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value as Json;
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// The most bytes of such a file: it travels to pods on their command lines, of which Linux takes 128 KiB per argument.
const MAX_LEN: u64 = 32 * 1024;

impl Values {
    /// The certificates of the file that a key names, as PEM and nothing else; none if it is empty.
    pub(super) fn certificates(&mut self, key: &'static str) -> Option<String> {
        self.read_showing(
            key,
            |value| {
                let path = string(value)?;
                if path.is_empty() {
                    return Ok((None, Json::from("")));
                }
                Ok((Some(read(Path::new(path))?), Json::from(path)))
            },
            |value| Json::from(string(value).unwrap_or_default()).to_string(),
        )
    }
}

fn read(path: &Path) -> Result<String, String> {
    let text = text(path).map_err(|error| format!("cannot be read: {error}"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(only_certificates(&text)),
        Ok(_) => Err("holds no certificate: -----BEGIN CERTIFICATE----- is expected".to_owned()),
        Err(error) => Err(format!("is no PEM: {error}")),
    }
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LEN {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 32Ki; keep only the certificates needed"));
    }
    Ok(text)
}

/// Without what else such files hold: comments, and by mistake a key.
fn only_certificates(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in text.lines().map(str::trim) {
        inside |= line == "-----BEGIN CERTIFICATE-----";
        if inside {
            out.push_str(line);
            out.push('\n');
        }
        inside &= line != "-----END CERTIFICATE-----";
    }
    out
}
