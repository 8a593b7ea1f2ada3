//! What the admin does not let out, whatever the filter said: too much, of another kind, or copies of inputs.
//!
//! It is asked before anything is sent, about everything that the algorithm could have written: outputs and logs. One
//! violation keeps all of it inside. Publish then stores nothing and only reports it; the engine writes it into the record,
//! and the next attempt, told by the record, stores the admin's logs alone. So what is stored stays a function of record and
//! files, even where the answer was that the time was up.
//!
//! A file's name is a stranger's text and stays inside as well: the report counts files, and `leaks.log` (for the admin's eyes
//! only, see [`super::inside`]) names them.

mod copies;
mod rules;
mod source;
mod window;

pub use rules::{LeakRules, TypeRule};

use super::{
    fault::Fault,
    tree::Tree,
    walk::{self, Found, Walk},
};
use crate::storage::{
    Folder,
    manifest::{Input, Kind},
};
use source::{Stopped, Watch};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leak {
    /// One word.
    pub(super) reason: &'static str,
    /// For the submitter: what, and what to do; no name that an algorithm gave.
    pub(super) message: String,
    /// For the admin: the file's name, if it is about one.
    pub(super) name: Option<String>,
}

impl From<Leak> for Fault {
    fn from(Leak { reason, message, .. }: Leak) -> Self {
        Self::Leak { reason, message }
    }
}

/// The first rule that what `walk` found breaks; none if it may leave.
///
/// # Errors
///
/// Publishing fails, which says nothing about the rules.
pub(super) fn check(
    rules: &LeakRules,
    tree: &Tree,
    walk: &Walk,
    inputs: Option<&[Input]>,
    stop: &CancellationToken,
) -> Result<Option<Leak>, Fault> {
    let files: Vec<&Found> = walk.files.iter().filter(|found| found.folder != Folder::Adminlogs).collect();
    if let Some(leak) = counted(rules, &files, refused(walk)).or_else(|| typed(rules, &files)) {
        return Ok(Some(leak));
    }
    if !rules.refuse_copies || files.iter().all(|found| found.size == 0) {
        return Ok(None);
    }
    let Some(inputs) = inputs else { return Ok(Some(unknown("the list of inputs, which configure leaves,"))) };
    let inputs: Vec<Input> = inputs.iter().filter(|input| copies::is_input(input)).cloned().collect();
    let allowed = Duration::from_millis(rules.max_time_ms);
    let begun = Instant::now();
    let watch = Watch { tree, until: begun.checked_add(allowed).unwrap_or(begun), stop };
    match copies::find(&watch, &files, &inputs, rules.shortest_copy) {
        Ok(None) => Ok(None),
        Ok(Some(copy)) => {
            let what = format!("{} has all of {} in it", place(&files, copy.file), copy.input.path);
            Ok(Some(leak("InputCopied", what, "write what the algorithm makes of its inputs", Some(copy.file))))
        }
        Err(Stopped::Late) => {
            let what = format!("the search for copies of inputs was not done within {} s", allowed.as_secs_f64());
            Ok(Some(leak("CheckTimedOut", what, "write less, or ask the admin for more leaks.max_time", None)))
        }
        Err(Stopped::Unknown { path }) => Ok(Some(unknown(&path))),
        Err(Stopped::Fault(fault)) => Err(fault),
    }
}

/// What a walk that was given up for too much says, if there is a rule about that.
pub(super) fn uncounted(rules: &LeakRules, fault: &Fault) -> Option<Leak> {
    match fault {
        Fault::TooManyFiles { .. } if rules.max_files.is_some() => Some(too_many(rules, "more than can be published")),
        Fault::TooLarge { .. } if rules.max_bytes.is_some() => Some(too_much(rules, "more than can be published")),
        _ => None,
    }
}

/// How many of the algorithm's files, links and the like cannot be stored. They count, since the manifest names them.
fn refused(walk: &Walk) -> u64 {
    let of_admin = Path::new(Folder::Adminlogs.as_str());
    walk.refused.iter().filter(|refused| !Path::new(&refused.path).starts_with(of_admin)).count() as u64
}

fn counted(rules: &LeakRules, files: &[&Found], refused: u64) -> Option<Leak> {
    let (count, bytes) = (files.len() as u64 + refused, files.iter().map(|found| found.size).sum::<u64>());
    if rules.max_files.is_some_and(|most| count > most) {
        let with =
            if refused > 0 { format!("{count} (with {refused} that cannot be stored)") } else { count.to_string() };
        return Some(too_many(rules, &with));
    }
    rules.max_bytes.is_some_and(|most| bytes > most).then(|| too_much(rules, &bytes.to_string()))
}

fn too_many(rules: &LeakRules, count: &str) -> Leak {
    let most = rules.max_files.unwrap_or_default();
    let what = format!("outputs and logs have {count} files; {most} are allowed (leaks.max_files)");
    leak("TooManyFiles", what, "write fewer", None)
}

fn too_much(rules: &LeakRules, bytes: &str) -> Leak {
    let most = rules.max_bytes.unwrap_or_default();
    let what = format!("outputs and logs have {bytes} bytes; {most} are allowed (leaks.max_size)");
    leak("TooMuchOutput", what, "write less", None)
}

fn typed(rules: &LeakRules, files: &[&Found]) -> Option<Leak> {
    let ours = |found: &Found| Kind::of(found.folder, &found.relative) == Kind::AlgorithmLog;
    let wrong = files.iter().find(|found| !ours(found) && !rules.allows(found))?;
    let allowed: Vec<String> = rules.allowed_types.iter().map(ToString::to_string).collect();
    let what = format!("{} is none of {} (leaks.allowed_types)", place(files, wrong), allowed.join(", "));
    Some(leak("TypeNotAllowed", what, "name files after what they are, and write no others", Some(wrong)))
}

fn unknown(what: &str) -> Leak {
    let what = format!("{what} is missing or was changed, so nothing can be compared with it");
    leak("InputsUnknown", what, "tell the admin", None)
}

fn leak(reason: &'static str, what: String, advice: &str, file: Option<&Found>) -> Leak {
    let name = file.map(|found| walk::escape(found.path().as_ref()));
    Leak { reason, message: format!("{what}; {advice}"), name }
}

/// Which file, without its name.
fn place(files: &[&Found], file: &Found) -> String {
    let folder: Vec<_> = files.iter().filter(|found| found.folder == file.folder).collect();
    let number = folder.iter().position(|found| found.relative == file.relative).map_or(0, |index| index + 1);
    format!("file {number} of {} in {} (in the order of their names, byte by byte)", folder.len(), file.folder)
}
