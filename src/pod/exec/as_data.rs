//! A folder of this machine, seen as `/data` by this process and by what it starts.
//!
//! Algorithm images have `/data` written into them; in a pod it is a mount, and in the local mode this is. It takes a
//! mount namespace of our own, which an ordinary user gets together with a user namespace where the system allows it.
//! Nothing outside this process changes, and nothing is left behind: the mounts go with the last process that has them.
//! It is no sandbox: everything else stays visible, at its own place.

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
    unistd::{Gid, Uid, chdir, chroot, mkdir, pivot_root, symlinkat},
};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// What algorithms expect.
const DATA: &str = "/data";

/// Why the folder cannot be seen there.
#[derive(Debug, thiserror::Error)]
pub(super) enum Impossible {
    #[error("{path} lies below {DATA} itself, which would be hidden")]
    Hidden { path: PathBuf },
    #[error("the system does not allow {what}")]
    Refused { what: &'static str, source: io::Error },
}

fn refused<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Impossible {
    move |error| Impossible::Refused { what, source: error.into() }
}

/// Makes `folder` visible as `/data`, for good. To be called while this process has a single thread: the kernel gives a
/// user namespace to no other.
///
/// `needed` are the absolute paths that must stay reachable.
///
/// # Errors
///
/// [`Impossible`]; then this process sees what it saw before (although perhaps from a namespace of its own).
pub(super) fn enter(folder: &Path, needed: &[&Path]) -> Result<(), Impossible> {
    let folder = folder.canonicalize().map_err(refused("the folder to be resolved"))?;
    if folder == Path::new(DATA) {
        return Ok(());
    }
    let exists = Path::new(DATA).is_dir();
    if exists && let Some(path) = needed.iter().copied().chain([&*folder]).find(|path| path.starts_with(DATA)) {
        return Err(Impossible::Hidden { path: path.to_path_buf() });
    }
    let here = env::current_dir().ok();
    new_namespace()?;
    // From here on nothing that is mounted or unmounted reaches another namespace.
    mount_flags("/", MsFlags::MS_REC | MsFlags::MS_PRIVATE).map_err(refused("private mounts"))?;
    let done =
        if exists { bind(&folder, Path::new(DATA)).map_err(refused("a mount over /data")) } else { new_root(&folder) };
    // A bind mount over its parent leaves the working directory below the mount, and a new root leaves it outside.
    let _ = here.map_or(Ok(()), |here| chdir(&here).or_else(|_| chdir("/")));
    done
}

fn new_namespace() -> Result<(), Impossible> {
    let (uid, gid) = (Uid::effective(), Gid::effective());
    // A real root keeps all of its users that way.
    if uid.is_root() && unshare(CloneFlags::CLONE_NEWNS).is_ok() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(refused("a user namespace"))?;
    // user_namespaces(7): groups can be mapped without privilege only once setgroups is given up. Kernels before 3.19
    // have no such file.
    let _ = fs::write("/proc/self/setgroups", "deny");
    fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).map_err(refused("its user to be mapped"))?;
    fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).map_err(refused("its group to be mapped"))
}

/// Builds a root that is the old one plus `/data`, and moves into it.
///
/// The new root is assembled in memory, over `/tmp`, next to a second view of the whole old tree in which `/tmp` is
/// free; so up to the last step everything is undone by unmounting that one file system.
fn new_root(folder: &Path) -> Result<(), Impossible> {
    const BASE: &str = "/tmp";
    mount(Some("none"), BASE, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .map_err(refused("a file system in memory over /tmp"))?;
    let entered = assemble(&Path::new(BASE).join("old"), &Path::new(BASE).join("new"), folder)
        .map_err(refused("a root with /data"))
        .and_then(|()| move_into(&Path::new(BASE).join("new")).map_err(refused("a new root")));
    if entered.is_err() {
        let _ = umount2(BASE, MntFlags::MNT_DETACH);
    }
    entered
}

fn assemble(old: &Path, new: &Path, folder: &Path) -> io::Result<()> {
    mkdir(old, Mode::S_IRWXU)?;
    bind(Path::new("/"), old)?;
    umount2(&old.join("tmp"), MntFlags::MNT_DETACH)?;
    mkdir(new, Mode::from_bits_truncate(0o755))?;
    bind(new, new)?;
    for entry in fs::read_dir(old)? {
        let entry = entry?;
        let (from, to, kind) = (entry.path(), new.join(entry.file_name()), entry.file_type()?);
        if kind.is_symlink() {
            symlinkat(&fs::read_link(&from)?, nix::fcntl::AT_FDCWD, &to)?;
            continue;
        }
        if kind.is_dir() {
            mkdir(&to, Mode::from_bits_truncate(0o755))?;
        } else {
            fs::write(&to, "")?;
        }
        bind(&from, &to)?;
    }
    let data = new.join("data");
    mkdir(&data, Mode::from_bits_truncate(0o755))?;
    bind(&inside(old, folder), &data)?;
    Ok(())
}

/// The place of the absolute `path` below `root`.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn move_into(new: &Path) -> nix::Result<()> {
    chdir(new)?;
    // pivot_root(2), "pivot_root(".", ".")": the old root comes to lie over the new one and is taken off. In a chroot,
    // or on an initial file system, only a change of root is possible.
    match pivot_root(".", ".") {
        Ok(()) => umount2(".", MntFlags::MNT_DETACH)?,
        Err(Errno::EINVAL | Errno::EPERM | Errno::EBUSY) => chroot(".")?,
        Err(other) => return Err(other),
    }
    chdir("/")
}

fn bind(from: &Path, to: &Path) -> nix::Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
}

fn mount_flags(target: &str, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
}
