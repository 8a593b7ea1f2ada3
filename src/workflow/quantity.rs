//! Amounts as Kubernetes writes them: cores ("2", "0.5", "500m") and bytes ("1Gi", "1.5Gi", "500M").
//!
//! The syntax is a part of resource.Quantity (kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity):
//! no signs, no exponents. A size needs a unit, since a bare number is too easily meant as something else than bytes.

use std::{fmt, str::FromStr};

/// CPU cores, in thousandths, which is the finest that Kubernetes takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpus {
    millis: u64,
}

impl Cpus {
    /// Thousandths of a core.
    pub fn millis(self) -> u64 {
        self.millis
    }
}

/// The quantity for a pod's spec: `2` or `500m`.
impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis.is_multiple_of(1000) {
            write!(f, "{}", self.millis / 1000)
        } else {
            write!(f, "{}m", self.millis)
        }
    }
}

/// A text that is no amount; what it says is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidQuantity(&'static str);

impl FromStr for Cpus {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        const WRONG: InvalidQuantity = InvalidQuantity("not a number of cores: write \"2\", \"0.5\" or \"500m\"");
        let (number, unit) = Decimal::split(text.trim()).ok_or(WRONG)?;
        let times = match unit {
            "" => 1000,
            "m" => 1,
            _ => return Err(WRONG),
        };
        let scaled = number.digits * times;
        if !scaled.is_multiple_of(number.scale) {
            return Err(InvalidQuantity("cores come in thousandths at the finest: write \"1m\" or more"));
        }
        let millis = u64::try_from(scaled / number.scale).map_err(|_| WRONG)?;
        Ok(Self { millis })
    }
}

/// Reads a size as bytes, parts of a byte rounded up as Kubernetes does. `0` is the only size without a unit.
///
/// # Errors
/// When `text` is no size, has no unit, or is beyond 2^64 bytes.
pub fn bytes(text: &str) -> Result<u64, InvalidQuantity> {
    const WRONG: InvalidQuantity = InvalidQuantity("not a size: write \"512Mi\", \"1Gi\" or \"1.5Gi\"");
    let (number, unit) = Decimal::split(text.trim()).ok_or(WRONG)?;
    let times = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, times)) => u128::from(*times),
        None if unit.is_empty() && number.digits == 0 => 0,
        None if unit.is_empty() => return Err(InvalidQuantity("a size needs a unit: write \"512Mi\" or \"1Gi\"")),
        None if unit == "m" => return Err(InvalidQuantity("\"m\" is a thousandth of a byte: write \"M\" or \"Mi\"")),
        None => return Err(WRONG),
    };
    u64::try_from((number.digits * times).div_ceil(number.scale)).map_err(|_| InvalidQuantity("too large for a size"))
}

/// Writes a size with the largest unit that says it exactly: `1Gi`, `1536Mi`; bytes as a plain number.
pub fn size(bytes: u64) -> String {
    let exact =
        UNITS.iter().find(|(name, times)| name.ends_with('i') && bytes >= *times && bytes.is_multiple_of(*times));
    match exact {
        Some((name, times)) => format!("{}{name}", bytes / times),
        None => bytes.to_string(),
    }
}

/// Largest first.
const UNITS: [(&str, u64); 12] = [
    ("Ei", 1 << 60),
    ("E", 1_000_000_000_000_000_000),
    ("Pi", 1 << 50),
    ("P", 1_000_000_000_000_000),
    ("Ti", 1 << 40),
    ("T", 1_000_000_000_000),
    ("Gi", 1 << 30),
    ("G", 1_000_000_000),
    ("Mi", 1 << 20),
    ("M", 1_000_000),
    ("Ki", 1 << 10),
    ("k", 1_000),
];

/// `digits / scale`, where scale is a power of ten.
pub(crate) struct Decimal {
    pub(crate) digits: u128,
    pub(crate) scale: u128,
}

impl Decimal {
    /// More digits than any amount here needs, and few enough that no product with a unit overflows:
    /// 10^18 * 2^60 < 2^120.
    const MAX_DIGITS: usize = 18;

    /// Splits `1.5Gi` into its number and its unit. None if it does not start with a number such as `1`, `1.5` or `0.5`.
    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, part) = match number.split_once('.') {
            Some((_, "")) => return None,
            Some((whole, part)) => (whole, part),
            None => (number, ""),
        };
        if whole.is_empty() || whole.len() + part.len() > Self::MAX_DIGITS {
            return None;
        }
        let digits = format!("{whole}{part}").parse().ok()?;
        let scale = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
        Some((Self { digits, scale }, unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_as_kubernetes_writes_them() {
        for (text, millis, shown) in
            [("1", 1000, "1"), ("0.5", 500, "500m"), ("500m", 500, "500m"), ("1.250", 1250, "1250m")]
        {
            let cpus: Cpus = text.parse().unwrap();
            assert_eq!((cpus.millis(), cpus.to_string().as_str()), (millis, shown), "{text}");
        }
        for text in
            ["", "many", "-1", "1e3", "1.", ".5", "1.2.3", "0.0001", "0.5m", "1Gi", "1 2", "9999999999999999999"]
        {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_need_a_unit_and_round_up() {
        assert_eq!(bytes("1Gi").unwrap(), 1 << 30);
        assert_eq!(bytes(" 1.5Gi ").unwrap(), 3 << 29);
        assert_eq!(bytes("500M").unwrap(), 500_000_000);
        assert_eq!(bytes("0.1Ki").unwrap(), 103, "102.4");
        assert_eq!(bytes("0").unwrap(), 0);
        assert!(bytes("1073741824").unwrap_err().to_string().contains("unit"));
        assert!(bytes("100m").unwrap_err().to_string().contains("thousandth"));
        for text in ["", "Gi", "1GB", "1gi", "-1Gi", "16Ei", "1 Gi x", "999999999999999999Ei"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_written_with_the_largest_exact_unit() {
        for text in ["1Gi", "1536Mi", "20Gi", "1Ki", "15Ei"] {
            assert_eq!(size(bytes(text).unwrap()), text);
        }
        assert_eq!(size(1000), "1000");
        assert_eq!(size(0), "0");
    }
}
