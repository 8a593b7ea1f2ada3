//! What a member that nobody reads was probably meant to be.

/// The sections of a stage with the members that are read, each under the name of the member it stands in.
const SECTIONS: [(&str, &[&str]); 9] = [
    ("stages", &["input", "algorithm", "compute", "output"]),
    ("input", &["id", "url", "remote"]),
    ("algorithm", &["id", "rawcode", "url", "remote", "algocustomdata", "container"]),
    ("container", &["image", "tag", "checksum", "entrypoint"]),
    ("compute", &["maxtime", "resources", "storageExpiry"]),
    ("resources", &["requests_cpu", "limits_cpu", "requests_memory", "limits_memory", "requests_gpu", "limits_gpu"]),
    ("output", &["metadataUri"]),
    // Without its other members there is a fault, which says more.
    ("remote", &["userdata"]),
    ("", &["stages", "chainId", "validUntil", "spec", "metadata"]),
];

/// Jaro-Winkler: what misses, doubles or swaps a letter is above; what old clients send and nobody reads is below (see the
/// tests).
const LIKE: f64 = 0.91;

/// The member that the one at `path`, which is not read, is like: of its own section, or as `compute.maxtime` of another one.
pub fn meant(path: &str) -> Option<String> {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let section = parent.rsplit('.').next().unwrap_or_default();
    let section = section.split('[').next().unwrap_or_default();
    let members =
        |name: &str| SECTIONS.iter().find(|(section, _)| *section == name).map_or(&[][..], |(_, members)| *members);
    if members(section).contains(&key) {
        // It is spelt right, and something else wins over it.
        return None;
    }
    let like = |member: &str| strsim::jaro_winkler(&member.to_ascii_lowercase(), &key.to_ascii_lowercase());
    let nearest =
        members(section).iter().max_by(|a, b| like(a).total_cmp(&like(b))).filter(|member| like(member) > LIKE);
    if let Some(member) = nearest {
        return Some((*member).to_owned());
    }
    // Members of several sections, `id` and `url`, say nothing about which one was meant.
    let mut elsewhere =
        SECTIONS.iter().filter(|(_, members)| members.iter().any(|member| member.eq_ignore_ascii_case(key)));
    match (elsewhere.next(), elsewhere.next()) {
        (Some((section, members)), None) if !section.is_empty() && section != &"stages" => {
            let member = members.iter().find(|member| member.eq_ignore_ascii_case(key))?;
            Some(format!("{section}.{member}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_right_or_in_the_wrong_place_is_told_what_it_is_like() {
        for (path, like) in [
            ("stages[0].compute.maxtme", "maxtime"),
            ("stages[0].compute.maxTime", "maxtime"),
            ("stages[0].inputs", "input"),
            ("stages[0].algorithm.container.entrypont", "entrypoint"),
            ("spec.metadata.stages[0].algorithm.container.checksun", "checksum"),
            ("stages[0].algorithm.rawCode", "rawcode"),
            ("stages[0].compute.resource", "resources"),
            ("stages[0].compute.resources.limit_cpu", "limits_cpu"),
            ("stages[0].maxtime", "compute.maxtime"),
            ("stages[0].algorithm.entrypoint", "container.entrypoint"),
            ("stages[0].output.metadatauri", "metadataUri"),
        ] {
            assert_eq!(meant(path).as_deref(), Some(like), "{path}");
        }
    }

    #[test]
    fn what_old_clients_send_is_like_nothing() {
        for path in [
            "stages[0].input[0].index",
            "stages[0].algorithm.remote.serviceEndpoint",
            "stages[0].algorithm.rawcode",
            "stages[0].algorithm.url",
            "stages[0].algorithm.algouserdata",
            "stages[0].compute.Instances",
            "stages[0].compute.namespace",
            "stages[0].compute.id",
            "stages[0].index",
            "stages[0].output.nodeUri",
            "stages[0].output.brizoUri",
            "apiVersion",
            "kind",
            "metadata.name",
            "stages[0][\"a.b\"]",
            "",
        ] {
            assert_eq!(meant(path), None, "{path}");
        }
    }
}
