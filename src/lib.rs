//! operator-engine.
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod exit;
pub mod http;
pub mod plan;
pub mod pod;
pub mod sandbox;
pub mod storage;
pub mod supervisor;
pub mod telemetry;
pub mod workflow;
