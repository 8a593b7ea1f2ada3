//! URLs of files that are addressed by their content.

use super::{Ipfs, IpfsCluster, target::percent_encode};

/// Makes the URLs of a store of content ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentUrls {
    prefix: String,
    double_slash: bool,
}

impl ContentUrls {
    /// A file as part of a result: `<prefix><root>/data/outputs/a%20b.csv`. This is how to list a file once the root is
    /// known. `path` lies below the job: [`super::manifest::File::key`] without the job's id, or see [`ContentUrls::of_key`].
    ///
    /// With the old engine's two slashes only names without blanks and the like can be fetched from a gateway: Kubo's
    /// redirects from such a URL to one that is encoded twice.
    pub fn below(&self, root: &str, path: &str) -> String {
        let slash = if self.double_slash { "//" } else { "/" };
        format!("{}{root}{slash}{}", self.prefix, percent_encode(path))
    }

    /// As [`ContentUrls::below`], for a key that begins with the job's id.
    pub fn of_key(&self, root: &str, key: &str) -> String {
        self.below(root, key.split_once('/').map_or(key, |(_, path)| path))
    }

    /// A file by itself: `<prefix><cid>?filename=a%20b.csv`. This is how the array inside a result lists it, since nothing
    /// can hold its own root. A gateway takes type and name of the download from it.
    pub fn of_file(&self, cid: &str, name: &str) -> String {
        format!("{}{cid}?filename={}", self.prefix, percent_encode(name))
    }
}

impl From<&Ipfs> for ContentUrls {
    fn from(ipfs: &Ipfs) -> Self {
        Self { prefix: ipfs.url_prefix.clone(), double_slash: ipfs.double_slash }
    }
}

impl From<&IpfsCluster> for ContentUrls {
    fn from(cluster: &IpfsCluster) -> Self {
        Self { prefix: cluster.url_prefix.clone(), double_slash: cluster.double_slash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_encoded_and_have_one_slash_unless_asked_otherwise() {
        let mut urls = ContentUrls { prefix: "https://gw.example/ipfs/".into(), double_slash: false };
        let key = "wf-1/data/outputs/a b/ü%.csv";
        assert_eq!(urls.of_key("bafy", key), "https://gw.example/ipfs/bafy/data/outputs/a%20b/%C3%BC%25.csv");
        assert_eq!(urls.of_file("bafk", "a&b#.csv"), "https://gw.example/ipfs/bafk?filename=a%26b%23.csv");
        urls.double_slash = true;
        assert_eq!(urls.of_key("bafy", "wf-1/data/logs/x"), "https://gw.example/ipfs/bafy//data/logs/x");
    }
}
