//! How much memory the system lets this process have: the machine's, or less by a cgroup.
//!
//! Who takes more than its cgroup may have is killed, and a container is one. Both versions are
//! looked for where the process's own mounts say, and every group above it counts too.

use std::path::{Path, PathBuf};

/// What the system lets this process have, in bytes, and by what. `None` where it does not say.
pub(crate) fn memory_allowed() -> Option<Allowed> {
    let cgroup = read("/proc/self/cgroup")
        .zip(read("/proc/self/mountinfo"))
        .and_then(|(groups, mounts)| {
            let files = limit_files(&groups, &mounts);
            files.iter().filter_map(|file| limit(&std::fs::read_to_string(file).ok()?)).min()
        })
        .map(|bytes| Allowed { bytes, by: "the cgroup" });
    let machine = read("/proc/meminfo").and_then(|text| machine_memory(&text));
    let machine = machine.map(|bytes| Allowed { bytes, by: "the machine" });
    cgroup.into_iter().chain(machine).min_by_key(|allowed| allowed.bytes)
}

/// How much memory there is for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) bytes: u64,
    /// Whose bound it is.
    pub(crate) by: &'static str,
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The files that may hold a limit: of the process's group in each version, and of those above it.
fn limit_files(groups: &str, mounts: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        // hierarchy:controllers:path
        let mut fields = line.splitn(3, ':');
        let (Some(hierarchy), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (kind, file) = match (hierarchy, controllers) {
            ("0", "") => ("cgroup2", "memory.max"),
            (_, controllers) if controllers.split(',').any(|one| one == "memory") => {
                ("cgroup", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let Some((root, point)) = mounts.lines().find_map(|line| mounted(line, kind)) else {
            continue;
        };
        // A container sees its own group as the root of what is mounted, whatever the path says.
        let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
        let below = below.strip_prefix("/").unwrap_or(below);
        files.extend(below.ancestors().map(|group| Path::new(point).join(group).join(file)));
    }
    files
}

/// The root and the place of a mount of this kind that has the controller for memory.
fn mounted<'a>(line: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    // id parent device root point options [tag …] - kind source options
    let (before, behind) = line.split_once(" - ")?;
    let mut behind = behind.split(' ');
    let is_of_kind = behind.next()? == kind;
    let has_memory = kind == "cgroup2" || behind.nth(1)?.split(',').any(|one| one == "memory");
    let mut before = before.split(' ').skip(3);
    (is_of_kind && has_memory).then_some((before.next()?, before.next()?))
}

/// "max" is none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(groups: &str, mounts: &str) -> Vec<String> {
        let files = limit_files(groups, mounts);
        files.iter().map(|file| file.to_str().unwrap().trim_end_matches('/').to_owned()).collect()
    }

    #[test]
    fn a_group_of_version_1_is_found_with_all_above_it() {
        let groups = "9:name=systemd:/\n4:cpuset,memory:/a/b\n0::/";
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                      35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let file = "memory.limit_in_bytes";
        let found = ["/a/b/", "/a/", "/"].map(|at| format!("/sys/fs/cgroup/memory{at}{file}"));
        assert_eq!(files(groups, mounts), found);
    }

    #[test]
    fn a_group_of_version_2_is_found_with_all_above_it() {
        let mounts =
            "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let found = ["/k/pod/", "/k/", "/"].map(|at| format!("/sys/fs/cgroup{at}memory.max"));
        assert_eq!(files("0::/k/pod", mounts), found);
    }

    #[test]
    fn a_container_finds_its_group_at_the_root_of_its_mount() {
        let mounts = "9 8 0:32 /docker/4f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        let found = ["/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(files("4:memory:/docker/4f", mounts), found);
        assert_eq!(files("4:memory:/somewhere/else", mounts), found);
        let found = ["/sys/fs/cgroup/memory.max"];
        assert_eq!(files("0::/", "1 2 0:2 / /sys/fs/cgroup ro - cgroup2 cgroup rw"), found);
    }

    #[test]
    fn what_is_no_limit_is_none() {
        assert_eq!((limit("max\n"), limit("41943040\n"), limit("")), (None, Some(40 << 20), None));
        assert_eq!(machine_memory("MemTotal:  24683864 kB\nMemFree: 1 kB\n"), Some(24683864 << 10));
        assert_eq!(files("", ""), [""; 0]);
        assert_eq!(files("4:memory:/a\n0::/a\nrubbish", "a b - c\n"), [""; 0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_some() {
        assert!(memory_allowed().unwrap().bytes > 1 << 20);
    }
}
