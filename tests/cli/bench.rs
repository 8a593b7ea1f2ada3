//! A folder in which the program is started, and what came of it.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_operator-engine");
/// How long anything may take before a test is given up: far more than it needs on a slow machine.
const LIMIT: Duration = Duration::from_secs(40);
/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// A folder of a test's own. Dropped, it fails the test if a process is left that was started from it: everything that
/// runs for a workflow has the folder's name in its arguments or its environment.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("operator-engine-cli-").tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with its folders.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Copies the files of an example into a folder.
    pub(crate) fn copy(&self, example: &str, folder: &str) -> &Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples").join(example);
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            self.write(&format!("{folder}/{}", entry.file_name().to_str().unwrap()), fs::read(entry.path()).unwrap());
        }
        self
    }

    /// Runs a shell script as the algorithm, by `local -o json` into `out`.
    pub(crate) fn shell(&self, script: &str) -> Ended {
        self.local(&document("sh $ALGO", script), &["-o", "json"])
    }

    /// Runs `document` by `local` into `out`.
    pub(crate) fn local(&self, document: &Value, arguments: &[&str]) -> Ended {
        self.start(document, arguments).end()
    }

    /// Starts what [`Bench::local`] runs.
    pub(crate) fn start(&self, document: &Value, arguments: &[&str]) -> Running {
        // Written once: another run may be reading it.
        let (path, text) = (self.path("job.json"), document.to_string());
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(path, text).unwrap();
        }
        let line = [&["local", "job.json", "--out", "out"], arguments].concat();
        Running::start(self.program(&line), self)
    }

    /// Runs the program in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.end(self.program(arguments))
    }

    /// Runs a command to its end.
    pub(crate) fn end(&self, command: Command) -> Ended {
        Running::start(command, self).end()
    }

    /// The program in the folder, with nothing of this process's environment but what it needs.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(PROGRAM);
        command.args(arguments);
        command
    }

    /// Any command in the folder, with the same environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.dir.path());
        command.current_dir(self.dir.path());
        command
    }

    /// The processes that were started for what is in this folder and have not ended.
    pub(crate) fn processes(&self) -> Vec<String> {
        let name = self.dir.path().as_os_str().as_encoded_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
            let (line, environment) = (read("cmdline"), read("environ"));
            let says = |bytes: &[u8]| bytes.windows(name.len()).any(|window| window == name);
            if pid != std::process::id() && (says(&line) || says(&environment)) {
                found.push(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    /// Waits until no process is left.
    pub(crate) fn quiet(&self, within: Duration) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + within;
        loop {
            match self.processes() {
                none if none.is_empty() => return Ok(()),
                left if Instant::now() >= deadline => return Err(left),
                _ => sleep(PAUSE),
            }
        }
    }

    /// The names in a folder, sorted; none if it is not there.
    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Err(left) = self.quiet(Duration::from_secs(2)) {
            panic!("processes are left: {left:#?}");
        }
    }
}

/// A document with a script in it.
pub(crate) fn document(entrypoint: &str, script: &str) -> Value {
    let container = json!({"image": "busybox", "tag": "1.37", "entrypoint": entrypoint});
    json!({"stages": [{"algorithm": {"rawcode": script, "container": container}}]})
}

/// A started program. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    begun: Instant,
}

impl Running {
    pub(crate) fn start(mut command: Command, bench: &Bench) -> Self {
        // Of several in one folder each has its own.
        let unique = tempfile::Builder::new().prefix("said-").tempdir_in(bench.dir.path()).unwrap().keep();
        let (out, err) = (unique.join("out"), unique.join("err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, out, err, begun: Instant::now() }
    }

    /// Waits until standard error has this in it.
    pub(crate) fn until(&mut self, text: &str) -> &mut Self {
        while !read(&self.err).contains(text) {
            assert!(
                self.begun.elapsed() < LIMIT && self.child.try_wait().unwrap().is_none(),
                "{text:?} was not said: {}\n{}",
                read(&self.err),
                read(&self.out)
            );
            sleep(PAUSE);
        }
        self
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        self
    }

    /// Sends a signal to the process group that it leads.
    pub(crate) fn signal_group(&mut self, signal: Signal) -> &mut Self {
        nix::sys::signal::killpg(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        self
    }

    pub(crate) fn end(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(self.begun.elapsed() < LIMIT, "it does not end: {}", read(&self.err));
            sleep(PAUSE);
        };
        Ended {
            code: status.code(),
            signal: status.signal(),
            out: read(&self.out),
            err: read(&self.err),
            took: self.begun.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

/// How it was.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Ended {
    /// The same, if it ended with this exit code and nothing panicked.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n---- out\n{}\n---- err\n{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self
    }

    /// Standard output, which must be one JSON document and nothing else.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.out, self.err))
    }

    /// A stored file, by its path below `data`.
    #[track_caller]
    pub(crate) fn file(&self, path: &str) -> String {
        let directory = self.json()["directory"].as_str().map(PathBuf::from);
        let path = directory.unwrap_or_else(|| panic!("nothing was stored: {}", self.out)).join("data").join(path);
        String::from_utf8_lossy(&fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
            .into_owned()
    }

    /// The algorithm's log.
    #[track_caller]
    pub(crate) fn log(&self) -> String {
        self.file("logs/algorithm.log")
    }

    /// The paths of all stored files, in the manifest's order.
    #[track_caller]
    pub(crate) fn paths(&self) -> Vec<String> {
        let paths = self.json()["files"].as_array().unwrap().clone();
        paths.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    }
}
