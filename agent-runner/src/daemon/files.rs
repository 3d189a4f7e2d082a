//! Files that came with a prompt: fetched from the hub piece by piece and laid into the work
//! directory before the agent has the prompt.
//!
//! They lie in `.bulkhead/attachments/TURN/` of the work directory, which git is told to ignore, and go
//! after a week ([`clean`], which the shell calls now and then). One
//! file is fetched at a time; one that cannot be had is named to the agent, and the turn goes on.
//! What was under way when the link fell is forgotten: the hub sends its prompt again.
//!
//! Agents write in the work directory, while a file comes too. So the place is held open, no link in
//! it is followed, and what goes to the model as a picture is read from the very file that was made.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipc_schema::{BlobGet, BlobRef, BlobSegment, Prompt};
use sha2::{Digest as _, Sha256};

use crate::beneath::{self, Dir};
use crate::session::Image;
use crate::workspace;

/// Where files lie, from the work directory.
pub(super) const PLACE: &str = ".bulkhead/attachments";
/// How long they stay.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The largest picture that goes to the model as one, bytes; the API takes no larger.
const LARGEST_IMAGE: u64 = 5 << 20;
/// The media types of pictures that the model's API takes.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// The longest name of a file, in characters.
const NAME: usize = 100;

/// A prompt with everything that came with it.
#[derive(Debug, PartialEq)]
pub(super) struct Complete {
    pub(super) prompt: Prompt,
    pub(super) trace: String,
    pub(super) images: Vec<Image>,
}

/// Prompts whose files are on their way.
#[derive(Debug)]
pub(super) struct Files {
    work_dir: PathBuf,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Files are named by their whole path: the agent works somewhere else.
    whole: bool,
    prompt: Prompt,
    trace: String,
    left: VecDeque<BlobRef>,
    current: Option<Incoming>,
    lines: Vec<String>,
    images: Vec<Image>,
    /// The names of its files, in its directory.
    names: Vec<String>,
}

#[derive(Debug)]
struct Incoming {
    blob: BlobRef,
    /// Where it lies, and under which name.
    place: Dir,
    name: String,
    file: File,
    hasher: Sha256,
    got: u64,
}

impl Files {
    pub(super) fn new(work_dir: PathBuf) -> Files {
        Files {
            work_dir,
            waiting: VecDeque::new(),
        }
    }

    /// Takes a prompt that has files with it; what to ask the hub for. `whole` = the agent is told
    /// whole paths.
    pub(super) fn take(
        &mut self,
        mut prompt: Prompt,
        trace: String,
        whole: bool,
    ) -> Option<BlobGet> {
        let left = std::mem::take(&mut prompt.attachments).into();
        let first = self.waiting.is_empty();
        self.waiting.push_back(Waiting {
            whole,
            prompt,
            trace,
            left,
            current: None,
            lines: Vec::new(),
            images: Vec::new(),
            names: Vec::new(),
        });
        first.then(|| self.next()).flatten()
    }

    /// The link fell or came up: nothing that was asked for will come.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// A piece came; what to ask for next.
    pub(super) fn piece(&mut self, segment: &BlobSegment) -> Option<BlobGet> {
        let current = self.waiting.front_mut()?.current.as_mut()?;
        if current.blob.sha256 != segment.sha256 || current.got != segment.offset {
            return None;
        }
        let end = current.got + segment.bytes.len() as u64;
        if end > current.blob.size || (segment.bytes.is_empty() && end < current.blob.size) {
            return self.lost(&segment.sha256, "it is not what was announced");
        }
        if let Err(error) = current.file.write_all(&segment.bytes) {
            let why = error.to_string();
            return self.lost(&segment.sha256, &why);
        }
        current.hasher.update(&segment.bytes);
        current.got = end;
        if end < current.blob.size {
            return Some(current.ask());
        }
        self.laid();
        self.next()
    }

    /// The file that is being fetched cannot be had; what to ask for next.
    pub(super) fn lost(&mut self, sha256: &str, why: &str) -> Option<BlobGet> {
        let waiting = self.waiting.front_mut()?;
        let current = waiting
            .current
            .take_if(|current| current.blob.sha256 == sha256)?;
        // Half a file is worse than none.
        let _ = current.place.remove_file(OsStr::new(&current.name));
        waiting.missing(&current.blob, why);
        self.next()
    }

    /// The next prompt that has everything.
    pub(super) fn complete(&mut self) -> Option<(Complete, Option<BlobGet>)> {
        let done = |waiting: &Waiting| waiting.current.is_none() && waiting.left.is_empty();
        if !self.waiting.front().is_some_and(done) {
            return None;
        }
        let Waiting {
            mut prompt,
            trace,
            lines,
            images,
            ..
        } = self.waiting.pop_front()?;
        if !lines.is_empty() {
            prompt
                .text
                .push_str("\n\nFiles that came with this message:\n");
            prompt.text.push_str(&lines.join("\n"));
        }
        let complete = Complete {
            prompt,
            trace,
            images,
        };
        Some((complete, self.next()))
    }

    /// Begins with the next file of the first prompt.
    fn next(&mut self) -> Option<BlobGet> {
        let waiting = self.waiting.front_mut()?;
        if waiting.current.is_some() {
            return None;
        }
        while let Some(blob) = waiting.left.pop_front() {
            let name = waiting.name(&blob);
            let begun = begin(&self.work_dir, &waiting.prompt.at.turn, &name);
            waiting.names.push(name.clone());
            let (place, file) = match begun {
                Ok(begun) => begun,
                Err(error) => {
                    waiting.missing(&blob, &error.to_string());
                    continue;
                }
            };
            let incoming = waiting.current.insert(Incoming {
                blob,
                place,
                name,
                file,
                hasher: Sha256::new(),
                got: 0,
            });
            return Some(incoming.ask());
        }
        None
    }

    /// A file has all its bytes.
    fn laid(&mut self) {
        let work_dir = self.work_dir.clone();
        let Some(waiting) = self.waiting.front_mut() else {
            return;
        };
        let Some(mut current) = waiting.current.take() else {
            return;
        };
        let hash: String = std::mem::take(&mut current.hasher)
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if hash != current.blob.sha256 {
            let _ = current.place.remove_file(OsStr::new(&current.name));
            return waiting.missing(&current.blob, "its content is not what was announced");
        }
        let below = Path::new(PLACE).join(&waiting.prompt.at.turn);
        let shown = match waiting.whole {
            true => work_dir.join(below),
            false => below,
        };
        let shown = shown.join(&current.name);
        let kind = match current.blob.mime.as_str() {
            "" => String::new(),
            mime => format!("{}, ", line(mime)),
        };
        waiting.lines.push(format!(
            "- {} ({kind}{} bytes)",
            shown.display(),
            current.blob.size
        ));
        if IMAGES.contains(&current.blob.mime.as_str())
            && current.blob.size <= LARGEST_IMAGE
            && let Ok(bytes) = current.read()
        {
            waiting.images.push(Image {
                media_type: current.blob.mime,
                data: STANDARD.encode(bytes),
            });
        }
    }
}

impl Waiting {
    /// A name for a file: two files of one name are two files.
    fn name(&self, blob: &BlobRef) -> String {
        let name = safe(&blob.name);
        let others = (self.names.len()..).map(|n| format!("{n}-{name}"));
        let mut names = std::iter::once(name.clone()).chain(others);
        let free = names.find(|name| !self.names.contains(name));
        free.unwrap_or(name)
    }

    fn missing(&mut self, blob: &BlobRef, why: &str) {
        tracing::warn!(
            turn = self.prompt.at.turn,
            why,
            "a file does not reach the agent"
        );
        let name = line(&blob.name);
        self.lines
            .push(format!("- {name} could not be had: {}", line(why)));
    }
}

impl Incoming {
    /// What was laid down, or by now somebody else made of it; no more than was announced.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.file.rewind()?;
        beneath::head(&self.file, self.blob.size)
    }

    fn ask(&self) -> BlobGet {
        BlobGet {
            sha256: self.blob.sha256.clone(),
            offset: self.got,
        }
    }
}

/// Makes the place of a turn's files and a file in it, instead of what has its name there: of an
/// attempt before, or laid by somebody else.
fn begin(work_dir: &Path, turn: &str, name: &str) -> io::Result<(Dir, File)> {
    workspace::ours(work_dir)?;
    let place = Dir::open(work_dir)?.make(&Path::new(PLACE).join(turn))?;
    match place.remove_file(OsStr::new(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = place.create(name)?;
    Ok((place, file))
}

/// A name that somebody else made up, as a file's name: no way out of the directory, nothing that a
/// shell would read twice, and not hidden.
fn safe(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = name
        .chars()
        .map(|c| match c {
            c if c.is_alphanumeric() => c,
            '.' | '-' | '_' => c,
            _ => '_',
        })
        .take(NAME)
        .collect();
    match clean.trim_start_matches(['.', '-']) {
        "" => "file".to_owned(),
        clean => clean.to_owned(),
    }
}

fn line(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(2 * NAME).collect()
}

/// Removes what has lain there for too long. Best effort: what stays is tried again next time.
///
/// The place may be anything by now, a link to somewhere else included: only directories that are
/// named as turns are, in the very place, are ours to remove.
pub(super) fn clean(work_dir: &Path, now: SystemTime) {
    let place = Dir::open(work_dir).and_then(|dir| dir.below(Path::new(PLACE)));
    let place = match place {
        Ok(place) => place,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return tracing::warn!(%error, "old attachments are not cleaned up"),
    };
    for turn in place.names().into_iter().flatten() {
        let about = place.about(Path::new(&turn)).ok();
        let age = about
            .filter(|about| about.is_dir() && turn.to_str().is_some_and(is_turn))
            .and_then(|about| about.modified().ok())
            .and_then(|made| now.duration_since(made).ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = place.remove_all(&turn);
        }
    }
}

/// Whether it is a turn's name: letters, digits and dashes.
fn is_turn(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc_schema::TurnRef;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn blob(name: &str, mime: &str, bytes: &[u8]) -> BlobRef {
        let hash = Sha256::digest(bytes);
        BlobRef {
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            name: name.into(),
            mime: mime.into(),
            size: bytes.len() as u64,
        }
    }

    fn prompt(turn: &str, attachments: Vec<BlobRef>) -> Prompt {
        Prompt {
            at: TurnRef {
                turn: turn.into(),
                attempt: 1,
            },
            text: "look".into(),
            attachments,
            ..Prompt::default()
        }
    }

    fn answer(get: &BlobGet, bytes: &[u8], size: usize) -> BlobSegment {
        let from = get.offset as usize;
        BlobSegment {
            sha256: get.sha256.clone(),
            offset: get.offset,
            total: bytes.len() as u64,
            bytes: bytes[from..(from + size).min(bytes.len())].to_vec(),
        }
    }

    #[test]
    fn files_are_laid_down_whole_and_named_in_the_prompt() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path().into());
        let (text, picture) = (b"some notes".as_slice(), b"no real png".as_slice());
        let notes = blob("../../notes.txt", "text/plain", text);
        let image = blob("a.png", "image/png", picture);
        let gone = blob("gone.zip", "", b"?");
        let mut get = files.take(
            prompt("t1", vec![notes.clone(), image.clone(), gone.clone()]),
            "tr".into(),
            false,
        );
        let mut pieces = 0;
        while let Some(asked) = get.take() {
            assert!(files.complete().is_none());
            get = match &asked.sha256 {
                hash if *hash == notes.sha256 => files.piece(&answer(&asked, text, 4)),
                hash if *hash == image.sha256 => files.piece(&answer(&asked, picture, 100)),
                hash => files.lost(hash, "the hub keeps it no longer"),
            };
            pieces += 1;
        }
        assert_eq!(pieces, 3 + 1 + 1);
        let (complete, next) = files.complete().unwrap();
        assert_eq!(next, None);
        let text_of = &complete.prompt.text;
        assert!(text_of.contains("- .bulkhead/attachments/t1/notes.txt (text/plain, 10 bytes)"));
        assert!(text_of.contains("gone.zip could not be had: the hub keeps it no longer"));
        assert_eq!(complete.images.len(), 1);
        assert_eq!(complete.images[0].media_type, "image/png");
        let laid = dir.path().join(".bulkhead/attachments/t1/notes.txt");
        assert_eq!(fs::read(laid).unwrap(), text);
        let ignore = dir.path().join(".bulkhead/.gitignore");
        assert_eq!(fs::read_to_string(ignore).unwrap(), "*\n");
        assert!(files.complete().is_none());
    }

    #[test]
    fn one_prompt_after_the_other_and_none_after_the_link_fell() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path().into());
        let bytes = b"x".as_slice();
        let first = files.take(
            prompt("t1", vec![blob("a", "", bytes)]),
            String::new(),
            true,
        );
        let second = files.take(
            prompt("t2", vec![blob("a", "", bytes)]),
            String::new(),
            false,
        );
        assert!(first.is_some() && second.is_none());
        assert_eq!(files.piece(&answer(&first.unwrap(), bytes, 9)), None);
        let (complete, next) = files.complete().unwrap();
        assert_eq!(complete.prompt.at.turn, "t1");
        let whole = dir.path().join(PLACE).join("t1/a");
        assert!(complete.prompt.text.contains(&whole.display().to_string()));
        assert!(next.is_some(), "the second begins");
        files.forget();
        assert_eq!(files.piece(&answer(&next.unwrap(), bytes, 9)), None);
        assert!(files.complete().is_none());
    }

    #[test]
    fn what_is_not_what_it_claims_to_be_is_not_laid_down() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path().into());
        let claimed = blob("a", "", b"abc");
        let get = files
            .take(prompt("t1", vec![claimed]), String::new(), false)
            .unwrap();
        assert_eq!(files.piece(&answer(&get, b"abd", 9)), None);
        let (complete, _) = files.complete().unwrap();
        assert!(complete.prompt.text.contains("could not be had"));
        assert!(!dir.path().join(".bulkhead/attachments/t1/a").exists());
    }

    #[test]
    fn what_comes_is_written_through_no_link() {
        let bytes = b"words".as_slice();
        for (planted, to, at) in [
            ("authorized_keys", "keys", "t1/a"),
            ("a place", "dir", "t1"),
            ("all places", "dir", ""),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (root, work) = (dir.path(), dir.path().join("work"));
            fs::create_dir_all(work.join(".bulkhead")).unwrap();
            fs::create_dir(root.join("dir")).unwrap();
            fs::write(root.join("keys"), "mine").unwrap();
            symlink(root.join("new"), work.join(".bulkhead/.gitignore")).unwrap();
            let link = work.join(PLACE).join(at);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            let link = link.components().collect::<PathBuf>();
            symlink(root.join(to), &link).unwrap();
            let mut files = Files::new(work.clone());
            let get = files.take(
                prompt("t1", vec![blob("a", "", bytes)]),
                String::new(),
                false,
            );
            if let Some(get) = get {
                files.piece(&answer(&get, bytes, 9));
            }
            let (complete, _) = files.complete().unwrap();
            let missing = complete
                .prompt
                .text
                .contains("could not be had: there is a");
            assert_eq!(missing, to == "dir", "{planted}: {}", complete.prompt.text);
            assert_eq!(fs::read(root.join("keys")).unwrap(), b"mine", "{planted}");
            assert_eq!(fs::read_dir(root.join("dir")).unwrap().count(), 0);
            assert!(!root.join("new").exists());
        }
    }

    #[test]
    fn a_picture_is_what_was_laid_whatever_lies_in_its_place() {
        let bytes = b"no real png".as_slice();
        for planted in ["/dev/zero", "secret", "pipe"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("secret"), "canary").unwrap();
            let mut files = Files::new(dir.path().into());
            let image = blob("a.png", "image/png", bytes);
            let get = files.take(prompt("t1", vec![image]), String::new(), false);
            let laid = dir.path().join(PLACE).join("t1/a.png");
            fs::remove_file(&laid).unwrap();
            match planted {
                "pipe" => nix::unistd::mkfifo(&laid, nix::sys::stat::Mode::S_IRWXU).unwrap(),
                to => symlink(dir.path().join(to), &laid).unwrap(),
            }
            files.piece(&answer(&get.unwrap(), bytes, 99));
            let (complete, _) = files.complete().unwrap();
            assert_eq!(complete.images[0].data, STANDARD.encode(bytes), "{planted}");
        }
    }

    #[test]
    fn two_files_of_one_name_are_two_and_one_that_comes_again_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(PLACE).join("t1");
        for _ in 0..2 {
            let mut files = Files::new(dir.path().into());
            let all = ["a", "1-a", "a"].map(|name| blob(name, "", name.as_bytes()));
            let mut get = files.take(prompt("t1", all.to_vec()), String::new(), false);
            for name in ["a", "1-a", "a"] {
                get = files.piece(&answer(&get.unwrap(), name.as_bytes(), 9));
            }
            assert!(files.complete().is_some());
            let laid = |name: &str| fs::read_to_string(place.join(name)).unwrap();
            assert_eq!([laid("a"), laid("1-a"), laid("2-a")], ["a", "1-a", "a"]);
            assert_eq!(fs::read_dir(&place).unwrap().count(), 3);
        }
    }

    #[test]
    fn names_stay_where_they_are_put() {
        for (name, expected) in [
            ("a b.txt", "a_b.txt"),
            ("../../etc/passwd", "passwd"),
            ("..", "file"),
            (".hidden", "hidden"),
            ("-rf", "rf"),
            ("图片.png", "图片.png"),
            ("a;$(x)`.sh", "a___x__.sh"),
            ("", "file"),
        ] {
            assert_eq!(safe(name), expected, "{name}");
        }
    }

    #[test]
    fn old_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let laid = dir.path().join(PLACE).join("t1");
        fs::create_dir_all(&laid).unwrap();
        clean(dir.path(), SystemTime::now());
        assert!(laid.exists());
        clean(
            dir.path(),
            SystemTime::now() + KEPT + Duration::from_secs(60),
        );
        assert!(!laid.exists());
    }

    #[test]
    fn cleaning_up_removes_nothing_of_anybody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in ["outside/t1", "work/.bulkhead", "two/.bulkhead/attachments"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::create_dir_all(root.join("two").join(PLACE).join("not.a.turn")).unwrap();
        symlink("../../outside", root.join("work").join(PLACE)).unwrap();
        symlink("../../../outside", root.join("two").join(PLACE).join("t2")).unwrap();
        for work_dir in ["work", "two"] {
            let late = SystemTime::now() + KEPT + Duration::from_secs(60);
            clean(&root.join(work_dir), late);
        }
        assert!(root.join("outside/t1").exists());
        assert!(root.join("two").join(PLACE).join("not.a.turn").exists());
    }
}
