//! What a turn shows while it runs. Pure: (state, event, now) → [`Act`]s.
//!
//! Three of the styles need thought, the others show nothing or one word:
//! - legacy: a message for each step; a text block is a message once it is known not to be the last;
//! - compact and card: pages. One message is open and is changed; it lists the steps and the earlier
//!   text blocks, whole, and at its end the text that is being written. A page that is full is frozen
//!   and another one opened.
//!
//! Promises:
//! - No page is longer than the limit; no earlier text block is cut off, only parted between pages.
//! - What [`Kept`] holds is enough to go on after a crash. Text that is being written is not in it:
//!   it is shown on trust and becomes content, or goes.
//! - Between two changes of a message lies an interval; a turn that ends before anything was to be
//!   shown gives no act at all.

mod page;
mod terms;

use ipc_schema::Card;
use render::Dialect;
use spool::TurnState;

use crate::plan::Style;
use crate::texts::progress as words;
pub use page::Item;
pub use terms::{Act, Kept, Seen, Show, View};

/// See the module.
#[derive(Debug)]
pub struct Progress {
    show: Show,
    kept: Kept,
    thinking: bool,
    /// The last whole block, which may be the answer.
    held: Option<String>,
    /// Since when text has been coming with no page open.
    coming_since: Option<u64>,
    /// The platform has the open page.
    landed: bool,
    /// The open page does not read as it should.
    stale: bool,
    /// Characters that came since it last changed.
    fresh_chars: usize,
    changed_at: u64,
}

impl Progress {
    /// Of a turn that begins.
    pub fn new(show: Show, now: u64) -> Progress {
        let kept = Kept {
            style: show.style,
            started_at: now,
            ..Kept::default()
        };
        Progress::resume(show, kept, false)
    }

    /// Of a turn that runs; `landed`: the platform has the open page.
    pub fn resume(mut show: Show, kept: Kept, landed: bool) -> Progress {
        show.style = kept.style;
        Progress {
            stale: !kept.page.is_empty(),
            show,
            kept,
            thinking: false,
            held: None,
            coming_since: None,
            landed,
            fresh_chars: 0,
            changed_at: 0,
        }
    }

    /// What must survive, as it is now.
    pub fn kept(&self) -> Kept {
        let lasts = |item: &&Item| matches!(item, Item::Line(_) | Item::Text(_));
        Kept {
            items: self.kept.items.iter().filter(lasts).cloned().collect(),
            ..self.kept.clone()
        }
    }

    /// The style.
    pub fn style(&self) -> Style {
        self.kept.style
    }

    /// The same, to be noted in.
    pub fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// The dialect that its texts are rendered for.
    pub fn dialect(&self) -> Dialect {
        self.show.dialect
    }

    /// The last whole block, if it was not shown.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// The chunk that posted the open page; empty = there is none.
    pub fn page(&self) -> &str {
        &self.kept.page
    }

    /// Whether it has pages.
    fn has_pages(&self) -> bool {
        matches!(self.kept.style, Style::Compact | Style::Card)
    }

    /// The agent does something.
    pub fn seen(&mut self, seen: Seen<'_>, now: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        if let Seen::Partial(text) = seen {
            self.partial(text, now, &mut acts);
            return acts;
        }
        let Some(line) = self.line(seen) else {
            return acts;
        };
        // Whatever comes after a block shows that it was not the last.
        self.not_the_last(&mut acts);
        match self.has_pages() {
            true => {
                // What was thought takes the place of that something is.
                let thinks = Item::Line(words::thinking(self.show.lang).to_owned());
                if matches!(seen, Seen::Thinking(_)) && self.kept.items.last() == Some(&thinks) {
                    self.kept.items.pop();
                }
                self.kept.items.push(Item::Line(line));
                self.stale = true;
                self.turn_page(now, &mut acts);
                self.look(now, &mut acts);
            }
            false => acts.push(Act::Step(line)),
        }
        acts
    }

    /// The line that is shown of it, if any.
    fn line(&mut self, seen: Seen<'_>) -> Option<String> {
        let literal = |text: &str| render::literal(text, self.show.dialect);
        let was_thinking = self.thinking;
        self.thinking = matches!(seen, Seen::Thinking(_));
        // A step always fits a message, whatever the operator allows.
        let room = self.show.limit / 2;
        let most = self.show.tool_max.unwrap_or(room).min(room);
        let line = match seen {
            Seen::Thinking("") if self.show.thinking && !was_thinking => {
                words::thinking(self.show.lang).to_owned()
            }
            Seen::Thinking(text) if self.show.thinking && !text.trim().is_empty() => {
                self.thinking = false;
                let most = self.show.thinking_max.unwrap_or(room).min(room);
                words::thought(&literal(&bounded(text.trim(), most)))
            }
            Seen::Tool { name, input } if self.show.tools => {
                let (name, input) = (bounded(name, 100), bounded(input, most));
                words::tool(&literal(&name), &literal(&input), self.show.lang)
            }
            Seen::Note(text) => words::note(&literal(&bounded(text, room.min(500)))),
            Seen::Remark(text) => words::note(&bounded(text, room.min(500))),
            _ => return None,
        };
        Some(page::clip(&line, self.show.limit))
    }

    fn not_the_last(&mut self, acts: &mut Vec<Act>) {
        if self.kept.style == Style::Legacy {
            acts.extend(self.held.take().map(Act::Earlier));
        }
    }

    fn partial(&mut self, text: &str, now: u64, acts: &mut Vec<Act>) {
        self.thinking = false;
        if text.trim().is_empty() || self.kept.items.iter().any(|item| item.has(text)) {
            return;
        }
        if self.kept.style == Style::Legacy {
            // The text of the next block.
            return self.not_the_last(acts);
        }
        if !self.has_pages() || self.show.preview.is_none() {
            return;
        }
        match self
            .kept
            .items
            .iter_mut()
            .rev()
            .find_map(|item| item.grows(text))
        {
            Some(old) => {
                let grown = text.chars().count().saturating_sub(old.chars().count());
                self.fresh_chars += grown.max(1);
                text.clone_into(old);
            }
            None => {
                self.fresh_chars += text.chars().count();
                self.kept.items.push(Item::Partial(text.to_owned()));
            }
        }
        if self.fresh_chars >= self.show.min_delta {
            self.stale = true;
        }
        self.coming_since.get_or_insert(now);
        self.look(now, acts);
    }

    /// A text block is whole. `shown`: an earlier attempt showed it.
    pub fn block(&mut self, id: &str, text: &str, shown: bool, now: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        self.thinking = false;
        if self.held.as_deref() != Some(id) {
            acts.extend(self.held.take().map(Act::Earlier));
        }
        let place = self.kept.items.iter().position(|item| item.becomes(text));
        if shown {
            place.map(|at| self.kept.items.remove(at));
            return acts;
        }
        self.held = Some(id.to_owned());
        let item = Item::Held {
            id: id.to_owned(),
            text: text.to_owned(),
        };
        match place {
            Some(at) => self.kept.items[at] = item,
            None => self.kept.items.push(item),
        }
        self.stale = true;
        if self.has_pages() {
            self.look(now, &mut acts);
        }
        acts
    }

    /// A file comes after the last whole block, which therefore is not the answer.
    pub fn file(&mut self) -> Vec<Act> {
        self.held.take().map(Act::Earlier).into_iter().collect()
    }

    /// A block of which [`Act::Earlier`] spoke takes its place on the page, if there is one.
    pub fn earlier(&mut self, id: &str, rendered: &str, now: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        self.held.take_if(|held| held == id);
        let of = |item: &Item| matches!(item, Item::Held { id: of, .. } if of == id);
        let place = self.kept.items.iter().position(of);
        if !self.has_pages() {
            place.map(|at| self.kept.items.remove(at));
            return acts;
        }
        let item = Item::Text(rendered.to_owned());
        match place {
            Some(at) => self.kept.items[at] = item,
            None => self.kept.items.push(item),
        }
        self.stale = true;
        self.turn_page(now, &mut acts);
        self.look(now, &mut acts);
        acts
    }

    /// The page of [`Act::Page`] is that chunk.
    pub fn opened(&mut self, chunk: &str) {
        self.kept.page = chunk.to_owned();
        self.landed = false;
    }

    /// The platform has the open page.
    pub fn landed(&mut self, now: u64) -> Vec<Act> {
        self.landed = true;
        self.tick(now)
    }

    /// Time has passed, or the worker is back and may not show the newest.
    pub fn tick(&mut self, now: u64) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.has_pages() {
            self.look(now, &mut acts);
        }
        acts
    }

    /// The open page may not read as it should.
    pub fn doubt(&mut self) {
        self.stale = !self.kept.page.is_empty();
    }

    /// When [`Progress::tick`] is worth a call.
    pub fn wake(&self) -> Option<u64> {
        if self.kept.page.is_empty() {
            return self.coming_since.map(|since| since + self.show.interval);
        }
        (self.landed && self.stale).then_some(self.changed_at + self.show.interval)
    }

    /// Another attempt begins: what was on trust is gone, and all content is told anew.
    pub fn again(&mut self) {
        let kept = self.kept();
        self.kept.items = kept.items;
        (self.thinking, self.held, self.coming_since) = (false, None, None);
        self.doubt();
    }

    /// Opens a page or changes it, if it is time.
    fn look(&mut self, now: u64, acts: &mut Vec<Act>) {
        if self.kept.page.is_empty() {
            let lasts = self.kept.items.iter().any(Item::lasts);
            let comes = self
                .coming_since
                .is_some_and(|since| since + self.show.interval <= now);
            // A page that was just ordered is open as soon as it has a name.
            let ordered = acts.iter().any(|act| matches!(act, Act::Page(_)));
            if (lasts || comes) && !ordered {
                acts.push(Act::Page(self.view(None, now)));
                self.changed(now);
            }
        } else if self.landed && self.stale && self.changed_at + self.show.interval <= now {
            acts.push(Act::Revise(self.view(None, now)));
            self.changed(now);
        }
    }

    fn changed(&mut self, now: u64) {
        (self.stale, self.fresh_chars, self.changed_at) = (false, 0, now);
        self.coming_since = None;
    }

    /// Freezes what is full.
    fn turn_page(&mut self, now: u64, acts: &mut Vec<Act>) {
        let room = self.room();
        let Some(full) = page::overflow(&mut self.kept.items, room) else {
            return;
        };
        let mut open = !self.kept.page.is_empty();
        for (text, content) in full {
            let view = self.page_view(text, content);
            acts.push(match std::mem::replace(&mut open, false) {
                true => Act::Freeze(view),
                false => Act::Page(view),
            });
        }
        acts.push(Act::Page(self.view(None, now)));
        self.changed(now);
    }

    /// What a page may hold beside the line that says how things stand.
    fn room(&self) -> usize {
        self.show.limit.saturating_sub(page::STANDING)
    }

    /// The turn is over; the block that is the answer is posted elsewhere. `texts` is all that it
    /// wrote.
    pub fn end(&mut self, over: TurnState, texts: &[&str], now: u64) -> Vec<Act> {
        if self.kept.page.is_empty() || !self.has_pages() {
            return Vec::new();
        }
        let trusted = over != TurnState::Ended;
        let most = self.show.preview.unwrap_or(0).min(self.room() / 2);
        page::settle(
            &mut self.kept.items,
            texts,
            trusted.then_some(most),
            self.show.dialect,
        );
        let mut acts = Vec::new();
        self.turn_page(now, &mut acts);
        let last = self.view(Some(over), now);
        match acts.last_mut() {
            Some(Act::Page(view)) => *view = last,
            _ => acts.push(Act::Freeze(last)),
        }
        acts
    }

    /// The open page as it should read.
    fn view(&self, over: Option<TurnState>, now: u64) -> View {
        let lang = self.show.lang;
        let secs = now.saturating_sub(self.kept.started_at) / 1000;
        let preview = self.show.preview.unwrap_or(0);
        let items = &self.kept.items;
        let text = page::lay_out(items, self.room(), preview, self.show.dialect);
        let content = items.iter().any(|item| matches!(item, Item::Text(_)));
        let card = (self.kept.style == Style::Card && !self.kept.plain).then(|| Card {
            title: words::title(over, lang),
            text: text.clone(),
            footer: words::footer(secs, lang),
            tone: page::tone(over),
        });
        let gap = if text.is_empty() { "" } else { "\n" };
        let standing = words::standing(over, secs, lang);
        View {
            text: format!("{text}{gap}{standing}"),
            card,
            content,
        }
    }

    /// A page that is full.
    fn page_view(&self, text: String, content: bool) -> View {
        let card = (self.kept.style == Style::Card && !self.kept.plain).then(|| Card {
            text: text.clone(),
            ..Card::default()
        });
        View {
            text,
            card,
            content,
        }
    }
}

/// At most so many characters, and `…` for the rest.
fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
