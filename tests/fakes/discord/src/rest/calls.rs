//! From a call to the function that answers it.

use serde_json::json;

use super::body::Payload;
use super::route::Call;
use super::{Answer, Done};
use crate::Id;
use crate::core::Core;

impl Core {
    /// Does what is asked, as `me`; calls that need no token get the default id.
    pub(super) fn call(
        &mut self,
        me: Id,
        call: &Call,
        query: &[(String, String)],
        payload: &Payload,
    ) -> Done {
        match call {
            Call::Gateway => Answer::ok(json!({ "url": self.addresses.gateway })),
            Call::GatewayBot => self.gateway_bot(me),
            Call::MyApplication => self.my_application(me),
            Call::Me => self.me(me),
            Call::MyGuilds => self.my_guilds(me),
            Call::User(user) => self.user(*user),
            Call::Guild(guild) => self.guild(me, *guild),
            Call::GuildChannels(guild) => self.guild_channels(me, *guild),
            Call::GuildRoles(guild) => self.guild_roles(me, *guild),
            Call::GuildMember(guild, user) => self.guild_member(me, *guild, *user),
            Call::Commands(app, scope) => self.commands(me, *app, *scope),
            Call::PutCommands(app, scope) => self.put_commands(me, *app, *scope, &payload.json),
            Call::RefreshUrls => self.refresh_urls(&payload.json),
            Call::OpenDm => self.open_dm(me, &payload.json),
            Call::Channel(channel) => self.channel(me, *channel),
            Call::EditChannel(channel) => self.edit_thread(me, *channel, &payload.json),
            Call::DeleteChannel(channel) => self.delete_thread(me, *channel),
            Call::Typing(channel) => self.typing(me, *channel),
            Call::Messages(channel) => self.messages(me, *channel, query),
            Call::Message(channel, message) => self.get_message(me, *channel, *message),
            Call::Post(channel) => self.post_message(me, *channel, payload),
            Call::Edit(channel, message) => self.edit_message(me, *channel, *message, payload),
            Call::Delete(channel, message) => self.delete_message(me, *channel, *message),
            Call::React(channel, message, emoji) => {
                self.set_reaction(me, *channel, *message, emoji, true)
            }
            Call::Unreact(channel, message, emoji) => {
                self.set_reaction(me, *channel, *message, emoji, false)
            }
            Call::ThreadFromMessage(channel, message) => {
                self.make_thread(me, *channel, Some(*message), &payload.json)
            }
            Call::Thread(channel) => self.make_thread(me, *channel, None, &payload.json),
            Call::JoinThread(thread) => self.thread_member(me, *thread, me, true),
            Call::LeaveThread(thread) => self.thread_member(me, *thread, me, false),
            Call::AddToThread(thread, user) => self.thread_member(me, *thread, *user, true),
            Call::ThreadMembers(thread) => self.thread_members(me, *thread),
            Call::ActiveThreads(guild) => self.active_threads(me, *guild),
            Call::Callback(id, token) => self.callback(*id, token, query, payload),
            Call::FollowUp(app, token) => self.follow_up(*app, token, payload),
            Call::GetFollowUp(app, token, which) => self.get_follow_up(*app, token, *which),
            Call::EditFollowUp(app, token, which) => {
                self.edit_follow_up(*app, token, *which, payload)
            }
            Call::DeleteFollowUp(app, token, which) => self.delete_follow_up(*app, token, *which),
        }
    }
}
