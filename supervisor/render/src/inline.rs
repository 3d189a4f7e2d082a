//! Markup inside a line: code spans, links, addresses, emphasis.
//!
//! It errs to one side: what may be meant literally stays, because a stray asterisk is harmless and
//! a pattern or a name that lost one is wrong. Every step is linear in the line, links excepted,
//! whose target is read at most [`TARGET_MAX`] bytes far.

use std::collections::HashMap;
use std::ops::Range;

/// The longest link target that is recognised, in bytes.
const TARGET_MAX: usize = 2048;
/// How deep labels are flattened: an image in a link is two.
const DEPTH_MAX: usize = 3;

/// A stretch of a line.
pub(crate) struct Piece<'a> {
    pub(crate) at: Range<usize>,
    pub(crate) kind: Kind<'a>,
}

pub(crate) enum Kind<'a> {
    Text,
    /// Asterisks, underscores or tildes without a partner: text, but a piece of its own.
    Run,
    /// A code span with its backticks.
    Code,
    /// A backslash and the character that it protects.
    Escape,
    /// A web address, bare or in angle brackets.
    Address,
    Link {
        label: &'a str,
        /// The address, and the title if there is one.
        target: &'a str,
        image: bool,
    },
    /// Marks of emphasis that have a partner: the other one's place among the pieces.
    Mark {
        partner: usize,
    },
}

/// Code spans of `line`, backticks included.
pub(crate) fn code_spans(line: &str) -> Vec<Range<usize>> {
    skeleton(line).0
}

/// Stretches of `line` that a cut would spoil: code spans, links, addresses, emphasis.
pub(crate) fn spans(line: &str) -> Vec<Range<usize>> {
    let pieces = pieces(line);
    let mut spans: Vec<Range<usize>> = Vec::new();
    for piece in &pieces {
        let span = match piece.kind {
            Kind::Text | Kind::Run | Kind::Escape => continue,
            Kind::Mark { partner } => piece.at.start..pieces[partner].at.end,
            _ => piece.at.clone(),
        };
        match spans.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ if span.is_empty() || span.start > span.end => {}
            _ => spans.push(span),
        }
    }
    spans
}

/// `line` without markup: `text (address)` for a link, code as it is.
pub(crate) fn flatten(line: &str) -> String {
    flatten_to(line, DEPTH_MAX)
}

fn flatten_to(line: &str, depth: usize) -> String {
    let mut out = String::with_capacity(line.len());
    for piece in pieces(line) {
        let raw = &line[piece.at];
        match piece.kind {
            Kind::Text | Kind::Run | Kind::Code => out.push_str(raw),
            Kind::Escape => out.push_str(&raw[1..]),
            Kind::Address => out.push_str(raw.trim_matches(['<', '>'])),
            Kind::Mark { .. } => {}
            Kind::Link { label, target, .. } if depth > 0 => {
                out.push_str(&spelled_out(&flatten_to(label, depth - 1), target));
            }
            Kind::Link { .. } => out.push_str(raw),
        }
    }
    out
}

/// A link in words, for a place that cannot mask addresses.
pub(crate) fn spelled_out(label: &str, target: &str) -> String {
    if label.is_empty() || label == target {
        target.to_owned()
    } else {
        format!("{label} ({target})")
    }
}

/// Splits `line` into pieces that cover it.
pub(crate) fn pieces(line: &str) -> Vec<Piece<'_>> {
    let bytes = line.as_bytes();
    let (codes, brackets) = skeleton(line);
    let mut codes = codes.into_iter().peekable();
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut emphasis = Emphasis::default();
    let mut at = 0;
    while at < bytes.len() {
        while codes.next_if(|code| code.end <= at).is_some() {}
        let (end, kind) = match bytes[at] {
            b'`' if codes.peek().is_some_and(|code| code.start == at) => {
                (codes.next().map_or(at + 1, |code| code.end), Kind::Code)
            }
            b'\\' if bytes.get(at + 1).is_some_and(u8::is_ascii_punctuation) => {
                (at + 2, Kind::Escape)
            }
            b'!' | b'[' => link(line, at, &brackets).unwrap_or((at + 1, Kind::Text)),
            b'<' | b'h' => {
                address(line, at).map_or((at + 1, Kind::Text), |end| (end, Kind::Address))
            }
            b'*' | b'_' | b'~' => {
                let tick = bytes[at];
                let len = bytes[at..].iter().take_while(|b| **b == tick).count();
                emphasis.meet(line, at..at + len, &mut pieces);
                at += len;
                continue;
            }
            _ => (next_special(bytes, at + 1), Kind::Text),
        };
        push(&mut pieces, at..end, kind);
        at = end;
    }
    pieces
}

/// Adds a piece; text joins the text before it.
fn push<'a>(pieces: &mut Vec<Piece<'a>>, at: Range<usize>, kind: Kind<'a>) {
    if let (
        Kind::Text,
        Some(Piece {
            at: last,
            kind: Kind::Text,
        }),
    ) = (&kind, pieces.last_mut())
    {
        last.end = at.end;
    } else {
        pieces.push(Piece { at, kind });
    }
}

/// The next byte from `at` on that may begin something, or the end. Always between characters:
/// all of them are ASCII.
fn next_special(bytes: &[u8], at: usize) -> usize {
    let special = |b: &u8| {
        matches!(
            b,
            b'`' | b'\\' | b'!' | b'[' | b'<' | b'h' | b'*' | b'_' | b'~'
        )
    };
    bytes[at..]
        .iter()
        .position(special)
        .map_or(bytes.len(), |found| at + found)
}

/// Code spans, and for every opening bracket outside of them its closing one.
fn skeleton(line: &str) -> (Vec<Range<usize>>, HashMap<usize, usize>) {
    let bytes = line.as_bytes();
    let run_at = |at: usize| bytes[at..].iter().take_while(|b| **b == b'`').count();
    let mut last_run = HashMap::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = run_at(at);
        if len > 0 {
            last_run.insert(len, at);
        }
        at += len.max(1);
    }
    let (mut codes, mut open, mut brackets) = (Vec::new(), Vec::new(), HashMap::new());
    at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes.get(at + 1).is_some_and(u8::is_ascii_punctuation) => at += 2,
            b'`' => {
                let len = run_at(at);
                let mut close = at + len;
                if last_run.get(&len).is_some_and(|last| *last > at) {
                    while close < bytes.len() {
                        let found = run_at(close);
                        close += found.max(1);
                        if found == len {
                            codes.push(at..close);
                            break;
                        }
                    }
                }
                at = close;
            }
            b'[' => {
                open.push(at);
                at += 1;
            }
            b']' => {
                if let Some(start) = open.pop() {
                    brackets.insert(start, at);
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    (codes, brackets)
}

/// The link or image that begins at `at`, and where it ends.
fn link<'a>(
    line: &'a str,
    at: usize,
    brackets: &HashMap<usize, usize>,
) -> Option<(usize, Kind<'a>)> {
    let image = line.as_bytes()[at] == b'!';
    let open = at + usize::from(image);
    let close = *brackets.get(&open)?;
    let inside = line[close + 1..].strip_prefix('(')?;
    let mut depth = 0;
    let mut end = None;
    for (at, c) in inside.char_indices().take_while(|(at, _)| *at < TARGET_MAX) {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => {
                end = Some(at);
                break;
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    let end = end?;
    let target = inside[..end].trim();
    let target = target
        .strip_prefix('<')
        .and_then(|t| t.strip_suffix('>'))
        .unwrap_or(target);
    // After the address only a title in quotes may follow; else this is a remark in brackets.
    let title = target
        .split_once([' ', '\t'])
        .map(|(_, title)| title.trim_start());
    if target.is_empty() || title.is_some_and(|title| !title.starts_with(['"', '\''])) {
        return None;
    }
    Some((
        close + 2 + end + 1,
        Kind::Link {
            label: &line[open + 1..close],
            target,
            image,
        },
    ))
}

/// Where the web address that begins at `at` ends.
fn address(line: &str, at: usize) -> Option<usize> {
    let rest = &line[at..];
    let bare = rest.strip_prefix('<').unwrap_or(rest);
    if !["https://", "http://"]
        .iter()
        .any(|scheme| bare.starts_with(scheme))
    {
        return None;
    }
    let stops = |c: char| {
        !c.is_ascii()
            || c.is_ascii_whitespace()
            || matches!(c, '<' | '>' | '*' | '`' | ')' | ']' | '"')
    };
    let len = bare.find(stops).unwrap_or(bare.len());
    let end = at + (rest.len() - bare.len()) + len;
    match (bare.len() == rest.len(), bare[len..].starts_with('>')) {
        (true, _) => Some(end),
        (false, true) => Some(end + 1),
        (false, false) => None,
    }
}

/// Runs of emphasis marks that wait for a partner.
#[derive(Default)]
struct Emphasis {
    open: Vec<(u8, usize, usize)>,
    waiting: HashMap<(u8, usize), usize>,
}

impl Emphasis {
    /// Takes the run at `at`: closes the last open one of its kind and length, or waits for one.
    fn meet(&mut self, line: &str, at: Range<usize>, pieces: &mut Vec<Piece<'_>>) {
        let kind = (line.as_bytes()[at.start], at.len());
        let here = pieces.len();
        let before = line[..at.start].chars().next_back();
        let after = line[at.end..].chars().next();
        let known = at.len() <= 3 && (kind.0 != b'~' || at.len() == 2);
        if known && can_close(before, after) && self.waiting.get(&kind).is_some_and(|n| *n > 0) {
            while let Some((tick, len, partner)) = self.open.pop() {
                if let Some(n) = self.waiting.get_mut(&(tick, len)) {
                    *n -= 1;
                }
                if (tick, len) != kind {
                    continue;
                }
                let inside = &line[pieces[partner].at.end..at.start];
                if !is_dunder(kind, inside) {
                    pieces[partner].kind = Kind::Mark { partner: here };
                    pieces.push(Piece {
                        at,
                        kind: Kind::Mark { partner },
                    });
                    return;
                }
                break;
            }
        } else if known && can_open(before, after) {
            self.open.push((kind.0, kind.1, here));
            *self.waiting.entry(kind).or_default() += 1;
        }
        pieces.push(Piece {
            at,
            kind: Kind::Run,
        });
    }
}

/// `__init__` is a name, not a bold word.
fn is_dunder(kind: (u8, usize), inside: &str) -> bool {
    kind == (b'_', 2)
        && inside
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn can_open(before: Option<char>, after: Option<char>) -> bool {
    // A dot or a slash next to the mark: a pattern of file names.
    after.is_some_and(|c| !c.is_whitespace() && !matches!(c, '.' | '/'))
        && before.is_none_or(|c| {
            c.is_whitespace()
                || !c.is_ascii()
                || matches!(c, '(' | '[' | '{' | '"' | '\'' | '*' | '_' | '~')
        })
}

fn can_close(before: Option<char>, after: Option<char>) -> bool {
    before.is_some_and(|c| !c.is_whitespace() && c != '/')
        && after.is_none_or(|c| {
            c.is_whitespace()
                || !c.is_ascii()
                || matches!(
                    c,
                    '.' | ','
                        | ';'
                        | ':'
                        | '!'
                        | '?'
                        | ')'
                        | ']'
                        | '}'
                        | '"'
                        | '\''
                        | '-'
                        | '*'
                        | '_'
                        | '~'
                        | '|'
                )
        })
}
