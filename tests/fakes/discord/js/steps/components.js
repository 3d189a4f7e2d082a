// Buttons and selects, and every way to answer them.

import assert from 'node:assert/strict';
import {
  ActionRowBuilder, ButtonBuilder, ButtonStyle, Events, InteractionResponseType, MessageFlags, RESTJSONErrorCodes, Routes, StringSelectMenuBuilder,
} from 'discord.js';
import { general, refused } from './messages.js';

const row = (...cells) => new ActionRowBuilder().addComponents(...cells);
const button = (id, label, style = ButtonStyle.Primary) => new ButtonBuilder().setCustomId(id).setLabel(label).setStyle(style);
const asked = (heard, since, id) => heard.next(Events.InteractionCreate, since, (it) => it.id === id);

/** A message with two buttons and a select. */
async function question(it) {
  const pick = new StringSelectMenuBuilder().setCustomId('pick').setPlaceholder('which?').addOptions(
    { label: 'Red', value: 'red' }, { label: 'Blue', value: 'blue', description: 'like the sea' },
  );
  return general(it).send({ content: 'may I?', components: [row(button('yes', 'Allow', ButtonStyle.Success), button('no', 'Deny', ButtonStyle.Danger)), row(pick)] });
}

async function click(it, message, customId) {
  const since = it.heard.mark();
  const { interaction } = await it.fake.act('click', { user: it.fake.scene.alice, message: message.id, custom_id: customId });
  const [event] = await asked(it.heard, since, interaction);
  return event;
}

export const components = [
  ['a button: update deferred, an ephemeral follow-up', async (it) => {
    const { fake, client, heard } = it;
    const message = await question(it);
    const since = heard.mark();
    const event = await click(it, message, 'yes');
    assert.ok(event.isButton() && event.customId === 'yes' && event.user.id === fake.scene.alice && event.message.id === message.id);
    assert.ok(event.inCachedGuild() && event.appPermissions.has('EmbedLinks'));
    await event.deferUpdate();
    await fake.until('ledger', 0, (seen) => seen.seen === 'answered' && seen.interaction === event.id, 'the answer');
    const body = { type: InteractionResponseType.DeferredMessageUpdate };
    await refused(client.rest.post(Routes.interactionCallback(event.id, event.token), { body, auth: false }), RESTJSONErrorCodes.InteractionHasAlreadyBeenAcknowledged);
    const only = await event.followUp({ content: 'only you', flags: MessageFlags.Ephemeral });
    assert.ok(only.flags.has(MessageFlags.Ephemeral));
    assert.equal((await fake.shown(fake.scene.general, only.id)).only_for, fake.scene.alice);
    // The bot that sent it hears of it, as of a direct message.
    const [packet] = await heard.next(Events.Raw, since, (it) => it.t === 'MESSAGE_CREATE' && it.d.id === only.id);
    assert.ok(!('guild_id' in packet.d) && !('member' in packet.d));
    const page = await general(it).messages.fetch({ after: message.id, limit: 10 });
    assert.ok(!page.has(only.id));
    await event.editReply({ content: 'allowed', components: [] });
    const seen = await fake.shown(fake.scene.general, message.id);
    assert.deepEqual([seen.text, seen.components], ['allowed', []]);
  }],

  ['a select: answered by an update', async (it) => {
    const { fake, heard } = it;
    const message = await question(it);
    const since = heard.mark();
    const { interaction } = await fake.act('choose', { user: fake.scene.bob, message: message.id, custom_id: 'pick', values: ['blue'] });
    const [event] = await asked(heard, since, interaction);
    assert.ok(event.isStringSelectMenu());
    assert.deepEqual([event.values, event.member.id], [['blue'], fake.scene.bob]);
    await event.update({ content: `chosen: ${event.values[0]}`, components: [row(button('yes', 'Allow').setDisabled(true))] });
    const [, now] = await heard.next(Events.MessageUpdate, since, (_, it) => it.id === message.id);
    assert.deepEqual([now.content, now.components.length], ['chosen: blue', 1]);
    await assert.rejects(fake.act('click', { user: fake.scene.bob, message: message.id, custom_id: 'yes' }), /no usable component/);
  }],

  ['a button: an ephemeral reply, changed and taken back', async (it) => {
    const { fake } = it;
    const message = await question(it);
    const event = await click(it, message, 'no');
    const { resource, interaction } = await event.reply({ content: 'not yours', flags: MessageFlags.Ephemeral, withResponse: true });
    assert.ok(resource.message.flags.has(MessageFlags.Ephemeral) && interaction.responseMessageEphemeral);
    const { id } = await event.fetchReply();
    assert.equal(id, resource.message.id);
    assert.equal((await event.editReply('still not yours')).content, 'still not yours');
    await event.deleteReply();
    assert.equal(await fake.shown(fake.scene.general, id), undefined);
  }],

  ['a button in a direct message', async (it) => {
    const { fake, client, heard } = it;
    const dm = await (await client.users.fetch(fake.scene.owner)).createDM();
    const message = await dm.send({ content: 'may I?', components: [row(button('yes', 'Allow'))] });
    const since = heard.mark();
    const { interaction } = await fake.act('click', { user: fake.owner, message: message.id, custom_id: 'yes' });
    const [event] = await asked(heard, since, interaction);
    assert.deepEqual([event.guildId, event.user.id, event.member], [null, fake.owner, null]);
    await event.update({ content: 'allowed', components: [] });
    assert.equal((await fake.shown(dm.id, message.id)).text, 'allowed');
  }],
];
