//! What is said of a turn while it runs, and of files.
//!
//! Lines of a message that grows: foreign words in them are set by the caller, in the platform's
//! dialect ([`render::literal`]).

use spool::TurnState;

use super::Lang;
use super::foreign::line;

/// The name of the file that a long answer goes as.
pub const ANSWER_FILE: &str = "answer.md";

/// The agent thinks.
pub fn thinking(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "🤔 Thinking…",
        Lang::Zh => "🤔 思考中…",
    }
}

/// What the agent thought.
pub fn thought(text: &str) -> String {
    format!("🤔 {text}")
}

/// How full the agent's context is, under an answer.
pub fn context(percent: u64, lang: Lang) -> String {
    both!(lang, "context {percent} %", "上下文 {percent}%")
}

/// The agent uses a tool.
pub fn tool(name: &str, input: &str, lang: Lang) -> String {
    let call = match input {
        "" => name.to_owned(),
        input => format!("{name}({input})"),
    };
    both!(lang, "🔧 Tool: {call}", "🔧 工具：{call}")
}

/// Something that the agent's runner has to say.
pub fn note(text: &str) -> String {
    format!("ℹ️ {text}")
}

/// How a turn stands, on one line.
pub fn standing(over: Option<TurnState>, secs: u64, lang: Lang) -> String {
    match over {
        None => both!(lang, "⏳ Working…", "⏳ 处理中…"),
        Some(TurnState::Ended) => both!(lang, "✅ Done in {secs} s", "✅ 已完成，用时 {secs} 秒"),
        Some(TurnState::Stopped) => {
            both!(
                lang,
                "⏹️ Stopped after {secs} s",
                "⏹️ 已停止，用时 {secs} 秒"
            )
        }
        Some(TurnState::Interrupted) => {
            both!(
                lang,
                "⚠️ Interrupted after {secs} s",
                "⚠️ 已中断，用时 {secs} 秒"
            )
        }
        Some(_) => both!(lang, "❌ Failed after {secs} s", "❌ 失败，用时 {secs} 秒"),
    }
}

/// The same as the title of a card.
pub fn title(over: Option<TurnState>, lang: Lang) -> String {
    match over {
        None => both!(lang, "⏳ Working…", "⏳ 处理中…"),
        Some(TurnState::Ended) => both!(lang, "✅ Done", "✅ 已完成"),
        Some(TurnState::Stopped) => both!(lang, "⏹️ Stopped", "⏹️ 已停止"),
        Some(TurnState::Interrupted) => both!(lang, "⚠️ Interrupted", "⚠️ 已中断"),
        Some(_) => both!(lang, "❌ Failed", "❌ 失败"),
    }
}

/// For how long, as the footer of a card.
pub fn footer(secs: u64, lang: Lang) -> String {
    both!(lang, "{secs} s", "{secs} 秒")
}

/// Where nothing of a turn can be shown and it takes long.
pub fn still_working(lang: Lang) -> String {
    both!(
        lang,
        "The agent is working on it; the answer will come here.",
        "助手正在处理，完成后会在这里回复。"
    )
}

/// The turn is over, and what it had to say stands already.
pub fn said_above(lang: Lang) -> String {
    both!(
        lang,
        "Done. The agent's last words are above.",
        "已完成。助手的最后回复见上文。"
    )
}

/// Under the beginning of an answer that goes as a file.
pub fn whole_in_file(lang: Lang) -> String {
    both!(
        lang,
        "📄 The whole answer is in {ANSWER_FILE}.",
        "📄 完整回复见文件 {ANSWER_FILE}。"
    )
}

/// Why a file of the agent's does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFile {
    /// The operator has switched it off.
    Off,
    /// The platform, or its worker, takes none.
    Platform,
    /// It is larger than this many bytes.
    TooLarge(u64),
    /// It is no longer there.
    Gone,
}

/// The agent sent a file that does not come.
pub fn no_file(name: &str, why: NoFile, lang: Lang) -> String {
    let name = line(name).replace('`', "'");
    let why = match why {
        NoFile::Off => both!(
            lang,
            "the operator does not let agents send files (`attachment_send`)",
            "管理员不允许助手发送文件（`attachment_send`）"
        ),
        NoFile::Platform => both!(
            lang,
            "files cannot be posted on this platform",
            "这个平台无法发送文件"
        ),
        NoFile::TooLarge(bytes) => {
            let limit = size(bytes);
            both!(lang, "it is larger than {limit}", "文件超过 {limit}")
        }
        NoFile::Gone => both!(lang, "it is no longer kept", "文件已不再保留"),
    };
    both!(
        lang,
        "The agent sent the file `{name}`, but {why}.",
        "助手发送了文件 `{name}`，但{why}。"
    )
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_own_words_in_each_language() {
        use TurnState::*;
        for lang in [Lang::En, Lang::Zh] {
            let ends = [
                None,
                Some(Ended),
                Some(Stopped),
                Some(Interrupted),
                Some(Failed),
            ];
            let mut all: Vec<String> = ends.iter().map(|end| standing(*end, 12, lang)).collect();
            all.dedup();
            assert_eq!(all.len(), ends.len());
            for (line, end) in all.iter().zip(ends) {
                assert_eq!(line.contains("12"), end.is_some(), "{line}");
                assert!(line.starts_with(&title(end, lang)), "{line}");
            }
        }
    }

    #[test]
    fn a_tool_is_one_line() {
        assert_eq!(tool("Bash", "ls -la", Lang::En), "🔧 Tool: Bash(ls -la)");
        assert_eq!(tool("Task", "", Lang::En), "🔧 Tool: Task");
    }

    #[test]
    fn who_misses_a_file_hears_why() {
        let said = no_file("a`b\n.zip", NoFile::TooLarge(10 << 20), Lang::En);
        assert_eq!(
            said,
            "The agent sent the file `a'b .zip`, but it is larger than 10 MiB."
        );
        assert!(no_file("x", NoFile::Off, Lang::Zh).contains("attachment_send"));
    }
}
