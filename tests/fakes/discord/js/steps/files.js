// Files: sent, received, their addresses that expire.

import assert from 'node:assert/strict';
import { AttachmentBuilder, Events, RESTJSONErrorCodes } from 'discord.js';
import { general, refused } from './messages.js';

async function fetched(url) {
  const response = await fetch(url);
  return [response.status, response.ok ? await response.text() : ''];
}

export const files = [
  ['a file sent', async (it) => {
    const answer = new AttachmentBuilder(Buffer.from('# the whole answer\n'), { name: 'answer.md', description: 'all of it' });
    const message = await general(it).send({ content: 'see', files: [answer] });
    const file = message.attachments.first();
    assert.deepEqual([file.name, file.size, file.description], ['answer.md', 19, 'all of it']);
    assert.deepEqual(await fetched(file.url), [200, '# the whole answer\n']);
    // What an edit does not name is gone, what it brings is added.
    const more = await message.edit({ attachments: [file], files: [new AttachmentBuilder(Buffer.from('b'), { name: 'b.txt' })] });
    assert.deepEqual([...more.attachments.values()].map((it) => it.name), ['answer.md', 'b.txt']);
    const fewer = await message.edit({ attachments: [file] });
    assert.deepEqual([...fewer.attachments.values()].map((it) => it.name), ['answer.md']);
    const big = new AttachmentBuilder(Buffer.alloc((10 << 20) + 1), { name: 'big.bin' });
    await refused(general(it).send({ files: [big] }), RESTJSONErrorCodes.RequestEntityTooLarge);
  }],

  ['a file received, its address expired and fresh again', async ({ fake, client, heard }) => {
    const since = heard.mark();
    const base64 = Buffer.from('a picture').toString('base64');
    const id = await fake.says(fake.scene.general, '', { files: [{ name: 'cat.png', content_type: 'image/png', base64 }] });
    const [message] = await heard.next(Events.MessageCreate, since, (message) => message.id === id);
    const file = message.attachments.first();
    assert.deepEqual([message.content, file.name, file.contentType, file.size], ['', 'cat.png', 'image/png', 9]);
    assert.deepEqual(await fetched(file.url), [200, 'a picture']);
    await fake.act('fault', { portal: 'expire_attachments' });
    assert.equal((await fetched(file.url))[0], 404);
    const fresh = (await message.fetch(true)).attachments.first();
    assert.deepEqual(await fetched(fresh.url), [200, 'a picture']);
    const { refreshed_urls: [{ original, refreshed }] } = await client.rest.post('/attachments/refresh-urls', {
      body: { attachment_urls: [file.url] },
    });
    assert.equal(original, file.url);
    assert.deepEqual(await fetched(refreshed), [200, 'a picture']);
  }],
];
