//! Replies against drops of every kind, in simulated time.

use proptest::prelude::*;

use super::posting::ATTEMPTS;
use super::*;

fn chunk(reply: &str, index: u32, count: u32) -> Chunk {
    Chunk {
        key: format!("{reply}{index}"),
        reply: reply.into(),
        last: index + 1 == count,
        text: format!("{reply}{index} "),
        ..Chunk::default()
    }
}

/// Names messages m1, m2, …
fn namer() -> impl FnMut() -> String {
    let mut n = 0;
    move || {
        n += 1;
        format!("m{n}")
    }
}

/// Writes to people who are all sent files.
fn write(outbox: &mut Outbox, pings: u64, names: impl FnMut() -> String) -> Vec<SendMessage> {
    let (frames, over) = outbox.write(pings, Some("u"), names);
    assert_eq!(over, []);
    frames
}

fn keys(delivered: Vec<Delivered>) -> Vec<String> {
    delivered.into_iter().map(|chunk| chunk.key).collect()
}

fn short(frames: &[SendMessage]) -> Vec<String> {
    let line = |f: &SendMessage| {
        let done = if f.done { "!" } else { "" };
        format!("{}:{} {}{done}", f.message_id, f.chunk_id, f.text.trim())
    };
    frames.iter().map(line).collect()
}

#[test]
fn a_reply_is_one_message_and_delivered_by_the_pong_after_it() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    (0..3).for_each(|i| outbox.push("u", chunk("a", i, 3)));
    outbox.push("u", chunk("b", 0, 1));
    let frames = write(&mut outbox, 1, &mut names);
    assert_eq!(
        short(&frames),
        ["m1:0 a0", "m1:1 a1", "m1:2 a2!", "m2:0 b0!"]
    );
    assert_eq!(
        outbox.confirmed(1, now),
        [],
        "that ping was sent before them"
    );
    let keys: Vec<_> = outbox
        .confirmed(2, now)
        .into_iter()
        .map(|chunk| chunk.key)
        .collect();
    assert_eq!(keys, ["a0", "a1", "a2", "b0"]);
    assert!(outbox.is_written() && outbox.lanes.is_empty());
}

#[test]
fn a_drop_sends_the_unconfirmed_remainder_as_a_new_message() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    (0..2).for_each(|i| outbox.push("u", chunk("a", i, 5)));
    write(&mut outbox, 0, &mut names);
    assert_eq!(outbox.confirmed(1, now).len(), 2);
    (2..5).for_each(|i| outbox.push("u", chunk("a", i, 5)));
    write(&mut outbox, 1, &mut names);
    assert_eq!(
        short(&outbox.dropped()),
        [""; 0],
        "nobody knows how far m1 came"
    );
    let frames = write(&mut outbox, 0, &mut names);
    assert_eq!(short(&frames), ["m2:0 a2", "m2:1 a3", "m2:2 a4!"]);
}

#[test]
fn a_drop_between_chunks_closes_the_message_that_is_in_no_doubt() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    outbox.push("u", chunk("a", 0, 2));
    write(&mut outbox, 0, &mut names);
    outbox.confirmed(1, now);
    assert_eq!(short(&outbox.dropped()), ["m1:1 !"]);
    outbox.push("u", chunk("a", 1, 2));
    assert_eq!(short(&write(&mut outbox, 0, &mut names)), ["m2:0 a1!"]);
}

#[test]
fn a_reply_that_stops_half_way_is_closed() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    let patience = Duration::from_secs(10);
    outbox.push("u", chunk("a", 0, 3));
    write(&mut outbox, 0, &mut names);
    assert_eq!(outbox.close_idle(now + patience, patience), [], "in doubt");
    outbox.confirmed(1, now);
    assert_eq!(outbox.idle_since(), Some(now));
    assert_eq!(
        short(&outbox.close_idle(now + patience, patience)),
        ["m1:1 !"]
    );
    assert_eq!(outbox.idle_since(), None);
    outbox.push("u", chunk("a", 1, 3)); // late after all
    outbox.push("u", chunk("b", 0, 1)); // and then never its last
    let frames = write(&mut outbox, 1, &mut names);
    assert_eq!(short(&frames), ["m2:0 a1", "m2:1 !", "m3:0 b0!"]);
}

#[test]
fn people_do_not_wait_for_each_other_and_the_wire_has_a_bound() {
    let mut outbox = Outbox::default();
    (0..300).for_each(|i| outbox.push("a", chunk("x", i, 300)));
    let written = write(&mut outbox, 0, namer()).len();
    assert_eq!(written, UNCONFIRMED);
    assert_eq!(outbox.hand_back().len(), 300 - UNCONFIRMED);
    outbox.push("b", chunk("y", 0, 1));
    assert_eq!(write(&mut outbox, 0, namer()).len(), 0);
    outbox.confirmed(1, Instant::now());
    assert_eq!(write(&mut outbox, 1, namer()).len(), 1);
}

/// What a phone shows, and what it holds to be wrong.
#[derive(Default)]
struct Phone {
    open: BTreeMap<String, u32>,
    texts: Vec<String>,
}

impl Phone {
    fn take(&mut self, frame: &SendMessage) {
        let next = self.open.entry(frame.message_id.clone()).or_insert(0);
        assert_eq!(*next, frame.chunk_id, "a gap in {}", frame.message_id);
        *next = if frame.done { u32::MAX } else { *next + 1 };
        self.texts
            .extend((!frame.text.is_empty()).then(|| frame.text.clone()));
    }
}

proptest! {
    /// However the connection drops: nothing is missing, order holds, and only what was written
    /// after the last pong stands twice.
    #[test]
    fn nothing_is_lost_and_only_the_doubtful_stands_twice(
        steps in prop::collection::vec(0..4_u8, 1..80),
        counts in prop::collection::vec(1..6_u32, 1..8),
    ) {
        let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
        let mut chunks: VecDeque<Chunk> = counts
            .iter()
            .enumerate()
            .flat_map(|(n, count)| (0..*count).map(move |i| chunk(&format!("r{n}-"), i, *count)))
            .collect();
        let expected: Vec<String> = chunks.iter().map(|c| c.text.clone()).collect();
        let (mut phone, mut seen, mut pings) = (Phone::default(), Vec::new(), 0);
        // Of what is on the wire, a drop lets only some through.
        let mut wire: VecDeque<SendMessage> = VecDeque::new();
        for step in steps.into_iter().chain([1, 2]) {
            match step {
                0 => outbox.push("u", match chunks.pop_front() { Some(c) => c, None => continue }),
                1 => wire.extend(write(&mut outbox, pings, &mut names)),
                2 => {
                    wire.drain(..).for_each(|frame| phone.take(&frame));
                    pings += 1;
                    seen.extend(outbox.confirmed(pings, now));
                }
                _ => {
                    let through = wire.len() / 2;
                    wire.drain(..through).for_each(|frame| phone.take(&frame));
                    wire.clear();
                    let closing = outbox.dropped();
                    pings = 0;
                    wire.extend(closing);
                }
            }
        }
        while let Some(chunk) = chunks.pop_front() {
            outbox.push("u", chunk);
        }
        wire.extend(write(&mut outbox, pings, &mut names));
        wire.drain(..).for_each(|frame| phone.take(&frame));
        seen.extend(outbox.confirmed(pings + 1, now));
        prop_assert!(outbox.is_written());
        let mut first = phone.texts.clone();
        let mut known = std::collections::HashSet::new();
        first.retain(|text| known.insert(text.clone()));
        prop_assert_eq!(&first, &expected, "nothing missing, first sights in order");
        let keys: Vec<_> = seen.iter().map(|chunk| format!("{} ", chunk.key)).collect();
        prop_assert_eq!(&keys, &expected, "each confirmed once, in order");
    }
}

fn with_file(mut chunk: Chunk, names: &[&str]) -> Chunk {
    let file = |name: &&str| BlobRef {
        name: name.to_string(),
        ..BlobRef::default()
    };
    chunk.files = names.iter().map(file).collect();
    chunk
}

#[test]
fn files_go_one_by_one_when_the_text_before_them_is_certain() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    outbox.push("u", with_file(chunk("a", 0, 2), &["x", "y"]));
    outbox.push("u", chunk("a", 1, 2));
    let frames = write(&mut outbox, 0, &mut names);
    assert_eq!(short(&frames), ["m1:0 a0!"], "a file ends the bubble");
    assert_eq!(outbox.next_file(now), None, "the text is in doubt");
    assert_eq!(outbox.confirmed(1, now), [], "its files are to come");
    let first = outbox.next_file(now).unwrap();
    assert_eq!((&*first.file.name, outbox.next_file(now)), ("x", None));
    assert_eq!(outbox.posted(&first, "f1"), None);
    let second = outbox.next_file(now).unwrap();
    assert_eq!(second.file.name, "y");
    assert_eq!(write(&mut outbox, 1, &mut names), [], "what follows waits");
    let delivered = outbox.posted(&second, "f2").unwrap();
    assert_eq!((&*delivered.key, &*delivered.message_id), ("a0", "m1"));
    let frames = write(&mut outbox, 1, &mut names);
    assert_eq!(short(&frames), ["m2:0 a1!"]);
    assert_eq!(keys(outbox.confirmed(2, now)), ["a1"]);
    assert!(outbox.lanes.is_empty() && !outbox.has_files());
}

#[test]
fn a_drop_before_the_pong_takes_the_files_back_with_their_text() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    outbox.push("u", with_file(chunk("a", 0, 1), &["x"]));
    write(&mut outbox, 0, &mut names);
    outbox.dropped();
    assert_eq!(outbox.next_file(now), None);
    let frames = write(&mut outbox, 0, &mut names);
    assert_eq!(short(&frames), ["m2:0 a0!"]);
    outbox.confirmed(1, now);
    let job = outbox.next_file(now).unwrap();
    outbox.dropped(); // the text has its pong: it does not come again
    assert_eq!(write(&mut outbox, 0, &mut names), []);
    assert_eq!(outbox.posted(&job, "f").unwrap().key, "a0");
}

#[test]
fn a_file_alone_is_delivered_as_itself_and_closes_what_is_open() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    outbox.push("u", chunk("a", 0, 2));
    let mut alone = with_file(chunk("a", 1, 2), &["x"]);
    alone.text = String::new();
    outbox.push("u", alone);
    let frames = write(&mut outbox, 0, &mut names);
    assert_eq!(short(&frames), ["m1:0 a0", "m1:1 !"]);
    let job = outbox.next_file(now).unwrap();
    let delivered = outbox.posted(&job, "f").unwrap();
    assert_eq!((&*delivered.key, &*delivered.message_id), ("a1", "f"));
}

#[test]
fn files_are_for_the_owner_alone_and_whoever_else_is_told() {
    let (mut outbox, mut names, now) = (Outbox::default(), namer(), Instant::now());
    outbox.push("v", with_file(chunk("a", 0, 2), &["x"]));
    let mut alone = with_file(chunk("a", 1, 2), &["y"]);
    alone.text = String::new();
    outbox.push("v", alone);
    let (frames, over) = outbox.write(0, Some("u"), &mut names);
    assert_eq!(short(&frames), ["m1:0 a0!"]);
    assert!(over.len() == 1 && over[0].key == "a1" && over[0].without_files);
    outbox.dropped();
    let (frames, _) = outbox.write(0, None, &mut names);
    assert_eq!(short(&frames), ["m2:0 a0!"]);
    let confirmed = outbox.confirmed(1, now);
    assert!(confirmed.len() == 1 && confirmed[0].without_files);
    assert_eq!(outbox.next_file(now), None);
}

#[test]
fn a_file_that_fails_is_tried_a_few_times_and_the_lane_goes_on() {
    let (mut outbox, mut names, mut now) = (Outbox::default(), namer(), Instant::now());
    let mut alone = with_file(chunk("a", 0, 1), &["x"]);
    alone.text = String::new();
    outbox.push("u", alone);
    outbox.push("u", chunk("b", 0, 1));
    write(&mut outbox, 0, &mut names);
    let wait = Duration::from_secs(5);
    for attempt in 1..=ATTEMPTS {
        let job = outbox.next_file(now).unwrap();
        let again = outbox.not_posted(&job, wait, now);
        assert_eq!(again, attempt < ATTEMPTS);
        assert_eq!(outbox.next_file(now), None, "not at once");
        assert_eq!(outbox.next_file_at(), Some(now + wait));
        now += wait;
        if !again {
            outbox.give_up(&job);
        }
    }
    let frames = write(&mut outbox, 0, &mut names);
    assert_eq!(short(&frames), ["m1:0 b0!"]);
}

#[test]
fn what_is_handed_back_is_handed_back_once() {
    let (mut outbox, mut names) = (Outbox::default(), namer());
    outbox.push("u", with_file(chunk("a", 0, 1), &["x"]));
    outbox.push("u", chunk("b", 0, 1));
    write(&mut outbox, 0, &mut names);
    outbox.dropped();
    assert_eq!(outbox.hand_back(), ["a0", "b0"]);
    assert_eq!(outbox.hand_back(), [""; 0]);
}
