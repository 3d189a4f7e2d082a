//! The words of the catalogue.

use super::foreign::{code, line};
use super::parts::{by, choice, doing, help, lacks, or_default, permission, title_of, yes_no};
use super::{By, Lang, Text, parts};

/// The most files that a notice names.
const FILES: usize = 5;

/// `text` in words.
pub fn say(text: &Text<'_>, lang: Lang) -> String {
    match *text {
        Text::Queued { ahead } => both!(
            lang,
            "In the queue: {ahead} ahead; whatever else you send waits behind it.\n\
             /stop ends the current one.",
            "已排队：前面还有 {ahead} 条；之后发送的消息会依次排在后面。\n\
             发送 /stop 可结束当前任务。"
        ),
        Text::InstantReply => both!(lang, "Got it, the agent is on it.", "收到，助手正在处理。"),
        Text::Waiting { ahead, memory } => {
            let why = match memory {
                true => both!(
                    lang,
                    "The machine has too little memory for another agent at the moment",
                    "这台机器目前没有足够的内存再启动一个助手"
                ),
                false => both!(
                    lang,
                    "All agents that may run at a time are busy",
                    "可同时运行的助手都在忙"
                ),
            };
            both!(
                lang,
                "{why}; your message waits, {ahead} ahead of it.\n\
                 It starts by itself once there is room; /stop takes it back.",
                "{why}；您的消息正在等待，前面还有 {ahead} 条。\n\
                 有空位后会自动开始，发送 /stop 可取消。"
            )
        }
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
        Text::QuestionWithdrawn => both!(
            lang,
            "Withdrawn: the agent no longer waits for an answer.",
            "已撤回：助手不再等待回答。"
        ),
        Text::PermissionQuestion {
            tool,
            detail,
            always,
            by,
        } => permission(tool, detail, always, by, lang),
        Text::ChoiceQuestion {
            question,
            options,
            multiple,
            by,
        } => choice(question, options, multiple, by, lang),
        Text::PlanQuestion { plan, by } => {
            let plan = plan.trim();
            let answer = match by {
                By::Pressing => String::new(),
                By::Typing => both!(
                    lang,
                    "\n\nReply 1 to carry it out, 2 to keep planning; or 2: and what to change.",
                    "\n\n回复 1 执行，2 继续完善；也可以回复“2：修改意见”。"
                ),
            };
            both!(
                lang,
                "The agent has a plan:\n\n{plan}{answer}",
                "助手制定了计划：\n\n{plan}{answer}"
            )
        }
        Text::WholeInFile => both!(
            lang,
            "… It goes on: the whole is in the file below. Read it before you answer.",
            "……未完：完整内容见下方文件，请阅读后再回答。"
        ),
        Text::Button(button) => parts::button(button, lang),
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
        Text::QuestionAnswered { what, who } => {
            let (what, by) = (line(what), by(who, lang));
            both!(lang, "Answered{by}: {what}", "已回答{by}：{what}")
        }
        Text::DecidedAllow { who } => {
            let by = by(who, lang);
            both!(lang, "Allowed{by}.", "已允许{by}。")
        }
        Text::DecidedAlways { who } => {
            let by = by(who, lang);
            both!(
                lang,
                "Allowed{by}, this time and from now on.",
                "已允许{by}，今后也不再询问。"
            )
        }
        Text::DecidedDeny { who } => {
            let by = by(who, lang);
            both!(lang, "Denied{by}.", "已拒绝{by}。")
        }
        Text::DecidedLate => both!(
            lang,
            "Too late: the question was closed already, and your answer changed nothing.\n\
             If the agent should go ahead, ask it again.",
            "太晚了：这个问题已经关闭，您的回答没有生效。\n\
             如果希望继续，请再次告诉助手。"
        ),
        Text::AnsweredEarly => both!(
            lang,
            "Your answer was written before the agent's question could be read, so it was not used.\n\
             Read the question, then answer it again.",
            "您的回答写在助手的问题显示之前，没有被采用。\n\
             请看过问题之后再回答一次。"
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
        Text::AgentLoggedOut { words, login, cmd } => parts::logged_out(words, login, cmd, lang),
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
        Text::RunnerError { at, detail } => parts::trouble(at, detail, lang),
        Text::Remark(remark) => parts::remark(remark, lang),
        Text::Retrying(remark) => {
            let what = parts::remark(remark, lang);
            both!(
                lang,
                "The agent waits: {what}.\nIt goes on by itself; /stop ends it.",
                "助手正在等待：{what}。\n恢复后会自动继续，发送 /stop 可结束。"
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
        Text::Stopping => both!(lang, "Stopping.", "正在停止。"),
        Text::Stopped => both!(
            lang,
            "Stopped. What was done so far stands.\n\
             Your next message goes on from here.",
            "已停止。之前完成的操作仍然有效。\n\
             发送下一条消息即可继续。"
        ),
        Text::StoppingLater => both!(
            lang,
            "The agent's runner is away; the current answer is stopped as soon as it is back.\n\
             It will not be started again. /status shows when the runner is there.",
            "助手的运行程序暂时不在；它一回来就会停止当前任务。\n\
             这个任务不会再次启动。发送 /status 可查看运行程序是否已恢复。"
        ),
        Text::NothingToStop { told: false } => both!(
            lang,
            "Nothing is running, so there is nothing to stop.",
            "当前没有正在运行的任务，无需停止。"
        ),
        Text::NothingToStop { told: true } => both!(
            lang,
            "No message is being worked on. If the agent was busy of its own accord, it stops now.",
            "当前没有正在处理的消息。如果助手正在自行工作，现在会停止。"
        ),
        Text::NewSession => both!(
            lang,
            "Done: your next message starts a new session.",
            "好的：下一条消息将开始新会话。"
        ),
        Text::NewSessionDropped { dropped } => both!(
            lang,
            "Messages that were waiting and are now dropped: {dropped}. Send again what you still need.\n\
             Your next message starts a new session.",
            "已取消 {dropped} 条排队的消息；仍需要的请重新发送。\n\
             下一条消息将开始新会话。"
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
            // Some platforms give no names.
            let who = match name.is_empty() {
                true => both!(lang, "Your id is {id}", "您的 ID 是 {id}"),
                false => both!(lang, "You are {name}, id {id}", "您是 {name}，ID {id}"),
            };
            both!(
                lang,
                "{who}\nPlatform: {platform}\nConversation: {conversation}\nAdmin: {admin}",
                "{who}\n平台：{platform}\n会话位置：{conversation}\n管理员：{admin}"
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
            used,
            login,
            trust,
            volume,
            branch,
            sandbox,
            refused,
        } => {
            let login = parts::login(login, lang);
            let home = parts::home(trust, volume, lang);
            let doing = doing(runner_up, running_secs, stopping, lang);
            let closed = sandbox.map_or(String::new(), |(by, network)| {
                parts::sandbox(by, network, refused, lang)
            });
            let (project, agent, session) = (line(project), line(agent), code(session));
            let (model, mode) = (or_default(model, lang), or_default(mode, lang));
            let used = match used {
                "" => String::new(),
                used => both!(lang, "\nUsed: {used}", "\n用量：{used}"),
            };
            let branch = match branch {
                "" => String::new(),
                branch => {
                    let branch = code(branch);
                    both!(lang, "\nWorktree: {branch}", "\n工作树：{branch}")
                }
            };
            both!(
                lang,
                "Project: {project}\nAgent: {agent}, {doing}\nQueue: {queued}\nModel: {model}\n\
                 Mode: {mode}\nLogin: {login}{home}{closed}\nSession: {session}{branch}{used}",
                "项目：{project}\n助手：{agent}，{doing}\n排队：{queued}\n模型：{model}\n\
                 模式：{mode}\n登录：{login}{home}{closed}\n会话：{session}{branch}{used}"
            )
        }
        Text::WorktreeKept {
            branch,
            changes,
            commits,
        } => {
            let branch = code(branch);
            both!(
                lang,
                "The directory of the session that was closed is kept, because there may be work in it: \
                 {changes} files not committed, {commits} commits on no other branch.\n\
                 Its branch is {branch}; `bulkhead workspace list` shows where it is.",
                "已关闭会话的工作目录已保留，其中可能有未完成的工作：\
                 {changes} 个文件未提交，{commits} 个提交不在其他分支上。\n\
                 分支为 {branch}；可用 `bulkhead workspace list` 查看位置。"
            )
        }
        Text::NoCompact => both!(
            lang,
            "This project's agent cannot make its conversation shorter.\n/new starts an empty one.",
            "这个项目的助手无法压缩对话。\n发送 /new 可开始新会话。"
        ),
        Text::Sessions { sessions } => parts::sessions(sessions, lang),
        Text::NoSuchSession => both!(
            lang,
            "There is no such session here.\n/list shows them; then /switch and the number.",
            "这里没有这个会话。\n发送 /list 查看，再用 /switch 加编号切换。"
        ),
        Text::Switched { title } => {
            let title = title_of(title, lang);
            both!(
                lang,
                "You are in the session “{title}” now; your next message goes on there.",
                "已切换到会话“{title}”，下一条消息将在其中继续。"
            )
        }
        Text::NoHistory => both!(
            lang,
            "This session has no messages yet.",
            "这个会话还没有消息。"
        ),
        Text::HistoryEntry { said, answer } => {
            let said = said.trim().replace('\n', "\n> ");
            match answer.trim() {
                "" => both!(lang, "> {said}\n(no answer)", "> {said}\n（没有回复）"),
                answer => format!("> {said}\n{answer}"),
            }
        }
        Text::Modes { current, modes } => {
            let current = or_default(current, lang);
            let modes: Vec<String> = modes.iter().map(|mode| code(mode)).collect();
            let modes = modes.join(", ");
            both!(
                lang,
                "Mode of this session: {current}\nThere are: {modes}\n/mode and one of them changes it.",
                "本会话的模式：{current}\n可选：{modes}\n发送 /mode 加其中之一可更改。"
            )
        }
        Text::NoModes => both!(
            lang,
            "This project's agent has no modes to choose from.",
            "这个项目的助手没有可选的模式。"
        ),
        Text::ModeSet { mode, unasked } => {
            let mode = code(mode);
            let warning = match unasked {
                true => both!(
                    lang,
                    "\nIn this mode the agent runs commands and changes files without asking anybody.",
                    "\n在这个模式下，助手执行命令和修改文件都不再询问任何人。"
                ),
                false => String::new(),
            };
            both!(
                lang,
                "From the next message on this session is in mode {mode}.{warning}",
                "从下一条消息起，本会话使用模式 {mode}。{warning}"
            )
        }
        Text::Model { current } => {
            let current = or_default(current, lang);
            both!(
                lang,
                "Model of this session: {current}\n\
                 /model and a name changes it, /model default goes back to the configured one.",
                "本会话的模型：{current}\n发送 /model 加名称可更改，/model default 恢复为配置的模型。"
            )
        }
        Text::ModelSet { model } => {
            let model = or_default(model, lang);
            both!(
                lang,
                "From the next message on this session uses the model: {model}",
                "从下一条消息起，本会话使用模型：{model}"
            )
        }
        Text::OthersSession { name } => {
            let name = line(name);
            both!(
                lang,
                "Others use this session too, so only an admin may /{name} here.\n\
                 /whoami shows the id that the operator needs to make you one.",
                "这个会话还有其他人在用，只有管理员可以使用 /{name}。\n\
                 发送 /whoami 可查看您的 ID，供管理员授权。"
            )
        }
        Text::Lacks(lack) => lacks(lack, lang),
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
        Text::SpoolCrowded => both!(
            lang,
            "The bot's store is nearly full, so this message was not taken; /stop and answers still work.\n\
             Old messages are being removed: please send it again in a few minutes.\n\
             Operator: if it stays so, raise `max_size_mb` of `[spool]` in the configuration.",
            "机器人的存储快满了，这条消息没有收下；/stop 和回答仍然有效。\n\
             正在清理旧消息：请过几分钟再发送一次。\n\
             管理员：如果一直如此，请在配置中调大 `[spool]` 的 `max_size_mb`。"
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
        Text::LeftOut { files } => {
            let shown = files.iter().take(FILES);
            let mut list: String = shown.map(|file| format!("- {}\n", line(file))).collect();
            if let Some(more @ 1..) = files.len().checked_sub(FILES) {
                list.push_str(&both!(
                    lang,
                    "- … and {more} more\n",
                    "- ……另有 {more} 个\n"
                ));
            }
            both!(
                lang,
                "Not passed on to the agent:\n{list}The rest of your message was.",
                "以下内容没有转交给助手：\n{list}消息的其余内容已转交。"
            )
        }
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
