//! This machine: the configuration's rights, directories, room on the disk, the clock.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::statvfs::statvfs;
use worker_kit::Finding;

const MIB: u64 = 1 << 20;
/// With less room than this nothing can be accepted for long.
const FULL: u64 = 64 * MIB;
/// With less than this it is to be looked at.
const NEARLY_FULL: u64 = 1024 * MIB;
/// A file may be so much younger than the clock: a network's file server has a clock of its own.
const YOUNGER: Duration = Duration::from_secs(120);

/// Who may change the configuration, and so say what is run.
pub(crate) fn mode(config: &Path) -> Option<Finding> {
    let meta = fs::metadata(config).ok()?;
    let (shown, mode) = (config.display(), meta.mode() & 0o777);
    Some(if mode & 0o022 == 0 {
        Finding::ok("mode", format!("{mode:04o}: only its owner may change it"))
    } else {
        let says = format!("{mode:04o}: others may change {shown}, and so what is run");
        Finding::fail("mode", says, format!("type  chmod 600 {shown}"))
    })
}

/// Whether a directory is there and may be written in, or could be made.
pub(crate) fn directory(check: &str, dir: &Path) -> Finding {
    let shown = dir.display();
    let there = standing(dir);
    let advice = || {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid());
        let user = match user {
            Ok(Some(user)) => user.name,
            _ => "this user".into(),
        };
        format!("let {user} write there (chown, chmod, mount), or name another directory")
    };
    match (there.is_dir(), try_write(&there)) {
        (false, _) => {
            let says = format!("{shown}: {} is no directory", there.display());
            Finding::fail(check, says, advice())
        }
        (true, Err(error)) => {
            let says = format!("{shown} cannot be written: {}: {error}", there.display());
            Finding::fail(check, says, advice())
        }
        (true, Ok(())) if there == dir => Finding::ok(check, format!("{shown}: writable")),
        (true, Ok(())) => Finding::ok(check, format!("{shown}: can be made")),
    }
}

/// The nearest thing on the way to a directory that exists.
fn standing(dir: &Path) -> PathBuf {
    let there = |path: &&Path| fs::symlink_metadata(path).is_ok();
    let found = dir.ancestors().find(there);
    found.unwrap_or(Path::new("/")).to_owned()
}

/// Makes a file and takes it away again: only that tells of rights, mounts and quotas alike.
fn try_write(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".bulkhead-doctor-{}", std::process::id()));
    let mut new = fs::OpenOptions::new();
    let file = new.write(true).create_new(true).mode(0o600).open(&path)?;
    let synced = file.sync_all();
    fs::remove_file(path)?;
    synced
}

/// The room on a directory's disk.
pub(crate) fn space(check: &str, dir: &Path) -> Option<Finding> {
    let disk = statvfs(&standing(dir)).ok()?;
    let free = disk.fragment_size().saturating_mul(disk.blocks_available());
    Some(room(check, dir, free))
}

fn room(check: &str, dir: &Path, free: u64) -> Finding {
    let (shown, mib) = (dir.display(), free / MIB);
    const ADVICE: &str = "make room, or name another directory (`data_dir`)";
    if free < FULL {
        let says = format!("{mib} MiB free for {shown}: soon no message can be accepted");
        Finding::fail(check, says, ADVICE)
    } else if free < NEARLY_FULL {
        Finding::warn(check, format!("{mib} MiB free for {shown}"), ADVICE)
    } else {
        Finding::ok(check, format!("{} GiB free for {shown}", mib / 1024))
    }
}

/// Whether the clock is behind files that were written before. How it stands to others' clocks is for
/// those to say who speak to others.
pub(crate) fn clock(now: SystemTime, files: &[&Path]) -> Finding {
    let youngest = files
        .iter()
        .filter_map(|file| Some((fs::metadata(file).ok()?.modified().ok()?, file)))
        .max_by_key(|(written, _)| *written);
    match youngest {
        Some((written, file)) if written > now + YOUNGER => {
            let says = format!(
                "this machine's clock is behind: {} was written at a time that is still to come",
                file.display()
            );
            let advice = "set the clock: timedatectl set-ntp true (or install chrony)";
            Finding::fail("clock", says, advice)
        }
        _ => Finding::ok("clock", "not behind its own files"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use worker_kit::doctor::Verdict;

    use super::*;

    #[test]
    fn a_directory_is_written_in_or_could_be_made_and_nothing_is_left_there() {
        let at = tempfile::tempdir().unwrap();
        assert!(directory("state", at.path()).says.contains("writable"));
        let below = at.path().join("a/b");
        assert!(directory("state", &below).says.contains("can be made"));
        assert_eq!(fs::read_dir(at.path()).unwrap().count(), 0);
        let file = at.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(directory("state", &file).verdict, Verdict::Fail);
        assert_eq!(directory("state", &file.join("a")).verdict, Verdict::Fail);
        // Nobody may make a file there, not even root.
        let proc = directory("state", Path::new("/proc/bulkhead"));
        assert_eq!(proc.verdict, Verdict::Fail);
        assert!(proc.advice.contains("chown"));
    }

    #[test]
    fn room_is_judged() {
        let judge = |free| room("disk", Path::new("/s"), free).verdict;
        assert_eq!(judge(FULL - 1), Verdict::Fail);
        assert_eq!(judge(FULL), Verdict::Warn);
        assert_eq!(judge(NEARLY_FULL), Verdict::Ok);
        assert!(space("disk", Path::new("/nowhere/at/all")).is_some());
    }

    #[test]
    fn a_configuration_that_others_may_change_fails() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (bits, expected) in [
            (0o600, Verdict::Ok),
            (0o644, Verdict::Ok),
            (0o620, Verdict::Fail),
            (0o602, Verdict::Fail),
        ] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(bits)).unwrap();
            assert_eq!(mode(file.path()).unwrap().verdict, expected, "{bits:o}");
        }
        assert_eq!(mode(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_file_from_the_future_means_a_clock_that_is_behind() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = SystemTime::now();
        assert_eq!(clock(now, &[file.path()]).verdict, Verdict::Ok);
        assert_eq!(clock(now, &[Path::new("/nowhere")]).verdict, Verdict::Ok);
        let behind = clock(now - Duration::from_secs(3600), &[file.path()]);
        assert_eq!(behind.verdict, Verdict::Fail);
        assert!(behind.says.contains("still to come"));
    }
}
