//! The outbox that the configuration describes.

use crate::{
    clock::Clock,
    cluster::Cluster,
    config::Config,
    ethereum::OperatorKey,
    notify::{Courier, DeliverError, Outbox},
    workflow::notice::{Occasion, Patience},
};
use std::{sync::Arc, time::Duration};

/// How often it is looked for what is owed; one cheap list.
const EVERY: Duration = Duration::from_secs(2);

/// The outbox; none if nobody is to be told.
///
/// # Errors
///
/// [`DeliverError::Client`] where TLS cannot be set up.
pub(super) fn outbox(
    config: &Config,
    cluster: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
    key: Option<OperatorKey>,
) -> Result<Option<Outbox>, DeliverError> {
    let notify = &config.notify;
    let given = [(Occasion::Start, &notify.start_url), (Occasion::Stop, &notify.stop_url)];
    // They were checked when the configuration was read.
    let urls = given.into_iter().filter_map(|(occasion, url)| Some((occasion, url.as_ref()?.parse().ok()?)));
    let urls: std::collections::BTreeMap<_, _> = urls.collect();
    if urls.is_empty() {
        return Ok(None);
    }
    if key.is_none() {
        tracing::warn!("notifications are not signed: OPERATOR_PRIVATE_KEY is not set");
    }
    Ok(Some(Outbox {
        cluster,
        clock,
        courier: Courier::new(notify.timeout, notify.redirects)?,
        urls,
        key,
        patience: Patience {
            backoff_first: notify.backoff_first,
            backoff_max: notify.backoff_max,
            give_up_after: notify.give_up_after,
        },
        every: EVERY,
        request_timeout: config.cadence.request_timeout,
    }))
}
