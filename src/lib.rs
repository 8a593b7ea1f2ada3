//! operator-engine.
pub mod cli;
pub mod config;
pub mod exit;
pub mod pod;
pub mod storage;
pub mod workflow;
