//! Why a command did not do what it was asked to: told to people on standard error, and to programs in one shape.
//!
//! ```json
//! {"error": "the document has 1 fault", "exit": 14, "outcome": "refused", "faults": [{"path": "stages", "message": "…"}]}
//! ```
//!
//! `error` and `exit` always, `outcome` if it is a workflow's, `faults` if a document has some.

use super::{
    chain,
    output::{self, Output},
};
use crate::{
    cluster::kube::ConnectError,
    config::ConfigErrors,
    exit::Exit,
    plan::Failure,
    workflow::{Outcome, document::Fault, report::clip},
};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use std::io::{self, Write};

/// The most bytes of one thing that a stranger wrote.
const SHOWN: usize = 500;

/// Why a command ends without what it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refusal {
    /// What is wrong and what to do.
    #[serde(rename = "error")]
    pub message: String,
    /// How the program ends.
    #[serde(serialize_with = "number")]
    pub exit: Exit,
    /// The workflow's outcome, if that is why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// All faults of a document that cannot be used.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "with_paths")]
    pub faults: Vec<Fault>,
}

impl Refusal {
    /// A refusal that is one sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let outcome = (exit == Exit::WorkflowRefused).then_some(Outcome::Refused);
        Self { message: message.into(), exit, outcome, faults: Vec::new() }
    }

    /// A document that cannot be used; `name` is its file.
    pub fn of_faults(name: &str, faults: Vec<Fault>) -> Self {
        let reasons = if faults.len() == 1 { String::new() } else { format!(", for {} reasons", faults.len()) };
        Self { faults, ..Self::new(Exit::WorkflowRefused, format!("{name}: the workflow is refused{reasons}")) }
    }

    /// Tells it, and answers how the program ends.
    pub fn tell(&self, form: Output, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
        let told =
            self.for_people(err).and_then(|()| if form == Output::Json { output::json(out, self) } else { Ok(()) });
        told.map_or(Exit::Failure, |()| self.exit)
    }

    fn for_people(&self, err: &mut dyn Write) -> io::Result<()> {
        writeln!(err, "error: {}{}", self.message, if self.faults.is_empty() { "" } else { ":" })?;
        self.faults.iter().try_for_each(|fault| writeln!(err, "  {}", clip(&fault.to_string(), SHOWN)))
    }
}

impl From<ConfigErrors> for Refusal {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(Exit::Configuration, errors.to_string())
    }
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self::new(Exit::Failure, format!("the cluster cannot be reached: {}", chain(&error)))
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let message = match &failure {
            Failure::Denied { message } => format!(
                "the cluster does not allow it: {message}; ask its admin for the rights in manifests/examples/submitter/role.yaml"
            ),
            Failure::NotDone { error, .. } => format!("the cluster did not do it: {error}"),
            Failure::Conflict => "the workflow changed meanwhile; try again".to_owned(),
            other => format!("the cluster refuses it: {other}"),
        };
        Self::new(if failure == Failure::NotFound { Exit::NotFound } else { Exit::Failure }, message)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failure, format!("the answer cannot be written: {error}"))
    }
}

/// Faults as programs get them everywhere.
pub(super) fn with_paths<S: Serializer>(faults: &[Fault], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(faults.len()))?;
    for Fault { path, message } in faults {
        list.serialize_element(&serde_json::json!({"path": path, "message": message}))?;
    }
    list.end()
}

fn number<S: Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}
