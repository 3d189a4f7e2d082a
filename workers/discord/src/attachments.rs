//! Files that come with a message: fetched while their addresses are good, and kept by the hub.
//!
//! Promises:
//! - A file is asked of Discord's own file hosts alone, without the token, through no redirect, and
//!   no more of it is read than the limit.
//! - What is not taken along is said in words, each file by its name; a message is not held up by a
//!   file host for longer than [`PATIENCE`], nor by a hub that does not keep them.
//! - A bounded number of bytes is in memory at a time, whatever comes.
//!
//! An address that has expired is asked for anew, once a message.

use std::time::Duration;

use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use ipc_schema::BlobRef;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use url::Url;
use worker_kit::{Backoff, Missing};

use crate::bot::Bot;
use crate::events::{Attachment, Message};
use crate::inbound::{clean, quote};
use crate::options::Options;
use crate::rest::inward::NoFile;
use crate::snowflake::Id;

/// Discord's hosts for files.
const HOSTS: [&str; 2] = ["cdn.discordapp.com", "media.discordapp.net"];
/// The most files of one message, those of the quoted one included.
const MOST: usize = 10;
/// How many files of one message are fetched at a time.
const AT_A_TIME: usize = 3;
/// How long a message waits for its files to come from Discord, and for each to be kept by a hub
/// that is there.
const PATIENCE: Duration = Duration::from_secs(120);
const KEEP: Duration = Duration::from_secs(60);
/// Tries of a file while its host has trouble.
const TRIES: u32 = 3;
/// The bytes in memory at a time; one file of the largest size always fits.
const MEMORY: u64 = 32 << 20;
/// Memory is given out in pieces of so many bytes.
const PIECE: u64 = 64 << 10;
/// No more files are in memory at a time than this, however small.
const SMALLEST_SHARE: u64 = 8;

/// What is taken, and the room for it.
#[derive(Debug)]
pub(crate) struct Files {
    /// The largest file, bytes.
    largest: u64,
    /// Discord's address is on this machine, and so may its file host be.
    local: bool,
    room: Semaphore,
    pieces: u32,
}

impl Files {
    pub(crate) fn new(options: &Options) -> Files {
        let largest = options.max_attachment_bytes();
        let pieces = MEMORY.max(largest).div_ceil(PIECE);
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        Files {
            largest,
            local: options.is_local(),
            room: Semaphore::new(usize::try_from(pieces).unwrap_or(usize::MAX)),
            pieces,
        }
    }

    /// The address to fetch the file from.
    ///
    /// # Errors
    /// In words, why it is not fetched.
    fn address(&self, file: &Attachment) -> Result<Url, Missing> {
        if file.size > self.largest {
            let largest = size(self.largest);
            return Err(Missing::new(
                format!("larger than {largest}"),
                format!("超过 {largest}"),
            ));
        }
        let nowhere = |_| Missing::new("it has no address", "没有下载地址");
        let url = Url::parse(&file.url).map_err(nowhere)?;
        let host = url.host_str().unwrap_or_default();
        let discords = url.scheme() == "https" && url.port().is_none() && HOSTS.contains(&host);
        let loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            _ => host == "localhost",
        };
        if discords || self.local && loopback {
            Ok(url)
        } else {
            Err(Missing::new(
                "it is not on one of Discord's file hosts",
                "不在 Discord 的文件服务器上",
            ))
        }
    }

    /// The share of the memory that a file of this size takes.
    fn share(&self, size: u64) -> u32 {
        let least = self.pieces / u32::try_from(SMALLEST_SHARE).unwrap_or(1);
        let pieces = u32::try_from(size.div_ceil(PIECE)).unwrap_or(u32::MAX);
        pieces.clamp(least.max(1), self.pieces)
    }

    /// The most that is read of a file of this size, should it be larger than it says.
    fn cap(&self, size: u64) -> u64 {
        (u64::from(self.share(size)) * PIECE).min(self.largest)
    }
}

/// What became of the files of a message.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Those that the hub keeps, by Discord's id.
    pub(crate) kept: Vec<(Id, BlobRef)>,
    /// The others.
    pub(crate) left_out: Vec<Missing>,
}

/// Has every file of the message, and of the one that it quotes, kept by the hub. `known`: files
/// that the hub keeps already.
pub(crate) async fn gather(bot: &Bot, message: &Message, known: &[(Id, BlobRef)]) -> Gathered {
    let files = listed(message);
    let mut gathered = Gathered::default();
    if files.is_empty() {
        return gathered;
    }
    let until = Instant::now() + PATIENCE;
    let fresh = Fresh {
        bot,
        message,
        files: OnceCell::new(),
    };
    let mut taking: Vec<BoxFuture<'_, _>> = Vec::new();
    for file in files.iter().take(MOST) {
        let known = known.iter().find(|(id, _)| *id == file.id);
        taking.push(match known {
            Some((_, blob)) => ready(Ok(blob.clone())).boxed(),
            None => take(&fresh, file, until).boxed(),
        });
    }
    let got: Vec<_> = stream::iter(taking).buffered(AT_A_TIME).collect().await;
    for (file, got) in files.iter().zip(got) {
        match got {
            Ok(blob) => gathered.kept.push((file.id, blob)),
            Err(why) => {
                let (en, zh) = (describe(file), describe_zh(file));
                gathered.left_out.push(why.of(&en, &zh));
            }
        }
    }
    if files.len() > MOST {
        let more = files.len() - MOST;
        let word = if more == 1 { "file" } else { "files" };
        gathered.left_out.push(Missing::new(
            format!("{more} more {word}: at most {MOST} are taken"),
            format!("另有 {more} 个文件：一次最多接收 {MOST} 个"),
        ));
    }
    debug!(
        kept = gathered.kept.len(),
        left_out = gathered.left_out.len(),
        "the files of a message"
    );
    gathered
}

/// The message's own files, and those of the quoted one.
fn listed(message: &Message) -> Vec<&Attachment> {
    let quoted = quote(message).map_or(&[][..], |quoted| &quoted.attachments);
    let mut files: Vec<&Attachment> = Vec::new();
    for file in message.attachments.iter().chain(quoted) {
        if file.id == Id(0) || files.iter().all(|other| other.id != file.id) {
            files.push(file);
        }
    }
    files
}

/// One file, from Discord's host to the hub.
async fn take(fresh: &Fresh<'_>, file: &Attachment, until: Instant) -> Result<BlobRef, Missing> {
    let bot = fresh.bot;
    let files = &bot.files;
    let url = files.address(file)?;
    let late = || Missing::new("it took too long", "下载超时");
    let room = files.room.acquire_many(files.share(file.size));
    // An error within would mean a closed semaphore; it never is.
    let _room = timeout_at(until, room).await.map_err(|_| late())?.ok();
    let carried = timeout_at(until, carry(fresh, file, url)).await;
    let bytes = carried.map_err(|_| late())??;
    let (name, mime) = (clean(&file.filename), clean(&file.content_type));
    loop {
        match timeout(KEEP, bot.hub.put_blob(&bytes, &name, &mime)).await {
            Ok(Ok(blob)) => return Ok(blob),
            Ok(Err(unkept)) => {
                debug!("a file was not kept: {unkept}");
                return Err(Missing::new("it could not be kept", "无法保存"));
            }
            // Without the hub the message itself has to wait.
            Err(_) if !bot.hub.is_linked() => {}
            Err(_) => return Err(late()),
        }
    }
}

/// Its content, from the address that came with it or a fresh one.
async fn carry(fresh: &Fresh<'_>, file: &Attachment, url: Url) -> Result<Vec<u8>, Missing> {
    let (bot, files) = (fresh.bot, &fresh.bot.files);
    let cap = files.cap(file.size);
    let bytes = match fetch(bot, url, cap).await {
        Err(NoFile::Gone) => match fresh.address(file.id).await {
            Some(url) => fetch(bot, url, cap).await,
            None => Err(NoFile::Gone),
        },
        other => other,
    };
    bytes.map_err(|why| match why {
        NoFile::Gone => Missing::new("Discord no longer has it", "Discord 上已不存在"),
        NoFile::TooLarge => Missing::new("larger than Discord says", "实际大小超过 Discord 所述"),
        NoFile::Refused(why) | NoFile::Trouble(why) => Missing::new(
            format!("it could not be fetched ({why})"),
            format!("无法下载（{why}）"),
        ),
    })
}

/// Its content; tried again while the host has trouble.
async fn fetch(bot: &Bot, url: Url, cap: u64) -> Result<Vec<u8>, NoFile> {
    let mut backoff = Backoff::new(
        Duration::from_millis(300),
        Duration::from_secs(5),
        Duration::from_secs(60),
    );
    loop {
        match bot.rest.download(url.clone(), cap).await {
            Err(NoFile::Trouble(why)) => {
                let wait = backoff.next(fastrand::f64());
                if backoff.tries() >= TRIES {
                    return Err(NoFile::Trouble(why));
                }
                tokio::time::sleep(wait).await;
            }
            other => return other,
        }
    }
}

/// The addresses of a message's files as Discord gives them now; asked for once, when needed.
struct Fresh<'a> {
    bot: &'a Bot,
    message: &'a Message,
    files: OnceCell<Vec<Attachment>>,
}

impl Fresh<'_> {
    async fn address(&self, file: Id) -> Option<Url> {
        let ask = || async {
            let (channel, message) = (self.message.channel_id, self.message.id);
            match self.bot.rest.message(channel, message).await {
                Ok(message) => listed(&message).into_iter().cloned().collect(),
                Err(why) => {
                    debug!("no fresh address for a file: {why}");
                    Vec::new()
                }
            }
        };
        let files = self.files.get_or_init(ask).await;
        let fresh = files.iter().find(|fresh| fresh.id == file)?;
        self.bot.files.address(fresh).ok()
    }
}

/// A file in words: its name, its kind, its size.
pub(crate) fn describe(file: &Attachment) -> String {
    let kind = kind(file).0;
    format!("{} ({kind}, {})", clean(&file.filename), size(file.size))
}

/// The same in Chinese.
fn describe_zh(file: &Attachment) -> String {
    let kind = kind(file).1;
    format!("{}（{kind}，{}）", clean(&file.filename), size(file.size))
}

fn kind(file: &Attachment) -> (&'static str, &'static str) {
    match file.content_type.split('/').next().unwrap_or_default() {
        "image" => ("image", "图片"),
        "audio" => ("audio", "音频"),
        "video" => ("video", "视频"),
        "text" => ("text", "文本"),
        _ => ("file", "文件"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::intake::tests::message;

    fn files(options: serde_json::Value) -> Files {
        Files::new(&serde_json::from_value(options).unwrap())
    }

    fn file(size: u64, url: &str) -> Attachment {
        Attachment {
            id: Id(1),
            size,
            url: url.into(),
            ..Attachment::default()
        }
    }

    #[test]
    fn only_discords_hosts_are_asked() {
        let real = files(json!({}));
        let local = files(json!({"api_base": "http://127.0.0.1:9/api/v10"}));
        for (url, from_real, from_local) in [
            (
                "https://cdn.discordapp.com/attachments/1/2/a?ex=1",
                true,
                true,
            ),
            ("https://media.discordapp.net/attachments/1/2/a", true, true),
            ("http://cdn.discordapp.com/a", false, false),
            ("https://cdn.discordapp.com:444/a", false, false),
            ("https://cdn.discordapp.com.evil.example/a", false, false),
            ("https://evil.example/cdn.discordapp.com", false, false),
            ("https://user@evil.example/a", false, false),
            ("http://127.0.0.1:80/a", false, true),
            ("http://[::1]:80/a", false, true),
            ("http://localhost/a", false, true),
            ("http://169.254.169.254/latest", false, false),
            ("file:///etc/passwd", false, false),
            ("", false, false),
        ] {
            let got = |files: &Files| files.address(&file(1, url)).is_ok();
            assert_eq!((got(&real), got(&local)), (from_real, from_local), "{url}");
        }
    }

    #[test]
    fn a_file_over_the_limit_is_refused_before_it_is_asked_for() {
        let url = "https://cdn.discordapp.com/a";
        let files = files(json!({"max_attachment_bytes": 1_500_000}));
        assert!(files.address(&file(1_500_000, url)).is_ok());
        let refused = files.address(&file(1_500_001, url)).unwrap_err();
        assert_eq!(refused, Missing::new("larger than 1.5 MB", "超过 1.5 MB"));
    }

    #[test]
    fn what_is_in_memory_is_bounded() {
        for largest in [1_u64, 25 << 20, 64 << 20] {
            let files = files(json!({"max_attachment_bytes": largest}));
            let all = u64::from(files.pieces);
            assert!(all * PIECE <= MEMORY.max(largest) + PIECE);
            for size in [0, 1, PIECE, largest / 2, largest, u64::MAX] {
                let share = u64::from(files.share(size));
                assert!(share <= all && share * SMALLEST_SHARE >= all - SMALLEST_SHARE);
                assert!(files.cap(size) >= size.min(largest));
                assert!(files.cap(size) <= largest.min(share * PIECE));
            }
        }
    }

    #[test]
    fn files_of_the_quoted_message_come_after_its_own() {
        let message = message(json!({"attachments": [{"id": "1"}, {"id": "2"}],
            "referenced_message": {"attachments": [{"id": "3"}, {"id": "1"}]}}));
        let ids: Vec<_> = listed(&message).iter().map(|file| file.id.0).collect();
        assert_eq!(ids, [1, 2, 3]);
    }

    #[test]
    fn a_file_is_told_in_words() {
        for (name, kind, size, expected) in [
            ("a.png", "image/png", 12_345, "a.png (image, 12 kB)"),
            ("a\nb", "", 5, "a b (file, 5 bytes)"),
            (
                "x.zip",
                "application/zip",
                2_340_000,
                "x.zip (file, 2.3 MB)",
            ),
        ] {
            let file = Attachment {
                filename: name.into(),
                content_type: kind.into(),
                size,
                ..Attachment::default()
            };
            assert_eq!(describe(&file), expected);
        }
    }
}
