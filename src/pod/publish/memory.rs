//! Memory for what is on its way, bounded over all files, used again and never given back in between: an allocator that
//! many threads ask for megabytes keeps more than it was asked for.

use super::fault::Fault;
use bytes::Bytes;
use object_store::PutPayload;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of a block. A part of 8 MiB takes eight.
const BLOCK: usize = 1024 * 1024;
/// How many there are: 32 MiB. Two parts of 8 MiB on each of two connections would do for a link of 10 Gbit/s; and there is
/// room below 64 MiB for everything else.
const BLOCKS: usize = 32;
/// What is smaller is not worth a block: of so many as are on their way at once (32) it makes 2 MiB. A store in memory keeps
/// what it is given and takes no larger parts, so it keeps no block.
const SMALL: usize = 64 * 1024;

/// All of the memory. Clones share it.
#[derive(Clone)]
pub(super) struct Memory(Arc<Blocks>);

struct Blocks {
    room: Arc<Semaphore>,
    free: Mutex<Vec<Box<[u8]>>>,
}

/// A part of the memory that was waited for.
pub(super) struct Room {
    memory: Memory,
    permit: OwnedSemaphorePermit,
}

/// A block with bytes in it. It is free again when the last who reads it is done.
struct Lent {
    block: Box<[u8]>,
    len: usize,
    memory: Memory,
    /// None for what was above the bound.
    permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Blocks { room: Arc::new(Semaphore::new(BLOCKS)), free: Mutex::default() }))
    }

    /// Waits for room for `len` bytes, in turn with others. Nobody waits for more while having some, so all get theirs. Who
    /// needs more than there is gets it when all of the memory is free.
    pub(super) async fn room(&self, len: u64) -> Result<Room, Fault> {
        let blocks = if len <= SMALL as u64 { 0 } else { len.div_ceil(BLOCK as u64).min(BLOCKS as u64) };
        let permits = u32::try_from(blocks).unwrap_or_default();
        // It is never closed.
        let permit = self.0.room.clone().acquire_many_owned(permits).await.map_err(|_| Fault::Interrupted)?;
        Ok(Room { memory: self.clone(), permit })
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Box<[u8]>>> {
        self.0.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// `len` bytes, no more than the room is for, as `read` fills them in.
    pub(super) fn fill(
        mut self,
        len: u64,
        mut read: impl FnMut(&mut [u8]) -> Result<(), Fault>,
    ) -> Result<PutPayload, Fault> {
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        if left <= SMALL {
            let mut bytes = vec![0; left];
            read(&mut bytes)?;
            return Ok(bytes.into());
        }
        let mut blocks = Vec::with_capacity(left.div_ceil(BLOCK));
        while left > 0 {
            let len = left.min(BLOCK);
            let mut lent = self.lend(len);
            read(lent.block.get_mut(..len).unwrap_or_default())?;
            blocks.push(Bytes::from_owner(lent));
            left -= len;
        }
        Ok(PutPayload::from_iter(blocks))
    }

    fn lend(&mut self, len: usize) -> Lent {
        let free = self.memory.free().pop();
        let block = free.unwrap_or_else(|| vec![0; BLOCK].into());
        Lent { block, len, memory: self.memory.clone(), permit: self.permit.split(1) }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.block.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // First the block, then the right to it: who gets that finds the block.
        if self.permit.is_some() {
            self.memory.free().push(std::mem::take(&mut self.block));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(room: Room, len: u64) -> PutPayload {
        room.fill(len, |block| {
            block.fill(7);
            Ok(())
        })
        .unwrap()
    }

    #[tokio::test]
    async fn blocks_are_used_again_and_never_more_than_there_are() {
        let memory = Memory::new();
        for len in [1, SMALL, SMALL + 1, BLOCK, BLOCK + 1, BLOCKS * BLOCK] {
            for _ in 0..3 {
                let len = len as u64;
                let payload = fill(memory.room(len).await.unwrap(), len);
                assert_eq!(payload.content_length() as u64, len);
                assert!(payload.iter().flatten().all(|byte| *byte == 7));
            }
        }
        assert_eq!(memory.free().len(), BLOCKS);
        assert_eq!(memory.0.room.available_permits(), BLOCKS);
    }

    #[tokio::test]
    async fn who_needs_what_another_has_waits_until_its_last_reader_is_done() {
        let memory = Memory::new();
        let payload = fill(memory.room((BLOCKS * BLOCK) as u64).await.unwrap(), (BLOCKS * BLOCK) as u64);
        let reader = payload.iter().next().unwrap().clone();
        let mut waiting = asked(memory.room(SMALL as u64 + 1));
        assert!(waiting().is_none());
        drop(payload);
        assert!(waiting().is_some(), "the other blocks are free");
        let mut all = asked(memory.room((BLOCKS * BLOCK) as u64));
        assert!(all().is_none());
        drop(reader);
        assert!(all().is_some());
    }

    #[tokio::test]
    async fn more_than_there_is_comes_when_all_is_free_and_goes_afterwards() {
        let memory = Memory::new();
        let len = (2 * BLOCKS * BLOCK) as u64;
        let payload = fill(memory.room(len).await.unwrap(), len);
        assert_eq!(payload.content_length() as u64, len);
        assert_eq!(memory.0.room.available_permits(), 0);
        drop(payload);
        assert_eq!((memory.0.room.available_permits(), memory.free().len()), (BLOCKS, BLOCKS));
    }

    /// Asks a future whether it is done, once for each call.
    fn asked<T>(future: impl Future<Output = T>) -> impl FnMut() -> Option<T> {
        let mut future = Box::pin(future);
        move || futures::FutureExt::now_or_never(&mut future)
    }
}
