//! The parts of texts that are put together: lists, questions, figures.

use ipc_schema::{Lack, Refusal, Remark, Trouble};

use super::foreign::{bounded, code, fenced, line, one_line};
use super::{Button, By, Lang};
use crate::plan::Login;

/// The most commands of the operator's that `/help` names.
pub const HELP_OWN: usize = 20;
/// The longest description of one, in code points.
const ABOUT_MAX: usize = 100;
/// The longest name of a person in a notice, in code points.
const NAME_MAX: usize = 64;

pub(super) fn button(button: Button, lang: Lang) -> String {
    match button {
        Button::Allow => both!(lang, "Allow", "允许"),
        Button::Deny => both!(lang, "Deny", "拒绝"),
        Button::Always => both!(lang, "Always allow this", "总是允许"),
        Button::CarryOut => both!(lang, "Carry it out", "执行"),
        Button::KeepPlanning => both!(lang, "Keep planning", "继续完善"),
        Button::Choose => both!(lang, "Choose", "请选择"),
    }
}

/// "by NAME", where there is one.
pub(super) fn by(who: &str, lang: Lang) -> String {
    match bounded(who, NAME_MAX).as_str() {
        "" => String::new(),
        who => both!(lang, " by {who}", "（{who}）"),
    }
}

pub(super) fn title_of(title: &str, lang: Lang) -> String {
    match bounded(title, ABOUT_MAX).as_str() {
        "" => both!(lang, "without a message yet", "尚无消息"),
        title => title.to_owned(),
    }
}

pub(super) fn sessions(sessions: &[(&str, usize, bool)], lang: Lang) -> String {
    let mut text = both!(lang, "Sessions here:", "这里的会话：");
    for (number, (title, secs, current)) in (1..).zip(sessions) {
        let (title, age) = (title_of(title, lang), age(*secs, lang));
        let mark = match current {
            true => both!(lang, " (current)", "（当前）"),
            false => String::new(),
        };
        text.push_str(&both!(
            lang,
            "\n{number}. {title}, {age}{mark}",
            "\n{number}. {title}，{age}{mark}"
        ));
    }
    text.push_str(&both!(
        lang,
        "\n/switch and a number goes on in one of them.",
        "\n发送 /switch 加编号可切换。"
    ));
    text
}

pub(super) fn age(secs: usize, lang: Lang) -> String {
    match secs {
        0..60 => both!(lang, "just now", "刚刚"),
        60..3_600 => {
            let n = secs / 60;
            both!(lang, "{n} min ago", "{n} 分钟前")
        }
        3_600..86_400 => {
            let n = secs / 3_600;
            both!(lang, "{n} h ago", "{n} 小时前")
        }
        _ => {
            let n = secs / 86_400;
            both!(lang, "{n} d ago", "{n} 天前")
        }
    }
}

pub(super) fn lacks(lack: Lack, lang: Lang) -> String {
    let (right, effect) = match lack {
        Lack::Threads => (
            "Create Public Threads",
            both!(
                lang,
                "a thread could not be opened and the answer comes here",
                "无法创建子区，回复会发在这里"
            ),
        ),
        Lack::InThreads => (
            "Send Messages in Threads",
            both!(
                lang,
                "it cannot write in threads and the answer comes here",
                "无法在子区中发言，回复会发在这里"
            ),
        ),
        Lack::Cards => (
            "Embed Links",
            both!(
                lang,
                "progress is shown as plain text instead of a card",
                "进度以普通文本代替卡片显示"
            ),
        ),
        Lack::Files => (
            "Attach Files",
            both!(lang, "files cannot be posted", "无法发送文件"),
        ),
        Lack::Other => (
            "?",
            both!(lang, "something could not be shown", "部分内容无法显示"),
        ),
    };
    both!(
        lang,
        "The bot lacks the permission “{right}” here, so {effect}.\n\
         An admin of the server can give it to the bot's role (`bulkhead invite` prints the link).",
        "机器人在这里缺少权限“{right}”，因此{effect}。\n\
         服务器管理员可为机器人的身份组添加该权限（`bulkhead invite` 会打印链接）。"
    )
}

pub(super) fn permission(
    tool: &str,
    detail: &str,
    always: Option<&str>,
    by: By,
    lang: Lang,
) -> String {
    let (tool, detail) = (code(tool), fenced(detail));
    let ask = both!(
        lang,
        "The agent asks to use {tool}:",
        "助手请求使用 {tool}："
    );
    let answer = match (always.map(one_line), by) {
        (Some(always), By::Pressing) => both!(
            lang,
            "“Always” would cover: {always}",
            "“总是允许”的范围：{always}"
        ),
        (None, By::Pressing) => String::new(),
        (Some(always), By::Typing) => both!(
            lang,
            "Reply 1 to allow, 2 to deny (or 2: and why), 3 to always allow ({always}).",
            "回复 1 允许，2 拒绝（也可以回复“2：原因”），3 总是允许（{always}）。"
        ),
        (None, By::Typing) => both!(
            lang,
            "Reply 1 to allow, 2 to deny (or 2: and why).",
            "回复 1 允许，2 拒绝（也可以回复“2：原因”）。"
        ),
    };
    format!("{ask}\n{detail}{answer}")
}

pub(super) fn choice(
    question: &str,
    options: &[(&str, &str)],
    multiple: bool,
    by: By,
    lang: Lang,
) -> String {
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
    if by == By::Pressing {
        text.push_str(&both!(
            lang,
            "Or reply 0: and your own words.",
            "也可以回复“0：您的回答”。"
        ));
        return text;
    }
    text.push_str(&match multiple {
        true => both!(
            lang,
            "Reply with one number, several with commas between them, or 0: and your own words.",
            "请回复一个数字，多选时用逗号分隔；也可以回复“0：您的回答”。"
        ),
        false => both!(
            lang,
            "Reply with a number, or 0: and your own words.",
            "请回复一个数字，也可以回复“0：您的回答”。"
        ),
    });
    text
}

pub(super) fn help(built_in: &[&str], own: &[(&str, &str)], lang: Lang) -> String {
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
pub fn about(name: &str, lang: Lang) -> String {
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
        "list" => both!(lang, "the sessions you have here", "列出这里的会话"),
        "switch" => both!(lang, "go on in another session", "切换到另一个会话"),
        "history" => both!(
            lang,
            "the last messages of this session",
            "查看本会话最近的消息"
        ),
        "mode" => both!(lang, "what the agent may do unasked", "查看或更改权限模式"),
        "model" => both!(lang, "which model answers", "查看或更改模型"),
        "compact" => both!(lang, "make the conversation shorter", "压缩对话内容"),
        _ => String::new(),
    }
}

/// What the agent does, for `/status`.
pub(super) fn doing(runner_up: bool, secs: Option<usize>, stopping: bool, lang: Lang) -> String {
    match (runner_up, secs.map(|secs| duration(secs, lang)), stopping) {
        (false, _, _) => both!(lang, "its runner is restarting", "运行程序正在重启"),
        (true, Some(time), true) => both!(lang, "stopping after {time}", "正在停止，已用 {time}"),
        (true, Some(time), false) => both!(lang, "working for {time}", "已工作 {time}"),
        (true, None, _) => both!(lang, "idle", "空闲"),
    }
}

/// How the agent is closed in, and what that has refused last, for `/status`: lines of their own.
pub(super) fn sandbox(by: &str, network: &str, refused: Option<&Refusal>, lang: Lang) -> String {
    if by.is_empty() {
        return both!(
            lang,
            "\nSandbox: OFF, the agent may do whatever its user may",
            "\n沙箱：关闭，助手可以做其用户能做的一切"
        );
    }
    let (by, network) = (line(by), line(network));
    let on = both!(
        lang,
        "\nSandbox: on ({by}, network: {network})",
        "\n沙箱：开启（{by}，网络：{network}）"
    );
    let Some(refused) = refused else { return on };
    let Some(what) = kept_from(refused, lang) else {
        return on;
    };
    let setting = code(&refused.setting());
    both!(
        lang,
        "{on}\nRefused last: {what}. To allow it, the operator writes {setting} into \
         `[projects.agent.sandbox]`",
        "{on}\n最近一次拒绝：{what}。如需放行，管理员可在 `[projects.agent.sandbox]` 中写入 {setting}"
    )
}

pub(super) fn duration(secs: usize, lang: Lang) -> String {
    let (mins, rest) = (secs / 60, secs % 60);
    match mins {
        0 => both!(lang, "{secs} s", "{secs} 秒"),
        _ => both!(lang, "{mins} min {rest} s", "{mins} 分 {rest} 秒"),
    }
}

pub(super) fn yes_no(yes: bool, lang: Lang) -> String {
    match yes {
        true => both!(lang, "yes", "是"),
        false => both!(lang, "no", "否"),
    }
}

/// What the operator set, or that it is the agent's choice.
pub(super) fn or_default(set: &str, lang: Lang) -> String {
    if set.is_empty() {
        both!(lang, "the agent's default", "助手默认")
    } else {
        line(set)
    }
}

/// Makes a token, past the configuration that an agent may write.
const SETUP_TOKEN: &str =
    "`CLAUDE_CONFIG_DIR=$(mktemp -d) claude --setting-sources \"\" setup-token`";

/// The agent has no valid login; what the operator is to do depends on which it was to have.
pub(super) fn logged_out(words: &str, login: Login, cmd: &str, lang: Lang) -> String {
    let (words, cmd) = (line(words), code(cmd));
    match login {
        Login::Stored => both!(
            lang,
            "The agent is not logged in. It says: {words}\n\
             Operator: as the user who runs it, type {cmd} (its program alone would run what the agent \
             wrote into its settings), or give it a key (`api_key`).\n\
             Then please resend your message.",
            "助手没有登录。它的提示：{words}\n\
             管理员：请以运行它的用户执行 {cmd}（直接运行该程序会执行助手写进自己设置里的命令），\
             或配置密钥（`api_key`）。\n\
             然后请重新发送您的消息。"
        ),
        Login::Own => both!(
            lang,
            "The agent is not logged in. It says: {words}\n\
             Operator: log it in on the bot's machine as the user who runs {cmd}, in the way that \
             it offers.\n\
             Then please resend your message.",
            "助手没有登录。它的提示：{words}\n\
             管理员：请在机器上以运行 {cmd} 的用户，按它提供的方式登录。\n\
             然后请重新发送您的消息。"
        ),
        Login::Token => both!(
            lang,
            "The agent's token is not valid, or no longer. It says: {words}\n\
             Operator: run {SETUP_TOKEN}, put the new token into `oauth_token`, then run \
             `bulkhead reload`.\n\
             Then please resend your message.",
            "助手的令牌无效或已过期。它的提示：{words}\n\
             管理员：请运行 {SETUP_TOKEN}，将新令牌写入 `oauth_token`，再运行 \
             `bulkhead reload`。\n\
             然后请重新发送您的消息。"
        ),
        Login::Key => both!(
            lang,
            "The model refuses this project's key. It says: {words}\n\
             Operator: put a valid key into `api_key`, then run `bulkhead reload`.\n\
             Then please resend your message.",
            "模型拒绝了此项目的密钥。它的提示：{words}\n\
             管理员：请将有效的密钥写入 `api_key`，再运行 `bulkhead reload`。\n\
             然后请重新发送您的消息。"
        ),
    }
}

/// Which of its project's files the agent loads, and its volume: a line each, where there is
/// something to say.
pub(super) fn home(trust: Option<bool>, volume: &str, lang: Lang) -> String {
    let mut home = match trust {
        None => String::new(),
        Some(false) => both!(
            lang,
            "\nProject's files: CLAUDE.md only",
            "\n项目文件：仅 CLAUDE.md"
        ),
        Some(true) => both!(
            lang,
            "\nProject's files: trusted, with settings, hooks, servers, commands and skills",
            "\n项目文件：受信任，包括设置、钩子、服务器、命令和技能"
        ),
    };
    if !volume.is_empty() {
        let volume = line(volume);
        home += &both!(lang, "\nVolume: {volume}", "\n数据卷：{volume}");
    }
    home
}

/// How the agent gets at its model, and whether it can read that.
pub(super) fn login(login: Login, lang: Lang) -> String {
    match login {
        Login::Stored | Login::Own => both!(
            lang,
            "its own, which the agent can read",
            "助手自己的登录，助手可以读取"
        ),
        Login::Token => both!(
            lang,
            "a token, which the agent can read",
            "令牌，助手可以读取"
        ),
        Login::Key => both!(lang, "a key, kept from the agent", "密钥，助手无法读取"),
    }
}

/// What a sandbox keeps an agent from, if there are words for it.
fn kept_from(refusal: &Refusal, lang: Lang) -> Option<String> {
    Some(match refusal {
        Refusal::Read { path } => {
            let at = code(path);
            both!(lang, "reading {at}", "读取 {at}")
        }
        Refusal::Write { path } => {
            let at = code(path);
            both!(lang, "changing {at}", "修改 {at}")
        }
        Refusal::Port { port } => both!(lang, "reaching port {port}", "连接端口 {port}"),
        Refusal::Network => both!(lang, "the network", "访问网络"),
        Refusal::Unknown => return None,
    })
}

/// What a runner has to say, on one line.
pub(super) fn remark(remark: &Remark, lang: Lang) -> String {
    match *remark {
        Remark::Retry {
            status,
            attempt,
            of,
            wait_ms,
        } => {
            let what = match status {
                0 => both!(
                    lang,
                    "the model's API cannot be reached",
                    "无法连接模型接口"
                ),
                429 => both!(
                    lang,
                    "the model is asked too often (429)",
                    "对模型的请求过于频繁（429）"
                ),
                529 => both!(lang, "the model is overloaded (529)", "模型过载（529）"),
                status => both!(
                    lang,
                    "the model's API answered {status}",
                    "模型接口返回 {status}"
                ),
            };
            let secs = wait_ms.div_ceil(1000);
            both!(
                lang,
                "{what}; try {attempt} of {of} in {secs} s",
                "{what}；{secs} 秒后第 {attempt} 次尝试，共 {of} 次"
            )
        }
        Remark::Refused { ref what } => {
            let setting = code(&what.setting());
            match kept_from(what, lang) {
                Some(doing) => both!(
                    lang,
                    "The sandbox keeps the agent from {doing}. To allow it, the operator writes {setting} \
                     into [projects.agent.sandbox].",
                    "沙箱不让助手{doing}。如需放行，管理员可在 [projects.agent.sandbox] 中写入 {setting}。"
                ),
                None => both!(
                    lang,
                    "The sandbox has refused the agent something.",
                    "沙箱拒绝了助手的一项操作。"
                ),
            }
        }
        Remark::Compacted { before, after } if before > 0 && after > 0 => both!(
            lang,
            "The conversation was made shorter: {before} → {after} tokens.",
            "对话已压缩：{before} → {after} 个 token。"
        ),
        Remark::Compacted { .. } => {
            both!(lang, "The conversation was made shorter.", "对话已压缩。")
        }
        Remark::Forgot { ref why } => {
            let why = line(why);
            both!(
                lang,
                "The agent does not remember what was said before ({why}); a new conversation has begun.",
                "助手不记得之前说过的内容（{why}）；新的对话已经开始。"
            )
        }
        Remark::Cut { most, missing } => {
            let most = most >> 20;
            both!(
                lang,
                "The answer is longer than {most} MiB: its last {missing} bytes are missing.",
                "回复超过 {most} MiB：缺少最后 {missing} 字节。"
            )
        }
        Remark::Unknown => both!(
            lang,
            "The agent's runner has something to say that this version has no words for.",
            "助手的运行程序有一条提示，当前版本无法显示。"
        ),
    }
}

/// What a runner failed at, and what to do.
pub(super) fn trouble(at: Trouble, detail: &str, lang: Lang) -> String {
    let detail = match line(detail) {
        detail if detail.is_empty() => String::new(),
        detail => both!(lang, ": {detail}", "：{detail}"),
    };
    match at {
        Trouble::Sandbox => both!(
            lang,
            "The agent's sandbox cannot be closed, so the agent was not started{detail}\n\
             Operator: `bulkhead doctor` says more; `sandbox = \"off\"` in [projects.agent] goes without one.\n\
             Then please resend your message.",
            "助手的沙箱无法建立，因此没有启动助手{detail}\n\
             管理员：`bulkhead doctor` 有详细说明；[projects.agent] 中的 `sandbox = \"off\"` 可不使用沙箱。\n\
             然后请重新发送您的消息。"
        ),
        Trouble::Directory => both!(
            lang,
            "The agent was not started for want of a directory{detail}\n\
             Operator: mend that, or look at the disk and the log. Then please resend your message.",
            "缺少助手需要的目录，没有启动助手{detail}\n\
             管理员：请处理这个问题，或检查磁盘和日志。然后请重新发送您的消息。"
        ),
        Trouble::Session => both!(
            lang,
            "The session cannot be taken up{detail}\n\
             Please resend your message; if it stays so, start afresh with /new.",
            "无法继续这个会话{detail}\n\
             请重新发送您的消息；如果仍然如此，发送 /new 开始新会话。"
        ),
        Trouble::Start => both!(
            lang,
            "The agent cannot be started on the bot's machine{detail}\n\
             Please resend your message; if it stays so, its operator should look at the log.",
            "机器上无法启动助手{detail}\n\
             请重新发送您的消息；如果仍然如此，请管理员查看日志。"
        ),
        Trouble::Crowded => both!(
            lang,
            "Too many messages wait in this session, so this one was not taken.\n\
             Please send it again after the next answer, or end the current one with /stop.",
            "这个会话中等待的消息太多，这条没有收下。\n\
             请在下一条回复之后重发，或发送 /stop 结束当前任务。"
        ),
        Trouble::Answer => both!(
            lang,
            "A part of the agent's answer is lost{detail}\n\
             What it did stands: ask it to say again what is missing.",
            "助手的回复丢失了一部分{detail}\n\
             已完成的操作仍然有效：可以请它把缺少的部分再说一遍。"
        ),
        Trouble::Other => both!(
            lang,
            "The agent's runner failed{detail}\n\
             Please try again; if it stays so, its operator should look at the log.",
            "助手的运行程序出错了{detail}\n\
             请重试；如果仍然如此，请管理员查看日志。"
        ),
    }
}
