//! Routes: method and path to a call, with the template and the major id that limits go by.

use axum::http::Method;

use crate::Id;
use crate::ratelimit::Bucket;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Gateway,
    GatewayBot,
    MyApplication,
    Me,
    MyGuilds,
    OpenDm,
    User(Id),
    Guild(Id),
    GuildChannels(Id),
    GuildRoles(Id),
    GuildMember(Id, Id),
    ActiveThreads(Id),
    Channel(Id),
    EditChannel(Id),
    DeleteChannel(Id),
    Messages(Id),
    Message(Id, Id),
    Post(Id),
    Edit(Id, Id),
    Delete(Id, Id),
    Typing(Id),
    React(Id, Id, String),
    Unreact(Id, Id, String),
    ThreadFromMessage(Id, Id),
    Thread(Id),
    JoinThread(Id),
    LeaveThread(Id),
    AddToThread(Id, Id),
    ThreadMembers(Id),
    RefreshUrls,
    /// The application and, for one guild's, the guild.
    Commands(Id, Option<Id>),
    PutCommands(Id, Option<Id>),
    Callback(Id, String),
    FollowUp(Id, String),
    /// `None`: the original response.
    GetFollowUp(Id, String, Option<Id>),
    EditFollowUp(Id, String, Option<Id>),
    DeleteFollowUp(Id, String, Option<Id>),
}

/// A request's place in the API.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) call: Call,
    pub(crate) template: &'static str,
    pub(crate) major: String,
    /// `None`: never limited per route.
    pub(crate) bucket: Option<Bucket>,
    /// Interactions carry no Authorization and are not in the global limit.
    pub(crate) open: bool,
}

/// Why there is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Miss {
    Path,
    Method,
}

const CHANNEL: &str = "/channels/{channel.id}";
const MESSAGES: &str = "/channels/{channel.id}/messages";
const MESSAGE: &str = "/channels/{channel.id}/messages/{message.id}";
const COMMANDS: &str = "/applications/{application.id}/commands";
const GUILD_COMMANDS: &str = "/applications/{application.id}/guilds/{guild.id}/commands";
const REACTION: &str = "/channels/{channel.id}/messages/{message.id}/reactions/{emoji}/@me";
const FOLLOW_UP: &str = "/webhooks/{application.id}/{interaction.token}/messages/{message.id}";

/// Finds the route of a path below the API base.
pub(crate) fn find(method: &Method, path: &str) -> Result<Route, Miss> {
    // Clients escape what they like: an emoji, but also the `@` of `@original`.
    let parts: Vec<String> = path.trim_matches('/').split('/').map(unescaped).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    // GET, POST, PUT, PATCH, DELETE in this order: `None` where the path has no such method.
    let verb = match method.as_str() {
        "GET" => 0,
        "POST" => 1,
        "PUT" => 2,
        "PATCH" => 3,
        "DELETE" => 4,
        _ => return Err(Miss::Method),
    };
    let pick = |calls: [Option<Call>; 5]| calls.into_iter().nth(verb).flatten().ok_or(Miss::Method);
    let get = |call| pick([Some(call), None, None, None, None]);
    let id = |text: &str| text.parse::<Id>().map_err(|_| Miss::Path);
    let plain = |call, template| {
        Ok(route(
            call,
            template,
            String::new(),
            Some(Bucket::new(template, 30, 10_000)),
        ))
    };

    match parts.as_slice() {
        ["gateway"] => Ok(Route {
            open: true,
            bucket: None,
            ..route(get(Call::Gateway)?, "/gateway", String::new(), None)
        }),
        ["gateway", "bot"] => {
            let bucket = Bucket::new("gateway_bot", 2, 5000);
            Ok(route(
                get(Call::GatewayBot)?,
                "/gateway/bot",
                String::new(),
                Some(bucket),
            ))
        }
        ["applications", "@me"] => plain(get(Call::MyApplication)?, "/applications/@me"),
        ["oauth2", "applications", "@me"] => {
            plain(get(Call::MyApplication)?, "/oauth2/applications/@me")
        }
        ["applications", app, "commands"] => {
            let app = id(app)?;
            let call = pick([
                Some(Call::Commands(app, None)),
                None,
                Some(Call::PutCommands(app, None)),
                None,
                None,
            ])?;
            plain(call, COMMANDS)
        }
        ["applications", app, "guilds", guild, "commands"] => {
            let (app, guild) = (id(app)?, Some(id(guild)?));
            let call = pick([
                Some(Call::Commands(app, guild)),
                None,
                Some(Call::PutCommands(app, guild)),
                None,
                None,
            ])?;
            plain(call, GUILD_COMMANDS)
        }
        ["attachments", "refresh-urls"] => plain(
            pick([None, Some(Call::RefreshUrls), None, None, None])?,
            "/attachments/refresh-urls",
        ),
        ["users", "@me"] => plain(get(Call::Me)?, "/users/@me"),
        ["users", "@me", "guilds"] => plain(get(Call::MyGuilds)?, "/users/@me/guilds"),
        ["users", "@me", "channels"] => plain(
            pick([None, Some(Call::OpenDm), None, None, None])?,
            "/users/@me/channels",
        ),
        ["users", user] => plain(get(Call::User(id(user)?))?, "/users/{user.id}"),
        ["guilds", guild, rest @ ..] => in_guild(id(guild)?, rest, get),
        ["channels", channel, rest @ ..] => in_channel(id(channel)?, rest, verb),
        ["interactions", interaction, token, "callback"] => {
            let call = pick([
                None,
                Some(Call::Callback(id(interaction)?, (*token).to_owned())),
                None,
                None,
                None,
            ])?;
            let template = "/interactions/{interaction.id}/{interaction.token}/callback";
            Ok(Route {
                open: true,
                ..route(call, template, (*token).to_owned(), None)
            })
        }
        ["webhooks", app, token, rest @ ..] => in_webhook(id(app)?, token, rest, verb),
        _ => Err(Miss::Path),
    }
}

fn route(call: Call, template: &'static str, major: String, bucket: Option<Bucket>) -> Route {
    Route {
        call,
        template,
        major,
        bucket,
        open: false,
    }
}

fn in_guild(
    guild: Id,
    rest: &[&str],
    get: impl Fn(Call) -> Result<Call, Miss>,
) -> Result<Route, Miss> {
    let (call, template) = match rest {
        [] => (Call::Guild(guild), "/guilds/{guild.id}"),
        ["channels"] => (Call::GuildChannels(guild), "/guilds/{guild.id}/channels"),
        ["roles"] => (Call::GuildRoles(guild), "/guilds/{guild.id}/roles"),
        ["members", user] => {
            let user = user.parse().map_err(|_| Miss::Path)?;
            (
                Call::GuildMember(guild, user),
                "/guilds/{guild.id}/members/{user.id}",
            )
        }
        ["threads", "active"] => (
            Call::ActiveThreads(guild),
            "/guilds/{guild.id}/threads/active",
        ),
        _ => return Err(Miss::Path),
    };
    Ok(route(
        get(call)?,
        template,
        guild.to_string(),
        Some(Bucket::new(template, 30, 10_000)),
    ))
}

fn in_channel(channel: Id, rest: &[&str], verb: usize) -> Result<Route, Miss> {
    let pick = |calls: [Option<Call>; 5]| calls.into_iter().nth(verb).flatten().ok_or(Miss::Method);
    let id = |text: &str| text.parse::<Id>().map_err(|_| Miss::Path);
    let (call, template) = match rest {
        [] => {
            let calls = [
                Some(Call::Channel(channel)),
                None,
                None,
                Some(Call::EditChannel(channel)),
                Some(Call::DeleteChannel(channel)),
            ];
            (pick(calls)?, CHANNEL)
        }
        ["messages"] => (
            pick([
                Some(Call::Messages(channel)),
                Some(Call::Post(channel)),
                None,
                None,
                None,
            ])?,
            MESSAGES,
        ),
        ["messages", message] => {
            let message = id(message)?;
            let calls = [
                Some(Call::Message(channel, message)),
                None,
                None,
                Some(Call::Edit(channel, message)),
                Some(Call::Delete(channel, message)),
            ];
            (pick(calls)?, MESSAGE)
        }
        ["messages", message, "threads"] => {
            let call = Call::ThreadFromMessage(channel, id(message)?);
            (
                pick([None, Some(call), None, None, None])?,
                "/channels/{channel.id}/messages/{message.id}/threads",
            )
        }
        ["messages", message, "reactions", emoji, "@me"] => {
            let (message, emoji) = (id(message)?, (*emoji).to_owned());
            let (add, remove) = (
                Call::React(channel, message, emoji.clone()),
                Call::Unreact(channel, message, emoji),
            );
            (pick([None, None, Some(add), None, Some(remove)])?, REACTION)
        }
        ["typing"] => (
            pick([None, Some(Call::Typing(channel)), None, None, None])?,
            "/channels/{channel.id}/typing",
        ),
        ["threads"] => (
            pick([None, Some(Call::Thread(channel)), None, None, None])?,
            "/channels/{channel.id}/threads",
        ),
        ["thread-members"] => (
            pick([Some(Call::ThreadMembers(channel)), None, None, None, None])?,
            "/channels/{channel.id}/thread-members",
        ),
        ["thread-members", "@me"] => {
            let calls = [
                None,
                None,
                Some(Call::JoinThread(channel)),
                None,
                Some(Call::LeaveThread(channel)),
            ];
            (pick(calls)?, "/channels/{channel.id}/thread-members/@me")
        }
        ["thread-members", user] => {
            let call = Call::AddToThread(channel, id(user)?);
            (
                pick([None, None, Some(call), None, None])?,
                "/channels/{channel.id}/thread-members/{user.id}",
            )
        }
        _ => return Err(Miss::Path),
    };
    let bucket = match &call {
        Call::Post(_) => Bucket::new("post_message", 5, 5000),
        Call::Edit(..) => Bucket::new("edit_message", 5, 5000),
        Call::Delete(..) => Bucket::new("delete_message", 5, 1000),
        Call::Typing(_) => Bucket::new("typing", 5, 5000),
        Call::React(..) | Call::Unreact(..) => Bucket::new("react", 1, 250),
        Call::ThreadFromMessage(..) | Call::Thread(_) => Bucket::new("make_thread", 10, 10_000),
        _ => Bucket::new(template, 10, 5000),
    };
    Ok(route(call, template, channel.to_string(), Some(bucket)))
}

fn in_webhook(app: Id, token: &str, rest: &[&str], verb: usize) -> Result<Route, Miss> {
    let pick = |calls: [Option<Call>; 5]| calls.into_iter().nth(verb).flatten().ok_or(Miss::Method);
    let token = token.to_owned();
    let major = format!("{app}/{token}");
    let (call, template) = match rest {
        [] => {
            let call = Call::FollowUp(app, token);
            (
                pick([None, Some(call), None, None, None])?,
                "/webhooks/{application.id}/{interaction.token}",
            )
        }
        ["messages", message] => {
            let message = match *message {
                "@original" => None,
                other => Some(other.parse().map_err(|_| Miss::Path)?),
            };
            let calls = [
                Some(Call::GetFollowUp(app, token.clone(), message)),
                None,
                None,
                Some(Call::EditFollowUp(app, token.clone(), message)),
                Some(Call::DeleteFollowUp(app, token, message)),
            ];
            (pick(calls)?, FOLLOW_UP)
        }
        _ => return Err(Miss::Path),
    };
    let bucket = Some(Bucket::new("webhook", 5, 2000));
    Ok(Route {
        open: true,
        ..route(call, template, major, bucket)
    })
}

/// Percent-decoding of one path segment.
fn unescaped(text: &str) -> String {
    // A `+` in a path is a plus; the form decoder would read a space.
    let escaped = text.replace('+', "%2B");
    url::form_urlencoded::parse(escaped.as_bytes())
        .map(|(key, _)| key.into_owned())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Call, Miss, find};
    use crate::Id;
    use axum::http::Method;

    #[test]
    fn templates_name_no_ids() {
        let route = find(&Method::PATCH, "/channels/1/messages/2").unwrap();
        assert_eq!(
            route.template,
            "/channels/{channel.id}/messages/{message.id}"
        );
        assert_eq!(
            (route.call, route.major.as_str()),
            (Call::Edit(Id(1), Id(2)), "1")
        );
    }

    #[test]
    fn wrong_paths_and_methods_are_told_apart() {
        assert_eq!(
            find(&Method::PUT, "/channels/1/messages").unwrap_err(),
            Miss::Method
        );
        assert_eq!(
            find(&Method::GET, "/channels/x/messages").unwrap_err(),
            Miss::Path
        );
        assert_eq!(find(&Method::GET, "/nothing").unwrap_err(), Miss::Path);
    }

    #[test]
    fn segments_are_unescaped() {
        let path = "/webhooks/1/token/messages/%40original";
        let route = find(&Method::PATCH, path).unwrap();
        assert_eq!(route.call, Call::EditFollowUp(Id(1), "token".into(), None));
        let route = find(
            &Method::PUT,
            "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me",
        )
        .unwrap();
        assert_eq!(route.call, Call::React(Id(1), Id(2), "👍".into()));
    }
}
