//! What a manifest says besides the files: the facts, what the algorithm was given, and the operator's signature.

use super::tree::Tree;
use crate::{
    ethereum::OperatorKey,
    pod::{layout::Layout, provisioned},
    storage::manifest::{
        File, Input, Manifest, Part, Refused, VERSION,
        signed::{self, Unsigned},
    },
    workflow::{Facts, ResultId},
};
use std::{fs::Metadata, path::Path};

/// Everything but the files.
#[derive(Debug, Clone)]
pub(super) struct Cover {
    /// The name of what is stored.
    pub(super) result: ResultId,
    pub(super) facts: Facts,
    /// None: it is not known.
    pub(super) inputs: Option<Vec<Input>>,
    /// None: the manifest is not signed.
    pub(super) key: Option<OperatorKey>,
}

impl Cover {
    pub(super) fn manifest(&self, part: Option<Part>, files: Vec<File>, refused: Vec<Refused>) -> Manifest {
        Manifest {
            version: VERSION,
            facts: self.facts.clone(),
            part,
            partial: Manifest::is_partial(self.facts.outcome),
            inputs: self.inputs.clone(),
            files,
            refused,
            signer: None,
            signature: None,
        }
    }

    /// The same with its signature, if there is a key.
    pub(super) fn signed(&self, mut manifest: Manifest) -> Manifest {
        if let Some(key) = &self.key {
            manifest.sign(key);
        }
        manifest
    }

    /// Whether a stored manifest is signed as this one would be.
    pub(super) fn is_signed_alike(&self, manifest: &[u8]) -> bool {
        signed::signer(manifest) == self.key.as_ref().map(OperatorKey::address).ok_or(Unsigned::None)
    }

    /// What is missing of it, for people.
    pub(super) fn gaps(&self) -> impl Iterator<Item = &'static str> {
        let inputs = "what the algorithm was given is not known: configure left no list";
        let key = "the manifest is not signed: there is no OPERATOR_PRIVATE_KEY";
        [(self.inputs.is_none(), inputs), (self.key.is_none(), key)]
            .into_iter()
            .filter_map(|(gap, text)| gap.then_some(text))
    }
}

/// What configure said that it put in place. The file is its own, but this runs where others may write as well (in the local
/// mode), so it is opened like any other.
pub(super) fn inputs(tree: &Tree) -> Option<Vec<Input>> {
    let file = tree.file(Path::new(Layout::PROVISIONED)).ok()?;
    file.metadata().ok().filter(Metadata::is_file)?;
    provisioned::read(file)
}
