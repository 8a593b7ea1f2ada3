//! The network policies say the same as the program.

use crate::{
    JOBS,
    cluster::{Cluster, root},
};
use serde_json::{Value, json};
use std::fs;

#[test]
fn configure_reaches_no_network_that_the_program_itself_would_refuse() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    let policy = cluster.get(JOBS, "networkpolicy/configure");
    let blocks: Vec<_> = policy["spec"]["egress"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| rule["to"].as_array().unwrap())
        .filter_map(|peer| peer.get("ipBlock"))
        .collect();
    assert_eq!(blocks.iter().map(|block| &block["cidr"]).collect::<Vec<_>>(), ["0.0.0.0/0", "2000::/3"]);

    let excepted: Vec<_> = blocks.iter().flat_map(|block| block["except"].as_array().unwrap()).cloned().collect();
    let refused = refused_by_the_program();
    assert!(refused.len() >= 14, "the program's table was not found: {refused:?}");
    let open: Vec<_> = refused.iter().filter(|network| !excepted.contains(&json!(network))).collect();
    assert!(open.is_empty(), "{open:?} are refused by the program and open in the policy");
}

#[test]
fn algorithm_and_filter_are_cut_off_in_both_directions() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    for name in ["algorithm-and-filter", "default-deny", "publish"] {
        let spec = &cluster.get(JOBS, &format!("networkpolicy/{name}"))["spec"];
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{name}");
        assert_eq!((spec.get("ingress"), spec.get("egress")), (None, None), "{name}");
    }
    // Policies add up, so it takes no other one that selects them.
    let listed = cluster.get(JOBS, "networkpolicies");
    let allowing: Vec<_> =
        listed["items"].as_array().unwrap().iter().filter(|policy| policy["spec"].get("egress").is_some()).collect();
    let selectors: Vec<&Value> = allowing.iter().map(|policy| &policy["spec"]["podSelector"]).collect();
    assert_eq!(selectors, [&json!({"matchLabels": {"component": "configure"}})]);
}

/// The networks of IPv4 in the program's table, as text. The single broadcast address is part of 240.0.0.0/4.
fn refused_by_the_program() -> Vec<String> {
    let source = fs::read_to_string(root().join("src/pod/configure/reserved.rs")).unwrap();
    let entries = source.lines().filter_map(|line| line.trim().strip_prefix("(Network::v4(["));
    entries
        .filter_map(|entry| {
            let (address, rest) = entry.split_once("], ")?;
            let (prefix, _) = rest.split_once(')')?;
            Some(format!("{}/{prefix}", address.replace(", ", ".")))
        })
        .filter(|network| network != "255.255.255.255/32")
        .collect()
}
