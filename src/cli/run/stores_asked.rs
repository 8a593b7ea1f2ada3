//! Asking the stores, as the engine starts, whether they can be used at all: whoever set up a node that is too old hears it
//! now, and not when the first result is lost for it.
//!
//! A store that does not answer is no reason not to start: it may be back before anything is published, and publishing
//! waits for it. It is asked again until it answers.

use crate::{cli::chain, storage::StorageError, sweep::Opener};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long a store may take to answer: the start waits for it.
const LIMIT: Duration = Duration::from_secs(5);
/// How long until one that did not answer is asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// A store that says of itself that it must not be used.
#[derive(Debug, thiserror::Error)]
#[error("{store} must not be used: {why}")]
pub(in crate::cli) struct Outdated {
    store: String,
    why: String,
}

/// Asks all stores once; those that did not answer are asked again beside the engine, until `stop`.
///
/// # Errors
///
/// A store that says that it must not be used.
pub(super) async fn ask(open: Option<Opener>, stop: CancellationToken) -> Result<(), Outdated> {
    let Some(open) = open else { return Ok(()) };
    let mut silent = BTreeSet::new();
    if round(&open, &mut silent).await? {
        return Ok(());
    }
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
            match round(&open, &mut silent).await {
                Ok(true) => {
                    tracing::info!("all stores for results answer");
                    return;
                }
                Ok(false) => {}
                // Publishing refuses it too, and waits. The engine has workflows in work by now.
                Err(error) => {
                    tracing::error!("{}", chain(&error));
                    return;
                }
            }
        }
    });
    Ok(())
}

/// Whether all have answered. `silent` has what was said of those that had not; only what is new is told.
async fn round(open: &Opener, silent: &mut BTreeSet<String>) -> Result<bool, Outdated> {
    let mut still = BTreeSet::new();
    for (purpose, opened) in open() {
        let asked = async {
            let store = opened?;
            Ok::<_, StorageError>((store.outdated().await?, store.name().to_owned()))
        };
        let error = match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok((None, _))) => continue,
            Ok(Ok((Some(why), store))) => return Err(Outdated { store, why }),
            Ok(Err(error)) => chain(&error),
            Err(_) => format!("the store for {purpose} gave no answer within {LIMIT:?}"),
        };
        if !silent.contains(&error) {
            tracing::warn!(error, "a store for results cannot be asked whether it can be used; it is asked again");
        }
        still.insert(error);
    }
    *silent = still;
    Ok(silent.is_empty())
}
