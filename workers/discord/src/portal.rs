//! What a person has to click, in words: for the log, the status line and the last words of a
//! process.

use crate::gateway::close::Fatal;
use crate::snowflake::Id;

pub(crate) const PORTAL: &str = "https://discord.com/developers/applications";

/// The token is refused.
pub(crate) fn bad_token() -> String {
    format!(
        "Discord refused the bot token: open {PORTAL} → your application → Bot → Reset Token, put \
         the new one in config.toml, then: bulkhead reload"
    )
}

/// The content intent is off. Short: it stands in the status line.
pub(crate) fn no_content_intent(application: Id) -> String {
    format!(
        "reads only mentions and direct messages: switch on Message Content Intent at \
         {PORTAL}/{application}/bot"
    )
}

/// The gateway closed for a reason that no retry mends.
pub(crate) fn fatal(fatal: Fatal, application: Id, instance: &str) -> String {
    let restart = format!("then: bulkhead restart discord-{instance}");
    match fatal {
        Fatal::Token => bad_token(),
        Fatal::Intents => format!(
            "Discord refuses an intent (4014) although the application has it: open \
             {PORTAL}/{application}/bot, switch Message Content Intent off and on again, Save \
             Changes, {restart}"
        ),
        Fatal::BadIntents => format!(
            "Discord does not know an intent that this version asks for (4013): install a newer \
             release, {restart}"
        ),
        Fatal::Version => format!(
            "Discord's gateway no longer speaks version 10 (4012): install a newer release, {restart}"
        ),
        Fatal::Shards => format!(
            "the bot is in too many servers for one connection (2,500 is Discord's limit): take it \
             out of some, {restart}"
        ),
    }
}

/// Interactions go to a web server instead of here.
pub(crate) fn interactions_endpoint(application: Id) -> String {
    format!(
        "buttons and commands do not come here while the application has an Interactions Endpoint \
         URL: open {PORTAL}/{application}/information, clear that field, Save Changes"
    )
}
