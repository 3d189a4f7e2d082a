//! Volumes on a real disk.

use std::os::unix::fs::symlink;

use super::*;

struct Place {
    dir: tempfile::TempDir,
    volumes: Volumes,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let volumes = Volumes {
        dir: dir.path().join(VOLUMES),
    };
    let config = volumes.dir.join("one/.claude");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("CLAUDE.md"), "remember").unwrap();
    fs::write(config.join(".credentials.json"), "canary").unwrap();
    fs::write(dir.path().join("secret"), "canary").unwrap();
    symlink(dir.path().join("secret"), volumes.dir.join("one/link")).unwrap();
    symlink(dir.path(), volumes.dir.join("one/up")).unwrap();
    Place { dir, volumes }
}

#[test]
fn volumes_are_listed_with_what_is_in_them() {
    let Place { volumes, dir } = place();
    fs::create_dir_all(volumes.dir.join("two/sessions/a")).unwrap();
    symlink(dir.path(), volumes.dir.join("elsewhere")).unwrap();
    let lock = volumes.claim("two").unwrap().unwrap();
    let rows = volumes.rows().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["one", "two"], "no lock and no link");
    assert_eq!((rows[0].size.files, rows[0].in_use), (4, false));
    assert!(rows[0].size.bytes < 200, "{:?}", rows[0].size);
    assert_eq!((rows[1].sessions, rows[1].in_use), (1, true));
    drop(lock);
    for bad in ["", ".locks", "../one", "elsewhere", "three", "one/.claude"] {
        assert!(volumes.find(bad).is_err(), "{bad}");
    }
    let nowhere = Volumes {
        dir: dir.path().join("no"),
    };
    assert_eq!(nowhere.rows().unwrap().len(), 0);
}

#[test]
fn one_that_is_in_use_is_not_removed() {
    let Place { volumes, dir } = place();
    let held = volumes.claim("one").unwrap().unwrap();
    held.unlock().unwrap();
    held.lock_shared().unwrap();
    let why = remove(&volumes, "one", true).unwrap_err().to_string();
    assert!(
        why.contains("is in use") && why.contains("bulkhead reload"),
        "{why}"
    );
    assert!(volumes.find("one").is_ok());
    drop(held);
    remove(&volumes, "one", true).unwrap();
    assert!(volumes.find("one").is_err());
    assert_eq!(
        fs::read_to_string(dir.path().join("secret")).unwrap(),
        "canary"
    );
}

#[test]
fn an_export_is_the_volume_without_its_login_and_without_what_links_lead_to() {
    let Place { volumes, dir } = place();
    let root = volumes.find("one").unwrap();
    let long = "long-".repeat(40);
    fs::create_dir(root.join(&long)).unwrap();
    fs::write(root.join(&long).join(&long), "deep").unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let file = dir.path().join("one.tar");
    let written = export::export(&root, "one", &file).unwrap();
    let counts = (written.files, written.logins, written.left_out);
    assert_eq!(counts, (2, 1, 1));
    assert!(written.in_words("one", &file).contains("log in anew"));
    assert!(!fs::read(&file).unwrap().windows(6).any(|w| w == b"canary"));
    let out = dir.path().join("out");
    tar::Archive::new(File::open(&file).unwrap())
        .unpack(&out)
        .unwrap();
    let read = |path: &str| fs::read_to_string(out.join("one").join(path)).unwrap();
    assert_eq!(read(".claude/CLAUDE.md"), "remember");
    assert_eq!(read(&format!("{long}/{long}")), "deep");
    assert!(
        fs::read_link(out.join("one/link"))
            .unwrap()
            .ends_with("secret")
    );
    let why = export::export(&root, "one", &file).unwrap_err();
    assert!(format!("{why:#}").contains("exists"), "{why:#}");
    let why = export::export(&root, "one", &root.join("x.tar")).unwrap_err();
    assert!(why.to_string().contains("in the volume itself"), "{why:#}");
    assert!(!root.join("x.tar").exists());
}

#[test]
fn sizes_are_short() {
    let words = |bytes| Size { bytes, files: 2 }.in_words();
    assert_eq!(words(5), "5 bytes in 2 files");
    assert_eq!(words(1536), "1.5 KiB in 2 files");
    assert_eq!(words(3 << 20), "3.0 MiB in 2 files");
    assert_eq!(words(5 << 30), "5.0 GiB in 2 files");
}
