//! The status codes and texts of the old engine, which clients compare as they are.

use serde::{Deserialize, Serialize};

/// A status code. Its text is fixed; both stand in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum Code {
    /// 1: registered, not yet claimed.
    WarmingUp,
    /// 20: claimed; inputs and algorithm are being fetched.
    ConfiguringVolumes,
    /// 30: inputs and algorithm are there. Passed through within one write, so it is seen only in logs.
    ProvisioningSuccess,
    /// 31: an input could not be fetched, or the document is unusable.
    DataProvisioningFailed,
    /// 32: the algorithm could not be fetched, or its section of the document is unusable.
    AlgorithmProvisioningFailed,
    /// 40: the algorithm runs.
    RunningAlgorithm,
    /// 50: the filter runs.
    FilteringResults,
    /// 60: outputs and logs are being stored.
    PublishingResults,
    /// 70: the end, whatever the outcome.
    JobFinished,
}

impl Code {
    /// The number that clients compare.
    pub fn number(self) -> u16 {
        match self {
            Self::WarmingUp => 1,
            Self::ConfiguringVolumes => 20,
            Self::ProvisioningSuccess => 30,
            Self::DataProvisioningFailed => 31,
            Self::AlgorithmProvisioningFailed => 32,
            Self::RunningAlgorithm => 40,
            Self::FilteringResults => 50,
            Self::PublishingResults => 60,
            Self::JobFinished => 70,
        }
    }

    /// The text that clients show, to the byte (40 has always ended in a space).
    pub fn text(self) -> &'static str {
        match self {
            Self::WarmingUp => "Warming up",
            Self::ConfiguringVolumes => "Configuring volumes",
            Self::ProvisioningSuccess => "Provisioning success",
            Self::DataProvisioningFailed => "Data provisioning failed",
            Self::AlgorithmProvisioningFailed => "Algorithm provisioning failed",
            Self::RunningAlgorithm => "Running algorithm ",
            Self::FilteringResults => "Filtering results",
            Self::PublishingResults => "Publishing results",
            Self::JobFinished => "Job finished",
        }
    }

    /// Whether this code, once written, stays to the end: the old engine never overwrote a failed provisioning.
    pub fn sticks(self) -> bool {
        matches!(self, Self::DataProvisioningFailed | Self::AlgorithmProvisioningFailed)
    }
}

/// A number that is none of the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no status code")]
pub struct UnknownCode(u16);

impl TryFrom<u16> for Code {
    type Error = UnknownCode;

    fn try_from(number: u16) -> Result<Self, UnknownCode> {
        const ALL: [Code; 9] = [
            Code::WarmingUp,
            Code::ConfiguringVolumes,
            Code::ProvisioningSuccess,
            Code::DataProvisioningFailed,
            Code::AlgorithmProvisioningFailed,
            Code::RunningAlgorithm,
            Code::FilteringResults,
            Code::PublishingResults,
            Code::JobFinished,
        ];
        ALL.into_iter().find(|code| code.number() == number).ok_or(UnknownCode(number))
    }
}

impl From<Code> for u16 {
    fn from(code: Code) -> u16 {
        code.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_keeps_its_trailing_space() {
        assert_eq!(Code::try_from(40).unwrap().text(), "Running algorithm ");
        assert!(Code::try_from(10).is_err(), "10 stood in the old table, and nobody ever wrote it");
    }
}
