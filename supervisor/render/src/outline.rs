//! A text's lines, its code fences and the blocks that are better not cut, read once.

use crate::blank::is_spacing;
use crate::blocks::heading;
use crate::{fence, table};

/// A place in the text, counted both ways.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) byte: usize,
    /// Code points before it.
    pub(crate) chars: usize,
}

impl Place {
    /// The place behind `text`, which begins here.
    pub(crate) fn after(self, text: &str) -> Place {
        Place {
            byte: self.byte + text.len(),
            chars: self.chars + text.chars().count(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A title, which should not be parted from what follows.
    Heading,
    /// The lines of a fence.
    Open,
    Code,
    Close,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) kind: Kind,
    pub(crate) start: Place,
    /// Behind its indentation.
    pub(crate) first: Place,
    /// Before its trailing whitespace and its line break.
    pub(crate) end: Place,
    /// The fence that this line opens, closes or is inside of.
    pub(crate) fence: Option<usize>,
    /// The table or fence that it belongs to.
    pub(crate) block: Option<usize>,
    /// The next line with anything on it.
    pub(crate) next: Option<usize>,
}

impl Line {
    pub(crate) fn is_blank(&self) -> bool {
        self.first.byte >= self.end.byte
    }

    pub(crate) fn is_indented(&self) -> bool {
        self.first.byte > self.start.byte
    }
}

#[derive(Debug)]
pub(crate) struct Fence {
    pub(crate) tick: char,
    pub(crate) len: usize,
    info: String,
    open: usize,
    close: Option<usize>,
}

impl Fence {
    /// What reopens it, line break included. Without the info string if that takes too much.
    pub(crate) fn head(&self, max: usize) -> String {
        let gap = if self.info.starts_with(self.tick) {
            " "
        } else {
            ""
        };
        let full = format!("{}{gap}{}\n", self.ticks(), self.info);
        if full.chars().count() + self.len < max / 2 {
            full
        } else {
            format!("{}\n", self.ticks())
        }
    }

    /// What closes it, line break included.
    pub(crate) fn tail(&self) -> String {
        format!("\n{}", self.ticks())
    }

    pub(crate) fn tail_chars(&self) -> usize {
        self.len + 1
    }

    fn ticks(&self) -> String {
        String::from(self.tick).repeat(self.len)
    }
}

/// A table or a fence.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) first: usize,
    /// Where it ends, in code points.
    pub(crate) end_chars: usize,
    /// It fits into one chunk.
    pub(crate) fits: bool,
}

#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) lines: Vec<Line>,
    pub(crate) fences: Vec<Fence>,
    pub(crate) blocks: Vec<Block>,
}

impl Outline {
    /// Reads `text` for chunks of `max` code points. With `fences` off, no line is taken for a
    /// fence's.
    pub(crate) fn of(text: &str, max: usize, fences: bool) -> Outline {
        let mut outline = Outline {
            lines: lines(text),
            fences: Vec::new(),
            blocks: Vec::new(),
        };
        if fences {
            outline.find_fences(text);
            outline.give_up_fences(max);
        }
        outline.find_blocks(text, max);
        let mut next = None;
        for (at, line) in outline.lines.iter_mut().enumerate().rev() {
            line.next = next;
            if !line.is_blank() {
                next = Some(at);
            }
        }
        outline
    }

    /// The fence that the text leaves open at its end.
    pub(crate) fn unclosed(&self) -> Option<usize> {
        let last = self.lines.iter().rev().find(|line| !line.is_blank())?;
        last.fence.filter(|_| last.kind != Kind::Close)
    }

    fn find_fences(&mut self, text: &str) {
        let mut open: Option<usize> = None;
        for (at, line) in self.lines.iter_mut().enumerate() {
            let content = &text[line.start.byte..line.end.byte];
            line.fence = open;
            if let Some(id) = open {
                let fence = &mut self.fences[id];
                if fence::closes(content, fence.tick, fence.len) {
                    (line.kind, fence.close, open) = (Kind::Close, Some(at), None);
                } else {
                    line.kind = Kind::Code;
                }
            } else if let Some(found) = fence::opener(content) {
                open = Some(self.fences.len());
                (line.kind, line.fence) = (Kind::Open, open);
                self.fences.push(Fence {
                    tick: found.tick,
                    len: found.len,
                    info: found.info.to_owned(),
                    open: at,
                    close: None,
                });
            }
        }
    }

    /// Makes plain text of fences whose own marks leave no room for code.
    fn give_up_fences(&mut self, max: usize) {
        for fence in &self.fences {
            let opener = &self.lines[fence.open];
            let opener = opener.end.chars - opener.first.chars;
            let closer = fence.close.map(|at| &self.lines[at]);
            let closer = closer.map_or(0, |line| line.end.chars - line.first.chars);
            let marks = 2 * fence.len + 2;
            if marks <= max / 2 && opener + 1 + fence.tail_chars() < max && closer <= max / 2 {
                continue;
            }
            let last = fence.close.unwrap_or(self.lines.len() - 1);
            for line in &mut self.lines[fence.open..=last] {
                (line.kind, line.fence) = (Kind::Text, None);
            }
        }
    }

    fn find_blocks(&mut self, text: &str, max: usize) {
        let content = |line: &Line| &text[line.start.byte..line.end.byte];
        let mut at = 0;
        while at < self.lines.len() {
            let last;
            let mut extra = 0;
            if let Some(id) = self.lines[at].fence {
                let fence = &self.fences[id];
                last = fence.close.unwrap_or(self.lines.len() - 1);
                extra = if fence.close.is_none() {
                    fence.tail_chars()
                } else {
                    0
                };
            } else if let Some(rule) = self.lines.get(at + 1).filter(|line| line.fence.is_none())
                && table::starts(content(&self.lines[at]), content(rule))
            {
                let row = |line: &&Line| line.fence.is_none() && table::is_row(content(line));
                last = at + self.lines[at..].iter().take_while(row).count() - 1;
            } else {
                at += 1;
                continue;
            }
            let end = self.lines[at..=last]
                .iter()
                .rev()
                .find(|line| !line.is_blank());
            let end_chars = end.map_or(0, |line| line.end.chars) + extra;
            let fits = end_chars - self.lines[at].first.chars <= max;
            for line in &mut self.lines[at..=last] {
                line.block = Some(self.blocks.len());
            }
            self.blocks.push(Block {
                first: at,
                end_chars,
                fits,
            });
            at = last + 1;
        }
    }
}

fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = Place { byte: 0, chars: 0 };
    for raw in text.split_inclusive('\n') {
        let body = raw.trim_end_matches(is_spacing);
        let lead = raw.len() - raw.trim_start_matches(is_spacing).len();
        lines.push(Line {
            kind: if heading(body).is_some() {
                Kind::Heading
            } else {
                Kind::Text
            },
            start,
            first: start.after(&raw[..lead]),
            end: start.after(body),
            fence: None,
            block: None,
            next: None,
        });
        start = start.after(raw);
    }
    lines
}
