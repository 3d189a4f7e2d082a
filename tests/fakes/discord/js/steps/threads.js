// Threads: made from a message and without one, written in, archived.

import assert from 'node:assert/strict';
import { ChannelType, Events, MessageType, RESTJSONErrorCodes, ThreadAutoArchiveDuration } from 'discord.js';
import { general, refused } from './messages.js';

const own = (id) => (it) => it.id === id;

export const threads = [
  ['a thread from a message, and a message in it', async ({ fake, heard }) => {
    const since = heard.mark();
    const id = await fake.says(fake.scene.general, 'a topic');
    const [message] = await heard.next(Events.MessageCreate, since, own(id));
    const thread = await message.startThread({ name: 'topic', autoArchiveDuration: ThreadAutoArchiveDuration.OneDay });
    assert.deepEqual([thread.id, thread.parentId, thread.type], [id, fake.scene.general, ChannelType.PublicThread]);
    assert.ok(thread.joined);
    await heard.next(Events.MessageUpdate, since, (_, now) => now.id === id && now.hasThread);
    await heard.next(Events.ThreadCreate, since, own(id));
    // The client tells of it at the first of REST's answer and the event; only the event says that it is new.
    const [created] = await heard.next(Events.Raw, since, (it) => it.t === 'THREAD_CREATE' && it.d.id === id);
    assert.equal(created.d.newly_created, true);
    const [starter] = await heard.next(Events.MessageCreate, since, (it) => it.channelId === id);
    assert.deepEqual([starter.type, starter.content], [MessageType.ThreadStarterMessage, '']);
    assert.equal((await thread.fetchStarterMessage()).content, 'a topic');
    const said = await fake.says(thread.id, 'in here');
    const [inside] = await heard.next(Events.MessageCreate, since, own(said));
    assert.ok(inside.channel.isThread() && inside.channel.parentId === fake.scene.general);
    await inside.reply('here I am');
    const again = thread.parent.threads.create({ name: 'again', startMessage: id });
    await refused(again, RESTJSONErrorCodes.ThreadAlreadyCreatedForMessage);
  }],

  ['a thread archived and opened again by writing', async (it) => {
    const { heard } = it;
    const thread = await general(it).threads.create({ name: 'on its own', type: ChannelType.PublicThread });
    const message = await thread.send('one');
    const since = heard.mark();
    await thread.setArchived(true);
    await heard.next(Events.ThreadUpdate, since, (_, now) => now.id === thread.id && now.archived);
    await refused(message.edit('two'), RESTJSONErrorCodes.InvalidActionOnArchivedThread);
    await refused(message.react('👍'), RESTJSONErrorCodes.InvalidActionOnArchivedThread);
    await thread.send('three');
    await heard.next(Events.ThreadUpdate, since, (_, now) => now.id === thread.id && !now.archived);
    await message.edit('two');
    assert.equal((await thread.fetch(true)).archived, false);
  }],
];
