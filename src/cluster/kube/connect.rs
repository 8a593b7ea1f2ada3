//! Credentials, and a client that sends each request once and waits for it no longer than it may take.

use super::retry_after::noted;
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{path::Path, time::Duration};
use tower::util::AndThenLayer;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No credentials: not in a pod, and no kubeconfig.
    #[error("no cluster is configured: run in a pod with a service account, or give a kubeconfig")]
    NotConfigured(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The credentials cannot be used.
    #[error("the cluster's address or credentials cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A connection, and the namespace that goes with its credentials.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The service account's namespace, or the kubeconfig context's.
    pub namespace: String,
}

/// Connects with a kubeconfig if one is given, else with the pod's service account, else with the user's kubeconfig.
///
/// # Errors
///
/// See [`ConnectError`]. The cluster itself is not asked anything yet.
pub async fn connect(kubeconfig: Option<&Path>, request_timeout: Duration) -> Result<Connection, ConnectError> {
    let not_configured = |error: Box<dyn std::error::Error + Send + Sync>| ConnectError::NotConfigured(error);
    let mut config = match kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| ConnectError::Unusable(error.into()))?;
            let options = KubeConfigOptions::default();
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .map_err(|error| ConnectError::Unusable(error.into()))?
        }
        // In a pod a stray KUBECONFIG must not win.
        None => match Config::incluster() {
            Ok(config) => config,
            Err(_) => Config::infer().await.map_err(|error| not_configured(error.into()))?,
        },
    };
    config.connect_timeout = Some(request_timeout / 2);
    config.read_timeout = Some(request_timeout);
    // Otherwise the limit counts the idle time of a pooled connection, and a poller meets that daily.
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let agent = concat!("operator-engine/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    let namespace = config.default_namespace.clone();
    let client = ClientBuilder::try_from(config).map_err(|error| ConnectError::Unusable(error.into()))?;
    let client = client.with_layer(&AndThenLayer::new(noted)).build();
    Ok(Connection { client, namespace })
}
