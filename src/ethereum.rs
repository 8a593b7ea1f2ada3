//! The operator's key: an address that others know, and signatures that they can check against it.
//!
//! As in the old engine, and as wallets do it: EIP-191 `personal_sign` over secp256k1 with RFC 6979 nonces and low `s`, so
//! the same text has the same signature, 65 bytes `r ‖ s ‖ v` with `v` 27 or 28. Addresses are shown as in EIP-55.

use k256::ecdsa::{RecoveryId, Signature as Ecdsa, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha3::{Digest as _, Keccak256};
use std::{fmt, str::FromStr};

/// A private key. It is never shown.
#[derive(Clone)]
pub struct OperatorKey(SigningKey);

/// A text that is no key. It says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a private key is 64 hexadecimal digits, with or without 0x before them, other than zero")]
pub struct InvalidKey;

impl OperatorKey {
    /// The address that belongs to the key.
    pub fn address(&self) -> Address {
        Address::of(self.0.verifying_key())
    }

    /// Signs a text as wallets sign messages.
    pub fn sign(&self, message: &[u8]) -> Signature {
        self.sign_hash(message_hash(message))
    }

    /// Signs what is no message: 32 bytes that are taken as the hash.
    pub fn sign_hash(&self, hash: [u8; 32]) -> Signature {
        let (signature, recovery) = self.0.sign_prehash_recoverable(&hash);
        let mut bytes = [0; 65];
        for (to, from) in bytes.iter_mut().zip(signature.to_bytes().iter().chain([&(27 + recovery.to_byte())])) {
            *to = *from;
        }
        Signature(bytes)
    }
}

impl FromStr for OperatorKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let text = text.trim();
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| InvalidKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| InvalidKey)?;
        SigningKey::from_slice(&bytes).map(Self).map_err(|_| InvalidKey)
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorKey(of {})", self.address())
    }
}

/// Keccak-256, the hash of Ethereum (not the later SHA3-256).
pub fn keccak256(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

/// What a wallet signs for a message (EIP-191, version 0x45).
pub fn message_hash(message: &[u8]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    hash.update(b"\x19Ethereum Signed Message:\n");
    hash.update(message.len().to_string());
    hash.update(message);
    hash.finalize().into()
}

/// An account's address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address([u8; 20]);

impl Address {
    fn of(key: &VerifyingKey) -> Self {
        let point = key.to_sec1_point(false);
        let hash = keccak256(point.as_bytes().get(1..).unwrap_or_default());
        let mut address = [0; 20];
        for (to, from) in address.iter_mut().zip(hash.iter().skip(12)) {
            *to = *from;
        }
        Self(address)
    }
}

/// In mixed case, whose pattern is a checksum (EIP-55).
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let hash = hex::encode(keccak256(digits.as_bytes()));
        let cased = digits.chars().zip(hash.chars()).map(|(c, h)| if h >= '8' { c.to_ascii_uppercase() } else { c });
        write!(f, "0x{}", cased.collect::<String>())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address is 0x and 40 hexadecimal digits; in mixed case its pattern is a checksum (EIP-55), which must be right"
)]
pub struct InvalidAddress;

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let digits = text.strip_prefix("0x").ok_or(InvalidAddress)?;
        let bytes = hex::decode(digits).map_err(|_| InvalidAddress)?;
        let address = Self(bytes.try_into().map_err(|_| InvalidAddress)?);
        let one_case =
            !digits.contains(|c: char| c.is_ascii_uppercase()) || !digits.contains(|c: char| c.is_ascii_lowercase());
        if one_case || address.to_string() == text { Ok(address) } else { Err(InvalidAddress) }
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(value: Address) -> Self {
        value.to_string()
    }
}

/// `r ‖ s ‖ v`, shown as `0x` and 130 lower-case digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 65]);

impl Signature {
    /// Who signed this message; none if the signature is of nobody.
    pub fn signer(&self, message: &[u8]) -> Option<Address> {
        self.signer_of_hash(message_hash(message))
    }

    /// Who signed this hash; none if the signature is of nobody.
    pub fn signer_of_hash(&self, hash: [u8; 32]) -> Option<Address> {
        let (signature, v) = self.0.split_last_chunk::<1>()?;
        let signature = Ecdsa::from_slice(signature).ok()?;
        let [v] = *v;
        let recovery = RecoveryId::from_byte(v.checked_sub(27)?)?;
        let key = VerifyingKey::recover_from_prehash(&hash, &signature, recovery).ok()?;
        Some(Address::of(&key))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature is 130 hexadecimal digits, with or without 0x before them")]
pub struct InvalidSignature;

impl FromStr for Signature {
    type Err = InvalidSignature;

    fn from_str(text: &str) -> Result<Self, InvalidSignature> {
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| InvalidSignature)?;
        Ok(Self(bytes.try_into().map_err(|_| InvalidSignature)?))
    }
}

impl TryFrom<String> for Signature {
    type Error = InvalidSignature;

    fn try_from(text: String) -> Result<Self, InvalidSignature> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(value: Signature) -> Self {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors are Ocean Protocol's formats signed by an independent implementation (eth-account).
    fn key() -> OperatorKey {
        "11".repeat(32).parse().unwrap()
    }

    #[test]
    fn keys_have_the_addresses_that_wallets_give_them() {
        assert_eq!(key().address().to_string(), "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A");
        assert_eq!(key().address().to_string().to_lowercase().parse(), Ok(key().address()));
        assert_eq!("0x19e7E376E7C213B7E7e7e46cc70A5dD086DAff2A".parse::<Address>(), Err(InvalidAddress));
    }

    #[test]
    fn messages_are_signed_as_wallets_sign_them() {
        let message = br#""0123456789abcdef0123456789abcdef"["did:op:aa", "did:op:bb"]"fedcba9876543210fedcba9876543210""did:op:cc""#;
        let signature = key().sign(message);
        assert_eq!(
            signature.to_string(),
            "0x7ac04bba9db7380b41c7b06df48ef2e1efdc9967b443aa271901c8d1239f989d44dda105de3063621718292e5273484ffbc815d63d4e9e0621569f0ee775e4e21b"
        );
        assert_eq!(signature.signer(message), Some(key().address()));
        assert_ne!(signature.signer(b"another"), Some(key().address()));
    }

    #[test]
    fn a_hash_is_signed_as_a_message_of_its_own() {
        let signature = key().sign(&keccak256(b"did:op:aa1700000000000"));
        assert_eq!(
            signature.to_string(),
            "0xb765cf26909aed6f2ba1a29d5415fd2619c3656cfa67375eeed1bf9022da8ade1f1f8cac9b2f2f50c05056ddb319877d675d997703ebccef59a82f871ffdabd11c"
        );
    }

    #[test]
    fn what_is_no_key_is_refused_and_no_key_is_shown() {
        for text in ["", "0x", "zz", &"0".repeat(64), &"11".repeat(31), &"ff".repeat(32)] {
            assert_eq!(text.parse::<OperatorKey>().unwrap_err(), InvalidKey, "{text}");
        }
        assert!(!format!("{:?}", key()).contains("1111"));
    }
}
