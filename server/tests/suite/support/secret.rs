//! A file with a secret, as operators give it to their nodes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Numbers this process's files.
static FILES: AtomicU32 = AtomicU32::new(0);

/// A file that goes when this does.
#[derive(Debug)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    /// With this secret.
    pub fn of(secret: &str) -> SecretFile {
        let name = format!("secret-{}-{}", std::process::id(), FILES.fetch_add(1, Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, secret).expect("a file can be written");
        SecretFile(path)
    }

    /// What a node must be told in order to use it.
    pub fn flags(&self) -> [&str; 2] {
        ["--secret-file", self.0.to_str().expect("text")]
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
