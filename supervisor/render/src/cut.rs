//! Where one chunk ends and the next begins.
//!
//! Every place where the chunk could end is offered with its [`Class`]; the best class wins that
//! has a place in the chunk's second half, and of that class the last place. So no chunk is less
//! than half full, unless a table or fence is moved whole to the next one, or nothing else fits.

use std::collections::HashSet;

use unicode_segmentation::UnicodeSegmentation;

use crate::blank::is_spacing;
use crate::fence;
use crate::inline;
use crate::outline::{Kind, Line, Outline, Place};

/// How far beyond the limit a line is read, in code points, so that words, sentences and spans
/// which end behind it are seen whole.
const LOOK_AHEAD: usize = 256;

/// Kinds of cut, the best first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Paragraph,
    Line,
    /// Before an indented line, whose indentation a message's start does not show, or behind a
    /// heading.
    LineSpoiled,
    /// Before a table or fence that fits into the next chunk, however empty this one stays.
    Move,
    /// Blank lines in code.
    CodeGap,
    CodeLine,
    /// The same in a table or fence that could be moved, were it not for the crumb left behind.
    SplitGap,
    SplitLine,
    Sentence,
    Word,
    /// Between words that no whitespace parts.
    WordEdge,
    /// In a code span, a link or emphasis.
    Span,
    Grapheme,
    /// Right behind a fence's opening or right before its closing, leaving it empty.
    EmptyFence,
}

const CLASSES: usize = Class::EmptyFence as usize + 1;

/// Where the text of a chunk begins, and on which line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) place: Place,
    pub(crate) line: usize,
}

/// The end of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Where its text ends.
    pub(crate) end: Place,
    /// Where the next one's begins; nothing behind the last.
    pub(crate) next: Option<Spot>,
    /// The fence that is open here.
    pub(crate) fence: Option<usize>,
}

/// The best places found so far.
struct Picks {
    max: usize,
    best: [Option<Cut>; CLASSES],
    /// The last place that leaves the chunk less than half full.
    short: Option<Cut>,
    /// The same where it also leaves a fence empty.
    crumb: Option<Cut>,
}

impl Picks {
    fn offer(&mut self, class: Class, cut: Cut, filled: usize) {
        let slot = &mut self.best[class as usize];
        if class == Class::Move || filled * 2 >= self.max {
            *slot = Some(cut);
        } else if class == Class::EmptyFence {
            self.crumb = Some(cut);
        } else {
            self.short = Some(cut);
        }
    }

    /// The best place whose class is `worst` or better.
    fn take(&self, worst: Class) -> Option<Cut> {
        self.best[..=worst as usize]
            .iter()
            .flatten()
            .next()
            .copied()
    }
}

pub(crate) struct Cutter<'a> {
    pub(crate) text: &'a str,
    pub(crate) outline: &'a Outline,
    pub(crate) max: usize,
    /// The separator goes into the chunk, so it needs room.
    pub(crate) joined: bool,
}

impl Cutter<'_> {
    /// Where the chunk ends that begins at `from` with `head` inserted code points.
    pub(crate) fn cut(&self, from: Spot, head: usize) -> Cut {
        if let Some(rest) = self.rest(from, head) {
            return rest;
        }
        let mut picks = Picks {
            max: self.max,
            best: [None; CLASSES],
            short: None,
            crumb: None,
        };
        self.between_lines(from, head, &mut picks);
        if let Some(cut) = picks.take(Class::Grapheme) {
            return cut;
        }
        self.within_lines(from, head, &mut picks);
        picks
            .take(Class::EmptyFence)
            .or(picks.short)
            .or(picks.crumb)
            .unwrap_or_else(|| self.forced(from, head))
    }

    /// The last chunk, if the rest fits.
    fn rest(&self, from: Spot, head: usize) -> Option<Cut> {
        let last = self
            .outline
            .lines
            .iter()
            .rev()
            .find(|line| !line.is_blank())?;
        let fence = self.outline.unclosed();
        let used = head + (last.end.chars - from.place.chars) + self.tail(fence);
        (used <= self.max).then_some(Cut {
            end: last.end,
            next: None,
            fence,
        })
    }

    /// Offers the line breaks.
    fn between_lines(&self, from: Spot, head: usize, picks: &mut Picks) {
        let lines = &self.outline.lines;
        let mut at = from.line;
        while let Some(next) = lines[at].next {
            let line = &lines[at];
            let used = head + (line.end.chars - from.place.chars);
            if used > self.max {
                break;
            }
            let (cut, filled, fits) = self.line_cut(at, next, used);
            if fits && !self.misread(cut) {
                let class = self.line_class(at, next, cut.fence.is_some());
                picks.offer(class, cut, filled);
                if self.moves(next, from, head) && used * 16 >= self.max {
                    picks.offer(Class::Move, cut, filled);
                }
            }
            at = next;
        }
    }

    /// The cut between the lines `at` and `next`; how full it leaves the chunk; whether it fits.
    fn line_cut(&self, at: usize, next: usize, used: usize) -> (Cut, usize, bool) {
        let (line, after) = (&self.outline.lines[at], &self.outline.lines[next]);
        let fence = line.fence.filter(|_| line.fence == after.fence);
        // A reopened fence protects its code's indentation, unless there is too much of it.
        let indent = after.first.chars - after.start.chars;
        let kept = fence.is_some() && after.kind == Kind::Code && indent * 4 <= self.max;
        let place = if kept { after.start } else { after.first };
        let apart = place.chars - line.end.chars;
        let cost = used + self.tail(fence) + self.room_for(apart);
        let cut = Cut {
            end: line.end,
            next: Some(Spot { place, line: next }),
            fence,
        };
        (cut, used + self.tail(fence) + apart, cost <= self.max)
    }

    fn line_class(&self, at: usize, next: usize, in_fence: bool) -> Class {
        let (line, after) = (&self.outline.lines[at], &self.outline.lines[next]);
        let gap = next > at + 1;
        let one_block = line.block.is_some() && line.block == after.block;
        let splits = one_block && line.block.is_some_and(|id| self.outline.blocks[id].fits);
        if in_fence && (line.kind == Kind::Open || after.kind == Kind::Close) {
            return Class::EmptyFence;
        }
        match (splits, in_fence, gap) {
            (true, _, true) => Class::SplitGap,
            (true, _, false) => Class::SplitLine,
            (false, true, true) => Class::CodeGap,
            (false, true, false) => Class::CodeLine,
            _ if line.kind == Kind::Heading || after.kind != Kind::Open && after.is_indented() => {
                Class::LineSpoiled
            }
            (false, false, true) => Class::Paragraph,
            (false, false, false) => Class::Line,
        }
    }

    /// Whether line `next` begins a block that fits into a chunk, but no longer into this one.
    fn moves(&self, next: usize, from: Spot, head: usize) -> bool {
        self.outline.lines[next]
            .block
            .map(|id| &self.outline.blocks[id])
            .is_some_and(|block| {
                block.first == next
                    && block.fits
                    && head + (block.end_chars - from.place.chars) > self.max
            })
    }

    /// Offers places inside the lines that reach into the chunk's second half.
    fn within_lines(&self, from: Spot, head: usize, picks: &mut Picks) {
        let mut at = Some(from.line);
        while let Some(id) = at {
            let line = &self.outline.lines[id];
            if head + line.first.chars.saturating_sub(from.place.chars) > self.max {
                break;
            }
            let reached = head + (line.end.chars - from.place.chars);
            if reached * 2 >= self.max && !matches!(line.kind, Kind::Open | Kind::Close) {
                self.within_line(id, from, head, picks);
            }
            at = line.next;
        }
    }

    fn within_line(&self, id: usize, from: Spot, head: usize, picks: &mut Picks) {
        let line = &self.outline.lines[id];
        let begin = if id == from.line {
            from.place
        } else {
            line.first
        };
        let segment = self.segment(line, begin, from, head);
        let fence = line.fence;
        let in_text = fence.is_none();
        let sentences: HashSet<usize> = match in_text {
            true => segment
                .split_sentence_bound_indices()
                .map(|(at, _)| at)
                .collect(),
            false => HashSet::new(),
        };
        let words: HashSet<usize> = segment
            .split_word_bound_indices()
            .map(|(at, _)| at)
            .collect();
        let spans = if in_text {
            inline::spans(segment)
        } else {
            Vec::new()
        };
        let mut spans = spans.into_iter().peekable();

        let solid = begin.byte + self.solid(&self.text[begin.byte..line.end.byte], fence);

        let mut place = begin;
        // Where the whitespace before `place` begins.
        let mut run: Option<Place> = None;
        let mut before = "";
        for (offset, grapheme) in segment.grapheme_indices(true) {
            while spans.next_if(|span| span.end <= offset).is_some() {}
            let end = run.unwrap_or(place);
            let used = head + (end.chars - from.place.chars);
            if used > self.max {
                break;
            }
            let apart = place.chars - end.chars;
            let cost = used + self.tail(fence) + self.room_for(apart);
            let opens = grapheme.starts_with(is_spacing);
            let cuttable = end.byte > begin.byte && !opens && end.byte >= solid && cost <= self.max;
            if cuttable {
                let spot = Spot { place, line: id };
                let cut = Cut {
                    end,
                    next: Some(spot),
                    fence,
                };
                let in_span = spans.peek().is_some_and(|span| span.start < offset);
                let edge = words.contains(&offset) && !glued(before, grapheme);
                let class = match (in_span, run.is_some()) {
                    (true, true) => Class::Span,
                    (true, false) => Class::Grapheme,
                    _ if sentences.contains(&offset)
                        && ends_sentence(&segment[..end.byte - begin.byte], grapheme) =>
                    {
                        Class::Sentence
                    }
                    (false, true) => Class::Word,
                    (false, false) if edge => Class::WordEdge,
                    (false, false) => Class::Grapheme,
                };
                if !self.misread(cut) {
                    picks.offer(class, cut, used + self.tail(fence) + apart);
                }
            }
            let kept = grapheme.trim_end_matches(is_spacing);
            run = match kept.len() {
                0 => run.or(Some(place)),
                n if n < grapheme.len() => Some(place.after(kept)),
                _ => None,
            };
            before = grapheme;
            place = place.after(grapheme);
        }
    }

    /// What of `line` may matter: from `begin` to a little beyond the limit, and if that is amid
    /// whitespace, to a little beyond the whitespace.
    fn segment(&self, line: &Line, begin: Place, from: Spot, head: usize) -> &str {
        let rest = &self.text[begin.byte..line.end.byte.max(begin.byte)];
        let room = self
            .max
            .saturating_sub(head + (begin.chars - from.place.chars));
        let mut len = chars_len(rest, room + LOOK_AHEAD);
        if rest[..len].ends_with(is_spacing) {
            len = rest.len() - rest[len..].trim_start_matches(is_spacing).len();
            len += chars_len(&rest[len..], LOOK_AHEAD);
        }
        &rest[..len]
    }

    /// Whether what follows `cut` would be taken for a fence's mark once it begins a line, or could
    /// not be cut again without becoming one.
    fn misread(&self, cut: Cut) -> bool {
        let Some(next) = cut.next else { return false };
        let line = &self.outline.lines[next.line];
        let rest = &self.text[next.place.byte..line.end.byte];
        let may_be_mark = rest.starts_with(|c| matches!(c, '`' | '~') || is_spacing(c));
        if self.joined || !may_be_mark || matches!(line.kind, Kind::Open | Kind::Close) {
            return false;
        }
        // A mark that is longer than a chunk is as bad as one that never ends.
        let rest = &rest[..chars_len(rest, self.max)];
        let mark = match cut.fence.map(|id| &self.outline.fences[id]) {
            Some(fence) => fence::closes(rest, fence.tick, fence.len),
            None => fence::opener(rest).is_some(),
        };
        mark || rest[..self.solid(rest, cut.fence)].chars().count() * 2 > self.max
    }

    /// How many bytes of `rest`, which stands at the start of a line, read as a fence's mark as long
    /// as nothing follows them.
    fn solid(&self, rest: &str, fence: Option<usize>) -> usize {
        let Some((tick, len, indent)) = fence::run(rest).filter(|_| !self.joined) else {
            return 0;
        };
        let behind = &rest[indent + len..];
        let found = match fence.map(|id| &self.outline.fences[id]) {
            Some(fence) if tick != fence.tick || len < fence.len => None,
            Some(_) => behind.char_indices().find(|(_, c)| !is_spacing(*c)),
            None => behind.char_indices().find(|(_, c)| *c == '`'),
        };
        found.map_or(0, |(at, c)| indent + len + at + c.len_utf8())
    }

    /// A cut on this line wherever it fits: for a grapheme longer than a chunk, or a line that reads
    /// as a fence's mark all along.
    fn forced(&self, from: Spot, head: usize) -> Cut {
        let line = &self.outline.lines[from.line];
        let fence = line.fence.filter(|_| line.kind == Kind::Code);
        let room = self.max.saturating_sub(head + self.tail(fence)).max(1);
        let rest = &self.text[from.place.byte..line.end.byte.max(from.place.byte)];
        let taken = &rest[..graphemes_len(rest, room)];
        let trimmed = taken.trim_end_matches(is_spacing);
        let kept = if trimmed.is_empty() { taken } else { trimmed };
        let after = &rest[taken.len()..];
        let skipped = &after[..after.len() - after.trim_start_matches(is_spacing).len()];
        let next = from.place.after(taken).after(skipped);
        let next = if next.byte < line.end.byte {
            Some(Spot {
                place: next,
                line: from.line,
            })
        } else {
            line.next.map(|id| Spot {
                place: self.outline.lines[id].first,
                line: id,
            })
        };
        Cut {
            end: from.place.after(kept),
            next,
            fence,
        }
    }

    /// Code points that closing `fence` takes.
    fn tail(&self, fence: Option<usize>) -> usize {
        fence.map_or(0, |id| self.outline.fences[id].tail_chars())
    }

    /// Code points of a separator that must find room in the chunk; of an absurdly long one only a
    /// part.
    fn room_for(&self, apart: usize) -> usize {
        if self.joined {
            apart.min(self.max / 4)
        } else {
            0
        }
    }
}

/// Bytes of the first `n` characters of `text`.
fn chars_len(text: &str, n: usize) -> usize {
    text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
}

/// Bytes of the graphemes that fit into `n` characters of `text`; of a first one that is longer, as
/// much as fits.
fn graphemes_len(text: &str, n: usize) -> usize {
    // One character more, so that a grapheme that ends at the last one is seen to end there.
    let mut room = n;
    let fits = |grapheme: &&str| {
        let left = room.checked_sub(grapheme.chars().count());
        room = left.unwrap_or(room);
        left.is_some()
    };
    let len = text[..chars_len(text, n + 1)]
        .graphemes(true)
        .take_while(fits)
        .map(str::len)
        .sum();
    if len == 0 { chars_len(text, n) } else { len }
}

/// Whether a line break between two graphemes is bad typography: punctuation that belongs to the
/// word before it must not begin a message, an opening bracket not end one.
fn glued(before: &str, after: &str) -> bool {
    const OPENING: &str = "([{<\"'`$#@*_~\\（［｛〈《「『【〔〖“‘";
    const CLOSING: &str = ")]}>\"'`,.;:!?%*_~-/）］｝〉》」』】〕〗”’，。、；：！？…—·～％";
    before.ends_with(|c| OPENING.contains(c)) || after.starts_with(|c| CLOSING.contains(c))
}

/// Whether `text` ends with a sentence. The number of a list's item does not, and a closing quote
/// or bracket belongs to the sentence before it.
fn ends_sentence(text: &str, after: &str) -> bool {
    let last_word = text.rsplit(is_spacing).next().unwrap_or("");
    let number = last_word.strip_suffix('.').is_some_and(|word| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_digit())
            && word.len() == text.trim_start().len() - 1
    });
    !number && !glued("", after)
}
