//! The configured stores, to read and to delete what they hold, with the credentials of this process's environment.

use crate::{
    config::{self, Config, ConfigErrors},
    storage::{ResultStore, StorageError, open_results},
    sweep::Opener,
};
use std::sync::Arc;

/// How to open them, for whoever opens them again and again. None where no store is configured.
///
/// # Errors
///
/// What is wrong with the credentials.
pub(super) fn opener(config: &Config, environment: &[(String, String)]) -> Result<Option<Opener>, ConfigErrors> {
    let Some(targets) = config.storage.targets.clone() else { return Ok(None) };
    let credentials = config::credentials(environment, &targets)?;
    Ok(Some(Box::new(move || {
        let open = |opened: Result<Box<dyn ResultStore>, StorageError>| opened.map(Arc::from);
        let outputs = ("outputs", open(open_results(&targets.outputs, &credentials.outputs)));
        let adminlogs = targets.adminlogs.as_ref();
        let adminlogs = adminlogs.map(|target| ("adminlogs", open(open_results(target, &credentials.adminlogs))));
        std::iter::once(outputs).chain(adminlogs).collect()
    })))
}

/// The rules of expiry, as configured.
pub(super) fn policy(config: &Config) -> crate::sweep::Policy {
    let config::Expiry { schedule: _, max_per_run, confirm_after, clock_tolerance, orphans_after, keep_records } =
        config.expiry.clone();
    crate::sweep::Policy { max_per_run, confirm_after, clock_tolerance, orphans_after, keep_records }
}
