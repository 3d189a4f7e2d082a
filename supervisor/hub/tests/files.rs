//! Files: in from workers and runners, out to whoever asks, along with messages and prompts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says so by failing"
)]

#[allow(dead_code, unreachable_pub, missing_docs)]
mod desk;

use desk::*;
use hub::engine::Out;
use hub::plan::{Plan, Style};
use hub::texts::Lang;
use hub::texts::progress::{NoFile, no_file};
use ipc_schema::*;

/// SHA-256 of `cat`, of `doggy`, and of a name that nothing has.
const CAT: &str = "77af778b51abd4a3c51c5ddd97204a9c3ae614ebccb75a606c3b6865aed6744e";
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn segment(sha256: &str, offset: u64, total: u64, bytes: &[u8]) -> Body {
    Body::BlobSegment(BlobSegment {
        sha256: sha256.into(),
        offset,
        total,
        bytes: bytes.to_vec(),
    })
}

fn get(sha256: &str, offset: u64) -> Body {
    let sha256 = sha256.to_owned();
    Body::BlobGet(BlobGet { sha256, offset })
}

fn cat() -> BlobRef {
    BlobRef {
        sha256: CAT.into(),
        name: "cat.txt".into(),
        mime: "text/plain".into(),
        size: 3,
    }
}

fn keeps_cat(desk: &mut Desk, peer: &str) {
    let out = desk.got(peer, segment(CAT, 0, 3, b"cat"));
    assert_eq!(kinds(&out), ["blob_kept"]);
}

fn refusal(out: &[Out]) -> String {
    let [out] = out else { panic!("{out:?}") };
    let Body::Nack(nack) = &out.body else {
        panic!("{out:?}")
    };
    nack.why.clone()
}

fn can() -> Capabilities {
    Capabilities {
        edit: true,
        files: true,
        file_limit: 10,
        ..worker_can()
    }
}

fn styled(style: Style) -> Plan {
    let mut plan = plan();
    plan.platforms.get_mut(WORKER).unwrap().progress = style;
    plan
}

#[test]
fn a_file_in_pieces_is_kept_once_it_is_whole() {
    for peer in [WORKER, RUNNER] {
        let mut desk = Desk::linked();
        assert_eq!(desk.got(peer, segment(CAT, 0, 3, b"c")), []);
        assert_eq!(desk.got(peer, segment(CAT, 1, 3, b"a")), []);
        assert_eq!(desk.spool.blob_path(CAT).unwrap(), None);
        let out = desk.got(peer, segment(CAT, 2, 3, b"t"));
        assert_eq!(kinds(&out), ["blob_kept"]);
        assert!(desk.spool.blob_path(CAT).unwrap().is_some());
        // Said again after a relink, whole or in pieces.
        keeps_cat(&mut desk, peer);
        assert_eq!(desk.got(peer, segment(CAT, 0, 3, b"ca")), []);
        let out = desk.got(peer, segment(CAT, 2, 3, b"t"));
        assert_eq!(kinds(&out), ["blob_kept"]);
    }
}

#[test]
fn an_empty_file_is_a_file() {
    let mut desk = Desk::linked();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let out = desk.got(WORKER, segment(empty, 0, 0, b""));
    assert_eq!(kinds(&out), ["blob_kept"]);
}

#[test]
fn what_is_no_file_is_refused_in_words_and_the_next_is_taken() {
    let mut desk = Desk::linked();
    desk.got(WORKER, segment(CAT, 0, 3, b"c"));
    let why = refusal(&desk.got(WORKER, segment(CAT, 2, 3, b"t")));
    assert!(why.contains("expected from 1"), "{why}");
    let why = refusal(&desk.got(WORKER, segment(CAT, 1, 3, b"at")));
    assert!(why.contains("send all of it again"), "{why}");
    let why = refusal(&desk.got(WORKER, segment(CAT, 0, 3, b"dog")));
    assert!(why.contains("another hash"), "{why}");
    let why = refusal(&desk.got(WORKER, segment(CAT, 0, 1 << 40, b"c")));
    assert!(why.contains("50 MiB"), "{why}");
    let big = vec![0; MAX_SEGMENT + 1];
    let why = refusal(&desk.got(WORKER, segment(CAT, 0, 1 << 20, &big)));
    assert!(why.contains("128 KiB"), "{why}");
    refusal(&desk.got(WORKER, segment("../../etc/passwd", 0, 3, b"cat")));
    keeps_cat(&mut desk, WORKER);
}

#[test]
fn files_of_a_peer_that_never_end_give_way() {
    let mut desk = Desk::linked();
    for n in 0..100 {
        let name = format!("{n:064x}");
        assert_eq!(desk.got(WORKER, segment(&name, 0, 1 << 20, b"x")), []);
    }
    refusal(&desk.got(WORKER, segment(&format!("{:064x}", 0), 1, 1 << 20, b"x")));
    let last = format!("{:064x}", 99);
    assert_eq!(desk.got(WORKER, segment(&last, 1, 1 << 20, b"x")), []);
    // A relink forgets the rest.
    desk.worker_up();
    refusal(&desk.got(WORKER, segment(&last, 2, 1 << 20, b"x")));
}

#[test]
fn a_file_is_read_in_pieces_by_whoever_knows_its_name() {
    let mut desk = Desk::linked();
    let bytes: Vec<u8> = (0..MAX_SEGMENT + 10).map(|n| n as u8).collect();
    let sha256 = desk.spool.keep_bytes(&bytes, desk.now).unwrap();
    let read = |desk: &mut Desk, offset| {
        let out = desk.got(RUNNER, get(&sha256, offset));
        let [out] = out.as_slice() else {
            panic!("{out:?}")
        };
        let Body::BlobSegment(piece) = &out.body else {
            panic!("{out:?}")
        };
        assert_eq!((piece.offset, piece.total), (offset, bytes.len() as u64));
        piece.bytes.clone()
    };
    let mut all = read(&mut desk, 0);
    assert_eq!(all.len(), MAX_SEGMENT);
    all.extend(read(&mut desk, MAX_SEGMENT as u64));
    assert_eq!(all, bytes);
    assert_eq!(read(&mut desk, u64::MAX), [0u8; 0]);
    for name in [NOTHING, "../x"] {
        assert_eq!(kinds(&desk.got(WORKER, get(name, 0))), ["blob_gone"]);
    }
}

#[test]
fn who_asks_for_too_much_at_once_hears_it() {
    let mut desk = Desk::linked();
    keeps_cat(&mut desk, WORKER);
    let many = (0..40).map(|_| hub::engine::Event::Got {
        peer: WORKER.into(),
        id: 1,
        trace: String::new(),
        body: get(CAT, 0),
    });
    let out = desk.batch(many.collect());
    let all = kinds(&out);
    assert_eq!(
        all.iter().filter(|kind| *kind == "blob_segment").count(),
        16
    );
    assert_eq!(all.iter().filter(|kind| *kind == "nack").count(), 24);
}

#[test]
fn what_came_with_a_message_goes_with_its_prompt_and_is_kept_until_then() {
    let mut desk = Desk::linked();
    keeps_cat(&mut desk, WORKER);
    let running = prompts(&desk.says("e1", "one")).remove(0);
    let Body::Inbound(mut message) = inbound("e2", "ann", "look") else {
        panic!()
    };
    message.attachments = vec![cat(), BlobRef::default()];
    message.attachments[1].sha256 = NOTHING.into();
    message.attachments[1].name = "gone.png".into();
    let out = desk.got(WORKER, Body::Inbound(message));
    let said = desk.post_all(out).join("|");
    assert!(said.contains("gone.png"), "{said}");
    desk.kill_hub();
    desk.worker_up();
    desk.runner_up(true, Standing::Running);
    let year = 365 * 86_400_000;
    assert_eq!(desk.spool.prune_blobs(desk.now + year, 1, 9).unwrap(), 0);
    let out = desk.answer(&running.at, "1");
    let prompt = prompts(&out).remove(0);
    assert_eq!(prompt.attachments, [cat()]);
    desk.answer(&prompt.at, "a cat");
    assert_eq!(desk.spool.prune_blobs(desk.now + year, 1, 9).unwrap(), 1);
}

fn file(caption: &str) -> TurnEvent {
    TurnEvent::File {
        file: cat(),
        caption: caption.into(),
    }
}

/// Everything that is delivered, in order, as `text [file]`.
fn said(desk: &mut Desk, out: Vec<Out>) -> Vec<String> {
    let mut todo = deliveries(&out);
    let mut said = Vec::new();
    while !todo.is_empty() {
        let deliver = todo.remove(0);
        let files: Vec<&str> = deliver
            .files
            .iter()
            .map(|file| file.name.as_str())
            .collect();
        said.push(format!("{}{files:?}", deliver.text).replace("[]", ""));
        let done = Delivered {
            platform_id: deliver.key.clone(),
            key: deliver.key,
            ..Delivered::default()
        };
        todo.extend(deliveries(&desk.got(WORKER, Body::Delivered(done))));
    }
    said
}

#[test]
fn a_file_of_the_agents_is_a_message_in_order_with_the_texts() {
    for style in [Style::Off, Style::Legacy] {
        let mut desk = Desk::linked_to(styled(style), can());
        let at = prompts(&desk.says("e1", "one")).remove(0).at;
        keeps_cat(&mut desk, RUNNER);
        let mut out = desk.update(&at, 1, started(false));
        out.extend(desk.update(&at, 2, block("a", "Here it comes.")));
        out.extend(desk.update(&at, 3, file("My *cat*")));
        out.extend(desk.update(&at, 4, block("b", "That was it.")));
        out.extend(desk.update(&at, 5, ended(Outcome::Done)));
        let expected = ["Here it comes.", "My *cat*[\"cat.txt\"]", "That was it."];
        assert_eq!(said(&mut desk, out), expected, "{style:?}");
    }
}

#[test]
fn a_file_alone_is_an_answer_and_comes_once_however_often_the_turn_is_made() {
    let mut desk = Desk::linked_to(styled(Style::Compact), can());
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    keeps_cat(&mut desk, RUNNER);
    let mut out = desk.update(&at, 1, started(false));
    out.extend(desk.update(&at, 2, file("")));
    out.extend(desk.update(&at, 3, file("twice")));
    desk.kill_hub();
    out = desk.worker_up();
    let mut all = said(&mut desk, out);
    let out = desk.runner_up(true, Standing::Unknown);
    let at = prompts(&out).remove(0).at;
    all.extend(said(&mut desk, out));
    let mut out = desk.update(&at, 1, started(false));
    out.extend(desk.update(&at, 2, file("")));
    out.extend(desk.update(&at, 3, file("twice")));
    out.extend(desk.update(&at, 4, ended(Outcome::Done)));
    all.extend(said(&mut desk, out));
    assert_eq!(all, ["[\"cat.txt\"]", "twice[\"cat.txt\"]"]);
}

#[test]
fn a_file_that_cannot_come_is_told_in_words() {
    let mut off = plan();
    off.attachments.send = false;
    let small = Capabilities {
        file_limit: 2,
        ..can()
    };
    let gone = |plan: Plan, can: Capabilities, kept: bool| {
        let mut desk = Desk::linked_to(plan, can);
        let at = prompts(&desk.says("e1", "one")).remove(0).at;
        if kept {
            keeps_cat(&mut desk, RUNNER);
        }
        let mut out = desk.update(&at, 1, started(false));
        out.extend(desk.update(&at, 2, file("look")));
        out.extend(desk.update(&at, 3, ended(Outcome::Done)));
        said(&mut desk, out)
    };
    let word = |why| [no_file("cat.txt", why, Lang::En)];
    assert_eq!(gone(off, can(), true), word(NoFile::Off));
    assert_eq!(gone(plan(), worker_can(), true), word(NoFile::Platform));
    assert_eq!(gone(plan(), small, true), word(NoFile::TooLarge(2)));
    assert_eq!(gone(plan(), can(), false), word(NoFile::Gone));
}

#[test]
fn a_file_stays_until_its_message_is_posted() {
    let mut desk = Desk::linked_to(plan(), can());
    let at = prompts(&desk.says("e1", "one")).remove(0).at;
    keeps_cat(&mut desk, RUNNER);
    desk.update(&at, 1, started(false));
    let mut out = desk.update(&at, 2, file("look"));
    out.extend(desk.update(&at, 3, ended(Outcome::Done)));
    let year = 365 * 86_400_000;
    assert_eq!(desk.spool.prune_blobs(desk.now + year, 1, 9).unwrap(), 0);
    said(&mut desk, out);
    assert_eq!(desk.spool.prune_blobs(desk.now + year, 1, 9).unwrap(), 1);
}
