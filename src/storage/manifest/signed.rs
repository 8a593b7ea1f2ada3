//! The operator's signature under a manifest.
//!
//! What is signed is the [canonical text](super::canonical) of the whole manifest but its member `signature`, as wallets sign
//! messages (EIP-191). So `signer` is signed as well, and so is what a later version may add. To check it elsewhere:
//!
//! ```python
//! manifest = json.load(open("manifest.json"))
//! signature = manifest.pop("signature")
//! text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
//! assert Account.recover_message(encode_defunct(text=text), signature=signature) == manifest["signer"]
//! ```

use super::{MAX_LEN, Manifest, canonical};
use crate::{
    ethereum::{Address, OperatorKey, Signature},
    workflow::document::bounded::{self, Limits},
};
use serde_json::Value;

/// A manifest of 64 MiB has some 100,000 files of seven members each.
const LIMITS: Limits = Limits { bytes: MAX_LEN as usize, depth: 16, nodes: 4_000_000 };

/// Why a manifest's signature proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It has none.
    #[error("the manifest is not signed")]
    None,
    /// It cannot be read in one way only.
    #[error("what is signed cannot be told: {0}")]
    Ambiguous(String),
    /// The signature is of nobody, or of another text.
    #[error("the signature is not that of its signer over this manifest")]
    Wrong,
}

impl Manifest {
    /// Signs it, in place of an older signature.
    pub fn sign(&mut self, key: &OperatorKey) {
        self.signature = None;
        self.signer = Some(key.address());
        // It has texts and small integers only, which always have a canonical text.
        let text = serde_json::to_value(&*self).ok().and_then(|value| canonical::text(&value));
        self.signature = text.map(|text| key.sign(text.as_bytes()));
    }
}

/// Who signed the manifest that these bytes are.
///
/// # Errors
///
/// See [`Unsigned`].
pub fn signer(bytes: &[u8]) -> Result<Address, Unsigned> {
    let mut manifest = read(bytes).map_err(Unsigned::Ambiguous)?;
    let Value::Object(members) = &mut manifest else { return Err(Unsigned::None) };
    let text_of = |value: &Value| value.as_str().map(str::to_owned);
    let signature = match members.shift_remove("signature") {
        None | Some(Value::Null) => return Err(Unsigned::None),
        Some(signature) => text_of(&signature).and_then(|text| text.parse::<Signature>().ok()),
    };
    let named = members.get("signer").and_then(text_of).and_then(|text| text.parse::<Address>().ok());
    let Some(text) = canonical::text(&manifest) else {
        return Err(Unsigned::Ambiguous("a number in it has no canonical form".to_owned()));
    };
    let signed = signature.and_then(|signature| signature.signer(text.as_bytes()));
    named.filter(|named| signed == Some(*named)).ok_or(Unsigned::Wrong)
}

/// JSON in which no member stands twice: of two, readers differ about which one counts.
fn read(bytes: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if !bounded::is_json(text) {
        return Err("it is no JSON".to_owned());
    }
    bounded::tree(text, LIMITS).map_err(|faults| faults.first().map(ToString::to_string).unwrap_or_default())
}
