//! The program of an earlier release, built from the repository's history and kept in the target
//! folder: compiling it takes minutes, once for each commit.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::wait::say_loudly;

/// The last commit of the release before this one.
pub const BEFORE: &str = "74d2dc0";

/// Where the program of the release before is; `None` unless `make test-upgrade` asked for what takes
/// so long.
pub fn before() -> Option<String> {
    if env::var_os("QUIPU_UPGRADE").is_none() {
        say_loudly("SKIPPED, nothing was tested: `make test-upgrade` builds the release before");
        return None;
    }
    Some(built(BEFORE).to_str().expect("text").to_owned())
}

/// Builds the program of a commit, if that was not done before.
fn built(commit: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("upgrade");
    fs::create_dir_all(&target).expect("a folder can be made");
    // Tests may run in processes of their own at the same time.
    let lock = File::create(target.join(format!("{commit}.lock"))).expect("a file can be made");
    lock.lock().expect("a file can be locked");
    let program = target.join(format!("quipu-{commit}"));
    if !program.exists() {
        say_loudly(&format!("builds the release before, {commit}: some minutes"));
        let folder = target.join(commit);
        fs::create_dir_all(folder.join("source")).expect("a folder can be made");
        let archive = folder.join("source.tar");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        run(Command::new("git")
            .current_dir(root)
            .args(["archive", "--output"])
            .arg(&archive)
            .arg(commit));
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.join("source")));
        run(Command::new("cargo")
            .current_dir(folder.join("source"))
            .args(["build", "--quiet", "--locked", "--package", "quipu", "--bin", "quipu"])
            .env("CARGO_TARGET_DIR", folder.join("target")));
        // Under its name only when it is whole.
        let copy = target.join(format!("quipu-{commit}.unfinished"));
        fs::copy(folder.join("target/debug/quipu"), &copy).expect("room for a copy");
        fs::rename(&copy, &program).expect("a file can be renamed");
        fs::remove_dir_all(&folder).expect("a folder can be removed");
    }
    program
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}
