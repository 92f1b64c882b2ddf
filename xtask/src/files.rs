//! Files and directories that are to be gone.

use std::fs;
use std::io;
use std::path::Path;

/// Removes a file, or a directory with all that is in it; that it is not there is well.
pub(crate) fn remove_all(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
