//! The words of the catalogue, and how foreign text is set among them.

use super::{Lang, Text};

/// The longest piece of foreign text in a line, in code points.
pub(super) const LINE_MAX: usize = 500;

/// The most commands of the operator's that `/help` names.
pub const HELP_OWN: usize = 20;
/// The longest description of one, in code points.
const ABOUT_MAX: usize = 100;

/// Formats one text in each language; there is no way to name only one.
macro_rules! both {
    ($lang:expr, $en:literal, $zh:literal) => {
        match $lang {
            Lang::En => format!($en),
            Lang::Zh => format!($zh),
        }
    };
}

/// `text` in words.
pub fn say(text: &Text<'_>, lang: Lang) -> String {
    match *text {
        Text::Queued { ahead } => both!(
            lang,
            "In the queue: {ahead} ahead, /stop ends the current one.",
            "已排队：前面还有 {ahead} 条，发送 /stop 可结束当前任务。"
        ),
        Text::InstantReply => both!(lang, "Got it, the agent is on it.", "收到，助手正在处理。"),
        Text::QueueFull { depth } => both!(
            lang,
            "The queue is full: {depth} messages are waiting, so this one was not taken.\n\
             Please send it again after the next answer, or end the current one with /stop.",
            "队列已满：已有 {depth} 条消息在等待，这条没有收下。\n\
             请在下一条回复之后重发，或发送 /stop 结束当前任务。"
        ),
        Text::Resumed => both!(
            lang,
            "The agent restarted and is continuing; a command may run twice.\n\
             If that could do harm, send /stop.",
            "助手刚刚重启，正在继续；某条命令可能会执行两次。\n\
             如果这会造成问题，请发送 /stop。"
        ),
        Text::CannotResume => both!(
            lang,
            "The agent was interrupted and could not continue; nothing was re-run.\n\
             Please resend your message.",
            "助手中断了，无法继续；没有重复执行任何操作。\n\
             请重新发送您的消息。"
        ),
        Text::TooManyAttempts => both!(
            lang,
            "The agent was cut off at every attempt at this message, so it was given up.\n\
             What it did before that stands: check it, then resend, perhaps after /new.",
            "助手处理这条消息时每次都中断了，已放弃。\n\
             之前完成的操作仍然有效：请先检查，再重新发送，也可以先发送 /new。"
        ),
        Text::QuestionExpired => both!(
            lang,
            "Nobody answered the agent's question in time, so it was told no.\n\
             If it should go ahead, ask it again.",
            "助手的提问超时未得到回答，已按“拒绝”处理。\n\
             如果希望继续，请再次告诉它。"
        ),
        Text::PermissionQuestion {
            tool,
            detail,
            always,
        } => permission(tool, detail, always, lang),
        Text::ChoiceQuestion {
            question,
            options,
            multiple,
        } => choice(question, options, multiple, lang),
        Text::PlanQuestion { plan } => {
            let plan = plan.trim();
            both!(
                lang,
                "The agent has a plan:\n\n{plan}\n\nReply 1 to carry it out, 2 to refuse it.",
                "助手制定了计划：\n\n{plan}\n\n回复 1 执行，2 拒绝。"
            )
        }
        Text::QuestionNotYours => both!(
            lang,
            "The agent put this question to somebody else, so your answer was not used.\n\
             Whoever asked the agent, or an admin, can answer it.",
            "这个问题不是问您的，您的回答没有被采用。\n\
             请由向助手提出请求的人或管理员来回答。"
        ),
        Text::QuestionStillOpen => both!(
            lang,
            "The agent is still waiting for an answer to its question; your message comes after it.\n\
             Reply to the question with a number, or /stop.",
            "助手仍在等待您回答它的问题；您的消息会排在后面。\n\
             请用数字回答，或发送 /stop。"
        ),
        Text::QuestionAnswered { what } => {
            let what = line(what);
            both!(lang, "Answered: {what}", "已回答：{what}")
        }
        Text::DecidedAllow => both!(lang, "Allowed.", "已允许。"),
        Text::DecidedAlways => {
            both!(
                lang,
                "Allowed, this time and from now on.",
                "已允许，今后也不再询问。"
            )
        }
        Text::DecidedDeny => both!(lang, "Denied.", "已拒绝。"),
        Text::DecidedLate => both!(
            lang,
            "Too late: the question was closed already, and your answer changed nothing.\n\
             If the agent should go ahead, ask it again.",
            "太晚了：这个问题已经关闭，您的回答没有生效。\n\
             如果希望继续，请再次告诉助手。"
        ),
        Text::Refused { id, key } => {
            let (id, key) = (code(id), code(key));
            both!(
                lang,
                "You are not on this bot's allow list, so your message was not passed on.\n\
                 Its operator can let you in by adding {id} to {key}.",
                "您不在这个机器人的允许名单中，消息没有转交。\n\
                 请联系管理员，把 {id} 加入 {key}。"
            )
        }
        Text::AgentMissing { cmd } => {
            let cmd = code(cmd);
            both!(
                lang,
                "The agent's program {cmd} could not be started on the bot's machine.\n\
                 Operator: install it (Claude Code: `npm install -g @anthropic-ai/claude-code`) or \
                 set `cmd` to where it is.\n\
                 Then please resend your message.",
                "机器上无法启动助手程序 {cmd}。\n\
                 管理员：请安装它（Claude Code：`npm install -g @anthropic-ai/claude-code`），或用 \
                 `cmd` 指明路径。\n\
                 然后请重新发送您的消息。"
            )
        }
        Text::AgentLoggedOut { words } => {
            let words = line(words);
            both!(
                lang,
                "The agent is not logged in. It says: {words}\n\
                 Operator: log it in as the user who runs it (for Claude Code: `claude`, then \
                 `/login`), or give it a valid key.\n\
                 Then please resend your message.",
                "助手没有登录。它的提示：{words}\n\
                 管理员：请以运行它的用户登录（Claude Code：运行 `claude`，再输入 \
                 `/login`），或配置有效的密钥。\n\
                 然后请重新发送您的消息。"
            )
        }
        Text::AgentError { words } => {
            let words = line(words);
            both!(
                lang,
                "The agent failed. It says: {words}\n\
                 Please try again; if it stays so, start afresh with /new.",
                "助手出错了。它的提示：{words}\n\
                 请重试；如果仍然如此，发送 /new 开始新会话。"
            )
        }
        Text::EmptyAnswer => both!(
            lang,
            "The agent finished without saying anything.\n\
             Ask it what it did, or say more about what you need.",
            "助手已结束，但没有回复内容。\n\
             可以问问它做了什么，或把需求说得更具体一些。"
        ),
        Text::TurnTimedOut { mins } => both!(
            lang,
            "The agent reached its limit of {mins} min and was stopped; what it did so far stands.\n\
             Ask it to go on, or for a smaller step.",
            "助手达到 {mins} 分钟的时限，已被停止；之前完成的操作仍然有效。\n\
             可以让它继续，或把任务拆小一些。"
        ),
        Text::Stopped => both!(
            lang,
            "Stopped. What was done so far stands.\n\
             Your next message goes on from here.",
            "已停止。之前完成的操作仍然有效。\n\
             发送下一条消息即可继续。"
        ),
        Text::NothingToStop => both!(
            lang,
            "Nothing is running, so there is nothing to stop.",
            "当前没有正在运行的任务，无需停止。"
        ),
        Text::NewSession => both!(
            lang,
            "Done: your next message starts a new session.",
            "好的：下一条消息将开始新会话。"
        ),
        Text::NewSessionWhileRunning => both!(
            lang,
            "The current answer is being stopped, and what waited behind it was dropped.\n\
             Your next message starts a new session.",
            "正在停止当前任务，排队的消息已取消。\n\
             下一条消息将开始新会话。"
        ),
        Text::Help { built_in, own } => help(built_in, own, lang),
        Text::Whoami {
            id,
            name,
            platform,
            conversation,
            admin,
        } => {
            let (id, name) = (code(id), line(name));
            let (platform, conversation) = (code(platform), code(conversation));
            let admin = yes_no(admin, lang);
            both!(
                lang,
                "You are {name}, id {id}\nPlatform: {platform}\nConversation: {conversation}\n\
                 Admin: {admin}",
                "您是 {name}，ID {id}\n平台：{platform}\n会话位置：{conversation}\n管理员：{admin}"
            )
        }
        Text::Status {
            project,
            agent,
            session,
            runner_up,
            running_secs,
            stopping,
            queued,
            model,
            mode,
        } => {
            let doing = doing(runner_up, running_secs, stopping, lang);
            let (project, agent, session) = (line(project), line(agent), code(session));
            let (model, mode) = (or_default(model, lang), or_default(mode, lang));
            both!(
                lang,
                "Project: {project}\nAgent: {agent}, {doing}\nQueue: {queued}\nModel: {model}\n\
                 Mode: {mode}\nSession: {session}",
                "项目：{project}\n助手：{agent}，{doing}\n排队：{queued}\n模型：{model}\n\
                 模式：{mode}\n会话：{session}"
            )
        }
        Text::UnknownCommand { name, nearest } => {
            let (name, nearest) = (line(name), line(nearest));
            both!(
                lang,
                "There is no command /{name}. Did you mean /{nearest}?\n/help lists them all.",
                "没有 /{name} 这个命令。您是想用 /{nearest} 吗？\n发送 /help 查看全部命令。"
            )
        }
        Text::CommandDisabled { name } => {
            let name = line(name);
            both!(
                lang,
                "The operator has switched /{name} off for you here.\nAsk them if you need it.",
                "管理员没有在这里为您开放 /{name}。\n如有需要，请联系管理员。"
            )
        }
        Text::AdminsOnly { name } => {
            let name = line(name);
            both!(
                lang,
                "/{name} is for admins only.\n\
                 /whoami shows the id that the operator needs to make you one.",
                "/{name} 仅限管理员使用。\n\
                 发送 /whoami 可查看您的 ID，供管理员授权。"
            )
        }
        Text::RateLimited { secs } => both!(
            lang,
            "That was too fast, so this message was not taken.\nPlease send it again in {secs} s.",
            "消息太频繁，这条没有收下。\n请在 {secs} 秒后重发。"
        ),
        Text::BannedWord => both!(
            lang,
            "Your message has a word that is not allowed here, so it was not passed on.\n\
             Please put it another way.",
            "消息中含有此处不允许的词语，没有转交。\n请换一种说法。"
        ),
        Text::TooLong { limit_kib } => both!(
            lang,
            "Your message is longer than {limit_kib} KiB, so it was not taken.\n\
             Please send less at once, or put it into a file of the project.",
            "消息超过 {limit_kib} KiB，没有收下。\n请分批发送，或把内容放进项目的文件里。"
        ),
        Text::AttachmentRefused { name, why } => {
            let (name, why) = (code(name), line(why));
            both!(
                lang,
                "The file {name} was not passed on: {why}\nThe rest of your message was.",
                "文件 {name} 没有转交：{why}\n消息的其余内容已转交。"
            )
        }
        Text::TryLater => both!(
            lang,
            "Your message could not be saved, so it was not taken; the bot's disk may be full.\n\
             Please send it again in a few minutes, or tell the operator.",
            "消息无法保存，没有收下；机器人的磁盘可能已满。\n请过几分钟重发，或联系管理员。"
        ),
        Text::RunnerDown => both!(
            lang,
            "The agent's runner is restarting; your message is kept and will be answered.\n\
             There is nothing you need to do.",
            "助手的运行程序正在重启；消息已保存，稍后会回复。\n您无需任何操作。"
        ),
        Text::PartFailed => both!(
            lang,
            "A part of the answer could not be posted here; it is kept.\n\
             The operator can see it with `bulkhead queue list`.",
            "回复的一部分无法发到这里，内容已保留。\n管理员可用 `bulkhead queue list` 查看。"
        ),
    }
}

fn permission(tool: &str, detail: &str, always: Option<&str>, lang: Lang) -> String {
    let (tool, detail) = (code(tool), fenced(detail));
    let ask = both!(
        lang,
        "The agent asks to use {tool}:",
        "助手请求使用 {tool}："
    );
    let answer = match always.map(one_line) {
        Some(always) => both!(
            lang,
            "Reply 1 to allow, 2 to deny, 3 to always allow ({always}).",
            "回复 1 允许，2 拒绝，3 总是允许（{always}）。"
        ),
        None => both!(
            lang,
            "Reply 1 to allow, 2 to deny.",
            "回复 1 允许，2 拒绝。"
        ),
    };
    format!("{ask}\n{detail}{answer}")
}

fn choice(question: &str, options: &[(&str, &str)], multiple: bool, lang: Lang) -> String {
    let question = question.trim();
    let mut text = both!(
        lang,
        "The agent asks: {question}\n",
        "助手提问：{question}\n"
    );
    for (number, (label, about)) in (1..).zip(options) {
        let (label, about) = (one_line(label), one_line(about));
        text.push_str(&format!("{number}. {label}"));
        if !about.is_empty() {
            text.push_str(&both!(lang, ": {about}", "：{about}"));
        }
        text.push('\n');
    }
    text.push_str(&match multiple {
        true => both!(
            lang,
            "Reply with one number, or several with commas between them.",
            "请回复一个数字，多选时用逗号分隔。"
        ),
        false => both!(lang, "Reply with a number.", "请回复一个数字。"),
    });
    text
}

fn help(built_in: &[&str], own: &[(&str, &str)], lang: Lang) -> String {
    let mut text = both!(
        lang,
        "Write what you need; the agent answers here. Commands:",
        "直接写下您的需求，助手会在这里回复。命令："
    );
    for name in built_in {
        text.push_str(&format!("\n/{name} - {}", about(name, lang)));
    }
    for (name, about) in own.iter().take(HELP_OWN) {
        text.push_str(&format!("\n/{}", line(name)));
        let about = bounded(about, ABOUT_MAX);
        if !about.is_empty() {
            text.push_str(&format!(" - {about}"));
        }
    }
    if let Some(more @ 1..) = own.len().checked_sub(HELP_OWN) {
        text.push_str(&both!(lang, "\n… and {more} more", "\n……另有 {more} 个"));
    }
    text
}

/// What one of the hub's own commands is for; nothing for another.
fn about(name: &str, lang: Lang) -> String {
    match name {
        "new" => both!(lang, "start a new session", "开始新会话"),
        "stop" => both!(lang, "end the current answer", "结束当前任务"),
        "status" => both!(lang, "what the agent is doing", "查看助手状态"),
        "whoami" => both!(
            lang,
            "your id, as the operator needs it",
            "查看您的 ID（管理员配置时需要）"
        ),
        "help" => both!(lang, "this list", "显示本列表"),
        _ => String::new(),
    }
}

/// What the agent does, for `/status`.
fn doing(runner_up: bool, secs: Option<usize>, stopping: bool, lang: Lang) -> String {
    match (runner_up, secs.map(|secs| duration(secs, lang)), stopping) {
        (false, _, _) => both!(lang, "its runner is restarting", "运行程序正在重启"),
        (true, Some(time), true) => both!(lang, "stopping after {time}", "正在停止，已用 {time}"),
        (true, Some(time), false) => both!(lang, "working for {time}", "已工作 {time}"),
        (true, None, _) => both!(lang, "idle", "空闲"),
    }
}

fn duration(secs: usize, lang: Lang) -> String {
    let (mins, rest) = (secs / 60, secs % 60);
    match mins {
        0 => both!(lang, "{secs} s", "{secs} 秒"),
        _ => both!(lang, "{mins} min {rest} s", "{mins} 分 {rest} 秒"),
    }
}

fn yes_no(yes: bool, lang: Lang) -> String {
    match yes {
        true => both!(lang, "yes", "是"),
        false => both!(lang, "no", "否"),
    }
}

/// What the operator set, or that it is the agent's choice.
fn or_default(set: &str, lang: Lang) -> String {
    if set.is_empty() {
        both!(lang, "the agent's default", "助手默认")
    } else {
        line(set)
    }
}

/// Foreign text as one line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Foreign text as one line of bounded length.
fn line(text: &str) -> String {
    bounded(text, LINE_MAX)
}

/// Foreign text as one line of at most so many code points, and `…` for the rest.
fn bounded(text: &str, most: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Foreign text as a code span, to be copied as it is.
fn code(text: &str) -> String {
    format!("`{}`", line(text).replace('`', "'"))
}

/// Foreign text as a code block that nothing in it can end, its line break included. Nothing for
/// nothing.
fn fenced(text: &str) -> String {
    let text = text.trim_end();
    if text.is_empty() {
        return String::new();
    }
    let run = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(3.max(run + 1));
    format!("{ticks}\n{text}\n{ticks}\n")
}
