// Logging in, and messages: received, written, answered, changed, deleted, read again, reacted to, forbidden.

import assert from 'node:assert/strict';
import { ChannelType, EmbedBuilder, Events, MessageType, PermissionFlagsBits, RESTJSONErrorCodes } from 'discord.js';

const own = (message) => (it) => it.id === message;

/** The rejection's code of the API. */
export async function refused(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, error.stack);
    return true;
  });
}

/** The channel that most steps use. */
export const general = ({ client, fake }) => client.channels.cache.get(fake.scene.general);

export const messages = [
  ['log in', async ({ fake, client, heard }) => {
    await client.login(fake.token);
    await heard.next(Events.ClientReady, 0);
    assert.equal(client.user.id, fake.bot);
    assert.equal(client.application.id, fake.scene.application);
    const guild = client.guilds.cache.get(fake.guild);
    assert.ok(guild.available && guild.ownerId === fake.owner);
    assert.deepEqual([...guild.channels.cache.keys()].sort(), [fake.scene.general, fake.scene.random].sort());
    assert.equal(guild.members.me.id, fake.bot);
    assert.equal(guild.roles.cache.get(fake.scene.role).tags.botId, fake.bot);
    const application = await client.application.fetch();
    assert.equal(application.owner.id, fake.owner);
    assert.ok(application.flags.has('GatewayMessageContentLimited'));
  }],

  ['message received', async ({ fake, client, heard }) => {
    const since = heard.mark();
    const id = await fake.says(fake.scene.general, `<@${fake.bot}> good morning <@${fake.scene.bob}>`);
    const [message] = await heard.next(Events.MessageCreate, since, own(id));
    assert.equal(message.content, `<@${fake.bot}> good morning <@${fake.scene.bob}>`);
    assert.equal(message.author.username, 'alice');
    assert.equal(message.member.id, fake.scene.alice);
    assert.deepEqual([message.guildId, message.channel.type, message.type], [fake.guild, ChannelType.GuildText, MessageType.Default]);
    assert.ok(message.mentions.has(client.user) && message.mentions.users.has(fake.scene.bob));
    assert.ok(Math.abs(message.createdTimestamp - Date.now()) < 60_000, 'an id carries its time');
  }],

  ['direct message received and answered', async ({ fake, heard }) => {
    const since = heard.mark();
    const { message: id, channel } = await fake.act('dm', { user: fake.scene.bob, text: 'psst' });
    const [message] = await heard.next(Events.MessageCreate, since, own(id));
    assert.deepEqual([message.guildId, message.channelId, message.content], [null, channel, 'psst']);
    const dm = await message.author.createDM();
    assert.equal(dm.id, channel);
    const answer = await dm.send('yes?');
    assert.equal((await fake.shown(channel, answer.id)).text, 'yes?');
  }],

  ['reply', async ({ fake, heard }) => {
    const since = heard.mark();
    const id = await fake.says(fake.scene.general, 'a question');
    const [asked] = await heard.next(Events.MessageCreate, since, own(id));
    const quiet = await asked.reply({ content: 'an answer <@&1> @everyone', allowedMentions: { parse: [], repliedUser: false } });
    assert.deepEqual([quiet.type, quiet.reference.messageId, quiet.mentions.users.size], [MessageType.Reply, id, 0]);
    assert.equal((await quiet.fetchReference()).content, 'a question');
    const seen = await fake.shown(fake.scene.general, quiet.id);
    assert.deepEqual([seen.reply_to, seen.pings], [id, []]);
    const loud = await asked.reply('hey');
    assert.deepEqual((await fake.shown(fake.scene.general, loud.id)).pings, [fake.scene.alice]);
    const [echo] = await heard.next(Events.MessageCreate, since, own(loud.id));
    assert.equal(echo.mentions.repliedUser.id, fake.scene.alice);
  }],

  ['the same nonce, the same message', async (it) => {
    const body = { content: 'once', nonce: 'a-nonce', enforceNonce: true };
    const first = await general(it).send(body);
    const second = await general(it).send(body);
    assert.equal(second.id, first.id);
    const [echo] = await it.heard.next(Events.MessageCreate, 0, own(first.id));
    assert.equal(echo.nonce, 'a-nonce');
    const again = await general(it).messages.fetch({ message: first.id, force: true });
    assert.equal(again.content, 'once');
  }],

  ['edit', async (it) => {
    const { fake, heard } = it;
    const since = heard.mark();
    const message = await general(it).send({ content: `<@${fake.scene.alice}>`, allowedMentions: { parse: [] } });
    const still = await message.edit({ content: `<@${fake.scene.alice}>!`, allowedMentions: { parse: [] } });
    assert.equal(still.mentions.users.size, 0);
    const parsed = await message.edit(`<@${fake.scene.alice}>!!`);
    assert.deepEqual([...parsed.mentions.users.keys()], [fake.scene.alice]);
    assert.ok(parsed.editedTimestamp >= message.createdTimestamp);
    const [, update] = await heard.next(Events.MessageUpdate, since, (_, now) => now.id === message.id && now.content.endsWith('!!'));
    assert.ok(update.editedAt instanceof Date);
    await message.delete();
    await heard.next(Events.MessageDelete, since, own(message.id));
    await refused(general(it).messages.fetch({ message: message.id, force: true }), RESTJSONErrorCodes.UnknownMessage);
  }],

  ["a person's edit and delete", async ({ fake, heard }) => {
    const since = heard.mark();
    const user = fake.scene.alice;
    const message = await fake.says(fake.scene.general, 'one');
    await fake.act('edit', { user, message, text: 'two' });
    const [before, after] = await heard.next(Events.MessageUpdate, since, (_, now) => now.id === message);
    assert.deepEqual([before.content, after.content], ['one', 'two']);
    await fake.act('delete', { user, message });
    await heard.next(Events.MessageDelete, since, own(message));
  }],

  ['history', async (it) => {
    const ids = [];
    for (const text of ['first', 'second', 'third']) ids.push(await it.fake.says(it.fake.scene.random, text));
    const channel = it.client.channels.cache.get(it.fake.scene.random);
    const after = await channel.messages.fetch({ after: ids[0], limit: 10 });
    assert.deepEqual([...after.keys()], [ids[2], ids[1]]);
    const before = await channel.messages.fetch({ before: ids[2], limit: 1 });
    assert.deepEqual([...before.keys()], [ids[1]]);
  }],

  ['embed and its edit', async (it) => {
    const embed = new EmbedBuilder().setTitle('Working').setDescription('step 1').setColor(0x3366ff).addFields({ name: 'a', value: 'b' });
    const message = await general(it).send({ embeds: [embed] });
    assert.deepEqual([message.embeds[0].title, message.embeds[0].description, message.embeds[0].color], ['Working', 'step 1', 0x3366ff]);
    const edited = await message.edit({ embeds: [EmbedBuilder.from(message.embeds[0]).setDescription('step 2')] });
    assert.deepEqual([edited.embeds.length, edited.embeds[0].description, edited.embeds[0].fields[0].value], [1, 'step 2', 'b']);
    const seen = await it.fake.shown(it.fake.scene.general, message.id);
    assert.equal(seen.embeds[0].description, 'step 2');
    const bare = await message.edit({ content: 'done', embeds: [] });
    assert.deepEqual([bare.content, bare.embeds.length], ['done', 0]);
  }],

  ['reactions and typing', async ({ fake, client, heard }) => {
    const since = heard.mark();
    const channel = client.channels.cache.get(fake.scene.random);
    const message = await fake.says(fake.scene.random, 'nice');
    const [received] = await heard.next(Events.MessageCreate, since, own(message));
    const reaction = await received.react('👍');
    assert.deepEqual([reaction.emoji.name, reaction.me], ['👍', true]);
    await fake.act('react', { user: fake.scene.bob, message, emoji: '👍' });
    const [theirs, user] = await heard.next(Events.MessageReactionAdd, since, (_, user) => user.id === fake.scene.bob);
    assert.deepEqual([theirs.message.id, user.id], [message, fake.scene.bob]);
    await reaction.users.remove(client.user);
    await channel.sendTyping();
    await fake.until('ledger', 0, (it) => it.seen === 'typing' && it.user === fake.bot, 'typing');
  }],

  ['a missing permission', async (it) => {
    const { fake, client, heard } = it;
    const channel = client.channels.cache.get(fake.scene.random);
    const deny = (bits) => fake.act('fault', { portal: { deny: { user: fake.bot, channel: channel.id, bits: Number(bits) } } });
    const since = heard.mark();
    assert.ok(channel.permissionsFor(client.user).has(PermissionFlagsBits.EmbedLinks));
    await deny(PermissionFlagsBits.EmbedLinks);
    await heard.next(Events.ChannelUpdate, since);
    assert.ok(!channel.permissionsFor(client.user).has(PermissionFlagsBits.EmbedLinks));
    const embeds = [new EmbedBuilder().setTitle('unseen')];
    await refused(channel.send({ embeds }), RESTJSONErrorCodes.MissingPermissions);
    assert.equal((await channel.send({ content: 'only this', embeds })).embeds.length, 0);
    await deny(PermissionFlagsBits.SendMessages);
    await refused(channel.send('nothing'), RESTJSONErrorCodes.MissingPermissions);
    await deny(PermissionFlagsBits.ViewChannel);
    await refused(channel.send('nothing'), RESTJSONErrorCodes.MissingAccess);
    await deny(0n);
    await channel.send('again');
  }],

  ['rate limits are kept to by their headers', async ({ fake, client }) => {
    const since = await fake.mark('wire');
    const { user: carol } = await fake.act('user', { name: 'carol', guild: fake.guild });
    const dm = await (await client.users.fetch(carol)).createDM();
    // More than a window holds: the client must wait by what the headers said, and never be told 429.
    const sent = await Promise.all(Array.from({ length: 7 }, (_, n) => dm.send(`n${n}`)));
    const lines = await fake.get(`transcript?channel=${dm.id}`);
    assert.deepEqual(lines.map((line) => line.text), sent.map((_, n) => `n${n}`));
    const over = await fake.all('wire', since, (it) => it.wire === 'response' && it.status === 429);
    assert.deepEqual(over, []);
  }],
];
