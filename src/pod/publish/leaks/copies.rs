//! Whether a file has all bytes of an input in it, wherever.
//!
//! ```text
//!   as long as an input, with its digest?  ── yes ──────────────────────────────────────────────▶ a copy
//!   one pass: where do first bytes of inputs (HEAD of them) stand?   nowhere: done, the usual case
//!        └─ for each length of such inputs, a window as long as they are, moved from the first such place to the last:
//!             its hash is that of an input, and the bytes are the same ────────────────────────▶ a copy
//! ```
//!
//! Exact: no copy is missed, and none is claimed that is not one, since a hit is compared byte by byte. Memory does not grow
//! with files: a window has a cursor at each end. Time grows with a file's length, times the number of lengths of inputs
//! whose beginnings are in it. Chunks by content would need less of it, but find only what is as long as a few chunks, and
//! what lies between chunks would have to be compared anyhow.

use super::{
    super::walk::Found,
    source::{Source, Stopped, Watch},
    window::{Point, Window},
};
use crate::{
    storage::manifest::Input,
    workflow::digest::{Hasher, Sha256},
};
use std::{collections::BTreeMap, path::Path};

/// How many first bytes of an input are looked for at first. More would be found by chance less often; most formats'
/// headers are shorter.
const HEAD: u64 = 4096;

/// After how many notes it is asked whether to go on: a millisecond's.
const NOTES: usize = 1 << 14;

/// The copy that was found.
#[derive(Debug)]
pub(super) struct Copied<'a> {
    pub(super) file: &'a Found,
    pub(super) input: &'a Input,
}

/// Looks for a copy of one of `inputs` in `files`. Inputs shorter than `shortest` count as whole files only, empty ones never.
pub(super) fn find<'a>(
    watch: &Watch<'_>,
    files: &[&'a Found],
    inputs: &'a [Input],
    shortest: u64,
) -> Result<Option<Copied<'a>>, Stopped> {
    let mut by_size: BTreeMap<u64, BTreeMap<Sha256, &'a Input>> = BTreeMap::new();
    for input in inputs.iter().filter(|input| input.size > 0) {
        by_size.entry(input.size).or_default().entry(input.sha256).or_insert(input);
    }
    for &file in files {
        let Some(alike) = by_size.get(&file.size) else { continue };
        let digest = watch.open(&file.path(), file.size)?.digest(watch)?;
        if let Some(input) = alike.get(&digest) {
            return Ok(Some(Copied { file, input }));
        }
    }
    let largest = files.iter().map(|file| file.size).max().unwrap_or_default();
    let long =
        by_size.range(shortest.max(1)..largest.max(shortest.max(1))).flat_map(|(_, alike)| alike.values().copied());
    let wanted = Wanted::read(watch, long.collect(), shortest.clamp(1, HEAD))?;
    for &file in files {
        if let Some(input) = wanted.find_in(watch, file)? {
            return Ok(Some(Copied { file, input }));
        }
    }
    Ok(None)
}

/// The inputs that are looked for inside of files.
struct Wanted<'a> {
    point: Point,
    head: u64,
    /// By the hash of their first bytes.
    heads: Hashes<u64>,
    /// By their length, and then by their hash.
    wholes: BTreeMap<u64, Hashes<&'a Input>>,
}

impl<'a> Wanted<'a> {
    fn read(watch: &Watch<'_>, inputs: Vec<&'a Input>, head: u64) -> Result<Self, Stopped> {
        let mut wanted = Self { point: Point::random(), head, heads: Hashes::default(), wholes: BTreeMap::new() };
        for input in inputs {
            let (mut first, mut whole) = (Window::new(wanted.point, head), Window::new(wanted.point, input.size));
            let (mut left, mut hasher) = (head, Hasher::default());
            let source = watch.input(input)?;
            source.read(watch, 0, input.size, |bytes| {
                let beginning = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
                first.fill(beginning);
                left -= beginning.len() as u64;
                whole.fill(bytes);
                hasher.update(bytes);
            })?;
            if hasher.finish() != input.sha256 {
                return Err(Stopped::Unknown { path: input.path.clone() });
            }
            if !wanted.heads.of(first.hash()).contains(&input.size) {
                wanted.heads.add(first.hash(), input.size);
            }
            wanted.wholes.entry(input.size).or_default().add(whole.hash(), input);
        }
        Ok(wanted)
    }

    fn find_in(&self, watch: &Watch<'_>, file: &Found) -> Result<Option<&'a Input>, Stopped> {
        let Some((&least, _)) = self.wholes.first_key_value() else { return Ok(None) };
        if file.size < least {
            return Ok(None);
        }
        let source = watch.open(&file.path(), file.size)?;
        for (len, places) in self.beginnings(watch, &source)? {
            let Some(wholes) = self.wholes.get(&len) else { continue };
            let hits = |at: u64, hash: u64| -> Result<Option<&'a Input>, Stopped> {
                for input in wholes.of(hash) {
                    if source.has(watch, at, &watch.input(input)?)? {
                        return Ok(Some(*input));
                    }
                }
                Ok(None)
            };
            if let Some(input) = self.roll(watch, &source, len, places, &wholes.marks, hits)? {
                return Ok(Some(input));
            }
        }
        Ok(None)
    }

    /// For each length of inputs that may be in the file: the first and the last place where one may begin.
    fn beginnings(&self, watch: &Watch<'_>, source: &Source) -> Result<BTreeMap<u64, (u64, u64)>, Stopped> {
        let mut found: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        let mut noted = 0;
        let note = |at: u64, hash: u64| -> Result<Option<()>, Stopped> {
            let lens = self.heads.of(hash);
            noted += lens.len();
            // A block may be all beginnings, each of a hundred thousand inputs.
            if noted >= NOTES {
                watch.go_on()?;
                noted = 0;
            }
            for &len in lens {
                if at + len <= source.len {
                    found.entry(len).or_insert((at, at)).1 = at;
                }
            }
            Ok(None)
        };
        let last = source.len.saturating_sub(self.head);
        self.roll(watch, source, self.head, (0, last), &self.heads.marks, note)?;
        Ok(found)
    }

    /// Moves a window of `len` bytes over the file, from one place to another, and asks `hit` about each hash that may be
    /// wanted, until it says something.
    fn roll<T>(
        &self,
        watch: &Watch<'_>,
        source: &Source,
        len: u64,
        (first, last): (u64, u64),
        marks: &Marks,
        mut hit: impl FnMut(u64, u64) -> Result<Option<T>, Stopped>,
    ) -> Result<Option<T>, Stopped> {
        let mut window = Window::new(self.point, len);
        source.read(watch, first, len, |bytes| window.fill(bytes))?;
        if let Some(said) = hit(first, window.hash())? {
            return Ok(Some(said));
        }
        let mut at = first;
        source.read_both(watch, first, len, last - first, |entering, leaving| {
            for (&entering, &leaving) in entering.iter().zip(leaving) {
                window.roll(entering, leaving);
                at += 1;
                if marks.may_have(window.hash())
                    && let Some(said) = hit(at, window.hash())?
                {
                    return Ok(Some(said));
                }
            }
            Ok(None)
        })
    }
}

/// Things by their hash, with a quick answer for the hashes of nothing.
struct Hashes<T> {
    marks: Marks,
    by_hash: BTreeMap<u64, Vec<T>>,
}

impl<T> Hashes<T> {
    fn add(&mut self, hash: u64, thing: T) {
        self.marks.set(hash);
        self.by_hash.entry(hash).or_default().push(thing);
    }

    fn of(&self, hash: u64) -> &[T] {
        self.by_hash.get(&hash).map(Vec::as_slice).unwrap_or_default()
    }
}

impl<T> Default for Hashes<T> {
    fn default() -> Self {
        Self { marks: Marks(vec![0; 1 << 10].into()), by_hash: BTreeMap::new() }
    }
}

/// 65,536 bits, in a processor's first cache: of a thousand inputs they stop all but 1.5 % of the other hashes.
struct Marks(Box<[u64]>);

impl Marks {
    fn set(&mut self, hash: u64) {
        if let Some(word) = self.0.get_mut(Self::word(hash)) {
            *word |= 1 << (hash & 63);
        }
    }

    fn may_have(&self, hash: u64) -> bool {
        self.0.get(Self::word(hash)).is_some_and(|word| word >> (hash & 63) & 1 == 1)
    }

    fn word(hash: u64) -> usize {
        usize::try_from((hash >> 6) & 0x3ff).unwrap_or_default()
    }
}

/// Whether the file may not get out: a data set's. What came with the algorithm may, and so may what an earlier stage put out:
/// the consumer has that.
pub(super) fn is_input(Input { path, stage, .. }: &Input) -> bool {
    stage.is_none() && Path::new(path).starts_with("inputs") && path != "inputs/algoCustomData.json"
}
