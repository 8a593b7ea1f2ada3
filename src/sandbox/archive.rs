//! The sandbox as an [`Archive`].

use super::Sandbox;
use crate::{
    cluster::{
        Cluster,
        archive::{Archive, Page, Turn, memory_too_long},
    },
    plan::{Failure, action::Write, seen::WorkflowSeen},
};
use async_trait::async_trait;
use jiff::Timestamp;
use std::ops::Bound;

#[async_trait]
impl Archive for Sandbox {
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure> {
        let store = self.store();
        let rest = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let rest = store.workflows.range::<str, _>(rest);
        let mut rest = rest.map(|(_, workflow)| &workflow.seen).filter(|seen| seen.state.is_some()).peekable();
        let mut workflows = Vec::new();
        while let Some(seen) = rest.next_if(|_| workflows.len() < usize::try_from(limit).unwrap_or(usize::MAX).max(1)) {
            workflows.push(seen.clone());
        }
        let next = rest.peek().and_then(|_| workflows.last()).map(|last| last.name.clone());
        Ok(Page { workflows, next })
    }

    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.read_workflow(name).await
    }

    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.write_workflow(name, write).await
    }

    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure> {
        self.delete_if(&seen.name, |found| found.uid == seen.uid && found.version == seen.version)
    }

    async fn now(&self) -> Result<Option<Timestamp>, Failure> {
        Ok(Some(self.clock.now().wall))
    }

    async fn turn(&self) -> Result<Turn, Failure> {
        let mut store = self.store();
        if let Some(turn) = &store.turn {
            return Ok(turn.clone());
        }
        let (uid, version) = (store.next_uid(), store.next_version());
        let turn = Turn { uid, version, holder: String::new(), memory: String::new() };
        store.turn = Some(turn.clone());
        Ok(turn)
    }

    async fn set_turn(&self, turn: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure> {
        if let Some(refused) = memory_too_long(memory) {
            return Err(refused);
        }
        let mut store = self.store();
        let current = store.turn.clone().ok_or(Failure::NotFound)?;
        if current.uid != turn.uid || current.version != turn.version {
            return Err(Failure::Conflict);
        }
        let changed =
            Turn { version: store.next_version(), holder: holder.to_owned(), memory: memory.to_owned(), ..current };
        store.turn = Some(changed.clone());
        Ok(changed)
    }
}
