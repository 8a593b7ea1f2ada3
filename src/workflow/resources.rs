//! What an algorithm gets: what its document asks for, up to what the admin gives.

use serde::{Deserialize, Serialize};

/// What an algorithm gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Cores, in thousandths.
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// GPUs.
    pub gpus: u32,
}

/// What a document asks for; what it does not ask for is left to the admin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// Cores, in thousandths.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// GPUs.
    pub gpus: Option<u32>,
}

/// What all workflows in work may have together; none: no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Cores, in thousandths.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// GPUs.
    pub gpus: Option<u32>,
}

impl Wish {
    /// Less than `most` where less is asked for, never more; without a wish, all of it.
    pub fn within(self, most: Resources) -> Resources {
        Resources {
            cpu_millis: self.cpu_millis.unwrap_or(most.cpu_millis).min(most.cpu_millis),
            memory: self.memory.unwrap_or(most.memory).min(most.memory),
            gpus: self.gpus.unwrap_or(most.gpus).min(most.gpus),
        }
    }
}

impl Resources {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory: self.memory.saturating_add(other.memory),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    /// Of each the greater.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            memory: self.memory.max(other.memory),
            gpus: self.gpus.max(other.gpus),
        }
    }

    /// Of each the smaller.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.min(other.cpu_millis),
            memory: self.memory.min(other.memory),
            gpus: self.gpus.min(other.gpus),
        }
    }

    /// Whether it is no more than the budget has.
    pub fn fits(self, budget: Budget) -> bool {
        budget.cpu_millis.is_none_or(|most| self.cpu_millis <= most)
            && budget.memory.is_none_or(|most| self.memory <= most)
            && budget.gpus.is_none_or(|most| self.gpus <= most)
    }
}
