//! Files of Arweave: `ar://TXID[/path]`, from the gateways of the configuration, in their order.
//!
//! An Arweave id is the hash of a transaction's signature. What its data is can be told only from the transaction and the
//! chain, which nothing here reads: a gateway is trusted for the bytes it gives, unless the document gives their SHA-256.

use super::{
    fault::FetchError,
    http::Http,
    journal::{Journal, shown},
    policy::FetchPolicy,
    retry::{Backoff, Jitter},
    sink::Sink,
};
use crate::workflow::digest::Sha256;
use reqwest::Url;

/// Retries at a gateway that is not the last one: the next may be better.
const RETRIES: u32 = 1;

/// Fills `sink`. Answers how many retries that took.
pub(super) async fn fetch(
    url: &Url,
    expected: Option<Sha256>,
    http: &Http,
    policy: &FetchPolicy,
    sink: &mut Sink,
    jitter: &mut Jitter,
    journal: &mut Journal<'_>,
) -> Result<u32, FetchError> {
    let gateways: Vec<Url> = policy.arweave_gateways.iter().filter_map(|url| url.parse().ok()).collect();
    let mut last = FetchError::NoGateway { scheme: "ar", key: "fetch.arweave_gateways" };
    for (index, gateway) in gateways.iter().enumerate() {
        let mut from = at(gateway, url)?;
        let is_last = index + 1 == gateways.len();
        let retries = if is_last { policy.retries } else { policy.retries.min(RETRIES) };
        let backoff = Backoff::new(&FetchPolicy { retries, ..policy.clone() });
        match http.fetch(&mut from, expected, sink, backoff, jitter, journal).await {
            Ok(retries) => {
                if expected.is_none() {
                    journal.line(format!("{}: as the gateway gave it; no sha256 says what it must be", shown(url)));
                }
                return Ok(retries);
            }
            // No gateway makes a volume larger or a file smaller.
            Err(error) if error.is_ours() => return Err(error),
            Err(error) => {
                let next = if is_last { "" } else { "; another gateway is tried" };
                journal.line(format!("{}: {error}{next}", shown(&from)));
                last = error;
            }
        }
        sink.restart().await?;
    }
    Err(last)
}

/// The URL at a gateway.
fn at(gateway: &Url, url: &Url) -> Result<Url, FetchError> {
    let id = url.host_str().unwrap_or_default();
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if id.len() != 43 || !id.bytes().all(word) {
        return Err(FetchError::InvalidArweaveId);
    }
    let mut at = gateway.clone();
    at.set_path(&format!("{}/{id}{}", gateway.path().trim_end_matches('/'), url.path()));
    at.set_query(url.query());
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_its_path_are_looked_for_below_the_gateway() {
        let at = |gateway: &str, url: &str| at(&gateway.parse().unwrap(), &url.parse().unwrap()).map(String::from);
        let id = "bNbA3TEQVL60xlgCcqdz4ZPHFZ711cZ3hmkpGttDt_U";
        assert_eq!(at("https://g", &format!("ar://{id}")).unwrap(), format!("https://g/{id}"));
        assert_eq!(at("https://g/x/", &format!("ar://{id}/a%20b")).unwrap(), format!("https://g/x/{id}/a%20b"));
        for url in ["ar://short", &format!("ar://{id}x"), &format!("ar://{}.", &id[..42])] {
            assert!(matches!(at("https://g", url), Err(FetchError::InvalidArweaveId)), "{url}");
        }
    }
}
