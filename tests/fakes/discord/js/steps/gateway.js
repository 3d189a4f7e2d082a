// Connections that end, sessions that go on, and one that does not.

import assert from 'node:assert/strict';
import { Events } from 'discord.js';

const accepted = (kind) => (it) => it.wire === kind && it.outcome.accepted !== undefined;
const texts = (heard, since, channel) => heard.all(Events.MessageCreate, since).map(([it]) => it).filter((it) => it.channelId === channel).map((it) => it.content);

/** Breaks the connection with `how` and waits until the same session goes on. */
async function resumed({ fake, client, heard }, how) {
  const since = heard.mark();
  const wire = await fake.mark('wire');
  await fake.act('fault', { now: how });
  await heard.next(Events.ShardResume, since);
  const resume = await fake.until('wire', wire, accepted('resume'), 'a RESUME');
  assert.equal(resume.host, 'resume', 'at the address that READY named');
  assert.equal(client.isReady(), true);
  assert.deepEqual(await fake.all('wire', wire, (it) => it.wire === 'identify'), []);
  const id = await fake.says(fake.scene.general, 'still here?');
  await heard.next(Events.MessageCreate, since, (it) => it.id === id);
}

export const gateway = [
  ['heartbeats', async ({ fake }) => {
    const beat = await fake.until('wire', 0, (it) => it.wire === 'heartbeat' && it.seq !== null, 'a heartbeat');
    assert.ok(beat.acked);
    await fake.until('wire', await fake.mark('wire'), (it) => it.wire === 'heartbeat' && it.acked, 'another');
    await fake.act('fault', { now: 'ask_heartbeat' });
    await fake.until('wire', await fake.mark('wire'), (it) => it.wire === 'heartbeat' && it.acked, 'one that was asked for');
  }],

  ['reconnect after a close with 4000', (it) => resumed(it, { close: { code: 4000 } })],
  ['reconnect after op 7', (it) => resumed(it, { reconnect: {} })],
  ['op 9 that lets the session go on', async ({ fake, heard }) => {
    // discord.js says RESUME on the same connection.
    const since = heard.mark();
    const wire = await fake.mark('wire');
    await fake.act('fault', { now: { invalid_session: { resumable: true } } });
    await heard.next(Events.ShardResume, since);
    assert.deepEqual(await fake.all('wire', wire, (it) => it.wire === 'identify' || it.wire === 'closed'), []);
    const id = await fake.says(fake.scene.general, 'and now?');
    await heard.next(Events.MessageCreate, since, (it) => it.id === id);
  }],

  ['resume with the missed messages replayed in order', async (it) => {
    const { fake, heard } = it;
    const since = heard.mark();
    const wire = await fake.mark('wire');
    await fake.act('fault', { gateway: { what: { refuse_upgrade: { status: 503 } }, times: 'always' } });
    await fake.act('fault', { now: { cut: {} } });
    await fake.until('wire', wire, (it) => it.wire === 'upgrade_refused', 'an attempt that fails');
    const missed = ['missed 1', 'missed 2', 'missed 3'];
    for (const text of missed) await fake.says(fake.scene.random, text);
    assert.deepEqual(texts(heard, since, fake.scene.random), []);
    await fake.act('fault', 'clear');
    await heard.next(Events.ShardResume, since);
    assert.deepEqual(texts(heard, since, fake.scene.random), missed);
    const resume = await fake.until('wire', wire, accepted('resume'), 'a RESUME');
    assert.equal(resume.outcome.accepted.replayed, 3);
    assert.deepEqual(await fake.all('wire', wire, (it) => it.wire === 'identify'), []);
  }],

  ['op 9: a new session', async ({ fake, heard }) => {
    const since = heard.mark();
    const wire = await fake.mark('wire');
    await fake.act('fault', { now: { invalid_session: { resumable: false } } });
    const identify = await fake.until('wire', wire, accepted('identify'), 'an IDENTIFY');
    assert.equal(identify.bot, fake.bot);
    await heard.next(Events.ShardReady, since);
    const id = await fake.says(fake.scene.general, 'a new day');
    await heard.next(Events.MessageCreate, since, (it) => it.id === id);
  }],

  ['log out', async ({ fake, client }) => {
    const wire = await fake.mark('wire');
    await client.destroy();
    const closed = await fake.until('wire', wire, (it) => it.wire === 'closed', 'the end');
    assert.deepEqual([closed.by, closed.code], ['client', 1000]);
  }],
];
