//! The folders a stage works in, as the old engine's algorithm images know them.

use std::path::{Path, PathBuf};

/// The tree below `/data` in a pod, or below a folder of the workflow's own in the local mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Where every pod finds it.
    pub const IN_POD: &str = "/data";
    /// The folders below the root, in the order in which configure makes them.
    pub const FOLDERS: [&str; 8] =
        ["inputs", "transformations", "ddos", "outputs", "logs", "adminlogs", "bin", Self::FILTER];

    /// The folder that a filter's pod has for its `adminlogs`: so it sees none of the other stages' logs. Publish takes from
    /// it what belongs there.
    pub const FILTER: &str = "filter";

    /// The name of [`Layout::provisioned`].
    pub const PROVISIONED: &str = "inputs.json";

    /// The tree below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The tree of a round below a workflow's first one: each has one of its own, which those before it never mount.
    pub fn of_round(self, round: u32) -> Self {
        match Self::round_folder(round) {
            Some(folder) => Self { root: self.root.join(folder) },
            None => self,
        }
    }

    /// The folder below the volume's root that is a later round's root; none of the first.
    pub fn round_folder(round: u32) -> Option<String> {
        (round > 0).then(|| format!("stage-{round}"))
    }

    /// The root: the old engine's `VOLUME`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `inputs/<did>/<n>` and `inputs/algoCustomData.json`.
    pub fn inputs(&self) -> PathBuf {
        self.root.join("inputs")
    }

    /// `transformations/algorithm`.
    pub fn transformations(&self) -> PathBuf {
        self.root.join("transformations")
    }

    /// The algorithm itself: what `$ALGO` becomes.
    pub fn algorithm(&self) -> PathBuf {
        self.transformations().join("algorithm")
    }

    /// `ddos/<did>`.
    pub fn ddos(&self) -> PathBuf {
        self.root.join("ddos")
    }

    /// What the algorithm wants to hand out.
    pub fn outputs(&self) -> PathBuf {
        self.root.join("outputs")
    }

    /// `logs/algorithm.log`, and what the algorithm adds.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// `adminlogs/configure.log`, `filter.log`, `publish.log`: the algorithm never sees them.
    pub fn adminlogs(&self) -> PathBuf {
        self.root.join("adminlogs")
    }

    /// What configure put in place, for publish. It lies where no other pod mounts anything.
    pub fn provisioned(&self) -> PathBuf {
        self.root.join(Self::PROVISIONED)
    }

    /// A copy of this program, with which the algorithm's pod starts.
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }
}
