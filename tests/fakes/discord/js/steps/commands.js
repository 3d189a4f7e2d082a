// Application commands: registered in bulk, typed by people, answered late.

import assert from 'node:assert/strict';
import { Events, MessageFlags, SlashCommandBuilder } from 'discord.js';

const plain = (name) => new SlashCommandBuilder().setName(name).setDescription(`what ${name} does`);
const MODE = plain('mode').addStringOption((it) => it.setName('mode').setDescription('which').setRequired(true)
  .addChoices({ name: 'Plan', value: 'plan' }, { name: 'Ask', value: 'default' }));

export const commands = [
  ['commands registered in bulk, for all and for a guild', async ({ fake, client }) => {
    const since = await fake.mark('wire');
    const all = await client.application.commands.set([plain('new'), MODE]);
    assert.deepEqual([...all.values()].map((it) => it.name), ['new', 'mode']);
    assert.ok(all.every((it) => it.applicationId === fake.scene.application && it.guildId === null && it.version));
    const here = await client.application.commands.set([plain('here')], fake.guild);
    assert.equal(here.first().guildId, fake.guild);
    const fewer = await client.application.commands.set([MODE]);
    assert.equal(fewer.first().id, all.find((it) => it.name === 'mode').id);
    assert.deepEqual([...(await client.application.commands.fetch()).values()].map((it) => it.name), ['mode']);
    const puts = await fake.all('wire', since, (it) => it.wire === 'request' && it.method === 'PUT');
    assert.equal(puts.length, 3);
  }],

  ['a command: ephemerally deferred, edited later', async ({ fake, heard }) => {
    const since = heard.mark();
    const { interaction } = await fake.act('command', {
      user: fake.scene.alice, channel: fake.scene.general, name: 'mode', options: [{ name: 'mode', value: 'plan' }],
    });
    const [event] = await heard.next(Events.InteractionCreate, since, (it) => it.id === interaction);
    assert.ok(event.isChatInputCommand());
    assert.deepEqual([event.commandName, event.options.getString('mode', true), event.user.id], ['mode', 'plan', fake.scene.alice]);
    await event.deferReply({ flags: MessageFlags.Ephemeral });
    const waiting = await event.fetchReply();
    const before = await fake.shown(fake.scene.general, waiting.id);
    assert.deepEqual([before.loading, before.only_for], [true, fake.scene.alice]);
    const edited = await event.editReply('the mode is plan');
    assert.deepEqual([edited.id, edited.content, edited.interactionMetadata.user.id], [waiting.id, 'the mode is plan', fake.scene.alice]);
    const after = await fake.shown(fake.scene.general, waiting.id);
    assert.deepEqual([after.loading, after.text, after.only_for], [false, 'the mode is plan', fake.scene.alice]);
    const more = await event.followUp('for everybody');
    assert.equal((await fake.shown(fake.scene.general, more.id)).only_for, null);
  }],

  ['a command that is not registered cannot be typed', async ({ fake }) => {
    const typed = (name, options) => fake.act('command', { user: fake.scene.alice, channel: fake.scene.general, name, options });
    await assert.rejects(typed('new', []), /no command "new"/);
    await assert.rejects(typed('mode', []), /mode/);
    await assert.rejects(typed('mode', [{ name: 'mode', value: 'unknown' }]), /mode/);
    await assert.rejects(typed('here', [{ name: 'extra', value: 1 }]), /extra/);
  }],
];
