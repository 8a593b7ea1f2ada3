//! The nouns: what a workflow is, what its document asks for, what its record says.
//!
//! Everything here is a value. Nothing in this module knows a clock, a network, a file system, a cluster or the
//! environment; text goes in, values or faults come out. The record is documented in [`record`], the document in
//! [`document`].

pub mod asset;
pub mod code;
pub mod digest;
pub mod document;
pub mod duration;
pub mod facts;
pub mod job;
pub mod notice;
pub mod order;
pub mod quantity;
pub mod record;
pub mod report;
pub mod resources;
pub mod result_id;
pub mod stage;

pub use asset::AssetId;
pub use code::Code;
pub use document::Document;
pub use facts::Facts;
pub use job::JobId;
pub use order::Order;
pub use record::{Outcome, Record, State};
pub use resources::{Budget, Resources, Wish};
pub use result_id::ResultId;
pub use stage::{Phase, Stage};
